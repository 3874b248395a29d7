//! What the data plane holds: projects with their rows, automations, what was told of them, and
//! the audit log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealift_core::id::XactId;
use serde_json::{Value, json};

use super::audit_log::AuditLog;
use super::refusal::Refusal;
use super::run::Visible;
use super::store::Store;

/// How far the data plane has come with a project's rows, as its answers tell
/// (`freshness_state`). Both are equal where it has caught up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    /// `last_processed_xact_id`; null if none.
    pub processed: Option<XactId>,
    /// `last_considered_xact_id`; null if none.
    pub considered: Option<XactId>,
}

#[derive(Default)]
pub(crate) struct State {
    /// In the order of their creation.
    pub(crate) projects: Vec<Project>,
    /// In the order of their creation.
    pub(crate) automations: Vec<Automation>,
    pub(crate) registrations: BTreeMap<String, Registered>,
    /// Set for all projects that have none of their own.
    pub(crate) freshness: Option<Freshness>,
    pub(crate) hold_back: bool,
    pub(crate) audit: AuditLog,
}

pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) rows: Store,
    pub(crate) freshness: Option<Freshness>,
}

pub(crate) struct Automation {
    pub(crate) id: String,
    pub(crate) project_id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) config: Value,
}

/// What an automation is registered with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    pub(crate) object_id: String,
    pub(crate) start: u64,
    pub(crate) resets: u64,
    pub(crate) schedulings: u64,
    pub(crate) cron: bool,
    pub(crate) last_error: Option<(String, Timestamp)>,
}

impl Project {
    pub(crate) fn new(id: String, name: &str, created: Timestamp) -> Self {
        Self {
            id,
            name: name.to_owned(),
            description: None,
            created,
            deleted: None,
            rows: Store::default(),
            freshness: None,
        }
    }

    pub(crate) fn to_json(&self, organization: &str) -> Value {
        json!({
            "id": self.id,
            "org_id": organization,
            "name": self.name,
            "description": self.description,
            "created": time_text(self.created),
            "deleted_at": self.deleted.map(time_text),
            "user_id": null,
            "settings": null,
        })
    }
}

impl Automation {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "project_id": self.project_id,
            "user_id": null,
            "created": time_text(self.created),
            "name": self.name,
            "description": self.description,
            "config": self.config,
        })
    }
}

/// Recorded: `2026-05-12T23:48:21.627Z`.
pub(crate) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

impl State {
    /// A project that is not deleted.
    pub(crate) fn project(&self, id: &str) -> Option<&Project> {
        let mut living = self.projects.iter().filter(|p| p.deleted.is_none());
        living.find(|project| project.id == id)
    }

    /// A project that is not deleted, to be changed.
    pub(crate) fn project_mut(&mut self, id: &str) -> Option<&mut Project> {
        let mut living = self.projects.iter_mut().filter(|p| p.deleted.is_none());
        living.find(|project| project.id == id)
    }

    /// The rows of projects, as far as queries see them. One project that is missing fails the
    /// whole query.
    pub(crate) fn visible(&self, ids: &[String]) -> Result<Vec<Visible<'_>>, Refusal> {
        let mut found: Vec<Visible<'_>> = Vec::new();
        for id in ids {
            let project = self.project(id);
            let project = project.ok_or_else(|| Refusal::missing("project_log", id))?;
            if found.iter().any(|seen| seen.project == id) {
                continue;
            }
            let processed = self.freshness_of(project).processed;
            found.push(Visible {
                project: &project.id,
                rows: &project.rows,
                through: match processed {
                    Some(xact) if self.hold_back => xact.get(),
                    _ => u64::MAX,
                },
            });
        }
        Ok(found)
    }

    /// The freshness of projects together: what all of them have processed, and what any has
    /// considered. That is our choice; no recorded query asks for several.
    pub(crate) fn freshness(&self, ids: &[String]) -> Freshness {
        let projects = || ids.iter().filter_map(|id| self.project(id));
        let each = || projects().map(|project| self.freshness_of(project));
        Freshness {
            processed: each().filter_map(|freshness| freshness.processed).min(),
            considered: each().filter_map(|freshness| freshness.considered).max(),
        }
    }

    /// Unless it is set, it follows the newest row. What is told of a project without rows is
    /// not recorded; here it is null.
    fn freshness_of(&self, project: &Project) -> Freshness {
        let newest = project.rows.latest_xact().map(XactId::new);
        let follows = Freshness {
            processed: newest,
            considered: newest,
        };
        project.freshness.or(self.freshness).unwrap_or(follows)
    }
}

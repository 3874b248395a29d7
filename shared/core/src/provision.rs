//! Automations that projects get by themselves: every project, also one that is created next
//! year, has the automations that the *templates* describe.
//!
//! [`template`] is what a project gets, [`ledger`] what each has got so far, and [`plan`]
//! compares the two with the projects that there are. Whoever applies a plan writes the ledger
//! first: a name, once given, is kept, so that a crash anywhere is repaired by doing it again.
//! [`mode`] says who exports: Sealift, or Braintrust, whose automations are behind the port
//! [`remote`].

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::export::automation::{Automation, ExportPath};
use crate::export::source::SourceError;
use crate::id::{AutomationId, BucketName, OrgId, ProjectId};

pub mod drift;
pub mod glob;
pub mod ledger;
pub mod mode;
pub mod plan;
pub mod remote;
pub mod settings;
pub mod template;

/// A project, as far as provisioning needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The organization that it belongs to.
    pub organization: OrgId,
    /// What people call it, whatever it holds.
    pub name: String,
    /// When it was created, if that is known.
    pub created: Option<Timestamp>,
}

/// The projects that there are.
pub trait Projects: Send + Sync {
    /// All of them.
    fn list(&self) -> impl Future<Output = Result<Vec<Project>, SourceError>> + Send;

    /// One of them; `None` only where it is certain that there is none.
    fn get(
        &self,
        id: &ProjectId,
    ) -> impl Future<Output = Result<Option<Project>, SourceError>> + Send;

    /// Requests that were made so far, each repetition counted.
    fn requests(&self) -> u64;
}

/// One client for several ports.
impl<T: Projects> Projects for Arc<T> {
    async fn list(&self) -> Result<Vec<Project>, SourceError> {
        T::list(self).await
    }

    async fn get(&self, id: &ProjectId) -> Result<Option<Project>, SourceError> {
        T::get(self, id).await
    }

    fn requests(&self) -> u64 {
        T::requests(self)
    }
}

/// An automation that is there, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: AutomationId,
    /// What people call it.
    pub name: String,
    /// What it does. Braintrust's may be of any kind, and hold what Sealift does not know.
    pub config: Value,
}

impl From<Automation> for Seen {
    fn from(automation: Automation) -> Self {
        Self {
            id: automation.id,
            name: automation.name,
            config: serde_json::to_value(automation.config).unwrap_or_default(),
        }
    }
}

impl Seen {
    /// Whether it exports rows; there are other kinds.
    pub fn is_export(&self) -> bool {
        self.config.get("event_type").and_then(Value::as_str) == Some("btql_export")
    }

    /// The bucket that it exports into, if it does.
    fn bucket(&self) -> Option<BucketName> {
        bucket_of(self.config.get("export_path")?.as_str()?)
    }

    /// Its own part of the ExternalId.
    pub fn suffix(&self) -> Option<&str> {
        self.config.get("credentials")?.get("external_id")?.as_str()
    }
}

fn bucket_of(export_path: &str) -> Option<BucketName> {
    let path = ExportPath::parse(&export_path.replace(template::SLUG, "p"));
    path.ok().map(|path| path.bucket)
}

//! The organization's audit log: what is recorded in it, and who may read it.
//!
//! Documented (<https://www.braintrust.dev/docs/admin/audit-logs>): the fields of an entry, the
//! event types, which of the changes are null, what is kept out of them, and that entries show
//! after some minutes. The page names `id` as a column only; the names within `actor_details`,
//! `event_details` and the changes are our choice.
//!
//! Projects are recorded by the data plane itself, queries where a test
//! [asks for it](DataPlane::record_query_reads), and anything else by
//! [`DataPlane::record_audit_entry`].

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::DataPlane;
use super::query::AuditQuery;
use super::refusal::Refusal;
use super::run::Page;
use super::shared::Shared;

mod entry;

pub(crate) use entry::{Action, Actor};
pub use entry::{AuditChange, AuditEvent};

/// An entry's fields.
pub(crate) const COLUMNS: [&str; 13] = [
    "actor_details",
    "actor_id",
    "after_changes",
    "before_changes",
    "created",
    "event_details",
    "event_type",
    "id",
    "org_id",
    "project_id",
    "resource_id",
    "resource_name",
    "resource_type",
];

/// Whether the audit log can be read.
///
/// Documented: the Enterprise plan, a data plane of v2.6.0, and a permission are needed for it.
/// How a real data plane refuses is not: statuses and words are ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditAccess {
    /// It can.
    #[default]
    Allowed,
    /// Another plan than Enterprise: 403, and nothing is recorded by itself.
    NotEnterprise,
    /// A self-hosted data plane before v2.6.0: 400; what happens is recorded all the same.
    OldDataPlane,
    /// The key lacks the permission "Read audit logs": 403.
    NoPermission,
}

impl AuditAccess {
    fn check(self) -> Result<(), Refusal> {
        let forbidden = |said| Err(Refusal::new(StatusCode::FORBIDDEN, said));
        match self {
            Self::Allowed => Ok(()),
            Self::NotEnterprise => forbidden("Audit logs are part of the Enterprise plan only"),
            Self::OldDataPlane => Err(Refusal::bad_request(
                "audit_logs is not known to this data plane; it needs v2.6.0 or later",
            )),
            Self::NoPermission => forbidden("The permission Read audit logs is missing"),
        }
    }
}

/// Everything that was recorded.
#[derive(Default)]
pub(crate) struct AuditLog {
    entries: Vec<Recorded>,
    access: AuditAccess,
    delay: Duration,
    reads: bool,
}

struct Recorded {
    created: Timestamp,
    /// When it can be seen.
    appears: Timestamp,
    event_type: String,
    bytes: Bytes,
}

impl AuditLog {
    /// Records what the data plane itself was asked to do. Documented: only on the Enterprise
    /// plan.
    pub(crate) fn record_own(&mut self, shared: &Shared, event: &AuditEvent) {
        if self.access != AuditAccess::NotEnterprise {
            self.record(shared, event);
        }
    }

    /// Records that a query was answered, where that is asked for; of a project, if it was one's.
    pub(crate) fn record_read(
        &mut self,
        shared: &Shared,
        actor: &Actor,
        query: &str,
        project: Option<&str>,
    ) {
        if self.reads {
            let event = AuditEvent {
                event_details: json!({"query": query}),
                project_id: project.map(str::to_owned),
                ..AuditEvent::new("query.read", AuditChange::Nothing)
            };
            self.record_own(shared, &event.by(actor));
        }
    }

    fn record(&mut self, shared: &Shared, event: &AuditEvent) -> String {
        let now = shared.now();
        let id = event.id.clone().unwrap_or_else(|| self.fresh_id(now));
        let created = event.created.unwrap_or(now);
        let text = event.to_json(&id, created, shared).to_string();
        // Queries and names are anybody's text. As JSON writes it, the key may have backslashes.
        let key = json!(shared.settings.api_key.expose()).to_string();
        let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
        let text = match key.unwrap_or_default() {
            "" => text,
            key => text.replace(key, "REDACTED"),
        };
        self.add(now, created, event.event_type.clone(), text.into());
        id
    }

    fn add(&mut self, now: Timestamp, created: Timestamp, event_type: String, bytes: Bytes) {
        let delay = SignedDuration::try_from(self.delay).unwrap_or(SignedDuration::MAX);
        self.entries.push(Recorded {
            created,
            appears: now.checked_add(delay).unwrap_or(Timestamp::MAX),
            event_type,
            bytes,
        });
    }

    /// A UUID of version 7: of the time, so that it is not given again by another run, and of
    /// the entry's number.
    fn fresh_id(&self, now: Timestamp) -> String {
        let time = now.as_millisecond() & 0xffff_ffff_ffff;
        let number = self.entries.len();
        format!(
            "{:08x}-{:04x}-7000-8000-{number:012x}",
            time >> 16,
            time & 0xffff
        )
    }

    /// The entries that a query asks for, of those that have appeared. There is no cursor: that
    /// one fits an order by `created` is not documented.
    pub(crate) fn answer(&self, shared: &Shared, query: &AuditQuery) -> Result<Page, Refusal> {
        self.access.check()?;
        let organization = shared.settings.organization.id.as_str();
        if query.organization != organization {
            return Err(Refusal::missing("organization", &query.organization));
        }
        let now = shared.now();
        let mut found: Vec<&Recorded> = Vec::new();
        for entry in &self.entries {
            if entry.appears <= now && query.wants(entry.created, &entry.event_type) {
                found.push(entry);
            }
        }
        found.sort_by_key(|entry| entry.created);
        if query.descending {
            found.reverse();
        }
        let cap = shared.settings.page_cap;
        let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
        let shown = found.iter().take(limit.unwrap_or(cap).min(cap));
        Ok(Page {
            rows: shown.map(|entry| entry.bytes.clone()).collect(),
            cursor: None,
        })
    }
}

/// The audit log.
impl DataPlane {
    /// Records an entry, and answers its id. The API key, wherever it stands in it, is left out.
    pub fn record_audit_entry(&self, event: &AuditEvent) -> String {
        self.shared.state().audit.record(&self.shared, event)
    }

    /// Records a row of these bytes, whatever they are: what a real data plane never should.
    /// Queries find it by the time and the type.
    pub fn record_raw_audit_row(
        &self,
        created: Timestamp,
        event_type: &str,
        row: impl Into<Bytes>,
    ) {
        let now = self.shared.now();
        let mut state = self.shared.state();
        state
            .audit
            .add(now, created, event_type.to_owned(), row.into());
    }

    /// All entries so far, also those that have not appeared, as queries answer them; in the
    /// order in which they were recorded.
    pub fn audit_entries(&self) -> Vec<Bytes> {
        let state = self.shared.state();
        let entries = state.audit.entries.iter();
        entries.map(|entry| entry.bytes.clone()).collect()
    }

    /// How long entries that are recorded from now on take to appear. Documented: "a few
    /// minutes"; here they are there at once, unless it is set.
    pub fn set_audit_delay(&self, delay: Duration) {
        self.shared.state().audit.delay = delay;
    }

    /// Whether the audit log can be read.
    pub fn set_audit_access(&self, access: AuditAccess) {
        self.shared.state().audit.access = access;
    }

    /// Whether each query that is answered is recorded as `query.read`, those of the audit log
    /// too. Documented: it is off at first.
    pub fn record_query_reads(&self, recorded: bool) {
        self.shared.state().audit.reads = recorded;
    }
}

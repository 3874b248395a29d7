//! Audit entries: what Sealift itself says of what it did.
//!
//! They have the form of Braintrust's organization audit log
//! (<https://www.braintrust.dev/docs/admin/audit-logs>), so that one reader serves both:
//! `<resource>.<action>`, who, and what was before and after. They go onto the bus as any
//! producer's events, and so into the audit log and to its destinations. [`catalogue`] has the
//! types, [`changes`] what is left out of what was before and after, and why.

use serde::Serialize;
use serde_json::{Map, Value};

use self::catalogue::{Kind, OwnType};
use crate::id::{OrgId, ProjectId};
use crate::ports::BusEntry;

pub mod catalogue;
pub mod changes;

/// The source of Sealift's own audit entries.
pub const OWN_SOURCE: &str = "sealift";

/// Who did it, where nobody did: the stack itself.
pub const OWN_ACTOR: &str = "sealift";

/// What an entry is about.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub organization: OrgId,
    /// The project that it belongs to, if any.
    pub project: Option<ProjectId>,
}

/// What was before and after.
#[derive(Debug, Clone)]
enum Change {
    Created(Value),
    Updated(Value, Value),
    Deleted(Value),
    Nothing,
}

/// An entry in the making.
#[derive(Debug, Clone)]
pub struct Entry {
    own: &'static OwnType,
    resource: Resource,
    change: Change,
    details: Value,
    actor: Actor,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user or service account.
    pub id: String,
    /// The request: `ip_address`, `user_agent`, `request_id`, the token. Secrets are redacted.
    pub details: Map<String, Value>,
}

impl Default for Actor {
    fn default() -> Self {
        Self {
            id: OWN_ACTOR.to_owned(),
            details: Map::new(),
        }
    }
}

/// The line, its fields in the page's order.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    created: String,
    org_id: &'a OrgId,
    project_id: Option<&'a ProjectId>,
    actor_id: &'a str,
    event_type: &'a str,
    event_details: &'a Value,
    resource_type: &'a str,
    resource_id: &'a str,
    resource_name: &'a str,
    actor_details: Value,
    before_changes: Option<Value>,
    after_changes: Option<Value>,
}

/// A change that does not belong to the type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event_type} is of kind {kind:?}, and what was given of before and after is not")]
pub struct WrongKind {
    /// The type.
    pub event_type: &'static str,
    /// Its kind.
    pub kind: Kind,
}

impl Entry {
    /// Something was created.
    pub fn created(
        own: &'static OwnType,
        resource: Resource,
        after: Value,
    ) -> Result<Self, WrongKind> {
        Self::of(own, Kind::Create, resource, Change::Created(after))
    }

    /// Something was changed. What did not change is left out.
    pub fn updated(
        own: &'static OwnType,
        resource: Resource,
        before: Value,
        after: Value,
    ) -> Result<Self, WrongKind> {
        Self::of(own, Kind::Update, resource, Change::Updated(before, after))
    }

    /// Something was deleted.
    pub fn deleted(
        own: &'static OwnType,
        resource: Resource,
        before: Value,
    ) -> Result<Self, WrongKind> {
        Self::of(own, Kind::Delete, resource, Change::Deleted(before))
    }

    /// Something happened that changed nothing.
    pub fn happened(own: &'static OwnType, resource: Resource) -> Result<Self, WrongKind> {
        Self::of(own, Kind::ReadOnly, resource, Change::Nothing)
    }

    fn of(
        own: &'static OwnType,
        kind: Kind,
        resource: Resource,
        change: Change,
    ) -> Result<Self, WrongKind> {
        if own.kind != kind {
            let (event_type, kind) = (own.event_type, own.kind);
            return Err(WrongKind { event_type, kind });
        }
        Ok(Self {
            own,
            resource,
            change,
            details: Value::Null,
            actor: Actor::default(),
        })
    }

    /// What else there is to say.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = changes::redact(details);
        self
    }

    /// Who did it, if not the stack itself.
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The event for the bus. `id` must be unlike any other of the organization, and the same
    /// when the same is told again.
    pub fn on_bus(&self, id: &str, now: jiff::Timestamp) -> Result<BusEntry, serde_json::Error> {
        let (before, after) = match &self.change {
            Change::Created(after) => (None, Some(changes::shown(after.clone()))),
            Change::Deleted(before) => (Some(changes::shown(before.clone())), None),
            Change::Updated(before, after) => {
                let (before, after) = changes::differing(before.clone(), after.clone());
                (Some(before), Some(after))
            }
            Change::Nothing => (None, None),
        };
        let details = Value::Object(self.actor.details.clone());
        let line = Line {
            id,
            created: format!("{now:.3}"),
            org_id: &self.resource.organization,
            project_id: self.resource.project.as_ref(),
            actor_id: &self.actor.id,
            event_type: self.own.event_type,
            event_details: &self.details,
            resource_type: self.own.resource_type,
            resource_id: &self.resource.id,
            resource_name: &self.resource.name,
            actor_details: changes::redact(details),
            before_changes: before,
            after_changes: after,
        };
        Ok(BusEntry {
            source: OWN_SOURCE.to_owned(),
            detail_type: self.own.event_type.to_owned(),
            detail: serde_json::to_string(&line)?,
        })
    }
}

#[cfg(test)]
mod tests;

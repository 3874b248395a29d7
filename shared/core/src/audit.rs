//! Audit entries: what Sealift itself says of what it did.
//!
//! They have the form of Braintrust's organization audit log
//! (<https://www.braintrust.dev/docs/admin/audit-logs>), so that one reader serves both:
//! `<resource>.<action>`, who, and what was before and after. They go onto the bus as any
//! producer's events, and so into the audit log and to its destinations.
//!
//! [`catalogue`] has the types, [`changes`] what is left out of what was before and after,
//! [`secrets`] how secrets are known, [`bounds`] what happens to an entry that is too large. An
//! [`Entry`] never holds a secret: what it is given is redacted before it is kept. [`outbox`] is
//! where the entry of a change waits until it is told.

use serde::Serialize;
use serde_json::{Map, Value};

use self::catalogue::{Kind, OwnType};
use crate::event::MAX_ID_BYTES;
use crate::id::{OrgId, ProjectId};
use crate::ports::BusEntry;

pub mod bounds;
pub mod catalogue;
pub mod changes;
pub mod outbox;
pub mod secrets;

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

/// An entry in the making. It holds no secret that can be known as one.
#[derive(Debug, Clone)]
pub struct Entry {
    own: &'static OwnType,
    resource: Resource,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
    details: Value,
    actor: Actor,
}

/// Who did it. It holds no secret that can be known as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    id: String,
    details: Map<String, Value>,
}

impl Actor {
    /// The user or service account, and what is known of the request: `ip_address`,
    /// `user_agent`, `request_id`, and of the token, under `token`, its `name`, `type` and
    /// `preview`.
    pub fn new(id: &str, details: Map<String, Value>) -> Self {
        Self {
            id: bounds::name(secrets::redact_text(id)),
            details: changes::redact_fields(details),
        }
    }

    /// The user or service account.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is known of the request, without secrets.
    pub fn details(&self) -> &Map<String, Value> {
        &self.details
    }
}

impl Default for Actor {
    fn default() -> Self {
        Self::new(OWN_ACTOR, Map::new())
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
    actor_details: &'a Value,
    before_changes: &'a Value,
    after_changes: &'a Value,
}

/// Why an entry cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// What was given of before and after does not belong to the type.
    #[error(
        "an entry of {event_type} holds {}, and was given {}; use the constructor of its kind",
        .kind.holds(),
        .given.holds()
    )]
    WrongKind {
        /// The type.
        event_type: &'static str,
        /// Its kind.
        kind: Kind,
        /// The kind that what was given is of.
        given: Kind,
    },
    /// What was before, or is after, has no fields.
    #[error(
        "`{field}` of an entry of {event_type} is {found}; give a JSON object with the \
         resource's fields"
    )]
    NotAnObject {
        /// The type.
        event_type: &'static str,
        /// `before_changes` or `after_changes`.
        field: &'static str,
        /// What it is: `a list`.
        found: &'static str,
    },
    /// The id could not be read again.
    #[error("the `id` of an entry of {event_type} has {bytes} bytes; give it 1 to {MAX_ID_BYTES}")]
    Id {
        /// The type.
        event_type: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// It cannot be written as JSON.
    #[error("an entry of {event_type} cannot be written: {reason}")]
    Unwritable {
        /// The type.
        event_type: &'static str,
        /// Why.
        reason: String,
    },
}

impl Entry {
    /// Something was created.
    pub fn created(
        own: &'static OwnType,
        resource: Resource,
        after: Value,
    ) -> Result<Self, BadEntry> {
        let mut entry = Self::of(own, Kind::Create, resource)?;
        entry.after = Some(changes::shown(fields(own, "after_changes", after)?));
        Ok(entry)
    }

    /// Something was changed. What did not change is left out.
    pub fn updated(
        own: &'static OwnType,
        resource: Resource,
        before: Value,
        after: Value,
    ) -> Result<Self, BadEntry> {
        let mut entry = Self::of(own, Kind::Update, resource)?;
        let before = fields(own, "before_changes", before)?;
        let after = fields(own, "after_changes", after)?;
        let (before, after) = changes::differing(before, after);
        (entry.before, entry.after) = (Some(before), Some(after));
        Ok(entry)
    }

    /// Something was deleted.
    pub fn deleted(
        own: &'static OwnType,
        resource: Resource,
        before: Value,
    ) -> Result<Self, BadEntry> {
        let mut entry = Self::of(own, Kind::Delete, resource)?;
        entry.before = Some(changes::shown(fields(own, "before_changes", before)?));
        Ok(entry)
    }

    /// Something happened that changed nothing.
    pub fn happened(own: &'static OwnType, resource: Resource) -> Result<Self, BadEntry> {
        Self::of(own, Kind::ReadOnly, resource)
    }

    fn of(own: &'static OwnType, given: Kind, resource: Resource) -> Result<Self, BadEntry> {
        let (event_type, kind) = (own.as_str(), own.kind());
        if kind != given {
            return Err(BadEntry::WrongKind {
                event_type,
                kind,
                given,
            });
        }
        let resource = Resource {
            id: bounds::name(secrets::redact_text(&resource.id)),
            name: bounds::name(secrets::redact_text(&resource.name)),
            ..resource
        };
        Ok(Self {
            own,
            resource,
            before: None,
            after: None,
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

    /// Whether it is of an update in which nothing differs.
    pub fn changes_nothing(&self) -> bool {
        let none = |fields: &Option<Map<String, Value>>| fields.as_ref().is_some_and(Map::is_empty);
        none(&self.before) && none(&self.after)
    }

    /// The event for the bus. `id` must be unlike any other of the organization, and the same
    /// when the same is told again. What is too large for the bus is [cut](bounds).
    pub fn on_bus(&self, id: &str, now: jiff::Timestamp) -> Result<BusEntry, BadEntry> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(BadEntry::Id {
                event_type: self.own.as_str(),
                bytes: id.len(),
            });
        }
        let object = |fields: &Map<String, Value>| Value::Object(fields.clone());
        let mut parts = [
            self.details.clone(),
            object(&self.actor.details),
            self.before.as_ref().map(object).unwrap_or_default(),
            self.after.as_ref().map(object).unwrap_or_default(),
        ];
        let mut detail = self.line(id, now, &parts)?;
        let excess = detail.len().saturating_sub(bounds::MOST_BYTES);
        if excess > 0 {
            bounds::cut(&mut parts, excess);
            detail = self.line(id, now, &parts)?;
        }
        Ok(BusEntry {
            source: OWN_SOURCE.to_owned(),
            detail_type: self.own.as_str().to_owned(),
            detail,
        })
    }

    fn line(
        &self,
        id: &str,
        now: jiff::Timestamp,
        [details, actor, before, after]: &[Value; 4],
    ) -> Result<String, BadEntry> {
        let line = Line {
            id,
            created: format!("{now:.3}"),
            org_id: &self.resource.organization,
            project_id: self.resource.project.as_ref(),
            actor_id: &self.actor.id,
            event_type: self.own.as_str(),
            event_details: details,
            resource_type: self.own.resource_type(),
            resource_id: &self.resource.id,
            resource_name: &self.resource.name,
            actor_details: actor,
            before_changes: before,
            after_changes: after,
        };
        serde_json::to_string(&line).map_err(|error| BadEntry::Unwritable {
            event_type: self.own.as_str(),
            reason: error.to_string(),
        })
    }
}

/// The fields of what was before or is after.
fn fields(
    own: &OwnType,
    field: &'static str,
    value: Value,
) -> Result<Map<String, Value>, BadEntry> {
    let found = match value {
        Value::Object(fields) => return Ok(fields),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
    };
    Err(BadEntry::NotAnObject {
        event_type: own.as_str(),
        field,
        found,
    })
}

#[cfg(test)]
mod tests;

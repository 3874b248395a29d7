//! One entry of the audit log: what is told of an event, and what is kept out.

use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::braintrust::shared::Shared;
use crate::braintrust::state::{Project, time_text};

/// Whom the key of the embedded API belongs to.
const ACTOR: &str = "7d5a1c1e-3b52-4f0e-9c55-0e6f5e0f9a11";

/// What an entry tells of the resource's fields.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditChange {
    /// How they are now; `before_changes` is null.
    Created(Value),
    /// How they were and are.
    Updated {
        /// `before_changes`
        before: Value,
        /// `after_changes`
        after: Value,
    },
    /// How they were; `after_changes` is null.
    Deleted(Value),
    /// Nothing was changed: both are null.
    Nothing,
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// `<resource>.<action>`
    pub event_type: String,
    /// The kind of resource.
    pub resource_type: String,
    /// Its fields.
    pub change: AuditChange,
    /// The entry's id; a fresh one if none is given.
    pub id: Option<String>,
    /// When it happened; now if no time is given.
    pub created: Option<Timestamp>,
    /// The project, if it is about one.
    pub project_id: Option<String>,
    /// Who did it; the owner of the API key if nobody is named.
    pub actor_id: Option<String>,
    /// What else belongs to it.
    pub event_details: Value,
    /// The resource's id.
    pub resource_id: Option<String>,
    /// The resource's name.
    pub resource_name: Option<String>,
    /// Of the request; that of a local call if none is given.
    pub actor_details: Option<Value>,
}

impl AuditEvent {
    /// An event of a type, whose resource is what stands before the type's point.
    pub fn new(event_type: &str, change: AuditChange) -> Self {
        let resource = event_type.split_once('.').map(|(resource, _)| resource);
        Self {
            event_type: event_type.to_owned(),
            resource_type: resource.unwrap_or(event_type).to_owned(),
            change,
            id: None,
            created: None,
            project_id: None,
            actor_id: None,
            event_details: Value::Null,
            resource_id: None,
            resource_name: None,
            actor_details: None,
        }
    }

    /// An event of a project, by its name and description now. Documented: ids and times are
    /// kept out of the changes.
    pub(crate) fn of_project(project: &Project, action: Action<'_>) -> Self {
        let fields =
            |name: &str| json!({"name": name, "description": project.description.as_deref()});
        let now = fields(&project.name);
        let (event_type, change) = match action {
            Action::Create => ("project.created", AuditChange::Created(now)),
            Action::Delete => ("project.deleted", AuditChange::Deleted(now)),
            Action::Rename { from } => {
                let (before, after) = (json!({"name": from}), json!({"name": project.name}));
                ("project.updated", AuditChange::Updated { before, after })
            }
        };
        Self {
            project_id: Some(project.id.clone()),
            resource_id: Some(project.id.clone()),
            resource_name: Some(project.name.clone()),
            ..Self::new(event_type, change)
        }
    }

    /// By a request.
    pub(crate) fn by(mut self, actor: &Actor) -> Self {
        self.actor_details = Some(actor.0.clone());
        self
    }

    pub(super) fn to_json(&self, id: &str, created: Timestamp, shared: &Shared) -> Value {
        let (before, after) = match &self.change {
            AuditChange::Created(after) => (&Value::Null, after),
            AuditChange::Updated { before, after } => (before, after),
            AuditChange::Deleted(before) => (before, &Value::Null),
            AuditChange::Nothing => (&Value::Null, &Value::Null),
        };
        let details = self.actor_details.clone();
        json!({
            "id": id,
            "created": time_text(created),
            "org_id": shared.settings.organization.id.as_str(),
            "project_id": self.project_id,
            "actor_id": self.actor_id.as_deref().unwrap_or(ACTOR),
            "event_type": self.event_type,
            "event_details": self.event_details,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "resource_name": self.resource_name,
            "actor_details": details.unwrap_or_else(|| Actor::local(shared).0),
            "before_changes": before,
            "after_changes": after,
        })
    }
}

/// What becomes of a project.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action<'a> {
    Create,
    Rename { from: &'a str },
    Delete,
}

/// The request of an entry, as `actor_details` tells it.
pub(crate) struct Actor(Value);

impl Actor {
    /// Who asked over HTTP.
    pub(crate) fn of(parts: &Parts, request_id: &str, shared: &Shared) -> Self {
        let agent = parts.headers.get(USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        Self::new(agent, Some(request_id), shared)
    }

    /// Who calls within the process.
    fn local(shared: &Shared) -> Self {
        Self::new(Some("sealift-embedded"), None, shared)
    }

    fn new(agent: Option<&str>, request_id: Option<&str>, shared: &Shared) -> Self {
        Self(json!({
            "ip_address": "127.0.0.1",
            "user_agent": agent,
            "request_id": request_id,
            "auth": {
                "type": "api_key",
                "preview_name": preview(shared.settings.api_key.expose()),
            },
        }))
    }
}

/// Documented: a key's preview is told, never the key. Of a short one even the end is too much.
fn preview(key: &str) -> String {
    let characters = key.chars().count();
    let end: String = match characters {
        20.. => key.chars().skip(characters - 4).collect(),
        _ => String::new(),
    };
    format!("sk-****{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shows_the_end_of_a_long_key_and_nothing_of_a_short_one() {
        for (key, shown) in [
            ("sk-0123456789abcdef0123456789", "sk-****6789"),
            ("sk-0123456789abcdef0", "sk-****def0"),
            ("sk-0123456789abcdef", "sk-****"),
            ("", "sk-****"),
        ] {
            assert_eq!(preview(key), shown, "{key}");
        }
    }
}

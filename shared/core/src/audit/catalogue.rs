//! The types of audit entries: Braintrust's, as its page lists them, and Sealift's own.
//!
//! A type's first word is not always its resource type: `data_plane_service_token.created` is
//! about a `service_token`, and Sealift's `cursor.reset` about an `automation`.

use std::fmt;

/// What an entry of a type holds of before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// After alone.
    Create,
    /// Both.
    Update,
    /// Before alone.
    Delete,
    /// Neither.
    ReadOnly,
}

impl Kind {
    /// What an entry of this kind is given of the resource, for people to read.
    pub fn holds(self) -> &'static str {
        match self {
            Self::Create => "what is there after, and nothing before",
            Self::Update => "what was before and what is there after",
            Self::Delete => "what was before, and nothing after",
            Self::ReadOnly => "nothing of before and after",
        }
    }
}

/// A type of Braintrust's.
///
/// The platform may have more types by now than its page had when this was written. What is no
/// type here is unknown, and no reason to refuse an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    name: &'static str,
    resource_type: &'static str,
    kind: Kind,
    row_level: bool,
}

/// A text that is none of Braintrust's types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{event_type:?} is none of the event types of \
     https://www.braintrust.dev/docs/admin/audit-logs; write it as that page does, such as \
     `project.created`"
)]
pub struct UnknownType {
    /// The text.
    pub event_type: String,
}

impl EventType {
    /// All of them, by category, as the page has them.
    pub fn all() -> &'static [Self] {
        &KNOWN
    }

    /// The type of this name, if it is one.
    ///
    /// ```
    /// use sealift_core::audit::catalogue::EventType;
    /// let token = EventType::find("data_plane_service_token.created").unwrap();
    /// assert_eq!(token.resource_type(), "service_token");
    /// assert!(EventType::find("service_token.created").is_none());
    /// ```
    pub fn find(event_type: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == event_type)
    }

    /// The type of this name; the error says where names are found.
    pub fn parse(event_type: &str) -> Result<&'static Self, UnknownType> {
        Self::find(event_type).ok_or_else(|| UnknownType {
            event_type: event_type.to_owned(),
        })
    }

    /// Its name: `project.created`.
    pub fn as_str(&self) -> &'static str {
        self.name
    }

    /// The type of what it is about: `project`.
    pub fn resource_type(&self) -> &'static str {
        self.resource_type
    }

    /// What its entries hold of before and after.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is about rows of data: there may be very many of these, and they are off by
    /// default.
    pub fn is_row_level(&self) -> bool {
        self.row_level
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

const fn known(
    name: &'static str,
    resource_type: &'static str,
    kind: Kind,
    row_level: bool,
) -> EventType {
    EventType {
        name,
        resource_type,
        kind,
        row_level,
    }
}

static KNOWN: [EventType; 38] = {
    use Kind::{Create, Delete, ReadOnly, Update};
    [
        known("organization.created", "organization", Create, false),
        known("organization.updated", "organization", Update, false),
        known("project.created", "project", Create, false),
        known("project.updated", "project", Update, false),
        known("project.deleted", "project", Delete, false),
        known("experiment.created", "experiment", Create, false),
        known("experiment.updated", "experiment", Update, false),
        known("experiment.deleted", "experiment", Delete, false),
        known("dataset.created", "dataset", Create, false),
        known("dataset.updated", "dataset", Update, false),
        known("dataset.deleted", "dataset", Delete, false),
        known("ai_secret.created", "ai_secret", Create, false),
        known("ai_secret.updated", "ai_secret", Update, false),
        known("ai_secret.deleted", "ai_secret", Delete, false),
        known("api_key.created", "api_key", Create, false),
        known("api_key.deleted", "api_key", Delete, false),
        known(
            "data_plane_service_token.created",
            "service_token",
            Create,
            false,
        ),
        known(
            "data_plane_service_token.replaced",
            "service_token",
            Update,
            false,
        ),
        known("group.created", "group", Create, false),
        known("group.updated", "group", Update, false),
        known("group.deleted", "group", Delete, false),
        known("group_member.created", "group_member", Create, false),
        known("group_member.deleted", "group_member", Delete, false),
        known("role.created", "role", Create, false),
        known("role.updated", "role", Update, false),
        known("role.deleted", "role", Delete, false),
        known("role_member.created", "role_member", Create, false),
        known("role_member.deleted", "role_member", Delete, false),
        known("role_permission.created", "role_permission", Create, false),
        known("role_permission.deleted", "role_permission", Delete, false),
        known("org_member.created", "org_member", Create, false),
        known("org_member.deleted", "org_member", Delete, false),
        known("acl.created", "acl", Create, false),
        known("acl.deleted", "acl", Delete, false),
        known("query.read", "query", ReadOnly, true),
        known("project_log.deleted", "project_log", Delete, true),
        known("experiment_log.deleted", "experiment_log", Delete, true),
        known("dataset_log.deleted", "dataset_log", Delete, true),
    ]
};

/// A type of Sealift's own. They are all in this module, so that none can take the name of one
/// of Braintrust's.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnType {
    name: &'static str,
    resource_type: &'static str,
    kind: Kind,
}

impl OwnType {
    /// All of them.
    pub fn all() -> &'static [&'static Self] {
        OWN
    }

    /// The type of this name, if it is one.
    pub fn find(event_type: &str) -> Option<&'static Self> {
        let mut all = OWN.iter().copied();
        all.find(|own| own.name == event_type)
    }

    /// Its name: `automation.provisioned`.
    pub fn as_str(&self) -> &'static str {
        self.name
    }

    /// The type of what it is about: `automation`.
    pub fn resource_type(&self) -> &'static str {
        self.resource_type
    }

    /// What its entries hold of before and after.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

macro_rules! own_types {
    ($($(#[$doc:meta])* $name:ident: $event_type:literal, $resource_type:literal, $kind:ident;)*) => {
        $(
            $(#[$doc])*
            pub static $name: OwnType = OwnType {
                name: $event_type,
                resource_type: $resource_type,
                kind: Kind::$kind,
            };
        )*

        static OWN: &[&OwnType] = &[$(&$name),*];
    };
}

own_types! {
    /// An automation was provisioned.
    AUTOMATION_PROVISIONED: "automation.provisioned", "automation", Create;
    /// Somebody created an automation.
    AUTOMATION_CREATED: "automation.created", "automation", Create;
    /// An automation was changed: stopped because its project is gone, restarted, or edited.
    AUTOMATION_UPDATED: "automation.updated", "automation", Update;
    /// An automation was deleted.
    AUTOMATION_DELETED: "automation.deleted", "automation", Delete;
    /// An automation could not be provisioned.
    AUTOMATION_FAILED: "automation.failed", "automation", ReadOnly;
    /// Somebody asked for an automation to run, whatever its timetable says.
    AUTOMATION_RUN_REQUESTED: "automation.run_requested", "automation", ReadOnly;
    /// The cursor of an automation was set to another position. It is about the automation: a
    /// cursor has no id of its own, and so all entries of one automation have the same
    /// `resource_type` and `resource_id`.
    CURSOR_RESET: "cursor.reset", "automation", Update;
    /// An audit destination was created.
    DESTINATION_CREATED: "destination.created", "destination", Create;
    /// An audit destination was changed.
    DESTINATION_UPDATED: "destination.updated", "destination", Update;
    /// An audit destination was deleted.
    DESTINATION_DELETED: "destination.deleted", "destination", Delete;
    /// Events flow to an audit destination from now on: its `status` changed.
    DESTINATION_STARTED: "destination.started", "destination", Update;
    /// Events wait for an audit destination from now on: its `status` changed.
    DESTINATION_PAUSED: "destination.paused", "destination", Update;
    /// Kept events are delivered to an audit destination once more: its `replay` was null before.
    DESTINATION_REPLAY_BEGUN: "destination.replay_begun", "destination", Update;
    /// That was called off: its `replay` is null after.
    DESTINATION_REPLAY_CANCELLED: "destination.replay_cancelled", "destination", Update;
    /// An audit destination did not pass its check; the details say why.
    DESTINATION_CHECK_FAILED: "destination.check_failed", "destination", ReadOnly;
    /// An audit destination that had passed its check was found unsafe: its `verdict` changed.
    DESTINATION_TURNED_UNSAFE: "destination.turned_unsafe", "destination", Update;
    /// An audit destination was started though it had not passed its check; the details say what
    /// the check had found. That it was started is an entry of its own.
    DESTINATION_CHECK_OVERRIDDEN: "destination.check_overridden", "destination", ReadOnly;
    /// The access keys of an audit destination were replaced: previews of both.
    DESTINATION_CREDENTIALS_REPLACED: "destination.credentials_replaced", "destination", Update;
    /// The access keys of an audit destination were removed: its `credentials` are null after.
    DESTINATION_CREDENTIALS_REMOVED: "destination.credentials_removed", "destination", Update;
    /// Events that wait for an audit destination will soon be too old to be kept.
    DESTINATION_BUFFER_EXPIRING: "destination.buffer_expiring", "destination", ReadOnly;
}

//! The types of audit entries: Braintrust's, as its page lists them, and Sealift's own.
//!
//! A type's first word is not always its resource type: `data_plane_service_token.created` is
//! about a `service_token`.

/// What an entry of a type holds of before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A type of Braintrust's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownType {
    /// `project.created`
    pub event_type: &'static str,
    /// `project`
    pub resource_type: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is about rows of data: there may be very many, and they are off by default.
    pub row_level: bool,
}

/// A type of Sealift's own.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnType {
    /// `automation.provisioned`
    pub event_type: &'static str,
    /// `automation`
    pub resource_type: &'static str,
    /// What it holds.
    pub kind: Kind,
}

const fn known(
    event_type: &'static str,
    resource_type: &'static str,
    kind: Kind,
    row_level: bool,
) -> KnownType {
    KnownType {
        event_type,
        resource_type,
        kind,
        row_level,
    }
}

/// Braintrust's types, by category, as the page has them.
pub static KNOWN: [KnownType; 38] = {
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

/// An automation was provisioned.
pub static AUTOMATION_PROVISIONED: OwnType = own("automation.provisioned", Kind::Create);
/// An automation could not be provisioned.
pub static AUTOMATION_FAILED: OwnType = own("automation.failed", Kind::ReadOnly);
/// An automation was changed: stopped because its project is gone, or restarted.
pub static AUTOMATION_UPDATED: OwnType = own("automation.updated", Kind::Update);

const fn own(event_type: &'static str, kind: Kind) -> OwnType {
    OwnType {
        event_type,
        resource_type: "automation",
        kind,
    }
}

/// What is known of a type of Braintrust's.
///
/// ```
/// use sealift_core::audit::catalogue::lookup;
/// let token = lookup("data_plane_service_token.created").unwrap();
/// assert_eq!(token.resource_type, "service_token");
/// ```
pub fn lookup(event_type: &str) -> Option<&'static KnownType> {
    let mut all = KNOWN.iter();
    all.find(|known| known.event_type == event_type)
}

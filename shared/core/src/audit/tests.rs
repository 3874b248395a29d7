//! The catalogue against the page's tables, and the rules of before and after.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::catalogue::{
    AUTOMATION_FAILED, AUTOMATION_PROVISIONED, AUTOMATION_UPDATED, KNOWN, Kind, OwnType, lookup,
};
use super::*;
use crate::event::{Reading, Shapes, read};

/// The page's two tables: category, resource types, event types.
const TABLES: &str = "\
Organizations | organization | organization.created, organization.updated
Projects | project | project.created, project.updated, project.deleted
Experiments | experiment | experiment.created, experiment.updated, experiment.deleted
Datasets | dataset | dataset.created, dataset.updated, dataset.deleted
Organization AI providers and secrets | ai_secret | ai_secret.created, ai_secret.updated, ai_secret.deleted
API keys | api_key | api_key.created, api_key.deleted
Data plane manager service tokens | service_token | data_plane_service_token.created, data_plane_service_token.replaced
Permission groups | group | group.created, group.updated, group.deleted
Permission group membership | group_member | group_member.created, group_member.deleted
Roles | role | role.created, role.updated, role.deleted
Role membership | role_member | role_member.created, role_member.deleted
Role permissions | role_permission | role_permission.created, role_permission.deleted
Organization members | org_member | org_member.created, org_member.deleted
Access grants | acl | acl.created, acl.deleted
SQL queries | query | query.read
Logs and spans | project_log | project_log.deleted
Experiment rows | experiment_log | experiment_log.deleted
Dataset rows | dataset_log | dataset_log.deleted";

/// Rows of the second table, which are off by default.
const ROW_LEVEL: usize = 4;

#[test]
fn the_catalogue_is_the_pages_tables() {
    let lines: Vec<&str> = TABLES.lines().collect();
    let mut listed = BTreeSet::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<&str> = line.split(" | ").collect();
        for event_type in cells[2].split(", ") {
            let known = lookup(event_type).unwrap_or_else(|| panic!("{event_type}"));
            assert_eq!(known.resource_type, cells[1], "{event_type}");
            assert_eq!(
                known.row_level,
                number >= lines.len() - ROW_LEVEL,
                "{event_type}"
            );
            let kind = match event_type.rsplit('.').next().unwrap() {
                "created" => Kind::Create,
                "updated" | "replaced" => Kind::Update,
                "deleted" => Kind::Delete,
                _ => Kind::ReadOnly,
            };
            assert_eq!(known.kind, kind, "{event_type}");
            listed.insert(event_type);
        }
    }
    let catalogued: BTreeSet<&str> = KNOWN.iter().map(|known| known.event_type).collect();
    assert_eq!(catalogued, listed);
    assert_eq!(catalogued.len(), KNOWN.len(), "none stands there twice");
    for own in [
        &AUTOMATION_PROVISIONED,
        &AUTOMATION_FAILED,
        &AUTOMATION_UPDATED,
    ] {
        assert!(lookup(own.event_type).is_none(), "{}", own.event_type);
    }
}

static DELETED: OwnType = OwnType {
    event_type: "automation.deleted",
    resource_type: "automation",
    kind: Kind::Delete,
};

fn resource() -> Resource {
    Resource {
        id: "a-1".to_owned(),
        name: "Logs export".to_owned(),
        organization: OrgId::parse("org-1").unwrap(),
        project: Some(ProjectId::parse("p-1").unwrap()),
    }
}

fn line(entry: &Entry) -> Value {
    let now = "2025-11-21T12:00:00.5Z".parse().unwrap();
    let entry = entry.on_bus("e-1", now).unwrap();
    serde_json::from_str(&entry.detail).unwrap()
}

#[test]
fn before_and_after_follow_the_kind() {
    let (before, after) = (json!({"a": 1, "b": 1}), json!({"a": 2, "b": 1, "c": 3}));
    let created = Entry::created(&AUTOMATION_PROVISIONED, resource(), after.clone());
    let created = line(&created.unwrap());
    assert_eq!(
        (&created["before_changes"], &created["after_changes"]),
        (&Value::Null, &after)
    );
    let updated = Entry::updated(&AUTOMATION_UPDATED, resource(), before.clone(), after);
    let updated = line(&updated.unwrap());
    assert_eq!(updated["before_changes"], json!({"a": 1, "c": null}));
    assert_eq!(updated["after_changes"], json!({"a": 2, "c": 3}));
    let happened = line(&Entry::happened(&AUTOMATION_FAILED, resource()).unwrap());
    assert!(happened["before_changes"].is_null() && happened["after_changes"].is_null());
    let deleted = line(&Entry::deleted(&DELETED, resource(), before.clone()).unwrap());
    assert_eq!(
        (&deleted["before_changes"], &deleted["after_changes"]),
        (&before, &Value::Null)
    );
    let wrong = Entry::happened(&AUTOMATION_UPDATED, resource()).unwrap_err();
    assert!(wrong.to_string().contains("automation.updated"), "{wrong}");
}

#[test]
fn an_entry_has_the_pages_fields_and_is_an_event_of_our_own_form() {
    let entry = Entry::happened(&AUTOMATION_FAILED, resource()).unwrap();
    let entry = entry.with_details(json!({"message": "no"}));
    let fields = line(&entry);
    let names: BTreeSet<&str> = fields
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let page = "id created org_id project_id actor_id event_type event_details resource_type \
                resource_id resource_name actor_details before_changes after_changes";
    assert_eq!(names, page.split_whitespace().collect());
    assert_eq!(fields["created"], "2025-11-21T12:00:00.500Z");
    let on_bus = entry
        .on_bus("e-1", "2025-11-21T12:00:00Z".parse().unwrap())
        .unwrap();
    let body = format!(
        r#"{{"source":"{}","detail-type":"{}","detail":{}}}"#,
        on_bus.source, on_bus.detail_type, on_bus.detail
    );
    let Reading::Events(events) = read(&body, &Shapes::default()) else {
        panic!("it is no control event");
    };
    let event = events[0].as_ref().unwrap();
    assert_eq!((&*event.id, event.organization.as_str()), ("e-1", "org-1"));
    assert_eq!(event.event_type, "automation.failed");
    assert_eq!(event.line, on_bus.detail);
}

#[test]
fn secrets_are_redacted_and_noise_is_left_out_and_what_must_be_copied_stays() {
    let shown = changes::shown(json!({
        "id": "x", "project_id": "p", "created_ms": 5, "deleted_at": "now",
        "role_arn": "arn:aws:iam::1:role/r",
        "credentials": {
            "external_id": "e", "access_key_id": "AKIA", "secret_access_key": "0123456789abcdef",
            "apiKey": "short", "list": [{"Session-Token": "0123456789abcdefgh"}],
            "secret_name": "kept", "token": 7, "key_hash": null,
        },
    }));
    let expected = json!({
        "role_arn": "arn:aws:iam::1:role/r",
        "credentials": {
            "external_id": "e", "access_key_id": "AKIA", "secret_access_key": "…cdef",
            "apiKey": "redacted", "list": [{"Session-Token": "…efgh"}],
            "secret_name": "kept", "token": "redacted", "key_hash": null,
        },
    });
    assert_eq!(shown, expected);
    let (was, is) = changes::differing(
        json!({"secret": "0123456789abcdef", "same": 1}),
        json!({"secret": "1123456789abcdef", "same": 1}),
    );
    assert_eq!(
        (was, is),
        (json!({"secret": "…cdef"}), json!({"secret": "…cdef"}))
    );
}

proptest! {
    #[test]
    fn no_secret_is_ever_shown_whole(secret in "[a-zA-Z0-9+/]{16,80}", depth in 0_usize..5) {
        let mut value = json!({"secret_access_key": secret, "service_token": [secret]});
        for _ in 0..depth {
            value = json!({"inner": [value]});
        }
        let text = changes::shown(value).to_string();
        prop_assert!(!text.contains(&secret), "{text}");
    }
}

//! Entries as they go onto the bus.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::catalogue::{
    AUTOMATION_DELETED, AUTOMATION_FAILED, AUTOMATION_PROVISIONED, AUTOMATION_UPDATED, Kind,
    OwnType,
};
use super::*;
use crate::event::{Reading, Shapes, read};

mod types;

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
    let deleted = line(&Entry::deleted(&AUTOMATION_DELETED, resource(), before.clone()).unwrap());
    assert_eq!(
        (&deleted["before_changes"], &deleted["after_changes"]),
        (&before, &Value::Null)
    );
}

#[test]
fn each_constructor_refuses_types_of_another_kind() {
    let object = || json!({"a": 1});
    for own in OwnType::all() {
        let made = [
            (Kind::Create, Entry::created(own, resource(), object())),
            (
                Kind::Update,
                Entry::updated(own, resource(), object(), object()),
            ),
            (Kind::Delete, Entry::deleted(own, resource(), object())),
            (Kind::ReadOnly, Entry::happened(own, resource())),
        ];
        for (given, made) in made {
            assert_eq!(made.is_ok(), given == own.kind(), "{}", own.as_str());
            let Err(error) = made else { continue };
            let (event_type, kind) = (own.as_str(), own.kind());
            assert_eq!(
                error,
                BadEntry::WrongKind {
                    event_type,
                    kind,
                    given
                }
            );
        }
    }
    let wrong = Entry::happened(&AUTOMATION_UPDATED, resource()).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "an entry of automation.updated holds what was before and what is there after, and was \
         given nothing of before and after; use the constructor of its kind"
    );
}

#[test]
fn what_has_no_fields_is_refused_by_name() {
    let bad = [
        json!(null),
        json!(true),
        json!(1),
        json!("secret text"),
        json!([{"a": 1}]),
    ];
    for value in bad {
        let object = json!({"a": 1});
        let refused = [
            (
                Entry::created(&AUTOMATION_PROVISIONED, resource(), value.clone()),
                "after_changes",
            ),
            (
                Entry::deleted(&AUTOMATION_DELETED, resource(), value.clone()),
                "before_changes",
            ),
            (
                Entry::updated(
                    &AUTOMATION_UPDATED,
                    resource(),
                    value.clone(),
                    object.clone(),
                ),
                "before_changes",
            ),
            (
                Entry::updated(&AUTOMATION_UPDATED, resource(), object, value.clone()),
                "after_changes",
            ),
        ];
        for (refused, field) in refused {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{field}` of an entry of automation.")),
                "{error}"
            );
            assert!(!error.contains("secret text"), "{error}");
        }
    }
    let error = Entry::created(&AUTOMATION_PROVISIONED, resource(), json!([])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`after_changes` of an entry of automation.provisioned is a list; give a JSON object with \
         the resource's fields"
    );
}

#[test]
fn an_id_that_could_not_be_read_again_is_refused() {
    let entry = Entry::happened(&AUTOMATION_FAILED, resource()).unwrap();
    let now = "2025-11-21T12:00:00Z".parse().unwrap();
    assert!(entry.on_bus(&"x".repeat(MAX_ID_BYTES), now).is_ok());
    for (id, bytes) in [("", 0), (&*"x".repeat(MAX_ID_BYTES + 1), MAX_ID_BYTES + 1)] {
        let event_type = "automation.failed";
        assert_eq!(
            entry.on_bus(id, now),
            Err(BadEntry::Id { event_type, bytes })
        );
    }
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

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} has no fields"),
    }
}

#[test]
fn secrets_are_redacted_and_noise_is_left_out_and_what_must_be_copied_stays() {
    let shown = changes::shown(map(json!({
        "id": "x", "project_id": "p", "created_ms": 5, "deleted_at": "now",
        "role_arn": "arn:aws:iam::1:role/r",
        "credentials": {
            "external_id": "e", "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "secret_access_key": "0123456789abcdef",
            "apiKey": "short", "list": [{"Session-Token": "0123456789abcdefgh"}],
            "secret_name": "kept", "token": 7, "key_hash": null, "has_secret": true,
            "id": "of something else", "secret": {"name": "kept", "value": ["0123456789abcdef"]},
            "token_arn": "arn:aws:ssm:eu-west-1:1:parameter/t", "bt-st-0123456789abcdef": 1,
        },
    })));
    let expected = json!({
        "role_arn": "arn:aws:iam::1:role/r",
        "credentials": {
            "external_id": "e", "access_key_id": "…MPLE", "secret_access_key": "…cdef",
            "apiKey": "redacted", "list": [{"Session-Token": "…efgh"}],
            "secret_name": "kept", "token": "redacted", "key_hash": null, "has_secret": true,
            "id": "of something else", "secret": {"name": "kept", "value": ["…cdef"]},
            "token_arn": "arn:aws:ssm:eu-west-1:1:parameter/t", "…cdef": 1,
        },
    });
    assert_eq!(Value::Object(shown.clone()), expected);
    assert_eq!(changes::shown(shown.clone()), shown, "previews stay");
}

#[test]
fn of_an_update_only_what_differs_is_shown_and_times_never() {
    let (was, is) = changes::differing(
        map(json!({
            "secret": "0123456789abcdef", "same": 1, "updated_at": 1, "project_id": "p", "gone": null,
            "config": {"a": 1, "b": 2},
        })),
        map(json!({
            "secret": "1123456789abcdef", "same": 1, "updated_at": 2, "project_id": "q",
            "config": {"a": 1, "b": 3}, "new": null,
        })),
    );
    let was_expected = json!({"secret": "…cdef", "project_id": "p", "config": {"a": 1, "b": 2}});
    let is_expected = json!({"secret": "…cdef", "project_id": "q", "config": {"a": 1, "b": 3}});
    assert_eq!(
        (Value::Object(was), Value::Object(is)),
        (was_expected, is_expected)
    );
}

const SECRET: &str = "AKIAIOSFODNN7EXAMPLE";

#[test]
fn neither_an_entry_nor_an_actor_ever_holds_what_it_must_not_show() {
    let secret = || json!({"password": "hunter2 hunter2 hunter2", "text": format!("key {SECRET}")});
    let actor = Actor::new(
        SECRET,
        map(
            json!({"ip_address": "192.0.2.1", "token": {"name": "ci", "value": "hunter2"},
            "user_agent": "curl", "note": [secret()]}),
        ),
    );
    assert_eq!(actor.id(), "…MPLE");
    assert_eq!(
        actor.details()["token"],
        json!({"name": "ci", "value": "redacted"})
    );
    assert_eq!(actor.details()["ip_address"], "192.0.2.1");
    let named = || Resource {
        name: format!("with {SECRET}"),
        id: SECRET.to_owned(),
        ..resource()
    };
    let entries = [
        Entry::created(&AUTOMATION_PROVISIONED, named(), secret()),
        Entry::updated(&AUTOMATION_UPDATED, named(), json!({}), secret()),
        Entry::updated(&AUTOMATION_UPDATED, named(), secret(), json!({})),
        Entry::deleted(&AUTOMATION_DELETED, named(), secret()),
        Entry::happened(&AUTOMATION_FAILED, named()),
    ];
    for entry in entries {
        let entry = entry.unwrap().with_details(secret()).by(actor.clone());
        let told = format!("{entry:?} {actor:?} {}", line(&entry));
        assert!(
            !told.contains(SECRET) && !told.contains("hunter2 "),
            "{told}"
        );
        assert!(
            told.contains("with …MPLE") && told.contains("192.0.2.1"),
            "{told}"
        );
    }
}

#[test]
fn an_entry_that_is_too_large_is_cut_and_says_so_and_is_told_all_the_same() {
    let large = json!({"query": "x".repeat(400_000), "name": "n"});
    let entry =
        Entry::updated(&AUTOMATION_UPDATED, resource(), json!({"name": "o"}), large).unwrap();
    let fields = line(&entry);
    assert_eq!(
        fields["before_changes"],
        json!({"name": "o", "query": null})
    );
    assert_eq!(fields["after_changes"]["name"], "n");
    assert_eq!(
        fields["after_changes"]["query"]["left_out_bytes"],
        400_000 - 256
    );
    let small = json!({"query": "x".repeat(200_000)});
    let entry = Entry::created(&AUTOMATION_PROVISIONED, resource(), small.clone()).unwrap();
    assert_eq!(line(&entry)["after_changes"], small, "what fits is whole");
}

proptest! {
    #[test]
    fn no_secret_is_ever_shown_whole(secret in "[a-zA-Z0-9+/]{16,80}", depth in 0_usize..5) {
        let mut value = json!({"secret_access_key": secret, "service_token": [secret]});
        for _ in 0..depth {
            value = json!({"inner": [value]});
        }
        let text = Value::Object(changes::shown(map(value))).to_string();
        prop_assert!(!text.contains(&secret), "{text}");
    }
}

proptest! {
    // A case is megabytes of text.
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn every_entry_fits_the_bus(
        name in "\\PC{0,3000}",
        count in 0_usize..1500,
        long in 0_usize..400_000,
        piece in prop::sample::select(vec!["x", "\u{1}", "ü", "\"", "1 "]),
        list in 0_usize..200_000,
    ) {
        let mut fields = Map::new();
        for number in 0..count {
            fields.insert(format!("{number}{}", piece.repeat(100)), json!(piece.repeat(number % 300)));
        }
        let details = json!({"message": piece.repeat(long), "list": vec![1; list]});
        let resource = Resource { id: name.clone(), name: name.clone(), ..resource() };
        let after = Value::Object(fields.clone());
        let entry = Entry::updated(&AUTOMATION_UPDATED, resource, json!({}), after).unwrap();
        let entry = entry.with_details(details).by(Actor::new(&name, fields));
        let now = "2025-11-21T12:00:00Z".parse().unwrap();
        let told = entry.on_bus(&"\u{1}".repeat(MAX_ID_BYTES), now).unwrap();
        prop_assert!(told.detail.len() <= bounds::MOST_BYTES, "{}", told.detail.len());
        prop_assert_eq!(entry.on_bus(&"\u{1}".repeat(MAX_ID_BYTES), now).unwrap(), told);
    }
}

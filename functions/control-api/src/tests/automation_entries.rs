//! What the audit log is told of changes of automations.

use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::audit::outbox::{FOLDER, LEFT_ALONE, Outbox, SentLeft};
use sealift_core::control::{Access, Caller};
use sealift_core::export::registry::Registry;
use sealift_core::id::{AutomationId, OrgId, ProjectId};
use sealift_core::ports::StoreError;
use sealift_testkit::SeededEntropy;
use sealift_testkit::scripted::{Script, Turn, Verb};
use serde_json::{Value, json};

use super::automations::{ALL, OPS, PROJECT, body, create};
use super::scene::{ADMIN, ORGANIZATION, Scene, Who};
use crate::Automations;
use crate::automations::{Exports as _, NewAutomation};

const ROLE: &str = "arn:aws:iam::222222222222:role/export";

/// The entries that were told since the last look.
fn told(scene: &Scene) -> Vec<Value> {
    let entries = scene.bus.take().into_iter();
    entries
        .map(|entry| {
            let detail: Value = serde_json::from_str(&entry.detail).unwrap();
            assert_eq!(entry.source, "sealift");
            assert_eq!(detail["event_type"], entry.detail_type);
            detail
        })
        .collect()
}

fn one(scene: &Scene) -> Value {
    let mut told = told(scene);
    assert_eq!(told.len(), 1, "{told:#?}");
    told.remove(0)
}

/// The documents of the outbox.
fn waiting(scene: &Scene) -> Vec<Value> {
    let keys = scene.state.keys().into_iter();
    keys.filter(|key| key.as_str().starts_with(FOLDER))
        .map(|key| serde_json::from_slice(&scene.state.get_now(&key).unwrap().bytes).unwrap())
        .collect()
}

/// What the hourly round does with them.
fn send_left(scene: &Scene) -> SentLeft {
    let outbox = Outbox {
        store: &scene.state,
        bus: &scene.bus,
        entropy: &SeededEntropy::new(9),
    };
    let sent = outbox.send_left(scene.clock.now()).now_or_never();
    sent.expect("nothing in memory waits")
}

fn wait(scene: &Scene) {
    scene.clock.advance(LEFT_ALONE + Duration::from_secs(1));
}

/// Holds an entry to the request that it is about.
#[track_caller]
fn assert_is_ours(entry: &Value, event_type: &str, id: &str, name: &str) {
    let arn = "arn:aws:sts::111111111111:assumed-role/operators/ops";
    assert_eq!(entry["event_type"], event_type);
    assert_eq!(entry["resource_type"], "automation");
    assert_eq!(entry["resource_id"], id);
    assert_eq!(entry["resource_name"], name);
    assert_eq!(entry["org_id"], ORGANIZATION);
    assert_eq!(entry["project_id"], PROJECT);
    assert_eq!(entry["actor_id"], arn);
    assert_eq!(entry["created"], "2025-11-21T08:00:00.000Z");
    let expected = json!({
        "ip_address": "198.51.100.7",
        "user_agent": "curl/8.5.0",
        "request_id": "JKJaXmPLvHcESHA=",
        "token": {"type": "iam", "name": arn, "preview": "…17QZ"},
    });
    assert_eq!(entry["actor_details"], expected);
}

#[test]
fn a_created_one_is_told_with_what_it_is_and_who_asked_from_where() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    let entry = one(&scene);
    assert_is_ours(&entry, "automation.created", &id, "hourly");
    assert_eq!(entry["before_changes"], Value::Null);
    let after = json!({
        "name": "hourly", "description": "all rows", "config": created["config"],
    });
    assert_eq!(entry["after_changes"], after);
    let credentials = &entry["after_changes"]["config"]["credentials"];
    assert_eq!(credentials["role_arn"], ROLE);
    assert!(waiting(&scene).is_empty());
}

#[test]
fn a_change_is_told_with_what_differs() {
    let scene = Scene::new();
    let (id, _) = create(&scene, PROJECT, "hourly");
    told(&scene);
    let patch = json!({"name": "daily", "config": {"interval_seconds": 86_400}});
    scene.call(OPS, "PATCH", &format!("{ALL}/{id}"), patch).ok();
    let entry = one(&scene);
    assert_is_ours(&entry, "automation.updated", &id, "daily");
    let (before, after) = (&entry["before_changes"], &entry["after_changes"]);
    assert_eq!(
        (&before["name"], &after["name"]),
        (&json!("hourly"), &json!("daily"))
    );
    assert_eq!(
        (
            &before["config"]["interval_seconds"],
            &after["config"]["interval_seconds"]
        ),
        (&json!(3600), &json!(86_400))
    );
    assert_eq!(before.get("description"), None);

    let mut other = body(PROJECT, "daily");
    other["description"] = json!("every row");
    other["config"]["export_path"] = json!("s3://your-bucket/braintrust/hourly");
    other["config"]["interval_seconds"] = json!(86_400);
    scene.call(OPS, "PUT", ALL, other.clone()).ok();
    let entry = one(&scene);
    assert_is_ours(&entry, "automation.updated", &id, "daily");
    assert_eq!(entry["before_changes"], json!({"description": "all rows"}));
    assert_eq!(entry["after_changes"], json!({"description": "every row"}));
    // One that is not there is created by it.
    let new = scene.call(OPS, "PUT", ALL, body(PROJECT, "hourly")).ok();
    let entry = one(&scene);
    assert_eq!(entry["event_type"], "automation.created");
    assert_eq!(entry["resource_id"], new["id"]);
}

#[test]
fn a_deletion_a_reset_and_a_wake_up_are_told() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    told(&scene);
    let object = format!("project_logs:{PROJECT}");
    let call = |action: &str, body: Value| {
        scene
            .post(OPS, &format!("/brainstore/automation/{action}"), body)
            .ok();
        one(&scene)
    };
    let start = "1000196176995155968";
    let entry = call(
        "reset-cursors",
        json!({"automation_id": id, "object_id": object, "start_xact_id": start}),
    );
    assert_is_ours(&entry, "cursor.reset", &id, "hourly");
    assert_eq!(entry["before_changes"], json!({"start_xact_id": "0"}));
    assert_eq!(entry["after_changes"], json!({"start_xact_id": start}));
    let entry = call(
        "reset-cursors",
        json!({"automation_id": id, "object_id": object}),
    );
    assert_eq!(entry["before_changes"], json!({"start_xact_id": start}));
    assert_eq!(entry["after_changes"], json!({"start_xact_id": "0"}));

    let entry = call(
        "upsert-object-cursor",
        json!({"automation_id": id, "object_id": object}),
    );
    assert_is_ours(&entry, "automation.run_requested", &id, "hourly");
    assert_eq!(
        (&entry["before_changes"], &entry["after_changes"]),
        (&Value::Null, &Value::Null)
    );

    scene
        .call(OPS, "DELETE", &format!("{ALL}/{id}"), Value::Null)
        .ok();
    let entry = one(&scene);
    assert_is_ours(&entry, "automation.deleted", &id, "hourly");
    assert_eq!(entry["after_changes"], Value::Null);
    assert_eq!(entry["before_changes"]["config"], created["config"]);
    assert!(waiting(&scene).is_empty());
}

#[test]
fn what_was_refused_changed_nothing_or_only_looked_is_told_to_nobody() {
    let scene = Scene::new();
    let (id, _) = create(&scene, PROJECT, "hourly");
    create(&scene, PROJECT, "daily");
    told(&scene);
    let path = format!("{ALL}/{id}");
    let reset = "/brainstore/automation/reset-cursors";
    let mut unusable = body(PROJECT, "new");
    unusable["config"]["interval_seconds"] = json!(0);
    let fixed = json!({"config": {"export_path": "s3://elsewhere/x"}});
    let object = json!({"automation_id": "none", "object_id": format!("project_logs:{PROJECT}")});
    let which = json!({"automation_id": id, "project_id": PROJECT});
    let refused = [
        (OPS, "POST", ALL, unusable.clone(), 400),
        (OPS, "PUT", ALL, unusable, 400),
        (OPS, "PATCH", &*path, fixed, 400),
        (OPS, "PATCH", &path, json!({"name": "daily"}), 400),
        (
            OPS,
            "PATCH",
            &path,
            json!({"config": {"interval_seconds": 0}}),
            400,
        ),
        (
            OPS,
            "PATCH",
            &format!("{ALL}/none"),
            json!({"name": "x"}),
            404,
        ),
        (OPS, "DELETE", &format!("{ALL}/none"), Value::Null, 404),
        (OPS, "POST", reset, object, 404),
        (ADMIN, "DELETE", &path, Value::Null, 403),
        (Who::Stranger, "DELETE", &path, Value::Null, 401),
        // The same as it is.
        (OPS, "POST", ALL, body(PROJECT, "hourly"), 200),
        (OPS, "PUT", ALL, body(PROJECT, "hourly"), 200),
        (
            OPS,
            "PATCH",
            &path,
            json!({"name": "hourly", "config": {"interval_seconds": 3600}}),
            200,
        ),
        // No change at all.
        (OPS, "GET", &path, Value::Null, 200),
        (
            OPS,
            "POST",
            "/brainstore/automation/get-cursors",
            which,
            200,
        ),
    ];
    for (who, method, path, body, status) in refused {
        let answer = scene.call(who, method, path, body.clone());
        assert_eq!(
            answer.status, status,
            "{method} {path} {body}: {}",
            answer.text
        );
        assert_eq!(told(&scene), [Value::Null; 0], "{method} {path} {body}");
        assert_eq!(waiting(&scene), [Value::Null; 0], "{method} {path} {body}");
    }
    wait(&scene);
    assert_eq!(send_left(&scene), SentLeft::default());
}

#[test]
fn an_entry_that_the_bus_does_not_take_waits_and_the_round_tells_it_once() {
    let scene = Scene::new();
    scene.bus.fail(1, StoreError::Denied);
    let (id, _) = create(&scene, PROJECT, "hourly");
    assert!(told(&scene).is_empty());
    assert_eq!(waiting(&scene)[0]["body"]["stage"], "done");
    let logged = scene.logged();
    assert!(
        logged.contains("its audit entry waits in the outbox"),
        "{logged}"
    );
    wait(&scene);
    assert_eq!((send_left(&scene).told, send_left(&scene).told), (1, 0));
    let entry = one(&scene);
    assert_is_ours(&entry, "automation.created", &id, "hourly");
    assert_eq!(entry["event_details"], Value::Null);
    assert!(waiting(&scene).is_empty());
}

/// Creates an automation with something going wrong at the first of such calls; whether it was
/// answered.
fn interrupted(scene: &Scene, verb: Verb, start: &'static str, turn: Turn) -> Option<bool> {
    let script = Script::default();
    let registry = Registry {
        store: script.on(scene.state.clone()),
        entropy: SeededEntropy::new(8),
        shards: 2,
    };
    let organization = OrgId::parse(ORGANIZATION).unwrap();
    let (bus, clock) = (script.on(scene.bus.clone()), scene.clock.clone());
    let exports = Automations::new(registry, bus, clock, organization);
    let caller = Caller {
        access: Access::Operator,
        actor: sealift_core::audit::Actor::new("ops", serde_json::Map::new()),
    };
    let body = body(PROJECT, "hourly");
    let new = NewAutomation {
        project: ProjectId::parse(PROJECT).unwrap(),
        name: "hourly".to_owned(),
        description: None,
        config: serde_json::from_value(body["config"].clone()).unwrap(),
    };
    script.first(verb, start, [turn]);
    let created = script.run(&scene.clock, exports.create(&caller, new));
    created.map(|created| created.is_ok())
}

#[test]
fn what_was_cut_off_is_told_by_the_round_as_of_an_unknown_outcome_and_only_once() {
    for (verb, start, turn, answered) in [
        // Before the change, in the middle of it, after it.
        (
            Verb::Create,
            "exports/automations/",
            Turn::KilledBefore,
            None,
        ),
        (Verb::Create, "exports/cursors/", Turn::KilledBefore, None),
        (
            Verb::Create,
            "exports/cursors/",
            Turn::Transient,
            Some(false),
        ),
        (
            Verb::Publish,
            "automation.created",
            Turn::KilledBefore,
            None,
        ),
    ] {
        let scene = Scene::new();
        let case = format!("{verb:?} {start} {turn:?}");
        assert_eq!(interrupted(&scene, verb, start, turn), answered, "{case}");
        assert_eq!(waiting(&scene)[0]["body"]["stage"], "announced", "{case}");
        assert_eq!(send_left(&scene), SentLeft::default(), "{case}: too early");
        wait(&scene);
        let sent = send_left(&scene);
        assert_eq!((sent.told, sent.unknown), (1, 1), "{case}");
        let entry = one(&scene);
        assert_eq!(entry["event_type"], "automation.created", "{case}");
        assert_eq!(entry["event_details"]["outcome"], "unknown", "{case}");
        assert_eq!(entry["actor_id"], "ops", "{case}");
        assert_eq!(send_left(&scene), SentLeft::default(), "{case}");
        assert!(told(&scene).is_empty(), "{case}");
    }
}

#[test]
fn what_cannot_be_noted_down_before_is_not_done() {
    let scene = Scene::new();
    let outcome = interrupted(&scene, Verb::Create, FOLDER, Turn::Transient);
    assert_eq!(outcome, Some(false));
    assert!(scene.state.keys().is_empty() && told(&scene).is_empty());
}

#[test]
fn no_secret_is_in_an_entry_while_it_waits_or_when_it_is_told() {
    let secret = "AKIAIOSFODNN7EXAMPLE";
    let scene = Scene::new();
    scene.bus.fail(1, StoreError::Transient);
    let mut with = body(PROJECT, "hourly");
    with["description"] = json!(format!("with the key {secret}"));
    let created = scene.post(OPS, ALL, with).ok();
    let id = AutomationId::parse(created["id"].as_str().unwrap()).unwrap();
    let waits = waiting(&scene)[0].to_string();
    assert!(waits.contains("with the key …MPLE"), "{waits}");
    assert!(
        waits.contains(ROLE) && waits.contains(id.as_str()),
        "{waits}"
    );
    assert!(!waits.contains(secret), "{waits}");
    wait(&scene);
    send_left(&scene);
    let told = one(&scene).to_string();
    assert!(
        told.contains("with the key …MPLE") && !told.contains(secret),
        "{told}"
    );
}

//! Changes of automations: none is made that nobody is told of.

use std::collections::{BTreeMap, BTreeSet};

use sealift_core::audit::outbox::{FOLDER, OutboxError, SentLeft, Told};
use sealift_core::export::automation::Automation;
use sealift_core::export::changes::{ChangeError, Changed};
use sealift_core::export::registry::RegistryError;
use sealift_core::id::{AutomationId, XactId};
use sealift_testkit::scripted::{Call, Turn, Verb};
use serde_json::{Value, json};

use crate::scene::Scene;

fn automation() -> Automation {
    serde_json::from_value(json!({
        "id": "a-1",
        "organization": "org-1",
        "project_id": "p-1",
        "name": "hourly",
        "created_ms": 1,
        "config": {
            "event_type": "btql_export",
            "export_definition": {"type": "log_spans"},
            "export_path": "s3://your-bucket/spans",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::222222222222:role/export",
                "external_id": "suffix",
            },
        },
    }))
    .unwrap()
}

fn slower() -> Automation {
    let mut slower = automation();
    slower.config = serde_json::from_value({
        let mut config = serde_json::to_value(&slower.config).unwrap();
        config["interval_seconds"] = json!(7200);
        config
    })
    .unwrap();
    slower
}

type Outcome = Option<Result<(), ChangeError>>;
type Operation = fn(&Scene) -> Outcome;

fn made<T>(changed: Option<Result<Changed<T>, ChangeError>>) -> Outcome {
    changed.map(|changed| changed.map(|_| ()))
}

fn create(scene: &Scene) -> Outcome {
    made(scene.try_run(scene.changes().register(&automation(), XactId::ZERO)))
}

fn change(scene: &Scene) -> Outcome {
    made(scene.try_run(scene.changes().change(&automation(), &slower())))
}

fn remove(scene: &Scene) -> Outcome {
    made(scene.try_run(scene.changes().remove(&automation())))
}

fn reset(scene: &Scene) -> Outcome {
    made(scene.try_run(scene.changes().reset(&automation(), XactId::new(5))))
}

fn wake(scene: &Scene) -> Outcome {
    made(scene.try_run(scene.changes().wake(&automation())))
}

/// All documents but those of the outbox, without what their writes counted and drew.
fn state(scene: &Scene) -> BTreeMap<String, Value> {
    let keys = scene.store.keys().into_iter();
    keys.filter(|key| !key.as_str().starts_with(FOLDER))
        .map(|key| {
            let object = scene.store.get_now(&key).unwrap();
            let mut document: Value = serde_json::from_slice(&object.bytes).unwrap();
            (key.to_string(), document["body"].take())
        })
        .collect()
}

#[test]
fn whatever_goes_wrong_and_wherever_a_change_that_was_made_is_told_by_somebody() {
    let all: [(&str, Operation); 5] = [
        ("automation.created", create),
        ("automation.updated", change),
        ("automation.deleted", remove),
        ("cursor.reset", reset),
        ("automation.run_requested", wake),
    ];
    for (event_type, operate) in all {
        for turn in [
            Turn::KilledBefore,
            Turn::KilledAfter,
            Turn::Transient,
            Turn::LosesReply,
            Turn::RefusesOwn,
            Turn::Denied,
        ] {
            for nth in 0.. {
                let scene = Scene::new();
                if event_type != "automation.created" {
                    create(&scene).unwrap().unwrap();
                    scene.bus.take();
                }
                let before = state(&scene);
                let mut number = 0;
                scene.script.set(move |_: &Call| {
                    number += 1;
                    if number == nth + 1 { turn } else { Turn::Well }
                });
                let calls = scene.script.calls().len();
                let outcome = operate(&scene);
                let reached = scene.script.calls().len() - calls > nth;
                scene.script.calm();
                let case = format!("{event_type}, {turn:?} at call {nth}: {outcome:?}");
                let after = state(&scene);
                scene.wait();
                let sent = scene.send_left();
                assert!(sent.failed.is_empty() && sent.left == 0, "{case}: {sent:?}");
                let told = scene.told();
                assert!(told.iter().all(|entry| entry["event_type"] == event_type));
                let ids: BTreeSet<&str> = told.iter().map(|e| e["id"].as_str().unwrap()).collect();
                assert!(ids.len() <= 1, "{case}: it is one entry");
                if before != after {
                    assert!(!told.is_empty(), "{case}: it was done, and nobody was told");
                }
                let unknown = told
                    .iter()
                    .filter(|entry| entry["event_details"]["outcome"] == "unknown");
                if before == after {
                    assert_eq!(unknown.count(), told.len(), "{case}: it was not done");
                }
                assert!(scene.waiting().is_empty(), "{case}");
                assert_eq!(scene.send_left(), SentLeft::default(), "{case}");
                if !reached {
                    assert!(matches!(outcome, Some(Ok(()))), "{case}");
                    assert_eq!(told.len(), 1, "{case}");
                    break;
                }
            }
        }
    }
}

#[test]
fn what_was_refused_or_changed_nothing_is_not_told() {
    let scene = Scene::new();
    let register =
        |automation: &Automation| scene.run(scene.changes().register(automation, XactId::ZERO));
    let mut bad = automation();
    "gs://elsewhere".clone_into(&mut bad.config.export_path);
    let refused = register(&bad).unwrap_err();
    assert!(
        matches!(refused, ChangeError::Registry(RegistryError::Invalid(_))),
        "{refused}"
    );
    assert!(register(&automation()).unwrap().value);
    let again = register(&automation()).unwrap();
    assert_eq!((again.value, again.told), (false, Told::Nothing));
    let taken = register(&slower()).unwrap_err();
    assert!(matches!(
        taken,
        ChangeError::Registry(RegistryError::Taken(_))
    ));
    let same = scene.run(scene.changes().change(&automation(), &automation()));
    assert_eq!(same.unwrap().told, Told::Nothing);
    let mut moved = automation();
    "s3://your-bucket/elsewhere".clone_into(&mut moved.config.export_path);
    let fixed = scene.run(scene.changes().change(&automation(), &moved));
    assert!(matches!(
        fixed.unwrap_err(),
        ChangeError::Registry(RegistryError::Fixed { .. })
    ));
    let mut none = automation();
    none.id = AutomationId::parse("none").unwrap();
    let unknown = scene.run(scene.changes().remove(&none));
    assert!(matches!(
        unknown.unwrap_err(),
        ChangeError::Registry(RegistryError::Unknown(_))
    ));
    scene.wait();
    assert_eq!(scene.send_left(), SentLeft::default());
    let told: Vec<Value> = scene
        .told()
        .iter()
        .map(|e| e["event_type"].clone())
        .collect();
    assert_eq!(told, ["automation.created"]);
}

#[test]
fn what_could_not_be_announced_is_not_done() {
    let scene = Scene::new();
    scene.script.first(Verb::Create, FOLDER, [Turn::Denied]);
    let refused = create(&scene).unwrap().unwrap_err();
    assert!(
        matches!(refused, ChangeError::Unannounced(OutboxError::Document(_))),
        "{refused}"
    );
    assert!(scene.store.keys().is_empty() && scene.told().is_empty());
}

#[test]
fn a_cursor_that_is_set_to_where_it_stands_is_told_as_well() {
    let scene = Scene::new();
    create(&scene).unwrap().unwrap();
    reset(&scene).unwrap().unwrap();
    reset(&scene).unwrap().unwrap();
    let told = scene.told();
    assert_eq!(told.len(), 3);
    assert_eq!(told[1]["before_changes"], json!({"start_xact_id": "0"}));
    assert_eq!(told[1]["after_changes"], json!({"start_xact_id": "5"}));
    assert_eq!(told[2]["event_type"], "cursor.reset");
    assert_eq!(told[2]["actor_details"]["ip_address"], "192.0.2.1");
}

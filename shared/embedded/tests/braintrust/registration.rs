//! `/brainstore/automation/…` and `/automation/cron`.

use sealift_core::id::{AutomationId, XactId};
use sealift_embedded::braintrust::DataError;
use serde_json::{Value, json};

use crate::support::World;

const RESET: &str = "/brainstore/automation/reset-cursors";
const UPSERT: &str = "/brainstore/automation/upsert-object-cursor";
const CURSORS: &str = "/brainstore/automation/get-cursors";
const OBJECTS: &str = "/brainstore/automation/get-object-cursors";
const CRON: &str = "/automation/cron";

async fn registered() -> (World, AutomationId) {
    let world = World::start().await;
    let id = world.automation("export").await;
    (world, AutomationId::parse(id).unwrap())
}

fn object(world: &World) -> String {
    format!("project_logs:{}", world.project)
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_registers_an_automation_from_a_transaction() {
    let (world, id) = registered().await;
    assert_eq!(world.plane.registration(&id), None);
    let body = |start: Value| {
        let mut body = json!({"automation_id": id.as_str(), "object_id": object(&world)});
        if !start.is_null() {
            body["start_xact_id"] = start;
        }
        body
    };
    for (start, expected) in [
        (json!("1000197156529394086"), 1_000_197_156_529_394_086),
        (
            json!(1_000_197_156_529_394_086_u64),
            1_000_197_156_529_394_086,
        ),
        (json!(null), 0),
        (json!("0"), 0),
    ] {
        let answer = world.post(RESET, &body(start)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json(),
            json!({"success": true, "automation_id": id.as_str()})
        );
        let registration = world.plane.registration(&id).unwrap();
        assert_eq!(registration.start, XactId::new(expected));
        assert_eq!(registration.object_id, object(&world));
    }
    let registration = world.plane.registration(&id).unwrap();
    assert_eq!((registration.resets, registration.schedulings), (4, 0));
    assert!(!registration.cron);

    let body = json!({"automation_id": id.as_str(), "object_id": object(&world)});
    assert_eq!(world.post(UPSERT, &body).await.status, 200);
    assert_eq!(world.plane.registration(&id).unwrap().schedulings, 1);

    let path = format!("/v1/project_automation/{id}");
    world.call("DELETE", &path, None).await;
    assert_eq!(world.plane.registration(&id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_is_pending_and_what_went_wrong() {
    let (world, id) = registered().await;
    world.fill(&[("a", 5), ("b", 7), ("c", 9)]);
    let asked = json!({"automation_id": id.as_str(), "project_id": world.project.as_str()});
    let before = world.post(CURSORS, &asked).await.json();
    assert_eq!(
        (&before["total_segments"], &before["pending_segments"]),
        (&json!(0), &json!(0))
    );
    let objects = world.post(OBJECTS, &asked).await.json();
    assert_eq!(
        (&objects["total_objects"], &objects["due_objects"]),
        (&json!(0), &json!(0))
    );

    let object = object(&world);
    let body = json!({"automation_id": id.as_str(), "object_id": object, "start_xact_id": "5"});
    world.post(RESET, &body).await;
    let body = json!({"automation_id": id.as_str(), "object_id": object});
    world.post(UPSERT, &body).await;
    world.plane.fail_automation(&id, "AccessDenied").unwrap();
    let cursors = world.post(CURSORS, &asked).await.json();
    assert_eq!(cursors["pending_segments"], 1);
    assert_eq!(cursors["pending_min_compacted_xact_id"], "7");
    assert_eq!(cursors["pending_max_compacted_xact_id"], "9");
    assert_eq!(cursors["pending_min_executed_xact_id"], "5");
    assert_eq!(cursors["error_segments"], 1);
    assert_eq!(cursors["last_error"], "AccessDenied");
    assert_eq!(cursors["last_error_at"], "2026-05-13T00:00:00.500Z");
    assert_eq!(cursors["stats"]["last_execution"]["rows_processed"], 0);
    let objects = world.post(OBJECTS, &asked).await.json();
    assert_eq!(objects["due_objects"], 1);
    assert_eq!(objects["error_objects"], 1);
    assert_eq!(objects["last_compacted_xact_id"], "9");
    assert_eq!(objects["next_run_at"], Value::Null);

    let body = json!({"automation_id": id.as_str(), "object_id": object, "start_xact_id": "9"});
    world.post(RESET, &body).await;
    let cursors = world.post(CURSORS, &asked).await.json();
    assert_eq!(
        (&cursors["pending_segments"], &cursors["error_segments"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(cursors["pending_min_compacted_xact_id"], Value::Null);
    let unknown = AutomationId::parse("unknown").unwrap();
    let failed = world.plane.fail_automation(&unknown, "x");
    assert_eq!(failed, Err(DataError::NoSuchAutomation(unknown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_may_be_told_as_numbers() {
    let world = World::with(|options| options.numeric_xact_ids(true)).await;
    let id = world.automation("export").await;
    world.fill(&[("a", 1_000_197_156_529_394_086)]);
    let body = json!({"automation_id": id, "object_id": object(&world), "start_xact_id": "5"});
    world.post(RESET, &body).await;
    let asked = json!({"automation_id": id, "project_id": world.project.as_str()});
    let cursors = world.post(CURSORS, &asked).await;
    assert!(
        cursors
            .text()
            .contains(r#""pending_min_compacted_xact_id":1000197156529394086"#)
    );
    let objects = world.post(OBJECTS, &asked).await;
    assert!(
        objects
            .text()
            .contains(r#""last_compacted_xact_id":1000197156529394086"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cron_endpoint_of_old_data_planes_registers_as_well() {
    let (world, id) = registered().await;
    let good = json!({
        "automation_id": id.as_str(),
        "cron": {"type": "btql_export"},
        "service_token": "bt-st-token",
    });
    assert_eq!(world.post(CRON, &good).await.json(), json!({}));
    assert!(world.plane.registration(&id).unwrap().cron);
    for (place, value, said) in [
        (
            "/automation_id",
            json!("x"),
            "automation_id: must be a UUID",
        ),
        (
            "/cron",
            json!({"type": "other"}),
            "cron.type: must be one of btql_export",
        ),
        (
            "/cron",
            json!({"type": "btql_export", "at": 1}),
            "cron.at: is not a known field",
        ),
        (
            "/service_token",
            json!("token"),
            "service_token: must begin with sk- or bt-st-",
        ),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(place).unwrap() = value;
        let answer = world.post(CRON, &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.message().starts_with(said), "{}", answer.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_that_cannot_be_are_refused() {
    let (world, id) = registered().await;
    let second = world.plane.create_project("second").unwrap();
    let other = "00000000-0000-4000-8000-000000000000";
    let (id, object) = (id.as_str(), object(&world));
    let foreign = format!("project_logs:{second}");
    for (path, body, status) in [
        (RESET, json!({"object_id": object}), 400),
        (RESET, json!({"automation_id": id}), 400),
        (
            RESET,
            json!({"automation_id": other, "object_id": object}),
            403,
        ),
        (
            RESET,
            json!({"automation_id": id, "object_id": foreign}),
            400,
        ),
        (
            RESET,
            json!({"automation_id": id, "object_id": world.project.as_str()}),
            400,
        ),
        (
            RESET,
            json!({"automation_id": id, "object_id": object, "start_xact_id": "p1"}),
            400,
        ),
        (
            RESET,
            json!({"automation_id": id, "object_id": object, "start_xact_id": 1.5}),
            400,
        ),
        (
            RESET,
            json!({"automation_id": id, "object_id": object, "force": true}),
            400,
        ),
        (
            UPSERT,
            json!({"automation_id": id, "object_id": object, "start_xact_id": "0"}),
            400,
        ),
        (
            UPSERT,
            json!({"automation_id": id, "object_id": foreign}),
            400,
        ),
        (CURSORS, json!({"automation_id": id}), 400),
        (
            CURSORS,
            json!({"automation_id": id, "project_id": second.as_str()}),
            400,
        ),
        (
            CURSORS,
            json!({"automation_id": other, "project_id": second.as_str()}),
            403,
        ),
        (OBJECTS, json!({"project_id": second.as_str()}), 400),
        (
            OBJECTS,
            json!({"automation_id": id, "object_id": object}),
            400,
        ),
    ] {
        let answer = world.post(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}");
    }
    let id = AutomationId::parse(id).unwrap();
    assert_eq!(world.plane.registration(&id), None);
}

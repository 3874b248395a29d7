//! Every route, when all goes well.

use std::collections::BTreeSet;

use sealift_core::check::Verdict;
use serde_json::{Value, json};

use super::scene::{ADMIN, BASE, MAIN, READER, Scene, Who, id, new, openapi};

#[test]
fn a_destination_lives_its_whole_life_through_the_routes() {
    let scene = Scene::new();
    let created = scene.post(ADMIN, BASE, new("main")).is(201, "").body;
    assert_eq!(created["status"], "never_started");
    assert_eq!(created["external_id"].as_str().unwrap().len(), 64);
    assert_eq!(created["prefix"], "audit-events/");
    assert_eq!(scene.get(READER, MAIN).ok(), created);
    let page = scene.get(READER, BASE).ok();
    assert_eq!(page, json!({"objects": [created], "has_more": false}));

    let check = scene
        .post(ADMIN, &format!("{MAIN}/check"), Value::Null)
        .ok();
    assert_eq!(
        (&check["verdict"], &check["current"]),
        (&json!("healthy"), &json!(true))
    );
    let started = scene.post(ADMIN, &format!("{MAIN}/start"), json!({})).ok();
    assert_eq!(started["status"], "streaming");
    let status = scene.get(READER, &format!("{MAIN}/status")).ok();
    assert_eq!(status["activity"], "nothing_yet");

    let update = json!({"included_events": ["identity", "project.*"]});
    let updated = scene.call(ADMIN, "PATCH", MAIN, update).is(200, "").body;
    assert_eq!(updated["included_events"], json!(["identity", "project.*"]));
    assert_eq!(updated["external_id"], created["external_id"]);

    let range = json!({"from": "2025-11-20T00:00:00Z", "to": "2025-11-20T06:00:00Z"});
    let replay = scene
        .post(ADMIN, &format!("{MAIN}/replay"), range)
        .is(201, "")
        .body;
    assert_eq!(replay["state"], "waiting");
    let replay_id = replay["id"].as_str().unwrap();
    let cancel = format!("{MAIN}/replays/{replay_id}/cancel");
    let cancelled = scene.post(ADMIN, &cancel, Value::Null).is(200, "").body;
    assert_eq!(cancelled["state"], "cancelled");

    let paused = scene
        .post(ADMIN, &format!("{MAIN}/pause"), Value::Null)
        .ok();
    assert_eq!(paused["status"], "paused");
    let removed = scene.call(ADMIN, "DELETE", MAIN, Value::Null);
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    scene.get(ADMIN, MAIN).is(404, "not_found");

    // Nothing that the document has was left out.
    let served: BTreeSet<_> = scene.served.lock().unwrap().iter().cloned().collect();
    let paths = openapi()["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    assert_eq!(served, described.collect());
}

#[test]
fn pages_follow_one_another() {
    let scene = Scene::new();
    for name in ["a", "b", "c"] {
        let mut body = new(name);
        body["bucket"] = json!(format!("bucket-{name}"));
        scene.post(ADMIN, BASE, body).is(201, "");
    }
    let first = scene.get(ADMIN, &format!("{BASE}?limit=2")).ok();
    assert_eq!(
        (&first["objects"][1]["id"], &first["has_more"]),
        (&json!("b"), &json!(true))
    );
    let last = scene
        .get(ADMIN, &format!("{BASE}?limit=2&starting_after=b"))
        .ok();
    assert_eq!(
        (&last["objects"][0]["id"], &last["has_more"]),
        (&json!("c"), &json!(false))
    );
}

#[test]
fn the_document_is_served_to_whoever_asks_and_is_the_codes_own() {
    let scene = Scene::new();
    for who in [READER, Who::Operator, Who::Stranger] {
        assert_eq!(&scene.get(who, "/openapi.json").ok(), openapi());
    }
}

#[test]
fn a_broken_destination_shows_its_check_with_the_refusal_to_start() {
    let scene = Scene::new();
    scene.create("acme", "main");
    for verdict in [Verdict::Unsafe, Verdict::Failing, Verdict::Unknown] {
        scene.checks.set(&id("main"), verdict);
        let check = scene
            .post(ADMIN, &format!("{MAIN}/check"), Value::Null)
            .ok();
        assert_eq!(check["verdict"], verdict.as_str());
        let refused = scene.post(ADMIN, &format!("{MAIN}/start"), Value::Null);
        let refused = refused.is(409, "not_healthy");
        assert_eq!(refused.body["error"]["check"]["verdict"], verdict.as_str());
    }
    scene.get(READER, &format!("{MAIN}/status")).ok();
}

#[test]
fn an_operator_may_start_without_a_check_and_an_admin_may_not() {
    let scene = Scene::new();
    scene.create("acme", "main");
    let body = json!({"override_check": true, "reason": "the customer's firewall"});
    let start = format!("{MAIN}/start");
    scene.post(ADMIN, &start, body.clone()).is(403, "forbidden");
    let started = scene.post(Who::Operator, &start, body).ok();
    assert_eq!(started["status"], "streaming");
}

#[test]
fn a_change_is_told_with_who_made_it_and_from_where() {
    let scene = Scene::new();
    scene.create("acme", "main");
    let entries = scene.bus.take();
    assert_eq!(entries.len(), 1);
    let entry: Value = serde_json::from_str(&entries[0].detail).unwrap();
    assert_eq!(entry["actor_id"], "user-1");
    let told = &entry["actor_details"];
    assert_eq!(told["ip_address"], "198.51.100.7");
    assert_eq!(told["user_agent"], "curl/8.5.0");
    assert_eq!(told["request_id"], "JKJaXmPLvHcESHA=");
    assert_eq!(told["token"]["type"], "jwt");
    assert_eq!(told["token"]["name"], "console");

    scene
        .post(
            Who::Operator,
            "/v1/organizations/globex/destinations",
            new("two"),
        )
        .is(201, "");
    let entry: Value = serde_json::from_str(&scene.bus.take()[0].detail).unwrap();
    assert_eq!(
        entry["actor_id"],
        "arn:aws:sts::111111111111:assumed-role/operators/ops"
    );
    assert_eq!(entry["actor_details"]["token"]["type"], "iam");
    let preview = entry["actor_details"]["token"]["preview"].as_str().unwrap();
    assert!(preview.ends_with("17QZ") && preview.len() < 12, "{preview}");
}

//! Bodies that cannot be read, and what is told of them.

use serde_json::{Value, json};

use super::scene::{ADMIN, Answer, BASE, MAIN, Scene, event, new};

fn send(scene: &Scene, method: &str, path: &str, body: &str) -> Answer {
    scene.send(&event(ADMIN, method, path, body))
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    let scene = Scene::new();
    scene.create("acme", "main");
    for (body, place) in [
        ("{\"bucket\": \"b\",}", "line 1, column 16"),
        ("{\n  \"bucket\": b\n}", "line 2, column 13"),
        ("{\"bucket\": \"b\"", "line 1, column 14"),
        ("{} {}", "line 1, column 4"),
        ("bucket=b", "line 1, column 1"),
        ("\u{feff}{}", "line 1, column 1"),
    ] {
        let answer = send(&scene, "PATCH", MAIN, body).is(400, "invalid");
        assert!(
            answer.message().contains(place),
            "{body}: {}",
            answer.message()
        );
    }
    let deep = "[".repeat(10_000);
    send(&scene, "POST", BASE, &deep).is(400, "invalid");
    send(&scene, "POST", BASE, "").is(400, "invalid");
}

#[test]
fn an_unknown_field_is_named_and_so_are_those_that_are_known() {
    let scene = Scene::new();
    let mut body = new("main");
    body["buckt"] = json!("x");
    let answer = scene.post(ADMIN, BASE, body).is(400, "invalid");
    assert!(
        answer.message().contains("unknown field `buckt`"),
        "{}",
        answer.message()
    );
    assert!(
        answer.message().contains("`bucket`"),
        "{}",
        answer.message()
    );
    assert_eq!(answer.body["error"]["field"], "buckt");

    let mut body = new("main");
    body["authentication"]["session_token"] = json!("x");
    let answer = scene.post(ADMIN, BASE, body).is(400, "invalid");
    assert!(
        answer.message().contains("`session_token`"),
        "{}",
        answer.message()
    );
    assert_eq!(answer.body["error"]["field"], "authentication");

    scene.create("acme", "main");
    for (route, body) in [
        ("start", json!({"override": true})),
        ("check", json!({"deep": true})),
        ("pause", json!({"for": "1h"})),
        ("replay", json!({"from": "x", "to": "y", "prefix": "z"})),
        ("replays/r/cancel", json!({"why": "x"})),
    ] {
        let answer = scene.post(ADMIN, &format!("{MAIN}/{route}"), body);
        let answer = answer.is(400, "invalid");
        assert!(
            answer.message().contains("unknown field"),
            "{}",
            answer.message()
        );
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_named() {
    let scene = Scene::new();
    for (change, field) in [
        (json!({"bucket": 5}), "bucket"),
        (json!({"path_style": "yes"}), "path_style"),
        (json!({"included_events": ["a", 5]}), "included_events[1]"),
        (
            json!({"authentication": {"type": "password"}}),
            "authentication.type",
        ),
        (json!({"authentication": "iam_role"}), "authentication"),
        (json!({"bucket": "No_Bucket"}), "bucket"),
        (json!({"region": "nowhere!"}), "region"),
        (json!({"external_id": "mine"}), "external_id"),
    ] {
        let mut body = new("main");
        let fields = change.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let answer = scene.post(ADMIN, BASE, body).is(400, "invalid");
        let named = answer.body["error"]["field"].as_str().unwrap_or_default();
        assert!(
            field.starts_with(named) && !named.is_empty(),
            "{field}: {}",
            answer.text
        );
    }
    let mut body = new("main");
    body.as_object_mut().unwrap().remove("bucket");
    let answer = scene.post(ADMIN, BASE, body).is(400, "invalid");
    assert!(
        answer.message().contains("`bucket`"),
        "{}",
        answer.message()
    );
    assert!(scene.state.keys().is_empty());
}

#[test]
fn the_body_has_to_be_said_to_be_json() {
    let scene = Scene::new();
    for media_type in [
        Value::Null,
        json!("text/plain"),
        json!("application/x-www-form-urlencoded"),
    ] {
        let mut event = event(ADMIN, "POST", BASE, &new("main").to_string());
        match media_type {
            Value::Null => drop(
                event["headers"]
                    .as_object_mut()
                    .unwrap()
                    .remove("content-type"),
            ),
            other => event["headers"]["content-type"] = other,
        }
        scene.send(&event).is(415, "unsupported_media_type");
    }
    let mut event = event(ADMIN, "POST", BASE, &new("main").to_string());
    event["headers"]["content-type"] = json!("application/json; charset=utf-8");
    scene.send(&event).is(201, "");
    // What has no body has no type.
    let mut event = super::scene::event(ADMIN, "POST", &format!("{MAIN}/check"), "");
    event["headers"] = json!({});
    scene.send(&event).ok();
}

#[test]
fn a_body_that_is_too_large_is_refused_unread() {
    let scene = Scene::new();
    let mut body = new("main");
    let whole = body.to_string().len() + ",\"prefix\":\"\"".len();
    body["prefix"] = json!("p".repeat(64 * 1024 - whole));
    let exact = body.to_string();
    assert_eq!(exact.len(), 64 * 1024);
    // It is read, and its prefix is too long.
    send(&scene, "POST", BASE, &exact).is(400, "invalid");
    let more = format!("{exact} ");
    send(&scene, "POST", BASE, &more).is(413, "too_large");
    let huge = "x".repeat(5 * 1024 * 1024);
    send(&scene, "POST", BASE, &huge).is(413, "too_large");
}

#[test]
fn a_body_in_base64_is_the_same_body() {
    let scene = Scene::new();
    let mut event = event(ADMIN, "POST", BASE, "");
    // {"id":"main","bucket":"main-audit","region":"eu-central-1","authentication":{"type":"iam_role",
    // "role_arn":"arn:aws:iam::222222222222:role/audit"}}
    event["body"] = json!(concat!(
        "eyJpZCI6Im1haW4iLCJidWNrZXQiOiJtYWluLWF1ZGl0IiwicmVnaW9uIjoiZXUtY2VudHJhbC0xIiwi",
        "YXV0aGVudGljYXRpb24iOnsidHlwZSI6ImlhbV9yb2xlIiwicm9sZV9hcm4iOiJhcm46YXdzOmlhbTo6",
        "MjIyMjIyMjIyMjIyOnJvbGUvYXVkaXQifX0="
    ));
    event["isBase64Encoded"] = json!(true);
    scene.send(&event).is(201, "");
}

#[test]
fn a_query_that_cannot_be_read_is_refused() {
    let scene = Scene::new();
    for query in [
        "limit=many",
        "limit=-1",
        "limit=0",
        "limit=101",
        "page=2",
        "starting_after=%20",
    ] {
        let answer = scene.get(ADMIN, &format!("{BASE}?{query}"));
        answer.is(400, "invalid");
    }
}

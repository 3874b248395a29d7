//! What is told when something is not done.

use axum::response::IntoResponse;
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use sealift_core::control::ControlError;
use sealift_core::id::ObjectKey;
use sealift_core::ports::{Failure, Metadata, ObjectStore, StoreError};
use serde_json::{Value, json};

use super::scene::{ADMIN, BASE, MAIN, Scene, Who, assert_valid, new};
use crate::refusal::Refusal;

fn failure() -> Failure {
    Failure {
        operation: "GetObject".to_owned(),
        target: "sealift-state/destinations/records/main.json".to_owned(),
        code: "SlowDown".to_owned(),
        message: "inner words".to_owned(),
        request_id: "AWS-ID".to_owned(),
    }
}

#[test]
fn each_error_has_its_status_and_none_of_the_insides_is_shown() {
    let text = || "reason".to_owned();
    let transient = StoreError::Transient(failure());
    let denied = StoreError::Denied(failure());
    let errors = [
        (
            ControlError::NotFound { what: text() },
            404,
            "not_found",
            false,
        ),
        (
            ControlError::Invalid {
                field: "bucket",
                reason: text(),
            },
            400,
            "invalid",
            false,
        ),
        (ControlError::Taken { what: text() }, 409, "taken", false),
        (
            ControlError::Conflict { reason: text() },
            409,
            "conflict",
            false,
        ),
        (
            ControlError::NotHealthy {
                reason: text(),
                check: None,
            },
            409,
            "not_healthy",
            false,
        ),
        (
            ControlError::Forbidden { reason: text() },
            403,
            "forbidden",
            false,
        ),
        (ControlError::Busy, 409, "busy", true),
        (
            ControlError::Store(transient.clone()),
            503,
            "unavailable",
            true,
        ),
        (ControlError::Vault(transient), 503, "unavailable", true),
        (ControlError::Store(denied.clone()), 500, "internal", false),
        (ControlError::Vault(denied), 500, "internal", false),
        (ControlError::Own("inner words"), 500, "internal", false),
    ];
    for (error, status, code, retries) in errors {
        let response = Refusal::from(error.clone()).into_response();
        assert_eq!(response.status().as_u16(), status, "{error:?}");
        assert_eq!(
            response.headers().contains_key("retry-after"),
            retries,
            "{error:?}"
        );
        let body = response
            .into_body()
            .collect()
            .now_or_never()
            .unwrap()
            .unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        for inner in ["inner words", "sealift-state", "SlowDown", "AWS-ID"] {
            assert!(!body.contains(inner), "{body}");
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_valid("ErrorBody", &body);
        assert_eq!(body["error"]["code"], code);
    }
}

#[test]
fn what_goes_wrong_inside_is_logged_once_with_the_requests_id_and_not_shown() {
    let scene = Scene::new();
    scene.create("acme", "main");
    let key = ObjectKey::parse("destinations/records/main.json").unwrap();
    scene.state.remove_now(&key).unwrap();
    let broken = scene
        .state
        .create(&key, "no document".into(), Metadata::new());
    broken.now_or_never().unwrap().unwrap();
    let answer = scene.get(ADMIN, MAIN).is(500, "internal");
    assert!(!answer.text.contains("records"), "{}", answer.text);
    let logged = scene.logged();
    let lines: Vec<_> = logged
        .lines()
        .filter(|line| line.contains("ERROR"))
        .collect();
    assert_eq!(lines.len(), 1, "{logged}");
    assert!(lines[0].contains("JKJaXmPLvHcESHA=") && lines[0].contains("records/main.json"));
}

#[test]
fn ways_that_lead_nowhere_are_answered_as_all_errors_are() {
    let scene = Scene::new();
    scene.create("acme", "main");
    for path in [
        "/",
        "/v1",
        "/v2/organizations/acme/destinations",
        "/v1/organizations/acme/destinations/",
        "/v1/organizations//destinations",
        "/v1/organizations/acme/destinations/main/nothing",
        "/v1/organizations/acme/destinations/main/check/",
        "/v1/organizations/%FF/destinations",
        "/v1/organizations/..%2Facme/destinations",
        "/v1/organizations/acme/destinations/..%2F..%2Fx",
        "/v1/organizations/acme/destinations/%00",
        "/v1/organizations/acme/destinations/nothing",
    ] {
        scene.get(ADMIN, path).is(404, "not_found");
    }
    for (method, path) in [
        ("PUT", MAIN.to_owned()),
        ("DELETE", BASE.to_owned()),
        ("GET", format!("{MAIN}/check")),
        ("POST", format!("{MAIN}/status")),
        ("POST", "/openapi.json".to_owned()),
    ] {
        scene
            .call(ADMIN, method, &path, json!({}))
            .is(405, "method_not_allowed");
    }
}

#[test]
fn what_does_not_go_with_what_is_there_is_a_conflict() {
    let scene = Scene::new();
    scene.create("acme", "main");
    let mut overlapping = new("second");
    overlapping["bucket"] = json!("main-audit");
    overlapping["prefix"] = json!("audit-events/sub/");
    scene.post(ADMIN, BASE, overlapping).is(409, "conflict");
    let other = scene.post(
        Who::Admin("globex"),
        "/v1/organizations/globex/destinations",
        new("main"),
    );
    other.is(409, "taken");
    scene
        .post(ADMIN, &format!("{MAIN}/start"), Value::Null)
        .is(409, "not_healthy");
    let replay = format!("{MAIN}/replay");
    let range = json!({"from": "2025-11-20T00:00:00Z", "to": "2025-11-20T06:00:00Z"});
    scene.post(ADMIN, &replay, range).is(409, "conflict");
}

#[test]
fn a_range_of_time_that_is_none_is_refused_by_its_field() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    for (from, to, field) in [
        ("2025-11-20T06:00:00Z", "2025-11-20T00:00:00Z", "from"),
        ("yesterday", "2025-11-20T00:00:00Z", "from"),
        ("2025-11-20T00:00:00Z", "2025-11-20T06:00:00", "to"),
    ] {
        let range = json!({"from": from, "to": to});
        let refused = scene.post(ADMIN, &format!("{MAIN}/replay"), range);
        let refused = refused.is(400, "invalid");
        assert_eq!(refused.body["error"]["field"], field, "{}", refused.text);
    }
}

#[test]
fn a_check_of_the_day_before_yesterday_lets_nothing_start() {
    let scene = Scene::new();
    scene.create("acme", "main");
    scene
        .post(ADMIN, &format!("{MAIN}/check"), Value::Null)
        .ok();
    scene.clock.advance(Duration::from_hours(25));
    let start = format!("{MAIN}/start");
    let refused = scene
        .post(ADMIN, &start, Value::Null)
        .is(409, "not_healthy");
    assert_eq!(refused.body["error"]["check"]["verdict"], "healthy");
    let body = json!({"start_at": "2020-01-01T00:00:00Z"});
    let refused = scene.post(ADMIN, &start, body).is(400, "invalid");
    assert_eq!(refused.body["error"]["field"], "start_at");
}

#[test]
fn an_endpoint_that_leads_inside_is_refused_by_its_field_and_no_address_is_told() {
    let scene = Scene::new();
    let leads = |host: &str, address: &str| {
        let addresses = [address.parse().unwrap()];
        scene.checks.set_addresses(host, addresses);
    };
    leads("inside.example.com", "10.0.0.7");
    leads("outside.example.com", "8.8.8.8");
    let asked = |endpoint: &str| {
        let mut body = new("main");
        body["endpoint"] = json!(endpoint);
        body["path_style"] = json!(true);
        body["authentication"] = json!({
            "type": "access_keys", "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        });
        body
    };
    for inside in [
        "https://inside.example.com",
        "https://169.254.169.254",
        "https://0x7f.1:9001",
        "http://outside.example.com",
    ] {
        let refused = scene.post(ADMIN, BASE, asked(inside)).is(400, "invalid");
        assert_eq!(refused.body["error"]["field"], "endpoint", "{inside}");
        assert!(!refused.text.contains("10.0.0.7"), "{}", refused.text);
        assert!(!refused.text.contains("169.254"), "{}", refused.text);
    }
    scene
        .post(ADMIN, BASE, asked("https://outside.example.com"))
        .is(201, "");
    let change = json!({"endpoint": "https://inside.example.com"});
    scene.call(ADMIN, "PATCH", MAIN, change).is(400, "invalid");
}

//! Who is let in, and to what.

use axum::http::Request;
use sealift_testkit::SeededEntropy;
use serde_json::{Value, json};

use super::scene::{ADMIN, Answer, BASE, MAIN, READER, Scene, Who, event, new};
use crate::door::{Door, NotAdmitted, TokenDoor};

/// Every route: method, what follows the organization's path, and a body that would do.
fn every_route(id: &str, replay: &str) -> Vec<(&'static str, String, Value)> {
    let range = json!({"from": "2025-11-20T00:00:00Z", "to": "2025-11-20T06:00:00Z"});
    vec![
        ("GET", String::new(), Value::Null),
        ("POST", String::new(), new(id)),
        ("GET", format!("/{id}"), Value::Null),
        ("GET", format!("/{id}/status"), Value::Null),
        ("PATCH", format!("/{id}"), json!({"path_style": true})),
        ("POST", format!("/{id}/check"), Value::Null),
        ("POST", format!("/{id}/start"), Value::Null),
        ("POST", format!("/{id}/pause"), Value::Null),
        ("POST", format!("/{id}/replay"), range),
        (
            "POST",
            format!("/{id}/replays/{replay}/cancel"),
            Value::Null,
        ),
        ("DELETE", format!("/{id}"), Value::Null),
    ]
}

fn replay_of(scene: &Scene) -> String {
    let range = json!({"from": "2025-11-20T00:00:00Z", "to": "2025-11-20T06:00:00Z"});
    let replay = scene.post(ADMIN, &format!("{MAIN}/replay"), range).ok();
    replay["id"].as_str().unwrap().to_owned()
}

/// The answer without what names the organization and the destination of the path.
fn without_names(answer: &Answer, names: &[&str]) -> (u16, String) {
    let text = names
        .iter()
        .fold(answer.text.clone(), |text, name| text.replace(name, "…"));
    (answer.status, text)
}

#[test]
fn another_organization_is_answered_on_every_route_as_one_that_is_not_there() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    let replay = replay_of(&scene);
    let before = scene.state.keys().len();
    for who in [Who::Admin("globex"), Who::Reader("globex")] {
        let there = every_route("main", &replay);
        let nowhere = every_route("zzz-other", "zzz-replay");
        for ((method, rest, body), (_, other, other_body)) in there.into_iter().zip(nowhere) {
            let path = format!("/v1/organizations/acme/destinations{rest}");
            let answer = scene.call(who, method, &path, body).is(404, "not_found");
            let missing = format!("/v1/organizations/initech/destinations{other}");
            let missing = scene.call(who, method, &missing, other_body);
            assert_eq!(
                without_names(&answer, &["acme", "main"]),
                without_names(&missing, &["initech", "zzz-other"]),
                "{method} {path}"
            );
        }
    }
    assert_eq!(scene.state.keys().len(), before);
    assert_eq!(scene.get(ADMIN, MAIN).ok()["status"], "streaming");
}

#[test]
fn another_organizations_id_below_ones_own_is_answered_as_one_that_is_not_there() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    scene.stream("globex", "own");
    let replay = replay_of(&scene);
    for who in [Who::Admin("globex"), Who::Reader("globex"), Who::Operator] {
        let there = every_route("main", &replay);
        let nowhere = every_route("zzz-other", "zzz-replay");
        let routes = there
            .into_iter()
            .zip(nowhere)
            .filter(|((_, rest, _), _)| !rest.is_empty());
        for ((method, rest, body), (_, other, other_body)) in routes {
            let base = "/v1/organizations/globex/destinations";
            let answer = scene.call(who, method, &format!("{base}{rest}"), body);
            let missing = scene.call(who, method, &format!("{base}{other}"), other_body);
            assert!(
                [403, 404].contains(&answer.status),
                "{method} {rest}: {}",
                answer.text
            );
            assert_eq!(
                without_names(&answer, &["main"]),
                without_names(&missing, &["zzz-other"]),
                "{method} {rest}"
            );
        }
    }
    assert_eq!(scene.get(ADMIN, MAIN).ok()["status"], "streaming");
    // A taken id is told to be taken, and nothing of who has it.
    let taken = scene.post(
        Who::Admin("globex"),
        "/v1/organizations/globex/destinations",
        new("main"),
    );
    assert!(!taken.is(409, "taken").text.contains("acme"));
}

#[test]
fn a_reader_may_look_and_change_nothing() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    let replay = replay_of(&scene);
    let before = scene.get(ADMIN, MAIN).ok();
    scene.bus.take();
    for (method, rest, body) in every_route("main", &replay) {
        let path = format!("{BASE}{rest}");
        let answer = scene.call(READER, method, &path, body);
        match method {
            "GET" => assert_eq!(answer.status, 200, "{path}"),
            _ => drop(answer.is(403, "forbidden")),
        }
    }
    assert_eq!(scene.get(ADMIN, MAIN).ok(), before);
    assert_eq!(scene.bus.take().len(), 0);
}

#[test]
fn a_request_without_an_identity_is_let_in_nowhere() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    for (method, rest, body) in every_route("main", "r") {
        let answer = scene.call(Who::Stranger, method, &format!("{BASE}{rest}"), body);
        answer.is(401, "unauthenticated");
    }
    scene
        .get(Who::Stranger, "/v1/nowhere")
        .is(401, "unauthenticated");
}

#[test]
fn no_header_makes_anybody_somebody() {
    let scene = Scene::new();
    scene.stream("acme", "main");
    scene.bus.take();
    let forged = json!({
        "content-type": "application/json",
        "authorization": "Bearer eyJhbGciOiJub25lIn0.eyJvcmciOiJhY21lIiwiZ3JvdXBzIjoiYWRtaW4ifQ.",
        "x-amzn-request-context": event(Who::Operator, "GET", MAIN, "")["requestContext"].to_string(),
        "x-amzn-requestid": "forged-id", "x-request-id": "forged-id",
        "x-forwarded-for": "203.0.113.99", "x-real-ip": "203.0.113.99",
        "forwarded": "for=203.0.113.99", "x-forwarded-user": "admin",
        "x-http-method-override": "DELETE", "org": "acme", "groups": "admin", "sub": "root",
    });
    let send = |who, method: &str, path: &str, body: &str| {
        let mut event = event(who, method, path, body);
        event["headers"] = forged.clone();
        scene.send(&event)
    };
    send(Who::Stranger, "GET", MAIN, "").is(401, "unauthenticated");
    send(Who::Admin("globex"), "GET", MAIN, "").is(404, "not_found");
    send(READER, "POST", &format!("{MAIN}/pause"), "").is(403, "forbidden");
    let read = send(READER, "GET", MAIN, "");
    assert_eq!(read.headers["x-request-id"], "JKJaXmPLvHcESHA=");
    assert_eq!(read.ok()["status"], "streaming");
    send(ADMIN, "POST", &format!("{MAIN}/pause"), "").ok();
    let entry = scene.bus.take().remove(0).detail;
    assert!(
        entry.contains("198.51.100.7") && entry.contains("user-1"),
        "{entry}"
    );
    for forged in ["203.0.113.99", "forged-id", "root"] {
        assert!(!entry.contains(forged), "{entry}");
        assert!(!scene.logged().contains(forged), "{forged} was logged");
    }
}

#[test]
fn an_identity_of_another_account_is_no_operator() {
    let scene = Scene::new();
    scene.create("acme", "main");
    for (field, value) in [
        ("accountId", json!("222222222222")),
        ("accountId", Value::Null),
        ("userArn", Value::Null),
        ("userArn", json!("")),
    ] {
        let mut event = event(Who::Operator, "GET", MAIN, "");
        event["requestContext"]["authorizer"]["iam"][field] = value;
        scene.send(&event).is(403, "forbidden");
    }
    // The account that the API is in is not who calls.
    assert_eq!(scene.get(Who::Operator, MAIN).status, 200);
}

#[test]
fn a_token_without_the_claims_is_told_which_are_missing() {
    let scene = Scene::new();
    scene.create("acme", "main");
    for (claims, named) in [
        (&[("sub", "u"), ("groups", "admin")][..], "`org`"),
        (&[("sub", "u"), ("org", "acme")], "`groups`"),
        (&[("org", "acme"), ("groups", "admin")], "`sub`"),
        (
            &[("sub", "u"), ("org", "acme"), ("groups", "staff")],
            "`admin`",
        ),
        (&[], "`sub`, `org`, `groups`"),
    ] {
        let answer = scene.get(Who::Claims(claims), MAIN).is(403, "forbidden");
        assert!(answer.message().contains(named), "{}", answer.message());
    }
}

#[test]
fn the_embedded_modes_token_is_the_operators_and_no_other_is() {
    let door = TokenDoor::new("a-token-of-the-start", SeededEntropy::new(1));
    let admit = |header: Option<&str>| {
        let mut request = Request::get(MAIN).header("x-forwarded-for", "203.0.113.99");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let id = door.request_id(&parts);
        door.admit(&parts, &id)
    };
    let caller = admit(Some("Bearer a-token-of-the-start")).unwrap();
    assert_eq!(caller.access, sealift_core::control::Access::Operator);
    assert_eq!(caller.actor.details()["ip_address"], "127.0.0.1");
    for bad in [
        None,
        Some("Bearer "),
        Some("Bearer a-token-of-the-star"),
        Some("Bearer a-token-of-the-start2"),
        Some("Basic a-token-of-the-start"),
        Some("a-token-of-the-start"),
    ] {
        assert!(
            matches!(admit(bad), Err(NotAdmitted::Unknown(_))),
            "{bad:?}"
        );
    }
    assert!(!format!("{door:?}").contains("a-token"));
}

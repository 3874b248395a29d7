//! Each fault, as a client meets it.

use std::time::Duration;

use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::request_log::Endpoint;
use serde_json::json;

use crate::support::{Answer, KEY, World};

async fn filled() -> World {
    let world = World::start().await;
    world.fill(&[("a", 5), ("b", 6), ("c", 7)]);
    world
}

fn query(world: &World) -> String {
    format!(
        "SELECT id {} WHERE _xact_id > '0' ORDER BY _xact_id LIMIT 2",
        world.from()
    )
}

/// The lines of the query, if there is any answer.
async fn raw(world: &World) -> Result<Answer, hyper::Error> {
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({"query": query(world), "fmt": "jsonl"}).to_string();
    world.send("POST", "/btql", &headers, &body).await
}

const WHOLE: &str = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_told_how_long_to_wait_and_how_often() {
    let world = filled().await;
    let faults = world.plane.faults();
    let told = Effect::TooManyRequests {
        retry_after: Some(30),
    };
    let rule = faults.add(Rule::new(told).on(Endpoint::Btql).after(1).times(2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = raw(&world).await.unwrap();
        statuses.push((
            answer.status,
            answer.header("retry-after").map(str::to_owned),
        ));
    }
    let wait = Some("30".to_owned());
    assert_eq!(
        statuses,
        [(200, None), (429, wait.clone()), (429, wait), (200, None)]
    );
    assert_eq!(faults.strikes(rule), 2);

    faults.add(Rule::new(Effect::TooManyRequests { retry_after: None }));
    let answer = world.get("/v1/project").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, None));
    faults.clear();
    assert_eq!(faults.strikes(rule), 0);
    assert_eq!(world.get("/v1/project").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_status_comes_with_braintrusts_message() {
    let world = filled().await;
    for status in [401, 403, 413, 500, 502, 503, 504] {
        let rule = world
            .plane
            .faults()
            .add(Rule::new(Effect::Status(status)).times(1));
        let answer = raw(&world).await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.message(), "injected by a test");
        world.plane.faults().remove(rule);
    }
    assert_eq!(raw(&world).await.unwrap().text(), WHOLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_may_be_plain_text() {
    let world = filled().await;
    let effect = Effect::PlainBadRequest("invalid query".to_owned());
    world
        .plane
        .faults()
        .add(Rule::new(effect).body_contains("_xact_id").times(1));
    let answer = world.post("/v1/project", &json!({"name": "first"})).await;
    assert_eq!(answer.status, 200);
    let answer = raw(&world).await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.text(), "invalid query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_request_gets_no_answer_and_a_stalled_body_no_end() {
    let world = filled().await;
    let patience = Duration::from_millis(200);
    world.plane.faults().add(Rule::new(Effect::Stall).times(1));
    assert!(tokio::time::timeout(patience, raw(&world)).await.is_err());
    let records = world.plane.requests().records();
    assert_eq!(records.last().unwrap().status, None);

    world
        .plane
        .faults()
        .add(Rule::new(Effect::StallBody { after: 13 }).times(1));
    assert!(tokio::time::timeout(patience, raw(&world)).await.is_err());
    let records = world.plane.requests().records();
    assert_eq!(records.last().unwrap().status, Some(200));
    assert_eq!(raw(&world).await.unwrap().text(), WHOLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_before_the_answer_or_within_it() {
    let world = filled().await;
    let faults = world.plane.faults();
    faults.add(Rule::new(Effect::HangUp).times(1));
    assert!(raw(&world).await.is_err());
    for after in [0, 1, 13, 1000] {
        faults.add(Rule::new(Effect::TearBody { after }).times(1));
        let answer = raw(&world).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.broken, "{after}");
        let expected: String = WHOLE.chars().take(after).collect();
        assert_eq!(answer.text(), expected);
    }
    // Where a length was announced as well.
    faults.add(Rule::new(Effect::TearBody { after: 5 }).times(1));
    let answer = world.sql(&query(&world)).await;
    assert!(answer.broken);
    assert_eq!(answer.text(), "{\"dat");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_leaves_the_request_performed() {
    let world = filled().await;
    world
        .plane
        .faults()
        .add(Rule::new(Effect::LoseReply).times(1));
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let lost = world
        .send("POST", "/v1/project", &headers, r#"{"name":"new"}"#)
        .await;
    assert!(lost.is_err());
    let again = world.post("/v1/project", &json!({"name": "new"})).await;
    assert_eq!(again.header("x-bt-found-existing"), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_cursor_never_ends() {
    let world = filled().await;
    let rule = world.plane.faults().add(Rule::new(Effect::RepeatCursor));
    let first = raw(&world).await.unwrap();
    let cursor = first.cursor().unwrap();
    let next = format!("{} OFFSET '{cursor}'", query(&world));
    for _ in 0..3 {
        let page = world.lines(&next).await;
        assert_eq!(page.text(), "{\"id\":\"c\"}\n");
        assert_eq!(page.cursor().as_ref(), Some(&cursor));
    }
    assert_eq!(world.plane.faults().strikes(rule), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_ends_in_good_order() {
    let world = filled().await;
    let rule = world.plane.faults().add(Rule::new(Effect::BreakLine));
    let answer = raw(&world).await.unwrap();
    assert!(!answer.broken);
    assert_eq!(answer.text(), "{\"id\":\"a\"}\n{\"id\"");
    assert!(answer.cursor().is_some());
    // Nothing but queries has lines.
    assert_eq!(world.get("/v1/project").await.status, 200);
    assert_eq!(world.plane.faults().strikes(rule), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_the_key_is_refused_and_not_struck() {
    let world = filled().await;
    let rule = world.plane.faults().add(Rule::new(Effect::HangUp));
    let answer = world.send("GET", "/v1/project", &[], "").await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(world.plane.faults().strikes(rule), 0);
}

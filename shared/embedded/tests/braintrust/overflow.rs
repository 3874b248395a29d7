//! Answers that are too large, and are fetched elsewhere.

use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::request_log::Endpoint;

use crate::support::{KEY, World};

fn query(world: &World) -> String {
    format!(
        "SELECT id {} WHERE _xact_id > '0' ORDER BY _xact_id LIMIT 2",
        world.from()
    )
}

fn path(world: &World, location: &str) -> String {
    location
        .strip_prefix(&world.plane.url())
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_lies_behind_a_signed_url_with_its_cursor() {
    let world = World::with(|options| options.overflow_bytes(21)).await;
    world.fill(&[("a", 5), ("b", 6), ("c", 7)]);
    let redirect = world.lines(&query(&world)).await;
    assert_eq!(redirect.status, 303);
    assert_eq!(redirect.cursor(), None);
    let location = redirect.header("location").unwrap();
    let path = path(&world, location);
    let answer = world.send("GET", &path, &[], "").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    let cursor = answer.header("x-amz-meta-bt_cursor").unwrap();
    assert_eq!(answer.cursor(), None);

    // The next page is small enough to come by itself.
    let next = world
        .lines(&format!("{} OFFSET '{cursor}'", query(&world)))
        .await;
    assert_eq!(
        (next.status, next.text().as_str()),
        (200, "{\"id\":\"c\"}\n")
    );
    let document = world.sql(&query(&world)).await;
    assert_eq!(document.status, 303);

    // An answer that is just as large as allowed is not too large.
    let world = World::with(|options| options.overflow_bytes(22)).await;
    world.fill(&[("a", 5), ("b", 6)]);
    let whole = world.lines(&query(&world)).await;
    assert_eq!((whole.status, whole.body().len()), (200, 22));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_key_must_not_be_carried_along() {
    let world = World::with(|options| options.overflow_bytes(0)).await;
    world.fill(&[("a", 5)]);
    let redirect = world.lines(&query(&world)).await;
    let path = path(&world, redirect.header("location").unwrap());
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let refused = world.send("GET", &path, &headers, "").await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Only one auth mechanism allowed"));
    let (plain, _) = path.split_once('?').unwrap();
    for path in [
        plain.to_owned(),
        format!("{path}x"),
        "/overflow/none?signature=".to_owned(),
    ] {
        assert_eq!(
            world.send("GET", &path, &[], "").await.unwrap().status,
            403,
            "{path}"
        );
    }
    // Signatures stay out of the log.
    let records = world.plane.requests().records_of(Endpoint::Overflow);
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.query.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redirect_may_carry_the_cursor_as_well() {
    let world = World::with(|options| options.cursor_in_redirect(true)).await;
    world.fill(&[("a", 5)]);
    world
        .plane
        .faults()
        .add(Rule::new(Effect::Overflow).times(1));
    let redirect = world.lines(&query(&world)).await;
    assert_eq!(redirect.status, 303);
    let path = path(&world, redirect.header("location").unwrap());
    let answer = world.send("GET", &path, &[], "").await.unwrap();
    let cursor = redirect.cursor().unwrap();
    assert_eq!(answer.header("x-amz-meta-bt_cursor"), Some(cursor.as_str()));
    assert_eq!(world.lines(&query(&world)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_large_answers_are_kept() {
    let world = World::with(|options| options.overflow_bytes(0)).await;
    world.fill(&[("a", 5)]);
    let first = world.lines(&query(&world)).await;
    let first = path(&world, first.header("location").unwrap());
    for _ in 0..63 {
        world.lines(&query(&world)).await;
    }
    assert_eq!(
        world.send("GET", &first, &[], "").await.unwrap().status,
        200
    );
    world.lines(&query(&world)).await;
    assert_eq!(
        world.send("GET", &first, &[], "").await.unwrap().status,
        403
    );
}

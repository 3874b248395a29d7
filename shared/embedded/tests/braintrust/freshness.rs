//! How far the data plane says that it has come, and what can be seen until then.

use sealift_core::id::XactId;
use sealift_embedded::braintrust::Freshness;
use serde_json::{Value, json};

use crate::support::World;

fn told(processed: Option<u64>, considered: Option<u64>) -> Freshness {
    Freshness {
        processed: processed.map(XactId::new),
        considered: considered.map(XactId::new),
    }
}

async fn look(world: &World) -> (Vec<String>, Value) {
    let query = format!(
        "SELECT id {} WHERE _xact_id > '0' ORDER BY _xact_id",
        world.from()
    );
    let answer = world.sql(&query).await;
    let state = answer.json()["freshness_state"].clone();
    (answer.column("id"), state)
}

fn state(processed: Option<&str>, considered: Option<&str>) -> Value {
    json!({"last_processed_xact_id": processed, "last_considered_xact_id": considered})
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_the_newest_row_until_it_is_set() {
    let world = World::start().await;
    let (rows, is) = look(&world).await;
    assert!(rows.is_empty());
    assert_eq!(is, state(None, None));
    world.fill(&[("a", 5), ("b", 7)]);
    assert_eq!(look(&world).await.1, state(Some("7"), Some("7")));

    let plane = &world.plane;
    plane
        .set_freshness(None, Some(told(Some(5), Some(7))))
        .unwrap();
    assert_eq!(look(&world).await.1, state(Some("5"), Some("7")));
    plane
        .set_freshness(Some(&world.project), Some(told(None, Some(9))))
        .unwrap();
    assert_eq!(look(&world).await.1, state(None, Some("9")));
    plane.set_freshness(Some(&world.project), None).unwrap();
    plane.set_freshness(None, None).unwrap();
    let (rows, is) = look(&world).await;
    assert_eq!(rows, ["a", "b"]);
    assert_eq!(is, state(Some("7"), Some("7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_processed_are_held_back_on_demand() {
    let world = World::start().await;
    world.fill(&[("a", 5), ("b", 7)]);
    world
        .plane
        .set_freshness(None, Some(told(Some(6), Some(7))))
        .unwrap();
    assert_eq!(look(&world).await.0, ["a", "b"]);
    world.plane.hold_back(true);
    assert_eq!(look(&world).await.0, ["a"]);

    let id = &world.project;
    let by_key = format!(
        "SELECT id {} WHERE root_span_id IN ('t-a', 't-b') ORDER BY _pagination_key",
        world.from()
    );
    assert_eq!(world.sql(&by_key).await.column("id"), ["a"]);
    let summaries = format!(
        "SELECT * FROM project_logs('{id}', shape => 'summary') \
         WHERE root_span_id IN ('t-a', 't-b')"
    );
    assert_eq!(world.sql(&summaries).await.column("id"), ["a"]);
    let survey = format!(
        "SELECT max(_xact_id) AS m FROM project_logs('{id}') WHERE _xact_id > '0' \
         GROUP BY project_id"
    );
    assert_eq!(world.sql(&survey).await.column("m"), ["5"]);

    // Processed: the row appears, at a place that a hasty reader has passed.
    world
        .plane
        .set_freshness(None, Some(told(Some(7), Some(7))))
        .unwrap();
    assert_eq!(look(&world).await.0, ["a", "b"]);
}

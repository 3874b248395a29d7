//! Recorded rows: what was recorded from Braintrust comes back byte for byte.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use sealift_core::id::{ProjectId, XactId};
use serde_json::Value;

use crate::support::World;

const PROJECT: &str = "f1e858a4-58e3-408f-983f-016760d7fa25";

fn recorded() -> Vec<String> {
    let path = "/../../events/corpus/spans-recorded.jsonl.gz";
    let file = std::fs::File::open([env!("CARGO_MANIFEST_DIR"), path].concat()).unwrap();
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

async fn replayed() -> (World, Vec<String>) {
    let mut world = World::start().await;
    world.project = ProjectId::parse(PROJECT).unwrap();
    world
        .plane
        .add_project(&world.project, "java-unit-test")
        .unwrap();
    let rows = recorded();
    assert_eq!(world.plane.load(&world.project, rows.clone()), Ok(63));
    (world, rows)
}

/// All rows of a query, page by page.
async fn read(world: &World, query: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut offset = String::new();
    loop {
        let page = world.lines(&format!("{query}{offset}")).await;
        assert_eq!(page.status, 200);
        rows.extend(page.text().lines().map(str::to_owned));
        match page.cursor() {
            Some(cursor) => offset = format!(" OFFSET '{cursor}'"),
            None => return rows,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_recorded_rows_come_back_as_they_were_by_transaction_and_by_key() {
    let (world, mut rows) = replayed().await;
    let parsed = |row: &String| row.parse::<Value>().unwrap();
    let key = |row: &String| parsed(row)["_pagination_key"].as_str().unwrap().to_owned();
    let xact = |row: &String| XactId::parse(parsed(row)["_xact_id"].as_str().unwrap()).unwrap();
    rows.sort_by_key(|row| (xact(row), key(row)));
    for limit in [1, 10, 62, 63, 1000] {
        let query = format!(
            "SELECT * {} WHERE _xact_id > '0' AND _xact_id <= '{}' ORDER BY _xact_id LIMIT {limit}",
            world.from(),
            u64::MAX,
        );
        assert!(read(&world, &query).await == rows, "limit {limit}");
    }
    rows.sort_by_key(key);
    rows.reverse();
    let query = format!(
        "SELECT * {} WHERE created >= '2026-01-01' ORDER BY _pagination_key DESC LIMIT 7",
        world.from()
    );
    assert!(read(&world, &query).await == rows);
}

#[test]
fn recorded_ids_decode_as_was_inferred() {
    for row in recorded() {
        let row: Value = row.parse().unwrap();
        let xact = XactId::parse(row["_xact_id"].as_str().unwrap()).unwrap();
        let key = row["_pagination_key"].as_str().unwrap();
        let key: u64 = key.strip_prefix('p').unwrap().parse().unwrap();
        assert_eq!(xact.get() >> 48, 0x0de1);
        assert_eq!(key >> 16, xact.get() & 0xffff_ffff_ffff);
        // The transaction is a little later than the span: it is when the row was written.
        let created: sealift_core::Timestamp = row["created"].as_str().unwrap().parse().unwrap();
        let delay = i64::from(xact.epoch_seconds()) - created.as_second();
        assert!((0..120).contains(&delay), "{delay}");
        let columns = row.as_object().unwrap();
        assert_eq!(columns.len(), 27);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recorded_trace_has_a_summary() {
    let (world, rows) = replayed().await;
    let mut tokens: BTreeMap<String, i64> = BTreeMap::new();
    for row in &rows {
        let row: Value = row.parse().unwrap();
        let count = |name: &str| row["metrics"][name].as_i64().unwrap_or(0);
        let root = row["root_span_id"].as_str().unwrap().to_owned();
        *tokens.entry(root).or_default() += count("prompt_tokens") + count("completion_tokens");
    }
    assert_eq!(tokens.len(), 30);
    let roots: Vec<String> = tokens.keys().map(|root| format!("'{root}'")).collect();
    let query = format!(
        "SELECT * FROM project_logs('{PROJECT}', shape => 'summary') \
         WHERE root_span_id IN ({}) LIMIT 7",
        roots.join(", ")
    );
    let summaries = read(&world, &query).await;
    assert_eq!(summaries.len(), 30);
    for summary in summaries {
        let summary: Value = summary.parse().unwrap();
        let root = summary["root_span_id"].as_str().unwrap();
        assert_eq!(summary["is_root"], true);
        assert_eq!(summary["metrics"]["total_tokens"], tokens[root]);
        assert_eq!(summary["span_type_info"]["has_error"], false);
    }
}

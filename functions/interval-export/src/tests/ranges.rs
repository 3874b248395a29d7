//! What a run reads, and where its files begin and end.

use sealift_core::export::cursor::Outcome;
use sealift_core::export::message::FinishedAs;
use sealift_core::id::XactId;
use sealift_testkit::exports::Row;
use sealift_testkit::exports::source::{Kind, Settled};
use serde_json::json;

use super::{World, automation_id, config, project, row, xact};
use crate::Report;

#[test]
fn every_row_lies_in_the_hour_of_its_transaction_and_the_next_run_writes_nothing() {
    let world = World::new();
    let late = row("c", "11:30:00", 0).with("created", "2025-11-20T01:02:03.004Z");
    let rows = [row("a", "10:59:59", 0), row("b", "11:00:00", 0), late];
    world.source.upsert(&project(), rows.clone());
    world.ends(&Outcome::Done);
    let second = format!("{:020}", xact("10:59:59", 0).get());
    assert_eq!(
        world.keys(),
        [
            "date=2025-11-21/hour=10/00000000000000000000-g0-f55ff16f.jsonl.gz".to_owned(),
            format!("date=2025-11-21/hour=11/{second}-g0-f55ff16f.jsonl.gz"),
        ]
    );
    let lines: Vec<String> = world.files().into_values().flatten().collect();
    let given: Vec<Vec<u8>> = rows.iter().map(|row| row.line().to_vec()).collect();
    assert_eq!(
        lines
            .iter()
            .map(|l| l.as_bytes().to_vec())
            .collect::<Vec<_>>(),
        given,
        "each row is the API's own bytes"
    );
    let before = world.sinks.completed().len();
    let revision = world.cursor().position;
    world.ends(&Outcome::Done);
    assert_eq!(world.sinks.completed().len(), before, "nothing is written");
    assert_eq!(world.cursor().position, revision);
    assert_eq!(world.source.count(Kind::Freshness), 2);
    let last = world.cursor().runs.pop().unwrap();
    assert_eq!((last.requests, last.counts.rows), (1, 0));
}

#[test]
fn rows_that_the_source_has_not_settled_or_that_are_too_young_wait() {
    let world = World::new();
    let rows = [
        row("old", "11:00:00", 0),
        row("unsettled", "11:30:00", 0),
        row("young", "11:59:30", 0),
    ];
    world.source.upsert(&project(), rows);
    world.source.settle(Settled::At(xact("11:29:59", 0)));
    world.run();
    assert_eq!(world.ids(), ["old"]);
    // The source says nothing: then it is the lag alone.
    world.source.settle(Settled::Unknown);
    world.run();
    assert_eq!(world.ids(), ["old", "unsettled"]);
    world.clock.advance(std::time::Duration::from_mins(2));
    world.run();
    assert_eq!(world.ids(), ["old", "unsettled", "young"]);
}

#[test]
fn a_row_that_becomes_visible_late_is_not_passed() {
    let world = World::new();
    let rows = [
        row("a", "10:00:00", 0),
        row("late", "10:00:05", 0),
        row("b", "10:00:09", 0),
    ];
    world.source.upsert(&project(), rows);
    world.source.hold_back(Some(xact("10:00:05", 0)));
    world.source.settle(Settled::At(xact("10:00:04", 0)));
    world.run();
    assert_eq!(world.ids(), ["a"]);
    world.source.hold_back(None);
    world.source.settle(Settled::Latest);
    world.run();
    assert_eq!(world.ids(), ["a", "late", "b"]);
}

#[test]
fn a_transaction_that_spans_pages_is_never_cut() {
    let world = World::new();
    let mut rows = vec![row("a", "10:00:00", 0)];
    rows.extend((0..7).map(|n| row(&format!("big{n}"), "10:00:01", 5)));
    rows.push(row("z", "10:00:02", 0));
    world.source.upsert(&project(), rows);
    // Pages hold 3 rows; one look and two pages end in the middle of the large transaction.
    let Report::Ran { outcome, .. } = world.run_with(Some(3)) else {
        panic!("it did not run");
    };
    assert_eq!(outcome, Outcome::More);
    assert_eq!(world.ids(), ["a"]);
    assert_eq!(world.cursor().position, xact("10:00:00", 0));
    let told = world.told().remove(0);
    assert_eq!((told.outcome, told.requests), (FinishedAs::More, 3));
    world.ends(&Outcome::Done);
    assert_eq!(world.ids().len(), 9);
    assert_eq!(world.keys().len(), 2);
}

#[test]
fn a_run_overdraws_its_requests_rather_than_getting_nowhere() {
    let world = World::new();
    let rows = (0..10).map(|n| row(&format!("big{n}"), "10:00:01", 5));
    world.source.upsert(&project(), rows);
    let later = (0..5).map(|n| row(&format!("z{n}"), "10:00:02", n));
    world.source.upsert(&project(), later);
    let Report::Ran { requests, .. } = world.run_with(Some(2)) else {
        panic!("it did not run");
    };
    assert!(requests > 2, "{requests}");
    let position = world.cursor().position;
    assert!(position >= xact("10:00:01", 5), "{position}");
    assert!(position < xact("10:00:02", 4), "it stops as soon as it can");
}

#[test]
fn pages_that_are_short_or_end_with_an_empty_one_lose_nothing() {
    for limit in [1, 2, 3] {
        let world = World::new();
        let rows: Vec<Row> = (0..8)
            .map(|n| row(&n.to_string(), "10:00:00", n / 2))
            .collect();
        world.source.upsert(&project(), rows);
        world.source.set_page_limit(limit);
        world.source.end_with_empty_page(true);
        world.ends(&Outcome::Done);
        assert_eq!(world.ids(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }
}

#[test]
fn a_file_that_is_large_enough_ends_at_the_next_transaction() {
    let mut world = World::new();
    world.settings.file_bytes = 1;
    let rows: Vec<Row> = (0..6)
        .map(|n| row(&n.to_string(), "10:00:00", n / 2))
        .collect();
    world.source.upsert(&project(), rows);
    world.ends(&Outcome::Done);
    let files: Vec<usize> = world.files().values().map(Vec::len).collect();
    assert_eq!(files, [2, 2, 2]);
    let manifest = world.manifests().remove(0);
    assert_eq!(manifest["rows"], 6);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 3);
    assert_eq!(
        manifest["files"][1]["after"],
        manifest["files"][0]["through"]
    );
}

#[test]
fn a_run_ends_before_its_deadline_and_asks_to_go_on() {
    let world = World::new();
    let rows: Vec<Row> = (0..12)
        .map(|n| row(&n.to_string(), "10:00:00", n))
        .collect();
    world.source.upsert(&project(), rows);
    let clock = world.clock.clone();
    let mut pages = 0;
    world.source.before_each_page(move |_, _| {
        pages += 1;
        if pages == 3 {
            clock.advance(std::time::Duration::from_mins(14) + std::time::Duration::from_secs(30));
        }
    });
    world.ends(&Outcome::More);
    assert!(!world.ids().is_empty() && world.ids().len() < 12);
    assert_eq!(world.told().remove(0).outcome, FinishedAs::More);
    world.ends(&Outcome::Done);
    assert_eq!(world.ids().len(), 12);
    assert_eq!(world.sinks.uploads().abandoned, 0);
}

#[test]
fn a_rewind_exports_again_beside_what_is_there() {
    let world = World::new();
    world.source.upsert(
        &project(),
        [row("a", "10:00:00", 0), row("b", "11:00:00", 0)],
    );
    world.run();
    let reset = r#"{"detail-type":"export.reset","detail":{"automation_id":"a1","start":"2025-11-21T11:00:00Z"}}"#;
    assert!(world.handle(&[reset]).failures.is_empty());
    world.run();
    assert_eq!(world.ids(), ["a", "b", "b"]);
    assert!(
        world.keys().iter().any(|key| key.contains("-g1-")),
        "{:?}",
        world.keys()
    );
    assert_eq!(world.cursor().generation, 1);
}

#[test]
fn a_users_query_gets_the_range_and_passes_what_it_does_not_want() {
    let mut wanted = config();
    wanted["export_definition"] = json!({"type": "btql_query", "btql_query": "SELECT * FROM project_logs('p1') WHERE is_root"});
    let world = World::with(wanted);
    world.source.upsert(
        &project(),
        [row("a", "10:00:00", 0), row("b", "10:00:01", 0)],
    );
    world.ends(&Outcome::Done);
    assert_eq!(world.ids(), ["a", "b"]);
    assert!(world.source.count(Kind::Custom) > 0);
    assert_eq!(world.source.count(Kind::Spans), 0);
    // All of the settled range is behind the cursor, wanted or not.
    assert!(world.cursor().position >= xact("10:00:01", 0));
}

#[test]
fn parquet_rows_come_out_with_their_types() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let mut config = config();
    config["format"] = json!("parquet");
    let world = World::with(config);
    let odd = row("b", "10:00:01", 0)
        .with("input", json!({"deep": [1, "x", null]}))
        .with("scores", json!({"correct": 0.5}))
        .with("never_seen", json!(12));
    world
        .source
        .upsert(&project(), [row("a", "10:00:00", 0), odd]);
    world.ends(&Outcome::Done);
    let (key, bytes) = world.sinks.objects(&super::bucket()).pop_last().unwrap();
    assert!(key.as_str().ends_with(".parquet"), "{key}");
    let reader = SerializedFileReader::new(bytes).unwrap();
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 2);
    let text = rows[1].to_string();
    for part in ["never_seen", "0.5", "deep"] {
        assert!(text.contains(part), "{text}");
    }
    let content = world.sinks.completed().remove(0).content_type;
    assert_eq!(content, "application/vnd.apache.parquet");
}

#[test]
fn what_an_automation_has_done_stands_on_its_cursor() {
    let world = World::new();
    world.source.upsert(
        &project(),
        [row("a", "10:00:00", 0), row("b", "11:00:00", 0)],
    );
    world.run();
    let cursor = world.cursor();
    assert_eq!((cursor.counts.files, cursor.counts.rows), (2, 2));
    assert_eq!(
        cursor.succeeded_ms,
        Some(world.clock.now().as_millisecond())
    );
    let run = &cursor.runs[0];
    assert_eq!(
        (run.after, run.through),
        (XactId::ZERO, xact("11:00:00", 0))
    );
    assert_eq!(run.outcome, Outcome::Done);
    let told = world.told().remove(0);
    assert_eq!(told.automation_id, automation_id());
    assert_eq!((told.rows, told.position), (2, xact("11:00:00", 0)));
}

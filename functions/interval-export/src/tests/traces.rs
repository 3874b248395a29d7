//! Traces: their summaries, whenever one of their spans is new.

use sealift_core::export::cursor::Outcome;
use sealift_core::id::XactId;
use sealift_testkit::exports::Row;
use sealift_testkit::exports::source::{Fault, Kind};
use serde_json::{Value, json};

use super::{World, config, project, xact};
use crate::Report;

fn world() -> World {
    let mut config = config();
    config["export_definition"] = json!({"type": "log_traces"});
    World::with(config)
}

fn span(id: &str, root: &str, time: &str, number: u64) -> Row {
    Row::new(xact(time, number), id, root)
}

/// The traces of each file, sorted, with their numbers of spans.
fn traces(world: &World) -> Vec<Vec<(String, u64)>> {
    let files = world.files().into_values();
    files
        .map(|lines| {
            let mut traces: Vec<(String, u64)> = lines
                .iter()
                .map(|line| {
                    let row: Value = serde_json::from_str(line).unwrap();
                    let root = row["root_span_id"].as_str().unwrap().to_owned();
                    (root, row["spans"].as_u64().unwrap())
                })
                .collect();
            traces.sort();
            traces
        })
        .collect()
}

fn one(root: &str, spans: u64) -> (String, u64) {
    (root.to_owned(), spans)
}

#[test]
fn a_trace_is_one_row_however_many_spans_it_has() {
    let world = world();
    let rows = (0..5).map(|n| span(&format!("a{n}"), "a", "10:00:00", n));
    world.source.upsert(&project(), rows);
    world
        .source
        .upsert(&project(), [span("b0", "b", "10:10:00", 0)]);
    world.ends(&Outcome::Done);
    assert_eq!(traces(&world), [vec![one("a", 5), one("b", 1)]]);
    assert_eq!(world.cursor().position, xact("10:10:00", 0));
    world.ends(&Outcome::Done);
    assert_eq!(traces(&world).len(), 1, "nothing new, nothing written");
}

#[test]
fn a_trace_whose_child_comes_an_hour_later_is_exported_again() {
    let world = world();
    world.source.upsert(
        &project(),
        [
            span("a0", "a", "10:00:00", 0),
            span("b0", "b", "10:00:00", 0),
        ],
    );
    world.run();
    world
        .source
        .upsert(&project(), [span("a1", "a", "11:00:00", 0)]);
    world.run();
    assert_eq!(
        traces(&world),
        [vec![one("a", 1), one("b", 1)], vec![one("a", 2)]]
    );
    assert!(world.keys()[1].starts_with("date=2025-11-21/hour=11/"));
}

#[test]
fn a_range_of_several_hours_gives_a_file_for_each() {
    let world = world();
    world.source.upsert(
        &project(),
        [
            span("a0", "a", "09:00:00", 0),
            span("b0", "b", "10:00:00", 0),
            span("a1", "a", "10:00:01", 0),
        ],
    );
    world.run();
    // Both files show the trace as it is now; readers take the later one.
    assert_eq!(
        traces(&world),
        [vec![one("a", 2)], vec![one("a", 2), one("b", 1)]]
    );
}

#[test]
fn many_traces_are_asked_for_in_groups_and_none_is_lost_at_a_boundary() {
    let mut world = world();
    world.settings.traces_at_once = 4;
    let rows: Vec<Row> = (0..30)
        .map(|n| span(&format!("s{n}"), &format!("t{n:02}"), "10:00:00", n / 3))
        .collect();
    world.source.upsert(&project(), rows);
    world.ends(&Outcome::Done);
    let found: Vec<_> = traces(&world).into_iter().flatten().collect();
    assert_eq!(found.len(), 30);
    assert!(world.source.count(Kind::Summaries) >= 8);
}

#[test]
fn with_few_requests_it_goes_on_where_it_stopped() {
    let mut world = world();
    world.settings.traces_at_once = 4;
    let rows: Vec<Row> = (0..30)
        .map(|n| span(&format!("s{n}"), &format!("t{n:02}"), "10:00:00", n))
        .collect();
    world.source.upsert(&project(), rows);
    let mut runs = 0;
    loop {
        runs += 1;
        let before = world.cursor().position;
        match world.run_with(Some(4)) {
            Report::Ran {
                outcome: Outcome::More,
                ..
            } => assert!(world.cursor().position > before),
            Report::Ran {
                outcome: Outcome::Done,
                ..
            } => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(runs > 3, "{runs}");
    let mut found: Vec<_> = traces(&world).into_iter().flatten().collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 30);
}

#[test]
fn summaries_that_fail_keep_what_was_read_before() {
    let mut world = world();
    world.settings.traces_at_once = 2;
    let rows: Vec<Row> = (0..8)
        .map(|n| span(&format!("s{n}"), &format!("t{n}"), "10:00:00", n))
        .collect();
    world.source.upsert(&project(), rows);
    world.source.fail(Kind::Summaries, 1, Fault::Transient);
    world.fails();
    let position = world.cursor().position;
    assert!(
        position > XactId::ZERO && position < xact("10:00:00", 7),
        "{position}"
    );
    world.ends(&Outcome::Done);
    let mut found: Vec<_> = traces(&world).into_iter().flatten().collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 8);
}

#[test]
fn a_trace_that_is_gone_before_its_summary_is_read_holds_nothing_up() {
    let world = world();
    world
        .source
        .upsert(&project(), [span("a", "a", "10:00:00", 0)]);
    world.source.before_each_page(|source, query| {
        if matches!(query.ask, sealift_core::export::source::Ask::Summaries(_)) {
            source.remove(&project(), "a");
        }
    });
    world.ends(&Outcome::Done);
    assert!(world.files().is_empty());
    assert_eq!(world.cursor().position, xact("10:00:00", 0));
}

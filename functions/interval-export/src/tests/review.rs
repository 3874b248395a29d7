//! What a second look at runs found.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::export::advice;
use sealift_core::export::automation::Automation;
use sealift_core::export::cursor::Outcome;
use sealift_core::export::message::Due;
use sealift_core::id::XactId;
use sealift_core::ports::{Failure, StoreError};
use sealift_core::sqs::{Batch, Record};
use sealift_testkit::exports::Row;
use sealift_testkit::exports::sinks::Health;
use sealift_testkit::exports::source::{Fault, Kind};
use serde_json::{Value, json};

use super::fate::Fate;
use super::{CLAIM, RUN, World, automation_id, bucket, config, project, row, xact};
use crate::Report;

fn traces(batch_size: u32) -> World {
    let mut config = config();
    config["export_definition"] = json!({"type": "log_traces"});
    config["batch_size"] = json!(batch_size);
    World::with(config)
}

fn span(id: &str, root: &str, time: &str, number: u64) -> Row {
    Row::new(xact(time, number), id, root)
}

fn due(requests: Option<u32>) -> Due {
    Due {
        automation_id: automation_id(),
        requests,
        grant: None,
    }
}

/// Runs once; whenever it waits, the clock goes on.
fn run_on(world: &World) -> Report {
    let (export, due, deadline) = (world.export(&Fate::kind()), due(None), world.deadline());
    let mut run = pin!(export.run(&due, deadline));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match run.as_mut().poll(&mut context) {
            Poll::Ready(report) => return report.unwrap(),
            Poll::Pending => assert!(world.clock.advance_to_next(), "it waits for ever"),
        }
    }
}

fn outcome(report: Report) -> Outcome {
    match report {
        Report::Ran { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

/// The traces in the bucket.
fn exported(world: &World) -> BTreeSet<String> {
    let lines = world.files().into_values().flatten();
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(&line).unwrap();
            row["root_span_id"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// The keys of files that the manifests list.
fn listed(world: &World) -> BTreeSet<String> {
    let manifests = world.manifests().into_iter();
    manifests
        .flat_map(|manifest| manifest["files"].as_array().unwrap().clone())
        .map(|file| file["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_is_in_a_file_that_was_given_up_is_not_passed() {
    let world = traces(3);
    let spans = [span("a", "a", "09:00:00", 0), span("b", "b", "10:00:00", 0)];
    world.source.upsert(&project(), spans);
    // The way in opens so late that the run may not end its file any more.
    let slow = Health::Slow(Duration::from_mins(16));
    world.sinks.set_bucket_for(&bucket(), slow, 1);
    run_on(&world);
    assert_eq!(exported(&world).len(), 0);
    assert_eq!(world.cursor().position, XactId::ZERO, "nothing is exported");
    assert_eq!(outcome(run_on(&world)), Outcome::Done);
    let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(exported(&world), both);
}

#[test]
fn a_file_that_holds_no_whole_transaction_is_not_committed() {
    let mut world = traces(10);
    world.settings.traces_at_once = 2;
    // One transaction touches four traces; the second half of them can't be read.
    let spans = ["a", "b", "c", "d"].map(|id| span(id, id, "10:00:00", 0));
    world.source.upsert(&project(), spans);
    world.source.fail(Kind::Summaries, 1, Fault::Transient);
    world.fails();
    world.ends(&Outcome::Done);
    assert_eq!(exported(&world).len(), 4);
    let counts = world.cursor().counts;
    assert_eq!((counts.files, counts.rows), (1, 4), "as it lies there");
}

#[test]
fn what_is_whole_before_a_large_transaction_is_kept_when_the_source_fails_within_that() {
    let world = World::new();
    world.source.upsert(&project(), [row("a", "10:00:00", 0)]);
    let large = (0..4).map(|n| {
        let row = row(&format!("large{n}"), "10:00:01", 0);
        row.with("input", "x".repeat(3_500_000))
    });
    world.source.upsert(&project(), large);
    world.source.set_page_limit(1);
    world.source.fail(Kind::Spans, 4, Fault::Transient);
    world.fails();
    assert_eq!(world.cursor().position, xact("10:00:00", 0));
    assert_eq!(world.ids(), ["a"]);
}

#[test]
fn one_trace_of_many_spans_is_got_through_in_several_runs() {
    let world = traces(3);
    let spans = (0..30).map(|n| span(&format!("s{n}"), "a", "10:00:00", n));
    world.source.upsert(&project(), spans);
    let (clock, mut pages) = (world.clock.clone(), 0);
    world.source.before_each_page(move |_, _| {
        pages += 1;
        if pages == 5 {
            clock.advance(Duration::from_secs(14 * 60 + 30));
        }
    });
    world.ends(&Outcome::More);
    assert!(world.cursor().position > XactId::ZERO);
    world.ends(&Outcome::Done);
}

#[test]
fn traces_whose_transactions_were_read_whole_are_kept_when_the_source_fails() {
    let world = traces(3);
    let spans = (0..30).map(|n| span(&format!("s{n}"), &format!("t{n}"), "10:00:00", n));
    world.source.upsert(&project(), spans);
    world.source.fail(Kind::Touched, 8, Fault::Transient);
    world.fails();
    let position = world.cursor().position;
    assert!(position > xact("10:00:00", 10), "{position}");
}

#[test]
fn a_run_whose_time_is_over_among_summaries_asks_to_go_on() {
    let mut world = traces(10);
    world.settings.traces_at_once = 1;
    let spans = (0..8).map(|n| span(&format!("s{n}"), &format!("t{n}"), "10:00:00", n));
    world.source.upsert(&project(), spans);
    let stall = Fault::Stall(Duration::from_mins(20));
    world.source.fail(Kind::Summaries, 4, stall);
    let ended = outcome(run_on(&world));
    assert!(world.cursor().position > XactId::ZERO);
    assert_eq!(ended, Outcome::More, "as a run of spans does");
}

#[test]
fn a_run_of_traces_stops_at_the_first_place_where_it_can_when_its_requests_are_used() {
    let mut world = traces(30);
    world.settings.traces_at_once = 1;
    let spans = (0..30).map(|n| span(&format!("s{n}"), &format!("t{n}"), "10:00:00", n));
    world.source.upsert(&project(), spans);
    let Report::Ran { requests, .. } = world.run_with(Some(4)) else {
        panic!("it did not run");
    };
    assert!(requests <= 5, "{requests} of 4 requests");
}

#[test]
fn a_test_of_the_way_leaves_the_run_at_work_alone() {
    let world = World::new();
    let rows = (0..9).map(|n| row(&n.to_string(), "10:00:00", n));
    world.source.upsert(&project(), rows);
    let (other, mut pages) = (world.export(&Fate::kind()), 0);
    world.source.before_each_page(move |_, _| {
        pages += 1;
        if pages == 2 {
            let test = Box::pin(other.test_way(&automation_id())).now_or_never();
            test.unwrap().unwrap();
        }
    });
    world.ends(&Outcome::Done);
    assert_eq!(world.ids().len(), 9);
    assert!(world.cursor().tested.is_some());
}

#[test]
fn a_reset_to_now_passes_nothing_that_came_after_it_was_asked_for() {
    let reset = r#"{"time":"2025-11-21T12:00:00Z","detail-type":"export.reset","detail":{"automation_id":"a1","start":"now"}}"#;
    for step in 0.. {
        let world = World::new();
        let records = vec![Record {
            message_id: "1".to_owned(),
            body: reset.to_owned(),
        }];
        let export = world.export(&Fate::at(step));
        let (batch, deadline) = (Batch { records }, world.deadline());
        let handled = Box::pin(export.handle(&batch, deadline)).now_or_never();
        world.clock.advance(Duration::from_mins(30));
        world.source.upsert(&project(), [row("a", "12:30:00", 0)]);
        world.clock.advance(Duration::from_mins(60));
        // What was cut off is delivered again when the queue's 90 minutes are over.
        if handled.is_none() {
            assert!(world.handle(&[reset]).failures.is_empty());
        }
        world.clock.advance(Duration::from_mins(2));
        world.ends(&Outcome::Done);
        assert_eq!(world.ids(), ["a"], "step {step}");
        if handled.is_some() {
            break;
        }
    }
}

#[test]
fn each_committed_file_is_in_a_manifest_though_the_bucket_failed_meanwhile() {
    let world = World::new();
    world.source.set_page_limit(1);
    let rows = ["09:00:00", "10:00:00", "11:00:00"].map(|time| row(time, time, 0));
    world.source.upsert(&project(), rows);
    let (sinks, mut pages) = (world.sinks.clone(), 0);
    world.source.before_each_page(move |_, _| {
        pages += 1;
        if pages == 3 {
            sinks.set_bucket(&bucket(), Health::Transient);
        }
    });
    world.fails();
    assert_eq!(world.cursor().counts.files, 1);
    world.sinks.set_bucket(&bucket(), Health::Well);
    world.ends(&Outcome::Done);
    let files: BTreeSet<String> = world.files().into_keys().collect();
    assert_eq!(listed(&world), files);
}

#[test]
fn each_file_of_a_killed_run_is_in_a_manifest_though_the_cursor_was_reset() {
    for step in 0.. {
        let world = World::new();
        let rows = ["09:00:00", "10:00:00"].map(|time| row(time, time, 0));
        world.source.upsert(&project(), rows);
        let (export, due, deadline) = (world.export(&Fate::at(step)), due(None), world.deadline());
        let run = Box::pin(export.run(&due, deadline)).now_or_never();
        assert!(run.is_none(), "it was never killed after a commit");
        let claim = world.cursor().claim;
        let Some(file) = claim.and_then(|claim| claim.files.first().cloned()) else {
            continue;
        };
        let reset = r#"{"detail-type":"export.reset","detail":{"automation_id":"a1","start":"0"}}"#;
        assert!(world.handle(&[reset]).failures.is_empty());
        world.clock.advance(CLAIM);
        world.ends(&Outcome::Done);
        let listed = listed(&world);
        assert!(listed.contains(file.key.as_str()), "{listed:?}");
        return;
    }
}

#[test]
fn a_run_that_finds_the_cursor_claimed_or_paused_gives_its_requests_back() {
    let world = World::new();
    world.source.upsert(&project(), [row("a", "10:00:00", 0)]);
    let (export, due, deadline) = (world.export(&Fate::at(20)), due(Some(4)), world.deadline());
    let killed = Box::pin(export.run(&due, deadline)).now_or_never();
    assert!(killed.is_none() && world.cursor().claim.is_some());
    assert_eq!(world.run_with(Some(4)), Report::Busy);
    assert_eq!(world.told().len(), 1, "claimed");
    let pause = r#"{"detail-type":"export.pause","detail":{"automation_id":"a1"}}"#;
    assert!(world.handle(&[pause]).failures.is_empty());
    assert_eq!(world.run_with(Some(4)), Report::Paused);
    assert_eq!(world.told().len(), 1, "paused");
}

#[test]
fn an_upload_that_ends_when_the_claim_is_over_replaces_nothing_of_the_next_run() {
    let world = World::new();
    world.source.upsert(&project(), [row("a", "10:00:00", 0)]);
    // The request that completes the file is on its way at the deadline, and done later.
    let sinks = world.sinks.clone();
    world.source.before_each_page(move |_, _| {
        let slow = Health::Slow(Duration::from_mins(16));
        sinks.set_bucket_for(&bucket(), slow, 1);
    });
    let (export, due, deadline) = (world.export(&Fate::kind()), due(None), world.deadline());
    let mut first = pin!(export.run(&due, deadline));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    world.source.before_each_page(|_, _| ());
    world.clock.advance(RUN);
    world.source.upsert(&project(), [row("b", "10:30:00", 0)]);
    let second = world.run();
    world.clock.advance(Duration::from_mins(2));
    assert!(first.as_mut().poll(&mut context).is_ready());
    // Whether the second ran or waited: what is committed is there.
    if second == Report::Busy {
        world.clock.advance(CLAIM);
        world.ends(&Outcome::Done);
    }
    assert_eq!(world.ids(), ["a", "b"]);
}

#[test]
fn an_automation_that_is_deleted_and_created_again_leaves_what_it_exported_as_it_is() {
    let world = World::new();
    for (id, time) in [("a", "10:00:00"), ("b", "10:10:00")] {
        world.source.upsert(&project(), [row(id, time, 0)]);
        world.ends(&Outcome::Done);
    }
    let (registry, id) = (world.registry(), automation_id());
    let before = world.files();
    let again = async {
        let automation = registry.automation(&id).await?;
        registry.remove(&id).await?;
        registry.register(&automation, XactId::ZERO, 0).await
    };
    assert!(again.now_or_never().unwrap().unwrap());
    world.ends(&Outcome::Done);
    for (key, lines) in before {
        assert_eq!(world.files()[&key], lines, "{key}");
    }
}

#[test]
fn a_bucket_whose_name_says_kms_is_not_taken_for_a_key() {
    let read = Automation::place(&automation_id())
        .load(&World::new().state)
        .now_or_never();
    let place = read.unwrap().unwrap().unwrap().body.plan().unwrap().place;
    let denied = StoreError::Denied(Failure {
        operation: "PutObject".to_owned(),
        target: "s3://your-bucket/braintrust/math/x".to_owned(),
        code: "AccessDenied".to_owned(),
        message: "User: arn:aws:sts::222222222222:assumed-role/export/x is not authorized to \
                  perform: s3:PutObject on resource: \"arn:aws:s3:::logs-with-kms/x\""
            .to_owned(),
        request_id: String::new(),
    });
    let advice = advice::of_bucket(&denied, &place).advice;
    assert!(advice.contains("allow s3:PutObject"), "{advice}");
}

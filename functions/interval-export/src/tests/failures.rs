//! What goes wrong: whose fault it is, what is kept, and what is told.

use std::time::Duration;

use sealift_core::export::cursor::{Claim, ExportCursor, Outcome};
use sealift_core::export::message::FinishedAs;
use sealift_core::id::XactId;
use sealift_testkit::exports::Row;
use sealift_testkit::exports::sinks::Health;
use sealift_testkit::exports::source::{Fault, Kind};
use serde_json::json;

use super::{World, automation_id, bucket, config, key, project, role, row, xact};
use crate::Report;

fn rows(count: u64) -> Vec<Row> {
    (0..count)
        .map(|n| row(&n.to_string(), "10:00:00", n))
        .collect()
}

#[test]
fn each_failure_says_whose_it_is_and_what_to_do_and_loses_nothing() {
    type Cause = fn(&World);
    let causes: [(Cause, &str); 7] = [
        (
            |w| w.sinks.set_role(&role(), Health::Closed),
            "Customer: AssumeRole",
        ),
        (
            |w| w.sinks.set_bucket(&bucket(), Health::Denied),
            "allow s3:PutObject and s3:AbortMultipartUpload",
        ),
        (
            |w| w.sinks.set_bucket(&bucket(), Health::Missing),
            "There is no bucket your-bucket",
        ),
        (
            |w| w.sinks.set_bucket(&bucket(), Health::Transient),
            "Passing",
        ),
        (
            |w| w.source.fail(Kind::Freshness, 0, Fault::Denied),
            "Operator",
        ),
        (
            |w| w.source.fail(Kind::Spans, 0, Fault::Invalid),
            "Automation",
        ),
        (
            |w| w.source.fail(Kind::Spans, 1, Fault::SameCursor),
            "RepeatedCursor",
        ),
    ];
    for (cause, expected) in causes {
        let world = World::new();
        world.source.upsert(&project(), rows(7));
        cause(&world);
        let failure = world.fails();
        assert!(failure.contains(expected), "{failure}");
        assert_eq!(world.cursor().attempts, 1);
        assert_eq!(world.sinks.uploads().abandoned, 0, "{expected}");
        let told = world.told().remove(0);
        assert!(matches!(
            told.outcome,
            FinishedAs::Failed | FinishedAs::Refused
        ));
        world.sinks.set_role(&role(), Health::Well);
        world.sinks.set_bucket(&bucket(), Health::Well);
        world.ends(&Outcome::Done);
        assert_eq!(
            world.ids(),
            ["0", "1", "2", "3", "4", "5", "6"],
            "{expected}"
        );
        assert_eq!((world.cursor().attempts, world.cursor().failure), (0, None));
    }
}

#[test]
fn what_was_read_whole_before_the_source_failed_is_committed() {
    let faults = [
        Fault::Transient,
        Fault::BreakAfter(2),
        Fault::Throttled(Some(Duration::from_secs(90))),
    ];
    for fault in faults {
        let world = World::new();
        world.source.upsert(&project(), rows(9));
        world.source.fail(Kind::Spans, 2, fault);
        world.fails();
        assert!(world.ids().len() >= 5, "{:?}", world.ids());
        assert!(world.cursor().position > XactId::ZERO);
        let told = world.told().remove(0);
        let asked = matches!(fault, Fault::Throttled(_)).then_some(90_000);
        assert_eq!(
            (told.outcome, told.retry_after_ms),
            (FinishedAs::Failed, asked)
        );
        world.ends(&Outcome::Done);
        assert_eq!(world.ids().len(), 9);
    }
}

#[test]
fn a_source_that_stalls_does_not_hold_a_run_beyond_its_time() {
    let world = World::new();
    world.source.upsert(&project(), rows(9));
    let stall = Duration::from_hours(2);
    world
        .source
        .fail(Kind::Spans, 1, Fault::StallAfter(1, stall));
    let export = world.export(&super::fate::Fate::kind());
    let due = sealift_core::export::message::Due {
        automation_id: automation_id(),
        requests: None,
        grant: None,
    };
    let deadline = world.deadline();
    let mut run = Box::pin(export.run(&due, deadline));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut ended = None;
    while ended.is_none() {
        match run.as_mut().poll(&mut context) {
            std::task::Poll::Ready(report) => ended = Some(report.unwrap()),
            std::task::Poll::Pending => assert!(world.clock.advance_to_next(), "it waits for ever"),
        }
    }
    assert!(world.clock.now() <= deadline);
    assert!(
        matches!(
            ended,
            Some(Report::Ran {
                outcome: Outcome::More,
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(world.ids().len(), 3);
}

#[test]
fn a_cursor_that_another_run_holds_is_left_alone_until_its_time_is_over() {
    let world = World::new();
    world.source.upsert(&project(), rows(3));
    let hold = |until: Duration| {
        let until_ms = world
            .clock
            .now()
            .checked_add(until)
            .unwrap()
            .as_millisecond();
        let place = ExportCursor::place(&automation_id());
        let held = place.update(&world.state, &world.entropy, |there| {
            let mut cursor = there.unwrap().clone();
            cursor.claim = Some(Claim {
                run: "another".to_owned(),
                started_ms: 0,
                until_ms,
                after: XactId::ZERO,
                files: Vec::new(),
            });
            Some(cursor)
        });
        futures_util::FutureExt::now_or_never(held)
            .unwrap()
            .unwrap();
    };
    hold(Duration::from_mins(10));
    assert_eq!(world.run(), Report::Busy);
    assert!(world.files().is_empty());
    world.clock.advance(Duration::from_mins(10));
    world.ends(&Outcome::Done);
    assert_eq!(world.ids().len(), 3);
    let outcomes: Vec<_> = world
        .cursor()
        .runs
        .into_iter()
        .map(|run| run.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Killed, Outcome::Done]);
}

#[test]
fn a_reset_while_a_run_is_at_work_ends_that_run() {
    let world = World::new();
    world.source.upsert(&project(), rows(9));
    let registry = world.registry();
    let mut pages = 0;
    world.source.before_each_page(move |_, _| {
        pages += 1;
        if pages == 2 {
            let id = automation_id();
            let reset = registry.reset(&id, xact("10:00:00", 6), None, 0);
            futures_util::FutureExt::now_or_never(reset)
                .unwrap()
                .unwrap();
        }
    });
    assert_eq!(world.run(), Report::Overtaken);
    assert_eq!(world.cursor().position, xact("10:00:00", 6));
    world.ends(&Outcome::Done);
    assert_eq!(world.cursor().generation, 1);
    let of_reset = world
        .files()
        .into_iter()
        .filter(|(key, _)| key.contains("-g1-"));
    assert_eq!(of_reset.map(|(_, lines)| lines.len()).sum::<usize>(), 2);
}

#[test]
fn an_automation_that_cannot_run_says_which_field_and_enters_no_account() {
    let mut gcp = config();
    gcp["scope"] = json!({"type": "trace"});
    let world = World::new();
    let place = sealift_core::export::automation::Automation::place(&automation_id());
    let changed = place.update(&world.state, &world.entropy, |there| {
        let mut automation = there.unwrap().clone();
        automation.config = serde_json::from_value(gcp.clone()).unwrap();
        Some(automation)
    });
    futures_util::FutureExt::now_or_never(changed)
        .unwrap()
        .unwrap();
    let failure = world.fails();
    assert!(
        failure.contains("scope \"trace\" is not supported"),
        "{failure}"
    );
    assert_eq!((world.sinks.opened(), world.told().len()), (0, 1));
    assert!(world.cursor().failure.is_some());
}

#[test]
fn a_paused_automation_does_not_run_and_goes_on_where_it_stood() {
    let world = World::new();
    world.source.upsert(&project(), rows(2));
    let control = |what: &str| {
        format!(r#"{{"detail-type":"export.{what}","detail":{{"automation_id":"a1"}}}}"#)
    };
    assert!(
        world
            .handle(&[&control("pause"), &control("due")])
            .failures
            .is_empty()
    );
    assert_eq!(world.run(), Report::Paused);
    assert!(world.files().is_empty());
    assert!(
        world
            .handle(&[&control("resume"), &control("due")])
            .failures
            .is_empty()
    );
    assert_eq!(world.ids(), ["0", "1"]);
}

#[test]
fn a_message_that_says_nothing_comes_again_and_one_about_what_is_gone_does_not() {
    let world = World::new();
    let unknown = r#"{"detail-type":"export.undo","detail":{}}"#;
    let gone = r#"{"detail-type":"export.due","detail":{"automation_id":"gone"}}"#;
    let response = world.handle(&["no json", gone, unknown]);
    let failed: Vec<_> = response
        .failures
        .iter()
        .map(|f| f.message_id.as_str())
        .collect();
    assert_eq!(failed, ["0", "2"]);
}

#[test]
fn the_test_of_the_way_writes_and_deletes_a_small_object_and_says_what_is_refused() {
    let world = World::new();
    let test = r#"{"detail-type":"export.test","detail":{"automation_id":"a1"}}"#;
    assert!(world.handle(&[test]).failures.is_empty());
    let tested = world.cursor().tested.unwrap();
    assert!(tested.written && tested.deleted, "{tested:?}");
    assert_eq!(world.sinks.deleted(), [key("_sealift-test.txt")]);
    assert!(world.sinks.objects(&bucket()).is_empty());
    world.sinks.set_role(&role(), Health::Closed);
    world.handle(&[test]);
    let tested = world.cursor().tested.unwrap();
    assert!(!tested.written && tested.failure.unwrap().advice.contains("trust policy"));
}

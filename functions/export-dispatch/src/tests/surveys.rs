//! Quiet automations: one request finds out about many.

use std::time::Duration;

use sealift_core::export::message::FinishedAs;
use sealift_testkit::exports::source::{Fault, Kind};

use super::World;

/// Automations that have found nothing the last time.
fn quiet(count: usize) -> World {
    let world = World::new();
    for number in 0..count {
        let name = format!("a{number:02}");
        world.add(&name);
        let position = world.write(&name);
        world.set(&name, |entry| {
            entry.quiet = true;
            entry.position = position;
        });
    }
    world.clock.advance(Duration::from_secs(1));
    world
}

#[test]
fn a_run_that_found_nothing_makes_its_automation_quiet() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.finish("a", |_| ());
    assert!(world.entry("a").quiet);
    world.finish("a", |finished| finished.rows = 1);
    assert!(!world.entry("a").quiet);
    world.finish("a", |finished| finished.outcome = FinishedAs::Refused);
    assert!(!world.entry("a").quiet);
}

#[test]
fn fifty_quiet_projects_cost_a_handful_of_requests_an_hour() {
    let world = quiet(50);
    // Each at its own place of the hour, as the timetable has it.
    for number in 0..50 {
        let now_ms = world.now_ms();
        world.set(&format!("a{number:02}"), |entry| {
            entry.next_ms = now_ms + number * 72_000;
        });
    }
    for _ in 0..60 {
        world.minute();
        for number in 0..50 {
            let entry = world.entry(&format!("a{number:02}"));
            let waited_ms = world.now_ms() - entry.next_ms;
            assert!(
                waited_ms <= 10 * 60_000,
                "a{number:02} waits for {waited_ms} ms"
            );
        }
    }
    let surveys = world.source.count(Kind::Survey);
    assert!((4..=6).contains(&surveys), "{surveys}");
    assert!(world.names().is_empty());
}

#[test]
fn the_one_that_has_something_new_is_started_and_the_others_are_not() {
    let world = quiet(3);
    world.clock.advance(Duration::from_secs(5));
    world.write("a01");
    for _ in 0..10 {
        world.minute();
    }
    assert_eq!(world.names(), ["a01"]);
    assert_eq!(world.source.count(Kind::Survey), 1);
}

#[test]
fn what_came_before_it_was_due_is_never_overlooked() {
    // The survey is asked when all that wait have been due: its answer is from after that.
    let world = quiet(2);
    let now_ms = world.now_ms();
    world.set("a01", |entry| entry.next_ms = now_ms + 8 * 60_000);
    for minute in 0..12 {
        if minute == 9 {
            world.write("a01");
        }
        world.minute();
    }
    assert_eq!(world.names(), ["a01"]);
}

#[test]
fn a_short_interval_waits_a_short_time() {
    let world = quiet(1);
    world.set("a00", |entry| entry.interval_seconds = 300);
    world.minute();
    assert_eq!(
        world.source.count(Kind::Survey),
        1,
        "a sixth of five minutes is over"
    );
}

#[test]
fn a_survey_that_fails_is_asked_again_and_one_that_is_refused_starts_all() {
    let world = quiet(3);
    world.clock.advance(Duration::from_mins(10));
    world.source.fail(Kind::Survey, 0, Fault::Transient);
    let report = world.tick();
    assert_eq!((report.surveys, report.waiting, report.started), (1, 3, 0));
    world.source.fail(Kind::Survey, 0, Fault::Denied);
    let report = world.minute();
    assert_eq!((report.surveys, report.started), (1, 3));
}

#[test]
fn more_projects_than_one_survey_holds_take_several() {
    let mut world = quiet(7);
    world.settings.projects_in_survey = 3;
    world.clock.advance(Duration::from_mins(10));
    let report = world.tick();
    assert_eq!((report.surveys, report.quiet), (3, 7));
}

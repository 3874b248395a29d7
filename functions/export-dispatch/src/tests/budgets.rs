//! The API's rate is one budget for all.

use std::time::Duration;

use sealift_core::export::message::FinishedAs;

use super::{World, id};

#[test]
fn what_gets_no_requests_waits_for_the_next_minute() {
    let world = World::new();
    for number in 0..12 {
        world.add(&format!("a{number:02}"));
    }
    let report = world.tick();
    // Twenty requests, four for each at least.
    assert_eq!((report.started, report.waiting), (5, 7));
    assert!(world.started().iter().all(|(_, requests)| *requests == 4));
    let report = world.minute();
    assert_eq!((report.started, report.waiting), (5, 2));
    world.started();
    world.minute();
    assert_eq!(world.names().len(), 2);
}

#[test]
fn one_alone_gets_half_a_minutes_worth_and_gives_back_what_it_did_not_use() {
    let world = World::new();
    world.add("a");
    world.tick();
    assert_eq!(world.started(), [("a".to_owned(), 10)]);
    assert_eq!(world.budget().whole(), 10);
    world.finish("a", |finished| finished.requests = 3);
    assert_eq!(world.budget().whole(), 17);
    // Told twice.
    world.finish("a", |finished| finished.requests = 3);
    assert_eq!(
        world.budget().whole(),
        14,
        "as a run by hand: it had no grant any more"
    );
}

#[test]
fn a_run_by_hand_is_counted() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.finish("a", |finished| finished.requests = 10);
    let before = world.budget().whole();
    world.finish("a", |finished| {
        finished.grant = None;
        finished.requests = 6;
    });
    assert_eq!(world.budget().whole(), before - 6);
}

#[test]
fn the_rate_holds_over_an_hour_of_runs_that_always_have_more() {
    let world = World::new();
    for number in 0..30 {
        world.add(&format!("a{number:02}"));
    }
    let mut used = 0;
    for _ in 0..60 {
        world.minute();
        let mut started = world.started();
        while let Some((name, requests)) = started.pop() {
            used += requests;
            world.finish(&name, |finished| {
                finished.outcome = FinishedAs::More;
                finished.requests = u64::from(requests);
                finished.rows = 1;
            });
            started.extend(world.started());
        }
    }
    // A minute's worth may have gathered before.
    assert!((60 * 20 - 20..=61 * 20).contains(&used), "{used}");
}

#[test]
fn a_function_that_never_told_its_end_takes_its_grant_from_nobody_for_long() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.clock.advance(Duration::from_hours(3));
    let now_ms = world.now_ms();
    world.set("a", |entry| entry.next_ms = now_ms);
    world.tick();
    assert_eq!(world.names(), ["a", "a"]);
    assert!(world.budget().has_granted(&id("a"), 0));
}

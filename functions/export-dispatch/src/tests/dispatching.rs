//! What is started, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::export::message::FinishedAs;
use sealift_core::export::registry::RegistryError;
use sealift_core::ports::StoreError;
use serde_json::json;

use super::{World, id};

#[test]
fn what_is_due_is_started_once_and_moves_to_its_next_time() {
    let world = World::new();
    world.add("a");
    let report = world.tick();
    assert_eq!((report.due, report.started), (1, 1));
    assert_eq!(world.names(), ["a"]);
    let next_ms = world.entry("a").next_ms;
    let wait_ms = next_ms - world.now_ms();
    assert!((1..=3_600_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(world.minute().due, usize::from(wait_ms <= 60_000));
    assert!(world.names().is_empty());
}

#[test]
fn the_longest_due_is_started_first() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.add(name);
    }
    let now_ms = world.now_ms();
    world.set("a", |entry| entry.next_ms = now_ms - 1000);
    world.set("b", |entry| entry.next_ms = now_ms - 3000);
    world.set("c", |entry| entry.next_ms = now_ms - 2000);
    world.tick();
    assert_eq!(world.names(), ["b", "c", "a"]);
}

#[test]
fn a_paused_automation_is_not_started_and_a_resumed_one_is_at_once() {
    let world = World::new();
    world.add("a");
    let registry = world.registry();
    let a = id("a");
    let set = |active| {
        let set = registry.set_active(&a, active, world.now_ms());
        set.now_or_never().unwrap().unwrap();
    };
    set(false);
    assert_eq!(world.tick().due, 0);
    world.clock.advance(Duration::from_hours(5));
    assert_eq!(world.tick().due, 0);
    set(true);
    world.tick();
    assert_eq!(world.names(), ["a"]);
}

#[test]
fn what_the_bus_refuses_stays_due_and_the_others_are_started() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.add(name);
    }
    world.bus.refuse(1, StoreError::Transient);
    let report = world.tick();
    assert_eq!((report.started, report.refused), (2, 1));
    let started: BTreeSet<String> = world.names().into_iter().collect();
    let grants = world.budget().grants.into_values();
    let granted: BTreeSet<String> = grants.map(|grant| grant.automation.to_string()).collect();
    assert_eq!(started, granted, "what was not started is granted nothing");
    world.minute();
    let late = world.names();
    assert_eq!(late.len(), 1);
    assert!(!started.contains(&late[0]));
}

#[test]
fn a_run_with_more_to_do_goes_on_at_once() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.started();
    world.clock.advance(Duration::from_secs(5));
    let position = world.write("a");
    world.finish("a", |finished| {
        finished.outcome = FinishedAs::More;
        finished.rows = 1000;
        finished.position = position;
    });
    assert_eq!(world.names(), ["a"], "within the call that was told of it");
    assert_eq!(world.entry("a").position, position);
    assert!(world.entry("a").next_ms > world.now_ms());
}

#[test]
fn a_run_that_failed_is_tried_again_at_growing_intervals_and_not_before_the_api_asked() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.set("a", |entry| entry.next_ms = i64::MAX / 2);
    for expected in [60, 120, 240] {
        world.finish("a", |finished| finished.outcome = FinishedAs::Failed);
        assert_eq!(world.entry("a").next_ms - world.now_ms(), expected * 1000);
        world.set("a", |entry| entry.next_ms = i64::MAX / 2);
    }
    world.finish("a", |finished| {
        finished.outcome = FinishedAs::Failed;
        finished.retry_after_ms = Some(1_000_000);
    });
    assert_eq!(world.entry("a").next_ms - world.now_ms(), 1_000_000);
    world.finish("a", |finished| finished.rows = 1);
    assert_eq!(world.entry("a").attempts, 0);
}

#[test]
fn what_somebody_has_to_change_is_tried_at_its_next_time() {
    let world = World::new();
    world.add("a");
    world.tick();
    let next_ms = world.entry("a").next_ms;
    world.finish("a", |finished| finished.outcome = FinishedAs::Refused);
    assert_eq!(world.entry("a").next_ms, next_ms);
    assert_eq!(world.entry("a").attempts, 1);
}

#[test]
fn two_dispatchers_at_once_start_nothing_twice() {
    let world = World::new();
    for number in 0..4 {
        world.add(&format!("a{number}"));
    }
    let (one, other) = (world.dispatch(), world.dispatch());
    let deadline = world.deadline();
    one.handle(super::TICK, deadline)
        .now_or_never()
        .unwrap()
        .unwrap();
    other
        .handle(super::TICK, deadline)
        .now_or_never()
        .unwrap()
        .unwrap();
    let mut started = world.names();
    started.sort();
    assert_eq!(started, ["a0", "a1", "a2", "a3"]);
}

#[test]
fn a_crash_before_the_timetable_is_saved_starts_nothing_again_while_its_grant_is_fresh() {
    let world = World::new();
    world.add("a");
    world.tick();
    world.started();
    // As if the process had died between the bus and the timetable.
    let now_ms = world.now_ms();
    world.set("a", |entry| entry.next_ms = now_ms);
    let report = world.tick();
    assert_eq!((report.started, report.waiting), (0, 0));
    for _ in 0..17 {
        world.minute();
    }
    assert_eq!(world.names(), ["a"], "the start is made up for");
}

#[test]
fn shards_cannot_be_changed_once_there_are_automations() {
    let mut world = World::new();
    world.add("a");
    world.settings.shards = 2;
    let dispatch = world.dispatch();
    let handled = dispatch.handle(super::TICK, world.deadline());
    let error = handled.now_or_never().unwrap().unwrap_err();
    assert_eq!(error, RegistryError::Shards { is: 1, wanted: 2 });
    assert!(error.to_string().contains("set it back"));
}

#[test]
fn a_users_query_is_started_without_a_survey() {
    let world = World::new();
    let query = "SELECT * FROM project_logs('project-q')";
    world.add_with(
        "q",
        &json!({"type": "btql_query", "btql_query": query}),
        3600,
    );
    world.set("q", |entry| entry.quiet = true);
    let report = world.tick();
    assert_eq!((report.started, report.surveys), (1, 0));
}

#[test]
fn an_automation_without_success_for_two_intervals_is_counted_until_it_has_one() {
    let world = World::new();
    world.add("a");
    world.tick();
    for _ in 0..3 {
        world.finish("a", |finished| finished.outcome = FinishedAs::Failed);
        world.clock.advance(Duration::from_hours(1));
        world.tick();
    }
    assert_eq!(world.tick().overdue, 1);
    world.finish("a", |finished| finished.outcome = FinishedAs::Done);
    assert_eq!(world.tick().overdue, 0);
    // One that is paused is not waited for, and one that is resumed has its time anew.
    let registry = world.registry();
    let a = id("a");
    let set = |active| {
        let set = registry.set_active(&a, active, world.now_ms());
        set.now_or_never().unwrap().unwrap();
    };
    set(false);
    world.clock.advance(Duration::from_hours(9));
    assert_eq!(world.tick().overdue, 0);
    set(true);
    assert_eq!(world.tick().overdue, 0);
}

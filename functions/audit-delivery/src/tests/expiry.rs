//! Warnings: once a day from the 23rd day of the oldest event that waits.

use std::time::Duration;

use sealift_core::ports::{BusEntry, StoreError};
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::Health;
use serde_json::Value;

use super::{World, name};

const DAY: Duration = Duration::from_hours(24);

/// A world with a destination that is paused, and for which one event waits.
fn paused() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    world.append(["other 1"]);
    world.flush();
    world.append(["acme 2"]);
    world.flush();
    world
}

fn detail(entry: &BusEntry) -> Value {
    serde_json::from_str(&entry.detail).unwrap()
}

fn warned(world: &World) -> usize {
    let entries = world.bus.entries();
    assert!(
        entries
            .iter()
            .all(|e| e.detail_type == "destination.buffer_expiring")
    );
    entries.len()
}

#[test]
fn the_owner_of_a_paused_destination_is_warned_once_a_day_from_the_23rd_day_on() {
    let world = paused();
    world.clock.advance(DAY * 22);
    world.clock.advance(Duration::from_hours(23));
    assert_eq!(world.flush().warnings, 0);
    world.clock.advance(Duration::from_hours(1));
    let report = world.flush();
    // Paused, it is not behind.
    assert_eq!((report.warnings, report.expiring, report.behind), (1, 1, 0));
    for _ in 0..20 {
        world.flush();
    }
    assert_eq!(warned(&world), 1);
    world.clock.advance(DAY);
    world.flush();
    world.flush();
    assert_eq!(warned(&world), 2);
    let details: Vec<Value> = world.bus.entries().iter().map(detail).collect();
    assert_eq!(details[0]["org_id"], "acme");
    assert_eq!(details[0]["resource_type"], "destination");
    assert_eq!(details[0]["resource_id"], "acme");
    assert_eq!(details[0]["event_details"]["days_left"], 7);
    assert_eq!(details[1]["event_details"]["days_left"], 6);
    assert_eq!(details[0]["event_details"]["waits_because"], "paused");
    assert_ne!(details[0]["id"], details[1]["id"]);
    world.resume("acme");
    world.flush();
    world.clock.advance(DAY);
    world.flush();
    assert_eq!(warned(&world), 2);
}

#[test]
fn nobody_is_warned_of_an_empty_stream() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    world.append(["other 1"]);
    world.flush();
    for _ in 0..5 {
        world.clock.advance(DAY * 9);
        assert_eq!(world.flush().warnings, 0);
    }
    assert!(world.left("acme").warned_ms.is_none());
}

#[test]
fn a_destination_that_fails_for_so_long_is_warned_of_as_well() {
    let world = World::new();
    world.add("acme", "acme");
    world.sinks.set_destination(&name("acme"), Health::Denied);
    world.append(["acme 1"]);
    world.run();
    world.clock.advance(DAY * 24);
    let report = world.flush();
    assert_eq!((report.warnings, report.expiring, report.behind), (1, 1, 1));
    assert!(report.slowest_lag_ms >= 24 * 24 * 3600 * 1000);
    let entry = world.bus.entries().remove(0);
    assert_eq!(detail(&entry)["event_details"]["waits_because"], "failed");
}

#[test]
fn one_that_was_started_in_the_past_and_catches_up_is_not_warned_of() {
    let world = paused();
    world.clock.advance(DAY * 24);
    world.add("late", "acme");
    world.append(["acme 3"]);
    world.flush();
    assert!(world.is_member("late"));
    let entries = world.bus.entries();
    let of_late = entries
        .iter()
        .filter(|e| detail(e)["resource_id"] == "late");
    assert_eq!(of_late.count(), 0);
}

#[test]
fn a_warning_that_the_bus_does_not_take_is_told_again_by_the_next_run() {
    let world = paused();
    world.clock.advance(DAY * 23);
    world.bus.fail(1, StoreError::Transient);
    assert_eq!(world.flush().warnings, 0);
    assert_eq!(world.flush().warnings, 1);
    assert_eq!(warned(&world), 1);
}

#[test]
fn told_twice_after_a_crash_it_is_the_same_event() {
    let world = paused();
    world.clock.advance(DAY * 23);
    world
        .script
        .first(Verb::Swap, "delivery/0000/left/", [Turn::KilledBefore]);
    assert_eq!(world.run_or_die(), None);
    world.script.calm();
    world.flush();
    let entries = world.bus.entries();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0], entries[1]);
    world.flush();
    assert_eq!(warned(&world), 2);
}

#[test]
fn without_anything_so_old_nothing_is_read_for_it() {
    let world = paused();
    let before = world.script.calls().len();
    world.flush();
    let calls = world.script.calls();
    let own = calls[before..]
        .iter()
        .filter(|call| call.at.contains("/left/"));
    assert_eq!(own.count(), 0);
}

//! Destinations that begin: not before they are started, at the head, and soon.

use std::time::Duration;

use sealift_core::destination::{Destination, Held, HeldReason, Status};
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::Health;

use super::{World, name};

/// How long the queue of events may collect a batch, the queue of triggers a batch of its own.
const BATCH: Duration = Duration::from_secs(5);
const TRIGGERS: Duration = Duration::from_secs(1);

fn never_started(destination: &mut Destination) {
    destination.status = Status::Paused;
    destination.start_ms = None;
}

/// As whoever controls it would: now, at the first start.
fn start(world: &World, id: &str) {
    let now_ms = world.now_ms();
    world.change(id, |destination| {
        destination.status = Status::Streaming;
        destination.start_ms.get_or_insert(now_ms);
    });
}

#[test]
fn one_that_was_never_started_is_left_alone_and_nothing_waits_for_it() {
    let world = World::new();
    world.add_with("acme", "acme", never_started);
    world.add("other", "acme");
    world.append(["acme 1"]);
    world.run();
    assert!(!world.is_member("acme") && !world.is_left("acme"));
    world.append(["acme 2"]);
    world.flush();
    world.clock.advance(Duration::from_secs(1));
    start(&world, "acme");
    world.append(["acme 3"]);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 3"]);
    assert_eq!(world.events("other"), ["acme 1", "acme 2", "acme 3"]);
    assert_eq!(world.cursor().generation, 0, "it was never left behind");
}

#[test]
fn streaming_without_a_start_is_not_started() {
    let world = World::new();
    world.add_with("acme", "acme", |destination| destination.start_ms = None);
    world.append(["acme 1"]);
    world.run();
    assert!(!world.is_member("acme") && world.events("acme").is_empty());
}

#[test]
fn one_that_is_removed_and_created_again_between_two_runs_starts_at_the_head() {
    for before in ["rides", "paused", "fails", "open plan"] {
        let world = World::new();
        world.add_with("acme", "acme", |d| d.created_ms = Some(1));
        world.append(["acme 1"]);
        world.run();
        match before {
            "paused" => world.pause("acme"),
            "fails" => world.sinks.set_destination(&name("acme"), Health::Denied),
            "open plan" => world.script.first(Verb::Open, "", [Turn::KilledBefore]),
            _ => {}
        }
        world.append(["acme 2"]);
        world.clock.advance(world.settings.flush_interval);
        if before != "rides" {
            let _ = world.run_or_die();
        }
        world.script.calm();
        world.sinks.set_destination(&name("acme"), Health::Well);
        world.remove("acme");
        world.clock.advance(Duration::from_secs(1));
        let now_ms = world.now_ms();
        world.add_with("acme", "acme", |d| {
            d.created_ms = Some(now_ms);
            never_started(d);
        });
        world.flush();
        world.append(["acme 3"]);
        world.flush();
        world.clock.advance(Duration::from_secs(1));
        start(&world, "acme");
        world.append(["acme 4"]);
        world.flush();
        world.flush();
        assert_eq!(world.events("acme"), ["acme 1", "acme 4"], "{before}");
        let member = &world.cursor().members[&name("acme")];
        assert_eq!(member.progress.counts.delivered, 1, "{before}");
        assert_eq!(member.created_ms, Some(now_ms), "{before}");
    }
}

#[test]
fn the_objects_of_one_created_again_share_no_name_with_those_of_the_first() {
    let world = World::new();
    world.add_with("acme", "acme", |d| d.created_ms = Some(1));
    world.append(["acme 1"]);
    world.run();
    world.remove("acme");
    // From the past: the very same segment.
    world.add_with("acme", "acme", |d| d.created_ms = Some(2));
    world.append(["acme 2"]);
    world.flush();
    let keys = world.objects("acme").into_keys();
    let of_first = keys.filter(|key| key.contains("00000001-00000000000000000001-"));
    assert_eq!(of_first.count(), 1);
    assert_eq!(world.events("acme").len(), 3);
    assert_eq!(
        world
            .sinks
            .count(sealift_testkit::sinks::Replaced::Different),
        0
    );
}

#[test]
fn one_that_is_held_gets_nothing_whatever_its_status_and_all_of_it_afterwards() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.change("acme", |destination| {
        destination.held = Some(Held {
            reason: HeldReason::Unsafe,
            since_ms: 0,
        });
    });
    world.append(["acme 2"]);
    world.flush();
    let opened = world.sinks.opened();
    world.append(["acme 3"]);
    world.flush();
    assert!(world.is_left("acme"));
    assert_eq!(world.sinks.opened(), opened, "nobody goes in there");
    assert_eq!(world.events("acme"), ["acme 1"]);
    world.change("acme", |destination| destination.held = None);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 3"]);
}

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Appended(&'static str),
    Run,
}

#[test]
fn the_first_event_after_a_start_is_there_within_30_seconds() {
    // Whenever it comes, beside another tenant's stream and the tick of every minute.
    for after in 0..60 {
        for other in [3, 17, 31] {
            let world = World::new();
            world.add("other", "other");
            world.add_with("acme", "acme", never_started);
            world.append(["other 1"]);
            world.run();
            start(&world, "acme");
            let begin = world.clock.now();
            let event = Duration::from_secs(after);
            let mut plan = Vec::new();
            for (at, named) in [(event, "acme 1"), (Duration::from_secs(other), "other 2")] {
                let appended = at + BATCH;
                let trigger = appended + world.settings.flush_interval + TRIGGERS;
                plan.push((appended, Happens::Appended(named)));
                plan.push((trigger, Happens::Run));
            }
            plan.extend((1..3).map(|minute| (Duration::from_mins(minute), Happens::Run)));
            plan.sort();
            // A bucket that takes its time.
            let slow = Health::Slow(Duration::from_secs(2));
            world.sinks.set_destination(&name("acme"), slow);
            for (at, happens) in plan {
                let now = begin.checked_add(at).unwrap();
                let wait = now.duration_since(world.clock.now());
                world.clock.advance(wait.unsigned_abs().min(at));
                match happens {
                    Happens::Appended(named) => {
                        world.append([named]);
                    }
                    Happens::Run => {
                        world.run();
                    }
                }
            }
            let puts = world.sinks.puts();
            let first = puts.iter().find(|put| put.destination == name("acme"));
            let came = begin.checked_add(event).unwrap();
            let took = first.unwrap().at.duration_since(came);
            assert!(took.as_secs() <= 30, "after {after} s: {took:?}");
        }
    }
}

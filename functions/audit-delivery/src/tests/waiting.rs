//! Destinations that cannot keep up: slow, failing, paused, or starting in the past.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::delivery::LeftReason;
use sealift_core::ports::StoreError;
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::{Health, Replaced};

use super::{World, name};
use crate::Settings;

fn reason(world: &World, id: &str) -> LeftReason {
    world.cursor().left[&name(id)].reason
}

/// Numbers that an organization's objects begin with, in the order in which they were written.
fn firsts(world: &World, id: &str) -> Vec<u64> {
    let puts = world
        .sinks
        .puts()
        .into_iter()
        .filter(|put| put.destination == name(id));
    let numbers = puts.map(|put| {
        let file = put.key.as_str().rsplit('/').next().unwrap().to_owned();
        file.split('-').next().unwrap().parse().unwrap()
    });
    numbers.collect()
}

// ---- Slow -------------------------------------------------------------------------------

#[test]
fn a_slow_destination_is_left_behind_and_delays_no_other() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("slow", "slow");
    world
        .sinks
        .set_destination(&name("slow"), Health::Slow(Duration::from_secs(8)));
    world.append(["acme 1", "slow 1"]);
    let begun = world.clock.now();
    let report = world.run();
    let after = |id: &str| {
        let puts = world.sinks.puts();
        let put = puts.iter().find(|put| put.destination == name(id)).unwrap();
        put.at.duration_since(begun).as_secs()
    };
    // Five seconds of patience, then eight for the write of its own.
    assert_eq!((after("acme"), after("slow")), (0, 13));
    assert_eq!((report.left, report.rejoined, report.failures), (1, 1, 0));
    assert_eq!((report.plans, report.counts.delivered), (2, 2));
    assert_eq!(world.events("slow"), ["slow 1"]);
    assert!(world.is_member("slow"));
    let counts = world.cursor().members[&name("slow")].progress.counts;
    assert_eq!((counts.delivered, counts.objects), (1, 1));
}

#[test]
fn others_go_on_while_a_slow_one_works_and_nothing_of_it_is_lost() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("slow", "slow");
    world
        .sinks
        .set_destination(&name("slow"), Health::Slow(Duration::from_secs(8)));
    for number in 0..6 {
        let events = [format!("acme {number}"), format!("slow {number}")];
        world.append(events.iter().map(String::as_str));
        world.flush();
    }
    world.sinks.set_destination(&name("slow"), Health::Well);
    world.flush();
    assert!(world.is_member("slow"));
    let expected: Vec<String> = (0..6).map(|number| format!("slow {number}")).collect();
    assert_eq!(world.events("slow"), expected);
    assert_eq!(world.events("acme").len(), 6);
    assert_eq!(world.sinks.count(Replaced::Different), 0);
}

#[test]
fn what_is_too_much_for_one_run_goes_on_in_the_next_without_writing_it_twice() {
    let world = World::with(Settings {
        reserve: Duration::from_secs(45),
        ..Settings::default()
    });
    world.add("slow", "slow");
    world
        .sinks
        .set_destination(&name("slow"), Health::Slow(Duration::from_secs(8)));
    let events: Vec<String> = (0..8)
        .map(|hour| format!("slow {hour} thing.made {hour}"))
        .collect();
    world.append(events.iter().map(String::as_str));
    // Thirty seconds to begin something in: five of patience, then objects of eight.
    world.run();
    assert_eq!(world.left("slow").plan.unwrap().written, 4);
    world.run();
    assert_eq!(world.events("slow"), events);
    assert_eq!(world.sinks.puts().len(), 8);
    world.run();
    assert!(world.is_member("slow"));
    assert_eq!(world.sinks.puts().len(), 8);
}

// ---- Failing ----------------------------------------------------------------------------

#[test]
fn a_denied_destination_is_tried_again_at_growing_intervals_then_drains_in_order_and_rejoins() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("denied", "denied");
    world.sinks.set_destination(&name("denied"), Health::Denied);
    let attempts: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let (seen, clock) = (attempts.clone(), world.clock.clone());
    world.script.set(move |call| {
        if call.is(Verb::Open, "denied") {
            seen.lock().unwrap().push(clock.now());
        }
        Turn::Well
    });
    let begun = world.clock.now();
    for second in 0..1000 {
        if second % 100 == 0 {
            let number = second / 100;
            let events = [format!("acme {number}"), format!("denied {number}")];
            world.append(events.iter().map(String::as_str));
        }
        world.run();
        world.clock.advance(Duration::from_secs(1));
    }
    let attempts: Vec<i64> = attempts
        .lock()
        .unwrap()
        .iter()
        .map(|at| at.duration_since(begun).as_secs())
        .collect();
    assert_eq!(attempts, [0, 10, 30, 70, 150, 310, 610, 910]);
    assert_eq!(reason(&world, "denied"), LeftReason::Failed);
    let left = world.left("denied");
    assert_eq!((left.attempts, left.position.next.0), (8, 1));
    let failure = left.failure.unwrap();
    assert_eq!(failure.operation, "PutObject");
    assert_eq!(failure.code, "AccessDenied");
    assert_eq!(world.events("acme").len(), 10);

    world.sinks.set_destination(&name("denied"), Health::Well);
    world.clock.advance(Duration::from_secs(300));
    let report = world.run();
    assert_eq!((report.rejoined, report.failures), (1, 0));
    assert_eq!(report.counts.delivered, 10);
    assert!(world.is_member("denied"));
    let expected: Vec<String> = (0..10).map(|number| format!("denied {number}")).collect();
    assert_eq!(world.events("denied"), expected);
    // The first plan as it was recorded, then what has come since.
    assert_eq!(firsts(&world, "denied"), [1, 2]);
    world.append(["denied 10"]);
    world.flush();
    assert_eq!(firsts(&world, "denied"), [1, 2, 11]);
}

#[test]
fn a_way_in_that_cannot_be_opened_keeps_nobody_else_back() {
    for turn in [Turn::Invalid, Turn::Denied, Turn::Transient] {
        let world = World::new();
        world.add("acme", "acme");
        world.add("broken", "acme");
        world
            .script
            .set(move |call| match call.is(Verb::Open, "broken") {
                true => turn,
                false => Turn::Well,
            });
        world.append(["acme 1"]);
        let report = world.run();
        assert_eq!((report.left, report.counts.delivered), (1, 1), "{turn:?}");
        assert_eq!(world.events("acme"), ["acme 1"]);
        assert_eq!(reason(&world, "broken"), LeftReason::Failed);
        assert_eq!(world.left("broken").failure.unwrap().operation, "Open");
        world.append(["acme 2"]);
        world.flush();
        assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
        assert!(world.events("broken").is_empty());
    }
}

#[test]
fn a_write_whose_reply_was_lost_is_written_again_as_it_was() {
    let world = World::new();
    world.add("acme", "acme");
    world
        .sinks
        .set_destination(&name("acme"), Health::LostReply);
    world.append(["acme 1"]);
    assert_eq!(world.run().left, 1);
    world.sinks.set_destination(&name("acme"), Health::Well);
    assert_eq!(world.flush().rejoined, 1);
    assert_eq!(world.events("acme"), ["acme 1"]);
    assert_eq!(world.sinks.count(Replaced::Identical), 1);
    assert_eq!(world.sinks.count(Replaced::Different), 0);
}

#[test]
fn a_failure_in_the_middle_of_a_plan_is_gone_on_from_where_it_was() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1", "acme 2 thing.made 1", "acme 3 thing.made 2"]);
    let second = "audit/date=2023-07-10/hour=14/";
    world
        .script
        .set(move |call| match call.is(Verb::Put, second) {
            true => Turn::Transient,
            false => Turn::Well,
        });
    world.run();
    world.flush();
    assert_eq!(world.left("acme").plan.unwrap().written, 1);
    world.script.calm();
    world.flush();
    world.flush();
    assert_eq!(world.events("acme").len(), 3);
    // The first was written by the flush and once more by the own cursor, then no more.
    assert_eq!(
        world
            .script
            .count(Verb::Put, "audit/date=2023-07-10/hour=13/"),
        2
    );
}

#[test]
fn one_left_destinations_broken_document_keeps_no_other_left_one_back() {
    let world = World::new();
    for id in ["first", "second"] {
        world.add(id, "acme");
        world.sinks.set_destination(&name(id), Health::Transient);
    }
    world.append(["acme 1"]);
    assert_eq!(world.run().left, 2);
    for id in ["first", "second"] {
        world.sinks.set_destination(&name(id), Health::Well);
    }
    world.clock.advance(Duration::from_secs(20));
    world.script.set(
        |call| match call.is(Verb::Get, "delivery/0000/left/first") {
            true => Turn::Denied,
            false => Turn::Well,
        },
    );
    let error = world.try_run().unwrap_err();
    let crate::DeliveryError::Document(error) = error else {
        panic!("{error}");
    };
    assert!(matches!(
        error,
        sealift_core::document::DocumentError::Store(StoreError::Denied(_))
    ));
    assert_eq!(world.events("second"), ["acme 1"]);
    assert!(world.is_member("second") && world.is_left("first"));
}

// ---- Paused -----------------------------------------------------------------------------

#[test]
fn a_paused_destination_gets_nothing_and_all_of_it_when_it_is_resumed() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("other", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    world.append(["acme 2"]);
    world.flush();
    world.append(["acme 3"]);
    world.flush();
    assert_eq!(reason(&world, "acme"), LeftReason::Paused);
    assert_eq!(world.events("acme"), ["acme 1"]);
    assert_eq!(world.events("other"), ["acme 1", "acme 2", "acme 3"]);
    world.resume("acme");
    let report = world.flush();
    assert_eq!((report.rejoined, report.counts.delivered), (1, 2));
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 3"]);
    assert!(world.is_member("acme"));
}

#[test]
fn what_a_paused_destination_already_had_is_not_delivered_again_for_others_duplicates() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1", "acme 2"]);
    world.run();
    world.pause("acme");
    world.append(["acme 2", "acme 3", "other 9"]);
    world.flush();
    world.resume("acme");
    let report = world.flush();
    assert_eq!((report.counts.delivered, report.counts.duplicates), (1, 1));
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 3"]);
}

#[test]
fn a_failing_destination_that_is_paused_is_not_tried_until_it_is_resumed() {
    let world = World::new();
    world.add("acme", "acme");
    world.sinks.set_destination(&name("acme"), Health::Denied);
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    let tried = world.sinks.opened();
    for _ in 0..30 {
        world.flush();
    }
    assert_eq!(world.sinks.opened(), tried);
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.resume("acme");
    world.flush();
    assert_eq!(world.events("acme"), ["acme 1"]);
}

// ---- Starting somewhere else -------------------------------------------------------------

#[test]
fn a_destination_that_starts_in_the_past_gets_what_was_appended_since_and_nothing_before() {
    let world = World::new();
    world.add("other", "acme");
    let mut appended = Vec::new();
    for number in 0..40 {
        world.append([format!("acme {number:02}").as_str()]);
        appended.push(world.now_ms());
        world.flush();
    }
    for (id, start_ms, first) in [
        ("whole", 0, 0),
        ("exactly", appended[17], 17),
        ("just-after", appended[17] + 1, 18),
        ("just-before", appended[39] - 1, 39),
    ] {
        world.add_with(id, "acme", |destination| {
            destination.start_ms = Some(start_ms);
        });
        world.flush();
        let expected: Vec<String> = (first..40)
            .map(|number| format!("acme {number:02}"))
            .collect();
        assert_eq!(world.events(id), expected, "{id}");
        assert!(world.is_member(id), "{id}");
        assert_eq!(world.cursor().members[&name(id)].progress.gaps, [], "{id}");
    }
    world.append(["acme 40"]);
    world.flush();
    for id in ["whole", "exactly", "just-after", "just-before", "other"] {
        assert_eq!(world.events(id).last().unwrap(), "acme 40", "{id}");
    }
}

#[test]
fn a_destination_that_starts_now_gets_what_is_appended_from_then_on() {
    let world = World::new();
    world.add("other", "acme");
    world.append(["acme 1"]);
    world.run();
    world.clock.advance(Duration::from_secs(1));
    world.append(["acme 2"]);
    world.clock.advance(Duration::from_secs(1));
    let now_ms = world.now_ms();
    world.add_with("acme", "acme", |destination| {
        destination.start_ms = Some(now_ms);
    });
    world.append(["acme 3"]);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 3"]);
    assert_eq!(world.events("other"), ["acme 1", "acme 2", "acme 3"]);
    assert_eq!(
        world.cursor().generation,
        0,
        "it was left behind for nothing"
    );
}

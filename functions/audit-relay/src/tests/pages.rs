//! Pages: many entries in one instant, answers that are too large or take too long.

use sealift_core::export::source::SourceError;

use super::log::Fault;
use super::*;

#[test]
fn many_in_one_instant_are_all_relayed() {
    let world = World::new();
    let at = world.clock.now();
    let next = at.checked_add(SignedDuration::from_micros(1)).unwrap();
    for n in 0..39 {
        world.log.add(&format!("e{n}"), at);
    }
    for n in 0..20 {
        world.log.add(&format!("next{n}"), next);
    }
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.gaps), (59, 0));
    assert!(report.queries < 20, "{} queries", report.queries);
}

#[test]
fn more_in_one_instant_than_the_api_answers_is_told_and_does_not_hold_up_the_rest() {
    let world = World::new();
    let at = world.clock.now();
    for n in 0..50 {
        world.log.add(&format!("e{n:02}"), at);
    }
    world.pass(minutes(1));
    world.log.add("after", world.clock.now());
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.gaps), (41, 1));
    assert_eq!(world.times("after"), 1);
    let parked = world.parked();
    assert_eq!(
        (parked.len(), parked[0].1.reason.as_str()),
        (1, "unreadable")
    );
    assert!(parked[0].1.message.contains("2026-05-12T12:00:00Z"));
    for _ in 0..70 {
        let report = world.run_after(minutes(1));
        assert_eq!((report.relayed, report.gaps, report.parked), (0, 0, 0));
        assert!(report.queries < 10, "{} queries", report.queries);
    }
}

#[test]
fn a_crowded_instant_is_not_passed_in_silence_where_times_are_told_apart_less_finely() {
    let world = World::new();
    let at = world.clock.now();
    for n in 0..50 {
        world.log.add(&format!("e{n:02}"), at);
    }
    world.pass(minutes(1));
    world.log.add("after", world.clock.now());
    world.log.tells_no_microseconds();
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.gaps), (41, 1));
    assert!(report.queries < 30, "{} queries", report.queries);
    assert_eq!(world.times("after"), 1);
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_parts() {
    let world = World::new();
    for n in 0..60 {
        world.log.add(&format!("e{n}"), world.clock.now());
        world.pass(SignedDuration::from_secs(1));
    }
    // Two of them, and not three.
    world.log.holds(200);
    let report = world.run();
    assert_eq!((report.relayed, report.gaps), (60, 0));
}

#[test]
fn what_was_only_slow_is_not_given_up() {
    let world = World::new();
    let at = world.clock.now();
    for n in 0..8 {
        world.log.add(&format!("e{n}"), at);
    }
    world.pass(minutes(1));
    world.log.is_slow_from(1);
    let error = world.try_run().unwrap_err();
    assert!(
        matches!(error, RelayError::Source(SourceError::Transient(_))),
        "{error}"
    );
    // Not all of the instant can be had in time.
    world.log.is_slow_from(4);
    assert!(world.try_run().is_err());
    assert!(world.parked().is_empty());
    world.log.heal();
    world.run();
    assert_eq!(world.relayed().len(), 8);
    assert!(world.relayed().values().all(|times| *times == 1));
}

#[test]
fn an_answer_that_takes_too_long_is_asked_for_in_parts() {
    let world = World::new();
    for n in 0..8 {
        world.log.add(&format!("e{n}"), world.clock.now());
        world.pass(SignedDuration::from_secs(1));
    }
    world.log.is_slow_from(3);
    assert_eq!(world.run().relayed, 8);
}

#[test]
fn one_entry_that_is_too_large_to_be_read_is_told_and_does_not_hold_up_the_rest() {
    let world = World::new();
    world.log.holds(1000);
    world.log.add("before", world.clock.now());
    world.pass(SignedDuration::from_micros(1));
    let long = format!(r#","x":"{}""#, "x".repeat(1000));
    world
        .log
        .add_of("large", world.clock.now(), "project.updated", &long);
    world.pass(SignedDuration::from_micros(1));
    world.log.add("after", world.clock.now());
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.gaps), (2, 1));
    assert!(report.queries < 45, "{} queries", report.queries);
    let parked = world.parked();
    assert_eq!(parked.len(), 1);
    let stretch = "from 2026-05-12T12:00:00.000001Z until 2026-05-12T12:00:00.000002Z";
    assert!(
        parked[0].1.message.contains(stretch),
        "{}",
        parked[0].1.message
    );
    for _ in 0..70 {
        world.run_after(minutes(1));
    }
    assert_eq!(world.parked().len(), 1);
    assert!(world.relayed().values().all(|times| *times == 1));
    let gone = world.run_after(SignedDuration::from_hours(27));
    assert_eq!(gone.gaps, 0);
}

#[test]
fn a_large_entry_next_to_others_of_its_instant_is_read_alone() {
    let world = World::new();
    world.log.holds(1000);
    let at = world.clock.now();
    let long = format!(r#","x":"{}""#, "x".repeat(800));
    world.log.add_of("one", at, "project.updated", &long);
    world.pass(SignedDuration::from_micros(1));
    world
        .log
        .add_of("two", world.clock.now(), "project.updated", &long);
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.gaps), (2, 0));
}

#[test]
fn a_full_page_of_what_is_no_entry_holds_nothing_up() {
    let world = World::new();
    for n in 0..30 {
        world.log.add_unusable(world.clock.now(), &format!("[{n}]"));
        world.pass(SignedDuration::from_secs(1));
    }
    world.log.add("after", world.clock.now());
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.parked, report.gaps), (1, 30, 0));
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.parked), (0, 0));
}

#[test]
fn what_fails_in_the_middle_leaves_what_was_done() {
    for fault in [Fault::Throttled, Fault::Torn] {
        let world = World::new();
        for n in 0..20 {
            world.log.add(&format!("e{n}"), world.clock.now());
            world.pass(SignedDuration::from_secs(1));
        }
        world.log.faults([None, None, Some(fault)]);
        assert!(matches!(world.try_run(), Err(RelayError::Source(_))));
        assert!(world.relayed().len() >= 5);
        assert!(world.cursor().position > time(NOON));
        world.run();
        assert_eq!(world.relayed().len(), 20);
        assert!(world.relayed().values().all(|times| *times == 1));
    }
}

#[test]
fn each_run_reads_the_last_quarter_of_an_hour_again() {
    let world = World::new();
    for _ in 0..50 {
        world.run_after(minutes(1));
    }
    world.log.queries();
    world.run_after(minutes(1));
    let queries = world.log.queries();
    let [query] = queries.as_slice() else {
        panic!("{queries:?}");
    };
    assert_eq!(query.until, world.clock.now());
    let read = query.until.duration_since(query.from);
    assert!((minutes(15)..=minutes(21)).contains(&read), "{read}");
}

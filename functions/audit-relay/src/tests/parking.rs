//! What cannot be used.

use sealift_core::ports::StoreError;
use sealift_testkit::scripted::Turn;

use super::*;

#[test]
fn what_is_too_large_for_the_bus_is_parked_once_and_the_rest_goes_on() {
    let world = World::new();
    let long = format!(r#","x":"{}""#, "x".repeat(1024 * 1024));
    let at = world.clock.now();
    world.log.add_of("large", at, "project.updated", &long);
    world.log.add("small", at);
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.parked), (1, 1));
    for _ in 0..70 {
        assert_eq!(world.run_after(minutes(1)).parked, 0);
    }
    let parked = world.parked();
    let [(key, line)] = parked.as_slice() else {
        panic!("{} are parked", parked.len());
    };
    assert!(key.starts_with("parked/date=2026-05-12/"), "{key}");
    assert_eq!(line.reason, "too_large");
    let known = sealift_core::event::Shapes::default();
    let sealift_core::event::Reading::Events(events) =
        sealift_core::event::read(&line.body, &known)
    else {
        panic!();
    };
    assert_eq!(events[0].as_ref().unwrap().id, "large");
}

#[test]
fn what_is_no_entry_is_parked_once_with_its_reason() {
    let world = World::new();
    let at = world.clock.now();
    world.log.add_unusable(at, r#"{"id":"a","org_id":"org-1"}"#);
    world.log.add_unusable(at, "[1]");
    world.log.add_unusable(at, "{");
    let foreign = r#"{"id":"b","org_id":"org-2","created":"2026-05-12T12:00:00Z"}"#;
    world.log.add_text("b", at, "project.created", foreign);
    assert_eq!(world.run_after(minutes(1)).parked, 4);
    for _ in 0..70 {
        assert_eq!(world.run_after(minutes(1)).parked, 0);
    }
    let parked = world.parked();
    let mut reasons: Vec<&str> = parked.iter().map(|(_, p)| p.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["no_time", "not_an_object", "not_json", "other_organization"]
    );
    assert!(world.bus.entries().is_empty());
}

#[test]
fn what_the_bus_never_takes_is_parked_where_it_takes_others() {
    let world = World::new();
    for n in 0..4 {
        world.log.add(&format!("e{n}"), world.clock.now());
    }
    world.bus.refuse(2, StoreError::Invalid);
    let report = world.run_after(minutes(1));
    assert_eq!((report.relayed, report.parked), (3, 1));
    assert_eq!(world.parked()[0].1.reason, "refused_by_bus");
    assert_eq!(world.run_after(minutes(1)).relayed, 0);
}

#[test]
fn what_cannot_be_parked_is_not_taken_for_parked_and_does_not_hold_up_the_rest() {
    let world = World::new();
    world.log.add_unusable(world.clock.now(), "[1]");
    world.log.add("e1", world.clock.now());
    world.pass(minutes(1));
    world
        .script
        .first(Verb::Create, "parked/", [Turn::Transient, Turn::LosesReply]);
    for _ in 0..2 {
        assert!(matches!(world.try_run(), Err(RelayError::Parking(_))));
        assert_eq!(world.times("e1"), 1);
    }
    assert_eq!(world.run_after(minutes(1)).parked, 1);
    assert_eq!(world.parked().len(), 1, "at one key, however often");
}

#[test]
fn what_could_not_be_parked_is_not_passed_where_the_bus_fails_as_well() {
    let mut world = World::untouched();
    world.settings.start = Start::At(time("2026-05-01T00:00:00Z"));
    let foreign = r#"{"id":"b","org_id":"org-2","created":"2026-05-01T00:00:00Z"}"#;
    let at = time("2026-05-01T01:00:00Z");
    world.log.add_text("b", at, "project.created", foreign);
    world.log.add("e1", time("2026-05-01T02:00:00Z"));
    world.log.add("e2", time("2026-05-03T02:00:00Z"));
    world
        .script
        .first(Verb::Create, "parked/", [Turn::Transient]);
    world.bus.refuse(1, StoreError::Transient);
    assert!(matches!(world.try_run(), Err(RelayError::Parking(_))));
    assert_eq!((world.times("e1"), world.times("e2")), (1, 0));
    let report = world.run();
    assert_eq!((report.relayed, report.parked), (1, 1));
    assert_eq!((world.times("e1"), world.times("e2")), (1, 1));
}

//! Configuration that changes while there is something under way.

use std::time::Duration;

use sealift_core::delivery::{LeftReason, RETIRED_KEPT_MS};
use sealift_core::id::KeyPrefix;
use sealift_core::selection::Selection;
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::Health;

use super::{World, name};

/// A world in which a flush was killed when its plan stood and nothing was written yet.
fn with_open_plan() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.add("other", "acme");
    world.append(["acme 1 a.x", "acme 2 b.x"]);
    world.script.first(Verb::Open, "", [Turn::KilledBefore]);
    assert_eq!(world.run_or_die(), None);
    world.script.calm();
    assert_eq!(world.cursor().plan.unwrap().destinations.len(), 2);
    world
}

/// A world in which a destination is left behind with an open plan.
fn with_left_plan() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.sinks.set_destination(&name("acme"), Health::Denied);
    world.append(["acme 1"]);
    world.run();
    assert!(world.left("acme").plan.is_some());
    world
}

fn to_prefix(world: &World, prefix: &str) {
    let prefix = KeyPrefix::parse(prefix).unwrap();
    world.change("acme", |destination| destination.location.prefix = prefix);
}

// ---- Removed ----------------------------------------------------------------------------

#[test]
fn a_destination_that_is_removed_while_its_plan_is_open_gets_nothing_and_the_others_theirs() {
    let world = with_open_plan();
    world.remove("acme");
    let report = world.flush();
    assert_eq!((report.plans, report.counts.delivered), (1, 2));
    assert!(world.events("acme").is_empty());
    assert_eq!(world.events("other").len(), 2);
    // Who rides where is brought in line when the next plan is made.
    world.append(["acme 3 a.x"]);
    world.flush();
    assert!(!world.is_member("acme") && !world.is_left("acme"));
    assert!(world.events("acme").is_empty());
}

#[test]
fn a_left_destination_that_is_removed_is_forgotten_and_its_document_in_the_end_deleted() {
    let world = with_left_plan();
    world.flush();
    let documents = || {
        let keys = world.state.keys();
        keys.iter()
            .filter(|key| key.as_str().contains("/left/"))
            .count()
    };
    assert_eq!(documents(), 1);
    world.remove("acme");
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.flush();
    assert!(!world.is_left("acme"));
    assert_eq!((world.cursor().retired.len(), documents()), (1, 1));
    let kept = Duration::from_millis(RETIRED_KEPT_MS.unsigned_abs() + 1);
    world.clock.advance(kept);
    world.append(["nobody 1"]);
    world.run();
    assert_eq!((world.cursor().retired.len(), documents()), (0, 0));
    assert!(world.sinks.puts().is_empty());
}

#[test]
fn a_destination_that_is_removed_and_made_again_begins_anew() {
    let world = with_left_plan();
    world.remove("acme");
    world.flush();
    let now_ms = world.now_ms() + 1;
    world.add_with("acme", "acme", |destination| {
        destination.start_ms = Some(now_ms);
    });
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.clock.advance(Duration::from_secs(1));
    world.append(["acme 2"]);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 2"]);
    assert!(world.is_member("acme"));
}

#[test]
fn a_destination_that_is_another_organizations_now_gets_nothing_of_the_first() {
    for left in [false, true] {
        let world = if left {
            with_left_plan()
        } else {
            with_open_plan()
        };
        world.remove("acme");
        world.add("acme", "stranger");
        world.sinks.set_destination(&name("acme"), Health::Well);
        world.append(["stranger 1", "acme 9"]);
        world.flush();
        world.flush();
        assert_eq!(world.events("acme"), ["stranger 1"], "left: {left}");
        let member = &world.cursor().members[&name("acme")];
        assert_eq!(member.organization.as_str(), "stranger");
        assert_eq!(member.progress.counts.delivered, 1);
    }
}

// ---- Paused -----------------------------------------------------------------------------

#[test]
fn a_destination_that_is_paused_while_its_plan_is_open_takes_the_plan_along() {
    let world = with_open_plan();
    world.pause("acme");
    let report = world.flush();
    assert_eq!((report.left, report.counts.delivered), (1, 2));
    assert_eq!(
        world.cursor().left[&name("acme")].reason,
        LeftReason::Paused
    );
    let left = world.left("acme");
    assert_eq!(
        (left.attempts, left.not_before_ms, left.failure),
        (0, 0, None)
    );
    assert!(left.plan.is_some() && world.events("acme").is_empty());
    world.resume("acme");
    world.flush();
    assert_eq!(world.events("acme"), ["acme 1 a.x", "acme 2 b.x"]);
}

// ---- Moved ------------------------------------------------------------------------------

#[test]
fn a_moved_destinations_open_plan_is_finished_where_it_began_if_that_still_works() {
    let world = with_open_plan();
    to_prefix(&world, "new/");
    world.flush();
    world.append(["acme 3 a.x"]);
    world.flush();
    let keys: Vec<String> = world.objects("acme").into_keys().collect();
    assert_eq!(keys.len(), 2);
    assert!(
        keys[0].starts_with("audit/") && keys[1].starts_with("new/"),
        "{keys:?}"
    );
    assert_eq!(
        world.events("acme"),
        ["acme 1 a.x", "acme 2 b.x", "acme 3 a.x"]
    );
}

#[test]
fn a_moved_destinations_left_plan_is_finished_where_it_began_if_that_works_again() {
    let world = with_left_plan();
    to_prefix(&world, "new/");
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.append(["acme 2"]);
    world.flush();
    let keys: Vec<String> = world.objects("acme").into_keys().collect();
    assert_eq!(keys.len(), 2);
    assert!(
        keys[0].starts_with("audit/") && keys[1].starts_with("new/"),
        "{keys:?}"
    );
    assert!(world.is_member("acme"));
}

#[test]
fn a_moved_destinations_left_plan_is_made_anew_if_the_old_place_takes_it_no_more() {
    let world = with_left_plan();
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.script.set(|call| match call.is(Verb::Put, "audit/") {
        true => Turn::Denied,
        false => Turn::Well,
    });
    to_prefix(&world, "new/");
    world.append(["acme 2"]);
    let report = world.flush();
    // That the old place is gone is no failure of the new one.
    assert_eq!((report.failures, report.rejoined), (0, 1));
    let keys: Vec<String> = world.objects("acme").into_keys().collect();
    assert!(keys.iter().all(|key| key.starts_with("new/")), "{keys:?}");
    assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
    assert!(world.is_member("acme"));
}

#[test]
fn a_destination_that_moved_to_where_it_may_not_write_either_waits_there() {
    let world = with_left_plan();
    to_prefix(&world, "new/");
    world.flush();
    let left = world.left("acme");
    let plan = left.plan.unwrap();
    assert_eq!(plan.destination.location.prefix.as_str(), "new/");
    assert_eq!(left.attempts, 2);
    assert!(left.not_before_ms > world.now_ms());
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 1"]);
}

// ---- Selected otherwise ------------------------------------------------------------------

#[test]
fn an_open_plan_is_finished_with_the_selection_that_it_was_made_with() {
    let world = with_open_plan();
    world.change("acme", |d| d.include = Selection::parse(["b.*"]).unwrap());
    world.flush();
    world.append(["acme 3 a.x", "acme 4 b.x"]);
    world.flush();
    assert_eq!(
        world.events("acme"),
        ["acme 1 a.x", "acme 2 b.x", "acme 4 b.x"]
    );
}

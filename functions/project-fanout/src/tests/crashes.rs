//! What is cut off anywhere, and what happens twice at once.

use sealift_core::ports::StoreError;
use sealift_testkit::scripted::{Call, Turn};

use super::*;

/// Ends at the n-th request of the state, before or after it was done.
pub(super) fn cut_off(world: &World, nth: usize, turn: Turn) -> bool {
    let mut number = 0;
    let reached = Arc::new(Mutex::new(false));
    let seen = reached.clone();
    world.script.set(move |_: &Call| {
        number += 1;
        if number == nth + 1 {
            *seen.lock().unwrap() = true;
            turn
        } else {
            Turn::Well
        }
    });
    let fanout = world.fanout();
    let handled = fanout.handle(SWEEP, world.deadline());
    let _ = world.script.run(&world.clock, handled);
    world.script.calm();
    *reached.lock().unwrap()
}

#[test]
fn a_crash_anywhere_is_healed_by_the_next_sweep_with_the_same_names() {
    for turn in [
        Turn::Transient,
        Turn::LosesReply,
        Turn::KilledBefore,
        Turn::KilledAfter,
    ] {
        for nth in 0.. {
            let world = World::new();
            world.api.set("p1", "one");
            world.api.set("p2", "one");
            let reached = cut_off(&world, nth, turn);
            let drawn = world.ledger();
            world.clock.advance(Duration::from_mins(15));
            world.sweep();
            let automations = world.automations();
            assert_eq!(automations.len(), 2, "cut off at {nth}");
            let ledger = world.ledger();
            for (project, known) in &drawn.projects {
                let now = &ledger.projects[project];
                assert_eq!(now.slug, known.slug);
                for (template, before) in &known.automations {
                    let after = &now.automations[template];
                    assert_eq!((&after.id, after.start), (&before.id, before.start));
                    assert_eq!(after.external_id, before.external_id);
                    assert!(after.done);
                }
            }
            assert_eq!(world.sweep(), Applied::default());
            if !reached {
                assert!(nth > 10, "{nth} requests");
                break;
            }
        }
    }
}

#[test]
fn what_the_bus_did_not_take_is_told_by_the_next_sweep() {
    let world = World::new();
    world.api.set("p1", "one");
    world.bus.fail(1, StoreError::Transient);
    let applied = world.sweep();
    assert_eq!((applied.created, applied.untold), (0, 1));
    assert_eq!(world.automations().len(), 1, "it runs all the same");
    assert_eq!(world.sweep().created, 1);
    assert_eq!(world.told(), ["automation.provisioned"]);
    assert_eq!(world.sweep(), Applied::default());
}

#[test]
fn two_at_once_give_one_automation() {
    let world = World::new();
    world.api.set("p1", "one");
    let (first, second) = (world.fanout(), world.fanout());
    // Both have looked before either has written.
    let looked = [&first, &second].map(|f| f.look().now_or_never().unwrap().unwrap());
    for (fanout, situation) in [&first, &second].into_iter().zip(&looked) {
        assert_eq!(situation.plan.steps.len(), 1);
        let applied = fanout.apply(situation, world.deadline(), |_| ());
        applied.now_or_never().unwrap().unwrap();
    }
    assert_eq!(world.automations().len(), 1);
    assert_eq!(world.told(), ["automation.provisioned"]);
}

#[test]
fn what_cannot_be_provisioned_is_told_once_and_tried_again() {
    let world = World::new();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    // Somebody else's document lies where the first one's shall lie.
    let mut situation = world.fanout().look().now_or_never().unwrap().unwrap();
    situation.plan.steps.truncate(1);
    world
        .script
        .first(Verb::Create, "exports/automations/", [Turn::Denied]);
    let cut = world.fanout();
    let applied = cut.apply(&situation, world.deadline(), |_| ());
    assert!(applied.now_or_never().unwrap().is_err());
    let drawn = world.ledger().projects[&project("p1")].automations["Logs export"].clone();
    let foreign = Automation {
        id: drawn.id.clone(),
        organization: OrgId::parse("org-1").unwrap(),
        project_id: project("another"),
        name: "x".to_owned(),
        description: None,
        created_ms: 0,
        config: world.settings.templates[0].fill("x", drawn.external_id.as_ref().unwrap()),
        bucket_owner: None,
    };
    let fanout = world.fanout();
    let registered = fanout.registry.register(&foreign, drawn.start, 0);
    registered.now_or_never().unwrap().unwrap();
    world.bus.refuse(1, StoreError::Transient);
    let applied = world.sweep();
    assert_eq!(applied.created, 1, "the others get theirs");
    assert_eq!(applied.failed.len(), 1);
    assert_eq!(applied.failed[0].name, "one");
    assert!(applied.failed[0].message.contains("another configuration"));
    assert_eq!(world.told(), ["automation.provisioned"]);
    assert_eq!(world.sweep().failed.len(), 1);
    assert_eq!(
        world.told(),
        ["automation.failed"],
        "the bus did not take it before"
    );
    assert_eq!(world.sweep().failed.len(), 1);
    assert!(world.told().is_empty(), "a failure is told once");
}

#[test]
fn what_there_is_no_time_for_is_left_to_the_next_sweep() {
    let world = World::new();
    world.api.set("p1", "one");
    let fanout = world.fanout();
    let late = world
        .clock
        .now()
        .checked_add(Duration::from_secs(5))
        .unwrap();
    let applied = fanout.handle(SWEEP, late).now_or_never().unwrap().unwrap();
    assert_eq!((applied.created, applied.left), (0, 1));
    assert_eq!(world.writes(), 0);
    assert_eq!(world.sweep().created, 1);
}

#[test]
fn a_clock_that_goes_back_moves_no_start() {
    let world = World::new();
    world.api.set("p1", "one");
    world
        .script
        .first(Verb::Create, "exports/automations/", [Turn::Denied]);
    assert!(world.handle(SWEEP).is_err());
    let start = world.ledger().projects[&project("p1")].automations["Logs export"].start;
    let world = World {
        clock: VirtualClock::new("2025-11-21T11:00:00Z".parse().unwrap()),
        ..world
    };
    world.sweep();
    let registry = world.fanout().registry;
    let id = world.automations()[0].id.clone();
    let cursor = registry.cursor(&id).now_or_never().unwrap().unwrap();
    assert_eq!(cursor.body.position, start);
}

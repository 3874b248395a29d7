//! A registration is made once, whatever breaks: it sets the cursor anew.

use sealift_core::ports::StoreError;
use sealift_core::provision::ledger::Registration;

use super::plane::Turn;
use super::*;

const TURNS: [Turn; 6] = [
    Turn::Undone,
    Turn::LosesReply,
    Turn::KilledBefore,
    Turn::KilledAfter,
    Turn::Denied,
    Turn::Throttled,
];

/// One of two projects has an automation of somebody else's, which is not registered.
fn world() -> World {
    let world = World::managed();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    let config = world.settings.templates[0].config.clone();
    let mut config = serde_json::to_value(config).unwrap();
    config["credentials"]["external_id"] = json!("theirs");
    world.plane.put("p2", "by-hand", "Logs export", config);
    world
}

/// All is as it should be: nothing was lost, and nothing was done twice.
fn check(world: &World, when: &str) {
    for id in ["p1", "p2"] {
        assert_eq!(world.plane.of(id).len(), 1, "{when}: {id}");
        let entry = world.entry(id);
        assert!(entry.done && entry.claim.is_none(), "{when}: {entry:?}");
        assert_eq!(world.plane.resets(id), [entry.start], "{when}: {id}");
        assert_eq!(entry.remote, Some(world.plane.of(id)[0].id.clone()));
    }
    let told = world.bus.take();
    let ids: BTreeSet<String> = told
        .iter()
        .filter(|entry| entry.detail_type != "automation.failed")
        .map(|entry| {
            let line: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
            line["id"].as_str().unwrap().to_owned()
        })
        .collect();
    // However often they are told, they are the same three.
    let mine = world.entry("p1").remote.unwrap();
    let expected = [
        format!("provisioned-{mine}"),
        "registered-by-hand".to_owned(),
        format!("registered-{mine}"),
    ];
    assert_eq!(ids, BTreeSet::from(expected), "{when}");
    assert_eq!(world.later(), Applied::default(), "{when}");
}

#[test]
fn whatever_request_breaks_the_next_sweeps_complete_it_with_one_registration() {
    for turn in TURNS {
        for nth in 0.. {
            let world = world();
            let reached = Arc::new(Mutex::new(false));
            let (mut number, seen) = (0, reached.clone());
            world.plane.set(move |_| {
                number += 1;
                *seen.lock().unwrap() |= number == nth + 1;
                if number == nth + 1 { turn } else { Turn::Well }
            });
            let fanout = world.fanout();
            // A killed one never comes to its end, and is dropped where it stands.
            let _ = fanout.handle(SWEEP, world.deadline()).now_or_never();
            world.plane.calm();
            let drawn = world.entry("p1");
            world.later();
            world.later();
            let after = world.entry("p1");
            assert_eq!(
                (&after.id, &after.external_id, after.start),
                (&drawn.id, &drawn.external_id, drawn.start)
            );
            check(&world, &format!("{turn:?} at request {nth}"));
            if !*reached.lock().unwrap() {
                assert!(nth >= 6, "{nth} requests");
                break;
            }
        }
    }
}

#[test]
fn whatever_of_the_state_breaks_the_next_sweep_completes_it_with_one_registration() {
    use sealift_testkit::scripted::Turn as Of;
    for turn in [
        Of::Transient,
        Of::LosesReply,
        Of::KilledBefore,
        Of::KilledAfter,
        Of::RefusesOwn,
    ] {
        for nth in 0.. {
            let world = world();
            let reached = crashes::cut_off(&world, nth, turn);
            world.later();
            world.later();
            check(&world, &format!("{turn:?} at request {nth} of the state"));
            if !reached {
                assert!(nth > 6, "{nth} requests");
                break;
            }
        }
    }
}

#[test]
fn a_registration_whose_reply_was_lost_is_repeated_only_where_there_is_no_cursor() {
    for (turn, asked) in [
        (Turn::LosesReply, &["ask p1", "ask p1"][..]),
        (Turn::Undone, &["ask p1", "ask p1", "register p1"]),
        (Turn::KilledAfter, &["ask p1", "ask p1"]),
        (Turn::KilledBefore, &["ask p1", "ask p1", "register p1"]),
    ] {
        let world = World::managed();
        world.api.set("p1", "one");
        world.plane.first("register", [turn]);
        let fanout = world.fanout();
        let _ = fanout.handle(SWEEP, world.deadline()).now_or_never();
        let entry = world.entry("p1");
        assert_eq!(entry.registration, Some(Registration::Sent), "{turn:?}");
        world.plane.asked();
        assert_eq!(world.later().created, 1, "{turn:?}");
        assert_eq!(world.plane.asked(), asked, "{turn:?}");
        assert_eq!(world.plane.resets("p1").len(), 1, "{turn:?}");
        assert!(world.told().contains(&"cursor.reset".to_owned()));
    }
}

#[test]
fn where_the_cursors_tell_nothing_only_the_operator_has_it_registered_again() {
    let world = World::managed();
    world.api.set("p1", "one");
    world.plane.first("register", [Turn::Undone]);
    world.sweep();
    world.plane.calm();
    world.plane.be_silent(true);
    for _ in 0..3 {
        let applied = world.later();
        let message = &applied.failed[0].message;
        assert!(message.contains("--register-again"), "{message}");
    }
    assert!(world.plane.resets("p1").is_empty());
    world.clock.advance(Duration::from_mins(15));
    let fanout = world.fanout().registering_again(true);
    let applied = fanout.handle(SWEEP, world.deadline()).now_or_never();
    assert_eq!(applied.unwrap().unwrap().created, 1);
    assert_eq!(world.plane.resets("p1").len(), 1);
}

#[test]
fn two_calls_at_once_register_once() {
    let world = Arc::new(World::managed());
    world.api.set("p1", "one");
    // A second call comes before each request of the first one.
    let applied = Arc::new(Mutex::new(Vec::new()));
    let (other, second) = (world.clone(), applied.clone());
    world.plane.set(move |_| {
        second.lock().unwrap().push(other.sweep());
        Turn::Well
    });
    assert_eq!(world.sweep().created, 1);
    for second in applied.lock().unwrap().iter() {
        assert_eq!((second.created, second.left), (0, 1), "{second:?}");
        assert!(second.why_left.as_ref().unwrap().contains("another call"));
    }
    assert_eq!(applied.lock().unwrap().len(), 3);
    let asked = world.plane.asked();
    assert_eq!(
        asked,
        ["list p1", "create p1", "register p1"],
        "the others ask nothing"
    );
    assert_eq!(world.plane.of("p1").len(), 1);
    assert_eq!(world.plane.resets("p1").len(), 1);
    world.plane.calm();
    assert_eq!(world.sweep(), Applied::default());
}

#[test]
fn one_that_was_overtaken_registers_nothing() {
    let world = Arc::new(World::managed());
    world.api.set("p1", "one");
    // The first one hangs for longer than it may before each request; the others take over.
    let other = world.clone();
    world.plane.set(move |asked| {
        if asked == "create p1" {
            other.clock.advance(Duration::from_mins(11));
            assert_eq!(other.sweep().created, 1);
        }
        Turn::Well
    });
    let late = world
        .clock
        .now()
        .checked_add(Duration::from_hours(1))
        .unwrap();
    let fanout = world.fanout();
    let applied = fanout.handle(SWEEP, late).now_or_never().unwrap().unwrap();
    assert_eq!((applied.created, applied.left), (0, 1), "{applied:?}");
    assert_eq!(world.plane.of("p1").len(), 1);
    assert_eq!(world.plane.resets("p1").len(), 1);
    assert!(world.entry("p1").done);
}

#[test]
fn what_the_bus_did_not_take_is_told_without_another_request() {
    let world = World::managed();
    world.api.set("p1", "one");
    world.bus.refuse(1, StoreError::Transient);
    let applied = world.sweep();
    assert_eq!((applied.created, applied.untold), (0, 1));
    world.plane.asked();
    world.told();
    assert_eq!(world.later().created, 1);
    assert_eq!(world.told(), ["automation.provisioned", "cursor.reset"]);
    assert!(world.plane.asked().is_empty());
}

#[test]
fn an_older_data_plane_is_told_once_and_in_doubt_the_operator_decides() {
    for turn in [Turn::LosesReply, Turn::Undone, Turn::KilledBefore] {
        let world = World::managed();
        world.plane.be_old();
        world.api.set("p1", "one");
        world.api.set("p2", "two");
        world.plane.first("register p1", [turn]);
        let fanout = world.fanout();
        let _ = fanout.handle(SWEEP, world.deadline()).now_or_never();
        world.plane.calm();
        let made = world.plane.resets("p1").len();
        let applied = world.later();
        assert_eq!(applied.failed.len(), 1, "{turn:?}");
        assert!(applied.failed[0].message.contains("--register-again"));
        assert_eq!(world.plane.resets("p1").len(), made, "{turn:?}");
        assert_eq!(world.plane.resets("p2").len(), 1, "the others get theirs");
        let told = world.told();
        assert!(!told.contains(&"cursor.reset".to_owned()), "it has none");
        world.clock.advance(Duration::from_mins(15));
        let again = world.fanout().registering_again(true);
        let applied = again.handle(SWEEP, world.deadline()).now_or_never();
        assert_eq!(applied.unwrap().unwrap().created, 1);
        assert_eq!(world.plane.resets("p1").len(), made + 1);
        assert_eq!(world.later(), Applied::default());
    }
}

#[test]
fn an_older_data_planes_automation_that_was_found_is_taken_for_registered() {
    let world = world();
    world.plane.be_old();
    let applied = world.sweep();
    assert_eq!((applied.created, applied.adopted), (1, 1));
    assert!(world.plane.resets("p2").is_empty());
    assert_eq!(world.entry("p2").registration, Some(Registration::Found));
    // One that a crash kept from being registered is ours, and is.
    let world = World::managed();
    world.plane.be_old();
    world.api.set("p1", "one");
    world.plane.first("create", [Turn::KilledAfter]);
    let fanout = world.fanout();
    assert!(
        fanout
            .handle(SWEEP, world.deadline())
            .now_or_never()
            .is_none()
    );
    assert_eq!(world.later().created, 1);
    assert_eq!(world.plane.resets("p1").len(), 1);
}

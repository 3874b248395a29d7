//! The API's requests are few: how many a call takes, and who comes first.

use sealift_core::provision::ledger::Registration;

use super::plane::Turn;
use super::*;

#[test]
fn ten_thousand_projects_take_bounded_requests_a_call_and_none_when_they_are_done() {
    let world = World::managed();
    for number in 0..10_000 {
        world
            .api
            .set(&format!("p{number:05}"), &format!("Project {number}"));
    }
    for sweep in 1..=3 {
        let pages = world.api.requests();
        let applied = world.later();
        assert_eq!(world.api.requests() - pages, 10);
        let requests = world.plane.asked().len();
        assert!((190..=200).contains(&requests), "{requests}");
        assert_eq!(applied.created, 66);
        assert_eq!(applied.left, 10_000 - sweep * 66);
        let why = applied.why_left.unwrap();
        assert!(why.contains("SEALIFT_PROVISION_REQUESTS"), "{why}");
    }
    world.change_ledger(|ledger| {
        let mut taken = ledger.slugs();
        for number in 0..10_000 {
            let id = format!("p{number:05}");
            let known = ledger.project(&of(&project(&id), &id, None), &mut taken);
            let remote = AutomationId::parse(format!("remote-{id}")).unwrap();
            let start = sealift_core::id::XactId::ZERO;
            let entry = Provisioned {
                done: true,
                registration: Some(Registration::Made),
                ..Provisioned::new(remote, start, Mode::Managed)
            };
            known.automations.insert("Logs export".to_owned(), entry);
        }
    });
    let (pages, writes) = (world.api.requests(), world.writes());
    assert_eq!(world.later(), Applied::default());
    assert_eq!(world.api.requests() - pages, 10);
    assert!(world.plane.asked().is_empty());
    assert_eq!(world.writes(), writes);
}

#[test]
fn a_throttle_ends_the_call_fails_nothing_and_the_next_sweep_goes_on() {
    for (kind, registered) in [("list p2", 0), ("create p2", 0), ("register p2", 1)] {
        let world = World::managed();
        for id in ["p1", "p2", "p3"] {
            world.api.set(id, id);
        }
        world.plane.first(kind, [Turn::Throttled]);
        let applied = world.sweep();
        let counts = (applied.created, applied.left);
        assert_eq!(counts, (registered, 3 - registered), "{kind}");
        assert!(applied.failed.is_empty(), "{kind}");
        let why = applied.why_left.unwrap();
        assert!(why.contains("asks to wait 120 s"), "{why}");
        world.plane.asked();
        assert_eq!(world.later().created, 3 - registered, "{kind}");
        let again = world.plane.asked();
        assert!(!again.contains(&"create p1".to_owned()), "{again:?}");
        for id in ["p1", "p2", "p3"] {
            assert_eq!(world.plane.resets(id).len(), 1, "{kind}: {id}");
        }
        assert!(!world.told().contains(&"automation.failed".to_owned()));
    }
}

#[test]
fn a_refusal_is_told_once_and_goes_on_when_it_is_lifted() {
    let world = World::managed();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    let refuse = |asked: &str| match asked {
        "create p1" => Turn::Denied,
        _ => Turn::Well,
    };
    world.plane.set(refuse);
    let applied = world.sweep();
    assert_eq!((applied.created, applied.failed.len()), (1, 1));
    assert!(applied.failed[0].message.contains("you may not"));
    for _ in 0..3 {
        assert_eq!(world.later().failed.len(), 1);
    }
    let told = world.told();
    let failures = told.iter().filter(|kind| *kind == "automation.failed");
    assert_eq!(failures.count(), 1, "whatever its request's id: {told:?}");
    let writes = world.writes();
    world.plane.calm();
    assert_eq!(world.later().created, 1);
    assert!(world.writes() > writes);
    assert!(world.ledger().projects[&project("p1")].failures.is_empty());
}

#[test]
fn a_key_that_may_nothing_is_not_tried_on_every_project() {
    let world = World::managed();
    for number in 0..50 {
        world.api.set(&format!("p{number}"), "x");
    }
    world.plane.set(|_| Turn::Denied);
    let applied = world.sweep();
    assert_eq!((applied.failed.len(), applied.left), (3, 47));
    assert_eq!(world.plane.asked().len(), 3);
}

#[test]
fn those_that_fail_keep_no_other_waiting() {
    let mut world = World::managed();
    world.settings.requests = 12;
    for number in 0..30 {
        world.api.set(&format!("bad{number:02}"), "x");
    }
    let retention = json!({"event_type": "retention"});
    for number in 0..30 {
        let id = format!("bad{number:02}");
        world.plane.put(&id, &id, "Logs export", retention.clone());
    }
    for _ in 0..6 {
        world.later();
        assert!(world.plane.asked().len() <= 12);
    }
    world.api.set("good", "good");
    assert_eq!(world.later().created, 1, "it comes first");
    // Each of those that fail is tried again, sooner or later.
    let mut tried = BTreeSet::new();
    for _ in 0..200 {
        world.plane.asked();
        world.later();
        tried.extend(world.plane.asked());
    }
    assert_eq!(tried.len(), 30);
}

//! Projects that are gone, and come back.

use sealift_core::export::automation::AutomationStatus;
use serde_json::Value;

use super::*;

fn paused(world: &World, id: &AutomationId, paused: bool) {
    let now_ms = world.clock.now().as_millisecond();
    let fanout = world.fanout();
    let set = fanout.registry.set_active(id, !paused, now_ms);
    set.now_or_never().unwrap().unwrap();
}

/// The statuses before and after, of what the bus was told.
fn switches(world: &World) -> Vec<(String, String)> {
    let entries = world.bus.take().into_iter();
    let updates = entries.filter(|entry| entry.detail_type == "automation.updated");
    updates
        .map(|entry| {
            let line: Value = serde_json::from_str(&entry.detail).unwrap();
            let status = |when: &str| line[when]["status"].as_str().unwrap().to_owned();
            (status("before_changes"), status("after_changes"))
        })
        .collect()
}

fn pair(before: &str, after: &str) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

/// Two projects with their automations; the first one's is what matters.
fn world() -> (World, AutomationId) {
    let world = World::new();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    world.sweep();
    world.told();
    let id = world.entry("p1").id;
    (world, id)
}

#[test]
fn one_that_its_operator_had_paused_stays_paused_when_its_project_is_back() {
    let (world, id) = world();
    paused(&world, &id, true);
    world.api.remove("p1");
    assert_eq!(world.sweep().stopped, 1);
    assert!(switches(&world).is_empty(), "nothing was changed");
    world.api.set("p1", "one");
    assert_eq!(world.sweep().restarted, 1);
    assert!(!world.is_active(&id));
    assert!(switches(&world).is_empty());
    let entry = world.entry("p1");
    assert!(!entry.stopped && entry.halt.is_none());
    assert_eq!(world.sweep(), Applied::default());
}

#[test]
fn what_the_audit_log_says_of_before_is_true() {
    let (world, id) = world();
    world.api.remove("p1");
    world.sweep();
    assert_eq!(switches(&world), [pair("active", "paused")]);
    // Its operator has it go on before the project is back.
    paused(&world, &id, false);
    world.api.set("p1", "one");
    assert_eq!(world.sweep().restarted, 1);
    assert!(world.is_active(&id));
    assert!(switches(&world).is_empty());
    world.api.remove("p1");
    world.sweep();
    world.api.set("p1", "one");
    world.sweep();
    let both = [pair("active", "paused"), pair("paused", "active")];
    assert_eq!(switches(&world), both);
}

#[test]
fn a_crash_at_any_request_loses_neither_what_it_was_before_nor_what_is_told() {
    use sealift_testkit::scripted::Turn;
    for was_paused in [false, true] {
        for turn in [
            Turn::Transient,
            Turn::LosesReply,
            Turn::KilledBefore,
            Turn::KilledAfter,
        ] {
            for nth in 0.. {
                let (world, id) = world();
                paused(&world, &id, was_paused);
                world.api.remove("p1");
                let first = crashes::cut_off(&world, nth, turn);
                // The project may be back before the stop was completed.
                if nth % 2 == 0 {
                    world.sweep();
                    assert!(!world.is_active(&id));
                }
                world.api.set("p1", "one");
                let second = crashes::cut_off(&world, nth, turn);
                world.sweep();
                let when = format!("{turn:?} at {nth}, paused: {was_paused}");
                assert_eq!(world.is_active(&id), !was_paused, "{when}");
                let entry = world.entry("p1");
                assert!(!entry.stopped && entry.halt.is_none(), "{when}: {entry:?}");
                let told: BTreeSet<_> = switches(&world).into_iter().collect();
                let both = [pair("active", "paused"), pair("paused", "active")];
                let possible = if was_paused {
                    BTreeSet::new()
                } else {
                    BTreeSet::from(both)
                };
                assert!(told.is_subset(&possible), "{when}: {told:?}");
                if nth % 2 == 0 {
                    assert_eq!(told, possible, "{when}");
                }
                assert_eq!(world.sweep(), Applied::default(), "{when}");
                if !first && !second {
                    assert!(nth > 6, "{nth} requests");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_ledger_of_before_restarts_what_it_had_stopped() {
    let (world, id) = world();
    world.api.remove("p1");
    world.sweep();
    // As an earlier version has left it.
    world.change_ledger(|ledger| {
        let known = ledger.projects.get_mut(&project("p1")).unwrap();
        known.automations.get_mut("Logs export").unwrap().halt = None;
    });
    world.told();
    world.api.set("p1", "one");
    assert_eq!(world.sweep().restarted, 1);
    assert!(world.is_active(&id));
    assert_eq!(switches(&world), [pair("paused", "active")]);
}

#[test]
fn an_automation_that_was_deleted_by_hand_is_stopped_and_restarted_without_a_word() {
    let (world, id) = world();
    let fanout = world.fanout();
    fanout.registry.remove(&id).now_or_never().unwrap().unwrap();
    world.api.remove("p1");
    assert_eq!(world.sweep().stopped, 1);
    world.api.set("p1", "one");
    assert_eq!(world.sweep().restarted, 1);
    assert!(world.told().is_empty());
    assert_eq!(world.sweep(), Applied::default());
}

#[test]
fn of_many_missing_projects_each_is_asked_about_in_its_turn() {
    let world = World::new();
    for number in 0..50 {
        world.api.set(&format!("p{number:02}"), "x");
    }
    world.api.set("there", "there");
    world.sweep();
    // Of 50 that the list lacks, three are gone, behind many that are only not to be seen.
    for number in 0..50 {
        world.api.hide(&format!("p{number:02}"));
    }
    for id in ["p05", "p25", "p45"] {
        world.api.0.lock().unwrap().hidden.remove(&project(id));
        world.api.remove(id);
    }
    let requests = world.api.requests();
    let stopped: Vec<usize> = (0..3).map(|_| world.sweep().stopped).collect();
    assert_eq!(stopped.iter().sum::<usize>(), 3, "{stopped:?}");
    assert_eq!(
        world.api.requests() - requests,
        3 * 21,
        "20 and the page each time"
    );
    let entry = world.entry("p45");
    assert_eq!(entry.halt.unwrap().before, AutomationStatus::Active);
}

#[test]
fn one_project_that_the_api_fails_on_keeps_no_other_from_its_automation() {
    let (world, _) = world();
    world.api.remove("p1");
    world.api.set("p3", "three");
    world.api.0.lock().unwrap().breaks.insert(project("p1"));
    let applied = world.sweep();
    assert_eq!((applied.created, applied.stopped), (1, 0));
}

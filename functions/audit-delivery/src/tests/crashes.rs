//! Processes that are killed anywhere, and processes that work at once: what is delivered in
//! the end is the same as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use sealift_core::delivery::{LeftCursor, PlannedObject, ShardCursor};
use sealift_core::gzip::Level;
use sealift_core::id::{BucketName, ObjectKey};
use sealift_core::partition::hex;
use sealift_testkit::scripted::{Call, Turn, Verb};
use sealift_testkit::sinks::{Health, Replaced};
use sealift_testkit::{MemoryStore, SeededEntropy};
use sha2::{Digest, Sha256};

use super::{World, name};

/// Two destinations, one of which is left behind with an open plan, and more ahead for both.
fn world() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.add("ill", "ill");
    world.sinks.set_destination(&name("ill"), Health::Denied);
    world.append(["acme 1", "ill 1", "ill 2 thing.made 1"]);
    world.run();
    world.sinks.set_destination(&name("ill"), Health::Well);
    world.append(["acme 2", "acme 3 thing.made 1", "ill 3"]);
    world.append(["acme 4", "acme 2", "ill 4", "ill 3"]);
    world.clock.advance(world.settings.flush_interval);
    world
}

type Buckets = BTreeMap<String, BTreeMap<ObjectKey, Bytes>>;

fn buckets(world: &World) -> Buckets {
    let objects = |id: &str| world.sinks.objects(&BucketName::parse(id).unwrap());
    ["acme", "ill"]
        .map(|id| (id.to_owned(), objects(id)))
        .into()
}

/// What the open plans in a state bucket say will be written at a key.
fn planned(state: &MemoryStore, key: &str) -> Vec<PlannedObject> {
    let mut plans = Vec::new();
    for document in state.keys() {
        let place = document.as_str();
        if place.contains("/left/") {
            let place = sealift_core::document::Place::<LeftCursor>::new(document);
            let left = place.load(state).now_or_never().unwrap().unwrap().unwrap();
            plans.extend(left.body.plan.map(|plan| plan.destination));
        } else if place.starts_with("delivery/") {
            let read = ShardCursor::place(0).load(state).now_or_never().unwrap();
            let shard = read.unwrap().unwrap().body;
            plans.extend(
                shard
                    .plan
                    .into_iter()
                    .flat_map(|plan| plan.destinations.into_values()),
            );
            let begun = shard.left.into_values().filter_map(|left| left.begin.plan);
            plans.extend(begun.map(|plan| plan.destination));
        }
    }
    let objects = plans.into_iter().flat_map(|plan| plan.objects);
    objects
        .filter(|object| object.key.as_str() == key)
        .collect()
}

/// Notes at each write what the plans say of it at that moment.
#[derive(Clone, Default)]
struct Manifest(Arc<Mutex<BTreeMap<String, Vec<PlannedObject>>>>);

impl Manifest {
    fn note(&self, state: &MemoryStore, call: &Call) {
        if call.verb == Verb::Put {
            let planned = planned(state, &call.at);
            assert!(!planned.is_empty(), "{} was not planned", call.at);
            self.0
                .lock()
                .unwrap()
                .entry(call.at.clone())
                .or_default()
                .extend(planned);
        }
    }

    /// Every object that was written must have been recorded before, as it is.
    fn check(&self, world: &World) {
        let noted = self.0.lock().unwrap();
        for put in world.sinks.puts() {
            let Some(noted) = noted.get(put.key.as_str()) else {
                continue;
            };
            let sha256 = hex(&Sha256::digest(&put.bytes));
            let recorded = noted
                .iter()
                .any(|object| object.sha256 == sha256 && object.size == put.bytes.len() as u64);
            assert!(recorded, "{} was written otherwise than planned", put.key);
        }
    }
}

/// Runs until nothing is left to do.
fn finish(world: &World) {
    for _ in 0..4 {
        world.flush();
    }
    assert!(world.is_member("acme") && world.is_member("ill"));
    assert_eq!(world.cursor().plan, None);
}

#[test]
fn whichever_call_a_process_is_killed_at_the_next_one_ends_at_the_same() {
    let undisturbed = world();
    undisturbed.run();
    finish(&undisturbed);
    let expected = buckets(&undisturbed);
    assert_eq!(expected.values().map(BTreeMap::len).sum::<usize>(), 6);
    let mut kills = 0;
    for turn in [Turn::KilledBefore, Turn::KilledAfter] {
        for victim in 0.. {
            let mut world = world();
            let (calls, manifest) = (Arc::new(AtomicUsize::new(0)), Manifest::default());
            let (count, notes, state) = (calls.clone(), manifest.clone(), world.state.clone());
            world.script.set(move |call| {
                notes.note(&state, call);
                match count.fetch_add(1, Ordering::Relaxed) == victim {
                    true => turn,
                    false => Turn::Well,
                }
            });
            let killed = world.run_or_die().is_none();
            let what = format!("{turn:?} {:?}", world.script.calls().get(victim));
            // What is warm in one process is cold in the next.
            world.restart(|_| ());
            let (notes, state) = (manifest.clone(), world.state.clone());
            world.script.set(move |call| {
                notes.note(&state, call);
                Turn::Well
            });
            finish(&world);
            assert_eq!(buckets(&world), expected, "{what}");
            assert_eq!(world.sinks.count(Replaced::Different), 0, "{what}");
            let counts = |id| world.cursor().members[&name(id)].progress.counts;
            assert_eq!(
                (counts("acme").delivered, counts("acme").duplicates),
                (4, 1),
                "{what}"
            );
            assert_eq!(
                (counts("ill").delivered, counts("ill").duplicates),
                (4, 1),
                "{what}"
            );
            manifest.check(&world);
            if !killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 60, "only {kills} calls");
}

#[test]
fn whichever_call_fails_or_loses_its_reply_the_next_run_ends_at_the_same() {
    let undisturbed = world();
    undisturbed.run();
    finish(&undisturbed);
    let events = ["acme", "ill"].map(|id| undisturbed.events(id));
    for turn in [
        Turn::Transient,
        Turn::Conflict,
        Turn::LosesReply,
        Turn::RefusesOwn,
    ] {
        for victim in 0.. {
            let world = world();
            let count = AtomicUsize::new(0);
            world.script.set(
                move |_| match count.fetch_add(1, Ordering::Relaxed) == victim {
                    true => turn,
                    false => Turn::Well,
                },
            );
            let _ = world.try_run();
            let calls = world.script.calls();
            world.script.calm();
            finish(&world);
            let what = format!("{turn:?} {:?}", calls.get(victim));
            for (id, expected) in ["acme", "ill"].into_iter().zip(&events) {
                let mut events = world.events(id);
                let mut expected = expected.clone();
                events.sort();
                expected.sort();
                assert_eq!(events, expected, "{what}");
            }
            assert_eq!(world.sinks.count(Replaced::Different), 0, "{what}");
            if victim >= calls.len() {
                break;
            }
        }
    }
}

#[test]
fn a_worker_whose_reply_was_lost_knows_its_own_write_and_is_not_overtaken() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.script.set(|call| match call.verb {
        Verb::Create | Verb::Swap => Turn::RefusesOwn,
        _ => Turn::Well,
    });
    let report = world.run();
    assert_eq!((report.plans, report.overtaken), (1, false));
    assert_eq!(world.events("acme"), ["acme 1"]);
    // The floor, and the cursor made, planned and committed.
    let writes = [Verb::Create, Verb::Swap].map(|verb| world.script.count(verb, ""));
    assert_eq!(writes, [1, 3]);
}

#[test]
fn another_encoder_records_what_it_will_write_before_it_overwrites() {
    for left in [false, true] {
        let mut world = World::new();
        world.add("acme", "acme");
        world.append(["acme 1"]);
        world.append(["acme 2"]);
        let small_bytes = world.settings.encoding.small_bytes;
        if left {
            world
                .sinks
                .set_destination(&name("acme"), Health::LostReply);
            world.run();
            world.sinks.set_destination(&name("acme"), Health::Well);
            world.clock.advance(world.settings.flush_interval);
        } else {
            // Written, but not committed.
            world.script.first(Verb::Put, "audit/", [Turn::KilledAfter]);
            assert_eq!(world.run_or_die(), None);
        }
        world.restart(|settings| {
            settings.encoding.small_bytes = 0;
            settings.encoding.level = Level::new(1).unwrap();
        });
        assert_ne!(small_bytes, 0);
        let (manifest, state) = (Manifest::default(), world.state.clone());
        let notes = manifest.clone();
        world.script.set(move |call| {
            notes.note(&state, call);
            Turn::Well
        });
        world.run();
        assert_eq!(world.sinks.count(Replaced::Different), 1, "left: {left}");
        assert_eq!(world.events("acme"), ["acme 1", "acme 2"], "left: {left}");
        // Only what was overwritten was noted, so the first writing is not looked at.
        let last = world.sinks.puts().pop().unwrap();
        let noted = manifest.0.lock().unwrap()[last.key.as_str()].clone();
        let sha256 = hex(&Sha256::digest(&last.bytes));
        assert!(
            noted.iter().any(|object| object.sha256 == sha256),
            "left: {left}"
        );
        let counts = world.cursor().members[&name("acme")].progress.counts;
        assert_eq!(counts.object_bytes, last.bytes.len() as u64, "left: {left}");
    }
}

#[test]
fn another_look_back_does_not_change_an_open_plan() {
    let mut world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1", "acme 1", "acme 2"]);
    world.script.first(Verb::Put, "audit/", [Turn::KilledAfter]);
    assert_eq!(world.run_or_die(), None);
    world.restart(|settings| settings.lookback_ms = -1);
    world.run();
    assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
    assert_eq!(world.sinks.count(Replaced::Identical), 1);
}

#[test]
fn processes_that_work_at_once_deliver_each_event_once() {
    for seed in 0..150 {
        let world = world();
        let chance = SeededEntropy::new(seed);
        world
            .script
            .set(move |_| Turn::Late(u32::try_from(chance.next_u64() % 6).unwrap()));
        let deadline = world.clock.now() + std::time::Duration::from_secs(75);
        let workers = [world.new_delivery(), world.new_delivery()];
        let runs = workers.iter().map(|delivery| delivery.run(deadline));
        let all = futures_util::future::join_all(runs);
        let reports = world.script.run(&world.clock, all).unwrap();
        let delivered: u64 = reports.iter().flatten().map(|r| r.counts.delivered).sum();
        assert!(delivered <= 7, "seed {seed}: {delivered} were committed");
        world.script.calm();
        finish(&world);
        for (id, expected) in [("acme", 4), ("ill", 4)] {
            let mut events = world.events(id);
            events.sort();
            events.dedup();
            let all = world.objects(id).into_values().flatten().count();
            assert_eq!(
                (events.len(), all),
                (expected, expected),
                "seed {seed}: {id}"
            );
            let counts = world.cursor().members[&name(id)].progress.counts;
            assert_eq!(counts.delivered, expected as u64, "seed {seed}: {id}");
        }
        assert_eq!(world.sinks.count(Replaced::Different), 0, "seed {seed}");
    }
}

//! Replays of which something is gone, wrong, killed or done twice.

use std::time::Duration;

use sealift_core::delivery::GapReason;
use sealift_core::delivery::replay::ReplayState;
use sealift_core::id::{BucketName, KeyPrefix, ReplayId, Sequence};
use sealift_core::log::segment_key;
use sealift_testkit::scripted::Turn;
use sealift_testkit::sinks::{Health, Replaced};

use super::{World, ask, events, name, read, replayed, world, world_with};

#[test]
fn what_has_expired_is_a_gap_of_the_replay_and_the_rest_is_delivered() {
    for lost in [1, 2] {
        let world = world_with(|settings| settings.plan_segments = 1);
        let replay = ask(&world, "acme", "13:00", "16:00");
        if lost > 1 {
            // It has begun, and waits with a plan of the first segment.
            world
                .sinks
                .set_destination(&name("acme"), Health::Transient);
            world.run();
            world.sinks.set_destination(&name("acme"), Health::Well);
            world.clock.advance(Duration::from_mins(1));
        }
        world.log.remove_now(&segment_key(Sequence(lost))).unwrap();
        world.run();
        let done = read(&world, "acme", &replay);
        assert_eq!(done.state, ReplayState::Done, "lost {lost}");
        let gaps: Vec<_> = done.gaps.iter().map(|g| (g.last, g.reason)).collect();
        assert_eq!(gaps, [(Some(Sequence(lost)), GapReason::Expired)]);
        let mut there = events(&world, "acme", &replay);
        there.sort();
        let of_others = if lost == 1 {
            "acme 3 a.x 1"
        } else {
            "acme 2 b.x 1"
        };
        assert!(there.contains(&of_others.to_owned()), "{there:?}");
        assert!(there.contains(&"acme 4 a.x 0".to_owned()), "{there:?}");
        // The live stream has missed nothing, and nobody is told that it has.
        let records = crate::tests::telling::records(&world, "acme");
        assert!(records.is_empty());
    }
}

#[test]
fn a_log_made_anew_ends_it() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    world
        .sinks
        .set_destination(&name("acme"), Health::Transient);
    world.run();
    for key in world.log.keys() {
        world.log.remove_now(&key);
    }
    world.append(["acme 7 a.x 0"]);
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.clock.advance(Duration::from_mins(1));
    world.run();
    world.flush();
    let ended = read(&world, "acme", &replay);
    assert_eq!(ended.state, ReplayState::Done);
    assert!(!ended.gaps.is_empty());
    assert!(events(&world, "acme", &replay).is_empty());
}

#[test]
fn one_that_can_never_be_finished_says_why() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    let long = format!("{}/", "x".repeat(500));
    let prefix = KeyPrefix::parse(long).unwrap();
    world.change("acme", |d| d.location.prefix = prefix);
    world.run();
    let failed = read(&world, "acme", &replay);
    assert_eq!(failed.state, ReplayState::Failed);
    assert!(failed.failure.unwrap().message.contains("512 bytes"));
    let old = ask(&world, "acme", "13:00", "16:00");
    world.pause("acme");
    world.clock.advance(Duration::from_hours(24 * 31));
    world.resume("acme");
    world.run();
    let failed = read(&world, "acme", &old);
    assert_eq!(failed.state, ReplayState::Failed);
    assert!(failed.failure.unwrap().message.contains("30 days"));
}

#[test]
fn the_replay_of_one_that_was_created_again_is_not_its_own() {
    let world = world();
    let replay = ask(&world, "acme", "13:00", "16:00");
    let listed = replay.clone();
    world.remove("acme");
    world.add_with("acme", "acme", |destination| {
        destination.created_ms = Some(5);
        destination.replays = vec![listed];
    });
    world.flush();
    assert_eq!(read(&world, "acme", &replay).begun, None);
    assert!(events(&world, "acme", &replay).is_empty());
}

#[test]
fn one_without_a_document_keeps_nobody_back() {
    let world = world();
    world.change("acme", |d| d.replays.push(ReplayId::parse("gone").unwrap()));
    let replay = ask(&world, "acme", "13:00", "16:00");
    world.run();
    assert_eq!(read(&world, "acme", &replay).state, ReplayState::Done);
}

#[test]
fn whichever_call_goes_wrong_it_ends_at_the_same() {
    let scene = || {
        let world = world_with(|settings| settings.plan_segments = 2);
        let replay = ask(&world, "acme", "13:00", "15:00");
        (world, replay)
    };
    let finish = |world: &World| {
        for _ in 0..5 {
            world.flush();
        }
    };
    let (undisturbed, replay) = scene();
    finish(&undisturbed);
    let expected = replayed(&undisturbed, "acme", &replay);
    let counts = read(&undisturbed, "acme", &replay).counts;
    assert_eq!(expected.len(), 3);
    for turn in [
        Turn::KilledBefore,
        Turn::KilledAfter,
        Turn::Transient,
        Turn::Conflict,
        Turn::LosesReply,
        Turn::RefusesOwn,
    ] {
        for victim in 0.. {
            let (mut world, replay) = scene();
            let begun = world.script.calls().len();
            let mut count = 0;
            world.script.set(move |_| {
                count += 1;
                match count - 1 == victim {
                    true => turn,
                    false => Turn::Well,
                }
            });
            let _ = world.run_or_die();
            let calls = world.script.calls().split_off(begun);
            world.restart(|_| ());
            world.script.calm();
            finish(&world);
            let what = format!("{turn:?} {:?}", calls.get(victim));
            assert_eq!(replayed(&world, "acme", &replay), expected, "{what}");
            let done = read(&world, "acme", &replay);
            assert_eq!(
                (done.state, done.counts),
                (ReplayState::Done, counts),
                "{what}"
            );
            assert_eq!(world.sinks.count(Replaced::Different), 0, "{what}");
            if victim >= calls.len() {
                assert!(victim > 20, "only {victim} calls");
                break;
            }
        }
    }
}

#[test]
fn workers_at_once_replay_each_event_once() {
    for seed in 0..60 {
        let world = world_with(|settings| settings.plan_segments = 1);
        let replay = ask(&world, "acme", "13:00", "16:00");
        let chance = sealift_testkit::SeededEntropy::new(seed);
        world
            .script
            .set(move |_| Turn::Late(u32::try_from(chance.next_u64() % 6).unwrap()));
        let deadline = world.clock.now() + Duration::from_secs(75);
        let workers = [world.new_delivery(), world.new_delivery()];
        let runs = workers.iter().map(|delivery| delivery.run(deadline));
        let all = futures_util::future::join_all(runs);
        world.script.run(&world.clock, all).unwrap();
        world.script.calm();
        world.flush();
        let mut found = events(&world, "acme", &replay);
        found.sort();
        found.dedup();
        let bucket = BucketName::parse("acme").unwrap();
        let objects = world.sinks.objects(&bucket);
        let all = objects.keys().filter(|k| k.as_str().contains("_replays/"));
        assert_eq!((found.len(), all.count()), (5, 5), "seed {seed}");
        let done = read(&world, "acme", &replay);
        assert_eq!(done.counts.delivered, 5, "seed {seed}");
        assert_eq!(world.sinks.count(Replaced::Different), 0, "seed {seed}");
    }
}

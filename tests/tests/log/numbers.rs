//! Numbers that are never used twice, and the floor that keeps them from it.

use std::time::Duration;

use futures_util::future::join_all;
use sealift_core::id::{ObjectKey, Sequence};
use sealift_core::log::{Appended, IDLE_BEFORE_NEW_EPOCH};
use sealift_testkit::SeededEntropy;
use sealift_testkit::scripted::Turn;

use super::{World, draft};

#[test]
fn numbers_below_the_floor_are_not_used_again_when_their_segments_are_gone() {
    let world = World::new();
    let epoch = world.append("a").unwrap().epoch;
    world.append("b").unwrap();
    world.raise_floor(&epoch, 3).unwrap();
    world.clock.advance(Duration::from_hours(5 * 24));
    world.expire_all();
    let appended = world.append("c").unwrap();
    assert_eq!((appended.sequence, &appended.epoch), (Sequence(3), &epoch));
    world.append("d").unwrap();
    assert_eq!(world.numbers(), [3, 4]);
}

#[test]
fn a_log_that_stood_empty_for_long_begins_a_new_epoch_from_its_floor_on() {
    let idle = |time: Duration| {
        let world = World::new();
        let old = world.append("a").unwrap().epoch;
        world.raise_floor(&old, 2).unwrap();
        world.expire_all();
        world.clock.advance(time);
        let appended = world.append("b").unwrap();
        let head = world.head().unwrap();
        let new = appended.epoch != old;
        assert_eq!(appended.sequence, Sequence(2));
        assert_eq!((&head.epoch, head.floor), (&appended.epoch, Sequence(2)));
        assert_eq!(head.start, Sequence(if new { 2 } else { 1 }));
        new
    };
    assert!(!idle(
        IDLE_BEFORE_NEW_EPOCH.saturating_sub(Duration::from_millis(1))
    ));
    assert!(idle(IDLE_BEFORE_NEW_EPOCH));
}

#[test]
fn a_log_with_a_segment_above_its_floor_keeps_its_epoch_however_long_it_idled() {
    let world = World::new();
    let epoch = world.append("a").unwrap().epoch;
    world.clock.advance(IDLE_BEFORE_NEW_EPOCH * 5);
    let appended = world.append("b").unwrap();
    assert_eq!((appended.sequence, appended.epoch), (Sequence(2), epoch));
}

#[test]
fn writers_that_race_for_a_new_epoch_agree_on_one() {
    for seed in 0..60 {
        let world = World::new();
        let old = world.append("a").unwrap().epoch;
        world.raise_floor(&old, 2).unwrap();
        world.expire_all();
        world.clock.advance(IDLE_BEFORE_NEW_EPOCH);
        let chance = SeededEntropy::new(seed);
        world
            .script
            .set(move |_| Turn::Late(u32::try_from(chance.next_u64() % 5).unwrap()));
        let drafts = ["b", "c", "d"].map(|name| draft([name]));
        let appends = drafts
            .iter()
            .map(|draft| world.log.append(draft, &world.clock, &world.entropy));
        let appended: Vec<Appended> = world
            .run(join_all(appends))
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let head = world.head().unwrap();
        assert_ne!(head.epoch, old, "seed {seed}");
        assert!(
            appended.iter().all(|a| a.epoch == head.epoch),
            "seed {seed}"
        );
        assert_eq!(world.numbers(), [2, 3, 4], "seed {seed}");
    }
}

#[test]
fn a_lost_head_gives_a_new_epoch_after_the_last_segment() {
    let world = World::new();
    let old = world.append("a").unwrap().epoch;
    world.append("b").unwrap();
    world
        .bucket
        .remove_now(&ObjectKey::parse("head.json").unwrap());
    let appended = world.append("c").unwrap();
    assert_eq!(appended.sequence, Sequence(3));
    assert_ne!(appended.epoch, old);
    let head = world.head().unwrap();
    assert_eq!((head.start, head.floor), (Sequence(3), Sequence(3)));
}

#[test]
fn a_bucket_made_anew_gives_a_new_epoch_from_one() {
    let world = World::new();
    let old = world.append("a").unwrap().epoch;
    for key in world.bucket.keys() {
        world.bucket.remove_now(&key);
    }
    let appended = world.append("b").unwrap();
    assert_eq!(appended.sequence, Sequence(1));
    assert_ne!(appended.epoch, old);
}

#[test]
fn the_floor_only_rises_and_only_in_its_own_epoch() {
    let world = World::new();
    world.raise_floor("none", 9).unwrap();
    assert_eq!(world.head(), None);
    let epoch = world.append("a").unwrap().epoch;
    let mut floors = Vec::new();
    for (of, floor) in [
        (epoch.as_str(), 5),
        (&epoch, 3),
        ("another", 9),
        (&epoch, 6),
    ] {
        world.raise_floor(of, floor).unwrap();
        floors.push(world.head().unwrap().floor.0);
    }
    assert_eq!(floors, [5, 5, 5, 6]);
}

#[test]
fn a_floor_that_others_raise_at_the_same_time_ends_at_the_highest() {
    for seed in 0..40 {
        let world = World::new();
        let epoch = world.append("a").unwrap().epoch;
        let chance = SeededEntropy::new(seed);
        world.script.set(move |_| match chance.next_u64() % 6 {
            0 => Turn::RefusesOwn,
            turns => Turn::Late(u32::try_from(turns).unwrap()),
        });
        let raises = [4, 9, 2, 7].map(|floor| {
            world
                .log
                .raise_floor(&epoch, Sequence(floor), &world.clock, &world.entropy)
        });
        for raised in world.run(join_all(raises)) {
            raised.unwrap();
        }
        world.script.calm();
        assert_eq!(world.head().unwrap().floor, Sequence(9), "seed {seed}");
    }
}

//! Appends, alone and side by side.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sealift_core::id::Sequence;
use sealift_core::log::{LogError, segment_key};
use sealift_core::ports::StoreError;
use sealift_core::segment::Draft;
use sealift_testkit::SeededEntropy;
use sealift_testkit::scripted::{Turn, Verb};

use super::{World, draft, take};

#[test]
fn the_first_append_begins_the_log_at_one_and_the_next_go_on_from_there() {
    let world = World::new();
    assert_eq!(world.head(), None);
    let first = world.append("a").unwrap();
    let second = world.append("b").unwrap();
    assert_eq!((first.sequence.0, second.sequence.0), (1, 2));
    assert_eq!((first.retries, second.retries), (0, 0));
    let head = world.head().unwrap();
    assert_eq!((head.start, head.floor), (Sequence(1), Sequence(1)));
    assert!(head.epoch == first.epoch && first.epoch == second.epoch);
    assert_eq!(
        (world.name_at(1), world.name_at(2)),
        ("a".into(), "b".into())
    );
}

#[test]
fn a_segment_whose_reply_was_lost_is_known_again_and_stands_once() {
    for turn in [Turn::LosesReply, Turn::RefusesOwn] {
        let world = World::new();
        world.script.first(Verb::Create, "log/", [turn]);
        let appended = world.append("a").unwrap();
        assert_eq!(appended.sequence, Sequence(1), "{turn:?}");
        assert_eq!(world.numbers(), [1], "{turn:?}");
    }
}

#[test]
fn a_number_that_another_has_taken_is_passed() {
    let world = World::new();
    let bucket = world.bucket.clone();
    let mut quicker = vec![2, 1];
    world.script.set(move |call| {
        if call.is(Verb::Create, "log/")
            && let Some(number) = quicker.pop()
        {
            take(&bucket, number);
        }
        Turn::Well
    });
    let appended = world.append("a").unwrap();
    assert_eq!((appended.sequence, appended.retries), (Sequence(3), 2));
    assert_eq!(world.name_at(3), "a");
    let anothers = world.bucket.get_now(&segment_key(Sequence(1))).unwrap();
    assert_eq!(anothers.bytes, "another's");
}

#[test]
fn whoever_lags_far_behind_looks_where_the_log_ends_instead_of_trying_number_by_number() {
    let world = World::new();
    world.append("a").unwrap();
    let bucket = world.bucket.clone();
    let mut others = Some(2..=40);
    world.script.set(move |call| {
        if call.is(Verb::Create, "log/") {
            others
                .take()
                .into_iter()
                .flatten()
                .for_each(|n| take(&bucket, n));
        }
        Turn::Well
    });
    let before = world.script.count(Verb::Create, "log/");
    let appended = world.append("b").unwrap();
    assert_eq!(appended.sequence, Sequence(41));
    assert_eq!(world.script.count(Verb::Create, "log/") - before, 5);
}

#[test]
fn a_conflict_asks_for_the_same_number_again() {
    let world = World::new();
    let conflicts = [Turn::Conflict, Turn::Conflict, Turn::Conflict];
    world.script.first(Verb::Create, "log/", conflicts);
    let appended = world.append("a").unwrap();
    assert_eq!((appended.sequence, appended.retries), (Sequence(1), 3));
    let first = segment_key(Sequence(1));
    assert_eq!(world.script.count(Verb::Create, first.as_str()), 4);
    assert_eq!(world.numbers(), [1]);
}

#[test]
fn what_may_pass_is_tried_again_at_the_same_number_and_not_for_ever() {
    let world = World::new();
    world
        .script
        .first(Verb::Create, "log/", [Turn::Transient; 8]);
    assert_eq!(world.append("a").unwrap().sequence, Sequence(1));

    let begun = world.clock.now();
    let first = segment_key(Sequence(2));
    world
        .script
        .set(|call| match call.is(Verb::Create, "log/") {
            true => Turn::Transient,
            false => Turn::Well,
        });
    let error = world.append("b").unwrap_err();
    assert!(
        matches!(error, LogError::Store(StoreError::Transient(_))),
        "{error}"
    );
    assert_eq!(world.script.count(Verb::Create, first.as_str()), 9);
    assert_eq!(world.numbers(), [1]);
    // 50 ms, doubled up to 3.2 s, and at most half of each taken off.
    let waited = world.clock.now().duration_since(begun).as_millis();
    assert!((4_775..=9_550).contains(&waited), "{waited} ms");
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for turn in [Turn::Denied, Turn::Invalid] {
        let world = World::new();
        world.script.first(Verb::Create, "log/", [turn]);
        assert!(
            matches!(world.append("a"), Err(LogError::Store(_))),
            "{turn:?}"
        );
        assert_eq!(world.script.count(Verb::Create, "log/"), 1, "{turn:?}");
    }
}

#[test]
fn racing_appends_share_dense_numbers_and_each_draft_stands_once() {
    for seed in 0..40 {
        let world = World::new();
        let chance = SeededEntropy::new(seed);
        world
            .script
            .set(move |_| Turn::Late(u32::try_from(chance.next_u64() % 4).unwrap()));
        let names: Vec<String> = (0..16).map(|n| format!("draft-{n}")).collect();
        let drafts: Vec<Draft> = names.iter().map(|name| draft([name.as_str()])).collect();
        let appends = drafts
            .iter()
            .map(|draft| world.log.append(draft, &world.clock, &world.entropy));
        let appended = world.run(join_all(appends));
        let epochs: BTreeSet<String> = appended
            .into_iter()
            .map(|appended| appended.unwrap().epoch)
            .collect();
        assert_eq!(epochs.len(), 1, "seed {seed}");
        assert_eq!(world.numbers(), (1..=16).collect::<Vec<_>>(), "seed {seed}");
        let found: BTreeSet<String> = (1..=16).map(|n| world.name_at(n)).collect();
        assert_eq!(found, names.into_iter().collect(), "seed {seed}");
    }
}

#[test]
fn the_end_of_a_log_that_is_longer_than_a_listing_is_found() {
    let world = World::new();
    let epoch = world.append("a").unwrap().epoch;
    (2..=2100).for_each(|number| take(&world.bucket, number));
    assert_eq!(world.append("b").unwrap().sequence, Sequence(2101));
    let listed = world
        .run(world.log.list_after(Sequence(2099), 1000))
        .unwrap();
    let listed: Vec<u64> = listed.iter().map(|entry| entry.sequence.0).collect();
    assert_eq!(listed, [2100, 2101]);
    assert_eq!(world.head().unwrap().epoch, epoch);
}

//! Parts of the log that are gone before they could be delivered: each is noted, and delivery
//! goes on behind it.

use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::delivery::{Gap, GapReason};
use sealift_core::id::{ObjectKey, Sequence};
use sealift_core::log::{Log, segment_key};
use sealift_core::ports::{Metadata, ObjectStore};
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::{Health, Replaced};

use super::{World, name};

fn lose(world: &World, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let key = segment_key(Sequence(number));
        assert!(
            world.log.remove_now(&key).is_some(),
            "there is no segment {number}"
        );
    }
}

/// The gaps of a member, as first and last number and reason.
fn gaps(world: &World, id: &str) -> Vec<(u64, Option<u64>, GapReason)> {
    let gaps = &world.cursor().members[&name(id)].progress.gaps;
    let short = |gap: &Gap| (gap.first.0, gap.last.map(|last| last.0), gap.reason);
    gaps.iter().map(short).collect()
}

/// A world whose destination has the first segment, and three more lie ahead.
fn with_three_ahead() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    for event in ["acme 2", "acme 3", "acme 4"] {
        world.append([event]);
    }
    world
}

/// Makes the log's bucket anew.
fn replace_log(world: &World) {
    for key in world.log.keys() {
        world.log.remove_now(&key);
    }
}

#[test]
fn segments_that_expired_in_front_of_the_cursor_are_a_gap() {
    let world = with_three_ahead();
    lose(&world, [2, 3]);
    let report = world.flush();
    assert_eq!((report.gaps, report.counts.delivered), (1, 1));
    assert_eq!(world.events("acme"), ["acme 1", "acme 4"]);
    assert_eq!(gaps(&world, "acme"), [(2, Some(3), GapReason::Expired)]);
    let gap = &world.cursor().members[&name("acme")].progress.gaps[0];
    assert_eq!(
        (gap.noticed_ms, &gap.epoch),
        (world.now_ms(), &world.cursor().position.epoch)
    );
}

#[test]
fn a_hole_in_the_middle_is_a_gap_and_what_lies_around_it_is_delivered() {
    let world = with_three_ahead();
    lose(&world, [3]);
    let report = world.flush();
    // Behind the gap it has a plan of its own, beside the shard's.
    assert_eq!((report.plans, report.gaps), (3, 1));
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 4"]);
    assert_eq!(gaps(&world, "acme"), [(3, Some(3), GapReason::Expired)]);
}

#[test]
fn a_listing_that_lacks_a_number_for_a_moment_makes_no_gap() {
    let world = with_three_ahead();
    let (log, key) = (world.log.clone(), segment_key(Sequence(2)));
    let hidden = world.log.remove_now(&key).unwrap();
    let mut listings = 0;
    world.script.set(move |call| {
        listings += usize::from(call.is(Verb::List, "log/"));
        if call.is(Verb::List, "log/") && listings == 2 {
            // From the second listing on it shows.
            let create = log.create(&key, hidden.bytes.clone(), Metadata::new());
            create.now_or_never().unwrap().unwrap();
        }
        Turn::Well
    });
    let report = world.flush();
    assert_eq!((report.gaps, report.counts.delivered), (0, 3));
    assert_eq!(
        world.events("acme"),
        ["acme 1", "acme 2", "acme 3", "acme 4"]
    );
}

#[test]
fn a_log_whose_every_unread_segment_expired_is_a_gap_once() {
    let world = with_three_ahead();
    // Another shard's worker has planned them and raised the floor.
    let log = Log::new(world.log.clone());
    let epoch = world.cursor().position.epoch;
    let raise = log.raise_floor(&epoch, Sequence(5), &world.clock, &world.entropy);
    world.script.run(&world.clock, raise).unwrap().unwrap();
    lose(&world, [1, 2, 3, 4]);
    assert_eq!(world.flush().gaps, 1);
    assert_eq!(world.flush().gaps, 0);
    assert_eq!(gaps(&world, "acme"), [(2, Some(4), GapReason::Expired)]);
    assert_eq!(world.cursor().position.next, Sequence(5));
}

#[test]
fn an_open_plan_whose_segments_are_gone_is_a_gap_and_the_cursor_passes_it() {
    let world = with_three_ahead();
    world.script.first(Verb::Open, "", [Turn::KilledBefore]);
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(world.run_or_die(), None);
    assert!(world.cursor().plan.is_some());
    lose(&world, [3]);
    world.append(["acme 5"]);
    let report = world.flush();
    assert_eq!(report.gaps, 1);
    assert_eq!(world.events("acme"), ["acme 1", "acme 5"]);
    assert_eq!(gaps(&world, "acme"), [(2, Some(4), GapReason::Expired)]);
}

#[test]
fn a_left_destinations_gap_is_its_own() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("other", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    for event in ["acme 2", "acme 3", "acme 4"] {
        world.append([event]);
        world.flush();
    }
    lose(&world, [1, 2, 3]);
    world.resume("acme");
    let report = world.flush();
    assert_eq!((report.gaps, report.rejoined), (1, 1));
    assert_eq!(world.events("acme"), ["acme 1", "acme 4"]);
    assert_eq!(gaps(&world, "acme"), [(2, Some(3), GapReason::Expired)]);
    assert_eq!(gaps(&world, "other"), []);
}

#[test]
fn a_left_destination_behind_which_everything_expired_rejoins_with_the_gap_noted() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    for event in ["acme 2", "acme 3"] {
        world.append([event]);
        world.flush();
    }
    world.log.expire("log/", Timestamp::MAX);
    world.resume("acme");
    assert_eq!(world.flush().gaps, 1);
    assert_eq!(gaps(&world, "acme"), [(2, Some(3), GapReason::Expired)]);
    world.append(["acme 4"]);
    world.flush();
    assert_eq!(world.events("acme"), ["acme 1", "acme 4"]);
}

#[test]
fn a_left_plan_whose_segments_are_gone_is_a_gap() {
    let world = with_three_ahead();
    world.sinks.set_destination(&name("acme"), Health::Denied);
    world.flush();
    assert!(world.left("acme").plan.is_some());
    lose(&world, [1, 2, 3, 4]);
    world.sinks.set_destination(&name("acme"), Health::Well);
    assert_eq!(world.flush().gaps, 1);
    assert_eq!(gaps(&world, "acme"), [(2, Some(4), GapReason::Expired)]);
}

#[test]
fn a_start_before_the_oldest_kept_segment_is_noted_as_a_gap() {
    let world = World::new();
    world.add("other", "acme");
    let start_ms = world.now_ms();
    for event in ["acme 1", "acme 2", "acme 3"] {
        world.append([event]);
        world.flush();
    }
    lose(&world, [1, 2]);
    world.add_with("acme", "acme", |destination| {
        destination.start_ms = Some(start_ms);
    });
    world.flush();
    assert_eq!(world.events("acme"), ["acme 3"]);
    assert_eq!(gaps(&world, "acme"), [(1, Some(2), GapReason::Expired)]);
    assert_eq!(gaps(&world, "other"), []);
}

#[test]
fn a_log_made_anew_is_a_gap_without_an_end_and_shares_no_key_with_the_old_one() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.append(["acme 2"]);
    world.run();
    let old = world.cursor().position.epoch;
    replace_log(&world);
    world.append(["acme 3"]);
    world.append(["acme 4"]);
    let report = world.flush();
    assert_eq!((report.gaps, report.counts.delivered), (1, 2));
    assert_eq!(gaps(&world, "acme"), [(3, None, GapReason::LogReplaced)]);
    assert_eq!(
        world.cursor().members[&name("acme")].progress.gaps[0].epoch,
        old
    );
    let cursor = world.cursor().position;
    assert_ne!(cursor.epoch, old);
    assert_eq!(cursor.next, Sequence(3));
    // The same range of numbers, under another tag.
    let keys: Vec<String> = world.objects("acme").into_keys().collect();
    assert_eq!(keys.len(), 2);
    let range = |key: &str| key.rsplit_once('-').map(|(range, _)| range.to_owned());
    assert_eq!(range(&keys[0]), range(&keys[1]));
    // Both, and the record of the gap.
    assert_eq!(world.sinks.count(Replaced::Nothing), 3);
    let mut events = world.events("acme");
    events.sort();
    assert_eq!(events, ["acme 1", "acme 2", "acme 3", "acme 4"]);
}

#[test]
fn a_left_destination_goes_into_the_new_epoch_behind_its_shard() {
    for open_plan in [false, true] {
        let world = with_three_ahead();
        world.sinks.set_destination(&name("acme"), Health::Denied);
        if open_plan {
            world.flush();
            assert!(world.left("acme").plan.is_some());
        } else {
            world.pause("acme");
            world.flush();
            assert!(world.left("acme").plan.is_none());
        }
        replace_log(&world);
        world.append(["acme 5"]);
        world.sinks.set_destination(&name("acme"), Health::Well);
        world.resume("acme");
        for _ in 0..3 {
            world.flush();
        }
        assert!(world.is_member("acme"), "open plan: {open_plan}");
        assert!(world.events("acme").contains(&"acme 5".to_owned()));
        let gaps = gaps(&world, "acme");
        let replaced = if open_plan { 5 } else { 2 };
        assert!(
            gaps.contains(&(replaced, None, GapReason::LogReplaced)),
            "{gaps:?}"
        );
        assert_eq!(gaps.len(), if open_plan { 2 } else { 1 }, "{gaps:?}");
        assert_eq!(world.sinks.count(Replaced::Different), 0);
    }
}

#[test]
fn an_open_plan_whose_numbers_a_new_log_uses_again_is_not_carried_out_on_those() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.append(["acme 2"]);
    world.script.first(Verb::Put, "", [Turn::KilledAfter]);
    assert_eq!(world.run_or_die(), None);
    replace_log(&world);
    world.append(["acme 3"]);
    world.append(["acme 4"]);
    world.script.calm();
    // The shard and the destination have come to the new log each by itself.
    assert_eq!(world.flush().gaps, 3);
    let first_and_last = gaps(&world, "acme");
    let expected = [
        (1, Some(2), GapReason::Expired),
        (3, None, GapReason::LogReplaced),
    ];
    assert_eq!(first_and_last, expected);
    // Two objects, and the records of both gaps.
    assert_eq!(world.sinks.count(Replaced::Nothing), 4);
    assert_eq!(world.sinks.puts().len(), 4);
    let mut events = world.events("acme");
    events.sort();
    assert_eq!(events, ["acme 1", "acme 2", "acme 3", "acme 4"]);
}

#[test]
fn a_lost_head_makes_a_new_epoch_without_a_gap() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.append(["acme 2"]);
    world
        .log
        .remove_now(&ObjectKey::parse("head.json").unwrap());
    world.append(["acme 3"]);
    let report = world.flush();
    assert_eq!(report.gaps, 0);
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 3"]);
}

#[test]
fn a_log_that_idled_beyond_its_lifecycle_goes_on_without_a_gap_if_all_was_delivered() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.clock.advance(Duration::from_hours(40 * 24));
    world.log.expire("log/", Timestamp::MAX);
    world.append(["acme 2"]);
    let report = world.flush();
    assert_eq!((report.gaps, report.counts.delivered), (0, 1));
    assert_eq!(world.events("acme").len(), 2);
    assert_eq!(world.cursor().position.next, Sequence(3));
}

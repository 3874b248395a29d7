//! The audit log on a bucket in memory: what an append makes of refusals, lost replies and other
//! writers, and how numbers stay unused when segments and head go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use sealift_core::Timestamp;
use sealift_core::document::{Document, DocumentError};
use sealift_core::event::Event;
use sealift_core::gzip::Level;
use sealift_core::id::{ObjectKey, OrgId, Sequence};
use sealift_core::log::{
    Appended, Head, IDLE_BEFORE_NEW_EPOCH, Log, LogError, segment_key, sequence_of,
};
use sealift_core::partition::Hour;
use sealift_core::ports::{Conditional, Metadata, ObjectStore, StoreError};
use sealift_core::segment::{Builder, Draft, SegmentError, Stamp};
use sealift_testkit::scripted::{Scripted, Turn, Verb};
use sealift_testkit::{MemoryStore, Script, SeededEntropy, VirtualClock};

/// A bucket with a log, and a script for what may go wrong on it.
struct World {
    clock: VirtualClock,
    entropy: SeededEntropy,
    script: Script,
    bucket: MemoryStore,
    log: Log<Scripted<MemoryStore>>,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new(Timestamp::from_second(1_689_000_000).unwrap());
        let bucket = MemoryStore::new(clock.clone()).with_etags_of_content();
        let script = Script::default();
        Self {
            entropy: SeededEntropy::new(7),
            log: Log::new(script.on(bucket.clone())),
            clock,
            script,
            bucket,
        }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        let end = self.script.run(&self.clock, future);
        end.expect("nobody is killed here")
    }

    fn append(&self, name: &str) -> Result<Appended, LogError> {
        let draft = draft([name]);
        self.run(self.log.append(&draft, &self.clock, &self.entropy))
    }

    fn raise_floor(&self, epoch: &str, floor: u64) -> Result<(), LogError> {
        let raise = self
            .log
            .raise_floor(epoch, Sequence(floor), &self.clock, &self.entropy);
        self.run(raise)
    }

    fn head(&self) -> Option<Head> {
        self.run(self.log.head()).unwrap().map(|head| head.body)
    }

    fn numbers(&self) -> Vec<u64> {
        let keys = self.bucket.keys();
        keys.iter().filter_map(sequence_of).map(|n| n.0).collect()
    }

    /// The name that was appended at a number.
    fn name_at(&self, number: u64) -> String {
        let segment = self.run(self.log.read(Sequence(number))).unwrap().unwrap();
        let lines = segment.members().next().unwrap().decompress().unwrap();
        String::from_utf8(lines).unwrap().trim_end().to_owned()
    }

    /// Removes all segments, as their lifecycle does in the end.
    fn expire_all(&self) {
        self.bucket.expire("log/", Timestamp::MAX);
    }
}

/// A draft of one event for each name, each of its own organization.
fn draft<'a>(names: impl IntoIterator<Item = &'a str>) -> Draft {
    let mut builder = Builder::default();
    for name in names {
        builder.add(&Event {
            id: Cow::Borrowed(name),
            organization: OrgId::parse(name).unwrap(),
            time: Timestamp::UNIX_EPOCH,
            hour: Hour::of(Timestamp::UNIX_EPOCH).unwrap(),
            event_type: Cow::Borrowed("a.b"),
            line: Cow::Borrowed(name),
        });
    }
    builder.finish(Level::DEFAULT).unwrap()
}

/// Another's segment, put where the caller is about to write.
fn take(bucket: &MemoryStore, number: u64) {
    let key = segment_key(Sequence(number));
    let metadata = Metadata::from([("sealift-nonce".to_owned(), "another's".to_owned())]);
    let written = bucket.create(&key, Bytes::from_static(b"another's"), metadata);
    assert!(matches!(
        written.now_or_never(),
        Some(Ok(Conditional::Written(_)))
    ));
}

// ---- One append -------------------------------------------------------------------------

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

// ---- Many appends -----------------------------------------------------------------------

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

// ---- Numbers are never used twice --------------------------------------------------------

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

// ---- The floor --------------------------------------------------------------------------

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

// ---- Reading ----------------------------------------------------------------------------

#[test]
fn an_index_beyond_the_first_guess_is_fetched_in_what_it_needs() {
    let world = World::new();
    let names: Vec<String> = (0..4000).map(|n| format!("organization-{n:05}")).collect();
    let draft = draft(names.iter().map(String::as_str));
    world
        .run(world.log.append(&draft, &world.clock, &world.entropy))
        .unwrap();
    let index = world
        .run(world.log.read_index(Sequence(1)))
        .unwrap()
        .unwrap();
    let whole = world.run(world.log.read(Sequence(1))).unwrap().unwrap();
    assert_eq!(index, whole.index);
    assert_eq!(index.events(), 4000);
    // The guess, the header, the digests.
    assert_eq!(world.script.count(Verb::GetFirst, "log/"), 3);
    assert_eq!(world.run(world.log.read_index(Sequence(2))), Ok(None));
}

#[test]
fn a_segment_that_is_cut_or_lies_at_anothers_number_is_an_error_that_names_it() {
    let world = World::new();
    let stamped = |number| {
        let stamp = Stamp {
            epoch: "e".to_owned(),
            sequence: Sequence(number),
            nonce: "n".to_owned(),
            appended_ms: 0,
        };
        draft(["a"]).stamped(&stamp).unwrap()
    };
    let put = |number, bytes| {
        let key = segment_key(Sequence(number));
        let create = world.bucket.create(&key, bytes, Metadata::new());
        world.run(create).unwrap();
    };
    put(2, stamped(1));
    put(3, stamped(3).slice(..stamped(3).len() - 1));
    put(4, stamped(4).slice(..100));
    for (number, by_index) in [(2, true), (3, false), (4, true)] {
        let error = world.run(world.log.read(Sequence(number))).unwrap_err();
        let named = format!("segment {number:020}: ");
        assert!(error.to_string().starts_with(&named), "{error}");
        let index = world.run(world.log.read_index(Sequence(number)));
        assert_eq!(index.is_err(), by_index, "{index:?}");
    }
    let error = world.run(world.log.read_index(Sequence(4))).unwrap_err();
    let LogError::Segment {
        error: SegmentError::Short { have, .. },
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(have, 100);
}

#[test]
fn a_head_of_another_format_version_is_refused_and_nothing_is_appended() {
    let world = World::new();
    world.append("a").unwrap();
    let key = ObjectKey::parse("head.json").unwrap();
    let head = world.bucket.remove_now(&key).unwrap();
    let text = String::from_utf8(head.bytes.to_vec()).unwrap();
    let later = text.replace(Head::FORMAT, "sealift.log-head/2");
    world
        .run(world.bucket.create(&key, later.into(), Metadata::new()))
        .unwrap();
    let error = world.append("b").unwrap_err();
    assert!(matches!(
        error,
        LogError::Document(DocumentError::Unreadable { .. })
    ));
    assert_eq!(
        error.to_string(),
        "document head.json cannot be used: its format is \"sealift.log-head/2\", and this \
         version of Sealift reads \"sealift.log-head/1\""
    );
    assert_eq!(world.numbers(), [1]);
}

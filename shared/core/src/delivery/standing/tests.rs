use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::delivery::{GapReason, Left, Member, Waiting};
use crate::id::DestinationId;

const NOW_MS: i64 = 1_778_630_400_000;

fn destination(start_ms: Option<i64>) -> Destination {
    let document = json!({
        "id": "main", "organization": "acme", "status": "streaming",
        "location": {"region": "eu-central-1", "bucket": "bucket", "prefix": "audit/"},
        "credentials": {"type": "access_keys"},
    });
    Destination {
        start_ms,
        ..serde_json::from_value(document).unwrap()
    }
}

fn position(next: u64) -> Position {
    Position {
        epoch: "e".to_owned(),
        next: Sequence(next),
    }
}

fn own(next: u64) -> LeftCursor {
    LeftCursor {
        position: position(next),
        ..LeftCursor::beginning(
            destination(None).organization,
            None,
            position(next),
            0,
            Progress::default(),
        )
    }
}

fn id() -> DestinationId {
    DestinationId::parse("main").unwrap()
}

/// A shard whose cursor stands before segment 100.
fn shard() -> ShardCursor {
    ShardCursor {
        shards: 1,
        position: position(100),
        appended_ms: NOW_MS,
        flushed_ms: NOW_MS,
        plan: None,
        members: BTreeMap::new(),
        left: BTreeMap::new(),
        generation: 1,
        retired: Vec::new(),
    }
}

fn riding() -> Facts {
    let mut shard = shard();
    let member = Member {
        organization: destination(None).organization,
        created_ms: None,
        since_ms: 0,
        progress: Progress::default(),
    };
    shard.members.insert(id(), member);
    Facts {
        shard: Some(shard),
        end: Some(position(100)),
        ..Facts::default()
    }
}

/// One that was left before segment 40, and for which something stands in the given segment.
fn left(waits: Option<Waiting>) -> Facts {
    let mut shard = shard();
    let left = Left {
        generation: 1,
        reason: LeftReason::Paused,
        left_ms: NOW_MS - 1000,
        waits,
        begin: own(40),
    };
    shard.left.insert(id(), left);
    Facts {
        shard: Some(shard),
        end: Some(position(100)),
        oldest_unpassed_ms: Some(NOW_MS - 29 * DAY_MS),
        ..Facts::default()
    }
}

fn waiting(sequence: u64, days: i64) -> Waiting {
    Waiting {
        sequence: Sequence(sequence),
        appended_ms: NOW_MS - days * DAY_MS,
    }
}

fn standing(facts: &Facts) -> Standing {
    Standing::of(&destination(Some(0)), facts, NOW_MS)
}

#[test]
fn one_that_was_never_started_is_told_from_one_that_the_next_run_takes_in() {
    let none = Facts::default();
    let state = |start_ms| Standing::of(&destination(start_ms), &none, NOW_MS).state;
    assert_eq!(state(None), CursorState::NotStarted);
    assert_eq!(state(Some(0)), CursorState::Expected);
}

#[test]
fn the_cursor_of_one_that_was_removed_is_not_that_of_one_made_again() {
    let again = Destination {
        created_ms: Some(NOW_MS),
        ..destination(Some(NOW_MS))
    };
    for facts in [riding(), left(None)] {
        assert_ne!(standing(&facts).state, CursorState::Expected);
        let standing = Standing::of(&again, &facts, NOW_MS);
        assert_eq!(standing.state, CursorState::Expected);
    }
}

#[test]
fn an_empty_stream_has_nothing_that_waits_however_long_it_is_paused() {
    let facts = left(None);
    let standing = standing(&facts);
    assert_eq!(standing.lag_segments, 60);
    assert_eq!(
        (standing.oldest_waiting_ms, standing.expiry),
        (None, None),
        "other tenants' segments are not its own"
    );
}

#[test]
fn what_waits_for_a_paused_one_is_as_old_as_the_first_segment_with_something_for_it() {
    let facts = left(Some(waiting(50, 22)));
    let standing = standing(&facts);
    assert_eq!(standing.oldest_age_ms, Some(22 * DAY_MS));
    let expiry = standing.expiry.unwrap();
    assert_eq!((expiry.days_left, expiry.warns), (8, false));
    let warned = standing_at_days(23);
    assert_eq!((warned.days_left, warned.warns), (7, true));
    let late = standing_at_days(33);
    assert_eq!((late.days_left, late.warns), (0, true));
    assert_eq!(late.kept_until_ms, NOW_MS + 4 * DAY_MS);
}

fn standing_at_days(days: i64) -> Expiry {
    standing(&left(Some(waiting(50, days)))).expiry.unwrap()
}

#[test]
fn behind_what_it_has_passed_by_itself_the_oldest_segment_that_is_left_counts() {
    let mut facts = left(Some(waiting(50, 30)));
    facts.left = Some(own(51));
    assert_eq!(standing(&facts).oldest_age_ms, Some(29 * DAY_MS));
}

#[test]
fn one_that_rides_waits_for_its_next_flush_only_if_something_lies_ahead() {
    let mut facts = riding();
    facts.oldest_unpassed_ms = Some(NOW_MS - 5000);
    assert_eq!(standing(&facts).oldest_age_ms, None);
    facts.end = Some(position(103));
    let standing = standing(&facts);
    assert_eq!(
        (standing.lag_segments, standing.oldest_age_ms),
        (3, Some(5000))
    );
}

#[test]
fn what_has_come_of_it_is_told_from_its_own_cursor() {
    let mut facts = left(None);
    let mut own = own(60);
    own.attempts = 3;
    own.not_before_ms = NOW_MS + 1;
    own.progress.counts.delivered = 5;
    own.progress.counts.left_out = 2;
    own.progress.counts.duplicates = 1;
    own.progress.freshness.observe(NOW_MS - 900, NOW_MS, 5);
    own.progress.note_gap(Gap {
        epoch: "e".to_owned(),
        first: Sequence(41),
        last: Some(Sequence(59)),
        from_ms: None,
        to_ms: None,
        noticed_ms: NOW_MS,
        reason: GapReason::Expired,
    });
    facts.left = Some(own);
    let standing = standing(&facts);
    assert_eq!(standing.counts.seen(), 8);
    assert_eq!(
        (standing.attempts, standing.not_before_ms),
        (3, Some(NOW_MS + 1))
    );
    assert_eq!((standing.gaps.len(), standing.untold_gaps), (1, 1));
    assert_eq!(standing.freshness.p95_ms, Some(1000));
}

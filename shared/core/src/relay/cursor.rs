//! How far a relay has come in an organization's audit log, and what it has passed on.
//!
//! Two things are true of a cursor, whatever happens:
//!
//! - Everything from the start up to [`position`](RelayCursor::position) that had appeared when
//!   it was read is on the bus, or parked.
//! - So is everything that had appeared by [`full`](RelayCursor::full), as far as it is before
//!   the position.
//!
//! Entries may appear late, by [`LATE`] at the most. So the stretch before the position is read
//! again with each run ([`REREAD`]), and once in each [`FULL_EVERY`] all of that in which anything
//! can have appeared since: that is the *sweep*, from [`LATE`] before the last one on. Of what
//! is read again the ids are known, as eight bytes of their SHA-256 for each: with 100,000
//! entries in the 25 hours that two of them are taken for one has a chance below one in a thousand
//! million, and the document has about a megabyte.
//!
//! Both statements stay true when two cursors are [joined](RelayCursor::absorb). So of two
//! relays at once, the one whose write is refused joins what it has done to what stands there.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Document, Place};
use crate::id::{ObjectKey, OrgId};
use crate::partition::Hour;

/// How far before its position a relay reads again with each run.
pub const REREAD: SignedDuration = SignedDuration::from_mins(15);

/// How late an entry may appear, and is still found.
pub const LATE: SignedDuration = SignedDuration::from_hours(24);

/// How often all of the time is read again in which an entry may have appeared late.
pub const FULL_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// How far a relay has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayCursor {
    /// Whose audit log it is.
    pub organization: OrgId,
    /// Nothing that happened before it is ever relayed.
    #[serde(rename = "start_ms", with = "millisecond")]
    pub start: Timestamp,
    /// All before it that had appeared is relayed.
    #[serde(rename = "position_ms", with = "millisecond")]
    pub position: Timestamp,
    /// When the last complete sweep began.
    #[serde(rename = "full_ms", with = "millisecond")]
    pub full: Timestamp,
    /// A sweep that has begun and is not through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// The ids that are known, by the hour of their entries.
    seen: Seen,
    /// What cannot be read, and was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Gap>,
}

/// A sweep that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// When it began.
    #[serde(rename = "began_ms", with = "millisecond")]
    pub began: Timestamp,
    /// How far it has come.
    #[serde(rename = "at_ms", with = "millisecond")]
    pub at: Timestamp,
}

/// A stretch of time whose entries cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its first moment.
    #[serde(rename = "from_us", with = "microsecond")]
    pub from: Timestamp,
    /// The first moment after it.
    #[serde(rename = "until_us", with = "microsecond")]
    pub until: Timestamp,
}

impl Document for RelayCursor {
    const FORMAT: &'static str = "sealift.relay/1";
}

impl RelayCursor {
    /// The cursor of a relay that begins now, with what happens from the start on.
    pub fn starting(organization: OrgId, start: Timestamp, now: Timestamp) -> Self {
        // As exact as it is written, so that it says the same when it is read.
        let whole = Timestamp::from_millisecond(start.as_millisecond()).unwrap_or(start);
        Self {
            organization,
            start: whole,
            position: whole,
            full: now,
            sweep: None,
            seen: Seen::default(),
            gaps: Vec::new(),
        }
    }

    /// Where the cursor of an organization lies in the state bucket: `relay/<org>.json`.
    pub fn place(organization: &OrgId) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!(
            "relay/{organization}.json"
        )))
    }

    /// Whether an entry of this id and time was passed on.
    pub fn knows(&self, id: &str, created: Timestamp) -> bool {
        let ids = Hour::of(created).and_then(|hour| self.seen.0.get(&hour));
        ids.is_some_and(|ids| ids.contains(&hash(id)))
    }

    /// Remembers that an entry was passed on.
    pub fn remember(&mut self, id: &str, created: Timestamp) {
        if let Some(hour) = Hour::of(created) {
            self.seen.0.entry(hour).or_default().insert(hash(id));
        }
    }

    /// How many ids are remembered.
    pub fn remembered(&self) -> usize {
        self.seen.0.values().map(BTreeSet::len).sum()
    }

    /// Where reading goes on: before the position.
    pub fn recent_from(&self) -> Timestamp {
        before(self.position, REREAD).max(self.start)
    }

    /// Moves the position on, never back.
    pub fn advance(&mut self, position: Timestamp) {
        self.position = self.position.max(position);
    }

    /// The sweep that is under way, or that is due now.
    pub fn due_sweep(&self, now: Timestamp) -> Option<Sweep> {
        let due = now.duration_since(self.full) >= FULL_EVERY;
        self.sweep.or_else(|| {
            due.then(|| Sweep {
                began: now,
                at: self.swept_from(),
            })
        })
    }

    /// The sweep is through.
    pub fn end_sweep(&mut self, sweep: Sweep) {
        self.full = self.full.max(sweep.began);
        self.sweep = None;
    }

    fn swept_from(&self) -> Timestamp {
        before(self.full, LATE).max(self.start)
    }

    /// Notes what cannot be read. It is not asked for again.
    pub fn give_up(&mut self, gap: Gap) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    /// The first stretch from `from` to `until` that can be read; `None` if there is none.
    pub fn readable(&self, from: Timestamp, until: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let mut from = from;
        while let Some(gap) = self
            .gaps
            .iter()
            .find(|gap| (gap.from..gap.until).contains(&from))
        {
            from = gap.until;
        }
        let next = self
            .gaps
            .iter()
            .map(|gap| gap.from)
            .filter(|start| *start > from);
        let until = next.min().map_or(until, |start| start.min(until));
        (from < until).then_some((from, until))
    }

    /// Forgets what will not be read again.
    pub fn forget(&mut self) {
        let needed = self.recent_from().min(self.swept_from());
        if let Some(first) = Hour::of(needed) {
            self.seen.0 = self.seen.0.split_off(&first);
        }
        self.gaps.retain(|gap| gap.until > needed);
    }

    /// Joins what another relay has done to this.
    pub fn absorb(&mut self, other: &Self) {
        for (hour, ids) in &other.seen.0 {
            self.seen.0.entry(*hour).or_default().extend(ids);
        }
        for gap in &other.gaps {
            self.give_up(*gap);
        }
        self.advance(other.position);
        let at = |sweep: Option<Sweep>| sweep.map(|sweep| sweep.at);
        // How far a sweep has come says something from where it began on, which follows from
        // when the last one did.
        if other.full > self.full || (other.full == self.full && at(other.sweep) > at(self.sweep)) {
            (self.full, self.sweep) = (other.full, other.sweep);
        }
    }
}

fn before(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn hash(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    let first = digest.iter().take(8);
    first.fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// Hashes of ids by hour. Written as base64 of their bytes, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Hour, String>", into = "BTreeMap<Hour, String>")]
struct Seen(BTreeMap<Hour, BTreeSet<u64>>);

impl TryFrom<BTreeMap<Hour, String>> for Seen {
    type Error = String;

    fn try_from(written: BTreeMap<Hour, String>) -> Result<Self, String> {
        let hours = written.into_iter().map(|(hour, text)| {
            let bytes = BASE64_STANDARD
                .decode(text)
                .map_err(|error| format!("the ids of {hour} are not base64: {error}"))?;
            let (hashes, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(format!("the ids of {hour} are not of 8 bytes each"));
            }
            let hashes = hashes.iter().map(|hash| u64::from_be_bytes(*hash));
            Ok((hour, hashes.collect()))
        });
        hours.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Seen> for BTreeMap<Hour, String> {
    fn from(seen: Seen) -> Self {
        let hours = seen.0.into_iter().map(|(hour, hashes)| {
            let bytes: Vec<u8> = hashes.into_iter().flat_map(u64::to_be_bytes).collect();
            (hour, BASE64_STANDARD.encode(bytes))
        });
        hours.collect()
    }
}

/// A time as a number of milliseconds since 1970, rounded down.
mod millisecond {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(
            time.as_nanosecond()
                .div_euclid(1_000_000)
                .try_into()
                .unwrap_or(i64::MIN),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_millisecond(i64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A time as a number of microseconds since 1970. Gaps have no finer bounds.
mod microsecond {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.as_microsecond())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_microsecond(i64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const START: &str = "2026-05-12T10:00:00Z";

    fn cursor() -> RelayCursor {
        let organization = OrgId::parse("org-1").unwrap();
        RelayCursor::starting(organization, time(START), time(START))
    }

    #[test]
    fn the_document_has_its_form() {
        let mut cursor = cursor();
        cursor.remember("a", time("2026-05-12T10:00:01Z"));
        cursor.remember("b", time("2026-05-12T10:59:59.999Z"));
        cursor.remember("c", time("2026-05-12T11:00:00Z"));
        cursor.advance(time("2026-05-12T11:00:00.0019Z"));
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(
            text,
            r#"{"organization":"org-1","start_ms":1778580000000,"position_ms":1778583600001,"full_ms":1778580000000,"seen":{"2026-05-12T10":"PiPoFgA5WUrKl4ESyhu9yg==","2026-05-12T11":"Ln0sA6lQeuI="}}"#
        );
        cursor.sweep = Some(Sweep {
            began: time("2026-05-12T11:00:00Z"),
            at: time("2026-05-12T10:30:00Z"),
        });
        cursor.give_up(Gap {
            from: time("2026-05-12T10:00:00.000001Z"),
            until: time("2026-05-12T10:00:00.000002Z"),
        });
        let text = serde_json::to_string(&cursor).unwrap();
        assert!(
            text.contains(r#""sweep":{"began_ms":1778583600000,"at_ms":1778581800000}"#),
            "{text}"
        );
        assert!(
            text.ends_with(r#""gaps":[{"from_us":1778580000000001,"until_us":1778580000000002}]}"#),
            "{text}"
        );
        let read: RelayCursor = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(read.knows("b", time("2026-05-12T10:30:00Z")));
        assert!(!read.knows("b", time("2026-05-12T11:30:00Z")));
    }

    #[test]
    fn ids_that_are_damaged_are_not_taken_for_none() {
        let text = serde_json::to_string(&cursor()).unwrap();
        for ids in [r#""!""#, r#""AAAA""#] {
            let seen = format!(r#""seen":{{"2026-05-12T10":{ids}}}"#);
            let damaged = text.replace(r#""seen":{}"#, &seen);
            let error = serde_json::from_str::<RelayCursor>(&damaged).unwrap_err();
            assert!(error.to_string().contains("2026-05-12T10"), "{error}");
        }
    }

    #[test]
    fn what_may_be_read_again_is_remembered_and_nothing_else() {
        let mut cursor = cursor();
        let start = time("2026-05-10T00:30:00Z");
        cursor.start = start;
        for hour in 0..60 {
            let at = start.checked_add(SignedDuration::from_hours(hour)).unwrap();
            cursor.remember("x", at);
        }
        cursor.position = time("2026-05-12T10:59:00Z");
        // The last sweep began at 10:00; the next one begins 24 hours before.
        cursor.forget();
        assert!(!cursor.knows("x", time("2026-05-11T09:30:00Z")));
        assert!(cursor.knows("x", time("2026-05-11T10:30:00Z")));
        assert_eq!(cursor.remembered(), 26);
        // A relay that was away needs what is just before its position.
        cursor.full = time("2026-05-20T00:00:00Z");
        cursor.forget();
        assert!(cursor.knows("x", time("2026-05-12T10:44:00Z")));
        assert_eq!(cursor.remembered(), 2);
    }

    #[test]
    fn a_sweep_goes_from_a_day_before_the_last_one_on_but_not_before_the_start() {
        let mut cursor = cursor();
        let (early, later) = (time("2026-05-12T10:59:59Z"), time("2026-05-12T11:00:00Z"));
        assert_eq!(cursor.due_sweep(early), None);
        let sweep = cursor.due_sweep(later).unwrap();
        assert_eq!((sweep.began, sweep.at), (later, cursor.start));
        cursor.end_sweep(sweep);
        assert_eq!(cursor.due_sweep(later), None);
        cursor.start = time("2026-01-01T00:00:00Z");
        let next = cursor.due_sweep(time("2026-05-12T19:00:00Z")).unwrap();
        assert_eq!(next.at, time("2026-05-11T11:00:00Z"));
    }

    #[test]
    fn gaps_cut_what_is_read_into_pieces() {
        let mut cursor = cursor();
        let at = |second: i64| {
            let by = SignedDuration::from_secs(second);
            cursor_start().checked_add(by).unwrap()
        };
        for (from, until) in [(10, 20), (20, 25), (40, 50)] {
            let (from, until) = (at(from), at(until));
            cursor.give_up(Gap { from, until });
        }
        let pieces = [
            ((0, 60), Some((0, 10))),
            ((10, 60), Some((25, 40))),
            ((25, 30), Some((25, 30))),
            ((40, 60), Some((50, 60))),
            ((40, 50), None),
            ((60, 60), None),
        ];
        for ((from, until), piece) in pieces {
            let piece = piece.map(|(from, until)| (at(from), at(until)));
            assert_eq!(cursor.readable(at(from), at(until)), piece);
        }
    }

    fn cursor_start() -> Timestamp {
        time(START)
    }

    #[test]
    fn what_two_relays_did_is_joined_in_any_order() {
        let (mut one, mut other) = (cursor(), cursor());
        let at = time("2026-05-12T10:10:00Z");
        one.remember("a", at);
        one.advance(at);
        other.remember("b", at);
        other.full = time("2026-05-12T12:00:00Z");
        one.sweep = one.due_sweep(time("2026-05-12T11:30:00Z"));
        let mut joined = one.clone();
        joined.absorb(&other);
        other.absorb(&one);
        assert_eq!(joined, other);
        assert!(joined.knows("a", at) && joined.knows("b", at));
        assert_eq!((joined.position, joined.sweep), (at, None));
        joined.absorb(&one);
        assert_eq!(joined, other, "a second time it says nothing new");
    }
}

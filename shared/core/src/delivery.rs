//! Delivery: the cursors that advance over the audit log, and the plans that move them.
//!
//! All destinations of a *shard* ride on one cursor, whose document is [`ShardCursor`]. A
//! destination that cannot keep up (it fails, is slow, paused, or starts in the past) is *left
//! behind* with a cursor of its own, [`LeftCursor`], and rejoins when it has caught up.
//!
//! Which of the two a destination rides on is decided by the shard's document alone. A left
//! destination has a *generation*; its own cursor's document carries it in its name. To rejoin,
//! the own cursor is closed first, which stops everybody who works on it; then the shard's document
//! takes the destination back, which succeeds only if the shard still stands where the closed
//! cursor ended. If it has moved on, the destination is left behind anew, with the next
//! generation.
//!
//! A cursor moves in four steps: load, plan, write, commit. [`encode`] says what a plan's
//! objects consist of, [`gap`] what becomes of segments that are gone, [`replay`] how a past
//! range is delivered once more, and [`standing`] what is to be said of all this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::destination::Location;
use crate::document::{Document, Place};
use crate::id::{DestinationId, ObjectKey, OrgId, Sequence};
use crate::partition::Hour;
use crate::ports::Failure;
use crate::selection::Selection;

pub use self::gap::{Gap, GapPlan, GapReason};

pub mod encode;
pub mod freshness;
pub mod gap;
pub mod replay;
pub mod standing;

use self::freshness::Freshness;
use self::replay::Hours;

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The log's epoch.
    pub epoch: String,
    /// The first number that has not been passed.
    pub next: Sequence,
}

/// A range of segments that a plan covers, and how the events in it are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The epoch that the plan was made in; it stands in the names.
    pub epoch: String,
    /// The first segment.
    pub first: Sequence,
    /// The last segment.
    pub last: Sequence,
    /// The look-back for duplicates, in milliseconds.
    pub lookback_ms: i64,
}

/// What will be written to one destination. Made from the configuration as it was when the plan
/// was made; changes take effect from the next plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationPlan {
    /// Whose events.
    pub organization: OrgId,
    /// Where to.
    pub location: Location,
    /// Which of them.
    #[serde(default)]
    pub include: Selection,
    /// Segments appended before this time (milliseconds since 1970) are not this destination's.
    pub since_ms: i64,
    /// When the destination was created, where that is known; it goes into the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// Only events of these hours; of all, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// The objects, in the order of their hours.
    pub objects: Vec<PlannedObject>,
    /// What happened to the events that the log holds for it.
    pub counts: Counts,
}

/// One object of a plan: the line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedObject {
    /// Where it will be.
    pub key: ObjectKey,
    /// The hour of its events.
    pub hour: Hour,
    /// Its bytes.
    pub size: u64,
    /// Its lines.
    pub lines: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Counts of events and bytes. They add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events delivered.
    pub delivered: u64,
    /// Events that the selection left out.
    pub left_out: u64,
    /// Duplicates that were dropped.
    pub duplicates: u64,
    /// Delivered events whose id had stood with another line before.
    pub altered: u64,
    /// Bytes of the delivered lines.
    pub raw_bytes: u64,
    /// Objects written.
    pub objects: u64,
    /// Bytes of those objects.
    pub object_bytes: u64,
}

impl Counts {
    /// Events that the log held for it.
    pub fn seen(self) -> u64 {
        self.delivered + self.left_out + self.duplicates
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            left_out: self.left_out + other.left_out,
            duplicates: self.duplicates + other.duplicates,
            altered: self.altered + other.altered,
            raw_bytes: self.raw_bytes + other.raw_bytes,
            objects: self.objects + other.objects,
            object_bytes: self.object_bytes + other.object_bytes,
        }
    }
}

/// What has come of a destination so far. It goes with the destination from cursor to cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Sums over all committed plans.
    pub counts: Counts,
    /// When a plan with objects was last committed, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_ms: Option<i64>,
    /// Parts of the log that were gone before they could be delivered, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Those of them whose record is not in the customer's bucket yet, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Gap>,
    /// How long events took lately.
    #[serde(default, skip_serializing_if = "Freshness::is_empty")]
    pub freshness: Freshness,
}

/// How many gaps a destination's progress remembers.
pub const GAPS_KEPT: usize = 16;

impl Progress {
    /// Notes a committed plan, and when the events that it delivered were appended.
    pub fn note_delivered(&mut self, counts: Counts, appended: &[(i64, u64)], now_ms: i64) {
        self.counts = self.counts.plus(counts);
        if counts.objects > 0 {
            self.delivered_ms = Some(now_ms);
        }
        for (appended_ms, events) in appended {
            self.freshness.observe(*appended_ms, now_ms, *events);
        }
    }

    /// Notes a gap, which is to be told; of those that were told, the oldest beyond
    /// [`GAPS_KEPT`] are forgotten.
    pub fn note_gap(&mut self, gap: Gap) {
        self.untold.push(gap.clone());
        self.gaps.push(gap);
        let surplus = self.gaps.len().saturating_sub(GAPS_KEPT);
        self.gaps.drain(..surplus);
    }
}

/// The cursor of a shard, with all that rides on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCursor {
    /// How many shards there are; a stack with another number refuses to work on the document.
    pub shards: u16,
    /// Where it stands.
    pub position: Position,
    /// When the segment before the position was appended, in milliseconds since 1970.
    pub appended_ms: i64,
    /// When the last flush began, in milliseconds since 1970.
    pub flushed_ms: i64,
    /// The open plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ShardPlan>,
    /// The destinations that ride on this cursor.
    pub members: BTreeMap<DestinationId, Member>,
    /// The destinations that are left behind.
    pub left: BTreeMap<DestinationId, Left>,
    /// The last generation that was given to a left destination.
    pub generation: u64,
    /// Documents of left destinations that no longer count, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
}

/// The document of a destination that is no longer left. It stays for a while, closed: a worker
/// that still believes in it must find it so, and not begin it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Whose it was.
    pub destination: DestinationId,
    /// Its generation.
    pub generation: u64,
    /// When it was retired, in milliseconds since 1970.
    pub retired_ms: i64,
}

/// How long a retired document stays, in milliseconds: longer than any worker lives, which is
/// 15 minutes for a Lambda.
pub const RETIRED_KEPT_MS: i64 = 3600 * 1000;

impl Document for ShardCursor {
    const FORMAT: &'static str = "sealift.shard-cursor/1";
}

impl ShardCursor {
    /// Where a shard's cursor lies in the state bucket: `delivery/<4 digits>.json`.
    pub fn place(shard: u16) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!(
            "delivery/{shard:04}.json"
        )))
    }
}

/// An open plan of a shard: the manifest of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPlan {
    /// The segments that it covers.
    pub range: Range,
    /// When the last of them was appended, in milliseconds since 1970.
    pub appended_ms: i64,
    /// What will be written where. Members without objects are not listed.
    pub destinations: BTreeMap<DestinationId, DestinationPlan>,
}

/// A destination that rides on its shard's cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whose it is. A destination never changes its organization.
    pub organization: OrgId,
    /// When the destination was created, where that is known: another creation is another
    /// destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// Segments appended before this time (milliseconds since 1970) are not this destination's.
    pub since_ms: i64,
    /// What has come of it.
    pub progress: Progress,
}

/// A destination that is left behind: where its own cursor begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which of its times of being left this is; unique within the shard.
    pub generation: u64,
    /// Why it was left.
    pub reason: LeftReason,
    /// When, in milliseconds since 1970.
    pub left_ms: i64,
    /// The first segment since then that holds something for it, as its shard saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waiting>,
    /// Its first state; what came later stands in its own document.
    pub begin: LeftCursor,
}

/// A segment that waits for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which.
    pub sequence: Sequence,
    /// When it was appended, in milliseconds since 1970.
    pub appended_ms: i64,
}

/// Why a destination was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// Writing to it failed.
    Failed,
    /// Writing to it took too long for one flush.
    Slow,
    /// It starts in the past.
    StartsInPast,
    /// It is paused.
    Paused,
    /// It had caught up, but the shard had moved on before it could rejoin.
    Overtaken,
    /// A part of the log was gone in front of it, which it is told of first.
    Gap,
}

/// The cursor of a destination that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftCursor {
    /// Whose it is.
    pub organization: OrgId,
    /// When the destination was created, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// Where it stands.
    pub position: Position,
    /// When the segment before the position was appended, where that is known; in milliseconds
    /// since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_ms: Option<i64>,
    /// Segments appended before this time (milliseconds since 1970) are not this destination's.
    pub since_ms: i64,
    /// Its open plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LeftPlan>,
    /// Its open plan of the record of a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_plan: Option<GapPlan>,
    /// What has come of it.
    pub progress: Progress,
    /// For which time its owner was last warned that what waits will expire, in milliseconds
    /// since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_ms: Option<i64>,
    /// Tries that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// No try before this time, in milliseconds since 1970.
    #[serde(default)]
    pub not_before_ms: i64,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Set when it has caught up: nobody works on this document any more.
    #[serde(default)]
    pub closed: bool,
}

impl Document for LeftCursor {
    const FORMAT: &'static str = "sealift.left-cursor/1";
}

impl LeftCursor {
    /// The cursor of a destination that nothing has happened to yet.
    pub fn beginning(
        organization: OrgId,
        created_ms: Option<i64>,
        position: Position,
        since_ms: i64,
        progress: Progress,
    ) -> Self {
        Self {
            organization,
            created_ms,
            position,
            passed_ms: None,
            since_ms,
            plan: None,
            gap_plan: None,
            progress,
            warned_ms: None,
            attempts: 0,
            not_before_ms: 0,
            failure: None,
            closed: false,
        }
    }

    /// Where the cursor of a left destination lies in the state bucket:
    /// `delivery/<shard>/left/<destination>-<generation>.json`.
    pub fn place(shard: u16, destination: &DestinationId, generation: u64) -> Place<Self> {
        let text = format!("delivery/{shard:04}/left/{destination}-{generation}.json");
        Place::new(ObjectKey::of_known_form(text))
    }
}

/// An open plan of a destination that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPlan {
    /// The segments that it covers.
    pub range: Range,
    /// When the last of them was appended, where that is known; in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appended_ms: Option<i64>,
    /// What will be written.
    pub destination: DestinationPlan,
    /// How many of its objects are written already.
    #[serde(default)]
    pub written: usize,
}

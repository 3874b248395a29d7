//! Replays: a past range of a destination's events, delivered once more beside its live stream.
//!
//! A replay is a cursor of its own over the same log, with the same steps: load, plan, write,
//! commit. It delivers into `<prefix>_replays/<id>/`, never into the live stream's keys, and
//! only what has been the destination's: segments that were appended since its start. Which
//! events it delivers is decided by their hours; which segments it reads by the range's
//! beginning, and by where the log ended when the replay began, since events can be late by any
//! time. It begins to read one look-back earlier, so that what it takes for a duplicate is one.
//!
//! Whoever wants a replay creates its document and then names it in the destination's
//! `replays`; delivery finds it there, and never writes there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Counts, Gap, LeftPlan, Position};
use crate::Timestamp;
use crate::destination::{Destination, Location};
use crate::document::{Document, DocumentError, Place};
use crate::id::{DestinationId, InvalidId, KeyPrefix, ObjectKey, OrgId, ReplayId, Sequence};
use crate::partition::Hour;
use crate::ports::{Entropy, Failure, ObjectStore};

use super::standing::PROMISED_MS;

/// The folder of replays, below a destination's prefix.
pub const FOLDER: &str = "_replays/";

const HOUR_MS: i64 = 3600 * 1000;

impl ReplayId {
    /// An id that no other replay has.
    pub fn generate(entropy: &impl Entropy) -> Self {
        Self::of_bits(entropy.bits())
    }
}

/// A run of whole hours, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The first of them.
    pub first: Hour,
    /// The last of them.
    pub last: Hour,
}

impl Hours {
    /// Whether the hour is one of them.
    pub fn contain(self, hour: Hour) -> bool {
        self.first <= hour && hour <= self.last
    }
}

/// A replay: what is asked for, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Whose events.
    pub organization: OrgId,
    /// When the destination was created; one that was made again is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// When it was asked for, in milliseconds since 1970.
    pub requested_ms: i64,
    /// The range as it was asked for: from this time on, in milliseconds since 1970.
    pub from_ms: i64,
    /// And before this one.
    pub to_ms: i64,
    /// The hours whose events are delivered.
    pub hours: Hours,
    /// Whether there is more to do.
    pub state: ReplayState,
    /// Where in the log it began and will end; nothing before it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Its open plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<LeftPlan>,
    /// Sums over all committed plans.
    #[serde(default)]
    pub counts: Counts,
    /// Parts of the log that were gone before they could be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Tries that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// No try before this time, in milliseconds since 1970.
    #[serde(default)]
    pub not_before_ms: i64,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was over, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// There is.
    Running,
    /// All of it is delivered.
    Done,
    /// Somebody called it off. What was delivered by then stays.
    Cancelled,
    /// It can never be finished; its failure says why.
    Failed,
}

/// The part of the log that a replay reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The first segment.
    pub first: Sequence,
    /// The first number that is beyond it: where the log ended when the replay began.
    pub end: Sequence,
}

impl Document for Replay {
    const FORMAT: &'static str = "sealift.replay/1";
}

/// A replay that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidReplay {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it, and the way out.
    pub reason: String,
}

impl fmt::Display for InvalidReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.reason)
    }
}

impl std::error::Error for InvalidReplay {}

impl Replay {
    /// Where a replay lies in the state bucket:
    /// `delivery/<shard>/replays/<destination>-<replay>.json`. No replay's id has a `-`, so no
    /// two share a key.
    pub fn place(shard: u16, destination: &DestinationId, replay: &ReplayId) -> Place<Self> {
        let text = format!("delivery/{shard:04}/replays/{destination}-{replay}.json");
        Place::new(ObjectKey::of_known_form(text))
    }

    /// A replay of all events from one time to before another, in whole hours: from the hour of
    /// the first on, to the one that the last moment lies in.
    pub fn new(
        destination: &Destination,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<Self, InvalidReplay> {
        let refuse = |field, reason: &str| {
            let reason = reason.to_owned();
            Err(InvalidReplay { field, reason })
        };
        let [from_ms, to_ms, now_ms] = [from, to, now].map(Timestamp::as_millisecond);
        if destination.start_ms.is_none() {
            return refuse(
                "destination",
                "was never started, so there is nothing to replay; start it, from a time in the past if need be",
            );
        }
        if from_ms >= to_ms {
            return refuse("from", "must lie before `to`");
        }
        if from_ms > now_ms {
            return refuse("from", "must not lie in the future");
        }
        if now_ms - from_ms > PROMISED_MS {
            return refuse(
                "from",
                "must lie within the last 30 days; what is older is not kept",
            );
        }
        let last = Timestamp::from_millisecond(to_ms - 1).ok();
        let (Some(first), Some(last)) = (Hour::of(from), last.and_then(Hour::of)) else {
            return refuse("to", "must lie in the years 1 to 9999");
        };
        Ok(Self {
            organization: destination.organization.clone(),
            created_ms: destination.created_ms,
            requested_ms: now_ms,
            from_ms,
            to_ms,
            hours: Hours { first, last },
            state: ReplayState::Running,
            begun: None,
            position: None,
            plan: None,
            counts: Counts::default(),
            gaps: Vec::new(),
            attempts: 0,
            not_before_ms: 0,
            failure: None,
            ended_ms: None,
        })
    }

    /// The first moment of its hours, in milliseconds since 1970.
    pub fn first_moment_ms(&self) -> i64 {
        self.from_ms - self.from_ms.rem_euclid(HOUR_MS)
    }

    /// Whether there is nothing more to do.
    pub fn is_over(&self) -> bool {
        self.state != ReplayState::Running
    }

    /// How it stands when it has ended so.
    #[must_use]
    pub fn ended(&self, state: ReplayState, now_ms: i64) -> Self {
        Self {
            state,
            plan: None,
            not_before_ms: 0,
            ended_ms: Some(now_ms),
            ..self.clone()
        }
    }

    /// How it stands when it is called off. `None` if it is over already.
    pub fn cancelled(&self, now_ms: i64) -> Option<Self> {
        (!self.is_over()).then(|| self.ended(ReplayState::Cancelled, now_ms))
    }

    /// How many segments it has passed, and how many there are in all; `None` before it has
    /// begun.
    pub fn segments(&self) -> Option<(u64, u64)> {
        let Begun { first, end } = self.begun?;
        let all = end.0.saturating_sub(first.0);
        let next = self.position.as_ref().map_or(first, |at| at.next);
        Some((next.0.saturating_sub(first.0).min(all), all))
    }
}

/// Where a replay's objects go.
pub fn location(destination: &Destination, replay: &ReplayId) -> Result<Location, InvalidId> {
    let prefix = &destination.location.prefix;
    Ok(Location {
        prefix: KeyPrefix::parse(format!("{prefix}{FOLDER}{replay}/"))?,
        ..destination.location.clone()
    })
}

/// Calls a replay off. What stands there then is the answer; `None` if there is no such replay.
pub async fn cancel(
    state: &impl ObjectStore,
    entropy: &impl Entropy,
    shard: u16,
    destination: &DestinationId,
    replay: &ReplayId,
    now_ms: i64,
) -> Result<Option<Replay>, DocumentError> {
    let place = Replay::place(shard, destination, replay);
    let stored = place
        .update(state, entropy, |read| read?.cancelled(now_ms))
        .await?;
    Ok(stored.map(|stored| stored.body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn destination() -> Destination {
        let document = json!({
            "id": "main", "organization": "acme", "status": "streaming", "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "bucket", "prefix": "audit/"},
            "credentials": {"type": "access_keys"},
        });
        serde_json::from_value(document).unwrap()
    }

    fn replay(from: &str, to: &str) -> Result<Replay, InvalidReplay> {
        let now = "2026-05-31T00:00:00Z".parse().unwrap();
        Replay::new(
            &destination(),
            from.parse().unwrap(),
            to.parse().unwrap(),
            now,
        )
    }

    fn hours(from: &str, to: &str) -> [String; 2] {
        let Hours { first, last } = replay(from, to).unwrap().hours;
        [first.to_string(), last.to_string()]
    }

    #[test]
    fn a_range_is_widened_to_whole_hours_and_its_end_is_not_part_of_it() {
        assert_eq!(
            hours("2026-05-12T23:59:59Z", "2026-05-13T02:00:00Z"),
            ["2026-05-12T23", "2026-05-13T01"]
        );
        assert_eq!(
            hours("2026-05-12T23:00:00Z", "2026-05-12T23:00:00.001Z"),
            ["2026-05-12T23", "2026-05-12T23"]
        );
        let replay = replay("2026-05-12T23:59:59Z", "2026-05-13T02:00:00Z").unwrap();
        let first: Timestamp = "2026-05-12T23:00:00Z".parse().unwrap();
        assert_eq!(replay.first_moment_ms(), first.as_millisecond());
    }

    #[test]
    fn a_range_that_cannot_be_says_which_field_is_wrong() {
        let field = |from, to| replay(from, to).unwrap_err().field;
        assert_eq!(
            field("2026-05-12T00:00:00Z", "2026-05-12T00:00:00Z"),
            "from"
        );
        assert_eq!(
            field("2026-06-12T00:00:00Z", "2026-06-13T00:00:00Z"),
            "from"
        );
        assert_eq!(
            field("2026-04-30T23:59:59Z", "2026-05-13T00:00:00Z"),
            "from"
        );
        assert!(replay("2026-05-01T00:00:00Z", "2026-06-13T00:00:00Z").is_ok());
        let never = Destination {
            start_ms: None,
            ..destination()
        };
        let now: Timestamp = "2026-05-31T00:00:00Z".parse().unwrap();
        let hour_ago = now - std::time::Duration::from_secs(3600);
        let error = Replay::new(&never, hour_ago, now, now).unwrap_err();
        assert_eq!(error.field, "destination");
    }

    #[test]
    fn what_is_over_cannot_be_called_off() {
        let running = replay("2026-05-12T00:00:00Z", "2026-05-13T00:00:00Z").unwrap();
        let cancelled = running.cancelled(7).unwrap();
        assert_eq!(
            (cancelled.state, cancelled.ended_ms),
            (ReplayState::Cancelled, Some(7))
        );
        assert_eq!(cancelled.cancelled(8), None);
        assert_eq!(running.ended(ReplayState::Done, 7).cancelled(8), None);
    }

    #[test]
    fn a_replays_id_has_no_hyphen_so_that_no_two_documents_share_a_key() {
        assert!(ReplayId::parse("a-b").is_err());
        assert!(ReplayId::parse("").is_err());
        let id = ReplayId::of_bits(u128::MAX);
        assert_eq!(ReplayId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn a_prefix_that_leaves_no_room_for_replays_is_refused() {
        let mut destination = destination();
        let id = ReplayId::of_bits(1);
        assert_eq!(
            location(&destination, &id).unwrap().prefix.as_str(),
            "audit/_replays/0000000000000001/"
        );
        let long = format!("{}/", "x".repeat(500));
        destination.location.prefix = KeyPrefix::parse(long).unwrap();
        assert!(location(&destination, &id).is_err());
    }
}

//! Standing: what is to be said of a destination's delivery, from the documents of its cursors
//! and the log. Nothing here decides anything.

use super::freshness::Quantiles;
use super::{Counts, Gap, LeftCursor, LeftReason, Position, Progress, ShardCursor};
use crate::destination::Destination;
use crate::id::Sequence;
use crate::log::{Log, LogError};
use crate::ports::{Failure, ObjectStore};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// For so long events are promised to wait in the log.
pub const PROMISED_MS: i64 = 30 * DAY_MS;

/// For so long they are really kept; what lies between is for repairs.
pub const KEPT_MS: i64 = 37 * DAY_MS;

/// From this age of the oldest waiting event on its owner is warned.
pub const WARNED_FROM_MS: i64 = 23 * DAY_MS;

/// Listings of the log hold at most this many segments.
const PAGE: usize = 1000;

/// So many listings are made to find the end of the log; beyond that it is told as it was found.
const PAGES: usize = 10;

/// How a destination's delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What cursor it rides on.
    pub state: CursorState,
    /// The first segment that it has not passed.
    pub position: Option<Position>,
    /// The first number that the log has not used yet.
    pub end: Option<Position>,
    /// Segments between the two, whether or not they hold anything for it.
    pub lag_segments: u64,
    /// When the oldest segment was appended that holds something for it, in milliseconds since
    /// 1970. `None`: nothing waits. For one that is catching up it can be told too old, since
    /// not every segment in front of it need hold something for it.
    pub oldest_waiting_ms: Option<i64>,
    /// The age of that.
    pub oldest_age_ms: Option<i64>,
    /// Sums over all committed plans.
    pub counts: Counts,
    /// When a plan with objects was last committed, in milliseconds since 1970.
    pub delivered_ms: Option<i64>,
    /// What went wrong last, until something goes well.
    pub failure: Option<Failure>,
    /// Tries that failed in a row.
    pub attempts: u32,
    /// No try before this time, in milliseconds since 1970.
    pub not_before_ms: Option<i64>,
    /// Parts of the log that were gone before they could be delivered, the latest last.
    pub gaps: Vec<Gap>,
    /// How many gaps' records are not in the customer's bucket yet.
    pub untold_gaps: usize,
    /// When what waits will be gone.
    pub expiry: Option<Expiry>,
    /// How long events took from the log into the customer's bucket.
    pub freshness: Quantiles,
}

/// What cursor a destination rides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorState {
    /// On none: it was never started.
    NotStarted,
    /// On none yet: it was started, and the next run takes it in.
    Expected,
    /// On its shard's, with the others.
    Rides,
    /// On its own.
    Left {
        /// Why.
        reason: LeftReason,
        /// Since when, in milliseconds since 1970.
        since_ms: i64,
    },
}

/// When events that wait will be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Until then the oldest is promised to be kept, in milliseconds since 1970.
    pub promised_until_ms: i64,
    /// Then it is deleted.
    pub kept_until_ms: i64,
    /// Days until the promise ends, begun ones counted; 0 if it has ended.
    pub days_left: i64,
    /// Whether it is time to warn.
    pub warns: bool,
}

impl Expiry {
    /// When something expires that was appended at a time.
    pub fn of(appended_ms: i64, now_ms: i64) -> Self {
        let promised_until_ms = appended_ms.saturating_add(PROMISED_MS);
        let left_ms = promised_until_ms.saturating_sub(now_ms).max(0);
        Self {
            promised_until_ms,
            kept_until_ms: appended_ms.saturating_add(KEPT_MS),
            days_left: left_ms.saturating_add(DAY_MS - 1) / DAY_MS,
            warns: now_ms.saturating_sub(appended_ms) >= WARNED_FROM_MS,
        }
    }
}

/// What a standing is computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The cursor of its shard.
    pub shard: Option<ShardCursor>,
    /// Its own cursor, if it has one.
    pub left: Option<LeftCursor>,
    /// The first number that the log has not used yet.
    pub end: Option<Position>,
    /// When the oldest segment was appended that it has not passed and that is still there, in
    /// milliseconds since 1970.
    pub oldest_unpassed_ms: Option<i64>,
}

impl Facts {
    /// The cursor that the destination rides on, if it is this destination's at all: one that
    /// was removed and created again has none before the next run.
    fn cursor(&self, destination: &Destination) -> Option<Cursor<'_>> {
        let shard = self.shard.as_ref()?;
        if let Some(member) = shard.members.get(&destination.id) {
            return destination
                .is_of(&member.organization, member.created_ms)
                .then_some(Cursor {
                    state: CursorState::Rides,
                    position: &shard.position,
                    progress: &member.progress,
                    own: None,
                });
        }
        let entry = shard.left.get(&destination.id)?;
        let own = self.left.as_ref().unwrap_or(&entry.begin);
        destination
            .is_of(&entry.begin.organization, entry.begin.created_ms)
            .then_some(Cursor {
                state: CursorState::Left {
                    reason: entry.reason,
                    since_ms: entry.left_ms,
                },
                position: &own.position,
                progress: &own.progress,
                own: Some(own),
            })
    }
}

struct Cursor<'a> {
    state: CursorState,
    position: &'a Position,
    progress: &'a Progress,
    own: Option<&'a LeftCursor>,
}

impl Standing {
    /// How a destination's delivery stands, by what is known now.
    pub fn of(destination: &Destination, facts: &Facts, now_ms: i64) -> Self {
        let Some(cursor) = facts.cursor(destination) else {
            return Self::without_cursor(destination, facts.end.clone());
        };
        let lag_segments = facts
            .end
            .as_ref()
            .map_or(0, |end| end.next.0.saturating_sub(cursor.position.next.0));
        let oldest_waiting_ms = oldest_waiting(destination, facts, &cursor)
            .filter(|_| lag_segments > 0 || cursor.own.is_some_and(|own| own.plan.is_some()));
        let Progress {
            counts,
            delivered_ms,
            gaps,
            untold,
            freshness,
        } = cursor.progress;
        Self {
            state: cursor.state,
            position: Some(cursor.position.clone()),
            end: facts.end.clone(),
            lag_segments,
            oldest_waiting_ms,
            oldest_age_ms: oldest_waiting_ms.map(|at| now_ms.saturating_sub(at).max(0)),
            counts: *counts,
            delivered_ms: *delivered_ms,
            failure: cursor.own.and_then(|own| own.failure.clone()),
            attempts: cursor.own.map_or(0, |own| own.attempts),
            not_before_ms: cursor
                .own
                .map(|own| own.not_before_ms)
                .filter(|at| *at > now_ms),
            gaps: gaps.clone(),
            untold_gaps: untold.len(),
            expiry: oldest_waiting_ms.map(|at| Expiry::of(at, now_ms)),
            freshness: freshness.quantiles(now_ms),
        }
    }

    fn without_cursor(destination: &Destination, end: Option<Position>) -> Self {
        let started = destination.start_ms.is_some();
        Self {
            state: if started {
                CursorState::Expected
            } else {
                CursorState::NotStarted
            },
            position: None,
            end,
            lag_segments: 0,
            oldest_waiting_ms: None,
            oldest_age_ms: None,
            counts: Counts::default(),
            delivered_ms: None,
            failure: None,
            attempts: 0,
            not_before_ms: None,
            gaps: Vec::new(),
            untold_gaps: 0,
            expiry: None,
            freshness: Quantiles::default(),
        }
    }
}

/// Since when the oldest waits that waits for a destination.
fn oldest_waiting(destination: &Destination, facts: &Facts, cursor: &Cursor<'_>) -> Option<i64> {
    let Some(own) = cursor.own else {
        return facts.oldest_unpassed_ms;
    };
    let entry = facts.shard.as_ref()?.left.get(&destination.id)?;
    // What the shard has passed since it was left held nothing for it, or this.
    let waits = entry.waits.as_ref()?;
    if own.position.next <= waits.sequence {
        Some(waits.appended_ms)
    } else {
        facts.oldest_unpassed_ms
    }
}

/// Reads how a destination's delivery stands: its shard's cursor, its own if it is left, the
/// head of the log, and the log's segments from its position on.
pub async fn load<L: ObjectStore>(
    log: &Log<L>,
    state: &impl ObjectStore,
    shard: u16,
    destination: &Destination,
    now_ms: i64,
) -> Result<Standing, LogError> {
    let mut facts = Facts::default();
    let cursor = ShardCursor::place(shard).load(state).await?;
    facts.shard = cursor.map(|cursor| cursor.body);
    let entry = facts
        .shard
        .as_ref()
        .and_then(|shard| shard.left.get(&destination.id));
    if let Some(entry) = entry {
        let place = LeftCursor::place(shard, &destination.id, entry.generation);
        facts.left = place.load(state).await?.map(|own| own.body);
    }
    let Some(head) = log.head().await?.map(|head| head.body) else {
        return Ok(Standing::of(destination, &facts, now_ms));
    };
    let position = facts
        .cursor(destination)
        .map(|cursor| cursor.position.clone());
    if let Some(position) = &position {
        let oldest = log.list_after(position.next.previous(), 1).await?;
        facts.oldest_unpassed_ms = oldest
            .first()
            .map(|entry| entry.last_modified.as_millisecond());
    }
    let passed = facts.shard.as_ref().map(|shard| shard.position.next);
    let from = passed.map_or(head.floor, |passed| passed.max(head.floor));
    facts.end = Some(Position {
        next: end_of(log, from).await?,
        epoch: head.epoch,
    });
    Ok(Standing::of(destination, &facts, now_ms))
}

/// The first number that the log has not used yet, if it is not before `from`. Where more than
/// 10,000 segments lie behind that, the end is told as it is by then.
pub async fn end_of<L: ObjectStore>(log: &Log<L>, from: Sequence) -> Result<Sequence, LogError> {
    let mut end = from;
    for _ in 0..PAGES {
        let page = log.list_after(end.previous(), PAGE).await?;
        if let Some(last) = page.last() {
            end = last.sequence.next();
        }
        if page.len() < PAGE {
            break;
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests;

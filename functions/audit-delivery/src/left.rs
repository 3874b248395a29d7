//! Destinations that were left behind: each has a cursor of its own until it has caught up.

use std::borrow::Cow;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sealift_core::Timestamp;
use sealift_core::delivery::encode::{Catalog, Marked, encode};
use sealift_core::delivery::{
    Gap, Left, LeftCursor, LeftPlan, LeftReason, Member, Position, Range, ShardCursor, Waiting,
};
use sealift_core::destination::{Destination, DestinationSet};
use sealift_core::document::{Refreshed, Saved, Stored};
use sealift_core::id::{DestinationId, Sequence};
use sealift_core::lookback::Lookback;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};
use sealift_core::segment::Segment;

use crate::shard::blank_plan;
use crate::turns::Turns;
use crate::writing::Carried;
use crate::{Delivery, DeliveryError, Report};

/// Pauses between tries that fail: 10 s, doubled each time up to 5 minutes.
const FIRST_PAUSE_MS: i64 = 10_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

/// The work on one left destination.
pub(crate) struct Work<'a> {
    shard: u16,
    pub(crate) id: &'a DestinationId,
    pub(crate) destination: &'a Destination,
    /// The set that it was found in.
    set: &'a Stored<DestinationSet>,
    left: &'a Left,
    /// Where the shard stands; nothing is delivered beyond it.
    shard_position: &'a Position,
    pub(crate) deadline: Timestamp,
    /// Its cursor, once it was read.
    cursor: Option<Stored<LeftCursor>>,
    lookback: Lookback,
}

/// How a turn of the work on one left destination ended.
enum Ended {
    /// It has caught up; its document is closed at the position.
    CaughtUp(Box<LeftCursor>),
    /// It has more to do.
    GoesOn,
    /// It goes on another time.
    Waits,
}

/// The next state of a cursor, and whether there may be more to do then.
type Step = (LeftCursor, bool);

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// When a try may follow that many failures.
    pub(crate) fn retry_at(&self, attempts: u32) -> i64 {
        let pause = FIRST_PAUSE_MS << attempts.saturating_sub(1).min(10);
        self.now_ms() + pause.min(LONGEST_PAUSE_MS)
    }

    /// Works on all left destinations of a shard that are due, in turns. The cursor is then as
    /// it stands without those that have caught up.
    pub(crate) async fn run_left(
        &self,
        shard: u16,
        deadline: Timestamp,
        cursor: &mut Stored<ShardCursor>,
        set: Option<&Stored<DestinationSet>>,
        lookback: &Lookback,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let Some(set) = set else {
            return Ok(());
        };
        let mut turns = Turns::default();
        for (id, left) in &cursor.body.left {
            let LeftCursor {
                organization,
                created_ms,
                ..
            } = &left.begin;
            let ours = |d: &&Destination| d.is_of(organization, *created_ms) && d.flows();
            let Some(destination) = set.body.0.get(id).filter(ours) else {
                continue;
            };
            let only = Some(organization.clone());
            let work = Work {
                shard,
                id,
                destination,
                set,
                left,
                shard_position: &cursor.body.position,
                deadline,
                cursor: None,
                lookback: Lookback::new(self.settings.lookback_ms, only),
            };
            turns.push(organization, work);
        }
        turns.begin_anywhere(&self.entropy);
        let mut caught_up = Vec::new();
        let mut failed = None;
        let mut under_way = FuturesUnordered::new();
        loop {
            while let Some((organization, mut work)) = turns.next() {
                // Boxed one by one: a closure in a stream would hide from the compiler that it
                // can be sent to another thread.
                let turn = async move {
                    let mut own = Report::default();
                    let ended = self.catch_up(&mut work, lookback, &mut own).await;
                    (organization, work, ended, own)
                };
                under_way.push(turn.boxed());
            }
            let Some((organization, work, ended, own)) = under_way.next().await else {
                break;
            };
            report.add(&own);
            let mut rest = None;
            match ended {
                Ok(Ended::CaughtUp(left)) => caught_up.push((work.id.clone(), *left)),
                Ok(Ended::GoesOn) => rest = Some(work),
                Ok(Ended::Waits) => {}
                // One destination's trouble is not the others'; it is told at the end.
                Err(error) => failed = Some(error),
            }
            turns.ended(&organization, rest);
        }
        // Both hold on to the cursor.
        drop((turns, under_way));
        if !caught_up.is_empty() {
            self.rejoin(shard, cursor, caught_up, report).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// The own cursor of a left destination, which begins with its first turn.
    pub(crate) async fn own_cursor(
        &self,
        shard: u16,
        id: &DestinationId,
        left: &Left,
    ) -> Result<Option<Stored<LeftCursor>>, DeliveryError> {
        let place = LeftCursor::place(shard, id, left.generation);
        if let Some(cursor) = place.load(&self.state).await? {
            return Ok(Some(cursor));
        }
        let begin = left.begin.clone();
        Ok(
            match place.create(&self.state, begin, &self.entropy).await? {
                Saved::Done(cursor) => Some(cursor),
                Saved::Stale => None,
            },
        )
    }

    /// One turn: moves one left destination's cursor by one step.
    async fn catch_up(
        &self,
        work: &mut Work<'_>,
        shard_lookback: &Lookback,
        report: &mut Report,
    ) -> Result<Ended, DeliveryError> {
        let cursor = match work.cursor.take() {
            Some(cursor) => cursor,
            None => match self.own_cursor(work.shard, work.id, work.left).await? {
                Some(cursor) => cursor,
                None => return Ok(Ended::Waits),
            },
        };
        if cursor.body.closed {
            return Ok(Ended::CaughtUp(Box::new(cursor.body)));
        }
        if self.now_ms() < cursor.body.not_before_ms || !self.has_time(work.deadline) {
            return Ok(Ended::Waits);
        }
        let (next, goes_on) = if cursor.body.plan.is_some() {
            self.finish_left(work, &cursor.body, report).await?
        } else if let Some(told) = self.tell_gap(work, &cursor.body, report).await {
            told
        } else {
            self.plan_left(work, &cursor.body, shard_lookback, report)
                .await?
        };
        if next == cursor.body {
            return Ok(Ended::Waits);
        }
        let place = LeftCursor::place(work.shard, work.id, work.left.generation);
        let saved = place
            .replace(&self.state, &cursor, next, &self.entropy)
            .await?;
        let Saved::Done(saved) = saved else {
            report.overtaken = true;
            return Ok(Ended::Waits);
        };
        if saved.body.closed {
            return Ok(Ended::CaughtUp(Box::new(saved.body)));
        }
        work.cursor = Some(saved);
        Ok(if goes_on { Ended::GoesOn } else { Ended::Waits })
    }

    /// The next state of a cursor without an open plan: with a plan, moved over what holds
    /// nothing for it, or closed because it has caught up.
    async fn plan_left(
        &self,
        work: &mut Work<'_>,
        cursor: &LeftCursor,
        shard_lookback: &Lookback,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let mut next = cursor.clone();
        let end = work.shard_position.next;
        let ahead = self
            .ahead(&cursor.position, cursor.passed_ms, Some(end))
            .await?;
        if ahead.position.epoch != work.shard_position.epoch || ahead.position.next > end {
            // The shard goes into a new epoch first.
            return Ok((next, false));
        }
        next.position = ahead.position;
        if let Some(gap) = ahead.gap {
            note_left_gap(work, gap, &mut next, report);
            // It is told before anything behind it is delivered.
            return Ok((next, true));
        }
        let Some((first, last)) = ahead.entries.first().zip(ahead.entries.last()) else {
            // What lies between here and the shard's position, if anything, is gone.
            next.position = work.shard_position.clone();
            next.closed = true;
            return Ok((next, true));
        };
        let segments = self.segments(first.sequence, last.sequence).await?;
        let Some((first, last)) = segments.first().zip(segments.last()) else {
            return Ok((next, true));
        };
        let range = Range {
            epoch: next.position.epoch.clone(),
            first: first.sequence(),
            last: last.sequence(),
            lookback_ms: self.settings.lookback_ms,
        };
        let appended_ms = Some(last.index.header.appended_ms);
        let known =
            (range.first.0..=range.last.0).all(|n| shard_lookback.marks(Sequence(n)).is_some());
        let marked = if known {
            let marks = |segment: Segment| Marked {
                marks: shard_lookback.marks(segment.sequence()).unwrap_or_default(),
                segment,
            };
            segments.into_iter().map(marks).collect()
        } else {
            self.mark(segments, &mut work.lookback).await?
        };
        let Some(destination) = self.destination_now(work).await? else {
            return Ok((cursor.clone(), false));
        };
        let blank = blank_plan(&destination, cursor.since_ms);
        let (objects, plan) = encode(
            &Catalog::of(&marked),
            &range,
            work.id,
            &blank,
            &self.settings.encoding,
        )?;
        if objects.is_empty() {
            next.position.next = range.last.next();
            next.passed_ms = appended_ms;
            next.progress.counts = next.progress.counts.plus(plan.counts);
            return Ok((next, true));
        }
        next.plan = Some(LeftPlan {
            range,
            appended_ms,
            destination: plan,
            written: 0,
        });
        Ok((next, true))
    }

    /// The destination as it is configured after the cursor was read; `None` if nothing flows to it
    /// any more. A run that began before it moved must neither give up a plan that was made since
    /// nor make one for the old place: what was written there may be there in spite of an error, and
    /// would be there twice.
    async fn destination_now<'a>(
        &self,
        work: &Work<'a>,
    ) -> Result<Option<Cow<'a, Destination>>, DeliveryError> {
        let place = DestinationSet::place(work.shard);
        let now = match place.refresh(&self.state, work.set).await? {
            Refreshed::Same => Some(Cow::Borrowed(work.destination)),
            Refreshed::Changed(mut set) => set.body.0.remove(work.id).map(Cow::Owned),
            Refreshed::Gone => None,
        };
        let (of, created_ms) = (&work.destination.organization, work.destination.created_ms);
        Ok(now.filter(|now| now.is_of(of, created_ms) && now.flows()))
    }

    /// Writes the open plan; the next state is past it, or tells what went wrong.
    async fn finish_left(
        &self,
        work: &mut Work<'_>,
        cursor: &LeftCursor,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let mut next = cursor.clone();
        let Some(plan) = &cursor.plan else {
            return Ok((next, true));
        };
        let range = &plan.range;
        let past = Position {
            epoch: range.epoch.clone(),
            next: range.last.next(),
        };
        let Some(marked) = self.again(range, &mut work.lookback).await? else {
            let gap = self.gap_of(range, cursor.passed_ms, plan.appended_ms);
            note_left_gap(work, gap, &mut next, report);
            (next.plan, next.position, next.passed_ms) = (None, past, plan.appended_ms);
            return Ok((next, true));
        };
        let now_written = |next: &mut LeftCursor, written| {
            if let Some(plan) = &mut next.plan {
                plan.written = written;
            }
        };
        let carried = self
            .carry_out(work.id, work.destination, plan, &marked, work.deadline)
            .await?;
        match carried {
            Carried::Otherwise(otherwise) => {
                next.plan = Some(*otherwise);
                Ok((next, true))
            }
            Carried::Partly(written) => {
                // The rest is for another run.
                now_written(&mut next, written);
                Ok((next, false))
            }
            Carried::Failed(written, failure) => {
                now_written(&mut next, written);
                let now = self.destination_now(work).await?;
                if now.is_some_and(|now| now.location != plan.destination.location) {
                    // The destination has moved, and the old place does not take it any more:
                    // the same range is planned for the new place.
                    tracing::warn!(destination = %work.id, error = %failure, "destination {} has moved: its open plan is made anew", work.id);
                    next.plan = None;
                    return Ok((next, true));
                }
                self.note_failure(work, failure, &mut next, report);
                Ok((next, false))
            }
            Carried::Done(appended) => {
                let (now_ms, counts) = (self.now_ms(), plan.destination.counts);
                next.progress.note_delivered(counts, &appended, now_ms);
                report.note_appended(&appended, now_ms);
                (next.plan, next.position, next.passed_ms) = (None, past, plan.appended_ms);
                (next.attempts, next.not_before_ms, next.failure) = (0, 0, None);
                report.plans += 1;
                report.counts = report.counts.plus(counts);
                Ok((next, true))
            }
        }
    }

    /// Notes that a try failed, and when the next may be.
    pub(crate) fn note_failure(
        &self,
        work: &Work<'_>,
        failure: sealift_core::ports::Failure,
        next: &mut LeftCursor,
        report: &mut Report,
    ) {
        next.attempts = next.attempts.saturating_add(1);
        next.not_before_ms = self.retry_at(next.attempts);
        let (id, attempts) = (work.id, next.attempts);
        tracing::warn!(destination = %id, attempts, error = %failure, "destination {id} still fails: {failure}");
        next.failure = Some(failure);
        report.failures += 1;
    }

    /// Takes destinations back whose cursors are closed where the shard stands. Those that the
    /// shard has left behind again meanwhile go on with a cursor of the next generation.
    async fn rejoin(
        &self,
        shard: u16,
        cursor: &mut Stored<ShardCursor>,
        caught_up: Vec<(DestinationId, LeftCursor)>,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let mut next = cursor.body.clone();
        let mut rejoined = 0;
        for (id, closed) in caught_up {
            if next.left.remove(&id).is_none() {
                continue;
            }
            let together = next.plan.is_none() && closed.position == next.position;
            let position = closed.position.clone();
            let member = Member {
                organization: closed.organization,
                created_ms: closed.created_ms,
                since_ms: closed.since_ms,
                progress: closed.progress,
            };
            next.members.insert(id.clone(), member);
            if together {
                tracing::info!(destination = %id, "destination {id} has caught up");
                rejoined += 1;
            } else {
                // Something may wait in what the shard has passed meanwhile.
                let waits = Waiting {
                    sequence: position.next,
                    appended_ms: next.appended_ms,
                };
                self.leave(
                    &mut next,
                    &id,
                    LeftReason::Overtaken,
                    Some(waits),
                    |begin| {
                        begin.position = position;
                        begin.passed_ms = closed.passed_ms;
                    },
                );
            }
        }
        match self.replace_shard(shard, cursor, next).await? {
            Saved::Done(saved) => {
                *cursor = saved;
                report.rejoined += rejoined;
            }
            Saved::Stale => report.overtaken = true,
        }
        Ok(())
    }
}

fn note_left_gap(work: &Work<'_>, gap: Gap, cursor: &mut LeftCursor, report: &mut Report) {
    let Gap {
        first,
        last,
        reason,
        ..
    } = &gap;
    let id = work.id;
    tracing::error!(destination = %id, %first, ?last, ?reason, "the log has a gap in front of destination {id}: {reason:?}");
    report.gaps += 1;
    cursor.progress.note_gap(gap);
}

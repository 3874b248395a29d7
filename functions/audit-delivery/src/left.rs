//! Destinations that were left behind: each has a cursor of its own until it has caught up.

use futures_util::{FutureExt, StreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::delivery::encode::{Catalog, Marked, encode};
use sealift_core::delivery::{
    Gap, Left, LeftCursor, LeftPlan, LeftReason, Member, Position, Range, ShardCursor,
};
use sealift_core::destination::{Destination, DestinationSet, Status};
use sealift_core::document::{Saved, Stored};
use sealift_core::id::{DestinationId, Sequence};
use sealift_core::lookback::Lookback;
use sealift_core::ports::{Clock, Entropy, ObjectStore, Sinks};
use sealift_core::segment::Segment;

use crate::shard::blank_plan;
use crate::writing::Job;
use crate::{Delivery, DeliveryError, Report};

/// Pauses between tries that fail: 10 s, doubled each time up to 5 minutes.
const FIRST_PAUSE_MS: i64 = 10_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

/// How many left destinations are worked on at once.
const AT_ONCE: usize = 8;

/// What the work on one left destination knows.
struct Work<'a> {
    shard: u16,
    id: &'a DestinationId,
    generation: u64,
    destination: &'a Destination,
    /// Where the shard stands; nothing is delivered beyond it.
    shard_position: &'a Position,
    deadline: Timestamp,
}

/// How the work on one left destination ended.
enum Ended {
    /// It has caught up; its document is closed at the position.
    CaughtUp(Box<LeftCursor>),
    /// It goes on another time.
    Waits,
}

impl<L, S, K, C, E> Delivery<L, S, K, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    C: Clock,
    E: Entropy,
{
    /// When a try may follow that many failures.
    pub(crate) fn retry_at(&self, attempts: u32) -> i64 {
        let pause = FIRST_PAUSE_MS << attempts.saturating_sub(1).min(10);
        self.now_ms() + pause.min(LONGEST_PAUSE_MS)
    }

    /// Works on all left destinations of a shard that are due.
    pub(crate) async fn run_left(
        &self,
        shard: u16,
        deadline: Timestamp,
        cursor: Stored<ShardCursor>,
        set: &DestinationSet,
        lookback: &Lookback,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let mut work = Vec::new();
        for (id, left) in &cursor.body.left {
            let destination = set.0.get(id).filter(|destination| {
                let ours = destination.organization == left.begin.organization;
                ours && destination.status == Status::Streaming
            });
            let Some(destination) = destination else {
                continue;
            };
            let one = Work {
                shard,
                id,
                generation: left.generation,
                destination,
                shard_position: &cursor.body.position,
                deadline,
            };
            // Boxed one by one: a closure in a stream would hide from the compiler that it can
            // be sent to another thread.
            let one = async move {
                let mut own = Report::default();
                let ended = self.catch_up(&one, left, lookback, &mut own).await;
                (id, ended, own)
            };
            work.push(one.boxed());
        }
        let work = stream::iter(work).buffer_unordered(AT_ONCE);
        let ended: Vec<_> = work.collect().await;
        let mut caught_up = Vec::new();
        let mut failed = None;
        for (id, ended, own) in ended {
            report.plans += own.plans;
            report.counts = report.counts.plus(own.counts);
            report.failures += own.failures;
            report.gaps += own.gaps;
            match ended {
                Ok(Ended::CaughtUp(left)) => caught_up.push((id.clone(), *left)),
                Ok(Ended::Waits) => {}
                // One destination's trouble is not the others'; it is told at the end.
                Err(error) => failed = Some(error),
            }
        }
        if !caught_up.is_empty() {
            self.rejoin(shard, &cursor, caught_up, report).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Moves one left destination's cursor as far as it goes.
    async fn catch_up(
        &self,
        work: &Work<'_>,
        left: &Left,
        shard_lookback: &Lookback,
        report: &mut Report,
    ) -> Result<Ended, DeliveryError> {
        let place = LeftCursor::place(work.shard, work.id, work.generation);
        let mut cursor = match place.load(&self.state).await? {
            Some(cursor) => cursor,
            None => match place
                .create(&self.state, left.begin.clone(), &self.entropy)
                .await?
            {
                Saved::Done(cursor) => cursor,
                Saved::Stale => return Ok(Ended::Waits),
            },
        };
        if cursor.body.closed {
            return Ok(Ended::CaughtUp(Box::new(cursor.body)));
        }
        if self.now_ms() < cursor.body.not_before_ms {
            return Ok(Ended::Waits);
        }
        let mut own_lookback = Lookback::new(
            self.settings.lookback_ms,
            Some(work.destination.organization.clone()),
        );
        loop {
            if !self.has_time(work.deadline) {
                return Ok(Ended::Waits);
            }
            let step = if cursor.body.plan.is_some() {
                self.finish_left(work, &cursor.body, &mut own_lookback, report)
                    .await?
            } else {
                self.plan_left(
                    work,
                    &cursor.body,
                    shard_lookback,
                    &mut own_lookback,
                    report,
                )
                .await?
            };
            let (next, goes_on) = step;
            if next == cursor.body {
                return Ok(Ended::Waits);
            }
            let caught_up = next.closed;
            match place
                .replace(&self.state, &cursor, next, &self.entropy)
                .await?
            {
                Saved::Done(saved) => cursor = saved,
                Saved::Stale => {
                    report.overtaken = true;
                    return Ok(Ended::Waits);
                }
            }
            if caught_up {
                return Ok(Ended::CaughtUp(Box::new(cursor.body)));
            }
            if !goes_on {
                return Ok(Ended::Waits);
            }
        }
    }

    /// The next state of a cursor without an open plan: with a plan, moved over what holds
    /// nothing for it, or closed because it has caught up.
    async fn plan_left(
        &self,
        work: &Work<'_>,
        cursor: &LeftCursor,
        shard_lookback: &Lookback,
        own_lookback: &mut Lookback,
        report: &mut Report,
    ) -> Result<(LeftCursor, bool), DeliveryError> {
        let mut next = cursor.clone();
        let end = work.shard_position.next;
        let ahead = self.ahead(&cursor.position, Some(end)).await?;
        if ahead.position.epoch != work.shard_position.epoch || ahead.position.next > end {
            // The shard goes into a new epoch first.
            return Ok((next, false));
        }
        next.position = ahead.position;
        if let Some(gap) = ahead.gap {
            note_left_gap(work, gap, &mut next, report);
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
        let known =
            (range.first.0..=range.last.0).all(|n| shard_lookback.marks(Sequence(n)).is_some());
        let marked = if known {
            let marks = |segment: Segment| Marked {
                marks: shard_lookback.marks(segment.sequence()).unwrap_or_default(),
                segment,
            };
            segments.into_iter().map(marks).collect()
        } else {
            self.mark(segments, own_lookback).await?
        };
        let blank = blank_plan(work.destination, cursor.since_ms);
        let (objects, plan) = encode(
            &Catalog::of(&marked),
            &range,
            work.id,
            &blank,
            &self.settings.encoding,
        )?;
        if objects.is_empty() {
            next.position.next = range.last.next();
            next.progress.counts = next.progress.counts.plus(plan.counts);
            return Ok((next, true));
        }
        next.plan = Some(LeftPlan {
            range,
            destination: plan,
            written: 0,
        });
        Ok((next, true))
    }

    /// Writes the open plan; the next state is past it, or tells what went wrong.
    async fn finish_left(
        &self,
        work: &Work<'_>,
        cursor: &LeftCursor,
        own_lookback: &mut Lookback,
        report: &mut Report,
    ) -> Result<(LeftCursor, bool), DeliveryError> {
        let mut next = cursor.clone();
        let Some(LeftPlan {
            range,
            destination: recorded,
            written,
        }) = &cursor.plan
        else {
            return Ok((next, true));
        };
        let past = Position {
            epoch: range.epoch.clone(),
            next: range.last.next(),
        };
        let Some(marked) = self.again(range, own_lookback).await? else {
            let gap = self.gap_of(range);
            note_left_gap(work, gap, &mut next, report);
            (next.plan, next.position) = (None, past);
            return Ok((next, true));
        };
        let catalog = Catalog::of(&marked);
        let (objects, plan) = encode(&catalog, range, work.id, recorded, &self.settings.encoding)?;
        if plan != *recorded {
            // Another version of the encoder: what will be written is recorded first.
            next.plan = Some(LeftPlan {
                range: range.clone(),
                destination: plan,
                written: 0,
            });
            return Ok((next, true));
        }
        let all = objects.len();
        let job = Job {
            id: work.id,
            destination: work.destination,
            plan: &plan,
            objects,
        };
        let (now_written, result) = self.write_from(&job, *written, work.deadline).await;
        if let Some(plan) = &mut next.plan {
            plan.written = now_written;
        }
        if let Err(error) = result {
            let failure = error.failure().clone();
            if work.destination.location != recorded.location {
                // The destination has moved, and the old place does not take it any more:
                // the same range is planned for the new place.
                tracing::warn!(destination = %work.id, error = %failure, "destination {} has moved: its open plan is made anew", work.id);
                next.plan = None;
                return Ok((next, true));
            }
            next.attempts = cursor.attempts.saturating_add(1);
            next.not_before_ms = self.retry_at(next.attempts);
            let (id, attempts) = (work.id, next.attempts);
            tracing::warn!(destination = %id, attempts, error = %failure, "destination {id} still fails: {failure}");
            next.failure = Some(failure);
            report.failures += 1;
            return Ok((next, false));
        }
        if now_written < all {
            // The rest is for another run.
            return Ok((next, false));
        }
        next.progress.counts = next.progress.counts.plus(plan.counts);
        next.progress.delivered_ms = Some(self.now_ms());
        (next.plan, next.position) = (None, past);
        (next.attempts, next.not_before_ms, next.failure) = (0, 0, None);
        report.plans += 1;
        report.counts = report.counts.plus(plan.counts);
        Ok((next, true))
    }

    /// Takes destinations back whose cursors are closed where the shard stands. Those that the
    /// shard has left behind again meanwhile go on with a cursor of the next generation.
    async fn rejoin(
        &self,
        shard: u16,
        cursor: &Stored<ShardCursor>,
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
                since_ms: closed.since_ms,
                progress: closed.progress,
            };
            next.members.insert(id.clone(), member);
            if together {
                tracing::info!(destination = %id, "destination {id} has caught up");
                rejoined += 1;
            } else {
                self.leave(&mut next, &id, LeftReason::Overtaken, |begin| {
                    begin.position = position;
                });
            }
        }
        match self.replace_shard(shard, cursor, next).await? {
            Saved::Done(_) => report.rejoined += rejoined,
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

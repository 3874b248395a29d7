//! Replays: past ranges that are delivered once more, each by a cursor of its own, after the
//! live stream's work.

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sealift_core::Timestamp;
use sealift_core::delivery::encode::{Catalog, encode};
use sealift_core::delivery::replay::{Begun, Replay, ReplayState, location};
use sealift_core::delivery::standing::{PROMISED_MS, end_of};
use sealift_core::delivery::{
    DestinationPlan, GAPS_KEPT, Gap, GapReason, LeftPlan, Position, Range,
};
use sealift_core::destination::{Destination, DestinationSet, Location};
use sealift_core::document::{Saved, Stored};
use sealift_core::id::{OrgId, ReplayId};
use sealift_core::lookback::Lookback;
use sealift_core::partition::Hour;
use sealift_core::ports::{Clock, Entropy, EventBus, Failure, ObjectStore, Sinks};

use crate::shard::blank_plan;
use crate::turns::Turns;
use crate::writing::Carried;
use crate::{Delivery, DeliveryError, Report};

/// The work on one replay.
struct Work<'a> {
    shard: u16,
    id: &'a ReplayId,
    destination: &'a Destination,
    /// Where the live stream stands: a replay does not run ahead of it.
    shard_position: &'a Position,
    deadline: Timestamp,
    cursor: Option<Stored<Replay>>,
    lookback: Lookback,
}

/// The next state of a replay, and whether there may be more to do then.
type Step = (Replay, bool);

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Works on all replays of a shard's destinations, in turns.
    pub(crate) async fn run_replays(
        &self,
        shard: u16,
        deadline: Timestamp,
        shard_position: &Position,
        set: &DestinationSet,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let mut turns = Turns::default();
        // Nothing is written to a destination that is paused.
        for destination in set.0.values().filter(|d| d.flows()) {
            for id in &destination.replays {
                if self.is_known_over(destination, id) {
                    continue;
                }
                let only = Some(destination.organization.clone());
                let work = Work {
                    shard,
                    id,
                    destination,
                    shard_position,
                    deadline,
                    cursor: None,
                    lookback: Lookback::new(self.settings.lookback_ms, only),
                };
                turns.push(&destination.organization, work);
            }
        }
        turns.begin_anywhere(&self.entropy);
        let mut failed = None;
        let mut under_way = FuturesUnordered::new();
        loop {
            while let Some((organization, mut work)) = turns.next() {
                let turn = async move {
                    let mut own = Report::default();
                    let ended = self.go_on(&mut work, &mut own).await;
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
                Ok(true) => rest = Some(work),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
            turns.ended(&organization, rest);
        }
        failed.map_or(Ok(()), Err)
    }

    /// One turn: moves one replay by one step. Tells whether it has more to do.
    async fn go_on(&self, work: &mut Work<'_>, report: &mut Report) -> Result<bool, DeliveryError> {
        if !self.has_time(work.deadline) {
            return Ok(false);
        }
        let (destination, id) = (work.destination, work.id);
        let place = Replay::place(work.shard, &destination.id, id);
        let cursor = match work.cursor.take() {
            Some(cursor) => Some(cursor),
            None => place.load(&self.state).await?,
        };
        let Some(cursor) = cursor else {
            tracing::warn!(destination = %destination.id, replay = %id, "replay {id} of destination {} has no document", destination.id);
            return Ok(false);
        };
        let replay = &cursor.body;
        if replay.is_over() || !destination.is_of(&replay.organization, replay.created_ms) {
            self.remember_over(destination, id);
            return Ok(false);
        }
        if self.now_ms() < replay.not_before_ms {
            return Ok(false);
        }
        let (next, goes_on) = self.step(work, replay, report).await?;
        if next == cursor.body {
            return Ok(false);
        }
        let saved = place
            .replace(&self.state, &cursor, next, &self.entropy)
            .await?;
        let Saved::Done(saved) = saved else {
            report.overtaken = true;
            return Ok(false);
        };
        if saved.body.is_over() {
            let (state, events) = (saved.body.state, saved.body.counts.delivered);
            tracing::info!(destination = %destination.id, replay = %id, ?state, events, "replay {id} of destination {} is over: {state:?}", destination.id);
            self.remember_over(destination, id);
            return Ok(false);
        }
        work.cursor = Some(saved);
        Ok(goes_on)
    }

    async fn step(
        &self,
        work: &mut Work<'_>,
        replay: &Replay,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(replay.requested_ms) > PROMISED_MS {
            let message =
                "it was not finished within 30 days, after which nothing is left to replay";
            return Ok((self.failed(work, replay, message.to_owned()), false));
        }
        let Some((begun, position)) = replay.begun.zip(replay.position.as_ref()) else {
            return self.begin_replay(work, replay, report).await;
        };
        if let Some(plan) = &replay.plan {
            return self.finish_replay(work, replay, plan, report).await;
        }
        if position.next >= begun.end {
            return Ok((replay.ended(ReplayState::Done, now_ms), false));
        }
        let place = match location(work.destination, work.id) {
            Ok(place) => place,
            Err(error) => return Ok((self.failed(work, replay, error.to_string()), false)),
        };
        self.plan_replay(work, replay, begun, position, place, report)
            .await
    }

    /// Where in the log it begins and ends.
    async fn begin_replay(
        &self,
        work: &Work<'_>,
        replay: &Replay,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let from_ms = replay.first_moment_ms();
        let position = work.shard_position;
        let head = self.log.head().await?;
        if head.is_none_or(|head| head.body.epoch != position.epoch) {
            // The live stream goes into a new epoch first.
            return Ok((replay.clone(), false));
        }
        let early_ms = from_ms.saturating_sub(self.settings.lookback_ms.max(0));
        let first = self.first_since(early_ms, position.next).await?;
        let gap = self.gap_before(first, from_ms, position).await?;
        let end = end_of(&self.log, position.next).await?;
        let mut next = Replay {
            begun: Some(Begun { first, end }),
            position: Some(Position {
                epoch: position.epoch.clone(),
                next: first,
            }),
            ..replay.clone()
        };
        note_gaps(&mut next, gap, report);
        Ok((next, true))
    }

    /// The next state of a replay without an open plan: with a plan, or moved over what holds
    /// nothing for it.
    async fn plan_replay(
        &self,
        work: &mut Work<'_>,
        replay: &Replay,
        begun: Begun,
        position: &Position,
        place: Location,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let mut next = replay.clone();
        let end = begun.end.min(work.shard_position.next);
        if position.next >= end {
            // The live stream passes it first.
            return Ok((next, false));
        }
        let ahead = self.ahead(position, None, Some(end)).await?;
        if ahead.position.epoch != work.shard_position.epoch {
            return Ok((next, false));
        }
        let replaced = (ahead.gap.as_ref()).is_some_and(|g| g.reason == GapReason::LogReplaced);
        note_gaps(&mut next, ahead.gap, report);
        if replaced {
            // The numbers of the log that it began in say nothing any more.
            return Ok((next.ended(ReplayState::Done, self.now_ms()), false));
        }
        next.position = Some(ahead.position.clone());
        let Some((first, last)) = ahead.entries.first().zip(ahead.entries.last()) else {
            return Ok((next, true));
        };
        let range = Range {
            epoch: ahead.position.epoch,
            first: first.sequence,
            last: last.sequence,
            lookback_ms: self.settings.lookback_ms,
        };
        let wanted = |of: &OrgId, hour: Hour| {
            *of == work.destination.organization && replay.hours.contain(hour)
        };
        let marked = self.marked_of(&range, wanted, &mut work.lookback).await?;
        let Some(marked) = marked else {
            // One expired between the listing and the reading; the next look finds the gap.
            return Ok((replay.clone(), false));
        };
        let since_ms = work.destination.start_ms.unwrap_or(i64::MAX);
        let blank = DestinationPlan {
            location: place,
            hours: Some(replay.hours),
            ..blank_plan(work.destination, since_ms)
        };
        let (catalog, encoding) = (Catalog::of(&marked), &self.settings.encoding);
        let made = encode(&catalog, &range, &work.destination.id, &blank, encoding);
        let (objects, plan) = match made {
            Ok(made) => made,
            Err(sealift_core::delivery::encode::EncodeError::Key(error)) => {
                return Ok((self.failed(work, replay, error.to_string()), false));
            }
            Err(error) => return Err(error.into()),
        };
        if objects.is_empty() {
            move_past(&mut next, &range);
            next.counts = next.counts.plus(plan.counts);
            return Ok((next, true));
        }
        next.plan = Some(LeftPlan {
            range,
            appended_ms: None,
            destination: plan,
            written: 0,
        });
        Ok((next, true))
    }

    /// Writes the open plan; the next state is past it, or tells what went wrong.
    async fn finish_replay(
        &self,
        work: &mut Work<'_>,
        replay: &Replay,
        plan: &LeftPlan,
        report: &mut Report,
    ) -> Result<Step, DeliveryError> {
        let mut next = replay.clone();
        let range = &plan.range;
        let wanted = |of: &OrgId, hour: Hour| {
            *of == work.destination.organization && replay.hours.contain(hour)
        };
        let marked = self.marked_of(range, wanted, &mut work.lookback).await?;
        let Some(marked) = marked else {
            note_gaps(&mut next, Some(self.gap_of(range, None, None)), report);
            next.plan = None;
            move_past(&mut next, range);
            return Ok((next, true));
        };
        let (id, destination) = (&work.destination.id, work.destination);
        let carried = self
            .carry_out(id, destination, plan, &marked, work.deadline)
            .await?;
        let now_written = |next: &mut Replay, written| {
            if let Some(plan) = &mut next.plan {
                plan.written = written;
            }
        };
        match carried {
            Carried::Otherwise(otherwise) => {
                next.plan = Some(*otherwise);
                Ok((next, true))
            }
            Carried::Partly(written) => {
                now_written(&mut next, written);
                Ok((next, false))
            }
            Carried::Failed(written, failure) => {
                now_written(&mut next, written);
                let place = location(destination, work.id).ok();
                if place.as_ref() != Some(&plan.destination.location) {
                    // The destination has moved: the range is planned for the new place.
                    next.plan = None;
                    return Ok((next, true));
                }
                next.attempts = next.attempts.saturating_add(1);
                next.not_before_ms = self.retry_at(next.attempts);
                let attempts = next.attempts;
                tracing::warn!(destination = %id, replay = %work.id, attempts, error = %failure, "replay {} of destination {id} fails: {failure}", work.id);
                next.failure = Some(failure);
                report.failures += 1;
                Ok((next, false))
            }
            Carried::Done(_) => {
                next.counts = next.counts.plus(plan.destination.counts);
                next.plan = None;
                move_past(&mut next, range);
                (next.attempts, next.not_before_ms, next.failure) = (0, 0, None);
                report.replayed = report.replayed.plus(plan.destination.counts);
                Ok((next, true))
            }
        }
    }

    /// A replay that can never be finished.
    fn failed(&self, work: &Work<'_>, replay: &Replay, message: String) -> Replay {
        let failure = Failure {
            operation: "Replay".to_owned(),
            target: work.id.to_string(),
            code: String::new(),
            message,
            request_id: String::new(),
        };
        Replay {
            failure: Some(failure),
            ..replay.ended(ReplayState::Failed, self.now_ms())
        }
    }
}

fn move_past(replay: &mut Replay, range: &Range) {
    replay.position = Some(Position {
        epoch: range.epoch.clone(),
        next: range.last.next(),
    });
}

fn note_gaps(replay: &mut Replay, gap: Option<Gap>, report: &mut Report) {
    let Some(gap) = gap else {
        return;
    };
    report.gaps += 1;
    replay.gaps.push(gap);
    let surplus = replay.gaps.len().saturating_sub(GAPS_KEPT);
    replay.gaps.drain(..surplus);
}

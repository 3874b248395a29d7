//! A shard's cursor: load, plan, write, commit.

use std::collections::BTreeMap;

use sealift_core::Timestamp;
use sealift_core::delivery::encode::{Catalog, Encoded, Marked, encode};
use sealift_core::delivery::{
    Counts, DestinationPlan, Gap, LeftCursor, LeftPlan, LeftReason, Position, RETIRED_KEPT_MS,
    Range, Retired, ShardCursor, ShardPlan, Waiting,
};
use sealift_core::destination::{Destination, DestinationSet};
use sealift_core::document::{DocumentError, Saved, Stored};
use sealift_core::id::DestinationId;
use sealift_core::log::Head;
use sealift_core::lookback::Lookback;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};

use crate::membership::passed_ms;
use crate::memory::{Documents, Look};
use crate::reading::Ahead;
use crate::writing::{Job, NotTaken};
use crate::{Delivery, DeliveryError, Report};

/// A trigger may arrive a little early by its sender's clock; a flush is due all the same.
const EARLY_MS: i64 = 1000;

static NO_DESTINATIONS: DestinationSet = DestinationSet(BTreeMap::new());

/// The objects of a plan, by destination.
pub(crate) type Objects = BTreeMap<DestinationId, Vec<Encoded>>;

/// What a plan is made of before it is recorded.
struct Draft {
    plan: ShardPlan,
    objects: Objects,
}

/// How an attempt to move the cursor ended.
enum Moved {
    /// It moved; more may lie ahead.
    On(Stored<ShardCursor>),
    /// There was nothing to move over.
    Idle(Stored<ShardCursor>),
    /// Somebody else moved it.
    Overtaken,
}

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    pub(crate) async fn run_shard(
        &self,
        shard: u16,
        look: Look,
        deadline: Timestamp,
        lookback: &mut Lookback,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let Some(head) = self.log.head().await?.map(|head| head.body) else {
            return Ok(());
        };
        let Documents { set: read, cursor } = self.documents(shard).await?;
        let set = read.as_ref().map_or(&NO_DESTINATIONS, |read| &read.body);
        let mut cursor = match cursor {
            Some(cursor) => cursor,
            None => match ShardCursor::place(shard)
                .create(&self.state, self.first(&head), &self.entropy)
                .await?
            {
                Saved::Done(cursor) => cursor,
                Saved::Stale => {
                    report.overtaken = true;
                    return Ok(());
                }
            },
        };
        if cursor.body.shards != self.settings.shards {
            return Err(DeliveryError::Shards {
                is: cursor.body.shards,
                wanted: self.settings.shards,
            });
        }
        if cursor.body.plan.is_some() {
            match self.redo(shard, cursor, set, lookback, report).await? {
                Moved::On(moved) | Moved::Idle(moved) => cursor = moved,
                Moved::Overtaken => {
                    report.overtaken = true;
                    return Ok(());
                }
            }
        }
        let due = self.is_due(cursor.body.flushed_ms);
        let flushed_ms = self.now_ms();
        let mut more = due;
        let brief = (look == Look::Brief).then_some(&head);
        while more && self.has_time(deadline) {
            match self
                .advance(shard, cursor, brief, set, flushed_ms, lookback, report)
                .await?
            {
                Moved::On(moved) => cursor = moved,
                Moved::Idle(same) => (cursor, more) = (same, false),
                Moved::Overtaken => {
                    report.overtaken = true;
                    return Ok(());
                }
            }
        }
        let left = self.run_left(
            shard,
            deadline,
            &mut cursor,
            read.as_ref(),
            lookback,
            report,
        );
        let left = left.await;
        let position = &cursor.body.position;
        let replays = self.run_replays(shard, deadline, position, set, report);
        let replays = replays.await;
        let warned = self.warn_of_expiry(shard, &cursor.body, set, report).await;
        let cursor = Some(cursor);
        self.keep(shard, Documents { set: read, cursor });
        left.and(replays).and(warned)
    }

    /// Whether the last flush is long enough ago; also if it lies in the future, by a clock that
    /// was set back since.
    fn is_due(&self, flushed_ms: i64) -> bool {
        let elapsed_ms = self.now_ms() - flushed_ms;
        let elapsed = u128::try_from(elapsed_ms + EARLY_MS);
        elapsed.map_or(true, |elapsed| {
            elapsed >= self.settings.flush_interval.as_millis()
        })
    }

    /// The cursor of a shard that has none: at the beginning of what the log holds.
    fn first(&self, head: &Head) -> ShardCursor {
        ShardCursor {
            shards: self.settings.shards,
            position: Position {
                epoch: head.epoch.clone(),
                next: head.start,
            },
            appended_ms: i64::MIN,
            flushed_ms: 0,
            plan: None,
            members: BTreeMap::new(),
            left: BTreeMap::new(),
            generation: 0,
            retired: Vec::new(),
        }
    }

    /// Plans what lies ahead, writes it and commits. With the log's head, the look ahead may be a
    /// [brief](Look::Brief) one.
    #[expect(clippy::too_many_arguments, reason = "all of them are a run's own")]
    async fn advance(
        &self,
        shard: u16,
        cursor: Stored<ShardCursor>,
        brief: Option<&Head>,
        set: &DestinationSet,
        flushed_ms: i64,
        lookback: &mut Lookback,
        report: &mut Report,
    ) -> Result<Moved, DeliveryError> {
        let position = &cursor.body.position;
        let nothing = match brief {
            Some(head) => self.still_ends_at(position, head).await?,
            None => false,
        };
        let ahead = match nothing {
            true => Ahead::nothing(position.clone()),
            false => self.ahead(position, passed_ms(&cursor.body), None).await?,
        };
        let mut next = cursor.body.clone();
        next.position = ahead.position;
        if let Some(gap) = &ahead.gap {
            note_gap(shard, gap, &mut next, report);
        }
        self.reconcile(&mut next, set).await?;
        let Some((first, last)) = ahead.entries.first().zip(ahead.entries.last()) else {
            if next == cursor.body {
                return Ok(Moved::Idle(cursor));
            }
            // Who rides where has changed, or a gap was passed.
            return Ok(match self.save(shard, cursor, next).await? {
                Moved::On(saved) => Moved::Idle(saved),
                other => other,
            });
        };
        next.flushed_ms = flushed_ms;
        let segments = self.segments(first.sequence, last.sequence).await?;
        if segments.is_empty() {
            // It expired between the listing and the reading; the next look finds the gap.
            return Ok(Moved::Idle(cursor));
        }
        let marked = self.mark(segments, lookback).await?;
        let draft = self.draft(&next, set, &marked)?;
        // No writer may use the range's numbers again, whatever becomes of the segments.
        let floor = draft.plan.range.last.next();
        let passed = marked
            .iter()
            .filter(|marked| marked.segment.sequence() < floor);
        let passed = marked.get(..passed.count()).unwrap_or_default();
        Self::note_waiting(&mut next, passed);
        let epoch = &draft.plan.range.epoch;
        self.log
            .raise_floor(epoch, floor, &self.clock, &self.entropy)
            .await?;
        lookback.forget_before(oldest_position(&next).min(draft.plan.range.first));
        if draft.plan.destinations.is_empty() {
            pass(&mut next, &draft.plan);
            report.plans += 1;
            return self.save(shard, cursor, next).await;
        }
        next.plan = Some(draft.plan);
        match self.save(shard, cursor, next).await? {
            Moved::On(cursor) => {
                self.write_and_commit(shard, cursor, set, draft.objects, report)
                    .await
            }
            other => Ok(other),
        }
    }

    /// Makes a plan of marked segments: as many of them as its bounds allow, at least one.
    fn draft(
        &self,
        cursor: &ShardCursor,
        set: &DestinationSet,
        marked: &[Marked],
    ) -> Result<Draft, DeliveryError> {
        let mut covered = marked.len();
        loop {
            let segments = marked.get(..covered).unwrap_or(marked);
            let catalog = Catalog::of(segments);
            let members = cursor
                .members
                .iter()
                .filter_map(|(id, member)| Some((set.0.get(id)?, member)));
            let (first, last) = match (segments.first(), segments.last()) {
                (Some(first), Some(last)) => (&first.segment, &last.segment),
                _ => unreachable!("there is at least one segment"),
            };
            let range = Range {
                epoch: cursor.position.epoch.clone(),
                first: first.sequence(),
                last: last.sequence(),
                lookback_ms: self.settings.lookback_ms,
            };
            let mut objects = Objects::new();
            let mut destinations = BTreeMap::new();
            for (destination, member) in members {
                let blank = blank_plan(destination, member.since_ms);
                let (encoded, plan) = encode(
                    &catalog,
                    &range,
                    &destination.id,
                    &blank,
                    &self.settings.encoding,
                )?;
                if plan.counts != Counts::default() {
                    objects.insert(destination.id.clone(), encoded);
                    destinations.insert(destination.id.clone(), plan);
                }
            }
            let count: usize = objects.values().map(Vec::len).sum();
            if count > self.settings.plan_objects && covered > 1 {
                covered /= 2;
                continue;
            }
            let plan = ShardPlan {
                range,
                appended_ms: last.index.header.appended_ms,
                destinations,
            };
            return Ok(Draft { plan, objects });
        }
    }

    /// Finishes an open plan, as recorded.
    async fn redo(
        &self,
        shard: u16,
        cursor: Stored<ShardCursor>,
        set: &DestinationSet,
        lookback: &mut Lookback,
        report: &mut Report,
    ) -> Result<Moved, DeliveryError> {
        let Some(plan) = &cursor.body.plan else {
            return Ok(Moved::Idle(cursor));
        };
        let range = &plan.range;
        let (first, last) = (range.first, range.last);
        tracing::info!(shard, %first, %last, "finishing the open plan {first}-{last} of shard {shard}");
        let Some(marked) = self.again(range, lookback).await? else {
            let (from_ms, to_ms) = (passed_ms(&cursor.body), Some(plan.appended_ms));
            let gap = self.gap_of(range, from_ms, to_ms);
            let mut next = cursor.body.clone();
            note_gap(shard, &gap, &mut next, report);
            if let Some(plan) = next.plan.take() {
                pass(&mut next, &plan);
            }
            self.leave_those_with_gaps(&mut next);
            return self.save(shard, cursor, next).await;
        };
        let catalog = Catalog::of(&marked);
        let mut objects = Objects::new();
        let mut next = cursor.body.clone();
        let mut changed = false;
        for (id, recorded) in &plan.destinations {
            let (encoded, plan) = encode(&catalog, range, id, recorded, &self.settings.encoding)?;
            objects.insert(id.clone(), encoded);
            if plan != *recorded {
                // Another version of the encoder: what will be written is recorded first.
                changed = true;
                if let Some(open) = &mut next.plan {
                    open.destinations.insert(id.clone(), plan);
                }
            }
        }
        let cursor = if changed {
            match self.save(shard, cursor, next).await? {
                Moved::On(cursor) | Moved::Idle(cursor) => cursor,
                Moved::Overtaken => return Ok(Moved::Overtaken),
            }
        } else {
            cursor
        };
        self.write_and_commit(shard, cursor, set, objects, report)
            .await
    }

    /// Writes the open plan's objects and moves the cursor to its end. Destinations that do not
    /// take theirs are left behind, with the plan.
    async fn write_and_commit(
        &self,
        shard: u16,
        cursor: Stored<ShardCursor>,
        set: &DestinationSet,
        mut objects: Objects,
        report: &mut Report,
    ) -> Result<Moved, DeliveryError> {
        let mut next = cursor.body.clone();
        let Some(plan) = next.plan.take() else {
            return Ok(Moved::Idle(cursor));
        };
        let mut not_taken: BTreeMap<&DestinationId, NotTaken> = BTreeMap::new();
        let mut jobs = Vec::new();
        for (id, planned) in &plan.destinations {
            let Some(destination) = set
                .0
                .get(id)
                .filter(|d| d.is_of(&planned.organization, planned.created_ms))
            else {
                // Removed meanwhile: nothing is written to it any more.
                continue;
            };
            if !destination.flows() {
                let (reason, failure) = (LeftReason::Paused, None);
                not_taken.insert(id, NotTaken { reason, failure });
                continue;
            }
            jobs.push(Job {
                id,
                destination,
                plan: planned,
                objects: objects.remove(id).unwrap_or_default(),
            });
        }
        let mut delivered = Report::default();
        let written = self.write_all(jobs).await;
        let now_ms = self.now_ms();
        for (id, result) in written {
            match (result, plan.destinations.get(id), next.members.get_mut(id)) {
                (Ok(appended), Some(planned), Some(member)) => {
                    let counts = planned.counts;
                    member.progress.note_delivered(counts, &appended, now_ms);
                    delivered.note_appended(&appended, now_ms);
                    delivered.counts = delivered.counts.plus(planned.counts);
                }
                (Ok(_), ..) => {}
                (Err(why), ..) => {
                    not_taken.insert(id, why);
                }
            }
        }
        for (id, why) in not_taken {
            let Some(planned) = plan.destinations.get(id) else {
                continue;
            };
            self.leave_with_plan(&mut next, id, why, &plan, planned);
            delivered.left += 1;
        }
        pass(&mut next, &plan);
        let moved = self.save(shard, cursor, next).await?;
        if let Moved::On(..) = moved {
            let Range { first, last, .. } = plan.range;
            let Counts {
                delivered: events,
                objects,
                object_bytes,
                ..
            } = delivered.counts;
            let left = delivered.left;
            tracing::info!(shard, %first, %last, events, objects, object_bytes, left, "plan {first}-{last} of shard {shard} delivered");
            report.plans += 1;
            report.counts = report.counts.plus(delivered.counts);
            report.left += left;
            report.slowest_ms = report.slowest_ms.max(delivered.slowest_ms);
        }
        Ok(moved)
    }

    fn leave_with_plan(
        &self,
        cursor: &mut ShardCursor,
        id: &DestinationId,
        why: NotTaken,
        plan: &ShardPlan,
        planned: &DestinationPlan,
    ) {
        let range = &plan.range;
        let NotTaken { reason, failure } = why;
        let error = failure
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::warn!(destination = %id, ?reason, error, "destination {id} is left behind: {reason:?} {error}");
        let attempts = u32::from(reason == LeftReason::Failed);
        let not_before_ms = if attempts > 0 {
            self.retry_at(attempts)
        } else {
            0
        };
        let waits = Waiting {
            sequence: range.first,
            appended_ms: plan.appended_ms,
        };
        let waits = (!planned.objects.is_empty()).then_some(waits);
        self.leave(cursor, id, reason, waits, |begin| {
            begin.position = Position {
                epoch: range.epoch.clone(),
                next: range.first,
            };
            begin.plan = Some(LeftPlan {
                range: range.clone(),
                appended_ms: Some(plan.appended_ms),
                destination: planned.clone(),
                written: 0,
            });
            begin.attempts = attempts;
            begin.not_before_ms = not_before_ms;
            begin.failure = failure;
        });
    }

    async fn save(
        &self,
        shard: u16,
        cursor: Stored<ShardCursor>,
        next: ShardCursor,
    ) -> Result<Moved, DeliveryError> {
        match self.replace_shard(shard, &cursor, next).await? {
            Saved::Done(saved) => Ok(Moved::On(saved)),
            Saved::Stale => Ok(Moved::Overtaken),
        }
    }

    /// Replaces the shard's document. Retires the documents of destinations that are no longer
    /// left, and deletes those that were retired long enough ago.
    pub(crate) async fn replace_shard(
        &self,
        shard: u16,
        cursor: &Stored<ShardCursor>,
        mut next: ShardCursor,
    ) -> Result<Saved<ShardCursor>, DeliveryError> {
        let now_ms = self.now_ms();
        for (id, left) in &cursor.body.left {
            let still = next
                .left
                .get(id)
                .is_some_and(|l| l.generation == left.generation);
            if !still {
                next.retired.push(Retired {
                    destination: id.clone(),
                    generation: left.generation,
                    retired_ms: now_ms,
                });
            }
        }
        let (old, kept) = next
            .retired
            .drain(..)
            .partition::<Vec<_>, _>(|retired| now_ms - retired.retired_ms > RETIRED_KEPT_MS);
        next.retired = kept;
        for Retired {
            destination,
            generation,
            ..
        } in old
        {
            let key = LeftCursor::place(shard, &destination, generation);
            self.state
                .delete(key.key())
                .await
                .map_err(DocumentError::from)?;
        }
        let place = ShardCursor::place(shard);
        Ok(place
            .replace(&self.state, cursor, next, &self.entropy)
            .await?)
    }
}

/// A plan for a destination as it is configured now, with nothing in it yet.
pub(crate) fn blank_plan(destination: &Destination, since_ms: i64) -> DestinationPlan {
    DestinationPlan {
        organization: destination.organization.clone(),
        location: destination.location.clone(),
        include: destination.include.clone(),
        since_ms,
        created_ms: destination.created_ms,
        hours: None,
        objects: Vec::new(),
        counts: Counts::default(),
    }
}

/// Moves the cursor to the end of a plan.
fn pass(cursor: &mut ShardCursor, plan: &ShardPlan) {
    cursor.position = Position {
        epoch: plan.range.epoch.clone(),
        next: plan.range.last.next(),
    };
    cursor.appended_ms = cursor.appended_ms.max(plan.appended_ms);
}

/// The position of whoever stands farthest behind.
fn oldest_position(cursor: &ShardCursor) -> sealift_core::id::Sequence {
    let left = cursor.left.values().map(|left| left.begin.position.next);
    left.fold(cursor.position.next, std::cmp::Ord::min)
}

fn note_gap(shard: u16, gap: &Gap, cursor: &mut ShardCursor, report: &mut Report) {
    let Gap {
        first,
        last,
        reason,
        ..
    } = gap;
    tracing::error!(shard, %first, ?last, ?reason, "the log has a gap in front of shard {shard}: {reason:?}");
    report.gaps += 1;
    for member in cursor.members.values_mut() {
        member.progress.note_gap(gap.clone());
    }
}

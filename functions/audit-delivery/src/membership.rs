//! Who rides on the shard's cursor, and who is left behind: the document is brought in line
//! with the configured destinations whenever a plan is made.

use std::collections::BTreeSet;

use sealift_core::delivery::encode::Marked;
use sealift_core::delivery::{
    Gap, GapReason, Left, LeftCursor, LeftReason, Member, Position, Progress, ShardCursor, Waiting,
};
use sealift_core::destination::{Destination, DestinationSet};
use sealift_core::id::{DestinationId, OrgId, Sequence};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};

use crate::{Delivery, DeliveryError};

/// Clocks of writers may differ by this much.
const CLOCK_SLACK_MS: i64 = 10 * 60 * 1000;

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Brings the members in line with the configured destinations. There must be no open
    /// plan.
    pub(crate) async fn reconcile(
        &self,
        cursor: &mut ShardCursor,
        set: &DestinationSet,
    ) -> Result<(), DeliveryError> {
        let same = |id: &DestinationId, organization: &OrgId, created_ms| {
            let known = set.0.get(id);
            known.is_some_and(|known| known.is_of(organization, created_ms))
        };
        cursor
            .members
            .retain(|id, member| same(id, &member.organization, member.created_ms));
        cursor
            .left
            .retain(|id, left| same(id, &left.begin.organization, left.begin.created_ms));
        let paused: Vec<DestinationId> = cursor
            .members
            .keys()
            .filter(|id| set.0.get(id).is_some_and(|d| !d.flows()))
            .cloned()
            .collect();
        for id in paused {
            self.leave(cursor, &id, LeftReason::Paused, None, |_| ());
        }
        self.leave_those_with_gaps(cursor);
        let known: BTreeSet<&DestinationId> =
            cursor.members.keys().chain(cursor.left.keys()).collect();
        let new: Vec<&Destination> = set
            .0
            .values()
            .filter(|d| d.flows() && !known.contains(&d.id))
            .collect();
        for destination in new {
            self.join(cursor, destination).await?;
        }
        Ok(())
    }

    /// Takes in a destination that has never streamed.
    async fn join(
        &self,
        cursor: &mut ShardCursor,
        destination: &Destination,
    ) -> Result<(), DeliveryError> {
        let Destination {
            id,
            organization,
            start_ms: Some(start_ms),
            created_ms,
            ..
        } = destination
        else {
            return Ok(());
        };
        let member = Member {
            organization: organization.clone(),
            created_ms: *created_ms,
            since_ms: *start_ms,
            progress: Progress::default(),
        };
        tracing::info!(destination = %id, %organization, since_ms = start_ms, "destination {id} starts");
        cursor.members.insert(id.clone(), member);
        if *start_ms <= cursor.appended_ms {
            let next = self.first_since(*start_ms, cursor.position.next).await?;
            let gap = self.gap_before(next, *start_ms, &cursor.position).await?;
            let oldest = self.log.list_after(next.previous(), 1).await?;
            let waits = oldest.first().map(|entry| Waiting {
                sequence: entry.sequence,
                appended_ms: entry.last_modified.as_millisecond(),
            });
            let epoch = cursor.position.epoch.clone();
            self.leave(cursor, id, LeftReason::StartsInPast, waits, |begin| {
                begin.position = Position { epoch, next };
                begin.passed_ms = None;
                if let Some(gap) = gap {
                    begin.progress.note_gap(gap);
                }
            });
        }
        Ok(())
    }

    /// Members with a gap that their owners were not told of go on by themselves: they are told
    /// of it before anything behind it is delivered, and the others do not wait for that.
    pub(crate) fn leave_those_with_gaps(&self, cursor: &mut ShardCursor) {
        let untold = |(id, member): (&DestinationId, &Member)| {
            (!member.progress.untold.is_empty()).then(|| id.clone())
        };
        let untold: Vec<DestinationId> = cursor.members.iter().filter_map(untold).collect();
        for id in untold {
            self.leave(cursor, &id, LeftReason::Gap, None, |_| ());
        }
    }

    /// Notes for whom segments that the shard passes hold something, of those that are left and
    /// for which nothing waited so far.
    pub(crate) fn note_waiting(cursor: &mut ShardCursor, passed: &[Marked]) {
        for left in cursor.left.values_mut().filter(|left| left.waits.is_none()) {
            let LeftCursor {
                organization,
                since_ms,
                ..
            } = &left.begin;
            let first = passed.iter().map(|marked| &marked.segment).find(|segment| {
                let header = &segment.index.header;
                let mut members = header.members.iter();
                header.appended_ms >= *since_ms && members.any(|m| m.organization == *organization)
            });
            left.waits = first.map(|segment| Waiting {
                sequence: segment.sequence(),
                appended_ms: segment.index.header.appended_ms,
            });
        }
    }

    /// What a destination misses that starts before the oldest segment that is kept.
    pub(crate) async fn gap_before(
        &self,
        oldest: Sequence,
        since_ms: i64,
        position: &Position,
    ) -> Result<Option<Gap>, DeliveryError> {
        if oldest <= Sequence::FIRST {
            return Ok(None);
        }
        let kept = self.log.read_index(oldest.previous()).await?.is_some();
        let oldest_ms = self
            .log
            .read_index(oldest)
            .await?
            .map(|index| index.header.appended_ms);
        let missed = !kept && oldest_ms.is_none_or(|oldest_ms| oldest_ms > since_ms);
        Ok(missed.then(|| Gap {
            epoch: position.epoch.clone(),
            first: Sequence::FIRST,
            last: Some(oldest.previous()),
            from_ms: Some(since_ms),
            to_ms: oldest_ms,
            noticed_ms: self.now_ms(),
            reason: GapReason::Expired,
        }))
    }

    /// A number before `end` that no segment appended since the time lies before; how close
    /// it is saves only reading.
    pub(crate) async fn first_since(
        &self,
        since_ms: i64,
        end: Sequence,
    ) -> Result<Sequence, DeliveryError> {
        let oldest = self.log.list_after(Sequence(0), 1).await?;
        let mut low = oldest.first().map_or(end, |entry| entry.sequence.min(end));
        let mut high = end;
        while low < high {
            let middle = Sequence(low.0.midpoint(high.0));
            let index = self.log.read_index(middle).await?;
            // What has expired meanwhile is older than anything that could be asked for.
            let early = index
                .is_none_or(|i| i.header.appended_ms < since_ms.saturating_sub(CLOCK_SLACK_MS));
            if early {
                low = middle.next();
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Moves a member to those left behind; `waits` is what is known to wait for it there, and
    /// `begin` completes the state that it begins with.
    pub(crate) fn leave(
        &self,
        cursor: &mut ShardCursor,
        id: &DestinationId,
        reason: LeftReason,
        waits: Option<Waiting>,
        begin: impl FnOnce(&mut LeftCursor),
    ) {
        let Some(member) = cursor.members.remove(id) else {
            return;
        };
        let mut state = LeftCursor::beginning(
            member.organization,
            member.created_ms,
            cursor.position.clone(),
            member.since_ms,
            member.progress,
        );
        state.passed_ms = passed_ms(cursor);
        begin(&mut state);
        cursor.generation += 1;
        let left = Left {
            generation: cursor.generation,
            reason,
            left_ms: self.now_ms(),
            waits,
            begin: state,
        };
        cursor.left.insert(id.clone(), left);
    }
}

/// When the segment before a shard's position was appended, if there was one.
pub(crate) fn passed_ms(cursor: &ShardCursor) -> Option<i64> {
    (cursor.appended_ms != i64::MIN).then_some(cursor.appended_ms)
}

//! Who rides on the shard's cursor, and who is left behind: the document is brought in line
//! with the configured destinations whenever a plan is made.

use std::collections::BTreeSet;

use sealift_core::delivery::{
    Gap, GapReason, Left, LeftCursor, LeftReason, Member, Position, Progress, ShardCursor,
};
use sealift_core::destination::{Destination, DestinationSet, Status};
use sealift_core::id::{DestinationId, OrgId, Sequence};
use sealift_core::ports::{Clock, Entropy, ObjectStore, Sinks};

use crate::{Delivery, DeliveryError};

/// Clocks of writers may differ by this much.
const CLOCK_SLACK_MS: i64 = 10 * 60 * 1000;

impl<L, S, K, C, E> Delivery<L, S, K, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    C: Clock,
    E: Entropy,
{
    /// Brings the members in line with the configured destinations. There must be no open
    /// plan. Tells whether anything changed.
    pub(crate) async fn reconcile(
        &self,
        cursor: &mut ShardCursor,
        set: &DestinationSet,
    ) -> Result<bool, DeliveryError> {
        let before = (cursor.members.clone(), cursor.left.clone());
        let same = |id: &DestinationId, organization: &OrgId| {
            set.0
                .get(id)
                .is_some_and(|d| d.organization == *organization)
        };
        cursor
            .members
            .retain(|id, member| same(id, &member.organization));
        cursor
            .left
            .retain(|id, left| same(id, &left.begin.organization));
        let paused: Vec<DestinationId> = cursor
            .members
            .keys()
            .filter(|id| set.0.get(id).is_some_and(|d| d.status == Status::Paused))
            .cloned()
            .collect();
        for id in paused {
            let position = cursor.position.clone();
            self.leave(cursor, &id, LeftReason::Paused, |begin| {
                begin.position = position;
            });
        }
        let known: BTreeSet<&DestinationId> =
            cursor.members.keys().chain(cursor.left.keys()).collect();
        let new: Vec<&Destination> = set
            .0
            .values()
            .filter(|d| d.status == Status::Streaming && !known.contains(&d.id))
            .collect();
        for destination in new {
            self.join(cursor, destination).await?;
        }
        Ok(before != (cursor.members.clone(), cursor.left.clone()))
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
            start_ms,
            ..
        } = destination;
        let member = Member {
            organization: organization.clone(),
            since_ms: *start_ms,
            progress: Progress::default(),
        };
        tracing::info!(destination = %id, %organization, since_ms = start_ms, "destination {id} starts");
        cursor.members.insert(id.clone(), member);
        if *start_ms <= cursor.appended_ms {
            let next = self.first_since(*start_ms, cursor.position.next).await?;
            let gap = self.gap_before(next, *start_ms, &cursor.position).await?;
            let epoch = cursor.position.epoch.clone();
            self.leave(cursor, id, LeftReason::StartsInPast, |begin| {
                begin.position = Position { epoch, next };
                begin.progress.gaps.extend(gap);
            });
        }
        Ok(())
    }

    /// What a destination misses that starts before the oldest segment that is kept.
    async fn gap_before(
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
            noticed_ms: self.now_ms(),
            reason: GapReason::Expired,
        }))
    }

    /// A number before `end` that no segment appended since the time lies before; how close
    /// it is saves only reading.
    async fn first_since(&self, since_ms: i64, end: Sequence) -> Result<Sequence, DeliveryError> {
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

    /// Moves a member to those left behind; `begin` completes the state that it begins with.
    pub(crate) fn leave(
        &self,
        cursor: &mut ShardCursor,
        id: &DestinationId,
        reason: LeftReason,
        begin: impl FnOnce(&mut LeftCursor),
    ) {
        let Some(member) = cursor.members.remove(id) else {
            return;
        };
        let mut state = LeftCursor {
            organization: member.organization,
            position: cursor.position.clone(),
            since_ms: member.since_ms,
            plan: None,
            progress: member.progress,
            attempts: 0,
            not_before_ms: 0,
            failure: None,
            closed: false,
        };
        begin(&mut state);
        cursor.generation += 1;
        let left = Left {
            generation: cursor.generation,
            reason,
            left_ms: self.now_ms(),
            begin: state,
        };
        cursor.left.insert(id.clone(), left);
    }
}

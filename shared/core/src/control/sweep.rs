//! The daily round over all destinations: what was cut off is finished, what the bus had refused is
//! told, replays that are over leave the list, and every destination that streams is checked. What
//! is left in the [outbox](crate::audit::outbox) is told first.
//!
//! It keeps no state of its own. A destination is due by the time of its last check, so a round that
//! has no time left is gone on with by the next one, and several at once do no harm. It begins
//! at a random place, lest some are never reached.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};

use super::known::{Known, Proposal};
use super::record::{Checked, FOLDER, Life, Record};
use super::{Access, Caller, Control, ControlError};
use crate::Timestamp;
use crate::audit::Actor;
use crate::audit::outbox::{Outbox, SentLeft};
use crate::check::{Checks, Verdict};
use crate::destination::Destination;
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::Vault;

/// How a round goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// A destination is due when its last check is older than this. Less than the day that a check
    /// is good for, so that a round that comes late still comes in time.
    pub due_after: Duration,
    /// One whose last check could tell nothing is due again after this.
    pub unknown_after: Duration,
    /// Destinations that are worked on at once.
    pub at_once: usize,
    /// Nothing new is begun in this time before the deadline: longer than a check takes.
    pub reserve: Duration,
}

impl Default for Round {
    fn default() -> Self {
        Self {
            due_after: Duration::from_hours(23),
            unknown_after: Duration::from_hours(1),
            at_once: 8,
            reserve: Duration::from_secs(90),
        }
    }
}

/// What came of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ids that were looked at.
    pub looked_at: u64,
    /// Changes that had been cut off and were finished or taken back.
    pub settled: u64,
    /// Audit entries that the bus took at last.
    pub told: u64,
    /// Of these and of those that are left, the ones of the [outbox](crate::audit::outbox), which
    /// are of changes of automations.
    pub outbox: SentLeft,
    /// Replays that left the list because they are over.
    pub replays_ended: u64,
    /// Destinations that were checked.
    pub checked: u64,
    /// Of these, those that are healthy.
    pub healthy: u64,
    /// Of these, those that were found unsafe, and are held.
    pub held: Vec<DestinationId>,
    /// Of these, those whose deliveries do not work.
    pub failing: u64,
    /// Of these, those that nothing could be told of.
    pub unknown: u64,
    /// Those for which there was no time left.
    pub left: u64,
    /// Those on which something failed, and with what.
    pub failed: Vec<(DestinationId, ControlError)>,
}

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Sends what the outbox holds, and goes over all destinations. One's trouble does not stop the
    /// others.
    pub async fn sweep(&self, deadline: Timestamp, round: &Round) -> Result<Swept, ControlError> {
        // First, since it is bounded, and the destinations may take all the time that there is.
        let outbox = self.outbox().send_left(self.clock.now()).await;
        let mut ids: Vec<_> = self.ids().await?.into_iter().collect();
        if !ids.is_empty() {
            let places = u128::try_from(ids.len()).unwrap_or(1);
            let first = usize::try_from(self.entropy.bits() % places).unwrap_or(0);
            ids.rotate_left(first);
        }
        let mut work = Vec::new();
        for (id, configured) in ids {
            let one = async move {
                let mut own = Swept::default();
                let result = self.sweep_one(&id, configured, deadline, round, &mut own);
                let result = result.await;
                (id, result, own)
            };
            work.push(one.boxed());
        }
        let done: Vec<_> = stream::iter(work)
            .buffer_unordered(round.at_once.max(1))
            .collect()
            .await;
        let mut swept = Swept {
            told: outbox.told,
            outbox,
            ..Swept::default()
        };
        for (id, result, own) in done {
            swept.looked_at += own.looked_at;
            swept.settled += own.settled;
            swept.told += own.told;
            swept.replays_ended += own.replays_ended;
            swept.checked += own.checked;
            swept.healthy += own.healthy;
            swept.held.extend(own.held);
            swept.failing += own.failing;
            swept.unknown += own.unknown;
            swept.left += own.left;
            if let Err(error) = result {
                swept.failed.push((id, error));
            }
        }
        Ok(swept)
    }

    fn outbox(&self) -> Outbox<'_, S, B, E> {
        Outbox {
            store: &self.state,
            bus: &self.bus,
            entropy: &self.entropy,
        }
    }

    /// All ids that there is anything of, with their configuration as it was a moment ago. It
    /// spares reading a set for each of its destinations: most of them are not due.
    async fn ids(&self) -> Result<BTreeMap<DestinationId, Option<Destination>>, ControlError> {
        let configured = self.all().await?.into_iter();
        let mut ids: BTreeMap<DestinationId, Option<Destination>> = configured
            .map(|destination| (destination.id.clone(), Some(destination)))
            .collect();
        let mut after = None;
        loop {
            let listed = self.state.list(FOLDER, after.as_ref(), 1000).await?;
            for id in listed
                .iter()
                .filter_map(|object| Record::id_at(&object.key))
            {
                ids.entry(id).or_default();
            }
            match listed.last() {
                Some(last) if listed.len() == 1000 => after = Some(last.key.clone()),
                _ => return Ok(ids),
            }
        }
    }

    async fn sweep_one(
        &self,
        id: &DestinationId,
        configured: Option<Destination>,
        deadline: Timestamp,
        round: &Round,
        swept: &mut Swept,
    ) -> Result<(), ControlError> {
        if !self.has_time(deadline, round) {
            swept.left += 1;
            return Ok(());
        }
        swept.looked_at += 1;
        let mut record = Record::place(id).load(&self.state).await?;
        let open = |record: &Record| record.life.as_ref().is_some_and(|l| l.change.is_some());
        if let Some(cut_off) = record.take_if(|record| open(&record.body)) {
            match self.settle(id, cut_off).await {
                Ok(settled) => record = Some(settled),
                // It is under way at this moment: somebody is at it.
                Err(ControlError::Busy) => return Ok(()),
                Err(error) => return Err(error),
            }
            swept.settled += 1;
        }
        let record = record.map(|record| record.body).unwrap_or_default();
        if !record.outbox.is_empty() {
            swept.told += u64::try_from(self.send(id).await?).unwrap_or(0);
        }
        // Nothing is left of it, or it has just been made.
        let Some(configured) = configured else {
            return Ok(());
        };
        let organization = &configured.organization;
        let caller = Caller {
            access: Access::Operator,
            actor: Actor::default(),
        };
        if !configured.replays.is_empty() {
            swept.replays_ended += self.end_replays(&caller, organization, id).await?;
        }
        let life = record.life.as_ref();
        if !configured.flows() || life.is_some_and(|life| !self.is_due(&configured, life, round)) {
            return Ok(());
        }
        let Some(known) = self.still_there(organization, id).await? else {
            return Ok(());
        };
        let Known {
            destination, life, ..
        } = &known;
        if !destination.flows() || !self.is_due(destination, life, round) {
            return Ok(());
        }
        if !self.has_time(deadline, round) {
            swept.left += 1;
            return Ok(());
        }
        let report = self.checks.check(destination).await;
        let (verdict, keys) = (report.verdict, life.keys);
        let checked = Checked { report, keys };
        swept.checked += 1;
        // Whether it was remembered or the connection changed meanwhile, the next round knows.
        let noted = self.note_check(&caller, organization, id, &checked).await?;
        match verdict {
            Verdict::Healthy => swept.healthy += 1,
            Verdict::Failing => swept.failing += 1,
            Verdict::Unknown => swept.unknown += 1,
            Verdict::Unsafe if noted => swept.held.push(id.clone()),
            Verdict::Unsafe => {}
        }
        Ok(())
    }

    /// Whether it has to be checked: its connection was not yet, or not lately.
    fn is_due(&self, destination: &Destination, life: &Life, round: &Round) -> bool {
        let Some(checked) = &life.check else {
            return true;
        };
        let pause = match checked.report.verdict {
            Verdict::Unknown => round.unknown_after,
            _ => round.due_after,
        };
        let age_ms = self.now_ms().saturating_sub(checked.report.at_ms);
        !checked.fits(destination, life.keys)
            || u128::try_from(age_ms).is_ok_and(|age_ms| age_ms >= pause.as_millis())
    }

    /// The destination, unless it was removed a moment ago, or is being changed.
    async fn still_there(
        &self,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<Option<Known>, ControlError> {
        match self.settled(organization, id).await {
            Ok(known) => Ok(Some(known)),
            Err(ControlError::NotFound { .. } | ControlError::Busy) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes replays that are over out of the destination's list, where delivery looks for them.
    async fn end_replays(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<u64, ControlError> {
        let Some(known) = self.still_there(organization, id).await? else {
            return Ok(0);
        };
        let ended = self.over(&known.destination).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        let mut after = known.destination.clone();
        after.replays.retain(|running| !ended.contains(running));
        let count = u64::try_from(ended.len()).unwrap_or(0);
        let proposal = Proposal {
            ended,
            ..Proposal::of(Some(after))
        };
        let changed = self.change(caller, known, proposal, None, |_| Ok(()));
        // If somebody was quicker, the next round does it.
        Ok(changed.await?.map_or(0, |_| count))
    }

    fn has_time(&self, deadline: Timestamp, round: &Round) -> bool {
        let left_ms = deadline.as_millisecond().saturating_sub(self.now_ms());
        u128::try_from(left_ms).is_ok_and(|left_ms| left_ms > round.reserve.as_millis())
    }
}

//! What the steps of a change consist of, and what follows it: the configuration, a replay's
//! document, cursors that are left over, and the way of audit entries onto the bus.

use super::record::{Change, Pending, Record, ReplayStep};
use super::{Control, ControlError, TRIES};
use crate::Timestamp;
use crate::check::Checks;
use crate::delivery::replay::{self, Replay};
use crate::destination::{Destination, DestinationSet};
use crate::document::Saved;
use crate::id::{DestinationId, OrgId};
use crate::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore};
use crate::vault::Vault;

/// How a step on the configuration ended.
pub(super) enum Step {
    /// It stands.
    Done,
    /// The change is no longer open.
    Overtaken,
    /// Something else stands there than the change was made for.
    Odd,
}

/// What a step makes of what stands there.
pub(super) enum Wanted {
    /// Nothing: it is done already.
    Stands,
    /// This, or nothing at all.
    Write(Option<Box<Destination>>),
    /// It is not what it should be.
    Odd,
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
    /// Writes a replay's document, or calls it off.
    pub(super) async fn step_replay(
        &self,
        change: &Change,
        after: &Destination,
    ) -> Result<(), ControlError> {
        let shard = self.shard(&after.organization);
        match &change.replay {
            None => {}
            Some(ReplayStep::Place { note }) => {
                let time = |ms| {
                    Timestamp::from_millisecond(ms)
                        .map_err(|_| ControlError::Own("a replay has no time"))
                };
                let (from, to) = (time(note.from_ms)?, time(note.to_ms)?);
                let replay = Replay::new(after, from, to, time(note.requested_ms)?)
                    .map_err(|_| ControlError::Own("a replay that was accepted is none"))?;
                // One that is there already was written by an earlier try.
                Replay::place(shard, &after.id, &note.id)
                    .create(&self.state, replay, &self.entropy)
                    .await?;
            }
            Some(ReplayStep::Cancel { id }) => {
                let now_ms = self.now_ms();
                replay::cancel(&self.state, &self.entropy, shard, &after.id, id, now_ms).await?;
            }
        }
        Ok(())
    }

    /// Brings the configuration of one destination in line, as long as the change is open.
    pub(super) async fn step(
        &self,
        destination: &Destination,
        name: &str,
        wanted: impl Fn(Option<&Destination>) -> Wanted + Send,
    ) -> Result<Step, ControlError> {
        let id = &destination.id;
        let place = DestinationSet::place(self.shard(&destination.organization));
        for _ in 0..TRIES {
            let read = place.load(&self.state).await?;
            let record = Record::place(id).load(&self.state).await?;
            if record.is_none_or(|record| record.body.open(name).is_none()) {
                return Ok(Step::Overtaken);
            }
            let there = read.as_ref().and_then(|read| read.body.0.get(id));
            let write = match wanted(there) {
                Wanted::Stands => return Ok(Step::Done),
                Wanted::Odd => return Ok(Step::Odd),
                Wanted::Write(write) => write,
            };
            let mut set = read.as_ref().map(|r| r.body.clone()).unwrap_or_default();
            match write {
                Some(write) => set.0.insert(id.clone(), *write),
                None => set.0.remove(id),
            };
            let saved = match &read {
                None => place.create(&self.state, set, &self.entropy).await?,
                Some(read) => place.replace(&self.state, read, set, &self.entropy).await?,
            };
            if let Saved::Done(_) = saved {
                return Ok(Step::Done);
            }
        }
        Err(ControlError::Busy)
    }

    /// Puts what is in the outbox on the bus, and tells how much the bus took. What it refuses stays
    /// there, and so does all if the record cannot be written: an entry that is told twice is one.
    pub(super) async fn send(&self, id: &DestinationId) -> Result<usize, ControlError> {
        let place = Record::place(id);
        let record = place.load(&self.state).await?;
        let outbox = record.map(|record| record.body.outbox).unwrap_or_default();
        if outbox.is_empty() {
            return Ok(0);
        }
        let entries: Vec<BusEntry> = outbox.iter().cloned().map(Into::into).collect();
        let outcomes = self.bus.put(&entries).await;
        let taken = outbox.iter().zip(&outcomes);
        let taken: Vec<&Pending> = taken
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(pending, _)| pending)
            .collect();
        place
            .update(&self.state, &self.entropy, |there| {
                let mut record = there?.clone();
                let before = record.outbox.len();
                record.outbox.retain(|pending| !taken.contains(&pending));
                (record.outbox.len() < before).then_some(record)
            })
            .await?;
        Ok(taken.len())
    }

    /// Deletes what is left of a destination's cursors and replays.
    pub(super) async fn clear_cursors(
        &self,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(), ControlError> {
        let shard = self.shard(organization);
        for folder in ["left", "replays"] {
            let start = format!("delivery/{shard:04}/{folder}/{id}-");
            let mut after = None;
            loop {
                let listed = self.state.list(&start, after.as_ref(), 1000).await?;
                for object in &listed {
                    // No `-` stands in a generation or a replay's id, so another destination's,
                    // whose id begins with this one's, is told apart.
                    let rest = object.key.as_str().strip_prefix(start.as_str());
                    if rest.is_some_and(|rest| !rest.contains('-')) {
                        self.state.delete(&object.key).await?;
                    }
                }
                match listed.last() {
                    Some(last) if listed.len() == 1000 => after = Some(last.key.clone()),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

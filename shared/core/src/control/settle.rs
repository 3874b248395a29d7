//! The steps of a change, each of which may be done again, by anybody.
//!
//! A change stands in the record before its first step is done, and is taken out of it after its
//! last. In between, one who does a step may be late by any time: another may have finished the
//! change meanwhile, and a next one may have been made. So a step that replaces the configuration
//! reads the set first, then looks whether the change is still open, and writes only over the
//! version that it has read. Steps on the vault have no versions; they are done within the
//! [lease](super::record::LEASE_MS) by who began the change, and after it by whoever meets it.

use super::entries::Teller;
use super::record::{Change, KeysStep, Pending, Record};
use super::steps::{Step, Wanted};
use super::{Control, ControlError, places};
use crate::audit::Actor;
use crate::audit::catalogue::DESTINATION_CREDENTIALS_REPLACED;
use crate::check::Checks;
use crate::destination::{Credentials, Destination, Status};
use crate::document::Stored;
use crate::id::DestinationId;
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::{AccessKeys, Vault};

const BY_HAND: &str =
    "the destination's configuration was changed by hand meanwhile; look at it, and try again";

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Finishes the open change of a record, if it has one, or takes it back.
    pub(super) async fn settle(
        &self,
        id: &DestinationId,
        record: Stored<Record>,
    ) -> Result<Stored<Record>, ControlError> {
        let open = record.body.life.as_ref().and_then(|l| l.change.as_ref());
        let Some(change) = open else {
            return Ok(record);
        };
        if change.is_anothers(self.now_ms()) {
            return Err(ControlError::Busy);
        }
        let change = change.clone();
        // Boxed, here and where changes begin: a future that holds all steps is a large one.
        match Box::pin(self.finish(id, &change, None)).await {
            // What could not be done is taken back; what stands there now is as good.
            Ok(()) | Err(ControlError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        let record = Record::place(id).load(&self.state).await?;
        let record = record.ok_or(ControlError::Busy)?;
        match record.body.open(&change.name) {
            Some(_) => Err(ControlError::Busy),
            None => Ok(record),
        }
    }

    /// Does all steps of a change that stands in the record. `keys` are those that it stores, if
    /// it does.
    pub(super) async fn finish(
        &self,
        id: &DestinationId,
        change: &Change,
        keys: Option<&AccessKeys>,
    ) -> Result<(), ControlError> {
        match (&change.before, &change.after) {
            (before, Some(after)) => {
                self.finish_after(id, change, before.as_ref(), after, keys)
                    .await
            }
            (Some(before), None) => self.finish_removal(id, change, before).await,
            (None, None) => self.close(id, change).await,
        }
    }

    async fn finish_after(
        &self,
        id: &DestinationId,
        change: &Change,
        before: Option<&Destination>,
        after: &Destination,
        keys: Option<&AccessKeys>,
    ) -> Result<(), ControlError> {
        let moves = before.is_none_or(|before| before.location != after.location);
        if moves && !places::claim(&self.state, &self.entropy, id, &after.location).await? {
            self.take_back(id, change, after).await?;
            return Err(ControlError::conflict(super::create::OVERLAPS));
        }
        self.step_replay(change, after).await?;
        let mut change = change.clone();
        match (change.keys, keys) {
            (KeysStep::Delete, _) => self.vault_delete(after).await?,
            (KeysStep::Replace, Some(keys)) => {
                if let Err(error) = self.vault.put(after, keys).await {
                    self.take_back(id, &change, after).await?;
                    return Err(ControlError::Vault(error));
                }
                change = self.note_stored(id, &change).await?;
            }
            // Who has the keys is gone.
            (KeysStep::Give | KeysStep::Replace, None) => {
                return self.take_back(id, &change, after).await;
            }
            (KeysStep::Give, Some(_)) | (KeysStep::Untouched | KeysStep::Stored, _) => {}
        }
        let step = self.step(after, &change.name, |there| {
            if there == Some(after) {
                Wanted::Stands
            } else if there == before {
                Wanted::Write(Some(Box::new(after.clone())))
            } else {
                Wanted::Odd
            }
        });
        match step.await? {
            Step::Done => {}
            Step::Overtaken => {
                // What was claimed above may be nobody's by now.
                let set = self.set(&after.organization).await?;
                let there = set.as_ref().and_then(|set| set.body.0.get(id));
                let (old, kept) = (&after.location, there.map(|there| &there.location));
                places::release(&self.state, &self.entropy, id, old, kept).await?;
                return self.by_others(id, &change.name).await;
            }
            Step::Odd => {
                self.take_back(id, &change, after).await?;
                return Err(ControlError::conflict(BY_HAND));
            }
        }
        if let (KeysStep::Give, Some(keys)) = (change.keys, keys) {
            if let Err(error) = self.vault.put(after, keys).await {
                self.take_back(id, &change, after).await?;
                return Err(ControlError::Vault(error));
            }
            // Before the old prefix is let go of: from here on there is no way back.
            change = self.note_stored(id, &change).await?;
        }
        if let Some(before) = before {
            let (old, new) = (&before.location, &after.location);
            places::release(&self.state, &self.entropy, id, old, Some(new)).await?;
        }
        self.close(id, &change).await
    }

    async fn finish_removal(
        &self,
        id: &DestinationId,
        change: &Change,
        before: &Destination,
    ) -> Result<(), ControlError> {
        let organization = &before.organization;
        let ours = |there: &&Destination| there.organization == *organization;
        // Paused first: with its keys gone and itself still there, deliveries would fail.
        let pause = self.step(before, &change.name, |there| match there.filter(ours) {
            Some(there) if there.status == Status::Streaming => {
                Wanted::Write(Some(Box::new(Destination {
                    status: Status::Paused,
                    ..there.clone()
                })))
            }
            _ => Wanted::Stands,
        });
        if let Step::Overtaken = pause.await? {
            return self.by_others(id, &change.name).await;
        }
        if before.credentials == Credentials::AccessKeys {
            self.vault_delete(before).await?;
        }
        let removal = self.step(before, &change.name, |there| match there.filter(ours) {
            Some(_) => Wanted::Write(None),
            None => Wanted::Stands,
        });
        if let Step::Overtaken = removal.await? {
            return self.by_others(id, &change.name).await;
        }
        self.clear_cursors(organization, id).await?;
        places::release(&self.state, &self.entropy, id, &before.location, None).await?;
        self.close(id, change).await
    }

    /// Takes a change back: the configuration is as it was, keys that it stored are gone.
    async fn take_back(
        &self,
        id: &DestinationId,
        change: &Change,
        after: &Destination,
    ) -> Result<(), ControlError> {
        let before = change.before.as_ref();
        if change.keys == KeysStep::Give {
            self.vault_delete(after).await?;
        }
        let step = self.step(after, &change.name, |there| {
            if there == Some(after) && there != before {
                Wanted::Write(before.cloned().map(Box::new))
            } else {
                Wanted::Stands
            }
        });
        if let Step::Overtaken = step.await? {
            return self.by_others(id, &change.name).await;
        }
        let kept = before.map(|before| &before.location);
        places::release(&self.state, &self.entropy, id, &after.location, kept).await?;
        let mut told = Vec::new();
        if change.keys == KeysStep::Replace {
            told = self.unsure(change, after)?;
        }
        let name = change.name.as_str();
        self.write_record(id, name, |record| {
            record.outbox.extend(told.clone());
            match &mut record.life {
                Some(life) if change.before.is_some() => {
                    life.change = None;
                    // Which keys lie there is unknown: no check fits any more.
                    life.keys += u64::from(change.keys == KeysStep::Replace);
                }
                _ => record.life = None,
            }
        })
        .await?;
        Ok(())
    }

    /// What is told of a replacement that was cut off.
    fn unsure(&self, change: &Change, after: &Destination) -> Result<Vec<Pending>, ControlError> {
        let actor = Actor::default();
        let name = format!("{}-unsure", change.name);
        let mut teller = Teller::new(after, &actor, &name, self.clock.now());
        let details = serde_json::json!({
            "certain": false,
            "reason": "the replacement of the access keys was cut off; the old ones or the new ones may be stored",
        });
        let (before, after) = (serde_json::json!({}), serde_json::json!({}));
        teller.updated(&DESTINATION_CREDENTIALS_REPLACED, before, after, details)?;
        Ok(teller.end())
    }

    /// Notes that the keys are in the vault, from where on anybody can finish the change.
    async fn note_stored(
        &self,
        id: &DestinationId,
        change: &Change,
    ) -> Result<Change, ControlError> {
        let stored = Change {
            keys: KeysStep::Stored,
            ..change.clone()
        };
        let name = change.name.as_str();
        self.write_record(id, name, |record| {
            if let Some(life) = &mut record.life {
                life.keys += 1;
                life.change = Some(stored.clone());
            }
        })
        .await?;
        Ok(stored)
    }

    /// Ends a change.
    async fn close(&self, id: &DestinationId, change: &Change) -> Result<(), ControlError> {
        let name = change.name.as_str();
        self.write_record(id, name, |record| {
            record.close(name, change.entries.clone());
            match &mut record.life {
                Some(life) if change.after.is_some() => {
                    life.change = None;
                    life.note(change);
                }
                _ => record.life = None,
            }
        })
        .await?;
        // The change stands, whatever the bus says: what it does not take stays in the outbox.
        let _ = self.send(id).await;
        Ok(())
    }

    /// Changes the record while the change is open; else it was finished by others, or not.
    async fn write_record(
        &self,
        id: &DestinationId,
        name: &str,
        write: impl Fn(&mut Record) + Send + Sync,
    ) -> Result<(), ControlError> {
        let mut open = false;
        let stored = Record::place(id)
            .update(&self.state, &self.entropy, |there| {
                let there = there?;
                open = there.open(name).is_some();
                open.then(|| {
                    let mut record = there.clone();
                    write(&mut record);
                    record
                })
            })
            .await?;
        if open {
            return Ok(());
        }
        finished(stored.as_ref().map(|stored| &stored.body), name)
    }

    /// Who was overtaken learns how it ended.
    async fn by_others(&self, id: &DestinationId, name: &str) -> Result<(), ControlError> {
        let record = Record::place(id).load(&self.state).await?;
        finished(record.as_ref().map(|record| &record.body), name)
    }

    async fn vault_delete(&self, destination: &Destination) -> Result<(), ControlError> {
        let deleted = self.vault.delete(destination).await;
        deleted.map_err(ControlError::Vault)
    }
}

/// Whether a change that is no longer open was finished, or was taken back.
fn finished(record: Option<&Record>, name: &str) -> Result<(), ControlError> {
    let finished = record.is_some_and(|r| r.finished.iter().any(|done| done == name));
    if finished {
        Ok(())
    } else {
        Err(ControlError::Busy)
    }
}

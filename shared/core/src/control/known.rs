//! A destination as an operation finds it, and how a change of it begins.

use super::entries::Teller;
use super::record::{Change, KeysStep, Life, Record, ReplayStep};
use super::{Caller, Control, ControlError, DestinationView, not_found, places};
use crate::Timestamp;
use crate::check::{CheckReport, Checks};
use crate::destination::{Credentials, Destination};
use crate::document::{Saved, Stored};
use crate::external_id::ExternalId;
use crate::id::{DestinationId, OrgId, ReplayId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::{AccessKeys, Vault};

/// A destination, and its record with no change under way.
pub(super) struct Known {
    pub(super) record: Stored<Record>,
    pub(super) life: Life,
    pub(super) destination: Destination,
}

/// What shall become of a destination.
pub(super) struct Proposal {
    /// The destination after; none to remove it.
    pub(super) after: Option<Destination>,
    pub(super) keys: KeysStep,
    pub(super) replay: Option<ReplayStep>,
    pub(super) ended: Vec<ReplayId>,
    pub(super) check: Option<CheckReport>,
}

impl Proposal {
    pub(super) fn of(after: Option<Destination>) -> Self {
        Self {
            after,
            keys: KeysStep::Untouched,
            replay: None,
            ended: Vec::new(),
            check: None,
        }
    }
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
    /// The destination as it stands, with its record, which may have a change under way.
    pub(super) async fn look(
        &self,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(Stored<Record>, Life, Option<Destination>), ControlError> {
        let record = Record::place(id).load(&self.state).await?;
        let life = record.as_ref().and_then(|r| r.body.life.clone());
        if let (Some(record), Some(life)) = (record, life) {
            if life.organization != *organization {
                return Err(not_found(organization, id));
            }
            let set = self.set(organization).await?;
            let there = set.as_ref().and_then(|set| set.body.0.get(id).cloned());
            let there = there.filter(|there| there.organization == *organization);
            return Ok((record, life, there));
        }
        let (record, life, destination) = self.adopt(organization, id).await?;
        Ok((record, life, Some(destination)))
    }

    /// The destination for an operation that changes it: whatever is under way is finished first.
    pub(super) async fn known(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<Known, ControlError> {
        caller.may_change(organization)?;
        self.settled(organization, id).await
    }

    /// The destination, with nothing under way.
    pub(super) async fn settled(
        &self,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<Known, ControlError> {
        let (mut record, mut life, mut there) = self.look(organization, id).await?;
        if life.change.is_some() {
            // Finished or taken back: read again what came of it.
            self.settle(id, record).await?;
            (record, life, there) = self.look(organization, id).await?;
            if life.change.is_some() {
                return Err(ControlError::Busy);
            }
        }
        match there {
            Some(destination) => Ok(Known {
                record,
                life,
                destination,
            }),
            None => Err(not_found(organization, id)),
        }
    }

    /// Gives a destination that was set up by hand the record that it lacks.
    async fn adopt(
        &self,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(Stored<Record>, Life, Destination), ControlError> {
        let set = self.set(organization).await?;
        let there = set.as_ref().and_then(|set| set.body.0.get(id).cloned());
        let there = there.filter(|there| there.organization == *organization);
        let destination = there.ok_or_else(|| not_found(organization, id))?;
        let external_id = match &destination.credentials {
            Credentials::IamRole { external_id, .. } => external_id.clone(),
            Credentials::AccessKeys => ExternalId::generate(&self.entropy),
        };
        let known_ms = destination.created_ms.or(destination.start_ms);
        let now_ms = self.now_ms();
        let fresh = Life {
            organization: organization.clone(),
            created_ms: known_ms.unwrap_or(now_ms),
            updated_ms: known_ms.unwrap_or(now_ms),
            external_id,
            keys: 0,
            change: None,
            check: None,
            conclusive: None,
            replays: Vec::new(),
        };
        // Its place may overlap with another's that was set up by hand as well: then it has none.
        let location = &destination.location;
        places::claim(&self.state, &self.entropy, id, location).await?;
        let stored = Record::place(id)
            .update(&self.state, &self.entropy, |there| {
                let mut record = there.cloned().unwrap_or_default();
                if record.life.is_some() {
                    return None;
                }
                record.life = Some(fresh.clone());
                record.created_ms = record.created_ms.max(destination.created_ms);
                Some(record)
            })
            .await?;
        let stored = stored.ok_or(ControlError::Busy)?;
        let life = stored.body.life.clone();
        let life = life.filter(|life| life.organization == *organization);
        let life = life.ok_or_else(|| not_found(organization, id))?;
        Ok((stored, life, destination))
    }

    /// Begins a change and does its steps; `None` if somebody else was quicker, and all is to be
    /// looked at anew. `tell` gathers the audit entries.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        known: Known,
        proposal: Proposal,
        keys: Option<&AccessKeys>,
        tell: impl FnOnce(&mut Teller<'_>) -> Result<(), ControlError>,
    ) -> Result<Option<Option<DestinationView>>, ControlError> {
        let Known {
            record,
            mut life,
            destination,
        } = known;
        let name = self.entropy.nonce();
        let now = self.clock.now();
        let subject = proposal.after.as_ref().unwrap_or(&destination);
        let mut teller = Teller::new(subject, &caller.actor, &name, now);
        tell(&mut teller)?;
        let entries = teller.end();
        let id = destination.id.clone();
        let change = Change {
            name,
            began_ms: now.as_millisecond(),
            before: Some(destination),
            after: proposal.after,
            keys: proposal.keys,
            replay: proposal.replay,
            ended: proposal.ended,
            check: proposal.check,
            entries,
        };
        let mut body = record.body.clone();
        let noted = change.is_only_noted();
        if noted {
            life.note(&change);
            body.close(&change.name, change.entries.clone());
        } else {
            life.change = Some(change.clone());
        }
        body.life = Some(life);
        let place = Record::place(&id);
        let saved = place
            .replace(&self.state, &record, body, &self.entropy)
            .await?;
        if saved == Saved::Stale {
            return Ok(None);
        }
        if noted {
            let _ = self.send(&id).await;
        } else {
            Box::pin(self.finish(&id, &change, keys)).await?;
        }
        let Some(after) = &change.after else {
            return Ok(Some(None));
        };
        let record = place.load(&self.state).await?;
        let life = record.and_then(|record| record.body.life);
        let life = life.ok_or_else(|| not_found(&after.organization, &id))?;
        Ok(Some(Some(self.view(after, &life))))
    }

    pub(super) fn view(&self, destination: &Destination, life: &Life) -> DestinationView {
        DestinationView::of(destination, life, &self.settings.principal)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

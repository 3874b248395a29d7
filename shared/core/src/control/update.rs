//! Changing a destination's configuration.

use serde_json::{Value, json};

use super::create::refuse_overlap;
use super::entries::{described, of_check};
use super::known::{Known, Proposal};
use super::record::{Checked, KeysStep, Life};
use super::{Caller, CheckView, Control, ControlError, DestinationUpdate, DestinationView, TRIES};
use crate::audit::catalogue::{
    DESTINATION_CREDENTIALS_REMOVED, DESTINATION_CREDENTIALS_REPLACED, DESTINATION_UPDATED,
};
use crate::check::{CheckReport, Checks, Fingerprint, Verdict};
use crate::destination::{Credentials, Destination};
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::{AccessKeys, Vault};

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Changes a destination: what the update does not name stays as it is. Changes take effect from
    /// delivery's next plan; its cursor, its counts and its ExternalId stay.
    ///
    /// Every field but `included_events` belongs to the connection (endpoint, bucket, region, prefix,
    /// path style, authentication, KMS key, storage class, checksum). Where events flow, a changed
    /// connection is checked before it is saved, with the very access keys that were given, and
    /// refused unless it is found healthy. A paused one is saved as it is, and asks for a check
    /// before it starts.
    ///
    /// Another bucket or prefix moves no object: what was delivered stays where it is, and the next
    /// objects go to the new place, under names that go on counting the same log. A plan that is open
    /// at that moment is finished at the old place, which needs that the old place still lets
    /// Sealift in. A replay goes on at the new one.
    ///
    /// Another kind of authentication: a role has the access keys deleted; access keys ask for a
    /// new pair, since none is kept. Other access keys take the place of those that are stored.
    pub async fn update(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        update: DestinationUpdate,
    ) -> Result<DestinationView, ControlError> {
        let mut tried: Option<(Destination, CheckReport)> = None;
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let (life, before) = (&known.life, &known.destination);
            let (mut after, keys) = update.apply(before, &life.external_id)?;
            if after == *before && keys.is_none() {
                return Ok(self.view(before, life));
            }
            if after.location != before.location {
                self.admit_endpoint(&after.location).await?;
                refuse_overlap(&self.all().await?, id, &after.location)?;
            }
            let mut check = None;
            if before.flows() && connection_changed(before, &after, keys.as_ref()) {
                let mut report = match tried.take() {
                    Some((there, report)) if there == after => report,
                    _ => self.try_out(&after, keys.clone()).await?,
                };
                let untried = after.clone();
                tried = Some((untried, report.clone()));
                if report.verdict != Verdict::Healthy {
                    return Err(refused(report, life));
                }
                report.apply(&mut after);
                check = Some(report);
            }
            let step = keys_step(before, &after, keys.is_some());
            let proposal = Proposal {
                keys: step,
                check,
                ..Proposal::of(Some(after.clone()))
            };
            let told = (before.clone(), life.keys);
            let changed = self.change(caller, known, proposal, keys.as_ref(), |teller| {
                let (before, keys) = told;
                let (was, is) = (described(&before), described(&after));
                if was != is {
                    teller.updated(&DESTINATION_UPDATED, was, is, Value::Null)?;
                }
                match step {
                    KeysStep::Give | KeysStep::Replace | KeysStep::Stored => {
                        let pair = |number: u64| json!({"access_keys": number});
                        let (was, is) = match step {
                            KeysStep::Give => (json!({"access_keys": null}), pair(keys + 1)),
                            _ => (pair(keys), pair(keys + 1)),
                        };
                        let own = &DESTINATION_CREDENTIALS_REPLACED;
                        teller.updated(own, was, is, Value::Null)
                    }
                    KeysStep::Delete => {
                        let (was, is) = (
                            json!({"credentials": "access_keys"}),
                            json!({"credentials": null}),
                        );
                        let own = &DESTINATION_CREDENTIALS_REMOVED;
                        teller.updated(own, was, is, Value::Null)
                    }
                    KeysStep::Untouched => Ok(()),
                }
            });
            if let Some(Some(view)) = changed.await? {
                return Ok(view);
            }
        }
        Err(ControlError::Busy)
    }

    /// Checks a destination that is not saved, with keys that are not stored.
    async fn try_out(
        &self,
        destination: &Destination,
        keys: Option<AccessKeys>,
    ) -> Result<CheckReport, ControlError> {
        let trial = match keys {
            None => None,
            Some(keys) => Some(
                self.vault
                    .try_keys(destination, keys)
                    .ok_or(ControlError::Busy)?,
            ),
        };
        let report = self.checks.check(destination).await;
        drop(trial);
        Ok(report)
    }

    /// Whether nothing of the connection has changed since a check began.
    pub(super) fn still_fits(known: &Known, checked: &Checked) -> bool {
        checked.fits(&known.destination, known.life.keys)
    }
}

fn connection_changed(
    before: &Destination,
    after: &Destination,
    keys: Option<&AccessKeys>,
) -> bool {
    keys.is_some()
        || before.storage != after.storage
        || Fingerprint::of(before) != Fingerprint::of(after)
}

fn keys_step(before: &Destination, after: &Destination, given: bool) -> KeysStep {
    let by_keys = |d: &Destination| d.credentials == Credentials::AccessKeys;
    match (by_keys(before), by_keys(after)) {
        (true, true) if given => KeysStep::Replace,
        (false, true) => KeysStep::Give,
        (true, false) => KeysStep::Delete,
        _ => KeysStep::Untouched,
    }
}

fn refused(report: CheckReport, life: &Life) -> ControlError {
    let reason = match report.verdict {
        Verdict::Unknown => format!(
            "the changed connection could not be checked, so nothing was changed; try again: {}",
            report.cause
        ),
        _ => format!(
            "the changed connection does not work, so nothing was changed; mend it, or pause the \
             destination to save it unchecked: {}",
            report.cause
        ),
    };
    let keys = life.keys;
    let check = CheckView::of(&Checked { report, keys }, false);
    ControlError::NotHealthy {
        reason,
        check: Some(Box::new(check)),
    }
}

/// What the entry of an override tells of the check that was overridden.
pub(super) fn overridden(life: &Life, reason: Option<&str>) -> Value {
    json!({
        "reason": reason,
        "last_check": life.check.as_ref().map(|checked| of_check(&checked.report)),
    })
}

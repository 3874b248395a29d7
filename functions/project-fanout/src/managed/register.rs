//! Registering automations with Braintrust's data plane: what is written down before, and the
//! requests.

use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::ledger::{Ledger, Registration};
use sealift_core::provision::remote::{RegistrationError, Remote};

use super::{Batch, Verdict, Work};
use crate::apply::key;
use crate::pass::{Pass, Trouble, words};
use crate::{Fanout, FanoutError};

impl<S, P, B, C, E, R> Fanout<S, P, B, C, E, R>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
    R: Remote,
{
    /// Writes down the ids in Braintrust, and that registrations go out.
    pub(super) async fn write_ids(
        &self,
        pass: &Pass,
        batch: &mut Batch<'_>,
    ) -> Result<(), FanoutError> {
        if batch.works.is_empty() {
            return Ok(());
        }
        let works = &batch.works;
        let saved = Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut ledger = there?.clone();
                for work in works {
                    let known = ledger.projects.get_mut(&work.step.project);
                    let entry = known.and_then(|k| k.automations.get_mut(&work.step.template));
                    let Some(entry) = entry.filter(|entry| entry.is_taken_by(&pass.by)) else {
                        continue;
                    };
                    entry.remote = Some(work.remote.clone());
                    if work.foreign {
                        entry.external_id = None;
                    }
                    if matches!(work.verdict, Verdict::Register { .. }) {
                        entry.registration = Some(Registration::Sent);
                    }
                }
                (Some(&ledger) != there).then_some(ledger)
            })
            .await?;
        let ledger = saved.map(|saved| saved.body).unwrap_or_default();
        let before = batch.works.len();
        batch.works.retain(|work| {
            let known = ledger.projects.get(&work.step.project);
            let entry = known.and_then(|known| known.automations.get(&work.step.template));
            entry.is_some_and(|entry| entry.is_taken_by(&pass.by))
        });
        batch.left += before - batch.works.len();
        Ok(())
    }

    pub(super) async fn register_all(
        &self,
        remote: &R,
        pass: &mut Pass,
        ledger: &Ledger,
        batch: &mut Batch<'_>,
    ) {
        let Batch {
            works,
            failed,
            registrations,
            left,
            ..
        } = batch;
        for Work {
            step,
            remote: id,
            verdict,
            ..
        } in works
        {
            let otherwise = match verdict {
                Verdict::Register { otherwise } => *otherwise,
                Verdict::Settled(registration) => {
                    registrations.insert(key(step), Some(*registration));
                    continue;
                }
                Verdict::Stuck(registration) => {
                    registrations.insert(key(step), *registration);
                    continue;
                }
            };
            registrations.insert(key(step), otherwise);
            let known = ledger.projects.get(&step.project);
            let entry = known.and_then(|known| known.automations.get(&step.template));
            let allowed = pass.allow_registration(self.clock.now());
            let (Some(entry), Ok(())) = (entry, allowed) else {
                *left += 1;
                continue;
            };
            let message = match remote.register(id, &step.project, entry.start).await {
                Ok(()) => {
                    pass.went_well();
                    registrations.insert(key(step), Some(Registration::Made));
                    continue;
                }
                Err(RegistrationError::NotDone(error)) => match pass.trouble(&error) {
                    Trouble::Left => {
                        *left += 1;
                        continue;
                    }
                    Trouble::Failed(message) => message,
                },
                Err(RegistrationError::Unknown(failure)) => {
                    registrations.insert(key(step), Some(Registration::Sent));
                    pass.set_back(&failure);
                    let said = words(&failure);
                    format!("{said}; whether it was done is not known, and is looked at first")
                }
            };
            failed.insert(key(step), message);
        }
    }
}

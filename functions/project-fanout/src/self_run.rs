//! Automations that Sealift runs itself: documents of the state bucket.

use futures_util::{StreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::export::automation::{Automation, AutomationStatus};
use sealift_core::export::registry::{Prepared, RegistryError};
use sealift_core::id::{AutomationId, XactId};
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::ledger::{Halt, Ledger, Provisioned};
use sealift_core::provision::plan::{Action, Step};
use sealift_core::provision::remote::Remote;

use crate::apply::{
    Applied, Done, Failures, Job, RESERVE_SECONDS, Registrations, Statuses, key, template_of,
};
use crate::{AT_ONCE, Fanout, FanoutError, Situation, outcome};

/// Steps between two writes of the ledger.
const STEPS_AT_ONCE: usize = 1000;

impl<S, P, B, C, E, R> Fanout<S, P, B, C, E, R>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
    R: Remote,
{
    pub(crate) async fn run_all(
        &self,
        situation: &Situation,
        start: XactId,
        deadline: Timestamp,
        progress: &impl Fn(usize),
        applied: &mut Applied,
    ) -> Result<(), FanoutError> {
        let steps: Vec<&Step> = situation.plan.steps.iter().collect();
        let mut behind = 0;
        for some in steps.chunks(STEPS_AT_ONCE) {
            if self.clock.now().as_second() + RESERVE_SECONDS > deadline.as_second() {
                applied.left = steps.len() - behind;
                applied.why_left = Some("there is no time left".to_owned());
                break;
            }
            let job = Job {
                situation,
                steps: some,
                start,
            };
            Box::pin(self.run_batch(&job, applied)).await?;
            behind += some.len();
            progress(behind);
        }
        Ok(())
    }

    async fn run_batch(&self, job: &Job<'_>, applied: &mut Applied) -> Result<(), FanoutError> {
        let mut failed = Failures::new();
        let statuses = self.statuses(job.steps).await?;
        let ledger = self.write_down(job, &statuses, None, &mut failed).await?;
        let mut done = self.run_steps(job, &ledger, &mut failed).await?;
        let told = self
            .tell(&ledger, job.steps, &failed, &mut done, applied)
            .await;
        self.close(&done, &told, &Registrations::new(), None)
            .await?;
        applied.count(job.steps, &done, &failed);
        Ok(())
    }

    /// What the automations are that are to be stopped or restarted; those that were deleted by
    /// hand are left out.
    async fn statuses(&self, steps: &[&Step]) -> Result<Statuses, FanoutError> {
        let mut asked = Vec::new();
        for step in steps {
            if let Action::Stop { automation } | Action::Restart { automation } = &step.action {
                asked.push(async move { (step, self.registry.automation(automation).await) });
            }
        }
        let read: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut statuses = Statuses::new();
        for (step, automation) in read {
            match automation {
                Ok(automation) if automation.is_active() => {
                    statuses.insert(key(step), AutomationStatus::Active);
                }
                Ok(_) => {
                    statuses.insert(key(step), AutomationStatus::Paused);
                }
                Err(RegistryError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(statuses)
    }

    async fn run_steps<'a>(
        &self,
        job: &Job<'a>,
        ledger: &Ledger,
        failed: &mut Failures,
    ) -> Result<Vec<Done<'a>>, FanoutError> {
        // Gathered by a loop: of a closure that takes references, the compiler cannot tell that its
        // future may move between threads.
        let mut todo = Vec::new();
        for step in job.steps {
            if !failed.contains_key(&key(step)) {
                let one = self.one(job.situation, ledger, step);
                todo.push(async move { (*step, one.await) });
            }
        }
        let outcomes: Vec<_> = stream::iter(todo).buffered(AT_ONCE).collect().await;
        let (mut done, mut prepared) = (Vec::new(), Vec::new());
        for (step, outcome) in outcomes {
            match outcome {
                Ok((new, automation)) => {
                    prepared.extend(new);
                    let told = self.outcome(ledger, step, automation.as_ref());
                    done.push(Done {
                        step,
                        adopted: false,
                        told: told.into_iter().collect(),
                    });
                }
                // The state is out of reach: the rest would fail as well.
                Err(error @ (RegistryError::Store(_) | RegistryError::Document(_))) => {
                    return Err(error.into());
                }
                Err(error) => {
                    failed.insert(key(step), error.to_string());
                }
            }
        }
        self.registry.schedule(&prepared).await?;
        Ok(done)
    }

    /// Does one step as far as it can be done for itself.
    async fn one(
        &self,
        situation: &Situation,
        ledger: &Ledger,
        step: &Step,
    ) -> Result<(Option<Prepared>, Option<Automation>), RegistryError> {
        let now_ms = self.clock.now().as_millisecond();
        let known = ledger.projects.get(&step.project);
        let entry = known.and_then(|known| known.automations.get(&step.template));
        match &step.action {
            Action::Adopt { .. } | Action::Note { .. } => Ok((None, None)),
            Action::Stop { automation } => self.set(automation, entry, false, now_ms).await,
            Action::Restart { automation } => self.set(automation, entry, true, now_ms).await,
            Action::Create | Action::Register { .. } => {
                let (Some(known), Some(drawn), Some(template)) =
                    (known, entry, template_of(situation, step))
                else {
                    return Ok((None, None));
                };
                // Somebody else was quicker, and it is there, or the other mode has it.
                let free = !drawn.done && drawn.mode == situation.settings.mode;
                let Some(suffix) = drawn.external_id.as_ref().filter(|_| free) else {
                    return Ok((None, None));
                };
                let automation = Automation {
                    id: drawn.id.clone(),
                    organization: known.organization.clone(),
                    project_id: step.project.clone(),
                    name: template.name.clone(),
                    description: template.description.clone(),
                    created_ms: now_ms,
                    config: template.fill(&known.slug, suffix),
                    bucket_owner: None,
                };
                match self
                    .registry
                    .prepare(&automation, drawn.start, now_ms)
                    .await
                {
                    Ok(prepared) => Ok((Some(prepared), Some(automation))),
                    // The id was drawn for it, so it is the very one: changed by hand since, or
                    // the template was.
                    Err(RegistryError::Taken(id)) => {
                        let there = self.registry.automation(&id).await?;
                        if there.project_id != step.project {
                            return Err(RegistryError::Taken(id));
                        }
                        let prepared = self.registry.prepare(&there, drawn.start, now_ms).await?;
                        Ok((Some(prepared), Some(there)))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Stops or restarts one that ran before. One that its operator had paused stays so.
    async fn set(
        &self,
        id: &AutomationId,
        entry: Option<&Provisioned>,
        active: bool,
        now_ms: i64,
    ) -> Result<(Option<Prepared>, Option<Automation>), RegistryError> {
        let halt = entry.and_then(|entry| entry.halt.as_ref());
        if halt.is_none_or(|halt| halt.before == AutomationStatus::Paused) {
            return Ok((None, None));
        }
        match self.registry.set_active(id, active, now_ms).await {
            // It was deleted by hand.
            Err(RegistryError::Unknown(_)) => Ok((None, None)),
            other => other.map(|()| (None, None)),
        }
    }

    fn outcome(
        &self,
        ledger: &Ledger,
        step: &Step,
        automation: Option<&Automation>,
    ) -> Option<BusEntry> {
        let known = ledger.projects.get(&step.project)?;
        let halt = known.automations.get(&step.template)?.halt.as_ref();
        let ran = halt.filter(|halt| halt.before == AutomationStatus::Active);
        let now = self.clock.now();
        match &step.action {
            Action::Create | Action::Register { .. } => {
                automation.and_then(|automation| outcome::provisioned(automation, now))
            }
            Action::Adopt { .. } | Action::Note { .. } => None,
            Action::Stop { automation } => {
                let Halt { at_ms, .. } = ran?;
                outcome::switched(&known.organization, step, automation, false, *at_ms, now)
            }
            Action::Restart { automation } => {
                // The operator may have had it go on before.
                let paused = Some(AutomationStatus::Paused);
                let Halt { at_ms, .. } = ran.filter(|halt| halt.back == paused)?;
                outcome::switched(&known.organization, step, automation, true, *at_ms, now)
            }
        }
    }
}

//! Automations that Braintrust runs: created there, and registered with its data plane.
//!
//! Creating and registering are two requests, and a registration sets the cursor anew: made a
//! second time, it would have everything exported again. So
//!
//! - a call writes down that it is at work on an automation, and no other takes that up
//!   meanwhile;
//! - the automation's id in Braintrust, and that its registration goes out, are written down
//!   before it does;
//! - from then on, and of any automation that was found, the data plane's cursors are asked
//!   first, and a registration is made only where they tell of none.
//!
//! The API's requests are few, so one project comes after the other, and those that failed
//! before come last.

use sealift_core::Timestamp;
use sealift_core::export::automation::Automation;
use sealift_core::id::{AutomationId, XactId};
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::ledger::{Ledger, Registration};
use sealift_core::provision::plan::Step;
use sealift_core::provision::remote::Remote;

use crate::apply::{Applied, Done, Failures, Job, Registrations, Statuses, key, template_of};
use crate::pass::Pass;
use crate::{Fanout, FanoutError, Situation, outcome};

mod find;
mod register;

/// Projects between two writes of the ledger.
const PROJECTS_AT_ONCE: usize = 20;

/// An automation in Braintrust that is being registered.
struct Work<'a> {
    step: &'a Step,
    /// Its id there.
    remote: AutomationId,
    /// Whether it was there already.
    foreign: bool,
    verdict: Verdict,
}

enum Verdict {
    /// It is to be registered; where that is not done, it stands as it did before.
    Register { otherwise: Option<Registration> },
    /// It is registered.
    Settled(Registration),
    /// It cannot be told whether it is.
    Stuck(Option<Registration>),
}

/// What some steps have come to so far.
#[derive(Default)]
struct Batch<'a> {
    works: Vec<Work<'a>>,
    done: Vec<Done<'a>>,
    failed: Failures,
    registrations: Registrations,
    left: usize,
}

impl<S, P, B, C, E, R> Fanout<S, P, B, C, E, R>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
    R: Remote,
{
    pub(crate) async fn manage_all(
        &self,
        remote: &R,
        situation: &Situation,
        start: XactId,
        deadline: Timestamp,
        progress: &impl Fn(usize),
        applied: &mut Applied,
    ) -> Result<(), FanoutError> {
        let by = self.registry.entropy.nonce();
        let cap = situation.settings.requests;
        let mut pass = Pass::new(by, remote.requests(), cap, deadline);
        let units = self.units(situation);
        // Where nothing tells whether a registration was made, a crash is to leave one in doubt,
        // and not all of a batch.
        let at_once = if remote.has_cursors() {
            PROJECTS_AT_ONCE
        } else {
            1
        };
        let mut behind = 0;
        for some in units.chunks(at_once) {
            if pass.allow(remote.requests(), 1, self.clock.now()).is_err() {
                break;
            }
            let steps: Vec<&Step> = some.iter().flatten().copied().collect();
            let job = Job {
                situation,
                steps: &steps,
                start,
            };
            Box::pin(self.manage_batch(remote, &mut pass, &job, some, applied)).await?;
            behind += steps.len();
            progress(behind);
        }
        applied.left += situation.plan.steps.len() - behind;
        if applied.left > 0 {
            let elsewhere = || "another call is at work on them".to_owned();
            applied.why_left = Some(pass.why().unwrap_or_else(elsewhere));
        }
        Ok(())
    }

    /// The steps of each project together. Those of projects for which something failed before
    /// come last, and begin with another one each time, so that none keeps others waiting.
    fn units<'a>(&self, situation: &'a Situation) -> Vec<Vec<&'a Step>> {
        let mut units: Vec<Vec<&Step>> = Vec::new();
        for step in &situation.plan.steps {
            match units.last_mut() {
                Some(unit) if unit.first().is_some_and(|one| one.project == step.project) => {
                    unit.push(step);
                }
                _ => units.push(vec![step]),
            }
        }
        let fails = |step: &&Step| {
            let known = situation.ledger.projects.get(&step.project);
            known.is_some_and(|known| known.failures.contains_key(&step.template))
        };
        let (mut failing, mut units): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| unit.iter().any(fails));
        if let Some(count) = u128::try_from(failing.len())
            .ok()
            .filter(|count| *count > 0)
        {
            let first = self.registry.entropy.bits() % count;
            failing.rotate_left(usize::try_from(first).unwrap_or(0));
        }
        units.extend(failing);
        units
    }

    async fn manage_batch(
        &self,
        remote: &R,
        pass: &mut Pass,
        job: &Job<'_>,
        units: &[Vec<&Step>],
        applied: &mut Applied,
    ) -> Result<(), FanoutError> {
        let mut batch = Batch::default();
        let claim = pass.claim(self.clock.now());
        let ledger = self
            .write_down(job, &Statuses::new(), Some(&claim), &mut batch.failed)
            .await?;
        for unit in units {
            self.find_all(remote, pass, job.situation, &ledger, unit, &mut batch)
                .await;
        }
        self.write_ids(pass, &mut batch).await?;
        self.register_all(remote, pass, &ledger, &mut batch).await;
        let Batch {
            works,
            mut done,
            failed,
            registrations,
            left,
        } = batch;
        for work in &works {
            let registration = registrations.get(&key(work.step)).copied().flatten();
            if let Some(registration @ (Registration::Made | Registration::Found)) = registration {
                let reset = registration == Registration::Made && remote.has_cursors();
                let told = self.told(job.situation, &ledger, work, reset);
                done.push(Done {
                    step: work.step,
                    adopted: work.foreign,
                    told,
                });
            }
        }
        let told = self
            .tell(&ledger, job.steps, &failed, &mut done, applied)
            .await;
        self.close(&done, &told, &registrations, Some(&pass.by))
            .await?;
        applied.count(job.steps, &done, &failed);
        applied.left += left;
        Ok(())
    }

    /// What the bus is told of an automation that is registered.
    fn told(
        &self,
        situation: &Situation,
        ledger: &Ledger,
        work: &Work<'_>,
        reset: bool,
    ) -> Vec<BusEntry> {
        let Work { step, remote, .. } = work;
        let known = ledger.projects.get(&step.project);
        let entry = known.and_then(|known| known.automations.get(&step.template));
        let (Some(known), Some(entry), Some(template)) =
            (known, entry, template_of(situation, step))
        else {
            return Vec::new();
        };
        let now = self.clock.now();
        let mut told = Vec::new();
        if let Some(suffix) = entry.external_id.as_ref().filter(|_| !work.foreign) {
            let automation = Automation {
                id: remote.clone(),
                organization: known.organization.clone(),
                project_id: step.project.clone(),
                name: template.name.clone(),
                description: template.description.clone(),
                created_ms: now.as_millisecond(),
                config: template.fill(&known.slug, suffix),
                bucket_owner: None,
            };
            told.extend(outcome::provisioned(&automation, now));
        }
        if reset {
            let organization = &known.organization;
            told.extend(outcome::cursor_set(
                organization,
                step,
                remote,
                entry.start,
                now,
            ));
        }
        told
    }
}

impl<'a> Done<'a> {
    /// Done, and there is nothing to tell.
    fn of(step: &'a Step) -> Self {
        Self {
            step,
            adopted: false,
            told: Vec::new(),
        }
    }
}

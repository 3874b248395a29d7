//! Applying a plan: names are written down, automations registered, the bus told, and then
//! the ledger says that it is done.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::export::automation::Automation;
use sealift_core::export::registry::{Prepared, RegistryError};
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::ledger::{Ledger, Provisioned};
use sealift_core::provision::plan::{Action, Step};
use sealift_core::provision::template::Template;

use crate::{AT_ONCE, Fanout, FanoutError, Situation, outcome};

/// Steps between two writes of the ledger.
const STEPS_AT_ONCE: usize = 1000;

/// Nothing new is begun in these seconds before the deadline: what a batch takes.
const RESERVE_SECONDS: i64 = 20;

/// What came of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Automations that were created, or whose registration was completed.
    pub created: usize,
    /// Automations that were there already.
    pub adopted: usize,
    /// Automations that were paused because their projects are gone.
    pub stopped: usize,
    /// Automations that go on because their projects are back.
    pub restarted: usize,
    /// Steps that there was no time for; the next sweep goes on with them.
    pub left: usize,
    /// Outcomes that the bus did not take; their steps are done again.
    pub untold: usize,
    /// What failed.
    pub failed: Vec<Failed>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The project.
    pub project: ProjectId,
    /// What it is called.
    pub name: String,
    /// The template.
    pub template: String,
    /// What was said.
    pub message: String,
}

/// A step that was done, and what the bus is told of it.
struct Done<'a> {
    step: &'a Step,
    told: Option<BusEntry>,
}

impl<S, P, B, C, E> Fanout<S, P, B, C, E>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Applies a plan, as far as there is time. `progress` is told the number of steps that are
    /// behind, now and then.
    pub async fn apply(
        &self,
        situation: &Situation,
        deadline: Timestamp,
        progress: impl Fn(usize),
    ) -> Result<Applied, FanoutError> {
        let mut applied = Applied::default();
        let steps = &situation.plan.steps;
        if steps.is_empty() {
            return Ok(applied);
        }
        // One start for all older projects of a plan; what was drawn before keeps its own.
        let start = situation.settings.start.position(self.clock.now())?;
        let mut behind = 0;
        for some in steps.chunks(STEPS_AT_ONCE) {
            if self.clock.now().as_second() + RESERVE_SECONDS > deadline.as_second() {
                applied.left = steps.len() - behind;
                break;
            }
            Box::pin(self.batch(situation, some, start, &mut applied)).await?;
            behind += some.len();
            progress(behind);
        }
        Ok(applied)
    }

    async fn batch(
        &self,
        situation: &Situation,
        steps: &[Step],
        start: XactId,
        applied: &mut Applied,
    ) -> Result<(), FanoutError> {
        let mut failed = BTreeMap::new();
        let ledger = self
            .write_down(situation, steps, start, &mut failed)
            .await?;
        let mut done = self.do_all(situation, &ledger, steps, &mut failed).await?;
        let told = self.tell(&ledger, steps, &failed, &mut done, applied).await;
        self.close(&done, &told).await?;
        for Done { step, .. } in &done {
            let count = match step.action {
                Action::Create | Action::Register { .. } => &mut applied.created,
                Action::Adopt { .. } => &mut applied.adopted,
                Action::Stop { .. } => &mut applied.stopped,
                Action::Restart { .. } => &mut applied.restarted,
            };
            *count += 1;
        }
        let of = |step: &Step| {
            let message = failed.get(&key(step))?.clone();
            Some(Failed {
                project: step.project.clone(),
                name: step.name.clone(),
                template: step.template.clone(),
                message,
            })
        };
        applied.failed.extend(steps.iter().filter_map(of));
        Ok(())
    }

    /// Draws the names of what is to be created, and writes them down.
    async fn write_down(
        &self,
        situation: &Situation,
        steps: &[Step],
        start: XactId,
        failed: &mut Failures,
    ) -> Result<Ledger, FanoutError> {
        let now_ms = self.clock.now().as_millisecond();
        let projects: BTreeMap<_, _> = situation.projects.iter().map(|p| (&p.id, p)).collect();
        let saved = Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                failed.clear();
                let mut ledger = there.cloned().unwrap_or_default();
                let before = ledger.since_ms;
                let mut taken = ledger.slugs();
                for step in steps {
                    let Some(project) = projects.get(&step.project) else {
                        continue;
                    };
                    let start = situation.ledger.start_of(project, start, now_ms);
                    let known = ledger.project(project, &mut taken);
                    match &step.action {
                        Action::Create => {
                            let Some(template) = template_of(situation, step) else {
                                continue;
                            };
                            let drawn = known.draw(template, start, &self.registry.entropy);
                            if let Err(error) = drawn {
                                failed.insert(key(step), error.to_string());
                            }
                        }
                        Action::Adopt { automation } => {
                            let there = Provisioned {
                                id: automation.clone(),
                                external_id: None,
                                start: XactId::ZERO,
                                done: true,
                                stopped: false,
                            };
                            let automations = &mut known.automations;
                            automations.entry(step.template.clone()).or_insert(there);
                        }
                        _ => {}
                    }
                }
                let changed = Some(&ledger) != there;
                ledger.since_ms = before.or(Some(now_ms));
                changed.then_some(ledger)
            })
            .await?;
        Ok(saved.map(|saved| saved.body).unwrap_or_default())
    }

    async fn do_all<'a>(
        &self,
        situation: &Situation,
        ledger: &Ledger,
        steps: &'a [Step],
        failed: &mut Failures,
    ) -> Result<Vec<Done<'a>>, FanoutError> {
        // Gathered by a loop: of a closure that takes references, the compiler cannot tell that its
        // future may move between threads.
        let mut todo = Vec::new();
        for step in steps {
            if !failed.contains_key(&key(step)) {
                todo.push(async move { (step, self.one(situation, ledger, step).await) });
            }
        }
        let outcomes: Vec<_> = stream::iter(todo).buffered(AT_ONCE).collect().await;
        let (mut done, mut prepared) = (Vec::new(), Vec::new());
        for (step, outcome) in outcomes {
            match outcome {
                Ok((new, automation)) => {
                    prepared.extend(new);
                    let told = self.outcome(ledger, step, automation.as_ref());
                    done.push(Done { step, told });
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
        match &step.action {
            Action::Adopt { .. } => Ok((None, None)),
            Action::Stop { automation } => self.set(automation, false, now_ms).await,
            Action::Restart { automation } => self.set(automation, true, now_ms).await,
            Action::Create | Action::Register { .. } => {
                let known = ledger.projects.get(&step.project);
                let drawn = known.and_then(|known| known.automations.get(&step.template));
                let (Some(known), Some(drawn), Some(template)) =
                    (known, drawn, template_of(situation, step))
                else {
                    return Ok((None, None));
                };
                // Somebody else was quicker, and it is there.
                let Some(suffix) = drawn.external_id.as_ref().filter(|_| !drawn.done) else {
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

    async fn set(
        &self,
        id: &AutomationId,
        active: bool,
        now_ms: i64,
    ) -> Result<(Option<Prepared>, Option<Automation>), RegistryError> {
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
        let now = self.clock.now();
        match &step.action {
            Action::Create | Action::Register { .. } => {
                automation.and_then(|automation| outcome::provisioned(automation, now))
            }
            Action::Adopt { .. } => None,
            Action::Stop { automation } => {
                outcome::switched(&known.organization, step, automation, false, now)
            }
            Action::Restart { automation } => {
                outcome::switched(&known.organization, step, automation, true, now)
            }
        }
    }

    /// Tells the bus. What it does not take is not done, and comes again. The answer is the
    /// failures that were told, now or by an earlier sweep.
    async fn tell(
        &self,
        ledger: &Ledger,
        steps: &[Step],
        failed: &Failures,
        done: &mut Vec<Done<'_>>,
        applied: &mut Applied,
    ) -> Failures {
        let mut entries: Vec<BusEntry> = done.iter().filter_map(|one| one.told.clone()).collect();
        let now = self.clock.now();
        let (mut told, mut anew) = (failed.clone(), Vec::new());
        for step in steps {
            let (Some(message), Some(known)) =
                (failed.get(&key(step)), ledger.projects.get(&step.project))
            else {
                continue;
            };
            // A failure is told once, not with every sweep.
            if known.failures.get(&step.template) == Some(message) {
                continue;
            }
            let nonce = self.registry.entropy.nonce();
            if let Some(entry) = outcome::failed(&known.organization, step, message, &nonce, now) {
                entries.push(entry);
                anew.push(key(step));
            }
        }
        if entries.is_empty() {
            return told;
        }
        let mut outcomes = self.bus.put(&entries).await.into_iter();
        let mut taken = || matches!(outcomes.next(), Some(Ok(())));
        done.retain(|one| {
            let taken = one.told.is_none() || taken();
            applied.untold += usize::from(!taken);
            taken
        });
        for key in anew {
            if !taken() {
                told.remove(&key);
            }
        }
        told
    }

    /// Writes down what is done, and which failures were told.
    async fn close(&self, done: &[Done<'_>], failed: &Failures) -> Result<(), FanoutError> {
        Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut ledger = there?.clone();
                for Done { step, .. } in done {
                    let Some(known) = ledger.projects.get_mut(&step.project) else {
                        continue;
                    };
                    known.failures.remove(&step.template);
                    let Some(provisioned) = known.automations.get_mut(&step.template) else {
                        continue;
                    };
                    match step.action {
                        Action::Stop { .. } => provisioned.stopped = true,
                        Action::Restart { .. } => provisioned.stopped = false,
                        Action::Create | Action::Register { .. } | Action::Adopt { .. } => {
                            provisioned.done = true;
                        }
                    }
                }
                for ((project, template), message) in failed {
                    if let Some(known) = ledger.projects.get_mut(project) {
                        known.failures.insert(template.clone(), message.clone());
                    }
                }
                (Some(&ledger) != there).then_some(ledger)
            })
            .await?;
        Ok(())
    }
}

/// What failed, by project and template.
type Failures = BTreeMap<(ProjectId, String), String>;

fn key(step: &Step) -> (ProjectId, String) {
    (step.project.clone(), step.template.clone())
}

fn template_of<'a>(situation: &'a Situation, step: &Step) -> Option<&'a Template> {
    let mut templates = situation.settings.templates.iter();
    templates.find(|template| template.name == step.template)
}

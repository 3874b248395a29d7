//! Applying a plan: names are written down, automations registered, the bus told, and then
//! the ledger says that it is done.
//!
//! What the two modes have in common stands here; [`self_run`](crate::self_run) and
//! [`managed`](crate::managed) have the step in the middle.

use std::collections::BTreeMap;

use sealift_core::Timestamp;
use sealift_core::export::automation::AutomationStatus;
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::ledger::{Claim, Halt, Known, Ledger, Provisioned, Registration};
use sealift_core::provision::mode::Mode;
use sealift_core::provision::plan::{Action, Step};
use sealift_core::provision::remote::Remote;
use sealift_core::provision::template::Template;

use crate::{Fanout, FanoutError, Situation, outcome};

/// Nothing new is begun in these seconds before the deadline: what a batch takes.
pub(crate) const RESERVE_SECONDS: i64 = 20;

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
    /// Automations in Braintrust whose projects were told to be gone, or back.
    pub noted: usize,
    /// Steps that were not come to; the next sweep goes on with them.
    pub left: usize,
    /// Why they are left.
    pub why_left: Option<String>,
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

/// Project and template.
pub(crate) type Key = (ProjectId, String);

/// What failed.
pub(crate) type Failures = BTreeMap<Key, String>;

/// How far the registrations with Braintrust have come in the end.
pub(crate) type Registrations = BTreeMap<Key, Option<Registration>>;

/// What the automations are, of those that are to be stopped or restarted.
pub(crate) type Statuses = BTreeMap<Key, AutomationStatus>;

/// A step that was done, and what the bus is told of it.
pub(crate) struct Done<'a> {
    pub(crate) step: &'a Step,
    /// Whether what it is about was there already.
    pub(crate) adopted: bool,
    pub(crate) told: Vec<BusEntry>,
}

/// What some steps of a plan are done with.
pub(crate) struct Job<'a> {
    pub(crate) situation: &'a Situation,
    pub(crate) steps: &'a [&'a Step],
    /// One start for all older projects of a plan; what was drawn before keeps its own.
    pub(crate) start: XactId,
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
    /// Applies a plan, as far as there is time, and in managed mode as far as the settings
    /// allow requests. `progress` is told the number of steps that are behind, now and then.
    pub async fn apply(
        &self,
        situation: &Situation,
        deadline: Timestamp,
        progress: impl Fn(usize),
    ) -> Result<Applied, FanoutError> {
        let mut applied = Applied::default();
        self.remember_asked(situation).await?;
        if situation.plan.steps.is_empty() {
            return Ok(applied);
        }
        let start = situation.settings.start.position(self.clock.now())?;
        match (situation.settings.mode, &self.remote) {
            (Mode::SelfRun, _) => {
                let run = self.run_all(situation, start, deadline, &progress, &mut applied);
                Box::pin(run).await?;
            }
            (Mode::Managed, Some(remote)) => {
                let run =
                    self.manage_all(remote, situation, start, deadline, &progress, &mut applied);
                Box::pin(run).await?;
            }
            (Mode::Managed, None) => return Err(FanoutError::NoRemote),
        }
        Ok(applied)
    }

    /// The next sweep asks about other missing projects than this one did.
    async fn remember_asked(&self, situation: &Situation) -> Result<(), FanoutError> {
        let Some(asked) = &situation.asked else {
            return Ok(());
        };
        Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut ledger = there?.clone();
                ledger.asked = Some(asked.clone());
                (Some(&ledger) != there).then_some(ledger)
            })
            .await?;
        Ok(())
    }

    /// Draws the names of what is to be created, and writes them down; so it does with who is
    /// at work on what, and what automations were before they are stopped or restarted.
    pub(crate) async fn write_down(
        &self,
        job: &Job<'_>,
        statuses: &Statuses,
        claim: Option<&Claim>,
        failed: &mut Failures,
    ) -> Result<Ledger, FanoutError> {
        let now_ms = self.clock.now().as_millisecond();
        let situation = job.situation;
        let projects: BTreeMap<_, _> = situation.projects.iter().map(|p| (&p.id, p)).collect();
        let saved = Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                failed.clear();
                let mut ledger = there.cloned().unwrap_or_default();
                let before = ledger.since_ms;
                let mut taken = ledger.slugs();
                for step in job.steps {
                    let known = match projects.get(&step.project) {
                        Some(project) => ledger.project(project, &mut taken),
                        None => match ledger.projects.get_mut(&step.project) {
                            Some(known) => known,
                            None => continue,
                        },
                    };
                    let start = |project| situation.ledger.start_of(project, job.start, now_ms);
                    let start = projects.get(&step.project).map(|project| start(project));
                    let drawn = self.draw(situation, step, start, known);
                    if let Err(message) = drawn {
                        failed.insert(key(step), message);
                    }
                    let Some(entry) = known.automations.get_mut(&step.template) else {
                        continue;
                    };
                    note_status(entry, &step.action, statuses.get(&key(step)), now_ms);
                    let registers = matches!(step.action, Action::Create | Action::Register { .. });
                    if let Some(claim) = claim.filter(|_| registers && !entry.done) {
                        entry.take_up(claim, now_ms);
                    }
                }
                let changed = Some(&ledger) != there;
                ledger.since_ms = before.or(Some(now_ms));
                changed.then_some(ledger)
            })
            .await?;
        Ok(saved.map(|saved| saved.body).unwrap_or_default())
    }

    /// The entry of what is new.
    fn draw(
        &self,
        situation: &Situation,
        step: &Step,
        start: Option<XactId>,
        known: &mut Known,
    ) -> Result<(), String> {
        match &step.action {
            Action::Create => {
                let Some((template, start)) = template_of(situation, step).zip(start) else {
                    return Ok(());
                };
                let mode = situation.settings.mode;
                let drawn = known.draw(template, start, mode, &self.registry.entropy);
                drawn.map(|_| ()).map_err(|error| error.to_string())
            }
            Action::Adopt { automation } => {
                // What is found before anything is created is of this stack.
                let there = Provisioned {
                    done: true,
                    ..Provisioned::new(automation.clone(), XactId::ZERO, Mode::SelfRun)
                };
                let automations = &mut known.automations;
                automations.entry(step.template.clone()).or_insert(there);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells the bus. What it does not take is not done, and comes again. The answer is the
    /// failures that were told, now or by an earlier sweep.
    pub(crate) async fn tell(
        &self,
        ledger: &Ledger,
        steps: &[&Step],
        failed: &Failures,
        done: &mut Vec<Done<'_>>,
        applied: &mut Applied,
    ) -> Failures {
        let entries = done.iter().flat_map(|one| one.told.iter().cloned());
        let mut entries: Vec<BusEntry> = entries.collect();
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
            // Each of them has its outcome, whatever came of those before.
            let refused = one.told.iter().filter(|_| !taken()).count();
            applied.untold += usize::from(refused > 0);
            refused == 0
        });
        for key in anew {
            if !taken() {
                told.remove(&key);
            }
        }
        told
    }

    /// Writes down what is done, and which failures were told.
    pub(crate) async fn close(
        &self,
        done: &[Done<'_>],
        failed: &Failures,
        registrations: &Registrations,
        by: Option<&str>,
    ) -> Result<(), FanoutError> {
        Ledger::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut ledger = there?.clone();
                for ((project, template), registration) in registrations {
                    let known = ledger.projects.get_mut(project);
                    let entry = known.and_then(|known| known.automations.get_mut(template));
                    if let (Some(entry), Some(by)) = (entry, by)
                        && entry.is_taken_by(by)
                    {
                        entry.registration = *registration;
                        entry.claim = None;
                    }
                }
                for Done { step, .. } in done {
                    let Some(known) = ledger.projects.get_mut(&step.project) else {
                        continue;
                    };
                    known.failures.remove(&step.template);
                    if let Some(entry) = known.automations.get_mut(&step.template) {
                        finish(entry, &step.action);
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

impl Applied {
    /// Counts what some steps came to.
    pub(crate) fn count(&mut self, steps: &[&Step], done: &[Done<'_>], failed: &Failures) {
        for Done { step, adopted, .. } in done {
            let count = match step.action {
                Action::Create | Action::Register { .. } if *adopted => &mut self.adopted,
                Action::Create | Action::Register { .. } => &mut self.created,
                Action::Adopt { .. } => &mut self.adopted,
                Action::Stop { .. } => &mut self.stopped,
                Action::Restart { .. } => &mut self.restarted,
                Action::Note { .. } => &mut self.noted,
            };
            *count += 1;
        }
        let of = |step: &&Step| {
            let message = failed.get(&key(step))?.clone();
            Some(Failed {
                project: step.project.clone(),
                name: step.name.clone(),
                template: step.template.clone(),
                message,
            })
        };
        self.failed.extend(steps.iter().filter_map(of));
    }
}

/// What an automation is before it is changed is written down once: a second try finds it
/// changed already.
fn note_status(
    entry: &mut Provisioned,
    action: &Action,
    status: Option<&AutomationStatus>,
    now_ms: i64,
) {
    let Some(status) = status.copied() else {
        return;
    };
    match action {
        Action::Stop { .. } => {
            entry.halt.get_or_insert(Halt {
                at_ms: now_ms,
                before: status,
                back: None,
            });
        }
        Action::Restart { .. } => {
            // Ledgers of an earlier version do not say what it was: then it was paused by us.
            let halt = entry.halt.get_or_insert(Halt {
                at_ms: now_ms,
                before: AutomationStatus::Active,
                back: None,
            });
            halt.back.get_or_insert(status);
        }
        _ => {}
    }
}

fn finish(entry: &mut Provisioned, action: &Action) {
    match action {
        Action::Stop { .. } | Action::Note { gone: true, .. } => entry.stopped = true,
        Action::Restart { .. } | Action::Note { gone: false, .. } => {
            entry.stopped = false;
            entry.halt = None;
        }
        Action::Create | Action::Register { .. } | Action::Adopt { .. } => entry.done = true,
    }
}

pub(crate) fn key(step: &Step) -> Key {
    (step.project.clone(), step.template.clone())
}

pub(crate) fn template_of<'a>(situation: &'a Situation, step: &Step) -> Option<&'a Template> {
    let mut templates = situation.settings.templates.iter();
    templates.find(|template| template.name == step.template)
}

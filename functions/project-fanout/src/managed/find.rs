//! Finding or creating the automations in Braintrust, and judging whether they are to be
//! registered.

use std::collections::BTreeSet;

use sealift_core::id::AutomationId;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::ledger::{Known, Ledger, Provisioned, Registration};
use sealift_core::provision::mode::Mode;
use sealift_core::provision::plan::{Action, Step, same};
use sealift_core::provision::remote::{Made, Remote};
use sealift_core::provision::template::Template;
use sealift_core::provision::{Projects, Seen, drift};

use super::{Batch, Verdict, Work};
use crate::apply::{Done, key, template_of};
use crate::pass::{Pass, Trouble};
use crate::{Fanout, Situation};

/// What a step is about.
struct Case<'a> {
    situation: &'a Situation,
    step: &'a Step,
    known: &'a Known,
    entry: &'a Provisioned,
    template: &'a Template,
}

/// What is known of a project's automations in Braintrust.
struct There {
    /// All of them, once they were asked for.
    listed: Option<Vec<Seen>>,
    /// Those that templates have.
    taken: BTreeSet<AutomationId>,
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
    /// Finds or creates what the steps of one project are about, one after the other: what one
    /// of them takes, the next one must not.
    pub(super) async fn find_all<'a>(
        &self,
        remote: &R,
        pass: &mut Pass,
        situation: &Situation,
        ledger: &Ledger,
        unit: &[&'a Step],
        batch: &mut Batch<'a>,
    ) {
        let mut there: Option<There> = None;
        for step in unit {
            match &step.action {
                Action::Create | Action::Register { .. } => {}
                Action::Note { automation, gone } => {
                    note(step, automation, *gone);
                    batch.done.push(Done::of(step));
                    continue;
                }
                Action::Adopt { .. } => {
                    batch.done.push(Done::of(step));
                    continue;
                }
                // They are the other mode's.
                Action::Stop { .. } | Action::Restart { .. } => continue,
            }
            let known = ledger.projects.get(&step.project);
            let entry = known.and_then(|known| known.automations.get(&step.template));
            let (Some(known), Some(entry), Some(template)) =
                (known, entry, template_of(situation, step))
            else {
                continue;
            };
            // Somebody else was quicker.
            if entry.done || entry.mode != Mode::Managed {
                continue;
            }
            if !entry.is_taken_by(&pass.by) {
                batch.left += 1;
                continue;
            }
            // Until there is more to say, it is as it was, and nobody's any more.
            batch.registrations.insert(key(step), entry.registration);
            let case = Case {
                situation,
                step,
                known,
                entry,
                template,
            };
            let there = there.get_or_insert_with(|| There {
                listed: None,
                taken: ids_of(known),
            });
            let found = match self.find(remote, pass, &case, there).await {
                Ok((id, foreign, existed)) => {
                    let verdict = self.judge(remote, pass, &case, &id, foreign, existed).await;
                    Ok((id, foreign, verdict))
                }
                Err(trouble) => Err(trouble),
            };
            let trouble = match found {
                Ok((id, foreign, verdict)) => {
                    let (verdict, trouble) = match verdict {
                        Ok(verdict) => {
                            if matches!(verdict, Verdict::Register { .. }) {
                                pass.keep();
                            }
                            (verdict, None)
                        }
                        Err(trouble) => (Verdict::Stuck(entry.registration), Some(trouble)),
                    };
                    batch.works.push(Work {
                        step,
                        remote: id,
                        foreign,
                        verdict,
                    });
                    trouble
                }
                Err(trouble) => Some(trouble),
            };
            match trouble {
                None => {}
                Some(Trouble::Left) => batch.left += 1,
                Some(Trouble::Failed(message)) => {
                    batch.failed.insert(key(step), message);
                }
            }
        }
    }

    /// The automation: its id, whether it is another's, and whether it was there before this
    /// call.
    async fn find(
        &self,
        remote: &R,
        pass: &mut Pass,
        case: &Case<'_>,
        there: &mut There,
    ) -> Result<(AutomationId, bool, bool), Trouble> {
        let Case { step, template, .. } = case;
        if let Some(id) = &case.entry.remote {
            let foreign = case.entry.external_id.is_none();
            return Ok((id.clone(), foreign, foreign));
        }
        let Some(suffix) = &case.entry.external_id else {
            let said = "the ledger has neither its external_id nor its id in Braintrust";
            return Err(Trouble::Failed(said.to_owned()));
        };
        if there.listed.is_none() {
            // What there is, and an empty page behind it.
            pass.allow(remote.requests(), 2, self.clock.now())?;
            let listed = remote.automations(&step.project).await;
            there.listed = Some(listed.map_err(|error| pass.trouble(&error))?);
        }
        let listed = there.listed.as_deref().unwrap_or_default();
        let taken: BTreeSet<&AutomationId> = there.taken.iter().collect();
        let templates = &case.situation.settings.templates;
        let made = if let Some(found) = same(template, templates, listed, &taken) {
            Made {
                automation: found.clone(),
                existed: true,
            }
        } else {
            // What is created is to be registered as well.
            pass.allow(remote.requests(), 2, self.clock.now())?;
            let request = template.request(&step.project, &case.known.slug, suffix);
            let made = remote.create(&request).await;
            made.map_err(|error| pass.trouble(&error))?
        };
        pass.went_well();
        let Made {
            automation,
            existed,
        } = made;
        if !automation.is_export() {
            return Err(Trouble::Failed(format!(
                "the project has an automation {:?} in Braintrust that exports nothing; rename it there, or give \
                 the template another name",
                automation.name
            )));
        }
        // Who was answered before the crash finds its own again.
        let foreign = automation.suffix() != Some(suffix.as_str());
        if foreign {
            warn_of_drift(case, &automation);
        }
        there.taken.insert(automation.id.clone());
        Ok((automation.id, foreign, existed || foreign))
    }

    /// Whether it is to be registered.
    async fn judge(
        &self,
        remote: &R,
        pass: &mut Pass,
        case: &Case<'_>,
        id: &AutomationId,
        foreign: bool,
        existed: bool,
    ) -> Result<Verdict, Trouble> {
        const UNCLEAR: &str = "whether it is registered with the data plane is not known, so it is not registered \
                               again: look at its status in Braintrust, and if it has none, run `sealift projects \
                               apply --register-again`";
        let before = case.entry.registration;
        let again = match self.again {
            true => Ok(Verdict::Register { otherwise: before }),
            false => Err(Trouble::Failed(format!("automation {id}: {UNCLEAR}"))),
        };
        match before {
            Some(made @ (Registration::Made | Registration::Found)) => {
                return Ok(Verdict::Settled(made));
            }
            None if !existed => return Ok(Verdict::Register { otherwise: None }),
            Some(Registration::Sent) if !remote.has_cursors() => return again,
            // Whoever created it has registered it; ours is known not to be.
            None if !remote.has_cursors() => {
                return Ok(match foreign {
                    true => Verdict::Settled(Registration::Found),
                    false => Verdict::Register { otherwise: None },
                });
            }
            Some(Registration::Sent) | None => {}
        }
        // Two kinds of cursors, and a registration.
        pass.allow(remote.requests(), 3, self.clock.now())?;
        let standing = remote.standing(id, &case.step.project).await;
        let standing = standing.map_err(|error| pass.trouble(&error))?;
        pass.went_well();
        match (standing.registered(), before) {
            (Some(true), Some(_)) => Ok(Verdict::Settled(Registration::Made)),
            (Some(true), None) => Ok(Verdict::Settled(Registration::Found)),
            (Some(false), _) => Ok(Verdict::Register { otherwise: None }),
            (None, _) => again,
        }
    }
}

/// The ids in Braintrust that the ledger has of a project.
fn ids_of(known: &Known) -> BTreeSet<AutomationId> {
    let entries = known.automations.values();
    entries.filter_map(|entry| entry.remote.clone()).collect()
}

fn note(step: &Step, automation: &AutomationId, gone: bool) {
    let project = &step.project;
    if gone {
        tracing::warn!(
            %project,
            %automation,
            "project {project} is gone; its automation {automation} in Braintrust is left as it is"
        );
    } else {
        tracing::info!(%project, %automation, "project {project} is back");
    }
}

fn warn_of_drift(case: &Case<'_>, automation: &Seen) {
    let found = drift::compare(case.template, &case.known.slug, automation);
    if found.is_empty() {
        return;
    }
    let fields: Vec<&str> = found.iter().map(|one| one.field.as_str()).collect();
    tracing::warn!(
        project = %case.step.project,
        automation = %automation.id,
        fields = fields.join(", "),
        "automation {} of project {} is there already, and differs from template {:?}; it is left as it is",
        automation.id, case.step.project, case.template.name
    );
}

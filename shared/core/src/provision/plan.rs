//! The plan: what is to be done so that every project has what the templates describe.
//!
//! It is made of what was read and of nothing else, so that printing it and applying it are
//! the same plan. An automation that is there already, by its name or because it exports the
//! same into the same bucket, is taken as it is; where it differs from its template, that is
//! [drift](super::drift).
//!
//! What one mode has provisioned, the other leaves alone, so that nothing is exported twice.
//! In *managed* mode the plan is made without a look at the automations in Braintrust, which
//! would be a request for every project: whoever creates one looks there first.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::ledger::{Known, Ledger, Provisioned};
use super::mode::Mode;
use super::settings::Settings;
use super::template::Template;
use super::{Project, Seen, bucket_of};
use crate::id::{AutomationId, ProjectId};

/// What is to be done for one project and template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The project.
    pub project: ProjectId,
    /// What it is called; empty where it is gone.
    pub name: String,
    /// The template's name.
    pub template: String,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing is there: an automation is created.
    Create,
    /// Its names are drawn, and it is not known to be registered: that is completed.
    Register {
        /// The automation.
        automation: AutomationId,
    },
    /// An automation that does the same is there: it is taken as it is.
    Adopt {
        /// The automation.
        automation: AutomationId,
    },
    /// The project is gone: its automation is paused.
    Stop {
        /// The automation.
        automation: AutomationId,
    },
    /// The project is back: its automation goes on.
    Restart {
        /// The automation.
        automation: AutomationId,
    },
    /// The project is gone, or back; its automation in Braintrust is told of, and not touched.
    Note {
        /// The automation.
        automation: AutomationId,
        /// Whether the project is gone.
        gone: bool,
    },
}

impl Action {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Register { .. } => "register",
            Self::Adopt { .. } => "adopt",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Note { .. } => "note",
        }
    }

    /// The automation, where there is one already.
    pub fn automation(&self) -> Option<&AutomationId> {
        match self {
            Self::Create => None,
            Self::Register { automation }
            | Self::Adopt { automation }
            | Self::Stop { automation }
            | Self::Restart { automation }
            | Self::Note { automation, .. } => Some(automation),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Project by project, in their order.
    pub steps: Vec<Step>,
    /// Projects that have everything.
    pub settled: usize,
    /// Projects that the settings exclude.
    pub excluded: usize,
    /// Automations of the other mode, which are left alone.
    pub others: Vec<Other>,
}

/// An automation that the other mode has provisioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// The project.
    pub project: ProjectId,
    /// The template's name.
    pub template: String,
    /// The automation.
    pub automation: AutomationId,
    /// Its mode.
    pub mode: Mode,
    /// Whether it is registered. One that is not stays so until the mode is set back.
    pub done: bool,
}

/// The automations that were found for projects.
pub type Found = BTreeMap<ProjectId, Vec<Seen>>;

/// Projects for which something is missing in the ledger: what they have already has to be
/// looked up before a plan can be made.
pub fn unknown(projects: &[Project], ledger: &Ledger, settings: &Settings) -> BTreeSet<ProjectId> {
    let lacks = |project: &&Project| {
        let known = ledger.projects.get(&project.id);
        let has = |template: &Template| {
            known.is_some_and(|known| known.automations.contains_key(&template.name))
        };
        !settings.excludes(project) && !settings.templates.iter().all(has)
    };
    let lacking = projects.iter().filter(lacks);
    lacking.map(|project| project.id.clone()).collect()
}

/// Projects of the ledger that are not among those there are, and have automations of the mode
/// that run. Whether they are gone is to be asked one by one: a list can be short for other
/// reasons.
pub fn missing(projects: &[Project], ledger: &Ledger, mode: Mode) -> Vec<ProjectId> {
    let there: HashSet<&ProjectId> = projects.iter().map(|project| &project.id).collect();
    let known = ledger.projects.iter();
    known
        .filter(|(id, known)| {
            let runs = |provisioned: &Provisioned| provisioned.mode == mode && provisioned.runs();
            !there.contains(id) && known.automations.values().any(runs)
        })
        .map(|(id, _)| id.clone())
        .collect()
}

/// Makes the plan. `gone` are the projects that certainly are.
pub fn plan(
    projects: &[Project],
    ledger: &Ledger,
    settings: &Settings,
    found: &Found,
    gone: &BTreeSet<ProjectId>,
) -> Plan {
    let mut plan = Plan::default();
    for project in projects {
        if settings.excludes(project) {
            plan.excluded += 1;
            continue;
        }
        let before = plan.steps.len();
        let found = found.get(&project.id).map(Vec::as_slice);
        steps_of(
            project,
            ledger.projects.get(&project.id),
            settings,
            found.unwrap_or_default(),
            &mut plan,
        );
        plan.settled += usize::from(plan.steps.len() == before);
    }
    for (project, known) in &ledger.projects {
        if gone.contains(project) {
            let stop = |automation| match settings.mode {
                Mode::SelfRun => Action::Stop { automation },
                Mode::Managed => Action::Note {
                    automation,
                    gone: true,
                },
            };
            let runs = |one: &Provisioned| one.mode == settings.mode && one.runs();
            let steps = of_all(project, "", known, runs, stop);
            plan.steps.extend(steps);
        }
    }
    plan
}

fn steps_of(
    project: &Project,
    known: Option<&Known>,
    settings: &Settings,
    found: &[Seen],
    plan: &mut Plan,
) {
    if let Some(known) = known {
        let restart = |automation| match settings.mode {
            Mode::SelfRun => Action::Restart { automation },
            Mode::Managed => Action::Note {
                automation,
                gone: false,
            },
        };
        // One whose stopping was cut off may be stopped or not.
        let stopped = |provisioned: &Provisioned| {
            let is = provisioned.stopped || provisioned.halt.is_some();
            is && provisioned.mode == settings.mode
        };
        let restarted = of_all(&project.id, &project.name, known, stopped, restart);
        plan.steps.extend(restarted);
        let automations = known.automations.iter();
        let others = automations.filter(|(_, one)| one.mode != settings.mode);
        plan.others.extend(others.map(|(template, one)| Other {
            project: project.id.clone(),
            template: template.clone(),
            automation: one.automation().clone(),
            mode: one.mode,
            done: one.done,
        }));
    }
    let mut taken: BTreeSet<&AutomationId> = known
        .into_iter()
        .flat_map(|known| known.automations.values())
        .map(Provisioned::automation)
        .collect();
    for template in &settings.templates {
        let action = match known.and_then(|known| known.automations.get(&template.name)) {
            Some(Provisioned { done: true, .. }) => continue,
            Some(other) if other.mode != settings.mode => continue,
            Some(drawn) => Action::Register {
                automation: drawn.automation().clone(),
            },
            None => match same(template, &settings.templates, found, &taken) {
                Some(there) => {
                    taken.insert(&there.id);
                    Action::Adopt {
                        automation: there.id.clone(),
                    }
                }
                None => Action::Create,
            },
        };
        plan.steps.push(Step {
            project: project.id.clone(),
            name: project.name.clone(),
            template: template.name.clone(),
            action,
        });
    }
}

fn of_all(
    project: &ProjectId,
    name: &str,
    known: &Known,
    which: impl Fn(&Provisioned) -> bool,
    action: impl Fn(AutomationId) -> Action,
) -> Vec<Step> {
    let automations = known.automations.iter();
    automations
        .filter(|(_, provisioned)| which(provisioned))
        .map(|(template, provisioned)| Step {
            project: project.clone(),
            name: name.to_owned(),
            template: template.clone(),
            action: action(provisioned.automation().clone()),
        })
        .collect()
}

/// An automation that counts as the template's: by its name, else because it exports the same
/// into the same bucket. `taken` are those that other templates have, as has one that bears
/// another template's name.
pub fn same<'a>(
    template: &Template,
    templates: &[Template],
    found: &'a [Seen],
    taken: &BTreeSet<&AutomationId>,
) -> Option<&'a Seen> {
    let definition = serde_json::to_value(&template.config.export_definition).unwrap_or_default();
    let bucket = bucket_of(&template.config.export_path);
    let alike = |seen: &&Seen| {
        seen.is_export()
            && seen.config.get("export_definition") == Some(&definition)
            && seen.bucket() == bucket
            && !templates.iter().any(|other| other.name == seen.name)
    };
    let free = || found.iter().filter(|found| !taken.contains(&found.id));
    free()
        .find(|found| found.name == template.name)
        .or_else(|| free().find(alike))
}

#[cfg(test)]
mod tests;

//! The plan: what is to be done so that every project has what the templates describe.
//!
//! It is made of what was read and of nothing else, so that printing it and applying it are
//! the same plan. An automation that is there already, by its name or because it exports the
//! same into the same bucket, is taken as it is; where it differs from its template, that is
//! *drift*, which is told and never mended.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::Project;
use super::ledger::{Known, Ledger, Provisioned};
use super::settings::Settings;
use super::template::Template;
use crate::export::automation::{Automation, ExportConfig, ExportPath};
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
        }
    }

    /// The automation, where there is one already.
    pub fn automation(&self) -> Option<&AutomationId> {
        match self {
            Self::Create => None,
            Self::Register { automation }
            | Self::Adopt { automation }
            | Self::Stop { automation }
            | Self::Restart { automation } => Some(automation),
        }
    }
}

/// An automation that is not as its template has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The project.
    pub project: ProjectId,
    /// The template's name.
    pub template: String,
    /// The automation.
    pub automation: AutomationId,
    /// What differs; nothing if the automation was deleted by hand.
    pub differences: Vec<Difference>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field, as a path: `config.format`.
    pub field: String,
    /// What the automation has.
    pub is: Value,
    /// What the template says.
    pub template: Value,
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
}

/// The automations that were found for projects.
pub type Found = BTreeMap<ProjectId, Vec<Automation>>;

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

/// Projects of the ledger that are not among those there are, and have automations that run.
/// Whether they are gone is to be asked one by one: a list can be short for other reasons.
pub fn missing(projects: &[Project], ledger: &Ledger) -> Vec<ProjectId> {
    let there: HashSet<&ProjectId> = projects.iter().map(|project| &project.id).collect();
    let known = ledger.projects.iter();
    known
        .filter(|(id, known)| {
            !there.contains(id) && known.automations.values().any(Provisioned::runs)
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
            &mut plan.steps,
        );
        plan.settled += usize::from(plan.steps.len() == before);
    }
    for (project, known) in &ledger.projects {
        if gone.contains(project) {
            let stop = |automation| Action::Stop { automation };
            let steps = of_all(project, "", known, Provisioned::runs, stop);
            plan.steps.extend(steps);
        }
    }
    plan
}

fn steps_of(
    project: &Project,
    known: Option<&Known>,
    settings: &Settings,
    found: &[Automation],
    steps: &mut Vec<Step>,
) {
    if let Some(known) = known {
        let restart = |automation| Action::Restart { automation };
        let stopped = |provisioned: &Provisioned| provisioned.stopped;
        let restarted = of_all(&project.id, &project.name, known, stopped, restart);
        steps.extend(restarted);
    }
    let mut taken: HashSet<&AutomationId> = known
        .into_iter()
        .flat_map(|known| known.automations.values())
        .map(|provisioned| &provisioned.id)
        .collect();
    for template in &settings.templates {
        let action = match known.and_then(|known| known.automations.get(&template.name)) {
            Some(Provisioned { done: true, .. }) => continue,
            Some(drawn) => Action::Register {
                automation: drawn.id.clone(),
            },
            None => match same(template, found, &taken) {
                Some(there) => {
                    taken.insert(&there.id);
                    Action::Adopt {
                        automation: there.id.clone(),
                    }
                }
                None => Action::Create,
            },
        };
        steps.push(Step {
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
            action: action(provisioned.id.clone()),
        })
        .collect()
}

/// An automation that counts as the template's: by its name, else because it exports the same
/// into the same bucket.
fn same<'a>(
    template: &Template,
    found: &'a [Automation],
    taken: &HashSet<&AutomationId>,
) -> Option<&'a Automation> {
    let bucket = |config: &ExportConfig| {
        let path = ExportPath::parse(&config.export_path.replace(super::template::SLUG, "p"));
        path.ok().map(|path| path.bucket)
    };
    let alike = |automation: &&Automation| {
        automation.config.export_definition == template.config.export_definition
            && bucket(&automation.config) == bucket(&template.config)
    };
    let free = || found.iter().filter(|found| !taken.contains(&found.id));
    free()
        .find(|found| found.name == template.name)
        .or_else(|| free().find(alike))
}

/// Compares automations with their templates. `found` holds all automations of the ledger's
/// projects.
pub fn drift(ledger: &Ledger, settings: &Settings, found: &Found) -> Vec<Drift> {
    let mut all = Vec::new();
    for (project, known) in &ledger.projects {
        let there: HashMap<&AutomationId, &Automation> = found
            .get(project)
            .into_iter()
            .flatten()
            .map(|automation| (&automation.id, automation))
            .collect();
        for template in &settings.templates {
            let Some(done) = known.automations.get(&template.name).filter(|p| p.done) else {
                continue;
            };
            let differences = match there.get(&done.id) {
                None => Some(Vec::new()),
                Some(automation) => {
                    let differences = compare(template, known, automation);
                    (!differences.is_empty()).then_some(differences)
                }
            };
            all.extend(differences.map(|differences| Drift {
                project: project.clone(),
                template: template.name.clone(),
                automation: done.id.clone(),
                differences,
            }));
        }
    }
    all
}

/// What differs. The ExternalId is the automation's own, and whether it is paused is the
/// operator's to say.
fn compare(template: &Template, known: &Known, automation: &Automation) -> Vec<Difference> {
    let value = |config: &ExportConfig| {
        let mut fields = BTreeMap::new();
        flatten(
            "config",
            &serde_json::to_value(config).unwrap_or_default(),
            &mut fields,
        );
        fields.remove("config.credentials.external_id");
        fields.remove("config.status");
        fields
    };
    let mut wanted = template.config.clone();
    wanted.export_path = wanted
        .export_path
        .replace(super::template::SLUG, &known.slug);
    let (wanted, is) = (value(&wanted), value(&automation.config));
    let fields: BTreeSet<&String> = wanted.keys().chain(is.keys()).collect();
    fields
        .into_iter()
        .filter(|field| wanted.get(*field) != is.get(*field))
        .map(|field| Difference {
            field: field.clone(),
            is: is.get(field).cloned().unwrap_or_default(),
            template: wanted.get(field).cloned().unwrap_or_default(),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, into);
            }
        }
        other => {
            into.insert(path.to_owned(), other.clone());
        }
    }
}

#[cfg(test)]
mod tests;

//! `project-fanout`: gives every project the automations that the templates describe.
//!
//! It is called when a project is created, and for a *sweep* over all projects every quarter of
//! an hour, which finds what no event told of: so nothing depends on an event. Both make a
//! plan ([`sealift_core::provision::plan`]) and apply it; `sealift projects plan` prints the same
//! plan. With nothing to do, a sweep costs the pages of the projects' list and two reads, and
//! writes nothing.
//!
//! What is created is written down in the ledger ([`sealift_core::provision::ledger`]) first. So a
//! crash anywhere, an event that comes twice, and two calls at once do no harm.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::document::DocumentError;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::SourceError;
use sealift_core::id::{InvalidId, ProjectId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::ledger::Ledger;
use sealift_core::provision::plan::{self, Drift, Found, Plan};
use sealift_core::provision::settings::{Settings, Written};
use sealift_core::provision::template::InvalidTemplate;
use sealift_core::provision::{Project, Projects};

pub use self::apply::{Applied, Failed};
pub use self::config::{Config, VARIABLES};
pub use self::message::{BadMessage, Message};

mod apply;
mod config;
mod message;
mod outcome;

/// Documents that are read or written at once.
const AT_ONCE: usize = 16;

/// Projects that are asked about one by one in a sweep because the list lacks them.
const CONFIRMED_AT_ONCE: usize = 20;

/// Why a call could not do what it is for. The next sweep tries again.
#[derive(Debug, thiserror::Error)]
pub enum FanoutError {
    /// The event says nothing that can be done.
    #[error(transparent)]
    Message(#[from] BadMessage),
    /// A template cannot be used.
    #[error(transparent)]
    Template(#[from] InvalidTemplate),
    /// The start cannot be used.
    #[error(transparent)]
    Start(#[from] InvalidId),
    /// The API did not answer.
    #[error("the projects could not be read: {0}")]
    Source(#[from] SourceError),
    /// The state could not be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There is no such project, or not yet.
    #[error(
        "the API knows no project {0} (yet); if it exists, the key has to see it, and the next sweep finds it"
    )]
    NoProject(ProjectId),
}

impl From<DocumentError> for FanoutError {
    fn from(error: DocumentError) -> Self {
        Self::Registry(error.into())
    }
}

/// What was read, and what it means.
#[derive(Debug)]
pub struct Situation {
    /// The settings that count.
    pub settings: Settings,
    /// The projects that there are, or the one that was asked about.
    pub projects: Vec<Project>,
    /// What each has got so far.
    pub ledger: Ledger,
    /// What is to be done.
    pub plan: Plan,
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Fanout<S, P, B, C, E> {
    registry: Registry<S, E>,
    projects: P,
    bus: B,
    clock: C,
    settings: Settings,
}

impl<S, P, B, C, E> Fanout<S, P, B, C, E>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Provisions by the settings, which an operator's document in the state bucket may add to.
    pub fn new(
        registry: Registry<S, E>,
        projects: P,
        bus: B,
        clock: C,
        settings: Settings,
    ) -> Self {
        Self {
            registry,
            projects,
            bus,
            clock,
            settings,
        }
    }

    /// Handles one call: `project.created` provisions that project, `provision.sweep` all.
    pub async fn handle(
        &self,
        payload: &[u8],
        deadline: Timestamp,
    ) -> Result<Applied, FanoutError> {
        let situation = match Message::parse(payload)? {
            // Boxed: the futures of all that it may do, one in another, are beyond what the
            // compiler looks into.
            Message::Sweep => Box::pin(self.look()).await?,
            Message::Created(project) => Box::pin(self.look_at(&project)).await?,
        };
        let applied = Box::pin(self.apply(&situation, deadline, |_| ())).await?;
        for failed in &applied.failed {
            tracing::error!(
                project = %failed.project,
                template = failed.template,
                error = failed.message,
                "project {:?} did not get {:?}: {}; the next sweep tries again",
                failed.name, failed.template, failed.message
            );
        }
        if !situation.plan.steps.is_empty() {
            let Applied {
                created,
                adopted,
                stopped,
                restarted,
                left,
                ..
            } = applied;
            tracing::info!(
                created,
                adopted,
                stopped,
                restarted,
                left,
                failed = applied.failed.len(),
                "{created} automations provisioned"
            );
        }
        Ok(applied)
    }

    /// Requests that were made of the API so far.
    pub fn requests(&self) -> u64 {
        self.projects.requests()
    }

    /// Looks at all projects, and makes a plan. Reads only.
    pub async fn look(&self) -> Result<Situation, FanoutError> {
        let projects = self.projects.list().await?;
        let (settings, ledger) = self.read().await?;
        let gone = self.gone(&projects, &ledger).await?;
        self.situation(projects, settings, ledger, &gone).await
    }

    /// Looks at one project. Reads only.
    pub async fn look_at(&self, id: &ProjectId) -> Result<Situation, FanoutError> {
        let project = self.projects.get(id).await?;
        let project = project.ok_or_else(|| FanoutError::NoProject(id.clone()))?;
        let (settings, ledger) = self.read().await?;
        self.situation(vec![project], settings, ledger, &BTreeSet::new())
            .await
    }

    /// Compares all automations of the ledger with their templates: one read for each.
    pub async fn drift(&self, situation: &Situation) -> Result<Vec<Drift>, FanoutError> {
        let known = situation.ledger.projects.keys().cloned().collect();
        let found = self.found(&known).await?;
        Ok(plan::drift(&situation.ledger, &situation.settings, &found))
    }

    async fn read(&self) -> Result<(Settings, Ledger), FanoutError> {
        let store = &self.registry.store;
        let written = Written::place().load(store).await?;
        let written = written.map(|read| read.body).unwrap_or_default();
        let settings = self.settings.clone().with(written)?;
        let ledger = Ledger::place().load(store).await?;
        Ok((settings, ledger.map(|read| read.body).unwrap_or_default()))
    }

    async fn situation(
        &self,
        projects: Vec<Project>,
        settings: Settings,
        ledger: Ledger,
        gone: &BTreeSet<ProjectId>,
    ) -> Result<Situation, FanoutError> {
        let unknown = plan::unknown(&projects, &ledger, &settings);
        let found = if unknown.is_empty() {
            Found::new()
        } else {
            self.found(&unknown).await?
        };
        let plan = plan::plan(&projects, &ledger, &settings, &found, gone);
        Ok(Situation {
            settings,
            projects,
            ledger,
            plan,
        })
    }

    /// The automations of projects.
    async fn found(&self, projects: &BTreeSet<ProjectId>) -> Result<Found, FanoutError> {
        let ids = self.registry.by_project().await?;
        let ids: Vec<_> = ids
            .into_iter()
            .filter(|(project, _)| projects.contains(project))
            .flat_map(|(_, ids)| ids)
            .collect();
        let read = stream::iter(ids)
            .map(|id| async move {
                match self.registry.automation(&id).await {
                    Ok(automation) => Ok(Some(automation)),
                    // It was deleted since.
                    Err(RegistryError::Unknown(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffered(AT_ONCE);
        let read: Vec<_> = read.try_collect().await?;
        let mut found = Found::new();
        for automation in read.into_iter().flatten() {
            let project = automation.project_id.clone();
            found.entry(project).or_default().push(automation);
        }
        Ok(found)
    }

    /// The projects of the ledger that certainly are gone. A list can be short for other
    /// reasons, so each is asked about; and a key that sees none of those that are known is
    /// another organization's key.
    async fn gone(
        &self,
        projects: &[Project],
        ledger: &Ledger,
    ) -> Result<BTreeSet<ProjectId>, FanoutError> {
        let missing = plan::missing(projects, ledger);
        let mut gone = BTreeSet::new();
        if missing.is_empty() {
            return Ok(gone);
        }
        let known = |project: &Project| ledger.projects.contains_key(&project.id);
        if !projects.iter().any(known) {
            tracing::warn!(
                missing = missing.len(),
                "the API key sees none of the projects that are known, so none of their \
                 automations is stopped: is it the right organization's key?"
            );
            return Ok(gone);
        }
        for project in missing.into_iter().take(CONFIRMED_AT_ONCE) {
            match self.projects.get(&project).await {
                Ok(None) => {
                    gone.insert(project);
                }
                Ok(Some(_)) => {}
                // Not to be seen is not to be gone.
                Err(SourceError::Denied(failure)) => {
                    tracing::warn!(%project, "project {project} is not in the list: {failure}");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests;

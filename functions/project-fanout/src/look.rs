//! Looking: which projects there are, what each has, and what that means. Reads only.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sealift_core::export::registry::RegistryError;
use sealift_core::export::source::SourceError;
use sealift_core::id::ProjectId;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::drift::{self, Drift};
use sealift_core::provision::ledger::Ledger;
use sealift_core::provision::mode::Mode;
use sealift_core::provision::plan::{self, Found};
use sealift_core::provision::remote::Remote;
use sealift_core::provision::settings::{Settings, Written};
use sealift_core::provision::{Project, Projects, Seen};

use crate::{AT_ONCE, Fanout, FanoutError, Situation};

/// Projects that are asked about one by one in a sweep because the list lacks them. In managed
/// mode there is nothing to stop, and so no hurry.
const fn asked_at_once(mode: Mode) -> usize {
    match mode {
        Mode::SelfRun => 20,
        Mode::Managed => 5,
    }
}

/// How long is waited where the API does not say.
const A_MINUTE: Duration = Duration::from_mins(1);

impl<S, P, B, C, E, R> Fanout<S, P, B, C, E, R>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
    R: Remote,
{
    /// Looks at all projects, and makes a plan. Reads only.
    pub async fn look(&self) -> Result<Situation, FanoutError> {
        let projects = self.projects.list().await?;
        let (settings, ledger) = self.read().await?;
        let (gone, asked) = self.gone(&projects, &ledger, settings.mode).await;
        let mut situation = self.situation(projects, settings, ledger, &gone).await?;
        situation.asked = asked;
        Ok(situation)
    }

    /// Looks at one project. Reads only.
    pub async fn look_at(&self, id: &ProjectId) -> Result<Situation, FanoutError> {
        let project = self.projects.get(id).await?;
        let project = project.ok_or_else(|| FanoutError::NoProject(id.clone()))?;
        let (settings, ledger) = self.read().await?;
        self.situation(vec![project], settings, ledger, &BTreeSet::new())
            .await
    }

    /// Compares all automations of the ledger with their templates: one read for each, or in
    /// managed mode a request or two for each project.
    pub async fn drift(&self, situation: &Situation) -> Result<Vec<Drift>, FanoutError> {
        let Situation {
            ledger, settings, ..
        } = situation;
        let known: BTreeSet<ProjectId> = ledger
            .projects
            .iter()
            .filter(|(_, known)| {
                let mut entries = known.automations.values();
                entries.any(|entry| entry.done && entry.mode == settings.mode)
            })
            .map(|(project, _)| project.clone())
            .collect();
        let found = match (settings.mode, &self.remote) {
            (Mode::SelfRun, _) => self.found(&known).await?,
            (Mode::Managed, Some(remote)) => self.found_remotely(remote, known).await?,
            (Mode::Managed, None) => return Err(FanoutError::NoRemote),
        };
        Ok(drift::drift(ledger, settings, &found))
    }

    async fn found_remotely(
        &self,
        remote: &R,
        projects: BTreeSet<ProjectId>,
    ) -> Result<Found, FanoutError> {
        let mut found = Found::new();
        for project in projects {
            let automations = loop {
                match remote.automations(&project).await {
                    // The API's rate is what it is: it takes a while.
                    Err(SourceError::Throttled { retry_after, .. }) => {
                        self.clock.sleep(retry_after.unwrap_or(A_MINUTE)).await;
                    }
                    other => break other?,
                }
            };
            found.insert(project, automations);
        }
        Ok(found)
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
            asked: None,
        })
    }

    /// The automations of projects that Sealift runs.
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
            let seen = Seen::from(automation);
            found.entry(project).or_default().push(seen);
        }
        Ok(found)
    }

    /// The projects of the ledger that certainly are gone. A list can be short for other
    /// reasons, so each is asked about; and a key that sees none of those that are known is
    /// another organization's key. Where there are more than are asked about at once, the
    /// answer has the last one of them, and the next sweep goes on behind it.
    async fn gone(
        &self,
        projects: &[Project],
        ledger: &Ledger,
        mode: Mode,
    ) -> (BTreeSet<ProjectId>, Option<ProjectId>) {
        let mut missing = plan::missing(projects, ledger, mode);
        let (mut gone, mut asked) = (BTreeSet::new(), None);
        if missing.is_empty() {
            return (gone, asked);
        }
        let known = |project: &Project| ledger.projects.contains_key(&project.id);
        if !projects.iter().any(known) {
            tracing::warn!(
                missing = missing.len(),
                "the API key sees none of the projects that are known, so none of their \
                 automations is stopped: is it the right organization's key?"
            );
            return (gone, asked);
        }
        let at_once = asked_at_once(mode);
        let more = missing.len() > at_once;
        let behind = missing.partition_point(|project| Some(project) <= ledger.asked.as_ref());
        missing.rotate_left(behind);
        for project in missing.into_iter().take(at_once) {
            let answer = self.projects.get(&project).await;
            asked = Some(project.clone()).filter(|_| more);
            match answer {
                Ok(None) => {
                    gone.insert(project);
                }
                Ok(Some(_)) => {}
                // Not to be seen is not to be gone.
                Err(SourceError::Denied(failure)) => {
                    tracing::warn!(%project, "project {project} is not in the list: {failure}");
                }
                // The others get what they lack all the same.
                Err(error) => {
                    tracing::warn!(%project, "project {project} is not in the list: {error}");
                    break;
                }
            }
        }
        (gone, asked)
    }
}

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
//!
//! Automations are Sealift's own (the private module `self_run`), or, in *managed* mode,
//! Braintrust's (`managed`), through the port [`sealift_core::provision::remote`].

use std::convert::Infallible;

use sealift_core::Timestamp;
use sealift_core::document::DocumentError;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::SourceError;
use sealift_core::id::{InvalidId, ProjectId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::ledger::Ledger;
use sealift_core::provision::plan::Plan;
use sealift_core::provision::remote::Remote;
use sealift_core::provision::settings::Settings;
use sealift_core::provision::template::InvalidTemplate;
use sealift_core::provision::{Project, Projects};

pub use self::apply::{Applied, Failed};
pub use self::config::{Config, VARIABLES};
pub use self::message::{BadMessage, Message};

mod apply;
mod config;
mod look;
mod managed;
mod message;
mod outcome;
mod pass;
mod self_run;

/// Documents that are read or written at once.
const AT_ONCE: usize = 16;

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
    /// There is no way to Braintrust's automations.
    #[error("the mode is managed, but this call was given no way to Braintrust's automations")]
    NoRemote,
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
    /// The last of the missing projects that was asked about, where there are more of them.
    pub asked: Option<ProjectId>,
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Fanout<S, P, B, C, E, R = Infallible> {
    registry: Registry<S, E>,
    projects: P,
    bus: B,
    clock: C,
    settings: Settings,
    remote: Option<R>,
    again: bool,
}

impl<S, P, B, C, E> Fanout<S, P, B, C, E> {
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
            remote: None,
            again: false,
        }
    }

    /// With a way to Braintrust's automations, which managed mode needs.
    pub fn managing<R>(self, remote: R) -> Fanout<S, P, B, C, E, R> {
        Fanout {
            registry: self.registry,
            projects: self.projects,
            bus: self.bus,
            clock: self.clock,
            settings: self.settings,
            remote: Some(remote),
            again: self.again,
        }
    }
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
    /// Registers also those automations in Braintrust of which it cannot be told whether they
    /// are registered: for an operator who has looked.
    #[must_use]
    pub fn registering_again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// How an automation in Braintrust stands is asked here; none where all are Sealift's own.
    pub fn remote(&self) -> Option<&R> {
        self.remote.as_ref()
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
                noted,
                left,
                ..
            } = applied;
            tracing::info!(
                created,
                adopted,
                stopped,
                restarted,
                noted,
                left,
                why_left = applied.why_left,
                failed = applied.failed.len(),
                "{created} automations provisioned, {left} left"
            );
        }
        Ok(applied)
    }

    /// Requests that were made of the API so far.
    pub fn requests(&self) -> u64 {
        self.projects.requests()
    }
}

#[cfg(test)]
mod tests;

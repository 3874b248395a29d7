//! Automations that projects get by themselves: every project, also one that is created next
//! year, has the automations that the *templates* describe.
//!
//! [`template`] is what a project gets, [`ledger`] what each has got so far, and [`plan`]
//! compares the two with the projects that there are. Whoever applies a plan writes the ledger
//! first: a name, once given, is kept, so that a crash anywhere is repaired by doing it again.

use std::future::Future;

use jiff::Timestamp;

use crate::export::source::SourceError;
use crate::id::{OrgId, ProjectId};

pub mod glob;
pub mod ledger;
pub mod plan;
pub mod settings;
pub mod template;

/// A project, as far as provisioning needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The organization that it belongs to.
    pub organization: OrgId,
    /// What people call it, whatever it holds.
    pub name: String,
    /// When it was created, if that is known.
    pub created: Option<Timestamp>,
}

/// The projects that there are.
pub trait Projects: Send + Sync {
    /// All of them.
    fn list(&self) -> impl Future<Output = Result<Vec<Project>, SourceError>> + Send;

    /// One of them; `None` only where it is certain that there is none.
    fn get(
        &self,
        id: &ProjectId,
    ) -> impl Future<Output = Result<Option<Project>, SourceError>> + Send;

    /// Requests that were made so far, each repetition counted.
    fn requests(&self) -> u64;
}

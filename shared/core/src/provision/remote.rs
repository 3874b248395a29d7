//! The automations that Braintrust's data plane runs: the port of *managed* provisioning.

use std::convert::Infallible;
use std::future::Future;

use super::Seen;
use super::template::Request;
use crate::export::source::SourceError;
use crate::id::{AutomationId, ProjectId, XactId};
use crate::ports::Failure;

/// What was to be created, and whether it was there already, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The automation, as it is now.
    pub automation: Seen,
    /// Whether it existed before.
    pub existed: bool,
}

/// How an automation stands, as the data plane's cursors tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Objects that it has a cursor for.
    pub objects: Option<u64>,
    /// Segments that it has a cursor for.
    pub segments: Option<u64>,
    /// Objects that are due.
    pub due: u64,
    /// Objects and segments that failed.
    pub errors: u64,
    /// When the last run was, as the API writes it.
    pub last_run: Option<String>,
    /// When the next one is.
    pub next_run: Option<String>,
    /// What failed last.
    pub last_error: Option<String>,
    /// Segments with something left to export.
    pub pending: u64,
    /// The first transaction that is stored and not exported.
    pub pending_from: Option<XactId>,
}

impl Standing {
    /// Whether it is registered: it has a cursor, or has run, or is to run. `None` where the
    /// answers do not say that there is no cursor, so that none must be set.
    pub fn registered(&self) -> Option<bool> {
        let lives = self.objects.is_some_and(|count| count > 0)
            || self.segments.is_some_and(|count| count > 0)
            || self.due + self.errors + self.pending > 0
            || self.last_run.is_some()
            || self.next_run.is_some()
            || self.last_error.is_some();
        match (lives, self.objects, self.segments) {
            (true, ..) => Some(true),
            (false, Some(0), Some(0)) => Some(false),
            (false, ..) => None,
        }
    }
}

/// Why an automation was not registered, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// It was not.
    #[error("{0}")]
    NotDone(SourceError),
    /// The request went out and its outcome did not come back.
    #[error("{0}; whether it was done is not known")]
    Unknown(Failure),
}

/// The automations of projects in Braintrust.
///
/// Contract: creating one whose name the project has changes nothing, and answers the one that
/// is there. A registration sets a cursor anew every time, so it is never made twice by itself:
/// when its outcome is not known, the error says so.
pub trait Remote: Send + Sync {
    /// The automations of a project, of all kinds.
    fn automations(
        &self,
        project: &ProjectId,
    ) -> impl Future<Output = Result<Vec<Seen>, SourceError>> + Send;

    /// Creates one, unless the project has one of that name.
    fn create(
        &self,
        request: &Request<'_>,
    ) -> impl Future<Output = Result<Made, SourceError>> + Send;

    /// Whether the data plane tells how automations stand. Where it does not, a registration
    /// sets no cursor either.
    fn has_cursors(&self) -> bool;

    /// How one stands.
    fn standing(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
    ) -> impl Future<Output = Result<Standing, SourceError>> + Send;

    /// Registers one with the data plane, which exports what comes after `start`.
    fn register(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
        start: XactId,
    ) -> impl Future<Output = Result<(), RegistrationError>> + Send;

    /// Requests that were made so far, each repetition counted.
    fn requests(&self) -> u64;
}

/// None at all: of a stack that exports by itself.
impl Remote for Infallible {
    async fn automations(&self, _: &ProjectId) -> Result<Vec<Seen>, SourceError> {
        match *self {}
    }

    async fn create(&self, _: &Request<'_>) -> Result<Made, SourceError> {
        match *self {}
    }

    fn has_cursors(&self) -> bool {
        match *self {}
    }

    async fn standing(&self, _: &AutomationId, _: &ProjectId) -> Result<Standing, SourceError> {
        match *self {}
    }

    async fn register(
        &self,
        _: &AutomationId,
        _: &ProjectId,
        _: XactId,
    ) -> Result<(), RegistrationError> {
        match *self {}
    }

    fn requests(&self) -> u64 {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_zeros_without_a_sign_of_life_say_that_there_is_no_cursor() {
        let none = Standing {
            objects: Some(0),
            segments: Some(0),
            ..Standing::default()
        };
        assert_eq!(none.registered(), Some(false));
        assert_eq!(Standing::default().registered(), None);
        let half = Standing {
            segments: None,
            ..none.clone()
        };
        assert_eq!(half.registered(), None);
        let text = || Some("x".to_owned());
        for alive in [
            Standing {
                objects: Some(1),
                ..none.clone()
            },
            Standing {
                segments: Some(1),
                ..none.clone()
            },
            Standing {
                due: 1,
                ..none.clone()
            },
            Standing {
                errors: 1,
                ..none.clone()
            },
            Standing {
                pending: 1,
                ..none.clone()
            },
            Standing {
                last_run: text(),
                ..none.clone()
            },
            Standing {
                next_run: text(),
                ..none.clone()
            },
            Standing {
                last_error: text(),
                ..Standing::default()
            },
        ] {
            assert_eq!(alive.registered(), Some(true), "{alive:?}");
        }
    }
}

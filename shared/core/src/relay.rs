//! The port to an organization's audit log as its platform keeps it, and the cursor that a relay
//! moves over it.
//!
//! Entries of such a log can appear late, somewhere before those that were read already. So a
//! relay reads the last stretch of time again and again, and remembers the ids of what it has
//! passed on: [`cursor`] is that memory.

use std::future::Future;

use jiff::Timestamp;

use crate::export::source::SourceError;

pub mod cursor;

/// One entry of the platform's audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id, unlike any other of the organization; made from its content where the platform
    /// names none.
    pub id: String,
    /// When it happened.
    pub created: Timestamp,
    /// What happened, as `<resource>.<action>`.
    pub event_type: String,
    /// The entry itself: one JSON object, byte by byte as the platform wrote it.
    pub text: String,
}

/// What stands in the log but cannot be read as an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What stands there.
    pub text: String,
    /// What is wrong with it: the field, and what was expected.
    pub reason: String,
}

/// Which entries are asked for: those of a stretch of time, the earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment no more.
    pub until: Timestamp,
    /// The most entries of the answer.
    pub limit: u32,
    /// Types of entries that are left out.
    pub without: Vec<String>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, the earliest first.
    pub entries: Vec<AuditEntry>,
    /// What could not be read as one.
    pub unusable: Vec<Unusable>,
}

impl AuditPage {
    /// Rows that were answered, usable or not. As many as were asked for means that there may
    /// be more.
    pub fn rows(&self) -> usize {
        self.entries.len().saturating_add(self.unusable.len())
    }
}

/// An organization's audit log.
///
/// Contract: the answer holds the earliest entries of the stretch, all that have appeared if
/// they are fewer than the limit. There is no cursor: whoever wants more asks again from the
/// last entry's time on, *including* that time, and knows what it has seen by the ids.
pub trait AuditLog: Send + Sync {
    /// Reads entries.
    ///
    /// # Errors
    ///
    /// [`SourceError::Denied`] and [`SourceError::Invalid`] carry what the platform said, whole
    /// enough to tell a missing permission from a data plane that has no audit log.
    fn entries(
        &self,
        query: &AuditQuery,
    ) -> impl Future<Output = Result<AuditPage, SourceError>> + Send;
}

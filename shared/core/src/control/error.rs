//! Why an operation was not done.

use super::view::CheckView;
use crate::document::DocumentError;
use crate::log::LogError;
use crate::ports::StoreError;

/// Why an operation was not done. The variants are what its caller can do about it; none of them
/// holds a secret, or tells of another organization's destinations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It is not there, or is not the caller's to see: the two read the same.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// A field of the request cannot be used.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why, and what to write instead.
        reason: String,
    },
    /// The id is in use.
    #[error("the {what} is taken; choose another, or leave `id` out to have one drawn")]
    Taken {
        /// What.
        what: String,
    },
    /// It does not go with what is there.
    #[error("{reason}")]
    Conflict {
        /// What is in the way, and what to do.
        reason: String,
    },
    /// The last check, or one that was just made, is in the way.
    #[error("{reason}")]
    NotHealthy {
        /// What is in the way, and what to do.
        reason: String,
        /// The check, if there was one.
        check: Option<Box<CheckView>>,
    },
    /// The caller may see it, but not do this.
    #[error("{reason}")]
    Forbidden {
        /// Who may.
        reason: String,
    },
    /// Another change of the destination is under way.
    #[error(
        "another change of the destination is under way, or was cut off; try again in two minutes at the latest"
    )]
    Busy,
    /// The state could not be read or written.
    #[error("the state could not be read or written: {0}")]
    State(#[from] DocumentError),
    /// The log could not be read.
    #[error("the audit log could not be read: {0}")]
    Log(#[from] LogError),
    /// The vault of access keys failed.
    #[error("the vault of access keys failed: {0}")]
    Vault(StoreError),
    /// The state's store failed.
    #[error("the state could not be read or written: {0}")]
    Store(#[from] StoreError),
    /// Something that cannot be was met.
    #[error("{0}; this is a fault of Sealift's own")]
    Own(&'static str),
}

impl ControlError {
    pub(super) fn invalid(field: &'static str, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self::Invalid { field, reason }
    }

    pub(super) fn conflict(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Conflict { reason }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::State(DocumentError::Contended { .. }) => true,
            Self::State(DocumentError::Store(error))
            | Self::Vault(error)
            | Self::Store(error)
            | Self::Log(LogError::Store(error) | LogError::Document(DocumentError::Store(error))) => {
                error.may_pass()
            }
            _ => false,
        }
    }

    /// Whether it is the platform's own affair: to be logged, and not shown to a customer in its
    /// own words.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::State(_) | Self::Log(_) | Self::Vault(_) | Self::Store(_) | Self::Own(_)
        )
    }
}

//! Why an operation on an automation was not done, and how that is answered.

use sealift_core::audit::outbox::OutboxError;
use sealift_core::control::ControlError;
use sealift_core::export::changes::ChangeError;
use sealift_core::export::registry::RegistryError;

use crate::refusal::Refusal;

/// Why an operation on an automation was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutomationError {
    /// The registry refused, or failed.
    Registry(RegistryError),
    /// Its audit entry could not be written down before.
    Unannounced(OutboxError),
    /// What was asked cannot be used.
    Invalid {
        /// The field.
        field: &'static str,
        /// Why, and what to do.
        reason: String,
    },
}

impl From<RegistryError> for AutomationError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<ChangeError> for AutomationError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Registry(error) => Self::Registry(error),
            ChangeError::Unannounced(error) => Self::Unannounced(error),
        }
    }
}

pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> AutomationError {
    let reason = reason.into();
    AutomationError::Invalid { field, reason }
}

impl From<AutomationError> for Refusal {
    fn from(error: AutomationError) -> Self {
        let error = match error {
            AutomationError::Invalid { field, reason } => {
                return Self::invalid(format!("`{field}` {reason}")).of_field(field);
            }
            AutomationError::Unannounced(error) => return not_noted(error).into(),
            AutomationError::Registry(error) => error,
        };
        match error {
            RegistryError::Unknown(id) => Self::not_found(format!("there is no automation {id}")),
            RegistryError::Invalid(error) => {
                let field = error.field;
                Self::invalid(error.to_string()).of_field(field)
            }
            RegistryError::Fixed { field, .. } => {
                let reason = "cannot be changed; create another automation, and delete this one";
                Self::invalid(format!("`{field}` {reason}")).of_field(field)
            }
            RegistryError::Taken(_) => ControlError::Busy.into(),
            RegistryError::Document(error) => ControlError::State(error).into(),
            RegistryError::Store(error) => ControlError::Store(error).into(),
            RegistryError::Shards { .. } => {
                ControlError::Own("SEALIFT_EXPORT_SHARDS is not what the timetable was made with")
                    .into()
            }
        }
    }
}

fn not_noted(error: OutboxError) -> ControlError {
    match error {
        OutboxError::Document(error) => ControlError::State(error),
        OutboxError::Store(error) | OutboxError::Bus(error) => ControlError::Store(error),
        OutboxError::Entry(_) => ControlError::Own("an audit entry could not be written"),
    }
}

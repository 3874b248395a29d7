//! The key of Braintrust's API, kept as a secret of the stack's own.

use sealift_braintrust::{ApiKey, ApiKeys};
use sealift_core::export::source::SourceError;
use sealift_core::ports::{Clock, Failure, StoreError};

use crate::secret::ParameterSecret;

impl<C: Clock> ApiKeys for ParameterSecret<C> {
    async fn key(&self) -> Result<ApiKey, SourceError> {
        let secret = self.get().await.map_err(source_error)?;
        ApiKey::parse(secret.expose()).map_err(|error| {
            SourceError::Denied(Failure {
                operation: "GetParameter".to_owned(),
                target: self.name().to_owned(),
                code: String::new(),
                message: error.to_string(),
                request_id: String::new(),
            })
        })
    }

    fn forget(&self) {
        ParameterSecret::forget(self);
    }
}

/// A secret that can't be had is like a key that is refused: the operator has to see to it.
fn source_error(error: StoreError) -> SourceError {
    match error {
        StoreError::Transient(failure) | StoreError::Conflict(failure) => {
            SourceError::Transient(failure)
        }
        StoreError::Denied(failure) | StoreError::Invalid(failure) => SourceError::Denied(failure),
    }
}

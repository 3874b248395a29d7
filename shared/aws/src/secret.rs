//! A secret of the stack's own, such as an API key, in the SSM Parameter Store.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use jiff::Timestamp;
use sealift_core::ports::{Clock, StoreError};

use crate::error::{Request, store_error};

/// How long a secret is used before it is read again: the longest that a new one stays unknown
/// where the old one still works.
pub const KEPT: Duration = Duration::from_mins(5);

/// A text that is not printed: `Debug` says REDACTED.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(REDACTED)")
    }
}

/// One `SecureString` of the Parameter Store, read when it is asked for and kept for [`KEPT`].
/// White space around it, such as the end of the line of the file that it was stored from, is
/// no part of it.
#[derive(Debug)]
pub struct ParameterSecret<C> {
    client: Client,
    name: String,
    clock: C,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    secret: Secret,
    until: Timestamp,
}

impl<C: Clock> ParameterSecret<C> {
    /// The secret in the parameter of the name, through a client of its own on the shared
    /// configuration.
    pub fn on(config: &SdkConfig, name: impl Into<String>, clock: C) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
            clock,
            kept: Mutex::default(),
        }
    }

    /// The secret. A parameter that is missing is `Denied`: somebody has to create it.
    pub async fn get(&self) -> Result<Secret, StoreError> {
        let now = self.clock.now();
        if let Some(kept) = self.kept().as_ref().filter(|kept| now < kept.until) {
            return Ok(kept.secret.clone());
        }
        let secret = self.read().await?;
        *self.kept() = Some(Kept {
            secret: secret.clone(),
            until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
        });
        Ok(secret)
    }

    /// The parameter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Drops what is kept, so that it is read anew: for when the secret was refused.
    pub fn forget(&self) {
        *self.kept() = None;
    }

    async fn read(&self) -> Result<Secret, StoreError> {
        let name = self.name.as_str();
        let asked = Request {
            operation: "GetParameter",
            target: name,
        };
        let answer = self
            .client
            .get_parameter()
            .name(name)
            .with_decryption(true)
            .send()
            .await;
        let answer = answer.map_err(|error| match error.as_service_error() {
            Some(service) if service.is_parameter_not_found() => {
                let way_out = format!(
                    "there is no such parameter: create it with `aws ssm put-parameter --type \
                     SecureString --name {name} --value file://<a file that holds the secret>`"
                );
                StoreError::Denied(asked.failure("ParameterNotFound", way_out))
            }
            _ => store_error(asked, &error),
        })?;
        let value = answer.parameter.and_then(|parameter| parameter.value);
        match value.as_deref().map(str::trim) {
            None | Some("") => {
                let empty = asked.failure("", "the parameter is empty");
                Err(StoreError::Invalid(empty))
            }
            Some(text) => Ok(Secret(text.to_owned())),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret("sk-123".to_owned());
        let kept = Kept {
            secret: secret.clone(),
            until: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(format!("{secret:?}"), "Secret(REDACTED)");
        assert!(!format!("{kept:#?}").contains("sk-123"));
        assert_eq!(secret.expose(), "sk-123");
    }
}

//! The vault in the SSM Parameter Store.

use std::fmt::Write;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use aws_sdk_ssm::operation::put_parameter::PutParameterError;
use aws_sdk_ssm::types::ParameterType;
use sealift_core::destination::Destination;
use sealift_core::ports::StoreError;

use super::{AccessKeys, Vault};
use crate::error::{Request, store_error};

/// A [`Vault`] in the SSM Parameter Store.
///
/// The keys of a destination are one `SecureString` at `<path>/<organization>/<destination>`,
/// in JSON: `{"access_key_id": "…", "secret_access_key": "…"}`. Letters, digits, `.` and `-`
/// of the two ids stand for themselves, every other byte is written as `_` and two
/// hexadecimal digits, because names of parameters may hold no others:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html>
///
/// They are encrypted under the AWS managed key (`alias/aws/ssm`), unless
/// [another](Self::encrypted_with) is named.
#[derive(Debug, Clone)]
pub struct ParameterVault {
    client: Client,
    path: String,
    kms_key: Option<String>,
}

impl ParameterVault {
    /// The vault below the path, through a client of its own on the shared configuration.
    pub fn on(config: &SdkConfig, path: impl Into<String>) -> Self {
        Self::new(Client::new(config), path)
    }

    /// The vault below the path: `/sealift/access-keys`.
    pub fn new(client: Client, path: impl Into<String>) -> Self {
        let path = path.into().trim_end_matches('/').to_owned();
        Self {
            client,
            path,
            kms_key: None,
        }
    }

    /// The same vault, which encrypts what it stores from now on with a KMS key of the
    /// platform's own: its id, ARN or alias.
    #[must_use]
    pub fn encrypted_with(mut self, kms_key: impl Into<String>) -> Self {
        self.kms_key = Some(kms_key.into());
        self
    }

    /// The name of the parameter that holds the destination's keys.
    pub fn parameter(&self, destination: &Destination) -> String {
        format!(
            "{}/{}/{}",
            self.path,
            escape(destination.organization.as_str()),
            escape(destination.id.as_str())
        )
    }
}

/// `_` is escaped as well, so that two ids never share a name.
fn escape(id: &str) -> String {
    id.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || b".-".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "_{byte:02X}");
        }
        name
    })
}

impl Vault for ParameterVault {
    async fn get(&self, destination: &Destination) -> Result<AccessKeys, StoreError> {
        let name = self.parameter(destination);
        let asked = Request {
            operation: "GetParameter",
            target: &name,
        };
        let answer = self
            .client
            .get_parameter()
            .name(&name)
            .with_decryption(true)
            .send()
            .await;
        let answer = answer.map_err(|error| match error.as_service_error() {
            Some(service) if service.is_parameter_not_found() => StoreError::Denied(asked.failure(
                "ParameterNotFound",
                "no access keys are stored for the destination",
            )),
            _ => store_error(asked, &error),
        })?;
        let value = answer.parameter.and_then(|parameter| parameter.value);
        // The parser's own words are left out: they may quote the value.
        serde_json::from_str(&value.unwrap_or_default()).map_err(|_| {
            StoreError::Invalid(asked.failure(
                "",
                "the parameter is no JSON object with `access_key_id` and `secret_access_key`",
            ))
        })
    }

    async fn put(&self, destination: &Destination, keys: &AccessKeys) -> Result<(), StoreError> {
        let name = self.parameter(destination);
        let asked = Request {
            operation: "PutParameter",
            target: &name,
        };
        // The writer's own words are left out, as the parser's are.
        let value = serde_json::to_string(keys).map_err(|_| {
            StoreError::Invalid(asked.failure("", "the access keys cannot be written as JSON"))
        })?;
        // With `Overwrite` a second try after a lost reply writes the same value again.
        let answer = self
            .client
            .put_parameter()
            .name(&name)
            .value(value)
            .r#type(ParameterType::SecureString)
            .set_key_id(self.kms_key.clone())
            .overwrite(true)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // Another write of the same parameter is under way. It comes with the status 400.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutParameterError::is_too_many_updates) =>
            {
                let busy = asked.failure("TooManyUpdates", "it is being written by another");
                Err(StoreError::Conflict(busy))
            }
            Err(error) => Err(store_error(asked, &error)),
        }
    }

    async fn delete(&self, destination: &Destination) -> Result<(), StoreError> {
        let name = self.parameter(destination);
        let asked = Request {
            operation: "DeleteParameter",
            target: &name,
        };
        let answer = self.client.delete_parameter().name(&name).send().await;
        match answer {
            Ok(_) => Ok(()),
            // A try whose reply was lost may have deleted it.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteParameterError::is_parameter_not_found) =>
            {
                Ok(())
            }
            Err(error) => Err(store_error(asked, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_never_share_a_parameter() {
        assert_eq!(escape("5abfae3a-7aa7.x"), "5abfae3a-7aa7.x");
        assert_eq!(escape("a@b"), "a_40b");
        assert_eq!(escape("a_40b"), "a_5F40b");
    }
}

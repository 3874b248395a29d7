//! Where customers' access keys lie.
//!
//! Only destinations that are entered by access keys have any. They lie in the vault and nowhere
//! else: no document, log line or error holds either half of a pair. The service of destinations
//! stores and deletes them, the way into a bucket fetches them.

use std::fmt;
use std::future::Future;

use serde::{Deserialize, Serialize};

pub use self::trial::{Trial, TrialVault};
use crate::destination::Destination;
use crate::ports::StoreError;

mod trial;

/// A pair of access keys. Neither half is printed: `Debug` says REDACTED.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeys {
    /// The name of the key.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeys(REDACTED)")
    }
}

/// Which half of a pair cannot be used, and why. It holds nothing of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct InvalidKeys {
    /// `access_key_id` or `secret_access_key`.
    pub field: &'static str,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// The longest that either half may be, in bytes: both fit the 4 kB of a parameter.
const LONGEST: usize = 1024;

impl AccessKeys {
    /// A pair that can be used: each half has 1 to 1,024 printable ASCII characters without
    /// spaces, so that what was pasted with a line break or a quotation mark of a word processor
    /// is refused here and not by a signature that does not match.
    pub fn parse(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Result<Self, InvalidKeys> {
        let (access_key_id, secret_access_key) = (access_key_id.into(), secret_access_key.into());
        for (field, half) in [
            ("access_key_id", &access_key_id),
            ("secret_access_key", &secret_access_key),
        ] {
            if half.is_empty() || half.len() > LONGEST {
                let reason = "must have 1 to 1,024 characters";
                return Err(InvalidKeys { field, reason });
            }
            if !half.bytes().all(|b| b.is_ascii_graphic()) {
                let reason =
                    "may hold visible ASCII characters alone: no space, line break or other letter";
                return Err(InvalidKeys { field, reason });
            }
        }
        Ok(Self {
            access_key_id,
            secret_access_key,
        })
    }
}

/// Holds the access keys of those destinations that have no role.
///
/// Contract: the keys are the destination's own, by organization and id, whatever else of it
/// changes; another organization's destination of the same id has others. A failure holds neither
/// half of any pair.
///
/// - What was put is fetched from then on, whole, until it is replaced or deleted.
/// - Both writes may be repeated, and are complete or not done at all: nobody ever fetches the id
///   of one pair with the secret of another. After an error that may pass it is unknown whether
///   the write happened.
/// - Deleting what is not there is no error.
/// - Fetching keys that are missing is `Denied`: somebody has to store them.
pub trait Vault: Send + Sync {
    /// Fetches the destination's keys.
    fn get(
        &self,
        destination: &Destination,
    ) -> impl Future<Output = Result<AccessKeys, StoreError>> + Send;

    /// Stores the destination's keys, in place of those that are there.
    fn put(
        &self,
        destination: &Destination,
        keys: &AccessKeys,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the destination's keys.
    fn delete(
        &self,
        destination: &Destination,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed() {
        let keys = AccessKeys::parse("AKIDEXAMPLE", "wJalrXUtnFEMI").unwrap();
        assert_eq!(format!("{keys:?}"), "AccessKeys(REDACTED)");
    }

    #[test]
    fn what_was_pasted_badly_is_refused_by_name_and_not_shown() {
        for (id, secret, field) in [
            ("", "s", "access_key_id"),
            ("AKID\n", "s", "access_key_id"),
            ("AKID", "", "secret_access_key"),
            ("AKID", " secret", "secret_access_key"),
            ("AKID", "“secret”", "secret_access_key"),
        ] {
            let error = AccessKeys::parse(id, secret).unwrap_err();
            assert_eq!(error.field, field, "{id:?} {secret:?}");
            assert!(!format!("{error} {error:?}").contains("secret”"), "{error}");
        }
        assert!(AccessKeys::parse("AKID", "s".repeat(1025)).is_err());
    }
}

//! Where customers' access keys lie.

use std::fmt;
use std::future::Future;

use sealift_core::destination::Destination;
use sealift_core::ports::StoreError;
use serde::{Deserialize, Serialize};

#[cfg(feature = "parameter-store")]
pub use self::parameter_store::ParameterVault;

#[cfg(feature = "parameter-store")]
mod parameter_store;

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

/// Holds the access keys of those destinations that have no role.
///
/// Contract: the keys are the destination's own, by organization and id; a failure holds
/// neither half of them. Keys that are missing are `Denied`: somebody has to store them.
pub trait Vault: Send + Sync {
    /// Fetches the destination's keys.
    fn get(
        &self,
        destination: &Destination,
    ) -> impl Future<Output = Result<AccessKeys, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed() {
        let keys = AccessKeys {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI".to_owned(),
        };
        assert_eq!(format!("{keys:?}"), "AccessKeys(REDACTED)");
    }
}

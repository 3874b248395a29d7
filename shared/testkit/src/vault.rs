//! A vault in memory, and the contract that every vault keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sealift_core::destination::Destination;
use sealift_core::id::{DestinationId, OrgId};
use sealift_core::ports::{Failure, StoreError};
use sealift_core::vault::{AccessKeys, Vault};

use crate::lock;

pub mod conformance;

/// A [`Vault`] in memory. Clones share the keys.
#[derive(Debug, Clone, Default)]
pub struct MemoryVault {
    keys: Arc<Mutex<BTreeMap<(OrgId, DestinationId), AccessKeys>>>,
}

impl MemoryVault {
    /// The keys of a destination, without asking through the port.
    pub fn get_now(&self, organization: &OrgId, id: &DestinationId) -> Option<AccessKeys> {
        let name = (organization.clone(), id.clone());
        lock(&self.keys).get(&name).cloned()
    }

    /// Whose keys there are.
    pub fn names(&self) -> Vec<(OrgId, DestinationId)> {
        lock(&self.keys).keys().cloned().collect()
    }
}

fn name(destination: &Destination) -> (OrgId, DestinationId) {
    (destination.organization.clone(), destination.id.clone())
}

impl Vault for MemoryVault {
    async fn get(&self, destination: &Destination) -> Result<AccessKeys, StoreError> {
        let there = lock(&self.keys).get(&name(destination)).cloned();
        there.ok_or_else(|| {
            StoreError::Denied(Failure {
                operation: "GetKeys".to_owned(),
                target: format!("{}/{}", destination.organization, destination.id),
                code: "Missing".to_owned(),
                message: "no access keys are stored for the destination".to_owned(),
                request_id: String::new(),
            })
        })
    }

    async fn put(&self, destination: &Destination, keys: &AccessKeys) -> Result<(), StoreError> {
        lock(&self.keys).insert(name(destination), keys.clone());
        Ok(())
    }

    async fn delete(&self, destination: &Destination) -> Result<(), StoreError> {
        lock(&self.keys).remove(&name(destination));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use sealift_core::vault::TrialVault;

    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("memory never waits")
    }

    #[test]
    fn it_conforms() {
        now(conformance::run(async || MemoryVault::default()));
    }

    #[test]
    fn a_vault_with_trials_conforms() {
        now(conformance::run(async || {
            TrialVault::new(MemoryVault::default())
        }));
    }

    #[test]
    fn keys_on_trial_are_fetched_by_all_clones_while_the_trial_lasts_and_never_stored() {
        let vault = TrialVault::new(MemoryVault::default());
        let (main, other) = (
            conformance::destination("acme", "main"),
            conformance::destination("acme", "other"),
        );
        let [stored, tried] = ["stored-secret", "secret-on-trial"]
            .map(|secret| AccessKeys::parse("AKID", secret).unwrap());
        now(vault.put(&main, &stored)).unwrap();
        let trial = vault.try_keys(&main, tried.clone()).unwrap();
        assert_eq!(now(vault.clone().get(&main)), Ok(tried.clone()));
        assert!(now(vault.get(&other)).is_err());
        assert_eq!(now(vault.stored().get(&main)), Ok(stored.clone()));
        assert!(
            vault.try_keys(&main, stored.clone()).is_none(),
            "one at a time"
        );
        assert!(!format!("{vault:?} {trial:?}").contains("secret-on-trial"));
        drop(trial);
        assert_eq!(now(vault.get(&main)), Ok(stored));
    }
}

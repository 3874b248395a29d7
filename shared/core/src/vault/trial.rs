//! Access keys on trial: what a check is given before they are stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AccessKeys, Vault};
use crate::destination::Destination;
use crate::id::{DestinationId, OrgId};
use crate::ports::StoreError;

/// A vault in front of another one, for checks: while keys are on trial for a destination, it gives
/// these, and else what is stored. Clones share the trials.
///
/// New keys of a destination that streams must be seen to work before they take the place of the
/// ones that do. Give a clone to the checks, and another to the service that runs the trials;
/// deliveries know nothing of them.
#[derive(Debug)]
pub struct TrialVault<V> {
    stored: Arc<V>,
    trials: Trials,
}

type Name = (OrgId, DestinationId);
type Trials = Arc<Mutex<BTreeMap<Name, AccessKeys>>>;

impl<V> Clone for TrialVault<V> {
    fn clone(&self) -> Self {
        Self {
            stored: Arc::clone(&self.stored),
            trials: Arc::clone(&self.trials),
        }
    }
}

/// A trial. It ends with its value.
#[derive(Debug)]
#[must_use = "the trial ends with its value"]
pub struct Trial {
    trials: Trials,
    name: Name,
}

impl Drop for Trial {
    fn drop(&mut self) {
        lock(&self.trials).remove(&self.name);
    }
}

fn lock(trials: &Trials) -> MutexGuard<'_, BTreeMap<Name, AccessKeys>> {
    trials.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(destination: &Destination) -> Name {
    let Destination {
        organization, id, ..
    } = destination;
    (organization.clone(), id.clone())
}

impl<V> TrialVault<V> {
    /// In front of the vault.
    pub fn new(stored: V) -> Self {
        Self {
            stored: Arc::new(stored),
            trials: Arc::default(),
        }
    }

    /// The vault behind it.
    pub fn stored(&self) -> &V {
        &self.stored
    }

    /// Puts keys on trial for a destination; `None` while others are.
    pub fn try_keys(&self, destination: &Destination, keys: AccessKeys) -> Option<Trial> {
        let name = name(destination);
        let mut trials = lock(&self.trials);
        if trials.contains_key(&name) {
            return None;
        }
        trials.insert(name.clone(), keys);
        Some(Trial {
            trials: Arc::clone(&self.trials),
            name,
        })
    }
}

impl<V: Vault> Vault for TrialVault<V> {
    async fn get(&self, destination: &Destination) -> Result<AccessKeys, StoreError> {
        let on_trial = lock(&self.trials).get(&name(destination)).cloned();
        match on_trial {
            Some(keys) => Ok(keys),
            None => self.stored.get(destination).await,
        }
    }

    async fn put(&self, destination: &Destination, keys: &AccessKeys) -> Result<(), StoreError> {
        self.stored.put(destination, keys).await
    }

    async fn delete(&self, destination: &Destination) -> Result<(), StoreError> {
        self.stored.delete(destination).await
    }
}

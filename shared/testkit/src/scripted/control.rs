//! Vaults, buses and checks under a script.

use std::net::IpAddr;

use sealift_core::check::{CheckReport, Checks};
use sealift_core::destination::Destination;
use sealift_core::ports::{BusEntry, EventBus, StoreError};
use sealift_core::vault::{AccessKeys, Vault};

use super::{Scripted, Verb};

fn name(destination: &Destination) -> String {
    format!("{}/{}", destination.organization, destination.id)
}

impl<V: Vault> Vault for Scripted<V> {
    async fn get(&self, destination: &Destination) -> Result<AccessKeys, StoreError> {
        let call = self.inner.get(destination);
        self.call(Verb::GetKeys, &name(destination), call).await
    }

    async fn put(&self, destination: &Destination, keys: &AccessKeys) -> Result<(), StoreError> {
        let call = self.inner.put(destination, keys);
        self.call(Verb::PutKeys, &name(destination), call).await
    }

    async fn delete(&self, destination: &Destination) -> Result<(), StoreError> {
        let call = self.inner.delete(destination);
        self.call(Verb::DeleteKeys, &name(destination), call).await
    }
}

impl<B: EventBus> EventBus for Scripted<B> {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let first = entries
            .first()
            .map_or("", |entry| entry.detail_type.as_str());
        let call = async { Ok(self.inner.put(entries).await) };
        match self.call(Verb::Publish, first, call).await {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error); entries.len()],
        }
    }
}

impl<K: Checks> Checks for Scripted<K> {
    async fn check(&self, destination: &Destination) -> CheckReport {
        // A check always answers; only a killed process does not.
        let call = async { Ok(self.inner.check(destination).await) };
        match self.call(Verb::Check, &name(destination), call).await {
            Ok(report) => report,
            Err(_) => self.inner.check(destination).await,
        }
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.inner.addresses(host).await
    }
}

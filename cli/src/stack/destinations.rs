//! The service of destinations, and the function that checks them, on the embedded stack.

use std::sync::Arc;

use bytes::Bytes;
use destination_check::DestinationCheck;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sealift_aws::check::{CustomerChecks, customer_checks};
use sealift_aws::{OsEntropy, S3Store};
use sealift_core::control::{Control, Parts, Settings};
use sealift_core::reach::Allowed;
use sealift_core::vault::TrialVault;
use sealift_embedded::bus::Handler;
use sealift_embedded::template::Wiring;
use sealift_embedded::vault::FileVault;
use serde_json::Value;

use super::exports::{Allotted, OwnBus};
use super::{Stack, Time, variables};

/// The checks, through the embedded STS and S3.
type Checks = CustomerChecks<TrialVault<FileVault>, Arc<Time>>;

/// The service, on the embedded stack.
pub(crate) type StackControl = Control<S3Store, FileVault, Checks, OwnBus, Arc<Time>, OsEntropy>;

impl Stack {
    /// The service of destinations.
    pub(crate) fn control(&self) -> StackControl {
        let vault = TrialVault::new(self.vault.clone());
        let ways = self.ways_through(self.principal.clone());
        let checks = customer_checks(&self.sdk, ways, vault.clone(), self.clock.clone());
        let parts = Parts {
            state: self.state_store(),
            log: self.log_store(),
            vault,
            checks,
            bus: self.own_bus(),
            clock: self.clock.clone(),
            entropy: OsEntropy,
        };
        let settings = Settings {
            shards: self.shards,
            principal: self.principal.clone(),
            allowed: Allowed::default(),
        };
        Control::new(parts, settings)
    }

    pub(super) fn register_check(&self, wiring: &Wiring) -> anyhow::Result<()> {
        let environment = variables(wiring, "DestinationCheck")?;
        let config = destination_check::Config::from_lookup(|name| environment.get(name).cloned())?;
        let function = CheckFunction {
            check: DestinationCheck::new(self.control(), config.round),
            time: Allotted::of(wiring, "DestinationCheck", self.clock.clone()),
        };
        self.bus.register("DestinationCheck", Arc::new(function));
        Ok(())
    }
}

/// `destination-check`, called as Lambda calls it.
struct CheckFunction {
    check: DestinationCheck<S3Store, FileVault, Checks, OwnBus, Arc<Time>, OsEntropy>,
    time: Allotted,
}

impl Handler for CheckFunction {
    fn invoke(&self, _: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let deadline = self.time.deadline()?;
            let done = self.check.run(deadline).await;
            done.map(|_| Value::Null).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

//! The function that relays Braintrust's audit log, on the embedded stack.

use std::sync::Arc;

use audit_relay::Relay;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sealift_aws::{OsEntropy, S3Store};
use sealift_braintrust::FixedKey;
use sealift_braintrust::audit_log::AuditLogClient;
use sealift_embedded::bus::Handler;
use sealift_embedded::template::Wiring;
use serde_json::Value;

use super::exports::{Allotted, OwnBus};
use super::{Stack, Time, variables};

/// The audit log of the embedded Braintrust, over HTTP.
type Source = AuditLogClient<Arc<Time>, OsEntropy, FixedKey>;

impl Stack {
    pub(super) fn register_relay(&self, wiring: &Wiring) -> anyhow::Result<()> {
        if !wiring.functions.contains_key("AuditRelay") {
            return Ok(());
        }
        let environment = variables(wiring, "AuditRelay")?;
        let config = audit_relay::Config::from_lookup(|name| environment.get(name).cloned())?;
        let client = self.source(config.api_url.parse()?)?;
        let source = AuditLogClient::new(client, config.settings.organization.clone());
        let relay = Relay::new(
            (self.state_store(), self.log_store()),
            source,
            self.own_bus(),
            self.clock.clone(),
            OsEntropy,
            config.settings,
        );
        let function = RelayFunction {
            relay,
            time: Allotted::of(wiring, "AuditRelay", self.clock.clone()),
        };
        self.bus.register("AuditRelay", Arc::new(function));
        Ok(())
    }
}

/// `audit-relay`, called as Lambda calls it.
struct RelayFunction {
    relay: Relay<S3Store, S3Store, Source, OwnBus, Arc<Time>, OsEntropy>,
    time: Allotted,
}

impl Handler for RelayFunction {
    fn invoke(&self, _: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let deadline = self.time.deadline()?;
            let handled = self.relay.handle(deadline).await;
            handled.map(|_| Value::Null).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

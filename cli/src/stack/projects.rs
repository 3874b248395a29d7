//! The function that gives projects their automations, on the embedded stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use project_fanout::Fanout;
use sealift_aws::{OsEntropy, S3Store};
use sealift_braintrust::provisioning::Provisioning;
use sealift_braintrust::{ApiKey, FixedKey};
use sealift_core::provision::settings::Settings;
use sealift_embedded::bus::Handler;
use sealift_embedded::template::Wiring;
use serde_json::Value;

use super::exports::{Allotted, OwnBus, Source};
use super::{Stack, Time, variables};

/// The function's logic, on the embedded stack.
pub(crate) type StackFanout =
    Fanout<S3Store, Arc<Source>, OwnBus, Arc<Time>, OsEntropy, StackRemote>;

/// The automations of the embedded Braintrust.
type StackRemote = Provisioning<Arc<Time>, OsEntropy, FixedKey>;

impl Stack {
    pub(super) fn register_fanout(&self, wiring: &Wiring) -> anyhow::Result<()> {
        let environment = variables(wiring, "ProjectFanout")?;
        let config = project_fanout::Config::from_lookup(|name| environment.get(name).cloned())?;
        let by_cron = config.service_token_parameter.is_some();
        let function = FanoutFunction {
            fanout: self.fanout(config.settings, by_cron)?,
            time: Allotted::of(wiring, "ProjectFanout", self.clock.clone()),
        };
        self.bus.register("ProjectFanout", Arc::new(function));
        Ok(())
    }

    /// The variables that the function is given.
    pub(crate) fn fanout_variables(&self) -> anyhow::Result<BTreeMap<String, String>> {
        variables(self.bus.wiring(), "ProjectFanout")
    }

    /// Braintrust's API.
    pub(crate) fn api_client(&self) -> anyhow::Result<Source> {
        self.source(self.api.url().parse()?)
    }

    /// The logic, for the function and for whoever asks by hand. A data plane of an older
    /// version is given the stack's own key to run exports with.
    pub(crate) fn fanout(&self, settings: Settings, by_cron: bool) -> anyhow::Result<StackFanout> {
        let source = Arc::new(self.api_client()?);
        let token = if by_cron {
            Some(FixedKey(ApiKey::parse(self.api_key.as_str())?))
        } else {
            None
        };
        let remote = Provisioning::new(source.clone(), token);
        let fanout = Fanout::new(
            self.automations(),
            source,
            self.own_bus(),
            self.clock.clone(),
            settings,
        );
        Ok(fanout.managing(remote))
    }
}

/// `project-fanout`, called as Lambda calls it.
struct FanoutFunction {
    fanout: StackFanout,
    time: Allotted,
}

impl Handler for FanoutFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let deadline = self.time.deadline()?;
            let handled = self.fanout.handle(&payload, deadline).await;
            handled.map(|_| Value::Null).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

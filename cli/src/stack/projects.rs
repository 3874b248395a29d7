//! The function that gives projects their automations, on the embedded stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use project_fanout::Fanout;
use sealift_aws::{OsEntropy, S3Store};
use sealift_core::id::{OrgId, ProjectId};
use sealift_core::ports::BusEntry;
use sealift_core::provision::settings::Settings;
use sealift_embedded::bus::Handler;
use sealift_embedded::template::Wiring;
use serde_json::{Value, json};

use super::exports::{Allotted, OwnBus, Source, entry};
use super::{Stack, Time, variables};

/// The function's logic, on the embedded stack.
pub(crate) type StackFanout = Fanout<S3Store, Source, OwnBus, Arc<Time>, OsEntropy>;

impl Stack {
    pub(super) fn register_fanout(&self, wiring: &Wiring) -> anyhow::Result<()> {
        let environment = variables(wiring, "ProjectFanout")?;
        let config = project_fanout::Config::from_lookup(|name| environment.get(name).cloned())?;
        let function = FanoutFunction {
            fanout: Fanout::new(
                self.automations(),
                self.source(config.api_url.parse()?)?,
                self.own_bus(),
                self.clock.clone(),
                config.settings,
            ),
            time: Allotted::of(wiring, "ProjectFanout", self.clock.clone()),
        };
        self.bus.register("ProjectFanout", Arc::new(function));
        Ok(())
    }

    /// Puts the entry of an audit log on the bus that tells of a new project.
    pub(crate) fn tell_of_project(
        &self,
        organization: &OrgId,
        project: &ProjectId,
        name: &str,
    ) -> anyhow::Result<()> {
        let detail = json!({
            "id": format!("created-{project}"),
            "created": format!("{:.3}", self.now()),
            "org_id": organization,
            "project_id": project,
            "actor_id": "demo",
            "event_type": "project.created",
            "event_details": null,
            "resource_type": "project",
            "resource_id": project,
            "resource_name": name,
            "actor_details": {},
            "before_changes": null,
            "after_changes": {"name": name},
        });
        let event = BusEntry {
            source: "sealift.relay".to_owned(),
            detail_type: "project.created".to_owned(),
            detail: detail.to_string(),
        };
        let results = self.bus.put_events(&self.bus_name, &[entry(&event)])?;
        for result in results {
            result?;
        }
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

    /// The same logic, for whoever asks by hand.
    pub(crate) fn fanout(&self, settings: Settings) -> anyhow::Result<StackFanout> {
        let source = self.api_client()?;
        Ok(Fanout::new(
            self.automations(),
            source,
            self.own_bus(),
            self.clock.clone(),
            settings,
        ))
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

//! The functions that export, on the embedded stack.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use export_dispatch::Dispatch;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use interval_export::Export;
use sealift_aws::exports::CustomerExports;
use sealift_aws::{OsEntropy, S3Store};
use sealift_braintrust::{ApiKey, ApiUrl, Client, FixedKey, Settings};
use sealift_core::Timestamp;
use sealift_core::export::message::Message;
use sealift_core::export::registry::Registry;
use sealift_core::export::timetable::Timetable;
use sealift_core::id::{AutomationId, KeyPrefix};
use sealift_core::policy::{Partition, permissions, trust};
use sealift_core::ports::{BusEntry, Clock, EventBus, Failure, StoreError};
use sealift_core::sqs::Batch;
use sealift_embedded::bus::{Bus, Entry, Handler, MAX_REQUEST_ENTRIES};
use sealift_embedded::template::Wiring;
use serde_json::{Value, json};

use super::{ACCOUNT, Stack, Time, variables};

/// The source of rows: the embedded Braintrust, over HTTP.
pub(crate) type Source = Client<Arc<Time>, OsEntropy, FixedKey>;

impl Stack {
    /// The role of the team's own exports, as the template has it.
    pub(super) fn create_export_role(&self) -> anyhow::Result<()> {
        if self.aws.iam().has_role(&self.export_role) {
            return Ok(());
        }
        let organization = &self.api.organization().id;
        let account = sealift_core::id::AccountId::parse(ACCOUNT)?;
        let trust = trust::for_exports(Partition::default(), organization, &account);
        let everything = KeyPrefix::parse("")?;
        let write =
            permissions::export_least(Partition::default(), &self.export_bucket, &everything, None);
        // The object of a test lies below each export's own path.
        let delete = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "s3:DeleteObject",
            "Resource": format!("arn:aws:s3:::{}/*{}", self.export_bucket, permissions::TEST_OBJECT),
        }]});
        let policies = [
            ("write-exports", write.to_string()),
            ("delete-tests", delete.to_string()),
        ];
        let policies: Vec<(&str, &str)> = policies
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        Ok(self
            .aws
            .iam()
            .create_role(&self.export_role, &trust.to_string(), &policies)?)
    }

    pub(super) fn register_exports(
        &self,
        wiring: &Wiring,
        config: interval_export::Config,
    ) -> anyhow::Result<()> {
        let bus = || self.own_bus();
        let source = |url: ApiUrl| self.source(url);
        let ways = self.ways_through(config.principal_role);
        let export = Export::new(
            self.state_store(),
            source(config.api_url.parse()?)?,
            CustomerExports::new(self.sdk.clone(), ways, self.clock.clone()),
            bus(),
            self.clock.clone(),
            OsEntropy,
            config.settings,
        );
        let function = ExportFunction {
            export,
            time: Allotted::of(wiring, "IntervalExport", self.clock.clone()),
        };
        self.bus.register("IntervalExport", Arc::new(function));
        let environment = variables(wiring, "ExportDispatch")?;
        let config = export_dispatch::Config::from_lookup(|name| environment.get(name).cloned())?;
        let dispatch = Dispatch::new(
            self.state_store(),
            source(config.api_url.parse()?)?,
            bus(),
            self.clock.clone(),
            OsEntropy,
            config.settings,
        );
        let function = DispatchFunction {
            dispatch,
            time: Allotted::of(wiring, "ExportDispatch", self.clock.clone()),
        };
        self.bus.register("ExportDispatch", Arc::new(function));
        Ok(())
    }

    /// The bus that the functions put events on: this stack's own.
    pub(crate) fn own_bus(&self) -> OwnBus {
        OwnBus {
            bus: self.bus.clone(),
            name: self.bus_name.clone(),
        }
    }

    /// Braintrust's API, as the functions know it.
    pub(super) fn source(&self, url: ApiUrl) -> anyhow::Result<Source> {
        let key = FixedKey(ApiKey::parse(self.api_key.as_str())?);
        let clock = self.clock.clone();
        let settings = Settings::default();
        Ok(Client::new(url, key, clock, OsEntropy, settings))
    }

    /// The automations of the stack.
    pub fn automations(&self) -> Registry<S3Store, OsEntropy> {
        Registry {
            store: self.state_store(),
            entropy: OsEntropy,
            shards: self.export_shards,
        }
    }

    /// Puts a control event on the stack's bus.
    pub fn tell(&self, message: &Message) -> anyhow::Result<()> {
        let results = self
            .bus
            .put_events(&self.bus_name, &[entry(&message.entry())])?;
        for result in results {
            result?;
        }
        Ok(())
    }

    /// Lets the stack run until no automation is due any more, or the limit is reached.
    pub async fn run_exports(&self, limit: Timestamp) -> anyhow::Result<()> {
        self.run_while_due(|_| true, limit).await
    }

    /// Lets the stack run until one automation is not due any more, or the limit is reached.
    pub async fn run_export(&self, id: &AutomationId, limit: Timestamp) -> anyhow::Result<()> {
        self.run_while_due(|other| other == id, limit).await
    }

    async fn run_while_due(
        &self,
        which: impl Fn(&AutomationId) -> bool,
        limit: Timestamp,
    ) -> anyhow::Result<()> {
        loop {
            let (mut due, now_ms) = (false, self.now().as_millisecond());
            for shard in 0..self.export_shards {
                let table = Timetable::place(shard).load(&self.state_store()).await?;
                let mut entries = table.iter().flat_map(|table| &table.body.entries);
                due |= entries.any(|(id, entry)| which(id) && entry.is_due(now_ms));
            }
            if !due || self.now() >= limit {
                return Ok(());
            }
            let minute = self.now().checked_add(Duration::from_mins(1))?;
            self.bus.run_until(minute).await?;
            self.bus.run_until_idle(limit).await?;
        }
    }
}

/// How long a function may run, as the template has it.
pub(super) struct Allotted {
    clock: Arc<Time>,
    seconds: i64,
}

impl Allotted {
    pub(super) fn of(wiring: &Wiring, function: &str, clock: Arc<Time>) -> Self {
        let timeout = wiring.functions.get(function).map(|f| f.timeout);
        let seconds = timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok());
        Self {
            clock,
            seconds: seconds.unwrap_or(60),
        }
    }

    pub(super) fn deadline(&self) -> Result<Timestamp, String> {
        let second = self.clock.now().as_second() + self.seconds;
        Timestamp::from_second(second).map_err(|e| e.to_string())
    }
}

/// `interval-export`, called as Lambda calls it.
struct ExportFunction {
    export: Export<S3Store, Source, CustomerExports<Arc<Time>>, OwnBus, Arc<Time>, OsEntropy>,
    time: Allotted,
}

impl Handler for ExportFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let batch: Batch = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
            let response = self.export.handle(&batch, self.time.deadline()?).await;
            serde_json::to_value(&response).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

/// `export-dispatch`, called as Lambda calls it.
struct DispatchFunction {
    dispatch: Dispatch<S3Store, Source, OwnBus, Arc<Time>, OsEntropy>,
    time: Allotted,
}

impl Handler for DispatchFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let deadline = self.time.deadline()?;
            let handled = self.dispatch.handle(&payload, deadline).await;
            handled.map(|_| Value::Null).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

/// The bus that the functions put events on: this stack's own.
pub(crate) struct OwnBus {
    bus: Bus<Time>,
    name: String,
}

impl EventBus for OwnBus {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for some in entries.chunks(MAX_REQUEST_ENTRIES) {
            let request: Vec<Entry> = some.iter().map(entry).collect();
            match self.bus.put_events(&self.name, &request) {
                Ok(results) => outcomes.extend(
                    results
                        .into_iter()
                        .map(|result| result.map(|_| ()).map_err(|error| refused(&error))),
                ),
                Err(error) => outcomes.extend(some.iter().map(|_| Err(refused(&error)))),
            }
        }
        outcomes
    }
}

/// An entry as the embedded bus takes it.
pub(crate) fn entry(entry: &BusEntry) -> Entry {
    Entry {
        source: entry.source.clone(),
        detail_type: entry.detail_type.clone(),
        detail: entry.detail.clone(),
        time: None,
        resources: Vec::new(),
    }
}

fn refused(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Invalid(Failure {
        operation: "PutEvents".to_owned(),
        target: String::new(),
        code: String::new(),
        message: error.to_string(),
        request_id: String::new(),
    })
}

//! The embedded stack: the template's wiring, with the functions' own code behind it, on an
//! S3 and an STS of one process.
//!
//! Buses, rules, queues, windows and the functions' variables are read from `template.yaml`, which is
//! part of the program; nothing of it stands here again. [`platform`] is the embedded Braintrust that
//! exports read from, `exports` the functions that export.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use audit_delivery::Delivery;
use audit_writer::Writer;
use aws_config::SdkConfig;
use aws_credential_types::Credentials as AwsCredentials;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sealift_aws::sinks::{AwsEndpoints, Options as SinkOptions};
use sealift_aws::{CustomerSinks, OsEntropy, S3Store, SystemClock};
use sealift_core::Timestamp;
use sealift_core::destination::{Destination, DestinationSet, shard_of};
use sealift_core::document::Saved;
use sealift_core::id::{AccountId, BucketName, RoleArn};
use sealift_core::ports::{Clock, Entropy, ObjectStore};
use sealift_core::provision::template::SLUG;
use sealift_core::sqs::Batch;
use sealift_embedded::braintrust::DataPlane;
use sealift_embedded::bus::{Bus, Handler, JumpingClock, Timeline, object_created};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::template::{Deployment, Template, Wiring};
use sealift_embedded::vault::FileVault;
use sealift_embedded::{Embedded, Options};
use serde_json::{Value, json};

mod destinations;
mod exports;
pub mod platform;
mod projects;
mod relay;

/// The template that is deployed, and that the embedded stack takes its wiring from.
pub const TEMPLATE: &str = include_str!("../../template.yaml");

/// The account that Sealift runs in.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";
/// The parameter that says whose audit log is relayed.
pub const RELAY: &str = "RelayOrganizationId";
/// The bucket of the team's own exports.
const EXPORT_BUCKET: &str = "sealift-exports";
/// How long a run of delivery may take, in seconds, as its time-out has it.
const DELIVERY_SECONDS: i64 = 60;

/// The time of an embedded stack: real while something is done, jumping over waits.
pub type Time = JumpingClock<SystemClock>;

/// A running embedded stack.
pub struct Stack {
    /// S3 and STS.
    pub aws: Embedded,
    /// The bus with everything behind it.
    pub bus: Bus<Time>,
    /// The time.
    pub clock: Arc<Time>,
    /// The bucket of the audit log.
    pub log_bucket: BucketName,
    /// The bucket of destinations and cursors.
    pub state_bucket: BucketName,
    /// The bus that producers put events on.
    pub bus_name: String,
    /// The role that assumes the customers' roles.
    pub principal: RoleArn,
    /// The bucket of the team's own exports.
    pub export_bucket: BucketName,
    /// The role that writes into it.
    pub export_role: RoleArn,
    /// Braintrust, as far as exports need it.
    pub api: DataPlane,
    sdk: SdkConfig,
    vault: FileVault,
    api_key: String,
    shards: u16,
    export_shards: u16,
}

impl Stack {
    /// Starts a stack in a folder, with values for parameters of the template. The embedded
    /// Braintrust holds what the folder has of it. Its audit log is relayed, unless [`RELAY`] is
    /// given and empty.
    pub async fn start(
        data: &Path,
        mut parameters: BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(JumpingClock::starting_at(SystemClock.now(), SystemClock));
        let api_key = platform::api_key();
        let api = platform::start(data, clock.clone(), &api_key).await?;
        let relays = parameters
            .get(RELAY)
            .is_none_or(|organization| !organization.is_empty());
        parameters.extend(own_parameters(&api, clock.now()));
        if !relays {
            parameters.insert(RELAY.to_owned(), String::new());
        }
        let deployment = Deployment {
            stack: "sealift".to_owned(),
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            parameters,
            names: [
                ("ExportBucket", EXPORT_BUCKET),
                ("LogBucket", "sealift-log"),
                ("StateBucket", "sealift-state"),
            ]
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .into(),
        };
        let wiring = Template::parse(TEMPLATE)?.wiring(&deployment)?;
        let platform = Platform {
            account: AccountId::parse(ACCOUNT)?,
            access_key_id: "AKIASEALIFTPLATFORM0".to_owned(),
            secret_access_key: Secret::new(OsEntropy.nonce()),
        };
        let credentials = AwsCredentials::new(
            platform.access_key_id.as_str(),
            platform.secret_access_key.expose(),
            None,
            None,
            "embedded",
        );
        let account = platform.account.clone();
        let options =
            Options::new(data, platform, clock.clone(), Arc::new(OsEntropy)).region(REGION);
        let aws = Embedded::start(options).await?;
        let sdk = sealift_aws::config::fixed(REGION, credentials, Some(&aws.endpoint_url()));
        let bucket = |id: &str| -> anyhow::Result<BucketName> {
            let name = wiring.buckets.get(id).map(|bucket| bucket.name.clone());
            Ok(BucketName::parse(name.with_context(|| {
                format!("the template has no bucket {id}")
            })?)?)
        };
        let (log_bucket, state_bucket) = (bucket("LogBucket")?, bucket("StateBucket")?);
        let export_bucket = bucket("ExportBucket")?;
        for bucket in [&log_bucket, &state_bucket, &export_bucket] {
            if aws.bucket_owner(bucket).is_none() {
                aws.create_bucket(bucket, &account)?;
            }
        }
        let bus_name = wiring
            .buses
            .values()
            .next()
            .context("the template has no bus")?
            .clone();
        let delivery = variables(&wiring, "AuditDelivery")?;
        let config = audit_delivery::Config::from_lookup(|name| delivery.get(name).cloned())?;
        let export = variables(&wiring, "IntervalExport")?;
        let export = interval_export::Config::from_lookup(|name| export.get(name).cloned())?;
        let stack = Self {
            bus: Bus::new(wiring.clone(), clock.clone()),
            clock,
            log_bucket,
            state_bucket,
            bus_name,
            principal: config.principal_role.clone(),
            shards: config.settings.shards,
            export_shards: export.settings.shards,
            export_bucket,
            export_role: RoleArn::parse(export_role())?,
            api,
            sdk,
            // Only its owner may read it.
            vault: FileVault::open(data.join("vault"))?,
            api_key,
            aws,
        };
        stack.create_principal()?;
        stack.register(&wiring, config)?;
        stack.create_export_role()?;
        stack.register_exports(&wiring, export)?;
        stack.register_fanout(&wiring)?;
        stack.register_relay(&wiring)?;
        stack.register_check(&wiring)?;
        stack.catch_up_with_the_past().await?;
        Ok(stack)
    }

    /// An earlier stack on the folder may have jumped ahead of the real time; this one goes on
    /// from there.
    async fn catch_up_with_the_past(&self) -> anyhow::Result<()> {
        for store in [self.log_store(), self.state_store()] {
            let mut after = None;
            loop {
                let page = store.list("", after.as_ref(), 1000).await?;
                for object in &page {
                    self.clock.reach(object.last_modified).await;
                }
                match page.last() {
                    Some(last) => after = Some(last.key.clone()),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// The principal role: the template trusts the delivery function alone; here the functions
    /// run with the platform's own keys.
    fn create_principal(&self) -> anyhow::Result<()> {
        if self.aws.iam().has_role(&self.principal) {
            return Ok(());
        }
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")},
            "Action": "sts:AssumeRole",
        }]});
        let permissions = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": "arn:aws:iam::*:role/*",
            "Condition": {"Null": {"sts:ExternalId": "false"}},
        }]});
        let policies = [("assume-customers-roles", permissions.to_string())];
        let policies: Vec<(&str, &str)> = policies
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        Ok(self
            .aws
            .iam()
            .create_role(&self.principal, &trust.to_string(), &policies)?)
    }

    fn register(&self, wiring: &Wiring, config: audit_delivery::Config) -> anyhow::Result<()> {
        let environment = variables(wiring, "AuditWriter")?;
        let writer = audit_writer::Config::from_lookup(|name| environment.get(name).cloned())?;
        let writer = Writer::new(
            self.log_store(),
            self.clock.clone(),
            OsEntropy,
            writer.shapes,
            writer.level,
        );
        let options = self.ways_through(config.principal_role);
        let sinks = CustomerSinks::new(
            self.sdk.clone(),
            options,
            self.vault.clone(),
            self.clock.clone(),
        );
        let delivery = Delivery::new(
            self.log_store(),
            self.state_store(),
            sinks,
            self.own_bus(),
            self.clock.clone(),
            OsEntropy,
            config.settings,
        );
        self.bus
            .register("AuditWriter", Arc::new(WriterFunction(writer)));
        let delivery = DeliveryFunction {
            delivery,
            clock: self.clock.clone(),
        };
        self.bus.register("AuditDelivery", Arc::new(delivery));
        let bus = self.bus.clone();
        self.aws.on_object_created(&self.log_bucket, move |object| {
            // The rules of the template decide which objects matter; a refusal would be a bug
            // of the envelope, which has its own tests.
            let _ = bus.service_event(&object_created(object));
        });
        Ok(())
    }

    /// Into customers' accounts, all of which are on this machine.
    fn ways_through(&self, principal: RoleArn) -> SinkOptions {
        let url = Some(self.aws.endpoint_url());
        SinkOptions {
            endpoints: AwsEndpoints {
                s3: url.clone(),
                sts: url,
                force_path_style: true,
            },
            ..SinkOptions::through(principal)
        }
    }

    /// The bucket of the audit log, through the SDK.
    pub fn log_store(&self) -> S3Store {
        S3Store::on(&self.sdk, self.log_bucket.clone())
    }

    /// The bucket of destinations and cursors, through the SDK.
    pub fn state_store(&self) -> S3Store {
        S3Store::on(&self.sdk, self.state_bucket.clone())
    }

    /// Adds a destination, or replaces the one with its id.
    pub async fn save_destination(&self, destination: Destination) -> anyhow::Result<()> {
        destination.validate()?;
        let shard = shard_of(&destination.organization, self.shards);
        let (place, store) = (DestinationSet::place(shard), self.state_store());
        loop {
            let read = place.load(&store).await?;
            let mut set = read
                .as_ref()
                .map(|read| read.body.clone())
                .unwrap_or_default();
            set.0.insert(destination.id.clone(), destination.clone());
            let saved = match &read {
                None => place.create(&store, set, &OsEntropy).await?,
                Some(read) => place.replace(&store, read, set, &OsEntropy).await?,
            };
            if let Saved::Done(_) = saved {
                return Ok(());
            }
        }
    }

    /// The time now, on the stack's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The role that writes into the bucket of the team's own exports.
fn export_role() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/sealift-own-exports")
}

fn variables(wiring: &Wiring, function: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let function = wiring
        .functions
        .get(function)
        .ok_or_else(|| anyhow!("the template has no function {function}"))?;
    Ok(function.environment.clone())
}

/// What the stack is deployed with: the embedded Braintrust, and an export for each of its projects.
fn own_parameters(api: &DataPlane, now: Timestamp) -> [(String, String); 8] {
    [
        ("ApiUrl".to_owned(), api.url()),
        ("CreateExportBucket".to_owned(), "true".to_owned()),
        (
            "OrganizationId".to_owned(),
            api.organization().id.to_string(),
        ),
        // Every project's traces, from the first on.
        (
            "ProvisionPath".to_owned(),
            format!("s3://{EXPORT_BUCKET}/braintrust/{SLUG}/traces"),
        ),
        ("ProvisionRoleArn".to_owned(), export_role()),
        ("ProvisionStart".to_owned(), "0".to_owned()),
        (RELAY.to_owned(), api.organization().id.to_string()),
        // Not with the relay's first run: what happens before it is relayed, too.
        ("RelayStart".to_owned(), format!("{now:.0}")),
    ]
}

/// The writer, called as Lambda calls it.
struct WriterFunction(Writer<S3Store, Arc<Time>, OsEntropy>);

impl Handler for WriterFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let batch: Batch = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
            let outcome = self.0.handle(&batch).await;
            serde_json::to_value(&outcome.response).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

/// Delivery's logic, on the embedded stack.
type StackDelivery = Delivery<
    S3Store,
    S3Store,
    CustomerSinks<FileVault, Arc<Time>>,
    exports::OwnBus,
    Arc<Time>,
    OsEntropy,
>;

/// Delivery, called as Lambda calls it.
struct DeliveryFunction {
    delivery: StackDelivery,
    clock: Arc<Time>,
}

impl Handler for DeliveryFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let second = self.clock.now().as_second() + DELIVERY_SECONDS;
            let deadline = Timestamp::from_second(second).map_err(|e| e.to_string())?;
            let payload = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
            let run = self.delivery.handle(&payload, deadline);
            run.await.map_err(|e| e.to_string())?;
            serde_json::to_value(audit_delivery::Response::default()).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

//! The Lambda function; all that it does stands in the library.

use audit_relay::{ANSWER_WITHIN, Config, Relay};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::secret::ParameterSecret;
use sealift_aws::{OsEntropy, S3Store, SystemClock, config, system};
use sealift_braintrust::audit_log::AuditLogClient;
use sealift_braintrust::{Client, Settings};
use sealift_core::Timestamp;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let own = Config::from_lookup(system::environment)?;
    system::log_as_json(&own.log_level);
    let sdk = config::load().await;
    let key = ParameterSecret::on(&sdk, own.api_key_parameter, SystemClock);
    let settings = Settings {
        answer_timeout: ANSWER_WITHIN,
        attempts: 2,
        ..Settings::default()
    };
    let client = Client::new(own.api_url.parse()?, key, SystemClock, OsEntropy, settings)
        .for_organization(own.api_organization.as_deref())?;
    let source = AuditLogClient::new(client, own.settings.organization.clone());
    let bus = EventBridgeBus::on(&sdk, own.bus, SystemClock);
    let buckets = [own.state_bucket, own.log_bucket].map(|name| S3Store::on(&sdk, name));
    let relay = &Relay::new(
        buckets.into(),
        source,
        bus,
        SystemClock,
        OsEntropy,
        own.settings,
    );
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = i64::try_from(event.context.deadline)?;
        relay.handle(Timestamp::from_millisecond(deadline)?).await?;
        Ok::<_, Error>(())
    }))
    .await
}

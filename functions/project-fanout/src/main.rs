//! The Lambda function; all that it does stands in the library.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use project_fanout::{Config, Fanout};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::secret::ParameterSecret;
use sealift_aws::{OsEntropy, S3Store, SystemClock, config, system};
use sealift_braintrust::provisioning::Provisioning;
use sealift_braintrust::{Client, Settings};
use sealift_core::Timestamp;
use sealift_core::export::registry::Registry;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let own = Config::from_lookup(system::environment)?;
    system::log_as_json(&own.log_level);
    let sdk = config::load().await;
    let key = ParameterSecret::on(&sdk, own.api_key_parameter, SystemClock);
    let (url, settings) = (own.api_url.parse()?, Settings::default());
    let client = Client::new(url, key, SystemClock, OsEntropy, settings)
        .for_organization(own.api_organization.as_deref())?;
    let client = Arc::new(client);
    let token = own.service_token_parameter;
    let token = token.map(|name| ParameterSecret::on(&sdk, name, SystemClock));
    let remote = Provisioning::new(client.clone(), token);
    let registry = Registry {
        store: S3Store::on(&sdk, own.state_bucket),
        entropy: OsEntropy,
        shards: own.shards,
    };
    let bus = EventBridgeBus::on(&sdk, own.bus, SystemClock);
    let fanout = Fanout::new(registry, client, bus, SystemClock, own.settings);
    let fanout = &fanout.managing(remote);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = Timestamp::from_millisecond(i64::try_from(event.context.deadline)?)?;
        let payload = event.payload.to_string();
        fanout.handle(payload.as_bytes(), deadline).await?;
        Ok::<_, Error>(())
    }))
    .await
}

//! The Lambda function; all that it does stands in the library.

use export_dispatch::{Config, Dispatch};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::secret::ParameterSecret;
use sealift_aws::{OsEntropy, S3Store, SystemClock, config, system};
use sealift_braintrust::{Client, Settings};
use sealift_core::Timestamp;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let own = Config::from_lookup(system::environment)?;
    system::log_as_json(&own.log_level);
    let sdk = config::load().await;
    let key = ParameterSecret::on(&sdk, own.api_key_parameter, SystemClock);
    let source = Client::new(
        own.api_url.parse()?,
        key,
        SystemClock,
        OsEntropy,
        Settings::default(),
    )
    .for_organization(own.api_organization.as_deref())?;
    let bus = EventBridgeBus::on(&sdk, own.bus, SystemClock);
    let state = S3Store::on(&sdk, own.state_bucket);
    let dispatch = &Dispatch::new(state, source, bus, SystemClock, OsEntropy, own.settings);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = i64::try_from(event.context.deadline)?;
        let payload = event.payload.to_string();
        dispatch
            .handle(payload.as_bytes(), Timestamp::from_millisecond(deadline)?)
            .await?;
        Ok::<_, Error>(())
    }))
    .await
}

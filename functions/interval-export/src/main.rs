//! The Lambda function; all that it does stands in the library.

use interval_export::{Config, Export};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::exports::CustomerExports;
use sealift_aws::secret::ParameterSecret;
use sealift_aws::sinks::Options;
use sealift_aws::{OsEntropy, S3Store, SystemClock, config, system};
use sealift_braintrust::{Client, Settings};
use sealift_core::Timestamp;

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
    let sinks = CustomerExports::new(sdk, Options::through(own.principal_role), SystemClock);
    let (clock, entropy) = (SystemClock, OsEntropy);
    let export = &Export::new(state, source, sinks, bus, clock, entropy, own.settings);
    run(service_fn(|event: LambdaEvent<_>| async move {
        let deadline = i64::try_from(event.context.deadline)?;
        let deadline = Timestamp::from_millisecond(deadline)?;
        Ok::<_, Error>(export.handle(&event.payload, deadline).await)
    }))
    .await
}

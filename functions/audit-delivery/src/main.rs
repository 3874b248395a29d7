//! The Lambda function; all that it does stands in the library.

use audit_delivery::{Config, Delivery, Response};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::sinks::Options;
use sealift_aws::{CustomerSinks, OsEntropy, ParameterVault, S3Store, SystemClock, config, system};
use sealift_core::Timestamp;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Config {
        log_bucket,
        state_bucket,
        principal_role,
        parameter_path,
        bus,
        allowed,
        settings,
        log_level,
    } = Config::from_lookup(system::environment)?;
    system::log_as_json(&log_level);
    let sdk = config::load().await;
    let (log, state) = (
        S3Store::on(&sdk, log_bucket),
        S3Store::on(&sdk, state_bucket),
    );
    let vault = ParameterVault::on(&sdk, parameter_path);
    let sinks = CustomerSinks::new(
        sdk.clone(),
        Options::through(principal_role).opening(allowed),
        vault,
        SystemClock,
    );
    let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
    let delivery = &Delivery::new(log, state, sinks, bus, SystemClock, OsEntropy, settings);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = i64::try_from(event.context.deadline)?;
        let deadline = Timestamp::from_millisecond(deadline)?;
        delivery.handle(&event.payload, deadline).await?;
        Ok::<_, Error>(Response::default())
    }))
    .await
}

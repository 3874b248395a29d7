//! The Lambda function; all that it does stands in the library.

use destination_check::{Config, DestinationCheck};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sealift_aws::check::customer_checks;
use sealift_aws::sinks::Options;
use sealift_aws::{
    EventBridgeBus, OsEntropy, ParameterVault, S3Store, SystemClock, config, system,
};
use sealift_core::Timestamp;
use sealift_core::control::{Control, Parts};
use sealift_core::vault::TrialVault;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let own = Config::from_lookup(system::environment)?;
    system::log_as_json(&own.log_level);
    let sdk = config::load().await;
    let state = S3Store::on(&sdk, own.state_bucket.clone());
    // The log is read for a status alone, which nobody asks for here.
    let log = S3Store::on(&sdk, own.state_bucket);
    let vault = TrialVault::new(ParameterVault::on(&sdk, own.parameter_path));
    let options =
        Options::through(own.settings.principal.clone()).opening(own.settings.allowed.clone());
    let checks = customer_checks(&sdk, options, vault.clone(), SystemClock);
    let bus = EventBridgeBus::on(&sdk, own.bus, SystemClock);
    let (clock, entropy) = (SystemClock, OsEntropy);
    let parts = Parts {
        state,
        log,
        vault,
        checks,
        bus,
        clock,
        entropy,
    };
    let check = &DestinationCheck::new(Control::new(parts, own.settings), own.round);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = i64::try_from(event.context.deadline)?;
        check.run(Timestamp::from_millisecond(deadline)?).await?;
        Ok::<_, Error>(())
    }))
    .await
}

//! The Lambda function; all that it does stands in the library.

use std::sync::Arc;

use control_api::{Automations, Config, Exports, GatewayDoor, router};
use lambda_http::{Error, run};
use sealift_aws::check::customer_checks;
use sealift_aws::sinks::Options;
use sealift_aws::{
    EventBridgeBus, OsEntropy, ParameterVault, S3Store, SystemClock, config, system,
};
use sealift_core::control::{Control, Parts};
use sealift_core::export::registry::Registry;
use sealift_core::vault::TrialVault;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let own = Config::from_lookup(system::environment)?;
    system::log_as_json(&own.log_level);
    let sdk = config::load().await;
    let vault = TrialVault::new(ParameterVault::on(&sdk, own.parameter_path));
    let options =
        Options::through(own.settings.principal.clone()).opening(own.settings.allowed.clone());
    let door = GatewayDoor::new(&own.settings.principal, own.claims);
    let state = S3Store::on(&sdk, own.state_bucket);
    let registry = Registry {
        store: state.clone(),
        entropy: OsEntropy,
        shards: own.export_shards,
    };
    let bus = || EventBridgeBus::on(&sdk, own.bus.clone(), SystemClock);
    let exports = own.organization.map(|organization| -> Arc<dyn Exports> {
        Arc::new(Automations::new(registry, bus(), SystemClock, organization))
    });
    let parts = Parts {
        state,
        log: S3Store::on(&sdk, own.log_bucket),
        checks: customer_checks(&sdk, options, vault.clone(), SystemClock),
        vault,
        bus: bus(),
        clock: SystemClock,
        entropy: OsEntropy,
    };
    let service = Arc::new(Control::new(parts, own.settings));
    run(router(service, exports, Arc::new(door))).await
}

//! Whether an endpoint may be saved.

use std::net::IpAddr;

use super::{Control, ControlError};
use crate::check::Checks;
use crate::destination::Location;
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::reach::{host_of, judge, permits};
use crate::vault::Vault;

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Refuses an endpoint that must not be connected to, or whose name has an address that must not be.
    ///
    /// A name that has no address now may be saved: it may get one, the check tells of it, and whatever it has
    /// by then is looked at once more when a connection is made. What else an address is, is not told: whoever asks
    /// could map our network by it.
    pub(super) async fn admit_endpoint(&self, location: &Location) -> Result<(), ControlError> {
        let Some(endpoint) = &location.endpoint else {
            return Ok(());
        };
        let allowed = &self.settings.allowed;
        let reach = judge(endpoint, allowed).map_err(|_| refused())?;
        let host = host_of(endpoint);
        // An address is judged already, and has no names below it.
        if host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let mut hosts = vec![host.to_owned()];
        if !location.path_style {
            hosts.push(format!("{}.{host}", location.bucket));
        }
        for host in hosts {
            let addresses = self.checks.addresses(&host).await;
            if !addresses
                .into_iter()
                .all(|address| permits(reach, address, allowed))
            {
                return Err(refused());
            }
        }
        Ok(())
    }
}

fn refused() -> ControlError {
    ControlError::invalid(
        "endpoint",
        "it must be the https address of a service on the public internet, by a name whose addresses are all \
         public; who runs Sealift can open others (`AllowedEndpoints`)",
    )
}

//! Removing destinations.

use super::known::Proposal;
use super::{Caller, Control, ControlError, TRIES};
use crate::audit::catalogue::DESTINATION_DELETED;
use crate::check::Checks;
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
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
    /// Removes a destination: it is paused, its access keys are deleted, then its configuration, its
    /// cursors and replays, its hold on the prefix, and all that is remembered of it. The objects in
    /// the customer's bucket stay. The id is free from then on; what is created under it starts anew,
    /// with another ExternalId.
    pub async fn remove(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(), ControlError> {
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let tell =
                |teller: &mut super::entries::Teller<'_>| teller.deleted(&DESTINATION_DELETED);
            let changed = self.change(caller, known, Proposal::of(None), None, tell);
            if changed.await?.is_some() {
                return Ok(());
            }
        }
        Err(ControlError::Busy)
    }
}

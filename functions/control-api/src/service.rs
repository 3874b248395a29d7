//! What the routes call: the service of destinations, without the types of its parts.

use async_trait::async_trait;
use sealift_core::check::Checks;
use sealift_core::control::{
    Caller, CheckView, Control, ControlError, DestinationUpdate, DestinationView, NewDestination,
    Page, PageRequest, ReplayRequest, ReplayView, StartRequest, StatusView,
};
use sealift_core::id::{DestinationId, OrgId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::vault::Vault;

/// The operations of [`Control`], which says what each of them does.
///
/// A trait of its own, so that the routes and their description know nothing of stores, vaults and
/// clocks; and its futures are boxed, because all that an operation may do, one in another, is beyond
/// what the compiler looks into.
#[async_trait]
#[allow(
    missing_docs,
    reason = "each is the method of `Control` of the same name"
)]
pub trait Service: Send + Sync {
    async fn create(
        &self,
        caller: &Caller,
        organization: &OrgId,
        new: NewDestination,
    ) -> Result<DestinationView, ControlError>;
    async fn list(
        &self,
        caller: &Caller,
        organization: &OrgId,
        page: &PageRequest,
    ) -> Result<Page, ControlError>;
    async fn get(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError>;
    async fn update(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        update: DestinationUpdate,
    ) -> Result<DestinationView, ControlError>;
    async fn remove(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(), ControlError>;
    async fn check(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<CheckView, ControlError>;
    async fn start(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        start: StartRequest,
    ) -> Result<DestinationView, ControlError>;
    async fn pause(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError>;
    async fn replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        range: ReplayRequest,
    ) -> Result<ReplayView, ControlError>;
    async fn cancel_replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        replay: &str,
    ) -> Result<ReplayView, ControlError>;
    async fn status(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<StatusView, ControlError>;
}

#[async_trait]
impl<S, V, K, B, C, E> Service for Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    async fn create(
        &self,
        caller: &Caller,
        organization: &OrgId,
        new: NewDestination,
    ) -> Result<DestinationView, ControlError> {
        self.create(caller, organization, new).await
    }

    async fn list(
        &self,
        caller: &Caller,
        organization: &OrgId,
        page: &PageRequest,
    ) -> Result<Page, ControlError> {
        self.list(caller, organization, page).await
    }

    async fn get(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError> {
        self.get(caller, organization, id).await
    }

    async fn update(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        update: DestinationUpdate,
    ) -> Result<DestinationView, ControlError> {
        self.update(caller, organization, id, update).await
    }

    async fn remove(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<(), ControlError> {
        self.remove(caller, organization, id).await
    }

    async fn check(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<CheckView, ControlError> {
        self.check(caller, organization, id).await
    }

    async fn start(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        start: StartRequest,
    ) -> Result<DestinationView, ControlError> {
        self.start(caller, organization, id, start).await
    }

    async fn pause(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError> {
        self.pause(caller, organization, id).await
    }

    async fn replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        range: ReplayRequest,
    ) -> Result<ReplayView, ControlError> {
        self.replay(caller, organization, id, range).await
    }

    async fn cancel_replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        replay: &str,
    ) -> Result<ReplayView, ControlError> {
        self.cancel_replay(caller, organization, id, replay).await
    }

    async fn status(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<StatusView, ControlError> {
        self.status(caller, organization, id).await
    }
}

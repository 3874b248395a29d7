//! The service of destinations: what customers and operators can do with them.
//!
//! A destination stands in three places: its configuration in its shard's
//! [set](crate::destination::DestinationSet), which delivery reads; its [`record`], with all that
//! delivery needs not; and its access keys, if it has any, in the [vault](crate::vault). Beside them
//! [`places`] says who holds which prefix of which bucket.
//!
//! **Every change is written down before it is made.** The record holds the one change that is
//! under way: what the destination was before, what it will be, what becomes of access keys and
//! replays, and the audit entries that tell of it. Then the steps are done (`settle`); each can be
//! done again without harm. Whoever meets an open change finishes it first, so a crash anywhere is
//! repaired by the next operation, or by the daily sweep. Two changes of one destination at once
//! follow one another.
//!
//! Access keys cannot be written down. So a change that stores some can be finished only by who
//! has them; anybody else takes it back, but not within [`LEASE_MS`](record::LEASE_MS). The steps are
//! ordered such that at no moment keys lie in the vault for a destination that is not entered by
//! keys: to give keys, the configuration is changed first; to take them away, the vault comes first.
//!
//! **Audit entries are not lost.** They go into the record's outbox with the write that ends the
//! change, then onto the bus, and leave the outbox when the bus has taken them. What the bus refuses
//! stays, and is sent with the next operation or the daily sweep.
//!
//! An id of another organization is answered exactly as one that does not exist.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::audit::Actor;
use crate::check::Checks;
use crate::destination::{Destination, DestinationSet, shard_of};
use crate::document::{Refreshed, Stored};
use crate::id::{DestinationId, OrgId, RoleArn};
use crate::log::Log;
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::reach::Allowed;
use crate::vault::{TrialVault, Vault};

pub use self::error::ControlError;
pub use self::request::{
    Authentication, DEFAULT_PREFIX, DestinationUpdate, NewDestination, PageRequest, ReplayRequest,
    StartRequest,
};
pub use self::status::{
    Activity, ExpiryView, Fault, FreshnessView, GapView, Issue, State, StatusView,
};
pub use self::sweep::{Round, Swept};
pub use self::view::{
    AuthenticationView, CheckSummary, CheckView, DestinationView, HeldView, Page, ReplayProgress,
    ReplayView,
};

mod advice;
mod create;
mod endpoint;
mod entries;
mod error;
mod known;
pub mod places;
pub mod record;
mod remove;
mod replays;
mod request;
mod running;
mod settle;
mod status;
mod steps;
mod sweep;
mod update;
mod view;

/// How often an operation begins anew when others are quicker.
const TRIES: u32 = 16;

/// What the service works on.
#[derive(Debug)]
pub struct Parts<S, V, K, B, C, E> {
    /// The state bucket.
    pub state: S,
    /// The bucket of the audit log.
    pub log: S,
    /// The vault, which the checks have a clone of.
    pub vault: TrialVault<V>,
    /// The checks.
    pub checks: K,
    /// The bus that audit entries go to.
    pub bus: B,
    /// Time.
    pub clock: C,
    /// Chance.
    pub entropy: E,
}

/// How the service is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of shards of destinations. It cannot be changed once there are cursors.
    pub shards: u16,
    /// The principal that customers' trust policies name.
    pub principal: RoleArn,
    /// What the operator opens to customers' endpoints beside the public internet.
    pub allowed: Allowed,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What it may do.
    pub access: Access,
    /// Who it is, for the audit entries.
    pub actor: Actor,
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everything, in all organizations: who runs the stack.
    Operator,
    /// To see and change the destinations of one organization.
    Admin(OrgId),
    /// To see the destinations of one organization.
    Reader(OrgId),
}

impl Caller {
    /// Refuses a caller of another organization, in words that fit a missing one too.
    fn may_see(&self, organization: &OrgId) -> Result<(), ControlError> {
        match &self.access {
            Access::Operator => Ok(()),
            Access::Admin(own) | Access::Reader(own) if own == organization => Ok(()),
            Access::Admin(_) | Access::Reader(_) => Err(ControlError::NotFound {
                what: format!("organization {organization} that you may see"),
            }),
        }
    }

    fn may_change(&self, organization: &OrgId) -> Result<(), ControlError> {
        self.may_see(organization)?;
        match &self.access {
            Access::Operator | Access::Admin(_) => Ok(()),
            Access::Reader(_) => Err(ControlError::Forbidden {
                reason:
                    "an audit reader may look, and change nothing; ask an admin of the organization"
                        .to_owned(),
            }),
        }
    }

    fn is_operator(&self) -> bool {
        self.access == Access::Operator
    }
}

/// The service of destinations, on ports.
#[derive(Debug)]
pub struct Control<S, V, K, B, C, E> {
    state: S,
    log: Log<S>,
    vault: TrialVault<V>,
    checks: K,
    bus: B,
    clock: C,
    entropy: E,
    settings: Settings,
    /// The sets as they were read last, by shard. It only saves sending and parsing them: whoever
    /// looks at one asks whether it is still the same.
    sets: Mutex<BTreeMap<u16, Arc<Stored<DestinationSet>>>>,
}

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// The service on its parts.
    pub fn new(parts: Parts<S, V, K, B, C, E>, settings: Settings) -> Self {
        let Parts {
            state,
            log,
            vault,
            checks,
            bus,
            clock,
            entropy,
        } = parts;
        Self {
            state,
            log: Log::new(log),
            vault,
            checks,
            bus,
            clock,
            entropy,
            settings,
            sets: Mutex::default(),
        }
    }

    /// The principal that customers' trust policies name.
    pub fn principal(&self) -> &RoleArn {
        &self.settings.principal
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn shard(&self, organization: &OrgId) -> u16 {
        shard_of(organization, self.settings.shards)
    }

    /// The destinations of an organization's shard.
    async fn set(
        &self,
        organization: &OrgId,
    ) -> Result<Option<Arc<Stored<DestinationSet>>>, ControlError> {
        self.set_of(self.shard(organization)).await
    }

    async fn set_of(
        &self,
        shard: u16,
    ) -> Result<Option<Arc<Stored<DestinationSet>>>, ControlError> {
        let place = DestinationSet::place(shard);
        let known = self.sets().get(&shard).cloned();
        let stored = match &known {
            None => place.load(&self.state).await?,
            Some(known) => match place.refresh(&self.state, known).await? {
                Refreshed::Same => return Ok(Some(Arc::clone(known))),
                Refreshed::Changed(stored) => Some(stored),
                Refreshed::Gone => None,
            },
        };
        let set = stored.map(Arc::new);
        match &set {
            Some(set) => self.sets().insert(shard, Arc::clone(set)),
            None => self.sets().remove(&shard),
        };
        Ok(set)
    }

    fn sets(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Stored<DestinationSet>>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All destinations of the stack.
    async fn all(&self) -> Result<Vec<Destination>, ControlError> {
        let mut all = Vec::new();
        for shard in 0..self.settings.shards {
            let set = self.set_of(shard).await?;
            all.extend(set.iter().flat_map(|set| set.body.0.values().cloned()));
        }
        Ok(all)
    }
}

fn not_found(organization: &OrgId, id: &DestinationId) -> ControlError {
    ControlError::NotFound {
        what: format!("destination {id} of organization {organization}"),
    }
}

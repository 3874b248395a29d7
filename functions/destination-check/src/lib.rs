//! `destination-check`: checks every destination that streams once a day, holds those that turned
//! unsafe, finishes what operations on destinations were cut off from, and tells what audit entries
//! were left untold.
//!
//! It is called every hour and does what is due; [`Control::sweep`] tells how. It keeps no state of
//! its own, may be killed anywhere, and may run any number of times at once.

use sealift_core::Timestamp;
use sealift_core::audit::outbox::SentLeft;
use sealift_core::check::Checks;
use sealift_core::control::{Control, ControlError, Round, Swept};
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::vault::Vault;

pub use self::config::{Config, VARIABLES};

mod config;

/// Why a call did not do what it is for. The next one does what is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It could not be found out which destinations there are.
    #[error("the destinations could not be listed: {0}")]
    Listing(#[from] ControlError),
    /// Nothing worked on any of them: it is no single one's trouble.
    #[error("all {failed} destinations failed, the first with: {first}")]
    AllFailed {
        /// How many.
        failed: usize,
        /// With what.
        first: ControlError,
    },
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct DestinationCheck<S, V, K, B, C, E> {
    control: Control<S, V, K, B, C, E>,
    round: Round,
}

impl<S, V, K, B, C, E> DestinationCheck<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Rounds over all destinations that the service knows.
    pub fn new(control: Control<S, V, K, B, C, E>, round: Round) -> Self {
        Self { control, round }
    }

    /// Does what is due, until the deadline is near.
    pub async fn run(&self, deadline: Timestamp) -> Result<Swept, CheckError> {
        // Boxed: the futures of all that it may do, one in another, are beyond what the compiler
        // looks into.
        let swept = Box::pin(self.control.sweep(deadline, &self.round)).await?;
        tell_of_the_outbox(&swept.outbox);
        let failed = swept.failed.len();
        tracing::info!(
            target: TARGET,
            destinations_checked = swept.checked,
            destinations_held = swept.held.len(),
            destinations_failing = swept.failing,
            destinations_unknown = swept.unknown,
            destinations_left = swept.left,
            destination_check_errors = failed,
        );
        for destination in &swept.held {
            tracing::warn!(%destination, "destination {destination} was found unsafe, and is held");
        }
        for (destination, error) in &swept.failed {
            tracing::error!(
                %destination, %error,
                "destination {destination} could not be looked after: {error}; the next round tries again"
            );
        }
        if swept.left > 0 {
            let left = swept.left;
            tracing::warn!(
                left,
                "there was no time for {left} destinations; the next round goes on with them"
            );
        }
        match swept.failed.first() {
            Some((_, first)) if u64::try_from(failed).is_ok_and(|n| n == swept.looked_at) => {
                let first = first.clone();
                Err(CheckError::AllFailed { failed, first })
            }
            _ => Ok(swept),
        }
    }
}

fn tell_of_the_outbox(sent: &SentLeft) {
    let SentLeft {
        told,
        unknown,
        left,
        failed,
    } = sent;
    if *told > 0 {
        tracing::warn!(
            told,
            unknown,
            "{told} audit entries that had been left were put on the bus; \
             of {unknown} it is not known whether what they tell was done"
        );
    }
    for error in failed {
        tracing::error!(
            %error,
            "an audit entry of the outbox could not be told: {error}; the next round tries again"
        );
    }
    if *left > 0 {
        tracing::warn!(
            left,
            "{left} audit entries are left in the outbox; the next round goes on with them"
        );
    }
}

#[cfg(test)]
mod tests;

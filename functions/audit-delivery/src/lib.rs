//! `audit-delivery`: delivers what the audit log holds to each destination.
//!
//! It may be started at any time, any number of times at once, and may be killed anywhere: all
//! that it decides goes through the cursor documents by compare-and-swap, and an open plan is
//! always finished first, as recorded ([`sealift_core::delivery`] tells how). Who loses a
//! compare-and-swap stops; the winner goes on.
//!
//! `shard` moves the cursor that most destinations ride on; `left` moves those of the ones
//! left behind, `replays` those of replays, both in `turns`; `membership` decides who rides
//! where; `reading` reads the log and marks duplicates; `memory` spares reading what has not
//! changed; `writing` writes a plan's objects; `telling` tells customers of gaps, and `expiry` warns of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::delivery::encode::{EncodeError, Encoding};
use sealift_core::destination::Destination;
use sealift_core::document::DocumentError;
use sealift_core::id::{DestinationId, ReplayId};
use sealift_core::log::{Log, LogError};
use sealift_core::lookback::Lookback;
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};
use serde::Serialize;

pub use self::config::{Config, VARIABLES};
use self::memory::{Look, Memory};

mod config;
mod expiry;
mod left;
mod membership;
mod memory;
mod reading;
mod replays;
mod shard;
mod telling;
mod turns;
mod writing;

/// The detail-type of what the schedule sends.
pub const TICK: &str = "delivery.tick";

/// How delivery goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// At most one flush of a shard in this time.
    pub flush_interval: Duration,
    /// The number of shards. It cannot be changed once there are cursors.
    pub shards: u16,
    /// The look-back for duplicates, in milliseconds.
    pub lookback_ms: i64,
    /// A plan reads at most this many bytes of segments (but at least one segment).
    pub plan_bytes: u64,
    /// A plan reads at most this many segments.
    pub plan_segments: usize,
    /// A plan writes at most this many objects (but covers at least one segment).
    pub plan_objects: usize,
    /// A destination that takes longer than this in a flush is left behind.
    pub slow_after: Duration,
    /// How many destinations are written to at once.
    pub concurrency: usize,
    /// Nothing new is begun in this time before the deadline.
    pub reserve: Duration,
    /// How objects are encoded.
    pub encoding: Encoding,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(20),
            shards: 1,
            lookback_ms: 6 * 3600 * 1000,
            plan_bytes: 48 * 1024 * 1024,
            plan_segments: 256,
            plan_objects: 2000,
            slow_after: Duration::from_secs(5),
            concurrency: 32,
            reserve: Duration::from_secs(15),
            encoding: Encoding::default(),
        }
    }
}

/// Why a run ended early. The next run goes on where this one stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A document could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A plan's objects could not be made.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The cursors were made with another number of shards.
    #[error(
        "the cursors were made with {is} shards, but SEALIFT_SHARDS says {wanted}; \
         set it back: the number cannot be changed once events were delivered"
    )]
    Shards {
        /// The number in the cursors.
        is: u16,
        /// The number in the settings.
        wanted: u16,
    },
}

/// What Lambda takes back: no trigger need come again, since the cursors know what is left to
/// do. (A run that ends early fails as a whole, and then its triggers do come again.)
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
#[derive(Debug, Default, Serialize)]
pub struct Response {
    #[serde(rename = "batchItemFailures")]
    failures: [(); 0],
}

/// What came of a run. Counts are of what this run committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Plans of shards and of left destinations that were committed.
    pub plans: u64,
    /// Sums over these plans.
    pub counts: sealift_core::delivery::Counts,
    /// Destinations that were left behind in this run.
    pub left: u64,
    /// Destinations that rejoined their shard in this run.
    pub rejoined: u64,
    /// Tries of left destinations that failed in this run.
    pub failures: u64,
    /// Gaps that were noticed in this run.
    pub gaps: u64,
    /// Records of gaps that were written in this run.
    pub told: u64,
    /// Sums over the plans of replays that were committed.
    pub replayed: sealift_core::delivery::Counts,
    /// Owners that were warned of events that will expire.
    pub warnings: u64,
    /// Destinations that are left behind although they are not paused.
    pub behind: u64,
    /// How long the oldest has waited that waits for one of those, in milliseconds.
    pub slowest_lag_ms: i64,
    /// Destinations, paused or not, for which something waits that will soon expire.
    pub expiring: u64,
    /// How long the slowest event took that was delivered in this run, from the log into its
    /// bucket, in milliseconds.
    pub slowest_ms: Option<i64>,
    /// Whether another worker was quicker somewhere.
    pub overtaken: bool,
}

impl Report {
    /// Adds what a part of the run has done.
    fn add(&mut self, other: &Self) {
        self.plans += other.plans;
        self.counts = self.counts.plus(other.counts);
        self.left += other.left;
        self.rejoined += other.rejoined;
        self.failures += other.failures;
        self.gaps += other.gaps;
        self.told += other.told;
        self.replayed = self.replayed.plus(other.replayed);
        self.warnings += other.warnings;
        self.behind += other.behind;
        self.slowest_lag_ms = self.slowest_lag_ms.max(other.slowest_lag_ms);
        self.expiring += other.expiring;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.overtaken |= other.overtaken;
    }

    /// Notes when events were appended that are delivered now.
    fn note_appended(&mut self, appended: &[(i64, u64)], now_ms: i64) {
        let oldest_ms = appended.iter().map(|(appended_ms, _)| *appended_ms).min();
        let took_ms = oldest_ms.map(|oldest_ms| now_ms.saturating_sub(oldest_ms));
        self.slowest_ms = self.slowest_ms.max(took_ms);
    }

    fn tell_metrics(&self) {
        tracing::info!(
            target: TARGET,
            events_delivered = self.counts.delivered,
            events_replayed = self.replayed.delivered,
            destinations_left = self.behind,
            slowest_lag_seconds = self.slowest_lag_ms / 1000,
            buffers_expiring = self.expiring,
            gaps_found = self.gaps,
        );
        if let Some(slowest_ms) = self.slowest_ms {
            tracing::info!(
                target: TARGET,
                freshness_ms = slowest_ms,
            );
        }
    }
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Delivery<L, S, K, B, C, E> {
    log: Log<L>,
    state: S,
    sinks: K,
    bus: B,
    clock: C,
    entropy: E,
    settings: Settings,
    /// What a warm process remembers, by shard. It only saves reading: results do not depend
    /// on it.
    lookbacks: Mutex<BTreeMap<u16, Lookback>>,
    /// What a warm process has read before. It only saves reading it again.
    memory: Mutex<Memory>,
    /// Replays that a warm process has seen to be over. It only saves reading.
    over: Mutex<BTreeSet<(DestinationId, Option<i64>, ReplayId)>>,
}

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Delivery from the log in `log`'s bucket, with its state in `state`'s. Owners are warned by
    /// way of the bus.
    pub fn new(
        log: L,
        state: S,
        sinks: K,
        bus: B,
        clock: C,
        entropy: E,
        settings: Settings,
    ) -> Self {
        Self {
            log: Log::new(log),
            state,
            sinks,
            bus,
            clock,
            entropy,
            settings,
            lookbacks: Mutex::default(),
            memory: Mutex::default(),
            over: Mutex::default(),
        }
    }

    /// Handles a call. Whatever the payload is, it means "deliver what is due"; only where it comes
    /// by the minute, whether anything was appended is asked more cheaply.
    pub async fn handle(
        &self,
        payload: &serde_json::Value,
        deadline: Timestamp,
    ) -> Result<Report, DeliveryError> {
        let ticks = payload.get("detail-type").and_then(|kind| kind.as_str()) == Some(TICK);
        let look = if ticks { Look::Brief } else { Look::Whole };
        self.run_looking(look, deadline).await
    }

    /// Delivers what is due, until all is done or the deadline is near.
    pub async fn run(&self, deadline: Timestamp) -> Result<Report, DeliveryError> {
        self.run_looking(Look::Whole, deadline).await
    }

    async fn run_looking(&self, look: Look, deadline: Timestamp) -> Result<Report, DeliveryError> {
        let mut report = Report::default();
        let mut failed = None;
        for shard in 0..self.settings.shards {
            let mut lookback = self.take_lookback(shard);
            // Boxed: the futures of all that a run may do, one in another, are beyond what the
            // compiler looks into.
            let run = self.run_shard(shard, look, deadline, &mut lookback, &mut report);
            let result = Box::pin(run).await;
            self.keep_lookback(shard, lookback);
            if let Err(error) = result {
                tracing::error!(shard, %error, "delivery of shard {shard} stopped: {error}");
                failed.get_or_insert(error);
            }
        }
        report.tell_metrics();
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(report)
    }

    fn take_lookback(&self, shard: u16) -> Lookback {
        let mut kept = self
            .lookbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.remove(&shard)
            .unwrap_or_else(|| Lookback::new(self.settings.lookback_ms, None))
    }

    fn keep_lookback(&self, shard: u16, lookback: Lookback) {
        let mut kept = self
            .lookbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.insert(shard, lookback);
    }

    fn is_known_over(&self, destination: &Destination, replay: &ReplayId) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (
            destination.id.clone(),
            destination.created_ms,
            replay.clone(),
        );
        over.contains(&known)
    }

    fn remember_over(&self, destination: &Destination, replay: &ReplayId) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (
            destination.id.clone(),
            destination.created_ms,
            replay.clone(),
        );
        over.insert(known);
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// How long there is until the deadline, less what noting the result takes.
    fn until(&self, deadline: Timestamp) -> Duration {
        let left_ms = deadline.as_millisecond().saturating_sub(self.now_ms());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        left.saturating_sub(self.settings.reserve / 3)
    }

    /// Whether there is time to begin something new.
    fn has_time(&self, deadline: Timestamp) -> bool {
        let left_ms = deadline.as_millisecond().saturating_sub(self.now_ms());
        u128::try_from(left_ms).is_ok_and(|left| left > self.settings.reserve.as_millis())
    }
}

#[cfg(test)]
mod tests;

//! `audit-writer`: appends what the queue holds to the audit log. One batch, one segment.
//!
//! The rule for a message that can do no good (no JSON, no id, no organization, no time): it is
//! [parked](sealift_core::parked) alone, with its reason, and its batch goes on. A message comes again only if
//! it is not certain that its events are in the log or parked; a message that comes again
//! although they are doubles them in the log, where delivery finds them by their ids.

use sealift_core::event::{Reading, Shapes, read};
use sealift_core::gzip::Level;
use sealift_core::log::{Appended, Log};
use sealift_core::metrics::TARGET;
use sealift_core::parked::{Parked, park};
use sealift_core::partition::Hour;
use sealift_core::ports::{Clock, Entropy, ObjectStore};
use sealift_core::segment::Builder;
use sealift_core::sqs::{Batch, Failure, Response};

pub use self::config::{Config, VARIABLES};

mod config;

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Writer<S, C, E> {
    log: Log<S>,
    clock: C,
    entropy: E,
    shapes: Shapes,
    level: Level,
}

/// What came of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The messages that must come again.
    pub response: Response,
    /// Events that were found, usable or not.
    pub events: u64,
    /// Messages that were Sealift's own signals.
    pub control: u64,
    /// Events that were parked.
    pub parked: u64,
    /// Where the segment went, if there was anything to append.
    pub appended: Option<Appended>,
}

impl<S: ObjectStore, C: Clock, E: Entropy> Writer<S, C, E> {
    /// A writer to the log in the store's bucket.
    pub fn new(store: S, clock: C, entropy: E, shapes: Shapes, level: Level) -> Self {
        Self {
            log: Log::new(store),
            clock,
            entropy,
            shapes,
            level,
        }
    }

    /// Appends a batch.
    pub async fn handle(&self, batch: &Batch) -> Outcome {
        let mut outcome = Outcome::default();
        let mut builder = Builder::default();
        let mut parked = Vec::new();
        let (mut in_segment, mut in_parked) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        for record in &batch.records {
            let Reading::Events(events) = read(&record.body, &self.shapes) else {
                outcome.control += 1;
                continue;
            };
            let (events_before, parked_before) = (builder.events(), parked.len());
            for event in events {
                match event {
                    Ok(event) => builder.add(&event),
                    Err(rejected) => parked.push(Parked::of(
                        &rejected,
                        &record.message_id,
                        now.as_millisecond(),
                    )),
                }
            }
            if builder.events() > events_before {
                in_segment.push(record.message_id.as_str());
            }
            if parked.len() > parked_before {
                in_parked.push(record.message_id.as_str());
            }
        }
        outcome.events = builder.events() + parked.len() as u64;
        let mut again = Vec::new();
        if !parked.is_empty() && !self.park(&parked, now).await {
            again.extend(in_parked);
        } else {
            outcome.parked = parked.len() as u64;
        }
        if builder.events() > 0 {
            outcome.appended = self.append(builder).await;
            if outcome.appended.is_none() {
                again.extend(in_segment);
            }
        }
        // A bundle can be in both.
        again.sort_unstable();
        again.dedup();
        let failure = |id: &str| Failure {
            message_id: id.to_owned(),
        };
        outcome.response.failures = again.into_iter().map(failure).collect();
        let appended = outcome.appended.as_ref();
        tracing::info!(
            target: TARGET,
            events_received = outcome.events,
            events_parked = outcome.parked,
            messages_again = outcome.response.failures.len(),
            segment_bytes = appended.map_or(0, |appended| appended.bytes),
        );
        outcome
    }

    async fn park(&self, parked: &[Parked], now: sealift_core::Timestamp) -> bool {
        let Some(hour) = Hour::of(now) else {
            tracing::error!("events could not be parked: the clock is outside the years 1 to 9999");
            return false;
        };
        match park(self.log.store(), parked, hour).await {
            Ok(key) => {
                for reason in reasons(parked) {
                    let (reason, count) = reason;
                    tracing::warn!(%key, %reason, count, "events parked at {key}: {reason}");
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, count = parked.len(), "events could not be parked, and come again: {error}");
                false
            }
        }
    }

    async fn append(&self, builder: Builder) -> Option<Appended> {
        let events = builder.events();
        let result = match builder.finish(self.level) {
            Ok(draft) => self
                .log
                .append(&draft, &self.clock, &self.entropy)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match result {
            Ok(appended) => {
                let Appended {
                    sequence,
                    bytes,
                    retries,
                    ..
                } = &appended;
                tracing::info!(%sequence, events, bytes, retries, "segment {sequence} appended");
                Some(appended)
            }
            Err(error) => {
                tracing::error!(%error, events, "no segment appended, the batch comes again: {error}");
                None
            }
        }
    }
}

/// How many were parked for which reason.
fn reasons(parked: &[Parked]) -> std::collections::BTreeMap<&str, u64> {
    let mut reasons = std::collections::BTreeMap::new();
    for event in parked {
        *reasons.entry(event.reason.as_str()).or_default() += 1;
    }
    reasons
}

#[cfg(test)]
mod tests;

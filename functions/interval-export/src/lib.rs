//! `interval-export`: exports a project's new rows into the customer's bucket, file by file.
//!
//! One message, one run of one automation. A run claims the automation's cursor, takes a bound
//! that the source has settled, and reads on from the cursor to there: `run` has the course of
//! it, `reading` the rows and where files may end, `file` the file under way, `manifest` the
//! list that a run leaves beside its files, `way` the test of the way in.
//!
//! It may be killed anywhere and started any number of times: what counts is in the cursor's
//! document ([`sealift_core::export::cursor`]).
//!
//! The rule for a message that can do no good (no control event, an unknown type): it is
//! answered as failed, comes again a few times, and ends in the dead-letter queue, where an
//! operator finds it. One about an automation that is gone or paused is done with. A run that
//! failed is recorded on its cursor, and the timetable starts it again; its message is done
//! with, too.

use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::document::DocumentError;
use sealift_core::export::message::{BadMessage, Message};
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::LogSource;
use sealift_core::ports::{Clock, Entropy, EventBus, ExportSinks, ObjectStore, StoreError};
use sealift_core::sqs::{Batch, Failure, Response};

pub use self::config::{Config, VARIABLES};
pub use self::run::Report;

mod config;
mod file;
mod manifest;
mod reading;
mod reset;
mod run;
mod way;

/// How exports go about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of shards of the timetable. It cannot be changed once there are automations.
    pub shards: u16,
    /// Rows are read up to this long ago, and no later: the source may still be taking in what
    /// is younger.
    pub lag: Duration,
    /// A file ends at the first transaction after it has reached this size.
    pub file_bytes: u64,
    /// What a run may hold in memory of the file that it writes.
    pub buffer_bytes: usize,
    /// Nothing new is begun in this time before the deadline: it is for closing a file and
    /// committing it.
    pub reserve: Duration,
    /// Traces whose summaries are asked for at once.
    pub traces_at_once: usize,
    /// Traces of a file at the most: their ids are held in memory.
    pub traces_in_file: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 1,
            lag: Duration::from_secs(60),
            file_bytes: 128 * 1000 * 1000,
            buffer_bytes: 96 * 1000 * 1000,
            reserve: Duration::from_secs(45),
            traces_at_once: 100,
            traces_in_file: 50_000,
        }
    }
}

/// Why a message was not done with.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The message says nothing that can be done.
    #[error(transparent)]
    Message(#[from] BadMessage),
    /// A document could not be read or written.
    #[error(transparent)]
    Registry(RegistryError),
    /// The position cannot be used.
    #[error("the cursor cannot be set: {0}")]
    Reset(String),
    /// The cursor was set, and the bus did not take the audit entry of that.
    #[error("the cursor was set, and the audit entry of that comes again: {0}")]
    Untold(StoreError),
}

impl From<RegistryError> for ExportError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<DocumentError> for ExportError {
    fn from(error: DocumentError) -> Self {
        Self::Registry(error.into())
    }
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Export<S, L, K, B, C, E> {
    registry: Registry<S, E>,
    source: L,
    sinks: K,
    bus: B,
    clock: C,
    settings: Settings,
}

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Exports with their state in `store`'s bucket.
    pub fn new(
        store: S,
        source: L,
        sinks: K,
        bus: B,
        clock: C,
        entropy: E,
        settings: Settings,
    ) -> Self {
        let shards = settings.shards;
        Self {
            registry: Registry {
                store,
                entropy,
                shards,
            },
            source,
            sinks,
            bus,
            clock,
            settings,
        }
    }

    /// Handles a batch of messages, one after the other.
    pub async fn handle(&self, batch: &Batch, deadline: Timestamp) -> Response {
        let mut response = Response::default();
        for record in &batch.records {
            // Boxed: the futures of all that a run may do, one in another, are beyond what the
            // compiler looks into.
            let done = Box::pin(self.message(record.body.as_bytes(), deadline)).await;
            if let Err(error) = done {
                let message_id = record.message_id.clone();
                tracing::error!(%error, message_id, "message {message_id} was not done with: {error}");
                response.failures.push(Failure { message_id });
            }
        }
        response
    }

    async fn message(&self, body: &[u8], deadline: Timestamp) -> Result<(), ExportError> {
        let message = Message::parse(body)?;
        let now_ms = self.now_ms();
        let done = match &message {
            Message::Due(due) => self.run(due, deadline).await.map(|_| ()),
            Message::Reset(reset) => match Box::pin(self.reset(reset)).await {
                Err(ExportError::Registry(error)) => Err(error),
                other => return other,
            },
            Message::Pause(control) => {
                self.registry
                    .set_active(&control.automation_id, false, now_ms)
                    .await
            }
            Message::Resume(control) => {
                self.registry
                    .set_active(&control.automation_id, true, now_ms)
                    .await
            }
            Message::Test(control) => self.test_way(&control.automation_id).await,
            // Only the dispatcher cares.
            Message::Finished(_) => Ok(()),
        };
        match done {
            // Deleted since the message was sent.
            Err(RegistryError::Unknown(id)) => {
                tracing::warn!(automation = %id, "there is no automation {id} any more");
                if let Message::Due(due) = &message {
                    self.give_back(due).await;
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// How long there is until the deadline, less a part of the reserve.
    fn until(&self, deadline: Timestamp, reserve: Duration) -> Duration {
        let left_ms = deadline.as_millisecond().saturating_sub(self.now_ms());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        left.saturating_sub(reserve)
    }
}

#[cfg(test)]
mod tests;

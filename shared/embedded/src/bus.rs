//! The bus, the queues and the calls of functions, in one process.
//!
//! [`Bus`] carries events as the [`Wiring`] of the template says: from a bus by its rules to
//! queues and functions, from queues in batches to functions, and by schedules. Functions are
//! [`Handler`]s, given the very payload that Lambda would give them. Time is a [`Timeline`]:
//! with a [`JumpingClock`] the loop goes from one due time to the next at once, so the delays
//! and windows of the template cost nothing and still show in every timestamp.
//!
//! What differs from AWS: functions are called one after the other, so a mapping's
//! concurrency is one; queues give messages out in the order they become visible; nothing is
//! delivered twice unless it failed; and a function's time-out is not enforced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

pub use self::clock::{JumpingClock, Timeline};
pub use self::entry::{
    DEFAULT_BUS, Entry, EntryError, MAX_REQUEST_BYTES, MAX_REQUEST_ENTRIES, RequestError,
    object_created,
};
pub use self::queue::{MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, Message};
use self::state::{Sender, State, Work};
pub use self::statistics::{FunctionStatistics, QueueStatistics, Statistics};
use crate::template::Wiring;

mod clock;
mod entry;
mod payload;
mod queue;
mod state;
mod statistics;

/// A function, as the bus calls it.
pub trait Handler: Send + Sync {
    /// Handles one payload: JSON, as Lambda would hand it over. The error is what the function
    /// failed with, for people.
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>>;
}

/// The loop cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Events flow to a function that nobody registered.
    #[error("the template calls the function {0}, and no handler is registered for it")]
    NoHandler(String),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is under way any more; only schedules would go on.
    Idle,
    /// The time is up, and something is still under way.
    TimeUp,
}

/// The embedded bus with everything behind it. Clones share it.
pub struct Bus<C> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    wiring: Wiring,
    clock: Arc<C>,
    handlers: Mutex<BTreeMap<String, Arc<dyn Handler>>>,
    state: Mutex<State>,
}

impl<C> Clone for Bus<C> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<C: Timeline> Bus<C> {
    /// A bus with empty queues. Schedules count from now.
    pub fn new(wiring: Wiring, clock: Arc<C>) -> Self {
        let state = State::new(&wiring, clock.now());
        Self {
            shared: Arc::new(Shared {
                wiring,
                clock,
                handlers: Mutex::default(),
                state: Mutex::new(state),
            }),
        }
    }

    /// Names the handler of a function, by the function's logical id.
    pub fn register(&self, function: impl Into<String>, handler: Arc<dyn Handler>) {
        lock(&self.shared.handlers).insert(function.into(), handler);
    }

    /// Puts a producer's entries on a bus, as `PutEvents` does: each is taken or refused by
    /// itself, in order, and the answer has the taken ones' event ids.
    ///
    /// `bus` is a physical name; the account's own bus is [`DEFAULT_BUS`].
    pub fn put_events(
        &self,
        bus: &str,
        entries: &[Entry],
    ) -> Result<Vec<Result<String, EntryError>>, RequestError> {
        entry::check_request(entries)?;
        let now = self.shared.clock.now();
        let mut state = self.state();
        let wiring = &self.shared.wiring;
        let put = |entry| state.put(wiring, bus, entry, Sender::Producer, now);
        Ok(entries.iter().map(put).collect())
    }

    /// Puts an event of an AWS service (`aws.s3`) on the account's own bus, and answers with
    /// its event id. [`object_created`] makes one.
    pub fn service_event(&self, entry: &Entry) -> Result<String, EntryError> {
        let now = self.shared.clock.now();
        let wiring = &self.shared.wiring;
        self.state()
            .put(wiring, DEFAULT_BUS, entry, Sender::Service, now)
    }

    /// Sends a message to a queue, by its logical id, past every rule. False if there is no
    /// such queue or the message is larger than [`MAX_MESSAGE_BYTES`].
    pub fn send(&self, queue: &str, body: &str) -> bool {
        let now = self.shared.clock.now();
        self.state().send(&self.shared.wiring, queue, body, now)
    }

    /// The messages of a queue, by its logical id: the visible, the delayed and the received.
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        self.state().messages(queue)
    }

    /// Takes every message out of a queue.
    pub fn take_messages(&self, queue: &str) -> Vec<Message> {
        self.state().take_messages(queue)
    }

    /// What happened so far.
    pub fn statistics(&self) -> Statistics {
        self.state().statistics.clone()
    }

    /// How events flow here.
    pub fn wiring(&self) -> &Wiring {
        &self.shared.wiring
    }

    /// When the next thing is due: a batch, a call or a tick of a schedule.
    pub fn next_event_time(&self) -> Option<Timestamp> {
        self.state().next(&self.shared.wiring).map(|(due, _)| due)
    }

    /// Runs what becomes due until nothing is under way, and not beyond the limit. Schedules
    /// tick on the way, but do not keep it running.
    pub async fn run_until_idle(&self, limit: Timestamp) -> Result<Ended, RunError> {
        self.check_handlers()?;
        loop {
            if self.state().is_idle(&self.shared.wiring) {
                return Ok(Ended::Idle);
            }
            if !self.step(limit).await? {
                return Ok(Ended::TimeUp);
            }
        }
    }

    /// Runs everything that becomes due until a time, which it is afterwards.
    pub async fn run_until(&self, when: Timestamp) -> Result<(), RunError> {
        self.check_handlers()?;
        while self.step(when).await? {}
        self.shared.clock.reach(when).await;
        Ok(())
    }

    /// Does the next thing, or waits for it. False if it is due only after the limit.
    async fn step(&self, limit: Timestamp) -> Result<bool, RunError> {
        let clock = &self.shared.clock;
        let next = self.state().next(&self.shared.wiring);
        let Some((due, work)) = next.filter(|(due, _)| *due <= limit) else {
            return Ok(false);
        };
        if due > clock.now() {
            // Something may have come in the meantime, so look again afterwards.
            clock.reach(due).await;
            return Ok(true);
        }
        match work {
            Work::Tick(schedule) => self.state().tick(&self.shared.wiring, schedule, due),
            Work::Call(key) => self.call(key).await?,
            Work::Batch(mapping) => self.batch(mapping).await?,
        }
        Ok(true)
    }

    async fn call(&self, key: state::CallKey) -> Result<(), RunError> {
        let Some(call) = self.state().take_call(key) else {
            return Ok(());
        };
        let handler = self.handler(&call.function)?;
        let outcome = handler.invoke(call.payload.clone()).await;
        let now = self.shared.clock.now();
        let failed = outcome.err();
        if let Some(error) = &failed {
            tracing::warn!(
                function = call.function,
                attempt = call.attempt,
                error,
                "call failed"
            );
        }
        self.state()
            .called(&self.shared.wiring, call, failed.is_some(), now);
        Ok(())
    }

    async fn batch(&self, index: usize) -> Result<(), RunError> {
        let wiring = &self.shared.wiring;
        let Some(mapping) = wiring.mappings.get(index) else {
            return Ok(());
        };
        let now = self.shared.clock.now();
        let batch = self.state().receive(wiring, mapping, now);
        if batch.is_empty() {
            return Ok(());
        }
        let handler = self.handler(&mapping.function)?;
        let queue = wiring.queues.get(&mapping.queue);
        let arn = queue.map(|queue| queue.arn.as_str()).unwrap_or_default();
        let payload = payload::sqs_event(&batch, arn, &wiring.region);
        let outcome = handler.invoke(payload).await;
        if let Err(error) = &outcome {
            tracing::warn!(
                function = mapping.function,
                messages = batch.len(),
                error,
                "batch failed"
            );
        }
        let failed = payload::failed(&outcome, &batch, mapping.report_batch_item_failures);
        self.state()
            .settle(mapping, &batch, &failed, outcome.is_err());
        Ok(())
    }

    /// The handler of a function, by its logical id: to put another around it.
    pub fn handler(&self, function: &str) -> Result<Arc<dyn Handler>, RunError> {
        let handlers = lock(&self.shared.handlers);
        let handler = handlers.get(function).map(Arc::clone);
        handler.ok_or_else(|| RunError::NoHandler(function.to_owned()))
    }

    fn check_handlers(&self) -> Result<(), RunError> {
        let called = state::called_functions(&self.shared.wiring);
        for function in called {
            self.handler(function)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

/// A panic elsewhere leaves the state as it was between two steps, so it can be used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

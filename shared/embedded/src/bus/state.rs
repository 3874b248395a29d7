//! What is under way: the queues, the calls and the schedules, and what is due next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::entry::{DEFAULT_BUS, Entry, EntryError, Stamp};
use super::queue::{Message, Queue, Received, Stored, later};
use super::statistics::Statistics;
use crate::template::{Function, Mapping, TargetOf, Wiring};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// An asynchronous call.
    Call(CallKey),
    /// A schedule, by its place in the wiring.
    Tick(usize),
    /// A batch for a mapping, by its place in the wiring.
    Batch(usize),
}

/// Who puts an event on a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Anybody with the permission.
    Producer,
    /// A service of AWS, which alone may use a source of AWS.
    Service,
}

/// Calls sort by the time they are due, and then as they came.
pub(super) type CallKey = (Timestamp, u64);

/// An asynchronous call of a function.
pub(super) struct Call {
    pub(super) function: String,
    pub(super) payload: Bytes,
    pub(super) attempt: u64,
}

/// Identifiers in the form of version 4 UUIDs, the same for the same seed.
pub(super) struct Ids {
    seed: u64,
    drawn: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(super) fn next(&mut self) -> String {
        self.drawn += 1;
        let high = mix(self.seed ^ mix(self.drawn));
        let low = mix(high ^ self.drawn);
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }
}

/// The finalizer of splitmix64: every bit depends on every other, and no two inputs meet.
///
/// Source: <https://prng.di.unimi.it/splitmix64.c>
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What is under way.
pub(super) struct State {
    queues: BTreeMap<String, Queue>,
    calls: BTreeMap<CallKey, Call>,
    ticks: Vec<Timestamp>,
    made: u64,
    ids: Ids,
    pub(super) statistics: Statistics,
}

impl State {
    pub(super) fn new(wiring: &Wiring, now: Timestamp) -> Self {
        let first = |schedule: &crate::template::Schedule| later(now, schedule.every);
        Self {
            queues: wiring
                .queues
                .keys()
                .map(|id| (id.clone(), Queue::default()))
                .collect(),
            calls: BTreeMap::new(),
            ticks: wiring.schedules.iter().map(first).collect(),
            made: 0,
            ids: Ids::new(now.as_microsecond().unsigned_abs()),
            statistics: Statistics::default(),
        }
    }

    /// Takes an event and carries it to the targets of the rules that let it through.
    pub(super) fn put(
        &mut self,
        wiring: &Wiring,
        bus: &str,
        entry: &Entry,
        sender: Sender,
        now: Timestamp,
    ) -> Result<String, EntryError> {
        let allowed = match sender {
            Sender::Producer => entry.check_source(),
            Sender::Service => Ok(()),
        };
        let result = allowed.and_then(|()| self.try_put(wiring, bus, entry, now));
        match result {
            Ok(_) => self.statistics.events_put += 1,
            Err(_) => self.statistics.events_refused += 1,
        }
        result
    }

    fn try_put(
        &mut self,
        wiring: &Wiring,
        bus: &str,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<String, EntryError> {
        if bus != DEFAULT_BUS && !wiring.buses.values().any(|name| name == bus) {
            return Err(EntryError::NoSuchBus(bus.to_owned()));
        }
        let id = self.ids.next();
        let stamp = Stamp {
            id: &id,
            account: &wiring.account,
            region: &wiring.region,
            now,
        };
        let rules = || wiring.rules.iter().filter(|rule| rule.bus == bus);
        let with_detail = rules().any(|rule| rule.pattern.reads_below("detail"));
        let (event, text) = entry.envelope(&stamp, with_detail)?;
        for rule in rules().filter(|rule| rule.pattern.matches(&event)) {
            *self.statistics.matched.entry(rule.id.clone()).or_default() += 1;
            for target in &rule.targets {
                match &target.to {
                    TargetOf::Queue(queue) => {
                        self.send(wiring, queue, &text, now);
                    }
                    TargetOf::Function(function) => {
                        self.add_call(function, Bytes::from(text.clone()), 0, now);
                    }
                }
            }
        }
        Ok(id)
    }

    pub(super) fn send(&mut self, wiring: &Wiring, id: &str, body: &str, now: Timestamp) -> bool {
        let (Some(queue), Some(settings)) = (self.queues.get_mut(id), wiring.queues.get(id)) else {
            return false;
        };
        let counts = self.statistics.queues.entry(id.to_owned()).or_default();
        let Some(message) = Stored::new(self.ids.next(), body, now) else {
            counts.too_large += 1;
            return false;
        };
        counts.sent += 1;
        queue.insert(message, later(now, settings.delay));
        true
    }

    pub(super) fn messages(&self, queue: &str) -> Vec<Message> {
        self.queues
            .get(queue)
            .map(Queue::messages)
            .unwrap_or_default()
    }

    pub(super) fn take_messages(&mut self, queue: &str) -> Vec<Message> {
        self.queues
            .get_mut(queue)
            .map(Queue::take)
            .unwrap_or_default()
    }

    /// What is due first, and when.
    pub(super) fn next(&self, wiring: &Wiring) -> Option<(Timestamp, Work)> {
        let call = self
            .calls
            .keys()
            .next()
            .map(|key| (key.0, Work::Call(*key)));
        let ticks = self
            .ticks
            .iter()
            .enumerate()
            .map(|(n, due)| (*due, Work::Tick(n)));
        let batches = wiring
            .mappings
            .iter()
            .enumerate()
            .filter_map(|(n, mapping)| {
                let due = self.queues.get(&mapping.queue)?.due(mapping)?;
                Some((due, Work::Batch(n)))
            });
        call.into_iter().chain(ticks).chain(batches).min()
    }

    /// Whether nothing is under way but schedules.
    pub(super) fn is_idle(&self, wiring: &Wiring) -> bool {
        let empty = |mapping: &Mapping| self.queues.get(&mapping.queue).is_none_or(Queue::is_empty);
        self.calls.is_empty() && wiring.mappings.iter().all(empty)
    }

    pub(super) fn tick(&mut self, wiring: &Wiring, index: usize, due: Timestamp) {
        let (Some(tick), Some(schedule)) = (self.ticks.get_mut(index), wiring.schedules.get(index))
        else {
            return;
        };
        *tick = later(due, schedule.every);
        let payload = Bytes::from(schedule.input.clone());
        self.add_call(&schedule.function, payload, 0, due);
    }

    fn add_call(&mut self, function: &str, payload: Bytes, attempt: u64, due: Timestamp) {
        self.made += 1;
        let function = function.to_owned();
        let call = Call {
            function,
            payload,
            attempt,
        };
        self.calls.insert((due, self.made), call);
    }

    pub(super) fn take_call(&mut self, key: CallKey) -> Option<Call> {
        self.calls.remove(&key)
    }

    /// Counts a call, and makes it again later if it failed and may be.
    ///
    /// Source of the waits: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
    pub(super) fn called(&mut self, wiring: &Wiring, call: Call, failed: bool, now: Timestamp) {
        let counts = self
            .statistics
            .functions
            .entry(call.function.clone())
            .or_default();
        counts.calls += 1;
        if !failed {
            return;
        }
        counts.failures += 1;
        let function = wiring.functions.get(&call.function);
        if call.attempt >= function.map_or(0, |f| f.asynchronous_retries) {
            counts.given_up += 1;
            if let Some(function) = function
                && let Some(queue) = &function.on_failure
            {
                let record = given_up(function, &call, &self.ids.next(), now);
                self.send(wiring, queue, &record, now);
            }
            return;
        }
        let attempt = call.attempt + 1;
        let due = later(now, Duration::from_mins(attempt));
        self.add_call(&call.function, call.payload, attempt, due);
    }

    /// Receives a batch for a mapping; what was received too often goes to the queue's
    /// dead-letter queue on the way.
    pub(super) fn receive(
        &mut self,
        wiring: &Wiring,
        mapping: &Mapping,
        now: Timestamp,
    ) -> Vec<Received> {
        let settings = wiring.queues.get(&mapping.queue);
        let (Some(queue), Some(settings)) = (self.queues.get_mut(&mapping.queue), settings) else {
            return Vec::new();
        };
        let taken = queue.receive(settings, mapping.batch_size, now, &mut self.ids);
        let counts = self
            .statistics
            .queues
            .entry(mapping.queue.clone())
            .or_default();
        counts.received += count(taken.batch.len());
        counts.expired += taken.expired;
        counts.dead_lettered += count(taken.dead.len());
        let dead_letters = settings
            .redrive
            .as_ref()
            .map(|redrive| &redrive.dead_letter_queue);
        if let Some(queue) = dead_letters.and_then(|id| self.queues.get_mut(id)) {
            for message in taken.dead {
                queue.insert(message, now);
            }
        }
        taken.batch
    }

    /// Deletes what was handled. The places of the others are given; they come again when
    /// their visibility timeout is over.
    pub(super) fn settle(
        &mut self,
        mapping: &Mapping,
        batch: &[Received],
        failed: &BTreeSet<usize>,
        function_failed: bool,
    ) {
        let counts = self
            .statistics
            .functions
            .entry(mapping.function.clone())
            .or_default();
        counts.calls += 1;
        counts.batches.push(batch.len());
        if function_failed {
            counts.failures += 1;
        } else {
            counts.item_failures += count(failed.len());
        }
        let Some(queue) = self.queues.get_mut(&mapping.queue) else {
            return;
        };
        for (place, received) in batch.iter().enumerate() {
            if !failed.contains(&place) {
                queue.delete(received);
            }
        }
        let counts = self
            .statistics
            .queues
            .entry(mapping.queue.clone())
            .or_default();
        counts.deleted += count(batch.len() - failed.len());
    }
}

/// What Lambda sends on of an asynchronous call that failed to the last, without what the function
/// answered.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>
fn given_up(function: &Function, call: &Call, request_id: &str, now: Timestamp) -> String {
    let payload = serde_json::from_slice::<Value>(&call.payload).unwrap_or_default();
    json!({
        "version": "1.0",
        "timestamp": format!("{now:.3}"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": function.arn,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": call.attempt + 1,
        },
        "requestPayload": payload,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
    })
    .to_string()
}

/// The functions that something leads to.
pub(super) fn called_functions(wiring: &Wiring) -> BTreeSet<&str> {
    let targets = wiring.rules.iter().flat_map(|rule| &rule.targets);
    let by_rules = targets.filter_map(|target| match &target.to {
        TargetOf::Function(id) => Some(id.as_str()),
        TargetOf::Queue(_) => None,
    });
    let by_mappings = wiring
        .mappings
        .iter()
        .map(|mapping| mapping.function.as_str());
    let by_time = wiring
        .schedules
        .iter()
        .map(|schedule| schedule.function.as_str());
    by_rules.chain(by_mappings).chain(by_time).collect()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

//! A bus that keeps what is put on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sealift_core::ports::{BusEntry, EventBus, Failure, StoreError};

use super::failure;
use crate::lock;

/// How a refusal is sorted: `StoreError::Transient` and its like.
pub type Decision = fn(Failure) -> StoreError;

/// An [`EventBus`] in memory. Clones are one bus.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<BusEntry>,
    /// How many entries were offered so far.
    offered: usize,
    calls: usize,
    refusals: BTreeMap<usize, Decision>,
    outages: Vec<Decision>,
}

impl MemoryBus {
    /// The entries on the bus, in order.
    pub fn entries(&self) -> Vec<BusEntry> {
        lock(&self.state).entries.clone()
    }

    /// The entries on the bus, in order, which are taken off it.
    pub fn take(&self) -> Vec<BusEntry> {
        std::mem::take(&mut lock(&self.state).entries)
    }

    /// How often entries were put, however many and with whatever success.
    pub fn calls(&self) -> usize {
        lock(&self.state).calls
    }

    /// Refuses one entry: of those that are offered from now on, the n-th, counted from 0.
    pub fn refuse(&self, nth: usize, decision: Decision) {
        let mut state = lock(&self.state);
        let at = state.offered + nth;
        state.refusals.insert(at, decision);
    }

    /// Fails so many calls whole, from the next one on.
    pub fn fail(&self, times: usize, decision: Decision) {
        lock(&self.state).outages = vec![decision; times];
    }
}

impl EventBus for MemoryBus {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let mut state = lock(&self.state);
        state.calls += 1;
        let outage = state.outages.pop();
        let put = |entry: &BusEntry| {
            let refusal = state.refusals.get(&state.offered).copied();
            state.offered += 1;
            if let Some(decision) = outage.or(refusal) {
                let target = entry.detail_type.as_str();
                return Err(decision(failure("PutEvents", target, "Refused")));
            }
            state.entries.push(entry.clone());
            Ok(())
        };
        entries.iter().map(put).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn entry(detail_type: &str) -> BusEntry {
        BusEntry {
            source: "sealift.control".to_owned(),
            detail_type: detail_type.to_owned(),
            detail: "{}".to_owned(),
        }
    }

    fn put(bus: &MemoryBus, types: &[&str]) -> Vec<bool> {
        let entries: Vec<BusEntry> = types.iter().map(|text| entry(text)).collect();
        let outcomes = bus.put(&entries).now_or_never().expect("nothing waits");
        outcomes.iter().map(Result::is_ok).collect()
    }

    #[test]
    fn an_entry_that_is_refused_leaves_the_others_on_the_bus() {
        let bus = MemoryBus::default();
        assert_eq!(put(&bus, &["a"]), [true]);
        bus.refuse(1, StoreError::Transient);
        assert_eq!(put(&bus, &["b", "c", "d"]), [true, false, true]);
        assert_eq!(put(&bus, &["c"]), [true]);
        assert_eq!(bus.take(), ["a", "b", "d", "c"].map(entry));
        assert_eq!((bus.calls(), bus.entries()), (3, vec![]));
    }

    #[test]
    fn a_call_that_fails_whole_puts_nothing_there() {
        let bus = MemoryBus::default();
        bus.fail(1, StoreError::Denied);
        assert_eq!(put(&bus, &["a", "b"]), [false, false]);
        assert_eq!(put(&bus, &["a", "b"]), [true, true]);
        assert_eq!(bus.entries().len(), 2);
    }
}

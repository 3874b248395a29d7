//! What the bus counts.

use std::collections::BTreeMap;

/// What happened on a bus and behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Events that were taken.
    pub events_put: u64,
    /// Entries that were refused.
    pub events_refused: u64,
    /// Events that each rule let through, by the rule's logical id.
    pub matched: BTreeMap<String, u64>,
    /// Each queue, by its logical id.
    pub queues: BTreeMap<String, QueueStatistics>,
    /// Each function, by its logical id.
    pub functions: BTreeMap<String, FunctionStatistics>,
}

/// What happened in a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Messages that were sent to it.
    pub sent: u64,
    /// Messages that were received, each time counted.
    pub received: u64,
    /// Messages that were handled and deleted.
    pub deleted: u64,
    /// Messages that were received too often and went to its dead-letter queue.
    pub dead_lettered: u64,
    /// Messages that were kept too long and are gone.
    pub expired: u64,
    /// Messages that were too large for it and are gone.
    pub too_large: u64,
}

/// What happened to a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionStatistics {
    /// How often it was called.
    pub calls: u64,
    /// How often it failed as a whole.
    pub failures: u64,
    /// The messages in each of its batches, in order.
    pub batches: Vec<usize>,
    /// Messages that it reported as failed while it handled others.
    pub item_failures: u64,
    /// Asynchronous calls that were given up after all retries.
    pub given_up: u64,
}

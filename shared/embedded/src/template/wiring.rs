//! How events flow in a deployment: what the embedded bus takes from the template.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pattern::Pattern;

/// How events flow in a deployment. Resources are named by their logical ids, unless said
/// otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Wiring {
    /// The account that events carry.
    pub account: String,
    /// The region that events carry.
    pub region: String,
    /// The physical names of the custom buses. The account's own is `default`.
    pub buses: BTreeMap<String, String>,
    /// The rules, by their ids.
    pub rules: Vec<Rule>,
    /// The queues.
    pub queues: BTreeMap<String, Queue>,
    /// The mappings from queues to functions, by function and queue.
    pub mappings: Vec<Mapping>,
    /// What is called by time alone, by their ids.
    pub schedules: Vec<Schedule>,
    /// The functions.
    pub functions: BTreeMap<String, Function>,
    /// The buckets.
    pub buckets: BTreeMap<String, Bucket>,
    /// The values of the parameters.
    pub parameters: BTreeMap<String, String>,
}

/// Which events of a bus go where.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its logical id.
    pub id: String,
    /// The physical name of its bus.
    pub bus: String,
    /// The events that it lets through.
    pub pattern: Pattern,
    /// Where they go.
    pub targets: Vec<Target>,
}

/// One of the places that a rule's events go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The place.
    pub to: TargetOf,
    /// The queue for events that it does not take.
    pub dead_letter_queue: Option<String>,
}

/// What a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetOf {
    /// A queue: the envelope becomes a message's body.
    Queue(String),
    /// A function: the envelope is what it is called with, asynchronously.
    Function(String),
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its ARN.
    pub arn: String,
    /// How long a new message stays invisible.
    pub delay: Duration,
    /// How long a received message stays invisible.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The queue that they go to.
    pub dead_letter_queue: String,
    /// How often a message may be received before.
    pub max_receive_count: u64,
}

/// A mapping from a queue to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The queue.
    pub queue: String,
    /// The function.
    pub function: String,
    /// The most messages in a batch.
    pub batch_size: usize,
    /// How long messages are gathered.
    pub window: Duration,
    /// Whether the function's answer names the messages that it failed on.
    pub report_batch_item_failures: bool,
    /// How many batches are handled at once at the most.
    pub maximum_concurrency: Option<u64>,
}

/// A function that is called by time alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its logical id.
    pub id: String,
    /// The time between two calls.
    pub every: Duration,
    /// The function.
    pub function: String,
    /// What it is called with: JSON.
    pub input: String,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its ARN.
    pub arn: String,
    /// How long it may run.
    pub timeout: Duration,
    /// Its variables.
    pub environment: BTreeMap<String, String>,
    /// How often an asynchronous call is tried again.
    pub asynchronous_retries: u64,
    /// The queue of asynchronous calls that failed to the last.
    pub on_failure: Option<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its physical name.
    pub name: String,
    /// Whether it tells the default bus of its objects.
    pub notifies_bus: bool,
}

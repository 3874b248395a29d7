//! The meter on an embedded stack: what of it AWS would bill.
//!
//! Around each function stands a handler that reads two clocks. A call is billed for the time
//! that passed, in which each request to S3 and STS waits as long as it was told to, and for what
//! its CPU time would take longer on the share of a processor that the function's memory gives
//! it. Messages are counted as Lambda's pollers move them, lines and metrics of the log where the
//! functions write them, requests from the log of the embedded S3.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use sealift_aws::SystemClock;
use sealift_aws::metrics::Metrics;
use sealift_core::Timestamp;
use sealift_core::metrics::TARGET;
use sealift_core::sqs::Batch;
use sealift_embedded::bus::Handler;
use sealift_embedded::faults::{Effect, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::standing::Standing;
use super::usage::{GB, Item, MONTH_DAYS, MONTH_HOURS, Usage, chunks, real};
use crate::stack::Stack;

/// The memory that comes with a whole processor, in MB:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const PROCESSOR_MB: f64 = 1769.0;

/// The most messages of one answer of SQS, and of one request to delete them:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const RECEIVE_MESSAGES: usize = 10;

/// The most bytes of one answer of SQS.
const RECEIVE_BYTES: usize = 1024 * 1024;

/// What CloudWatch Logs adds to each line, in bytes:
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
const LINE_BYTES: usize = 26;

/// Bytes of the lines that Lambda itself writes of each call as JSON (`platform.start`,
/// `platform.report`), with what is added to them. An assumption: nothing here writes them.
const PLATFORM_LINES_BYTES: f64 = 700.0;

/// A meter. While it is there, what this thread logs is counted and not shown.
pub(super) struct Meter {
    shared: Arc<Shared>,
    standing: Standing,
    since: Timestamp,
    /// Events that were taken by the bus before.
    put: u64,
    _logs: Box<dyn std::any::Any>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    current: String,
    functions: BTreeMap<String, FunctionUse>,
    metrics: BTreeSet<(String, String)>,
    log_bytes: usize,
    /// Requests that sent and deleted messages.
    moved: f64,
    /// Requests that received messages, by function.
    received: BTreeMap<String, f64>,
    /// Events that S3 told the account's own bus of.
    service_events: u64,
    /// Chunks of entries beyond their first.
    more_chunks: f64,
    requests: Usage,
    customers: Usage,
}

/// What a function's calls took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct FunctionUse {
    pub(super) calls: u64,
    pub(super) megabytes: u64,
    /// Time that is billed, in seconds.
    pub(super) billed_seconds: f64,
    /// Of that, what was measured.
    pub(super) measured_seconds: f64,
}

/// What was used in a stretch of the stack's time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Window {
    pub(super) seconds: f64,
    /// On the bill of the account that runs Sealift.
    pub(super) platform: Usage,
    /// The part of it that time brings, whatever happens: alarms, metrics, schedules, polls.
    pub(super) standing: Usage,
    /// The metrics that were told, by function.
    pub(super) metrics: BTreeSet<(String, String)>,
    /// On the bills of those who own the buckets.
    pub(super) customers: Usage,
    pub(super) functions: BTreeMap<String, FunctionUse>,
}

impl Meter {
    /// Puts a meter on the stack. Each request to S3 and STS waits from now on.
    pub(super) fn on(stack: &Stack, request: Duration) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let wiring = stack.bus.wiring();
        let standing = Standing::of_template(&wiring.parameters)?;
        for (function, megabytes) in &standing.memory {
            // What nobody has registered is called by nothing here; the bus sees to that.
            let Ok(inner) = stack.bus.handler(function) else {
                continue;
            };
            let from_queue = wiring.mappings.iter().any(|m| m.function == *function);
            let metered = Metered {
                function: function.clone(),
                megabytes: *megabytes,
                from_queue,
                inner,
                shared: shared.clone(),
            };
            stack.bus.register(function.as_str(), Arc::new(metered));
        }
        let told = shared.clone();
        stack
            .aws
            .on_object_created(&stack.log_bucket, move |_| told.lock().service_events += 1);
        stack.aws.requests().keep(1_000_000);
        stack.aws.requests().clear();
        if !request.is_zero() {
            stack.aws.faults().add(Rule::new(Effect::Latency(request)));
        }
        Ok(Self {
            standing,
            since: stack.now(),
            put: stack.bus.statistics().events_put,
            _logs: Box::new(count_logs(&shared)),
            shared,
        })
    }

    /// An entry was put on the bus whose size counts as more than one event.
    pub(super) fn put_entry(&self, bytes: usize) {
        self.shared.lock().more_chunks += chunks(bytes) - 1.0;
    }

    /// Reads the log of requests, which is no longer than it must be.
    pub(super) fn read_requests(&self, stack: &Stack) {
        let records = stack.aws.requests().records();
        stack.aws.requests().clear();
        let mut state = self.shared.lock();
        for record in records {
            // STS is free.
            if record.bucket.is_empty() {
                continue;
            }
            let own = if record.bucket == stack.log_bucket.as_str() {
                Some(self.standing.log_days)
            } else if record.bucket == stack.state_bucket.as_str() {
                Some(self.standing.state_days)
            } else {
                None
            };
            let item = item_of(&record.operation);
            match (own, item) {
                (Some(_), Some(item)) => state.requests.add(item, 1.0),
                (None, Some(item)) => state.customers.add(item, 1.0),
                (_, None) => {}
            }
            if let Some(days) = own
                && record.operation == "PutObject"
                && record.status == Some(200)
            {
                let months = real(record.request_bytes) / GB * days / MONTH_DAYS;
                state.requests.add(Item::S3GbMonths, months);
            }
        }
    }

    /// What was used since the last time, and what stands there all the while.
    pub(super) fn take(&mut self, stack: &Stack) -> Window {
        self.read_requests(stack);
        let wiring = stack.bus.wiring();
        let put = stack.bus.statistics().events_put;
        let now = stack.now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        let hours = seconds / 3600.0;
        let state = std::mem::take(&mut *self.shared.lock());
        let mut usage = state.requests;
        let service = real(state.service_events);
        usage.add(Item::ServiceEvents, service);
        usage.add(
            Item::CustomEvents,
            real(put - self.put) - service + state.more_chunks,
        );
        usage.add(Item::SqsRequests, state.moved);
        let mut standing = self.standing.month.times(hours / MONTH_HOURS);
        for mapping in &wiring.mappings {
            let received = state.received.get(&mapping.function).copied();
            let received = received.unwrap_or_default();
            usage.add(Item::SqsRequests, received);
            let empty = (Standing::polls(mapping.maximum_concurrency, seconds) - received).max(0.0);
            standing.add(Item::SqsRequests, empty);
        }
        for schedule in &wiring.schedules {
            let calls = seconds / schedule.every.as_secs_f64();
            standing.add(Item::SchedulerCalls, calls);
        }
        for function in state.functions.values() {
            usage.add(Item::LambdaRequests, real(function.calls));
            let gb = real(function.megabytes) / 1024.0;
            usage.add(Item::LambdaGbSeconds, gb * function.billed_seconds);
        }
        let calls = usage.of(Item::LambdaRequests);
        let logged = real(state.log_bytes as u64) + calls * PLATFORM_LINES_BYTES;
        usage.add(Item::LogGb, logged / GB);
        // A metric is paid for each hour in which it is told.
        let metrics = real(state.metrics.len() as u64);
        standing.add(Item::MetricMonths, metrics * hours / MONTH_HOURS);
        (self.since, self.put) = (now, put);
        Window {
            seconds,
            platform: usage.plus(1.0, &standing),
            standing,
            metrics: state.metrics,
            customers: state.customers,
            functions: state.functions,
        }
    }
}

/// How a request to S3 is billed; not at all if it is one that deletes. One that is not known
/// counts as one of the dear ones.
fn item_of(operation: &str) -> Option<Item> {
    match operation {
        "DeleteObject" | "DeleteObjects" | "AbortMultipartUpload" => None,
        "GetObject" | "HeadObject" | "HeadBucket" | "GetBucketLocation" => Some(Item::S3Reads),
        _ => Some(Item::S3Writes),
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function with a meter on it.
struct Metered {
    function: String,
    megabytes: u64,
    from_queue: bool,
    inner: Arc<dyn Handler>,
    shared: Arc<Shared>,
}

impl Handler for Metered {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            self.shared.lock().current.clone_from(&self.function);
            let before = (elapsed(), cpu());
            let outcome = self.inner.invoke(payload.clone()).await;
            let passed = elapsed().saturating_sub(before.0).as_secs_f64();
            let worked = cpu().saturating_sub(before.1).as_secs_f64();
            let mut state = self.shared.lock();
            let function = state.functions.entry(self.function.clone()).or_default();
            function.calls += 1;
            function.megabytes = self.megabytes;
            function.measured_seconds += passed;
            function.billed_seconds += billed(passed, worked, self.megabytes);
            if self.from_queue
                && let Ok(batch) = serde_json::from_slice::<Batch>(&payload)
            {
                let sizes: Vec<usize> = batch.records.iter().map(|r| r.body.len()).collect();
                let (moved, received) = messages(&sizes);
                state.moved += moved;
                *state.received.entry(self.function.clone()).or_default() += received;
            }
            outcome
        }
        .boxed()
    }
}

/// What a call is billed, in seconds: whole milliseconds of what passed, and of what the work
/// takes longer on less than a processor.
fn billed(passed: f64, worked: f64, megabytes: u64) -> f64 {
    let slower = (PROCESSOR_MB / real(megabytes) - 1.0).max(0.0);
    ((passed + worked * slower) * 1000.0).ceil() / 1000.0
}

/// The requests that send and delete a batch of messages, and those that receive it.
fn messages(sizes: &[usize]) -> (f64, f64) {
    let sent: f64 = sizes.iter().map(|size| chunks(*size)).sum();
    let deleted = sizes.len().div_ceil(RECEIVE_MESSAGES);
    let mut received = 0.0;
    let (mut count, mut bytes) = (0, 0);
    for size in sizes {
        if count == RECEIVE_MESSAGES || (count > 0 && bytes + size > RECEIVE_BYTES) {
            received += chunks(bytes);
            (count, bytes) = (0, 0);
        }
        count += 1;
        bytes += size;
    }
    if count > 0 {
        received += chunks(bytes);
    }
    (sent + real(deleted as u64), received)
}

fn elapsed() -> Duration {
    read(ClockId::Monotonic)
}

/// CPU time of the whole process: the function's, and that of the S3 that it calls.
fn cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    // Neither clock can show a time before its beginning.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Has what the functions log on this thread counted, in the form and at the level in which they
/// are deployed.
fn count_logs(shared: &Arc<Shared>) -> impl Sized + use<> {
    let lines = shared.clone();
    let log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .without_time()
        .with_writer(move || Lines(lines.clone()))
        .with_filter(EnvFilter::new(format!("info,s3s=off,{TARGET}=off")));
    let numbers = shared.clone();
    let metrics = Metrics::new("sealift", SystemClock, move || Numbers(numbers.clone()));
    let metrics = metrics.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(log)
        .with(metrics)
        .set_default()
}

/// Counts the lines of the log, each of which is written at once.
struct Lines(Arc<Shared>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().log_bytes += line.len() + LINE_BYTES;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Counts the metrics, which are lines of the log, too.
struct Numbers(Arc<Shared>);

/// What is read of a line of metrics.
#[derive(Deserialize)]
struct MetricLine {
    #[serde(rename = "_aws")]
    aws: MetricHead,
}

#[derive(Deserialize)]
struct MetricHead {
    #[serde(rename = "CloudWatchMetrics")]
    directives: Vec<Directive>,
}

#[derive(Deserialize)]
struct Directive {
    #[serde(rename = "Metrics")]
    metrics: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "Name")]
    name: String,
}

impl Write for Numbers {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let read: MetricLine = serde_json::from_slice(line)?;
        let mut state = self.0.lock();
        state.log_bytes += line.len() + LINE_BYTES;
        let function = state.current.clone();
        for directive in read.aws.directives {
            for metric in directive.metrics {
                state.metrics.insert((function.clone(), metric.name));
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn work_takes_longer_on_less_than_a_processor_and_waiting_does_not() {
        // Half a processor: 100 ms of waiting, 50 ms of work that take 100.
        let half = billed(0.150, 0.050, 884);
        assert!((half - 0.201).abs() < 0.0015, "{half}");
        assert!(close(billed(0.150, 0.050, 1769), 0.150));
        assert!(close(billed(0.150, 0.050, 3538), 0.150));
        assert!(close(billed(0.000_1, 0.0, 1769), 0.001));
    }

    #[test]
    fn messages_are_received_by_tens_and_counted_by_their_bytes() {
        // 25 small messages: 25 sent, received and deleted by 3 requests each.
        let (moved, received) = messages(&[1200; 25]);
        assert!(close(moved, 28.0) && close(received, 3.0));
        // Ten of 100,000 bytes: two chunks each to send; a million bytes are 16 to receive.
        let (moved, received) = messages(&[100_000; 10]);
        assert!(close(moved, 21.0) && close(received, 16.0));
        // Two that do not fit into one answer.
        let (moved, received) = messages(&[600_000; 2]);
        assert!(close(moved, 21.0) && close(received, 20.0));
        let (moved, received) = messages(&[]);
        assert!(close(moved, 0.0) && close(received, 0.0));
    }

    #[test]
    fn deletions_are_free_and_an_unknown_request_is_a_dear_one() {
        assert_eq!(item_of("DeleteObject"), None);
        assert_eq!(item_of("GetObject"), Some(Item::S3Reads));
        for operation in ["PutObject", "ListObjectsV2", "UploadPart", "SomethingNew"] {
            assert_eq!(item_of(operation), Some(Item::S3Writes));
        }
    }

    #[test]
    fn metrics_are_counted_once_by_function_and_name() {
        let shared = Arc::new(Shared::default());
        let line = br#"{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Sealift","Dimensions":[["FunctionName"]],"Metrics":[{"Name":"a","Unit":"Count"},{"Name":"b","Unit":"Count"}]}]},"a":1,"b":2}"#;
        for function in ["one", "one", "two"] {
            shared.lock().current = function.to_owned();
            Numbers(shared.clone()).write_all(line).unwrap();
        }
        assert_eq!(shared.lock().metrics.len(), 4);
        assert_eq!(shared.lock().log_bytes, 3 * (line.len() + 26));
    }
}

//! Metrics: numbers that functions tell of each call, as CloudWatch reads them out of the log.
//!
//! [`sealift_core::metrics`] says how a function tells them. The one dimension is the function's
//! name. A number that is 0 is left out: it would change no sum and no maximum, and a metric that
//! is told costs as much for the hour, whatever it says. So a quiet stack has none to pay for.
//!
//! The line's format is CloudWatch's embedded metric format:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write;

use sealift_core::metrics::TARGET;
use sealift_core::ports::Clock;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Sealift";

/// The name of the one dimension.
const DIMENSION: &str = "FunctionName";

/// The most metrics of one line: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
const MOST: usize = 100;

/// Writes the metrics of a function.
#[derive(Debug)]
pub struct Metrics<C, W> {
    function: String,
    clock: C,
    out: W,
}

impl<C: Clock, W> Metrics<C, W> {
    /// Metrics of the function, written to what `out` makes.
    pub fn new(function: impl Into<String>, clock: C, out: W) -> Self {
        let function = function.into();
        Self {
            function,
            clock,
            out,
        }
    }

    /// The line for what an event says; none if it holds no number.
    fn line(&self, numbers: Numbers) -> Option<String> {
        if numbers.0.is_empty() {
            return None;
        }
        let described: Vec<Value> = numbers
            .0
            .keys()
            .map(|name| json!({"Name": name, "Unit": unit(name)}))
            .collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": self.clock.now().as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": described,
                }],
            },
            DIMENSION: self.function,
        });
        if let Value::Object(fields) = &mut line {
            fields.extend(numbers.0);
        }
        Some(line.to_string())
    }
}

fn unit(name: &str) -> &'static str {
    match name.rsplit_once('_') {
        Some((_, "ms")) => "Milliseconds",
        Some((_, "seconds")) => "Seconds",
        Some((_, "bytes")) => "Bytes",
        _ => "Count",
    }
}

impl<S, C, W, O> Layer<S> for Metrics<C, W>
where
    S: Subscriber,
    C: Clock + 'static,
    W: Fn() -> O + Send + Sync + 'static,
    O: Write,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut numbers = Numbers::default();
        event.record(&mut numbers);
        if let Some(mut line) = self.line(numbers) {
            line.push('\n');
            // One write, so that lines of two threads do not mix. There is nobody to tell if
            // standard output is gone.
            let _ = (self.out)().write_all(line.as_bytes());
        }
    }
}

/// The numbers of an event.
#[derive(Debug, Default)]
struct Numbers(Map<String, Value>);

impl Numbers {
    fn note(&mut self, field: &Field, value: Value) {
        let nothing = value.as_f64() == Some(0.0);
        if !nothing && self.0.len() < MOST {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Numbers {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, json!(value));
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use sealift_core::Timestamp;
    use sealift_testkit::VirtualClock;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(tell: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let out = written.clone();
        let clock = VirtualClock::new("2026-05-13T00:00:00Z".parse::<Timestamp>().unwrap());
        let metrics = Metrics::new("sealift-audit-writer", clock, move || out.clone());
        let subscriber = tracing_subscriber::registry().with(metrics);
        tracing::subscriber::with_default(subscriber, tell);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_number_becomes_a_metric_with_the_unit_that_its_name_ends_with() {
        let lines = lines(|| {
            tracing::info!(
                target: TARGET,
                events_received = 12_u64,
                oldest_age_ms = 1300_i64,
                written_bytes = 5_u64,
                events_parked = 0_u64,
                lag_ms = 0_i64,
                share = 0.0_f64,
                "not a metric: {}", "text"
            );
        });
        let expected = json!({
            "_aws": {
                "Timestamp": 1_778_630_400_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Sealift",
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [
                        {"Name": "events_received", "Unit": "Count"},
                        {"Name": "oldest_age_ms", "Unit": "Milliseconds"},
                        {"Name": "written_bytes", "Unit": "Bytes"},
                    ],
                }],
            },
            "FunctionName": "sealift-audit-writer",
            "events_received": 12,
            "oldest_age_ms": 1300,
            "written_bytes": 5,
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn other_events_are_no_metrics_and_one_without_numbers_is_none() {
        let lines = lines(|| {
            tracing::info!(events = 1_u64, "a line of the log");
            tracing::info!(target: TARGET, organization = "acme", "nothing");
            tracing::info!(target: TARGET, events_received = 0_u64, "nothing either");
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}

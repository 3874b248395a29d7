//! The machine's own time and chance.

use std::time::Duration;

use jiff::Timestamp;
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::metrics::Metrics;

/// The machine's clock, and sleep on the tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the time; all else is handed a Clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The operating system's random numbers, fit for secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// Aborts the process if the operating system has no random numbers to give: a name that
    /// somebody else may draw as well could overwrite their data, and nothing can be done
    /// without such names. On Linux it happens only where system calls are forbidden.
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(error) => {
                tracing::error!(%error, "the operating system gives no random numbers");
                std::process::abort()
            }
        }
    }
}

/// A variable of the environment, for a function's `Config::from_lookup`.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment; all else is handed a lookup"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Sends log lines and metrics to standard output as JSON, one object a line, as CloudWatch takes
/// them. `filter` says what is logged, in the syntax of
/// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/targets/struct.Targets.html>;
/// metrics are written whatever it says. One that cannot be read counts as `info`, and a line says so.
pub fn log_as_json(filter: &str) {
    let (targets, bad) = targets(filter);
    let log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .without_time()
        .with_filter(targets);
    let function = environment("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let metrics = Metrics::new(function, SystemClock, std::io::stdout);
    let metrics = metrics.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(log)
        .with(metrics)
        .init();
    if let Some(error) = bad {
        tracing::warn!(
            filter,
            error,
            "the filter of what is logged cannot be read, so it is info: {error}"
        );
    }
}

/// What is logged, and what is wrong with the filter. Without regular expressions, which `EnvFilter` has, a function is
/// half a megabyte smaller.
fn targets(filter: &str) -> (Targets, Option<String>) {
    let (targets, bad) = match filter.parse::<Targets>() {
        Ok(targets) => (targets, None),
        Err(error) => (
            Targets::new().with_default(LevelFilter::INFO),
            Some(error.to_string()),
        ),
    };
    // They are no lines of the log.
    (targets.with_target(TARGET, LevelFilter::OFF), bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_levels_and_targets_and_one_that_cannot_be_read_is_info() {
        let would =
            |filter: &str, target: &str, level| targets(filter).0.would_enable(target, &level);
        let (info, debug) = (tracing::Level::INFO, tracing::Level::DEBUG);
        assert!(would("info", "audit_delivery", info) && !would("info", "audit_delivery", debug));
        let both = "warn,audit_delivery=debug";
        assert!(would(both, "audit_delivery::shard", debug) && !would(both, "other", info));
        assert!(!would("off", "audit_delivery", info));
        for bad in ["a=b=c", "audit_delivery=loud"] {
            assert!(targets(bad).1.is_some(), "{bad}");
            assert!(would(bad, "audit_delivery", info) && !would(bad, "audit_delivery", debug));
        }
        for filter in ["info", "trace", "a=b=c", "sealift_core=trace"] {
            assert!(!would(filter, TARGET, info), "{filter}");
        }
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(OsEntropy.nonce(), OsEntropy.nonce());
    }

    #[tokio::test]
    async fn the_clock_goes_on_while_it_sleeps() {
        let before = SystemClock.now();
        SystemClock.sleep(Duration::from_millis(5)).await;
        assert!(SystemClock.now().duration_since(before).as_millis() >= 4);
    }
}

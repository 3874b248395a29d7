//! Metrics: numbers that a function tells of each call.
//!
//! An event written to [`TARGET`] is one: each of its numbers becomes a metric of the function.
//! A name's ending tells the unit: `_ms` for milliseconds, `_seconds`, `_bytes`; any other is a
//! count.
//!
//! ```text
//! tracing::info!(target: sealift_core::metrics::TARGET, events_received = 12, oldest_age_ms = 1300);
//! ```
//!
//! No tenant's name is in a metric: a metric for each would cost as much as one, and tell every
//! reader of the dashboard who the tenants are. What a single tenant needs is on its status.

/// The target of events that are metrics.
pub const TARGET: &str = "sealift::metrics";

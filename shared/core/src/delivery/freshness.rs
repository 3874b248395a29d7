//! Freshness: how long events took from the log into the customer's bucket.
//!
//! Kept with a destination's progress, so it has to be small: two histograms of which each
//! covers half a day, with at most [`BUCKETS`] numbers. Each bucket's upper bound is a quarter
//! above the one before, so a quantile is told at most a quarter too high, and never too low.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// After this time the newer histogram becomes the older one.
const HALF_MS: i64 = 12 * 3600 * 1000;

/// The upper bound of the first bucket, in milliseconds.
const FIRST_MS: i64 = 1000;

/// The number of buckets; the last but one ends after more than 37 days, and the last has no
/// upper bound.
pub const BUCKETS: u8 = 70;

/// How long events took, over the last 12 to 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When the newer histogram began, in milliseconds since 1970.
    since_ms: i64,
    /// What was seen since then.
    recent: Histogram,
    /// What was seen in the half day before.
    #[serde(default, skip_serializing_if = "Histogram::is_empty")]
    earlier: Histogram,
}

/// Numbers of events by how long they took. Empty buckets are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram(BTreeMap<u8, u64>);

/// What stands behind a share of all events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of the events took at most this long, in milliseconds.
    pub p50_ms: Option<i64>,
    /// 95 of 100 took at most this long, in milliseconds.
    pub p95_ms: Option<i64>,
    /// How many events there were.
    pub events: u64,
}

impl Histogram {
    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many events were seen.
    pub fn events(&self) -> u64 {
        self.0
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Counts events that took so long.
    pub fn observe(&mut self, took_ms: i64, events: u64) {
        if events == 0 {
            return;
        }
        let bucket = (0..BUCKETS - 1)
            .zip(bounds())
            .find(|(_, bound)| took_ms <= *bound)
            .map_or(BUCKETS - 1, |(bucket, _)| bucket);
        let count = self.0.entry(bucket).or_default();
        *count = count.saturating_add(events);
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (bucket, events) in &other.0 {
            let count = self.0.entry(*bucket).or_default();
            *count = count.saturating_add(*events);
        }
        self
    }

    /// The upper bound of the bucket that the quantile lies in. `None` if nothing was seen.
    pub fn quantile(&self, percent: u64) -> Option<i64> {
        let events = u128::from(self.events());
        let rank = (events * u128::from(percent)).div_ceil(100).max(1);
        let mut passed = 0;
        let bucket = self.0.iter().find_map(|(bucket, count)| {
            passed += u128::from(*count);
            (passed >= rank).then_some(*bucket)
        })?;
        bounds().nth(usize::from(bucket))
    }
}

/// The upper bounds of the buckets.
fn bounds() -> impl Iterator<Item = i64> {
    std::iter::successors(Some(FIRST_MS), |bound| {
        Some(bound.saturating_add(bound / 4))
    })
}

impl Freshness {
    /// Whether nothing was ever seen.
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.earlier.is_empty()
    }

    /// Counts events that were appended to the log at a time and are delivered now.
    pub fn observe(&mut self, appended_ms: i64, now_ms: i64, events: u64) {
        self.turn(now_ms);
        self.recent
            .observe(now_ms.saturating_sub(appended_ms), events);
    }

    /// What is to be told of it now.
    pub fn quantiles(&self, now_ms: i64) -> Quantiles {
        let mut now = self.clone();
        now.turn(now_ms);
        let all = now.recent.plus(&now.earlier);
        Quantiles {
            p50_ms: all.quantile(50),
            p95_ms: all.quantile(95),
            events: all.events(),
        }
    }

    /// Forgets what is too old.
    fn turn(&mut self, now_ms: i64) {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        // Also where the clock was set back behind the beginning.
        if (0..HALF_MS).contains(&age_ms) {
            return;
        }
        let recent = std::mem::take(&mut self.recent);
        let still = (HALF_MS..2 * HALF_MS).contains(&age_ms);
        self.earlier = if still { recent } else { Histogram::default() };
        self.since_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: i64 = 3600 * 1000;

    #[test]
    fn a_day_that_is_over_no_longer_counts() {
        let mut freshness = Freshness::default();
        let start = 1_778_630_400_000;
        freshness.observe(start - 900, start, 10);
        freshness.observe(start + 13 * HOUR_MS - 60_000, start + 13 * HOUR_MS, 30);
        let at = |hours| freshness.quantiles(start + hours * HOUR_MS);
        assert_eq!((at(13).events, at(13).p50_ms), (40, Some(69_327)));
        assert_eq!(at(26).events, 30, "the first half day is over");
        let none = Quantiles::default();
        assert_eq!(at(13 + 24), none);
    }

    #[test]
    fn it_reads_as_it_was_written_also_by_way_of_a_value() {
        let mut freshness = Freshness::default();
        freshness.observe(0, 20_000, 3);
        freshness.observe(0, i64::MAX, 1);
        let value = serde_json::to_value(&freshness).unwrap();
        assert_eq!(
            serde_json::from_value::<Freshness>(value).unwrap(),
            freshness
        );
    }

    proptest! {
        #[test]
        fn a_quantile_is_never_too_low_and_at_most_a_quarter_too_high(
            mut took in prop::collection::vec(0..37 * 24 * HOUR_MS, 1..200),
            percent in 1u64..=100,
        ) {
            let mut histogram = Histogram::default();
            for ms in &took {
                histogram.observe(*ms, 1);
            }
            took.sort_unstable();
            let rank = (took.len() as u64 * percent).div_ceil(100);
            let exact = took[usize::try_from(rank).unwrap() - 1];
            let told = histogram.quantile(percent).unwrap();
            prop_assert!(told >= exact);
            prop_assert!(told <= FIRST_MS.max(exact + exact / 4 + 1));
        }

        #[test]
        fn of_two_together_it_is_as_of_all_at_once(
            one in prop::collection::vec(0..HOUR_MS, 0..50),
            other in prop::collection::vec(0..HOUR_MS, 0..50),
        ) {
            let of = |all: &[i64]| {
                let mut histogram = Histogram::default();
                for ms in all {
                    histogram.observe(*ms, 1);
                }
                histogram
            };
            prop_assert_eq!(of(&one).plus(&of(&other)), of(&[one, other].concat()));
        }
    }
}

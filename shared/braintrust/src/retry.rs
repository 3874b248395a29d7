//! Whether and when a request is made again.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use sealift_core::ports::Entropy;

use crate::settings::Settings;

/// What is left of the patience for one request.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    attempts: u32,
    waited: Duration,
}

impl Patience {
    /// How long to wait before the next attempt, `None` if there is to be none. The wait that
    /// the API asked for is kept to; else it is a random one below a bound that doubles each
    /// time, so that those who failed together do not come back together.
    pub(crate) fn next(
        &mut self,
        asked: Option<Duration>,
        settings: &Settings,
        entropy: &impl Entropy,
    ) -> Option<Duration> {
        self.attempts += 1;
        if self.attempts >= settings.attempts {
            return None;
        }
        let wait = asked.unwrap_or_else(|| {
            let doubled = 2_u32.saturating_pow(self.attempts - 1);
            let bound = settings.first_wait.saturating_mul(doubled);
            below(bound.min(settings.longest_wait), entropy)
        });
        let waited = self.waited.saturating_add(wait);
        if waited > settings.total_wait {
            return None;
        }
        self.waited = waited;
        Some(wait)
    }

    /// Attempts that have failed.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// A random duration from nothing to the bound, in milliseconds.
fn below(bound: Duration, entropy: &impl Entropy) -> Duration {
    let steps = bound.as_millis().saturating_add(1);
    let step = entropy.bits().checked_rem(steps).unwrap_or(0);
    Duration::from_millis(u64::try_from(step).unwrap_or(u64::MAX))
}

/// How long the API asks to wait: `Retry-After`, in seconds or as a date.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let left = until.duration_since(now);
    // A date in the past asks for no wait.
    Some(Duration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sealift_testkit::SeededEntropy;

    use super::*;

    fn told(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, "2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_wait_is_told_in_seconds_or_by_a_date() {
        assert_eq!(told("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            told("Sun, 01 Mar 2026 12:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(told("Sun, 01 Mar 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(told("soon"), None);
        assert_eq!(told("-3"), None);
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn waits_are_random_below_bounds_that_double_up_to_the_longest() {
        let settings = Settings {
            attempts: 8,
            total_wait: Duration::MAX,
            ..Settings::default()
        };
        let bounds = [500, 1000, 2000, 4000, 8000, 8000, 8000].map(Duration::from_millis);
        let mut largest = [Duration::ZERO; 7];
        for seed in 0..300 {
            let (entropy, mut patience) = (SeededEntropy::new(seed), Patience::default());
            for (bound, largest) in bounds.iter().zip(&mut largest) {
                let wait = patience.next(None, &settings, &entropy).unwrap();
                assert!(wait <= *bound, "{wait:?} {bound:?}");
                *largest = wait.max(*largest);
            }
            assert_eq!(patience.next(None, &settings, &entropy), None);
        }
        for (bound, largest) in bounds.iter().zip(largest) {
            assert!(
                largest > *bound * 9 / 10,
                "the whole of {bound:?} is used: {largest:?}"
            );
        }
    }

    #[test]
    fn who_is_asked_to_wait_too_long_gives_up_at_once() {
        let (settings, entropy) = (Settings::default(), SeededEntropy::new(1));
        let mut patience = Patience::default();
        let told = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(patience.next(told(15), &settings, &entropy), told(15));
        assert_eq!(patience.next(told(6), &settings, &entropy), None);
        assert_eq!(patience.next(told(5), &settings, &entropy), told(5));
        assert_eq!(patience.attempts(), 3);
        assert_eq!(patience.next(told(0), &settings, &entropy), None);
    }
}

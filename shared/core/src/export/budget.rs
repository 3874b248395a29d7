//! The budget of requests: the API's rate is one for the whole stack, and this is its ledger.
//!
//! Requests become available at a steady rate, one minute's worth at the most. A run is
//! *granted* some when it is started, and what it did not use is given back when it tells its
//! end. A run that needs a few more than it was granted, to come to a place where it can stop,
//! overdraws; the ledger then starts again from below zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::{Document, Place};
use crate::id::{AutomationId, ObjectKey};

/// The ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What is available, in thousandths of a request.
    pub available: i64,
    /// As of when, in milliseconds since 1970.
    pub as_of_ms: i64,
    /// What was granted to runs that have not told their end, by the grants' own names.
    #[serde(default)]
    pub grants: BTreeMap<String, Grant>,
}

/// What a run was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To which automation's run.
    pub automation: AutomationId,
    /// Requests.
    pub requests: u32,
    /// When, in milliseconds since 1970.
    pub granted_ms: i64,
}

impl Document for Budget {
    const FORMAT: &'static str = "sealift.request-budget/1";
}

/// A run that has not told its end for so long, in milliseconds, never will: longer than the
/// longest Lambda with its tries. It counts as having used its grant.
const GRANT_KEPT_MS: i64 = 2 * 3600 * 1000;

/// The largest debt, in minutes' worth of requests.
const DEBT_MINUTES: i64 = 5;

/// The least that a run is started with: a look into its range, a page, and the summaries of
/// its traces.
pub const LEAST_GRANT: u32 = 4;

impl Budget {
    /// Where the ledger lies in the state bucket: `exports/budget.json`.
    pub fn place() -> Place<Self> {
        Place::new(ObjectKey::of_known_form("exports/budget.json".to_owned()))
    }

    /// Whether the automation was granted something since a time, whose run has not told its
    /// end.
    pub fn has_granted(&self, automation: &AutomationId, since_ms: i64) -> bool {
        let mut grants = self.grants.values();
        grants.any(|grant| grant.automation == *automation && grant.granted_ms > since_ms)
    }

    /// Adds what became available since, at a rate of so many requests a minute, and forgets
    /// grants of runs that never told their end.
    pub fn refill(&mut self, now_ms: i64, per_minute: u32) {
        let full = i64::from(per_minute) * 1000;
        let elapsed_ms = now_ms.saturating_sub(self.as_of_ms).max(0);
        // A thousandth of a request times 60,000 is a minute's millisecond.
        let gained = elapsed_ms.saturating_mul(full) / 60_000;
        self.available = self.available.saturating_add(gained).min(full);
        self.as_of_ms = self.as_of_ms.max(now_ms);
        self.grants
            .retain(|_, grant| now_ms.saturating_sub(grant.granted_ms) < GRANT_KEPT_MS);
    }

    /// Whole requests that are available.
    pub fn whole(&self) -> u32 {
        u32::try_from(self.available / 1000).unwrap_or(0)
    }

    /// Takes requests that are made at once. False, and nothing is taken, if there are not
    /// as many.
    pub fn take(&mut self, requests: u32) -> bool {
        let enough = requests <= self.whole();
        if enough {
            self.available -= i64::from(requests) * 1000;
        }
        enough
    }

    /// Grants a run its share where `waiting` runs wait for theirs: an equal part, at least
    /// [`LEAST_GRANT`] and at most half a minute's worth. `None` if too little is left. `name` is
    /// one that no other grant has.
    pub fn grant(
        &mut self,
        automation: &AutomationId,
        name: String,
        waiting: usize,
        now_ms: i64,
        per_minute: u32,
    ) -> Option<u32> {
        let waiting = u32::try_from(waiting.max(1)).unwrap_or(u32::MAX);
        // Where the rate is lower than the least, the whole of it has to do.
        let least = LEAST_GRANT.min(per_minute.max(1));
        let most = (per_minute / 2).max(least);
        let requests = (self.whole() / waiting).clamp(least, most);
        self.take(requests).then(|| {
            let grant = Grant {
                automation: automation.clone(),
                requests,
                granted_ms: now_ms,
            };
            self.grants.insert(name, grant);
            requests
        })
    }

    /// Gives back what a run did not use, or takes what it used beyond its grant. A run without
    /// a grant (started by hand, or told before) is taken for what it used.
    pub fn settle(&mut self, grant: Option<&str>, used: u64, per_minute: u32) {
        let grant = grant.and_then(|name| self.grants.remove(name));
        let granted = grant.map_or(0, |grant| i64::from(grant.requests));
        let used = i64::try_from(used).unwrap_or(i64::MAX / 1000);
        let left = self
            .available
            .saturating_add(granted.saturating_sub(used).saturating_mul(1000));
        // What was overdrawn was made in time that is over; it holds the others up for a few
        // minutes, and not for as long as a run by hand took.
        let lowest = i64::from(per_minute) * -1000 * DEBT_MINUTES;
        self.available = left.max(lowest.min(self.available));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> AutomationId {
        AutomationId::parse(text).unwrap()
    }

    fn full(per_minute: u32) -> Budget {
        let mut budget = Budget::default();
        budget.refill(60_000, per_minute);
        budget
    }

    fn grant(budget: &mut Budget, name: &str, waiting: usize, rate: u32) -> Option<u32> {
        budget.grant(&id("a"), name.to_owned(), waiting, 60_000, rate)
    }

    #[test]
    fn a_minutes_worth_is_the_most_that_gathers() {
        let mut budget = full(20);
        budget.refill(10_000_000, 20);
        assert_eq!(budget.whole(), 20);
        assert!(budget.take(20) && !budget.take(1));
        budget.refill(10_003_000, 20);
        assert_eq!(budget.whole(), 1);
    }

    #[test]
    fn what_was_granted_and_not_used_comes_back() {
        let mut budget = full(20);
        assert_eq!(grant(&mut budget, "1", 1, 20), Some(10));
        budget.settle(Some("1"), 3, 20);
        assert_eq!(budget.whole(), 17);
        assert_eq!(grant(&mut budget, "2", 4, 20), Some(4));
        budget.settle(Some("2"), 20, 20);
        assert_eq!(budget.whole(), 0);
        assert_eq!(grant(&mut budget, "3", 1, 20), None);
    }

    #[test]
    fn each_grant_is_settled_by_its_own_run() {
        let mut budget = full(20);
        assert!(grant(&mut budget, "1", 4, 20).is_some());
        assert!(grant(&mut budget, "2", 4, 20).is_some());
        budget.settle(Some("2"), 0, 20);
        assert!(budget.grants.contains_key("1"));
        assert!(budget.has_granted(&id("a"), 59_999) && !budget.has_granted(&id("a"), 60_000));
        assert!(!budget.has_granted(&id("b"), 0));
    }

    #[test]
    fn a_debt_is_never_longer_than_a_few_minutes() {
        let mut budget = full(20);
        budget.settle(None, 4500, 20);
        budget.refill(60_000 + 6 * 60_000, 20);
        assert_eq!(budget.whole(), 20);
    }

    #[test]
    fn a_low_rate_still_lets_runs_start() {
        let mut budget = full(2);
        assert_eq!(grant(&mut budget, "1", 9, 2), Some(2));
    }

    #[test]
    fn a_run_that_never_ends_keeps_its_grant_from_nobody_for_long() {
        let mut budget = full(20);
        grant(&mut budget, "1", 1, 20).unwrap();
        budget.refill(60_000 + GRANT_KEPT_MS, 20);
        assert!(budget.grants.is_empty());
        assert_eq!(budget.whole(), 20);
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_is_granted_than_the_rate_and_one_minute_gives(
            steps in prop::collection::vec((0_i64..90_000, 1_usize..6, 0_u64..12), 1..200),
        ) {
            let (mut budget, mut now, mut used_in_all) = (Budget::default(), 60_000, 0);
            budget.refill(now, 20);
            for (wait, waiting, used) in steps {
                now += wait;
                budget.refill(now, 20);
                let name = now.to_string();
                if let Some(granted) = budget.grant(&id("a"), name.clone(), waiting, now, 20) {
                    let used = used.min(u64::from(granted));
                    used_in_all += used;
                    budget.settle(Some(&name), used, 20);
                }
                let most = 20 + u64::try_from(now - 60_000).unwrap() * 20 / 60_000;
                prop_assert!(used_in_all <= most, "{used_in_all} > {most}");
            }
        }
    }
}

//! What the stack may cost, held against what was measured.

use serde::Serialize;

use super::usage::Prices;
use super::{Measured, Run};

/// A goal, and how it came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Goal {
    /// What it is about.
    pub(super) what: String,
    /// Dollars, at the most.
    pub(super) at_most: f64,
    /// Dollars, as measured.
    pub(super) is: f64,
    pub(super) met: bool,
}

impl Goal {
    fn new(what: String, at_most: f64, is: f64) -> Self {
        let met = is <= at_most;
        Self {
            what,
            at_most,
            is,
            met,
        }
    }
}

/// The goals, for the greatest number of tenants that was measured.
pub(super) fn goals(measured: &Measured, prices: &Prices) -> Vec<Goal> {
    let run = measured.runs.iter().max_by_key(|run| run.tenants);
    run.map_or_else(Vec::new, |run| of_run(run, measured.bundle, prices))
}

fn of_run(run: &Run, bundle: u32, prices: &Prices) -> Vec<Goal> {
    let single = prices.bill(&run.single.platform);
    let buckets = prices.bill(&run.single.customers).total();
    let bundled = prices.bill(&run.bundled.platform).total();
    let idle = prices.bill(&run.idle.platform).total();
    let bundled_buckets = prices.bill(&run.bundled.customers).total();
    let beside = single.beside_bus_and_queues();
    let by = format!("a million events, {bundle} in an entry");
    let goal = |what: &str, at_most, is| Goal::new(what.to_owned(), at_most, is);
    vec![
        goal("a million events, one in an entry", 1.55, single.total()),
        goal("  of which not EventBridge and SQS", 0.07, beside),
        goal(
            "  with the requests to the customers' buckets",
            1.55,
            single.total() + buckets,
        ),
        Goal::new(by, 0.10, bundled),
        goal(
            "  with the requests to the customers' buckets",
            0.10,
            bundled + bundled_buckets,
        ),
        goal("an idle month", 3.00, idle),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_limit_and_not_beyond() {
        let goal = |is| Goal::new(String::new(), 1.55, is).met;
        assert!(goal(1.55) && goal(0.0));
        assert!(!goal(1.550_001) && !goal(f64::NAN));
    }
}

//! A month in which nothing happens: half an hour of it is run, and a round of checks.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use serde::Serialize;

use super::meter::{Meter, Window};
use super::tenants::Tenants;
use super::usage::{Item, MONTH_DAYS, MONTH_HOURS, Usage, real};
use crate::stack::Stack;

/// What is run in place of each half hour: with all that comes by the minute, and the sweeps for new
/// projects, but without the round of checks.
const QUIET_MINUTES: u32 = 30;

const CHECK: &str = "DestinationCheck";

/// A month in which nothing happens.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) platform: Usage,
    pub(super) customers: Usage,
    /// The metrics that are told all the time, by function.
    pub(super) metrics: BTreeSet<(String, String)>,
    /// Destinations whose daily check was run. The others cost the same.
    pub(super) checked: usize,
}

/// What a round of checks uses, but for metrics.
struct Round {
    platform: Usage,
    customers: Usage,
    metrics: usize,
}

/// Runs it. Nothing may be on its way.
pub(super) async fn measure(
    stack: &Stack,
    meter: &mut Meter,
    tenants: &Tenants,
) -> anyhow::Result<Idle> {
    meter.take(stack);
    for _ in 0..QUIET_MINUTES {
        let minute = stack.now().checked_add(Duration::from_mins(1))?;
        stack.bus.run_until(minute).await?;
        meter.read_requests(stack);
    }
    let quiet = meter.take(stack);
    let with_checks = round(stack, meter).await?;
    let written = with_checks.customers.of(Item::S3Writes);
    ensure!(
        written >= real(tenants.due as u64),
        "{} destinations were due to be checked, and only {written} were",
        tenants.due
    );
    let without = round(stack, meter).await?;
    let schedules = &stack.bus.wiring().schedules;
    let schedule = schedules.iter().find(|schedule| schedule.function == CHECK);
    let every = schedule.context("nothing begins the rounds")?.every;
    let rounds = Rounds {
        a_day: 86_400.0 / every.as_secs_f64(),
        with_checks,
        without,
        checked: real(tenants.due as u64),
        all: real(tenants.organizations.len() as u64),
    };
    let mut platform = month(&quiet, &rounds, |window| &window.platform, |r| &r.platform);
    platform.add(Item::MetricMonths, rounds.metric_months());
    Ok(Idle {
        platform,
        customers: month(
            &quiet,
            &rounds,
            |window| &window.customers,
            |r| &r.customers,
        ),
        metrics: quiet.metrics,
        checked: tenants.due,
    })
}

/// Two rounds: one in which some destinations are due, and one in which none is.
struct Rounds {
    a_day: f64,
    with_checks: Round,
    without: Round,
    checked: f64,
    all: f64,
}

impl Rounds {
    /// A metric is paid for each hour in which it is told. Destinations that were set up at different
    /// times are checked in different rounds.
    fn metric_months(&self) -> f64 {
        let told = self.all.min(self.a_day) * real(self.with_checks.metrics as u64);
        let always = (self.a_day - self.all).max(0.0) * real(self.without.metrics as u64);
        (told + always) * MONTH_DAYS / MONTH_HOURS
    }
}

/// Days of 48 quiet half hours, the rounds over all destinations, and a check of each.
fn month(
    quiet: &Window,
    rounds: &Rounds,
    of_window: fn(&Window) -> &Usage,
    of_round: fn(&Round) -> &Usage,
) -> Usage {
    let half_hours = 48.0 * 30.0 / f64::from(QUIET_MINUTES);
    let (with, without) = (of_round(&rounds.with_checks), of_round(&rounds.without));
    let checks = with.clone().plus(-1.0, without);
    let day = of_window(quiet)
        .times(half_hours)
        .plus(rounds.a_day, without)
        .plus(rounds.all / rounds.checked.max(1.0), &checks);
    day.times(MONTH_DAYS)
}

/// A round as the schedule begins it. What stands there meanwhile is counted with the quiet hours.
async fn round(stack: &Stack, meter: &mut Meter) -> anyhow::Result<Round> {
    meter.take(stack);
    let check = stack.bus.handler(CHECK)?;
    let done = check.invoke(Bytes::from_static(b"{}")).await;
    done.map_err(|error| anyhow!("the round of checks failed: {error}"))?;
    let window = meter.take(stack);
    let calls = window.functions.get(CHECK).map(|used| used.calls);
    calls
        .filter(|calls| *calls == 1)
        .context("the round was not measured")?;
    Ok(Round {
        platform: window.platform.plus(-1.0, &window.standing),
        customers: window.customers,
        metrics: window.metrics.len(),
    })
}

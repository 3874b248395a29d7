//! The clocks of the benchmarks, and what is made of their readings.
//!
//! Work is measured in CPU time of the one thread that does it, so that whatever else runs on the
//! machine matters little; what still disturbs (caches, clock rates, neighbours on the host)
//! strikes all contenders alike, since they take turns in each round. Compare ratios within one
//! run; absolute figures are the machine's.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used so far.
pub(super) fn cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Time that passes, from some fixed moment on.
pub(super) fn elapsed() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    // Neither clock can show a time before its beginning.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// What one contender took in each round, in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// Adds a reading.
    pub(super) fn push(&mut self, reading: Duration) {
        self.0.push(reading.as_secs_f64());
    }

    /// The middle one, in seconds.
    pub(super) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The least one, in seconds.
    pub(super) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The middle one of the ratios to another contender in the same round.
    pub(super) fn ratio_to(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (Some(low), Some(high)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

/// A count, to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is counted here is far below 2^53"
)]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// One piece of work that is measured against others.
pub(super) type Contender<'a> = Box<dyn FnMut() -> anyhow::Result<()> + 'a>;

/// Runs the contenders by turns, once to warm up and then `rounds` times. Gives the CPU time of
/// each, in their order.
pub(super) fn by_turns(
    rounds: u32,
    mut contenders: Vec<Contender<'_>>,
) -> anyhow::Result<Vec<Samples>> {
    let mut samples = vec![Samples::default(); contenders.len()];
    for contender in &mut contenders {
        contender()?;
    }
    for _ in 0..rounds {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            let before = cpu();
            contender()?;
            samples.push(cpu().saturating_sub(before));
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn work_takes_turns_and_its_time_is_seen() {
        let turns = std::cell::RefCell::new(String::new());
        let contender = |name: char| -> Contender<'_> {
            let turns = &turns;
            Box::new(move || {
                turns.borrow_mut().push(name);
                let until = cpu() + Duration::from_millis(2);
                while cpu() < until {}
                Ok(())
            })
        };
        let samples = by_turns(2, vec![contender('a'), contender('b')]).unwrap();
        assert_eq!(*turns.borrow(), "ababab");
        assert!(
            samples
                .iter()
                .all(|s| s.0.len() == 2 && s.median() >= 0.002)
        );
    }
}

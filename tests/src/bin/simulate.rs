//! Runs random schedules of the audit path.
//!
//! `--schedules N` runs that many (default 10,000), `--seed S` begins at that seed (default 0);
//! `--schedules 1 --seed S` runs one again.

use std::process::ExitCode;

use sealift_tests::simulation::{Summary, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut schedules, mut first) = (10_000, 0);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|text| text.parse::<u64>().ok());
        match (argument.as_str(), number) {
            ("--schedules", Some(number)) => schedules = number,
            ("--seed", Some(number)) => first = number,
            _ => {
                eprintln!("usage: simulate [--schedules N] [--seed S]");
                return ExitCode::from(2);
            }
        }
    }
    let mut sum = Summary::default();
    for seed in first..first.saturating_add(schedules) {
        let Ok(one) = std::panic::catch_unwind(|| run(seed)) else {
            eprintln!("the schedule of seed {seed} failed; again: --schedules 1 --seed {seed}");
            return ExitCode::FAILURE;
        };
        sum = sum.plus(one);
        if (seed + 1) % 1000 == 0 {
            eprintln!("{} schedules", seed + 1 - first);
        }
    }
    println!("{schedules} schedules from seed {first}: {sum:#?}");
    ExitCode::SUCCESS
}

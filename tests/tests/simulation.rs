//! Random schedules of the audit path; `sealift_tests::simulation` tells what they do.
//!
//! `cargo run -p sealift-tests --bin simulate -- --help` runs any number of them, or one again.

#![allow(
    clippy::panic,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use sealift_tests::simulation::{Summary, run};

const SCHEDULES: u64 = 2000;

#[test]
fn every_tenant_gets_each_event_once_in_order_whatever_happens() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let sums = std::thread::scope(|scope| {
        let part = |first| {
            move || {
                let seeds = (0..SCHEDULES).skip(first).step_by(threads);
                seeds.map(one).fold(Summary::default(), Summary::plus)
            }
        };
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(part(first))).collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    let sum = sums.into_iter().fold(Summary::default(), Summary::plus);
    println!("{SCHEDULES} schedules: {sum:?}");
    // Schedules that do nothing would prove nothing.
    for (what, count) in [
        ("events", sum.events),
        ("crashes", sum.crashes),
        ("destinations left behind", sum.left),
        ("messages delivered again", sum.redelivered),
        ("new epochs", sum.epochs),
        ("objects encoded anew", sum.reencoded),
        ("gaps", sum.gaps),
    ] {
        assert!(count > 100, "only {count} {what}");
    }
}

fn one(seed: u64) -> Summary {
    std::panic::catch_unwind(|| run(seed))
        .unwrap_or_else(|_| panic!("the schedule of seed {seed} failed"))
}

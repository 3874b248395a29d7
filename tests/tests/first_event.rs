//! How soon a new destination's first event is in its bucket: from the HTTP API to the bucket, on a
//! virtual clock, with the windows, delays and schedules that `template.yaml` deploys.
//!
//! Routes, writer and delivery are the functions' own, on stores in memory. Nothing is started by
//! hand: what the bus, the queues and the schedule of the template bring is all that runs.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

#[path = "first_event/world.rs"]
mod world;

use std::time::Duration;

use jiff::Timestamp;
use sealift_core::ports::Entropy as _;
use sealift_testkit::SeededEntropy;

use self::world::World;

/// What is promised.
const PROMISED: Duration = Duration::from_secs(30);

/// What else goes on.
#[derive(Debug, Clone, Copy)]
enum Beside {
    /// Nothing: the stack is new, and its log empty.
    Nothing,
    /// Another tenant's event, every so many seconds.
    Another(u64),
}

/// A start, and an event after it.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// The second of the minute, counted from the schedule's tick.
    second: u64,
    /// How long after the start the event is put.
    after: Duration,
    beside: Beside,
}

fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap()
}

/// How long the first event took.
fn took(case: Case) -> Duration {
    let world = World::new();
    let deployed = world.clock.now();
    let mut others = Vec::new();
    if let Beside::Another(every) = case.beside {
        world.prepare("other");
        world.start("other");
        let times = (1..).map(|n| later(deployed, Duration::from_secs(n * every)));
        let end = later(deployed, Duration::from_mins(6));
        others = times.take_while(|time| *time < end).collect();
        others.reverse();
    }
    let mut go_to = |when: Timestamp| {
        while let Some(next) = others.pop_if(|next| *next <= when) {
            world.go_to(next);
            world.put("other", &format!("other-{next}"));
        }
        world.go_to(when);
    };
    let start = later(deployed, Duration::from_secs(2 * 60 + case.second));
    // Late enough that its own entries of being created have been through long before.
    go_to(later(deployed, Duration::from_secs(60)));
    world.prepare("acme");
    // Longer than it takes into the log: it is gathered for 5 seconds, and here, where functions run
    // one after the other, it may have to wait until others are delivered to.
    go_to(start.checked_sub(Duration::from_secs(12)).unwrap());
    world.put("acme", "before");
    go_to(start.checked_sub(Duration::from_millis(200)).unwrap());
    world.put("acme", "just-before");
    go_to(start);
    world.put("acme", "at-the-moment");
    world.start("acme");
    go_to(later(start, case.after));
    // A moment later, where a function was at work in that one.
    let put = world.clock.now();
    world.put("acme", "first");
    // Over the schedule's next tick, for what might come twice.
    go_to(later(put, Duration::from_secs(95)));

    let arrived = world.arrivals("acme");
    let times = |id: &str| arrived.get(id).cloned().unwrap_or_default();
    let none: Vec<Timestamp> = Vec::new();
    assert_eq!(
        times("before"),
        none,
        "{case:?}: it was appended before the start"
    );
    for id in ["just-before", "at-the-moment"] {
        assert!(times(id).len() <= 1, "{case:?}: {id} came {:?}", times(id));
    }
    let first = times("first");
    assert_eq!(first.len(), 1, "{case:?}: it came {first:?}");
    assert!(
        arrived.keys().all(|id| !id.starts_with("other")),
        "{case:?}"
    );
    if let Beside::Another(_) = case.beside {
        let others = world.arrivals("other");
        assert!(
            others.len() > 5,
            "{case:?}: the other stream stands: {others:?}"
        );
        assert!(others.values().all(|times| times.len() == 1), "{others:?}");
    }
    first[0].duration_since(put).unsigned_abs()
}

/// Some moments after the start of a second: one at which something ends, and others by chance.
fn moments(second: u64, chance: &SeededEntropy) -> [Duration; 3] {
    // The entry of the start is appended after 5 seconds and delivered after 26: an event is in
    // the same batch, just misses the flush, and so on.
    let edges = [0, 5_000, 20_999, 21_000, 26_000, 60_000];
    let edge = usize::try_from(second).unwrap() % edges.len();
    let drawn = || u64::try_from(chance.bits() % 60_001).unwrap();
    [edges[edge], drawn(), drawn()].map(Duration::from_millis)
}

#[test]
fn the_first_event_is_in_the_bucket_within_30_seconds_whenever_it_is_started() {
    let chance = SeededEntropy::new(60);
    let mut cases = Vec::new();
    for second in 0..60 {
        let besides = [Beside::Nothing, Beside::Another(3), Beside::Another(17)];
        for beside in besides {
            let with = |after| Case {
                second,
                after,
                beside,
            };
            cases.extend(moments(second, &chance).map(with));
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = cases.len().div_ceil(threads);
    let measured: Vec<(Duration, Case)> = std::thread::scope(|scope| {
        let one = |case: &Case| (took(*case), *case);
        let part = |part: &'static [Case]| scope.spawn(move || part.iter().map(one).collect());
        let cases: &'static [Case] = cases.leak();
        let parts: Vec<_> = cases.chunks(share).map(part).collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap());
        joined.flat_map(|part: Vec<_>| part).collect()
    });
    let (worst, case) = measured.iter().max_by_key(|(took, _)| *took).unwrap();
    let (best, _) = measured.iter().min_by_key(|(took, _)| *took).unwrap();
    println!(
        "{} starts: {best:?} to {worst:?}, which is of {case:?}",
        measured.len()
    );
    assert!(*worst <= PROMISED, "{worst:?}: {case:?}");
    // Where windows and delays were not waited for, nothing would be shown.
    assert!(*worst > Duration::from_secs(20), "{worst:?}");
}

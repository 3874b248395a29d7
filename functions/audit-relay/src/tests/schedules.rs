//! Schedules of all that can happen to a relay, drawn by chance. Whatever it was, a relay that is
//! let alone afterwards has relayed every entry, and none twice unless it was killed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sealift_core::ports::StoreError;
use sealift_testkit::scripted::{Call, Turn};

use super::log::Fault;
use super::*;

/// How many schedules there are.
const SEEDS: u64 = 400;

#[test]
fn every_entry_is_relayed_and_once_unless_it_was_killed_whatever_happens() {
    let mut killed = 0;
    for seed in 0..SEEDS {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut schedule = Schedule::new(seed);
            for _ in 0..schedule.below(60) + 20 {
                schedule.step();
            }
            schedule.come_to_an_end();
            schedule.check();
            schedule.killed
        }));
        killed += usize::from(played.unwrap_or_else(|_| panic!("the schedule of seed {seed}")));
    }
    assert!((50..350).contains(&killed), "{killed} were killed");
}

struct Schedule {
    world: World,
    chance: SeededEntropy,
    entries: usize,
    /// Whether this schedule has kills at all.
    kills: bool,
    /// Whether one came to be, or an answer of the state's store was lost.
    killed: bool,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let chance = SeededEntropy::new(seed);
        let draw = |below: u64| chance.next_u64() % below;
        let mut world = World::untouched();
        world.settings.limit = [1, 2, 3, 7, 40][usize::try_from(draw(5)).unwrap()];
        if draw(3) == 0 {
            let days = SignedDuration::from_hours(i64::try_from(draw(48)).unwrap());
            world.settings.start = Start::At(world.ago(days));
        }
        if draw(3) == 0 {
            // At least two entries.
            world.log.holds(220);
            world.settings.limit = 2;
        }
        let kills = draw(2) == 0;
        Self {
            world,
            chance,
            entries: 0,
            kills,
            killed: false,
        }
    }

    fn below(&self, bound: u64) -> usize {
        usize::try_from(self.chance.next_u64() % bound).unwrap()
    }

    fn seconds(&self, bound: u64) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.below(bound * 1000)).unwrap())
    }

    fn step(&mut self) {
        match self.below(12) {
            0..4 => self.write(),
            4..9 => {
                let passed = self.seconds(120);
                self.world.pass(passed);
                self.run();
            }
            9 => self.write_late(),
            10 => {
                let passed = self.seconds(3 * 3600);
                self.world.pass(passed);
            }
            _ if self.below(8) == 0 => {
                let passed = self.seconds(40 * 3600);
                self.world.pass(passed);
            }
            _ => {}
        }
    }

    fn id(&mut self) -> String {
        self.entries += 1;
        format!("e{}", self.entries)
    }

    /// Some entries, some of them of one instant, that appear at once or soon.
    fn write(&mut self) {
        let mut created = self.world.ago(self.seconds(5));
        // No more in one instant than fit into an answer.
        for _ in 0..=self.below(2) {
            for _ in 0..=self.below(2) {
                let id = self.id();
                let appears = self.world.clock.now();
                let appears = appears.checked_add(self.seconds(240)).unwrap();
                self.world.log.add_for(&id, created, appears);
            }
            created = created.checked_add(SignedDuration::from_micros(7)).unwrap();
        }
    }

    /// One that appears as late as is promised.
    fn write_late(&mut self) {
        let id = self.id();
        let created = self.world.ago(self.seconds(60));
        let appears = created.checked_add(self.seconds(24 * 3600 - 60)).unwrap();
        self.world.log.add_for(&id, created, appears);
    }

    fn run(&mut self) {
        let log_faults: Vec<_> = (0..self.below(12))
            .map(|_| {
                let faults = [Fault::Throttled, Fault::Torn, Fault::TooSlow];
                faults.get(self.below(20)).copied()
            })
            .collect();
        self.world.log.faults(log_faults);
        if self.below(4) == 0 {
            let nth = self.below(6);
            self.world.bus.refuse(nth, StoreError::Transient);
        }
        if self.kills && self.below(4) == 0 {
            let step = self.below(40);
            self.killed |= self.world.run_until(step).is_none();
        } else {
            let (chance, kills) = (self.chance.clone(), self.kills);
            let lost = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let seen = lost.clone();
            self.world
                .script
                .set(move |_: &Call| match chance.next_u64() % 60 {
                    // Not written, and so perhaps relayed again: as good as killed.
                    0 if kills => {
                        seen.store(true, std::sync::atomic::Ordering::Relaxed);
                        Turn::Transient
                    }
                    1 => Turn::RefusesOwn,
                    _ => Turn::Well,
                });
            let _ = self.world.try_run();
            self.killed |= lost.load(std::sync::atomic::Ordering::Relaxed);
        }
        self.world.log.heal();
        self.world.script.calm();
    }

    /// Until everything has appeared, and been looked for.
    fn come_to_an_end(&mut self) {
        for _ in 0..26 * 4 {
            self.world.pass(minutes(15));
            // What the bus was to refuse may only come now.
            if let Ok(report) = self.world.try_run() {
                assert!(!report.cut_short);
            }
        }
    }

    fn check(&self) {
        let start = self.world.cursor().start;
        let relayed = self.world.relayed();
        let mut expected = self.world.log.ids_since(start);
        expected.sort_unstable();
        let found: Vec<&String> = relayed.keys().collect();
        let mut wanted: Vec<&String> = expected.iter().collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        if !self.killed {
            assert!(relayed.values().all(|times| *times == 1), "{relayed:?}");
        }
        assert!(self.world.parked().is_empty());
        assert!(self.world.cursor().remembered() <= expected.len());
    }
}

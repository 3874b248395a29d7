//! What is cut off anywhere, and what happens twice at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealift_core::export::source::SourceError;
use sealift_core::ports::{BusEntry, EventBus, StoreError};
use sealift_core::relay::{AuditLog, AuditPage, AuditQuery};
use sealift_testkit::scripted::{Call, Turn};

use super::*;

/// Decides at which step the process dies: each call has two, before and after it is done.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    steps: Arc<AtomicUsize>,
    last: usize,
}

impl Fate {
    pub(super) fn at(last: usize) -> Self {
        Self {
            steps: Arc::default(),
            last,
        }
    }

    pub(super) fn kind() -> Self {
        Self::at(usize::MAX)
    }

    pub(super) fn over<T>(&self, port: T) -> Mortal<T> {
        Mortal {
            port,
            fate: self.clone(),
        }
    }

    fn is_over(&self) -> bool {
        self.steps.fetch_add(1, Ordering::Relaxed) >= self.last
    }

    /// How a store's call goes.
    pub(super) fn turn(&self) -> Turn {
        match (self.is_over(), self.is_over()) {
            (true, _) => Turn::KilledBefore,
            (false, true) => Turn::KilledAfter,
            (false, false) => Turn::Well,
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
        let answer = call.await;
        if self.is_over() {
            std::future::pending::<()>().await;
        }
        answer
    }
}

/// A port under a fate.
#[derive(Debug, Clone)]
pub(super) struct Mortal<T> {
    port: T,
    fate: Fate,
}

impl<T: AuditLog> AuditLog for Mortal<T> {
    async fn entries(&self, query: &AuditQuery) -> Result<AuditPage, SourceError> {
        self.fate.around(self.port.entries(query)).await
    }
}

impl<T: EventBus> EventBus for Mortal<T> {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        self.fate.around(self.port.put(entries)).await
    }
}

impl World {
    /// A run that dies at the step; what came of it if it ended before.
    pub(super) fn run_until(&self, step: usize) -> Option<Result<Report, RelayError>> {
        let fate = Fate::at(step);
        let stores = fate.clone();
        self.script.set(move |_: &Call| stores.turn());
        let relay = self.relay_under(&fate);
        let ended = relay.handle(self.deadline()).now_or_never();
        self.script.calm();
        ended
    }
}

/// Something of everything, an hour after the last sweep.
fn eventful() -> World {
    let world = World::new();
    world.run_after(minutes(30));
    world.log.add("late", world.ago(minutes(20)));
    for n in 0..13 {
        world.log.add(&format!("e{n}"), world.clock.now());
        world.pass(SignedDuration::from_secs(n % 2));
    }
    world.log.add_unusable(world.clock.now(), "[1]");
    world.pass(minutes(31));
    world.log.add("last", world.clock.now());
    world.pass(SignedDuration::from_secs(1));
    world
}

#[test]
fn a_crash_anywhere_loses_nothing_and_doubles_at_most_a_page() {
    for step in 0.. {
        let world = eventful();
        let ended = world.run_until(step);
        world.run_after(minutes(1));
        let relayed = world.relayed();
        assert_eq!(relayed.len(), 15, "cut off at {step}");
        assert_eq!(world.parked().len(), 1, "cut off at {step}");
        let doubled = relayed.values().filter(|times| **times > 1).count();
        assert!(doubled <= 5, "{doubled} doubled, cut off at {step}");
        let known = world.cursor().remembered();
        assert_eq!(world.run_after(minutes(1)).relayed, 0);
        assert!(world.cursor().remembered() >= known.min(16));
        if ended.is_some() {
            assert_eq!(doubled, 0);
            assert!(step > 25, "{step} steps");
            break;
        }
    }
}

#[test]
fn a_first_run_that_is_cut_off_begins_at_one_moment_only() {
    for step in 0.. {
        let world = World::untouched();
        let ended = world.run_until(step);
        let begun = !world.state.keys().is_empty();
        world.pass(minutes(1));
        world
            .log
            .add("between", world.ago(SignedDuration::from_secs(30)));
        world.run();
        assert_eq!(
            world.times("between"),
            usize::from(begun),
            "cut off at {step}"
        );
        if ended.is_some() {
            break;
        }
    }
}

#[test]
fn a_store_that_fails_anywhere_loses_nothing() {
    for turn in [
        Turn::Transient,
        Turn::Conflict,
        Turn::LosesReply,
        Turn::RefusesOwn,
        Turn::Denied,
    ] {
        for nth in 0.. {
            let world = eventful();
            let before = world.script.calls().len();
            let mut number = 0;
            world.script.set(move |_: &Call| {
                number += 1;
                if number == nth + 1 { turn } else { Turn::Well }
            });
            let _ = world.try_run();
            let reached = world.script.calls().len() - before > nth;
            world.script.calm();
            world.run_after(minutes(1));
            assert_eq!(world.relayed().len(), 15, "{turn:?} at {nth}");
            assert_eq!(world.parked().len(), 1, "{turn:?} at {nth}");
            if turn == Turn::RefusesOwn {
                let twice = world.relayed().into_values().any(|times| times > 1);
                assert!(!twice, "it knows its own write again");
            }
            if !reached {
                assert!(nth > 3);
                break;
            }
        }
    }
}

#[test]
fn two_at_once_lose_nothing_and_remember_what_both_have_done() {
    for nth in 0..8 {
        let world = eventful();
        let other = Relay::new(
            (world.state.clone(), world.parking.clone()),
            world.log.clone(),
            world.bus.clone(),
            world.clock.clone(),
            SeededEntropy::new(2),
            world.settings.clone(),
        );
        let (deadline, mut number) = (world.deadline(), 0);
        // The other does all of its run just before the n-th request of the first to a store.
        world.script.set(move |_: &Call| {
            number += 1;
            if number == nth + 1 {
                let run = other.handle(deadline).now_or_never().unwrap();
                assert!(run.is_ok(), "{run:?}");
            }
            Turn::Well
        });
        let _ = world.try_run();
        world.script.calm();
        let relayed = world.relayed();
        assert_eq!(relayed.len(), 15, "{nth}");
        assert!(relayed.values().all(|times| *times <= 2));
        assert_eq!(world.parked().len(), 1);
        for _ in 0..70 {
            assert_eq!(world.run_after(minutes(1)).relayed, 0);
        }
    }
}

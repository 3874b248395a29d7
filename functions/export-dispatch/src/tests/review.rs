//! What a second look at dispatching found.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::export::message::{Finished, FinishedAs};
use sealift_core::id::XactId;
use sealift_core::ports::{BusEntry, EventBus, StoreError};
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::exports::source::{Fault, Kind};

use super::{TICK, World, id};
use crate::Dispatch;

/// An automation that found nothing the last time, whose project has something new now.
fn woken() -> World {
    let world = World::new();
    world.add("a");
    world.set("a", |entry| entry.quiet = true);
    world.clock.advance(Duration::from_secs(1));
    world.write("a");
    for _ in 0..10 {
        world.minute();
    }
    assert_eq!(world.names(), ["a"]);
    world
}

#[test]
fn an_automation_whose_run_is_under_way_takes_no_requests_from_the_others() {
    let world = World::new();
    world.add_with("a", &serde_json::json!({"type": "log_spans"}), 60);
    world.tick();
    // Its run takes ten minutes; whatever is started meanwhile finds its cursor claimed.
    let mut granted = 0;
    for _ in 0..10 {
        world.minute();
        let started = world.started();
        granted += started.iter().map(|(_, requests)| requests).sum::<u32>();
    }
    assert!(granted <= 20, "{granted} requests are granted twice");
}

#[test]
fn a_survey_that_gets_no_answer_keeps_nothing_else_from_being_started() {
    let world = World::new();
    world.add("quiet");
    world.set("quiet", |entry| entry.quiet = true);
    world.clock.advance(Duration::from_mins(10));
    world.add("busy");
    let stall = Fault::Stall(Duration::from_mins(4));
    world.source.fail(Kind::Survey, 0, stall);
    let (dispatch, deadline) = (world.dispatch(), world.deadline());
    let mut call = pin!(dispatch.handle(TICK, deadline));
    let mut context = Context::from_waker(Waker::noop());
    // The function is killed at its deadline.
    while world.clock.now() < deadline {
        match call.as_mut().poll(&mut context) {
            Poll::Ready(_) => break,
            Poll::Pending => assert!(world.clock.advance_to_next(), "it waits for ever"),
        }
    }
    assert_eq!(world.names(), ["busy"]);
}

#[test]
fn a_survey_that_fails_again_and_again_holds_nothing_up_for_ever() {
    let world = World::new();
    world.add("a");
    world.set("a", |entry| entry.quiet = true);
    // As a query does that takes longer than the API allows, every time.
    for asked in 0..300 {
        world.source.fail(Kind::Survey, asked, Fault::Transient);
    }
    for _ in 0..240 {
        world.minute();
    }
    assert!(!world.names().is_empty(), "not started for four hours");
}

#[test]
fn a_reset_is_carried_out_though_the_end_of_an_earlier_run_is_told_after_it() {
    let world = World::new();
    world.add("a");
    let latest = world.write("a");
    world.tick();
    assert_eq!(world.names(), ["a"]);
    let registry = world.registry();
    let a = id("a");
    let reset = registry.reset(&a, XactId::ZERO, None, world.now_ms());
    reset.now_or_never().unwrap().unwrap();
    // It had found nothing new, and ended before the reset.
    world.finish("a", |finished| finished.position = latest);
    for _ in 0..150 {
        world.minute();
    }
    assert!(
        !world.names().is_empty(),
        "not started for more than two hours"
    );
}

#[test]
fn a_run_of_a_quiet_automation_that_failed_is_tried_again_after_a_minute() {
    let world = woken();
    world.finish("a", |finished| finished.outcome = FinishedAs::Failed);
    world.minute();
    world.minute();
    assert_eq!(world.names(), ["a"]);
}

#[test]
fn what_the_api_asks_to_wait_is_waited_for_by_short_intervals_too() {
    let world = World::new();
    world.add_with("a", &serde_json::json!({"type": "log_spans"}), 60);
    world.tick();
    world.started();
    world.finish("a", |finished| {
        finished.outcome = FinishedAs::Failed;
        finished.retry_after_ms = Some(600_000);
    });
    for _ in 0..9 {
        world.minute();
    }
    assert!(world.names().is_empty(), "the API asked for ten minutes");
}

/// A bus behind which a run is over before the answer is back.
struct QuickBus {
    bus: MemoryBus,
    world: Arc<World>,
}

impl EventBus for QuickBus {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let told = self.bus.put(entries).await;
        self.world.finish("a", |finished: &mut Finished| {
            finished.outcome = FinishedAs::More;
            finished.requests = 4;
            finished.rows = 1;
        });
        told
    }
}

#[test]
fn a_run_that_is_over_before_its_start_was_noted_goes_on_as_soon_as_it_can() {
    let mut world = World::new();
    // One run uses up all that there is.
    world.settings.requests_per_minute = 4;
    world.add("a");
    let world = Arc::new(world);
    let bus = QuickBus {
        bus: world.bus.clone(),
        world: world.clone(),
    };
    let dispatch = Dispatch::new(
        world.state.clone(),
        world.source.clone(),
        bus,
        world.clock.clone(),
        world.entropy.clone(),
        world.settings.clone(),
    );
    let tick = Box::pin(dispatch.handle(TICK, world.deadline())).now_or_never();
    tick.unwrap().unwrap();
    assert_eq!(world.names(), ["a"]);
    for _ in 0..3 {
        world.minute();
    }
    assert_eq!(world.names(), ["a"]);
}

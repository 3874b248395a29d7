//! What is told of a destination, as it goes through what may happen to it.

use std::time::Duration;

use sealift_core::delivery::LeftReason;
use sealift_core::delivery::standing::{self, CursorState, Standing};
use sealift_core::destination::Status;
use sealift_core::log::Log;
use sealift_testkit::Script;
use sealift_testkit::sinks::Health;

use super::{World, name};

const DAY: Duration = Duration::from_hours(24);

fn standing(world: &World, id: &str) -> Standing {
    let mut found = None;
    world.change(id, |destination| found = Some(destination.clone()));
    let (destination, log) = (found.unwrap(), Log::new(world.log.clone()));
    let load = standing::load(&log, &world.state, 0, &destination, world.now_ms());
    Script::default().run(&world.clock, load).unwrap().unwrap()
}

#[test]
fn it_tells_what_cursor_a_destination_rides_on_and_what_waits_for_it() {
    let world = World::new();
    world.add_with("acme", "acme", |destination| {
        destination.status = Status::Paused;
        destination.start_ms = None;
    });
    assert_eq!(standing(&world, "acme").state, CursorState::NotStarted);
    world.append(["acme 1"]);
    world.run();
    assert_eq!(standing(&world, "acme").state, CursorState::NotStarted);
    world.change("acme", |destination| {
        destination.status = Status::Streaming;
        destination.start_ms = Some(0);
    });
    assert_eq!(standing(&world, "acme").state, CursorState::Expected);
    world.flush();
    let rides = standing(&world, "acme");
    assert_eq!(rides.state, CursorState::Rides);
    assert_eq!((rides.lag_segments, rides.oldest_age_ms), (0, None));
    assert_eq!((rides.counts.seen(), rides.freshness.events), (1, 1));
    assert_eq!(rides.position, rides.end);
    world.append(["other 1"]);
    world.append(["acme 2"]);
    world.clock.advance(Duration::from_secs(3));
    let ahead = standing(&world, "acme");
    assert_eq!((ahead.lag_segments, ahead.oldest_age_ms), (2, Some(3000)));
    world.flush();
    world.pause("acme");
    world.append(["other 2"]);
    world.flush();
    let reason = |standing: &Standing| match standing.state {
        CursorState::Left { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let empty = standing(&world, "acme");
    assert_eq!(reason(&empty), LeftReason::Paused);
    assert_eq!((empty.lag_segments, empty.oldest_age_ms), (1, None));
    assert_eq!(empty.expiry, None);
    world.append(["acme 3"]);
    let appended_ms = world.now_ms();
    world.flush();
    world.clock.advance(DAY * 23);
    let waits = standing(&world, "acme");
    assert_eq!(waits.oldest_waiting_ms, Some(appended_ms));
    assert!(waits.expiry.unwrap().warns);
    world.resume("acme");
    world.flush();
    assert_eq!(standing(&world, "acme").state, CursorState::Rides);
}

#[test]
fn it_tells_what_went_wrong_and_when_it_is_tried_again() {
    let world = World::new();
    world.add("acme", "acme");
    world.sinks.set_destination(&name("acme"), Health::Denied);
    world.append(["acme 1"]);
    world.run();
    world.flush();
    let fails = standing(&world, "acme");
    assert_eq!(fails.attempts, 2);
    assert_eq!(fails.failure.unwrap().code, "AccessDenied");
    assert!(fails.not_before_ms.is_some_and(|at| at > world.now_ms()));
    assert_eq!(fails.oldest_age_ms, Some(20_000));
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.flush();
    let well = standing(&world, "acme");
    assert_eq!((well.failure, well.attempts), (None, 0));
    assert_eq!(well.delivered_ms, Some(world.now_ms()));
}

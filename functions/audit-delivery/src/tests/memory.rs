//! What a warm process spares, and that it misses nothing by that.

use std::time::Duration;

use sealift_core::delivery::GapReason;
use sealift_core::id::Sequence;
use sealift_core::log::segment_key;
use sealift_testkit::scripted::Verb;

use super::{World, name};
use crate::{Report, TICK};

impl World {
    /// A run that the schedule begins, a minute after whatever was before.
    fn tick(&self) -> Report {
        self.clock.advance(Duration::from_mins(1));
        let tick = serde_json::json!({"detail-type": TICK});
        let deadline = self.clock.now().checked_add(Duration::from_secs(75));
        let run = self.delivery.handle(&tick, deadline.unwrap());
        self.script.run(&self.clock, run).unwrap().unwrap()
    }

    /// How often the log was listed so far.
    fn listings(&self) -> usize {
        self.script.count(Verb::List, "log/")
    }
}

/// A world that has delivered a segment, and has seen that there is no other.
fn quiet() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world
}

#[test]
fn a_tick_of_a_quiet_log_asks_for_one_number_and_lists_nothing() {
    let world = quiet();
    let (before, heads) = (world.listings(), world.script.count(Verb::Head, "log/"));
    for _ in 0..10 {
        assert_eq!(world.tick(), Report::default());
    }
    assert_eq!(world.listings(), before);
    assert_eq!(world.script.count(Verb::Head, "log/"), heads + 10);
    for _ in 0..10 {
        world.tick();
    }
    assert_eq!(world.listings(), before + 1, "now and then it looks at all");
}

#[test]
fn a_tick_delivers_a_segment_that_no_trigger_told_of() {
    let world = quiet();
    world.tick();
    world.append(["acme 2"]);
    assert_eq!(world.tick().counts.delivered, 1);
    assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
}

#[test]
fn a_trigger_sees_a_hole_at_once_and_ticks_alone_within_a_quarter_of_an_hour() {
    let worlds = [quiet(), quiet()];
    for world in &worlds {
        world.tick();
        world.append(["acme 2"]);
        world.append(["acme 3"]);
        world.log.remove_now(&segment_key(Sequence(2))).unwrap();
        assert_eq!(world.tick().gaps, 0);
    }
    let [triggered, ticking] = worlds;
    assert_eq!(triggered.flush().gaps, 1);
    let gaps: u64 = (0..15).map(|_| ticking.tick().gaps).sum();
    assert_eq!(gaps, 1);
    for world in [triggered, ticking] {
        assert_eq!(world.events("acme"), ["acme 1", "acme 3"]);
        let gaps = &world.cursor().members[&name("acme")].progress.gaps;
        assert_eq!((gaps.len(), gaps[0].reason), (1, GapReason::Expired));
    }
}

#[test]
fn what_others_have_changed_meanwhile_is_seen() {
    let world = quiet();
    world.tick();
    world.add("other", "other");
    // Another process moves the cursor on.
    world.append(["acme 2", "other 1"]);
    world.clock.advance(world.settings.flush_interval);
    let deadline = world.clock.now().checked_add(Duration::from_secs(75));
    let another = world.new_delivery();
    let run = another.run(deadline.unwrap());
    let report = world.script.run(&world.clock, run).unwrap().unwrap();
    assert_eq!(report.counts.delivered, 2);
    world.pause("acme");
    world.append(["acme 3", "other 2"]);
    assert_eq!(world.tick().counts.delivered, 1);
    assert_eq!(world.events("other"), ["other 1", "other 2"]);
    world.resume("acme");
    assert_eq!(world.tick().counts.delivered, 1);
    assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 3"]);
}

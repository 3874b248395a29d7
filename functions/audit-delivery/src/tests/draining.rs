//! Resuming after a long pause: in order, by bounded plans, and fairly among tenants.

use std::time::Duration;

use sealift_testkit::sinks::Health;

use super::{World, name};

#[test]
fn a_resumed_destination_drains_in_order_by_bounded_plans() {
    let world = World::with(crate::Settings {
        plan_segments: 4,
        ..crate::Settings::default()
    });
    world.add("acme", "acme");
    world.append(["acme 00"]);
    world.run();
    world.pause("acme");
    let mut expected = vec!["acme 00".to_owned()];
    for number in 1..=22 {
        let event = format!("acme {number:02}");
        world.append([event.as_str()]);
        world.flush();
        expected.push(event);
    }
    world.resume("acme");
    let report = world.flush();
    assert_eq!((report.plans, report.rejoined), (6, 1));
    assert_eq!(world.events("acme"), expected);
    let puts = world.sinks.puts();
    let keys: Vec<&str> = puts.iter().map(|put| put.key.as_str()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

#[test]
fn a_tenant_that_resumes_many_leaves_another_its_turns() {
    let world = World::with(crate::Settings {
        plan_segments: 1,
        ..crate::Settings::default()
    });
    let many: Vec<String> = (0..12).map(|number| format!("many-{number:02}")).collect();
    for id in &many {
        world.add(id, "many");
    }
    world.add("one", "one");
    world.append(["many x", "one x"]);
    world.run();
    for id in many.iter().map(String::as_str).chain(["one"]) {
        world.pause(id);
    }
    for number in 0..25 {
        let events = [format!("many {number}"), format!("one {number}")];
        world.append(events.iter().map(String::as_str));
        world.flush();
    }
    for id in many.iter().map(String::as_str).chain(["one"]) {
        world.resume(id);
        let slow = Health::Slow(Duration::from_secs(2));
        world.sinks.set_destination(&name(id), slow);
    }
    world.flush();
    // A minute, two seconds for each plan: the one had all of its own, and the many, which could
    // not have theirs in this time, had as much as one another.
    assert_eq!(world.events("one").len(), 26);
    let delivered: Vec<usize> = many.iter().map(|id| world.events(id).len()).collect();
    let (least, most) = (
        delivered.iter().min().unwrap(),
        delivered.iter().max().unwrap(),
    );
    assert!(
        most - least <= 1 && *least > 3 && *most < 26,
        "{delivered:?}"
    );
    for _ in 0..6 {
        world.flush();
    }
    for id in &many {
        assert_eq!(world.events(id).len(), 26, "{id}");
    }
}

#[test]
fn a_pause_in_the_middle_of_draining_keeps_what_was_delivered_and_the_open_plan() {
    let world = World::with(crate::Settings {
        plan_segments: 1,
        ..crate::Settings::default()
    });
    world.add("acme", "acme");
    world.append(["acme 0"]);
    world.run();
    world.pause("acme");
    for number in 1..=5 {
        world.append([format!("acme {number}").as_str()]);
        world.flush();
    }
    world.resume("acme");
    // The third of them is not taken.
    let before = world.sinks.puts().len();
    let sinks = world.sinks.clone();
    world.script.set(move |call| {
        let full = sinks.puts().len() - before >= 2;
        match call.verb == sealift_testkit::scripted::Verb::Put && full {
            true => sealift_testkit::scripted::Turn::Denied,
            false => sealift_testkit::scripted::Turn::Well,
        }
    });
    world.flush();
    world.pause("acme");
    world.script.calm();
    world.clock.advance(Duration::from_mins(5));
    world.run();
    let left = world.left("acme");
    assert!(left.plan.is_some());
    assert_eq!(left.progress.counts.delivered, 3);
    assert_eq!(world.events("acme").len(), 3);
    world.resume("acme");
    world.flush();
    let expected: Vec<String> = (0..=5).map(|number| format!("acme {number}")).collect();
    assert_eq!(world.events("acme"), expected);
    assert!(world.is_member("acme"));
}

#[test]
fn how_long_events_took_is_kept_with_the_destination() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1", "acme 2"]);
    world.clock.advance(Duration::from_secs(18));
    world.run();
    world.append(["acme 3"]);
    world.pause("acme");
    world.flush();
    world.resume("acme");
    world.clock.advance(Duration::from_mins(10));
    world.run();
    let progress = &world.cursor().members[&name("acme")].progress;
    let freshness = progress.freshness.quantiles(world.now_ms());
    assert_eq!(freshness.events, 3);
    let (half, most) = (freshness.p50_ms.unwrap(), freshness.p95_ms.unwrap());
    assert!((18_000..=23_000).contains(&half), "{half}");
    assert!((620_000..=780_000).contains(&most), "{most}");
}

//! Flushes in which all goes well: what is delivered where, when, and what is told of it.

use std::time::Duration;

use sealift_core::delivery::Counts;
use sealift_core::delivery::encode::Encoding;
use sealift_core::destination::shard_of;
use sealift_core::gzip::Level;
use sealift_core::id::OrgId;
use sealift_core::selection::Selection;
use sealift_testkit::scripted::Verb;
use sealift_testkit::sinks::Replaced;

use super::World;
use crate::{Report, Settings};

#[test]
fn a_log_that_was_never_written_to_is_nothing_to_do() {
    let world = World::new();
    world.add("acme", "acme");
    assert_eq!(world.run(), Report::default());
    assert!(
        world
            .state
            .keys()
            .iter()
            .all(|key| !key.as_str().starts_with("delivery/"))
    );
}

#[test]
fn each_destination_gets_one_object_for_each_hour_of_what_the_log_holds() {
    let world = World::new();
    world.add("acme", "acme");
    world.add("other", "other");
    world.append(["acme 1", "other 1", "acme 2 thing.made 1"]);
    world.append(["acme 3", "other 2 thing.made 1"]);
    world.append(["acme 4 thing.made 1", "nobody 1"]);
    let report = world.run();

    let names: Vec<String> = world.objects("acme").into_keys().collect();
    assert_eq!(names.len(), 2);
    let range = "00000000000000000001-00000000000000000003-";
    assert!(names[0].starts_with(&format!("audit/date=2023-07-10/hour=13/{range}")));
    assert!(names[1].starts_with(&format!("audit/date=2023-07-10/hour=14/{range}")));
    assert_eq!(
        world.events("acme"),
        [
            "acme 1",
            "acme 3",
            "acme 2 thing.made 1",
            "acme 4 thing.made 1"
        ]
    );
    assert_eq!(world.objects("other").len(), 2);
    assert_eq!(world.events("other"), ["other 1", "other 2 thing.made 1"]);

    let puts = world.sinks.puts();
    assert_eq!(puts.len(), 4);
    let object_bytes = puts.iter().map(|put| put.bytes.len() as u64).sum();
    let lines = world
        .objects("acme")
        .into_values()
        .chain(world.objects("other").into_values());
    let raw_bytes = lines.flatten().map(|line| line.len() as u64 + 1).sum();
    let counts = Counts {
        delivered: 6,
        raw_bytes,
        objects: 4,
        object_bytes,
        ..Counts::default()
    };
    let expected = Report {
        plans: 1,
        counts,
        slowest_ms: Some(0),
        ..Report::default()
    };
    assert_eq!(report, expected);
    let cursor = world.cursor();
    assert_eq!((cursor.plan, cursor.position.next.0), (None, 4));
    let member = cursor.members.into_values().next().unwrap();
    assert_eq!(member.progress.counts.delivered, 4);
    assert_eq!(member.progress.delivered_ms, Some(world.now_ms()));
}

#[test]
fn the_floor_of_the_log_is_raised_before_the_cursor_passes_it() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.append(["acme 2"]);
    world.run();
    let calls = world.script.calls();
    let at = |verb, start: &str| calls.iter().position(|call| call.is(verb, start)).unwrap();
    let raised = at(Verb::Swap, "head.json");
    let planned = at(Verb::Swap, "delivery/0000.json");
    let written = at(Verb::Put, "audit/");
    assert!(raised < planned && planned < written, "{calls:?}");
}

#[test]
fn large_members_are_joined_as_they_lie_and_small_ones_compressed_together() {
    for (small_bytes, as_they_lie) in [(0, true), (1 << 20, false)] {
        let world = World::with(Settings {
            encoding: Encoding {
                level: Level::DEFAULT,
                small_bytes,
            },
            ..Settings::default()
        });
        world.add("acme", "acme");
        world.append(["acme 1"]);
        world.append(["acme 2"]);
        world.run();
        let joined: Vec<u8> = [1, 2]
            .into_iter()
            .flat_map(|number| {
                let key = sealift_core::log::segment_key(sealift_core::id::Sequence(number));
                let bytes = world.log.get_now(&key).unwrap().bytes;
                let segment = sealift_core::segment::Segment::read(&bytes).unwrap();
                segment.members().next().unwrap().bytes.to_vec()
            })
            .collect();
        let put = world.sinks.puts().remove(0);
        assert_eq!(put.bytes == joined, as_they_lie);
        assert_eq!(put.bytes.len() < joined.len(), !as_they_lie);
        assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
    }
}

#[test]
fn a_destination_gets_the_types_that_it_selects_and_nothing_else() {
    let world = World::new();
    for (id, terms) in [
        ("types", vec!["project.created", "TOOL_CALL"]),
        ("category", vec!["ai-agent-and-data"]),
        ("resource", vec!["project.*"]),
    ] {
        let selection = Selection::parse(terms).unwrap();
        world.add_with(id, "acme", |destination| destination.include = selection);
    }
    world.append([
        "acme 1 project.created",
        "acme 2 TOOL_CALL",
        "acme 3 project.deleted",
    ]);
    world.append(["acme 4 AI_REQUEST", "acme 5 projects.created"]);
    let report = world.run();
    assert_eq!(
        world.events("types"),
        ["acme 1 project.created", "acme 2 TOOL_CALL"]
    );
    assert_eq!(
        world.events("category"),
        ["acme 2 TOOL_CALL", "acme 4 AI_REQUEST"]
    );
    assert_eq!(
        world.events("resource"),
        ["acme 1 project.created", "acme 3 project.deleted"]
    );
    assert_eq!((report.counts.delivered, report.counts.left_out), (6, 9));
}

#[test]
fn a_changed_selection_counts_from_the_next_plan_on() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1 a.x", "acme 2 b.x"]);
    world.run();
    world.change("acme", |d| d.include = Selection::parse(["b.*"]).unwrap());
    world.append(["acme 3 a.x", "acme 4 b.x"]);
    world.flush();
    assert_eq!(
        world.events("acme"),
        ["acme 1 a.x", "acme 2 b.x", "acme 4 b.x"]
    );
}

#[test]
fn a_duplicate_is_dropped_across_flushes_and_an_altered_event_is_delivered_and_counted() {
    let mut world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1", "acme 2", "acme 1"]);
    let report = world.run();
    assert_eq!((report.counts.delivered, report.counts.duplicates), (2, 1));
    // Another organization's event with the same id is another event.
    world.append(["acme 2", "other 2", "acme 1 thing.made 0 altered"]);
    let report = world.flush();
    let Counts {
        delivered,
        duplicates,
        altered,
        ..
    } = report.counts;
    assert_eq!((delivered, duplicates, altered), (1, 1, 1));
    // A process that remembers nothing reads back.
    world.restart(|_| ());
    world.append(["acme 1", "acme 2"]);
    let report = world.flush();
    assert_eq!((report.counts.delivered, report.counts.duplicates), (0, 2));
    assert_eq!(
        world.events("acme"),
        ["acme 1", "acme 2", "acme 1 thing.made 0 altered"]
    );
    assert_eq!(world.objects("acme").len(), 2);
}

#[test]
fn an_event_that_comes_again_after_the_window_is_delivered_again() {
    let world = World::with(Settings {
        lookback_ms: 60_000,
        ..Settings::default()
    });
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.clock.advance(Duration::from_secs(61));
    world.append(["acme 1"]);
    world.run();
    assert_eq!(world.events("acme"), ["acme 1", "acme 1"]);
}

#[test]
fn a_shard_is_flushed_at_most_once_in_an_interval() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    assert_eq!(world.run().plans, 1);
    world.append(["acme 2"]);
    let begun = world.clock.now();
    let mut flushed = Vec::new();
    for _ in 0..60 {
        world.clock.advance(Duration::from_secs(1));
        if world.run().plans > 0 {
            flushed.push(world.clock.now().duration_since(begun).as_secs());
        }
        world.append([format!("acme 3-{}", world.now_ms()).as_str()]);
    }
    // A trigger that comes a second early finds the flush due.
    assert_eq!(flushed, [19, 38, 57]);
    assert_eq!(world.objects("acme").len(), 4);
}

#[test]
fn an_event_that_comes_after_a_quiet_time_does_not_wait() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    for _ in 0..10 {
        assert_eq!(world.flush(), Report::default());
    }
    world.clock.advance(Duration::from_secs(1));
    world.append(["acme 2"]);
    assert_eq!(world.run().plans, 1);
}

#[test]
fn a_plan_is_bounded_and_a_flush_takes_as_many_as_it_needs() {
    for (settings, plans) in [
        (
            Settings {
                plan_segments: 2,
                ..Settings::default()
            },
            4,
        ),
        (
            Settings {
                plan_bytes: 1,
                ..Settings::default()
            },
            8,
        ),
        (
            Settings {
                plan_objects: 1,
                ..Settings::default()
            },
            8,
        ),
        (Settings::default(), 1),
    ] {
        let world = World::with(settings);
        world.add("acme", "acme");
        for number in 0..8 {
            world.append([format!("acme {number} thing.made {number}").as_str()]);
        }
        let report = world.run();
        assert_eq!((report.plans, report.counts.delivered), (plans, 8));
        assert_eq!(world.events("acme").len(), 8);
        assert_eq!(world.sinks.count(Replaced::Nothing), 8);
    }
}

#[test]
fn near_the_deadline_nothing_new_is_begun() {
    let world = World::with(Settings {
        reserve: Duration::from_secs(76),
        ..Settings::default()
    });
    world.add("acme", "acme");
    world.append(["acme 1"]);
    assert_eq!(world.run(), Report::default());
    assert!(world.sinks.puts().is_empty());
}

#[test]
fn organizations_of_different_shards_are_delivered_by_cursors_of_their_own() {
    let world = World::with(Settings {
        shards: 2,
        ..Settings::default()
    });
    let of_shard = |shard| {
        let mut names = (0..).map(|number| format!("org-{number}"));
        let own = |name: &String| shard_of(&OrgId::parse(name.as_str()).unwrap(), 2) == shard;
        names.find(own).unwrap()
    };
    let (first, second) = (of_shard(0), of_shard(1));
    world.add("first", &first);
    world.add("second", &second);
    let events = [format!("{first} 1"), format!("{second} 1")];
    world.append(events.iter().map(String::as_str));
    let report = world.run();
    assert_eq!((report.plans, report.counts.delivered), (2, 2));
    assert_eq!(world.events("first"), [format!("{first} 1")]);
    assert_eq!(world.events("second"), [format!("{second} 1")]);
    let cursors = world.state.keys();
    let cursors = cursors
        .iter()
        .filter(|key| key.as_str().starts_with("delivery/"));
    assert_eq!(cursors.count(), 2);
}

#[test]
fn two_destinations_on_one_prefix_share_no_key() {
    let world = World::new();
    world.add("acme", "acme");
    let bucket = sealift_core::id::BucketName::parse("acme").unwrap();
    world.add_with("twin", "acme", |destination| {
        destination.location.bucket = bucket;
    });
    world.append(["acme 1"]);
    world.run();
    assert_eq!(world.events("acme"), ["acme 1", "acme 1"]);
    assert_eq!(world.sinks.count(Replaced::Nothing), 2);
}

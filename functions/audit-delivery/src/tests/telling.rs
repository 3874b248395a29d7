//! Gaps are told: a record in the customer's bucket for each, whatever happens on the way.

use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::delivery::LeftReason;
use sealift_core::id::{BucketName, KeyPrefix, Sequence};
use sealift_core::log::segment_key;
use sealift_testkit::scripted::{Turn, Verb};
use sealift_testkit::sinks::{Health, Replaced};
use serde_json::Value;

use super::{World, name};

/// Two destinations that have the first segment; of the next three two are gone.
fn world() -> World {
    let world = World::new();
    world.add("acme", "acme");
    world.add("other", "acme");
    world.append(["acme 1"]);
    world.run();
    world.clock.advance(Duration::from_secs(7));
    for event in ["acme 2", "acme 3", "acme 4"] {
        world.append([event]);
    }
    for number in [2, 3] {
        world
            .log
            .remove_now(&segment_key(Sequence(number)))
            .unwrap();
    }
    world.clock.advance(world.settings.flush_interval);
    world
}

/// The records in a bucket, by key.
pub(super) fn records(world: &World, bucket: &str) -> Vec<(String, Value)> {
    let objects = world.sinks.objects(&BucketName::parse(bucket).unwrap());
    let records = objects
        .into_iter()
        .filter(|(key, _)| key.as_str().contains("/_gaps/"));
    records
        .map(|(key, bytes)| (key.to_string(), serde_json::from_slice(&bytes).unwrap()))
        .collect()
}

#[test]
fn a_gap_has_a_record_in_the_bucket_of_each_destination_that_misses_something() {
    let world = world();
    let begun = world.clock.now();
    let report = world.run();
    assert_eq!((report.gaps, report.told, report.rejoined), (1, 2, 2));
    for id in ["acme", "other"] {
        let records = records(&world, id);
        assert_eq!(records.len(), 1, "{id}");
        let (key, record) = &records[0];
        let start = "audit/_gaps/00000000000000000002-00000000000000000003-";
        assert!(key.starts_with(start), "{key}");
        assert_eq!(record["format"], "sealift.gap/1");
        assert_eq!(record["destination"], id);
        assert_eq!(record["organization"], "acme");
        assert_eq!(record["segments"], 2);
        assert_eq!(record["from"], "2023-07-10T14:00:00.000Z");
        assert_eq!(record["to"], "2023-07-10T14:00:07.000Z");
        assert_eq!(record["noticed"], format!("{begun:.3}"));
        assert_eq!(world.events(id), ["acme 1", "acme 4"]);
        let progress = &world.cursor().members[&name(id)].progress;
        assert_eq!((progress.gaps.len(), progress.untold.len()), (1, 0));
    }
    // It is told once, and before anything behind it is delivered.
    world.append(["acme 5"]);
    world.flush();
    let puts = world.sinks.puts();
    let of_acme = puts.iter().filter(|put| put.destination == name("acme"));
    let told: Vec<bool> = of_acme
        .map(|put| put.key.as_str().contains("_gaps/"))
        .collect();
    assert_eq!(told, [false, true, false, false]);
}

#[test]
fn a_bucket_that_fails_delays_its_own_record_and_nobody_elses() {
    let world = world();
    world.sinks.set_destination(&name("acme"), Health::Denied);
    let report = world.run();
    assert_eq!((report.told, report.failures), (1, 1));
    assert_eq!(world.cursor().left[&name("acme")].reason, LeftReason::Gap);
    let left = world.left("acme");
    assert_eq!((left.attempts, left.progress.untold.len()), (1, 1));
    assert!(left.gap_plan.is_some() && left.failure.is_some());
    assert_eq!(world.events("other"), ["acme 1", "acme 4"]);
    for _ in 0..40 {
        world.flush();
    }
    assert_eq!(world.events("acme"), ["acme 1"]);
    world.sinks.set_destination(&name("acme"), Health::Well);
    world.clock.advance(Duration::from_mins(5));
    let report = world.run();
    assert_eq!((report.told, report.rejoined), (1, 1));
    assert_eq!(records(&world, "acme").len(), 1);
    assert_eq!(world.events("acme"), ["acme 1", "acme 4"]);
}

#[test]
fn a_destination_that_is_paused_is_told_when_it_is_resumed() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.pause("acme");
    for event in ["acme 2", "acme 3"] {
        world.append([event]);
        world.flush();
    }
    world.log.expire("log/", Timestamp::MAX);
    world.flush();
    assert!(records(&world, "acme").is_empty());
    world.resume("acme");
    let report = world.flush();
    assert_eq!((report.told, report.rejoined), (1, 1));
    assert_eq!(records(&world, "acme")[0].1["segments"], 2);
}

#[test]
fn a_record_whose_place_takes_it_no_more_is_told_at_the_new_one() {
    let world = world();
    world
        .script
        .set(|call| match call.is(Verb::Put, "audit/_gaps/") {
            true => Turn::Denied,
            false => Turn::Well,
        });
    world.run();
    let prefix = KeyPrefix::parse("new/").unwrap();
    world.change("acme", |destination| destination.location.prefix = prefix);
    world.clock.advance(Duration::from_mins(5));
    world.run();
    let keys: Vec<String> = records(&world, "acme").into_iter().map(|r| r.0).collect();
    assert_eq!(keys.len(), 1);
    assert!(keys[0].starts_with("new/_gaps/"), "{keys:?}");
    assert!(world.is_member("acme"));
}

#[test]
fn another_version_that_tells_it_in_other_words_records_them_first() {
    let world = world();
    world
        .script
        .first(Verb::Put, "audit/_gaps/", [Turn::KilledAfter]);
    assert_eq!(world.run_or_die(), None);
    // As if the plan were of a version that had other words.
    let left = world.cursor().left[&name("acme")].clone();
    let place = sealift_core::delivery::LeftCursor::place(0, &name("acme"), left.generation);
    if let Some(read) = world.read(&place) {
        let mut body = read.body.clone();
        if let Some(plan) = &mut body.gap_plan {
            plan.object.sha256 = "0".repeat(64);
        }
        let quiet = sealift_testkit::Script::default();
        let replace = place.replace(&world.state, &read, body, &world.entropy);
        quiet.run(&world.clock, replace).unwrap().unwrap();
    }
    world.script.calm();
    let report = world.flush();
    assert!(report.told >= 1);
    assert_eq!(records(&world, "acme").len(), 1);
    assert_eq!(world.sinks.count(Replaced::Different), 0);
}

/// All that lies in both buckets, but for the time at which a gap was noticed.
fn all(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for id in ["acme", "other"] {
        for (key, lines) in world.objects(id) {
            all.push((format!("{id}/{key}"), lines.join("\n")));
        }
        for (key, mut record) in records(world, id) {
            record["noticed"] = Value::Null;
            all.push((format!("{id}/{key}"), record.to_string()));
        }
    }
    all
}

#[test]
fn whichever_call_goes_wrong_each_gap_is_told_once_and_the_same() {
    let finish = |world: &World| {
        for _ in 0..4 {
            world.flush();
        }
        assert!(world.is_member("acme") && world.is_member("other"));
    };
    let undisturbed = world();
    finish(&undisturbed);
    let expected = all(&undisturbed);
    assert_eq!(expected.len(), 6);
    for turn in [
        Turn::KilledBefore,
        Turn::KilledAfter,
        Turn::Transient,
        Turn::LosesReply,
        Turn::RefusesOwn,
    ] {
        for victim in 0.. {
            let mut world = world();
            let mut count = 0;
            world.script.set(move |_| {
                count += 1;
                match count - 1 == victim {
                    true => turn,
                    false => Turn::Well,
                }
            });
            let _ = world.run_or_die();
            let calls = world.script.calls();
            world.restart(|_| ());
            world.script.calm();
            finish(&world);
            let what = format!("{turn:?} {:?}", calls.get(victim));
            assert_eq!(all(&world), expected, "{what}");
            assert_eq!(world.sinks.count(Replaced::Different), 0, "{what}");
            for id in ["acme", "other"] {
                let progress = world.cursor().members[&name(id)].progress.clone();
                assert_eq!(
                    (progress.gaps.len(), progress.untold.len()),
                    (1, 0),
                    "{what}"
                );
            }
            if victim >= calls.len() {
                assert!(victim > 30, "only {victim} calls");
                break;
            }
        }
    }
}

//! What is refused rather than worked on: state of another kind, and a damaged log.

use sealift_core::delivery::{LeftCursor, ShardCursor};
use sealift_core::destination::DestinationSet;
use sealift_core::document::Document;
use sealift_core::id::{ObjectKey, Sequence};
use sealift_core::log::{Head, LogError, segment_key};
use sealift_core::ports::{Metadata, ObjectStore};
use sealift_testkit::sinks::Health;
use sealift_testkit::{MemoryStore, Script};

use super::{World, name};
use crate::DeliveryError;

/// Writes other bytes in an object's place.
fn overwrite(
    world: &World,
    store: &MemoryStore,
    key: &ObjectKey,
    change: impl Fn(Vec<u8>) -> Vec<u8>,
) {
    let old = store.remove_now(key).unwrap().bytes.to_vec();
    let create = store.create(key, change(old).into(), Metadata::new());
    Script::default()
        .run(&world.clock, create)
        .unwrap()
        .unwrap();
}

#[test]
fn another_number_of_shards_is_refused_with_the_way_out() {
    let mut world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.run();
    world.restart(|settings| settings.shards = 2);
    world.append(["acme 2"]);
    world.clock.advance(world.settings.flush_interval);
    let error = world.try_run().unwrap_err();
    assert_eq!(error, DeliveryError::Shards { is: 1, wanted: 2 });
    assert_eq!(
        error.to_string(),
        "the cursors were made with 1 shards, but SEALIFT_SHARDS says 2; set it back: the number \
         cannot be changed once events were delivered"
    );
    assert_eq!(world.events("acme"), ["acme 1"]);
    world.restart(|settings| settings.shards = 1);
    world.run();
    assert_eq!(world.events("acme"), ["acme 1", "acme 2"]);
}

#[test]
fn a_document_of_another_format_version_is_refused_by_name_and_nothing_is_delivered() {
    let cases = [
        ("head.json", Head::FORMAT),
        ("destinations/0000.json", DestinationSet::FORMAT),
        ("delivery/0000.json", ShardCursor::FORMAT),
        ("delivery/0000/left/acme-1.json", LeftCursor::FORMAT),
    ];
    for (at, format) in cases {
        let world = World::new();
        world.add("acme", "acme");
        world.sinks.set_destination(&name("acme"), Health::Denied);
        world.append(["acme 1"]);
        world.run();
        world.flush();
        world.sinks.set_destination(&name("acme"), Health::Well);
        world.append(["acme 2"]);
        let later = format.replace("/1", "/2");
        let key = ObjectKey::parse(at).unwrap();
        let store = if at == "head.json" {
            &world.log
        } else {
            &world.state
        };
        overwrite(&world, store, &key, |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replacen(format, &later, 1).into_bytes()
        });
        world.clock.advance(std::time::Duration::from_secs(60));
        let error = world.try_run().unwrap_err().to_string();
        let expected = format!(
            "document {at} cannot be used: its format is {later:?}, and this version of Sealift \
             reads {format:?}"
        );
        assert_eq!(error, expected);
        assert!(world.sinks.puts().is_empty(), "{at}");
    }
}

#[test]
fn a_document_that_is_no_json_or_of_another_form_is_refused_by_name() {
    let no_cursor = format!(
        r#"{{"format":"{}","revision":1,"body":{{}}}}"#,
        ShardCursor::FORMAT
    );
    for (content, reason) in [("{", "EOF"), (no_cursor.as_str(), "missing field")] {
        let world = World::new();
        world.add("acme", "acme");
        world.append(["acme 1"]);
        world.run();
        let key = ObjectKey::parse("delivery/0000.json").unwrap();
        overwrite(&world, &world.state, &key, |_| content.as_bytes().to_vec());
        let error = world.try_run().unwrap_err().to_string();
        assert!(
            error.starts_with("document delivery/0000.json cannot be used: "),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn nothing_is_delivered_from_a_damaged_segment_and_the_error_names_it() {
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |mut bytes| {
            let last = bytes.len() - 12;
            bytes[last] ^= 1;
            bytes
        },
        |mut bytes| {
            bytes[40] ^= 1;
            bytes
        },
        |mut bytes| {
            bytes.truncate(bytes.len() - 1);
            bytes
        },
        |_| b"somebody's notes".to_vec(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let world = World::new();
        world.add("acme", "acme");
        world.append(["acme 1"]);
        world.run();
        for event in ["acme 2", "acme 3", "acme 4"] {
            world.append([event]);
        }
        let key = segment_key(Sequence(3));
        overwrite(&world, &world.log, &key, damage);
        world.clock.advance(world.settings.flush_interval);
        let error = world.try_run().unwrap_err();
        let DeliveryError::Log(LogError::Segment { sequence, .. }) = &error else {
            panic!("{number}: {error}");
        };
        assert_eq!(*sequence, Sequence(3));
        assert!(
            error
                .to_string()
                .starts_with("segment 00000000000000000003: "),
            "{error}"
        );
        assert_eq!(world.events("acme"), ["acme 1"]);
        assert_eq!(world.cursor().position.next, Sequence(2));
        // The way out: take it away. What was in it is a gap.
        world.log.remove_now(&key);
        let report = world.flush();
        assert_eq!(report.gaps, 1);
        assert_eq!(world.events("acme"), ["acme 1", "acme 2", "acme 4"]);
    }
}

#[test]
fn a_segment_with_another_tenants_member_in_its_place_is_refused() {
    let world = World::new();
    world.add("acme", "acme");
    world.append(["acme 1"]);
    world.append(["evil 1"]);
    let stranger = world.log.get_now(&segment_key(Sequence(2))).unwrap().bytes;
    let own = world.log.get_now(&segment_key(Sequence(1))).unwrap().bytes;
    let at = |bytes: &[u8]| {
        let magic: &[u8] = &[0x1f, 0x8b, 8];
        bytes
            .windows(3)
            .rposition(|window| window == magic)
            .unwrap()
    };
    let forged = [&own[..at(&own)], &stranger[at(&stranger)..]].concat();
    overwrite(&world, &world.log, &segment_key(Sequence(1)), |_| {
        forged.clone()
    });
    let error = world.try_run().unwrap_err();
    assert!(
        matches!(error, DeliveryError::Log(LogError::Segment { .. })),
        "{error}"
    );
    assert!(world.sinks.puts().is_empty());
}

#[test]
fn a_log_or_state_that_fails_ends_the_run_and_the_next_one_goes_on() {
    use sealift_testkit::scripted::{Turn, Verb};
    let calls = [
        (Verb::Get, "head.json"),
        (Verb::Get, "destinations/"),
        (Verb::Get, "delivery/"),
        (Verb::Create, "delivery/"),
        (Verb::List, "log/"),
        (Verb::Get, "log/"),
        (Verb::Swap, "head.json"),
        (Verb::Swap, "delivery/"),
    ];
    for (verb, at) in calls {
        let world = World::new();
        world.add("acme", "acme");
        world.append(["acme 1"]);
        world.script.first(verb, at, [Turn::Transient]);
        assert!(world.try_run().is_err(), "{verb:?} {at}");
        world.run();
        assert_eq!(world.events("acme"), ["acme 1"], "{verb:?} {at}");
        assert_eq!(world.sinks.puts().len(), 1, "{verb:?} {at}");
    }
}

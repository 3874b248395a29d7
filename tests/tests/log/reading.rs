//! Segments and head as they are read.

use sealift_core::document::{Document, DocumentError};
use sealift_core::id::{ObjectKey, Sequence};
use sealift_core::log::{Head, LogError, segment_key};
use sealift_core::ports::{Metadata, ObjectStore};
use sealift_core::segment::{SegmentError, Stamp};
use sealift_testkit::scripted::Verb;

use super::{World, draft};

#[test]
fn an_index_beyond_the_first_guess_is_fetched_in_what_it_needs() {
    let world = World::new();
    let names: Vec<String> = (0..4000).map(|n| format!("organization-{n:05}")).collect();
    let draft = draft(names.iter().map(String::as_str));
    world
        .run(world.log.append(&draft, &world.clock, &world.entropy))
        .unwrap();
    let index = world
        .run(world.log.read_index(Sequence(1)))
        .unwrap()
        .unwrap();
    let whole = world.run(world.log.read(Sequence(1))).unwrap().unwrap();
    assert_eq!(index, whole.index);
    assert_eq!(index.events(), 4000);
    // The guess, the header, the digests.
    assert_eq!(world.script.count(Verb::GetFirst, "log/"), 3);
    assert_eq!(world.run(world.log.read_index(Sequence(2))), Ok(None));
}

#[test]
fn a_segment_that_is_cut_or_lies_at_anothers_number_is_an_error_that_names_it() {
    let world = World::new();
    let stamped = |number| {
        let stamp = Stamp {
            epoch: "e".to_owned(),
            sequence: Sequence(number),
            nonce: "n".to_owned(),
            appended_ms: 0,
        };
        draft(["a"]).stamped(&stamp).unwrap()
    };
    let put = |number, bytes| {
        let key = segment_key(Sequence(number));
        let create = world.bucket.create(&key, bytes, Metadata::new());
        world.run(create).unwrap();
    };
    put(2, stamped(1));
    put(3, stamped(3).slice(..stamped(3).len() - 1));
    put(4, stamped(4).slice(..100));
    for (number, by_index) in [(2, true), (3, false), (4, true)] {
        let error = world.run(world.log.read(Sequence(number))).unwrap_err();
        let named = format!("segment {number:020}: ");
        assert!(error.to_string().starts_with(&named), "{error}");
        let index = world.run(world.log.read_index(Sequence(number)));
        assert_eq!(index.is_err(), by_index, "{index:?}");
    }
    let error = world.run(world.log.read_index(Sequence(4))).unwrap_err();
    let LogError::Segment {
        error: SegmentError::Short { have, .. },
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(have, 100);
}

#[test]
fn a_head_of_another_format_version_is_refused_and_nothing_is_appended() {
    let world = World::new();
    world.append("a").unwrap();
    let key = ObjectKey::parse("head.json").unwrap();
    let head = world.bucket.remove_now(&key).unwrap();
    let text = String::from_utf8(head.bytes.to_vec()).unwrap();
    let later = text.replace(Head::FORMAT, "sealift.log-head/2");
    world
        .run(world.bucket.create(&key, later.into(), Metadata::new()))
        .unwrap();
    let error = world.append("b").unwrap_err();
    assert!(matches!(
        error,
        LogError::Document(DocumentError::Unreadable { .. })
    ));
    assert_eq!(
        error.to_string(),
        "document head.json cannot be used: its format is \"sealift.log-head/2\", and this \
         version of Sealift reads \"sealift.log-head/1\""
    );
    assert_eq!(world.numbers(), [1]);
}

//! State documents as an earlier version wrote them: they are read, and what has not changed is
//! written as it was, so that the version before could go on from there.
//!
//! `fixtures/documents-1` holds them, byte for byte as they were written before destinations had
//! records, replays and holds, and before provisioning had a managed mode. They are never changed:
//! what a later version adds comes as another folder.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::FutureExt;
use sealift_core::delivery::{LeftCursor, ShardCursor};
use sealift_core::destination::DestinationSet;
use sealift_core::document::{Document, Place};
use sealift_core::export::automation::Automation;
use sealift_core::export::budget::Budget;
use sealift_core::export::cursor::ExportCursor;
use sealift_core::export::timetable::Timetable;
use sealift_core::id::ObjectKey;
use sealift_core::log::Head;
use sealift_core::ports::ObjectStore;
use sealift_core::provision::ledger::Ledger;
use sealift_core::provision::settings::Written;
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::Value;

fn upgraded<T: Document>(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/documents-1")
        .join(format!("{name}.json"));
    let old = std::fs::read(path).unwrap();
    let clock = VirtualClock::new("2026-05-13T00:00:00Z".parse().unwrap());
    let (store, entropy) = (MemoryStore::new(clock), SeededEntropy::new(1));
    let key = ObjectKey::parse(format!("{name}.json")).unwrap();
    let put = store.create(&key, old.clone().into(), BTreeMap::new());
    put.now_or_never().unwrap().unwrap();
    let place = Place::<T>::new(key.clone());
    let read = place.load(&store).now_or_never().unwrap();
    let read = read.unwrap_or_else(|error| panic!("{name} is not read any more: {error}"));
    let read = read.unwrap();
    let body = serde_json::to_value(&read.body).unwrap();
    let old: Value = serde_json::from_slice(&old).unwrap();
    assert_eq!(body, old["body"], "{name}");
    assert_eq!(T::FORMAT, old["format"], "{name}");
    let body = serde_json::from_value(body).unwrap();
    let saved = place.replace(&store, &read, body, &entropy);
    saved.now_or_never().unwrap().unwrap();
    let written = store.get_now(&key).unwrap();
    let written: Value = serde_json::from_slice(&written.bytes).unwrap();
    assert_eq!(written["body"], old["body"], "{name}");
    assert_eq!(
        written["revision"].as_u64().unwrap(),
        old["revision"].as_u64().unwrap() + 1
    );
}

#[test]
fn documents_of_an_earlier_version_are_read_and_written_as_they_were() {
    upgraded::<Head>("log-head");
    upgraded::<DestinationSet>("destinations");
    upgraded::<ShardCursor>("shard-cursor");
    upgraded::<LeftCursor>("left-cursor");
    upgraded::<Automation>("automation");
    upgraded::<ExportCursor>("export-cursor");
    upgraded::<Timetable>("timetable");
    upgraded::<Budget>("request-budget");
    upgraded::<Ledger>("provisioning-ledger");
    upgraded::<Written>("provisioning-settings");
}

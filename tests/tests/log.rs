//! The audit log on a bucket in memory: what an append makes of refusals, lost replies and other
//! writers, and how numbers stay unused when segments and head go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail where they stand, as tests do"
)]

#[path = "log/appending.rs"]
mod appending;
#[path = "log/numbers.rs"]
mod numbers;
#[path = "log/reading.rs"]
mod reading;

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::event::Event;
use sealift_core::gzip::Level;
use sealift_core::id::{OrgId, Sequence};
use sealift_core::log::{Appended, Head, Log, LogError, segment_key, sequence_of};
use sealift_core::partition::Hour;
use sealift_core::ports::{Conditional, Metadata, ObjectStore};
use sealift_core::segment::{Builder, Draft};
use sealift_testkit::scripted::Scripted;
use sealift_testkit::{MemoryStore, Script, SeededEntropy, VirtualClock};

/// A bucket with a log, and a script for what may go wrong on it.
struct World {
    clock: VirtualClock,
    entropy: SeededEntropy,
    script: Script,
    bucket: MemoryStore,
    log: Log<Scripted<MemoryStore>>,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new(Timestamp::from_second(1_689_000_000).unwrap());
        let bucket = MemoryStore::new(clock.clone()).with_etags_of_content();
        let script = Script::default();
        Self {
            entropy: SeededEntropy::new(7),
            log: Log::new(script.on(bucket.clone())),
            clock,
            script,
            bucket,
        }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        let end = self.script.run(&self.clock, future);
        end.expect("nobody is killed here")
    }

    fn append(&self, name: &str) -> Result<Appended, LogError> {
        let draft = draft([name]);
        self.run(self.log.append(&draft, &self.clock, &self.entropy))
    }

    fn raise_floor(&self, epoch: &str, floor: u64) -> Result<(), LogError> {
        let raise = self
            .log
            .raise_floor(epoch, Sequence(floor), &self.clock, &self.entropy);
        self.run(raise)
    }

    fn head(&self) -> Option<Head> {
        self.run(self.log.head()).unwrap().map(|head| head.body)
    }

    fn numbers(&self) -> Vec<u64> {
        let keys = self.bucket.keys();
        keys.iter().filter_map(sequence_of).map(|n| n.0).collect()
    }

    /// The name that was appended at a number.
    fn name_at(&self, number: u64) -> String {
        let segment = self.run(self.log.read(Sequence(number))).unwrap().unwrap();
        let lines = segment.members().next().unwrap().decompress().unwrap();
        String::from_utf8(lines).unwrap().trim_end().to_owned()
    }

    /// Removes all segments, as their lifecycle does in the end.
    fn expire_all(&self) {
        self.bucket.expire("log/", Timestamp::MAX);
    }
}

/// A draft of one event for each name, each of its own organization.
fn draft<'a>(names: impl IntoIterator<Item = &'a str>) -> Draft {
    let mut builder = Builder::default();
    for name in names {
        builder.add(&Event {
            id: Cow::Borrowed(name),
            organization: OrgId::parse(name).unwrap(),
            time: Timestamp::UNIX_EPOCH,
            hour: Hour::of(Timestamp::UNIX_EPOCH).unwrap(),
            event_type: Cow::Borrowed("a.b"),
            line: Cow::Borrowed(name),
        });
    }
    builder.finish(Level::DEFAULT).unwrap()
}

/// Another's segment, put where the caller is about to write.
fn take(bucket: &MemoryStore, number: u64) {
    let key = segment_key(Sequence(number));
    let metadata = Metadata::from([("sealift-nonce".to_owned(), "another's".to_owned())]);
    let written = bucket.create(&key, Bytes::from_static(b"another's"), metadata);
    assert!(matches!(
        written.now_or_never(),
        Some(Ok(Conditional::Written(_)))
    ));
}

//! The logic, on buckets in memory and a clock that the test moves.

mod crashes;
mod draining;
mod expiry;
mod flushes;
mod gaps;
mod memory;
mod moves;
mod refusals;
mod replays;
mod standings;
mod starts;
mod telling;
mod waiting;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use sealift_core::Timestamp;
use sealift_core::delivery::{LeftCursor, ShardCursor};
use sealift_core::destination::{
    Credentials, Destination, DestinationSet, Location, Region, Status, Storage, shard_of,
};
use sealift_core::document::{Document, Place, Saved};
use sealift_core::event::Event;
use sealift_core::gzip::Level;
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, OrgId, Sequence};
use sealift_core::log::Log;
use sealift_core::partition::Hour;
use sealift_core::segment::Builder;
use sealift_core::selection::Selection;
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::scripted::Scripted;
use sealift_testkit::{MemorySinks, MemoryStore, Script, SeededEntropy, VirtualClock};

use crate::{Delivery, DeliveryError, Report, Settings};

type TestDelivery = Delivery<
    Scripted<MemoryStore>,
    Scripted<MemoryStore>,
    Scripted<MemorySinks>,
    MemoryBus,
    VirtualClock,
    SeededEntropy,
>;

/// A platform: its log, its state, its customers' buckets, and a process that delivers.
struct World {
    clock: VirtualClock,
    entropy: SeededEntropy,
    script: Script,
    log: MemoryStore,
    state: MemoryStore,
    sinks: MemorySinks,
    bus: MemoryBus,
    settings: Settings,
    delivery: TestDelivery,
}

/// The first hour that events happen in.
const HOUR: &str = "2023-07-10T13";

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let clock = VirtualClock::new("2023-07-10T14:00:00Z".parse().unwrap());
        let store = || MemoryStore::new(clock.clone()).with_etags_of_content();
        let (log, state, sinks) = (store(), store(), MemorySinks::new(clock.clone()));
        let bus = MemoryBus::default();
        let (script, entropy) = (Script::default(), SeededEntropy::new(1));
        let delivery = Delivery::new(
            script.on(log.clone()),
            script.on(state.clone()),
            script.on(sinks.clone()),
            bus.clone(),
            clock.clone(),
            entropy.clone(),
            settings.clone(),
        );
        Self {
            clock,
            entropy,
            script,
            log,
            state,
            sinks,
            bus,
            settings,
            delivery,
        }
    }

    /// A process that has just started and remembers nothing.
    fn new_delivery(&self) -> TestDelivery {
        Delivery::new(
            self.script.on(self.log.clone()),
            self.script.on(self.state.clone()),
            self.script.on(self.sinks.clone()),
            self.bus.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            self.settings.clone(),
        )
    }

    /// Goes on with a process that has just started, perhaps of another version.
    fn restart(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.delivery = self.new_delivery();
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    // ---- The log ------------------------------------------------------------------------

    /// Appends a segment of events.
    fn append<'a>(&self, events: impl IntoIterator<Item = &'a str>) -> Sequence {
        let lines: Vec<Line> = events.into_iter().map(Line::of).collect();
        let mut builder = Builder::default();
        for line in &lines {
            builder.add(&line.event());
        }
        let draft = builder.finish(Level::DEFAULT).unwrap();
        let log = Log::new(self.log.clone());
        let append = log.append(&draft, &self.clock, &self.entropy);
        let quiet = Script::default().run(&self.clock, append);
        quiet.unwrap().unwrap().sequence
    }

    // ---- Configuration ------------------------------------------------------------------

    /// Adds a streaming destination of an organization, to the bucket `<id>` below `audit/`.
    fn add(&self, id: &str, organization: &str) {
        self.add_with(id, organization, |_| ());
    }

    fn add_with(&self, id: &str, organization: &str, change: impl FnOnce(&mut Destination)) {
        let mut destination = Destination {
            id: name(id),
            organization: OrgId::parse(organization).unwrap(),
            status: Status::Streaming,
            held: None,
            created_ms: None,
            start_ms: Some(0),
            location: Location {
                endpoint: None,
                region: Region::parse("eu-central-1").unwrap(),
                bucket: BucketName::parse(id).unwrap(),
                prefix: KeyPrefix::parse("audit/").unwrap(),
                path_style: false,
            },
            credentials: Credentials::AccessKeys,
            include: Selection::default(),
            storage: Storage::default(),
            replays: Vec::new(),
        };
        change(&mut destination);
        let shard = shard_of(&destination.organization, self.settings.shards);
        self.change_set(shard, |set| {
            set.0.insert(destination.id.clone(), destination);
        });
    }

    /// Changes a destination of the first shard.
    fn change(&self, id: &str, change: impl FnOnce(&mut Destination)) {
        self.change_set(0, |set| change(set.0.get_mut(&name(id)).unwrap()));
    }

    fn pause(&self, id: &str) {
        self.change(id, |destination| destination.status = Status::Paused);
    }

    fn resume(&self, id: &str) {
        self.change(id, |destination| destination.status = Status::Streaming);
    }

    fn remove(&self, id: &str) {
        self.change_set(0, |set| {
            set.0.remove(&name(id)).unwrap();
        });
    }

    fn change_set(&self, shard: u16, change: impl FnOnce(&mut DestinationSet)) {
        let place = DestinationSet::place(shard);
        let read = self.read(&place);
        let mut set = read.as_ref().map(|r| r.body.clone()).unwrap_or_default();
        change(&mut set);
        let quiet = Script::default();
        let saved = match &read {
            None => quiet.run(&self.clock, place.create(&self.state, set, &self.entropy)),
            Some(read) => {
                let replace = place.replace(&self.state, read, set, &self.entropy);
                quiet.run(&self.clock, replace)
            }
        };
        assert!(matches!(saved, Some(Ok(Saved::Done(_)))));
    }

    // ---- Delivery -----------------------------------------------------------------------

    /// Runs with a minute and 15 seconds until the deadline. `None` if it was killed.
    fn run_or_die(&self) -> Option<Result<Report, DeliveryError>> {
        let deadline = self.clock.now().checked_add(Duration::from_secs(75));
        let run = self.delivery.run(deadline.unwrap());
        self.script.run(&self.clock, run)
    }

    fn try_run(&self) -> Result<Report, DeliveryError> {
        self.run_or_die().expect("nobody is killed here")
    }

    fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    /// Runs when the next flush is due.
    fn flush(&self) -> Report {
        self.clock.advance(self.settings.flush_interval);
        self.run()
    }

    fn read<T: Document>(&self, place: &Place<T>) -> Option<sealift_core::document::Stored<T>> {
        let quiet = Script::default();
        let read = quiet.run(&self.clock, place.load(&self.state));
        read.unwrap().unwrap()
    }

    fn cursor(&self) -> ShardCursor {
        self.read(&ShardCursor::place(0)).unwrap().body
    }

    /// The cursor of a left destination.
    fn left(&self, id: &str) -> LeftCursor {
        let left = self.cursor().left.remove(&name(id)).unwrap();
        let place = LeftCursor::place(0, &name(id), left.generation);
        self.read(&place).map_or(left.begin, |stored| stored.body)
    }

    fn is_left(&self, id: &str) -> bool {
        self.cursor().left.contains_key(&name(id))
    }

    fn is_member(&self, id: &str) -> bool {
        self.cursor().members.contains_key(&name(id))
    }

    /// The lines of each object of the live stream in a bucket.
    fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<String>> {
        self.lines(bucket, |key| {
            !key.contains("_gaps/") && !key.contains("_replays/")
        })
    }

    /// The lines of each object of replays in a bucket.
    fn replays(&self, bucket: &str) -> BTreeMap<String, Vec<String>> {
        self.lines(bucket, |key| key.contains("_replays/"))
    }

    fn lines(&self, bucket: &str, of: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<String>> {
        let mut objects = self.sinks.objects(&BucketName::parse(bucket).unwrap());
        objects.retain(|key, _| of(key.as_str()));
        let lines = objects.into_iter().map(|(key, bytes)| {
            let mut text = String::new();
            let mut reader = MultiGzDecoder::new(bytes.as_ref());
            reader.read_to_string(&mut text).unwrap();
            (key.to_string(), text.lines().map(str::to_owned).collect())
        });
        lines.collect()
    }

    /// The events in a bucket as they were named to [`append`](Self::append), in the order in
    /// which a reader of the keys finds them.
    fn events(&self, bucket: &str) -> Vec<String> {
        let objects = self.objects(bucket).into_values().flatten();
        let names = objects.map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            line["as"].as_str().unwrap().to_owned()
        });
        names.collect()
    }
}

fn name(id: &str) -> DestinationId {
    DestinationId::parse(id).unwrap()
}

/// An event, named `<organization> <id> [type [hours after HOUR [content]]]`.
struct Line {
    organization: String,
    id: String,
    event_type: String,
    time: Timestamp,
    text: String,
}

impl Line {
    fn of(named: &str) -> Self {
        let mut parts = named.split(' ');
        let organization = parts.next().unwrap().to_owned();
        let id = parts.next().unwrap().to_owned();
        let event_type = parts.next().unwrap_or("thing.made").to_owned();
        let hours: u64 = parts.next().map_or(0, |hours| hours.parse().unwrap());
        let first: Timestamp = format!("{HOUR}:10:00Z").parse().unwrap();
        let time = first.checked_add(Duration::from_hours(hours)).unwrap();
        let text = format!(r#"{{"org_id":"{organization}","id":"{id}","as":"{named}"}}"#);
        Self {
            organization,
            id,
            event_type,
            time,
            text,
        }
    }

    fn event(&self) -> Event<'_> {
        Event {
            id: Cow::Borrowed(&self.id),
            organization: OrgId::parse(self.organization.as_str()).unwrap(),
            time: self.time,
            hour: Hour::of(self.time).unwrap(),
            event_type: Cow::Borrowed(&self.event_type),
            line: Cow::Borrowed(&self.text),
        }
    }
}

//! A small scene on buckets in memory, whose documents and objects are the examples of
//! `docs/formats.md`: two batches, two tenants, a crash, a destination that fails and recovers.

use std::collections::BTreeMap;
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use audit_delivery::{Delivery, Settings};
use audit_writer::Writer;
use bytes::Bytes;
use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::delivery::replay::Replay;
use sealift_core::destination::{
    Credentials, Destination, DestinationSet, Location, Region, Status, Storage,
};
use sealift_core::event::Shapes;
use sealift_core::external_id::ExternalId;
use sealift_core::gzip::Level;
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, ObjectKey, OrgId, ReplayId, RoleArn};
use sealift_core::segment::Index;
use sealift_core::selection::Selection;
use sealift_core::sqs::Batch;
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::sinks::Health;
use sealift_testkit::{MemorySinks, MemoryStore, SeededEntropy, VirtualClock};
use serde_json::Value;

const PRELUDE: usize = 16;
const DIGEST: usize = 20;

/// The examples by their names.
pub(crate) fn examples() -> BTreeMap<&'static str, String> {
    let scene = Scene::new();
    let mut examples = BTreeMap::new();

    assert!(scene.write("audit-writer.sealift.json").is_empty());
    let segment = Scene::object(&scene.log, "log/00000000000000000001.seg");
    examples.extend(of_segment(&segment.bytes));
    let nonce = segment.meta.metadata.get("sealift-nonce").unwrap();
    examples.insert("nonce", format!("x-amz-meta-sealift-nonce: {nonce}"));
    scene.clock.advance(Duration::from_secs(5));
    assert!(scene.write("audit-writer.unusable.json").is_empty());
    let parked = Scene::keys(&scene.log, "parked/").remove(0);
    let lines = Scene::object(&scene.log, parked.as_str()).bytes;
    let lines = std::str::from_utf8(&lines).unwrap();
    let line = lines.lines().find(|l| l.contains("no_organization"));
    examples.insert("parked-line", line.unwrap().to_owned());
    examples.insert("parked-key", parked.to_string());

    scene.configure(&[acme(), globex()]);
    examples.insert("destinations", scene.document("destinations/0000.json"));
    let globex = DestinationId::parse("globex-audit").unwrap();
    let slow = Health::Slow(Duration::from_secs(3));
    scene.sinks.set_destination(&globex, slow);
    scene.deliver_and_crash();
    examples.insert("shard-cursor", scene.document("delivery/0000.json"));
    examples.insert("log-head", Scene::document_of(&scene.log, "head.json"));

    scene.sinks.set_destination(&globex, Health::Denied);
    scene.deliver();
    let after = scene.document("delivery/0000.json");
    let mut left: Value = serde_json::from_str(&part(&after, "/body/left")).unwrap();
    // What it begins with has the form of the example after this one.
    let entry = left["globex-audit"].as_object_mut().unwrap();
    assert!(entry.remove("begin").is_some());
    examples.insert("left", left.to_string());
    scene.clock.advance(Duration::from_mins(1));
    scene.deliver();
    let own = "delivery/0000/left/globex-audit-1.json";
    examples.insert("left-cursor", scene.document(own));

    scene.sinks.set_destination(&globex, Health::Well);
    scene.clock.advance(Duration::from_mins(1));
    scene.deliver();
    let after = scene.document("delivery/0000.json");
    examples.insert("retired", part(&after, "/body/retired"));
    assert_eq!(part(&after, "/body/left"), "{}");

    let bucket = BucketName::parse("acme-security-logs").unwrap();
    let (key, bytes) = scene.sinks.objects(&bucket).pop_first().unwrap();
    let mut text = String::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes.as_ref());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    examples.insert("delivered-key", key.to_string());
    examples.insert("delivered-line", text.lines().next().unwrap().to_owned());
    examples.extend(of_replay(&scene));
    examples.extend(of_gap(&scene));
    examples
}

/// An hour once more.
fn of_replay(scene: &Scene) -> [(&'static str, String); 2] {
    let acme = acme();
    let hour = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (hour("2026-05-12T23:00:00Z"), hour("2026-05-13T00:00:00Z"));
    let replay = Replay::new(&acme, from, to, scene.clock.now()).unwrap();
    let id = ReplayId::generate(&SeededEntropy::new(7));
    let place = Replay::place(0, &acme.id, &id);
    let created = place.create(&scene.state, replay, &scene.entropy);
    created.now_or_never().unwrap().unwrap();
    scene.change("acme-audit", |acme| acme.replays.push(id.clone()));
    scene.clock.advance(Duration::from_mins(1));
    scene.deliver();
    let mut objects = scene.sinks.objects(&acme.location.bucket);
    objects.retain(|key, _| key.as_str().contains("_replays/"));
    let (key, _) = objects.pop_first().unwrap();
    let document = scene.document(place.key().as_str());
    [("replay", document), ("replayed-key", key.to_string())]
}

/// A pause that was longer than the log keeps anything.
fn of_gap(scene: &Scene) -> [(&'static str, String); 2] {
    scene.change("acme-audit", |acme| acme.status = Status::Paused);
    scene.clock.advance(Duration::from_mins(1));
    assert!(scene.write("audit-writer.sealift.json").is_empty());
    scene.clock.advance(Duration::from_mins(1));
    scene.deliver();
    scene.log.expire("log/", Timestamp::MAX);
    scene.clock.advance(Duration::from_hours(38 * 24));
    scene.change("acme-audit", |acme| acme.status = Status::Streaming);
    scene.deliver();
    let mut objects = scene.sinks.objects(&acme().location.bucket);
    objects.retain(|key, _| key.as_str().contains("_gaps/"));
    let (key, record) = objects.pop_first().unwrap();
    let record = std::str::from_utf8(&record).unwrap().trim_end().to_owned();
    [("gap-key", key.to_string()), ("gap-record", record)]
}

struct Scene {
    clock: VirtualClock,
    entropy: SeededEntropy,
    log: MemoryStore,
    state: MemoryStore,
    sinks: MemorySinks,
}

impl Scene {
    fn new() -> Self {
        let clock = VirtualClock::new("2026-05-13T00:00:06Z".parse().unwrap());
        Self {
            entropy: SeededEntropy::new(1),
            log: MemoryStore::new(clock.clone()),
            state: MemoryStore::new(clock.clone()),
            sinks: MemorySinks::new(clock.clone()),
            clock,
        }
    }

    /// Has the writer handle an envelope of `events/`; gives what must come again.
    fn write(&self, file: &str) -> Vec<String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path.join("../events").join(file)).unwrap();
        let batch: Batch = serde_json::from_str(&text).unwrap();
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let shapes = Shapes::default();
        let writer = Writer::new(self.log.clone(), clock, entropy, shapes, Level::DEFAULT);
        let outcome = writer.handle(&batch).now_or_never().unwrap();
        let failures = outcome.response.failures.into_iter();
        failures.map(|failure| failure.message_id).collect()
    }

    fn configure(&self, destinations: &[Destination]) {
        let set = destinations.iter().map(|d| (d.id.clone(), d.clone()));
        let set = DestinationSet(set.collect());
        let place = DestinationSet::place(0);
        let created = place.create(&self.state, set, &self.entropy);
        created.now_or_never().unwrap().unwrap();
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Destination)) {
        let place = DestinationSet::place(0);
        let read = place.load(&self.state).now_or_never().unwrap().unwrap();
        let read = read.unwrap();
        let mut set = read.body.clone();
        change(set.0.get_mut(&DestinationId::parse(id).unwrap()).unwrap());
        let replaced = place.replace(&self.state, &read, set, &self.entropy);
        replaced.now_or_never().unwrap().unwrap();
    }

    fn delivery(
        &self,
    ) -> Delivery<MemoryStore, MemoryStore, MemorySinks, MemoryBus, VirtualClock, SeededEntropy>
    {
        Delivery::new(
            self.log.clone(),
            self.state.clone(),
            self.sinks.clone(),
            MemoryBus::default(),
            self.clock.clone(),
            self.entropy.clone(),
            Settings::default(),
        )
    }

    fn deadline(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(Duration::from_mins(2)).unwrap()
    }

    fn deliver(&self) {
        let delivery = self.delivery();
        let run = delivery.run(self.deadline());
        run.now_or_never().unwrap().unwrap();
    }

    /// Begins a run, and drops it while it waits for a slow bucket.
    fn deliver_and_crash(&self) {
        let delivery = self.delivery();
        let mut run = Box::pin(delivery.run(self.deadline()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut context).is_pending());
    }

    fn object(store: &MemoryStore, key: &str) -> sealift_core::ports::Object {
        let found = store.get_now(&ObjectKey::parse(key).unwrap());
        found.unwrap_or_else(|| panic!("nothing lies at {key}"))
    }

    fn keys(store: &MemoryStore, prefix: &str) -> Vec<ObjectKey> {
        let mut keys = store.keys();
        keys.retain(|key| key.as_str().starts_with(prefix));
        keys
    }

    fn document(&self, key: &str) -> String {
        Self::document_of(&self.state, key)
    }

    fn document_of(store: &MemoryStore, key: &str) -> String {
        String::from_utf8(Self::object(store, key).bytes.to_vec()).unwrap()
    }
}

fn acme() -> Destination {
    Destination {
        id: DestinationId::parse("acme-audit").unwrap(),
        organization: OrgId::parse("5d1f0b7e-3c1a-4f0e-9a65-0b8f2f6f6a01").unwrap(),
        status: Status::Streaming,
        held: None,
        created_ms: None,
        start_ms: Some(1_778_630_400_000),
        location: Location {
            endpoint: None,
            region: Region::parse("eu-central-1").unwrap(),
            bucket: BucketName::parse("acme-security-logs").unwrap(),
            prefix: KeyPrefix::parse("audit-events/").unwrap(),
            path_style: false,
        },
        credentials: Credentials::IamRole {
            role_arn: RoleArn::parse("arn:aws:iam::210987654321:role/sealift-audit").unwrap(),
            external_id: ExternalId::generate(&SeededEntropy::new(64)),
            bucket_owner: None,
        },
        include: Selection::default(),
        storage: Storage::default(),
        replays: Vec::new(),
    }
}

fn globex() -> Destination {
    let endpoint = "https://storage.googleapis.com";
    Destination {
        id: DestinationId::parse("globex-audit").unwrap(),
        organization: OrgId::parse("c0a7c9f2-86b1-4be5-8a5e-6f1d2f3b7e02").unwrap(),
        location: Location {
            endpoint: Some(sealift_core::destination::Endpoint::parse(endpoint).unwrap()),
            region: Region::parse("auto").unwrap(),
            bucket: BucketName::parse("globex-audit-trail").unwrap(),
            prefix: KeyPrefix::parse("").unwrap(),
            path_style: true,
        },
        credentials: Credentials::AccessKeys,
        include: Selection::parse(["api_key.*", "identity"]).unwrap(),
        ..acme()
    }
}

/// The parts of a segment: prelude, header, first digest, head of the first member.
fn of_segment(bytes: &Bytes) -> [(&'static str, String); 4] {
    let header = u32::from_le_bytes(*bytes[8..].first_chunk::<4>().unwrap()) as usize;
    let index = Index::read(bytes).unwrap();
    let events = usize::try_from(index.events()).unwrap();
    let digests = PRELUDE + header;
    let members = digests + events * DIGEST;
    let name = bytes[members + 10..].iter().position(|b| *b == 0).unwrap();
    let json = std::str::from_utf8(&bytes[PRELUDE..digests]).unwrap();
    [
        ("segment-prelude", dump(&bytes[..PRELUDE])),
        ("segment-header", json.to_owned()),
        ("segment-digest", dump(&bytes[digests..digests + DIGEST])),
        ("member-head", dump(&bytes[members..=members + 10 + name])),
    ]
}

/// Bytes as hexadecimal digits and as text, 16 a line.
fn dump(bytes: &[u8]) -> String {
    let line = |(number, bytes): (usize, &[u8])| {
        let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let shown = |b: &u8| {
            if b.is_ascii_graphic() {
                char::from(*b)
            } else {
                '.'
            }
        };
        let text: String = bytes.iter().map(shown).collect();
        format!("{:04x}  {:<47}  {text}", number * 16, digits.join(" "))
    };
    let lines: Vec<String> = bytes.chunks(16).enumerate().map(line).collect();
    lines.join("\n")
}

fn part(document: &str, pointer: &str) -> String {
    let document: Value = serde_json::from_str(document).unwrap();
    let part = document.pointer(pointer);
    part.unwrap_or_else(|| panic!("no {pointer}")).to_string()
}

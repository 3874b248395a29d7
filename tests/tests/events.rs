//! The envelopes in `events/`: each is what its README says, and goes through the function that
//! it is for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use audit_delivery::{Delivery, Report, Settings};
use audit_writer::{Outcome, Writer};
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt;
use interval_export::Export;
use md5::{Digest, Md5};
use sealift_core::Timestamp;
use sealift_core::destination::{
    Credentials, Destination, DestinationSet, Location, Region, Status, Storage,
};
use sealift_core::event::{Reading, Shapes, read};
use sealift_core::export::automation::Automation;
use sealift_core::export::registry::Registry;
use sealift_core::gzip::Level;
use sealift_core::id::{
    AutomationId, BucketName, DestinationId, KeyPrefix, ObjectKey, OrgId, ProjectId, XactId,
};
use sealift_core::log::{Log, sequence_of};
use sealift_core::selection::Selection;
use sealift_core::sqs::{Batch, Response};
use sealift_testkit::exports::{MemoryBus, MemoryExports, MemorySource, Row};
use sealift_testkit::{MemorySinks, MemoryStore, Script, SeededEntropy, VirtualClock};
use serde_json::Value;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../events"))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn json(file: &str) -> Value {
    serde_json::from_str(&text(file)).unwrap()
}

/// Files with their names, of which the function's is the first part.
fn files(function: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names
        .filter(|name| {
            let extension = Path::new(name).extension();
            name.starts_with(function) && extension.is_some_and(|ext| ext == "json")
        })
        .collect();
    files.sort();
    files
}

struct World {
    clock: VirtualClock,
    bucket: MemoryStore,
    writer: Writer<MemoryStore, VirtualClock, SeededEntropy>,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new("2026-05-13T00:01:00Z".parse::<Timestamp>().unwrap());
        let bucket = MemoryStore::new(clock.clone());
        let (shapes, level) = (Shapes::default(), Level::DEFAULT);
        let entropy = SeededEntropy::new(1);
        Self {
            writer: Writer::new(bucket.clone(), clock.clone(), entropy, shapes, level),
            clock,
            bucket,
        }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        let end = Script::default().run(&self.clock, future);
        end.expect("nobody is killed here")
    }

    fn write(&self, file: &str) -> Outcome {
        let batch: Batch = serde_json::from_str(&text(file)).unwrap();
        self.run(self.writer.handle(&batch))
    }
}

#[test]
fn the_readme_names_every_file() {
    let readme = text("README.md");
    for file in files("") {
        let row = format!("| `{file}` |");
        assert!(readme.contains(&row), "README.md has no row for {file}");
    }
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .count();
    assert_eq!(rows, files("").len());
}

#[test]
fn messages_are_as_sqs_hands_them_over() {
    let mut ids = BTreeSet::new();
    for file in files("") {
        let json = json(&file);
        let Some(records) = json["Records"].as_array() else {
            let direct = [
                "audit-delivery.tick.json",
                "audit-relay.tick.json",
                "control-api.create.json",
                "control-api.status.json",
                "destination-check.sweep.json",
                "export-dispatch.finished.json",
                "export-dispatch.tick.json",
                "project-fanout.created.json",
                "project-fanout.sweep.json",
            ];
            assert!(direct.contains(&file.as_str()), "{file}");
            continue;
        };
        for record in records {
            let body = record["body"].as_str().unwrap();
            let md5 = sealift_core::partition::hex(&Md5::digest(body));
            assert_eq!(record["md5OfBody"], md5, "{file}: {body}");
            assert_eq!(record["eventSource"], "aws:sqs", "{file}");
            let id = record["messageId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{file}: {id} is another's");
            if let Ok(envelope) = serde_json::from_str::<Value>(body) {
                for field in ["source", "detail-type", "detail", "time", "account"] {
                    assert!(!envelope[field].is_null(), "{file}: no {field} in {body}");
                }
            }
        }
    }
}

#[test]
fn the_writer_makes_of_each_batch_what_the_readme_says() {
    let expected = [
        ("audit-writer.bundle.json", 4, 3, 0),
        ("audit-writer.cloudtrail.json", 3, 2, 0),
        ("audit-writer.sealift.json", 3, 2, 0),
        ("audit-writer.tool-call.json", 2, 1, 0),
        ("audit-writer.unusable.json", 2, 2, 7),
    ];
    assert_eq!(files("audit-writer"), expected.map(|(file, ..)| file));
    for (file, events, members, parked) in expected {
        let world = World::new();
        let outcome = world.write(file);
        assert_eq!(outcome.response, Response::default(), "{file}");
        assert_eq!(
            (outcome.events, outcome.parked),
            (events + parked, parked),
            "{file}"
        );
        let sequence = outcome.appended.unwrap().sequence;
        let log = Log::new(world.bucket.clone());
        let segment = world.run(log.read(sequence)).unwrap().unwrap();
        assert_eq!(segment.index.events(), events, "{file}");
        assert_eq!(segment.members().count(), members, "{file}");
        let keys = world.bucket.keys();
        let parked_keys = keys
            .iter()
            .filter(|key| key.as_str().starts_with("parked/"));
        assert_eq!(parked_keys.count(), usize::from(parked > 0), "{file}");
    }
}

#[test]
fn what_wakes_delivery_tells_of_segments_and_is_no_audit_event() {
    let batch: Batch = serde_json::from_str(&text("audit-delivery.segments.json")).unwrap();
    assert_eq!(batch.records.len(), 2);
    for record in &batch.records {
        let envelope: Value = serde_json::from_str(&record.body).unwrap();
        assert_eq!(envelope["source"], "aws.s3");
        assert_eq!(envelope["detail-type"], "Object Created");
        let key = envelope["detail"]["object"]["key"].as_str().unwrap();
        let sequence = sequence_of(&ObjectKey::parse(key).unwrap());
        assert!(sequence.is_some(), "{key} is no segment's");
    }
    let tick = text("audit-delivery.tick.json");
    assert_eq!(read(&tick, &Shapes::default()), Reading::Control);
    let known = ["audit-delivery.segments.json", "audit-delivery.tick.json"];
    assert_eq!(files("audit-delivery"), known);
}

type TestExport =
    Export<MemoryStore, MemorySource, MemoryExports, MemoryBus, VirtualClock, SeededEntropy>;

/// The automation that the events are about, with one row to export.
fn exports() -> (MemoryExports, MemoryStore, VirtualClock, TestExport) {
    let clock = VirtualClock::new("2025-11-21T12:00:00Z".parse::<Timestamp>().unwrap());
    let (state, entropy) = (MemoryStore::new(clock.clone()), SeededEntropy::new(1));
    let automation = Automation {
        id: AutomationId::parse("7c0b9a52-5b0e-4a7e-9f0c-8a1f5d2e6b11").unwrap(),
        organization: OrgId::parse("org").unwrap(),
        project_id: ProjectId::parse("p1").unwrap(),
        name: "Logs export".to_owned(),
        description: None,
        created_ms: 0,
        config: serde_json::from_value(serde_json::json!({
            "event_type": "btql_export",
            "export_definition": {"type": "log_spans"},
            "export_path": "s3://your-bucket/braintrust/p1",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::222222222222:role/export",
                "external_id": "suffix",
            },
        }))
        .unwrap(),
        bucket_owner: None,
    };
    let registry = Registry {
        store: state.clone(),
        entropy: entropy.clone(),
        shards: 1,
    };
    let registered = registry.register(&automation, XactId::ZERO, 0);
    assert!(registered.now_or_never().unwrap().unwrap());
    let source = MemorySource::new(clock.clone());
    let xact = XactId::parse("1000196176995155968").unwrap();
    source.upsert(&automation.project_id, [Row::new(xact, "a", "a")]);
    let sinks = MemoryExports::new(clock.clone());
    let export = Export::new(
        state.clone(),
        source,
        sinks.clone(),
        MemoryBus::default(),
        clock.clone(),
        entropy,
        interval_export::Settings::default(),
    );
    (sinks, state, clock, export)
}

#[test]
fn each_export_event_does_what_the_readme_says() {
    let expected = [
        ("interval-export.bad-automation.json", 2, 0),
        ("interval-export.controls.json", 0, 0),
        ("interval-export.due-again.json", 0, 1),
        ("interval-export.due.json", 0, 1),
    ];
    assert_eq!(files("interval-export"), expected.map(|(file, ..)| file));
    for (file, failed, exported) in expected {
        let (sinks, state, clock, export) = exports();
        let batch: Batch = serde_json::from_str(&text(file)).unwrap();
        let deadline = clock.now().checked_add(Duration::from_mins(15)).unwrap();
        let handled = Box::pin(export.handle(&batch, deadline));
        let response = handled.now_or_never().unwrap();
        assert_eq!(response.failures.len(), failed, "{file}");
        let bucket = BucketName::parse("your-bucket").unwrap();
        let keys: Vec<_> = sinks.objects(&bucket).into_keys().collect();
        let data = keys.iter().filter(|key| key.as_str().ends_with(".parquet"));
        assert_eq!(data.count(), exported, "{file}: {keys:?}");
        if file.contains("controls") {
            let id = AutomationId::parse("7c0b9a52-5b0e-4a7e-9f0c-8a1f5d2e6b11").unwrap();
            let place = sealift_core::export::cursor::ExportCursor::place(&id);
            let cursor = place.load(&state).now_or_never().unwrap().unwrap().unwrap();
            assert_eq!(cursor.body.generation, 1);
            assert!(cursor.body.tested.unwrap().deleted);
        }
    }
}

#[test]
fn every_usable_event_of_the_files_arrives_at_its_organization_once() {
    let world = World::new();
    let mut came = String::new();
    let mut usable = 0;
    for file in files("audit-writer") {
        let outcome = world.write(&file);
        usable += outcome.events - outcome.parked;
        let batch: Batch = serde_json::from_str(&text(&file)).unwrap();
        came.extend(batch.records.into_iter().map(|record| record.body));
    }
    let came = came.replace(['\n', '\r'], " ");
    let organizations = [
        "5d1f0b7e-3c1a-4f0e-9a65-0b8f2f6f6a01",
        "c0a7c9f2-86b1-4be5-8a5e-6f1d2f3b7e02",
        "acme",
        "123837392027",
    ];
    let state = MemoryStore::new(world.clock.clone());
    let place = DestinationSet::place(0);
    let set = organizations.map(|organization| (id(organization), destination(organization)));
    let set = DestinationSet(BTreeMap::from(set));
    world
        .run(place.create(&state, set, &SeededEntropy::new(2)))
        .unwrap();
    let sinks = MemorySinks::new(world.clock.clone());
    let delivery = Delivery::new(
        world.bucket.clone(),
        state,
        sinks.clone(),
        MemoryBus::default(),
        world.clock.clone(),
        SeededEntropy::new(3),
        Settings::default(),
    );
    let flush = || {
        let deadline = world
            .clock
            .now()
            .checked_add(Duration::from_secs(60))
            .unwrap();
        world.run(delivery.run(deadline)).unwrap()
    };
    let report = flush();
    assert_eq!((report.plans, report.counts.delivered), (1, usable));
    // The next tick finds nothing to do.
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(flush(), Report::default());
    let mut arrived = BTreeSet::new();
    for organization in organizations {
        let bucket = BucketName::parse(format!("tenant-{organization}")).unwrap();
        for bytes in sinks.objects(&bucket).into_values() {
            let mut lines = String::new();
            let mut reader = MultiGzDecoder::new(bytes.as_ref());
            reader.read_to_string(&mut lines).unwrap();
            for line in lines.lines() {
                assert!(came.contains(line), "{line} never came");
                assert!(
                    line.contains(&format!("{organization}\"")),
                    "{organization}: {line}"
                );
                assert!(arrived.insert(line.to_owned()), "{line} arrived twice");
            }
        }
    }
    assert_eq!(arrived.len() as u64, usable);
}

fn id(organization: &str) -> DestinationId {
    DestinationId::parse(organization).unwrap()
}

fn destination(organization: &str) -> Destination {
    Destination {
        id: id(organization),
        organization: OrgId::parse(organization).unwrap(),
        status: Status::Streaming,
        held: None,
        created_ms: None,
        start_ms: Some(0),
        location: Location {
            endpoint: None,
            region: Region::parse("us-east-1").unwrap(),
            bucket: BucketName::parse(format!("tenant-{organization}")).unwrap(),
            prefix: KeyPrefix::parse("audit-events/").unwrap(),
            path_style: false,
        },
        credentials: Credentials::AccessKeys,
        include: Selection::default(),
        storage: Storage::default(),
        replays: Vec::new(),
    }
}

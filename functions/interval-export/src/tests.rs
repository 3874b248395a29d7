//! The logic, on projects and buckets in memory and a clock that the test moves.

mod crashes;
mod failures;
mod fate;
mod ranges;
mod resets;
mod review;
mod schedules;
mod traces;

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::cursor::{ExportCursor, Outcome};
use sealift_core::export::message::{Due, Finished, Message};
use sealift_core::export::registry::Registry;
use sealift_core::id::{AutomationId, BucketName, ObjectKey, OrgId, ProjectId, RoleArn, XactId};
use sealift_core::sqs::{Batch, Record, Response};
use sealift_testkit::exports::{MemoryBus, MemoryExports, MemorySource, Row};
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::{Value, json};

use self::fate::{Fate, Mortal};
use crate::{Export, Report, Settings};

type TestExport = Export<
    Mortal<MemoryStore>,
    Mortal<MemorySource>,
    Mortal<MemoryExports>,
    Mortal<MemoryBus>,
    VirtualClock,
    SeededEntropy,
>;

/// A platform with a project, an automation of it, and the customer's bucket.
struct World {
    clock: VirtualClock,
    state: MemoryStore,
    source: MemorySource,
    sinks: MemoryExports,
    bus: MemoryBus,
    entropy: SeededEntropy,
    settings: Settings,
}

/// How long a run has.
const RUN: Duration = Duration::from_mins(15);

/// How long a run that is killed holds the cursor at the most.
const CLAIM: Duration = Duration::from_mins(19);

fn automation_id() -> AutomationId {
    AutomationId::parse("a1").unwrap()
}

fn project() -> ProjectId {
    ProjectId::parse("p1").unwrap()
}

fn bucket() -> BucketName {
    BucketName::parse("your-bucket").unwrap()
}

fn role() -> RoleArn {
    RoleArn::parse("arn:aws:iam::222222222222:role/export").unwrap()
}

/// The transaction of a second of 2025-11-21, and a number within the second.
fn xact(time: &str, number: u64) -> XactId {
    let time: Timestamp = format!("2025-11-21T{time}Z").parse().unwrap();
    XactId::new(XactId::before(time).get() + 1 + number)
}

fn row(id: &str, time: &str, number: u64) -> Row {
    Row::new(xact(time, number), id, "trace")
}

fn config() -> Value {
    json!({
        "event_type": "btql_export",
        "export_definition": {"type": "log_spans"},
        "export_path": "s3://your-bucket/braintrust/math",
        "format": "jsonl",
        "interval_seconds": 3600,
        "batch_size": 3,
        "credentials": {"type": "aws_iam", "role_arn": role(), "external_id": "suffix"},
    })
}

impl World {
    fn new() -> Self {
        Self::with(config())
    }

    /// A world at noon of the day, with an automation that starts with the first row.
    fn with(config: Value) -> Self {
        let clock = VirtualClock::new("2025-11-21T12:00:00Z".parse().unwrap());
        let world = Self {
            state: MemoryStore::new(clock.clone()),
            source: MemorySource::new(clock.clone()),
            sinks: MemoryExports::new(clock.clone()),
            bus: MemoryBus::default(),
            entropy: SeededEntropy::new(1),
            settings: Settings::default(),
            clock,
        };
        let automation = Automation {
            id: automation_id(),
            organization: OrgId::parse("org").unwrap(),
            project_id: project(),
            name: "Logs export".to_owned(),
            description: None,
            created_ms: 0,
            config: serde_json::from_value::<ExportConfig>(config).unwrap(),
            bucket_owner: None,
        };
        let registered = world
            .registry()
            .register(&automation, XactId::ZERO, 0)
            .now_or_never();
        assert!(registered.unwrap().unwrap());
        world
    }

    fn registry(&self) -> Registry<MemoryStore, SeededEntropy> {
        Registry {
            store: self.state.clone(),
            entropy: self.entropy.clone(),
            shards: 1,
        }
    }

    fn export(&self, fate: &Fate) -> TestExport {
        Export::new(
            fate.over(self.state.clone()),
            fate.over(self.source.clone()),
            fate.over(self.sinks.clone()),
            fate.over(self.bus.clone()),
            self.clock.clone(),
            self.entropy.clone(),
            self.settings.clone(),
        )
    }

    fn deadline(&self) -> Timestamp {
        self.clock.now().checked_add(RUN).unwrap()
    }

    /// Runs once, with so many requests.
    fn run_with(&self, requests: Option<u32>) -> Report {
        let due = Due {
            automation_id: automation_id(),
            requests,
            grant: None,
        };
        let export = self.export(&Fate::kind());
        let run = Box::pin(export.run(&due, self.deadline()));
        run.now_or_never().expect("nothing waits").unwrap()
    }

    fn run(&self) -> Report {
        self.run_with(None)
    }

    /// Runs, and must end so.
    fn ends(&self, expected: &Outcome) {
        match self.run() {
            Report::Ran { outcome, .. } => assert_eq!(outcome, *expected),
            other => panic!("{other:?}"),
        }
    }

    /// Runs, must fail, and gives the failure as the status shows it.
    fn fails(&self) -> String {
        match self.run() {
            Report::Ran {
                outcome: Outcome::Failed { failure },
                ..
            } => format!(
                "{:?}: {} {}",
                failure.fault, failure.failure, failure.advice
            ),
            other => panic!("{other:?}"),
        }
    }

    /// Has messages of the queue handled.
    fn handle(&self, messages: &[&str]) -> Response {
        let records = messages.iter().enumerate().map(|(number, body)| Record {
            message_id: number.to_string(),
            body: (*body).to_owned(),
        });
        let batch = Batch {
            records: records.collect(),
        };
        let export = self.export(&Fate::kind());
        let handled = Box::pin(export.handle(&batch, self.deadline()));
        handled.now_or_never().expect("nothing waits")
    }

    fn cursor(&self) -> ExportCursor {
        let read = self
            .registry()
            .cursor(&automation_id())
            .now_or_never()
            .unwrap()
            .unwrap();
        read.body
    }

    /// What the bucket holds, without manifests: the lines by key.
    fn files(&self) -> BTreeMap<String, Vec<String>> {
        let objects = self.sinks.objects(&bucket()).into_iter();
        objects
            .filter(|(key, _)| !key.as_str().contains("/_runs/"))
            .map(|(key, bytes)| (key.to_string(), lines(&bytes)))
            .collect()
    }

    /// The keys of files, below the export path.
    fn keys(&self) -> Vec<String> {
        let files = self.files().into_keys();
        files
            .map(|key| key.strip_prefix("braintrust/math/").unwrap().to_owned())
            .collect()
    }

    /// The ids of all rows, by key, then in their order.
    fn ids(&self) -> Vec<String> {
        self.versions().into_iter().map(|(id, _)| id).collect()
    }

    /// The (id, transaction) of all rows.
    fn versions(&self) -> Vec<(String, XactId)> {
        let lines = self.files().into_values().flatten();
        lines.map(|line| version(&line)).collect()
    }

    fn manifests(&self) -> Vec<Value> {
        let objects = self.sinks.objects(&bucket()).into_iter();
        objects
            .filter(|(key, _)| key.as_str().contains("/_runs/"))
            .map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap())
            .collect()
    }

    /// What was told of the ends of runs.
    fn told(&self) -> Vec<Finished> {
        let own =
            |entry: &sealift_core::ports::BusEntry| entry.source == sealift_core::audit::OWN_SOURCE;
        let entries = self.bus.take().into_iter().filter(|entry| !own(entry));
        let entries = entries.map(|entry| {
            let text = format!(
                r#"{{"detail-type":"{}","detail":{}}}"#,
                entry.detail_type, entry.detail
            );
            match Message::parse(text.as_bytes()).unwrap() {
                Message::Finished(finished) => finished,
                other => panic!("{other:?}"),
            }
        });
        entries.collect()
    }
}

fn version(line: &str) -> (String, XactId) {
    let value: Value = serde_json::from_str(line).unwrap();
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    (text("id"), XactId::parse(&text("_xact_id")).unwrap())
}

fn lines(bytes: &Bytes) -> Vec<String> {
    let mut text = String::new();
    let mut reader = MultiGzDecoder::new(bytes.as_ref());
    reader.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(format!("braintrust/math/{text}")).unwrap()
}

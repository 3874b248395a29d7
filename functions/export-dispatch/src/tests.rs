//! The logic, on a timetable, projects and a bus in memory.

mod budgets;
mod dispatching;
mod review;
mod surveys;

use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::budget::Budget;
use sealift_core::export::message::{Due, Finished, FinishedAs, Message};
use sealift_core::export::registry::Registry;
use sealift_core::export::timetable::Entry;
use sealift_core::id::{AutomationId, OrgId, ProjectId, XactId};
use sealift_testkit::exports::{MemoryBus, MemorySource, Row};
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::json;

use crate::{Dispatch, Report, Settings};

/// A stack with a timetable, and projects whose rows are exported.
struct World {
    clock: VirtualClock,
    state: MemoryStore,
    source: MemorySource,
    bus: MemoryBus,
    entropy: SeededEntropy,
    settings: Settings,
}

const TICK: &[u8] = br#"{"source":"sealift.control","detail-type":"export.tick","detail":{}}"#;

fn id(name: &str) -> AutomationId {
    AutomationId::parse(name).unwrap()
}

fn project(of: &str) -> ProjectId {
    ProjectId::parse(format!("project-{of}")).unwrap()
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new("2025-11-21T12:00:00Z".parse().unwrap());
        Self {
            state: MemoryStore::new(clock.clone()),
            source: MemorySource::new(clock.clone()),
            bus: MemoryBus::default(),
            entropy: SeededEntropy::new(1),
            settings: Settings::default(),
            clock,
        }
    }

    fn registry(&self) -> Registry<MemoryStore, SeededEntropy> {
        Registry {
            store: self.state.clone(),
            entropy: self.entropy.clone(),
            shards: self.settings.shards,
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Registers an automation, of a project of its own, that is due at once.
    fn add(&self, name: &str) {
        self.add_with(name, &json!({"type": "log_spans"}), 3600);
    }

    fn add_with(&self, name: &str, definition: &serde_json::Value, interval_seconds: u32) {
        let config = json!({
            "event_type": "btql_export",
            "export_definition": definition,
            "export_path": format!("s3://your-bucket/{name}"),
            "format": "parquet",
            "interval_seconds": interval_seconds,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::222222222222:role/export",
                "external_id": name,
            },
        });
        let automation = Automation {
            id: id(name),
            organization: OrgId::parse("org").unwrap(),
            project_id: project(name),
            name: name.to_owned(),
            description: None,
            created_ms: 0,
            config: serde_json::from_value::<ExportConfig>(config).unwrap(),
            bucket_owner: None,
        };
        let registry = self.registry();
        let registered = registry.register(&automation, XactId::ZERO, self.now_ms());
        assert!(registered.now_or_never().unwrap().unwrap());
    }

    fn dispatch(
        &self,
    ) -> Dispatch<MemoryStore, MemorySource, MemoryBus, VirtualClock, SeededEntropy> {
        Dispatch::new(
            self.state.clone(),
            self.source.clone(),
            self.bus.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            self.settings.clone(),
        )
    }

    fn deadline(&self) -> Timestamp {
        self.clock
            .now()
            .checked_add(Duration::from_mins(1))
            .unwrap()
    }

    fn handle(&self, payload: &[u8]) -> Report {
        let dispatch = self.dispatch();
        let handled = dispatch.handle(payload, self.deadline());
        handled.now_or_never().expect("nothing waits").unwrap()
    }

    /// The schedule's call.
    fn tick(&self) -> Report {
        self.handle(TICK)
    }

    /// A minute passes, and the schedule calls.
    fn minute(&self) -> Report {
        self.clock.advance(Duration::from_mins(1));
        self.tick()
    }

    /// What was started since it was last asked: the automations and their requests.
    fn started(&self) -> Vec<(String, u32)> {
        let entries = self.bus.take().into_iter().map(|entry| {
            let text = format!(
                r#"{{"detail-type":"{}","detail":{}}}"#,
                entry.detail_type, entry.detail
            );
            match Message::parse(text.as_bytes()).unwrap() {
                Message::Due(Due {
                    automation_id,
                    requests,
                    ..
                }) => (automation_id.to_string(), requests.unwrap()),
                other => panic!("{other:?}"),
            }
        });
        entries.collect()
    }

    fn names(&self) -> Vec<String> {
        self.started().into_iter().map(|(name, _)| name).collect()
    }

    /// A run of the automation is over.
    fn finish(&self, name: &str, change: impl FnOnce(&mut Finished)) -> Report {
        let grants = self.budget().grants.into_iter();
        let mut own = grants.filter(|(_, grant)| grant.automation == id(name));
        let mut finished = Finished {
            automation_id: id(name),
            run: "run".to_owned(),
            outcome: FinishedAs::Done,
            grant: own.next().map(|(name, _)| name),
            generation: 0,
            requests: 1,
            rows: 0,
            position: XactId::ZERO,
            retry_after_ms: None,
        };
        change(&mut finished);
        let entry = Message::Finished(finished).entry();
        let text = format!(
            r#"{{"detail-type":"{}","detail":{}}}"#,
            entry.detail_type, entry.detail
        );
        self.handle(text.as_bytes())
    }

    fn entry(&self, name: &str) -> Entry {
        let registry = self.registry();
        let id = id(name);
        let read = registry.entry(&id).now_or_never();
        read.unwrap().unwrap().unwrap()
    }

    /// Changes an entry of the timetable.
    fn set(&self, name: &str, change: impl FnMut(&mut Entry) + Send) {
        let registry = self.registry();
        let id = id(name);
        let changed = registry.update_entry(&id, change);
        changed.now_or_never().unwrap().unwrap();
    }

    fn budget(&self) -> Budget {
        let read = Budget::place().load(&self.state).now_or_never();
        read.unwrap()
            .unwrap()
            .map(|read| read.body)
            .unwrap_or_default()
    }

    /// Puts a row of the present second into the automation's project.
    fn write(&self, name: &str) -> XactId {
        let xact = XactId::before(self.clock.now());
        let row = Row::new(xact, &format!("row-{}", xact.get()), "trace");
        self.source.upsert(&project(name), [row]);
        xact
    }
}

//! The logic, on projects, state and a bus in memory.

mod budget;
mod crashes;
mod managed;
mod plane;
mod provisioning;
mod registrations;
mod stopping;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::export::automation::Automation;
use sealift_core::export::message::Start;
use sealift_core::export::registry::Registry;
use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, OrgId, ProjectId};
use sealift_core::ports::{Failure, ObjectStore};
use sealift_core::provision::ledger::{Ledger, Provisioned};
use sealift_core::provision::mode::Mode;
use sealift_core::provision::settings::Settings;
use sealift_core::provision::{Project, Projects};
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::scripted::Verb;
use sealift_testkit::{MemoryStore, Script, SeededEntropy, VirtualClock};
use serde_json::json;

use self::plane::Plane;
use crate::{Applied, Fanout, FanoutError};

const SWEEP: &[u8] = br#"{"source":"sealift.control","detail-type":"provision.sweep","detail":{}}"#;

/// Braintrust's projects, as far as they are seen.
#[derive(Debug, Clone, Default)]
struct Api(Arc<Mutex<ApiState>>);

#[derive(Debug, Default)]
struct ApiState {
    projects: BTreeMap<ProjectId, String>,
    /// Projects that the list leaves out, and that are refused when they are asked for.
    hidden: BTreeSet<ProjectId>,
    /// Projects that the API fails on when they are asked for.
    breaks: BTreeSet<ProjectId>,
    requests: u64,
    created: BTreeMap<ProjectId, Timestamp>,
    fails: Option<SourceError>,
}

impl Api {
    fn set(&self, id: &str, name: &str) {
        let mut state = self.0.lock().unwrap();
        state.projects.insert(project(id), name.to_owned());
    }

    fn set_created(&self, id: &str, time: &str) {
        let mut state = self.0.lock().unwrap();
        state.created.insert(project(id), time.parse().unwrap());
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap().projects.remove(&project(id));
    }

    fn hide(&self, id: &str) {
        self.0.lock().unwrap().hidden.insert(project(id));
    }

    fn fail(&self, error: Option<SourceError>) {
        self.0.lock().unwrap().fails = error;
    }
}

fn of(id: &ProjectId, name: &str, created: Option<Timestamp>) -> Project {
    Project {
        id: id.clone(),
        organization: OrgId::parse("org-1").unwrap(),
        name: name.to_owned(),
        created,
    }
}

impl Projects for Api {
    async fn list(&self) -> Result<Vec<Project>, SourceError> {
        let mut state = self.0.lock().unwrap();
        let pages = state.projects.len().div_ceil(1000).max(1);
        state.requests += u64::try_from(pages).unwrap();
        if let Some(error) = &state.fails {
            return Err(error.clone());
        }
        let seen = state.projects.iter();
        Ok(seen
            .filter(|(id, _)| !state.hidden.contains(*id))
            .map(|(id, name)| of(id, name, state.created.get(id).copied()))
            .collect())
    }

    async fn get(&self, id: &ProjectId) -> Result<Option<Project>, SourceError> {
        let mut state = self.0.lock().unwrap();
        state.requests += 1;
        if state.hidden.contains(id) {
            return Err(SourceError::Denied(failure("you may not see it")));
        }
        if state.breaks.contains(id) {
            return Err(SourceError::Transient(failure("internal error")));
        }
        Ok(state
            .projects
            .get(id)
            .map(|name| of(id, name, state.created.get(id).copied())))
    }

    fn requests(&self) -> u64 {
        self.0.lock().unwrap().requests
    }
}

fn failure(message: &str) -> Failure {
    Failure {
        operation: "list projects".to_owned(),
        target: "the API".to_owned(),
        code: "403".to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

/// A stack with an API, whose stores and bus fail as a test wants.
struct World {
    clock: VirtualClock,
    state: MemoryStore,
    script: Script,
    api: Api,
    plane: Plane,
    bus: MemoryBus,
    entropy: SeededEntropy,
    settings: Settings,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new("2025-11-21T12:00:00Z".parse().unwrap());
        let template = json!({"name": "Logs export", "config": {
            "event_type": "btql_export",
            "export_definition": {"type": "log_traces"},
            "export_path": "s3://bucket/braintrust/<project-slug>",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::123456789012:role/r",
                "external_id": "<unique-external-id-suffix>",
            },
        }});
        Self {
            state: MemoryStore::new(clock.clone()),
            script: Script::default(),
            api: Api::default(),
            plane: Plane::default(),
            bus: MemoryBus::default(),
            entropy: SeededEntropy::new(1),
            settings: Settings {
                templates: vec![serde_json::from_value(template).unwrap()],
                exclude: vec!["scratch-*".to_owned()],
                start: Start::Now,
                mode: Mode::SelfRun,
                requests: 200,
            },
            clock,
        }
    }

    /// One whose automations Braintrust runs.
    fn managed() -> Self {
        let mut world = Self::new();
        world.settings.mode = Mode::Managed;
        world
    }

    fn fanout(
        &self,
    ) -> Fanout<impl ObjectStore + use<>, Api, MemoryBus, VirtualClock, SeededEntropy, Plane> {
        let registry = Registry {
            store: self.script.on(self.state.clone()),
            entropy: self.entropy.clone(),
            shards: 2,
        };
        let fanout = Fanout::new(
            registry,
            self.api.clone(),
            self.bus.clone(),
            self.clock.clone(),
            self.settings.clone(),
        );
        fanout.managing(self.plane.clone())
    }

    /// The default template's entry of a project.
    fn entry(&self, id: &str) -> Provisioned {
        self.ledger().projects[&project(id)].automations["Logs export"].clone()
    }

    /// A sweep, when whoever was at work before it certainly is no more.
    fn later(&self) -> Applied {
        self.clock.advance(Duration::from_mins(15));
        self.sweep()
    }

    fn deadline(&self) -> Timestamp {
        self.clock
            .now()
            .checked_add(Duration::from_mins(14))
            .unwrap()
    }

    fn handle(&self, payload: &[u8]) -> Result<Applied, FanoutError> {
        let fanout = self.fanout();
        let handled = fanout.handle(payload, self.deadline());
        handled.now_or_never().expect("nothing waits")
    }

    fn sweep(&self) -> Applied {
        self.handle(SWEEP).unwrap()
    }

    fn created(&self, id: &str) -> Result<Applied, FanoutError> {
        let event = json!({
            "source": "sealift.relay",
            "detail-type": "project.created",
            "detail": {"id": "e", "org_id": "org-1", "event_type": "project.created",
                       "resource_type": "project", "resource_id": id, "project_id": id},
        });
        self.handle(event.to_string().as_bytes())
    }

    /// The automations with their cursors and times, read past the script.
    fn automations(&self) -> Vec<Automation> {
        let registry = Registry {
            store: self.state.clone(),
            entropy: self.entropy.clone(),
            shards: 2,
        };
        let read = async {
            let mut all = Vec::new();
            let due = registry.by_project().await.unwrap();
            let due: BTreeSet<AutomationId> = due.into_values().flatten().collect();
            for id in registry.list().await.unwrap() {
                registry.cursor(&id).await.unwrap();
                assert!(due.contains(&id), "{id} is not due");
                all.push(registry.automation(&id).await.unwrap());
            }
            all
        };
        read.now_or_never().unwrap()
    }

    fn ledger(&self) -> Ledger {
        let read = async { Ledger::place().load(&self.state).await.unwrap() };
        read.now_or_never()
            .unwrap()
            .map(|read| read.body)
            .unwrap_or_default()
    }

    /// Somebody changes the ledger by hand.
    fn change_ledger(&self, change: impl Fn(&mut Ledger) + Sync) {
        let place = Ledger::place();
        let changed = place.update(&self.state, &self.entropy, |there| {
            let mut ledger = there.cloned().unwrap_or_default();
            change(&mut ledger);
            Some(ledger)
        });
        changed.now_or_never().unwrap().unwrap();
    }

    /// The types of the events that were put, in order, which are taken off the bus.
    fn told(&self) -> Vec<String> {
        let entries = self.bus.take();
        entries.into_iter().map(|entry| entry.detail_type).collect()
    }

    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self
            .automations()
            .into_iter()
            .map(|automation| automation.config.export_path)
            .collect();
        paths.sort();
        paths
    }

    fn is_active(&self, id: &AutomationId) -> bool {
        let all = self.automations();
        all.iter().find(|one| one.id == *id).unwrap().is_active()
    }

    fn writes(&self) -> usize {
        self.script.count(Verb::Create, "") + self.script.count(Verb::Swap, "")
    }
}

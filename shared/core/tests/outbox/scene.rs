//! The scene: a store and a bus under one script.

use std::time::Duration;

use sealift_core::audit::catalogue::AUTOMATION_CREATED;
use sealift_core::audit::outbox::{Announced, FOLDER, LEFT_ALONE, Outbox, SentLeft};
use sealift_core::audit::{Actor, Entry, Resource};
use sealift_core::export::changes::Changes;
use sealift_core::export::registry::Registry;
use sealift_core::id::{OrgId, ProjectId};
use sealift_testkit::scripted::{Script, Scripted};
use sealift_testkit::{MemoryBus, MemoryStore, SeededEntropy, VirtualClock};
use serde_json::{Value, json};

pub(crate) type Store = Scripted<MemoryStore>;
pub(crate) type Bus = Scripted<MemoryBus>;

pub(crate) struct Scene {
    pub(crate) clock: VirtualClock,
    pub(crate) script: Script,
    pub(crate) store: MemoryStore,
    pub(crate) bus: MemoryBus,
    pub(crate) scripted_bus: Bus,
    pub(crate) registry: Registry<Store, SeededEntropy>,
    pub(crate) actor: Actor,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::new("2025-11-21T08:00:00Z".parse().unwrap());
        let (script, bus) = (Script::default(), MemoryBus::default());
        let store = MemoryStore::new(clock.clone());
        let registry = Registry {
            store: script.on(store.clone()),
            entropy: SeededEntropy::new(7),
            shards: 1,
        };
        let known = json!({"ip_address": "192.0.2.1", "request_id": "r-1"});
        Self {
            scripted_bus: script.on(bus.clone()),
            actor: Actor::new("ops", known.as_object().unwrap().clone()),
            clock,
            script,
            store,
            bus,
            registry,
        }
    }

    pub(crate) fn outbox(&self) -> Outbox<'_, Store, Bus, SeededEntropy> {
        Outbox {
            store: &self.registry.store,
            bus: &self.scripted_bus,
            entropy: &self.registry.entropy,
        }
    }

    pub(crate) fn changes(&self) -> Changes<'_, Store, Bus, SeededEntropy> {
        Changes {
            registry: &self.registry,
            bus: &self.scripted_bus,
            actor: &self.actor,
            now: self.clock.now(),
        }
    }

    /// Runs to the end; `None` if it was killed.
    pub(crate) fn try_run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.script.run(&self.clock, Box::pin(future))
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.try_run(future).expect("nobody kills it")
    }

    pub(crate) fn announce(&self) -> Announced {
        self.run(self.outbox().announce(&entry(), self.clock.now()))
            .unwrap()
    }

    pub(crate) fn send_left(&self) -> SentLeft {
        self.run(self.outbox().send_left(self.clock.now()))
    }

    pub(crate) fn wait(&self) {
        self.clock.advance(LEFT_ALONE + Duration::from_millis(1));
    }

    /// The documents of the outbox.
    pub(crate) fn waiting(&self) -> Vec<Value> {
        let keys = self.store.keys().into_iter();
        keys.filter(|key| key.as_str().starts_with(FOLDER))
            .map(|key| serde_json::from_slice(&self.store.get_now(&key).unwrap().bytes).unwrap())
            .collect()
    }

    /// The entries on the bus.
    pub(crate) fn told(&self) -> Vec<Value> {
        let entries = self.bus.entries().into_iter();
        entries
            .map(|entry| serde_json::from_str(&entry.detail).unwrap())
            .collect()
    }
}

pub(crate) fn entry() -> Entry {
    let resource = Resource {
        id: "a-1".to_owned(),
        name: "hourly".to_owned(),
        organization: OrgId::parse("org-1").unwrap(),
        project: Some(ProjectId::parse("p-1").unwrap()),
    };
    let after = json!({"interval_seconds": 3600, "api_key": "0123456789abcdefWXYZ", "ratio": 1.50});
    Entry::created(&AUTOMATION_CREATED, resource, after).unwrap()
}

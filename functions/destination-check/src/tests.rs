//! The function on doubles. What a round does is tested where it stands, in the core.

use std::time::Duration;

use futures_util::FutureExt;
use sealift_core::Timestamp;
use sealift_core::audit::catalogue::AUTOMATION_CREATED;
use sealift_core::audit::outbox::Outbox;
use sealift_core::audit::{Entry, Resource};
use sealift_core::check::Verdict;
use sealift_core::control::{
    Access, Caller, Control, NewDestination, Parts, Round, Settings, StartRequest,
};
use sealift_core::id::{DestinationId, ObjectKey, OrgId, RoleArn};
use sealift_core::ports::{Metadata, ObjectStore, StoreError};
use sealift_core::reach::Allowed;
use sealift_core::vault::TrialVault;
use sealift_testkit::check::ScriptedChecks;
use sealift_testkit::{MemoryBus, MemoryStore, MemoryVault, SeededEntropy, VirtualClock};
use serde_json::json;

use super::*;

type Function = DestinationCheck<
    MemoryStore,
    MemoryVault,
    ScriptedChecks,
    MemoryBus,
    VirtualClock,
    SeededEntropy,
>;

struct Scene {
    clock: VirtualClock,
    store: MemoryStore,
    checks: ScriptedChecks,
    bus: MemoryBus,
    function: Function,
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let answered = Box::pin(future).now_or_never();
    answered.expect("nothing in memory waits")
}

impl Scene {
    fn new() -> Self {
        let start: Timestamp = "2025-11-21T08:00:00Z".parse().unwrap();
        let clock = VirtualClock::new(start);
        let store = MemoryStore::new(clock.clone());
        let (checks, bus) = (ScriptedChecks::new(clock.clone()), MemoryBus::default());
        let parts = Parts {
            state: store.clone(),
            log: MemoryStore::new(clock.clone()),
            vault: TrialVault::new(MemoryVault::default()),
            checks: checks.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            entropy: SeededEntropy::new(3),
        };
        let settings = Settings {
            shards: 3,
            principal: RoleArn::parse("arn:aws:iam::111111111111:role/sealift-principal").unwrap(),
            allowed: Allowed::default(),
        };
        let control = Control::new(parts, settings);
        let function = DestinationCheck::new(control, Round::default());
        Self {
            clock,
            store,
            checks,
            bus,
            function,
        }
    }

    fn stream(&self, organization: &str, name: &str) -> DestinationId {
        let organization = OrgId::parse(organization).unwrap();
        let id = DestinationId::parse(name).unwrap();
        let caller = Caller {
            access: Access::Admin(organization.clone()),
            actor: sealift_core::audit::Actor::default(),
        };
        let body = json!({
            "id": name, "bucket": format!("{name}-audit"), "region": "eu-central-1",
            "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit"},
        });
        let new: NewDestination = serde_json::from_value(body).unwrap();
        let control = &self.function.control;
        now(control.create(&caller, &organization, new)).unwrap();
        now(control.check(&caller, &organization, &id)).unwrap();
        let start = StartRequest::default();
        now(control.start(&caller, &organization, &id, start)).unwrap();
        id
    }

    fn run(&self) -> Result<Swept, CheckError> {
        let deadline = self.clock.now() + Duration::from_secs(900);
        now(self.function.run(deadline))
    }

    fn break_record(&self, name: &str) {
        let key = ObjectKey::parse(format!("destinations/records/{name}.json")).unwrap();
        self.store.remove_now(&key).unwrap();
        now(self
            .store
            .create(&key, "no document".into(), Metadata::new()))
        .unwrap();
    }
}

#[test]
fn a_round_holds_what_turned_unsafe_and_tells_its_owner() {
    let scene = Scene::new();
    let (bad, good) = (scene.stream("acme", "bad"), scene.stream("other", "good"));
    scene.clock.advance(Duration::from_hours(24));
    scene.checks.set(&bad, Verdict::Unsafe);
    scene.bus.take();
    let swept = scene.run().unwrap();
    assert_eq!((swept.checked, swept.held), (2, vec![bad]));
    let entries = scene.bus.take();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].detail_type, "destination.turned_unsafe");
    scene.clock.advance(Duration::from_hours(24));
    let swept = scene.run().unwrap();
    assert_eq!((swept.checked, swept.healthy), (1, 1));
    assert_eq!(scene.checks.asked().last().unwrap().id, good);
}

#[test]
fn one_that_cannot_be_looked_after_fails_no_call_and_all_of_them_do() {
    let scene = Scene::new();
    scene.stream("acme", "one");
    scene.stream("other", "two");
    scene.clock.advance(Duration::from_hours(24));
    scene.break_record("one");
    let swept = scene.run().unwrap();
    assert_eq!((swept.checked, swept.failed.len()), (1, 1));
    scene.break_record("two");
    let error = scene.run().unwrap_err();
    assert!(
        matches!(error, CheckError::AllFailed { failed: 2, .. }),
        "{error}"
    );
}

/// An automation that the HTTP API was about to create when it was killed.
fn leave_in_the_outbox(scene: &Scene) {
    let resource = Resource {
        id: "a-1".to_owned(),
        name: "hourly".to_owned(),
        organization: OrgId::parse("acme").unwrap(),
        project: None,
    };
    let entry = Entry::created(&AUTOMATION_CREATED, resource, json!({"name": "hourly"})).unwrap();
    let outbox = Outbox {
        store: &scene.store,
        bus: &scene.bus,
        entropy: &SeededEntropy::new(4),
    };
    drop(now(outbox.announce(&entry, scene.clock.now())).unwrap());
}

#[test]
fn a_round_tells_what_was_left_in_the_outbox_and_only_once() {
    let scene = Scene::new();
    leave_in_the_outbox(&scene);
    assert_eq!(scene.run().unwrap().told, 0, "it may be under way");
    scene.clock.advance(Duration::from_hours(1));
    scene.bus.fail(1, StoreError::Transient);
    let swept = scene.run().unwrap();
    assert_eq!((swept.told, swept.outbox.left), (0, 1), "{swept:?}");
    let swept = scene.run().unwrap();
    assert_eq!((swept.told, swept.outbox.unknown), (1, 1), "{swept:?}");
    let entries = scene.bus.take();
    assert_eq!(entries[0].detail_type, "automation.created");
    assert!(entries[0].detail.contains(r#""outcome":"unknown""#));
    let swept = scene.run().unwrap();
    assert_eq!((swept.told, scene.bus.take().len()), (0, 0));
}

#[test]
fn an_outbox_that_cannot_be_read_stops_no_check() {
    let scene = Scene::new();
    scene.stream("acme", "one");
    scene.clock.advance(Duration::from_hours(24));
    let key = ObjectKey::parse("outbox/0000000000001-x.json").unwrap();
    let put = scene
        .store
        .create(&key, "no document".into(), Metadata::new());
    now(put).unwrap();
    let swept = scene.run().unwrap();
    assert_eq!((swept.checked, swept.outbox.failed.len()), (1, 1));
}

#[test]
fn the_readme_has_a_row_for_each_variable() {
    let readme = include_str!("../README.md");
    for variable in VARIABLES {
        assert!(readme.contains(&format!("| `{variable}` |")), "{variable}");
    }
}

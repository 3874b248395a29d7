//! The scene: a service on doubles, two organizations, and what must hold at every moment.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::audit::Actor;
use sealift_core::check::{CheckReport, Checks, Verdict};
use sealift_core::control::{
    Access, Caller, Control, ControlError, DestinationView, NewDestination, Parts, Round, Settings,
    StartRequest, Swept,
};
use sealift_core::destination::{Credentials, Destination, DestinationSet};
use sealift_core::document::Place;
use sealift_core::id::{DestinationId, ObjectKey, OrgId, RoleArn};
use sealift_core::ports::Clock;
use sealift_core::vault::{AccessKeys, TrialVault, Vault};
use sealift_testkit::check::report;
use sealift_testkit::scripted::{Call, Scripted, Turn};
use sealift_testkit::{MemoryBus, MemoryStore, MemoryVault, Script, SeededEntropy, VirtualClock};
use serde_json::{Value, json};

/// All of the shards that the scene has.
pub(crate) const SHARDS: u16 = 2;

pub(crate) const SECRET: &str = "secret-7c41-of-the-first-pair";
pub(crate) const SECOND_SECRET: &str = "secret-9e02-of-the-second-pair";
pub(crate) const KEY_ID: &str = "AKIDFIRST4417";
pub(crate) const SECOND_KEY_ID: &str = "AKIDSECOND9902";

pub(crate) type Service = Control<
    Scripted<MemoryStore>,
    Scripted<MemoryVault>,
    Scripted<FakeChecks>,
    Scripted<MemoryBus>,
    VirtualClock,
    SeededEntropy,
>;

/// Checks that answer as told, and look into the vault as the real ones do.
#[derive(Debug, Clone)]
pub(crate) struct FakeChecks {
    clock: VirtualClock,
    vault: TrialVault<Scripted<MemoryVault>>,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    next: VecDeque<Verdict>,
    always: Option<Verdict>,
    checksum: Option<bool>,
    path_style: Option<bool>,
    asked: Vec<Destination>,
    keys: Vec<Option<AccessKeys>>,
    names: HashMap<String, Vec<IpAddr>>,
}

impl Checks for FakeChecks {
    async fn check(&self, destination: &Destination) -> CheckReport {
        let keys = match destination.credentials {
            Credentials::AccessKeys => self.vault.get(destination).await.ok(),
            Credentials::IamRole { .. } => None,
        };
        self.clock.sleep(Duration::from_millis(5)).await;
        let mut told = self.told.lock().unwrap();
        told.asked.push(destination.clone());
        told.keys.push(keys);
        let verdict = told.next.pop_front().or(told.always);
        let at_ms = self.clock.now().as_millisecond();
        let mut report = report(destination, verdict.unwrap_or(Verdict::Healthy), at_ms);
        report.checksum = told.checksum;
        report.path_style = told.path_style;
        report
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let told = self.told.lock().unwrap();
        told.names.get(host).cloned().unwrap_or_default()
    }
}

impl FakeChecks {
    /// Gives a name its addresses.
    pub(crate) fn name(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut told = self.told.lock().unwrap();
        told.names.insert(host.to_owned(), addresses);
    }
}

pub(crate) struct Scene {
    pub(crate) clock: VirtualClock,
    pub(crate) script: Script,
    pub(crate) store: MemoryStore,
    pub(crate) log: MemoryStore,
    pub(crate) vault: MemoryVault,
    pub(crate) bus: MemoryBus,
    pub(crate) checks: FakeChecks,
    pub(crate) service: Service,
}

pub(crate) fn org(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

pub(crate) fn acme() -> OrgId {
    org("acme")
}

pub(crate) fn id(name: &str) -> DestinationId {
    DestinationId::parse(name).unwrap()
}

pub(crate) fn main_id() -> DestinationId {
    id("main")
}

fn actor() -> Actor {
    let details =
        json!({"ip_address": "203.0.113.9", "user_agent": "curl/8", "request_id": "req-1"});
    let Value::Object(details) = details else {
        unreachable!()
    };
    Actor::new("user-1", details)
}

pub(crate) fn admin(organization: &OrgId) -> Caller {
    Caller {
        access: Access::Admin(organization.clone()),
        actor: actor(),
    }
}

pub(crate) fn reader(organization: &OrgId) -> Caller {
    Caller {
        access: Access::Reader(organization.clone()),
        actor: actor(),
    }
}

pub(crate) fn operator() -> Caller {
    Caller {
        access: Access::Operator,
        actor: actor(),
    }
}

/// A body that creates a destination, with fields that replace or add to the usual ones.
pub(crate) fn new(fields: Value) -> NewDestination {
    let mut body = json!({
        "id": "main", "bucket": "acme-audit", "region": "eu-central-1",
        "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit"},
    });
    let (Value::Object(body_fields), Value::Object(fields)) = (&mut body, fields) else {
        unreachable!()
    };
    body_fields.extend(fields);
    serde_json::from_value(body).unwrap()
}

pub(crate) fn by_keys() -> Value {
    json!({"type": "access_keys", "access_key_id": KEY_ID, "secret_access_key": SECRET})
}

pub(crate) fn by_second_keys() -> Value {
    json!({"type": "access_keys", "access_key_id": SECOND_KEY_ID, "secret_access_key": SECOND_SECRET})
}

pub(crate) fn by_role() -> Value {
    json!({"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/other"})
}

pub(crate) fn from<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// What the operator of these scenes opens.
const OPENED: &str = "minio.corp.local:9000";

impl Scene {
    pub(crate) fn new() -> Self {
        Self::seeded(7)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let start: Timestamp = "2025-11-21T08:00:00Z".parse().unwrap();
        let clock = VirtualClock::new(start);
        let script = Script::default();
        let (store, log) = (
            MemoryStore::new(clock.clone()),
            MemoryStore::new(clock.clone()),
        );
        let (vault, bus) = (MemoryVault::default(), MemoryBus::default());
        let trial = TrialVault::new(script.on(vault.clone()));
        let checks = FakeChecks {
            clock: clock.clone(),
            vault: trial.clone(),
            told: Arc::default(),
        };
        let parts = Parts {
            state: script.on(store.clone()),
            log: script.on(log.clone()),
            vault: trial,
            checks: script.on(checks.clone()),
            bus: script.on(bus.clone()),
            clock: clock.clone(),
            entropy: SeededEntropy::new(seed),
        };
        let principal = RoleArn::parse("arn:aws:iam::111111111111:role/sealift-principal").unwrap();
        let settings = Settings {
            shards: SHARDS,
            principal,
            allowed: OPENED.parse().unwrap(),
        };
        let scene = Self {
            clock,
            script,
            store,
            log,
            vault,
            bus,
            checks,
            service: Control::new(parts, settings),
        };
        scene.watch();
        scene
    }

    /// From now on all goes well, and what must hold at every moment is looked at with each call.
    pub(crate) fn watch(&self) {
        self.interrupt(usize::MAX, Turn::Well);
    }

    /// Like [`watch`](Self::watch), but the n-th call goes as told. Counted from now on.
    pub(crate) fn interrupt(&self, nth: usize, turn: Turn) {
        let (store, vault) = (self.store.clone(), self.vault.clone());
        let mut count = 0;
        self.script.set(move |_: &Call| {
            assert_no_stray_keys(&store, &vault);
            count += 1;
            if count - 1 == nth { turn } else { Turn::Well }
        });
    }

    /// Runs to the end, whatever it is; `None` if it was killed.
    pub(crate) fn try_run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.script.run(&self.clock, Box::pin(future))
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.try_run(future).expect("nobody kills it")
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Time enough for whoever began a change to be gone.
    pub(crate) fn let_go(&self) {
        self.advance(Duration::from_secs(121));
    }

    // ---- short forms of what most tests do

    pub(crate) fn create(&self, fields: Value) -> DestinationView {
        let new = new(fields);
        self.run(self.service.create(&admin(&acme()), &acme(), new))
            .unwrap()
    }

    pub(crate) fn update(&self, body: Value) -> Result<DestinationView, ControlError> {
        let update = from(body);
        self.run(
            self.service
                .update(&admin(&acme()), &acme(), &main_id(), update),
        )
    }

    pub(crate) fn check(&self) -> Verdict {
        self.run(self.service.check(&admin(&acme()), &acme(), &main_id()))
            .unwrap()
            .verdict
    }

    pub(crate) fn start(&self) -> Result<DestinationView, ControlError> {
        let asked = StartRequest::default();
        self.run(
            self.service
                .start(&admin(&acme()), &acme(), &main_id(), asked),
        )
    }

    pub(crate) fn pause(&self) -> DestinationView {
        self.run(self.service.pause(&admin(&acme()), &acme(), &main_id()))
            .unwrap()
    }

    pub(crate) fn remove(&self) -> Result<(), ControlError> {
        self.run(self.service.remove(&admin(&acme()), &acme(), &main_id()))
    }

    pub(crate) fn get(&self) -> Result<DestinationView, ControlError> {
        self.run(self.service.get(&admin(&acme()), &acme(), &main_id()))
    }

    /// One that streams: created, checked and started.
    pub(crate) fn streaming(&self, fields: Value) -> DestinationView {
        self.create(fields);
        assert_eq!(self.check(), Verdict::Healthy);
        self.start().unwrap()
    }

    pub(crate) fn sweep(&self) -> Swept {
        let deadline = self.clock.now() + Duration::from_secs(900);
        let round = Round::default();
        self.run(self.service.sweep(deadline, &round)).unwrap()
    }

    // ---- what there is

    pub(crate) fn answers(&self, verdicts: &[Verdict]) {
        self.checks.told.lock().unwrap().next = verdicts.iter().copied().collect();
    }

    pub(crate) fn always(&self, verdict: Verdict) {
        self.checks.told.lock().unwrap().always = Some(verdict);
    }

    pub(crate) fn finds_checksum(&self, checksum: bool) {
        self.checks.told.lock().unwrap().checksum = Some(checksum);
    }

    pub(crate) fn finds_path_style(&self, path_style: bool) {
        self.checks.told.lock().unwrap().path_style = Some(path_style);
    }

    pub(crate) fn asked(&self) -> Vec<Destination> {
        self.checks.told.lock().unwrap().asked.clone()
    }

    pub(crate) fn keys_seen(&self) -> Vec<Option<AccessKeys>> {
        self.checks.told.lock().unwrap().keys.clone()
    }

    pub(crate) fn configured(&self) -> BTreeMap<DestinationId, Destination> {
        configured(&self.store)
    }

    pub(crate) fn stored_secret(&self) -> Option<String> {
        let keys = self.vault.get_now(&acme(), &main_id());
        keys.map(|keys| keys.secret_access_key)
    }

    pub(crate) fn document(&self, key: &str) -> Option<Value> {
        document(&self.store, key)
    }

    /// The types of the entries on the bus, each entry once however often it was told.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeSet::new();
        let entries = self.bus.entries();
        let new = entries.iter().filter(|entry| {
            let detail: Value = serde_json::from_str(&entry.detail).unwrap();
            seen.insert(detail["id"].as_str().unwrap().to_owned())
        });
        new.map(|entry| entry.detail_type.clone()).collect()
    }

    /// The last entry of the type.
    pub(crate) fn entry(&self, event_type: &str) -> Value {
        let entries = self.bus.entries();
        let entry = entries.iter().rev().find(|e| e.detail_type == event_type);
        serde_json::from_str(&entry.expect("it was told").detail).unwrap()
    }

    /// What must hold whenever nothing is under way.
    pub(crate) fn assert_settled(&self) {
        assert_no_stray_keys(&self.store, &self.vault);
        let configured = self.configured();
        let by_keys: Vec<_> = configured
            .values()
            .filter(|d| d.credentials == Credentials::AccessKeys)
            .map(|d| (d.organization.clone(), d.id.clone()))
            .collect();
        assert_eq!(
            self.vault.names(),
            by_keys,
            "who is entered by keys has some"
        );
        let mut held = BTreeMap::new();
        for key in self.store.keys() {
            let Some(document) = self.document(key.as_str()) else {
                continue;
            };
            let body = &document["body"];
            if let Some(name) = key.as_str().strip_prefix("destinations/records/") {
                assert_eq!(body["outbox"], Value::Null, "{key} {body}");
                assert_eq!(body["life"]["change"], Value::Null, "{key} {body}");
                let id = id(name.strip_suffix(".json").unwrap());
                let there = configured.contains_key(&id);
                assert_eq!(body["life"].is_object(), there, "{key} {body}");
            } else if key.as_str().starts_with("destinations/places/") {
                for (id, prefixes) in body["held"].as_object().unwrap() {
                    held.insert(id.clone(), (body["bucket"].clone(), prefixes.clone()));
                }
            }
        }
        let expected: BTreeMap<_, _> = configured
            .values()
            .map(|d| {
                let host = d.location.endpoint.as_ref().map(|endpoint| {
                    let host = endpoint.as_str().trim_start_matches("https://");
                    format!("{host}/")
                });
                let bucket = format!("{}{}", host.unwrap_or_default(), d.location.bucket);
                (
                    d.id.to_string(),
                    (Value::from(bucket), json!([d.location.prefix])),
                )
            })
            .collect();
        assert_eq!(
            held, expected,
            "each destination holds its prefix, and no other"
        );
    }
}

pub(crate) fn document(store: &MemoryStore, key: &str) -> Option<Value> {
    let object = store.get_now(&ObjectKey::parse(key).unwrap())?;
    serde_json::from_slice(&object.bytes).ok()
}

fn configured(store: &MemoryStore) -> BTreeMap<DestinationId, Destination> {
    let mut all = BTreeMap::new();
    for shard in 0..SHARDS {
        let place: Place<DestinationSet> = DestinationSet::place(shard);
        if let Some(document) = document(store, place.key().as_str()) {
            let set: DestinationSet = serde_json::from_value(document["body"].clone()).unwrap();
            all.extend(set.0);
        }
    }
    all
}

/// Keys lie in the vault for those alone that are entered by keys, at every moment.
fn assert_no_stray_keys(store: &MemoryStore, vault: &MemoryVault) {
    let configured = configured(store);
    for (organization, id) in vault.names() {
        let entered_by_keys = configured.get(&id).is_some_and(|d| {
            d.organization == organization && d.credentials == Credentials::AccessKeys
        });
        assert!(
            entered_by_keys,
            "keys lie in the vault for {organization}/{id}"
        );
    }
}

//! The platform on a virtual clock: the functions' own code behind the template's bus.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use audit_delivery::Delivery;
use audit_writer::Writer;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use control_api::{TokenDoor, router};
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealift_core::control::{Control, Parts, Settings};
use sealift_core::id::{BucketName, ObjectKey};
use sealift_core::ports::{BusEntry, Clock, EventBus, StoreError};
use sealift_core::reach::Allowed;
use sealift_core::sqs::Batch;
use sealift_core::vault::TrialVault;
use sealift_embedded::ObjectCreated;
use sealift_embedded::bus::{Bus, Entry, Handler, Timeline, object_created};
use sealift_embedded::template::{Deployment, TargetOf, Template, Wiring};
use sealift_testkit::sinks::Health;
use sealift_testkit::{
    MemorySinks, MemoryStore, MemoryVault, Script, ScriptedChecks, SeededEntropy, VirtualClock,
};
use serde_json::{Value, json};
use tower_service::Service as _;

const TEMPLATE: &str = include_str!("../../../template.yaml");
const LOG_BUCKET: &str = "sealift-log";
const TOKEN: &str = "the-operators";

/// How long a customer's bucket takes for each object. While it does, the writer waits, too, since
/// the embedded bus calls one function after the other: so it counts twice at the worst.
const WRITE: Duration = Duration::from_secs(1);

/// The clock that the test moves, as the bus moves it.
#[derive(Clone)]
struct Line(VirtualClock);

impl Clock for Line {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.0.sleep(duration)
    }
}

impl Timeline for Line {
    async fn reach(&self, when: Timestamp) {
        self.0.advance_to(when);
    }
}

/// The template's bus, as the functions put events on it.
struct OwnBus {
    bus: Bus<Line>,
    name: String,
}

impl EventBus for OwnBus {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        let entry = |entry: &BusEntry| Entry {
            source: entry.source.clone(),
            detail_type: entry.detail_type.clone(),
            detail: entry.detail.clone(),
            time: None,
            resources: Vec::new(),
        };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        let taken = self.bus.put_events(&self.name, &entries).unwrap();
        taken
            .into_iter()
            .map(|taken| taken.map(drop).map_err(|error| panic!("{error}")))
            .collect()
    }
}

/// The writer, which S3 tells of as it would: each segment is an event.
struct WriterFunction {
    writer: Writer<MemoryStore, Line, SeededEntropy>,
    clock: Line,
    created: Arc<Mutex<Vec<ObjectCreated>>>,
}

impl Handler for WriterFunction {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let batch: Batch = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
            let outcome = self.writer.handle(&batch).await;
            if let Some(appended) = &outcome.appended {
                self.created.lock().unwrap().push(ObjectCreated {
                    bucket: LOG_BUCKET.to_owned(),
                    key: format!("log/{:020}.seg", appended.sequence.0),
                    size: appended.bytes,
                    etag: String::new(),
                    sequencer: String::new(),
                    time: self.clock.now(),
                });
            }
            serde_json::to_value(&outcome.response).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

type MemoryDelivery = Delivery<
    MemoryStore,
    MemoryStore,
    MemorySinks,
    sealift_testkit::MemoryBus,
    Line,
    SeededEntropy,
>;

struct DeliveryFunction {
    delivery: MemoryDelivery,
    clock: Line,
    timeout: Duration,
}

impl Handler for DeliveryFunction {
    fn invoke(&self, _: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        async move {
            let deadline = self.clock.now().checked_add(self.timeout);
            let deadline = deadline.map_err(|e| e.to_string())?;
            let run = self.delivery.run(deadline).await;
            run.map_err(|e| e.to_string())?;
            serde_json::to_value(audit_delivery::Response::default()).map_err(|e| e.to_string())
        }
        .boxed()
    }
}

/// The template's wiring, as far as audit events go through it.
static WIRING: LazyLock<Wiring> = LazyLock::new(|| {
    let names = [("LogBucket", LOG_BUCKET), ("StateBucket", "sealift-state")];
    let deployment = Deployment {
        stack: "sealift".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: BTreeMap::new(),
        names: names
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .into(),
    };
    let template = Template::parse(TEMPLATE).unwrap();
    let mut wiring = template.wiring(&deployment).unwrap();
    let audit = |function: &str| ["AuditWriter", "AuditDelivery"].contains(&function);
    wiring.mappings.retain(|mapping| audit(&mapping.function));
    wiring
        .schedules
        .retain(|schedule| audit(&schedule.function));
    let queues: Vec<String> = wiring.mappings.iter().map(|m| m.queue.clone()).collect();
    for rule in &mut wiring.rules {
        rule.targets.retain(|target| match &target.to {
            TargetOf::Queue(queue) => queues.contains(queue),
            TargetOf::Function(function) => audit(function),
        });
    }
    assert_eq!((wiring.mappings.len(), wiring.schedules.len()), (2, 1));
    wiring
});

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    bus: Bus<Line>,
    bus_name: String,
    created: Arc<Mutex<Vec<ObjectCreated>>>,
    sinks: MemorySinks,
    routes: axum::Router,
}

impl World {
    /// A stack that has just been deployed: its schedule counts from this moment.
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::new("2026-05-12T10:00:00Z".parse().unwrap());
        let (line, wiring) = (Line(clock.clone()), &*WIRING);
        let store = || MemoryStore::new(clock.clone()).with_etags_of_content();
        let (log, state, sinks) = (store(), store(), MemorySinks::new(clock.clone()));
        let variable =
            |function: &str, name: &str| wiring.functions[function].environment.get(name).cloned();
        let writer = audit_writer::Config::from_lookup(|name| variable("AuditWriter", name));
        let delivery = audit_delivery::Config::from_lookup(|name| variable("AuditDelivery", name));
        let (writer, delivery) = (writer.unwrap(), delivery.unwrap());
        let bus = Bus::new(wiring.clone(), Arc::new(line.clone()));
        let (bus_name, created) = (wiring.buses["Bus"].clone(), Arc::default());
        let parts = Parts {
            state: state.clone(),
            log: log.clone(),
            vault: TrialVault::new(MemoryVault::default()),
            checks: ScriptedChecks::new(clock.clone()),
            bus: OwnBus {
                bus: bus.clone(),
                name: bus_name.clone(),
            },
            clock: line.clone(),
            entropy: SeededEntropy::new(1),
        };
        let settings = Settings {
            shards: delivery.settings.shards,
            principal: delivery.principal_role,
            allowed: Allowed::default(),
        };
        let control = Arc::new(Control::new(parts, settings));
        let door = Arc::new(TokenDoor::new(TOKEN, SeededEntropy::new(2)));
        let writer = WriterFunction {
            writer: Writer::new(
                log.clone(),
                line.clone(),
                SeededEntropy::new(3),
                writer.shapes,
                writer.level,
            ),
            clock: line.clone(),
            created: Arc::clone(&created),
        };
        bus.register("AuditWriter", Arc::new(writer));
        let delivery = DeliveryFunction {
            delivery: Delivery::new(
                log,
                state,
                sinks.clone(),
                sealift_testkit::MemoryBus::default(),
                line.clone(),
                SeededEntropy::new(4),
                delivery.settings,
            ),
            clock: line,
            timeout: wiring.functions["AuditDelivery"].timeout,
        };
        bus.register("AuditDelivery", Arc::new(delivery));
        Self {
            clock,
            bus,
            bus_name,
            created,
            sinks,
            routes: router(control, None, door),
        }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let done = Script::default().run(&self.clock, future);
        done.expect("nobody is killed here")
    }

    /// Lets time pass, with all that becomes due.
    pub(crate) fn go_to(&self, when: Timestamp) {
        while let Some(due) = self.bus.next_event_time().filter(|due| *due <= when) {
            self.run(self.bus.run_until(due)).unwrap();
            for object in self.created.lock().unwrap().drain(..) {
                self.bus.service_event(&object_created(&object)).unwrap();
            }
        }
        self.run(self.bus.run_until(when)).unwrap();
    }

    /// Calls the API as its operator, who is answered well.
    fn post(&self, path: &str, body: &Value) {
        let request = Request::post(format!("/v1/organizations/{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        let mut routes = self.routes.clone();
        let (status, text) = self.run(async {
            let answer = routes.call(request.unwrap()).await.unwrap();
            let status = answer.status();
            (status, to_bytes(answer.into_body(), 1 << 20).await.unwrap())
        });
        assert!(status.is_success(), "{path}: {status} {text:?}");
    }

    /// Creates and checks the destination `main` of an organization, to a bucket of its name.
    pub(crate) fn prepare(&self, organization: &str) {
        let body = json!({
            "id": format!("{organization}-main"), "bucket": format!("{organization}-audit"),
            "region": "eu-central-1",
            "authentication": {
                "type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit",
            },
        });
        self.post(&format!("{organization}/destinations"), &body);
        self.post(
            &format!("{organization}/destinations/{organization}-main/check"),
            &json!({}),
        );
        let bucket = bucket_of(organization);
        self.sinks.set_bucket(&bucket, Health::Slow(WRITE));
    }

    pub(crate) fn start(&self, organization: &str) {
        let path = format!("{organization}/destinations/{organization}-main/start");
        self.post(&path, &json!({}));
    }

    /// Has an organization's application put an event.
    pub(crate) fn put(&self, organization: &str, id: &str) {
        let detail = json!({
            "id": id, "created": self.clock.now().to_string(), "org_id": organization,
            "event_type": "project.updated", "event_details": {},
        });
        let entry = Entry {
            source: "platform.audit".to_owned(),
            detail_type: "project.updated".to_owned(),
            detail: detail.to_string(),
            time: None,
            resources: Vec::new(),
        };
        let taken = self.bus.put_events(&self.bus_name, &[entry]).unwrap();
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    }

    /// When each event came into an organization's bucket, by its id.
    pub(crate) fn arrivals(&self, organization: &str) -> BTreeMap<String, Vec<Timestamp>> {
        let bucket = bucket_of(organization);
        let mut arrivals: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        for put in self.sinks.puts().iter().filter(|put| put.bucket == bucket) {
            for line in lines(&put.key, &put.bytes) {
                let event: Value = serde_json::from_str(&line).unwrap();
                let id = event["id"].as_str().unwrap().to_owned();
                arrivals.entry(id).or_default().push(put.at);
            }
        }
        arrivals
    }
}

fn bucket_of(organization: &str) -> BucketName {
    BucketName::parse(format!("{organization}-audit")).unwrap()
}

fn lines(key: &ObjectKey, bytes: &Bytes) -> Vec<String> {
    let mut text = String::new();
    let mut reader = MultiGzDecoder::new(bytes.as_ref());
    let read = reader.read_to_string(&mut text);
    assert!(read.is_ok(), "{key}: {read:?}");
    text.lines().map(str::to_owned).collect()
}

//! Managed provisioning by the real client, against the embedded Braintrust.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use project_fanout::{Applied, Fanout};
use sealift_braintrust::provisioning::Provisioning;
use sealift_braintrust::{ApiKey, ApiUrl, Client, FixedKey, Settings as ApiSettings};
use sealift_core::export::message::Start;
use sealift_core::export::registry::Registry;
use sealift_core::id::{AutomationId, ObjectKey, OrgId, ProjectId, XactId};
use sealift_core::provision::ledger::{Ledger, Provisioned};
use sealift_core::provision::mode::Mode;
use sealift_core::provision::settings::Settings;
use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::request_log::Endpoint;
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::Secret;
use sealift_testkit::exports::MemoryBus;
use sealift_testkit::{MemoryStore, SeededEntropy, VirtualClock};
use serde_json::{Value, json};

const KEY: &str = "sk-the-key";
const TOKEN: &str = "bt-st-the-service-token";
const SWEEP: &[u8] = br#"{"source":"sealift.control","detail-type":"provision.sweep","detail":{}}"#;

type Api = Client<VirtualClock, SeededEntropy, FixedKey>;

/// A stack beside a data plane.
struct World {
    plane: DataPlane,
    clock: VirtualClock,
    state: MemoryStore,
    bus: MemoryBus,
    entropy: SeededEntropy,
    settings: Settings,
    token: Option<FixedKey>,
}

impl World {
    async fn start() -> Self {
        // Whatever a test of another thread logs first: without anybody to hear of it, that line would
        // count as heard by nobody, for all threads. Told once; after that it is there.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let organization = Organization {
            id: OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap(),
            name: "Acme".to_owned(),
        };
        let clock = VirtualClock::auto("2026-03-01T12:00:00Z".parse().unwrap());
        let (time, entropy) = (Arc::new(clock.clone()), Arc::new(SeededEntropy::new(7)));
        let options = DataPlaneOptions::new(organization, Secret::new(KEY), time, entropy);
        let template = json!({"name": "Logs export", "config": {
            "event_type": "btql_export",
            "export_definition": {"type": "log_traces"},
            "export_path": "s3://your-bucket/braintrust/<project-slug>",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::123456789012:role/your-role-name",
                "external_id": "<unique-external-id-suffix>",
            },
        }});
        Self {
            plane: DataPlane::start(options).await.unwrap(),
            state: MemoryStore::new(clock.clone()),
            bus: MemoryBus::default(),
            entropy: SeededEntropy::new(1),
            settings: Settings {
                templates: vec![serde_json::from_value(template).unwrap()],
                exclude: vec![],
                start: Start::Behind(XactId::ZERO),
                mode: Mode::Managed,
                requests: 200,
            },
            token: None,
            clock,
        }
    }

    fn client(&self) -> Arc<Api> {
        let client = Client::new(
            ApiUrl::parse(&self.plane.url()).unwrap(),
            FixedKey(ApiKey::parse(KEY).unwrap()),
            self.clock.clone(),
            self.entropy.clone(),
            ApiSettings::default(),
        );
        Arc::new(client.for_organization("Acme").unwrap())
    }

    async fn sweep(&self) -> Applied {
        let registry = Registry {
            store: self.state.clone(),
            entropy: self.entropy.clone(),
            shards: 1,
        };
        let client = self.client();
        let remote = Provisioning::new(client.clone(), self.token.clone());
        let (bus, clock) = (self.bus.clone(), self.clock.clone());
        let fanout = Fanout::new(registry, client, bus, clock, self.settings.clone());
        let deadline = self.clock.now().checked_add(Duration::from_mins(14));
        let fanout = fanout.managing(remote);
        fanout.handle(SWEEP, deadline.unwrap()).await.unwrap()
    }

    /// A sweep, when whoever was at work before it certainly is no more.
    async fn later(&self) -> Applied {
        self.clock.advance(Duration::from_mins(15));
        self.sweep().await
    }

    async fn entry(&self, project: &ProjectId) -> Provisioned {
        let ledger = Ledger::place().load(&self.state).await.unwrap().unwrap();
        ledger.body.projects[project].automations["Logs export"].clone()
    }

    fn resets(&self, automation: &AutomationId) -> u64 {
        let registration = self.plane.registration(automation);
        registration.map_or(0, |registration| registration.resets)
    }

    fn fault(&self, effect: Effect, endpoint: Endpoint) {
        self.plane
            .faults()
            .add(Rule::new(effect).on(endpoint).times(1));
    }
}

#[tokio::test]
async fn more_projects_than_a_page_get_theirs_and_then_a_sweep_reads_the_pages_alone() {
    let mut world = World::start().await;
    world.settings.requests = 100_000;
    let mut projects = Vec::new();
    for number in 0..1203 {
        let name = format!("Project {}", number % 1000);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let id = ProjectId::parse(id).unwrap();
        // The embedded Braintrust has each name once.
        world
            .plane
            .add_project(&id, &format!("{name} {}", number / 1000))
            .unwrap();
        projects.push(id);
    }
    // Enough to lie on two pages; the rest is settled already.
    let (last, settled) = projects.split_last().unwrap();
    let place = Ledger::place();
    let some = settled.iter().skip(3);
    let change = |there: Option<&Ledger>| {
        let mut ledger = there.cloned().unwrap_or_default();
        for project in some.clone() {
            let slug = project.as_str().to_owned();
            let remote = AutomationId::parse(project.as_str()).unwrap();
            let entry = Provisioned {
                done: true,
                ..Provisioned::new(remote, XactId::ZERO, Mode::Managed)
            };
            let known = sealift_core::provision::ledger::Known {
                organization: world.plane.organization().id.clone(),
                slug,
                automations: [("Logs export".to_owned(), entry)].into(),
                failures: std::collections::BTreeMap::new(),
            };
            ledger.projects.insert(project.clone(), known);
        }
        Some(ledger)
    };
    place
        .update(&world.state, &world.entropy, change)
        .await
        .unwrap();
    assert_eq!(world.sweep().await.created, 4);
    let entry = world.entry(last).await;
    assert_eq!(world.resets(entry.automation()), 1);
    world.plane.requests().clear();
    assert_eq!(world.later().await, Applied::default());
    let counts = world.plane.requests().counts();
    // Two pages, and an empty one that says so.
    assert_eq!(counts, [(Endpoint::ListProjects, 3)].into());
}

#[tokio::test]
async fn what_arrives_is_the_articles_request_and_the_cursor_starts_where_it_should() {
    let world = World::start().await;
    let project = world.plane.create_project("Grade School Math").unwrap();
    assert_eq!(world.sweep().await.created, 1);
    let entry = world.entry(&project).await;
    let sent = world
        .plane
        .requests()
        .records_of(Endpoint::CreateAutomation);
    let suffix = entry.external_id.as_ref().unwrap();
    let expected = format!(
        r#"{{"project_id":"{project}","name":"Logs export","config":{{"event_type":"btql_export","export_definition":{{"type":"log_traces"}},"export_path":"s3://your-bucket/braintrust/grade-school-math","format":"parquet","interval_seconds":3600,"credentials":{{"type":"aws_iam","role_arn":"arn:aws:iam::123456789012:role/your-role-name","external_id":"{suffix}"}}}}}}"#
    );
    assert_eq!(sent[0].body, expected);
    let registration = world.plane.registration(entry.automation()).unwrap();
    assert_eq!(registration.object_id, format!("project_logs:{project}"));
    assert_eq!((registration.start, registration.resets), (XactId::ZERO, 1));
    let told: Vec<String> = world
        .bus
        .take()
        .into_iter()
        .map(|e| e.detail_type)
        .collect();
    assert_eq!(told, ["automation.provisioned", "cursor.reset"]);
}

#[tokio::test]
async fn a_registration_is_repeated_only_where_the_data_plane_has_no_cursor() {
    for (effect, registrations) in [(Effect::LoseReply, 1), (Effect::HangUp, 2)] {
        let world = World::start().await;
        let project = world.plane.create_project("one").unwrap();
        world.fault(effect, Endpoint::ResetCursors);
        let applied = world.sweep().await;
        assert_eq!((applied.created, applied.failed.len()), (0, 1));
        assert_eq!(world.later().await.created, 1);
        let asked = world.plane.requests();
        assert_eq!(asked.count(Endpoint::ResetCursors), registrations);
        assert_eq!(asked.count(Endpoint::GetCursors), 1);
        assert_eq!(asked.count(Endpoint::GetObjectCursors), 1);
        let entry = world.entry(&project).await;
        assert_eq!(world.resets(entry.automation()), 1);
        assert_eq!(world.later().await, Applied::default());
    }
}

#[tokio::test]
async fn refusals_throttles_and_what_is_there_already() {
    let world = World::start().await;
    let project = world.plane.create_project("one").unwrap();
    let wait = Effect::TooManyRequests {
        retry_after: Some(120),
    };
    world.fault(wait, Endpoint::CreateAutomation);
    let applied = world.sweep().await;
    assert_eq!((applied.left, applied.failed.len()), (1, 0));
    assert!(applied.why_left.unwrap().contains("120 s"));
    world.fault(Effect::Status(403), Endpoint::CreateAutomation);
    let applied = world.later().await;
    assert!(applied.failed[0].message.contains("injected by a test"));
    // Meanwhile somebody creates one by hand, in his own way.
    let automation = json!({"project_id": project, "name": "Mine", "config": {
        "event_type": "btql_export",
        "export_definition": {"type": "log_traces"},
        "export_path": "s3://your-bucket/mine",
        "format": "jsonl",
        "interval_seconds": 60,
        "batch_size": 10,
        "credentials": {"type": "aws_iam", "role_arn": "arn:aws:iam::123456789012:role/r",
            "external_id": "mine"},
    }});
    let config = serde_json::value::to_raw_value(&automation["config"]).unwrap();
    let new = sealift_braintrust::automations::NewAutomation {
        project_id: project.clone(),
        name: "Mine".to_owned(),
        description: None,
        config,
    };
    let client = world.client();
    let mine = client.create_automation(&new).await.unwrap().object.id;
    assert_eq!(world.later().await.adopted, 1);
    let all = client.automations(&project).await.unwrap();
    assert_eq!(all.len(), 1);
    let there: Value = serde_json::from_str(all[0].config.get()).unwrap();
    assert_eq!(there, automation["config"], "it is as it was");
    assert_eq!(world.resets(&mine), 1, "it had no cursor");
    assert_eq!(world.later().await, Applied::default());
}

/// What is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_service_token_reaches_an_older_data_plane_and_nothing_else() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut world = World::start().await;
    world.token = Some(FixedKey(ApiKey::parse(TOKEN).unwrap()));
    let (one, two) = (
        world.plane.create_project("one").unwrap(),
        world.plane.create_project("two").unwrap(),
    );
    let said = format!("the token {TOKEN} is not valid");
    world.fault(Effect::PlainBadRequest(said), Endpoint::Cron);
    let applied = world.sweep().await;
    assert_eq!((applied.created, applied.failed.len()), (1, 1));
    assert_eq!(
        world.later().await.created,
        1,
        "it was refused, so it is sent again"
    );
    for project in [&one, &two] {
        let entry = world.entry(project).await;
        assert!(world.plane.registration(entry.automation()).unwrap().cron);
        assert_eq!(world.resets(entry.automation()), 0);
    }
    let key = ObjectKey::parse("provisioning/ledger.json").unwrap();
    let state = world.state.get_now(&key).unwrap().bytes.to_vec();
    let shown = [
        format!("{applied:?}"),
        format!("{:?}", world.bus.take()),
        String::from_utf8(state).unwrap(),
        String::from_utf8(logged.0.lock().unwrap().clone()).unwrap(),
    ];
    assert!(shown[0].contains("the token REDACTED is not valid"));
    assert!(
        shown[3].contains("did not get"),
        "it was logged: {}",
        shown[3]
    );
    for shown in shown {
        assert!(!shown.contains(TOKEN) && !shown.contains(KEY), "{shown}");
    }
}

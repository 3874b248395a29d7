//! The scene: the router on a service on doubles, and callers of every kind. Requests come as API
//! Gateway hands them over, and every answer is held against the OpenAPI document.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use futures_util::FutureExt;
use http_body_util::BodyExt;
use lambda_http::http::HeaderMap;
use lambda_http::request::from_str;
use sealift_core::Timestamp;
use sealift_core::control::{Control, Parts, Settings};
use sealift_core::export::registry::Registry;
use sealift_core::id::{DestinationId, OrgId, RoleArn};
use sealift_core::reach::Allowed;
use sealift_core::vault::TrialVault;
use sealift_testkit::check::ScriptedChecks;
use sealift_testkit::{MemoryBus, MemoryStore, MemoryVault, SeededEntropy, VirtualClock};
use serde_json::{Value, json};
use tower_service::Service as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::{Automations, Claims, DOCUMENT, GatewayDoor, document, router};

pub(super) const BASE: &str = "/v1/organizations/acme/destinations";
/// Whose automations are managed.
pub(super) const ORGANIZATION: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

pub(super) const MAIN: &str = "/v1/organizations/acme/destinations/main";

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    Operator,
    Admin(&'a str),
    Reader(&'a str),
    Claims(&'a [(&'a str, &'a str)]),
    Stranger,
}

pub(super) const ADMIN: Who<'_> = Who::Admin("acme");
pub(super) const READER: Who<'_> = Who::Reader("acme");

impl Who<'_> {
    fn authorizer(self) -> Value {
        let jwt = |claims: &[(&str, &str)]| {
            let claims: serde_json::Map<_, _> = claims
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            json!({"jwt": {"claims": claims, "scopes": null}})
        };
        match self {
            Self::Operator => json!({"iam": {
                "accessKey": "ASIAQWERTYUIOP4417QZ",
                "accountId": "111111111111",
                "callerId": "AROAEXAMPLE:ops",
                "cognitoIdentity": null,
                "principalOrgId": "o-example",
                "userArn": "arn:aws:sts::111111111111:assumed-role/operators/ops",
                "userId": "AROAEXAMPLE:ops",
            }}),
            Self::Admin(organization) => jwt(&[
                ("sub", "user-1"),
                ("org", organization),
                ("groups", "[staff admin]"),
                ("iss", "https://login.example"),
                ("client_id", "console"),
            ]),
            Self::Reader(organization) => jwt(&[
                ("sub", "user-2"),
                ("org", organization),
                ("groups", "audit_reader"),
            ]),
            Self::Claims(claims) => jwt(claims),
            Self::Stranger => Value::Null,
        }
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    /// Fails unless it has the status and, if it is a refusal, the code.
    #[track_caller]
    pub(super) fn is(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        self
    }

    #[track_caller]
    pub(super) fn ok(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text
        );
        self.body
    }
}

/// What was logged.
#[derive(Debug, Clone, Default)]
pub(super) struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

pub(super) struct Scene {
    pub(super) clock: VirtualClock,
    pub(super) state: MemoryStore,
    pub(super) log: MemoryStore,
    pub(super) vault: MemoryVault,
    pub(super) checks: ScriptedChecks,
    pub(super) bus: MemoryBus,
    pub(super) router: axum::Router,
    /// The routes that answered well: method and path of the document.
    pub(super) served: Mutex<Vec<(String, String)>>,
    logged: Logged,
}

impl Scene {
    pub(super) fn new() -> Self {
        let start: Timestamp = "2025-11-21T08:00:00Z".parse().unwrap();
        let clock = VirtualClock::new(start);
        let (state, log) = (
            MemoryStore::new(clock.clone()),
            MemoryStore::new(clock.clone()),
        );
        let (vault, bus) = (MemoryVault::default(), MemoryBus::default());
        let checks = ScriptedChecks::new(clock.clone());
        let parts = Parts {
            state: state.clone(),
            log: log.clone(),
            vault: TrialVault::new(vault.clone()),
            checks: checks.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            entropy: SeededEntropy::new(5),
        };
        let principal = RoleArn::parse("arn:aws:iam::111111111111:role/sealift-principal").unwrap();
        let claims = Claims {
            organization: "org".to_owned(),
            role: "groups".to_owned(),
            admin: "admin".to_owned(),
            reader: "audit_reader".to_owned(),
        };
        let door = GatewayDoor::new(&principal, Some(claims));
        let control = Control::new(
            parts,
            Settings {
                shards: 3,
                principal,
                allowed: Allowed::default(),
            },
        );
        let registry = Registry {
            store: state.clone(),
            entropy: SeededEntropy::new(6),
            shards: 2,
        };
        let organization = OrgId::parse(ORGANIZATION).unwrap();
        let exports = Automations::new(registry, bus.clone(), clock.clone(), organization);
        Self {
            clock,
            state,
            log,
            vault,
            checks,
            bus,
            router: router(Arc::new(control), Some(Arc::new(exports)), Arc::new(door)),
            served: Mutex::default(),
            logged: Logged::default(),
        }
    }

    pub(super) fn logged(&self) -> String {
        String::from_utf8(self.logged.0.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn call(&self, who: Who<'_>, method: &str, path: &str, body: Value) -> Answer {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.send(&event(who, method, path, &text))
    }

    pub(super) fn get(&self, who: Who<'_>, path: &str) -> Answer {
        self.call(who, "GET", path, Value::Null)
    }

    pub(super) fn post(&self, who: Who<'_>, path: &str, body: Value) -> Answer {
        self.call(who, "POST", path, body)
    }

    /// Hands over an event of API Gateway's, and holds the answer against the document.
    pub(super) fn send(&self, event: &Value) -> Answer {
        let request = from_str(&event.to_string()).unwrap();
        let (method, path) = (
            request.method().to_string(),
            request.uri().path().to_owned(),
        );
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(self.logged.clone())
            .with_ansi(false)
            .finish();
        let answer = tracing::subscriber::with_default(subscriber, || {
            let mut router = self.router.clone();
            let called = Box::pin(router.call(request)).now_or_never();
            let response = called.expect("nothing in memory waits").unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            }
        });
        let id = event["requestContext"]["requestId"].as_str().unwrap();
        assert_eq!(answer.headers["x-request-id"], id);
        self.hold_against_the_document(&method, &path, &answer);
        answer
    }

    fn hold_against_the_document(&self, method: &str, path: &str, answer: &Answer) {
        let paths = openapi()["paths"].as_object().unwrap();
        let operation = paths.iter().find_map(|(template, item)| {
            let operation = item.get(method.to_lowercase())?;
            fits(template, path).then_some((template, operation))
        });
        let Some((template, operation)) = operation else {
            // A path or method that there is not.
            if path != DOCUMENT && !super::automations::hold(method, path, answer) {
                assert!(
                    [401, 403, 404, 405].contains(&answer.status),
                    "{path} {answer:?}"
                );
                assert_valid("ErrorBody", &answer.body);
            }
            return;
        };
        let status = answer.status.to_string();
        let told = &operation["responses"][&status];
        assert!(
            told.is_object(),
            "{method} {template} may not answer {status}: {}",
            answer.text
        );
        match &told["content"]["application/json"]["schema"]["$ref"] {
            Value::String(schema) => {
                let name = schema.rsplit('/').next().unwrap();
                assert_valid(name, &answer.body);
                assert_eq!(answer.headers["content-type"], "application/json");
            }
            _ => assert_eq!(answer.text, "", "{method} {template}"),
        }
        if answer.status < 300 {
            let served = (method.to_owned(), template.clone());
            self.served.lock().unwrap().push(served);
        }
    }

    /// A destination that is saved, by a role.
    pub(super) fn create(&self, organization: &str, id: &str) -> Value {
        let path = format!("/v1/organizations/{organization}/destinations");
        let created = self.post(Who::Admin(organization), &path, new(id));
        created.is(201, "").body
    }

    /// A destination that streams.
    pub(super) fn stream(&self, organization: &str, id: &str) {
        self.create(organization, id);
        let path = format!("/v1/organizations/{organization}/destinations/{id}");
        let who = Who::Admin(organization);
        self.post(who, &format!("{path}/check"), Value::Null).ok();
        self.post(who, &format!("{path}/start"), Value::Null).ok();
    }
}

pub(super) fn id(name: &str) -> DestinationId {
    DestinationId::parse(name).unwrap()
}

/// A body that creates a destination.
pub(super) fn new(id: &str) -> Value {
    json!({
        "id": id, "bucket": format!("{id}-audit"), "region": "eu-central-1",
        "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit"},
    })
}

/// What API Gateway makes of a request.
pub(super) fn event(who: Who<'_>, method: &str, path: &str, body: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "content-type": "application/json",
            "host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "user-agent": "curl/8.5.0",
            "x-forwarded-for": "192.0.2.66",
        },
        "requestContext": {
            "accountId": "111111111111",
            "apiId": "a1b2c3d4e5",
            "authorizer": who.authorizer(),
            "domainName": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "198.51.100.7", "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2025:08:00:00 +0000",
            "timeEpoch": 1_763_712_000_000_i64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// The document, as it is served.
pub(super) fn openapi() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::to_value(document()).unwrap())
}

#[track_caller]
pub(super) fn assert_valid(schema: &str, value: &Value) {
    let components = &openapi()["components"];
    let name = format!("#/components/schemas/{schema}");
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": name, "components": components,
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "no {schema}: {errors:#?}\n{value:#}");
}

/// Whether a path is one of a template's.
fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    let (wanted, given): (Vec<_>, Vec<_>) = (template.collect(), path.collect());
    let one = |(wanted, given): (&&str, &&str)| {
        wanted == given || (wanted.starts_with('{') && !given.is_empty())
    };
    wanted.len() == given.len() && wanted.iter().zip(&given).all(one)
}

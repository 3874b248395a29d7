//! Who is let in, what is there to be asked, and what the log keeps of it.

use sealift_embedded::braintrust::request_log::Endpoint;
use serde_json::json;

use crate::support::{KEY, ORG, World};

const PATHS: [(&str, &str); 17] = [
    ("POST", "/btql"),
    ("GET", "/v1/project"),
    ("POST", "/v1/project"),
    ("GET", "/v1/project/f1e858a4-58e3-408f-983f-016760d7fa25"),
    ("GET", "/v1/project_automation"),
    ("POST", "/v1/project_automation"),
    ("PUT", "/v1/project_automation"),
    (
        "GET",
        "/v1/project_automation/f1e858a4-58e3-408f-983f-016760d7fa25",
    ),
    (
        "PATCH",
        "/v1/project_automation/f1e858a4-58e3-408f-983f-016760d7fa25",
    ),
    (
        "DELETE",
        "/v1/project_automation/f1e858a4-58e3-408f-983f-016760d7fa25",
    ),
    ("POST", "/brainstore/automation/reset-cursors"),
    ("POST", "/brainstore/automation/upsert-object-cursor"),
    ("POST", "/brainstore/automation/get-cursors"),
    ("POST", "/brainstore/automation/get-object-cursors"),
    ("POST", "/automation/cron"),
    ("POST", "/api/apikey/login"),
    ("GET", "/anything/else"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_without_the_key() {
    let world = World::start().await;
    for (method, path) in PATHS {
        for key in ["", "Bearer sk-other", "bearer sk-test-key", KEY, "Bearer "] {
            let headers = [("authorization", key), ("content-type", "application/json")];
            let answer = world.send(method, path, &headers, "{}").await.unwrap();
            assert_eq!(answer.status, 401, "{method} {path} {key:?}");
            assert_eq!(answer.message(), "Invalid authorization token or API key");
        }
        let answer = world.send(method, path, &[], "{}").await.unwrap();
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    assert!(
        world
            .plane
            .requests()
            .records()
            .iter()
            .all(|r| !r.authorized)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_refused() {
    let world = World::start().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/btql"),
        ("POST", "/v1/btql"),
        ("POST", "/btql/"),
        ("DELETE", "/v1/project"),
        ("POST", "/brainstore/automation/execute"),
    ] {
        assert_eq!(
            world.call(method, path, None).await.status,
            404,
            "{method} {path}"
        );
    }
    assert_eq!(world.plane.requests().count(Endpoint::Unknown), 6);
    let answer = world.post("/btql?fmt=json", &json!({})).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.message(), "no query parameters are known here");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_tells_what_the_key_belongs_to() {
    let world = World::start().await;
    let answer = world.call("POST", "/api/apikey/login", None).await;
    assert_eq!(answer.status, 200);
    let organization = &answer.json()["org_info"][0];
    assert_eq!(organization["id"], ORG);
    assert_eq!(organization["name"], "Acme");
    assert_eq!(organization["api_url"], world.plane.url());
    assert_eq!(world.plane.organization().id.as_str(), ORG);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_json_and_say_so() {
    let world = World::start().await;
    let bearer = format!("Bearer {KEY}");
    for (kind, body, said) in [
        ("text/plain", "{}", "Content-Type: must be application/json"),
        (
            "application/json; charset=utf-8",
            "{",
            "the body is not JSON",
        ),
        ("application/json", "[]", "the body: must be an object"),
        ("application/json", "", "the body is not JSON"),
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        for path in [
            "/btql",
            "/v1/project",
            "/v1/project_automation",
            "/automation/cron",
        ] {
            let answer = world.send("POST", path, &headers, body).await.unwrap();
            assert_eq!(answer.status, 400, "{path} {body}");
            assert!(answer.message().starts_with(said), "{}", answer.message());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_eight_megabytes_is_refused() {
    let world = World::start().await;
    let query = "x".repeat((8 << 20) + 1);
    let answer = world.sql(&query).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_organization_is_refused() {
    let world = World::start().await;
    let bearer = format!("Bearer {KEY}");
    for (name, status) in [("Acme", 200), ("Other", 403)] {
        let headers = [("authorization", bearer.as_str()), ("x-bt-org-name", name)];
        let answer = world
            .send("GET", "/v1/project", &headers, "")
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_counts_and_keeps_requests_without_secrets() {
    let world = World::with(|options| options.keep_requests(3)).await;
    let automation = world.automation("export").await;
    let body = json!({
        "automation_id": automation,
        "cron": {"type": "btql_export"},
        "service_token": "bt-st-secret",
        "stray": KEY,
    });
    assert_eq!(world.post("/automation/cron", &body).await.status, 400);
    world.get("/v1/project?limit=1").await;
    world.get("/v1/project").await;

    let log = world.plane.requests();
    assert_eq!(log.count(Endpoint::ListProjects), 2);
    assert_eq!(log.count(Endpoint::CreateAutomation), 1);
    assert_eq!(log.count(Endpoint::Btql), 0);
    assert_eq!(log.counts().values().sum::<u64>(), 4);
    let records = log.records();
    assert_eq!(records.len(), 3);
    let cron = &records[0];
    assert_eq!(
        (cron.method.as_str(), cron.path.as_str()),
        ("POST", "/automation/cron")
    );
    assert_eq!(cron.status, Some(400));
    assert!(cron.authorized);
    let expected = body
        .to_string()
        .replace("bt-st-secret", "REDACTED")
        .replace(KEY, "REDACTED");
    assert_eq!(cron.body, expected);
    assert_eq!(records[1].query, "limit=1");
    assert!(!format!("{records:?}").contains(KEY));

    log.clear();
    assert!(log.records_of(Endpoint::ListProjects).is_empty());
    assert!(log.counts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_that_is_shut_down_answers_no_more() {
    let world = World::start().await;
    assert_eq!(world.get("/v1/project").await.status, 200);
    let address = world.plane.url().replace("http://", "");
    world.plane.shutdown().await;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_of_its_own() {
    let world = World::start().await;
    let first = world.get("/v1/project").await;
    let second = world.get("/nothing").await;
    let id = |answer: &crate::support::Answer| {
        answer.header("x-bt-internal-trace-id").unwrap().to_owned()
    };
    assert_eq!(id(&first).len(), 32);
    assert_ne!(id(&first), id(&second));
}

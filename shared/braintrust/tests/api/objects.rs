//! Projects, automations, their cursors, and organizations.

use std::time::Duration;

use sealift_braintrust::automations::{AutomationPatch, NewAutomation};
use sealift_braintrust::{ApiKey, Settings};
use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::server::{Reply, Server, client, client_with, clock};

fn project_id() -> ProjectId {
    ProjectId::parse("p1").unwrap()
}

fn automation_id() -> AutomationId {
    AutomationId::parse("a1").unwrap()
}

fn project(id: &str) -> Value {
    json!({"id": id, "org_id": "o1", "name": format!("Project {id}"), "description": null,
        "created": "2026-05-07T16:55:48.127Z", "deleted_at": null, "user_id": null,
        "settings": {"anything": [1]}})
}

fn automation(id: &str, project: &str) -> Value {
    json!({"id": id, "project_id": project, "name": "Logs export",
        "config": {"event_type": "btql_export", "z": 1, "a": 2}})
}

/// Serves a list as the API does: what comes after `starting_after`, at most `cap`.
async fn list_of(objects: Vec<Value>, cap: usize) -> Server {
    Server::start(move |request, _| {
        let after = request.path.split("starting_after=").nth(1);
        let place = |id: &str| objects.iter().position(|object| object["id"] == id);
        let start = after.and_then(place).map_or(0, |place| place + 1);
        let page: Vec<&Value> = objects.iter().skip(start).take(cap).collect();
        Reply::json(&json!({"objects": page}))
    })
    .await
}

#[tokio::test]
async fn projects_are_listed_until_an_empty_page_without_deleted_ones() {
    let mut deleted = project("p2");
    deleted["deleted_at"] = json!("2026-01-01T00:00:00Z");
    let server = list_of(vec![project("p1"), deleted, project("p3")], 2).await;
    let client = client(&server);
    let projects = client.projects().await.unwrap();
    let ids: Vec<&str> = projects.iter().map(|project| project.id.as_str()).collect();
    assert_eq!(ids, ["p1", "p3"]);
    assert_eq!(projects[0].org_id.as_str(), "o1");
    assert_eq!(
        projects[0].created.as_deref(),
        Some("2026-05-07T16:55:48.127Z")
    );
    let paths: Vec<String> = server.received().iter().map(|r| r.path.clone()).collect();
    assert_eq!(
        paths,
        [
            "/v1/project?limit=1000",
            "/v1/project?limit=1000&starting_after=p2",
            "/v1/project?limit=1000&starting_after=p3"
        ]
    );
}

#[tokio::test]
async fn a_list_that_gives_the_same_again_is_not_read_for_ever() {
    let server = Server::with(vec![Reply::json(&json!({"objects": [project("p1")]}))]).await;
    let client = client(&server);
    let error = client.projects().await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("does not go on"), "{error}");
    assert_eq!(client.requests(), 2);
}

#[tokio::test]
async fn a_project_is_found_or_not_there() {
    let server = Server::with(vec![Reply::json(&project("p1")), Reply::answer(404, "no")]).await;
    let client = client(&server);
    let found = client.project(&project_id()).await.unwrap();
    assert_eq!(found.unwrap().name, "Project p1");
    assert_eq!(client.project(&project_id()).await, Ok(None));
    assert_eq!(server.received()[0].path, "/v1/project/p1");
}

#[tokio::test]
async fn creating_a_project_tells_whether_it_was_there() {
    let existing = Reply::json(&project("p1")).with("x-bt-found-existing", "true");
    let server = Server::with(vec![Reply::json(&project("p1")), existing]).await;
    let client = client(&server).for_organization("Acme").unwrap();
    assert!(!client.create_project("Project p1").await.unwrap().existed);
    assert!(client.create_project("Project p1").await.unwrap().existed);
    let sent = server.received()[0].json();
    assert_eq!(sent, json!({"name": "Project p1", "org_name": "Acme"}));
}

#[tokio::test]
async fn automations_are_asked_for_by_project_and_filtered_all_the_same() {
    let all = vec![
        automation("a1", "p1"),
        automation("a2", "p2"),
        automation("a3", "p1"),
    ];
    let server = list_of(all, 100).await;
    let automations = client(&server).automations(&project_id()).await.unwrap();
    let ids: Vec<&str> = automations.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["a1", "a3"]);
    assert_eq!(automations[0].event_type().as_deref(), Some("btql_export"));
    let request = &server.received()[0];
    assert_eq!(
        request.path,
        "/v1/project_automation?project_id=p1&limit=1000"
    );
}

#[tokio::test]
async fn a_configuration_is_passed_on_byte_by_byte() {
    let config = r#"{"z" : 1.50,"event_type":"topic",  "n":1000197156529394087,"a":[]}"#;
    let body = format!(r#"{{"id":"a1","project_id":"p1","name":"x","config":{config}}}"#);
    let server = Server::with(vec![Reply::answer(200, body)]).await;
    let client = client(&server);
    let found = client.automation(&automation_id()).await.unwrap().unwrap();
    assert_eq!(found.config.get(), config);
    let new = NewAutomation {
        project_id: project_id(),
        name: "x".to_owned(),
        description: None,
        config: found.config,
    };
    let created = client.create_automation(&new).await.unwrap();
    assert!(!created.existed);
    let received = server.received();
    assert_eq!(received[0].path, "/v1/project_automation/a1");
    assert_eq!(
        (received[1].method.as_str(), received[1].path.as_str()),
        ("POST", "/v1/project_automation")
    );
    assert_eq!(
        received[1].body,
        format!(r#"{{"project_id":"p1","name":"x","config":{config}}}"#)
    );
}

#[tokio::test]
async fn an_automation_is_created_once_replaced_changed_and_deleted() {
    let answered = Reply::json(&automation("a1", "p1"));
    let server = Server::with(vec![
        Reply::answer(502, "lost"),
        answered.clone().with("x-bt-found-existing", "true"),
        answered.clone(),
        answered.clone(),
        answered,
        Reply::answer(404, "none"),
    ])
    .await;
    let client = client(&server);
    let config = RawValue::from_string("{\"event_type\":\"retention\"}".to_owned()).unwrap();
    let new = NewAutomation {
        project_id: project_id(),
        name: "Logs export".to_owned(),
        description: Some("by Sealift".to_owned()),
        config: config.clone(),
    };
    assert!(client.create_automation(&new).await.unwrap().existed);
    client.put_automation(&new).await.unwrap();
    let patch = AutomationPatch {
        config: Some(config),
        ..AutomationPatch::default()
    };
    client
        .patch_automation(&automation_id(), &patch)
        .await
        .unwrap();
    assert_eq!(client.delete_automation(&automation_id()).await, Ok(true));
    assert_eq!(client.delete_automation(&automation_id()).await, Ok(false));
    let made: Vec<String> = server
        .received()
        .iter()
        .map(|request| format!("{} {} {}", request.method, request.path, request.body))
        .collect();
    let whole = r#"{"project_id":"p1","name":"Logs export","description":"by Sealift","config":{"event_type":"retention"}}"#;
    assert_eq!(
        made,
        [
            format!("POST /v1/project_automation {whole}"),
            format!("POST /v1/project_automation {whole}"),
            format!("PUT /v1/project_automation {whole}"),
            r#"PATCH /v1/project_automation/a1 {"config":{"event_type":"retention"}}"#.to_owned(),
            "DELETE /v1/project_automation/a1 ".to_owned(),
            "DELETE /v1/project_automation/a1 ".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_cursor_is_set_with_its_transaction_as_digits() {
    let done = Reply::json(&json!({"success": true, "automation_id": "a1"}));
    let server = Server::with(vec![done]).await;
    let client = client(&server);
    let after = XactId::new(1_000_197_156_529_394_087);
    client
        .reset_cursors(&automation_id(), &project_id(), after)
        .await
        .unwrap();
    client
        .upsert_object_cursor(&automation_id(), &project_id())
        .await
        .unwrap();
    let service = ApiKey::parse("bt-st-1").unwrap();
    client
        .register_cron(&automation_id(), &service)
        .await
        .unwrap();
    let received = server.received();
    let made: Vec<(&str, Value)> = received
        .iter()
        .map(|r| (r.path.as_str(), r.json()))
        .collect();
    assert_eq!(
        made,
        [
            (
                "/brainstore/automation/reset-cursors",
                json!({"automation_id": "a1", "object_id": "project_logs:p1", "start_xact_id": "1000197156529394087"})
            ),
            (
                "/brainstore/automation/upsert-object-cursor",
                json!({"automation_id": "a1", "object_id": "project_logs:p1"})
            ),
            (
                "/automation/cron",
                json!({"automation_id": "a1", "cron": {"type": "btql_export"}, "service_token": "bt-st-1"})
            ),
        ]
    );
}

#[tokio::test]
async fn cursors_are_read_with_their_transactions_exact() {
    let segments = r#"{"total_segments":5,"pending_segments":2,"error_segments":0,"last_error":null,
        "pending_min_compacted_xact_id":1000197156529394087,
        "pending_max_compacted_xact_id":"1000197156529394088",
        "pending_min_executed_xact_id":null,"stats":{"x":1.5}}"#;
    let objects = r#"{"total_objects":1,"due_objects":1,"error_objects":1,
        "last_compacted_xact_id":1000197156529394087,"next_run_at":"2026-03-01T12:00:00Z",
        "retry_after":null,"last_error":"denied","topic_runtime":{}}"#;
    let server = Server::with(vec![
        Reply::answer(200, segments),
        Reply::answer(200, objects),
    ])
    .await;
    let client = client(&server);
    let found = client
        .segment_cursors(&automation_id(), &project_id())
        .await
        .unwrap();
    assert_eq!(found.total_segments, Some(5));
    let xact = |id| Some(XactId::new(id));
    assert_eq!(
        found.pending_min_compacted_xact_id,
        xact(1_000_197_156_529_394_087)
    );
    assert_eq!(
        found.pending_max_compacted_xact_id,
        xact(1_000_197_156_529_394_088)
    );
    assert_eq!(found.pending_min_executed_xact_id, None);
    let found = client
        .object_cursors(&automation_id(), &project_id())
        .await
        .unwrap();
    assert_eq!(
        found.last_compacted_xact_id,
        xact(1_000_197_156_529_394_087)
    );
    assert_eq!(found.last_error.as_deref(), Some("denied"));
    let received = server.received();
    assert_eq!(received[0].path, "/brainstore/automation/get-cursors");
    assert_eq!(
        received[1].path,
        "/brainstore/automation/get-object-cursors"
    );
    let asked = json!({"automation_id": "a1", "project_id": "p1"});
    assert_eq!(
        (received[0].json(), received[1].json()),
        (asked.clone(), asked)
    );
}

#[tokio::test]
async fn the_organizations_of_a_key_are_read() {
    let server = Server::with(vec![Reply::json(&json!({"org_info": [
        {"id": "5abfae3a-7aa7-4653-a9c8-b3efcb18f584", "name": "braintrustdata.com",
         "api_url": "https://api.braintrust.dev", "git_metadata": null, "is_universal_api": true}
    ]}))])
    .await;
    let found = client(&server).organizations().await.unwrap();
    assert_eq!(found[0].id.as_str(), "5abfae3a-7aa7-4653-a9c8-b3efcb18f584");
    assert_eq!(
        found[0].api_url.as_deref(),
        Some("https://api.braintrust.dev")
    );
    let request = &server.received()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/api/apikey/login")
    );
}

#[tokio::test]
async fn one_client_serves_many_at_once() {
    let server = list_of(vec![project("p1")], 10).await;
    let settings = Settings {
        answer_timeout: Duration::from_secs(30),
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let (first, second) = tokio::join!(client.projects(), client.projects());
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (1, 1));
    assert_eq!(client.requests(), 4);
}

//! Projects' automations in Braintrust, through the port of managed provisioning.

use std::sync::Arc;

use sealift_braintrust::provisioning::Provisioning;
use sealift_braintrust::{ApiKey, FixedKey};
use sealift_core::export::source::SourceError;
use sealift_core::external_id::ExternalIdSuffix;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_core::provision::remote::{RegistrationError, Remote};
use sealift_core::provision::template::Template;
use sealift_testkit::{SeededEntropy, VirtualClock};
use serde_json::{Value, json};

use crate::server::{Reply, Server, client};

const TOKEN: &str = "bt-st-very-secret";

/// The body of the article's request, step 4, without its blanks.
const ARTICLE: &str = r#"{"project_id":"p1","name":"Logs export","config":{"event_type":"btql_export","export_definition":{"type":"log_traces"},"export_path":"s3://your-bucket/braintrust/my-project","format":"parquet","interval_seconds":3600,"credentials":{"type":"aws_iam","role_arn":"arn:aws:iam::123456789012:role/your-role-name","external_id":"0b41f9"}}}"#;

fn provisioning(server: &Server) -> Provisioning<VirtualClock, SeededEntropy, FixedKey> {
    Provisioning::new(Arc::new(client(server)), None)
}

fn by_cron(server: &Server) -> Provisioning<VirtualClock, SeededEntropy, FixedKey> {
    let token = FixedKey(ApiKey::parse(TOKEN).unwrap());
    Provisioning::new(Arc::new(client(server)), Some(token))
}

fn project() -> ProjectId {
    ProjectId::parse("p1").unwrap()
}

fn automation() -> AutomationId {
    AutomationId::parse("a1").unwrap()
}

fn template() -> Template {
    serde_json::from_value(json!({"name": "Logs export", "config": {
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
    }}))
    .unwrap()
}

fn answered(project: &str) -> Value {
    let mut answer: Value = serde_json::from_str(ARTICLE).unwrap();
    answer["id"] = json!("a1");
    answer["project_id"] = json!(project);
    answer
}

#[tokio::test]
async fn what_is_sent_is_the_articles_request_byte_by_byte() {
    let existing = Reply::json(&answered("p1")).with("x-bt-found-existing", "true");
    let others = Reply::json(&answered("p2"));
    let server = Server::with(vec![Reply::json(&answered("p1")), existing, others]).await;
    let remote = provisioning(&server);
    let (template, project) = (template(), project());
    let suffix = ExternalIdSuffix::parse("0b41f9").unwrap();
    let request = template.request(&project, "my-project", &suffix);
    let made = remote.create(&request).await.unwrap();
    assert!(!made.existed && made.automation.is_export());
    assert_eq!(made.automation.suffix(), Some("0b41f9"));
    assert!(remote.create(&request).await.unwrap().existed);
    let error = remote.create(&request).await.unwrap_err();
    assert!(error.to_string().contains("of project p2"), "{error}");
    let received = &server.received()[0];
    assert_eq!(
        (received.method.as_str(), received.path.as_str()),
        ("POST", "/v1/project_automation")
    );
    assert_eq!(received.body, ARTICLE);
    remote
        .register(&automation(), &project, XactId::ZERO)
        .await
        .unwrap();
    let sent = server.received().last().unwrap().clone();
    assert_eq!(sent.path, "/brainstore/automation/reset-cursors");
    assert_eq!(
        sent.body,
        r#"{"automation_id":"a1","object_id":"project_logs:p1","start_xact_id":"0"}"#
    );
}

#[tokio::test]
async fn both_kinds_of_cursors_are_asked_and_a_missing_path_is_explained() {
    let objects = json!({"total_objects": 1, "due_objects": 1, "error_objects": 1,
        "last_run_at": "2026-03-01T12:00:00Z", "last_error": null});
    let segments = json!({"total_segments": 3, "pending_segments": 2, "error_segments": 1,
        "last_error": "AccessDenied", "pending_min_compacted_xact_id": "1000197156529394087"});
    let gone = Reply::answer(404, "no such route");
    let server = Server::with(vec![Reply::json(&objects), Reply::json(&segments), gone]).await;
    let remote = provisioning(&server);
    let standing = remote.standing(&automation(), &project()).await.unwrap();
    assert_eq!(standing.registered(), Some(true));
    assert_eq!((standing.errors, standing.due, standing.pending), (2, 1, 2));
    assert_eq!(standing.last_error.as_deref(), Some("AccessDenied"));
    assert_eq!(
        standing.pending_from,
        Some(XactId::new(1_000_197_156_529_394_087))
    );
    let error = remote
        .standing(&automation(), &project())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("v2.0 or older"), "{error}");
    let (automation, project) = (automation(), project());
    let registered = remote.register(&automation, &project, XactId::ZERO);
    let error = registered.await.unwrap_err();
    assert!(matches!(
        error,
        RegistrationError::NotDone(SourceError::Invalid(_))
    ));
    assert!(error.to_string().contains("v2.0 or older"), "{error}");
}

#[tokio::test]
async fn an_older_data_plane_is_sent_the_service_token_which_shows_nowhere() {
    let says_it = format!("bad token {TOKEN}");
    let server = Server::with(vec![
        Reply::json(&json!({})),
        Reply::answer(400, says_it.clone()),
        Reply::answer(500, says_it),
    ])
    .await;
    let remote = by_cron(&server);
    assert!(!remote.has_cursors());
    let register = || async {
        remote
            .register(&automation(), &project(), XactId::ZERO)
            .await
    };
    register().await.unwrap();
    let sent = &server.received()[0];
    assert_eq!(sent.path, "/automation/cron");
    assert_eq!(
        sent.body,
        format!(
            r#"{{"automation_id":"a1","cron":{{"type":"btql_export"}},"service_token":"{TOKEN}"}}"#
        )
    );
    let refused = register().await.unwrap_err();
    assert!(matches!(refused, RegistrationError::NotDone(_)));
    let lost = register().await.unwrap_err();
    assert!(matches!(lost, RegistrationError::Unknown(_)));
    for shown in [
        refused.to_string(),
        format!("{refused:?}"),
        lost.to_string(),
        format!("{lost:?}"),
        format!("{remote:?}"),
    ] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    assert_eq!(server.received().len(), 3, "nothing is made twice");
}

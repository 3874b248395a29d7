//! How requests are made, made again, and given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::{KEY, Reply, Server, TestClient, Way, client, client_with, clock};
use sealift_braintrust::{ApiKey, ApiKeys, ApiUrl, ChangeError, Client, Settings};
use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_testkit::{SeededEntropy, VirtualClock};
use serde_json::json;

fn projects() -> Reply {
    Reply::json(&json!({"objects": []}))
}

fn waited(clock: &VirtualClock) -> Duration {
    let since = clock.now().duration_since(crate::server::clock().now());
    Duration::try_from(since).unwrap()
}

async fn reset(client: &TestClient) -> Result<(), ChangeError> {
    let automation = AutomationId::parse("a1").unwrap();
    let project = ProjectId::parse("p1").unwrap();
    client
        .reset_cursors(&automation, &project, XactId::ZERO)
        .await
}

#[tokio::test]
async fn a_request_carries_the_key_and_the_organization() {
    let server = Server::with(vec![projects()]).await;
    let url = format!("{}/data-plane/", server.url());
    let client = client_with(&url, clock(), Settings::default());
    let client = client.for_organization("Acme & Söhne").unwrap();
    client.projects().await.unwrap();
    let request = &server.received()[0];
    assert_eq!(request.method, "GET");
    assert_eq!(
        request.path,
        "/data-plane/v1/project?limit=1000&org_name=Acme+%26+S%C3%B6hne"
    );
    assert_eq!(request.header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(request.header("x-bt-org-name"), "Acme & Söhne");
    assert!(request.header("user-agent").starts_with("sealift/"));
    let line = client.for_organization("a\nb").unwrap_err();
    assert!(line.to_string().contains("cannot stand in a header"));
}

#[tokio::test]
async fn a_throttled_request_waits_as_long_as_it_is_told_to_in_seconds_or_until_a_date() {
    for retry_after in ["7", "Sun, 01 Mar 2026 12:00:07 GMT"] {
        let throttled = Reply::answer(429, "slow down").with("retry-after", retry_after);
        let server = Server::with(vec![throttled, projects()]).await;
        let clock = clock();
        let client = client_with(server.url(), clock.clone(), Settings::default());
        client.projects().await.unwrap();
        assert_eq!(waited(&clock), Duration::from_secs(7), "{retry_after}");
        assert_eq!(client.requests(), 2);
    }
}

#[tokio::test]
async fn who_is_told_to_wait_long_returns_at_once_and_passes_it_on() {
    let throttled = Reply::answer(429, r#"{"Message":"limit"}"#).with("retry-after", "61");
    let server = Server::with(vec![throttled]).await;
    let clock = clock();
    let client = client_with(server.url(), clock.clone(), Settings::default());
    let error = client.projects().await.unwrap_err();
    let SourceError::Throttled {
        failure,
        retry_after,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(61)));
    assert_eq!(waited(&clock), Duration::ZERO);
    assert_eq!(server.received().len(), 1);
    assert_eq!(
        failure.to_string(),
        format!(
            "list projects on {} failed: HTTP 429: limit (request trace-1)",
            server.url()
        )
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_four_times_with_bounded_waits() {
    for reply in [
        Reply::answer(500, "x"),
        Reply::answer(503, "x"),
        Reply::answer(408, "x"),
        Reply::answer(429, "x"),
        Reply::HangUp,
        Reply::sent(Way::Torn, &["{\"objects\":["]),
    ] {
        let server = Server::with(vec![reply.clone()]).await;
        let clock = clock();
        let client = client_with(server.url(), clock.clone(), Settings::default());
        let error = client.projects().await.unwrap_err();
        match error {
            SourceError::Transient(_) => {}
            SourceError::Throttled {
                retry_after: None, ..
            } => assert!(format!("{reply:?}").contains("429")),
            other => panic!("{reply:?}: {other:?}"),
        }
        assert_eq!(server.received().len(), 4, "{reply:?}");
        assert_eq!(client.requests(), 4);
        let most = Duration::from_millis(500 + 1000 + 2000);
        assert!(waited(&clock) <= most && waited(&clock) > Duration::ZERO);
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (status, denied) in [
        (400, false),
        (401, true),
        (403, true),
        (404, false),
        (302, false),
    ] {
        let server = Server::with(vec![Reply::answer(status, "no")]).await;
        let client = client(&server);
        let error = client.projects().await.unwrap_err();
        assert_eq!(
            matches!(error, SourceError::Denied(_)),
            denied,
            "{status}: {error:?}"
        );
        assert_eq!(
            matches!(error, SourceError::Invalid(_)),
            !denied,
            "{status}: {error:?}"
        );
        assert_eq!(client.requests(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_not_waited_for_for_ever() {
    let server = Server::with(vec![Reply::Silence]).await;
    let settings = Settings {
        answer_timeout: Duration::from_millis(50),
        attempts: 2,
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let error = client.projects().await.unwrap_err();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
    assert!(
        error.to_string().contains("no answer began within 50 ms"),
        "{error}"
    );
    assert_eq!(client.requests(), 2);
}

#[tokio::test]
async fn an_answer_that_is_something_else_names_the_address() {
    let server = Server::with(vec![Reply::answer(200, "<html>")]).await;
    let error = client(&server).projects().await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)));
    assert!(
        error.to_string().contains("is the API URL right?"),
        "{error}"
    );

    let server = Server::with(vec![Reply::answer(200, "x".repeat(2000))]).await;
    let settings = Settings {
        longest_answer: 1000,
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let error = client.projects().await.unwrap_err();
    assert!(
        error.to_string().contains("longer than 1000 bytes"),
        "{error}"
    );
}

/// Keys that are replaced when they are forgotten.
struct Rotating(AtomicUsize);

impl ApiKeys for Rotating {
    async fn key(&self) -> Result<ApiKey, SourceError> {
        Ok(ApiKey::parse(&format!("sk-{}", self.0.load(Ordering::SeqCst))).unwrap())
    }

    fn forget(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_replaced_key_is_used_once_the_old_one_is_refused() {
    let server = Server::with(vec![Reply::answer(401, "old"), projects()]).await;
    let url = ApiUrl::parse(server.url()).unwrap();
    let keys = Rotating(AtomicUsize::new(1));
    let entropy = SeededEntropy::new(1);
    let client = Client::new(url, keys, clock(), entropy, Settings::default());
    client.projects().await.unwrap();
    let sent: Vec<String> = server
        .received()
        .iter()
        .map(|request| request.header("authorization").to_owned())
        .collect();
    assert_eq!(sent, ["Bearer sk-1", "Bearer sk-2"]);
}

#[tokio::test]
async fn a_new_key_that_is_refused_too_is_the_end_of_it() {
    let server = Server::with(vec![Reply::answer(401, "no")]).await;
    let url = ApiUrl::parse(server.url()).unwrap();
    let keys = Rotating(AtomicUsize::new(1));
    let entropy = SeededEntropy::new(1);
    let client = Client::new(url, keys, clock(), entropy, Settings::default());
    assert!(matches!(
        client.projects().await,
        Err(SourceError::Denied(_))
    ));
    assert_eq!(client.requests(), 2);
}

#[tokio::test]
async fn a_reset_whose_reply_is_lost_is_not_made_again_and_says_so() {
    for reply in [
        Reply::HangUp,
        Reply::answer(502, "bad gateway"),
        Reply::sent(Way::Torn, &["{\"success\""]),
    ] {
        let server = Server::with(vec![reply.clone()]).await;
        let error = reset(&client(&server)).await.unwrap_err();
        assert!(
            matches!(error, ChangeError::Unknown(_)),
            "{reply:?}: {error:?}"
        );
        assert!(
            error
                .to_string()
                .ends_with("whether it was done is not known"),
            "{error}"
        );
        assert_eq!(server.received().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_reset_that_was_surely_not_made_is_made_again_or_said_not_to_be_done() {
    let throttled = Reply::answer(429, "slow").with("retry-after", "1");
    let done = Reply::json(&json!({"success": true, "automation_id": "a1"}));
    let server = Server::with(vec![throttled, done]).await;
    reset(&client(&server)).await.unwrap();
    assert_eq!(server.received().len(), 2);

    for reply in [
        Reply::answer(400, "no such automation"),
        Reply::json(&json!({"success": false})),
    ] {
        let server = Server::with(vec![reply]).await;
        let error = reset(&client(&server)).await.unwrap_err();
        assert!(
            matches!(error, ChangeError::NotDone(SourceError::Invalid(_))),
            "{error:?}"
        );
    }

    let url = Server::with(vec![]).await.url().to_owned();
    let nobody = client_with(&url, clock(), Settings::default());
    let error = reset(&nobody).await.unwrap_err();
    assert!(
        matches!(error, ChangeError::NotDone(SourceError::Transient(_))),
        "{error:?}"
    );
    assert_eq!(nobody.requests(), 4);
}

#[tokio::test]
async fn no_key_gets_into_an_error_whatever_the_other_side_says() {
    let service = ApiKey::parse("bt-st-also-secret").unwrap();
    let said = format!("refused {KEY} and bt-st-also-secret");
    let automation = AutomationId::parse("a1").unwrap();
    for status in [400, 401, 403, 413, 421, 429, 500, 504] {
        let server = Server::with(vec![Reply::answer(status, said.clone())]).await;
        let client = client(&server);
        let error = client
            .register_cron(&automation, &service)
            .await
            .unwrap_err();
        assert_eq!(
            server.received()[0].json()["service_token"],
            "bt-st-also-secret"
        );
        let listing = client.projects().await.unwrap_err();
        let shown = format!("{error} {error:?} {listing} {listing:?} {client:?}");
        assert!(
            !shown.contains(KEY) && !format!("{error} {error:?}").contains("bt-st-"),
            "{shown}"
        );
        assert!(status == 421 || shown.contains("REDACTED"), "{shown}");
    }
}

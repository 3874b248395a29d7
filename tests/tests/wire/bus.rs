//! Entries on their way to the bus.

use sealift_aws::EventBridgeBus;
use sealift_core::ports::{BusEntry, EventBus, StoreError};
use sealift_testkit::VirtualClock;
use sealift_tests::responder::{Received, Reply, Responder};
use serde_json::{Value, json};

use crate::scene::{base, start};

struct Scene {
    aws: Responder,
    clock: VirtualClock,
    bus: EventBridgeBus<VirtualClock>,
}

impl Scene {
    async fn new(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let aws = Responder::start(answer).await.unwrap();
        let clock = VirtualClock::auto(start());
        let bus = EventBridgeBus::on(&base(Some(aws.url())), "sealift", clock.clone());
        Self { aws, clock, bus }
    }

    /// The details of the entries of each request.
    fn sent(&self) -> Vec<Vec<String>> {
        let requests = self.aws.received();
        let details = |request: &Received| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let entries = body["Entries"].as_array().unwrap().clone();
            entries
                .iter()
                .map(|e| e["Detail"].as_str().unwrap().to_owned())
                .collect()
        };
        requests.iter().map(details).collect()
    }

    /// How long it paused between its attempts, in milliseconds.
    fn paused(&self) -> i128 {
        self.clock.now().duration_since(start()).as_millis()
    }
}

fn entry(detail: impl Into<String>) -> BusEntry {
    BusEntry {
        source: "sealift.control".to_owned(),
        detail_type: "export.due".to_owned(),
        detail: detail.into(),
    }
}

fn entries(count: usize) -> Vec<BusEntry> {
    (0..count)
        .map(|n| entry(json!({ "n": n }).to_string()))
        .collect()
}

/// Each entry is taken unless its number in the request is told a code.
fn answer(request: &Received, refused: &[(usize, &str)]) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let count = body["Entries"].as_array().unwrap().len();
    let results: Vec<Value> = (0..count)
        .map(|n| match refused.iter().find(|(at, _)| *at == n) {
            Some((_, code)) => json!({"ErrorCode": code, "ErrorMessage": format!("about {code}")}),
            None => json!({"EventId": format!("event-{n}")}),
        })
        .collect();
    let body = json!({"FailedEntryCount": refused.len(), "Entries": results});
    Reply::answer(200, body.to_string())
}

#[tokio::test]
async fn entries_go_in_requests_of_ten_with_the_buss_name_on_each() {
    let scene = Scene::new(|request, _| answer(request, &[])).await;
    let outcomes = scene.bus.put(&entries(12)).await;
    assert_eq!(outcomes, vec![Ok(()); 12]);
    let sent = scene.sent();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [10, 2]);
    assert_eq!(sent[1], [r#"{"n":10}"#, r#"{"n":11}"#]);
    let received = scene.aws.received();
    assert_eq!(received[0].header("x-amz-target"), "AWSEvents.PutEvents");
    let authorization = received[0].header("authorization");
    assert!(
        authorization.contains("/us-east-1/events/aws4_request"),
        "{authorization}"
    );
    let body: Value = serde_json::from_slice(&received[1].body).unwrap();
    assert_eq!(
        body["Entries"][0],
        json!({
            "EventBusName": "sealift",
            "Source": "sealift.control",
            "DetailType": "export.due",
            "Detail": r#"{"n":10}"#,
        })
    );
    assert!(scene.bus.put(&[]).await.is_empty());
    assert_eq!(scene.sent().len(), 2);
}

#[tokio::test]
async fn what_the_bus_refuses_for_the_moment_is_sent_again_and_only_that() {
    let scene = Scene::new(|request, number| match number {
        0 => answer(
            request,
            &[
                (1, "ThrottlingException"),
                (2, "AccessDeniedException"),
                (3, "InternalFailure"),
            ],
        ),
        1 => answer(request, &[(1, "ThrottlingException")]),
        _ => answer(request, &[]),
    })
    .await;
    let outcomes = scene.bus.put(&entries(5)).await;
    let sent = scene.sent();
    assert_eq!(sent[1], [r#"{"n":1}"#, r#"{"n":3}"#]);
    assert_eq!(sent[2], [r#"{"n":3}"#]);
    assert_eq!(sent.len(), 3);
    let good: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, true, false, true, true]);
    assert!(
        matches!(&outcomes[2], Err(StoreError::Denied(f)) if f.code == "AccessDeniedException"),
        "{outcomes:?}"
    );
    assert_eq!(scene.paused(), 200 + 400);
}

#[tokio::test]
async fn what_stays_refused_is_told_with_the_buss_own_words() {
    let scene = Scene::new(|request, _| answer(request, &[(0, "ThrottlingException")])).await;
    let outcomes = scene.bus.put(&entries(2)).await;
    assert_eq!(outcomes[1], Ok(()));
    let error = outcomes[0].clone().unwrap_err();
    assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "PutEvents on export.due on sealift failed: ThrottlingException: about ThrottlingException"
    );
    assert_eq!(scene.sent().len(), 4);
    assert_eq!(scene.paused(), 200 + 400 + 800);
}

#[tokio::test]
async fn each_code_is_the_decision_it_asks_for() {
    for (code, denied) in [
        ("AccessDeniedException", true),
        ("MalformedDetail", false),
        ("InvalidArgument", false),
        ("NotAuthorizedForSourceException", false),
    ] {
        let scene = Scene::new(move |request, _| answer(request, &[(0, code)])).await;
        let error = scene.bus.put(&entries(1)).await.remove(0).unwrap_err();
        assert_eq!(matches!(error, StoreError::Denied(_)), denied, "{error:?}");
        assert_eq!(
            matches!(error, StoreError::Invalid(_)),
            !denied,
            "{error:?}"
        );
        assert_eq!(scene.sent().len(), 1);
    }
}

#[tokio::test]
async fn the_entries_of_a_request_that_failed_have_failed_and_the_others_not() {
    let scene = Scene::new(|request, number| match number {
        0 => Reply::answer(400, r#"{"__type":"AccessDeniedException","message":"no"}"#),
        1 => Reply::HangUp,
        _ => answer(request, &[]),
    })
    .await;
    let outcomes = scene.bus.put(&entries(25)).await;
    assert!(
        outcomes[..10]
            .iter()
            .all(|o| matches!(o, Err(StoreError::Denied(_))))
    );
    assert!(
        outcomes[10..20]
            .iter()
            .all(|o| matches!(o, Err(StoreError::Transient(_))))
    );
    assert_eq!(outcomes[20..], vec![Ok(()); 5]);
    assert_eq!(scene.sent().len(), 3, "the SDK has tried again already");
}

#[tokio::test]
async fn an_entry_without_a_result_is_not_taken_for_delivered() {
    let scene =
        Scene::new(|_, _| Reply::answer(200, r#"{"FailedEntryCount":0,"Entries":[]}"#)).await;
    let outcomes = scene.bus.put(&entries(1)).await;
    assert!(
        matches!(outcomes[0], Err(StoreError::Transient(_))),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn an_entry_that_is_too_large_says_so_and_holds_nobody_up() {
    let scene = Scene::new(|request, _| answer(request, &[])).await;
    let large = entry("x".repeat(1024 * 1024));
    let outcomes = scene.bus.put(&[entry("{}"), large, entry("{}")]).await;
    let error = outcomes[1].clone().unwrap_err();
    assert!(
        matches!(&error, StoreError::Invalid(f) if f.message.contains("1048601 bytes")),
        "{error:?}"
    );
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(()), &Ok(())));
    assert_eq!(scene.sent(), [["{}", "{}"]]);
}

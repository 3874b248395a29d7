//! A secret on its way from the Parameter Store.

use std::time::Duration;

use sealift_aws::ParameterSecret;
use sealift_core::ports::StoreError;
use sealift_testkit::VirtualClock;
use sealift_tests::responder::{Reply, Responder};
use serde_json::{Value, json};

use crate::scene::{base, start};

const NAME: &str = "/sealift/braintrust-api-key";

struct Scene {
    aws: Responder,
    clock: VirtualClock,
    secret: ParameterSecret<VirtualClock>,
}

impl Scene {
    async fn new(reply: Reply) -> Self {
        let aws = Responder::start(move |_, _| reply.clone()).await.unwrap();
        let clock = VirtualClock::new(start());
        let secret = ParameterSecret::on(&base(Some(aws.url())), NAME, clock.clone());
        Self { aws, clock, secret }
    }
}

fn holding(value: &str) -> Reply {
    Reply::answer(200, json!({"Parameter": {"Value": value}}).to_string())
}

#[tokio::test]
async fn the_parameter_is_read_decrypted_and_kept_for_five_minutes() {
    let scene = Scene::new(holding("sk-1234\n")).await;
    assert_eq!(scene.secret.get().await.unwrap().expose(), "sk-1234");
    scene.clock.advance(Duration::from_secs(299));
    scene.secret.get().await.unwrap();
    let asked = scene.aws.received();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("x-amz-target"), "AmazonSSM.GetParameter");
    let question: Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(question, json!({"Name": NAME, "WithDecryption": true}));
    scene.clock.advance(Duration::from_secs(1));
    scene.secret.get().await.unwrap();
    assert_eq!(scene.aws.received().len(), 2);
}

#[tokio::test]
async fn a_secret_that_was_refused_is_read_anew() {
    let scene = Scene::new(holding("sk-1234")).await;
    scene.secret.get().await.unwrap();
    scene.secret.forget();
    scene.secret.get().await.unwrap();
    assert_eq!(scene.aws.received().len(), 2);
}

#[tokio::test]
async fn a_missing_parameter_says_how_to_create_it_and_is_not_kept() {
    let missing = Reply::answer(400, r#"{"__type":"ParameterNotFound"}"#);
    let scene = Scene::new(missing).await;
    let error = scene.secret.get().await.unwrap_err();
    let StoreError::Denied(failure) = &error else {
        unreachable!("{error:?}")
    };
    assert_eq!(
        (failure.code.as_str(), failure.target.as_str()),
        ("ParameterNotFound", NAME)
    );
    let command = format!("aws ssm put-parameter --type SecureString --name {NAME} ");
    assert!(failure.message.contains(&command), "{failure}");
    scene.secret.get().await.unwrap_err();
    assert_eq!(scene.aws.received().len(), 2);
}

#[tokio::test]
async fn other_failures_are_the_decisions_they_ask_for() {
    let denied = Reply::answer(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    let error = Scene::new(denied).await.secret.get().await.unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
    let throttled = Reply::answer(400, r#"{"__type":"ThrottlingException"}"#);
    let error = Scene::new(throttled).await.secret.get().await.unwrap_err();
    assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
    let error = Scene::new(holding(" \n"))
        .await
        .secret
        .get()
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn the_secret_is_not_shown_by_what_holds_it() {
    let scene = Scene::new(holding("sk-1234")).await;
    let secret = scene.secret.get().await.unwrap();
    let shown = format!("{secret:?} {:?} {:#?}", scene.secret, scene.secret);
    assert!(
        shown.contains("REDACTED") && !shown.contains("sk-1234"),
        "{shown}"
    );
}

//! The S3 adapter against a real S3 API over HTTP, on good days and bad ones.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use sealift_aws::sinks::{AwsEndpoints, Options as SinkOptions};
use sealift_aws::vault::{AccessKeys, Vault};
use sealift_aws::{CustomerSinks, OsEntropy, S3Store, SystemClock, config};
use sealift_core::destination::{Credentials, Destination};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, ObjectKey, RoleArn};
use sealift_core::policy::{Partition, permissions, trust};
use sealift_core::ports::{
    Conditional, ETag, Metadata, ObjectSink, ObjectStore, Sinks, StoreError,
};
use sealift_core::reach::Allowed;
use sealift_embedded::faults::{Effect, Rule};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::{Embedded, Options};
use sealift_tests::responder::{Reply, Responder};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const PLATFORM: &str = "111111111111";
const TENANT: &str = "222222222222";

/// An embedded AWS with one bucket of the platform's.
struct Scene {
    aws: Embedded,
    _data: TempDir,
}

fn account(digits: &str) -> AccountId {
    AccountId::parse(digits).unwrap()
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// Metadata that holds a writer's nonce.
fn nonce(value: &str) -> Metadata {
    Metadata::from([("nonce".to_owned(), value.to_owned())])
}

fn sdk(url: &str, retry: RetryConfig) -> SdkConfig {
    let keys = Keys::new("PLATFORMKEY", "platform-secret", None, None, "test");
    let config = config::fixed("us-east-1", keys, Some(url));
    config.into_builder().retry_config(retry).build()
}

fn store_at(url: &str, name: &str, retry: RetryConfig) -> S3Store {
    let config = aws_sdk_s3::config::Builder::from(&sdk(url, retry)).force_path_style(true);
    S3Store::new(Client::from_conf(config.build()), bucket(name))
}

impl Scene {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let platform = Platform {
            account: account(PLATFORM),
            access_key_id: "PLATFORMKEY".to_owned(),
            secret_access_key: Secret::new("platform-secret"),
        };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let options = Options::new(data.path(), platform, clock, entropy);
        let aws = Embedded::start(options).await.unwrap();
        aws.create_bucket(&bucket("state"), &account(PLATFORM))
            .unwrap();
        Self { aws, _data: data }
    }

    /// A store whose SDK tries once.
    fn store(&self) -> S3Store {
        store_at(&self.aws.endpoint_url(), "state", RetryConfig::disabled())
    }

    /// A store whose SDK tries again, as in production.
    fn persistent_store(&self) -> S3Store {
        store_at(&self.aws.endpoint_url(), "state", RetryConfig::standard())
    }

    /// The next request of the operation fares so, once.
    fn next(&self, operation: &str, effect: Effect) {
        self.aws
            .faults()
            .add(Rule::new(effect).on(operation).times(1));
    }
}

async fn create(store: &S3Store, at: &str, nonce_value: &str) -> Result<Conditional, StoreError> {
    store
        .create(&key(at), Bytes::from("content"), nonce(nonce_value))
        .await
}

async fn nonce_at(store: &S3Store, at: &str) -> Option<String> {
    let meta = store.head(&key(at)).await.unwrap();
    meta.and_then(|meta| meta.metadata.get("nonce").cloned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_s3_adapter_conforms() {
    let scene = Scene::new().await;
    let buckets = AtomicU32::new(0);
    sealift_testkit::conformance::run(async || {
        let name = format!("clause-{}", buckets.fetch_add(1, Ordering::Relaxed));
        scene
            .aws
            .create_bucket(&bucket(&name), &account(PLATFORM))
            .unwrap();
        store_at(&scene.aws.endpoint_url(), &name, RetryConfig::standard())
    })
    .await;
}

#[tokio::test]
async fn a_create_whose_reply_is_lost_is_refused_and_bears_its_own_nonce() {
    let scene = Scene::new().await;
    scene.next("PutObject", Effect::LoseReply);
    let store = scene.persistent_store();
    assert_eq!(
        create(&store, "log/1", "mine").await,
        Ok(Conditional::Refused)
    );
    assert_eq!(
        scene.aws.requests().count("PutObject").requests,
        2,
        "the SDK tried again"
    );
    assert_eq!(nonce_at(&store, "log/1").await.as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_swap_whose_reply_is_lost_is_refused_and_bears_its_own_nonce() {
    let scene = Scene::new().await;
    let store = scene.persistent_store();
    let Ok(Conditional::Written(first)) = create(&store, "cursor", "first").await else {
        unreachable!()
    };
    scene.next("PutObject", Effect::LoseReply);
    let swapped = store
        .swap(&key("cursor"), Bytes::from("2"), nonce("second"), &first)
        .await;
    assert_eq!(swapped, Ok(Conditional::Refused));
    assert_eq!(nonce_at(&store, "cursor").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn without_another_try_a_lost_reply_leaves_it_open_whether_it_was_written() {
    let scene = Scene::new().await;
    let store = scene.store();
    for (effect, written) in [(Effect::LoseReply, true), (Effect::TearBefore, false)] {
        let at = format!("{written}");
        scene.next("PutObject", effect);
        let outcome = create(&store, &at, "mine").await;
        assert!(
            matches!(outcome, Err(StoreError::Transient(_))),
            "{outcome:?}"
        );
        assert_eq!(nonce_at(&store, &at).await.is_some(), written);
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_by_the_sdk() {
    let scene = Scene::new().await;
    let store = scene.persistent_store();
    for (number, effect) in [Effect::SlowDown, Effect::InternalError, Effect::TearBefore]
        .into_iter()
        .enumerate()
    {
        scene.next("PutObject", effect);
        let outcome = create(&store, &number.to_string(), "mine").await;
        assert!(
            matches!(outcome, Ok(Conditional::Written(_))),
            "{effect:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn each_bad_answer_to_a_write_is_the_decision_it_asks_for_and_writes_nothing() {
    let scene = Scene::new().await;
    let store = scene.store();
    let mut outcomes = Vec::new();
    for effect in [
        Effect::SlowDown,
        Effect::InternalError,
        Effect::Conflict,
        Effect::AccessDenied,
        Effect::PreconditionFailed,
    ] {
        scene.next("PutObject", effect);
        outcomes.push(create(&store, "a", "mine").await);
        assert_eq!(nonce_at(&store, "a").await, None, "{effect:?}");
    }
    let told: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(Conditional::Refused) => "refused".to_owned(),
            Ok(Conditional::Written(_)) => "written".to_owned(),
            Err(StoreError::Transient(f)) => format!("transient {}", f.code),
            Err(StoreError::Conflict(f)) => format!("conflict {}", f.code),
            Err(StoreError::Denied(f)) => format!("denied {}", f.code),
            Err(StoreError::Invalid(f)) => format!("invalid {}", f.code),
        })
        .collect();
    assert_eq!(
        told,
        [
            "transient SlowDown",
            "transient InternalError",
            "conflict ConditionalRequestConflict",
            "denied AccessDenied",
            "refused",
        ]
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_object() {
    let scene = Scene::new().await;
    let store = scene.persistent_store();
    create(&store, "a", "mine").await.unwrap();
    scene.next("GetObject", Effect::TearBody { after: 3 });
    let read = store.get(&key("a")).await;
    assert!(matches!(read, Err(StoreError::Transient(_))), "{read:?}");
    assert_eq!(
        store.get(&key("a")).await.unwrap().unwrap().bytes,
        "content"
    );
}

#[tokio::test]
async fn a_missing_bucket_is_a_mistake_in_the_configuration() {
    let scene = Scene::new().await;
    let store = store_at(
        &scene.aws.endpoint_url(),
        "nowhere",
        RetryConfig::disabled(),
    );
    let at = key("a");
    let version = ETag("\"1\"".to_owned());
    let failures = [
        store.get(&at).await.err(),
        store.get_first(&at, 1).await.err(),
        create(&store, "a", "mine").await.err(),
        store
            .swap(&at, Bytes::new(), Metadata::new(), &version)
            .await
            .err(),
        store.delete(&at).await.err(),
        store.list("", None, 1).await.err(),
    ];
    for failure in failures {
        assert!(
            matches!(&failure, Some(StoreError::Invalid(f)) if f.code == "NoSuchBucket"),
            "{failure:?}"
        );
    }
    // A HEAD has no body to tell a missing bucket by.
    assert_eq!(store.head(&at).await, Ok(None));
}

#[tokio::test]
async fn a_bucket_of_another_account_than_expected_is_denied() {
    let scene = Scene::new().await;
    create(&scene.store(), "a", "mine").await.unwrap();
    let right = scene.store().owned_by(account(PLATFORM));
    assert!(right.get(&key("a")).await.unwrap().is_some());
    let wrong = scene.store().owned_by(account(TENANT));
    let at = key("a");
    let failures = [
        wrong.get(&at).await.err(),
        wrong.head(&at).await.err(),
        create(&wrong, "b", "mine").await.err(),
        wrong.delete(&at).await.err(),
        wrong.list("", None, 1).await.err(),
    ];
    for failure in failures {
        assert!(
            matches!(failure, Some(StoreError::Denied(_))),
            "{failure:?}"
        );
    }
    assert!(
        right.head(&at).await.unwrap().is_some(),
        "it was not deleted"
    );
}

#[tokio::test]
async fn keys_that_sealift_cannot_have_written_are_passed_over() {
    let list = |keys: &str, rest: &str| {
        let line = |key| {
            format!(
                "<Contents><Key>{key}</Key><Size>1</Size>\
                 <LastModified>2023-07-10T11:00:00.000Z</LastModified></Contents>"
            )
        };
        let contents = keys.split(' ').map(line).collect::<Vec<_>>().concat();
        format!("<ListBucketResult>{contents}{rest}</ListBucketResult>")
    };
    let first = list(
        "log/ log/1 log//2",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>",
    );
    let second = list("log/3", "<IsTruncated>false</IsTruncated>");
    let s3 = Responder::start(move |request, _| {
        let more = request.path.contains("continuation-token=more");
        Reply::answer(200, if more { second.clone() } else { first.clone() })
    })
    .await
    .unwrap();
    let store = store_at(s3.url(), "state", RetryConfig::disabled());
    let lines = store.list("log/", None, 3).await.unwrap();
    let names: Vec<String> = lines.iter().map(|line| line.key.to_string()).collect();
    assert_eq!(names, ["log/1", "log/3"]);
    assert!(s3.received()[0].path.contains("max-keys=3"));
    assert!(
        s3.received()[1].path.contains("max-keys=2"),
        "only as many as are still wanted"
    );
}

/// What each operation makes of an answer: its decision, and the code that it tells.
async fn decisions(reply: Reply) -> Vec<String> {
    let s3 = Responder::start(move |_, _| reply.clone()).await.unwrap();
    let store = store_at(s3.url(), "state", RetryConfig::disabled());
    let at = key("a");
    let version = ETag("\"1\"".to_owned());
    let told = |failure: Option<StoreError>| match failure {
        None => "fine".to_owned(),
        Some(StoreError::Transient(f)) => format!("transient {}", f.code),
        Some(StoreError::Conflict(f)) => format!("conflict {}", f.code),
        Some(StoreError::Denied(f)) => format!("denied {}", f.code),
        Some(StoreError::Invalid(f)) => format!("invalid {}", f.code),
    };
    vec![
        told(store.get(&at).await.err()),
        told(store.head(&at).await.err()),
        told(create(&store, "a", "mine").await.err()),
        told(
            store
                .swap(&at, Bytes::new(), Metadata::new(), &version)
                .await
                .err(),
        ),
        told(store.delete(&at).await.err()),
        told(store.list("", None, 1).await.err()),
    ]
}

#[tokio::test]
async fn answers_of_other_servers_on_the_way_are_sorted_by_their_status() {
    let page = |status| Reply::answer(status, "<html>from a proxy</html>");
    for (status, decision) in [
        (502, "transient"),
        (504, "transient"),
        (403, "denied"),
        (400, "invalid"),
    ] {
        for told in decisions(page(status)).await {
            assert!(told.starts_with(decision), "{status}: {told}");
            assert!(told.contains(&format!("HTTP {status}")), "{told}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_or_refused_is_transient() {
    for told in decisions(Reply::HangUp).await {
        assert_eq!(told, "transient ");
    }
    let store = store_at("http://127.0.0.1:9", "state", RetryConfig::disabled());
    let error = store.get(&key("a")).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Transient(f) if !f.message.is_empty()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_failure_tells_operation_target_code_message_and_request() {
    let s3 = Responder::start(|_, _| Reply::s3_error(403, "AccessDenied"))
        .await
        .unwrap();
    let store = store_at(s3.url(), "state", RetryConfig::disabled());
    let error = store.get(&key("log/1")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GetObject on s3://state/log/1 failed: AccessDenied: about AccessDenied (request REQ-1)"
    );
}

#[tokio::test]
async fn an_object_that_is_not_ours_is_read_as_it_is() {
    let scene = Scene::new().await;
    let config = sdk(&scene.aws.endpoint_url(), RetryConfig::disabled());
    let config = aws_sdk_s3::config::Builder::from(&config)
        .force_path_style(true)
        .build();
    let put = Client::from_conf(config)
        .put_object()
        .bucket("state")
        .key("by/hand");
    put.body(ByteStream::from_static(b"by hand"))
        .send()
        .await
        .unwrap();
    let object = scene.store().get(&key("by/hand")).await.unwrap().unwrap();
    assert_eq!(
        (object.bytes, object.meta.metadata),
        (Bytes::from("by hand"), Metadata::new())
    );
}

struct NoVault;

impl Vault for NoVault {
    async fn get(&self, _: &Destination) -> Result<AccessKeys, StoreError> {
        unreachable!("the destination has a role")
    }

    async fn put(&self, _: &Destination, _: &AccessKeys) -> Result<(), StoreError> {
        unreachable!("a delivery stores no keys")
    }

    async fn delete(&self, _: &Destination) -> Result<(), StoreError> {
        unreachable!("a delivery deletes no keys")
    }
}

/// The platform's principal and a tenant's role and bucket, with real trust between them.
fn with_tenant(scene: &Scene) -> (CustomerSinks<NoVault, SystemClock>, Destination) {
    let principal =
        RoleArn::parse(format!("arn:aws:iam::{PLATFORM}:role/sealift-principal")).unwrap();
    let role = RoleArn::parse(format!("arn:aws:iam::{TENANT}:role/audit")).unwrap();
    let external_id = ExternalId::parse("f3a1b2c4d5e6f7a8").unwrap();
    let tenants = bucket("tenant-audit");
    scene.aws.create_bucket(&tenants, &account(TENANT)).unwrap();
    let iam = scene.aws.iam();
    let root = format!("arn:aws:iam::{PLATFORM}:root");
    let trust_root = serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}]});
    let assume = serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]});
    let assume = assume.to_string();
    iam.create_role(&principal, &trust_root.to_string(), &[("assume", &assume)])
        .unwrap();
    let trusts = trust::for_audit_destination(&principal, std::slice::from_ref(&external_id));
    let trusts = trusts.unwrap().to_string();
    // The role may write anywhere in its bucket; the session must not.
    let may = permissions::audit_as_documented(Partition::Aws, &tenants).to_string();
    iam.create_role(&role, &trusts, &[("write", &may)]).unwrap();
    let options = SinkOptions {
        principal: Some(principal),
        endpoints: AwsEndpoints {
            s3: Some(scene.aws.endpoint_url()),
            sts: Some(scene.aws.endpoint_url()),
            force_path_style: true,
        },
        trusted_endpoints: vec![],
        allowed: Allowed::default(),
    };
    let base = sdk(&scene.aws.endpoint_url(), RetryConfig::disabled());
    let destination = serde_json::json!({
        "id": "main", "organization": "acme", "status": "streaming", "start_ms": 0,
        "location": {"region": "us-east-1", "bucket": "tenant-audit", "prefix": "audit/"},
        "credentials": {"type": "iam_role", "role_arn": role, "external_id": external_id},
    });
    let sinks = CustomerSinks::new(base, options, NoVault, SystemClock);
    (sinks, serde_json::from_value(destination).unwrap())
}

async fn deliver(
    sinks: &CustomerSinks<NoVault, SystemClock>,
    destination: &Destination,
    at: &str,
) -> Result<(), StoreError> {
    let sink = sinks.open(destination, &destination.location).await?;
    let digest: [u8; 32] = Sha256::digest("gzip").into();
    sink.put(&key(at), Bytes::from("gzip"), &digest).await
}

#[tokio::test]
async fn a_delivery_passes_trust_session_and_owner() {
    let scene = Scene::new().await;
    let (sinks, destination) = with_tenant(&scene);
    deliver(&sinks, &destination, "audit/a").await.unwrap();
    deliver(&sinks, &destination, "audit/a").await.unwrap();
}

#[tokio::test]
async fn the_session_ends_at_the_prefix_though_the_role_does_not() {
    let scene = Scene::new().await;
    let (sinks, destination) = with_tenant(&scene);
    let error = deliver(&sinks, &destination, "elsewhere/a")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "PutObject"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_external_id_does_not_get_in() {
    let scene = Scene::new().await;
    let (sinks, mut destination) = with_tenant(&scene);
    if let Credentials::IamRole { external_id, .. } = &mut destination.credentials {
        *external_id = ExternalId::parse("F3A1B2C4D5E6F7A8").unwrap();
    }
    let error = deliver(&sinks, &destination, "audit/a").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "AssumeRole"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_bucket_that_changed_hands_receives_nothing() {
    let scene = Scene::new().await;
    let (sinks, mut destination) = with_tenant(&scene);
    if let Credentials::IamRole { bucket_owner, .. } = &mut destination.credentials {
        *bucket_owner = Some(account("333333333333"));
    }
    let error = deliver(&sinks, &destination, "audit/a").await.unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn a_digest_that_does_not_fit_is_refused_by_the_store() {
    let scene = Scene::new().await;
    let (sinks, destination) = with_tenant(&scene);
    let sink = sinks
        .open(&destination, &destination.location)
        .await
        .unwrap();
    let error = sink
        .put(&key("audit/a"), Bytes::from("gzip"), &[7; 32])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
}

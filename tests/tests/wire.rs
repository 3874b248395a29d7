//! What goes over the wire into a customer's account, byte for byte.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use bytes::Bytes;
use jiff::Timestamp;
use sealift_aws::sinks::{AwsEndpoints, CustomerSink, Options};
use sealift_aws::vault::{AccessKeys, Vault};
use sealift_aws::{CustomerSinks, ParameterVault, config};
use sealift_core::destination::{Credentials, Destination, Endpoint, KmsKeyArn, StorageClass};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, DestinationId, ObjectKey, OrgId, RoleArn};
use sealift_core::policy::Document;
use sealift_core::ports::{ObjectSink, Sinks, StoreError};
use sealift_core::reach::Allowed;
use sealift_testkit::VirtualClock;
use sealift_tests::responder::{Received, Reply, Responder};
use sha2::{Digest, Sha256};

const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
const CUSTOMER: &str = "arn:aws:iam::222222222222:role/audit/acme-audit";
const EXTERNAL_ID: &str = "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6";
const FUNCTION_SECRET: &str = "function-secret-9d2c";
const SESSION_SECRET: &str = "session-secret-77ab";
const VAULT_SECRET: &str = "vault-secret-3e1f";
const KEY: &str = "audit/date=2023-07-10/hour=11/0001-0002-tag.jsonl.gz";

#[derive(Debug, Clone)]
struct OneKeyVault;

impl Vault for OneKeyVault {
    async fn get(&self, _: &Destination) -> Result<AccessKeys, StoreError> {
        Ok(AccessKeys {
            access_key_id: "VAULTKEY".to_owned(),
            secret_access_key: VAULT_SECRET.to_owned(),
        })
    }

    async fn put(&self, _: &Destination, _: &AccessKeys) -> Result<(), StoreError> {
        unreachable!("a delivery stores no keys")
    }

    async fn delete(&self, _: &Destination) -> Result<(), StoreError> {
        unreachable!("a delivery deletes no keys")
    }
}

/// S3 and STS in one, and sinks that go there.
struct Scene<V = OneKeyVault> {
    aws: Responder,
    clock: VirtualClock,
    sinks: CustomerSinks<V, VirtualClock>,
}

fn base(url: Option<&str>) -> SdkConfig {
    let keys = Keys::new("FUNCTIONKEY", FUNCTION_SECRET, None, None, "test");
    let config = config::fixed("eu-west-1", keys, url);
    // Tests of errors would wait for the SDK's pauses between its tries.
    config
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .build()
}

impl Scene {
    async fn new(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Some(PRINCIPAL), OneKeyVault, answer).await
    }
}

impl<V: Vault> Scene<V> {
    async fn with(
        principal: Option<&str>,
        vault: V,
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let aws = Responder::start(answer).await.unwrap();
        let clock = VirtualClock::auto(session_start());
        let options = Options {
            principal: principal.map(|arn| RoleArn::parse(arn).unwrap()),
            endpoints: AwsEndpoints {
                s3: Some(aws.url().to_owned()),
                sts: Some(aws.url().to_owned()),
                force_path_style: true,
            },
            trusted_endpoints: vec![],
            allowed: Allowed::default(),
        };
        let sinks = CustomerSinks::new(base(None), options, vault, clock.clone());
        Self { aws, clock, sinks }
    }

    async fn open(&self, destination: &Destination) -> Result<CustomerSink, StoreError> {
        self.sinks.open(destination, &destination.location).await
    }

    async fn put(&self, destination: &Destination) -> Result<(), StoreError> {
        let sink = self.open(destination).await?;
        put(&sink).await
    }

    /// The requests so far: `principal`, `customer`, or the method.
    fn story(&self) -> Vec<String> {
        self.aws
            .received()
            .iter()
            .map(|request| step(request).to_owned())
            .collect()
    }
}

fn step(request: &Received) -> &str {
    match request.form().get("RoleArn").map(String::as_str) {
        Some(PRINCIPAL) => "principal",
        Some(_) => "customer",
        None => &request.method,
    }
}

async fn put(sink: &CustomerSink) -> Result<(), StoreError> {
    let bytes = Bytes::from_static(b"some gzip");
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    sink.put(&ObjectKey::parse(KEY).unwrap(), bytes, &digest)
        .await
}

fn session_start() -> Timestamp {
    "2023-07-10T11:00:00Z".parse().unwrap()
}

/// STS gives sessions of 15 minutes, S3 takes everything.
fn well(request: &Received, number: usize) -> Reply {
    if request.method != "POST" {
        return Reply::answer(200, "").with("etag", "\"1\"");
    }
    session(step(request), number)
}

fn session(of: &str, number: usize) -> Reply {
    Reply::answer(
        200,
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <Credentials><AccessKeyId>KEY-{of}</AccessKeyId><SecretAccessKey>{SESSION_SECRET}</SecretAccessKey>\
             <SessionToken>TOKEN-{of}-{number}</SessionToken><Expiration>2023-07-10T11:15:00Z</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

/// As it stands in a document, so that what it leaves out is what a document leaves out.
fn destination() -> Destination {
    let document = serde_json::json!({
        "id": "main",
        "organization": "acme",
        "status": "streaming",
        "start_ms": 0,
        "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
        "credentials": {"type": "iam_role", "role_arn": CUSTOMER, "external_id": EXTERNAL_ID},
    });
    serde_json::from_value(document).unwrap()
}

fn with_keys() -> Destination {
    Destination {
        credentials: Credentials::AccessKeys,
        ..destination()
    }
}

#[tokio::test]
async fn the_customers_role_is_assumed_from_the_principal_with_the_whole_external_id() {
    let scene = Scene::new(well).await;
    scene.put(&destination()).await.unwrap();
    assert_eq!(scene.story(), ["principal", "customer", "PUT"]);
    let received = scene.aws.received();
    let [principal, customer, put] = &received[..] else {
        unreachable!()
    };

    let form = principal.form();
    assert_eq!(form["Action"], "AssumeRole");
    assert_eq!(form["RoleArn"], PRINCIPAL);
    assert!(!form.contains_key("ExternalId") && !form.contains_key("Policy"));
    assert!(
        principal
            .header("authorization")
            .contains("Credential=FUNCTIONKEY/")
    );
    assert_eq!(principal.header("x-amz-security-token"), "");

    let form = customer.form();
    assert_eq!(form["Action"], "AssumeRole");
    assert_eq!(form["RoleArn"], CUSTOMER);
    assert_eq!(form["ExternalId"], EXTERNAL_ID);
    assert_eq!(form["DurationSeconds"], "900");
    assert!(
        customer
            .header("authorization")
            .contains("Credential=KEY-principal/")
    );
    assert_eq!(customer.header("x-amz-security-token"), "TOKEN-principal-0");

    assert!(
        put.header("authorization")
            .contains("Credential=KEY-customer/")
    );
    assert!(
        put.header("authorization")
            .contains("/eu-central-1/s3/aws4_request")
    );
    assert_eq!(put.header("x-amz-security-token"), "TOKEN-customer-1");
}

#[tokio::test]
async fn without_a_principal_role_the_functions_own_credentials_are_the_principal() {
    let scene = Scene::with(None, OneKeyVault, well).await;
    scene.put(&destination()).await.unwrap();
    assert_eq!(scene.story(), ["customer", "PUT"]);
    let assume = &scene.aws.received()[0];
    assert!(
        assume
            .header("authorization")
            .contains("Credential=FUNCTIONKEY/")
    );
}

#[tokio::test]
async fn the_session_may_write_the_one_prefix_and_use_the_one_key() {
    let scene = Scene::new(well).await;
    let mut destination = destination();
    scene.open(&destination).await.unwrap();
    let key = "arn:aws:kms:eu-central-1:222222222222:key/0a-1b";
    destination.storage.kms_key_arn = Some(KmsKeyArn::parse(key).unwrap());
    scene.open(&destination).await.unwrap();
    let received = scene.aws.received();
    let policies: Vec<String> = received
        .iter()
        .filter_map(|r| r.form().remove("Policy"))
        .collect();
    let [plain, with_key] = &policies[..] else {
        unreachable!("another key needs another session: {policies:?}")
    };
    let resources = |policy: &str| {
        let document: Document = policy.parse().unwrap();
        let json = serde_json::to_value(document).unwrap();
        let statements = json["Statement"].as_array().unwrap().clone();
        let pairs = statements
            .iter()
            .map(|s| (s["Action"].to_string(), s["Resource"].to_string()));
        pairs.collect::<Vec<_>>()
    };
    let quoted = |text: &str| format!("{text:?}");
    let write = (
        quoted("s3:PutObject"),
        quoted("arn:aws:s3:::acme-audit/audit/*"),
    );
    assert_eq!(resources(plain), std::slice::from_ref(&write));
    assert_eq!(
        resources(with_key),
        [write, (quoted("kms:GenerateDataKey"), quoted(key))]
    );
}

#[tokio::test]
async fn the_session_name_tells_destinations_apart_within_what_sts_takes() {
    let scene = Scene::new(well).await;
    let mut other = destination();
    other.id = DestinationId::parse("m".repeat(128)).unwrap();
    other.organization = OrgId::parse("a,c@m=e+").unwrap();
    scene.open(&destination()).await.unwrap();
    scene.open(&other).await.unwrap();
    let names: Vec<String> = scene
        .aws
        .received()
        .iter()
        .filter(|request| step(request) == "customer")
        .filter_map(|request| request.form().remove("RoleSessionName"))
        .collect();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1]);
    for name in names {
        assert!(name.starts_with("sealift-") && name.len() <= 64, "{name}");
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_put_says_what_the_object_is_and_has_it_verified() {
    let scene = Scene::new(well).await;
    scene.put(&destination()).await.unwrap();
    let put = scene.aws.received().pop().unwrap();
    assert_eq!(put.method, "PUT");
    assert_eq!(
        put.path.split('?').next(),
        Some("/acme-audit/audit/date%3D2023-07-10/hour%3D11/0001-0002-tag.jsonl.gz")
    );
    assert_eq!(put.body, b"some gzip");
    assert_eq!(put.header("content-type"), "application/gzip");
    assert_eq!(put.header("content-length"), "9");
    assert_eq!(put.header("x-amz-expected-bucket-owner"), "222222222222");
    // printf 'some gzip' | openssl dgst -sha256 -binary | base64
    let digest = put.header("x-amz-checksum-sha256");
    assert_eq!(digest, "WwTrPzshA6lnmtqu+fvbGnEWyLCfjq+8voQZBMIk6ss=");
    for absent in [
        "content-encoding",
        "x-amz-trailer",
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc64nvme",
        "x-amz-server-side-encryption",
        "x-amz-storage-class",
        "x-amz-acl",
    ] {
        assert_eq!(put.header(absent), "", "{absent}");
    }
}

#[tokio::test]
async fn key_class_and_owner_are_those_of_the_destination() {
    let scene = Scene::new(well).await;
    let key = "arn:aws:kms:eu-central-1:222222222222:key/0a-1b";
    let mut destination = destination();
    destination.storage.kms_key_arn = Some(KmsKeyArn::parse(key).unwrap());
    destination.storage.storage_class = Some(StorageClass::parse("STANDARD_IA").unwrap());
    if let Credentials::IamRole { bucket_owner, .. } = &mut destination.credentials {
        *bucket_owner = Some(AccountId::parse("333333333333").unwrap());
    }
    scene.put(&destination).await.unwrap();
    let put = scene.aws.received().pop().unwrap();
    assert_eq!(put.header("x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(
        put.header("x-amz-server-side-encryption-aws-kms-key-id"),
        key
    );
    assert_eq!(put.header("x-amz-storage-class"), "STANDARD_IA");
    assert_eq!(put.header("x-amz-expected-bucket-owner"), "333333333333");
}

#[tokio::test]
async fn access_keys_sign_for_themselves_and_an_endpoint_that_verifies_nothing_gets_no_digest() {
    let scene = Scene::new(well).await;
    let mut destination = with_keys();
    destination.storage.checksum = Some(false);
    scene.put(&destination).await.unwrap();
    assert_eq!(scene.story(), ["PUT"]);
    let put = scene.aws.received().pop().unwrap();
    assert!(put.header("authorization").contains("Credential=VAULTKEY/"));
    for name in put.headers.keys() {
        assert!(
            !name.contains("checksum") && !name.contains("trailer"),
            "{name}"
        );
    }
    assert_eq!(put.header("x-amz-security-token"), "");
    assert_eq!(put.header("x-amz-expected-bucket-owner"), "");
    assert_eq!(put.header("content-type"), "application/gzip");
    assert_eq!(put.header("content-length"), "9");
}

#[tokio::test]
async fn a_way_in_is_kept_for_as_long_as_its_session_is_good_for() {
    let scene = Scene::new(well).await;
    for _ in 0..3 {
        scene.put(&destination()).await.unwrap();
    }
    assert_eq!(
        scene.story(),
        ["principal", "customer", "PUT", "PUT", "PUT"]
    );
    scene.clock.advance(Duration::from_mins(12));
    scene.open(&destination()).await.unwrap();
    assert_eq!(scene.story().len(), 5, "it ends in three minutes");
    scene.clock.advance(Duration::from_secs(60 + 1));
    scene.open(&destination()).await.unwrap();
    assert_eq!(
        scene.story()[5..],
        ["principal", "customer"],
        "it ends in less than two"
    );
}

#[tokio::test]
async fn access_keys_are_read_again_after_a_quarter_of_an_hour() {
    let (scene, ssm) = parameter_scene(stored_keys()).await;
    scene.open(&with_keys()).await.unwrap();
    scene.clock.advance(Duration::from_secs(899));
    scene.open(&with_keys()).await.unwrap();
    assert_eq!(ssm.received().len(), 1);
    scene.clock.advance(Duration::from_secs(1));
    scene.open(&with_keys()).await.unwrap();
    assert_eq!(ssm.received().len(), 2);
}

#[tokio::test]
async fn a_403_from_the_bucket_drops_the_way_in() {
    let scene = Scene::new(|request, number| match (request.method.as_str(), number) {
        ("PUT", 2) => Reply::s3_error(403, "AccessDenied"),
        _ => well(request, number),
    })
    .await;
    let error = scene.put(&destination()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.code == "AccessDenied"),
        "{error}"
    );
    scene.put(&destination()).await.unwrap();
    assert_eq!(
        scene.story(),
        ["principal", "customer", "PUT", "customer", "PUT"]
    );
}

#[tokio::test]
async fn a_session_that_ended_early_is_replaced() {
    let scene = Scene::new(|request, number| match (request.method.as_str(), number) {
        ("PUT", 2) => Reply::s3_error(400, "ExpiredToken"),
        _ => well(request, number),
    })
    .await;
    let error = scene.put(&destination()).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    scene.put(&destination()).await.unwrap();
    assert_eq!(
        scene.story(),
        ["principal", "customer", "PUT", "customer", "PUT"]
    );
}

#[tokio::test]
async fn a_principal_session_that_ended_early_is_replaced() {
    let scene = Scene::new(|request, number| match number {
        1 => Reply::sts_error(403, "ExpiredToken"),
        _ => well(request, number),
    })
    .await;
    let error = scene.put(&destination()).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    scene.put(&destination()).await.unwrap();
    assert_eq!(
        scene.story(),
        ["principal", "customer", "principal", "customer", "PUT"]
    );
}

#[tokio::test]
async fn a_way_in_is_dropped_when_asked_or_when_the_destination_changes() {
    let scene = Scene::new(well).await;
    scene.open(&destination()).await.unwrap();
    scene.sinks.forget(&destination());
    scene.open(&destination()).await.unwrap();
    assert_eq!(scene.story(), ["principal", "customer", "customer"]);
    let mut changed = destination();
    if let Credentials::IamRole { external_id, .. } = &mut changed.credentials {
        *external_id = ExternalId::parse("another-external-id").unwrap();
    }
    scene.open(&changed).await.unwrap();
    let last = scene.aws.received().pop().unwrap();
    assert_eq!(last.form()["ExternalId"], "another-external-id");
}

#[tokio::test]
async fn forgetting_one_destination_keeps_the_others() {
    let scene = Scene::new(well).await;
    let mut other = destination();
    other.organization = OrgId::parse("other").unwrap();
    scene.open(&destination()).await.unwrap();
    scene.open(&other).await.unwrap();
    scene.sinks.forget(&destination());
    scene.open(&other).await.unwrap();
    assert_eq!(scene.story(), ["principal", "customer", "customer"]);
}

#[tokio::test]
async fn who_asks_for_a_way_that_is_being_opened_waits_for_it() {
    let scene = Scene::new(well).await;
    let destination = destination();
    let opened = futures_util::future::join_all((0..8).map(|_| scene.put(&destination))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(
        scene
            .story()
            .iter()
            .filter(|step| *step == "customer")
            .count(),
        1
    );
    assert_eq!(
        scene
            .story()
            .iter()
            .filter(|step| *step == "principal")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_role_that_refuses_is_denied_and_says_what_sts_does_not_tell() {
    let scene = Scene::new(|request, number| match step(request) {
        "customer" => Reply::sts_error(403, "AccessDenied"),
        _ => well(request, number),
    })
    .await;
    let error = scene.open(&destination()).await.unwrap_err();
    let StoreError::Denied(failure) = &error else {
        unreachable!("{error:?}")
    };
    assert_eq!(
        (failure.operation.as_str(), failure.target.as_str()),
        ("AssumeRole", CUSTOMER)
    );
    assert_eq!(
        (failure.code.as_str(), failure.request_id.as_str()),
        ("AccessDenied", "REQ-1")
    );
    assert!(failure.message.contains("about AccessDenied"), "{error}");
    assert!(failure.message.contains("STS does not tell"), "{error}");
    scene.open(&destination()).await.unwrap_err();
    assert_eq!(
        scene.story(),
        ["principal", "customer", "customer"],
        "a refusal is not kept"
    );
}

#[tokio::test]
async fn a_throttled_or_silent_sts_is_no_refusal() {
    for reply in [
        Reply::sts_error(400, "Throttling"),
        Reply::sts_error(500, "InternalFailure"),
        Reply::sts_error(503, "ServiceUnavailable"),
        Reply::HangUp,
        Reply::BreakOff,
    ] {
        let told = format!("{reply:?}");
        let scene = Scene::new(move |_, _| reply.clone()).await;
        let error = scene.open(&destination()).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Transient(_)),
            "{told}: {error:?}"
        );
    }
}

#[tokio::test]
async fn no_secret_appears_in_an_error_or_in_what_holds_it() {
    let secrets = [
        FUNCTION_SECRET,
        SESSION_SECRET,
        VAULT_SECRET,
        "TOKEN-principal",
        "TOKEN-customer",
    ];
    let assert_clean = |text: String| {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    };
    let replies = [
        Reply::s3_error(403, "SignatureDoesNotMatch"),
        Reply::s3_error(403, "InvalidAccessKeyId"),
        Reply::s3_error(400, "BadDigest"),
        Reply::s3_error(503, "SlowDown"),
        Reply::answer(502, "<html>bad gateway"),
        Reply::answer(301, "").with("location", "http://127.0.0.1:1/"),
        Reply::HangUp,
    ];
    for reply in replies {
        let reply = Arc::new(reply);
        for destination in [destination(), with_keys()] {
            let reply = Arc::clone(&reply);
            let scene = Scene::new(move |request, number| match request.method.as_str() {
                "PUT" => (*reply).clone(),
                _ => well(request, number),
            })
            .await;
            let sink = scene.open(&destination).await.unwrap();
            let error = put(&sink).await.unwrap_err();
            assert_clean(format!("{error} {error:?}"));
            assert_clean(serde_json::to_string(error.failure()).unwrap());
            assert_clean(format!("{sink:?} {sink:#?}"));
            assert_clean(format!("{:?}", scene.sinks));
        }
    }
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let elsewhere = Responder::start(well).await.unwrap();
    let url = elsewhere.url().to_owned();
    let scene = Scene::new(move |request, number| match request.method.as_str() {
        "PUT" => Reply::s3_error(307, "TemporaryRedirect").with("location", url.clone()),
        _ => well(request, number),
    })
    .await;
    let error = scene.put(&destination()).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn a_roles_credentials_never_go_to_an_endpoint_of_the_customers() {
    let scene = Scene::new(well).await;
    let mut destination = destination();
    let endpoint = Endpoint::parse("https://minio.example.com").unwrap();
    destination.location.endpoint = Some(endpoint);
    let error = scene.open(&destination).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert!(scene.story().is_empty());
}

#[tokio::test]
async fn an_endpoint_inside_our_network_is_not_connected_to() {
    let scene = Scene::new(well).await;
    let port = scene.aws.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let mut destination = with_keys();
        let endpoint = format!("https://{host}:{port}");
        destination.location.endpoint = Some(Endpoint::parse(endpoint).unwrap());
        destination.location.path_style = true;
        let error = scene.put(&destination).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Invalid(f) if f.message.contains("public internet")),
            "{host}: {error:?}"
        );
    }
    assert!(scene.story().is_empty());
}

async fn parameter_scene(answer: Reply) -> (Scene<ParameterVault>, Responder) {
    let ssm = Responder::start(move |_, _| answer.clone()).await.unwrap();
    let client = aws_sdk_ssm::Client::new(&base(Some(ssm.url())));
    let vault = ParameterVault::new(client, "/sealift/access-keys/");
    (Scene::with(None, vault, well).await, ssm)
}

fn stored_keys() -> Reply {
    let keys = AccessKeys {
        access_key_id: "PARAMKEY".to_owned(),
        secret_access_key: VAULT_SECRET.to_owned(),
    };
    let value = serde_json::to_string(&keys).unwrap();
    Reply::answer(
        200,
        serde_json::json!({"Parameter": {"Value": value}}).to_string(),
    )
}

#[tokio::test]
async fn access_keys_come_from_the_destinations_own_parameter() {
    let (scene, ssm) = parameter_scene(stored_keys()).await;
    scene.put(&with_keys()).await.unwrap();
    let asked = ssm.received();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("x-amz-target"), "AmazonSSM.GetParameter");
    let question: serde_json::Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(question["Name"], "/sealift/access-keys/acme/main");
    assert_eq!(question["WithDecryption"], true);
    let put = scene.aws.received().pop().unwrap();
    assert!(put.header("authorization").contains("Credential=PARAMKEY/"));
}

#[tokio::test]
async fn missing_access_keys_are_denied_and_broken_ones_invalid_without_being_shown() {
    let missing = Reply::answer(400, r#"{"__type":"ParameterNotFound"}"#);
    let (scene, _ssm) = parameter_scene(missing).await;
    let error = scene.open(&with_keys()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.code == "ParameterNotFound"),
        "{error:?}"
    );

    let broken = serde_json::json!({"Parameter": {"Value": format!("\"{VAULT_SECRET}\"")}});
    let (scene, _ssm) = parameter_scene(Reply::answer(200, broken.to_string())).await;
    let error = scene.open(&with_keys()).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert!(!format!("{error:?}").contains(VAULT_SECRET));

    let denied = Reply::answer(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    let (scene, _ssm) = parameter_scene(denied).await;
    let error = scene.open(&with_keys()).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
}

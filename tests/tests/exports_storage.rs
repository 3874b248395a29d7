//! Uploads of exports against a real S3 and STS over HTTP, with real trust between the accounts.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use bytes::Bytes;
use sealift_aws::exports::upload::PART_BYTES;
use sealift_aws::sinks::{AwsEndpoints, Options as SinkOptions};
use sealift_aws::{CustomerExports, OsEntropy, SystemClock, config};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, KeyPrefix, ObjectKey, OrgId, ProjectId, RoleArn};
use sealift_core::policy::permissions::{export_as_documented, export_least, test_object};
use sealift_core::policy::{Document, Partition, trust};
use sealift_core::ports::{ExportPlace, ExportSink, ExportSinks, StoreError, Upload};
use sealift_core::reach::Allowed;
use sealift_embedded::faults::{Effect, Rule};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::{Embedded, Options};
use sealift_testkit::SeededEntropy;
use tempfile::TempDir;

const PLATFORM: &str = "111111111111";
const TENANT: &str = "222222222222";

fn account(digits: &str) -> AccountId {
    AccountId::parse(digits).unwrap()
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn role(account: &str, name: &str) -> RoleArn {
    RoleArn::parse(format!("arn:aws:iam::{account}:role/{name}")).unwrap()
}

fn place() -> ExportPlace {
    ExportPlace {
        organization: OrgId::parse("acme").unwrap(),
        project: ProjectId::parse("p1").unwrap(),
        role: role(TENANT, "export"),
        external_id: ExternalId::parse("bt:acme:p1:0123456789").unwrap(),
        bucket: bucket("tenant-export"),
        prefix: prefix("bt/"),
        bucket_owner: account(TENANT),
    }
}

/// Tries again as in production, without its pauses.
fn persistent() -> RetryConfig {
    RetryConfig::standard().with_initial_backoff(Duration::from_millis(1))
}

/// Bytes that no two places of a file share.
fn noise(length: usize) -> Vec<u8> {
    let entropy = SeededEntropy::new(7);
    let words = std::iter::repeat_with(|| entropy.next_u64());
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

/// The platform and a tenant with a bucket and a role that trusts the platform.
struct Scene {
    aws: Embedded,
    data: TempDir,
}

impl Scene {
    /// The tenant's role may do what the least policy allows.
    async fn new() -> Self {
        let ExportPlace { bucket, prefix, .. } = place();
        Self::with(&export_least(Partition::Aws, &bucket, &prefix, None)).await
    }

    async fn with(permissions: &Document) -> Self {
        let data = tempfile::tempdir().unwrap();
        let platform = Platform {
            account: account(PLATFORM),
            access_key_id: "PLATFORMKEY".to_owned(),
            secret_access_key: Secret::new("platform-secret"),
        };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let options = Options::new(data.path(), platform, clock, entropy);
        let aws = Embedded::start(options).await.unwrap();
        let place = place();
        aws.create_bucket(&place.bucket, &account(TENANT)).unwrap();
        let root = format!("arn:aws:iam::{PLATFORM}:root");
        let trust_root = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}]});
        let assume = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]});
        let iam = aws.iam();
        let (principal, assume) = (role(PLATFORM, "sealift-principal"), assume.to_string());
        iam.create_role(&principal, &trust_root.to_string(), &[("assume", &assume)])
            .unwrap();
        let trusts = trust::for_exports(Partition::Aws, &place.organization, &account(PLATFORM));
        let may = [("export", permissions.to_string())];
        let may = may.each_ref().map(|(name, text)| (*name, text.as_str()));
        iam.create_role(&place.role, &trusts.to_string(), &may)
            .unwrap();
        Self { aws, data }
    }

    /// Exports whose SDK tries so.
    fn exports_with(&self, retry: RetryConfig) -> CustomerExports<SystemClock> {
        let options = SinkOptions {
            principal: Some(role(PLATFORM, "sealift-principal")),
            endpoints: AwsEndpoints {
                s3: Some(self.aws.endpoint_url()),
                sts: Some(self.aws.endpoint_url()),
                force_path_style: true,
            },
            trusted_endpoints: vec![],
            allowed: Allowed::default(),
        };
        let keys = Keys::new("PLATFORMKEY", "platform-secret", None, None, "test");
        let base: SdkConfig = config::fixed("us-east-1", keys, Some(&self.aws.endpoint_url()));
        let base = base.into_builder().retry_config(retry).build();
        CustomerExports::new(base, options, SystemClock)
    }

    fn exports(&self) -> CustomerExports<SystemClock> {
        self.exports_with(RetryConfig::disabled())
    }

    /// The next request of the operation fares so, once.
    fn next(&self, operation: &str, effect: Effect) {
        let faults = self.aws.faults();
        faults.add(Rule::new(effect).on(operation).times(1));
    }

    /// An object's bytes, if there is one.
    fn object(&self, at: &str) -> Option<Vec<u8>> {
        std::fs::read(self.data.path().join("s3/tenant-export").join(at)).ok()
    }

    /// The folders of uploads that were begun and not ended.
    fn unfinished(&self) -> Vec<PathBuf> {
        let uploads = std::fs::read_dir(self.data.path().join("s3-uploads")).unwrap();
        uploads.map(|entry| entry.unwrap().path()).collect()
    }

    fn requests(&self, operation: &str) -> u64 {
        self.aws.requests().count(operation).requests
    }
}

async fn write(
    exports: &CustomerExports<SystemClock>,
    place: &ExportPlace,
    at: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let sink = exports.open(place).await?;
    let mut upload = sink.begin(&key(at), "application/vnd.apache.parquet");
    for piece in bytes.chunks(777_777) {
        if let Err(error) = upload.write(Bytes::copy_from_slice(piece)).await {
            upload.abort().await;
            return Err(error);
        }
    }
    upload.complete().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_arrives_whole_in_parts_with_the_least_of_permissions() {
    let scene = Scene::new().await;
    let bytes = noise(25 * 1024 * 1024);
    write(&scene.exports(), &place(), "bt/large.parquet", &bytes)
        .await
        .unwrap();
    assert!(
        scene.object("bt/large.parquet") == Some(bytes),
        "it is identical"
    );
    assert!(scene.unfinished().is_empty());
    assert_eq!(scene.requests("UploadPart"), 4);
    assert_eq!(scene.requests("PutObject"), 0);
    let records = scene.aws.requests().records();
    let create = records
        .iter()
        .find(|record| record.operation == "CreateMultipartUpload");
    let content_type = create.and_then(|record| record.headers.get("content-type"));
    assert_eq!(content_type.unwrap(), "application/vnd.apache.parquet");
}

#[tokio::test]
async fn a_small_object_is_a_single_request_and_replaces_the_one_before() {
    let scene = Scene::new().await;
    let exports = scene.exports();
    write(&exports, &place(), "bt/a/b.jsonl.gz", b"first")
        .await
        .unwrap();
    write(&exports, &place(), "bt/a/b.jsonl.gz", b"second")
        .await
        .unwrap();
    assert_eq!(scene.object("bt/a/b.jsonl.gz").unwrap(), b"second");
    assert_eq!(scene.requests("PutObject"), 2);
    assert_eq!(scene.requests("CreateMultipartUpload"), 0);
    assert_eq!(
        scene.requests("AssumeRole"),
        2,
        "the principal's and the tenant's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_parts_are_held_at_the_most_though_the_bucket_is_slow() {
    let scene = Scene::new().await;
    let slow = Effect::Latency(Duration::from_millis(100));
    scene.aws.faults().add(Rule::new(slow).on("UploadPart"));
    let sink = scene.exports().open(&place()).await.unwrap();
    let mut upload = sink.begin(&key("bt/a"), "text/plain");
    let piece = Bytes::from(noise(3 * 1024 * 1024));
    let mut most = 0;
    for _ in 0..16 {
        upload.write(piece.clone()).await.unwrap();
        most = most.max(upload.held());
    }
    assert!((PART_BYTES..=3 * PART_BYTES).contains(&most), "{most}");
    upload.complete().await.unwrap();
    assert_eq!(scene.object("bt/a").unwrap().len(), 16 * piece.len());
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_no_parts_and_no_object() {
    let scene = Scene::new().await;
    let sink = scene.exports().open(&place()).await.unwrap();
    let mut upload = sink.begin(&key("bt/a"), "text/plain");
    upload
        .write(Bytes::from(noise(2 * PART_BYTES + 1)))
        .await
        .unwrap();
    assert_eq!(scene.unfinished().len(), 1);
    upload.abort().await;
    assert!(scene.unfinished().is_empty());
    assert_eq!(scene.object("bt/a"), None);
}

#[tokio::test]
async fn a_part_that_is_refused_leaves_no_parts_and_no_object() {
    let scene = Scene::new().await;
    scene.next("UploadPart", Effect::AccessDenied);
    let bytes = noise(2 * PART_BYTES + 1);
    let error = write(&scene.exports(), &place(), "bt/a", &bytes)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "UploadPart"),
        "{error:?}"
    );
    assert!(scene.unfinished().is_empty());
    assert_eq!(scene.object("bt/a"), None);
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_by_the_sdk() {
    let scene = Scene::new().await;
    for operation in [
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
    ] {
        scene.next(operation, Effect::SlowDown);
    }
    scene.next("UploadPart", Effect::TearBefore);
    let bytes = noise(PART_BYTES + 1);
    let exports = scene.exports_with(persistent());
    write(&exports, &place(), "bt/a", &bytes).await.unwrap();
    assert!(scene.object("bt/a") == Some(bytes), "it is identical");
    assert!(scene.unfinished().is_empty());
}

#[tokio::test]
async fn after_a_lost_reply_to_the_end_it_is_unknown_and_asks_for_another_try() {
    for (retry, tries) in [(RetryConfig::disabled(), 1), (persistent(), 2)] {
        let scene = Scene::new().await;
        scene.next("CompleteMultipartUpload", Effect::LoseReply);
        let exports = scene.exports_with(retry);
        let bytes = noise(PART_BYTES + 1);
        let error = write(&exports, &place(), "bt/a", &bytes).await.unwrap_err();
        assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
        assert_eq!(scene.requests("CompleteMultipartUpload"), tries);
        assert!(
            scene.object("bt/a") == Some(bytes.clone()),
            "it stands, but nobody knows"
        );
        assert!(scene.unfinished().is_empty());
        write(&exports, &place(), "bt/a", &bytes).await.unwrap();
    }
}

#[tokio::test]
async fn an_external_id_of_another_organization_does_not_get_in() {
    let scene = Scene::new().await;
    for wrong in ["bt:acme-other:p1:0123456789", "bt:acme", "sealift-probe"] {
        let mut place = place();
        place.external_id = ExternalId::parse(wrong).unwrap();
        let error = write(&scene.exports(), &place, "bt/a", b"rows")
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Denied(f) if f.operation == "AssumeRole"),
            "{wrong}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_session_ends_at_the_prefix_though_the_role_does_not() {
    let place = place();
    let all = export_as_documented(Partition::Aws, &place.bucket, &prefix(""));
    let scene = Scene::with(&all).await;
    let exports = scene.exports();
    for (length, operation) in [(1, "PutObject"), (PART_BYTES + 1, "CreateMultipartUpload")] {
        let error = write(&exports, &place, "other/a", &noise(length))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Denied(f) if f.operation == operation),
            "{error:?}"
        );
    }
    write(&exports, &place, "bt/a", b"rows").await.unwrap();
    let sink = exports.open(&place).await.unwrap();
    let error = sink.delete(&key("bt/a")).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "DeleteObject"),
        "{error:?}"
    );
    assert!(scene.object("bt/a").is_some());
}

#[tokio::test]
async fn the_object_of_a_test_is_written_and_deleted_and_deleting_none_is_no_error() {
    let scene = Scene::new().await;
    let exports = scene.exports();
    let tested = test_object(&place().prefix);
    write(&exports, &place(), tested.as_str(), b"a test")
        .await
        .unwrap();
    let sink = exports.open(&place()).await.unwrap();
    for _ in 0..2 {
        sink.delete(&tested).await.unwrap();
        assert_eq!(scene.object(tested.as_str()), None);
    }
}

#[tokio::test]
async fn a_bucket_of_another_account_than_expected_receives_nothing() {
    let scene = Scene::new().await;
    let mut place = place();
    place.bucket_owner = account("333333333333");
    for length in [1, PART_BYTES + 1] {
        let bytes = noise(length);
        let error = write(&scene.exports(), &place, "bt/a", &bytes)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
    }
    assert_eq!(scene.object("bt/a"), None);
}

#[tokio::test]
async fn a_missing_bucket_is_invalid_by_that_name() {
    let mut place = place();
    place.bucket = bucket("not-there");
    let scene = Scene::with(&export_least(
        Partition::Aws,
        &place.bucket,
        &place.prefix,
        None,
    ))
    .await;
    let error = write(&scene.exports(), &place, "bt/a", b"rows")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Invalid(f) if f.code == "NoSuchBucket"),
        "{error:?}"
    );
}

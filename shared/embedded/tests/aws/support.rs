//! A running AWS on a temporary folder, and clients for it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use jiff::{SignedDuration, Timestamp};
use sealift_core::id::{AccountId, BucketName, RoleArn};
use sealift_core::ports::{Clock, Entropy};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::{Embedded, Options, StartError};

pub(crate) const PLATFORM: &str = "111111111111";
pub(crate) const CUSTOMER: &str = "222222222222";

/// A clock that stands until it is moved; sleeping moves it.
pub(crate) struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub(crate) fn advance(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(SignedDuration::try_from(duration).unwrap());
    }
}

/// Numbers that nobody has drawn, scattered over all bits.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn bits(&self) -> u128 {
        let drawn = u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1;
        drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

pub(crate) struct World {
    pub(crate) aws: Embedded,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

pub(crate) fn bucket(text: &str) -> BucketName {
    BucketName::parse(text).unwrap()
}

pub(crate) fn role(text: &str) -> RoleArn {
    RoleArn::parse(text).unwrap()
}

pub(crate) async fn start_on(folder: &Path) -> Result<(Embedded, Arc<HandClock>), StartError> {
    let clock = Arc::new(HandClock(Mutex::new(
        "2026-03-01T12:00:00.25Z".parse().unwrap(),
    )));
    let platform = Platform {
        account: account(PLATFORM),
        access_key_id: "AKIAPLATFORM".to_owned(),
        secret_access_key: Secret::new("platform-secret"),
    };
    let seed = u64::from(std::process::id()) << 32;
    let entropy = Arc::new(Counter(AtomicU64::new(seed)));
    let options = Options::new(folder, platform, Arc::clone(&clock), entropy);
    Ok((Embedded::start(options).await?, clock))
}

impl World {
    /// With the platform's bucket `state` and the customer's bucket `customer`.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (aws, clock) = start_on(folder.path()).await.unwrap();
        aws.create_bucket(&bucket("state"), &account(PLATFORM))
            .unwrap();
        aws.create_bucket(&bucket("customer"), &account(CUSTOMER))
            .unwrap();
        Self { aws, clock, folder }
    }

    pub(crate) fn platform(&self) -> aws_sdk_s3::Client {
        s3(&self.aws, platform_credentials())
    }

    pub(crate) fn sts(&self) -> aws_sdk_sts::Client {
        sts(&self.aws, platform_credentials())
    }

    pub(crate) fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.path().join("s3").join(bucket).join(key)
    }
}

pub(crate) fn platform_credentials() -> Credentials {
    credentials("AKIAPLATFORM", "platform-secret", None)
}

pub(crate) fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "test")
}

pub(crate) fn s3(aws: &Embedded, credentials: Credentials) -> aws_sdk_s3::Client {
    s3_with_attempts(aws, credentials, 1)
}

pub(crate) fn s3_with_attempts(
    aws: &Embedded,
    credentials: Credentials,
    attempts: u32,
) -> aws_sdk_s3::Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(Duration::from_millis(1));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(aws.endpoint_url())
        .force_path_style(true)
        .credentials_provider(credentials)
        .retry_config(retries)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

pub(crate) fn sts(aws: &Embedded, credentials: Credentials) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(aws.endpoint_url())
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .build();
    aws_sdk_sts::Client::from_conf(config)
}

/// How a call failed: status, code and message as the SDK understood them; all empty if
/// there was no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) fn failure<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = result else {
        panic!("it should have failed");
    };
    Failure {
        status: error
            .raw_response()
            .map_or(0, |response| response.status().as_u16()),
        code: error.code().unwrap_or_default().to_owned(),
        message: error.message().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn failed<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> (u16, String)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failure = failure(result);
    (failure.status, failure.code)
}

pub(crate) fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Puts an object and gives its ETag back.
pub(crate) async fn put(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
    body: &[u8],
) -> String {
    let put = client.put_object().bucket(bucket).key(key);
    let put = put
        .body(ByteStream::from(body.to_vec()))
        .send()
        .await
        .unwrap();
    put.e_tag.unwrap()
}

pub(crate) async fn get(client: &aws_sdk_s3::Client, bucket: &str, key: &str) -> Vec<u8> {
    let got = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .unwrap();
    got.body.collect().await.unwrap().to_vec()
}

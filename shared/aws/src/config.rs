//! What all clients share: region, credentials, timeouts, retries and one pool of connections.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::ResolveDns;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// How long a connection may take to stand.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt at a request may take, up to the head of its answer. Enough for a
/// segment of 64 MB at 3 MB/s.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request may take with all its attempts and the pauses between them.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(50);
/// How often the SDK tries a request that was throttled, timed out or cut off.
pub const ATTEMPTS: u32 = 3;

/// Loads the configuration as the SDK does for everybody: region, credentials and
/// `AWS_ENDPOINT_URL` from the environment and the profile. Timeouts and retries are set
/// here. Call it once, at start; every client is made from its result and shares its
/// connections. Proxies named in the environment are not used.
pub async fn load() -> SdkConfig {
    aws_config::defaults(behavior())
        .http_client(http_client())
        .timeout_config(timeouts())
        .retry_config(retries())
        .load()
        .await
}

/// A configuration that reads no environment: for the embedded mode and for tests.
pub fn fixed(region: &str, credentials: Credentials, endpoint_url: Option<&str>) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(behavior())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .timeout_config(timeouts())
        .retry_config(retries());
    builder.set_endpoint_url(endpoint_url.map(str::to_owned));
    builder.build()
}

fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls()).build_https()
}

/// An HTTP client with its own connections, which go only to the addresses that the resolver
/// hands out.
pub(crate) fn http_client_with(resolver: impl ResolveDns + Clone + 'static) -> SharedHttpClient {
    Builder::new()
        .tls_provider(tls())
        .build_with_resolver(resolver)
}

fn tls() -> Provider {
    Provider::Rustls(CryptoMode::AwsLc)
}

//! Clients for one customer's bucket.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryPartition;
use aws_sdk_s3::config::{Builder, IdentityCache};

/// The beginning of a client that speaks with the credentials and shares all else with the
/// others of `base`. The SDK stops retrying when too many requests of a partition fail; one sick
/// bucket must not take that from the others, so each has a partition of its own.
pub(crate) fn with(base: &SdkConfig, credentials: Credentials, partition: String) -> Builder {
    Builder::from(base)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // The SDK's cache would keep an entry for every session there ever was.
        .identity_cache(IdentityCache::no_cache())
        .retry_partition(RetryPartition::new(partition))
}

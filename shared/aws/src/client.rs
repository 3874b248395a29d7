//! Clients for one customer's bucket.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryPartition;
use aws_sdk_s3::config::{Builder, IdentityCache};
use aws_sdk_s3::operation::head_bucket::{HeadBucketError, HeadBucketOutput};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use sealift_core::destination::Region;
use sealift_core::ports::Failure;

use crate::error::Request;

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

/// Where a bucket is, by the answer to a look at it.
///
/// A bucket's region is told to everybody, in a header of the answer, whether it is a success, a
/// redirect or a refusal. It becomes a part of a host's name, so it is parsed.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>
pub(crate) fn bucket_region(
    answer: &Result<HeadBucketOutput, SdkError<HeadBucketError, HttpResponse>>,
) -> Option<Region> {
    let told = match answer {
        Ok(found) => found.bucket_region(),
        Err(error) => {
            let answer = error.raw_response();
            answer.and_then(|answer| answer.headers().get("x-amz-bucket-region"))
        }
    };
    told.and_then(|region| Region::parse(region).ok())
}

/// What a look at a bucket that is not there comes to.
pub(crate) fn no_such_bucket(asked: Request<'_>) -> Failure {
    asked.failure("NoSuchBucket", "there is no bucket of this name")
}

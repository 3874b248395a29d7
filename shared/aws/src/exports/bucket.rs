//! The requests that go into the bucket of an export.
//!
//! Each carries the account that the bucket must belong to: without it, a bucket that was
//! deleted and made anew by somebody else would receive the rows. Each object and part carries a
//! CRC-64/NVME that S3 verifies: the one that AWS gives an object by default, and the only one
//! that always becomes a checksum of the whole object when its parts are joined. What is sent
//! lies in memory, so it stands in a header, and nothing is framed.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bytes::Bytes;
use sealift_core::id::ObjectKey;
use sealift_core::ports::{ExportPlace, StoreError};

use super::Way;
use crate::error::{Request, spoils, status, store_error};
use crate::ways::Ways;

const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// How long one attempt to join parts may take: S3 may need minutes for many parts.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
const JOIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long joining may take with all its attempts.
const JOIN_TIMEOUT: Duration = Duration::from_secs(180);

/// A bucket, and the way into it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) place: ExportPlace,
    pub(super) ways: Arc<Ways<ExportPlace, Way>>,
}

impl Bucket {
    fn name(&self) -> &str {
        self.place.bucket.as_str()
    }

    fn owner(&self) -> &str {
        self.place.bucket_owner.as_str()
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let answer = self
            .client
            .put_object()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .content_type(content_type)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(bytes))
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| self.failed("PutObject", key, &error))
    }

    /// Begins an upload in parts, and answers with its id.
    pub(super) async fn begin(
        &self,
        key: &ObjectKey,
        content_type: &str,
    ) -> Result<String, StoreError> {
        const OPERATION: &str = "CreateMultipartUpload";
        let answer = self
            .client
            .create_multipart_upload()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .content_type(content_type)
            // The type of the checksum is left to S3: of this algorithm there is but one.
            .checksum_algorithm(CHECKSUM)
            .send()
            .await
            .map_err(|error| self.failed(OPERATION, key, &error))?;
        answer.upload_id.ok_or_else(|| {
            let target = self.target(key);
            let asked = Request {
                operation: OPERATION,
                target: &target,
            };
            StoreError::Invalid(asked.failure("", "the answer names no upload"))
        })
    }

    pub(super) async fn put_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        let answer = self
            .client
            .upload_part()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| self.failed("UploadPart", key, &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
            .build())
    }

    /// Makes an object of the parts. S3 holds it against the size.
    pub(super) async fn join(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: Vec<CompletedPart>,
        size: u64,
    ) -> Result<(), StoreError> {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(JOIN_ATTEMPT_TIMEOUT)
            .operation_timeout(JOIN_TIMEOUT)
            .build();
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let answer = self
            .client
            .complete_multipart_upload()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .upload_id(upload)
            .set_mpu_object_size(i64::try_from(size).ok())
            .multipart_upload(parts)
            .customize()
            .config_override(Builder::new().timeout_config(timeouts))
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| self.failed("CompleteMultipartUpload", key, &error))
    }

    /// Gives an upload in parts up; one that is gone already is no error.
    pub(super) async fn abort(&self, key: &ObjectKey, upload: &str) -> Result<(), StoreError> {
        let answer = self
            .client
            .abort_multipart_upload()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .upload_id(upload)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            Err(error) => Err(self.failed("AbortMultipartUpload", key, &error)),
        }
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let answer = self
            .client
            .delete_object()
            .bucket(self.name())
            .key(key.as_str())
            .expected_bucket_owner(self.owner())
            .send()
            .await;
        answer
            .map(|_| ())
            .map_err(|error| self.failed("DeleteObject", key, &error))
    }

    pub(super) fn target(&self, key: &ObjectKey) -> String {
        format!("s3://{}/{key}", self.place.bucket)
    }

    /// The decision that a failure asks for. The way is dropped if it may be what is wrong.
    fn failed<E>(
        &self,
        operation: &'static str,
        key: &ObjectKey,
        error: &SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let target = self.target(key);
        let asked = Request {
            operation,
            target: &target,
        };
        let decision = match store_error(asked, error) {
            // An upload is gone when an earlier try of the same request has ended it and its
            // reply was lost, or when somebody has swept the bucket. Nobody need change
            // anything: the object is written anew.
            StoreError::Invalid(failure) if failure.code == "NoSuchUpload" => {
                StoreError::Transient(failure)
            }
            decision => decision,
        };
        let elsewhere =
            status(error) == Some(301) || decision.failure().code == "AuthorizationHeaderMalformed";
        if elsewhere || spoils(error, &decision) {
            self.ways.forget(|kept| *kept == self.place);
        }
        decision
    }
}

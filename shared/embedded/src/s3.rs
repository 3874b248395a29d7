//! The S3 service: `s3s` speaks HTTP, XML and signatures; this module says what the operations
//! do to the [`store`].
//!
//! Implemented: buckets (create, head, location), objects (put, get with ranges, head, delete,
//! list), uploads in parts. What is not implemented says so with `NotImplemented`; nothing that a
//! request asks for is passed over silently, save what has no meaning on one machine (ACLs,
//! tags, storage classes and encryption are recorded and returned, and change nothing).

mod access;
mod drafts;
mod errors;
mod headers;
mod incoming;
mod keys;
mod listing;
mod multipart;
mod objects;
pub(crate) mod record;
pub(crate) mod store;
mod upload;

use std::sync::Arc;

use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, BucketLocationConstraint,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
    DeleteObjectOutput, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use sealift_core::id::{AccountId, BucketName};

pub(crate) use access::session_token;
use store::Bucket;

use crate::shared::Shared;

/// S3 as one machine's own.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
}

impl Service {
    fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        self.shared
            .store
            .bucket(name)
            .ok_or_else(errors::no_such_bucket)
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(errors::internal(error)),
    }
}

#[async_trait::async_trait]
impl S3Auth for Service {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.shared.iam.secret(access_key) {
            Some(secret) => Ok(SecretKey::from(secret.expose())),
            None => Err(errors::refused(crate::iam::Refusal::UnknownKey)),
        }
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let caller = access::context_of(&req.extensions)?.caller();
        let caller = caller.ok_or_else(errors::access_denied)?;
        let Ok(name) = BucketName::parse(req.input.bucket) else {
            return Err(s3_error!(
                InvalidBucketName,
                "The specified bucket is not valid."
            ));
        };
        let owner = AccountId::parse(caller.account()).map_err(errors::internal)?;
        let location = format!("/{name}");
        let shared = Arc::clone(&self.shared);
        blocking(move || match shared.store.create_bucket(&name, &owner) {
            Ok(None) => Ok(()),
            Ok(Some(there)) if there == owner => Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            )),
            Ok(Some(_)) => Err(s3_error!(
                BucketAlreadyExists,
                "The requested bucket name is not available."
            )),
            Err(error) => Err(errors::internal(error)),
        })
        .await?;
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(location),
        }))
    }

    async fn head_bucket(
        &self,
        _req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.shared.region.clone()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        _req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        // The first region has no name here, for history's sake.
        let region = Some(self.shared.region.clone()).filter(|region| region != "us-east-1");
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: region.map(BucketLocationConstraint::from),
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list(req).await
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(req).await
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(req).await
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(req).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.create_upload(req).await
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort_upload(req).await
    }
}

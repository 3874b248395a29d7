//! A bucket of the platform's own, on S3.

use std::fmt::Display;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::DateTime;
use bytes::Bytes;
use jiff::Timestamp;
use sealift_core::id::{AccountId, BucketName, ObjectKey};
use sealift_core::ports::{
    Conditional, ETag, Fresh, Listed, Metadata, Object, ObjectMeta, ObjectStore, StoreError,
};

use crate::error::{Request, in_words, status, store_error};

/// An [`ObjectStore`] on one S3 bucket.
///
/// - The SDK tries a request again when its answer was lost. If the first try had written,
///   the second finds its own object and the outcome is `Refused`; so a caller whose create
///   is refused looks for its own nonce in the object's metadata before it believes that
///   another was first.
/// - A missing key is `None` only where the caller may list the bucket: without
///   `s3:ListBucket` S3 answers 403, which is `Denied`.
/// - `head` of a key in a missing bucket is `None`: the answer to a HEAD has no body that
///   could tell the two apart. The other operations answer `Invalid`.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    bucket: BucketName,
    owner: Option<AccountId>,
}

/// More than the largest object that S3 holds, and less than any server fails to parse.
const WHOLE: u64 = 1 << 50;

impl S3Store {
    /// The bucket, through a client of its own on the shared configuration.
    pub fn on(config: &SdkConfig, bucket: BucketName) -> Self {
        // An endpoint in place of AWS seldom has a name for each bucket.
        let path_style = config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(path_style)
            .build();
        Self::new(Client::from_conf(config), bucket)
    }

    /// The bucket, through the client.
    pub fn new(client: Client, bucket: BucketName) -> Self {
        Self {
            client,
            bucket,
            owner: None,
        }
    }

    /// Has S3 refuse every request (403) unless the bucket belongs to the account.
    #[must_use]
    pub fn owned_by(mut self, account: AccountId) -> Self {
        self.owner = Some(account);
        self
    }

    fn target(&self, key: impl Display) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn owner(&self) -> Option<String> {
        self.owner.as_ref().map(ToString::to_string)
    }

    async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        condition: impl FnOnce(PutObjectFluentBuilder) -> PutObjectFluentBuilder,
        missing_refuses: bool,
    ) -> Result<Conditional, StoreError> {
        let request = self
            .client
            .put_object()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner())
            .set_metadata(Some(metadata.into_iter().collect()))
            .body(ByteStream::from(bytes));
        let target = self.target(key);
        let asked = Request {
            operation: "PutObject",
            target: &target,
        };
        match condition(request).send().await {
            Ok(written) => {
                let etag = required(asked, "ETag", written.e_tag)?;
                Ok(Conditional::Written(ETag(etag)))
            }
            Err(error) if status(&error) == Some(412) => Ok(Conditional::Refused),
            Err(error) if missing_refuses && is_no_such_key(&error) => Ok(Conditional::Refused),
            Err(error) => Err(store_error(asked, &error)),
        }
    }

    async fn read(&self, key: &ObjectKey, first: u64) -> Result<Option<Object>, StoreError> {
        let range = (first < WHOLE).then(|| format!("bytes=0-{}", first.saturating_sub(1)));
        match self.ask(key, |get| get.set_range(range)).await? {
            Fresh::Other(object) => Ok(Some(object)),
            // Nobody has named a version that it could be.
            Fresh::Missing | Fresh::Same => Ok(None),
        }
    }

    async fn ask(
        &self,
        key: &ObjectKey,
        what: impl FnOnce(GetObjectFluentBuilder) -> GetObjectFluentBuilder,
    ) -> Result<Fresh, StoreError> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner());
        let target = self.target(key);
        let asked = Request {
            operation: "GetObject",
            target: &target,
        };
        match what(request).send().await {
            Ok(answer) => object(asked, answer).await.map(Fresh::Other),
            Err(error) if status(&error) == Some(304) => Ok(Fresh::Same),
            Err(error) if is_no_such_key(&error) => Ok(Fresh::Missing),
            Err(error) => Err(store_error(asked, &error)),
        }
    }
}

impl ObjectStore for S3Store {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        self.read(key, WHOLE).await
    }

    async fn get_unless(&self, key: &ObjectKey, version: &ETag) -> Result<Fresh, StoreError> {
        self.ask(key, |get| get.if_none_match(&version.0)).await
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        if length == 0 {
            let bytes = Bytes::new();
            return Ok(self.head(key).await?.map(|meta| Object { meta, bytes }));
        }
        match self.read(key, length).await {
            // No byte of an empty object can be in range: 416.
            Err(StoreError::Invalid(failure)) if failure.code == "InvalidRange" => {
                let object = self.get(key).await?;
                Ok(object.map(|mut object| {
                    object
                        .bytes
                        .truncate(usize::try_from(length).unwrap_or(usize::MAX));
                    object
                }))
            }
            result => result,
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let answer = self
            .client
            .head_object()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let target = self.target(key);
        let asked = Request {
            operation: "HeadObject",
            target: &target,
        };
        match answer {
            Ok(answer) => Ok(Some(ObjectMeta {
                etag: ETag(required(asked, "ETag", answer.e_tag)?),
                size: size(asked, answer.content_length)?,
                last_modified: time(asked, answer.last_modified)?,
                metadata: answer.metadata.into_iter().flatten().collect(),
            })),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(store_error(asked, &error)),
        }
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        self.put(key, bytes, metadata, |put| put.if_none_match("*"), false)
            .await
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        // S3 answers 404 to If-Match where there is nothing to match.
        self.put(key, bytes, metadata, |put| put.if_match(&version.0), true)
            .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let answer = self
            .client
            .delete_object()
            .bucket(self.bucket.as_str())
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let target = self.target(key);
        let asked = Request {
            operation: "DeleteObject",
            target: &target,
        };
        match answer {
            Ok(_) => Ok(()),
            // S3 answers 204 to a missing key; some that speak its language do not.
            Err(error) if is_no_such_key(&error) => Ok(()),
            Err(error) => Err(store_error(asked, &error)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let target = self.target(prefix);
        let asked = Request {
            operation: "ListObjectsV2",
            target: &target,
        };
        let limit = limit.min(1000);
        let mut lines = Vec::new();
        let mut token = None;
        // One page holds all there is to say, unless the store gives short pages or the bucket
        // holds keys that are none of ours.
        while lines.len() < limit {
            let page = self
                .client
                .list_objects_v2()
                .bucket(self.bucket.as_str())
                .set_expected_bucket_owner(self.owner())
                .prefix(prefix)
                .set_start_after(start_after.map(ToString::to_string))
                .set_continuation_token(token.take())
                .max_keys(i32::try_from(limit - lines.len()).unwrap_or(1000))
                .send()
                .await
                .map_err(|error| store_error(asked, &error))?;
            for line in page.contents.into_iter().flatten() {
                // A key that Sealift cannot have written, such as a console's "folder".
                let Ok(key) = ObjectKey::parse(line.key.unwrap_or_default()) else {
                    continue;
                };
                lines.push(Listed {
                    key,
                    size: size(asked, line.size)?,
                    last_modified: time(asked, line.last_modified)?,
                });
            }
            token = page.next_continuation_token;
            if page.is_truncated != Some(true) || token.is_none() {
                break;
            }
        }
        Ok(lines)
    }
}

fn is_no_such_key<E>(
    error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> bool
where
    E: aws_sdk_s3::error::ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(|error| error.code());
    code == Some("NoSuchKey")
}

async fn object(asked: Request<'_>, answer: GetObjectOutput) -> Result<Object, StoreError> {
    // `bytes 0-9/1234`
    let range = answer.content_range.as_deref();
    let whole = range.and_then(|range| range.rsplit('/').next()?.parse().ok());
    let size = whole.map_or_else(|| size(asked, answer.content_length), Ok)?;
    let meta = ObjectMeta {
        etag: ETag(required(asked, "ETag", answer.e_tag)?),
        size,
        last_modified: time(asked, answer.last_modified)?,
        metadata: answer.metadata.into_iter().flatten().collect(),
    };
    let body = answer.body.collect().await;
    // The SDK does not try again once the answer has begun.
    let body = body.map_err(|error| StoreError::Transient(asked.failure("", in_words(&error))))?;
    Ok(Object {
        meta,
        bytes: body.into_bytes(),
    })
}

fn required<T>(asked: Request<'_>, name: &str, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| {
        StoreError::Invalid(asked.failure("", format!("the answer holds no usable {name}")))
    })
}

fn size(asked: Request<'_>, size: Option<i64>) -> Result<u64, StoreError> {
    required(
        asked,
        "size",
        size.and_then(|size| u64::try_from(size).ok()),
    )
}

fn time(asked: Request<'_>, time: Option<DateTime>) -> Result<Timestamp, StoreError> {
    let time = time.and_then(|time| {
        let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
        Timestamp::new(time.secs(), nanoseconds).ok()
    });
    required(asked, "Last-Modified", time)
}

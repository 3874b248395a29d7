//! Operations on single objects.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use hyper::http::Extensions;
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::access::{authorize, context_of};
use super::headers::{
    content_range, encryption_headers, kept_headers, last_modified, signed, stored_headers,
    wants_checksum,
};
use super::incoming::receive;
use super::keys;
use super::record::{Facts, Record, hex};
use super::store::{Bucket, Condition, Draft, StoreError};
use super::upload::Upload;
use super::{Service, blocking, errors};

/// How much of an object is read at once, in bytes. What is smaller is answered whole.
const CHUNK: u64 = 256 * 1024;

/// S3's limit for one PUT, in bytes.
const LARGEST_PUT: u64 = 5 * 1024 * 1024 * 1024;

impl Service {
    pub(super) async fn put(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let condition = condition(
            req.input.if_match.as_ref(),
            req.input.if_none_match.as_ref(),
        )?;
        refuse_customer_keys(&req.headers)?;
        if req.headers.contains_key("x-amz-write-offset-bytes") {
            return Err(errors::not_implemented("appending to an object"));
        }
        let bucket = self.bucket(&req.input.bucket)?;
        let key = req.input.key;
        keys::check(&key).map_err(StoreError::from)?;
        let store = &self.shared.store;
        let trailing = req.trailing_headers.as_ref();
        let received = receive(store, req.input.body, &req.headers, trailing).await?;
        if received.upload.size() > LARGEST_PUT {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed size"
            ));
        }
        let draft = Draft {
            etag: hex(&received.md5),
            parts: Vec::new(),
            facts: Facts {
                headers: kept_headers(&req.headers),
                metadata: req.input.metadata.unwrap_or_default().into_iter().collect(),
                checksums: received.checksums,
            },
            now: self.shared.time.now(),
        };
        let record = self
            .commit(bucket, key, received.upload, draft, condition)
            .await?;
        let sum = |algorithm: &str| record.facts.checksums.get(algorithm).cloned();
        let output = PutObjectOutput {
            e_tag: Some(ETag::Strong(record.etag.clone())),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            ..PutObjectOutput::default()
        };
        Ok(S3Response::with_headers(
            output,
            encryption_headers(&record),
        ))
    }

    /// Puts an upload in its place and tells of it whoever asked to be told.
    pub(super) async fn commit(
        &self,
        bucket: Arc<Bucket>,
        key: String,
        upload: Upload,
        draft: Draft,
        condition: Condition,
    ) -> S3Result<Arc<Record>> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let put = shared.store.put(&bucket, &key, upload, draft, &condition);
            let record = put.map_err(S3Error::from)?;
            shared.notify(&bucket.name, &key, &record);
            Ok(record)
        })
        .await
    }

    pub(super) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &req.input;
        refuse_unknown_reads(
            &req.headers,
            input.version_id.is_some(),
            input.part_number.is_some(),
        )?;
        let (record, mut file) = self
            .open(&req.extensions, &input.bucket, &input.key)
            .await?;
        check_read(
            &record,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        check_decryption(&req.extensions, &record)?;
        let range = range(input.range, record.size)?;
        let part = range.clone().unwrap_or(0..record.size);
        let length = part.end.saturating_sub(part.start);
        let body = if length <= CHUNK {
            let bytes = blocking(move || read(&mut file, &part).map_err(errors::internal)).await?;
            StreamingBlob::from(Body::from(bytes))
        } else {
            stream(file, part)
        };
        let mut headers = stored_headers(&record, wants_checksum(&req.headers, range.as_ref()))?;
        let overridden = [
            ("cache-control", input.response_cache_control.is_some()),
            (
                "content-disposition",
                input.response_content_disposition.is_some(),
            ),
            (
                "content-encoding",
                input.response_content_encoding.is_some(),
            ),
            (
                "content-language",
                input.response_content_language.is_some(),
            ),
            ("content-type", input.response_content_type.is_some()),
            ("expires", input.response_expires.is_some()),
        ];
        for (name, _) in overridden.into_iter().filter(|(_, given)| *given) {
            headers.remove(name);
        }
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(body),
            content_length: Some(signed(length)),
            content_range: range.map(|range| content_range(&range, record.size)),
            e_tag: Some(ETag::Strong(record.etag.clone())),
            last_modified: Some(last_modified(&record)),
            metadata: Some(record.facts.metadata.clone().into_iter().collect()),
            ..GetObjectOutput::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &req.input;
        refuse_unknown_reads(
            &req.headers,
            input.version_id.is_some(),
            input.part_number.is_some(),
        )?;
        let (record, _) = self
            .open(&req.extensions, &input.bucket, &input.key)
            .await?;
        check_read(
            &record,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        check_decryption(&req.extensions, &record)?;
        let range = range(input.range, record.size)?;
        let length = range
            .as_ref()
            .map_or(record.size, |r| r.end.saturating_sub(r.start));
        let headers = stored_headers(&record, wants_checksum(&req.headers, range.as_ref()))?;
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)),
            content_range: range.map(|range| content_range(&range, record.size)),
            e_tag: Some(ETag::Strong(record.etag.clone())),
            last_modified: Some(last_modified(&record)),
            metadata: Some(record.facts.metadata.clone().into_iter().collect()),
            ..HeadObjectOutput::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn delete(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        if req.input.version_id.is_some() {
            return Err(errors::not_implemented("versions"));
        }
        for name in ["x-amz-if-match-last-modified-time", "x-amz-if-match-size"] {
            if req.headers.contains_key(name) {
                return Err(errors::not_implemented(name));
            }
        }
        let condition = condition(req.input.if_match.as_ref(), None)?;
        let bucket = self.bucket(&req.input.bucket)?;
        let key = req.input.key;
        blocking(move || Ok(bucket.delete(&key, &condition)?)).await?;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            StatusCode::NO_CONTENT,
        ))
    }

    /// An object's version. Whoever may not list the bucket is not told that a key is missing.
    async fn open(
        &self,
        extensions: &Extensions,
        bucket: &str,
        key: &str,
    ) -> S3Result<(Arc<Record>, File)> {
        let found = self.bucket(bucket)?;
        let wanted = key.to_owned();
        if let Some(found) = blocking(move || found.open(&wanted).map_err(errors::internal)).await?
        {
            return Ok(found);
        }
        let caller = context_of(extensions)?
            .caller()
            .ok_or_else(errors::access_denied)?;
        let resource = format!("arn:aws:s3:::{bucket}");
        authorize(&caller, "s3:ListBucket", &resource, &caller.context())?;
        Err(errors::no_such_key())
    }
}

/// What is encrypted under a customer's key is read with a permission on that key.
fn check_decryption(extensions: &Extensions, record: &Record) -> S3Result<()> {
    let name = "x-amz-server-side-encryption-aws-kms-key-id";
    match record.facts.headers.get(name) {
        Some(key) if key.starts_with("arn:") => {
            let caller = context_of(extensions)?
                .caller()
                .ok_or_else(errors::access_denied)?;
            authorize(&caller, "kms:Decrypt", key, &caller.context())
        }
        _ => Ok(()),
    }
}

/// The condition of a write or delete.
pub(super) fn condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Match(etag.value().to_owned())),
        _ => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented"
        )),
    }
}

fn check_read(
    record: &Record,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let fits = |condition: &ETagCondition| {
        condition
            .as_etag()
            .is_none_or(|etag| etag.value() == record.etag)
    };
    if if_match.is_some_and(|condition| !fits(condition)) {
        return Err(errors::precondition_failed());
    }
    if if_none_match.is_some_and(fits) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

pub(super) fn refuse_customer_keys(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
        return Err(errors::not_implemented(
            "encryption with customer-provided keys",
        ));
    }
    Ok(())
}

fn refuse_unknown_reads(headers: &HeaderMap, version: bool, part: bool) -> S3Result<()> {
    refuse_customer_keys(headers)?;
    let unknown = [
        (version, "versions"),
        (part, "partNumber"),
        (
            headers.contains_key("if-modified-since"),
            "If-Modified-Since",
        ),
        (
            headers.contains_key("if-unmodified-since"),
            "If-Unmodified-Since",
        ),
    ];
    match unknown.into_iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(errors::not_implemented(what)),
        None => Ok(()),
    }
}

fn range(asked: Option<s3s::dto::Range>, size: u64) -> S3Result<Option<ops::Range<u64>>> {
    let checked = asked.map(|range| range.check(size)).transpose();
    checked.map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))
}

fn read(file: &mut File, part: &ops::Range<u64>) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(part.start))?;
    let length = part.end.saturating_sub(part.start);
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// A part of a file, read as it is sent.
fn stream(file: File, part: ops::Range<u64>) -> StreamingBlob {
    StreamingBlob::wrap(try_unfold((file, part), |(mut file, part)| async move {
        if part.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        let end = part.end.min(part.start.saturating_add(CHUNK));
        let chunk = part.start..end;
        let work = move || read(&mut file, &chunk).map(|bytes| (bytes, file));
        let (bytes, file) = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)??;
        Ok(Some((bytes, (file, end..part.end))))
    }))
}

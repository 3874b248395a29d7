//! Uploads in parts.
//!
//! An upload is a folder below `s3-uploads`: what was said of the object, and for each part its
//! bytes and a record of them. A part's record is removed before its bytes are replaced and
//! written after, so a record never speaks of other bytes. Completing joins the parts into one
//! file, which goes the same way as any other object's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::headers::kept_headers;
use super::incoming::receive;
use super::keys;
use super::objects::{condition, refuse_customer_keys};
use super::record::{Facts, hex, multipart_etag};
use super::store::{Draft, Store, StoreError};
use super::{Service, blocking, errors};

/// The smallest part but the last, in bytes.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// What was said when an upload was begun.
#[derive(Serialize, Deserialize)]
struct Begun {
    bucket: String,
    key: String,
    facts: Facts,
    /// The checksum algorithm of the parts, in S3's spelling: `SHA256`.
    algorithm: Option<String>,
}

/// A part that has arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    size: u64,
    md5: [u8; 16],
    checksums: BTreeMap<String, String>,
}

/// An upload's folder.
struct Folder(PathBuf);

impl Folder {
    /// The folder of an upload id as this store gives them out; no other text is a path.
    fn of(store: &Store, id: &str) -> S3Result<Self> {
        let ours = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let folder = store.uploads().join(id);
        if ours && folder.join("upload.json").is_file() {
            Ok(Self(folder))
        } else {
            Err(errors::no_such_upload())
        }
    }

    fn begun(&self, bucket: &str, key: &str) -> S3Result<Begun> {
        let begun: Begun = read_json(&self.0.join("upload.json"))
            .map_err(errors::internal)?
            .ok_or_else(errors::no_such_upload)?;
        if begun.bucket == bucket && begun.key == key {
            Ok(begun)
        } else {
            Err(errors::no_such_upload())
        }
    }

    fn bytes(&self, number: i32) -> PathBuf {
        self.0.join(format!("part-{number:05}"))
    }

    fn record(&self, number: i32) -> PathBuf {
        self.0.join(format!("part-{number:05}.json"))
    }
}

impl Service {
    pub(super) async fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        refuse_customer_keys(&req.headers)?;
        if input
            .checksum_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() == "FULL_OBJECT")
        {
            return Err(errors::not_implemented(
                "checksums over whole uploads in parts",
            ));
        }
        keys::check(&input.key).map_err(StoreError::from)?;
        let algorithm = input.checksum_algorithm.clone();
        let begun = Begun {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            facts: Facts {
                headers: kept_headers(&req.headers),
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
                checksums: BTreeMap::new(),
            },
            algorithm: algorithm.as_ref().map(|name| name.as_str().to_owned()),
        };
        let id = self.shared.entropy.nonce();
        let shared = Arc::clone(&self.shared);
        let folder = shared.store.uploads().join(&id);
        blocking(move || {
            let write = || {
                fs::create_dir(&folder)?;
                shared
                    .store
                    .write_file(&folder.join("upload.json"), &serde_json::to_vec(&begun)?)
            };
            write().map_err(|error: io::Error| errors::internal(error))
        })
        .await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: algorithm,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn put_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let number = input.part_number;
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let store = &self.shared.store;
        let folder = Folder::of(store, &input.upload_id)?;
        folder.begun(&input.bucket, &input.key)?;
        let trailing = req.trailing_headers.as_ref();
        let received = receive(store, input.body, &req.headers, trailing).await?;
        let part = Part {
            size: received.upload.size(),
            md5: received.md5,
            checksums: received.checksums,
        };
        let shared = Arc::clone(&self.shared);
        let (upload, kept) = (received.upload, part.clone());
        let stamp = u64::try_from(self.shared.time.now().as_nanosecond()).unwrap_or(0);
        blocking(move || {
            let _one_at_a_time = shared.parts.lock();
            let write = || {
                remove(&folder.record(number))?;
                upload.keep(&folder.bytes(number), stamp)?;
                shared
                    .store
                    .write_file(&folder.record(number), &serde_json::to_vec(&kept)?)
            };
            write().map_err(|error: io::Error| errors::internal(error))
        })
        .await?;
        let sum = |algorithm: &str| part.checksums.get(algorithm).cloned();
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(hex(&part.md5))),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            ..UploadPartOutput::default()
        }))
    }

    pub(super) async fn complete_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let bucket = self.bucket(&input.bucket)?;
        let folder = Folder::of(&self.shared.store, &input.upload_id)?;
        let begun = folder.begun(&input.bucket, &input.key)?;
        let named = input
            .multipart_upload
            .and_then(|list| list.parts)
            .unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let now = self.shared.time.now();
        let id = folder.0.clone();
        let (upload, draft) = blocking(move || {
            let _none_is_replaced = shared.parts.lock();
            let parts = check_parts(&folder, &named)?;
            if input.mpu_object_size.is_some_and(|size| {
                u64::try_from(size) != Ok(parts.iter().map(|(_, part)| part.size).sum())
            }) {
                return Err(s3_error!(
                    InvalidRequest,
                    "The provided 'x-amz-mp-object-size' header does not match what was computed."
                ));
            }
            let mut upload = shared
                .store
                .upload(ChecksumHasher::default())
                .map_err(errors::internal)?;
            for (number, _) in &parts {
                upload
                    .append(&folder.bytes(*number))
                    .map_err(errors::internal)?;
            }
            let md5s: Vec<[u8; 16]> = parts.iter().map(|(_, part)| part.md5).collect();
            let mut facts = begun.facts;
            facts.checksums = composite(begun.algorithm.as_deref(), &parts)?;
            let draft = Draft {
                etag: multipart_etag(&md5s),
                parts: parts.iter().map(|(_, part)| part.size).collect(),
                facts,
                now,
            };
            Ok((upload, draft))
        })
        .await?;
        let record = self
            .commit(bucket, input.key.clone(), upload, draft, condition)
            .await?;
        blocking(move || {
            if let Err(error) = fs::remove_dir_all(id) {
                tracing::warn!(%error, "the parts of a completed upload could not be removed");
            }
            Ok(())
        })
        .await?;
        let sum = |algorithm: &str| record.facts.checksums.get(algorithm).cloned();
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(record.etag.clone())),
            checksum_crc32: sum("crc32"),
            checksum_crc32c: sum("crc32c"),
            checksum_crc64nvme: sum("crc64nvme"),
            checksum_sha1: sum("sha1"),
            checksum_sha256: sum("sha256"),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn abort_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let folder = Folder::of(&self.shared.store, &req.input.upload_id)?;
        folder.begun(&req.input.bucket, &req.input.key)?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let _no_part_arrives = shared.parts.lock();
            fs::remove_dir_all(&folder.0).map_err(errors::internal)
        })
        .await?;
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }
}

/// The parts that a completion names, each held against what has arrived.
fn check_parts(folder: &Folder, named: &[CompletedPart]) -> S3Result<Vec<(i32, Part)>> {
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    let mut parts: Vec<(i32, Part)> = Vec::with_capacity(named.len());
    for name in named {
        let number = name.part_number.unwrap_or_default();
        if parts.last().is_some_and(|(last, _)| *last >= number) {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        if parts
            .last()
            .is_some_and(|(_, part)| part.size < SMALLEST_PART)
        {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        let found: Option<Part> = read_json(&folder.record(number)).map_err(errors::internal)?;
        let etag = name.e_tag.as_ref().map(ETag::value);
        match found {
            Some(part) if etag == Some(&hex(&part.md5)) && same_sums(name, &part) => {
                parts.push((number, part));
            }
            _ => {
                return Err(s3_error!(
                    InvalidPart,
                    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
                ));
            }
        }
    }
    Ok(parts)
}

fn same_sums(name: &CompletedPart, part: &Part) -> bool {
    let given = [
        ("crc32", &name.checksum_crc32),
        ("crc32c", &name.checksum_crc32c),
        ("crc64nvme", &name.checksum_crc64nvme),
        ("sha1", &name.checksum_sha1),
        ("sha256", &name.checksum_sha256),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(name, sum)| Some((name, sum.as_ref()?)));
    given.all(|(name, sum)| part.checksums.get(name) == Some(sum))
}

/// The checksum of the parts' checksums and their number, if all parts have one.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
fn composite(algorithm: Option<&str>, parts: &[(i32, Part)]) -> S3Result<BTreeMap<String, String>> {
    use s3s::crypto::{Checksum as _, Crc32, Crc32c, Sha1, Sha256};
    let Some(algorithm) = algorithm.map(str::to_ascii_lowercase) else {
        return Ok(BTreeMap::new());
    };
    let mut sums = Vec::new();
    for (_, part) in parts {
        let sum = part
            .checksums
            .get(&algorithm)
            .and_then(|sum| STANDARD.decode(sum).ok());
        match sum {
            Some(sum) => sums.extend(sum),
            None => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The upload was created using a {algorithm} checksum. The complete request must include the checksum for each part."
                ));
            }
        }
    }
    let sum = match algorithm.as_str() {
        "crc32" => STANDARD.encode(Crc32::checksum(&sums)),
        "crc32c" => STANDARD.encode(Crc32c::checksum(&sums)),
        "sha1" => STANDARD.encode(Sha1::checksum(&sums)),
        "sha256" => STANDARD.encode(Sha256::checksum(&sums)),
        // CRC-64 exists only over the whole object.
        _ => return Ok(BTreeMap::new()),
    };
    Ok(BTreeMap::from([(
        algorithm,
        format!("{sum}-{}", parts.len()),
    )]))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

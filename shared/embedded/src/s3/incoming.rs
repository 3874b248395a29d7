//! A body on its way in: received, hashed, and held against every digest that its sender
//! named. `s3s` itself verifies `x-amz-content-sha256` and the signatures of chunks, and
//! neither `Content-MD5` nor `x-amz-checksum-…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::{HeaderMap, StatusCode};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::store::Store;
use super::upload::Upload;
use super::{blocking, errors};
use crate::context::header;

/// How much is held in memory before it is written, in bytes.
const CHUNK: usize = 1024 * 1024;

const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// The checksums that a request carries, or announces for the end of its body.
#[derive(Debug, Default)]
pub(super) struct Expected {
    given: BTreeMap<&'static str, String>,
    announced: Option<&'static str>,
    md5: Option<String>,
}

impl Expected {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let trailer = header(headers, "x-amz-trailer").unwrap_or_default();
        let mut expected = Self {
            md5: header(headers, "content-md5").map(str::to_owned),
            ..Self::default()
        };
        for algorithm in ALGORITHMS {
            let name = header_name(algorithm);
            if let Some(value) = header(headers, &name) {
                expected.given.insert(algorithm, value.to_owned());
            }
            if trailer.trim().eq_ignore_ascii_case(&name) {
                expected.announced = Some(algorithm);
            }
        }
        expected
    }

    fn wants(&self, algorithm: &str) -> bool {
        self.given.contains_key(algorithm) || self.announced == Some(algorithm)
    }

    fn hasher(&self) -> ChecksumHasher {
        fn wanted<T: s3s::crypto::Checksum>(wanted: bool) -> Option<T> {
            wanted.then(T::new)
        }
        ChecksumHasher {
            crc32: wanted(self.wants("crc32")),
            crc32c: wanted(self.wants("crc32c")),
            sha1: wanted(self.wants("sha1")),
            sha256: wanted(self.wants("sha256")),
            crc64nvme: wanted(self.wants("crc64nvme")),
        }
    }

    /// Takes what was announced for the end of the body.
    fn take_trailer(&mut self, trailing: Option<&TrailingHeaders>) -> S3Result<()> {
        let Some(algorithm) = self.announced else {
            return Ok(());
        };
        let read = |headers: &HeaderMap| {
            header(headers, &header_name(algorithm)).map(|value| value.trim().to_owned())
        };
        match trailing.and_then(|trailing| trailing.read(read)).flatten() {
            Some(value) => {
                self.given.insert(algorithm, value);
                Ok(())
            }
            None => Err(errors::other(
                "MalformedTrailerError",
                StatusCode::BAD_REQUEST,
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            )),
        }
    }

    /// Holds the digests of what came against those that were named, and gives back those that
    /// are to be kept with the object.
    fn verify(self, md5: [u8; 16], found: &Checksum) -> S3Result<BTreeMap<String, String>> {
        if let Some(expected) = self.md5 {
            match STANDARD.decode(&expected) {
                Ok(digest) if digest.len() == md5.len() => {
                    if digest != md5 {
                        return Err(s3_error!(
                            BadDigest,
                            "The Content-MD5 you specified did not match what we received."
                        ));
                    }
                }
                _ => {
                    return Err(s3_error!(
                        InvalidDigest,
                        "The Content-MD5 you specified is not valid."
                    ));
                }
            }
        }
        let mut kept = BTreeMap::new();
        for (algorithm, expected) in self.given {
            if checksum(found, algorithm) != Some(&expected) {
                let name = algorithm.to_ascii_uppercase();
                return Err(s3_error!(
                    BadDigest,
                    "The {name} you specified did not match the calculated checksum."
                ));
            }
            kept.insert(algorithm.to_owned(), expected);
        }
        Ok(kept)
    }
}

/// A body that has arrived and is what its sender meant to send.
pub(super) struct Received {
    pub(super) upload: Upload,
    pub(super) md5: [u8; 16],
    /// In base 64, by algorithm.
    pub(super) checksums: BTreeMap<String, String>,
}

pub(super) async fn receive(
    store: &Arc<Store>,
    body: Option<StreamingBlob>,
    headers: &HeaderMap,
    trailing: Option<&TrailingHeaders>,
) -> S3Result<Received> {
    let mut expected = Expected::of(headers);
    let mut hasher = Some(expected.hasher());
    let mut upload = None;
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut held = 0;
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| body_error(error.as_ref()))?;
            held += chunk.len();
            chunks.push(chunk);
            if held >= CHUNK {
                held = 0;
                let full = std::mem::take(&mut chunks);
                upload = Some(write(store, upload.take(), hasher.take(), full).await?);
            }
        }
    }
    let mut upload = write(store, upload, hasher, chunks).await?;
    expected.take_trailer(trailing)?;
    let digests = upload.digests();
    Ok(Received {
        upload,
        md5: digests.md5,
        checksums: expected.verify(digests.md5, &digests.checksums)?,
    })
}

async fn write(
    store: &Arc<Store>,
    upload: Option<Upload>,
    hasher: Option<ChecksumHasher>,
    chunks: Vec<Bytes>,
) -> S3Result<Upload> {
    let store = Arc::clone(store);
    blocking(move || {
        let write = || {
            let mut upload = match upload {
                Some(upload) => upload,
                None => store.upload(hasher.unwrap_or_default())?,
            };
            for chunk in chunks {
                upload.write(&chunk)?;
            }
            Ok(upload)
        };
        write().map_err(|error: std::io::Error| errors::internal(error))
    })
    .await
}

/// Why a body broke off. The types of `s3s`'s errors are its own; their texts name the case.
fn body_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        errors::other(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    } else if text.contains("SignatureMismatch") {
        s3_error!(
            SignatureDoesNotMatch,
            "The signature of a chunk does not match what was computed."
        )
    } else {
        s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )
    }
}

/// One algorithm's value among those computed.
fn checksum<'a>(found: &'a Checksum, algorithm: &str) -> Option<&'a String> {
    match algorithm {
        "crc32" => found.checksum_crc32.as_ref(),
        "crc32c" => found.checksum_crc32c.as_ref(),
        "crc64nvme" => found.checksum_crc64nvme.as_ref(),
        "sha1" => found.checksum_sha1.as_ref(),
        "sha256" => found.checksum_sha256.as_ref(),
        _ => None,
    }
}

/// The header that carries an algorithm's value.
pub(super) fn header_name(algorithm: &str) -> String {
    format!("x-amz-checksum-{algorithm}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_that_was_announced_must_come() {
        let mut headers = HeaderMap::new();
        assert!(Expected::of(&headers).take_trailer(None).is_ok());
        headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
        let mut expected = Expected::of(&headers);
        assert!(expected.wants("crc32") && !expected.wants("crc32c"));
        let error = expected.take_trailer(None).unwrap_err();
        assert_eq!(error.code().as_str(), "MalformedTrailerError");
        assert_eq!(error.status_code(), Some(StatusCode::BAD_REQUEST));
    }
}

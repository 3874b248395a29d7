//! An object's record and the headers that tell of it.

use std::collections::BTreeMap;
use std::ops;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use s3s::S3Result;

use super::errors;
use super::incoming::header_name;
use super::record::Record;
use crate::context::header;
use crate::time::system_time;

/// The headers of a PUT that come back with every GET.
const KEPT_HEADERS: [&str; 9] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
];

/// The system headers that are kept with an object. `aws-chunked` was only the body's way here.
pub(super) fn kept_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let kept = |name: &str| {
        let value = header(headers, name)?;
        if name != "content-encoding" {
            return Some((name.to_owned(), value.to_owned()));
        }
        let codings = value
            .split(',')
            .map(str::trim)
            .filter(|coding| *coding != "aws-chunked");
        let left = codings.collect::<Vec<_>>().join(",");
        (!left.is_empty()).then(|| (name.to_owned(), left))
    };
    KEPT_HEADERS.into_iter().filter_map(kept).collect()
}

pub(super) fn stored_headers(record: &Record, with_checksum: bool) -> S3Result<HeaderMap> {
    let mut headers = encryption_headers(record);
    headers.insert(
        "content-type",
        HeaderValue::from_static("binary/octet-stream"),
    );
    let stored = record
        .facts
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value));
    let stored = stored.filter(|(name, value)| {
        // The ordinary storage class is not named.
        name != "x-amz-storage-class" || *value != "STANDARD"
    });
    let sums = record
        .facts
        .checksums
        .iter()
        .map(|(name, value)| (header_name(name), value));
    for (name, value) in stored.chain(sums.filter(|_| with_checksum)) {
        let name = HeaderName::try_from(name).map_err(errors::internal)?;
        headers.insert(
            name,
            HeaderValue::try_from(value).map_err(errors::internal)?,
        );
    }
    Ok(headers)
}

/// S3 encrypts everything, with its own key if no other is asked for.
pub(super) fn encryption_headers(record: &Record) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-amz-server-side-encryption",
        HeaderValue::from_static("AES256"),
    );
    for name in [
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ] {
        let value = record.facts.headers.get(name);
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

pub(super) fn wants_checksum(headers: &HeaderMap, range: Option<&ops::Range<u64>>) -> bool {
    range.is_none()
        && header(headers, "x-amz-checksum-mode").is_some_and(|m| m.eq_ignore_ascii_case("enabled"))
}

pub(super) fn content_range(range: &ops::Range<u64>, size: u64) -> String {
    format!(
        "bytes {}-{}/{size}",
        range.start,
        range.end.saturating_sub(1)
    )
}

pub(super) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// S3 tells modification times to the second.
pub(super) fn last_modified(record: &Record) -> s3s::dto::Timestamp {
    let second = Timestamp::from_second(record.modified_ms.div_euclid(1000));
    system_time(second.unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_a_body_was_framed_is_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", "gzip,aws-chunked".parse().unwrap());
        assert_eq!(kept_headers(&headers)["content-encoding"], "gzip");
        headers.insert("content-encoding", "aws-chunked".parse().unwrap());
        assert!(!kept_headers(&headers).contains_key("content-encoding"));
    }
}

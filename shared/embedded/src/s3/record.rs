//! What is kept of an object beside its bytes.
//!
//! The bytes of an object and the record of it are two files, and no file system renames two files
//! at once. So the record file holds two records, of the version being written and of the one
//! before, and each names the data file that it belongs to by size and modification time. It is
//! written first, then the data file is renamed into place: whenever a crash comes, one of
//! the two belongs to the data that lies there. Modification times are set by the store, to
//! nanoseconds that it never gives twice.
//!
//! Data without a fitting record (copied by hand without its times, or put there by hand) is
//! looked at: if its ETag is a record's, that record is taken; otherwise it is an object of which
//! nothing is known but its bytes. Nothing is ever said of bytes that are others.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};

/// One version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Bytes.
    pub(crate) size: u64,
    /// The data file's modification time, in nanoseconds since 1970. It also numbers the
    /// versions: a later one has a higher stamp.
    pub(crate) stamp: u64,
    /// The ETag, without its quotes.
    pub(crate) etag: String,
    /// When it was written, in milliseconds since 1970.
    pub(crate) modified_ms: i64,
    /// The sizes of the parts, of an object that was uploaded in parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<u64>,
    /// What the writer said of it.
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// What a writer says of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// System headers as sent, by lower-case name: `content-type`, `x-amz-storage-class`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// User metadata, by its name without `x-amz-meta-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// Checksums that the writer sent and the store verified, in base 64 by algorithm:
    /// `sha256`, `crc32`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) checksums: BTreeMap<String, String>,
}

const VERSION: u32 = 1;

/// The record file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordFile {
    version: u32,
    current: Record,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Record>,
}

impl RecordFile {
    pub(crate) fn new(current: Record, previous: Option<Record>) -> Self {
        Self {
            version: VERSION,
            current,
            previous,
        }
    }

    pub(crate) fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads a record file. One that is missing or unreadable is `None`: the data speaks for
    /// itself then.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = serde_json::from_slice::<Self>(&bytes).ok();
        Ok(parsed.filter(|file| file.version == VERSION))
    }

    fn records(self) -> impl Iterator<Item = Record> {
        std::iter::once(self.current).chain(self.previous)
    }
}

/// What a record was found by.
pub(crate) enum Found {
    /// The record file names this data file.
    Named(Record),
    /// The data was looked at; the record file should be written anew.
    Examined(Record),
}

/// Finds the record of the data that lies in a file.
pub(crate) fn find(data: &Path, record_file: &Path) -> io::Result<Found> {
    let mut file = File::open(data)?;
    let (size, stamp) = fingerprint(&file.metadata()?)?;
    let known: Vec<Record> = match RecordFile::read(record_file)? {
        Some(records) => records.records().collect(),
        None => Vec::new(),
    };
    if let Some(record) = known.iter().find(|r| r.size == size && r.stamp == stamp) {
        return Ok(Found::Named(record.clone()));
    }
    for record in known.into_iter().filter(|record| record.size == size) {
        if etag_of(&mut file, &record.parts)? == record.etag {
            return Ok(Found::Examined(Record { stamp, ..record }));
        }
    }
    Ok(Found::Examined(Record {
        size,
        stamp,
        etag: etag_of(&mut file, &[])?,
        modified_ms: i64::try_from(stamp / 1_000_000).unwrap_or(i64::MAX),
        ..Record::default()
    }))
}

/// Size and modification time in nanoseconds since 1970.
pub(crate) fn fingerprint(metadata: &Metadata) -> io::Result<(u64, u64)> {
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let nanos = modified.map_or(0, |since| since.as_nanos());
    Ok((metadata.len(), u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// The ETag that S3 gives: the MD5 of the bytes, or of the parts' MD5s and their number.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>
fn etag_of(file: &mut File, parts: &[u64]) -> io::Result<String> {
    io::Seek::rewind(file)?;
    if parts.is_empty() {
        return Ok(hex(&md5_of(file)?));
    }
    let digests = parts
        .iter()
        .map(|size| md5_of(&mut file.take(*size)))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(multipart_etag(&digests))
}

fn md5_of(reader: &mut impl Read) -> io::Result<[u8; 16]> {
    let mut md5 = Md5::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(md5.finalize());
        }
        md5.update(buffer.get(..read).unwrap_or_default());
    }
}

/// The ETag of an object that was put together from parts with these MD5s.
pub(crate) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

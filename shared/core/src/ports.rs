//! The ports through which the core reaches the world: storage, time and chance.
//!
//! They speak of keys, bytes and outcomes, never of an SDK. Every implementation of
//! [`ObjectStore`] passes one conformance suite (`sealift_testkit::conformance`).

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::destination::{Destination, Location};
use crate::external_id::ExternalId;
use crate::id::{AccountId, BucketName, KeyPrefix, ObjectKey, OrgId, ProjectId, RoleArn};

/// The version of an object's content, as the store names it. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// Small facts kept with an object (`x-amz-meta-…`): lower-case ASCII names and values.
pub type Metadata = BTreeMap<String, String>;

/// What a store tells of an object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The content's version.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When it was last written, by the store's own clock.
    pub last_modified: Timestamp,
    /// What the writer said of it.
    pub metadata: Metadata,
}

/// An object, or the part of it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What the store tells of the whole object; `size` is the whole object's.
    pub meta: ObjectMeta,
    /// The bytes that were asked for.
    pub bytes: Bytes,
}

/// What stands at a key, told to somebody who knows a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fresh {
    /// The version that is known.
    Same,
    /// Another one.
    Other(Object),
    /// Nothing.
    Missing,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The object's key.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// When it was last written, by the store's own clock.
    pub last_modified: Timestamp,
}

/// How a conditional write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// The condition held and the object is written.
    Written(ETag),
    /// The condition did not hold (412): nothing was written *by this request*. After a lost
    /// reply the object may still be the caller's own, written by an earlier try.
    Refused,
}

/// Why a store did not do what it was asked. The variants are what a caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may work later: throttled, torn connection, time-out, 5xx. It is unknown whether a
    /// write happened.
    #[error("{0}")]
    Transient(Failure),
    /// Another conditional write on the key is under way (409): ask again.
    #[error("{0}")]
    Conflict(Failure),
    /// Not allowed (401, 403): somebody has to change a policy or credentials.
    #[error("{0}")]
    Denied(Failure),
    /// It will not work as asked (no such bucket, wrong region, malformed): somebody has to
    /// change the configuration.
    #[error("{0}")]
    Invalid(Failure),
}

impl StoreError {
    /// What happened, whichever the decision.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Transient(f) | Self::Conflict(f) | Self::Denied(f) | Self::Invalid(f) => f,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Conflict(_))
    }
}

/// A failure in the other side's own words, without any secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// The operation that failed: `PutObject`, `AssumeRole`.
    pub operation: String,
    /// What it was aimed at: a bucket and key, a role.
    pub target: String,
    /// The service's error code: `AccessDenied`; empty if there was no answer.
    pub code: String,
    /// The service's message, or what went wrong on the way.
    pub message: String,
    /// The service's request id, for its support; empty if there was no answer.
    pub request_id: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} failed: ", self.operation, self.target)?;
        match (self.code.is_empty(), self.message.is_empty()) {
            (true, _) => f.write_str(&self.message)?,
            (false, true) => f.write_str(&self.code)?,
            (false, false) => write!(f, "{}: {}", self.code, self.message)?,
        }
        if !self.request_id.is_empty() {
            write!(f, " (request {})", self.request_id)?;
        }
        Ok(())
    }
}

/// One bucket of the platform's own, with conditional writes.
///
/// Contract, as S3 keeps it: a read after a write sees it; a write is atomic (a reader sees all
/// or nothing of it); of racing [`create`](Self::create)s on one key exactly one is `Written`;
/// of racing [`swap`](Self::swap)s from one version at most one is. An error leaves open
/// whether the write happened, unless it is `Denied` or `Invalid`.
pub trait ObjectStore: Send + Sync {
    /// Reads a whole object; `None` if there is none.
    fn get(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Option<Object>, StoreError>> + Send;

    /// Reads a whole object, unless it is of the version (`If-None-Match`). A store that cannot be
    /// asked so is read, and the versions are compared.
    fn get_unless(
        &self,
        key: &ObjectKey,
        version: &ETag,
    ) -> impl Future<Output = Result<Fresh, StoreError>> + Send {
        async move {
            Ok(match self.get(key).await? {
                None => Fresh::Missing,
                Some(object) if object.meta.etag == *version => Fresh::Same,
                Some(object) => Fresh::Other(object),
            })
        }
    }

    /// Reads at most the first `length` bytes of an object; `None` if there is none.
    fn get_first(
        &self,
        key: &ObjectKey,
        length: u64,
    ) -> impl Future<Output = Result<Option<Object>, StoreError>> + Send;

    /// Asks about an object; `None` if there is none.
    fn head(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Option<ObjectMeta>, StoreError>> + Send;

    /// Writes an object if there is none at the key (`If-None-Match: *`).
    fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> impl Future<Output = Result<Conditional, StoreError>> + Send;

    /// Replaces an object if it is still of the version (`If-Match`). A missing object refuses.
    fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> impl Future<Output = Result<Conditional, StoreError>> + Send;

    /// Deletes an object; deleting none is no error.
    fn delete(&self, key: &ObjectKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lists keys with the prefix that sort after `start_after` (in UTF-8 byte order), in that
    /// order, `limit` (1 to 1,000) at the most.
    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;
}

/// Time, handed in.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits for the duration.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// A clock that several share is a clock.
impl<C: Clock> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        C::now(self)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        C::sleep(self, duration)
    }
}

/// Chance, handed in: where a name must be unlike any other.
pub trait Entropy: Send + Sync {
    /// 128 fresh random bits.
    fn bits(&self) -> u128;

    /// 32 hexadecimal digits that nobody else will draw.
    fn nonce(&self) -> String {
        format!("{:032x}", self.bits())
    }
}

/// The `Content-Type` of an object in a destination's bucket: events are gzip, and what is told
/// of them is JSON.
///
/// ```
/// use sealift_core::{id::ObjectKey, ports::content_type};
/// let of = |key: &str| content_type(&ObjectKey::parse(key).unwrap());
/// assert_eq!(of("audit/_gaps/1-2-tag.json"), "application/json");
/// assert_eq!(of("audit/date=2026-05-12/hour=23/1-2-tag.jsonl.gz"), "application/gzip");
/// ```
pub fn content_type(key: &ObjectKey) -> &'static str {
    if key.as_str().strip_suffix(".json").is_some() {
        "application/json"
    } else {
        "application/gzip"
    }
}

/// An open way into one destination's bucket.
///
/// Contract: the write is idempotent (the same key and bytes may be written again), carries the
/// `Content-Type` that [`content_type`] tells and no `Content-Encoding`, and has the store verify
/// the digest where it can.
pub trait ObjectSink: Send + Sync {
    /// Writes an object whose SHA-256 is known.
    fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Opens the way into destinations' buckets: assumes roles, reads keys from the vault.
pub trait Sinks: Send + Sync {
    /// What it opens.
    type Sink: ObjectSink;

    /// Opens the way into `location` with the destination's credentials. The location is
    /// named apart because an open plan is finished where it began, even if the destination
    /// has moved since.
    fn open(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> impl Future<Output = Result<Self::Sink, StoreError>> + Send;
}

/// An event for a bus, as a producer puts it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEntry {
    /// Who sends it: `sealift.control`.
    pub source: String,
    /// What it is: `export.due`.
    pub detail_type: String,
    /// The event itself, a JSON object.
    pub detail: String,
}

/// The platform's bus.
pub trait EventBus: Send + Sync {
    /// Puts entries on the bus, any number, in requests as large as the bus takes. The answer
    /// has an outcome for each entry, in order: the bus may take some and refuse others, and
    /// an entry of a request that failed has failed.
    fn put(&self, entries: &[BusEntry])
    -> impl Future<Output = Vec<Result<(), StoreError>>> + Send;
}

/// Where an export's files go, and how to get in there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExportPlace {
    /// Whose export it is; with the project it stands in the session's name, hashed.
    pub organization: OrgId,
    /// The project whose rows they are.
    pub project: ProjectId,
    /// The customer's role, which the principal role assumes.
    pub role: RoleArn,
    /// The ExternalId in full.
    pub external_id: ExternalId,
    /// The bucket. Its region is found out by asking S3.
    pub bucket: BucketName,
    /// The folder that all keys begin with.
    pub prefix: KeyPrefix,
    /// The account that the bucket must belong to.
    pub bucket_owner: AccountId,
}

/// Opens the way into buckets that exports are written to.
pub trait ExportSinks: Send + Sync {
    /// What it opens.
    type Sink: ExportSink;

    /// Opens the way in: assumes the role and finds the bucket's region. Ways are kept and used
    /// again, and dropped when they are refused.
    fn open(
        &self,
        place: &ExportPlace,
    ) -> impl Future<Output = Result<Self::Sink, StoreError>> + Send;
}

/// An open way into the bucket of an export.
pub trait ExportSink: Send + Sync {
    /// An object that is being written.
    type Upload: Upload;

    /// Begins an object, which replaces the one at its key when it is completed.
    /// `content_type` is the header's value.
    fn begin(&self, key: &ObjectKey, content_type: &'static str) -> Self::Upload;

    /// Deletes an object; deleting none is no error. Only a test of the way in needs it.
    fn delete(&self, key: &ObjectKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An object that is being written, in pieces.
///
/// Contract: nothing is seen at the key before [`complete`](Self::complete), and then all of
/// it. Memory is bounded whatever the object's size: what is written is sent on in parts, and
/// [`write`](Self::write) waits while too many are under way. One that fits a single part is
/// written by a single request. Dropping one leaves parts behind, which cost money: end it by
/// `complete` or [`abort`](Self::abort).
pub trait Upload: Send {
    /// Adds bytes to the object.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the object. It is not repeated by the caller: after an error it is unknown whether
    /// the object stands.
    fn complete(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the object up, and removes its parts as far as that is possible.
    fn abort(self) -> impl Future<Output = ()> + Send;

    /// Bytes that are held in memory.
    fn held(&self) -> usize;
}

//! Buckets of exports, each as well or as ill as the test wants it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use sealift_core::id::{AccountId, BucketName, ObjectKey, RoleArn};
use sealift_core::policy::permissions::test_object;
use sealift_core::ports::{Clock, ExportPlace, ExportSink, ExportSinks, StoreError, Upload};

use super::failure;
use crate::sinks::Replaced;
use crate::{VirtualClock, lock};

/// How a role or a bucket answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// It takes what it is given.
    #[default]
    Well,
    /// The way in is refused: the role does not let itself be assumed.
    Closed,
    /// The way in is open, and everything behind it is refused.
    Denied,
    /// There is no such bucket.
    Missing,
    /// Every request fails for the moment and does nothing.
    Transient,
    /// Every request goes well, but the answer to the one that completes an object is lost.
    LostReply,
    /// Every request takes so long on the clock, and then goes well.
    Slow(Duration),
}

/// An object that was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Where it was written to.
    pub place: ExportPlace,
    /// The object's key.
    pub key: ObjectKey,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What was written.
    pub bytes: Bytes,
    /// When, on the clock.
    pub at: Timestamp,
    /// What it replaced.
    pub replaced: Replaced,
}

/// How many uploads came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uploads {
    /// Begun and not ended yet.
    pub open: usize,
    /// Ended by `complete`, whatever came of it.
    pub completed: usize,
    /// Ended by `abort`.
    pub aborted: usize,
    /// Dropped without either: their parts cost money.
    pub abandoned: usize,
}

/// An [`ExportSinks`] that writes to buckets in memory, which come to be when they are written
/// to. Clones share the buckets.
///
/// As the session policy has it, keys outside of the place's prefix are refused, and so is
/// deleting anything but the object of a test. An upload holds one part at the most, of 8 MiB
/// unless told otherwise, and meets the bucket's health with each part and at its end.
#[derive(Debug, Clone)]
pub struct MemoryExports {
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    part_bytes: usize,
    roles: HashMap<RoleArn, Ill>,
    buckets: HashMap<BucketName, Ill>,
    owners: HashMap<BucketName, AccountId>,
    objects: BTreeMap<(BucketName, ObjectKey), Bytes>,
    completed: Vec<Completed>,
    deleted: Vec<ObjectKey>,
    uploads: Uploads,
    opened: u64,
}

/// A health, and for how many requests it stays.
#[derive(Debug, Clone, Copy)]
struct Ill {
    health: Health,
    left: Option<u32>,
}

/// One request that meets something's health takes one off what is left of it.
fn take<K: std::hash::Hash + Eq>(of: &mut HashMap<K, Ill>, key: &K) -> Health {
    let Some(ill) = of.get_mut(key) else {
        return Health::Well;
    };
    let health = ill.health;
    if let Some(left) = &mut ill.left {
        *left = left.saturating_sub(1);
        if *left == 0 {
            of.remove(key);
        }
    }
    health
}

impl MemoryExports {
    /// No buckets yet, and everything well. Slow requests sleep on the clock.
    pub fn new(clock: VirtualClock) -> Self {
        let state = State {
            part_bytes: 8 * 1024 * 1024,
            roles: HashMap::new(),
            buckets: HashMap::new(),
            owners: HashMap::new(),
            objects: BTreeMap::new(),
            completed: Vec::new(),
            deleted: Vec::new(),
            uploads: Uploads::default(),
            opened: 0,
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Sets the size of an upload's parts.
    pub fn set_part_bytes(&self, bytes: usize) {
        lock(&self.state).part_bytes = bytes.max(1);
    }

    /// Sets how a role answers, whichever the bucket.
    pub fn set_role(&self, role: &RoleArn, health: Health) {
        let ill = Ill { health, left: None };
        lock(&self.state).roles.insert(role.clone(), ill);
    }

    /// Sets how a bucket answers to those roles that are well.
    pub fn set_bucket(&self, bucket: &BucketName, health: Health) {
        let ill = Ill { health, left: None };
        lock(&self.state).buckets.insert(bucket.clone(), ill);
    }

    /// Sets how a bucket answers to the next so many requests; then it is well. Opening the way
    /// in, a part, the end of an object and a deletion are a request each.
    pub fn set_bucket_for(&self, bucket: &BucketName, health: Health, requests: u32) {
        let left = Some(requests.max(1));
        let ill = Ill { health, left };
        lock(&self.state).buckets.insert(bucket.clone(), ill);
    }

    /// Says whose a bucket is; one that nobody was named for is whoever's it is said to be.
    pub fn set_owner(&self, bucket: &BucketName, owner: AccountId) {
        lock(&self.state).owners.insert(bucket.clone(), owner);
    }

    /// What lies in a bucket, by key.
    pub fn objects(&self, bucket: &BucketName) -> BTreeMap<ObjectKey, Bytes> {
        lock(&self.state)
            .objects
            .iter()
            .filter(|((of, _), _)| of == bucket)
            .map(|((_, key), bytes)| (key.clone(), bytes.clone()))
            .collect()
    }

    /// Every object that was completed, in order.
    pub fn completed(&self) -> Vec<Completed> {
        lock(&self.state).completed.clone()
    }

    /// Every key that was deleted, in order.
    pub fn deleted(&self) -> Vec<ObjectKey> {
        lock(&self.state).deleted.clone()
    }

    /// How many completed objects found what at their key.
    pub fn count(&self, replaced: Replaced) -> usize {
        let state = lock(&self.state);
        let found = state.completed.iter();
        found.filter(|object| object.replaced == replaced).count()
    }

    /// How many uploads came to what.
    pub fn uploads(&self) -> Uploads {
        lock(&self.state).uploads
    }

    /// How often a way in was opened or refused.
    pub fn opened(&self) -> u64 {
        lock(&self.state).opened
    }

    /// How a place answers to one request.
    fn meet(&self, place: &ExportPlace) -> Health {
        let mut state = lock(&self.state);
        match take(&mut state.roles, &place.role) {
            Health::Well => take(&mut state.buckets, &place.bucket),
            ill => ill,
        }
    }

    /// Goes through with a request to the bucket, or fails as the test wants it.
    async fn request(
        &self,
        place: &ExportPlace,
        operation: &str,
        key: &ObjectKey,
    ) -> Result<Health, StoreError> {
        let fail = |code| failure(operation, format!("s3://{}/{key}", place.bucket), code);
        let denied = || Err(StoreError::Denied(fail("AccessDenied")));
        let allowed = match operation {
            "DeleteObject" => *key == test_object(&place.prefix),
            _ => key.as_str().starts_with(place.prefix.as_str()),
        };
        let owner = lock(&self.state).owners.get(&place.bucket).cloned();
        if !allowed || owner.is_some_and(|owner| owner != place.bucket_owner) {
            return denied();
        }
        let health = self.meet(place);
        match health {
            Health::Closed | Health::Denied => return denied(),
            Health::Missing => return Err(StoreError::Invalid(fail("NoSuchBucket"))),
            Health::Transient => return Err(StoreError::Transient(fail("SlowDown"))),
            Health::Slow(duration) => self.clock.sleep(duration).await,
            Health::Well | Health::LostReply => {}
        }
        Ok(health)
    }
}

impl ExportSinks for MemoryExports {
    type Sink = MemoryExport;

    async fn open(&self, place: &ExportPlace) -> Result<MemoryExport, StoreError> {
        lock(&self.state).opened += 1;
        match self.meet(place) {
            Health::Closed => {
                let closed = failure("AssumeRole", place.role.as_str(), "AccessDenied");
                return Err(StoreError::Denied(closed));
            }
            Health::Missing => {
                let bucket = format!("s3://{}", place.bucket);
                let missing = failure("HeadBucket", bucket, "NoSuchBucket");
                return Err(StoreError::Invalid(missing));
            }
            Health::Slow(duration) => self.clock.sleep(duration).await,
            Health::Well | Health::Denied | Health::Transient | Health::LostReply => {}
        }
        Ok(MemoryExport {
            exports: self.clone(),
            place: place.clone(),
        })
    }
}

/// A way into one bucket in memory.
#[derive(Debug, Clone)]
pub struct MemoryExport {
    exports: MemoryExports,
    place: ExportPlace,
}

impl ExportSink for MemoryExport {
    type Upload = MemoryUpload;

    fn begin(&self, key: &ObjectKey, content_type: &'static str) -> MemoryUpload {
        lock(&self.exports.state).uploads.open += 1;
        MemoryUpload {
            exports: self.exports.clone(),
            place: self.place.clone(),
            key: key.clone(),
            content_type,
            sent: BytesMut::new(),
            held: BytesMut::new(),
            failed: None,
            end: |uploads| uploads.abandoned += 1,
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let exports = &self.exports;
        exports.request(&self.place, "DeleteObject", key).await?;
        let mut state = lock(&exports.state);
        let at = (self.place.bucket.clone(), key.clone());
        state.objects.remove(&at);
        state.deleted.push(key.clone());
        Ok(())
    }
}

/// An object on its way into a bucket in memory.
#[derive(Debug)]
pub struct MemoryUpload {
    exports: MemoryExports,
    place: ExportPlace,
    key: ObjectKey,
    content_type: &'static str,
    sent: BytesMut,
    held: BytesMut,
    failed: Option<StoreError>,
    /// How it is counted when it is dropped.
    end: fn(&mut Uploads),
}

impl MemoryUpload {
    async fn part(&mut self) -> Result<(), StoreError> {
        let Self { place, key, .. } = &*self;
        self.exports.request(place, "UploadPart", key).await?;
        self.sent.unsplit(self.held.split());
        Ok(())
    }

    fn complete_now(&mut self) {
        let at = self.exports.clock.now();
        self.sent.unsplit(self.held.split());
        let bytes = self.sent.split().freeze();
        let mut state = lock(&self.exports.state);
        let place = (self.place.bucket.clone(), self.key.clone());
        let replaced = match state.objects.insert(place, bytes.clone()) {
            None => Replaced::Nothing,
            Some(old) if old == bytes => Replaced::Identical,
            Some(_) => Replaced::Different,
        };
        state.completed.push(Completed {
            place: self.place.clone(),
            key: self.key.clone(),
            content_type: self.content_type,
            bytes,
            at,
            replaced,
        });
    }
}

impl Upload for MemoryUpload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let part_bytes = lock(&self.exports.state).part_bytes;
        while !bytes.is_empty() {
            if self.held.len() >= part_bytes {
                let sent = self.part().await;
                sent.inspect_err(|error| self.failed = Some(error.clone()))?;
            }
            let room = part_bytes.saturating_sub(self.held.len());
            let piece = bytes.split_to(room.min(bytes.len()));
            self.held.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn complete(mut self) -> Result<(), StoreError> {
        self.end = |uploads| uploads.completed += 1;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let operation = match self.sent.is_empty() {
            true => "PutObject",
            false => "CompleteMultipartUpload",
        };
        let exports = self.exports.clone();
        let health = exports.request(&self.place, operation, &self.key).await?;
        self.complete_now();
        if health == Health::LostReply {
            let target = format!("s3://{}/{}", self.place.bucket, self.key);
            return Err(StoreError::Transient(failure(operation, target, "")));
        }
        Ok(())
    }

    async fn abort(mut self) {
        self.end = |uploads| uploads.aborted += 1;
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        let mut state = lock(&self.exports.state);
        state.uploads.open = state.uploads.open.saturating_sub(1);
        (self.end)(&mut state.uploads);
    }
}

#[cfg(test)]
mod tests;

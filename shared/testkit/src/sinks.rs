//! Customers' buckets in memory, each as well or as ill as the test wants it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sealift_core::destination::{Destination, Location};
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, ObjectKey};
use sealift_core::ports::{Clock, Failure, ObjectSink, Sinks, StoreError};
use sha2::{Digest, Sha256};

use crate::{VirtualClock, lock};

/// How a destination or a bucket answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// It takes what it is given.
    #[default]
    Well,
    /// The way in is refused: the role does not let itself be assumed.
    Closed,
    /// It may be opened, and every write is refused.
    Denied,
    /// Every write fails for the moment and nothing is written.
    Transient,
    /// Every write happens, and its answer is lost.
    LostReply,
    /// Every write takes so long on the clock, and then happens.
    Slow(Duration),
}

/// One write that reached a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The destination that it was opened for.
    pub destination: DestinationId,
    /// The bucket.
    pub bucket: BucketName,
    /// The object's key.
    pub key: ObjectKey,
    /// What was written.
    pub bytes: Bytes,
    /// When, on the clock.
    pub at: Timestamp,
    /// What it replaced.
    pub replaced: Replaced,
}

/// What a write found at its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// No object.
    Nothing,
    /// An object with the same bytes.
    Identical,
    /// An object with other bytes.
    Different,
}

/// A [`Sinks`] that writes to buckets in memory, which come to be when they are written to.
/// Clones share the buckets.
///
/// As a session policy would, it refuses keys outside the location's prefix; as S3 would, it
/// refuses bytes that do not fit the digest.
#[derive(Debug, Clone)]
pub struct MemorySinks {
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    destinations: HashMap<DestinationId, Health>,
    buckets: HashMap<BucketName, Health>,
    objects: BTreeMap<(BucketName, ObjectKey), Bytes>,
    puts: Vec<Put>,
    opened: u64,
}

impl MemorySinks {
    /// No buckets yet, and everything well. Slow writes sleep on the clock.
    pub fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Sets how a destination answers, whichever its bucket.
    pub fn set_destination(&self, destination: &DestinationId, health: Health) {
        let mut state = lock(&self.state);
        state.destinations.insert(destination.clone(), health);
    }

    /// Sets how a bucket answers to those destinations that are well.
    pub fn set_bucket(&self, bucket: &BucketName, health: Health) {
        lock(&self.state).buckets.insert(bucket.clone(), health);
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

    /// Every write that happened, in order.
    pub fn puts(&self) -> Vec<Put> {
        lock(&self.state).puts.clone()
    }

    /// How many writes found what at their key.
    pub fn count(&self, replaced: Replaced) -> usize {
        let state = lock(&self.state);
        state
            .puts
            .iter()
            .filter(|put| put.replaced == replaced)
            .count()
    }

    /// How often a way in was opened or refused.
    pub fn opened(&self) -> u64 {
        lock(&self.state).opened
    }

    fn health(&self, destination: &DestinationId, bucket: &BucketName) -> Health {
        let state = lock(&self.state);
        let of_destination = state.destinations.get(destination).copied();
        match of_destination.unwrap_or_default() {
            Health::Well => state.buckets.get(bucket).copied().unwrap_or_default(),
            ill => ill,
        }
    }
}

impl Sinks for MemorySinks {
    type Sink = MemorySink;

    async fn open(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> Result<MemorySink, StoreError> {
        lock(&self.state).opened += 1;
        if self.health(&destination.id, &location.bucket) == Health::Closed {
            let target = format!("the role of {}", destination.id);
            return Err(StoreError::Denied(failure(
                "AssumeRole",
                target,
                "AccessDenied",
            )));
        }
        Ok(MemorySink {
            sinks: self.clone(),
            destination: destination.id.clone(),
            bucket: location.bucket.clone(),
            prefix: location.prefix.clone(),
        })
    }
}

/// A way into one bucket in memory.
#[derive(Debug, Clone)]
pub struct MemorySink {
    sinks: MemorySinks,
    destination: DestinationId,
    bucket: BucketName,
    prefix: KeyPrefix,
}

impl ObjectSink for MemorySink {
    async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        let fail = |code| failure("PutObject", format!("s3://{}/{key}", self.bucket), code);
        if !key.as_str().starts_with(self.prefix.as_str()) {
            return Err(StoreError::Denied(fail("AccessDenied")));
        }
        if Sha256::digest(&bytes).as_slice() != sha256 {
            return Err(StoreError::Invalid(fail("BadDigest")));
        }
        let health = self.sinks.health(&self.destination, &self.bucket);
        match health {
            Health::Closed | Health::Denied => {
                return Err(StoreError::Denied(fail("AccessDenied")));
            }
            Health::Transient => return Err(StoreError::Transient(fail("SlowDown"))),
            Health::Slow(duration) => self.sinks.clock.sleep(duration).await,
            Health::Well | Health::LostReply => {}
        }
        self.write(key, bytes);
        if health == Health::LostReply {
            return Err(StoreError::Transient(fail("")));
        }
        Ok(())
    }
}

impl MemorySink {
    fn write(&self, key: &ObjectKey, bytes: Bytes) {
        let at = self.sinks.clock.now();
        let mut state = lock(&self.sinks.state);
        let place = (self.bucket.clone(), key.clone());
        let replaced = match state.objects.insert(place, bytes.clone()) {
            None => Replaced::Nothing,
            Some(old) if old == bytes => Replaced::Identical,
            Some(_) => Replaced::Different,
        };
        state.puts.push(Put {
            destination: self.destination.clone(),
            bucket: self.bucket.clone(),
            key: key.clone(),
            bytes,
            at,
            replaced,
        });
    }
}

fn failure(operation: &str, target: String, code: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target,
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn destination() -> Destination {
        let document = serde_json::json!({
            "id": "acme-main",
            "organization": "acme",
            "status": "streaming",
            "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
            "credentials": {"type": "access_keys"},
        });
        serde_json::from_value(document).unwrap()
    }

    fn put(sinks: &MemorySinks, key: &str, content: &'static str) -> Result<(), StoreError> {
        let destination = destination();
        let digest: [u8; 32] = Sha256::digest(content).into();
        let key = ObjectKey::parse(key).unwrap();
        let write = async {
            let sink = sinks.open(&destination, &destination.location).await?;
            sink.put(&key, Bytes::from(content), &digest).await
        };
        write.now_or_never().expect("nothing waits")
    }

    fn sinks() -> MemorySinks {
        MemorySinks::new(VirtualClock::auto(Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn writes_are_kept_and_overwrites_counted_by_their_bytes() {
        let sinks = sinks();
        put(&sinks, "audit/a", "one").unwrap();
        put(&sinks, "audit/a", "one").unwrap();
        put(&sinks, "audit/a", "two").unwrap();
        let counts = [Replaced::Nothing, Replaced::Identical, Replaced::Different];
        assert_eq!(counts.map(|replaced| sinks.count(replaced)), [1, 1, 1]);
        let objects = sinks.objects(&destination().location.bucket);
        assert_eq!(objects[&ObjectKey::parse("audit/a").unwrap()], "two");
    }

    #[test]
    fn each_illness_shows_as_the_decision_it_asks_for() {
        let sinks = sinks();
        let ill = |health| {
            sinks.set_destination(&destination().id, health);
            (put(&sinks, "audit/a", "x"), sinks.puts().len())
        };
        assert!(
            matches!(ill(Health::Closed), (Err(StoreError::Denied(f)), 0) if f.operation == "AssumeRole")
        );
        assert!(
            matches!(ill(Health::Denied), (Err(StoreError::Denied(f)), 0) if f.operation == "PutObject")
        );
        assert!(matches!(
            ill(Health::Transient),
            (Err(StoreError::Transient(_)), 0)
        ));
        assert!(matches!(
            ill(Health::LostReply),
            (Err(StoreError::Transient(_)), 1)
        ));
        assert!(matches!(
            ill(Health::Slow(Duration::from_secs(9))),
            (Ok(()), 2)
        ));
        assert_eq!(sinks.puts()[1].at.as_second(), 9);
        sinks.set_bucket(&destination().location.bucket, Health::Denied);
        assert!(matches!(ill(Health::Well), (Err(StoreError::Denied(_)), 2)));
    }

    #[test]
    fn a_key_outside_the_prefix_and_a_wrong_digest_are_refused() {
        let sinks = sinks();
        assert!(matches!(
            put(&sinks, "other/a", "x"),
            Err(StoreError::Denied(_))
        ));
        let destination = destination();
        let key = ObjectKey::parse("audit/a").unwrap();
        let write = async {
            let sink = sinks.open(&destination, &destination.location).await?;
            sink.put(&key, Bytes::from("x"), &[0; 32]).await
        };
        let result = write.now_or_never().expect("nothing waits");
        assert!(matches!(result, Err(StoreError::Invalid(f)) if f.code == "BadDigest"));
        assert!(sinks.puts().is_empty());
    }
}

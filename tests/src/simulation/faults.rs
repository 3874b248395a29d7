//! A bucket whose every operation takes a while and may go wrong.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use sealift_core::destination::{Destination, Location};
use sealift_core::id::ObjectKey;
use sealift_core::log::sequence_of;
use sealift_core::partition::hex;
use sealift_core::ports::{
    Conditional, ETag, Failure, Listed, Metadata, Object, ObjectMeta, ObjectSink, ObjectStore,
    Sinks, StoreError,
};
use sealift_testkit::{MemorySink, MemorySinks, MemoryStore, SeededEntropy};
use serde_json::Value;

/// Chance, with the questions that a schedule asks of it.
#[derive(Debug, Clone)]
pub(super) struct Dice(SeededEntropy);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below `bound`.
    pub(super) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// Whether it happens that happens `percent` times in a hundred.
    pub(super) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Another generator, which does not disturb this one's sequence.
    pub(super) fn fork(&self) -> SeededEntropy {
        SeededEntropy::new(self.0.next_u64())
    }
}

/// What all stores of a schedule share.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) dice: Dice,
    /// Whether anything goes wrong.
    pub(super) rough: AtomicBool,
    /// Every segment that was ever created, in the order of creation.
    pub(super) segments: Mutex<Vec<Bytes>>,
    /// Key and digest of every object that a plan was ever recorded with.
    pub(super) recorded: Mutex<BTreeSet<(String, String)>>,
}

impl Weather {
    fn goes_wrong(&self, percent: usize) -> bool {
        self.rough.load(Ordering::Relaxed) && self.dice.chance(percent)
    }

    /// Notes what a document of the cursors says of objects.
    fn note(&self, key: &ObjectKey, bytes: &Bytes) {
        fn objects(value: &Value, found: &mut BTreeSet<(String, String)>) {
            if let (Some(key), Some(sha256)) = (value["key"].as_str(), value["sha256"].as_str()) {
                found.insert((key.to_owned(), sha256.to_owned()));
            }
            match value {
                Value::Array(values) => values.iter().for_each(|v| objects(v, found)),
                Value::Object(values) => values.values().for_each(|v| objects(v, found)),
                _ => {}
            }
        }
        if key.as_str().starts_with("delivery/") {
            let mut recorded = self.recorded.lock().unwrap();
            objects(&serde_json::from_slice(bytes).unwrap(), &mut recorded);
        }
    }

    /// Lets others go first, then perhaps fails.
    async fn before(&self, operation: &str) -> Result<(), StoreError> {
        pause().await;
        if self.goes_wrong(2) {
            return Err(StoreError::Transient(failure(operation, "SlowDown")));
        }
        Ok(())
    }
}

/// Gives the others a turn.
fn pause() -> impl Future<Output = ()> {
    let mut paused = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        // Streams of futures ask only those again that have called.
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn failure(operation: &str, code: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target: "the simulation".to_owned(),
        code: code.to_owned(),
        message: "as the schedule has it".to_owned(),
        request_id: String::new(),
    }
}

/// A bucket in rough weather.
#[derive(Debug, Clone)]
pub(super) struct RoughStore {
    pub(super) calm: MemoryStore,
    pub(super) weather: Arc<Weather>,
}

impl RoughStore {
    /// What a conditional write tells its caller, who may never learn how it really ended.
    async fn told(&self, operation: &str, outcome: Conditional) -> Result<Conditional, StoreError> {
        pause().await;
        if self.weather.goes_wrong(3) {
            return Err(StoreError::Transient(failure(operation, "")));
        }
        // The reply was lost and the SDK tried again: its own write stands in its way.
        if self.weather.goes_wrong(3) {
            return Ok(Conditional::Refused);
        }
        Ok(outcome)
    }

    async fn before_write(&self, operation: &str) -> Result<(), StoreError> {
        self.weather.before(operation).await?;
        if self.weather.goes_wrong(2) {
            return Err(StoreError::Conflict(failure(
                operation,
                "ConditionalRequestConflict",
            )));
        }
        Ok(())
    }
}

impl ObjectStore for RoughStore {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        self.weather.before("GetObject").await?;
        self.calm.get(key).await
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        self.weather.before("GetObject").await?;
        self.calm.get_first(key, length).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        self.weather.before("HeadObject").await?;
        self.calm.head(key).await
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        self.before_write("PutObject").await?;
        let outcome = self.calm.create(key, bytes.clone(), metadata).await?;
        if matches!(outcome, Conditional::Written(_)) {
            self.weather.note(key, &bytes);
        }
        if matches!(outcome, Conditional::Written(_)) && sequence_of(key).is_some() {
            let segments = &self.weather.segments;
            segments
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(bytes);
        }
        self.told("PutObject", outcome).await
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        self.before_write("PutObject").await?;
        let outcome = self
            .calm
            .swap(key, bytes.clone(), metadata, version)
            .await?;
        if matches!(outcome, Conditional::Written(_)) {
            self.weather.note(key, &bytes);
        }
        self.told("PutObject", outcome).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.weather.before("DeleteObject").await?;
        self.calm.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.weather.before("ListObjectsV2").await?;
        self.calm.list(prefix, start_after, limit).await
    }
}

/// Customers' buckets in rough weather.
#[derive(Debug, Clone)]
pub(super) struct RoughSinks {
    pub(super) calm: MemorySinks,
    pub(super) weather: Arc<Weather>,
}

impl Sinks for RoughSinks {
    type Sink = RoughSink;

    async fn open(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> Result<RoughSink, StoreError> {
        self.weather.before("AssumeRole").await?;
        Ok(RoughSink {
            calm: self.calm.open(destination, location).await?,
            weather: self.weather.clone(),
        })
    }
}

/// A way into a customer's bucket in rough weather.
#[derive(Debug)]
pub(super) struct RoughSink {
    calm: MemorySink,
    weather: Arc<Weather>,
}

impl ObjectSink for RoughSink {
    async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        self.weather.before("PutObject").await?;
        let object = (key.to_string(), hex(sha256));
        let recorded = self.weather.recorded.lock().unwrap().contains(&object);
        assert!(recorded, "{key} is written otherwise than any plan has it");
        self.calm.put(key, bytes, sha256).await?;
        pause().await;
        if self.weather.goes_wrong(3) {
            return Err(StoreError::Transient(failure("PutObject", "")));
        }
        Ok(())
    }
}

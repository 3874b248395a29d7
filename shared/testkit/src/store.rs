//! A bucket in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use sealift_core::id::ObjectKey;
use sealift_core::ports::{
    Clock, Conditional, ETag, Listed, Metadata, Object, ObjectMeta, ObjectStore, StoreError,
};
use sha2::{Digest, Sha256};

use crate::lock;

/// An [`ObjectStore`] in memory. Clones share the objects.
///
/// Every operation happens at once, under one lock, and no future ever waits, so a simulation
/// decides by itself where operations interleave.
#[derive(Clone)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    versions: Versions,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<ObjectKey, Object>,
    writes: u64,
}

#[derive(Debug, Clone, Copy)]
enum Versions {
    Unique,
    OfContent,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("objects", &self.objects)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty bucket that takes the time of its writes from `clock`. Each write gives an
    /// ETag of its own.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self {
            objects: Arc::default(),
            now: Arc::new(move || clock.now()),
            versions: Versions::Unique,
        }
    }

    /// The same bucket with ETags that follow from the content alone, as S3's do: content that
    /// comes back brings its old ETag back.
    #[must_use]
    pub fn with_etags_of_content(mut self) -> Self {
        self.versions = Versions::OfContent;
        self
    }

    /// All keys, in UTF-8 byte order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        lock(&self.objects).by_key.keys().cloned().collect()
    }

    /// An object, without asking through the port.
    pub fn get_now(&self, key: &ObjectKey) -> Option<Object> {
        lock(&self.objects).by_key.get(key).cloned()
    }

    /// Takes an object out, as an operator might; tells what it was.
    pub fn remove_now(&self, key: &ObjectKey) -> Option<Object> {
        lock(&self.objects).by_key.remove(key)
    }

    /// Removes what a lifecycle rule would: objects with the prefix that were last written
    /// before `older_than`. Tells which.
    pub fn expire(&self, prefix: &str, older_than: Timestamp) -> Vec<ObjectKey> {
        let mut objects = lock(&self.objects);
        let expired: Vec<ObjectKey> = objects
            .by_key
            .iter()
            .filter(|(key, object)| {
                key.as_str().starts_with(prefix) && object.meta.last_modified < older_than
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in &expired {
            objects.by_key.remove(key);
        }
        expired
    }

    /// Writes if the condition, which sees the object that is there, holds.
    fn write_if(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        condition: impl FnOnce(Option<&Object>) -> bool,
    ) -> Conditional {
        let mut objects = lock(&self.objects);
        if !condition(objects.by_key.get(key)) {
            return Conditional::Refused;
        }
        objects.writes += 1;
        let etag = ETag(match self.versions {
            Versions::Unique => format!("\"{}\"", objects.writes),
            Versions::OfContent => format!("\"{:032x}\"", content_hash(&bytes)),
        });
        let meta = ObjectMeta {
            etag: etag.clone(),
            size: size_of(&bytes),
            last_modified: (self.now)(),
            metadata,
        };
        objects.by_key.insert(key.clone(), Object { meta, bytes });
        Conditional::Written(etag)
    }
}

fn size_of(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn content_hash(bytes: &Bytes) -> u128 {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(16)
        .fold(0, |hash, byte| (hash << 8) | u128::from(*byte))
}

impl ObjectStore for MemoryStore {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        Ok(self.get_now(key))
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        Ok(self.get_now(key).map(|mut object| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            object.bytes.truncate(length);
            object
        }))
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        Ok(self.get_now(key).map(|object| object.meta))
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        Ok(self.write_if(key, bytes, metadata, |there| there.is_none()))
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        Ok(self.write_if(key, bytes, metadata, |there| {
            there.is_some_and(|object| object.meta.etag == *version)
        }))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.remove_now(key);
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let from = start_after.map_or(Bound::Unbounded, Bound::Excluded);
        let objects = lock(&self.objects);
        Ok(objects
            .by_key
            .range((from, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .take(limit.min(1000))
            .map(|(key, object)| Listed {
                key: key.clone(),
                size: object.meta.size,
                last_modified: object.meta.last_modified,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualClock;
    use futures_util::FutureExt;
    use std::time::Duration;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    fn create(store: &MemoryStore, name: &str, content: &'static str) -> Conditional {
        store
            .create(&key(name), Bytes::from(content), Metadata::new())
            .now_or_never()
            .expect("memory never waits")
            .unwrap()
    }

    #[test]
    fn it_conforms() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        crate::conformance::run(async || MemoryStore::new(VirtualClock::new(start)))
            .now_or_never()
            .expect("memory never waits");
    }

    #[test]
    fn it_conforms_with_etags_of_content() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        crate::conformance::run(async || {
            MemoryStore::new(VirtualClock::new(start)).with_etags_of_content()
        })
        .now_or_never()
        .expect("memory never waits");
    }

    #[test]
    fn content_that_comes_back_brings_its_etag_back_only_when_asked_to() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let unique = MemoryStore::new(clock.clone());
        assert_ne!(create(&unique, "a", "same"), create(&unique, "b", "same"));
        let of_content = MemoryStore::new(clock).with_etags_of_content();
        assert_eq!(
            create(&of_content, "a", "same"),
            create(&of_content, "b", "same")
        );
    }

    #[test]
    fn expiry_takes_what_is_old_and_under_the_prefix() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let store = MemoryStore::new(clock.clone());
        create(&store, "log/1", "");
        create(&store, "head", "");
        clock.advance(Duration::from_secs(10));
        create(&store, "log/2", "");
        assert_eq!(store.expire("log/", clock.now()), [key("log/1")]);
        assert_eq!(store.keys(), [key("head"), key("log/2")]);
    }
}

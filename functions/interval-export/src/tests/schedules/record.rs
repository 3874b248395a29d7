//! The state bucket, with a record of what was committed.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sealift_core::export::cursor::{ExportCursor, File};
use sealift_core::id::{ObjectKey, XactId};
use sealift_core::ports::{
    Conditional, ETag, Listed, Metadata, Object, ObjectMeta, ObjectStore, StoreError,
};
use sealift_testkit::MemoryStore;
use serde_json::Value;

use super::author::Chance;

/// The state bucket, and what ever stood on the cursor in it.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    store: MemoryStore,
    history: Arc<Mutex<Vec<Generation>>>,
}

/// What was committed of a generation.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) start: XactId,
    pub(super) position: XactId,
    pub(super) files: Vec<File>,
}

impl Generation {
    fn at(start: XactId) -> Self {
        Self {
            start,
            position: start,
            files: Vec::new(),
        }
    }
}

impl Recorder {
    /// Over the bucket of an export that has done nothing yet.
    pub(super) fn over(store: MemoryStore) -> Self {
        let first = Generation::at(XactId::ZERO);
        Self {
            store,
            history: Arc::new(Mutex::new(vec![first])),
        }
    }

    pub(super) fn generations(&self) -> Vec<Generation> {
        self.history.lock().unwrap().clone()
    }

    fn note(&self, key: &ObjectKey, bytes: &Bytes) {
        if !key.as_str().starts_with("exports/cursors/") {
            return;
        }
        let document: Value = serde_json::from_slice(bytes).unwrap();
        let cursor: ExportCursor = serde_json::from_value(document["body"].clone()).unwrap();
        let mut history = self.history.lock().unwrap();
        if cursor.generation as usize == history.len() {
            history.push(Generation::at(cursor.position));
        }
        let generation = history.last_mut().unwrap();
        assert!(cursor.position >= generation.position, "it went backward");
        let moved = cursor.position > generation.position;
        generation.position = cursor.position;
        let last = cursor.claim.and_then(|claim| claim.files.last().cloned());
        let new = last.filter(|file| generation.files.last() != Some(file));
        assert_eq!(
            moved,
            new.is_some(),
            "the position moves with a file, and a file moves it"
        );
        generation.files.extend(new);
    }

    /// A place that the export has been at already.
    pub(super) fn earlier(&self, chance: &Chance) -> XactId {
        let history = self.history.lock().unwrap();
        let generation = history.last().unwrap();
        let mut places = vec![XactId::ZERO, generation.start, generation.position];
        places.extend(generation.files.iter().map(|file| file.through));
        let place = chance.of(&places).get();
        XactId::new(place.saturating_sub(chance.between(0, 1)))
    }
}

impl ObjectStore for Recorder {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        self.store.get(key).await
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        self.store.get_first(key, length).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        self.store.head(key).await
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        self.store.create(key, bytes, metadata).await
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        let swapped = self
            .store
            .swap(key, bytes.clone(), metadata, version)
            .await?;
        if matches!(swapped, Conditional::Written(_)) {
            self.note(key, &bytes);
        }
        Ok(swapped)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.store.list(prefix, start_after, limit).await
    }
}

//! The world around the writer while it is measured: a store that takes everything and writes
//! nowhere, a clock that stands, and chance that counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sealift_core::Timestamp;
use sealift_core::id::ObjectKey;
use sealift_core::ports::{
    Clock, Conditional, ETag, Entropy, Listed, Metadata, Object, ObjectMeta, ObjectStore,
    StoreError,
};

/// An empty bucket that forgets all but the last object that was written.
#[derive(Debug, Default)]
pub(super) struct Forgetful(Mutex<Bytes>);

impl Forgetful {
    /// The bytes of the last object.
    pub(super) fn last(&self) -> Bytes {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, bytes: Bytes) -> Conditional {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Conditional::Written(ETag(String::new()))
    }
}

impl ObjectStore for &Forgetful {
    async fn get(&self, _: &ObjectKey) -> Result<Option<Object>, StoreError> {
        Ok(None)
    }

    async fn get_first(&self, _: &ObjectKey, _: u64) -> Result<Option<Object>, StoreError> {
        Ok(None)
    }

    async fn head(&self, _: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        Ok(None)
    }

    async fn create(
        &self,
        _: &ObjectKey,
        bytes: Bytes,
        _: Metadata,
    ) -> Result<Conditional, StoreError> {
        Ok(self.keep(bytes))
    }

    async fn swap(
        &self,
        _: &ObjectKey,
        bytes: Bytes,
        _: Metadata,
        _: &ETag,
    ) -> Result<Conditional, StoreError> {
        Ok(self.keep(bytes))
    }

    async fn delete(&self, _: &ObjectKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(
        &self,
        _: &str,
        _: Option<&ObjectKey>,
        _: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        Ok(Vec::new())
    }
}

/// A clock that stands.
#[derive(Debug)]
pub(super) struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}
}

/// Numbers that only differ.
#[derive(Debug, Default)]
pub(super) struct Counting(AtomicU64);

impl Entropy for Counting {
    fn bits(&self) -> u128 {
        self.0.fetch_add(1, Ordering::Relaxed).into()
    }
}

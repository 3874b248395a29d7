//! Ports under which the process dies: at one call, before or after it is done, for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sealift_core::export::source::{
    Freshness, LogSource, Query, RowPage, SourceError, Surveyed, XactRange,
};
use sealift_core::id::{ObjectKey, ProjectId, XactId};
use sealift_core::ports::{
    BusEntry, Conditional, ETag, EventBus, ExportPlace, ExportSink, ExportSinks, Listed, Metadata,
    Object, ObjectMeta, ObjectStore, StoreError, Upload,
};

/// Decides at which step the process dies. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    steps: Arc<AtomicUsize>,
    last: usize,
}

impl Fate {
    /// Dies at a step: each call has two, one before and one after it is done.
    pub(super) fn at(last: usize) -> Self {
        Self {
            steps: Arc::default(),
            last,
        }
    }

    /// Lives.
    pub(super) fn kind() -> Self {
        Self::at(usize::MAX)
    }

    /// A port under this fate.
    pub(super) fn over<T>(&self, port: T) -> Mortal<T> {
        Mortal {
            port,
            fate: self.clone(),
        }
    }

    async fn step(&self) {
        if self.steps.fetch_add(1, Ordering::Relaxed) >= self.last {
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.step().await;
        let answer = call.await;
        self.step().await;
        answer
    }
}

/// A port under a fate.
#[derive(Debug, Clone)]
pub(super) struct Mortal<T> {
    port: T,
    fate: Fate,
}

impl<T: ObjectStore> ObjectStore for Mortal<T> {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        self.fate.around(self.port.get(key)).await
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        self.fate.around(self.port.get_first(key, length)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        self.fate.around(self.port.head(key)).await
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        self.fate
            .around(self.port.create(key, bytes, metadata))
            .await
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        self.fate
            .around(self.port.swap(key, bytes, metadata, version))
            .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.fate.around(self.port.delete(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.fate
            .around(self.port.list(prefix, start_after, limit))
            .await
    }
}

impl<T: LogSource> LogSource for Mortal<T> {
    type Page = Mortal<T::Page>;

    async fn freshness(
        &self,
        project: &ProjectId,
        range: XactRange,
    ) -> Result<Freshness, SourceError> {
        self.fate.around(self.port.freshness(project, range)).await
    }

    async fn page(&self, query: &Query) -> Result<Self::Page, SourceError> {
        let page = self.fate.around(self.port.page(query)).await?;
        Ok(self.fate.over(page))
    }

    async fn survey(
        &self,
        projects: &[ProjectId],
        after: XactId,
    ) -> Result<Vec<Surveyed>, SourceError> {
        self.fate.around(self.port.survey(projects, after)).await
    }

    fn requests(&self) -> u64 {
        self.port.requests()
    }
}

impl<T: RowPage> RowPage for Mortal<T> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let fate = self.fate.clone();
        fate.around(self.port.next()).await
    }

    fn cursor(&self) -> Option<&str> {
        self.port.cursor()
    }
}

impl<T: ExportSinks> ExportSinks for Mortal<T> {
    type Sink = Mortal<T::Sink>;

    async fn open(&self, place: &ExportPlace) -> Result<Self::Sink, StoreError> {
        let sink = self.fate.around(self.port.open(place)).await?;
        Ok(self.fate.over(sink))
    }
}

impl<T: ExportSink> ExportSink for Mortal<T> {
    type Upload = Mortal<T::Upload>;

    fn begin(&self, key: &ObjectKey, content_type: &'static str) -> Self::Upload {
        self.fate.over(self.port.begin(key, content_type))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.fate.around(self.port.delete(key)).await
    }
}

impl<T: Upload> Upload for Mortal<T> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let fate = self.fate.clone();
        fate.around(self.port.write(bytes)).await
    }

    async fn complete(self) -> Result<(), StoreError> {
        let Self { port, fate } = self;
        fate.around(port.complete()).await
    }

    async fn abort(self) {
        let Self { port, fate } = self;
        fate.around(port.abort()).await;
    }

    fn held(&self) -> usize {
        self.port.held()
    }
}

impl<T: EventBus> EventBus for Mortal<T> {
    async fn put(&self, entries: &[BusEntry]) -> Vec<Result<(), StoreError>> {
        self.fate.around(self.port.put(entries)).await
    }
}

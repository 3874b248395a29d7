//! The test of the way into an automation's bucket: a small object is written and deleted.

use bytes::Bytes;
use sealift_core::export::advice;
use sealift_core::export::cursor::{ExportCursor, WayTest};
use sealift_core::export::registry::RegistryError;
use sealift_core::export::source::LogSource;
use sealift_core::id::AutomationId;
use sealift_core::policy::permissions::test_object;
use sealift_core::ports::{
    Clock, Entropy, EventBus, ExportPlace, ExportSink, ExportSinks, ObjectStore, StoreError, Upload,
};

use crate::Export;

/// What the object holds.
const TEXT: &[u8] = b"Sealift tested that it can write here. This object may be deleted.\n";

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Tests the way into the bucket, and records on the cursor what came of it. That the
    /// object can't be deleted is no failure of the way, and is said.
    pub async fn test_way(&self, id: &AutomationId) -> Result<(), RegistryError> {
        let automation = self.registry.automation(id).await?;
        let (written, deleted, failure) = match automation.plan() {
            Err(error) => (false, false, Some(advice::of_automation(&error))),
            Ok(plan) => {
                let (written, error) = self.write_and_delete(&plan.place).await;
                let failure = error.map(|error| advice::of_bucket(&error, &plan.place));
                (written, written && failure.is_none(), failure)
            }
        };
        let test = WayTest {
            tested_ms: self.now_ms(),
            written,
            deleted,
            failure,
        };
        tracing::info!(automation = %id, written, deleted, "the way into the bucket of {id} was tested");
        ExportCursor::place(id)
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut cursor = there?.clone();
                cursor.tested = Some(test.clone());
                Some(cursor)
            })
            .await?;
        Ok(())
    }

    /// Tells whether the object was written, and what failed.
    async fn write_and_delete(&self, place: &ExportPlace) -> (bool, Option<StoreError>) {
        let sink = match self.sinks.open(place).await {
            Ok(sink) => sink,
            Err(error) => return (false, Some(error)),
        };
        let key = test_object(&place.prefix);
        let mut upload = sink.begin(&key, "text/plain");
        if let Err(error) = upload.write(Bytes::from_static(TEXT)).await {
            upload.abort().await;
            return (false, Some(error));
        }
        if let Err(error) = upload.complete().await {
            return (false, Some(error));
        }
        (true, sink.delete(&key).await.err())
    }
}

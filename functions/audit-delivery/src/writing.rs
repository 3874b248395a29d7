//! Writing a plan's objects, each destination for itself.

use futures_util::future::{Either, select};
use futures_util::{StreamExt, pin_mut, stream};
use sealift_core::delivery::encode::Encoded;
use sealift_core::delivery::{DestinationPlan, LeftReason};
use sealift_core::destination::Destination;
use sealift_core::id::DestinationId;
use sealift_core::ports::{Clock, Entropy, Failure, ObjectSink, ObjectStore, Sinks, StoreError};

use crate::Delivery;

/// What is to be written to one destination.
pub(crate) struct Job<'a> {
    pub id: &'a DestinationId,
    pub destination: &'a Destination,
    pub plan: &'a DestinationPlan,
    pub objects: Vec<Encoded>,
}

/// Why a destination did not take a plan.
#[derive(Debug, Clone)]
pub(crate) struct NotTaken {
    pub reason: LeftReason,
    pub failure: Option<Failure>,
}

impl<L, S, K, C, E> Delivery<L, S, K, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    C: Clock,
    E: Entropy,
{
    /// Writes to many destinations at once. A slow or failing one delays no other.
    pub(crate) async fn write_all<'a>(
        &self,
        jobs: Vec<Job<'a>>,
    ) -> Vec<(&'a DestinationId, Result<(), NotTaken>)> {
        stream::iter(jobs)
            .map(|job| async move { (job.id, self.write_in_time(&job).await) })
            .buffer_unordered(self.settings.concurrency.max(1))
            .collect()
            .await
    }

    async fn write_in_time(&self, job: &Job<'_>) -> Result<(), NotTaken> {
        let write = self.write(job);
        let limit = self.clock.sleep(self.settings.slow_after);
        pin_mut!(write, limit);
        match select(write, limit).await {
            Either::Left((Ok(()), _)) => Ok(()),
            Either::Left((Err(error), _)) => Err(NotTaken {
                reason: LeftReason::Failed,
                failure: Some(error.failure().clone()),
            }),
            // Whether the object under way arrives is unknown; the redo writes the same again.
            Either::Right(_) => Err(NotTaken {
                reason: LeftReason::Slow,
                failure: None,
            }),
        }
    }

    /// Writes the objects to the place that the plan recorded.
    pub(crate) async fn write(&self, job: &Job<'_>) -> Result<(), StoreError> {
        if job.objects.is_empty() {
            return Ok(());
        }
        let sink = self.sinks.open(job.destination, &job.plan.location).await?;
        for object in &job.objects {
            sink.put(&object.planned.key, object.bytes.clone(), &object.sha256)
                .await?;
        }
        Ok(())
    }
}

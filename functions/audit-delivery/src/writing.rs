//! Writing a plan's objects, each destination for itself.

use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt, pin_mut, stream};
use sealift_core::Timestamp;
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
        // Boxed one by one: a closure in a stream would hide from the compiler that it can be
        // sent to another thread.
        let mut writes = Vec::with_capacity(jobs.len());
        for job in jobs {
            writes.push(async move { (job.id, self.write_in_time(&job).await) }.boxed());
        }
        stream::iter(writes)
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
    async fn write(&self, job: &Job<'_>) -> Result<(), StoreError> {
        self.write_from(job, 0, Timestamp::MAX).await.1
    }

    /// Writes the objects from one on, until all are written, one fails, or the deadline is
    /// near. Tells how many of them are written by then.
    pub(crate) async fn write_from(
        &self,
        job: &Job<'_>,
        from: usize,
        deadline: Timestamp,
    ) -> (usize, Result<(), StoreError>) {
        let rest = job.objects.get(from..).unwrap_or_default();
        if rest.is_empty() {
            return (job.objects.len(), Ok(()));
        }
        let sink = match self.sinks.open(job.destination, &job.plan.location).await {
            Ok(sink) => sink,
            Err(error) => return (from, Err(error)),
        };
        let mut written = from;
        for Encoded {
            planned,
            bytes,
            sha256,
        } in rest
        {
            // At least one in each run, so that there is an end to it; and what is not there in
            // time is given up, so that what is written can still be noted.
            if written > from && !self.has_time(deadline) {
                break;
            }
            let put = sink.put(&planned.key, bytes.clone(), sha256);
            let limit = self.clock.sleep(self.until(deadline));
            pin_mut!(put, limit);
            match select(put, limit).await {
                Either::Left((Ok(()), _)) => written += 1,
                Either::Left((Err(error), _)) => return (written, Err(error)),
                Either::Right(_) => break,
            }
        }
        (written, Ok(()))
    }
}

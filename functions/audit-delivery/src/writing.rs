//! Writing a plan's objects, each destination for itself.

use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt, pin_mut, stream};
use sealift_core::Timestamp;
use sealift_core::delivery::encode::{Catalog, Encoded, Marked, encode};
use sealift_core::delivery::{DestinationPlan, LeftPlan, LeftReason};
use sealift_core::destination::Destination;
use sealift_core::id::DestinationId;
use sealift_core::ports::{
    Clock, Entropy, EventBus, Failure, ObjectSink, ObjectStore, Sinks, StoreError,
};

use crate::{Delivery, DeliveryError};

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

/// How many events were appended at which times.
pub(crate) type Appended = Vec<(i64, u64)>;

/// How far the carrying out of a plan came.
pub(crate) enum Carried {
    /// Another version of the encoder makes this of it, which has to be recorded first.
    Otherwise(Box<LeftPlan>),
    /// So many objects are written; there was no time for the others.
    Partly(usize),
    /// So many objects are written; the next was not taken.
    Failed(usize, Failure),
    /// All are written.
    Done(Appended),
}

/// When the events of these objects were appended.
pub(crate) fn appended(objects: &[Encoded]) -> Appended {
    let times = objects.iter().flat_map(|object| &object.appended);
    times.copied().collect()
}

/// What comes of the work, if that is there before the limit is.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = T>,
    limit: impl Future<Output = ()>,
) -> Option<T> {
    pin_mut!(work, limit);
    match select(work, limit).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Writes to many destinations at once. A slow or failing one delays no other.
    pub(crate) async fn write_all<'a>(
        &self,
        jobs: Vec<Job<'a>>,
    ) -> Vec<(&'a DestinationId, Result<Appended, NotTaken>)> {
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

    async fn write_in_time(&self, job: &Job<'_>) -> Result<Appended, NotTaken> {
        let limit = self.clock.sleep(self.settings.slow_after);
        match in_time(self.write(job), limit).await {
            Some(Ok(())) => Ok(appended(&job.objects)),
            Some(Err(error)) => Err(NotTaken {
                reason: LeftReason::Failed,
                failure: Some(error.failure().clone()),
            }),
            // Whether the object under way arrives is unknown; the redo writes the same again.
            None => Err(NotTaken {
                reason: LeftReason::Slow,
                failure: None,
            }),
        }
    }

    /// Writes the objects to the place that the plan recorded.
    async fn write(&self, job: &Job<'_>) -> Result<(), StoreError> {
        self.write_from(job, 0, Timestamp::MAX).await.1
    }

    /// Carries out the open plan of a single destination, of whose range the segments are given.
    pub(crate) async fn carry_out(
        &self,
        id: &DestinationId,
        destination: &Destination,
        plan: &LeftPlan,
        marked: &[Marked],
        deadline: Timestamp,
    ) -> Result<Carried, DeliveryError> {
        let LeftPlan {
            range,
            destination: recorded,
            written,
            ..
        } = plan;
        let catalog = Catalog::of(marked);
        let (objects, made) = encode(&catalog, range, id, recorded, &self.settings.encoding)?;
        if made != *recorded {
            return Ok(Carried::Otherwise(Box::new(LeftPlan {
                destination: made,
                written: 0,
                ..plan.clone()
            })));
        }
        let all = objects.len();
        let job = Job {
            id,
            destination,
            plan: recorded,
            objects,
        };
        let (now_written, result) = self.write_from(&job, *written, deadline).await;
        Ok(match result {
            Err(error) => Carried::Failed(now_written, error.failure().clone()),
            Ok(()) if now_written < all => Carried::Partly(now_written),
            Ok(()) => Carried::Done(appended(&job.objects)),
        })
    }

    /// Writes the objects from one on, until all are written, one fails, or the deadline is
    /// near. Tells how many of them are written by then.
    async fn write_from(
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
            ..
        } in rest
        {
            // At least one in each run, so that there is an end to it; and what is not there in
            // time is given up, so that what is written can still be noted.
            if written > from && !self.has_time(deadline) {
                break;
            }
            let put = sink.put(&planned.key, bytes.clone(), sha256);
            let limit = self.clock.sleep(self.until(deadline));
            match in_time(put, limit).await {
                Some(Ok(())) => written += 1,
                Some(Err(error)) => return (written, Err(error)),
                None => break,
            }
        }
        (written, Ok(()))
    }
}

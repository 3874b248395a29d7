//! Telling customers of gaps: the record of a gap is planned, written and committed as
//! deliveries are, before anything else is delivered to the destination.

use bytes::Bytes;
use sealift_core::delivery::LeftCursor;
use sealift_core::delivery::gap::{Told, tell};
use sealift_core::ports::{Clock, Entropy, EventBus, Failure, ObjectSink, ObjectStore, Sinks};

use crate::left::Work;
use crate::writing::in_time;
use crate::{Delivery, Report};

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// The next state of a cursor with a gap to be told: with a plan of its record, or with the
    /// record written, or with what went wrong. `None` if there is none.
    pub(crate) async fn tell_gap(
        &self,
        work: &Work<'_>,
        cursor: &LeftCursor,
        report: &mut Report,
    ) -> Option<(LeftCursor, bool)> {
        let mut next = cursor.clone();
        let destination = work.destination;
        let location = match &cursor.gap_plan {
            Some(plan) => &plan.location,
            None => &destination.location,
        };
        let gap = match &cursor.gap_plan {
            Some(plan) => &plan.gap,
            None => cursor.progress.untold.first()?,
        };
        let told = match tell(destination, location, gap) {
            Ok(told) => told,
            Err(error) => {
                // No prefix is so long that this can be; it is told all the same.
                let failure = Failure {
                    operation: "Gap".to_owned(),
                    target: work.id.to_string(),
                    code: String::new(),
                    message: error.to_string(),
                    request_id: String::new(),
                };
                self.note_failure(work, failure, &mut next, report);
                return Some((next, false));
            }
        };
        if cursor.gap_plan.as_ref() != Some(&told.plan) {
            // Also where another version tells it in other words: what will be written is
            // recorded first.
            next.gap_plan = Some(told.plan);
            return Some((next, true));
        }
        if let Err(failure) = self.write_record(work, &told).await {
            if *location != destination.location {
                // The destination has moved, and the old place does not take it any more.
                next.gap_plan = None;
                return Some((next, true));
            }
            self.note_failure(work, failure, &mut next, report);
            return Some((next, false));
        }
        let key = &told.plan.object.key;
        tracing::info!(destination = %work.id, %key, "destination {} is told of a gap: {key}", work.id);
        next.gap_plan = None;
        next.progress.untold.retain(|untold| untold != gap);
        (next.attempts, next.not_before_ms, next.failure) = (0, 0, None);
        report.told += 1;
        Some((next, true))
    }

    async fn write_record(&self, work: &Work<'_>, told: &Told) -> Result<(), Failure> {
        let Told {
            plan,
            bytes,
            sha256,
        } = told;
        let write = async {
            let sink = self.sinks.open(work.destination, &plan.location).await?;
            let bytes = Bytes::copy_from_slice(bytes);
            sink.put(&plan.object.key, bytes, sha256).await
        };
        let limit = self.clock.sleep(self.until(work.deadline));
        match in_time(write, limit).await {
            Some(written) => written.map_err(|error| error.failure().clone()),
            None => Err(Failure {
                operation: "PutObject".to_owned(),
                target: plan.object.key.to_string(),
                code: String::new(),
                message: "there was no answer in time".to_owned(),
                request_id: String::new(),
            }),
        }
    }
}

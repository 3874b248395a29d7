//! Warnings: when events that wait for a destination will soon be too old to be kept, its owner
//! is told, once a day from the 23rd day on.

use sealift_core::Timestamp;
use sealift_core::audit::catalogue::DESTINATION_BUFFER_EXPIRING;
use sealift_core::audit::{Entry, Resource};
use sealift_core::delivery::standing::{Expiry, WARNED_FROM_MS};
use sealift_core::delivery::{Left, LeftCursor, ShardCursor};
use sealift_core::destination::{Destination, DestinationSet};
use sealift_core::document::{Saved, Stored};
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore, Sinks};
use serde_json::json;

use crate::{Delivery, DeliveryError, Report};

const DAY_MS: i64 = 24 * 3600 * 1000;

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Counts what waits, and warns of what waits for too long, for whatever reason.
    pub(crate) async fn warn_of_expiry(
        &self,
        shard: u16,
        cursor: &ShardCursor,
        set: &DestinationSet,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let mut failed = None;
        for (id, left) in &cursor.left {
            let begin = &left.begin;
            let ours = |d: &&Destination| d.is_of(&begin.organization, begin.created_ms);
            let Some(destination) = set.0.get(id).filter(ours) else {
                continue;
            };
            let waited = |at: i64| self.now_ms().saturating_sub(at).max(0);
            let waited_ms = left.waits.map_or(0, |waits| waited(waits.appended_ms));
            if destination.flows() {
                report.behind += 1;
                report.slowest_lag_ms = report.slowest_lag_ms.max(waited_ms);
            }
            // Nothing is read for those for which nothing can have waited for so long.
            if waited_ms >= WARNED_FROM_MS {
                match self.warn_owner(shard, left, destination, report).await {
                    Ok(()) => {}
                    // One destination's trouble is not the others'.
                    Err(error) => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Warns one destination's owner, if that is due.
    async fn warn_owner(
        &self,
        shard: u16,
        left: &Left,
        destination: &Destination,
        report: &mut Report,
    ) -> Result<(), DeliveryError> {
        let Some(own) = self.own_cursor(shard, &destination.id, left).await? else {
            return Ok(());
        };
        let Some(oldest_ms) = self.oldest_ms(left, &own).await? else {
            return Ok(());
        };
        // The time that a warning is for follows from what waits, not from who warns when: told
        // twice, after a crash, it is the same event.
        let late_ms = self.now_ms() - oldest_ms - WARNED_FROM_MS;
        let due_ms = self.now_ms() - late_ms.rem_euclid(DAY_MS);
        let warned = own.body.warned_ms;
        if late_ms < 0 {
            return Ok(());
        }
        report.expiring += 1;
        if warned.is_some_and(|warned| due_ms < warned + DAY_MS) {
            return Ok(());
        }
        let id = &destination.id;
        let Some(entry) = warning(destination, left, oldest_ms, due_ms) else {
            return Ok(());
        };
        let outcome = self.bus.put(std::slice::from_ref(&entry)).await.pop();
        if let Some(Err(error)) = outcome {
            tracing::error!(destination = %id, %error, "the bus did not take the warning of destination {id}: {error}");
            return Ok(());
        }
        tracing::warn!(destination = %id, oldest_ms, "events that wait for destination {id} will expire");
        let warned = LeftCursor {
            warned_ms: Some(due_ms),
            ..own.body.clone()
        };
        let place = LeftCursor::place(shard, id, left.generation);
        let saved = place
            .replace(&self.state, &own, warned, &self.entropy)
            .await?;
        // Overtaken, it is told again by the next run.
        report.warnings += u64::from(matches!(saved, Saved::Done(_)));
        Ok(())
    }

    /// When the oldest segment was appended that still waits for a left destination.
    async fn oldest_ms(
        &self,
        left: &Left,
        own: &Stored<LeftCursor>,
    ) -> Result<Option<i64>, DeliveryError> {
        let next = own.body.position.next;
        let waits = left.waits.filter(|_| !own.body.closed);
        let Some(waits) = waits else {
            return Ok(None);
        };
        if next <= waits.sequence {
            return Ok(Some(waits.appended_ms));
        }
        let rest = self.log.list_after(next.previous(), 1).await?;
        let oldest = rest.first().map(|entry| entry.last_modified);
        Ok(oldest.map(Timestamp::as_millisecond))
    }
}

/// The event that warns. `None` only for a time that no calendar has.
fn warning(
    destination: &Destination,
    left: &Left,
    oldest_ms: i64,
    due_ms: i64,
) -> Option<BusEntry> {
    let Destination {
        id, organization, ..
    } = destination;
    let resource = Resource {
        id: id.to_string(),
        name: id.to_string(),
        organization: organization.clone(),
        project: None,
    };
    let time = |ms| Timestamp::from_millisecond(ms).ok();
    let text = |ms| Some(format!("{:.3}", time(ms)?));
    let expiry = Expiry::of(oldest_ms, due_ms);
    let details = json!({
        "oldest_waiting": text(oldest_ms)?,
        "kept_until": text(expiry.promised_until_ms)?,
        "days_left": expiry.days_left,
        "waits_because": left.reason,
    });
    let entry = Entry::happened(&DESTINATION_BUFFER_EXPIRING, resource).ok()?;
    let event = format!("{id}.buffer-expiring.{due_ms}");
    entry
        .with_details(details)
        .on_bus(&event, time(due_ms)?)
        .ok()
}

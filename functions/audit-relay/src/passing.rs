//! Passes on what a page holds: onto the bus, or into parking.

use std::collections::HashSet;

use sealift_core::Timestamp;
use sealift_core::parked::{Parked, park};
use sealift_core::partition::Hour;
use sealift_core::ports::{BusEntry, Clock, Entropy, EventBus, ObjectStore, StoreError};
use sealift_core::relay::cursor::Gap;
use sealift_core::relay::{AuditEntry, AuditLog, AuditPage};

use crate::entry::Desk;
use crate::run::{Run, Task};
use crate::selection::is_relayed;
use crate::{Relay, RelayError};

/// What every bus takes in one request. A larger event that is refused is refused for its size:
/// in China's regions a request still takes no more.
///
/// Source: <https://docs.amazonaws.cn/en_us/eventbridge/latest/userguide/eb-putevent-size.html>
const SURELY_TAKEN: usize = 256 * 1024;

impl<S, L, A, B, C, E> Relay<S, L, A, B, C, E>
where
    S: ObjectStore,
    L: ObjectStore,
    A: AuditLog,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Passes on what is new of a page. What was done is remembered, even if something failed.
    pub(crate) async fn pass_on(
        &self,
        run: &mut Run<'_>,
        task: Task,
        page: AuditPage,
    ) -> Result<(), RelayError> {
        let now = self.clock.now();
        let desk = self.desk(now);
        let (mut ids, mut events) = (Vec::new(), Vec::new());
        let mut parked: Vec<(String, Timestamp, Box<Parked>)> = Vec::new();
        for unread in &page.unusable {
            // Its own time is not known; the time that it was found at is later than that, so it
            // is remembered for long enough.
            if is_known(run, &unread.text, now) {
                run.report.seen_before += 1;
            } else {
                parked.push((unread.text.clone(), now, desk.unread(unread)));
            }
        }
        let mut on_page = HashSet::new();
        for entry in &page.entries {
            if entry.created < run.cursor.start || !self.is_wanted(entry) {
                run.report.left_out += 1;
            } else if run.cursor.knows(&entry.id, entry.created)
                || !on_page.insert((&entry.id, entry.created))
            {
                run.report.seen_before += 1;
            } else {
                match desk.event(entry) {
                    Ok(event) => {
                        ids.push((&entry.id, entry.created));
                        events.push(event);
                    }
                    Err(line) => parked.push((entry.id.clone(), entry.created, line)),
                }
            }
        }
        let stowed = self.stow(run, parked).await;
        // Before what could not be parked nothing may be passed, and of some its time is not known.
        let task = stowed.is_ok().then_some(task);
        let sent = self.send(run, task, &ids, &events).await;
        stowed?;
        sent
    }

    /// Parks what cannot be used.
    async fn stow(
        &self,
        run: &mut Run<'_>,
        parked: Vec<(String, Timestamp, Box<Parked>)>,
    ) -> Result<(), RelayError> {
        for (id, at, line) in parked {
            self.park(run, &line, at).await?;
            run.remember(&id, at);
        }
        Ok(())
    }

    fn is_wanted(&self, entry: &AuditEntry) -> bool {
        let own_actor = self.settings.own_actor.as_deref();
        is_relayed(entry, self.settings.row_level, own_actor)
    }

    fn desk(&self, now: Timestamp) -> Desk<'_> {
        Desk {
            organization: &self.settings.organization,
            now_ms: now.as_millisecond(),
        }
    }

    /// Puts events on the bus, and parks those that it never will take. Of the task, if there is
    /// one, what is before the first that was not taken is done.
    async fn send(
        &self,
        run: &mut Run<'_>,
        task: Option<Task>,
        ids: &[(&String, Timestamp)],
        events: &[BusEntry],
    ) -> Result<(), RelayError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut outcomes = self.bus.put(events).await.into_iter();
        let mut invalid = Vec::new();
        let mut failed: Vec<(Timestamp, Option<StoreError>)> = Vec::new();
        let now = self.clock.now();
        for ((id, created), event) in ids.iter().zip(events) {
            match outcomes.next() {
                Some(Ok(())) => {
                    run.remember(id, *created);
                    run.bus_works = true;
                    run.report.relayed += 1;
                    if *created < run.began_at {
                        run.report.late += 1;
                    } else {
                        let delay = now.as_millisecond() - created.as_millisecond();
                        run.report.delay_ms = run.report.delay_ms.max(delay);
                    }
                }
                Some(Err(StoreError::Invalid(failure))) => {
                    invalid.push((*id, *created, event, failure));
                }
                Some(Err(error)) => failed.push((*created, Some(error))),
                None => failed.push((*created, None)),
            }
        }
        for (id, created, event, failure) in invalid {
            // Where it takes no other either, it is the bus that is wrong, and not the event.
            if run.bus_works || event.detail.len() > SURELY_TAKEN {
                let line = self.desk(now).refused(event, failure.to_string());
                self.park(run, &line, created).await?;
                run.remember(id, created);
            } else {
                failed.push((created, Some(StoreError::Invalid(failure))));
            }
        }
        let Some(earliest) = failed.iter().map(|(created, _)| *created).min() else {
            return Ok(());
        };
        if let Some(task) = task {
            run.passed(task, earliest);
        }
        let count = failed.len();
        let error = failed.into_iter().find_map(|(_, error)| error);
        let silent = || {
            StoreError::Transient(sealift_core::ports::Failure {
                operation: "PutEvents".to_owned(),
                target: "the bus".to_owned(),
                code: String::new(),
                message: "the answer has no result for the entry".to_owned(),
                request_id: String::new(),
            })
        };
        let error = error.unwrap_or_else(silent);
        Err(RelayError::Bus { count, error })
    }

    /// Parks one event, at a key that follows from it and its day: parking it again changes
    /// nothing.
    async fn park(
        &self,
        run: &mut Run<'_>,
        line: &Parked,
        at: Timestamp,
    ) -> Result<(), RelayError> {
        let hour = Hour::of(at).or_else(|| Hour::of(self.clock.now()));
        let Some(hour) = hour else {
            // No clock shows such a year.
            return Ok(());
        };
        let key = park(&self.parking, std::slice::from_ref(line), hour).await;
        let key = key.map_err(RelayError::Parking)?;
        let Parked {
            reason, message, ..
        } = line;
        tracing::error!(%key, reason, "an entry is parked at {key}: {message}");
        run.report.parked += 1;
        Ok(())
    }

    /// Gives up what cannot be read, and leaves a note in its place.
    pub(crate) async fn give_up(
        &self,
        run: &mut Run<'_>,
        gap: Gap,
        why: &str,
    ) -> Result<(), RelayError> {
        let line = self.desk(self.clock.now()).gap(gap, why);
        let hour = Hour::of(gap.from);
        if let Some(hour) = hour {
            let key = park(&self.parking, std::slice::from_ref(&line), hour).await;
            let key = key.map_err(RelayError::Parking)?;
            tracing::error!(%key, "{} (noted at {key})", line.message);
        }
        run.cursor.give_up(gap);
        run.report.gaps += 1;
        run.fresh = true;
        Ok(())
    }
}

/// Whether something without a time of its own is known: at whatever time it was found.
fn is_known(run: &Run<'_>, text: &str, now: Timestamp) -> bool {
    let hours = (0..=26).filter_map(|hours| {
        now.checked_sub(jiff::SignedDuration::from_hours(hours))
            .ok()
    });
    hours.into_iter().any(|hour| run.cursor.knows(text, hour))
}

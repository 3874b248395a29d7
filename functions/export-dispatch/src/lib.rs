//! `export-dispatch`: starts the interval exports that are due, within the API's budget of
//! requests.
//!
//! It is called every minute, and whenever a run is over. It takes what is due from the
//! timetable, the longest due first, grants each a share of the requests that are available, puts
//! `export.due` events on the bus, and *then* moves the automations on. A crash in between
//! makes an event come twice, which does no harm: a run finds its cursor claimed, or nothing to
//! do.
//!
//! An automation that had nothing to export the last time waits for a survey, which is one
//! request for many projects.
//!
//! Two dispatchers at once do no harm either: the budget is one document, and who loses its
//! compare-and-swap stops before it has sent anything.

use std::collections::BTreeMap;
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::document::{DocumentError, Saved, Stored};
use sealift_core::export::budget::Budget;
use sealift_core::export::message::{Due, Finished, FinishedAs, Message};
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::LogSource;
use sealift_core::export::timetable::{Entry, Timetable};
use sealift_core::id::AutomationId;
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};

pub use self::config::{Config, VARIABLES};

mod config;
mod survey;

/// How dispatching goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of shards of the timetable. It cannot be changed once there are automations.
    pub shards: u16,
    /// Requests that the whole stack may make of the API in a minute.
    pub requests_per_minute: u32,
    /// Projects that one survey asks about.
    pub projects_in_survey: usize,
    /// A quiet automation that is due waits for a survey for a sixth of its interval, and for
    /// this long at the most. So many wait for one.
    pub patience: Duration,
    /// Nothing new is begun in this time before the deadline.
    pub reserve: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 1,
            requests_per_minute: 20,
            projects_in_survey: 50,
            patience: Duration::from_mins(10),
            reserve: Duration::from_secs(10),
        }
    }
}

/// A run that was granted something and has not told its end may be under way for this long, in
/// milliseconds: a Lambda's 15 minutes and some. Another start would find its cursor claimed. It
/// is also how long an automation waits whose dispatcher died between the ledger and the bus.
const UNDER_WAY_MS: i64 = 16 * 60 * 1000;

/// Events that are put on the bus at once.
const EVENTS_AT_ONCE: usize = 100;

/// What came of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Automations that were due.
    pub due: usize,
    /// Those that were started.
    pub started: usize,
    /// Those that a survey found to have nothing new.
    pub quiet: usize,
    /// Those that wait: for requests to become available, or for a survey.
    pub waiting: usize,
    /// Surveys that were asked.
    pub surveys: u32,
    /// Events that the bus refused; their automations stay due.
    pub refused: usize,
    /// Automations that have had no success for two of their intervals.
    pub overdue: usize,
    /// Whether another dispatcher was quicker.
    pub overtaken: bool,
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Dispatch<S, L, B, C, E> {
    registry: Registry<S, E>,
    source: L,
    bus: B,
    clock: C,
    settings: Settings,
}

/// An automation that is due.
#[derive(Debug, Clone)]
struct Candidate {
    id: AutomationId,
    entry: Entry,
}

impl<S, L, B, C, E> Dispatch<S, L, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Dispatches by the timetable in `store`'s bucket.
    pub fn new(store: S, source: L, bus: B, clock: C, entropy: E, settings: Settings) -> Self {
        let shards = settings.shards;
        Self {
            registry: Registry {
                store,
                entropy,
                shards,
            },
            source,
            bus,
            clock,
            settings,
        }
    }

    /// Handles one call. An `export.finished` event is noted first; whatever else the payload
    /// is, it means "see what is due".
    pub async fn handle(
        &self,
        payload: &[u8],
        deadline: Timestamp,
    ) -> Result<Report, RegistryError> {
        if let Ok(Message::Finished(finished)) = Message::parse(payload) {
            Box::pin(self.note(&finished)).await?;
        }
        // Boxed: the futures of all that it may do, one in another, are beyond what the compiler
        // looks into.
        let report = Box::pin(self.dispatch(deadline)).await?;
        tracing::info!(
            target: TARGET,
            exports_started = report.started,
            exports_waiting = report.waiting,
            exports_refused = report.refused,
            exports_overdue = report.overdue,
        );
        if report.due > 0 {
            let Report {
                due,
                started,
                quiet,
                waiting,
                surveys,
                ..
            } = report;
            tracing::info!(
                due,
                started,
                quiet,
                waiting,
                surveys,
                "{started} of {due} due exports started"
            );
        }
        Ok(report)
    }

    /// A run is over: its requests are settled, and its automation's next time is set.
    async fn note(&self, finished: &Finished) -> Result<(), RegistryError> {
        let id = &finished.automation_id;
        let now_ms = self.now_ms();
        let rate = self.settings.requests_per_minute;
        Budget::place()
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut budget = there.cloned().unwrap_or_default();
                budget.settle(finished.grant.as_deref(), finished.requests, rate);
                Some(budget)
            })
            .await?;
        self.registry
            .update_entry(id, |entry| {
                // Its cursor was set to another position since.
                if finished.generation < entry.generation {
                    return;
                }
                match finished.outcome {
                    FinishedAs::Done | FinishedAs::More => {
                        entry.position = finished.position;
                        entry.attempts = 0;
                        // One that has more to do has not caught up, but gets on.
                        entry.fresh_ms = Some(now_ms);
                        entry.quiet = finished.rows == 0 && finished.outcome == FinishedAs::Done;
                        if finished.outcome == FinishedAs::More {
                            entry.wake(now_ms);
                        }
                    }
                    FinishedAs::Failed => {
                        entry.fresh_ms.get_or_insert(now_ms);
                        entry.quiet = false;
                        entry.retry(now_ms, finished.retry_after_ms);
                    }
                    // Somebody has to change something; the timetable goes on meanwhile.
                    FinishedAs::Refused => {
                        entry.fresh_ms.get_or_insert(now_ms);
                        entry.attempts = entry.attempts.saturating_add(1);
                    }
                    FinishedAs::Skipped => {}
                }
            })
            .await
    }

    async fn dispatch(&self, deadline: Timestamp) -> Result<Report, RegistryError> {
        let mut report = Report::default();
        let now_ms = self.now_ms();
        let (due, overdue) = self.due(now_ms).await?;
        report.due = due.len();
        report.overdue = overdue;
        if due.is_empty() {
            return Ok(report);
        }
        let Some(mut ledger) = self.ledger(now_ms).await? else {
            report.overtaken = true;
            return Ok(report);
        };
        let (ready, waiting): (Vec<Candidate>, Vec<Candidate>) = due
            .into_iter()
            .partition(|c| !c.entry.quiet || !c.entry.surveyed);
        // First what is certain: a survey may take long, or get no answer at all.
        let start = self.start_all(ready, &mut ledger, now_ms, deadline, &mut report);
        if !start.await? {
            report.waiting += waiting.len();
            return Ok(report);
        }
        let surveyed = self.survey(waiting, &mut ledger, now_ms, deadline).await?;
        report.surveys = surveyed.surveys;
        report.quiet = surveyed.nothing_new.len();
        report.waiting += surveyed.waiting;
        self.move_on(&surveyed.nothing_new, now_ms, true).await?;
        self.start_all(surveyed.woken, &mut ledger, now_ms, deadline, &mut report)
            .await?;
        Ok(report)
    }

    /// Starts automations, the longest due first, for as long as there are requests. False if
    /// there is no use in going on.
    async fn start_all(
        &self,
        mut ready: Vec<Candidate>,
        ledger: &mut Stored<Budget>,
        now_ms: i64,
        deadline: Timestamp,
        report: &mut Report,
    ) -> Result<bool, RegistryError> {
        ready.retain(|candidate| {
            !ledger
                .body
                .has_granted(&candidate.id, now_ms - UNDER_WAY_MS)
        });
        ready.sort_by(|a, b| (a.entry.next_ms, &a.id).cmp(&(b.entry.next_ms, &b.id)));
        let (started, refused) = (report.started, report.refused);
        let done = |report: &Report| report.started - started + report.refused - refused;
        let mut goes_on = true;
        for some in ready.chunks(EVENTS_AT_ONCE) {
            let rest = ready.len() - done(report);
            goes_on =
                !self.is_late(deadline) && self.start(some, rest, ledger, now_ms, report).await?;
            if !goes_on {
                break;
            }
        }
        report.waiting += ready.len() - done(report);
        Ok(goes_on)
    }

    /// What is due, of all shards, and how many are overdue.
    async fn due(&self, now_ms: i64) -> Result<(Vec<Candidate>, usize), RegistryError> {
        let (mut due, mut overdue) = (Vec::new(), 0);
        for shard in 0..self.settings.shards {
            let Some(table) = Timetable::place(shard).load(&self.registry.store).await? else {
                continue;
            };
            let (is, wanted) = (table.body.shards, self.settings.shards);
            if is != wanted {
                return Err(RegistryError::Shards { is, wanted });
            }
            let entries = table.body.entries.values();
            overdue += entries.filter(|entry| entry.is_overdue(now_ms)).count();
            let entries = table.body.entries.into_iter();
            due.extend(
                entries
                    .filter(|(_, entry)| entry.is_due(now_ms))
                    .map(|(id, entry)| Candidate { id, entry }),
            );
        }
        Ok((due, overdue))
    }

    /// The ledger with what became available since; `None` if another dispatcher was quicker.
    async fn ledger(&self, now_ms: i64) -> Result<Option<Stored<Budget>>, RegistryError> {
        let Registry { store, entropy, .. } = &self.registry;
        let place = Budget::place();
        let read = place.load(store).await?;
        let mut budget = read
            .as_ref()
            .map_or_else(Budget::default, |read| read.body.clone());
        budget.refill(now_ms, self.settings.requests_per_minute);
        let saved = match &read {
            None => place.create(store, budget, entropy).await?,
            Some(read) => place.replace(store, read, budget, entropy).await?,
        };
        Ok(match saved {
            Saved::Done(stored) => Some(stored),
            Saved::Stale => None,
        })
    }

    async fn save(
        &self,
        ledger: &mut Stored<Budget>,
        budget: Budget,
    ) -> Result<bool, DocumentError> {
        let Registry { store, entropy, .. } = &self.registry;
        match Budget::place()
            .replace(store, ledger, budget, entropy)
            .await?
        {
            Saved::Done(stored) => {
                *ledger = stored;
                Ok(true)
            }
            Saved::Stale => Ok(false),
        }
    }

    /// Grants requests, tells the bus, and then moves on what was told. False if there is no
    /// use in going on: the requests are used up, or another dispatcher was quicker.
    async fn start(
        &self,
        candidates: &[Candidate],
        waiting: usize,
        ledger: &mut Stored<Budget>,
        now_ms: i64,
        report: &mut Report,
    ) -> Result<bool, RegistryError> {
        let mut budget = ledger.body.clone();
        let rate = self.settings.requests_per_minute;
        let mut granted = Vec::new();
        for (number, candidate) in candidates.iter().enumerate() {
            let share = waiting.saturating_sub(number);
            let name = self.registry.entropy.nonce();
            let given = budget.grant(&candidate.id, name.clone(), share, now_ms, rate);
            let Some(requests) = given else {
                break;
            };
            granted.push((candidate, requests, name));
        }
        if granted.is_empty() {
            return Ok(false);
        }
        if !self.save(ledger, budget).await? {
            report.overtaken = true;
            return Ok(false);
        }
        let entries: Vec<_> = granted
            .iter()
            .map(|(candidate, requests, name)| {
                Message::Due(Due {
                    automation_id: candidate.id.clone(),
                    requests: Some(*requests),
                    grant: Some(name.clone()),
                })
                .entry()
            })
            .collect();
        let outcomes = self.bus.put(&entries).await;
        let (mut told, mut untold) = (Vec::new(), Vec::new());
        let mut outcomes = outcomes.into_iter();
        for (candidate, _, name) in granted {
            match outcomes.next() {
                Some(Ok(())) => told.push(candidate.clone()),
                other => {
                    let error = other.and_then(Result::err);
                    let error = error.map_or_else(|| "no answer".to_owned(), |e| e.to_string());
                    let id = &candidate.id;
                    tracing::error!(automation = %id, error, "{id} is due and was not started: {error}");
                    untold.push(name);
                }
            }
        }
        report.started += told.len();
        report.refused += untold.len();
        self.move_on(&told, now_ms, false).await?;
        if !untold.is_empty() {
            let mut budget = ledger.body.clone();
            for name in &untold {
                budget.settle(Some(name), 0, rate);
            }
            return Ok(self.save(ledger, budget).await?);
        }
        Ok(told.len() == candidates.len())
    }

    /// Moves automations to their next time, unless somebody has set it meanwhile.
    async fn move_on(
        &self,
        candidates: &[Candidate],
        now_ms: i64,
        fresh: bool,
    ) -> Result<(), RegistryError> {
        let mut by_shard: BTreeMap<u16, Vec<&Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let shard =
                sealift_core::export::timetable::shard_of(&candidate.id, self.settings.shards);
            by_shard.entry(shard).or_default().push(candidate);
        }
        for (shard, candidates) in by_shard {
            Timetable::place(shard)
                .update(&self.registry.store, &self.registry.entropy, |there| {
                    let mut table = there?.clone();
                    for Candidate { id, entry: seen } in &candidates {
                        let entry = table.entries.get_mut(id);
                        if let Some(entry) = entry.filter(|e| e.next_ms == seen.next_ms) {
                            entry.move_on(id, now_ms);
                            if fresh {
                                entry.fresh_ms = Some(now_ms);
                            }
                        }
                    }
                    (Some(&table) != there).then_some(table)
                })
                .await?;
        }
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// How long there is until the reserve before the deadline.
    fn until(&self, deadline: Timestamp) -> Duration {
        let left_ms = deadline.as_millisecond().saturating_sub(self.now_ms());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        left.saturating_sub(self.settings.reserve)
    }

    fn is_late(&self, deadline: Timestamp) -> bool {
        self.until(deadline).is_zero()
    }
}

#[cfg(test)]
mod tests;

//! `audit-relay`: puts every entry of an organization's audit log on the bus, each once.
//!
//! It is called every minute. Entries can appear late, before those that were read already, so a
//! run reads the last quarter of an hour again, and once an hour the last day:
//! [`sealift_core::relay::cursor`] has what it remembers, and why nothing is passed.
//!
//! An entry is put on the bus first and remembered then. So a relay that is killed in between
//! puts a page of entries there a second time, and so may two relays that run at once; delivery
//! drops the second one by its id. Nothing is ever remembered that the bus did not take, or
//! that was not parked.
//!
//! Pages are asked for by time, not by the API's cursors: those are documented only for queries
//! sorted by `_pagination_key` or `_xact_id`, which entries of the audit log need not have. How
//! that comes to an end where many entries happened at one instant is in the module `limits`.

use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::document::{DocumentError, Saved};
use sealift_core::export::source::SourceError;
use sealift_core::id::OrgId;
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, StoreError};
use sealift_core::relay::AuditLog;
use sealift_core::relay::cursor::{FULL_EVERY, RelayCursor};

pub use self::config::{Config, Start, VARIABLES};
pub use self::entry::SOURCE;
pub use self::refusal::Refusal;
pub use self::run::Report;
pub use self::selection::ROW_LEVEL;

use self::run::{Run, Task};

mod config;
mod entry;
mod limits;
mod passing;
mod reading;
mod refusal;
mod run;
mod selection;

/// How far back a relay may begin. Braintrust's own page shows no more either.
const LONGEST_PAST: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// How far the stored position may be behind, as long as nothing else has to be written. Each
/// run reads so much more.
const IDLE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// How long an answer of the API may take to begin. It gives a query 30 s; and a call has to end
/// before the next one begins, a minute later.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// What is relayed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whose audit log it is.
    pub organization: OrgId,
    /// Whether reads and changes of single rows are relayed.
    pub row_level: bool,
    /// The id of the user or service account that Sealift's API key belongs to; its reads are not
    /// relayed.
    pub own_actor: Option<String>,
    /// Where to begin, if there is no cursor yet.
    pub start: Start,
    /// How many entries are asked for at once.
    pub limit: u32,
    /// The most that the API answers at once.
    pub most: u32,
    /// How long before the deadline nothing is begun any more.
    pub reserve: Duration,
}

impl Settings {
    /// The defaults for an organization.
    pub fn of(organization: OrgId) -> Self {
        Self {
            organization,
            row_level: false,
            own_actor: None,
            start: Start::Now,
            limit: 500,
            most: 1000,
            reserve: Duration::from_secs(15),
        }
    }
}

/// Why a run could not do all that it is for. The next one goes on where it stood.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The audit log may not be read: somebody has to change something.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The API did not answer.
    #[error("the audit log could not be read: {0}")]
    Source(SourceError),
    /// The cursor could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// What cannot be used could not be parked.
    #[error("entries could not be parked: {0}")]
    Parking(StoreError),
    /// The bus did not take all entries.
    #[error("the bus did not take {count} entries, which come again: {error}")]
    Bus {
        /// How many.
        count: usize,
        /// Why it did not take the first of them.
        error: StoreError,
    },
    /// The start lies too far back.
    #[error("SEALIFT_RELAY_START {0} is more than 30 days ago: set a later one, or `now`")]
    Start(Timestamp),
}

impl From<SourceError> for RelayError {
    fn from(error: SourceError) -> Self {
        Refusal::of(&error).map_or(Self::Source(error), Self::Refused)
    }
}

/// The function's logic, on ports.
#[derive(Debug)]
pub struct Relay<S, L, A, B, C, E> {
    /// The state bucket.
    state: S,
    /// The audit log's bucket, where entries are parked.
    parking: L,
    source: A,
    bus: B,
    clock: C,
    entropy: E,
    settings: Settings,
}

impl<S, L, A, B, C, E> Relay<S, L, A, B, C, E>
where
    S: ObjectStore,
    L: ObjectStore,
    A: AuditLog,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// A relay from the source to the bus, with its cursor in one bucket and what it parks in
    /// another, that of the audit log.
    pub fn new(
        (state, parking): (S, L),
        source: A,
        bus: B,
        clock: C,
        entropy: E,
        settings: Settings,
    ) -> Self {
        Self {
            state,
            parking,
            source,
            bus,
            clock,
            entropy,
            settings,
        }
    }

    /// Handles one call, whatever it says. An error is that of the first thing that failed; what
    /// was done until then is kept.
    pub async fn handle(&self, deadline: Timestamp) -> Result<Report, RelayError> {
        let mut report = Report::default();
        // Boxed: the futures of all that it may do, one in another, are beyond what the compiler
        // looks into.
        let ended = Box::pin(self.run(deadline, &mut report)).await;
        tell(&self.settings.organization, &report);
        match ended {
            Ok(()) => Ok(report),
            Err(error) => {
                let organization = &self.settings.organization;
                tracing::error!(%organization, %error, "the relay of {organization} failed: {error}");
                Err(error)
            }
        }
    }

    async fn run(&self, deadline: Timestamp, report: &mut Report) -> Result<(), RelayError> {
        let now = self.clock.now();
        let stored = self.open(now).await?;
        let mut run = Run::new(stored, deadline, report);
        let ended = self.read_all(&mut run, now).await;
        // Kept even if something has failed.
        let kept = self.keep(&mut run).await;
        let position = run.cursor.position;
        report.lag_ms = (self.clock.now().as_millisecond() - position.as_millisecond()).max(0);
        report.cut_short = matches!(ended, Ok(false));
        if let (Err(_), Err(error)) = (&ended, &kept) {
            let organization = &self.settings.organization;
            tracing::error!(%organization, %error, "what was relayed could not be noted: {error}");
        }
        ended?;
        kept
    }

    /// The cursor, which is made if there is none. It is written before anything is read, so that
    /// `now` is said once.
    async fn open(
        &self,
        now: Timestamp,
    ) -> Result<sealift_core::document::Stored<RelayCursor>, RelayError> {
        let place = RelayCursor::place(&self.settings.organization);
        if let Some(stored) = place.load(&self.state).await? {
            return Ok(stored);
        }
        let start = match self.settings.start {
            Start::Now => now,
            Start::At(start) if now.duration_since(start) > LONGEST_PAST => {
                return Err(RelayError::Start(start));
            }
            Start::At(start) => start,
        };
        let first = RelayCursor::starting(self.settings.organization.clone(), start, now);
        let made = place.update(&self.state, &self.entropy, |there| {
            there.is_none().then(|| first.clone())
        });
        let none = || DocumentError::Contended {
            key: place.key().clone(),
        };
        Ok(made.await?.ok_or_else(none)?)
    }

    /// Reads what is new and, when it is due, what can have appeared late. False if there was no
    /// time left for all of it.
    async fn read_all(&self, run: &mut Run<'_>, now: Timestamp) -> Result<bool, RelayError> {
        let recent_from = run.cursor.recent_from();
        // After an outage first what is earlier: then less has to be remembered while catching up.
        let is_behind = now.duration_since(run.cursor.position) > FULL_EVERY;
        if !is_behind && !self.read(run, Task::Recent, recent_from, now).await? {
            return Ok(false);
        }
        if let Some(sweep) = run.cursor.due_sweep(now) {
            let task = Task::Sweep(sweep);
            if !self.read(run, task, sweep.at, recent_from).await? {
                return Ok(false);
            }
            run.cursor.end_sweep(sweep);
        }
        Ok(!is_behind || self.read(run, Task::Recent, recent_from, now).await?)
    }

    /// Writes the cursor, if there is something to be kept.
    async fn keep(&self, run: &mut Run<'_>) -> Result<(), RelayError> {
        let (is, was) = (&run.cursor, &run.stored.body);
        let moved = is.position.duration_since(was.position) >= IDLE;
        if !run.fresh && !moved && is.full == was.full && is.sweep == was.sweep {
            return Ok(());
        }
        run.cursor.forget();
        let place = RelayCursor::place(&self.settings.organization);
        let body = run.cursor.clone();
        let saved = place.replace(&self.state, &run.stored, body, &self.entropy);
        match saved.await? {
            Saved::Done(stored) => run.stored = stored,
            // Another relay was quicker: what both have done is kept.
            Saved::Stale => {
                let cursor = &run.cursor;
                let joined = place.update(&self.state, &self.entropy, |there| {
                    let mut joined = there.unwrap_or(cursor).clone();
                    joined.absorb(cursor);
                    Some(joined)
                });
                if let Some(stored) = joined.await? {
                    run.cursor = stored.body.clone();
                    run.stored = stored;
                }
            }
        }
        run.fresh = false;
        Ok(())
    }

    fn is_late(&self, deadline: Timestamp) -> bool {
        let left_ms = deadline
            .as_millisecond()
            .saturating_sub(self.clock.now().as_millisecond());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        left <= self.settings.reserve
    }
}

fn tell(organization: &OrgId, report: &Report) {
    let Report {
        relayed,
        late,
        seen_before,
        left_out,
        parked,
        gaps,
        queries,
        delay_ms,
        lag_ms,
        cut_short,
    } = *report;
    tracing::info!(
        %organization,
        relayed,
        late,
        seen_before,
        left_out,
        parked,
        gaps,
        queries,
        delay_ms,
        lag_ms,
        cut_short,
        "{relayed} entries of {organization} relayed"
    );
    tracing::info!(
        target: TARGET,
        entries_relayed = relayed,
        entries_late = late,
        entries_parked = parked,
        relay_gaps = gaps,
        relay_lag_ms = lag_ms,
    );
}

#[cfg(test)]
mod tests;

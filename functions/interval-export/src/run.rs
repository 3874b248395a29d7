//! The course of a run: claim, read and write, tell.

use sealift_core::Timestamp;
use sealift_core::document::{DocumentError, Saved, Stored};
use sealift_core::export::advice;
use sealift_core::export::automation::{Automation, ExportPlan};
use sealift_core::export::cursor::{Claim, Counts, ExportCursor, FILES_KEPT, Outcome, RunFailure};
use sealift_core::export::message::{Due, Finished, FinishedAs, Message};
use sealift_core::export::name::Names;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::{LogSource, SourceError, XactRange};
use sealift_core::id::{AutomationId, XactId};
use sealift_core::metrics::TARGET;
use sealift_core::ports::{Clock, Entropy, EventBus, ExportSinks, ObjectStore, StoreError};

use crate::Export;
use crate::file::NotWritten;
use crate::manifest;

/// What came of a message that asked for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The automation is paused.
    Paused,
    /// Another run is at work on it.
    Busy,
    /// Another changed the cursor meanwhile; what was committed before stays.
    Overtaken,
    /// It ran.
    Ran {
        /// How it ended.
        outcome: Outcome,
        /// What it wrote.
        counts: Counts,
        /// Requests that it made of the API.
        requests: u64,
    },
}

/// Why a run does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The API did not answer.
    Source(SourceError),
    /// The bucket did not take something.
    Bucket(StoreError),
    /// The rows or the automation are at fault.
    Failed(RunFailure),
    /// The cursor is no longer this run's.
    Overtaken,
    /// The cursor could not be read or written.
    Registry(RegistryError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Bucket(error)
    }
}

impl From<DocumentError> for Stop {
    fn from(error: DocumentError) -> Self {
        Self::Registry(error.into())
    }
}

/// Whether there is more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The range is read to its end.
    Done,
    /// It stopped before.
    More,
}

/// A run at work.
pub(crate) struct Work<'a> {
    pub(crate) automation: &'a Automation,
    pub(crate) plan: &'a ExportPlan,
    pub(crate) names: Names,
    /// The cursor, as this run has written it last.
    pub(crate) stored: Stored<ExportCursor>,
    /// The run's own name.
    pub(crate) run: String,
    pub(crate) deadline: Timestamp,
    /// Requests that the source had counted when the run began.
    requests_before: u64,
    /// What it was asked with.
    due: &'a Due,
    /// Whether its manifest is written.
    listed: bool,
}

/// How long after a run's deadline the cursor is its own. A request that is on its way at the
/// deadline may still be done: joining the parts of an upload takes up to three minutes.
const AFTER_DEADLINE_MS: i64 = 4 * 60 * 1000;

/// How often a commit is tried anew when others have changed what is not this run's.
const TRIES: u32 = 8;

impl Work<'_> {
    pub(crate) fn position(&self) -> XactId {
        self.stored.body.position
    }

    /// Where the run began.
    fn began(&self) -> XactId {
        let claim = self.stored.body.claim.as_ref();
        claim.map_or(self.position(), |claim| claim.after)
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.position() > self.began()
    }

    fn files(&self) -> usize {
        let claim = self.stored.body.claim.as_ref();
        claim.map_or(0, |claim| claim.files.len())
    }

    /// Whether it may not remember any more files.
    pub(crate) fn has_many_files(&self) -> bool {
        self.files() >= FILES_KEPT
    }
}

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Runs an automation once, until there is nothing more, its requests are used up or the
    /// deadline is near.
    ///
    /// An error leaves open what was committed; what is not recorded on the cursor as a run's
    /// failure is one: a document that could not be read or written.
    pub async fn run(&self, due: &Due, deadline: Timestamp) -> Result<Report, RegistryError> {
        let id = &due.automation_id;
        let requests_before = self.source.requests();
        let automation = self.registry.automation(id).await?;
        let stored = self.registry.cursor(id).await?;
        let now_ms = self.now_ms();
        if !automation.is_active() {
            tracing::info!(automation = %id, "automation {id} is paused");
            self.skip(due, &stored.body).await;
            return Ok(Report::Paused);
        }
        if let Some(claim) = &stored.body.claim
            && claim.until_ms > now_ms
        {
            tracing::info!(automation = %id, run = claim.run, "automation {id} is at work already");
            self.skip(due, &stored.body).await;
            return Ok(Report::Busy);
        }
        let plan = match automation.plan() {
            Ok(plan) => plan,
            Err(error) => {
                let failure = advice::of_automation(&error);
                return self.refuse(due, &stored.body, failure).await;
            }
        };
        if let Err(error) = self.complete_manifests(id, &plan, &stored.body).await {
            let failure = advice::of_bucket(&error, &plan.place);
            return self.refuse(due, &stored.body, failure).await;
        }
        let Some((stored, run)) = self.claim(&automation, &stored, deadline).await? else {
            self.tell_skipped(due, XactId::ZERO, 0).await;
            return Ok(Report::Busy);
        };
        let mut work = Work {
            names: Names::new(&plan.place.prefix, id, stored.body.generation),
            automation: &automation,
            plan: &plan,
            stored,
            run,
            deadline,
            requests_before,
            due,
            listed: false,
        };
        let result = self.work(&mut work).await;
        self.finish(work, result).await
    }

    /// Writes the manifests that earlier runs have left out: they were killed, or the bucket
    /// failed. Whoever asks for the cursor next drops them from it.
    async fn complete_manifests(
        &self,
        id: &AutomationId,
        plan: &ExportPlan,
        cursor: &ExportCursor,
    ) -> Result<(), StoreError> {
        let mut missing = cursor.unlisted.clone();
        missing.extend(cursor.listing());
        if missing.is_empty() {
            return Ok(());
        }
        let sink = self.sinks.open(&plan.place).await?;
        for listing in missing {
            manifest::write(&sink, &plan.place, id, &listing).await?;
        }
        Ok(())
    }

    /// Takes the cursor for a new run; `None` if another was quicker.
    async fn claim(
        &self,
        automation: &Automation,
        stored: &Stored<ExportCursor>,
        deadline: Timestamp,
    ) -> Result<Option<(Stored<ExportCursor>, String)>, RegistryError> {
        let now_ms = self.now_ms();
        let run = self.registry.entropy.nonce();
        let mut cursor = stored.body.clone();
        cursor.unlisted.clear();
        cursor.end_run(now_ms, Outcome::Killed, 0);
        cursor.claim = Some(Claim {
            run: run.clone(),
            started_ms: now_ms,
            until_ms: deadline.as_millisecond().saturating_add(AFTER_DEADLINE_MS),
            after: cursor.position,
            files: Vec::new(),
        });
        let place = ExportCursor::place(&automation.id);
        let Registry { store, entropy, .. } = &self.registry;
        match place.replace(store, stored, cursor, entropy).await? {
            Saved::Done(stored) => Ok(Some((stored, run))),
            Saved::Stale => Ok(None),
        }
    }

    /// From the cursor to a bound that the source has settled.
    async fn work(&self, work: &mut Work<'_>) -> Result<Ended, Stop> {
        let lag = i64::try_from(self.settings.lag.as_millis()).unwrap_or(i64::MAX);
        let limit_ms = self.now_ms().saturating_sub(lag);
        let limit = Timestamp::from_millisecond(limit_ms).map_or(XactId::ZERO, XactId::before);
        let range = XactRange {
            after: work.position(),
            through: limit,
        };
        if range.through <= range.after {
            return Ok(Ended::Done);
        }
        let project = &work.plan.place.project;
        let asked = self.source.freshness(project, range);
        let Some(fresh) = self.in_time(asked, work.deadline).await? else {
            return Ok(Ended::More);
        };
        let settled = fresh.settled.unwrap_or(XactId::new(u64::MAX));
        let range = XactRange {
            through: range.through.min(settled),
            ..range
        };
        if !fresh.any || range.through <= range.after {
            return Ok(Ended::Done);
        }
        let sink = self.sinks.open(&work.plan.place).await?;
        let ended = self.read(work, &sink, range).await;
        if let Some(listing) = work.stored.body.listing() {
            let (place, id) = (&work.plan.place, &work.automation.id);
            let written = manifest::write(&sink, place, id, &listing).await;
            work.listed = written.is_ok();
            // What stopped the reading tells more than what followed from it.
            return ended.and_then(|ended| Ok(written.map(|()| ended)?));
        }
        ended
    }

    /// Commits a change of the cursor, as this run. What others have changed meanwhile stays,
    /// as long as the run is still at work.
    pub(crate) async fn save(
        &self,
        work: &mut Work<'_>,
        change: impl Fn(&mut ExportCursor),
    ) -> Result<(), Stop> {
        let place = ExportCursor::place(&work.automation.id);
        let Registry { store, entropy, .. } = &self.registry;
        for _ in 0..TRIES {
            let mut cursor = work.stored.body.clone();
            change(&mut cursor);
            if let Saved::Done(stored) = place.replace(store, &work.stored, cursor, entropy).await?
            {
                work.stored = stored;
                return Ok(());
            }
            let there = place.load(store).await?;
            let own = there.filter(|there| {
                let claim = there.body.claim.as_ref();
                claim.is_some_and(|claim| claim.run == work.run)
            });
            work.stored = own.ok_or(Stop::Overtaken)?;
        }
        Err(Stop::Overtaken)
    }

    /// Whether the requests that it was granted are used up.
    pub(crate) fn has_used_its_requests(&self, work: &Work<'_>) -> bool {
        let used = self.used(work);
        work.due
            .requests
            .is_some_and(|granted| used >= u64::from(granted))
    }

    fn used(&self, work: &Work<'_>) -> u64 {
        self.source.requests().saturating_sub(work.requests_before)
    }

    /// Whether it is time to come to an end.
    pub(crate) fn is_late(&self, work: &Work<'_>) -> bool {
        self.until(work.deadline, self.settings.reserve).is_zero()
    }

    /// Records how the run ended, and tells it.
    async fn finish(
        &self,
        mut work: Work<'_>,
        result: Result<Ended, Stop>,
    ) -> Result<Report, RegistryError> {
        let id = &work.automation.id;
        let mut retry_after_ms = None;
        let outcome = match result {
            Ok(Ended::Done) => Outcome::Done,
            Ok(Ended::More) if work.has_moved() => Outcome::More,
            Ok(Ended::More) => Outcome::Failed {
                failure: stuck(&work),
            },
            Err(Stop::Source(error)) => {
                if let SourceError::Throttled { retry_after, .. } = &error {
                    let wait = retry_after.map(|wait| i64::try_from(wait.as_millis()));
                    retry_after_ms = wait.and_then(Result::ok);
                }
                let failure = advice::of_source(&error);
                Outcome::Failed { failure }
            }
            Err(Stop::Bucket(error)) => Outcome::Failed {
                failure: advice::of_bucket(&error, &work.plan.place),
            },
            Err(Stop::Failed(failure)) => Outcome::Failed { failure },
            Err(Stop::Overtaken) => {
                tracing::warn!(automation = %id, run = work.run, "the cursor of {id} was changed by another");
                let requests = self.used(&work);
                self.tell_skipped(work.due, work.position(), requests).await;
                return Ok(Report::Overtaken);
            }
            Err(Stop::Registry(error)) => return Err(error),
        };
        let claim = work.stored.body.claim.as_ref();
        let counts = claim.map_or_else(Counts::default, |claim| Counts::of(&claim.files));
        let requests = self.used(&work);
        let now_ms = self.now_ms();
        let began_ms = claim.map_or(now_ms, |claim| claim.started_ms);
        let ended = outcome.clone();
        let listed = work.listed;
        let saved = self
            .save(&mut work, |cursor| {
                if !listed {
                    cursor.shelve();
                }
                cursor.end_run(now_ms, ended.clone(), requests);
            })
            .await;
        match saved {
            Ok(()) => {}
            Err(Stop::Registry(error)) => return Err(error),
            Err(_) => return Ok(Report::Overtaken),
        }
        log(&work, &outcome, counts, requests);
        measure(&outcome, counts, requests, now_ms - began_ms);
        let finished = Finished {
            automation_id: id.clone(),
            run: work.run.clone(),
            outcome: finished_as(&outcome),
            grant: work.due.grant.clone(),
            generation: work.stored.body.generation,
            requests,
            rows: counts.rows,
            position: work.position(),
            retry_after_ms,
        };
        self.tell(finished).await;
        Ok(Report::Ran {
            outcome,
            counts,
            requests,
        })
    }

    /// Records a failure before there was a run.
    async fn refuse(
        &self,
        due: &Due,
        cursor: &ExportCursor,
        failure: RunFailure,
    ) -> Result<Report, RegistryError> {
        let id = &due.automation_id;
        let outcome = Outcome::Failed {
            failure: failure.clone(),
        };
        ExportCursor::place(id)
            .update(&self.registry.store, &self.registry.entropy, |there| {
                let mut cursor = there?.clone();
                cursor.attempts = cursor.attempts.saturating_add(1);
                cursor.failure = Some(failure.clone());
                Some(cursor)
            })
            .await?;
        let error = &failure.failure;
        tracing::error!(automation = %id, %error, fault = ?failure.fault, "export of {id} cannot run: {error}");
        measure(&outcome, Counts::default(), 0, 0);
        let mut finished = nothing_done(due, finished_as(&outcome));
        finished.generation = cursor.generation;
        finished.position = cursor.position;
        self.tell(finished).await;
        Ok(Report::Ran {
            outcome,
            counts: Counts::default(),
            requests: 0,
        })
    }

    /// Gives back what was granted to a run of an automation that is gone.
    pub(crate) async fn give_back(&self, due: &Due) {
        self.tell_skipped(due, XactId::ZERO, 0).await;
    }

    /// Tells that there was no run, so that its requests are given back.
    async fn skip(&self, due: &Due, cursor: &ExportCursor) {
        self.tell_skipped(due, cursor.position, 0).await;
    }

    async fn tell_skipped(&self, due: &Due, position: XactId, requests: u64) {
        if due.grant.is_some() || due.requests.is_some() || requests > 0 {
            let mut finished = nothing_done(due, FinishedAs::Skipped);
            finished.position = position;
            finished.requests = requests;
            self.tell(finished).await;
        }
    }

    /// Tells the dispatcher. If that fails, the timetable goes on by itself, and the run's
    /// grant counts as used.
    async fn tell(&self, finished: Finished) {
        let id = finished.automation_id.clone();
        for told in self.bus.put(&[Message::Finished(finished).entry()]).await {
            if let Err(error) = told {
                tracing::warn!(automation = %id, %error, "the end of a run of {id} was not told: {error}");
            }
        }
    }
}

/// Tells the metrics of a run.
fn measure(outcome: &Outcome, counts: Counts, requests: u64, duration_ms: i64) {
    use sealift_core::export::advice::Fault;
    let fault = match outcome {
        Outcome::Failed { failure } => Some(failure.fault),
        _ => None,
    };
    let at_fault = |whose: Fault| u64::from(fault == Some(whose));
    tracing::info!(
        target: TARGET,
        export_runs_done = u64::from(fault.is_none()),
        export_files = counts.files,
        export_rows = counts.rows,
        export_bytes = counts.file_bytes,
        export_requests = requests,
        export_duration_ms = duration_ms,
        export_failures_passing = at_fault(Fault::Passing),
        export_failures_customer = at_fault(Fault::Customer),
        export_failures_operator = at_fault(Fault::Operator),
        export_failures_automation = at_fault(Fault::Automation),
    );
}

/// A run that read until its deadline and has not come to the end of one transaction would do
/// the same the next time.
fn stuck(work: &Work<'_>) -> RunFailure {
    use sealift_core::export::advice::Fault;
    use sealift_core::ports::Failure;
    RunFailure {
        failure: Failure {
            operation: "ReadRows".to_owned(),
            target: format!("project_logs:{}", work.plan.place.project),
            code: "NoProgress".to_owned(),
            message: format!(
                "the time of a run was over before the transactions after {} were read",
                work.position()
            ),
            request_id: String::new(),
        },
        fault: Fault::Passing,
        advice:
            "It is tried again by itself. If it stays so, a transaction is larger than a run can \
                 read: raise the function's time-out or the automation's batch_size."
                .to_owned(),
    }
}

/// What is told of a message that did not make a run.
fn nothing_done(due: &Due, outcome: FinishedAs) -> Finished {
    Finished {
        automation_id: due.automation_id.clone(),
        run: String::new(),
        outcome,
        grant: due.grant.clone(),
        generation: 0,
        requests: 0,
        rows: 0,
        position: XactId::ZERO,
        retry_after_ms: None,
    }
}

fn finished_as(outcome: &Outcome) -> FinishedAs {
    use sealift_core::export::advice::Fault;
    match outcome {
        Outcome::Done => FinishedAs::Done,
        Outcome::More => FinishedAs::More,
        Outcome::Failed { failure } if failure.fault == Fault::Passing => FinishedAs::Failed,
        Outcome::Failed { .. } | Outcome::Killed => FinishedAs::Refused,
    }
}

fn log(work: &Work<'_>, outcome: &Outcome, counts: Counts, requests: u64) {
    let (id, run) = (&work.automation.id, &work.run);
    let Counts {
        files,
        rows,
        file_bytes,
        ..
    } = counts;
    match outcome {
        Outcome::Failed { failure } => {
            let error = &failure.failure;
            let fault = failure.fault;
            tracing::error!(automation = %id, run, files, rows, requests, %error, ?fault, "export of {id} failed: {error}");
        }
        outcome => {
            let more = *outcome == Outcome::More;
            let position = work.position();
            tracing::info!(automation = %id, run, files, rows, file_bytes, requests, more, %position, "export of {id} wrote {rows} rows");
        }
    }
}

impl From<NotWritten> for Stop {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Encoder(why) => Self::Failed(crate::reading::bad_row(&why)),
            NotWritten::Bucket(error) => Self::Bucket(error),
        }
    }
}

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
use sealift_core::id::XactId;
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
    /// Requests that it may make.
    granted: Option<u32>,
}

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
        if !automation.is_active() {
            tracing::info!(automation = %id, "automation {id} is paused");
            return Ok(Report::Paused);
        }
        let stored = self.registry.cursor(id).await?;
        let now_ms = self.now_ms();
        if let Some(claim) = &stored.body.claim
            && claim.until_ms > now_ms
        {
            tracing::info!(automation = %id, run = claim.run, "automation {id} is at work already");
            return Ok(Report::Busy);
        }
        let plan = match automation.plan() {
            Ok(plan) => plan,
            Err(error) => {
                let failure = advice::of_automation(&error);
                return self.refuse(due, stored, failure).await;
            }
        };
        if let Err(stop) = self.complete_killed(&automation, &plan, &stored).await {
            return match stop {
                Stop::Bucket(error) => {
                    let failure = advice::of_bucket(&error, &plan.place);
                    self.refuse(due, stored, failure).await
                }
                Stop::Registry(error) => Err(error),
                _ => Ok(Report::Overtaken),
            };
        }
        let Some((stored, run)) = self.claim(&automation, &stored, deadline).await? else {
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
            granted: due.requests,
        };
        let result = self.work(&mut work).await;
        self.finish(work, result).await
    }

    /// Writes the manifest of a run that was killed, if its claim has passed and it had
    /// committed files.
    async fn complete_killed(
        &self,
        automation: &Automation,
        plan: &ExportPlan,
        stored: &Stored<ExportCursor>,
    ) -> Result<(), Stop> {
        let cursor = &stored.body;
        let Some(claim) = cursor
            .claim
            .as_ref()
            .filter(|claim| !claim.files.is_empty())
        else {
            return Ok(());
        };
        let sink = self.sinks.open(&plan.place).await?;
        let names = Names::new(&plan.place.prefix, &automation.id, cursor.generation);
        let of = manifest::Of {
            automation: &automation.id,
            project: &automation.project_id,
            generation: cursor.generation,
        };
        Ok(manifest::write(&sink, &names, of, claim).await?)
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
        cursor.end_run(now_ms, Outcome::Killed, 0);
        cursor.claim = Some(Claim {
            run: run.clone(),
            started_ms: now_ms,
            until_ms: deadline.as_millisecond(),
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
        if work.files() > 0 {
            let of = manifest::Of {
                automation: &work.automation.id,
                project: &work.automation.project_id,
                generation: work.stored.body.generation,
            };
            if let Some(claim) = &work.stored.body.claim {
                let written = manifest::write(&sink, &work.names, of, claim).await;
                // What stopped the reading tells more than what followed from it.
                return ended.and_then(|ended| Ok(written.map(|()| ended)?));
            }
        }
        ended
    }

    /// Commits a change of the cursor, as this run.
    pub(crate) async fn save(
        &self,
        work: &mut Work<'_>,
        change: impl FnOnce(&mut ExportCursor),
    ) -> Result<(), Stop> {
        let mut cursor = work.stored.body.clone();
        change(&mut cursor);
        let place = ExportCursor::place(&work.automation.id);
        let Registry { store, entropy, .. } = &self.registry;
        match place.replace(store, &work.stored, cursor, entropy).await? {
            Saved::Done(stored) => {
                work.stored = stored;
                Ok(())
            }
            Saved::Stale => Err(Stop::Overtaken),
        }
    }

    /// Whether the requests that it was granted are used up.
    pub(crate) fn has_used_its_requests(&self, work: &Work<'_>) -> bool {
        let used = self.used(work);
        work.granted
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
                return Ok(Report::Overtaken);
            }
            Err(Stop::Registry(error)) => return Err(error),
        };
        let claim = work.stored.body.claim.as_ref();
        let counts = claim.map_or_else(Counts::default, |claim| Counts::of(&claim.files));
        let requests = self.used(&work);
        let now_ms = self.now_ms();
        let ended = outcome.clone();
        let saved = self
            .save(&mut work, |cursor| cursor.end_run(now_ms, ended, requests))
            .await;
        match saved {
            Ok(()) => {}
            Err(Stop::Registry(error)) => return Err(error),
            Err(_) => return Ok(Report::Overtaken),
        }
        log(&work, &outcome, counts, requests);
        let finished = Finished {
            automation_id: id.clone(),
            run: work.run.clone(),
            outcome: finished_as(&outcome),
            granted: work.granted,
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
        stored: Stored<ExportCursor>,
        failure: RunFailure,
    ) -> Result<Report, RegistryError> {
        let id = &due.automation_id;
        let outcome = Outcome::Failed {
            failure: failure.clone(),
        };
        let position = stored.body.position;
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
        let finished = Finished {
            automation_id: id.clone(),
            run: String::new(),
            outcome: finished_as(&outcome),
            granted: due.requests,
            requests: 0,
            rows: 0,
            position,
            retry_after_ms: None,
        };
        self.tell(finished).await;
        Ok(Report::Ran {
            outcome,
            counts: Counts::default(),
            requests: 0,
        })
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

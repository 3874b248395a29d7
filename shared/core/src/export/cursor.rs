//! The cursor of an export: how far it has come, who is at work on it, and what came of the
//! last runs.
//!
//! A run *claims* the cursor first, until shortly after its deadline. Others stop when they
//! find it claimed, so no two runs write the same file at once: the later of two writes would
//! win, and it may hold fewer rows than what was committed. A run whose claim has passed was
//! killed; the next one takes over and goes on behind the last committed file.
//!
//! Files are committed one by one: each commit moves [`position`](ExportCursor::position) to
//! the last transaction of the file.

use serde::{Deserialize, Serialize};

use crate::document::{Document, Place};
use crate::export::advice::Fault;
use crate::id::{AutomationId, ObjectKey, OrgId, ProjectId, XactId};
use crate::partition::Hour;
use crate::ports::Failure;

/// How many runs are remembered.
pub const RUNS_KEPT: usize = 24;

/// The most files of one run that are remembered one by one. A run ends there, and asks to go on.
pub const FILES_KEPT: usize = 200;

/// How far an export has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportCursor {
    /// The organization of its automation.
    pub organization: OrgId,
    /// The project of its automation.
    pub project_id: ProjectId,
    /// How often it was set to another position. It stands in the files' names, so that an
    /// export from an earlier position on does not overwrite what was exported before.
    pub generation: u32,
    /// The last transaction that was exported; all later ones are to come.
    pub position: XactId,
    /// The run that is at work on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Sums over all committed files since the automation was created.
    #[serde(default)]
    pub counts: Counts,
    /// When a run last ended well, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded_ms: Option<i64>,
    /// Runs that failed in a row.
    #[serde(default)]
    pub attempts: u32,
    /// What the last run failed with, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// What the last test of the way into the bucket gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<WayTest>,
    /// Runs that committed files and have no manifest yet; the next one writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<Listing>,
    /// The event that set it to another position last; the same one does not set it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_by: Option<String>,
    /// Whether its automation was deleted. What is left keeps a later one of the same id from
    /// using the names again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The last runs, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
}

impl Document for ExportCursor {
    const FORMAT: &'static str = "sealift.export-cursor/1";
}

impl ExportCursor {
    /// A cursor that has exported nothing, and begins behind the position.
    pub fn starting(organization: OrgId, project_id: ProjectId, position: XactId) -> Self {
        Self {
            organization,
            project_id,
            generation: 0,
            position,
            claim: None,
            counts: Counts::default(),
            succeeded_ms: None,
            attempts: 0,
            failure: None,
            tested: None,
            unlisted: Vec::new(),
            reset_by: None,
            deleted: false,
            runs: Vec::new(),
        }
    }

    /// Where the cursor of an automation lies in the state bucket: `exports/cursors/<id>.json`.
    pub fn place(automation: &AutomationId) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!(
            "exports/cursors/{automation}.json"
        )))
    }

    /// Sets it to another position: a new generation. A run that is at work notices at its
    /// next commit, and stops.
    pub fn reset(&mut self, position: XactId) {
        self.shelve();
        self.generation += 1;
        self.position = position;
        self.claim = None;
        self.attempts = 0;
        self.failure = None;
    }

    /// What the open run has committed and no manifest lists.
    pub fn listing(&self) -> Option<Listing> {
        let claim = self
            .claim
            .as_ref()
            .filter(|claim| !claim.files.is_empty())?;
        Some(Listing {
            generation: self.generation,
            run: claim.run.clone(),
            started_ms: claim.started_ms,
            after: claim.after,
            files: claim.files.clone(),
        })
    }

    /// Keeps what the open run has committed, for a manifest that is still to be written.
    pub fn shelve(&mut self) {
        self.unlisted.extend(self.listing());
    }

    /// Ends the open run, remembers what came of it, and lets go of the cursor.
    pub fn end_run(&mut self, ended_ms: i64, outcome: Outcome, requests: u64) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        match &outcome {
            Outcome::Done | Outcome::More => {
                self.succeeded_ms = Some(ended_ms);
                self.attempts = 0;
                self.failure = None;
            }
            Outcome::Failed { failure } => {
                self.attempts = self.attempts.saturating_add(1);
                self.failure = Some(failure.clone());
            }
            Outcome::Killed => {}
        }
        self.runs.push(Run {
            run: claim.run,
            started_ms: claim.started_ms,
            ended_ms,
            after: claim.after,
            through: self.position,
            counts: Counts::of(&claim.files),
            requests,
            outcome,
        });
        let surplus = self.runs.len().saturating_sub(RUNS_KEPT);
        self.runs.drain(..surplus);
    }

    /// Commits a file of the open run: the position moves to its last transaction. False if
    /// there is no such run any more.
    pub fn commit(&mut self, run: &str, file: File) -> bool {
        let Some(claim) = self.claim.as_mut().filter(|claim| claim.run == run) else {
            return false;
        };
        self.position = file.through;
        self.counts = self.counts.plus(Counts::of(std::slice::from_ref(&file)));
        claim.files.push(file);
        true
    }
}

/// A run at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its own name, which no other run has.
    pub run: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// Until when the cursor is its own, in milliseconds since 1970.
    pub until_ms: i64,
    /// Where it began.
    pub after: XactId,
    /// The files that it has committed.
    pub files: Vec<File>,
}

/// What a run has committed: what its manifest lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The generation of the cursor.
    pub generation: u32,
    /// The run's own name.
    pub run: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// Where it began.
    pub after: XactId,
    /// Its files.
    pub files: Vec<File>,
}

/// A committed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it lies.
    pub key: ObjectKey,
    /// The hour of its transactions.
    pub hour: Hour,
    /// The transaction before its first.
    pub after: XactId,
    /// Its last transaction; it holds all rows up to there that the source had.
    pub through: XactId,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the rows as the API gave them, without line breaks.
    pub raw_bytes: u64,
    /// Its bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// Counts of files, rows and bytes. They add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes of the rows as the API gave them.
    pub raw_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
}

impl Counts {
    /// The sums over files.
    pub fn of(files: &[File]) -> Self {
        files.iter().fold(Self::default(), |sum, file| {
            sum.plus(Self {
                files: 1,
                rows: file.rows,
                raw_bytes: file.raw_bytes,
                file_bytes: file.size,
            })
        })
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            rows: self.rows + other.rows,
            raw_bytes: self.raw_bytes + other.raw_bytes,
            file_bytes: self.file_bytes + other.file_bytes,
        }
    }
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its own name.
    pub run: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, or was found to have been killed, in milliseconds since 1970.
    pub ended_ms: i64,
    /// Where it began.
    pub after: XactId,
    /// Where the cursor stood at its end.
    pub through: XactId,
    /// What it wrote.
    pub counts: Counts,
    /// Requests that it made of the API; 0 where it was killed.
    pub requests: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// There is nothing more for the moment.
    Done,
    /// It stopped before its deadline, or within its share of requests, with more to do.
    More,
    /// Something went wrong. What it had committed stays.
    Failed {
        /// What.
        failure: RunFailure,
    },
    /// It never told its end. What it had committed stays.
    Killed,
}

/// What a run failed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// In the other side's words.
    #[serde(flatten)]
    pub failure: Failure,
    /// Who can mend it.
    pub fault: Fault,
    /// What to do.
    pub advice: String,
}

/// What a test of the way into the bucket gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayTest {
    /// When, in milliseconds since 1970.
    pub tested_ms: i64,
    /// Whether an object could be written.
    pub written: bool,
    /// Whether it could be deleted again. Exports need not delete, so a role may forbid it.
    pub deleted: bool,
    /// What was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> ExportCursor {
        ExportCursor::starting(
            OrgId::parse("org").unwrap(),
            ProjectId::parse("p").unwrap(),
            XactId::ZERO,
        )
    }

    fn claimed(run: &str) -> ExportCursor {
        let mut cursor = cursor();
        cursor.claim = Some(Claim {
            run: run.to_owned(),
            started_ms: 1,
            until_ms: 2,
            after: cursor.position,
            files: Vec::new(),
        });
        cursor
    }

    fn file(through: u64) -> File {
        File {
            key: ObjectKey::parse("a/b").unwrap(),
            hour: Hour::parse("2025-11-21T00").unwrap(),
            after: XactId::ZERO,
            through: XactId::new(through),
            rows: 2,
            raw_bytes: 10,
            size: 5,
            sha256: String::new(),
        }
    }

    #[test]
    fn only_the_run_at_work_commits() {
        let mut cursor = claimed("mine");
        assert!(!cursor.commit("another", file(9)));
        assert_eq!(cursor.position, XactId::ZERO);
        assert!(cursor.commit("mine", file(9)));
        assert_eq!((cursor.position, cursor.counts.rows), (XactId::new(9), 2));
        cursor.reset(XactId::new(3));
        assert!(!cursor.commit("mine", file(12)), "a rewind ends the run");
        assert_eq!((cursor.generation, cursor.position), (1, XactId::new(3)));
    }

    #[test]
    fn the_history_is_bounded_and_a_good_run_clears_the_failure() {
        let mut cursor = cursor();
        for number in 0..RUNS_KEPT + 5 {
            cursor.claim = claimed(&number.to_string()).claim;
            let failure = RunFailure {
                failure: Failure {
                    operation: "PutObject".to_owned(),
                    target: String::new(),
                    code: "AccessDenied".to_owned(),
                    message: String::new(),
                    request_id: String::new(),
                },
                fault: Fault::Customer,
                advice: String::new(),
            };
            cursor.end_run(5, Outcome::Failed { failure }, 1);
        }
        assert_eq!(cursor.runs.len(), RUNS_KEPT);
        assert_eq!(cursor.attempts as usize, RUNS_KEPT + 5);
        cursor.claim = claimed("good").claim;
        cursor.end_run(6, Outcome::Done, 1);
        assert_eq!((cursor.attempts, cursor.failure.clone()), (0, None));
        assert_eq!(cursor.succeeded_ms, Some(6));
    }
}

//! Surveys: which of the quiet automations have anything new at all.
//!
//! A quiet automation that is due waits until one of them has waited for its patience; then
//! one request asks about the projects of all that wait. So each gets an answer from after it
//! was due, and fifty quiet projects cost six requests an hour instead of fifty.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{Either, select};
use futures_util::pin_mut;
use sealift_core::Timestamp;
use sealift_core::document::Stored;
use sealift_core::export::budget::Budget;
use sealift_core::export::registry::RegistryError;
use sealift_core::export::source::{LogSource, SourceError};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy, EventBus, Failure, ObjectStore};

use crate::{Candidate, Dispatch};

/// What surveys found.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    /// Automations with something new.
    pub(crate) woken: Vec<Candidate>,
    /// Automations with nothing new.
    pub(crate) nothing_new: Vec<Candidate>,
    /// Automations that wait on.
    pub(crate) waiting: usize,
    /// Requests that were made.
    pub(crate) surveys: u32,
}

impl<S, L, B, C, E> Dispatch<S, L, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Asks about the quiet automations that are due, if one of them has waited long enough.
    pub(crate) async fn survey(
        &self,
        mut waiting: Vec<Candidate>,
        ledger: &mut Stored<Budget>,
        now_ms: i64,
        deadline: Timestamp,
    ) -> Result<Surveyed, RegistryError> {
        let mut surveyed = Surveyed::default();
        let longest_ms = self.longest_ms();
        let is_impatient = |candidate: &Candidate| {
            let waited_ms = now_ms.saturating_sub(candidate.entry.next_ms);
            waited_ms >= candidate.entry.patience_ms(longest_ms)
        };
        if !waiting.iter().any(is_impatient) {
            surveyed.waiting = waiting.len();
            return Ok(surveyed);
        }
        // A request has one bound for all of its projects. Those whose cursors are of about the
        // same age are asked about together, so that a project without any row does not have
        // the whole history of the others counted; and the automations of one project.
        let age = |candidate: &Candidate| age_of(candidate.entry.position, now_ms);
        waiting.sort_by(|a, b| (age(a), &a.entry.project_id).cmp(&(age(b), &b.entry.project_id)));
        let mut waiting = waiting.into_iter().peekable();
        while let Some(first) = waiting.peek() {
            let age_of_first = age(first);
            let mut projects: BTreeSet<ProjectId> = BTreeSet::new();
            let mut asked = Vec::new();
            while let Some(candidate) = waiting.next_if(|candidate| {
                age(candidate) == age_of_first
                    && (projects.contains(&candidate.entry.project_id)
                        || projects.len() < self.settings.projects_in_survey.max(1))
            }) {
                projects.insert(candidate.entry.project_id.clone());
                asked.push(candidate);
            }
            let mut budget = ledger.body.clone();
            if self.is_late(deadline) || !budget.take(1) || !self.save(ledger, budget).await? {
                surveyed.waiting += asked.len() + waiting.count();
                return Ok(surveyed);
            }
            surveyed.surveys += 1;
            self.ask(asked, &projects, &mut surveyed, deadline).await;
        }
        Ok(surveyed)
    }

    /// The longest that a quiet automation waits for a survey, in milliseconds.
    fn longest_ms(&self) -> i64 {
        i64::try_from(self.settings.patience.as_millis()).unwrap_or(i64::MAX / 2)
    }

    /// One request.
    async fn ask(
        &self,
        asked: Vec<Candidate>,
        projects: &BTreeSet<ProjectId>,
        surveyed: &mut Surveyed,
        deadline: Timestamp,
    ) {
        let positions = asked.iter().map(|candidate| candidate.entry.position);
        let after = positions.min().unwrap_or(XactId::ZERO);
        let projects: Vec<ProjectId> = projects.iter().cloned().collect();
        let answer = {
            let survey = self.source.survey(&projects, after);
            let limit = self.clock.sleep(self.until(deadline));
            pin_mut!(survey, limit);
            match select(survey, limit).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(SourceError::Transient(Failure {
                    operation: "Survey".to_owned(),
                    target: String::new(),
                    code: "OutOfTime".to_owned(),
                    message: "it had not been answered when the time of the call was over"
                        .to_owned(),
                    request_id: String::new(),
                })),
            }
        };
        match answer {
            Ok(found) => {
                let latest: BTreeMap<ProjectId, XactId> = found
                    .into_iter()
                    .map(|found| (found.project, found.latest))
                    .collect();
                for candidate in asked {
                    let latest = latest.get(&candidate.entry.project_id);
                    if latest.is_some_and(|latest| *latest > candidate.entry.position) {
                        surveyed.woken.push(candidate);
                    } else {
                        surveyed.nothing_new.push(candidate);
                    }
                }
            }
            // One project that the key may not read, or that is gone, would keep all others
            // from ever being asked about; each run finds out for itself.
            Err(error @ (SourceError::Denied(_) | SourceError::Invalid(_))) => {
                tracing::warn!(%error, "a survey was refused, so all of its automations are started: {error}");
                surveyed.woken.extend(asked);
            }
            Err(error) => {
                tracing::warn!(%error, "a survey failed, and is asked again in a minute: {error}");
                // What has waited for long is started without it: it may never be answered.
                let now_ms = self.now_ms();
                let (long, short): (Vec<_>, Vec<_>) = asked.into_iter().partition(|candidate| {
                    let waited_ms = now_ms.saturating_sub(candidate.entry.next_ms);
                    waited_ms >= 2 * candidate.entry.patience_ms(self.longest_ms())
                });
                surveyed.woken.extend(long);
                surveyed.waiting += short.len();
            }
        }
    }
}

/// How old a position is, roughly: up to a day, a week, two months, older.
fn age_of(position: XactId, now_ms: i64) -> u8 {
    let days = (now_ms / 1000 - i64::from(position.epoch_seconds())) / 86_400;
    match days {
        ..1 => 0,
        1..8 => 1,
        8..61 => 2,
        _ => 3,
    }
}

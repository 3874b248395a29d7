//! Surveys: which of the quiet automations have anything new at all.
//!
//! A quiet automation that is due waits until one of them has waited for its patience; then
//! one request asks about the projects of all that wait. So each gets an answer from after it
//! was due, and fifty quiet projects cost six requests an hour instead of fifty.

use std::collections::{BTreeMap, BTreeSet};

use sealift_core::Timestamp;
use sealift_core::document::Stored;
use sealift_core::export::budget::Budget;
use sealift_core::export::registry::RegistryError;
use sealift_core::export::source::{LogSource, SourceError};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};

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
        let longest_ms = i64::try_from(self.settings.patience.as_millis()).unwrap_or(i64::MAX);
        let is_impatient = |candidate: &Candidate| {
            let waited_ms = now_ms.saturating_sub(candidate.entry.next_ms);
            waited_ms >= candidate.entry.patience_ms(longest_ms)
        };
        if !waiting.iter().any(is_impatient) {
            surveyed.waiting = waiting.len();
            return Ok(surveyed);
        }
        // By project, so that the automations of one are asked about together.
        waiting.sort_by(|a, b| a.entry.project_id.cmp(&b.entry.project_id));
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            let mut projects: BTreeSet<ProjectId> = BTreeSet::new();
            let mut asked = Vec::new();
            while let Some(candidate) = waiting.next_if(|candidate| {
                projects.contains(&candidate.entry.project_id)
                    || projects.len() < self.settings.projects_in_survey.max(1)
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
            self.ask(asked, &projects, &mut surveyed).await;
        }
        Ok(surveyed)
    }

    /// One request.
    async fn ask(
        &self,
        asked: Vec<Candidate>,
        projects: &BTreeSet<ProjectId>,
        surveyed: &mut Surveyed,
    ) {
        let positions = asked.iter().map(|candidate| candidate.entry.position);
        let after = positions.min().unwrap_or(XactId::ZERO);
        let projects: Vec<ProjectId> = projects.iter().cloned().collect();
        match self.source.survey(&projects, after).await {
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
                surveyed.waiting += asked.len();
            }
        }
    }
}

//! How much there is to export at the beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use project_fanout::Situation;
use sealift_core::Timestamp;
use sealift_core::export::message::Start;
use sealift_core::export::source::{LogSource, SourceError};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::Clock;
use sealift_core::provision::plan::Action;
use serde::Serialize;

/// Projects that one request asks about.
const PROJECTS_AT_ONCE: usize = 50;

/// How long is waited where the API does not say.
const A_MINUTE: Duration = Duration::from_mins(1);

/// Where the exports start that are to be created.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    /// Projects, by where their exports start; those that start now have no history.
    behind: BTreeMap<XactId, Vec<ProjectId>>,
    /// Projects whose exports start as the settings say.
    pub(super) older: usize,
    /// Projects that are new, whose exports start with their first row.
    pub(super) new: usize,
}

impl Beginnings {
    /// The requests that it takes to ask about them.
    pub(super) fn requests(&self) -> usize {
        let each = self.behind.values();
        each.map(|some| some.len().div_ceil(PROJECTS_AT_ONCE)).sum()
    }
}

/// What lies behind the starts.
#[derive(Debug, Serialize)]
pub(super) struct History {
    /// Rows.
    pub(super) rows: u64,
    /// Projects that have any.
    pub(super) projects: usize,
    /// Requests that the question took.
    pub(super) requests: u64,
}

/// Where each export starts, of those that are to be created: as it will be written down.
pub(super) fn beginnings(situation: &Situation, now: Timestamp) -> anyhow::Result<Beginnings> {
    let of_older = situation.settings.start.position(now)?;
    let projects: BTreeMap<_, _> = situation.projects.iter().map(|p| (&p.id, p)).collect();
    let mut beginnings = Beginnings::default();
    let mut last = None;
    for step in &situation.plan.steps {
        // One project may get several, which lie side by side in the plan.
        if step.action != Action::Create || last.replace(&step.project) == Some(&step.project) {
            continue;
        }
        let Some(project) = projects.get(&step.project) else {
            continue;
        };
        let ledger = &situation.ledger;
        let start = ledger.start_of(project, of_older, now.as_millisecond());
        // It is not told by the position: the settings may say `0` as well.
        let is_new = ledger.is_new(project, now.as_millisecond());
        let count = match is_new {
            true => &mut beginnings.new,
            false => &mut beginnings.older,
        };
        *count += 1;
        if is_new || situation.settings.start != Start::Now {
            let behind = beginnings.behind.entry(start).or_default();
            behind.push(step.project.clone());
        }
    }
    Ok(beginnings)
}

/// Asks the API.
pub(super) async fn ask(
    source: &impl LogSource,
    beginnings: &Beginnings,
    clock: &impl Clock,
) -> anyhow::Result<History> {
    let before = source.requests();
    let (mut rows, mut projects) = (0, 0);
    for (start, asked) in &beginnings.behind {
        for some in asked.chunks(PROJECTS_AT_ONCE) {
            let surveyed = loop {
                match source.survey(some, *start).await {
                    // The API's rate is what it is: it takes a while.
                    Err(SourceError::Throttled { retry_after, .. }) => {
                        clock.sleep(retry_after.unwrap_or(A_MINUTE)).await;
                    }
                    other => break other?,
                }
            };
            for surveyed in surveyed {
                rows += surveyed.rows;
                projects += usize::from(surveyed.rows > 0);
            }
        }
    }
    let requests = source.requests() - before;
    Ok(History {
        rows,
        projects,
        requests,
    })
}

//! How much there is to export at the beginning.

use std::time::Duration;

use project_fanout::Situation;
use sealift_core::export::message::Start;
use sealift_core::export::source::{LogSource, SourceError};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::Clock;
use sealift_core::provision::plan::Action;
use serde::Serialize;

/// Projects that one request asks about.
pub(super) const PROJECTS_AT_ONCE: usize = 50;

/// How long is waited where the API does not say.
const A_MINUTE: Duration = Duration::from_mins(1);

/// What lies behind the start.
#[derive(Debug, Serialize)]
pub(super) struct History {
    /// Rows.
    pub(super) rows: u64,
    /// Projects that have any.
    pub(super) projects: usize,
    /// Requests that the question took.
    pub(super) requests: u64,
}

/// The projects whose exports are to be created.
pub(super) fn new_projects(situation: &Situation) -> Vec<ProjectId> {
    let steps = situation.plan.steps.iter();
    let mut projects: Vec<ProjectId> = steps
        .filter(|step| step.action == Action::Create)
        .map(|step| step.project.clone())
        .collect();
    projects.dedup();
    projects
}

/// Asks the API.
pub(super) async fn ask(
    source: &impl LogSource,
    situation: &Situation,
    clock: &impl Clock,
) -> anyhow::Result<History> {
    let start: XactId = situation.settings.start.position(clock.now())?;
    let before = source.requests();
    let (mut rows, mut projects) = (0, 0);
    let mut asked = new_projects(situation);
    if situation.settings.start == Start::Now {
        asked.clear();
    }
    for some in asked.chunks(PROJECTS_AT_ONCE) {
        let surveyed = loop {
            match source.survey(some, start).await {
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
    let requests = source.requests() - before;
    Ok(History {
        rows,
        projects,
        requests,
    })
}

//! What `sealift projects status` shows.

use std::io::Write;

use futures_util::{StreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::document::DocumentError;
use sealift_core::export::cursor::Outcome;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::ports::{Entropy, ObjectStore};
use sealift_core::provision::ledger::{Ledger, Provisioned};
use serde_json::json;

use super::plan::table;
use crate::text::{count, printable};

/// Automations that are read at once.
const AT_ONCE: usize = 16;

/// Prints all projects that have automations.
pub(super) async fn print<S: ObjectStore, E: Entropy>(
    registry: &Registry<S, E>,
    as_json: bool,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let ledger = Ledger::place().load(&registry.store).await?;
    let ledger = ledger.map(|read| read.body).unwrap_or_default();
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut asked = Vec::new();
    for (project, known) in &ledger.projects {
        for (template, provisioned) in &known.automations {
            asked.push(async move {
                let line = one(registry, provisioned, now).await;
                (project, known, template, provisioned, line)
            });
        }
    }
    let mut read = stream::iter(asked).buffered(AT_ONCE);
    while let Some((project, known, template, provisioned, line)) = read.next().await {
        let line = line?;
        let failure = known.failures.get(template);
        if as_json {
            let document = json!({
                "project_id": project,
                "slug": known.slug,
                "template": template,
                "automation_id": provisioned.id,
                "state": line.state,
                "last_success": line.success,
                "rows": line.rows,
                "lag_seconds": line.lag_seconds,
                "failure": line.failure.as_ref().or(failure),
            });
            writeln!(out, "{document}")?;
            continue;
        }
        let dash = || "-".to_owned();
        rows.push([
            known.slug.clone(),
            printable(template),
            provisioned.id.to_string(),
            line.state,
            line.success.unwrap_or_else(dash),
            line.rows.to_string(),
            line.lag_seconds.map_or_else(dash, lag),
        ]);
        let failure = line.failure.as_ref().or(failure);
        wrong.extend(failure.map(|failure| format!("{}: {}", provisioned.id, printable(failure))));
    }
    if as_json {
        return Ok(());
    }
    if rows.is_empty() {
        writeln!(
            out,
            "no project has an automation yet; `sealift projects plan` shows what the next sweep does"
        )?;
        return Ok(());
    }
    let head = [
        "project",
        "template",
        "automation",
        "state",
        "last success",
        "rows",
        "lag",
    ];
    table(head, &rows, out)?;
    if !wrong.is_empty() {
        writeln!(out)?;
    }
    for line in wrong {
        writeln!(out, "{line}")?;
    }
    let projects = u64::try_from(ledger.projects.len())?;
    writeln!(out, "\n{}", count(projects, "project"))?;
    Ok(())
}

struct Line {
    state: String,
    success: Option<String>,
    rows: u64,
    /// How far the exports are behind: since the last run that caught up, or since where the
    /// cursor stands.
    lag_seconds: Option<i64>,
    failure: Option<String>,
}

async fn one<S: ObjectStore, E: Entropy>(
    registry: &Registry<S, E>,
    provisioned: &Provisioned,
    now: Timestamp,
) -> Result<Line, RegistryError> {
    let nothing = |state: &str| Line {
        state: state.to_owned(),
        success: None,
        rows: 0,
        lag_seconds: None,
        failure: None,
    };
    if !provisioned.done {
        return Ok(nothing("not registered yet"));
    }
    let read = async {
        let automation = registry.automation(&provisioned.id).await?;
        Ok((automation, registry.cursor(&provisioned.id).await?.body))
    };
    let (automation, cursor) = match read.await {
        Ok(read) => read,
        Err(RegistryError::Unknown(_)) => return Ok(nothing("deleted by hand")),
        // One that is damaged does not hide the others.
        Err(error @ RegistryError::Document(DocumentError::Unreadable { .. })) => {
            let failure = Some(error.to_string());
            return Ok(Line {
                failure,
                ..nothing("unreadable")
            });
        }
        Err(error) => return Err(error),
    };
    let state = match (provisioned.stopped, automation.is_active(), &cursor.failure) {
        (true, ..) => "stopped: project gone",
        (_, false, _) => "paused",
        (_, _, Some(_)) => "failing",
        (_, _, None) if cursor.succeeded_ms.is_none() => "not run yet",
        _ => "active",
    };
    let failure = cursor.failure.as_ref();
    // A run that had nothing more to do has caught up, however old the last row is.
    let caught_up = matches!(cursor.runs.last(), Some(run) if run.outcome == Outcome::Done);
    let behind_since = match cursor.succeeded_ms {
        Some(ms) if caught_up => Some(ms / 1000),
        _ if cursor.counts.rows > 0 => Some(i64::from(cursor.position.epoch_seconds())),
        _ => None,
    };
    Ok(Line {
        state: state.to_owned(),
        success: cursor.succeeded_ms.map(crate::export::time),
        rows: cursor.counts.rows,
        lag_seconds: behind_since.map(|since| (now.as_second() - since).max(0)),
        failure: failure.map(|failure| format!("{} {}", failure.failure, failure.advice)),
    })
}

/// `3 h 20 min`
fn lag(seconds: i64) -> String {
    let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3600);
    let (minutes, rest) = (seconds % 3600 / 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

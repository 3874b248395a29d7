//! What `sealift export status` shows.

use std::io::Write;

use anyhow::bail;
use sealift_core::Timestamp;
use sealift_core::export::automation::{Automation, ExportDefinition, Format as Files};
use sealift_core::export::cursor::{ExportCursor, Outcome, Run, RunFailure};
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::timetable::Entry;
use sealift_core::id::{AutomationId, XactId};
use sealift_core::ports::{Entropy, ObjectStore};
use serde_json::json;

use crate::text::{bytes, count, printable};

/// Runs that are shown.
const RUNS_SHOWN: usize = 5;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    People,
    /// For programs.
    Json,
}

impl Format {
    pub(super) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::People }
    }
}

/// Prints automations, all if none is named.
pub(super) async fn print<S: ObjectStore, E: Entropy>(
    registry: &Registry<S, E>,
    ids: &[AutomationId],
    format: Format,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let ids = if ids.is_empty() {
        registry.list().await?
    } else {
        ids.to_vec()
    };
    if ids.is_empty() && format == Format::People {
        writeln!(out, "there are no automations")?;
    }
    let mut unreadable = 0;
    for (number, id) in ids.iter().enumerate() {
        let read = async {
            let automation = registry.automation(id).await?;
            let cursor = registry.cursor(id).await?.body;
            Ok::<_, RegistryError>((automation, cursor, registry.entry(id).await?))
        };
        let (automation, cursor, entry) = match read.await {
            Ok(read) => read,
            // One document that is damaged does not hide the others.
            Err(error) if ids.len() > 1 => {
                unreadable += 1;
                writeln!(out, "{id}  cannot be shown: {error}")?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match format {
            Format::Json => {
                let document =
                    json!({"automation": automation, "cursor": cursor, "timetable": entry});
                writeln!(out, "{document}")?;
            }
            Format::People => {
                if number > 0 {
                    writeln!(out)?;
                }
                one(&automation, &cursor, entry.as_ref(), now, out)?;
            }
        }
    }
    match unreadable {
        0 => Ok(()),
        _ => bail!("{} cannot be shown", count(unreadable, "automation")),
    }
}

fn one(
    automation: &Automation,
    cursor: &ExportCursor,
    entry: Option<&Entry>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out, "{}  {}", automation.id, printable(&automation.name))?;
    let mut row = |name: &str, text: String| writeln!(out, "  {name:<10} {text}");
    row("exports", exports(automation))?;
    row("state", state(automation, cursor, entry, now))?;
    row("position", position(cursor))?;
    let counts = cursor.counts;
    row(
        "so far",
        format!(
            "{} in {}, {} of rows in {}",
            count(counts.rows, "row"),
            count(counts.files, "file"),
            bytes(counts.raw_bytes),
            bytes(counts.file_bytes)
        ),
    )?;
    if let Some(test) = &cursor.tested {
        let verdict = match (test.written, test.deleted) {
            (true, true) => "an object could be written and deleted",
            (true, false) => {
                "an object could be written, and not be deleted: _sealift-test.txt stays (exports need not delete)"
            }
            (false, _) => "no object could be written",
        };
        row("tested", format!("{}: {verdict}", time(test.tested_ms)))?;
        let told =
            |failure: &&RunFailure| !test.written && cursor.failure.as_ref() != Some(*failure);
        if let Some(failure) = test.failure.as_ref().filter(told) {
            wrong(failure, &mut row)?;
        }
    }
    for run in cursor.runs.iter().rev().take(RUNS_SHOWN) {
        row("run", run_text(run))?;
    }
    if let Some(failure) = &cursor.failure {
        wrong(failure, &mut row)?;
    }
    Ok(())
}

fn wrong(
    failure: &RunFailure,
    row: &mut impl FnMut(&str, String) -> std::io::Result<()>,
) -> std::io::Result<()> {
    row("failure", printable(&failure.failure.to_string()))?;
    row("to do", failure.advice.clone())
}

fn exports(automation: &Automation) -> String {
    let config = &automation.config;
    let what = match &config.export_definition {
        ExportDefinition::LogTraces {} => "traces",
        ExportDefinition::LogSpans {} => "spans",
        ExportDefinition::BtqlQuery { .. } => "a query",
    };
    let format = match config.format {
        Files::Jsonl => "JSON Lines",
        Files::Parquet => "Parquet",
    };
    let (project, path) = (&automation.project_id, printable(&config.export_path));
    format!(
        "{what} of project {project} as {format} to {path}, every {} s",
        config.interval_seconds
    )
}

fn state(
    automation: &Automation,
    cursor: &ExportCursor,
    entry: Option<&Entry>,
    now: Timestamp,
) -> String {
    if !automation.is_active() {
        return "paused".to_owned();
    }
    let next = match entry {
        None => "not in the timetable: create it again to complete it".to_owned(),
        Some(entry) if entry.next_ms <= now.as_millisecond() => "due".to_owned(),
        Some(entry) => format!("due at {}", time(entry.next_ms)),
    };
    let last = match cursor.succeeded_ms {
        None => "no run has ended well yet".to_owned(),
        Some(ms) => format!("last ended well at {}", time(ms)),
    };
    match (&cursor.claim, cursor.attempts) {
        (Some(claim), _) if claim.until_ms > now.as_millisecond() => {
            format!("running since {}; {last}", time(claim.started_ms))
        }
        (_, 0) => format!("{next}; {last}"),
        (_, attempts) => format!(
            "failing, {} in a row; {next}; {last}",
            count(attempts.into(), "run")
        ),
    }
}

fn position(cursor: &ExportCursor) -> String {
    let at = match cursor.position {
        XactId::ZERO => "before the first row".to_owned(),
        position => format!(
            "behind transaction {position} of {}",
            time(i64::from(position.epoch_seconds()) * 1000)
        ),
    };
    match cursor.generation {
        0 => at,
        generation => format!("{at}, generation {generation}"),
    }
}

fn run_text(run: &Run) -> String {
    let took_ms = run.ended_ms.saturating_sub(run.started_ms);
    let outcome = match &run.outcome {
        Outcome::Done => "done",
        Outcome::More => "to be continued",
        Outcome::Failed { .. } => "failed",
        // When it ended, and what it had asked for by then, nobody knows.
        Outcome::Killed => {
            let (rows, files) = (
                count(run.counts.rows, "row"),
                count(run.counts.files, "file"),
            );
            return format!("{} killed: {rows} in {files}", time(run.started_ms));
        }
    };
    format!(
        "{} {outcome}: {} in {}, {}, {:.1} s",
        time(run.started_ms),
        count(run.counts.rows, "row"),
        count(run.counts.files, "file"),
        count(run.requests, "request"),
        // Milliseconds of a run are far below what a double holds.
        std::time::Duration::from_millis(u64::try_from(took_ms).unwrap_or(0)).as_secs_f64()
    )
}

/// A time to the second, in UTC.
pub(crate) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| "?".to_owned(),
        |time| {
            Timestamp::from_second(time.as_second())
                .map_or_else(|_| "?".to_owned(), |t| t.to_string())
        },
    )
}

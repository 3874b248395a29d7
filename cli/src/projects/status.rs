//! What `sealift projects status` shows.

use std::io::Write;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sealift_core::Timestamp;
use sealift_core::document::DocumentError;
use sealift_core::export::cursor::Outcome;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::source::SourceError;
use sealift_core::id::ProjectId;
use sealift_core::ports::{Clock, Entropy, ObjectStore};
use sealift_core::provision::ledger::{Known, Ledger, Provisioned};
use sealift_core::provision::mode::Mode;
use sealift_core::provision::remote::{Remote, Standing};
use serde_json::{Value, json};

use super::plan::table;
use crate::text::{count, printable};

/// Automations that are read at once.
const AT_ONCE: usize = 16;

/// How long is waited where the API does not say.
const A_MINUTE: Duration = Duration::from_mins(1);

/// One automation.
struct Line {
    state: String,
    success: Option<String>,
    /// Unknown of those that Braintrust runs.
    rows: Option<u64>,
    /// How far the exports are behind: since the last run that caught up, or since where the
    /// cursor stands.
    lag_seconds: Option<i64>,
    failure: Option<String>,
    /// What Braintrust's data plane tells.
    standing: Option<Standing>,
}

impl Line {
    fn of(state: &str) -> Self {
        Self {
            state: state.to_owned(),
            success: None,
            rows: None,
            lag_seconds: None,
            failure: None,
            standing: None,
        }
    }
}

/// Prints all projects that have automations.
pub(super) async fn print<S: ObjectStore, E: Entropy, R: Remote>(
    registry: &Registry<S, E>,
    remote: Option<&R>,
    as_json: bool,
    clock: &impl Clock,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let ledger = Ledger::place().load(&registry.store).await?;
    let ledger = ledger.map(|read| read.body).unwrap_or_default();
    let now = clock.now();
    let mut asked = Vec::new();
    for (project, known) in &ledger.projects {
        for (template, provisioned) in &known.automations {
            asked.push(async move {
                let line = match provisioned.mode {
                    Mode::SelfRun => Some(one(registry, provisioned, now).await),
                    Mode::Managed => None,
                };
                (project, known, template, provisioned, line)
            });
        }
    }
    let mut read = stream::iter(asked).buffered(AT_ONCE);
    let mut printed = Printed::default();
    while let Some((project, known, template, provisioned, line)) = read.next().await {
        let line = match line {
            Some(line) => line?,
            // One after the other: the API's requests are few.
            None => managed(remote, project, provisioned, clock).await?,
        };
        let shown = Shown {
            project,
            known,
            template,
            provisioned,
            line,
        };
        if as_json {
            writeln!(out, "{}", shown.json())?;
        } else {
            printed.add(shown);
        }
    }
    if as_json {
        return Ok(());
    }
    printed.table(ledger.projects.len(), out)
}

/// One automation, and whose it is.
struct Shown<'a> {
    project: &'a ProjectId,
    known: &'a Known,
    template: &'a str,
    provisioned: &'a Provisioned,
    line: Line,
}

impl Shown<'_> {
    fn failure(&self) -> Option<&String> {
        let told = self.known.failures.get(self.template);
        self.line.failure.as_ref().or(told)
    }

    fn json(&self) -> Value {
        let line = &self.line;
        let mut document = json!({
            "project_id": self.project,
            "slug": self.known.slug,
            "template": self.template,
            "automation_id": self.provisioned.automation(),
            "mode": self.provisioned.mode,
            "state": line.state,
            "last_success": line.success,
            "rows": line.rows,
            "lag_seconds": line.lag_seconds,
            "failure": self.failure(),
        });
        if let (Some(standing), Some(document)) = (&line.standing, document.as_object_mut()) {
            let told = json!({
                "due": standing.due,
                "errors": standing.errors,
                "pending_segments": standing.pending,
                "last_run": standing.last_run,
                "next_run": standing.next_run,
                "last_error": standing.last_error,
            });
            document.insert("data_plane".to_owned(), told);
        }
        document
    }
}

/// The table in the making.
#[derive(Default)]
struct Printed {
    rows: Vec<[String; 8]>,
    wrong: Vec<String>,
}

impl Printed {
    fn add(&mut self, shown: Shown<'_>) {
        let automation = shown.provisioned.automation();
        let failure = shown.failure();
        let failure = failure.map(|failure| format!("{automation}: {}", printable(failure)));
        self.wrong.extend(failure);
        let dash = || "-".to_owned();
        let line = shown.line;
        self.rows.push([
            shown.known.slug.clone(),
            printable(shown.template),
            automation.to_string(),
            shown.provisioned.mode.to_string(),
            line.state,
            line.success.as_deref().map_or_else(dash, printable),
            line.rows.map_or_else(dash, |rows| rows.to_string()),
            line.lag_seconds.map_or_else(dash, lag),
        ]);
    }

    fn table(self, projects: usize, out: &mut impl Write) -> anyhow::Result<()> {
        if self.rows.is_empty() {
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
            "mode",
            "state",
            "last success",
            "rows",
            "lag",
        ];
        table(head, &self.rows, out)?;
        if !self.wrong.is_empty() {
            writeln!(out)?;
        }
        for line in self.wrong {
            writeln!(out, "{line}")?;
        }
        let projects = u64::try_from(projects)?;
        writeln!(out, "\n{}", count(projects, "project"))?;
        Ok(())
    }
}

/// One that Braintrust runs, as its data plane tells.
async fn managed<R: Remote>(
    remote: Option<&R>,
    project: &ProjectId,
    provisioned: &Provisioned,
    clock: &impl Clock,
) -> anyhow::Result<Line> {
    let Some(id) = provisioned.remote.as_ref().filter(|_| provisioned.done) else {
        return Ok(Line::of("not registered yet"));
    };
    let gone = match provisioned.stopped {
        true => ", project gone",
        false => "",
    };
    let Some(remote) = remote.filter(|remote| remote.has_cursors()) else {
        // Without a key, or where an older data plane tells nothing.
        return Ok(Line::of(&format!("registered{gone}")));
    };
    let standing = loop {
        match remote.standing(id, project).await {
            // The API's rate is what it is: it takes a while.
            Err(SourceError::Throttled { retry_after, .. }) => {
                clock.sleep(retry_after.unwrap_or(A_MINUTE)).await;
            }
            Err(error @ SourceError::Denied(_)) if error.failure().code == "HTTP 401" => {
                return Err(error.into());
            }
            // One that is not there any more, which the API may also call forbidden, does not hide
            // the others.
            Err(SourceError::Invalid(failure) | SourceError::Denied(failure)) => {
                return Ok(Line {
                    failure: Some(failure.to_string()),
                    ..Line::of(&format!("not to be seen{gone}"))
                });
            }
            other => break other?,
        }
    };
    let state = match standing.registered() {
        _ if standing.errors > 0 || standing.last_error.is_some() => "failing",
        Some(false) => "without a cursor",
        _ if standing.due > 0 => "due",
        _ => "active",
    };
    // What is stored and not exported; where there is nothing of it, all is exported.
    let behind = match (standing.pending, standing.pending_from) {
        (0, _) => standing.registered().filter(|is| *is).map(|_| 0),
        (_, Some(first)) => {
            let since = i64::from(first.epoch_seconds());
            Some((clock.now().as_second() - since).max(0))
        }
        (_, None) => None,
    };
    Ok(Line {
        success: standing.last_run.clone(),
        lag_seconds: behind,
        failure: standing.last_error.clone(),
        standing: Some(standing),
        ..Line::of(&format!("{state}{gone}"))
    })
}

/// One that Sealift runs.
async fn one<S: ObjectStore, E: Entropy>(
    registry: &Registry<S, E>,
    provisioned: &Provisioned,
    now: Timestamp,
) -> Result<Line, RegistryError> {
    if !provisioned.done {
        return Ok(Line::of("not registered yet"));
    }
    let read = async {
        let automation = registry.automation(&provisioned.id).await?;
        Ok((automation, registry.cursor(&provisioned.id).await?.body))
    };
    let (automation, cursor) = match read.await {
        Ok(read) => read,
        Err(RegistryError::Unknown(_)) => return Ok(Line::of("deleted by hand")),
        // One that is damaged does not hide the others.
        Err(error @ RegistryError::Document(DocumentError::Unreadable { .. })) => {
            let failure = Some(error.to_string());
            return Ok(Line {
                failure,
                ..Line::of("unreadable")
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
        success: cursor.succeeded_ms.map(crate::export::time),
        rows: Some(cursor.counts.rows),
        lag_seconds: behind_since.map(|since| (now.as_second() - since).max(0)),
        failure: failure.map(|failure| format!("{} {}", failure.failure, failure.advice)),
        ..Line::of(state)
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

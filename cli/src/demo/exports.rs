//! The demo's exports: real log rows in the embedded Braintrust, exported three ways.
//!
//! For each project of the rows there are three automations: the spans as Parquet, the traces
//! as Parquet, and the spans as JSON Lines, each into its own folder of the stack's own
//! bucket.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use sealift_aws::SystemClock;
use sealift_core::export::automation::Automation;
use sealift_core::export::name::hour_of;
use sealift_core::id::{AutomationId, OrgId, ProjectId, XactId};
use sealift_core::ports::Clock;
use sealift_core::provision::ledger::Ledger;
use serde::Deserialize;
use serde_json::{Value, json};

use super::input::{Lines, lines_of, open_lines};
use crate::stack::Stack;
use crate::stack::platform::{Platform, RowFiles};

mod files;
mod report;
mod story;
mod verify;

/// The committed excerpt of real rows.
const EXCERPT: &[u8] = include_bytes!("../../../events/corpus/spans.jsonl.gz");

/// What the excerpt's project is called.
const EXCERPT_PROJECT: &str = "Grade school math";

/// How long the exports may take on the stack's clock.
const LIMIT: Duration = Duration::from_hours(12);

/// The rows that the demo exports.
#[derive(Debug)]
pub(super) struct Rows {
    /// The file; the excerpt if there is none.
    file: Option<PathBuf>,
    organization: OrgId,
    /// The projects' names and numbers of rows.
    projects: BTreeMap<ProjectId, (String, u64)>,
}

/// What the demo needs of a row. All of it stands in every row of Braintrust's logs.
#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "_xact_id")]
    transaction: XactId,
    org_id: OrgId,
    project_id: ProjectId,
    #[serde(rename = "_pagination_key")]
    _pagination_key: String,
    #[serde(rename = "root_span_id")]
    _root_span_id: String,
}

/// One automation of the demo.
#[derive(Debug, Clone)]
struct Way {
    id: AutomationId,
    project: ProjectId,
    /// The folder below the bucket: `braintrust/<slug>/spans`.
    folder: String,
    what: What,
}

/// What is exported, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Spans,
    Traces,
    SpansAsLines,
}

impl What {
    const ALL: [Self; 3] = [Self::Spans, Self::Traces, Self::SpansAsLines];

    fn folder(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Traces => "traces",
            Self::SpansAsLines => "spans-jsonl",
        }
    }

    fn definition(self) -> (&'static str, &'static str) {
        match self {
            Self::Spans => ("log_spans", "parquet"),
            Self::Traces => ("log_traces", "parquet"),
            Self::SpansAsLines => ("log_spans", "jsonl"),
        }
    }
}

impl Rows {
    /// Reads the file once, to know its projects and that all of it can be used. `name` is what
    /// a single project is called.
    pub(super) fn survey(file: Option<PathBuf>, name: Option<&str>) -> anyhow::Result<Self> {
        let from = name_of(file.as_deref());
        let latest = XactId::before(SystemClock.now());
        let mut organization = None;
        let mut counts: BTreeMap<ProjectId, u64> = BTreeMap::new();
        let mut ids = HashSet::new();
        for (number, line) in (1_u64..).zip(Self::lines(file.as_deref())?) {
            let line = line?;
            let head: Head = serde_json::from_str(&line).map_err(|error| {
                anyhow!("row {number} of {from} is no row of Braintrust's logs: {error}")
            })?;
            let known = organization.get_or_insert_with(|| head.org_id.clone());
            if *known != head.org_id {
                bail!(
                    "row {number} of {from} is of organization {}, and those before it of {known}: \
                     a stack serves one",
                    head.org_id
                );
            }
            if head.transaction > latest || hour_of(head.transaction).is_none() {
                bail!(
                    "row {number} of {from} was written by transaction {}, which is no time of the past",
                    head.transaction
                );
            }
            if !ids.insert((head.project_id.clone(), head.id.clone())) {
                bail!(
                    "row {number} of {from} has the id {:?} of one before it: give only the latest \
                     version of each row, the one with the greatest _xact_id, as the API does",
                    head.id
                );
            }
            *counts.entry(head.project_id).or_default() += 1;
        }
        let organization = organization.with_context(|| format!("{from} holds no rows"))?;
        let only = counts.len() == 1;
        let named = |id: &ProjectId| match (name, &file) {
            (Some(name), _) if only => name.to_owned(),
            (None, None) => EXCERPT_PROJECT.to_owned(),
            (_, Some(_)) if only => {
                format!(
                    "Project {}",
                    id.as_str().chars().take(8).collect::<String>()
                )
            }
            _ => format!("Project {id}"),
        };
        let projects = counts
            .into_iter()
            .map(|(id, count)| (id.clone(), (named(&id), count)))
            .collect();
        Ok(Self {
            file,
            organization,
            projects,
        })
    }

    /// Puts the rows into the folder, for the embedded Braintrust, which has no projects yet.
    pub(super) fn put_into(&self, data: &Path) -> anyhow::Result<()> {
        let mut files = RowFiles::new(data);
        for line in Self::lines(self.file.as_deref())? {
            let line = line?;
            let head: Head = serde_json::from_str(&line)?;
            files.add(&head.project_id, &line)?;
        }
        files.finish()?;
        Platform {
            organization: self.organization.clone(),
            projects: BTreeMap::new(),
        }
        .save(data)
    }

    fn lines(file: Option<&Path>) -> anyhow::Result<Lines> {
        match file {
            Some(file) => open_lines(file),
            None => lines_of(Box::new(EXCERPT), name_of(None)),
        }
    }

    /// What they are, for people.
    pub(super) fn name(&self) -> String {
        name_of(self.file.as_deref())
    }

    fn count(&self) -> u64 {
        self.projects.values().map(|(_, count)| count).sum()
    }
}

fn name_of(file: Option<&Path>) -> String {
    file.map_or_else(
        || "real log rows, part of the program".to_owned(),
        |file| file.display().to_string(),
    )
}

/// Exports the rows, checks what lies in the bucket, and tells.
pub(super) async fn run(
    stack: &Stack,
    data: &Path,
    rows: &Rows,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    story::create_projects(stack, data, rows).await?;
    let ways = register(stack, rows).await?;
    let limit = stack.now().checked_add(LIMIT)?;
    stack.run_exports(limit).await?;
    let registry = stack.automations();
    let mut exported = Vec::new();
    for way in &ways {
        let cursor = registry.cursor(&way.id).await?.body;
        if let Some(failure) = cursor.failure {
            bail!(
                "the export to {} failed: {} {}",
                way.folder,
                failure.failure,
                failure.advice
            );
        }
        let found = files::read(data, stack.export_bucket.as_str(), way)?;
        exported.push((way.clone(), cursor.counts, found));
    }
    let evidence = story::evidence(data, rows)?;
    report::print(out, stack, data, rows, &exported)?;
    story::print(out, data, &evidence)?;
    verify::compare(rows, &exported)?;
    let (count, ways) = (rows.count(), ways.len());
    writeln!(
        out,
        "\nAll {count} rows lie in the bucket, each once, in the hour of its transaction, by {ways} automations.\n\
         See what they did, run and control them: sealift export status --data {}",
        data.display()
    )?;
    Ok(())
}

/// Three automations for each project, from the first row on: two by hand, and the one that the
/// project has got by itself.
async fn register(stack: &Stack, rows: &Rows) -> anyhow::Result<Vec<Way>> {
    let registry = stack.automations();
    let ledger = Ledger::place().load(&stack.state_store()).await?;
    let ledger = ledger.context("no project has an automation")?.body;
    let now_ms = stack.now().as_millisecond();
    let mut ways = Vec::new();
    for (project, (name, _)) in &rows.projects {
        let known = ledger.projects.get(project);
        let known = known.with_context(|| format!("{name} has no automation"))?;
        let slug = &known.slug;
        for what in What::ALL {
            let folder = format!("braintrust/{slug}/{}", what.folder());
            if what == What::Traces {
                let provisioned = known.automations.values().next();
                let id = provisioned
                    .with_context(|| format!("{name} has no automation"))?
                    .id
                    .clone();
                ways.push(Way {
                    id,
                    project: project.clone(),
                    folder,
                    what,
                });
                continue;
            }
            let id = AutomationId::parse(format!("{slug}-{}", what.folder()))?;
            let automation = Automation {
                id: id.clone(),
                organization: rows.organization.clone(),
                project_id: project.clone(),
                name: format!("{name}: {}", what.folder()),
                description: None,
                created_ms: now_ms,
                config: serde_json::from_value(config(stack, what, &folder))?,
                bucket_owner: None,
            };
            registry.register(&automation, XactId::ZERO, now_ms).await?;
            ways.push(Way {
                id,
                project: project.clone(),
                folder,
                what,
            });
        }
    }
    Ok(ways)
}

/// Braintrust's own configuration.
fn config(stack: &Stack, what: What, folder: &str) -> Value {
    let (definition, format) = what.definition();
    json!({
        "event_type": "btql_export",
        "export_definition": {"type": definition},
        "export_path": format!("s3://{}/{folder}", stack.export_bucket),
        "format": format,
        "interval_seconds": 3600,
        "credentials": {
            "type": "aws_iam",
            "role_arn": stack.export_role,
            "external_id": what.folder(),
        },
    })
}

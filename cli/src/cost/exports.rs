//! What a GB of rows costs that an export carries into a bucket.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use sealift_core::export::automation::Automation;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::load::lines;
use super::meter::{Meter, Window};
use super::usage::{GB, Usage, real};
use crate::stack::Stack;

/// Real rows of Braintrust's logs.
const ROWS: &[u8] = include_bytes!("../../../events/corpus/spans.jsonl.gz");

/// How long the export may take on the stack's clock.
const LIMIT: Duration = Duration::from_hours(12);

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Exported {
    pub(super) rows: u64,
    /// The rows' bytes, as the API gave them.
    pub(super) row_bytes: u64,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
    pub(super) window: Window,
}

impl Exported {
    /// What a GB of rows uses: without what time brings, which an idle month has as well.
    pub(super) fn of_gigabyte(&self) -> Usage {
        let own = self.window.platform.clone();
        own.plus(-1.0, &self.window.standing).times(self.share())
    }

    /// What it uses on the bucket owner's bill.
    pub(super) fn of_gigabyte_in_bucket(&self) -> Usage {
        self.window.customers.times(self.share())
    }

    fn share(&self) -> f64 {
        GB / real(self.row_bytes)
    }
}

/// Exports at least so many bytes of rows as Parquet.
pub(super) async fn run(
    stack: &Stack,
    meter: &mut Meter,
    file: Option<&Path>,
    bytes: usize,
) -> anyhow::Result<Exported> {
    let (project, rows) = rows(file, bytes)?;
    stack.api.add_project(&project, "Rows")?;
    stack.api.load(&project, rows)?;
    let id = AutomationId::parse("rows")?;
    let automation = Automation {
        id: id.clone(),
        organization: stack.api.organization().id.clone(),
        project_id: project,
        name: "Rows".to_owned(),
        description: None,
        created_ms: stack.now().as_millisecond(),
        config: serde_json::from_value(json!({
            "event_type": "btql_export",
            "export_definition": {"type": "log_spans"},
            "export_path": format!("s3://{}/rows", stack.export_bucket),
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {"type": "aws_iam", "role_arn": stack.export_role, "external_id": "rows"},
        }))?,
        bucket_owner: None,
    };
    let registry = stack.automations();
    let now_ms = stack.now().as_millisecond();
    registry.register(&automation, XactId::ZERO, now_ms).await?;
    meter.take(stack);
    let limit = stack.now().checked_add(LIMIT)?;
    stack.run_export(&id, limit).await?;
    let window = meter.take(stack);
    let cursor = registry.cursor(&id).await?.body;
    if let Some(failure) = cursor.failure {
        bail!("the export failed: {} {}", failure.failure, failure.advice);
    }
    let counts = cursor.counts;
    ensure!(counts.raw_bytes > 0, "nothing was exported");
    Ok(Exported {
        rows: counts.rows,
        row_bytes: counts.raw_bytes,
        files: counts.files,
        file_bytes: counts.file_bytes,
        window,
    })
}

/// A file's rows of its first project, again and again a second later, until they have so many
/// bytes.
fn rows(file: Option<&Path>, bytes: usize) -> anyhow::Result<(ProjectId, Vec<Bytes>)> {
    let file: Box<dyn Read> = match file {
        Some(path) => Box::new(File::open(path).with_context(|| path.display().to_string())?),
        None => Box::new(ROWS),
    };
    let mut project = None;
    let mut once: Vec<(XactId, Map<String, Value>)> = Vec::new();
    for line in lines(file)? {
        let row: Map<String, Value> = serde_json::from_str(&line?)?;
        let of = ProjectId::parse(text(&row, "project_id")?)?;
        if *project.get_or_insert_with(|| of.clone()) == of {
            once.push((XactId::parse(text(&row, "_xact_id")?)?, row));
        }
    }
    let project = project.context("there are no rows")?;
    let mut copies = Vec::new();
    let (mut size, mut copy) = (0, 0_u64);
    while size < bytes {
        for (transaction, row) in &once {
            let transaction = transaction.get() + (copy << 16);
            let mut row = row.clone();
            for name in ["id", "span_id", "root_span_id"] {
                let unique = format!("{}-{copy}", text(&row, name)?);
                row.insert(name.to_owned(), Value::String(unique));
            }
            row.insert("_xact_id".to_owned(), transaction.to_string().into());
            size += serde_json::to_string(&row)?.len();
            copies.push((transaction, row));
        }
        copy += 1;
    }
    copies.sort_by_key(|(transaction, _)| *transaction);
    let mut rows = Vec::with_capacity(copies.len());
    for (place, (_, mut row)) in copies.into_iter().enumerate() {
        row.insert("_pagination_key".to_owned(), format!("p{place:020}").into());
        rows.push(Bytes::from(serde_json::to_vec(&row)?));
    }
    Ok((project, rows))
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> anyhow::Result<&'a str> {
    let value = row.get(name).and_then(Value::as_str);
    value.with_context(|| format!("a row has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_rows_are_other_rows_in_the_order_of_their_transactions() {
        let (_, rows) = rows(None, 700_000).unwrap();
        let read = |row: &Bytes, name: &str| {
            let row: Value = serde_json::from_slice(row).unwrap();
            row[name].as_str().unwrap().to_owned()
        };
        let ids: std::collections::BTreeSet<String> =
            rows.iter().map(|row| read(row, "id")).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(rows.len() >= 2 * 252, "{}", rows.len());
        let transactions: Vec<u64> = rows
            .iter()
            .map(|row| read(row, "_xact_id").parse().unwrap())
            .collect();
        assert!(transactions.is_sorted());
    }
}

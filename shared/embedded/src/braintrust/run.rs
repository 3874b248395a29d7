//! Answering a query from the rows that can be seen.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};

use super::cursor;
use super::query::filter::Expression;
use super::query::{Field, Key, Measure, Measured, Misread, Order, Query, Select, Shape};
use super::row::Row;
use super::store::Store;
use super::summary::Trace;

/// The rows of one project, as far as they can be seen.
#[derive(Clone, Copy)]
pub(crate) struct Visible<'a> {
    pub(crate) project: &'a str,
    pub(crate) rows: &'a Store,
    /// The last transaction that can be seen.
    pub(crate) through: u64,
}

/// One page of an answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Bytes>,
    /// Where the next page goes on. Recorded: a page that is shorter than its limit has one as
    /// well. Documented: an empty page has none.
    pub(crate) cursor: Option<String>,
}

/// Runs a query on its projects, for `cap` rows at the most. `numeric` says whether a
/// survey's transaction ids are numbers.
pub(crate) fn run(
    query: &Query,
    projects: &[Visible<'_>],
    cap: usize,
    numeric: bool,
) -> Result<Page, Misread> {
    // Without LIMIT a page is as large as one may be. Our choice; the default is not documented.
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(cap).min(cap);
    match (&query.select, query.shape) {
        (Select::Survey(measures), _) => {
            let mut rows = Vec::new();
            for project in projects {
                rows.extend(survey(*project, query.filter.as_ref(), measures, numeric));
            }
            rows.truncate(limit);
            Ok(Page { rows, cursor: None })
        }
        (_, Shape::Summary) => match projects {
            [project] => summaries(query, *project, limit),
            _ => Err(Misread::new("summaries are answered of a single project")),
        },
        (select, Shape::Spans) => match projects {
            [project] => spans(query, select, *project, limit),
            _ => Err(Misread::new("rows are answered of a single project")),
        },
    }
}

fn spans(
    query: &Query,
    select: &Select,
    project: Visible<'_>,
    limit: usize,
) -> Result<Page, Misread> {
    // Without ORDER BY the newest come first. Our choice; the order is not documented.
    let order = query.order.unwrap_or(Order {
        by: Key::Pagination,
        descending: true,
    });
    let rows = match order.by {
        Key::Xact => {
            let token = query.cursor.as_deref();
            let after = token.map(|token| cursor::to_position(query, token));
            let (first, last) = query
                .filter
                .as_ref()
                .map_or((0, u64::MAX), Expression::xacts);
            let seen = (first, last.min(project.through));
            project
                .rows
                .by_xact(seen, after.transpose()?, order.descending)
        }
        Key::Pagination => {
            let after = query.cursor.as_deref().map(cursor::to_key).transpose()?;
            project.rows.by_key(after, order.descending)
        }
    };
    let mut page = Vec::new();
    let mut last = None;
    for row in rows
        .filter(|row| shows(query.filter.as_ref(), project, row))
        .take(limit)
    {
        page.push(match select {
            Select::Fields(fields) => fields_of(row, fields),
            _ => row.bytes.clone(),
        });
        last = Some(row.position);
    }
    let cursor = last.map(|position| match order.by {
        Key::Xact => cursor::of_position(query, position),
        Key::Pagination => cursor::of_key(position.key),
    });
    Ok(Page { rows: page, cursor })
}

fn shows(filter: Option<&Expression>, project: Visible<'_>, row: &Row) -> bool {
    row.position.xact <= project.through && filter.is_none_or(|filter| filter.holds(row))
}

/// Fields of a row: the names sorted, the values with their own bytes; null where there is none.
fn fields_of(row: &Row, fields: &[Field]) -> Bytes {
    let columns: BTreeMap<String, &RawValue> =
        serde_json::from_slice(&row.bytes).unwrap_or_default();
    let mut answer = BTreeMap::new();
    for field in fields {
        let mut parts = field.path.0.iter();
        let column = parts.next().and_then(|column| columns.get(column));
        let value = parts.fold(column.copied(), |value, part| within(value?, part));
        answer.insert(field.name.as_str(), value.unwrap_or(RawValue::NULL));
    }
    written(&answer)
}

fn within<'a>(value: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
    fields.get(key).copied()
}

fn written<V: serde::Serialize>(answer: &BTreeMap<&str, V>) -> Bytes {
    serde_json::to_vec(answer).unwrap_or_default().into()
}

fn survey(
    project: Visible<'_>,
    filter: Option<&Expression>,
    measures: &[Measure],
    numeric: bool,
) -> Option<Bytes> {
    let (first, last) = filter.map_or((0, u64::MAX), Expression::xacts);
    let seen = (first, last.min(project.through));
    let rows = project.rows.by_xact(seen, None, false);
    let (mut count, mut latest) = (0u64, None);
    for row in rows.filter(|row| shows(filter, project, row)) {
        count += 1;
        latest = latest.max(Some(row.position.xact));
    }
    // A group without rows is no group.
    let latest = latest?;
    let mut answer = BTreeMap::new();
    for measure in measures {
        let value = match measure.what {
            Measured::Project => to_raw_value(project.project),
            Measured::Rows => to_raw_value(&count),
            Measured::LatestXact if numeric => to_raw_value(&latest),
            Measured::LatestXact => to_raw_value(&latest.to_string()),
        };
        answer.insert(measure.name.as_str(), value.ok()?);
    }
    Some(written(&answer))
}

/// Summaries of the traces that the filter names, the newest first. That order, and the cursor
/// by the key of the trace's first row, are our choice.
fn summaries(query: &Query, project: Visible<'_>, limit: usize) -> Result<Page, Misread> {
    let before = query.cursor.as_deref().map(cursor::to_key).transpose()?;
    let roots = query
        .filter
        .as_ref()
        .map(Expression::roots)
        .unwrap_or_default();
    let mut traces = BTreeMap::new();
    for root in roots {
        let spans = project.rows.trace(root);
        let spans: Vec<&Row> = spans.filter(|row| shows(None, project, row)).collect();
        if let Some(trace) = Trace::of(&spans) {
            traces.insert(trace.root.position.key, trace);
        }
    }
    let mut page = Page {
        rows: Vec::new(),
        cursor: None,
    };
    let below = before.unwrap_or(u64::MAX);
    for (key, trace) in traces.range(..below).rev().take(limit) {
        page.rows.push(trace.summary());
        page.cursor = Some(cursor::of_key(*key));
    }
    Ok(page)
}

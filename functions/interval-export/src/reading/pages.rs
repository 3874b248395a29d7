//! Page after page of one question, and what is asked of each row before it is used.

use std::collections::HashSet;

use sealift_core::export::advice::Fault;
use sealift_core::export::cursor::RunFailure;
use sealift_core::export::name::hour_of;
use sealift_core::export::source::{Ask, Query, SourceError, XactRange};
use sealift_core::id::XactId;
use sealift_core::partition::Hour;
use sealift_core::ports::Failure;
use sealift_rows::Row;

use crate::run::{Stop, Work};

/// The pages of one question, one behind the other.
pub(super) struct Pages {
    query: Option<Query>,
    /// Rows of the page that is being read.
    pub(super) rows: u64,
    /// The cursors that were followed.
    followed: HashSet<String>,
}

impl Pages {
    pub(super) fn new(work: &Work<'_>, ask: Ask) -> Self {
        let limit = match &ask {
            Ask::Summaries(roots) => u32::try_from(roots.len()).unwrap_or(u32::MAX),
            _ => work.plan.batch_size,
        };
        let query = Query {
            project: work.plan.place.project.clone(),
            ask,
            limit,
            cursor: None,
        };
        Self {
            query: Some(query),
            rows: 0,
            followed: HashSet::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Query> {
        self.rows = 0;
        self.query.clone()
    }

    pub(super) fn is_over(&self) -> bool {
        self.query.is_none()
    }

    /// Goes to the next page, or to the end: a page without a cursor, or without rows.
    pub(super) fn turn(&mut self, cursor: Option<&str>) -> Result<(), Stop> {
        let Some(query) = &mut self.query else {
            return Ok(());
        };
        match cursor {
            Some(cursor) if self.rows > 0 => {
                if !self.followed.insert(cursor.to_owned()) {
                    return Err(SourceError::Transient(failure(
                        "RepeatedCursor",
                        "the API gave the same cursor for two pages, which would never end",
                    ))
                    .into());
                }
                query.cursor = Some(cursor.to_owned());
            }
            _ => self.query = None,
        }
        Ok(())
    }
}

/// Reads a row to its end, so that one that can't be used is found out before the transaction
/// that it belongs to goes into a file.
pub(super) fn parsed(row: &[u8]) -> Result<Row<'_>, Stop> {
    Row::parse(row).map_err(|error| Stop::Failed(bad_row(&error.to_string())))
}

/// The row's transaction, which must lie in the range and not before the last.
pub(super) fn transaction_of(
    row: &Row<'_>,
    range: XactRange,
    last: Option<XactId>,
) -> Result<XactId, Stop> {
    let transaction = row.xact_id();
    if transaction <= range.after || transaction > range.through {
        return Err(Stop::Failed(bad_row(&format!(
            "a row of transaction {transaction} came, which is not in the range that was asked for, \
             {} to {}",
            range.after, range.through
        ))));
    }
    if last.is_some_and(|last| transaction < last) {
        return Err(Stop::Failed(bad_row(&format!(
            "a row of transaction {transaction} came behind a later one: they were asked for in order"
        ))));
    }
    Ok(transaction)
}

pub(super) fn root_of(row: &Row<'_>) -> Result<String, Stop> {
    let root = row.root_span_id().map(str::to_owned);
    root.ok_or_else(|| Stop::Failed(bad_row("a row has no root_span_id that is text")))
}

pub(super) fn hour(transaction: XactId) -> Result<Hour, Stop> {
    hour_of(transaction).ok_or_else(|| {
        Stop::Failed(bad_row(&format!(
            "no time stands in the transaction id {transaction}"
        )))
    })
}

pub(super) fn failure(code: &str, message: &str) -> Failure {
    Failure {
        operation: "ReadRows".to_owned(),
        target: "/btql".to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

/// The API gave something that is no row, or not one of those that were asked for.
pub(crate) fn bad_row(message: &str) -> RunFailure {
    RunFailure {
        failure: failure("UnexpectedRow", message),
        fault: Fault::Automation,
        advice: "Nothing behind the last committed file was exported. If the automation has a query of its \
                 own, see that it yields _xact_id as it is; otherwise tell Braintrust's support."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(row: &str, last: Option<u64>) -> Result<XactId, String> {
        let range = XactRange {
            after: XactId::new(10),
            through: XactId::new(20),
        };
        let row = parsed(row.as_bytes());
        let last = last.map(XactId::new);
        row.and_then(|row| transaction_of(&row, range, last))
            .map_err(|stop| match stop {
                Stop::Failed(failure) => failure.failure.message,
                other => format!("{other:?}"),
            })
    }

    #[test]
    fn a_row_that_was_not_asked_for_is_refused() {
        assert_eq!(taken(r#"{"_xact_id":"11"}"#, None), Ok(XactId::new(11)));
        assert_eq!(taken(r#"{"_xact_id":"20"}"#, Some(20)), Ok(XactId::new(20)));
        for (row, last, expected) in [
            (r#"{"_xact_id":"10"}"#, None, "not in the range"),
            (r#"{"_xact_id":"21"}"#, None, "not in the range"),
            (r#"{"_xact_id":"12"}"#, Some(13), "behind a later one"),
            (r#"{"id":"a"}"#, None, "has no _xact_id"),
            (r#"{"_xact_id":"12""#, None, "is not JSON"),
            ("[]", None, "not a JSON object"),
        ] {
            let error = taken(row, last).unwrap_err();
            assert!(error.contains(expected), "{row}: {error}");
        }
    }
}

//! The port to the rows that are exported: a project's logs, read in ranges of transactions.
//!
//! A transaction may hold several rows, and all of its rows have the same id. An update gives a
//! row a new id, later than all before, so a row leaves a range while the range is being read.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::export::user_query::UserQuery;
use crate::id::{ProjectId, XactId};
use crate::ports::Failure;

/// Transactions after one and up to another: `_xact_id > after AND _xact_id <= through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XactRange {
    /// The last transaction before the range.
    pub after: XactId,
    /// The last transaction of the range.
    pub through: XactId,
}

/// What is asked of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The whole spans of the range, by ascending transaction.
    Spans(XactRange),
    /// `_xact_id` and `root_span_id` of the spans of the range, by ascending transaction.
    Touched(XactRange),
    /// One summary for each of the traces, by their root spans' ids; in any order.
    Summaries(Vec<String>),
    /// What a user's query says of the range, by ascending transaction.
    Custom(UserQuery, XactRange),
}

/// One page of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The project.
    pub project: ProjectId,
    /// What of it.
    pub ask: Ask,
    /// The most rows of the page; the source may have a lower limit of its own.
    pub limit: u32,
    /// Where the page before ended, as the source named it.
    pub cursor: Option<String>,
}

/// How far the source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Whether the range holds any row.
    pub any: bool,
    /// Every transaction up to here can be seen; later ones may still appear. Unknown where
    /// the source does not say.
    pub settled: Option<XactId>,
}

/// What a survey found in one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The project.
    pub project: ProjectId,
    /// Its latest transaction.
    pub latest: XactId,
    /// Its rows after the survey's bound.
    pub rows: u64,
}

/// Why the source did not answer. The variants are what a caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Too many requests: not before the time, if the source told one.
    #[error("{failure}")]
    Throttled {
        /// What was said.
        failure: Failure,
        /// How long to wait, if it was told.
        retry_after: Option<Duration>,
    },
    /// It may work later: torn connection, time-out, 5xx, a body that broke off.
    #[error("{0}")]
    Transient(Failure),
    /// Not allowed (401, 403): somebody has to change a key or its permissions.
    #[error("{0}")]
    Denied(Failure),
    /// It will not work as asked: somebody has to change the configuration or the query.
    #[error("{0}")]
    Invalid(Failure),
}

impl SourceError {
    /// What happened, whichever the decision.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Throttled { failure, .. }
            | Self::Transient(failure)
            | Self::Denied(failure)
            | Self::Invalid(failure) => failure,
        }
    }
}

/// The logs of projects.
///
/// Contract: pages of one query, each with the cursor of the one before, give every row of the
/// range that is in it all the while, in order; a row that leaves the range meanwhile may or
/// may not come. A page may be empty or short and still have a successor: only a page without
/// a cursor, or one without rows, is the last.
pub trait LogSource: Send + Sync {
    /// A page that is being read.
    type Page: RowPage;

    /// Looks into a range: whether it holds a row, and how far the source has come.
    fn freshness(
        &self,
        project: &ProjectId,
        range: XactRange,
    ) -> impl Future<Output = Result<Freshness, SourceError>> + Send;

    /// Begins to read a page.
    fn page(&self, query: &Query) -> impl Future<Output = Result<Self::Page, SourceError>> + Send;

    /// Asks of many projects at once which have rows after a transaction; those without any
    /// are left out of the answer.
    fn survey(
        &self,
        projects: &[ProjectId],
        after: XactId,
    ) -> impl Future<Output = Result<Vec<Surveyed>, SourceError>> + Send;

    /// Requests that were made so far, each repetition counted: they are what a budget is of.
    fn requests(&self) -> u64;
}

/// A page that is being read.
pub trait RowPage: Send {
    /// The next row, one JSON object without a line break; `None` at the page's end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SourceError>> + Send;

    /// Where the next page goes on; to be asked at the page's end.
    fn cursor(&self) -> Option<&str>;
}

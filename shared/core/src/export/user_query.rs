//! A user's own query: rows of one project, to which an export adds the range it is reading.
//!
//! Both of Braintrust's syntaxes are understood, SQL (`SELECT … FROM … WHERE …`) and the clauses
//! of BTQL (`select: … | from: … | filter: …`), as far as they ask for rows. What would change
//! which rows there are (aggregates, limits, an order, another source) is refused, each with
//! the way out. The query is put together anew from its parts, one by one checked (`parse.rs`),
//! with all comments left out; `token.rs` says why no reader of it can take the range for a part
//! of a text.
//!
//! Source: <https://www.braintrust.dev/docs/reference/sql>

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::export::source::XactRange;
use crate::id::ProjectId;

mod parse;
mod token;

#[cfg(test)]
mod tests;

/// A user's query, checked.
///
/// It is written and read as its text. Only rows of the shape `spans` can be exported by a
/// query: `traces` answers with spans that are outside of the range, and what `_xact_id` means
/// for a `summary` is not documented. For summaries there is the export definition `log_traces`.
///
/// Whose project it reads is for the caller to compare: see [`project`](Self::project).
///
/// ```
/// use sealift_core::export::user_query::UserQuery;
/// let query = UserQuery::parse("SELECT * FROM project_logs('p1') WHERE error IS NOT NULL").unwrap();
/// assert_eq!(query.project().as_str(), "p1");
/// assert!(UserQuery::parse("SELECT * FROM project_logs('p1') LIMIT 10").is_err());
/// assert!(UserQuery::parse("SELECT id FROM project_logs('p1')").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserQuery {
    text: String,
    parts: parse::Parts,
}

/// Why a query cannot be exported, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserQueryError {
    /// The text is not a query that can be read.
    #[error("the query cannot be read at character {at}: {problem}")]
    Text {
        /// Which character, counted from 1.
        at: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A clause, or a function, that the rows of an export cannot have.
    #[error("{clause} cannot stand in an exported query: {way_out}")]
    Clause {
        /// The clause, as the syntax names it.
        clause: String,
        /// What to do instead.
        way_out: &'static str,
    },
    /// A clause that is needed and not there, or empty.
    #[error("{clause} is missing or empty: an exported query has {example}")]
    Missing {
        /// The clause, as the syntax names it.
        clause: &'static str,
        /// What it could look like.
        example: &'static str,
    },
    /// The rows do not come from one project's logs.
    #[error(
        "the query reads {found:?}: it must read the logs of the automation's own project, and \
         nothing else, as project_logs('<project id>')"
    )]
    Source {
        /// What stands there, cut to 120 characters.
        found: String,
    },
    /// The rows are not spans.
    #[error(
        "the shape {0:?} cannot be exported by a query: leave it out (rows are spans), or use the \
         export definition log_traces, which gives one summary for each trace"
    )]
    Shape(String),
    /// The rows do not carry the transaction by which an export advances.
    #[error(
        "the select list gives no `_xact_id`, by which an export advances: select `*`, or add \
         `_xact_id` under its own name"
    )]
    NoTransaction,
    /// Something else is called like the transaction.
    #[error(
        "`{0}` in the select list would be called `_xact_id`, by which an export advances: give it \
         another name with AS, and select `_xact_id` plainly beside it"
    )]
    TransactionName(String),
    /// Something is called like a folder of the files.
    #[error(
        "`{0}` in the select list would be called like one of the folders that files lie in \
         (`date=…/hour=…`), which readers take for columns: give it another name with AS"
    )]
    FolderName(String),
}

impl UserQuery {
    /// Parses and checks a query.
    pub fn parse(text: &str) -> Result<Self, UserQueryError> {
        let parts = parse::parts(text)?;
        let text = text.to_owned();
        Ok(Self { text, parts })
    }

    /// The text as it was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The project that the query reads. It is what the query says, so whoever runs the query
    /// for an automation must see that it is the automation's own project: the key may read others.
    pub fn project(&self) -> &ProjectId {
        &self.parts.project
    }

    /// The query for one page of the rows of a range, by ascending transaction.
    pub fn with_range(&self, range: XactRange, limit: u32, cursor: Option<&str>) -> String {
        let parse::Parts {
            syntax,
            select,
            project,
            filter,
        } = &self.parts;
        let project = literal(project.as_str());
        let mut conditions = bounds(range);
        if let Some(filter) = filter {
            conditions = format!("({filter}) AND {conditions}");
        }
        let (mut query, cursor_clause) = match syntax {
            parse::Syntax::Sql => (
                format!(
                    "SELECT {select} FROM project_logs({project}, shape => 'spans') \
                     WHERE {conditions} ORDER BY _xact_id LIMIT {limit}"
                ),
                "OFFSET",
            ),
            parse::Syntax::Btql => (
                format!(
                    "select: {select} | from: project_logs({project}) spans | filter: {conditions} \
                     | sort: _xact_id ASC | limit: {limit}"
                ),
                "| cursor:",
            ),
        };
        if let Some(cursor) = cursor {
            // Writing to a string does not fail.
            let _ = write!(query, " {cursor_clause} {}", literal(cursor));
        }
        query
    }
}

impl TryFrom<String> for UserQuery {
    type Error = UserQueryError;
    fn try_from(text: String) -> Result<Self, UserQueryError> {
        Self::parse(&text)
    }
}

impl From<UserQuery> for String {
    fn from(query: UserQuery) -> String {
        query.text
    }
}

/// A range as a condition.
pub fn bounds(range: XactRange) -> String {
    let XactRange { after, through } = range;
    format!("_xact_id > '{after}' AND _xact_id <= '{through}'")
}

/// A text as a literal: in single quotes, with a backslash before each `\` and `'` in it.
pub fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        if matches!(c, '\\' | '\'') {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal.push('\'');
    literal
}

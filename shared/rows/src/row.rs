//! A row: one JSON object, read in one pass.

use std::borrow::Cow;

use sealift_core::id::XactId;

use crate::scan::{Kind, Unreadable, Value, members};
use crate::value::{self, is_text};

/// The longest row that is taken, in bytes: sizes in Parquet's pages have 31 bits. The API's
/// own limit lies far below.
pub const MAX_ROW_BYTES: usize = 1 << 30;

/// The transaction that wrote a row, its place in an export.
pub(crate) const XACT_ID: &str = "_xact_id";
const ROOT_SPAN_ID: &str = "root_span_id";

/// Why a row cannot be taken. The file that it was meant for stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The line is no JSON.
    #[error("a row is not JSON: {0}; ask the API again, its answer was cut or changed on the way")]
    NotJson(String),
    /// The line is JSON, but no object.
    #[error("a row is not a JSON object; let the query select columns by name")]
    NotAnObject,
    /// A member that must be there is missing or null.
    #[error("a row has no {field}; let the query select it")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A member holds what it may not.
    #[error("a row's {field} cannot be used: {reason}")]
    Invalid {
        /// Its name.
        field: &'static str,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The row is longer than [`MAX_ROW_BYTES`].
    #[error("a row has {bytes} bytes, more than the {MAX_ROW_BYTES} that a file can hold")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A row as the API gave it, and what an export itself needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    line: &'a str,
    xact_id: XactId,
    root_span_id: Option<Cow<'a, str>>,
}

impl<'a> Row<'a> {
    /// Reads a row. Its JSON is checked to the end.
    pub fn parse(line: &'a [u8]) -> Result<Self, RowError> {
        let line = as_text(line)?;
        let (mut xact_id, mut root_span_id) = (None, None);
        members(line, |name, found| {
            if is_text(name, XACT_ID) {
                xact_id = Some(found);
            } else if is_text(name, ROOT_SPAN_ID) {
                root_span_id = Some(found);
            }
        })?;
        Ok(Self {
            line,
            xact_id: xact_id_in(xact_id)?,
            root_span_id: root_span_id.and_then(value::text),
        })
    }

    /// The transaction that wrote the row.
    pub fn xact_id(&self) -> XactId {
        self.xact_id
    }

    /// The trace that the row belongs to; none if it is missing or no text.
    pub fn root_span_id(&self) -> Option<&str> {
        self.root_span_id.as_deref()
    }

    /// The row's own bytes.
    pub fn line(&self) -> &'a str {
        self.line
    }
}

/// The transaction that wrote a row, without a look at the rest but that it is JSON.
pub fn xact_id_of(line: &[u8]) -> Result<XactId, RowError> {
    let mut xact_id = None;
    members(as_text(line)?, |name, found| {
        if is_text(name, XACT_ID) {
            xact_id = Some(found);
        }
    })?;
    xact_id_in(xact_id)
}

/// The line as text, without the line break at its end.
pub(crate) fn as_text(line: &[u8]) -> Result<&str, RowError> {
    if line.len() > MAX_ROW_BYTES {
        return Err(RowError::TooLong { bytes: line.len() });
    }
    match std::str::from_utf8(line) {
        Ok(text) => Ok(text.trim_matches(['\r', '\n'])),
        Err(error) => Err(RowError::NotJson(error.to_string())),
    }
}

impl From<Unreadable> for RowError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::OtherKind => Self::NotAnObject,
            Unreadable::Malformed(expected, at) => {
                Self::NotJson(format!("{expected} expected at byte {at}"))
            }
        }
    }
}

/// The transaction id of a row's member, a string of digits or a number.
pub(crate) fn xact_id_in(found: Option<Value<'_>>) -> Result<XactId, RowError> {
    let Some(found) = found.filter(|found| found.kind != Kind::Null) else {
        return Err(RowError::Missing { field: XACT_ID });
    };
    let text = value::text(found).unwrap_or(Cow::Borrowed(found.raw));
    XactId::parse(&text).map_err(|error| RowError::Invalid {
        field: XACT_ID,
        reason: error.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_its_transaction_and_trace() {
        let line = br#"{"_xact_id":"1000196176995155968","input":{"_xact_id":"1"},"root_span_id":"a\u0041"}"#;
        let row = Row::parse(line).unwrap();
        assert_eq!(row.xact_id().to_string(), "1000196176995155968");
        assert_eq!(row.root_span_id(), Some("aA"));
        assert_eq!(row.line().as_bytes(), line);
        assert_eq!(xact_id_of(line), Ok(row.xact_id()));
    }

    #[test]
    fn a_transaction_id_may_be_a_number_and_its_name_escaped() {
        for line in [
            r#"{"_xact_id":1000196176995155969}"#,
            r#"{"\u005fxact_id":"1000196176995155969"}"#,
            r#" {"_xact_id":"1","_xact_id" : "1000196176995155969"} "#,
        ] {
            let id = xact_id_of(line.as_bytes()).unwrap();
            assert_eq!(id.get(), 1_000_196_176_995_155_969, "{line}");
            assert_eq!(Row::parse(line.as_bytes()).unwrap().xact_id(), id);
        }
    }

    #[test]
    fn a_row_that_cannot_be_taken_says_why() {
        for (line, part) in [
            ("", "not JSON"),
            (r#"{"_xact_id":"1""#, "not JSON"),
            (r#"{"_xact_id":"1"} {}"#, "not JSON"),
            (r#"{"_xact_id":"1","input":[1,}"#, "not JSON"),
            (r#"{"_xact_id":"1","input":NaN}"#, "not JSON"),
            (r#"["secret"]"#, "not a JSON object"),
            (r#""secret""#, "not a JSON object"),
            ("{}", "no _xact_id"),
            (r#"{"_xact_id":null}"#, "no _xact_id"),
            (r#"{"_xact_id":"0x1"}"#, "_xact_id cannot be used"),
            (r#"{"_xact_id":1.5}"#, "_xact_id cannot be used"),
            (r#"{"_xact_id":{"a":"secret"}}"#, "_xact_id cannot be used"),
            (
                r#"{"_xact_id":"18446744073709551616"}"#,
                "_xact_id cannot be used",
            ),
        ] {
            let error = Row::parse(line.as_bytes()).unwrap_err();
            assert_eq!(xact_id_of(line.as_bytes()), Err(error.clone()));
            let error = error.to_string();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = Row::parse(b"{\"_xact_id\":\"1\",\"a\":\"\xff\"}").unwrap_err();
        assert!(error.to_string().contains("not JSON"), "{error}");
    }
}

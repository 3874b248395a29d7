//! Conditions: what they say of a row, and what they say of the range that must be read.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

use super::Misread;
use crate::braintrust::row::Row;

/// A column, and the way to a field within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(pub(crate) Vec<String>);

impl Path {
    fn is(&self, column: &str) -> bool {
        self.0.len() == 1 && self.0.first().is_some_and(|first| first == column)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            _ => return None,
        })
    }

    pub(super) fn holds(self, is: Ordering) -> bool {
        match self {
            Self::Equal => is.is_eq(),
            Self::NotEqual => is.is_ne(),
            Self::Greater => is.is_gt(),
            Self::GreaterOrEqual => is.is_ge(),
            Self::Less => is.is_lt(),
            Self::LessOrEqual => is.is_le(),
        }
    }
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// `_xact_id`, which compares as an unsigned number: as text `9…` would come after `10…`.
    Xact {
        comparison: Comparison,
        value: u64,
    },
    Compare {
        path: Path,
        comparison: Comparison,
        value: Literal,
    },
    Among {
        path: Path,
        negated: bool,
        values: Vec<Literal>,
    },
    Null {
        path: Path,
        negated: bool,
    },
}

/// A row that conditions are tried on. It is parsed when a condition asks for more than what
/// the store knows of it.
struct View<'a> {
    row: &'a Row,
    parsed: OnceCell<Value>,
}

impl View<'_> {
    fn at(&self, path: &Path) -> Option<&Value> {
        let parse = || serde_json::from_slice(&self.row.bytes).unwrap_or(Value::Null);
        let mut value = self.parsed.get_or_init(parse);
        for key in &path.0 {
            value = value.get(key)?;
        }
        Some(value).filter(|value| !value.is_null())
    }
}

impl Expression {
    pub(super) fn compare(
        path: Path,
        comparison: Comparison,
        value: Literal,
    ) -> Result<Self, Misread> {
        if path.is("_xact_id") {
            let value = xact(&value)?;
            return Ok(Self::Xact { comparison, value });
        }
        Ok(Self::Compare {
            path,
            comparison,
            value,
        })
    }

    pub(super) fn among(path: Path, negated: bool, values: Vec<Literal>) -> Result<Self, Misread> {
        if path.is("_xact_id") {
            return Err(Misread::new("IN is not answered for _xact_id"));
        }
        Ok(Self::Among {
            path,
            negated,
            values,
        })
    }

    pub(crate) fn holds(&self, row: &Row) -> bool {
        let parsed = OnceCell::new();
        self.holds_for(&View { row, parsed })
    }

    /// A comparison with what is null, or of another type, holds never, whatever its sign.
    fn holds_for(&self, view: &View<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds_for(view)),
            Self::Any(parts) => parts.iter().any(|part| part.holds_for(view)),
            Self::Xact { comparison, value } => comparison.holds(view.row.position.xact.cmp(value)),
            Self::Compare {
                path,
                comparison,
                value,
            } => {
                let is = order(view, path, value);
                is.is_some_and(|is| comparison.holds(is))
            }
            Self::Among {
                path,
                negated,
                values,
            } => {
                let equal = |value| order(view, path, value).is_some_and(Ordering::is_eq);
                let found = values.iter().any(equal);
                // As in SQL: null is neither in a list nor outside of it.
                if *negated {
                    !found && known(view, path)
                } else {
                    found
                }
            }
            Self::Null { path, negated } => known(view, path) == *negated,
        }
    }

    /// Whether it bounds what must be read: a range of `created`, `_xact_id` or
    /// `_pagination_key`, or a certain `root_span_id` or `id`.
    pub(super) fn is_bounded(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(Self::is_bounded),
            Self::Any(parts) => parts.iter().all(Self::is_bounded),
            Self::Xact { comparison, .. } => *comparison != Comparison::NotEqual,
            Self::Compare {
                path, comparison, ..
            } => {
                let ranged = path.is("created") || path.is("_pagination_key");
                let named = path.is("root_span_id") || path.is("id");
                match comparison {
                    Comparison::NotEqual => false,
                    Comparison::Equal => ranged || named,
                    _ => ranged,
                }
            }
            Self::Among { path, negated, .. } => {
                !negated && (path.is("root_span_id") || path.is("id"))
            }
            Self::Null { .. } => false,
        }
    }

    /// Whether it names traces and says nothing else.
    pub(super) fn is_root_only(&self) -> bool {
        match self {
            Self::Compare {
                path,
                comparison: Comparison::Equal,
                ..
            } => path.is("root_span_id"),
            Self::Among { path, negated, .. } => path.is("root_span_id") && !negated,
            _ => false,
        }
    }

    /// The traces that a condition names which [names nothing else](Self::is_root_only).
    pub(crate) fn roots(&self) -> Vec<&str> {
        let values = match self {
            Self::Compare { value, .. } => std::slice::from_ref(value),
            Self::Among { values, .. } => values,
            _ => &[],
        };
        let mut roots = Vec::new();
        for value in values {
            if let Literal::Text(root) = value {
                roots.push(root.as_str());
            }
        }
        roots
    }

    /// The transactions that may satisfy it, the first and the last; the first is greater than
    /// the last if there are none.
    pub(crate) fn xacts(&self) -> (u64, u64) {
        let all = (0, u64::MAX);
        let none = (1, 0);
        match self {
            Self::All(parts) => parts.iter().map(Self::xacts).fold(all, |left, right| {
                (left.0.max(right.0), left.1.min(right.1))
            }),
            Self::Xact { comparison, value } => match comparison {
                Comparison::Equal => (*value, *value),
                Comparison::NotEqual => all,
                Comparison::Greater => value.checked_add(1).map_or(none, |first| (first, u64::MAX)),
                Comparison::GreaterOrEqual => (*value, u64::MAX),
                Comparison::Less => value.checked_sub(1).map_or(none, |last| (0, last)),
                Comparison::LessOrEqual => (0, *value),
            },
            _ => all,
        }
    }
}

fn xact(value: &Literal) -> Result<u64, Misread> {
    let number = match value {
        Literal::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        Literal::Number(number) => number.as_u64(),
        _ => None,
    };
    number.ok_or_else(|| Misread::new("_xact_id is compared with the digits of a transaction id"))
}

fn known(view: &View<'_>, path: &Path) -> bool {
    path.is("_xact_id") || view.at(path).is_some()
}

/// How the value at the path stands to the literal; `None` if they cannot be compared.
fn order(view: &View<'_>, path: &Path, literal: &Literal) -> Option<Ordering> {
    // What the store knows without parsing the row.
    if let Literal::Text(text) = literal {
        if path.is("root_span_id") {
            return Some(view.row.root_span_id.as_str().cmp(text));
        }
        if path.is("id") {
            return Some(view.row.id.as_str().cmp(text));
        }
    }
    match (view.at(path)?, literal) {
        // Times compare as their texts: all recorded ones are UTC with milliseconds.
        (Value::String(is), Literal::Text(text)) => Some(is.as_str().cmp(text)),
        (Value::Number(is), Literal::Number(number)) => match (is.as_i128(), number.as_i128()) {
            (Some(is), Some(number)) => Some(is.cmp(&number)),
            _ => is.as_f64()?.partial_cmp(&number.as_f64()?),
        },
        (Value::Bool(is), Literal::Bool(flag)) => Some(is.cmp(flag)),
        _ => None,
    }
}

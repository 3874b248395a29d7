//! Selections: which events a destination wants.
//!
//! A selection is a list of terms, written as text; an empty list wants everything.
//!
//! | term | selects |
//! |---|---|
//! | `project.created` | events of that type |
//! | `project.*` | events whose type begins with `project.` |
//! | `identity` | the types of that category (of `policy`, `identity`, `ai-agent-and-data`, `platform-and-activity`) |
//! | `TOOL_CALL` | events of that type, one of the sixteen |
//! | `type:login` | events of that type, for a word that is none of these |
//!
//! The categories and their sixteen types are those of Barndoor's audit log export.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;

/// The four categories and their sixteen event types.
pub const CATEGORIES: [(&str, &[&str]); 4] = [
    ("policy", &["AUTHORIZATION", "POLICY_DECISION"]),
    (
        "identity",
        &[
            "AUTHENTICATION",
            "SESSION_CREATED",
            "SESSION_TERMINATED",
            "SESSION_UPDATED",
            "TOKEN_EXCHANGE",
        ],
    ),
    (
        "ai-agent-and-data",
        &["AI_REQUEST", "DATA_ACCESS", "TOOL_CALL"],
    ),
    (
        "platform-and-activity",
        &[
            "AUDIT",
            "REQUEST_COMPLETED",
            "REQUEST_FORWARDED",
            "REQUEST_RECEIVED",
            "SYSTEM",
            "USER_ACTION",
        ],
    ),
];

/// One term of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// A category, by its index in [`CATEGORIES`].
    Category(usize),
    /// Everything that begins with the text, which ends with a dot.
    Resource(String),
    /// One type.
    Type(String),
}

impl Term {
    fn parse(text: &str) -> Result<Self, InvalidId> {
        let refuse = |reason| Err(InvalidId::new("event selection", text, reason));
        if let Some(index) = CATEGORIES.iter().position(|(name, _)| *name == text) {
            return Ok(Self::Category(index));
        }
        if let Some(name) = text.strip_prefix("type:") {
            return if name.is_empty() {
                refuse("a type must follow `type:`")
            } else {
                Ok(Self::Type(name.to_owned()))
            };
        }
        if let Some(resource) = text.strip_suffix('*') {
            let whole = resource.ends_with('.') && resource.len() > 1 && !resource.contains('*');
            return if whole {
                Ok(Self::Resource(resource.to_owned()))
            } else {
                refuse("a `*` may stand only at the end, after a dot, as in `project.*`")
            };
        }
        let known = CATEGORIES.iter().any(|(_, types)| types.contains(&text));
        if known || (text.contains('.') && !text.contains('*')) {
            return Ok(Self::Type(text.to_owned()));
        }
        refuse(
            "it is neither a category (policy, identity, ai-agent-and-data, platform-and-activity), \
             one of the sixteen types, `<resource>.<action>`, `<resource>.*` nor `type:<name>`",
        )
    }

    fn wants(&self, event_type: &str) -> bool {
        match self {
            Self::Category(index) => CATEGORIES
                .get(*index)
                .is_some_and(|(_, types)| types.contains(&event_type)),
            Self::Resource(start) => event_type.starts_with(start.as_str()),
            Self::Type(name) => name == event_type,
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Category(index) => {
                f.write_str(CATEGORIES.get(*index).map_or("", |(name, _)| name))
            }
            Self::Resource(start) => write!(f, "{start}*"),
            Self::Type(name) => {
                // The short form where it reads back as the same term.
                let short = Self::parse(name).is_ok_and(|term| term == *self);
                write!(f, "{}{name}", if short { "" } else { "type:" })
            }
        }
    }
}

/// The events that a destination wants; all, by default.
///
/// ```
/// use sealift_core::selection::Selection;
/// let selection = Selection::parse(["identity", "project.*"]).unwrap();
/// assert!(selection.wants("SESSION_CREATED"));
/// assert!(selection.wants("project.created"));
/// assert!(!selection.wants("projects.created"));
/// assert!(Selection::default().wants("anything"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Selection(Vec<Term>);

impl Selection {
    /// Parses terms; an empty list wants everything.
    pub fn parse<'a>(terms: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidId> {
        terms
            .into_iter()
            .map(Term::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an event of the type is wanted.
    pub fn wants(&self, event_type: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|term| term.wants(event_type))
    }
}

impl TryFrom<Vec<String>> for Selection {
    type Error = InvalidId;
    fn try_from(terms: Vec<String>) -> Result<Self, InvalidId> {
        Self::parse(terms.iter().map(String::as_str))
    }
}

impl From<Selection> for Vec<String> {
    fn from(selection: Selection) -> Self {
        selection.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_types_in_four_categories() {
        let types: Vec<&str> = CATEGORIES
            .iter()
            .flat_map(|(_, types)| types.iter().copied())
            .collect();
        assert_eq!(types.len(), 16);
        for (category, types) in CATEGORIES {
            let selection = Selection::parse([category]).unwrap();
            assert!(types.iter().all(|t| selection.wants(t)));
            let wanted = CATEGORIES
                .iter()
                .flat_map(|(_, t)| t.iter())
                .filter(|t| selection.wants(t))
                .count();
            assert_eq!(wanted, types.len());
        }
    }

    #[test]
    fn a_misspelt_word_is_refused_rather_than_selecting_nothing() {
        for bad in [
            "identiy",
            "Identity",
            "",
            "*",
            "project*",
            "*.created",
            "a.*.b",
            ".*",
            "type:",
            "tool_call",
        ] {
            assert!(Selection::parse([bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_written_form_reads_back_as_the_same() {
        for terms in [
            vec![
                "identity",
                "project.*",
                "api_key.deleted",
                "AUDIT",
                "type:login",
                "type:identity",
            ],
            vec![],
        ] {
            let selection = Selection::parse(terms.clone()).unwrap();
            assert_eq!(Vec::<String>::from(selection), terms);
        }
    }
}

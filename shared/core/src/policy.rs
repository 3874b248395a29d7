//! IAM policies as typed values: built, written and read as JSON, and evaluated.
//!
//! [`trust`] builds who may assume a role, [`permissions`] what the role may do then;
//! [`evaluate`] says what documents, ours or a customer's, answer to a [`Request`]. A document
//! is written by `Display` (`{}` in one line, `{:#}` for people), and never put together as
//! text.
//!
//! The grammar: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>.
//! What a document may hold but is not understood here is kept, and makes an evaluation that
//! turns on it fail with [`CannotEvaluate`]; what the grammar does not know at all is refused
//! when the document is read.

mod condition;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod documented_buckets;
mod element;
mod evaluate;
mod operator;
pub mod pattern;
pub mod permissions;
mod principal;
mod request;
pub mod trust;
mod written;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use condition::{Condition, Conditions};
pub use element::{ActionPattern, List, Partition, ResourcePattern};
pub use evaluate::{Decision, evaluate, evaluate_session};
pub use operator::{Comparison, Operator, SetOperator};
pub use principal::{AwsPrincipal, Caller, NamedPrincipals, Principal};
pub use request::{Context, Request};

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of the language.
    #[serde(rename = "Version", default)]
    pub version: Version,
    /// A name; only resources' own policies have one.
    #[serde(rename = "Id", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The statements. Their order means nothing.
    #[serde(rename = "Statement", deserialize_with = "one_or_more")]
    pub statements: Vec<Statement>,
}

/// The version of the policy language. Without one a document is of the older.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// `2012-10-17`.
    #[serde(rename = "2012-10-17")]
    V2012,
    /// `2008-10-17`, which has no policy variables: `${…}` is itself.
    #[default]
    #[serde(rename = "2008-10-17")]
    V2008,
}

/// Whether a statement allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever others allow.
    Deny,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "written::Statement", into = "written::Statement")]
pub struct Statement {
    /// A name.
    pub sid: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// To whom; only in trust policies and resources' own policies.
    pub principal: Option<PrincipalElement>,
    /// What.
    pub action: ActionElement,
    /// On what; not in trust policies.
    pub resource: Option<ResourceElement>,
    /// Under what circumstances.
    pub condition: Conditions,
}

/// Whom a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalElement {
    /// Those named.
    Principal(Principal),
    /// All but those named. Kept, but never evaluated: what it means depends on how AWS
    /// resolves a caller into account, role and session.
    NotPrincipal(Principal),
}

/// Which actions a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionElement {
    /// Those listed.
    Action(List<ActionPattern>),
    /// All but those listed.
    NotAction(List<ActionPattern>),
}

/// Which resources a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceElement {
    /// Those listed.
    Resource(List<ResourcePattern>),
    /// All but those listed.
    NotResource(List<ResourcePattern>),
}

/// Why a document does not answer a request. Somebody has to look at the document: it is
/// neither a yes nor a no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotEvaluate {
    /// A condition's operator is not known.
    #[error("the condition operator `{0}` is not supported")]
    Operator(String),
    /// A policy variable has no single value in the request's context.
    #[error("the policy variable `${{{0}}}` has no single value in this request")]
    Variable(String),
    /// A condition without set operator tests a key that has several values, or none.
    #[error("the condition key `{0}` does not have exactly one value in this request")]
    SeveralValues(String),
    /// A condition on ARNs has a value that is no ARN.
    #[error("the condition on `{0}` compares ARNs, but its value is not one")]
    NotAnArn(String),
    /// A statement says whom it is not about.
    #[error("`NotPrincipal` is not supported")]
    NotPrincipal,
    /// A statement lacks an element that documents of this kind must have.
    #[error("a statement has no `{0}`, which a policy of this kind must have")]
    Missing(&'static str),
    /// A statement has an element that documents of this kind must not have.
    #[error("a statement has a `{0}`, which a policy of this kind must not have")]
    Unasked(&'static str),
}

impl Document {
    /// A document of the present version with the statements.
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        Self {
            version: Version::V2012,
            id: None,
            statements: statements.into_iter().collect(),
        }
    }
}

/// The document's JSON, in ASCII: IAM and STS take no character beyond U+00FF, so others are
/// written as `\u….`.
///
/// Source: the parameter `Policy` in
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = if f.alternate() {
            serde_json::to_string_pretty(self)
        } else {
            serde_json::to_string(self)
        };
        // Outside of strings JSON is ASCII, so every other character stands in one.
        for c in json.map_err(|_| fmt::Error)?.chars() {
            if c.is_ascii() {
                fmt::Write::write_char(f, c)?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Document {
    type Err = serde_json::Error;
    fn from_str(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Statement>, D::Error> {
    List::deserialize(deserializer).map(List::into_values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(json: &str) -> String {
        json.parse::<Document>().unwrap_err().to_string()
    }

    #[test]
    fn what_the_grammar_does_not_know_is_refused() {
        for (json, reason) in [
            (r#"{"Statement":[]}"#, "at least one"),
            (
                r#"{"Version":"2020-01-01","Statement":{"Effect":"Deny","Action":"*"}}"#,
                "2020",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","Extra":1}}"#,
                "Extra",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*"},"Extra":1}"#,
                "Extra",
            ),
            (r#"{"Statement":{"Effect":"deny","Action":"*"}}"#, "deny"),
            (
                r#"{"Statement":{"Effect":"Deny"}}"#,
                "`Action` or `NotAction`",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","NotAction":"*"}}"#,
                "`Action` or `NotAction`",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Effect":"Allow","Action":"*"}}"#,
                "duplicate",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","NotResource":"*"}}"#,
                "not both",
            ),
            (
                r#"{"Statement":{"Effect":"Deny","Action":"*","Principal":"*","NotPrincipal":"*"}}"#,
                "not both",
            ),
        ] {
            let refusal = refusal(json);
            assert!(refusal.contains(reason), "{json}: {refusal}");
        }
    }

    #[test]
    fn a_document_without_version_is_of_the_old_language() {
        let document: Document = r#"{"Statement":{"Effect":"Deny","Action":"*"}}"#.parse().unwrap();
        assert_eq!(document.version, Version::V2008);
    }

    #[test]
    fn json_is_ascii_and_still_says_the_same() {
        let json = r#"{"Statement":{"Sid":"日本 ü 🚢","Effect":"Deny","Action":"*"}}"#;
        let document: Document = json.parse().unwrap();
        for written in [document.to_string(), format!("{document:#}")] {
            assert!(
                written.is_ascii() && written.contains(r"\u00fc \ud83d\udea2"),
                "{written}"
            );
            assert_eq!(written.parse::<Document>().unwrap(), document);
        }
    }

    fn principal() -> impl Strategy<Value = Principal> {
        let aws = prop_oneof![
            Just("*"),
            Just("123456789012"),
            Just("arn:aws:iam::123456789012:root")
        ]
        .prop_map(|text| AwsPrincipal::parse(text).unwrap());
        let aws = prop::collection::vec(aws, 1..3).prop_map(List::from_values);
        let service = prop::collection::vec("[a-z]{1,5}", 0..3).prop_map(List::from_values);
        prop_oneof![
            Just(Principal::Anyone),
            (aws, service).prop_map(|(aws, service)| Principal::Named(NamedPrincipals {
                aws,
                service,
                ..NamedPrincipals::default()
            })),
        ]
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let operator =
            "((ForAllValues|ForAnyValue):)?(String(Not)?(Like|Equals)|IpAddress)(IfExists)?";
        let values = prop::collection::vec("[ -~]{0,5}", 1..3);
        let keys = prop::collection::btree_map("[a-z:]{1,5}", values, 1..3);
        prop::collection::btree_map(operator, keys, 0..3).prop_map(|operators| {
            let json = serde_json::to_string(&operators).unwrap();
            serde_json::from_str(&json).unwrap()
        })
    }

    fn statement() -> impl Strategy<Value = Statement> {
        let actions = prop::collection::vec("s3:[a-zA-Z*?]{1,5}", 1..3).prop_map(|texts| {
            List::from_values(
                texts
                    .into_iter()
                    .map(|text| ActionPattern::parse(text).unwrap()),
            )
        });
        let resources =
            prop::collection::vec("arn:aws:s3:::[ -~ü🚢]{1,5}", 0..3).prop_map(|texts| {
                List::from_values(
                    texts
                        .into_iter()
                        .map(|text| ResourcePattern::parse(text).unwrap()),
                )
            });
        let sid = prop::option::of("[A-Za-z0-9]{0,5}");
        let principal = prop::option::of(principal());
        (
            sid,
            any::<[bool; 4]>(),
            principal,
            actions,
            resources,
            conditions(),
        )
            .prop_map(
                |(sid, [allow, whom, what, which], principal, actions, resources, condition)| {
                    let actions = actions.unwrap();
                    Statement {
                        sid,
                        effect: if allow { Effect::Allow } else { Effect::Deny },
                        principal: principal.map(if whom {
                            PrincipalElement::Principal
                        } else {
                            PrincipalElement::NotPrincipal
                        }),
                        action: if what {
                            ActionElement::Action(actions)
                        } else {
                            ActionElement::NotAction(actions)
                        },
                        resource: resources.map(if which {
                            ResourceElement::Resource
                        } else {
                            ResourceElement::NotResource
                        }),
                        condition,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_the_same(
            statements in prop::collection::vec(statement(), 1..4),
        ) {
            let document = Document::new(statements);
            prop_assert_eq!(&document.to_string().parse::<Document>().unwrap(), &document);
            prop_assert_eq!(format!("{document:#}").parse::<Document>().unwrap(), document);
        }
    }
}

//! Condition operators: how a request's value is held against a condition's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::pattern::Pattern;
use super::request::Context;
use super::{CannotEvaluate, Version};

/// An operator with what stands around its name: `ForAnyValue:StringLikeIfExists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Operator {
    /// How a key with several values is taken; without one the key must have a single value.
    pub set: Option<SetOperator>,
    /// The comparison.
    pub comparison: Comparison,
    /// `…IfExists`: a request without the key passes.
    pub if_exists: bool,
}

/// What a condition on a key with several values asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperator {
    /// Every value of the request passes; so no value does too.
    ForAllValues,
    /// At least one value of the request passes.
    ForAnyValue,
}

macro_rules! comparisons {
    ($($name:ident: $doc:literal),+ $(,)?) => {
        /// A comparison. Those of numbers, dates, addresses and bytes are not known here: they
        /// are kept as they are written, and a document that needs one is not evaluated.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Comparison {
            $(#[doc = $doc] $name,)+
            /// Any other operator, as it is written, with everything around its name.
            Unknown(String),
        }

        impl Comparison {
            fn parse(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)+
                    _ => None,
                }
            }

            fn name(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    Self::Unknown(text) => text,
                }
            }
        }
    };
}

comparisons! {
    StringEquals: "The same text.",
    StringNotEquals: "Another text.",
    StringEqualsIgnoreCase: "The same text, blind to case.",
    StringNotEqualsIgnoreCase: "Another text, blind to case.",
    StringLike: "A text that fits wildcards.",
    StringNotLike: "A text that does not fit wildcards.",
    ArnEquals: "An ARN whose six parts each fit wildcards; the same as `ArnLike`.",
    ArnLike: "An ARN whose six parts each fit wildcards.",
    ArnNotEquals: "An ARN that does not fit; the same as `ArnNotLike`.",
    ArnNotLike: "An ARN that does not fit.",
    Bool: "The same of `true` and `false`.",
    Null: "`true`: the request lacks the key. `false`: it has it.",
}

impl Operator {
    /// A comparison with nothing around it.
    pub fn plain(comparison: Comparison) -> Self {
        Self {
            set: None,
            comparison,
            if_exists: false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (set, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let comparison = Comparison::parse(name)?;
        let bare = set.is_none() && !if_exists;
        (comparison != Comparison::Null || bare).then_some(Self {
            set,
            comparison,
            if_exists,
        })
    }
}

/// Every text is an operator; one that is not known is [`Comparison::Unknown`].
impl From<String> for Operator {
    fn from(text: String) -> Self {
        Self::parse(&text).unwrap_or_else(|| Self::plain(Comparison::Unknown(text)))
    }
}

impl From<Operator> for String {
    fn from(operator: Operator) -> String {
        operator.to_string()
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.set {
            Some(SetOperator::ForAllValues) => "ForAllValues:",
            Some(SetOperator::ForAnyValue) => "ForAnyValue:",
            None => "",
        })?;
        f.write_str(self.comparison.name())?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

impl Condition {
    /// Whether the request passes the test.
    pub(super) fn holds(
        &self,
        version: Version,
        context: &Context,
    ) -> Result<bool, CannotEvaluate> {
        let Operator {
            set,
            comparison,
            if_exists,
        } = &self.operator;
        let values = context.values(&self.key);
        if let Comparison::Unknown(text) = comparison {
            return Err(CannotEvaluate::Operator(text.clone()));
        }
        if *comparison == Comparison::Null {
            let absent = values.is_none_or(<[String]>::is_empty);
            let asked = if absent { "true" } else { "false" };
            return Ok(self
                .values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(asked)));
        }
        let negated = comparison.is_negated();
        let values = match (values, set) {
            (None, _) if *if_exists => return Ok(true),
            // Nothing to compare: a comparison fails, and a negated one therefore holds.
            (None, None) => return Ok(negated),
            (None, Some(set)) => return Ok(*set == SetOperator::ForAllValues),
            (Some(values), None) if values.len() != 1 => {
                return Err(CannotEvaluate::SeveralValues(self.key.clone()));
            }
            (Some(values), _) => values,
        };
        let tests = self.tests(version, context)?;
        let passes = |value: &String| tests.fit(value).map(|fits| fits != negated);
        match set {
            Some(SetOperator::ForAnyValue) => values
                .iter()
                .try_fold(false, |any, value| Ok(any | passes(value)?)),
            // A single value is all of them.
            Some(SetOperator::ForAllValues) | None => values
                .iter()
                .try_fold(true, |all, value| Ok(all & passes(value)?)),
        }
    }

    fn tests(&self, version: Version, context: &Context) -> Result<Tests, CannotEvaluate> {
        let comparison = &self.operator.comparison;
        let compile = |value: &String| {
            let wildcards = comparison.takes_wildcards();
            let pattern = Pattern::with_variables(value, wildcards, version, context)?;
            Ok(if comparison.ignores_case() {
                pattern.ignoring_case()
            } else {
                pattern
            })
        };
        Ok(Tests {
            patterns: self.values.iter().map(compile).collect::<Result<_, _>>()?,
            arn: comparison.is_of_arns(),
            key: self.key.clone(),
        })
    }
}

impl Comparison {
    fn is_negated(&self) -> bool {
        self.name().contains("Not")
    }

    fn is_of_arns(&self) -> bool {
        self.name().starts_with("Arn")
    }

    fn takes_wildcards(&self) -> bool {
        self.is_of_arns() || matches!(self, Self::StringLike | Self::StringNotLike)
    }

    fn ignores_case(&self) -> bool {
        matches!(
            self,
            Self::StringEqualsIgnoreCase | Self::StringNotEqualsIgnoreCase | Self::Bool
        )
    }
}

/// A condition's values, made ready.
struct Tests {
    patterns: Vec<Pattern>,
    arn: bool,
    key: String,
}

impl Tests {
    /// Whether the value fits any of the patterns.
    fn fit(&self, value: &str) -> Result<bool, CannotEvaluate> {
        if !self.arn {
            return Ok(self.patterns.iter().any(|pattern| pattern.matches(value)));
        }
        let not_an_arn = || CannotEvaluate::NotAnArn(self.key.clone());
        self.patterns.iter().try_fold(false, |any, pattern| {
            Ok(any | pattern.matches_arn(value).ok_or_else(not_an_arn)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Conditions;

    fn holds(json: &str, context: &Context) -> Result<bool, CannotEvaluate> {
        let conditions: Conditions = serde_json::from_str(json).unwrap();
        let condition = conditions.iter().next().unwrap();
        condition.holds(Version::V2012, context)
    }

    fn with(value: &str) -> Context {
        Context::default().with("k", value)
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for text in [
            "StringEquals",
            "ForAnyValue:StringLikeIfExists",
            "ForAllValues:ArnNotLike",
            "Null",
            "NumericLessThanIfExists",
            "ForSomeValues:StringLike",
            "NullIfExists",
            "stringequals",
        ] {
            assert_eq!(Operator::from(text.to_owned()).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_known_is_never_passed_over() {
        for operator in [
            "IpAddress",
            "NumericLessThan",
            "DateGreaterThan",
            "BinaryEquals",
            "NullIfExists",
            "ForAllValues:Null",
            "ForSomeValues:StringLike",
            "stringequals",
        ] {
            let json = format!(r#"{{"{operator}":{{"k":"v"}}}}"#);
            let unknown = CannotEvaluate::Operator(operator.to_owned());
            assert_eq!(holds(&json, &with("v")), Err(unknown));
        }
    }

    #[test]
    fn strings_are_compared_as_documented() {
        for (operator, value, request, expected) in [
            ("StringEquals", "a*", "a*", true),
            ("StringEquals", "a*", "ab", false),
            ("StringEquals", "a${*}", "a*", true),
            ("StringEquals", "A", "a", false),
            ("StringEqualsIgnoreCase", "A", "a", true),
            ("StringNotEqualsIgnoreCase", "A", "a", false),
            ("StringNotEquals", "A", "a", true),
            ("StringLike", "a*", "ab", true),
            ("StringLike", "A*", "ab", false),
            ("StringLike", "a${*}", "ab", false),
            ("StringNotLike", "a*", "ab", false),
            ("Bool", "true", "True", true),
            ("Bool", "true", "false", false),
        ] {
            let json = format!(r#"{{"{operator}":{{"k":"{value}"}}}}"#);
            assert_eq!(
                holds(&json, &with(request)),
                Ok(expected),
                "{operator} {value} {request}"
            );
        }
    }

    #[test]
    fn a_negated_list_is_passed_by_none_of_its_values() {
        let json = r#"{"StringNotEquals":{"k":["a","b"]}}"#;
        assert_eq!(holds(json, &with("b")), Ok(false));
        assert_eq!(holds(json, &with("c")), Ok(true));
    }

    #[test]
    fn a_missing_key_fails_unless_negated_or_if_exists() {
        let nothing = Context::default();
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringLike", false),
            ("Bool", false),
            ("ArnLike", false),
            ("StringNotEquals", true),
            ("StringNotLike", true),
            ("ArnNotEquals", true),
            ("StringEqualsIfExists", true),
            ("StringNotEqualsIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
        ] {
            let json = format!(r#"{{"{operator}":{{"k":"arn:a:b:c:d:e"}}}}"#);
            assert_eq!(holds(&json, &nothing), Ok(expected), "{operator}");
        }
    }

    #[test]
    fn null_asks_whether_the_key_is_there() {
        let nothing = Context::default();
        assert_eq!(holds(r#"{"Null":{"k":"true"}}"#, &nothing), Ok(true));
        assert_eq!(holds(r#"{"Null":{"k":"false"}}"#, &nothing), Ok(false));
        assert_eq!(holds(r#"{"Null":{"k":false}}"#, &with("v")), Ok(true));
        let empty = Context::default().with_values("k", Vec::<String>::new());
        assert_eq!(holds(r#"{"Null":{"k":true}}"#, &empty), Ok(true));
    }

    #[test]
    fn several_values_need_a_set_operator() {
        let several = Context::default().with_values("k", ["a", "b"]);
        let error = CannotEvaluate::SeveralValues("k".to_owned());
        assert_eq!(holds(r#"{"StringEquals":{"k":"a"}}"#, &several), Err(error));
        for (operator, expected) in [
            ("ForAllValues:StringEquals", false),
            ("ForAnyValue:StringEquals", true),
            ("ForAllValues:StringNotEquals", false),
            ("ForAnyValue:StringNotEquals", true),
        ] {
            let json = format!(r#"{{"{operator}":{{"k":"a"}}}}"#);
            assert_eq!(holds(&json, &several), Ok(expected), "{operator}");
        }
    }

    /// The example under "Amazon Resource Name (ARN) condition operators" in
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
    #[test]
    fn a_wildcard_in_an_arn_operator_stays_in_its_part() {
        let value = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt";
        let pattern = "arn:aws:someservice:*:111122223333:finance/*";
        for (operator, expected) in [
            ("StringLike", true),
            ("ArnLike", false),
            ("ArnEquals", false),
        ] {
            let json = format!(r#"{{"{operator}":{{"k":"{pattern}"}}}}"#);
            assert_eq!(holds(&json, &with(value)), Ok(expected), "{operator}");
        }
        let own = "arn:aws:someservice:us-east-2:111122223333:finance/a:b";
        assert_eq!(
            holds(&format!(r#"{{"ArnLike":{{"k":"{pattern}"}}}}"#), &with(own)),
            Ok(true)
        );
        assert_eq!(
            holds(&format!(r#"{{"ArnLike":{{"k":"{pattern}"}}}}"#), &with("x")),
            Ok(false)
        );
        let error = CannotEvaluate::NotAnArn("k".to_owned());
        assert_eq!(
            holds(r#"{"ArnLike":{"k":"arn:aws:*"}}"#, &with(own)),
            Err(error)
        );
    }
}

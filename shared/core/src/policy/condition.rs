//! The `Condition` element: under what circumstances a statement applies.
//!
//! Operators and their rules:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>;
//! keys with several values:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::List;
use super::operator::Operator;
use super::request::is_secret;

/// One test: the key's value in the request, held against the condition's values.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition {
    /// How they are compared.
    pub operator: Operator,
    /// The key in the request's context: `sts:ExternalId`.
    pub key: String,
    /// What the value is compared with; one that fits is enough.
    pub values: List<String>,
}

/// Without ExternalIds, which may be secret.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Condition");
        shown
            .field("operator", &self.operator)
            .field("key", &self.key);
        if is_secret(&self.key) {
            shown.field("values", &"REDACTED").finish()
        } else {
            shown.field("values", &self.values).finish()
        }
    }
}

/// All of a statement's tests; every one must hold. Those of one operator stand side by side,
/// and none repeats both operator and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// A single test.
    pub fn one(condition: Condition) -> Self {
        Self(vec![condition])
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tests in order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}

impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for group in self.0.chunk_by(|a, b| a.operator == b.operator) {
            if let Some(first) = group.first() {
                map.serialize_entry(&first.operator, &OfOneOperator(group))?;
            }
        }
        map.end()
    }
}

struct OfOneOperator<'a>(&'a [Condition]);

impl Serialize for OfOneOperator<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|condition| (&condition.key, &condition.values)),
        )
    }
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let operators =
            Entries::<Operator, Entries<String, List<Scalar>>>::deserialize(deserializer)?;
        let mut conditions = Vec::new();
        for (operator, keys) in operators.0 {
            for (key, values) in keys.0 {
                let texts = values.into_values().into_iter().map(|Scalar(text)| text);
                if let Some(values) = List::from_values(texts) {
                    conditions.push(Condition {
                        operator: operator.clone(),
                        key,
                        values,
                    });
                }
            }
        }
        Ok(Self(conditions))
    }
}

/// A JSON object in its own order. A repeated key is an error, where a map would keep one of
/// the two and drop a condition unseen.
struct Entries<K, V>(Vec<(K, V)>);

impl<'de, K, V> Deserialize<'de> for Entries<K, V>
where
    K: Deserialize<'de> + PartialEq + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for EntriesVisitor<K, V>
where
    K: Deserialize<'de> + PartialEq + fmt::Display,
    V: Deserialize<'de>,
{
    type Value = Entries<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of operators, keys and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<K, V>, A::Error> {
        let mut entries: Vec<(K, V)> = Vec::new();
        while let Some((key, value)) = map.next_entry()? {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!(
                    "`{key}` stands twice in a condition"
                )));
            }
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

/// A condition's value. Numbers and Booleans may stand without quotation marks.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a Boolean")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> String {
        let conditions: Conditions = serde_json::from_str(json).unwrap();
        serde_json::to_string(&conditions).unwrap()
    }

    #[test]
    fn order_and_grouping_are_kept() {
        let json = r#"{"StringEquals":{"b":"1","a":["2","3"]},"Bool":{"c":"true"}}"#;
        assert_eq!(rewritten(json), json);
        assert_eq!(rewritten("{}"), "{}");
    }

    #[test]
    fn numbers_and_booleans_become_text() {
        assert_eq!(
            rewritten(r#"{"Null":{"a":true},"NumericLessThan":{"b":[3600,-1,0.5]}}"#),
            r#"{"Null":{"a":"true"},"NumericLessThan":{"b":["3600","-1","0.5"]}}"#
        );
    }

    #[test]
    fn a_repeated_operator_or_key_is_refused() {
        for json in [
            r#"{"StringEquals":{"a":"1"},"StringEquals":{"b":"1"}}"#,
            r#"{"StringEquals":{"a":"1","a":"2"}}"#,
        ] {
            let error = serde_json::from_str::<Conditions>(json).unwrap_err();
            assert!(error.to_string().contains("stands twice"), "{error}");
        }
    }

    #[test]
    fn no_values_at_all_are_refused() {
        assert!(serde_json::from_str::<Conditions>(r#"{"StringEquals":{"a":[]}}"#).is_err());
        assert!(serde_json::from_str::<Conditions>(r#"{"StringEquals":{"a":null}}"#).is_err());
    }

    #[test]
    fn debug_does_not_show_an_external_id() {
        let conditions: Conditions =
            serde_json::from_str(r#"{"StringEquals":{"STS:externalid":"secret-text","b":"x"}}"#)
                .unwrap();
        let shown = format!("{conditions:?}");
        assert!(
            shown.contains("\"x\"") && !shown.contains("secret-text"),
            "{shown}"
        );
    }
}

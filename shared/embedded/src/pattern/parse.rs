//! Reading a pattern: from JSON to alternatives of fields and conditions.

use serde_json::{Map, Value};

use super::condition::{Comparison, Condition, Network, Text};
use super::{Alternative, Field, InvalidPattern};

/// What EventBridge takes at the most after every `$or` is multiplied out.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
const MAX_ALTERNATIVES: usize = 1000;

/// Numbers beyond are not compared.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
const MAX_NUMBER: f64 = 5.0e9;

pub(super) fn pattern(pattern: &Value) -> Result<Vec<Alternative>, InvalidPattern> {
    match pattern {
        Value::Object(map) => fields(map, ""),
        _ => Err(malformed("", "a pattern is a JSON object")),
    }
}

fn malformed(path: &str, reason: &'static str) -> InvalidPattern {
    let path = if path.is_empty() { "the top" } else { path };
    InvalidPattern::Malformed {
        path: path.to_owned(),
        reason,
    }
}

fn fields(map: &Map<String, Value>, path: &str) -> Result<Vec<Alternative>, InvalidPattern> {
    if map.is_empty() {
        return Err(malformed(path, "an object must name a field"));
    }
    let mut product: Vec<Alternative> = vec![Vec::new()];
    for (name, value) in map {
        let here = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let choices = match value {
            Value::Array(items) if name == "$or" => or(items, path)?,
            _ if name == "$or" => return Err(or_form(path)),
            Value::Object(map) => fields(map, &here)?,
            Value::Array(items) => {
                let conditions = conditions(items, &here)?;
                vec![vec![Field {
                    path: here,
                    conditions,
                }]]
            }
            _ => {
                let reason = "values must stand in a list: write [\"value\"]";
                return Err(malformed(&here, reason));
            }
        };
        if product.len() * choices.len() > MAX_ALTERNATIVES {
            return Err(malformed(path, "`$or` gives more than 1,000 combinations"));
        }
        product = product
            .iter()
            .flat_map(|left| {
                choices
                    .iter()
                    .map(|right| [left.as_slice(), right.as_slice()].concat())
            })
            .collect();
    }
    Ok(product)
}

fn or_form(path: &str) -> InvalidPattern {
    InvalidPattern::InvalidOperand {
        path: if path.is_empty() { "the top" } else { path }.to_owned(),
        operator: "$or",
        reason: "takes a list of two or more objects",
    }
}

fn or(items: &[Value], path: &str) -> Result<Vec<Alternative>, InvalidPattern> {
    if items.len() < 2 {
        return Err(or_form(path));
    }
    let mut alternatives = Vec::new();
    for item in items {
        let map = item.as_object().ok_or_else(|| or_form(path))?;
        alternatives.extend(fields(map, path)?);
    }
    Ok(alternatives)
}

fn conditions(items: &[Value], path: &str) -> Result<Vec<Condition>, InvalidPattern> {
    if items.is_empty() {
        return Err(malformed(path, "a list must hold a value"));
    }
    items
        .iter()
        .map(|item| match item {
            Value::Array(_) => Err(malformed(path, "a list may not stand in a list")),
            Value::Object(map) => match single(map) {
                Some((name, operand)) => operator(name, operand, path),
                None => Err(malformed(path, "an object in a list names one operator")),
            },
            value => Ok(Condition::Exactly(value.clone())),
        })
        .collect()
}

fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, operand)), None) => Some((name, operand)),
        _ => None,
    }
}

fn operator(name: &str, operand: &Value, path: &str) -> Result<Condition, InvalidPattern> {
    let refuse = |operator, reason| InvalidPattern::InvalidOperand {
        path: path.to_owned(),
        operator,
        reason,
    };
    match name {
        "exists" => match operand {
            Value::Bool(true) => Ok(Condition::Present),
            Value::Bool(false) => Ok(Condition::Absent),
            _ => Err(refuse("exists", "takes true or false")),
        },
        "anything-but" => anything_but(operand, path),
        "numeric" => numeric(operand).ok_or_else(|| {
            refuse(
                "numeric",
                "takes [\"=\", number], one bound, or a lower and an upper bound, \
                 of -5e9 to 5e9",
            )
        }),
        "cidr" => operand
            .as_str()
            .and_then(network)
            .map(Condition::Cidr)
            .ok_or_else(|| refuse("cidr", "takes an address and its bits: 10.0.0.0/24")),
        _ => text(name, operand, path).map(Condition::Text),
    }
}

fn text(name: &str, operand: &Value, path: &str) -> Result<Text, InvalidPattern> {
    let refuse = |operator, reason| InvalidPattern::InvalidOperand {
        path: path.to_owned(),
        operator,
        reason,
    };
    let ignoring_case = || {
        let (name, text) = single(operand.as_object()?)?;
        let text = text.as_str()?;
        (name == "equals-ignore-case").then(|| text.to_lowercase())
    };
    let anchored = "takes a string or {\"equals-ignore-case\": string}";
    match name {
        "prefix" => match operand {
            Value::String(text) => Ok(Text::Prefix(text.clone())),
            _ => ignoring_case()
                .map(Text::PrefixIgnoreCase)
                .ok_or_else(|| refuse("prefix", anchored)),
        },
        "suffix" => match operand {
            Value::String(text) => Ok(Text::Suffix(text.clone())),
            _ => ignoring_case()
                .map(Text::SuffixIgnoreCase)
                .ok_or_else(|| refuse("suffix", anchored)),
        },
        "equals-ignore-case" => operand
            .as_str()
            .map(|text| Text::EqualsIgnoreCase(text.to_lowercase()))
            .ok_or_else(|| refuse("equals-ignore-case", "takes a string")),
        "wildcard" => operand
            .as_str()
            .and_then(wildcard)
            .map(Text::Wildcard)
            .ok_or_else(|| {
                refuse(
                    "wildcard",
                    "takes a string without `**`, in which `\\` stands before `*` or `\\` only",
                )
            }),
        _ => Err(InvalidPattern::UnknownOperator {
            path: path.to_owned(),
            operator: name.to_owned(),
        }),
    }
}

fn anything_but(operand: &Value, path: &str) -> Result<Condition, InvalidPattern> {
    let reason = "takes a string or number, a list of either, or one operator of text";
    let refuse = || InvalidPattern::InvalidOperand {
        path: path.to_owned(),
        operator: "anything-but",
        reason,
    };
    let excluded = match operand {
        Value::String(_) | Value::Number(_) => vec![Condition::Exactly(operand.clone())],
        Value::Array(items) => {
            let alike = items.iter().all(Value::is_string) || items.iter().all(Value::is_number);
            if items.is_empty() || !alike {
                return Err(refuse());
            }
            items.iter().cloned().map(Condition::Exactly).collect()
        }
        Value::Object(map) => {
            let (name, operand) = single(map).ok_or_else(refuse)?;
            let texts = match operand {
                Value::Array(items) if items.is_empty() => return Err(refuse()),
                Value::Array(items) => items.as_slice(),
                one => std::slice::from_ref(one),
            };
            texts
                .iter()
                .map(|operand| text(name, operand, path).map(Condition::Text))
                .collect::<Result<_, _>>()?
        }
        _ => return Err(refuse()),
    };
    Ok(Condition::AnythingBut(excluded))
}

/// `["=", x]`, one bound, or a lower and then an upper bound.
fn numeric(operand: &Value) -> Option<Condition> {
    let comparison = |value: &Value| match value.as_str()? {
        "<" => Some(Comparison::Less),
        "<=" => Some(Comparison::LessOrEqual),
        "=" => Some(Comparison::Equal),
        ">=" => Some(Comparison::GreaterOrEqual),
        ">" => Some(Comparison::Greater),
        _ => None,
    };
    let number = |value: &Value| value.as_f64().filter(|n| n.abs() <= MAX_NUMBER);
    match operand.as_array()?.as_slice() {
        [one, bound] => Some(Condition::Numeric(vec![(comparison(one)?, number(bound)?)])),
        [one, low, two, high] => {
            let (one, two) = (comparison(one)?, comparison(two)?);
            let (low, high) = (number(low)?, number(high)?);
            let lower = matches!(one, Comparison::Greater | Comparison::GreaterOrEqual);
            let upper = matches!(two, Comparison::Less | Comparison::LessOrEqual);
            (lower && upper && low < high)
                .then(|| Condition::Numeric(vec![(one, low), (two, high)]))
        }
        _ => None,
    }
}

/// The parts between the wildcards.
fn wildcard(pattern: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut characters = pattern.chars();
    let mut after_wildcard = false;
    while let Some(character) = characters.next() {
        let literal = match character {
            '*' if after_wildcard => return None,
            '*' => {
                parts.push(String::new());
                after_wildcard = true;
                continue;
            }
            '\\' => characters.next().filter(|c| matches!(c, '*' | '\\'))?,
            other => other,
        };
        after_wildcard = false;
        parts.last_mut()?.push(literal);
    }
    Some(parts)
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/')?;
    let address: std::net::IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    (bits <= width).then_some(Network { address, bits })
}

#[cfg(test)]
mod tests {
    use crate::pattern::{InvalidPattern, Pattern};
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "called with literals")]
    fn refused(pattern: Value) -> InvalidPattern {
        Pattern::parse(&pattern).expect_err(&pattern.to_string())
    }

    #[test]
    fn an_unknown_operator_is_named_with_its_place() {
        let error = refused(json!({"detail": {"state": ["x", {"sounds-like": "running"}]}}));
        assert_eq!(
            error.to_string(),
            "event pattern, at detail.state: the operator \"sounds-like\" is not known"
        );
        let error = refused(json!({"a": [{"anything-but": {"regex": "x"}}]}));
        assert_eq!(
            error.to_string(),
            "event pattern, at a: the operator \"regex\" is not known"
        );
    }

    #[test]
    fn a_known_operator_refuses_what_it_does_not_take() {
        for (operator, operand) in [
            ("exists", json!("yes")),
            ("prefix", json!(1)),
            ("prefix", json!({"wildcard": "a"})),
            ("suffix", json!(["a"])),
            ("equals-ignore-case", json!(null)),
            ("wildcard", json!("a**b")),
            ("wildcard", json!("a\\b")),
            ("wildcard", json!("a\\")),
            ("cidr", json!("10.0.0.0")),
            ("cidr", json!("10.0.0.0/33")),
            ("anything-but", json!([])),
            ("anything-but", json!(["a", 1])),
            ("anything-but", json!(true)),
            ("anything-but", json!({"prefix": "a", "suffix": "b"})),
            ("anything-but", json!({"prefix": []})),
            ("numeric", json!([">"])),
            ("numeric", json!(["~", 1])),
            ("numeric", json!(["<", 1, ">", 0])),
            ("numeric", json!([">", 5, "<", 1])),
            ("numeric", json!(["=", 6e9])),
        ] {
            let error = refused(json!({"field": [{operator: operand}]}));
            assert!(
                matches!(&error, InvalidPattern::InvalidOperand { operator: o, path, .. } if *o == operator && path == "field"),
                "{operator} {operand}: {error}"
            );
        }
    }

    #[test]
    fn fields_are_objects_or_lists() {
        for pattern in [
            json!("source"),
            json!({}),
            json!({"source": "aws.ec2"}),
            json!({"source": []}),
            json!({"source": [["aws.ec2"]]}),
            json!({"detail": {}}),
            json!({"source": [{"prefix": "a", "suffix": "b"}]}),
            json!({"source": [{}]}),
        ] {
            assert!(matches!(refused(pattern), InvalidPattern::Malformed { .. }));
        }
    }

    #[test]
    fn or_takes_two_or_more_objects() {
        for or in [
            json!({"a": [1]}),
            json!([]),
            json!([{"a": [1]}]),
            json!([{"a": [1]}, 2]),
        ] {
            let error = refused(json!({"detail": {"$or": or}}));
            assert!(
                error
                    .to_string()
                    .starts_with("event pattern, at detail: \"$or\" takes")
            );
        }
    }

    #[test]
    fn more_than_a_thousand_combinations_are_refused() {
        let many: Vec<Value> = (0..32).map(|n| json!({"a": [n]})).collect();
        refused(json!({"x": {"$or": many}, "y": {"$or": many}}));
    }
}

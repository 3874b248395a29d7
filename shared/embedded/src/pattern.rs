//! EventBridge's event patterns as typed values: which events a rule lets through.
//!
//! A pattern has the structure of the events that it matches: of every field that it names, the
//! event must hold one of the values or meet one of the conditions. What it does not know is an
//! error and not a field that never matches, so that the embedded bus cannot quietly differ
//! from the deployed one.
//!
//! Fields and arrays are read as AWS's own matcher reads them (<https://github.com/aws/event-ruler>):
//! a field's name is the path to it, joined with dots; an array matches if one of its elements
//! does; and two fields of a pattern never match in different elements of the same array.
//!
//! Grammar: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>,
//! operators: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>

use serde_json::Value;

use self::condition::Condition;

mod condition;
mod parse;

/// Which events a rule lets through.
///
/// ```
/// use sealift_embedded::pattern::Pattern;
/// use serde_json::json;
///
/// let pattern = Pattern::parse(&json!({"source": [{"anything-but": "sealift.control"}]})).unwrap();
/// assert!(pattern.matches(&json!({"source": "platform.audit"})));
/// assert!(!pattern.matches(&json!({"source": "sealift.control"})));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// One of these must hold: each `$or` multiplies them.
    alternatives: Vec<Alternative>,
}

/// All of these must hold.
type Alternative = Vec<Field>;

/// A field, and what may stand in it.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    path: String,
    conditions: Vec<Condition>,
}

/// A pattern that EventBridge would refuse, or that uses what is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// An operator that is not known.
    #[error("event pattern, at {path}: the operator {operator:?} is not known")]
    UnknownOperator {
        /// The field, as a path joined with dots.
        path: String,
        /// The operator's name.
        operator: String,
    },
    /// An operator that is known, with what it does not take.
    #[error("event pattern, at {path}: {operator:?} {reason}")]
    InvalidOperand {
        /// The field, as a path joined with dots.
        path: String,
        /// The operator's name.
        operator: &'static str,
        /// What it takes.
        reason: &'static str,
    },
    /// Something else than fields, or than a list of values and operators.
    #[error("event pattern, at {path}: {reason}")]
    Malformed {
        /// The field, as a path joined with dots.
        path: String,
        /// What must stand there.
        reason: &'static str,
    },
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(pattern: &Value) -> Result<Self, InvalidPattern> {
        parse::pattern(pattern).map(|alternatives| Self { alternatives })
    }

    /// Whether the pattern asks for anything below a field.
    pub(crate) fn reads_below(&self, field: &str) -> bool {
        let below = |path: &str| {
            path.strip_prefix(field)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.alternatives
            .iter()
            .flatten()
            .any(|field| below(&field.path))
    }

    /// Whether the rule lets the event through.
    pub fn matches(&self, event: &Value) -> bool {
        let mut leaves = Vec::new();
        flatten(event, &mut Place::default(), &mut leaves);
        self.alternatives
            .iter()
            .any(|fields| hold(fields, &leaves, &[]))
    }
}

/// A value of the event that is neither object nor array.
struct Leaf<'a> {
    path: String,
    elements: Vec<Element>,
    value: &'a Value,
}

/// The element of an array that a leaf lies in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Element {
    array: usize,
    index: usize,
}

/// Where in the event the walk is.
#[derive(Default)]
struct Place {
    path: String,
    elements: Vec<Element>,
    arrays: usize,
}

fn flatten<'a>(value: &'a Value, place: &mut Place, leaves: &mut Vec<Leaf<'a>>) {
    match value {
        Value::Object(fields) => {
            let length = place.path.len();
            for (name, value) in fields {
                if length > 0 {
                    place.path.push('.');
                }
                place.path.push_str(name);
                flatten(value, place, leaves);
                place.path.truncate(length);
            }
        }
        Value::Array(items) => {
            let array = place.arrays;
            place.arrays += 1;
            for (index, item) in items.iter().enumerate() {
                place.elements.push(Element { array, index });
                flatten(item, place, leaves);
                place.elements.pop();
            }
        }
        _ => leaves.push(Leaf {
            path: place.path.clone(),
            elements: place.elements.clone(),
            value,
        }),
    }
}

/// Whether each field finds a leaf, all of them in the same elements of the arrays they share.
fn hold(fields: &[Field], leaves: &[Leaf<'_>], chosen: &[Element]) -> bool {
    let Some((field, rest)) = fields.split_first() else {
        return true;
    };
    let here = || leaves.iter().filter(|leaf| leaf.path == field.path);
    if field.conditions.contains(&Condition::Absent)
        && here().next().is_none()
        && hold(rest, leaves, chosen)
    {
        return true;
    }
    here().any(|leaf| {
        agree(&leaf.elements, chosen)
            && field.conditions.iter().any(|c| c.holds(leaf.value))
            && hold(rest, leaves, &[chosen, leaf.elements.as_slice()].concat())
    })
}

fn agree(elements: &[Element], chosen: &[Element]) -> bool {
    elements.iter().all(|element| {
        chosen
            .iter()
            .all(|other| other.array != element.array || other.index == element.index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "called with literals")]
    fn matches(pattern: Value, event: Value) -> bool {
        Pattern::parse(&pattern).unwrap().matches(&event)
    }

    /// The event of <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>.
    fn instance_event() -> Value {
        json!({
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "EC2 Instance State-change Notification",
            "source": "aws.ec2",
            "account": "111122223333",
            "time": "2017-12-22T18:43:48Z",
            "region": "us-west-1",
            "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
            "detail": {"instance-id": "i-1234567890abcdef0", "state": "terminated"}
        })
    }

    /// The event of <https://github.com/aws/event-ruler#ruler-by-example>.
    fn ruler_event() -> Value {
        json!({
            "version": "0",
            "id": "ddddd4-aaaa-7777-4444-345dd43cc333",
            "detail-type": "EC2 Instance State-change Notification",
            "source": "aws.ec2",
            "account": "012345679012",
            "time": "2017-10-02T16:24:49Z",
            "region": "us-east-1",
            "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"],
            "detail": {
                "c-count": 5, "d-count": 3, "x-limit": 301.8, "source-ip": "10.0.0.33",
                "instance-id": "i-000000aaaaaa00000", "state": "running"
            }
        })
    }

    #[test]
    fn the_first_example_of_the_user_guide_matches_its_event() {
        assert!(matches(
            json!({
                "source": ["aws.ec2"],
                "detail-type": ["EC2 Instance State-change Notification"],
                "detail": {"state": ["terminated"]}
            }),
            instance_event()
        ));
    }

    #[test]
    fn the_examples_of_awss_matcher_match_its_event() {
        for pattern in [
            json!({
                "detail-type": ["EC2 Instance State-change Notification"],
                "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-000000aaaaaa00000"],
                "detail": {"state": ["initializing", "running"]}
            }),
            json!({"time": [{"prefix": "2017-10-02"}]}),
            json!({"source": [{"suffix": "ec2"}]}),
            json!({"source": [{"equals-ignore-case": "AWS.EC2"}]}),
            json!({"detail": {"state": [{"anything-but": "initializing"}]}}),
            json!({"detail": {"x-limit": [{"anything-but": 123}]}}),
            json!({"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}}),
            json!({"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}}),
            json!({"detail": {"state": [{"anything-but": {"prefix": "init"}}]}}),
            json!({"detail": {
                "c-count": [{"numeric": [">", 0, "<=", 5]}],
                "d-count": [{"numeric": ["<", 10]}],
                "x-limit": [{"numeric": ["=", 3.018e2]}]
            }}),
            json!({"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}}),
            json!({"detail": {"c-count": [{"exists": true}]}}),
            json!({"detail": {"e-count": [{"exists": false}]}}),
            json!({
                "time": [{"prefix": "2017-10-02"}],
                "detail": {
                    "state": [{"anything-but": "initializing"}],
                    "c-count": [{"numeric": [">", 0, "<=", 5]}],
                    "d-count": [{"numeric": ["<", 10]}],
                    "x-limit": [{"anything-but": [100, 200, 300]}],
                    "source-ip": [{"cidr": "10.0.0.0/8"}]
                }
            }),
        ] {
            assert!(matches(pattern.clone(), ruler_event()), "{pattern}");
        }
    }

    #[test]
    fn all_fields_must_match_and_one_value_of_each() {
        let pattern =
            json!({"source": ["aws.ec2", "aws.fargate"], "detail": {"state": ["running"]}});
        assert!(!matches(pattern.clone(), instance_event()));
        assert!(matches(pattern, ruler_event()));
    }

    #[test]
    fn a_field_that_the_event_has_not_does_not_match() {
        assert!(!matches(
            json!({"detail": {"nothing": [{"anything-but": "x"}]}}),
            ruler_event()
        ));
        assert!(!matches(
            json!({"detail": {"nothing": [{"exists": true}]}}),
            ruler_event()
        ));
        assert!(!matches(
            json!({"detail": {"state": [{"exists": false}]}}),
            ruler_event()
        ));
    }

    #[test]
    fn absence_may_stand_beside_a_value() {
        let pattern = json!({"detail": {"state": [{"exists": false}, "running"]}});
        assert!(matches(pattern.clone(), ruler_event()));
        assert!(matches(pattern.clone(), json!({"detail": {}})));
        assert!(!matches(pattern, json!({"detail": {"state": "stopped"}})));
    }

    /// <https://github.com/aws/event-ruler#exists-matching>: only leaves exist.
    #[test]
    fn an_object_is_no_field_that_exists() {
        let event = json!({"detail": {"c-count": {"c1": 100}}});
        assert!(matches(
            json!({"detail": {"c-count": [{"exists": false}]}}),
            event.clone()
        ));
        assert!(!matches(
            json!({"detail": {"c-count": [{"exists": true}]}}),
            event
        ));
    }

    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html>
    #[test]
    fn an_array_matches_if_an_element_does() {
        let event = json!({"resources": [
            "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:eb56d16b:autoScalingGroupName/ASGTerminate",
            "arn:aws:ec2:us-east-1:111122223333:instance/i-b188560f"
        ]});
        let pattern = |second: &str| json!({"resources": ["arn:aws:ec2:us-east-1:111122223333:instance/i-b188560e", second]});
        assert!(matches(
            pattern("arn:aws:ec2:us-east-1:111122223333:instance/i-b188560f"),
            event.clone()
        ));
        assert!(!matches(
            pattern("arn:aws:ec2:us-east-1:111122223333:instance/i-b1885600"),
            event
        ));
    }

    /// <https://github.com/aws/event-ruler#json-array-matching>
    #[test]
    fn two_fields_do_not_match_in_different_elements_of_an_array() {
        let flat = json!({"employees": [
            {"firstName": "John", "lastName": "Doe"},
            {"firstName": "Anna", "lastName": "Smith"},
            {"firstName": "Peter", "lastName": "Jones"}
        ]});
        let nested = json!({"employees": [
            [{"firstName": "John", "lastName": "Doe"}, {"firstName": "Anna", "lastName": "Smith"}],
            [{"firstName": "Peter", "lastName": "Jones"}]
        ]});
        for event in [flat, nested] {
            assert!(matches(
                json!({"employees": {"firstName": ["Anna"]}}),
                event.clone()
            ));
            let both =
                |last: &str| json!({"employees": {"firstName": ["Anna"], "lastName": [last]}});
            assert!(matches(both("Smith"), event.clone()));
            assert!(!matches(both("Jones"), event));
        }
    }

    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-complex-example-or>
    #[test]
    fn or_asks_for_one_of_its_fields() {
        let pattern = json!({"detail": {"$or": [
            {"c-count": [{"numeric": [">", 0, "<=", 5]}]},
            {"d-count": [{"numeric": ["<", 10]}]},
            {"x-limit": [{"numeric": ["=", 3.018e2]}]}
        ]}});
        assert!(matches(
            pattern.clone(),
            json!({"detail": {"c-count": 6, "d-count": 3}})
        ));
        assert!(matches(
            pattern.clone(),
            json!({"detail": {"x-limit": 301.8}})
        ));
        assert!(!matches(
            pattern,
            json!({"detail": {"c-count": 6, "d-count": 10}})
        ));
    }

    /// <https://github.com/aws/event-ruler#rule-examples-with-or-primitive>
    #[test]
    fn an_or_may_stand_in_an_or() {
        let pattern = json!({
            "source": ["aws.cloudwatch"],
            "$or": [
                {"metricName": ["CPUUtilization", "ReadLatency"]},
                {
                    "metricType": ["MetricType"],
                    "namespace": ["AWS/EC2", "AWS/ES"],
                    "$or": [{"metricId": [1234]}, {"spaceId": [1000]}]
                },
                {"scope": ["Service"]}
            ]
        });
        let event = |more: Value| {
            let mut event = json!({"source": "aws.cloudwatch"});
            event
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            event
        };
        assert!(matches(
            pattern.clone(),
            event(json!({"metricName": "ReadLatency"}))
        ));
        assert!(matches(pattern.clone(), event(json!({"scope": "Service"}))));
        let inner = json!({"metricType": "MetricType", "namespace": "AWS/ES", "spaceId": 1000});
        assert!(matches(pattern.clone(), event(inner)));
        let half = json!({"metricType": "MetricType", "namespace": "AWS/ES"});
        assert!(!matches(pattern.clone(), event(half)));
        assert!(!matches(
            pattern,
            json!({"source": "aws.ec2", "scope": "Service"})
        ));
    }
}

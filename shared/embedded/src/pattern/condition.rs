//! What a pattern may ask of one value.

use std::net::IpAddr;

use serde_json::{Number, Value};

/// What a pattern asks of one value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// No value may be there at all.
    Absent,
    /// Any value.
    Present,
    /// The value itself: a string, number, boolean or null.
    Exactly(Value),
    /// Neither of these. What is no string meets every exclusion of text.
    AnythingBut(Vec<Condition>),
    /// A string in which the text stands.
    Text(Text),
    /// A number that meets each comparison.
    Numeric(Vec<(Comparison, f64)>),
    /// A string with an address of the network.
    Cidr(Network),
}

/// Where in a string a text has to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    Prefix(String),
    Suffix(String),
    /// In these, the text is in lower case already.
    PrefixIgnoreCase(String),
    SuffixIgnoreCase(String),
    EqualsIgnoreCase(String),
    /// The parts between the wildcards, each of which may be empty.
    Wildcard(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// The addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) bits: u32,
}

impl Condition {
    /// Whether a value that the event holds meets the condition.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Absent => false,
            Self::Present => true,
            Self::Exactly(expected) => match (expected, value) {
                (Value::Number(a), Value::Number(b)) => equal(a, b),
                (a, b) => a == b,
            },
            Self::AnythingBut(excluded) => !excluded.iter().any(|c| c.holds(value)),
            Self::Text(text) => value.as_str().is_some_and(|value| text.stands_in(value)),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|value| {
                comparisons
                    .iter()
                    .all(|(comparison, bound)| comparison.holds(value, *bound))
            }),
            Self::Cidr(network) => value
                .as_str()
                .and_then(|value| value.parse().ok())
                .is_some_and(|address| network.holds(address)),
        }
    }
}

impl Text {
    fn stands_in(&self, value: &str) -> bool {
        match self {
            Self::Prefix(text) => value.starts_with(text.as_str()),
            Self::Suffix(text) => value.ends_with(text.as_str()),
            Self::PrefixIgnoreCase(text) => value.to_lowercase().starts_with(text.as_str()),
            Self::SuffixIgnoreCase(text) => value.to_lowercase().ends_with(text.as_str()),
            Self::EqualsIgnoreCase(text) => value.to_lowercase() == *text,
            Self::Wildcard(parts) => wildcard(parts, value),
        }
    }
}

/// Each part as early as it comes, save the last, which has to stand at the end.
fn wildcard(parts: &[String], value: &str) -> bool {
    let (first, rest) = match parts.split_first() {
        None => return value.is_empty(),
        Some((only, [])) => return only == value,
        Some(split) => split,
    };
    let Some(mut value) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    for part in middle {
        match value.split_once(part.as_str()) {
            Some((_, after)) => value = after,
            None => return false,
        }
    }
    value.ends_with(last.as_str())
}

/// Equal as numbers: `300`, `300.0` and `3.0e2` are the same.
fn equal(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

impl Comparison {
    #[expect(clippy::float_cmp, reason = "the language asks for equality")]
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Equal => value == bound,
            Self::GreaterOrEqual => value >= bound,
            Self::Greater => value > bound,
        }
    }
}

impl Network {
    fn holds(self, address: IpAddr) -> bool {
        let (mine, other, width) = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let ignored = width - self.bits;
        ignored >= 128 || mine >> ignored == other >> ignored
    }
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;
    use serde_json::{Value, json};

    /// Whether a field with the value matches the list.
    #[expect(clippy::needless_pass_by_value, reason = "called with literals")]
    fn meets(list: Value, value: Value) -> bool {
        Pattern::parse(&json!({ "field": list }))
            .unwrap()
            .matches(&json!({ "field": value }))
    }

    // The examples in these tests are those of
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html

    #[test]
    fn a_prefix_stands_at_the_beginning() {
        let list = json!([{"prefix": "2017-10-02"}]);
        assert!(meets(list.clone(), json!("2017-10-02T18:43:48Z")));
        assert!(!meets(list.clone(), json!("on 2017-10-02")));
        assert!(!meets(list, json!(20_171_002)));
    }

    #[test]
    fn prefix_and_suffix_may_ignore_case() {
        let list = json!([{"prefix": {"equals-ignore-case": "EventB"}}]);
        for value in ["EventBridge", "eventbridge", "EVENTBRIDGE"] {
            assert!(meets(list.clone(), json!(value)), "{value}");
        }
        let list = json!([{"suffix": {"equals-ignore-case": ".png"}}]);
        assert!(meets(list.clone(), json!("a.PNG")));
        assert!(!meets(list, json!("a.png.txt")));
    }

    #[test]
    fn a_suffix_stands_at_the_end() {
        assert!(meets(json!([{"suffix": ".png"}]), json!("pictures/a.png")));
        assert!(!meets(json!([{"suffix": ".png"}]), json!("a.png.txt")));
    }

    #[test]
    fn anything_but_leaves_out_values_and_lists() {
        let state = json!([{"anything-but": "initializing"}]);
        assert!(meets(state.clone(), json!("running")));
        assert!(meets(state.clone(), json!(7)));
        assert!(!meets(state, json!("initializing")));
        let limits = json!([{"anything-but": [100, 200, 300]}]);
        assert!(meets(limits.clone(), json!(301.8)));
        assert!(!meets(limits, json!(200)));
    }

    #[test]
    fn anything_but_leaves_out_text_wherever_it_stands() {
        for (but, out, stays) in [
            (json!({"prefix": "init"}), "initializing", "uninitialized"),
            (json!({"prefix": ["init", "run"]}), "running", "stopped"),
            (json!({"suffix": "ing"}), "initializing", "ingested"),
            (
                json!({"equals-ignore-case": "initializing"}),
                "INITIALIZING",
                "initialized",
            ),
            (json!({"equals-ignore-case": ["a", "B"]}), "b", "c"),
            (json!({"wildcard": "*/lib/*"}), "/usr/lib/x", "/usr/bin/x"),
            (
                json!({"wildcard": ["*/lib/*", "*/bin/*"]}),
                "/usr/bin/x",
                "/usr/share/x",
            ),
        ] {
            let list = json!([{ "anything-but": but }]);
            assert!(!meets(list.clone(), json!(out)), "{list} {out}");
            assert!(meets(list.clone(), json!(stays)), "{list} {stays}");
            assert!(meets(list.clone(), json!(true)), "{list} true");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let list = json!([{"numeric": [">", 0, "<=", 5]}]);
        for (value, expected) in [(0.0, false), (0.1, true), (5.0, true), (5.1, false)] {
            assert_eq!(meets(list.clone(), json!(value)), expected, "{value}");
        }
        assert!(!meets(list, json!("3")));
        assert!(meets(json!([300]), json!(300.0)));
        assert!(meets(json!([{"numeric": [">=", 3]}]), json!(3)));
    }

    #[test]
    fn large_whole_numbers_are_not_rounded() {
        assert!(!meets(
            json!([9_007_199_254_740_993_i64]),
            json!(9_007_199_254_740_992_i64)
        ));
    }

    #[test]
    fn null_empty_and_booleans_match_themselves() {
        assert!(meets(json!([null]), json!(null)));
        assert!(!meets(json!([null]), json!("")));
        assert!(meets(json!([""]), json!("")));
        assert!(meets(json!([true]), json!(true)));
        assert!(!meets(json!([true]), json!("true")));
    }

    #[test]
    fn case_can_be_ignored() {
        let list = json!([{"equals-ignore-case": "ec2 instance state-change notification"}]);
        assert!(meets(
            list.clone(),
            json!("EC2 Instance State-change Notification")
        ));
        assert!(!meets(list, json!("EC2 Instance")));
    }

    #[test]
    fn a_wildcard_stands_for_any_characters() {
        let list = json!([{"wildcard": "dir/*.png"}]);
        assert!(meets(list.clone(), json!("dir/a/b.png")));
        assert!(!meets(list, json!("other/dir/b.png")));
        let list = json!([{"wildcard": "Simple*Service"}]);
        assert!(meets(list.clone(), json!("SimpleService")));
        assert!(meets(list.clone(), json!("Simple Queue Service")));
        assert!(!meets(list, json!("Simple Queue Services")));
        assert!(!meets(json!([{"wildcard": "a*a"}]), json!("a")));
        assert!(meets(json!([{"wildcard": "*a*b*"}]), json!("xaxbx")));
        assert!(meets(json!([{"wildcard": "a\\*b\\\\*"}]), json!("a*b\\c")));
        assert!(!meets(json!([{"wildcard": "a\\*b"}]), json!("axb")));
    }

    #[test]
    fn a_network_holds_its_addresses() {
        assert!(meets(json!([{"cidr": "10.0.0.0/24"}]), json!("10.0.0.255")));
        assert!(!meets(json!([{"cidr": "10.0.0.0/24"}]), json!("10.0.1.0")));
        assert!(meets(json!([{"cidr": "0.0.0.0/0"}]), json!("192.0.2.1")));
        assert!(meets(
            json!([{"cidr": "2001:db8::/32"}]),
            json!("2001:db8:1::1")
        ));
        assert!(meets(json!([{"cidr": "::/0"}]), json!("2001:db8:1::1")));
        assert!(!meets(
            json!([{"cidr": "2001:db8::/32"}]),
            json!("10.0.0.1")
        ));
        assert!(!meets(json!([{"cidr": "10.0.0.0/24"}]), json!("host")));
    }
}

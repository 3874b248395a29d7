//! The scanner against `serde_json`.

use super::*;
use proptest::prelude::*;

fn accepted(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[test]
fn members_and_elements_come_in_order_with_their_own_bytes() {
    let text = " {\"a\" : [1, {\"b\":\"]\"}] ,\t\"\\u0062\":\"x\\\"y\",\n\"c\":-0.5e+3,\"d\":{},\"e\":null,\"a\":true}\r\n";
    let mut found = Vec::new();
    members(text, |name, value| {
        found.push((name.raw, value.raw, value.kind));
    })
    .unwrap();
    assert_eq!(
        found,
        [
            ("\"a\"", "[1, {\"b\":\"]\"}]", Kind::List),
            ("\"\\u0062\"", "\"x\\\"y\"", Kind::Escaped),
            ("\"c\"", "-0.5e+3", Kind::Number),
            ("\"d\"", "{}", Kind::Object),
            ("\"e\"", "null", Kind::Null),
            ("\"a\"", "true", Kind::Flag),
        ]
    );
    let mut found = Vec::new();
    elements("[ \"\" , [ ] ,0]", |value| found.push(value.raw)).unwrap();
    assert_eq!(found, ["\"\"", "[ ]", "0"]);
    for text in ["[]", " 1", "\"a\"", "null"] {
        assert_eq!(members(text, |_, _| ()), Err(Unreadable::OtherKind));
    }
    assert_eq!(elements("{}", |_| ()), Err(Unreadable::OtherKind));
    for (text, expected, at) in [
        ("", "an object", 0),
        (" nul", "an object", 1),
        ("{\"a\":1", "a comma or a closing bracket", 6),
        ("{\"a\" 1}", "a colon", 5),
    ] {
        let error = members(text, |_, _| ()).unwrap_err();
        assert_eq!(error, Unreadable::Malformed(expected, at));
    }
}

#[test]
fn what_is_no_json_is_refused_as_serde_json_refuses_it() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{a:1}",
        "[1}",
        "{\"a\":1]",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-",
        "-a",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1 2",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\n\"",
        "\"\u{1}\"",
        "'a'",
        "[1]]",
        "{}{}",
        "//",
        "[\"a\" \"b\"]",
        "\u{feff}1",
        "\u{a0}1",
        "[[[[",
        "{\"a\":{\"b\":[}}",
    ] {
        assert!(!accepted(text), "{text:?}");
        assert!(only(text).is_none(), "{text:?}");
    }
    for text in [
        "0",
        "-0",
        "-0.0",
        "1e5",
        "1E-5",
        "10.25",
        "\"\\ud83d\"",
        "\"\\u0000\\/\"",
        "[[],[[]],{}]",
        "\"\u{7f}ü😀\"",
        " { } ",
        "[ ]",
    ] {
        assert!(accepted(text), "{text:?}");
        assert_eq!(only(text).map(|value| value.raw), Some(text.trim()));
    }
}

#[test]
fn nesting_has_no_end() {
    for depth in [1, 63, 64, 65, 128, 129, 5000] {
        let open: String = (0..depth).map(|i| ["[", "{\"a\":"][i % 2]).collect();
        let close: String = (0..depth).rev().map(|i| ["]", "}"][i % 2]).collect();
        let text = format!("{open}1{close}");
        assert_eq!(only(&text).map(|value| value.raw), Some(text.as_str()));
        let cut = text.get(..text.len() - 1).unwrap();
        assert!(only(cut).is_none());
        assert!(only(&format!("{open}1{}", close.replacen([']', '}'], "", 1))).is_none());
    }
}

proptest! {
    #[test]
    fn a_text_is_accepted_if_and_only_if_serde_json_accepts_it(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "\"\\u00e9\"", "1", "-0.5e3", "null",
                "true", "false", " ", "\"", "\\", "x", "{\"a\":1", "[1,", "0", ".", "e", "-",
            ]),
            0..12,
        ),
    ) {
        let text = tokens.concat();
        prop_assert_eq!(only(&text).is_some(), accepted(&text), "{}", text);
    }

    #[test]
    fn any_text_is_accepted_if_and_only_if_serde_json_accepts_it(text in "[ \\[\\]{},:\"\\\\a-fn0-9.eE+-]{0,20}") {
        prop_assert_eq!(only(&text).is_some(), accepted(&text), "{}", text);
    }

    #[test]
    fn any_string_is_one_value(text: String, before in 0usize..40) {
        let text = "x".repeat(before) + &text;
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(only(&json).map(|value| value.raw), Some(json.as_str()));
    }
}

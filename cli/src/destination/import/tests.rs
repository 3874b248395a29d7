use super::*;

fn there(changes: &Value) -> Destination {
    let mut there = json!({
        "id": "main",
        "organization": "acme",
        "status": "never_started",
        "bucket": "acme-audit",
        "region": "eu-west-1",
        "prefix": "audit-events/",
        "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/a"},
        "principal_arn": "arn:aws:iam::111111111111:role/p",
        "external_id": "e",
    });
    for (field, value) in changes.as_object().unwrap() {
        there[field] = value.clone();
    }
    serde_json::from_value(there).unwrap()
}

fn asked(changes: &Value) -> Map<String, Value> {
    let mut asked = json!({
        "id": "main",
        "bucket": "acme-audit",
        "region": "eu-west-1",
        "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/a"},
    });
    for (field, value) in changes.as_object().unwrap() {
        asked[field] = value.clone();
    }
    asked.as_object().unwrap().clone()
}

#[test]
fn what_is_there_is_the_same_whether_defaults_are_written_out_or_not() {
    for same in [
        json!({}),
        json!({"prefix": "audit-events"}),
        json!({"prefix": "audit-events/", "path_style": false, "included_events": []}),
        json!({"kms_key_arn": null, "endpoint": null}),
    ] {
        let none: [&str; 0] = [];
        assert_eq!(differing(&asked(&same), &there(&json!({}))), none, "{same}");
    }
    let checked = there(&json!({"checksum": true}));
    assert!(differing(&asked(&json!({})), &checked).is_empty());
    let by_keys = json!({"authentication": {"type": "access_keys"}});
    let keys = json!({"authentication": {
        "type": "access_keys", "access_key_id": "AKIA", "secret_access_key": "s",
    }});
    assert!(differing(&asked(&keys), &there(&by_keys)).is_empty());
}

#[test]
fn each_field_that_differs_is_named() {
    for (change, field) in [
        (json!({"bucket": "other"}), "bucket"),
        (json!({"region": "eu-west-2"}), "region"),
        (json!({"prefix": ""}), "prefix"),
        (json!({"path_style": true}), "path_style"),
        (json!({"endpoint": "https://s3.example.com"}), "endpoint"),
        (json!({"included_events": ["identity"]}), "included_events"),
        (json!({"kms_key_arn": "arn:aws:kms:x"}), "kms_key_arn"),
        (json!({"storage_class": "GLACIER_IR"}), "storage_class"),
        (json!({"checksum": false}), "checksum"),
    ] {
        let found = differing(&asked(&change), &there(&json!({})));
        assert_eq!(found, [field]);
    }
    let other_role = json!({"authentication": {
        "type": "iam_role", "role_arn": "arn:aws:iam::3:role/b", "bucket_owner": "333333333333",
    }});
    assert_eq!(
        differing(&asked(&other_role), &there(&json!({}))),
        ["authentication.role_arn", "authentication.bucket_owner"]
    );
}

#[test]
fn lines_and_items_are_counted_from_one_and_empty_lines_are_passed_over() {
    let places = |text| -> Vec<String> {
        let entries = entries(text).unwrap();
        entries.into_iter().map(|entry| entry.place).collect()
    };
    assert_eq!(places("\u{feff}{}\n\n{}\r\n"), ["line 1", "line 3"]);
    assert_eq!(places("\n [{},\n {}]"), ["item 1", "item 2"]);
    assert!(places("").is_empty());
    assert!(entries("[{}, {").is_err());
}

#[test]
fn a_line_that_cannot_be_asked_for_is_refused_by_its_field_and_never_quoted() {
    let acme = OrgId::parse("acme").unwrap();
    for (text, field, otherwise) in [
        (r#"{"id":"a"}"#, Some("organization"), None),
        (r#"{"id":"a","organization":7}"#, Some("organization"), None),
        (
            r#"{"id":"a","organization":"a:b"}"#,
            Some("organization"),
            None,
        ),
        (r"{}", Some("id"), Some(&acme)),
        (r#"{"id":"a/b"}"#, Some("id"), Some(&acme)),
        (r#"{"id":null}"#, Some("id"), Some(&acme)),
        (r#"["sEcReT"]"#, None, Some(&acme)),
        (
            r#"{"id":"a","secret_access_key":"sEcReT"#,
            None,
            Some(&acme),
        ),
    ] {
        let Err(refused) = parse(text, otherwise) else {
            panic!("{text} was taken");
        };
        assert_eq!(refused.field, field, "{text}");
        assert!(!refused.why.contains("sEcReT"), "{}", refused.why);
    }
    let line = r#"{"organization":"globex","id":"a","bucket":"b"}"#;
    let asked = parse(line, Some(&acme)).ok().unwrap();
    assert_eq!(asked.organization.as_str(), "globex");
    assert!(!asked.body.contains_key("organization"));
    assert_eq!(asked.body["id"], "a");
}

//! Requests that nobody can answer well, each with a secret where none belongs.

use serde_json::{Value, json};

use super::scene::{BUCKET, PROJECT, ROLE, Serving};
use super::{ALL, AUTOMATIONS, FIRST, MAIN, PASTED};

/// Bodies that change a destination into nothing that can be, with a secret in the wrong place.
fn wrong_changes(pasted: &str) -> Vec<Value> {
    let keys = |id: Value, secret: Value| {
        json!({"authentication": {
            "type": "access_keys", "access_key_id": id, "secret_access_key": secret,
        }})
    };
    vec![
        json!({"authentication": pasted}),
        json!({"authentication": [pasted]}),
        json!({"authentication": {"type": pasted}}),
        json!({"authentication": {"type": "access_keys", "secret_access_key": pasted}}),
        json!({"authentication": {"type": "access_keys", "access_key_id": pasted}}),
        json!({"authentication": {"type": "access_keys", "session_token": pasted}}),
        json!({"authentication": {"type": "access_keys", pasted: "x"}}),
        json!({"authentication": {"type": "iam_role", "role_arn": pasted}}),
        json!({"authentication": {"type": "iam_role", "role_arn": ROLE, "bucket_owner": pasted}}),
        json!({"authentication": {"type": "iam_role", "role_arn": ROLE, "external_id": pasted}}),
        keys(json!({"is": pasted}), json!([pasted])),
        keys(json!(FIRST.id), json!({pasted: pasted})),
        keys(json!(FIRST.id), json!(format!("{pasted}\n"))),
        keys(json!(format!("{pasted} x")), json!(pasted)),
        json!({"bucket": format!("{pasted}/")}),
        json!({"region": format!("{pasted}!")}),
        json!({"endpoint": pasted}),
        json!({"endpoint": format!("https://user:{pasted}@storage.example")}),
        json!({"endpoint": format!("http://storage.example/{pasted}")}),
        json!({"prefix": format!("../{pasted}")}),
        json!({"path_style": pasted}),
        json!({"checksum": pasted}),
        json!({"kms_key_arn": pasted}),
        json!({"storage_class": pasted}),
        json!({"included_events": pasted}),
        json!({"included_events": ["project.*", pasted]}),
        json!({"included_events": {pasted: pasted}}),
        json!({"external_id": pasted}),
        json!({"secret_access_key": pasted}),
        json!({pasted: pasted}),
        json!(pasted),
        json!([pasted]),
    ]
}

/// Configurations of an export that cannot be, with a secret in the wrong place.
fn wrong_exports(pasted: &str) -> Vec<Value> {
    let changes = [
        ("export_path", json!(pasted)),
        ("export_path", json!(format!("s3://{pasted}/x/../y"))),
        ("format", json!(pasted)),
        ("status", json!(pasted)),
        ("event_type", json!(pasted)),
        ("interval_seconds", json!(pasted)),
        ("batch_size", json!({"is": pasted})),
        ("scope", json!({"type": pasted})),
        ("scope", json!({"type": "span", pasted: 1})),
        ("export_definition", json!({"type": pasted})),
        (
            "export_definition",
            json!({"type": "btql_query", "btql_query": {"q": pasted}}),
        ),
        ("credentials", json!({"type": pasted})),
        ("credentials", json!(pasted)),
        (
            "credentials",
            json!({"type": "aws_iam", "role_arn": pasted, "external_id": "x"}),
        ),
        (
            "credentials",
            json!({"type": "aws_iam", "role_arn": ROLE, "external_id": format!("{pasted}:")}),
        ),
        (
            "credentials",
            json!({"type": "aws_iam", "role_arn": ROLE, "external_id": "x", "secret_access_key": pasted}),
        ),
        // Where one would think that the key of the platform belongs.
        ("api_key", json!(pasted)),
        (pasted, json!(1)),
    ];
    changes
        .into_iter()
        .map(|(field, value)| {
            let mut body = export("wrong");
            body["config"][field] = value;
            body
        })
        .collect()
}

pub(crate) fn export(name: &str) -> Value {
    json!({
        "project_id": PROJECT, "name": name, "description": "all rows",
        "config": {
            "event_type": "btql_export", "export_definition": {"type": "log_spans"},
            "export_path": format!("s3://{BUCKET}/exports/{name}"), "format": "jsonl",
            "interval_seconds": 60,
            "credentials": {"type": "aws_iam", "role_arn": ROLE, "external_id": "marker-suffix"},
        },
    })
}

/// Calls that nobody can answer well, with secrets where none belongs. Not as ids: those are names,
/// by which what is not there is named.
pub(crate) fn call_wrongly(api: &Serving<'_>) {
    let refused = |method: &str, path: &str, body: &Value| {
        let answer = api.call(method, path, body);
        let status = answer.status;
        assert!(
            (400..500).contains(&status),
            "{method} {path} {body}: {}",
            answer.text
        );
    };
    for pasted in PASTED {
        let in_path = pasted.replace('/', "%2F");
        for body in wrong_changes(pasted) {
            refused("PATCH", MAIN, &body);
            if let Some(fields) = body.as_object() {
                let mut whole = json!({
                    "id": "other", "bucket": "other-audit", "region": "us-east-1",
                    "authentication": FIRST.authentication(),
                });
                whole.as_object_mut().unwrap().extend(fields.clone());
                refused("POST", ALL, &whole);
            }
        }
        for body in wrong_exports(pasted) {
            refused("POST", AUTOMATIONS, &body);
        }
        refused(
            "POST",
            &format!("{MAIN}/start"),
            &json!({"start_at": pasted}),
        );
        refused("POST", &format!("{MAIN}/start"), &json!({pasted: true}));
        refused(
            "POST",
            &format!("{MAIN}/replay"),
            &json!({"from": pasted, "to": pasted}),
        );
        for query in [
            "limit=",
            "secret_access_key=",
            "limit=1&secret_access_key=",
            "",
        ] {
            refused("GET", &format!("{ALL}?{query}{in_path}"), &Value::Null);
            if !query.is_empty() {
                refused(
                    "GET",
                    &format!("{AUTOMATIONS}?{query}{in_path}"),
                    &Value::Null,
                );
            }
        }
        refused("GET", &format!("/v1/{in_path}?key={in_path}"), &Value::Null);
        let reset = json!({"automation_id": "a", "object_id": pasted, "start_xact_id": pasted});
        refused("POST", "/brainstore/automation/reset-cursors", &reset);
        let stranger = api.call_as(pasted, "GET", MAIN, &Value::Null);
        assert_eq!(stranger.status, 401, "{}", stranger.text);
    }
}

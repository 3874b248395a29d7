//! The checks held against the OpenAPI file: both must say the same of every body, the good
//! ones and all that come of changing them in one place.

use serde_json::{Value, json};

use super::{creation, patch, project_creation};
use crate::braintrust::openapi::json_schema;
use crate::braintrust::validate::Invalid;

const PROJECT: &str = "f1e858a4-58e3-408f-983f-016760d7fa25";

/// One configuration of each kind with every field that its schema knows.
fn configs() -> Vec<Value> {
    let slack = json!({
        "type": "slack", "workspace_id": "w", "channel": "c", "message_template": "m",
    });
    let webhook = json!({"type": "webhook", "url": "https://example.com"});
    let function = json!({"type": "function", "id": "i", "version": "1"});
    let global = json!({"type": "global", "name": "n", "function_type": "facet"});
    let export = |definition: Value, scope: Value, credentials: Value| {
        json!({
            "event_type": "btql_export",
            "status": "active",
            "export_definition": definition,
            "scope": scope,
            "export_path": "s3://bucket/prefix",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": credentials,
            "batch_size": 1000,
        })
    };
    let iam = json!({
        "type": "aws_iam", "role_arn": "arn:aws:iam::123456789012:role/r", "external_id": "e",
    });
    let gcp = json!({"type": "gcp_service_account", "service_account_email": "a@b"});
    let group = json!({
        "type": "group", "group_by": "metadata.session", "placement": "each",
        "interval_seconds": 60, "max_traces": 64, "idle_seconds": 1,
    });
    let topic = |scope: Value, data_scope: Value, range: Value| {
        json!({
            "event_type": "topic",
            "status": "paused",
            "sampling_rate": 0.5,
            "facet_model": "brain-facet-1",
            "facet_functions": [function, global],
            "topic_map_functions": [{"function": global, "btql_filter": "f"}],
            "scope": scope,
            "data_scope": data_scope,
            "btql_filter": "f",
            "rerun_seconds": 600,
            "relabel_overlap_seconds": 60,
            "backfill_time_range": range,
        })
    };
    let trace = json!({"type": "trace", "idle_seconds": 30});
    vec![
        export(
            json!({"type": "log_traces"}),
            json!({"type": "span"}),
            iam.clone(),
        ),
        export(json!({"type": "log_spans"}), trace.clone(), gcp),
        export(json!({"type": "btql_query", "btql_query": "q"}), group, iam),
        json!({
            "event_type": "logs", "btql_filter": "f", "interval_seconds": 1, "action": webhook,
        }),
        json!({
            "event_type": "async_query", "status": "active", "created_by_user_id": PROJECT,
            "object_type": "project_logs", "object_id": "o", "query": "q", "format": "jsonl",
            "batch_size": 100,
        }),
        json!({"event_type": "retention", "object_type": "dataset", "retention_days": 30}),
        json!({
            "event_type": "environment_update", "environment_filter": ["prod"], "action": slack,
        }),
        topic(trace, json!({"type": "project_logs"}), json!("7d")),
        topic(
            json!(null),
            json!({"type": "experiment", "experiment_id": "e"}),
            json!({"from": "a", "to": "b"}),
        ),
        topic(
            json!({"type": "span"}),
            json!({"type": "project_experiments"}),
            json!(null),
        ),
        json!({
            "event_type": "topic_digest", "status": "active", "window_seconds": 3600,
            "scheduled_time_minutes_utc": 0, "action": slack, "topic_map_function_ids": ["a"],
        }),
    ]
}

/// What a value is replaced by.
fn replacements() -> Vec<Value> {
    let texts = [
        "",
        "x",
        "active",
        "span",
        "jsonl",
        "log_spans",
        "topic",
        PROJECT,
    ];
    let numbers = [
        "-1", "0", "0.5", "1", "1.0", "1.5", "10", "59", "60", "64", "65", "599", "1439", "1440",
        "3599", "3600", "100000", "100001", "2592000", "2592001", "1e300",
    ];
    let mut values: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
    values.extend(numbers.iter().map(|text| text.parse::<Value>().unwrap()));
    values.extend([
        json!(null),
        json!(true),
        json!([]),
        json!([null]),
        json!(["a", 1]),
        json!(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]),
        json!({}),
        json!({"type": "span"}),
        json!({"type": "function"}),
        json!({"type": "global", "name": "n", "function_type": null}),
    ]);
    values
}

/// The pointers to every value within.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The body itself, and everything that comes of one change in it.
fn variants(body: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    places(body, "", &mut found);
    let mut variants = vec![body.clone()];
    for place in &found {
        for replacement in replacements() {
            let mut changed = body.clone();
            *changed.pointer_mut(place).unwrap() = replacement;
            variants.push(changed);
        }
        if let Some((parent, name)) = place.rsplit_once('/') {
            let mut changed = body.clone();
            if let Value::Object(fields) = changed.pointer_mut(parent).unwrap() {
                fields.remove(name);
                variants.push(changed);
            }
        }
        let mut changed = body.clone();
        if let Value::Object(fields) = changed.pointer_mut(place).unwrap() {
            fields.insert("unknown".into(), json!(1));
            variants.push(changed);
        }
    }
    variants
}

fn agree(schema: &str, check: fn(&Value) -> Result<(), Invalid>, bodies: &[Value]) {
    let path = "/../../events/contracts/braintrust-openapi.json";
    let text = std::fs::read_to_string([env!("CARGO_MANIFEST_DIR"), path].concat()).unwrap();
    let document = text.parse::<Value>().unwrap();
    let translated = json_schema(&document, schema).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&translated)
        .unwrap();
    let (mut good, mut bad) = (0, 0);
    for body in bodies.iter().flat_map(variants) {
        let ours = check(&body);
        let theirs = validator.is_valid(&body);
        assert_eq!(ours.is_ok(), theirs, "{schema}: {ours:?}\n{body:#}");
        match theirs {
            true => good += 1,
            false => bad += 1,
        }
    }
    assert!(
        good > bodies.len() && bad > good,
        "{schema}: {good} good, {bad} bad"
    );
}

#[test]
fn creations_are_judged_as_the_openapi_file_judges_them() {
    let body = |config: Value| json!({"project_id": PROJECT, "name": "n", "description": "d", "config": config});
    let bodies: Vec<Value> = configs().into_iter().map(body).collect();
    agree("CreateProjectAutomation", creation, &bodies);
}

#[test]
fn changes_are_judged_as_the_openapi_file_judges_them() {
    let body = |config: Value| json!({"name": "n", "description": null, "config": config});
    let bodies: Vec<Value> = configs().into_iter().map(body).collect();
    agree("PatchProjectAutomation", patch, &bodies);
}

#[test]
fn new_projects_are_judged_as_the_openapi_file_judges_them() {
    let body = json!({"name": "n", "description": "d", "org_name": "o"});
    agree("CreateProject", project_creation, &[body]);
}

#[test]
fn a_refusal_names_the_field() {
    let mut body = json!({"project_id": PROJECT, "name": "n", "config": configs()[0]});
    body["config"]["credentials"]["role_arn"] = json!(5);
    let error = creation(&body).unwrap_err().to_string();
    assert_eq!(error, "config.credentials.role_arn: must be a text");
    body["config"]["interval_seconds"] = json!(0);
    let error = creation(&body).unwrap_err().to_string();
    assert_eq!(error, "config.interval_seconds: must be 1 to 2592000");
}

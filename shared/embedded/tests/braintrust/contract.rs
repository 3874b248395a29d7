//! Braintrust's OpenAPI file as the judge: what the server took must be a request that the file
//! allows, and what it answered an answer.

use std::sync::LazyLock;

use sealift_embedded::braintrust::openapi::inline_schema;
use serde_json::Value;

use crate::support::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = "/../../events/contracts/braintrust-openapi.json";
    let text = std::fs::read_to_string([env!("CARGO_MANIFEST_DIR"), path].concat()).unwrap();
    text.parse().unwrap()
});

/// Holds a request that was taken, and its answer, against the file. Endpoints that are not in
/// it are passed over.
pub(crate) fn check(method: &str, path: &str, body: &str, answer: &Answer) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let Some(operation) = operation(method, path) else {
        return;
    };
    let schema = "/requestBody/content/application~1json/schema";
    if let Some(schema) = operation.pointer(schema) {
        conforms(schema, &body.parse().unwrap());
    }
    let schema = "/responses/200/content/application~1json/schema";
    conforms(operation.pointer(schema).unwrap(), &answer.json());
    for (name, value) in form(query) {
        // The one that only Braintrust's own tools know.
        if name != "project_id" {
            conforms(&parameter(operation, &name), &typed(&name, &value));
        }
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let (_, item) = paths.iter().find(|(template, _)| {
        let template: Vec<&str> = template.split('/').collect();
        let mut pairs = template.iter().zip(&parts);
        template.len() == parts.len()
            && pairs.all(|(wanted, is)| wanted.starts_with('{') || wanted == is)
    })?;
    item.get(method.to_lowercase())
}

fn parameter(operation: &Value, name: &str) -> Value {
    let references = operation["parameters"].as_array().unwrap().iter();
    let mut parameters = references.map(|reference| {
        let reference = reference["$ref"].as_str().unwrap();
        DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap()
    });
    let found = parameters.find(|parameter| parameter["name"] == name);
    found.unwrap_or_else(|| panic!("no parameter {name}"))["schema"].clone()
}

fn typed(name: &str, value: &str) -> Value {
    match name {
        "limit" => value.parse().unwrap(),
        _ => Value::String(value.to_owned()),
    }
}

fn form(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn conforms(schema: &Value, value: &Value) {
    let schema = inline_schema(&DOCUMENT, schema);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{value:#}");
}

#[test]
fn the_judge_refuses_what_the_file_refuses() {
    let operation = operation("GET", "/v1/project").unwrap();
    let schema = operation
        .pointer("/responses/200/content/application~1json/schema")
        .unwrap();
    let refused = |value: Value| {
        let schema = inline_schema(&DOCUMENT, schema);
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema);
        !validator.unwrap().is_valid(&value)
    };
    let id = "f1e858a4-58e3-408f-983f-016760d7fa25";
    let good =
        serde_json::json!({"objects": [{"id": id, "org_id": id, "name": "n", "created": null}]});
    assert!(!refused(good.clone()));
    for (place, bad) in [
        ("/objects/0/id", "x"),
        ("/objects/0/created", "yesterday"),
        ("/objects", "none"),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(place).unwrap() = bad.into();
        assert!(refused(value), "{place}");
    }
    let mut more = good;
    more["cursor"] = "c".into();
    assert!(refused(more));
}

#[test]
fn the_excerpt_says_where_it_comes_from_and_reaches_all_it_names() {
    let origin = &DOCUMENT["x-origin"];
    assert_eq!(origin["commit"], "b561b12dd30b9862a48e391e86b33e96043cdc0a");
    let text = DOCUMENT.to_string();
    let mut references = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let (reference, _) = part.split_once('"').unwrap();
        assert!(DOCUMENT.pointer(reference).is_some(), "{reference}");
        references += 1;
    }
    assert!(references > 40, "{references}");
    assert!(text.len() <= 80_000, "{}", text.len());
}

//! Braintrust's OpenAPI file as the judge of requests.

use std::sync::LazyLock;

use sealift_braintrust::automations::{AutomationPatch, NewAutomation};
use sealift_core::id::{AutomationId, ProjectId};
use sealift_embedded::braintrust::openapi::inline_schema;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::server::{Received, Reply, Server, client};

const ID: &str = "f1e858a4-58e3-408f-983f-016760d7fa25";
const CONFIG: &str = r#"{"event_type": "btql_export", "export_definition": {"type": "log_traces"},
    "export_path": "s3://your-bucket/braintrust/x", "format": "parquet", "interval_seconds": 3600,
    "credentials": {"type": "aws_iam", "role_arn": "arn:aws:iam::123456789012:role/x",
    "external_id": "suffix"}}"#;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = "/../../events/contracts/braintrust-openapi.json";
    let text = std::fs::read_to_string([env!("CARGO_MANIFEST_DIR"), path].concat()).unwrap();
    text.parse().unwrap()
});

/// The request's operation in the file.
fn operation(request: &Received) -> &'static Value {
    let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (template, parts) = (template.split('/'), path.split('/'));
        template.clone().count() == parts.clone().count()
            && template
                .zip(parts)
                .all(|(wanted, is)| wanted == is || wanted.starts_with('{'))
    };
    let found = paths.iter().find(|(template, _)| fits(template));
    let (_, item) = found.unwrap_or_else(|| panic!("{} is not in the file", request.path));
    let operation = item.get(request.method.to_lowercase());
    operation.unwrap_or_else(|| panic!("no {} {}", request.method, request.path))
}

fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let schema = inline_schema(&DOCUMENT, schema);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    validator
        .iter_errors(value)
        .map(|e| e.to_string())
        .collect()
}

/// What of a request is not in the file: its body, or a parameter of its query.
fn departures(request: &Received) -> Vec<String> {
    let operation = operation(request);
    let mut found = Vec::new();
    match operation.pointer("/requestBody/content/application~1json/schema") {
        Some(schema) => found.extend(problems(schema, &request.json())),
        None => assert_eq!(request.body, "", "{request:?}"),
    }
    let (_, query) = request.path.split_once('?').unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let mut parameters = parameters.filter_map(|parameter| {
            let reference = parameter["$ref"].as_str()?.strip_prefix('#')?;
            DOCUMENT.pointer(reference)
        });
        let Some(parameter) = parameters.find(|parameter| parameter["name"] == name) else {
            found.push(format!("no parameter {name}"));
            continue;
        };
        let value = value.parse().unwrap_or_else(|_| json!(value));
        found.extend(problems(&parameter["schema"], &value));
    }
    found
}

#[tokio::test]
async fn requests_are_as_the_specification_has_them() {
    let server = Server::start(|request, _| {
        let automation: Value = serde_json::from_str(&format!(
            r#"{{"id":"{ID}","project_id":"{ID}","name":"x","config":{CONFIG}}}"#
        ))
        .unwrap();
        let project =
            json!({"id": ID, "org_id": ID, "name": "x", "created": null, "deleted_at": null});
        let is_project =
            request.path.starts_with("/v1/project?") || request.path.starts_with("/v1/project/");
        let object = if is_project || request.path == "/v1/project" {
            project
        } else {
            automation
        };
        let answer = match request.path.contains('?') {
            true if request.path.contains("starting_after") => json!({"objects": []}),
            true => json!({"objects": [object]}),
            false => object,
        };
        let schema = operation(request).pointer("/responses/200/content/application~1json/schema");
        assert_eq!(problems(schema.unwrap(), &answer), [""; 0]);
        Reply::json(&answer)
    })
    .await;
    let client = client(&server).for_organization("Acme").unwrap();
    let (project, automation) = (
        ProjectId::parse(ID).unwrap(),
        AutomationId::parse(ID).unwrap(),
    );
    let config = RawValue::from_string(CONFIG.to_owned()).unwrap();
    let new = NewAutomation {
        project_id: project.clone(),
        name: "Logs export".to_owned(),
        description: Some("by Sealift".to_owned()),
        config: config.clone(),
    };
    let patch = AutomationPatch {
        name: Some("Other".to_owned()),
        description: None,
        config: Some(config),
    };
    assert_eq!(client.projects().await.unwrap().len(), 1);
    client.project(&project).await.unwrap().unwrap();
    client.create_project("x").await.unwrap();
    assert_eq!(client.automations(&project).await.unwrap().len(), 1);
    client.automation(&automation).await.unwrap().unwrap();
    client.create_automation(&new).await.unwrap();
    client.put_automation(&new).await.unwrap();
    client.patch_automation(&automation, &patch).await.unwrap();
    client.delete_automation(&automation).await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 11);
    for request in &received {
        let found = departures(request);
        // The one that only Braintrust's own tools know.
        let known = request.path.contains("project_id=") && found == ["no parameter project_id"];
        assert!(found.is_empty() || known, "{request:?}: {found:?}");
    }
}

#[test]
fn the_judge_finds_what_departs_from_the_file() {
    let request = |method: &str, path: &str, body: &str| Received {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: body.to_owned(),
    };
    for bad in [
        request("POST", "/v1/project", r#"{"name":""}"#),
        request(
            "POST",
            "/v1/project_automation",
            r#"{"project_id":"x","name":"y","config":{}}"#,
        ),
        request("GET", "/v1/project?limit=-1", ""),
        request("GET", "/v1/project?starting_after=5", ""),
        request("GET", "/v1/project?page=5", ""),
    ] {
        assert_ne!(departures(&bad), [""; 0], "{bad:?}");
    }
}

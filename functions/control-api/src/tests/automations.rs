//! Braintrust's routes for automations, held against Braintrust's own OpenAPI file.

use std::sync::LazyLock;

use futures_util::FutureExt;
use sealift_core::export::cursor::ExportCursor;
use sealift_core::export::timetable::{Timetable, shard_of};
use sealift_core::id::AutomationId;
use sealift_embedded::braintrust::openapi::inline_schema;
use serde_json::{Value, json};

use super::scene::{ADMIN, Answer, ORGANIZATION, READER, Scene, Who, assert_valid};

pub(super) const ALL: &str = "/v1/project_automation";
pub(super) const PROJECT: &str = "1c0a9f5e-6d5b-4c3e-8f00-5b8a1d7e2c11";
const OTHER: &str = "2d1b0a6f-7e6c-4d4f-9a11-6c9b2e8f3d22";

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../events/contracts/braintrust-openapi.json");
    text.parse().unwrap()
});

fn assert_is(schema: &Value, value: &Value) {
    let schema = inline_schema(&DOCUMENT, schema);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let problems: Vec<_> = validator
        .iter_errors(value)
        .map(|e| e.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}\n{value:#}");
}

/// Holds an answer against the file, if the path is one of Braintrust's. Tells whether it is.
pub(super) fn hold(method: &str, path: &str, answer: &Answer) -> bool {
    let template = match path {
        ALL => Some(ALL),
        path if path.starts_with(ALL) => Some("/v1/project_automation/{project_automation_id}"),
        // The file does not have them.
        path if path.starts_with("/brainstore/automation/") => None,
        _ => return false,
    };
    if answer.status == 200 {
        if let Some(template) = template {
            let operation = &DOCUMENT["paths"][template][method.to_lowercase()];
            let schema = "/responses/200/content/application~1json/schema";
            assert_is(operation.pointer(schema).unwrap(), &answer.body);
        }
        return true;
    }
    assert!(
        [400, 401, 403, 404, 405, 409].contains(&answer.status),
        "{}",
        answer.text
    );
    assert_valid("ErrorBody", &answer.body);
    true
}

pub(super) fn body(project: &str, name: &str) -> Value {
    let body = json!({
        "project_id": project,
        "name": name,
        "description": "all rows",
        "config": {
            "event_type": "btql_export",
            "export_definition": {"type": "log_spans"},
            "export_path": format!("s3://your-bucket/braintrust/{name}"),
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::222222222222:role/export",
                "external_id": "suffix",
            },
            "batch_size": 500,
        },
    });
    assert_is(
        &json!({"$ref": "#/components/schemas/CreateProjectAutomation"}),
        &body,
    );
    body
}

pub(super) const OPS: Who<'_> = Who::Operator;

pub(super) fn create(scene: &Scene, project: &str, name: &str) -> (String, Value) {
    let created = scene.post(OPS, ALL, body(project, name)).ok();
    (created["id"].as_str().unwrap().to_owned(), created)
}

fn cursor(scene: &Scene, id: &str) -> ExportCursor {
    let place = ExportCursor::place(&AutomationId::parse(id).unwrap());
    let read = place.load(&scene.state).now_or_never().unwrap();
    read.unwrap().unwrap().body
}

#[test]
fn one_is_created_once_and_the_same_name_again_finds_it_unmodified() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    assert_eq!(created["created"], "2025-11-21T08:00:00.000Z");
    let mut other = body(PROJECT, "hourly");
    other["config"]["interval_seconds"] = json!(60);
    let again = scene.post(OPS, ALL, other);
    assert_eq!(again.headers["x-bt-found-existing"], "true");
    assert_eq!(again.ok(), created);
    let first = scene.post(OPS, ALL, body(OTHER, "hourly"));
    assert!(!first.headers.contains_key("x-bt-found-existing"));
    assert_ne!(first.ok()["id"], json!(id));
    assert_eq!(scene.get(OPS, &format!("{ALL}/{id}")).ok(), created);
    let cursor = cursor(&scene, &id);
    assert_eq!(cursor.organization.as_str(), ORGANIZATION);
    assert_eq!(cursor.position.to_string(), "0");
}

#[test]
fn a_creation_that_was_cut_off_is_completed_by_the_next() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    let automation = AutomationId::parse(id.as_str()).unwrap();
    let keys = [
        ExportCursor::place(&automation).key().clone(),
        Timetable::place(shard_of(&automation, 2)).key().clone(),
    ];
    for key in &keys {
        scene.state.remove_now(key).unwrap();
    }
    let again = scene.post(OPS, ALL, body(PROJECT, "hourly")).ok();
    assert_eq!(again, created);
    for key in &keys {
        assert!(scene.state.get_now(key).is_some(), "{key}");
    }
}

#[test]
fn put_replaces_by_name_and_creates_what_is_not_there() {
    let scene = Scene::new();
    let put = |body: Value| scene.call(OPS, "PUT", ALL, body);
    let created = put(body(PROJECT, "hourly")).ok();
    let mut other = body(PROJECT, "hourly");
    other["config"]["interval_seconds"] = json!(60);
    other["config"]
        .as_object_mut()
        .unwrap()
        .remove("batch_size");
    other.as_object_mut().unwrap().remove("description");
    let replaced = put(other.clone()).ok();
    assert_eq!(replaced["id"], created["id"]);
    assert_eq!(replaced["config"], other["config"]);
    assert_eq!(replaced["description"], Value::Null);
    let id = created["id"].as_str().unwrap();
    assert_eq!(scene.get(OPS, &format!("{ALL}/{id}")).ok(), replaced);
    // What was exported would lie elsewhere.
    other["config"]["export_path"] = json!("s3://your-bucket/elsewhere");
    let refused = put(other).is(400, "invalid");
    assert_eq!(refused.body["error"]["field"], "config.export_path");
}

#[test]
fn patch_merges_deeply_and_sets_nothing_to_null() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    create(&scene, PROJECT, "daily");
    let path = format!("{ALL}/{id}");
    let patch = |body: Value| {
        assert_is(
            &json!({"$ref": "#/components/schemas/PatchProjectAutomation"}),
            &body,
        );
        scene.call(OPS, "PATCH", &path, body)
    };
    let mut config = created["config"].clone();
    config["credentials"] = json!({
        "type": "aws_iam", "role_arn": "arn:aws:iam::222222222222:role/other", "external_id": "suffix",
    });
    config["status"] = json!("paused");
    config["batch_size"] = Value::Null;
    let patched = patch(json!({"description": null, "config": config})).ok();
    assert_eq!(patched["config"]["credentials"], config["credentials"]);
    assert_eq!(patched["config"]["batch_size"], 500);
    assert_eq!(patched["description"], "all rows");
    // Fields of objects are merged, which the file's schema of whole objects does not show.
    let part = json!({"config": {"credentials": {"external_id": "another"}}});
    let patched = scene.call(OPS, "PATCH", &path, part).ok();
    assert_eq!(
        patched["config"]["credentials"]["role_arn"],
        "arn:aws:iam::222222222222:role/other"
    );
    assert_eq!(patched["config"]["credentials"]["external_id"], "another");
    let renamed = patch(json!({"name": "every hour"})).ok();
    assert_eq!(
        (&renamed["id"], &renamed["name"]),
        (&json!(id), &json!("every hour"))
    );
    patch(json!({"name": "daily"})).is(400, "invalid");
    patch(json!({"name": ""})).is(400, "invalid");
    let bad = json!({"config": {"interval_seconds": 0}});
    scene.call(OPS, "PATCH", &path, bad).is(400, "invalid");
    let bad = json!({"config": {"no_such_field": 1}});
    scene.call(OPS, "PATCH", &path, bad).is(400, "invalid");
    // The old name is free again, and is another automation.
    let (other, _) = create(&scene, PROJECT, "hourly");
    assert_ne!(other, id);
    assert_eq!(scene.get(OPS, &path).ok(), renamed);
}

#[test]
fn lists_are_the_newest_first_and_filtered_as_asked() {
    let scene = Scene::new();
    let mut ids = Vec::new();
    for (project, name) in [(PROJECT, "a"), (OTHER, "a"), (PROJECT, "b")] {
        scene.clock.advance(std::time::Duration::from_secs(1));
        ids.insert(0, create(&scene, project, name).0);
    }
    let list = |query: &str| -> Vec<String> {
        let page = scene.get(OPS, &format!("{ALL}{query}")).ok();
        let objects = page["objects"].as_array().unwrap().iter();
        objects
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list(""), ids);
    assert_eq!(list("?limit=2"), ids[..2]);
    assert_eq!(list("?limit=0"), [""; 0]);
    assert_eq!(list(&format!("?starting_after={}", ids[0])), ids[1..]);
    assert_eq!(
        list(&format!("?limit=1&starting_after={}", ids[0])),
        ids[1..2]
    );
    assert_eq!(list(&format!("?ending_before={}", ids[2])), ids[..2]);
    assert_eq!(
        list(&format!("?limit=1&ending_before={}", ids[2])),
        ids[1..2]
    );
    assert_eq!(list(&format!("?project_id={OTHER}")), ids[1..2]);
    assert_eq!(list("?project_automation_name=a&org_name=acme"), ids[1..]);
    assert_eq!(
        list(&format!("?ids={}&ids={}", ids[2], ids[0])),
        [&*ids[0], &*ids[2]]
    );
    assert_eq!(list(&format!("?starting_after={}", ids[2])), [""; 0]);
    for bad in [
        "?limit=x",
        "?limit=-1",
        "?starting_after=none",
        "?page=2",
        "?project_id=%20",
    ] {
        scene.get(OPS, &format!("{ALL}{bad}")).is(400, "invalid");
    }
    let both = format!("{ALL}?starting_after={}&ending_before={}", ids[0], ids[2]);
    scene.get(OPS, &both).is(400, "invalid");
}

#[test]
fn a_deleted_one_is_told_once_more_and_is_gone() {
    let scene = Scene::new();
    let (id, created) = create(&scene, PROJECT, "hourly");
    let path = format!("{ALL}/{id}");
    assert_eq!(scene.call(OPS, "DELETE", &path, Value::Null).ok(), created);
    for method in ["GET", "DELETE"] {
        scene
            .call(OPS, method, &path, Value::Null)
            .is(404, "not_found");
    }
    scene.get(OPS, &format!("{ALL}/%20")).is(404, "not_found");
    // Of the same name and so of the same id, and its files overwrite none of the first's.
    let (again, _) = create(&scene, PROJECT, "hourly");
    assert_eq!(again, id);
    assert_eq!(cursor(&scene, &id).generation, 1);
}

#[test]
fn cursors_are_reset_woken_and_told_of() {
    let scene = Scene::new();
    let (id, _) = create(&scene, PROJECT, "hourly");
    let call = |action: &str, body: Value| {
        scene.post(OPS, &format!("/brainstore/automation/{action}"), body)
    };
    let object = format!("project_logs:{PROJECT}");
    let start = 1_000_196_176_995_155_968_u64;
    for (generation, start_xact_id) in [(1, json!(start)), (2, json!(start.to_string()))] {
        let body =
            json!({"automation_id": id, "object_id": object, "start_xact_id": start_xact_id});
        let answer = call("reset-cursors", body).ok();
        assert_eq!(answer, json!({"success": true, "automation_id": id}));
        let cursor = cursor(&scene, &id);
        assert_eq!(
            (cursor.generation, cursor.position.get()),
            (generation, start)
        );
    }
    let which = json!({"automation_id": id, "project_id": PROJECT});
    let told = call("get-cursors", which.clone()).ok();
    assert_eq!(told["pending_min_executed_xact_id"], start.to_string());
    assert_eq!(
        (&told["total_segments"], &told["last_error"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(told["stats"]["all_executions"]["rows_processed"], 0);
    let body = json!({"automation_id": id, "object_id": object});
    call("upsert-object-cursor", body.clone()).ok();
    let told = call("get-object-cursors", which).ok();
    assert_eq!(
        (&told["due_objects"], &told["retry_after"]),
        (&json!(1), &Value::Null)
    );
    assert!(told["next_run_at"].as_str().unwrap() < "2025-11-21T08:00:00.001Z");
    // Without a start it is the beginning.
    call("reset-cursors", body).ok();
    assert_eq!(cursor(&scene, &id).position.get(), 0);
}

#[test]
fn a_cursor_is_set_to_nothing_that_cannot_be() {
    let scene = Scene::new();
    let (id, _) = create(&scene, PROJECT, "hourly");
    let call = |action: &str, body: Value| {
        let answer = scene.post(OPS, &format!("/brainstore/automation/{action}"), body);
        (answer.status, answer.code().to_owned())
    };
    let object = format!("project_logs:{PROJECT}");
    let invalid = (400, "invalid".to_owned());
    for start in [
        json!("now"),
        json!("2025-11-21"),
        json!(-1),
        json!(1.5),
        json!(""),
        json!([]),
        json!(1_763_683_200),
        json!("18446744073709551616"),
        json!(u64::MAX),
    ] {
        let body = json!({"automation_id": id, "object_id": object, "start_xact_id": start});
        assert_eq!(call("reset-cursors", body), invalid, "{start}");
    }
    for object in [
        "",
        PROJECT,
        "experiment:x",
        "project_logs:",
        "project_logs:a b",
    ] {
        let body = json!({"automation_id": id, "object_id": object});
        assert_eq!(call("reset-cursors", body.clone()), invalid, "{object}");
        assert_eq!(call("upsert-object-cursor", body), invalid, "{object}");
    }
    let missing = (404, "not_found".to_owned());
    for (id, project) in [(id.as_str(), OTHER), ("none", PROJECT), ("a/b", PROJECT)] {
        let body = json!({"automation_id": id, "object_id": format!("project_logs:{project}")});
        assert_eq!(call("reset-cursors", body.clone()), missing, "{id}");
        assert_eq!(call("upsert-object-cursor", body), missing, "{id}");
        let body = json!({"automation_id": id, "project_id": project});
        assert_eq!(call("get-cursors", body.clone()), missing, "{id}");
        assert_eq!(call("get-object-cursors", body), missing, "{id}");
    }
    assert_eq!(cursor(&scene, &id).generation, 0);
}

#[test]
fn what_cannot_be_run_is_refused_by_its_field() {
    let scene = Scene::new();
    for (change, field) in [
        (json!({"event_type": "logs"}), "config.event_type"),
        (json!({"interval_seconds": 0}), "config.interval_seconds"),
        (
            json!({"export_path": "gs://bucket/x"}),
            "config.export_path",
        ),
        (
            json!({"credentials": {"type": "gcp_service_account", "service_account_email": "x"}}),
            "config.credentials",
        ),
        (json!({"scope": {"type": "trace"}}), "config.scope"),
        (json!({"webhook": "x"}), "config.webhook"),
    ] {
        let mut body = body(PROJECT, "hourly");
        let fields = change.as_object().unwrap().clone();
        body["config"].as_object_mut().unwrap().extend(fields);
        let refused = scene.post(OPS, ALL, body).is(400, "invalid");
        let named = refused.body["error"]["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{field}: {}", refused.text);
    }
    let mut nameless = body(PROJECT, "x");
    nameless["name"] = json!("");
    scene.post(OPS, ALL, nameless).is(400, "invalid");
    assert!(scene.state.keys().is_empty());
}

#[test]
fn automations_are_for_operators_alone() {
    let scene = Scene::new();
    let (id, _) = create(&scene, PROJECT, "hourly");
    let before = scene.get(OPS, ALL).ok();
    let one = format!("{ALL}/{id}");
    let which = json!({"automation_id": id, "project_id": PROJECT});
    let object = json!({"automation_id": id, "object_id": format!("project_logs:{PROJECT}")});
    for (who, status) in [
        (ADMIN, 403),
        (READER, 403),
        (Who::Admin(ORGANIZATION), 403),
        (Who::Stranger, 401),
    ] {
        for (method, path, body) in [
            ("GET", ALL, Value::Null),
            ("POST", ALL, body(PROJECT, "new")),
            ("PUT", ALL, body(PROJECT, "new")),
            ("GET", &one, Value::Null),
            ("PATCH", &one, json!({"name": "new"})),
            ("DELETE", &one, Value::Null),
            (
                "POST",
                "/brainstore/automation/reset-cursors",
                object.clone(),
            ),
            (
                "POST",
                "/brainstore/automation/upsert-object-cursor",
                object.clone(),
            ),
            ("POST", "/brainstore/automation/get-cursors", which.clone()),
            (
                "POST",
                "/brainstore/automation/get-object-cursors",
                which.clone(),
            ),
        ] {
            assert_eq!(
                scene.call(who, method, path, body).status,
                status,
                "{method} {path}"
            );
        }
    }
    assert_eq!(scene.get(OPS, ALL).ok(), before);
    assert_eq!(cursor(&scene, &id).generation, 0);
}

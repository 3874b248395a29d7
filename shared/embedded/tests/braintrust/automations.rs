//! `/v1/project_automation`.

use std::time::Duration;

use sealift_embedded::braintrust::request_log::Endpoint;
use serde_json::{Value, json};

use crate::support::{Answer, World};

const PATH: &str = "/v1/project_automation";

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let objects = body["objects"].as_array().unwrap().iter();
    objects
        .map(|object| object["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automation_of_the_same_name_is_answered_unmodified() {
    let world = World::start().await;
    let body = world.export("Logs export");
    let created = world.post(PATH, &body).await;
    assert_eq!(created.status, 200);
    assert_eq!(created.header("x-bt-found-existing"), None);
    let automation = created.json();
    assert_eq!(automation["config"], body["config"]);
    assert_eq!(automation["project_id"], world.project.as_str());
    assert_eq!(automation["description"], Value::Null);
    assert_eq!(automation["created"], "2026-05-13T00:00:00.500Z");

    let mut other = body.clone();
    other["config"]["format"] = json!("jsonl");
    let again = world.post(PATH, &other).await;
    assert_eq!(again.header("x-bt-found-existing"), Some("true"));
    assert_eq!(again.json(), automation);

    // Names are of one project: another may have the same.
    let second = world.plane.create_project("second").unwrap();
    other["project_id"] = json!(second.as_str());
    assert_eq!(
        world.post(PATH, &other).await.header("x-bt-found-existing"),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_replaces_by_name() {
    let world = World::start().await;
    let mut body = world.export("export");
    body["description"] = json!("d");
    let first = world.call("PUT", PATH, Some(&body)).await.json();
    world.clock.advance(Duration::from_secs(5));
    body["config"]["export_definition"] = json!({"type": "log_spans"});
    body.as_object_mut().unwrap().remove("description");
    let second = world.call("PUT", PATH, Some(&body)).await.json();
    assert_eq!(second["id"], first["id"]);
    assert_eq!(second["created"], first["created"]);
    assert_eq!(second["description"], Value::Null);
    assert_eq!(second["config"], body["config"]);
    assert_eq!(names(&world.get(PATH).await), ["export"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patching_merges_in_depth_and_sets_nothing_to_null() {
    let world = World::start().await;
    let mut body = world.export("export");
    body["description"] = json!("d");
    body["config"]["batch_size"] = json!(500);
    let created = world.post(PATH, &body).await.json();
    let path = format!("{PATH}/{}", created["id"].as_str().unwrap());

    // The schema asks for a whole configuration, even where one field changes.
    let mut config = created["config"].clone();
    config["status"] = json!("paused");
    config["batch_size"] = Value::Null;
    config["scope"] = Value::Null;
    config["credentials"]["external_id"] = json!("other");
    config["export_definition"] = json!({"type": "log_spans"});
    let change = json!({"name": null, "description": null, "config": config});
    let patched = world.call("PATCH", &path, Some(&change)).await.json();
    assert_eq!(patched["name"], "export");
    assert_eq!(patched["description"], "d");
    assert_eq!(patched["config"]["status"], "paused");
    assert_eq!(patched["config"]["batch_size"], 500);
    assert_eq!(patched["config"].get("scope"), None);
    let credentials = &patched["config"]["credentials"];
    assert_eq!(credentials["external_id"], "other");
    assert_eq!(
        credentials["role_arn"],
        body["config"]["credentials"]["role_arn"]
    );
    assert_eq!(world.get(&path).await.json(), patched);

    let renamed = world
        .call("PATCH", &path, Some(&json!({"name": "new"})))
        .await
        .json();
    assert_eq!(renamed["name"], "new");
    assert_eq!(renamed["config"], patched["config"]);
    let nothing = world
        .call("PATCH", &path, Some(&json!({"config": null})))
        .await;
    assert_eq!(nothing.json(), renamed);

    let partial = json!({"config": {"event_type": "btql_export", "status": "active"}});
    let refused = world.call("PATCH", &path, Some(&partial)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.message(), "config.export_definition: is required");
    world.automation("taken").await;
    let refused = world
        .call("PATCH", &path, Some(&json!({"name": "taken"})))
        .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_answers_what_was_deleted() {
    let world = World::start().await;
    let id = world.automation("export").await;
    let path = format!("{PATH}/{id}");
    let automation = world.get(&path).await.json();
    let gone = world.call("DELETE", &path, None).await;
    assert_eq!(gone.json(), automation);
    for method in ["GET", "DELETE"] {
        let answer = world.call(method, &path, None).await;
        assert_eq!(answer.status, 403);
        assert!(
            answer
                .message()
                .starts_with("Missing read access to project_automation")
        );
    }
    assert!(names(&world.get(PATH).await).is_empty());
    let answer = world.call("PATCH", &path, Some(&json!({}))).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn automations_are_listed_by_project_name_and_page() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(world.automation(name).await);
    }
    let second = world.plane.create_project("second").unwrap();
    let mut other = world.export("b");
    other["project_id"] = json!(second.as_str());
    world.post(PATH, &other).await;
    for (query, expected) in [
        (String::new(), vec!["b", "c", "b", "a"]),
        (format!("project_id={}", world.project), vec!["c", "b", "a"]),
        (format!("project_id={second}"), vec!["b"]),
        ("project_automation_name=b".into(), vec!["b", "b"]),
        (
            format!("project_automation_name=b&project_id={second}"),
            vec!["b"],
        ),
        (format!("starting_after={}&limit=1", ids[2]), vec!["b"]),
        (format!("ending_before={}&limit=1", ids[0]), vec!["b"]),
        (format!("ids={}", ids[0]), vec!["a"]),
        ("org_name=Acme&limit=2".into(), vec!["b", "c"]),
        ("org_name=Other".into(), vec![]),
    ] {
        let page = world.get(&format!("{PATH}?{query}")).await;
        assert_eq!(names(&page), expected, "{query}");
    }
    for query in ["project_name=first", "name=a", "project_id=x", "limit=many"] {
        let answer = world.get(&format!("{PATH}?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_allowed_are_refused_by_field() {
    let world = World::start().await;
    let good = world.export("export");
    let other = "00000000-0000-4000-8000-000000000000";
    for (place, value, status, said) in [
        (
            "/project_id",
            json!("first"),
            400,
            "project_id: must be a UUID",
        ),
        (
            "/project_id",
            json!(other),
            403,
            "Missing read access to project id",
        ),
        ("/name", json!(null), 400, "name: must be a text"),
        ("/config", json!(null), 400, "config: must be an object"),
        (
            "/config/event_type",
            json!("export"),
            400,
            "config.event_type: must be one of",
        ),
        (
            "/config/format",
            json!("csv"),
            400,
            "config.format: must be one of jsonl, parquet",
        ),
        (
            "/config/interval_seconds",
            json!(0),
            400,
            "config.interval_seconds: must be 1 to",
        ),
        (
            "/config/credentials/type",
            json!("keys"),
            400,
            "config.credentials.type: must be one",
        ),
        (
            "/config/credentials/role_arn",
            json!(5),
            400,
            "config.credentials.role_arn: must be",
        ),
        (
            "/config/export_definition",
            json!({"type": "btql_query"}),
            400,
            "config.export_definition.btql_query: is required",
        ),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(place).unwrap() = value;
        for method in ["POST", "PUT"] {
            let answer = world.call(method, PATH, Some(&body)).await;
            assert_eq!(answer.status, status, "{place}");
            assert!(
                answer.message().starts_with(said),
                "{place}: {}",
                answer.message()
            );
        }
    }
    for (method, path) in [("GET", "/x"), ("DELETE", "/x"), ("PATCH", "/x")] {
        let answer = world
            .call(method, &format!("{PATH}{path}"), Some(&json!({})))
            .await;
        assert_eq!(answer.status, 400, "{method}");
        assert_eq!(answer.message(), "project_automation_id: must be a UUID");
    }
    assert_eq!(world.plane.requests().count(Endpoint::CreateAutomation), 10);
    assert!(names(&world.get(PATH).await).is_empty());
}

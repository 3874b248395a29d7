//! `/v1/project`, and the projects that tests make by themselves.

use std::time::Duration;

use sealift_core::id::ProjectId;
use sealift_embedded::braintrust::DataError;
use serde_json::{Value, json};

use crate::support::{Answer, ORG, World};

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let objects = body["objects"].as_array().unwrap().iter();
    objects
        .map(|object| object["name"].as_str().unwrap().to_owned())
        .collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let objects = body["objects"].as_array().unwrap().iter();
    objects
        .map(|object| object["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn with_five() -> World {
    let world = World::start().await;
    for name in ["p2", "p3", "p4", "p5"] {
        world.clock.advance(Duration::from_secs(1));
        world.plane.create_project(name).unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_created_once_and_found_again_unmodified() {
    let world = World::start().await;
    let body = json!({"name": "new", "description": "d"});
    let created = world.post("/v1/project", &body).await;
    assert_eq!(created.status, 200);
    assert_eq!(created.header("x-bt-found-existing"), None);
    let project = created.json();
    assert_eq!(project["org_id"], ORG);
    assert_eq!(project["created"], "2026-05-13T00:00:00.500Z");
    assert_eq!(project["description"], "d");
    assert_eq!(project["deleted_at"], Value::Null);

    let other = json!({"name": "new", "description": "other", "org_name": "Acme"});
    let again = world.post("/v1/project", &other).await;
    assert_eq!(again.header("x-bt-found-existing"), Some("true"));
    assert_eq!(again.json(), project);

    let path = format!("/v1/project/{}", project["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.json(), project);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_cannot_be_is_refused() {
    let world = World::start().await;
    for (body, status, said) in [
        (json!({}), 400, "name: is required"),
        (
            json!({"name": ""}),
            400,
            "name: must be a text that is not empty",
        ),
        (
            json!({"name": 5}),
            400,
            "name: must be a text that is not empty",
        ),
        (
            json!({"name": "n", "description": 5}),
            400,
            "description: must be a text",
        ),
        (
            json!({"name": "n", "org_name": "Other"}),
            403,
            "Missing read access",
        ),
    ] {
        let answer = world.post("/v1/project", &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(
            answer.message().starts_with(said),
            "{body}: {}",
            answer.message()
        );
    }
    for (id, status) in [
        ("first", 400),
        ("00000000-0000-4000-8000-000000000000", 403),
    ] {
        assert_eq!(world.get(&format!("/v1/project/{id}")).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_listed_newest_first_and_page_by_page() {
    let world = with_five().await;
    let all = world.get("/v1/project").await;
    assert_eq!(names(&all), ["p5", "p4", "p3", "p2", "first"]);
    let ids = ids(&all);

    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let page = world.get(&format!("/v1/project?limit=2{after}")).await;
        let found = names(&page);
        pages.push(found.clone());
        if found.len() < 2 {
            break;
        }
        let last = page.json()["objects"][1]["id"].as_str().unwrap().to_owned();
        after = format!("&starting_after={last}");
    }
    assert_eq!(pages, [vec!["p5", "p4"], vec!["p3", "p2"], vec!["first"]]);

    for (query, expected) in [
        ("limit=0".to_owned(), vec![]),
        (
            format!("ending_before={}", ids[4]),
            vec!["p5", "p4", "p3", "p2"],
        ),
        (
            format!("ending_before={}&limit=2", ids[4]),
            vec!["p3", "p2"],
        ),
        (format!("ending_before={}", ids[0]), vec![]),
        (format!("starting_after={}", ids[4]), vec![]),
        (format!("ids={}&ids={}", ids[1], ids[3]), vec!["p4", "p2"]),
        ("project_name=p3".to_owned(), vec!["p3"]),
        ("project_name=none".to_owned(), vec![]),
        ("org_name=Acme&limit=1".to_owned(), vec!["p5"]),
        ("org_name=Other".to_owned(), vec![]),
    ] {
        let page = world.get(&format!("/v1/project?{query}")).await;
        assert_eq!(names(&page), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_cut_where_the_server_cuts_it() {
    let world = World::with(|options| options.list_cap(2)).await;
    world.plane.create_project("p2").unwrap();
    world.plane.create_project("p3").unwrap();
    assert_eq!(names(&world.get("/v1/project?limit=3").await), ["p3", "p2"]);
    assert_eq!(names(&world.get("/v1/project").await), ["p3", "p2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_wrong_or_unknown_are_refused() {
    let world = World::start().await;
    let id = world.project.to_string();
    for (query, said) in [
        (
            "offset=2".to_owned(),
            "offset: is not a known query parameter",
        ),
        (format!("project_id={id}"), "project_id: is not a known"),
        ("limit=-1".into(), "limit: must be a whole number"),
        ("limit=".into(), "limit: must be a whole number"),
        ("limit=1&limit=2".into(), "limit: stands twice"),
        (
            "project_name=a&project_name=b".into(),
            "project_name: stands twice",
        ),
        ("starting_after=x".into(), "starting_after: must be a UUID"),
        ("ids=x".into(), "ids: must be a UUID"),
        (
            format!("starting_after={id}&ending_before={id}"),
            "you may only pass one",
        ),
        (
            "starting_after=00000000-0000-4000-8000-000000000000".into(),
            "there is no object of id",
        ),
    ] {
        let answer = world.get(&format!("/v1/project?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.message().starts_with(said),
            "{query}: {}",
            answer.message()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_project_is_listed_as_such_and_no_longer_queried() {
    let world = World::start().await;
    world.fill(&[("a", 5)]);
    let query = format!("SELECT * {} WHERE _xact_id > '0'", world.from());
    assert_eq!(world.sql(&query).await.status, 200);
    world.clock.advance(Duration::from_secs(9));
    world.plane.delete_project(&world.project).unwrap();

    let listed = world.get("/v1/project").await;
    assert_eq!(
        listed.json()["objects"][0]["deleted_at"],
        "2026-05-13T00:00:09.500Z"
    );
    let answer = world.sql(&query).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .message()
            .starts_with("Missing read access to project_log id")
    );
    // Its name is free again, and what belongs to it is another project.
    let again = world.post("/v1/project", &json!({"name": "first"})).await;
    assert_eq!(again.header("x-bt-found-existing"), None);
    assert_ne!(again.json()["id"], world.project.as_str());
    let gone = world.plane.delete_project(&world.project);
    assert_eq!(gone, Err(DataError::NoSuchProject(world.project.clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_made_and_renamed_by_hand() {
    let world = World::start().await;
    let id = ProjectId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap();
    world.plane.add_project(&id, "java-unit-test").unwrap();
    world.plane.rename_project(&id, "renamed").unwrap();
    let answer = world.get(&format!("/v1/project/{id}")).await;
    assert_eq!(answer.json()["name"], "renamed");

    let plane = &world.plane;
    let exists = |what: &str| Err(DataError::ProjectExists(what.to_owned()));
    assert_eq!(plane.add_project(&id, "other"), exists(id.as_str()));
    assert_eq!(plane.rename_project(&id, "first"), exists("first"));
    assert_eq!(plane.create_project("first").map(|_| ()), exists("first"));
    let plain = ProjectId::parse("plain").unwrap();
    let refused = plane.add_project(&plain, "p");
    assert_eq!(refused, Err(DataError::NotAUuid(plain)));
}

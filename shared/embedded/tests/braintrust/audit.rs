//! The audit log: what is recorded by itself, what is never in it, and how it is asked.

use std::time::Duration;

use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::request_log::Endpoint;
use sealift_embedded::braintrust::{AuditAccess, AuditChange, AuditEvent};
use serde_json::{Value, json};

use crate::support::{Answer, KEY, ORG, World};

/// All entries there can be, by time.
fn everything(rest: &str) -> String {
    format!("SELECT * FROM audit_logs('{ORG}') WHERE created >= '2026-01-01T00:00:00Z'{rest}")
}

fn entries(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn recorded(world: &World) -> Vec<Value> {
    entries(&world.lines(&everything(" ORDER BY created")).await)
}

fn at(id: &str, event_type: &str, created: &str) -> AuditEvent {
    AuditEvent {
        id: Some(id.to_owned()),
        created: Some(created.parse().unwrap()),
        ..AuditEvent::new(event_type, AuditChange::Nothing)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_life_is_recorded_with_what_changed() {
    let world = World::start().await;
    world.clock.advance(Duration::from_secs(1));
    let body = json!({"name": "over http", "description": "d"});
    let created = world.post("/v1/project", &body).await;
    let trace = created.header("x-bt-internal-trace-id").unwrap().to_owned();
    // Found again, so nothing has happened.
    world.post("/v1/project", &body).await;
    world.clock.advance(Duration::from_secs(1));
    let id = world.project.as_str();
    world
        .plane
        .rename_project(&world.project, "second")
        .unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.plane.delete_project(&world.project).unwrap();
    // What is refused has not happened either.
    assert!(world.plane.delete_project(&world.project).is_err());
    assert!(world.plane.create_project("over http").is_err());

    let entries = recorded(&world).await;
    let told = |name: &str| -> Vec<Value> { entries.iter().map(|e| e[name].clone()).collect() };
    assert_eq!(
        told("event_type"),
        [
            "project.created",
            "project.created",
            "project.updated",
            "project.deleted"
        ]
    );
    assert_eq!(told("created")[0], "2026-05-13T00:00:00.500Z");
    assert_eq!(told("created")[3], "2026-05-13T00:00:03.500Z");
    let named = |name: &str| json!({"name": name, "description": null});
    assert_eq!(
        told("before_changes"),
        [
            Value::Null,
            Value::Null,
            json!({"name": "first"}),
            named("second")
        ]
    );
    assert_eq!(
        told("after_changes"),
        [named("first"), body, json!({"name": "second"}), Value::Null]
    );
    assert_eq!(
        told("resource_name"),
        ["first", "over http", "second", "second"]
    );
    for entry in [&entries[0], &entries[2], &entries[3]] {
        assert_eq!(
            (&entry["project_id"], &entry["resource_id"]),
            (&json!(id), &json!(id))
        );
    }
    assert_eq!(entries[1]["actor_details"]["request_id"], trace.as_str());
    for entry in &entries {
        assert_eq!(entry["org_id"], ORG);
        assert_eq!(entry["resource_type"], "project");
        assert_eq!(entry["event_details"], Value::Null);
        assert_eq!(entry.as_object().unwrap().len(), 13);
    }
    let mut ids: Vec<String> = told("id").iter().map(Value::to_string).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_null_as_the_kind_of_event_has_it() {
    let world = World::start().await;
    let (before, after) = (json!({"a": 1}), json!({"a": 2}));
    let (b, a) = (before.clone(), after.clone());
    for (event_type, change, expected) in [
        (
            "role.created",
            AuditChange::Created(after.clone()),
            [json!(null), a.clone()],
        ),
        (
            "role.updated",
            AuditChange::Updated { before, after },
            [b.clone(), a],
        ),
        (
            "role.deleted",
            AuditChange::Deleted(b.clone()),
            [b, json!(null)],
        ),
        (
            "query.read",
            AuditChange::Nothing,
            [json!(null), json!(null)],
        ),
    ] {
        let id = world
            .plane
            .record_audit_entry(&AuditEvent::new(event_type, change));
        let entries = recorded(&world).await;
        let entry = entries
            .iter()
            .find(|entry| entry["id"] == id.as_str())
            .unwrap();
        assert_eq!(entry["event_type"], event_type);
        assert_eq!(
            entry["resource_type"],
            event_type.split_once('.').unwrap().0
        );
        assert_eq!(
            [&entry["before_changes"], &entry["after_changes"]],
            expected.each_ref()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_never_enters() {
    let world = World::start().await;
    world.plane.record_query_reads(true);
    let body = json!({"name": format!("my {KEY}"), "description": KEY});
    assert_eq!(world.post("/v1/project", &body).await.status, 200);
    let query = format!("SELECT id {} WHERE id = '{KEY}'", world.from());
    assert_eq!(world.sql(&query).await.status, 200);
    world.plane.record_audit_entry(&AuditEvent {
        actor_details: Some(json!({ KEY: [KEY] })),
        ..AuditEvent::new("api_key.created", AuditChange::Created(json!({"key": KEY})))
    });
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("user-agent", KEY),
    ];
    let named = json!({"name": "agent"}).to_string();
    world
        .send("POST", "/v1/project", &headers, &named)
        .await
        .unwrap();

    let entries = recorded(&world).await;
    assert_eq!(entries.len(), 5);
    let text = json!(entries).to_string();
    assert!(!text.contains(KEY), "{text}");
    assert_eq!(text.matches("REDACTED").count(), 8, "{text}");
    assert_eq!(
        entries[0]["actor_details"]["auth"]["preview_name"],
        "sk-****"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_time_and_type_and_come_in_order() {
    let world = World::start().await;
    for (id, event_type, created) in [
        ("c", "acl.created", "2026-05-12T10:00:01Z"),
        ("a", "query.read", "2026-05-12T10:00:00Z"),
        ("d", "acl.deleted", "2026-05-12T10:00:02Z"),
        ("b", "acl.created", "2026-05-12T10:00:00Z"),
    ] {
        world.plane.record_audit_entry(&at(id, event_type, created));
    }
    let day = "created >= '2026-05-12T00:00:00Z' AND created < '2026-05-13T00:00:00Z'";
    for (rest, expected) in [
        (" ORDER BY created", vec!["a", "b", "c", "d"]),
        (" ORDER BY created ASC LIMIT 2", vec!["a", "b"]),
        (" ORDER BY created DESC LIMIT 3", vec!["d", "c", "b"]),
        ("", vec!["d", "c", "b", "a"]),
        (" LIMIT 0", vec![]),
        (
            " AND event_type NOT IN ('query.read', 'acl.deleted') ORDER BY created",
            vec!["b", "c"],
        ),
        (" AND event_type = 'acl.deleted'", vec!["d"]),
        (
            " AND created > '2026-05-12T10:00:00.000Z' ORDER BY created",
            vec!["c", "d"],
        ),
        (
            " AND created <= '2026-05-12T12:00:01+02:00' ORDER BY created",
            vec!["a", "b", "c"],
        ),
    ] {
        let query = format!("SELECT * FROM audit_logs('{ORG}') WHERE {day}{rest}");
        let answer = world.sql(&query).await;
        assert_eq!(answer.column("id"), expected, "{rest}");
        assert_eq!((answer.cursor(), answer.json().get("cursor")), (None, None));
        let columns = answer.json()["schema"]["items"]["properties"].clone();
        assert_eq!(columns.as_object().unwrap().len(), 13);
        let lines = entries(&world.lines(&query).await);
        let lines: Vec<&Value> = lines.iter().map(|entry| &entry["id"]).collect();
        assert_eq!(lines, expected, "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_entries_is_cut_and_may_lie_elsewhere_as_others_do() {
    let world = World::with(|options| options.page_cap(2)).await;
    for id in ["a", "b", "c"] {
        world
            .plane
            .record_audit_entry(&at(id, "acl.created", "2026-05-12T10:00:00Z"));
    }
    let query = everything(" ORDER BY created LIMIT 1000");
    assert_eq!(world.sql(&query).await.column("id"), ["a", "b"]);
    world
        .plane
        .faults()
        .add(Rule::new(Effect::Overflow).times(1));
    assert_eq!(world.lines(&query).await.status, 303);
    world
        .plane
        .faults()
        .add(Rule::new(Effect::BreakLine).times(1));
    let broken = world.lines(&query).await.text();
    let last = broken.lines().last().unwrap();
    assert!(serde_json::from_str::<Value>(last).is_err(), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_appears_after_the_delay_and_where_its_time_puts_it() {
    let world = World::start().await;
    world.plane.set_audit_delay(Duration::from_secs(120));
    world
        .plane
        .record_audit_entry(&at("late", "acl.created", "2026-05-12T10:00:00Z"));
    world.plane.set_audit_delay(Duration::MAX);
    world
        .plane
        .record_audit_entry(&at("never", "acl.created", "2026-05-12T10:00:00Z"));
    let ids = |entries: Vec<Value>| -> Vec<String> {
        let ids = entries.iter().map(|e| e["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let before = ids(recorded(&world).await);
    assert_eq!(
        before.len(),
        1,
        "the project's own was recorded without a delay"
    );
    world.clock.advance(Duration::from_millis(119_999));
    assert_eq!(ids(recorded(&world).await), before);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(ids(recorded(&world).await), ["late", before[0].as_str()]);
    assert_eq!(world.plane.audit_entries().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_recorded_once_that_is_switched_on_those_of_the_log_too() {
    let world = World::start().await;
    let spans = format!("SELECT id {} WHERE id = 'a'", world.from());
    world.sql(&spans).await;
    assert_eq!(recorded(&world).await.len(), 1);
    world.plane.record_query_reads(true);
    world.sql(&spans).await;
    assert_eq!(world.sql("SELECT nonsense").await.status, 400);
    // It does not see itself.
    assert_eq!(recorded(&world).await.len(), 2);
    let entries = recorded(&world).await;
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[1]["event_details"]["query"], spans.as_str());
    assert_eq!(entries[1]["project_id"], world.project.as_str());
    let own = everything(" ORDER BY created");
    assert_eq!(entries[2]["event_details"]["query"], own.as_str());
    assert_eq!(entries[2]["project_id"], Value::Null);
    assert_eq!(entries[2]["event_type"], "query.read");
    let without = everything(" AND event_type NOT IN ('query.read')");
    assert_eq!(entries_of(&world, &without).await, ["project.created"]);
    assert_eq!(world.plane.requests().count(Endpoint::Btql), 7);
}

async fn entries_of(world: &World, query: &str) -> Vec<String> {
    world.sql(query).await.column("event_type")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_the_log_is_refused_and_what_happens_is_recorded_by_the_plan() {
    let world = World::start().await;
    for (access, status, said) in [
        (AuditAccess::NotEnterprise, 403, "Enterprise"),
        (AuditAccess::OldDataPlane, 400, "v2.6.0"),
        (AuditAccess::NoPermission, 403, "Read audit logs"),
    ] {
        world.plane.set_audit_access(access);
        let answer = world.lines(&everything("")).await;
        assert_eq!(answer.status, status, "{access:?}");
        assert!(answer.message().contains(said), "{}", answer.message());
        // Other queries are answered as ever.
        let spans = format!("SELECT id {} WHERE id = 'a'", world.from());
        assert_eq!(world.sql(&spans).await.status, 200);
        world.plane.create_project(&format!("{access:?}")).unwrap();
    }
    world.plane.set_audit_access(AuditAccess::Allowed);
    let entries = recorded(&world).await;
    let names: Vec<&Value> = entries
        .iter()
        .map(|entry| &entry["resource_name"])
        .collect();
    assert_eq!(names, ["first", "OldDataPlane", "NoPermission"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_log_and_one_without_a_bound_are_refused() {
    let world = World::start().await;
    let other = "f1e858a4-58e3-408f-983f-016760d7fa25";
    let answer = world.sql(&everything("").replace(ORG, other)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.message().contains(other), "{}", answer.message());
    for query in [
        format!("SELECT * FROM audit_logs('{ORG}')"),
        format!("SELECT * FROM audit_logs('{ORG}') WHERE event_type = 'a.b' LIMIT 5"),
    ] {
        let answer = world.sql(&query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.message().contains("range filter on created"));
    }
    let answer = world.sql(&everything(" AND actor_id = 'a'")).await;
    assert_eq!(answer.status, 400);
    let said = "This query is not understood: expected created or event_type, but `actor_id`";
    assert!(answer.message().starts_with(said), "{}", answer.message());
}

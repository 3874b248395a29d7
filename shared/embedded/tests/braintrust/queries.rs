//! `POST /btql`: the request, the queries, and the two forms of the answer.

use sealift_core::id::{ProjectId, XactId};
use sealift_embedded::braintrust::DataError;
use serde_json::{Value, json};

use crate::support::World;

async fn filled() -> World {
    let world = World::start().await;
    let span = |id: &str, model: &str, score: f64| {
        json!({
            "id": id, "root_span_id": "t", "project_id": world.project.as_str(),
            "created": "2026-05-12T23:48:21.627Z", "error": null,
            "metadata": {"model": model, "deep": {"er": [1, 2]}},
            "scores": {"Factuality": score},
        })
    };
    world.put(&span("a", "gpt", 0.25), 5);
    world.put(&span("b", "claude", 0.5), 6);
    world.put(&span("c", "gpt", 1.0), 7);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_rows_come_as_their_own_bytes_in_both_forms() {
    let world = filled().await;
    let rows: Vec<String> = ["a", "b", "c"]
        .map(|id| String::from_utf8(world.plane.row(&world.project, id).unwrap().to_vec()).unwrap())
        .to_vec();
    let query = format!(
        "SELECT * {} WHERE _xact_id > '0' ORDER BY _xact_id",
        world.from()
    );
    let lines = world.lines(&query).await;
    assert_eq!(lines.status, 200);
    assert_eq!(lines.text(), rows.join("\n") + "\n");
    assert!(lines.pieces.len() > 2, "{}", lines.pieces.len());
    assert_eq!(lines.header("content-length"), None);
    assert!(lines.cursor().is_some());

    let document = world.sql(&query).await;
    assert!(
        document
            .text()
            .starts_with(&format!("{{\"data\":[{}],", rows.join(",")))
    );
    let body = document.json();
    assert_eq!(body["cursor"].as_str(), lines.cursor().as_deref());
    assert_eq!(body["schema"]["type"], "array");
    let columns = body["schema"]["items"]["properties"].as_object().unwrap();
    assert_eq!(columns.len(), 27);
    assert_eq!(body["realtime_state"]["type"], "on");
    assert_eq!(body["warnings"], json!([]));
    let fresh = json!({"last_processed_xact_id": "7", "last_considered_xact_id": "7"});
    assert_eq!(body["freshness_state"], fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_may_lack_its_line_break() {
    let world = World::with(|options| options.final_line_break(false)).await;
    world.fill(&[("a", 5), ("b", 6)]);
    let query = format!(
        "SELECT id {} WHERE _xact_id > '0' ORDER BY _xact_id",
        world.from()
    );
    assert_eq!(
        world.lines(&query).await.text(),
        "{\"id\":\"a\"}\n{\"id\":\"b\"}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_range_is_looked_into_with_a_single_row() {
    let world = filled().await;
    let ask = |after: u64, through: u64| {
        format!(
            "SELECT _xact_id {} WHERE _xact_id > '{after}' AND _xact_id <= '{through}' \
             ORDER BY _xact_id LIMIT 1",
            world.from()
        )
    };
    assert_eq!(world.sql(&ask(5, 9)).await.column("_xact_id"), ["6"]);
    let nothing = world.sql(&ask(7, 9)).await;
    assert_eq!(nothing.json()["data"], json!([]));
    assert_eq!(nothing.cursor(), None);
    assert_eq!(nothing.json().get("cursor"), None);
    let nothing = world.lines(&ask(7, 9)).await;
    assert_eq!((nothing.status, nothing.text().as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_come_sorted_by_name_with_the_bytes_of_their_values() {
    let world = World::start().await;
    let row = r#"{"id":"a","root_span_id":"t","_xact_id":"5","_pagination_key":"p00000000000000000001","metadata":{"b":1.50,"a":{"x":[1, 2]}},"error":null}"#;
    assert_eq!(world.plane.load(&world.project, [row]), Ok(1));
    let query = format!(
        "SELECT root_span_id, metadata.a AS z, metadata.b, metadata.none, error, _xact_id {} \
         WHERE id = 'a'",
        world.from()
    );
    let expected =
        r#"{"_xact_id":"5","b":1.50,"error":null,"none":null,"root_span_id":"t","z":{"x":[1, 2]}}"#;
    assert_eq!(world.lines(&query).await.text(), format!("{expected}\n"));
    let columns = world.sql(&query).await.json()["schema"]["items"]["properties"].clone();
    assert_eq!(columns.as_object().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_conditions_and_the_range_hold_together() {
    let world = filled().await;
    let sql = |filter: &str| {
        let from = world.from();
        format!("SELECT id {from} WHERE ({filter}) AND _xact_id > '5' AND _xact_id <= '9'")
    };
    for (filter, expected) in [
        ("metadata.model = 'gpt'", vec!["c"]),
        (
            "metadata.model = 'gpt' OR scores.Factuality <= 0.5",
            vec!["c", "b"],
        ),
        ("scores.Factuality < 1 AND error IS NULL", vec!["b"]),
        ("metadata.model IN ('claude', 'other')", vec!["b"]),
        ("error IS NOT NULL", vec![]),
    ] {
        assert_eq!(
            world.sql(&sql(filter)).await.column("id"),
            expected,
            "{filter}"
        );
        let pipe = format!(
            "select: id | from: project_logs('{}') spans \
             | filter: ({filter}) AND _xact_id > '5' AND _xact_id <= '9'",
            world.project
        );
        assert_eq!(world.sql(&pipe).await.column("id"), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_tells_of_each_project_with_rows() {
    let world = filled().await;
    let second = world.plane.create_project("second").unwrap();
    let idle = world.plane.create_project("idle").unwrap();
    let row = json!({"id": "x", "root_span_id": "t"}).to_string();
    world
        .plane
        .upsert(&second, row.as_bytes(), XactId::new(9))
        .unwrap();
    let first = &world.project;
    let query = |ids: &str, after: u64| {
        format!(
            "SELECT project_id, max(_xact_id) AS latest, count(1) AS rows \
             FROM project_logs({ids}, shape => 'spans') WHERE _xact_id > '{after}' \
             GROUP BY project_id"
        )
    };
    let all = format!("'{first}', '{second}', '{idle}', '{first}'");
    let answer = world.lines(&query(&all, 5)).await;
    let expected = format!(
        "{{\"latest\":\"7\",\"project_id\":\"{first}\",\"rows\":2}}\n\
         {{\"latest\":\"9\",\"project_id\":\"{second}\",\"rows\":1}}\n"
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.cursor(), None);
    let state = world.sql(&query(&all, 5)).await.json()["freshness_state"].clone();
    let fresh = json!({"last_processed_xact_id": "7", "last_considered_xact_id": "9"});
    assert_eq!(state, fresh);
    assert_eq!(
        world.lines(&query(&format!("'{idle}'"), 5)).await.text(),
        ""
    );

    let missing = "00000000-0000-4000-8000-000000000000";
    let answer = world
        .sql(&query(&format!("'{first}', '{missing}'"), 5))
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_may_tell_transactions_as_numbers_and_is_cut_like_a_page() {
    let world = World::with(|options| options.numeric_xact_ids(true).page_cap(1)).await;
    world.fill(&[("a", 1_000_197_156_529_394_086)]);
    let second = world.plane.create_project("second").unwrap();
    let row = json!({"id": "x", "root_span_id": "t"}).to_string();
    world
        .plane
        .upsert(&second, row.as_bytes(), XactId::new(9))
        .unwrap();
    let query = format!(
        "SELECT project_id, max(_xact_id) AS m FROM project_logs('{}', '{second}') \
         WHERE _xact_id > '0' GROUP BY project_id",
        world.project
    );
    let expected = format!(
        "{{\"m\":1000197156529394086,\"project_id\":\"{}\"}}\n",
        world.project
    );
    assert_eq!(world.lines(&query).await.text(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_bound_is_refused_in_braintrusts_words() {
    let world = filled().await;
    for filter in [
        "",
        " WHERE error IS NULL",
        " WHERE id = 'a' OR error IS NULL",
    ] {
        let query = format!("SELECT * {}{filter}", world.from());
        let answer = world.sql(&query).await;
        assert_eq!(answer.status, 400, "{filter}");
        let message = answer.message();
        let lint = "Query blocked by strict lint mode due to 1 lint:\n\
                    No filters available for segment elimination. Add a range filter on created, \
                    _xact_id, or _pagination_key, or scope to a specific root_span_id or id.";
        assert!(message.ends_with(lint), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_not_understood_is_refused_with_the_place() {
    let world = filled().await;
    let from = world.from();
    for (query, said) in [
        ("SELECT".to_owned(), "but the query ends"),
        (
            format!("SELECT * {from} WHERE id LIKE 'a'"),
            "but `LIKE` stands at",
        ),
        (
            format!("SELECT * {from} WHERE _xact_id > '5' HAVING 1"),
            "but `HAVING` stands at",
        ),
        (
            "SELECT * FROM project_logs('p', 'q') WHERE id = 'a'".into(),
            "of a single project",
        ),
    ] {
        let answer = world.sql(&query).await;
        assert_eq!(answer.status, 400, "{query}");
        let message = answer.message();
        assert!(
            message.starts_with("This query is not understood: "),
            "{message}"
        );
        assert!(message.contains(said), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_fields_are_known_or_refused() {
    let world = filled().await;
    let with = |name: &str, value: Value| {
        let query = format!("SELECT id {} WHERE id = 'a'", world.from());
        let mut body = json!({"query": query});
        body[name] = value;
        body
    };
    for (name, value) in [
        ("use_columnstore", json!(false)),
        ("brainstore_realtime", json!(true)),
        ("tz_offset", json!(480)),
        ("api_version", json!(1)),
        ("audit_log", json!(false)),
        ("lint_mode", json!("strict")),
        ("query_source", json!("sealift")),
        ("expected_cost", json!(10)),
    ] {
        let answer = world.post("/btql", &with(name, value)).await;
        assert_eq!(answer.column("id"), ["a"], "{name}");
    }
    for (name, value, said) in [
        ("cursor", json!("x"), "cursor: is not a known field"),
        ("limit", json!(5), "limit: is not a known field"),
        ("query", json!({"select": "*"}), "query: must be a text"),
        ("fmt", json!("parquet"), "fmt: must be one of json, jsonl"),
        ("fmt", json!(null), "fmt: must be one of json, jsonl"),
        ("audit_log", json!(true), "audit_log: is not answered here"),
        (
            "version",
            json!("5"),
            "version: is not supported for project_logs",
        ),
        (
            "scope_to_root_span_id",
            json!("t"),
            "scope_to_root_span_id: is not answered",
        ),
        (
            "use_columnstore",
            json!("no"),
            "use_columnstore: must be true or false",
        ),
        ("tz_offset", json!("480"), "tz_offset: must be a number"),
        ("lint_mode", json!("lax"), "lint_mode: must be one of"),
        ("expected_cost", json!(11), "expected_cost: must be 1 to 10"),
    ] {
        let answer = world.post("/btql", &with(name, value)).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.message().starts_with(said), "{}", answer.message());
    }
    let answer = world.post("/btql", &json!({"fmt": "json"})).await;
    assert_eq!(answer.message(), "query: is required");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_none_are_refused_when_they_are_loaded() {
    let world = World::start().await;
    let row = |id: &str, key: u64| {
        format!(
            r#"{{"id":"{id}","root_span_id":"t","_xact_id":"5","_pagination_key":"p{key:020}"}}"#
        )
    };
    let load = |rows: Vec<String>| world.plane.load(&world.project, rows);
    let reason = |result: Result<usize, DataError>| match result {
        Err(DataError::BadRow { line, reason }) => (line, reason),
        other => panic!("{other:?}"),
    };
    let (line, said) = reason(load(vec![row("a", 1), "{".into()]));
    assert_eq!(line, 2);
    assert!(said.contains("EOF"), "{said}");
    assert_eq!(world.plane.row_count(&world.project), 1);
    assert_eq!(
        reason(load(vec![row("a", 2)])).1,
        "a row of id `a` is there already"
    );
    assert_eq!(
        reason(load(vec![row("b", 1)])).1,
        "another row has its `_pagination_key`"
    );
    let spaced = row("b", 2).replace(',', ",\n");
    assert_eq!(reason(load(vec![spaced])).1, "a row must be one line");

    let update = r#"{"id":"a","root_span_id":"t"}"#.as_bytes();
    let late = world.plane.upsert(&world.project, update, XactId::new(5));
    let expected = DataError::NotLater {
        id: "a".into(),
        is: XactId::new(5),
        wanted: XactId::new(5),
    };
    assert_eq!(late, Err(expected));
    let nowhere = ProjectId::parse("00000000-0000-4000-8000-000000000000").unwrap();
    let missing = world.plane.load(&nowhere, Vec::<String>::new());
    assert_eq!(missing, Err(DataError::NoSuchProject(nowhere)));
}

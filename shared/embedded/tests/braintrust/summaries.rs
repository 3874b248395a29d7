//! The summary shape: one row for each trace.

use serde_json::{Value, json};

use crate::support::World;

fn query(world: &World, roots: &str) -> String {
    let project = &world.project;
    format!(
        "SELECT * FROM project_logs('{project}', shape => 'summary') \
         WHERE root_span_id IN ({roots})"
    )
}

async fn one(world: &World, root: &str) -> Value {
    let answer = world.sql(&query(world, &format!("'{root}'"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let rows = body["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    rows[0].clone()
}

/// A trace of a task, two model calls and a tool.
fn trace(world: &World) {
    world.put(
        &json!({
            "id": "root", "root_span_id": "t", "is_root": true, "input": "question",
            "output": "answer", "metadata": {"user": "u"}, "error": null,
            "metrics": {"start": 100.0, "end": 109.5}, "scores": {"Factuality": 0.5},
            "span_attributes": {"name": "task", "type": "task"},
        }),
        7,
    );
    world.put(
        &json!({
            "id": "llm-1", "root_span_id": "t", "is_root": false, "input": "prompt",
            "metrics": {
                "start": 99.5, "end": 101.5, "prompt_tokens": 70, "completion_tokens": 30,
                "tokens": 100, "time_to_first_token": 0.5, "prompt_cached_tokens": 20,
                "cached": 1,
            },
            "scores": {"Factuality": 1.0, "Tone": null},
            "span_attributes": {"name": "Chat Completion", "type": "llm"},
        }),
        9,
    );
    world.put(
        &json!({
            "id": "llm-2", "root_span_id": "t", "is_root": false, "error": "timeout",
            "metrics": {"start": 102.0, "end": 103.0, "prompt_tokens": 5, "time_to_first_token": 1.5},
            "scores": {"Tone": 0.25},
            "span_attributes": {"name": "Chat Completion", "type": "llm"},
        }),
        8,
    );
    world.put(
        &json!({
            "id": "tool", "root_span_id": "t", "is_root": false, "error": {"code": 5},
            "metrics": {"start": 104.0, "end": 110.0},
            "span_attributes": {"name": "search", "type": "tool"},
        }),
        6,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_its_root_with_sums_over_all_spans() {
    let world = World::start().await;
    trace(&world);
    let summary = one(&world, "t").await;
    assert_eq!(summary["id"], "root");
    assert_eq!(summary["input"], "question");
    assert_eq!(summary["metadata"], json!({"user": "u"}));
    // The latest of its spans': the root itself was written before.
    assert_eq!(summary["_xact_id"], "9");
    assert_eq!(summary["scores"], json!({"Factuality": 0.75, "Tone": 0.25}));
    let metrics = json!({
        "prompt_tokens": 75, "completion_tokens": 30, "prompt_cached_tokens": 20,
        "prompt_cache_creation_tokens": 0, "total_tokens": 105, "llm_calls": 2, "tool_calls": 1,
        "errors": 2, "llm_errors": 1, "tool_errors": 1, "start": 99.5, "end": 110.0,
        "duration": 10.5, "llm_duration": 3.0, "time_to_first_token": 1.0,
    });
    assert_eq!(summary["metrics"], metrics);
    let info = json!({"name": "task", "type": "task", "cached": false, "has_error": true});
    assert_eq!(summary["span_type_info"], info);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_changes_with_each_of_its_spans() {
    let world = World::start().await;
    trace(&world);
    world.put(
        &json!({
            "id": "llm-2", "root_span_id": "t", "is_root": false, "error": null,
            "metrics": {"cached": 1, "estimated_cost": 0.25},
            "span_attributes": {"type": "llm"},
        }),
        12,
    );
    let summary = one(&world, "t").await;
    assert_eq!(summary["_xact_id"], "12");
    assert_eq!(summary["metrics"]["prompt_tokens"], 70);
    assert_eq!(summary["metrics"]["estimated_cost"], 0.25);
    assert_eq!(summary["span_type_info"]["cached"], true);
    assert_eq!(summary["span_type_info"]["has_error"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_root_a_trace_is_its_earliest_span() {
    let world = World::start().await;
    for (id, start) in [("later", 5.0), ("earliest", 2.0), ("unknown", f64::NAN)] {
        // JSON has no NaN: this one has a start of null.
        world.put(
            &json!({"id": id, "root_span_id": "t", "metrics": {"start": start}}),
            5,
        );
    }
    let summary = one(&world, "t").await;
    assert_eq!(summary["id"], "earliest");
    assert_eq!(summary["scores"], json!({}));
    assert_eq!(summary["metrics"]["llm_calls"], 0);
    assert_eq!(summary["metrics"].get("end"), None);
    assert_eq!(summary["metrics"].get("duration"), None);
    assert_eq!(
        summary["span_type_info"],
        json!({"cached": false, "has_error": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn summaries_come_page_by_page_and_without_traces_that_are_not_there() {
    let world = World::start().await;
    world.fill(&[("a", 5), ("b", 6), ("c", 7), ("d", 8)]);
    let query = query(&world, "'t-c', 't-none', 't-a', 't-d', 't-a'");
    let pages = world.pages(&format!("{query} LIMIT 2")).await;
    assert_eq!(pages, [vec!["d", "c"], vec!["a"], vec![]]);
    let columns = world.sql(&query).await.json()["schema"]["items"]["properties"].clone();
    assert!(columns.get("span_type_info").is_some());
}

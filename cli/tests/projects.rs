//! `sealift projects` on folders of their own: what is planned is what is done, at any size.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser;
use sealift_cli::Cli;
use sealift_cli::stack::platform::{Platform, RowFiles};
use sealift_core::id::{OrgId, ProjectId};
use serde_json::Value;

const ORGANIZATION: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

async fn sealift(arguments: &[&str]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let cli = Cli::try_parse_from([&["sealift"], arguments].concat())?;
    let result = cli.run(&mut out).await;
    let text = String::from_utf8(out)?;
    result.map(|()| text)
}

/// Runs `sealift projects` on a folder.
async fn projects(data: &Path, words: &[&str]) -> anyhow::Result<String> {
    let data = data.to_str().expect("a folder of UTF-8 characters");
    sealift(&[&["projects"], words, &["--data", data]].concat()).await
}

async fn json(data: &Path, words: &[&str]) -> Value {
    let text = projects(data, &[words, &["--json"]].concat())
        .await
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn id(number: usize) -> ProjectId {
    ProjectId::parse(format!("00000000-0000-4000-8000-{number:012}")).unwrap()
}

/// What a demo leaves behind whose organization has projects of these names, in this order.
fn folder(data: &Path, names: impl IntoIterator<Item = String>) {
    let names = names.into_iter().enumerate();
    let platform = Platform {
        organization: OrgId::parse(ORGANIZATION).unwrap(),
        projects: names.map(|(number, name)| (id(number), name)).collect(),
    };
    platform.save(data).unwrap();
    std::fs::write(data.join("made-by-sealift-demo"), "").unwrap();
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_ten_thousand_projects_takes_a_page_for_every_thousand_and_writes_nothing() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    let name = |number: usize| match number % 2000 {
        1999 => format!("scratch-{number}"),
        _ => format!("Project {number}"),
    };
    folder(data, (0..10_000).map(name));
    let words = ["plan", "--exclude", "scratch-*", "--start", "0"];
    let text = projects(data, &words).await.unwrap();
    assert!(text.lines().count() < 55, "it fits a screen: {text}");
    // The embedded Braintrust has created them just now.
    assert!(
        text.contains("at the most (9995), start with their first row"),
        "{text}"
    );
    assert!(
        text.contains("--history") && text.contains("200 requests"),
        "{text}"
    );
    let plan = json(data, &words).await;
    assert_eq!(plan["projects"], 10_000);
    assert_eq!(plan["totals"]["create"], 9995);
    assert_eq!(
        (&plan["excluded"], &plan["settled"]),
        (&5.into(), &0.into())
    );
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 9995);
    assert!(steps.iter().all(|step| step["action"] == "create"));
    // Ten full pages; only an empty one after them says that there are no more.
    let requests = plan["api_requests"].as_u64().unwrap();
    assert!((10..=11).contains(&requests), "{requests} requests");
    let state = data.join("s3/sealift-state/provisioning");
    assert!(!state.exists(), "a plan is a look: {}", state.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_done_once_and_then_there_is_nothing_to_do() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    folder(data, names(&["Alpha", "alpha", "../..", "🚢", "scratch"]));
    let all = |words: &[&'static str]| [words, &["--exclude", "scratch"]].concat();
    let planned = json(data, &all(&["plan"])).await;
    assert_eq!(planned["totals"], serde_json::json!({"create": 4}));
    let done = projects(data, &all(&["apply"])).await.unwrap();
    assert!(done.contains("4 created"), "{done}");
    let after = json(data, &all(&["plan"])).await;
    assert_eq!(after["totals"], serde_json::json!({}));
    assert_eq!(
        (&after["settled"], &after["excluded"]),
        (&4.into(), &1.into())
    );
    let again = projects(data, &all(&["apply"])).await.unwrap();
    assert!(again.contains("0 created"), "{again}");

    let status = projects(data, &["status", "--json"]).await.unwrap();
    let lines: Vec<Value> = status
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let slugs: BTreeMap<&str, &str> = lines
        .iter()
        .map(|line| {
            (
                line["slug"].as_str().unwrap(),
                line["project_id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(slugs.len(), 4, "each has a folder of its own: {status}");
    assert!(slugs.contains_key("alpha"), "{status}");
    let scratch = id(4);
    assert!(
        !slugs.values().any(|project| *project == scratch.as_str()),
        "{status}"
    );
    let table = projects(data, &["status"]).await.unwrap();
    for line in &lines {
        assert!(
            table.contains(line["automation_id"].as_str().unwrap()),
            "{table}"
        );
    }

    // Without the pattern, the rest follows.
    let rest = json(data, &["plan"]).await;
    assert_eq!(rest["totals"], serde_json::json!({"create": 1}));
    assert_eq!(rest["steps"][0]["project"], scratch.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_managed_mode_automations_are_created_in_braintrust_and_the_other_mode_leaves_them() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    folder(data, names(&["Alpha", "Beta", "Gamma", "Delta"]));
    let managed = |words: &[&'static str]| [words, &["--mode", "managed"]].concat();
    let planned = json(data, &managed(&["plan"])).await;
    assert_eq!(planned["mode"], "managed");
    assert_eq!(planned["totals"], serde_json::json!({"create": 4}));
    // A list, a creation and a registration for each: it takes 12.
    let cut = projects(data, &managed(&["apply", "--requests", "10"])).await;
    let error = cut.unwrap_err().to_string();
    assert!(error.contains("1 of 4 steps are not done"), "{error}");
    let done = projects(data, &managed(&["apply"])).await.unwrap();
    assert!(done.contains("1 created"), "{done}");
    let after = json(data, &managed(&["plan"])).await;
    assert_eq!(after["settled"], 4);
    assert_eq!(after["totals"], serde_json::json!({}));
    let status = projects(data, &["status", "--json"]).await.unwrap();
    for line in status.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["mode"], "managed");
        // The embedded Braintrust has forgotten them: it lives as long as a command.
        assert_eq!(line["state"], "not to be seen");
        let failure = line["failure"].as_str().unwrap();
        assert!(failure.contains("does not exist"), "{line}");
    }
    let table = projects(data, &["status"]).await.unwrap();
    assert!(table.contains("managed"), "{table}");
    let drift = projects(data, &managed(&["plan", "--drift"]))
        .await
        .unwrap();
    assert!(drift.contains("was deleted by hand"), "{drift}");
    let own = json(data, &["plan"]).await;
    assert_eq!(own["totals"], serde_json::json!({}));
    assert_eq!(own["of_the_other_mode"].as_array().unwrap().len(), 4);
    let text = projects(data, &["plan"]).await.unwrap();
    assert!(
        text.contains("4 automations of mode managed left alone"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automation_that_was_changed_or_deleted_by_hand_is_told_and_left_alone() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    let path = data.to_str().unwrap();
    folder(data, names(&["Alpha", "Beta"]));
    projects(data, &["apply"]).await.unwrap();
    let plan = projects(data, &["plan", "--drift"]).await.unwrap();
    assert!(!plan.contains("config."), "nothing differs yet: {plan}");

    let status = projects(data, &["status", "--json"]).await.unwrap();
    let automation = |slug: &str| {
        let lines = status
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        let mut of = lines.filter(|line| line["slug"] == slug);
        of.next().unwrap()["automation_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (alpha, beta) = (automation("alpha"), automation("beta"));
    let shown = sealift(&["export", "status", &alpha, "--json", "--data", path])
        .await
        .unwrap();
    let mut shown: Value = serde_json::from_str(&shown).unwrap();
    let mut asked = serde_json::json!({});
    for field in ["project_id", "name", "config"] {
        asked[field] = shown["automation"][field].take();
    }
    asked["config"]["interval_seconds"] = 7200.into();
    let file = data.join("asked.json");
    std::fs::write(&file, asked.to_string()).unwrap();
    let file = file.to_str().unwrap();
    for words in [
        &["export", "update", &alpha, file][..],
        &["export", "pause", &alpha],
        &["export", "delete", &beta],
    ] {
        sealift(&[words, &["--data", path]].concat()).await.unwrap();
    }

    let plan = json(data, &["plan", "--drift"]).await;
    assert_eq!(plan["totals"], serde_json::json!({}), "nothing is mended");
    let drift = plan["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 2, "{drift:?}");
    let of = |id: &str| drift.iter().find(|one| one["automation"] == id).unwrap();
    let fields = of(&alpha)["differences"].as_array().unwrap();
    assert_eq!(fields.len(), 1, "to be paused is no drift: {fields:?}");
    assert_eq!(fields[0]["field"], "config.interval_seconds");
    assert_eq!(
        (&fields[0]["is"], &fields[0]["template"]),
        (&7200.into(), &3600.into())
    );
    assert_eq!(of(&beta)["differences"], serde_json::json!([]));
    let text = projects(data, &["plan", "--drift"]).await.unwrap();
    assert!(text.contains("config.interval_seconds: "), "{text}");
    assert!(text.contains("deleted"), "{text}");
    let status = projects(data, &["status"]).await.unwrap();
    assert!(
        status.contains("paused") && status.contains("deleted"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_counts_the_rows_behind_the_start_of_what_is_to_be_created() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    folder(data, names(&["Alpha", "Beta", "Gamma"]));
    let mut rows = RowFiles::new(data);
    // Of 2025-11-21, as the demo's are.
    for (project, count) in [(id(0), 3), (id(1), 2)] {
        for row in 0..count {
            let row = serde_json::json!({
                "id": format!("row-{row}"), "_xact_id": "1000196176995155968",
                "_pagination_key": format!("p{row:020}"), "root_span_id": "r", "span_id": "r",
                "org_id": ORGANIZATION, "project_id": project, "created": "2025-11-21T06:00:00Z",
            });
            rows.add(&project, &row.to_string()).unwrap();
        }
    }
    rows.finish().unwrap();
    let ask = |words: &'static [&'static str]| {
        let words = [&["plan", "--history", "--start"][..], words].concat();
        async move { json(data, &words).await["history"].take() }
    };
    let all = ask(&["0"]).await;
    assert_eq!(
        (&all["rows"], &all["requests"]),
        (&5.into(), &1.into()),
        "{all}"
    );
    let some = ask(&["0", "--exclude", "Beta"]).await;
    assert_eq!(
        (&some["rows"], &some["requests"]),
        (&3.into(), &1.into()),
        "{some}"
    );
    // They are new to the stack, so their exports start with the first row whatever the settings
    // say of older ones.
    let later = ask(&["2025-11-23"]).await;
    assert_eq!(later["rows"], 5, "{later}");
    let now = ask(&["now"]).await;
    assert_eq!(now["rows"], 5, "{now}");
    let text = projects(data, &["plan", "--history", "--start", "0"])
        .await
        .unwrap();
    assert!(text.contains("5 rows"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_names_the_option_and_the_way_out() {
    let folder_of = tempfile::tempdir().unwrap();
    let data = folder_of.path();
    let error = |result: anyhow::Result<String>| format!("{:#}", result.unwrap_err());
    let stranger = error(projects(data, &["plan"]).await);
    assert!(stranger.contains("was not made by a demo"), "{stranger}");
    let nowhere = error(sealift(&["projects", "status"]).await);
    assert!(
        nowhere.contains("--data") && nowhere.contains("--state-bucket"),
        "{nowhere}"
    );
    let deployed = ["projects", "apply", "--state-bucket", "sealift-state"];
    let without_bus = error(sealift(&[&deployed[..], &["--path", ""]].concat()).await);
    assert!(without_bus.contains("--bus"), "{without_bus}");
    folder(data, names(&["Alpha"]));
    for (option, value) in [
        ("--start", "soon"),
        ("--format", "csv"),
        ("--path", "s3://sealift-exports/all"),
        ("--mode", "both"),
        ("--data-plane-version", "latest"),
    ] {
        let refused = error(projects(data, &["plan", option, value]).await);
        assert!(refused.contains(option), "{option}: {refused}");
    }
}

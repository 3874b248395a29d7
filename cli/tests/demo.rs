//! The commands as a new user runs them, on a folder of their own.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use flate2::read::MultiGzDecoder;
use sealift_cli::Cli;
use sealift_core::export::name::hour_of;
use sealift_core::id::XactId;

async fn sealift(arguments: &[&str]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let cli = Cli::try_parse_from([&["sealift"], arguments].concat())?;
    let result = cli.run(&mut out).await;
    let text = String::from_utf8(out)?;
    result.map(|()| text)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a folder of UTF-8 characters")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_delivers_the_real_excerpt_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("out");
    for _ in 0..2 {
        // The second time it finds what the first has left.
        let page = sealift(&["demo", "--data", path(&data)]).await.unwrap();
        assert!(
            page.contains("All 318 events arrived at their 25 tenants, each once, byte for byte"),
            "{page}"
        );
        assert!(page.contains("date=2023-07-10/hour=11/"), "{page}");
    }
    assert!(
        data.join("s3/tenant-ec2/audit-events/date=2023-07-10/hour=12")
            .is_dir()
    );
    let segment = data.join("s3/sealift-log/log/00000000000000000001.seg");
    let page = sealift(&["segment", path(&segment)]).await.unwrap();
    assert!(
        page.contains("ec2.amazonaws.com") && page.contains("ec2.RunInstances"),
        "{page}"
    );
    let lines = sealift(&[
        "segment",
        path(&segment),
        "--lines",
        "--org",
        "kms.amazonaws.com",
    ])
    .await
    .unwrap();
    assert!(lines.lines().count() > 0);
    assert!(
        lines
            .lines()
            .all(|line| line.contains(r#""eventSource":"kms.amazonaws.com""#)),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_exports_real_rows_and_the_automations_can_be_controlled() {
    let folder = tempfile::tempdir().unwrap();
    let (data, spans) = (folder.path().join("out"), excerpt("spans.jsonl.gz"));
    let (data, spans) = (path(&data), path(&spans));
    let page = sealift(&[
        "demo",
        "--spans",
        spans,
        "--project",
        "Math (v2)",
        "--data",
        data,
    ])
    .await
    .unwrap();
    assert!(
        page.contains("All 252 rows lie in the bucket, each once"),
        "{page}"
    );
    assert!(
        !page.contains("Sealift demo:"),
        "no audit events were asked for: {page}"
    );
    let spans = folder
        .path()
        .join("out/s3/sealift-exports/braintrust/math-v2/spans");
    for hour in ["hour=00", "hour=06"] {
        assert!(spans.join("date=2025-11-21").join(hour).is_dir());
    }

    let id = "math-v2-spans";
    let export = |words: &[&'static str]| {
        let words = [&["export"], words, &["--data"]].concat();
        async move { sealift(&[&words[..], &[data]].concat()).await }
    };
    let status = export(&["status"]).await.unwrap();
    for part in [
        "math-v2-spans",
        "math-v2-logs-export-",
        "math-v2/traces",
        "math-v2-spans-jsonl",
        "252 rows in 7 files",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let again = export(&["run", id]).await.unwrap();
    assert!(
        again.contains("done: 0 rows in 0 files, 1 request"),
        "{again}"
    );
    let tested = export(&["test", id]).await.unwrap();
    assert!(
        tested.contains("an object could be written and deleted"),
        "{tested}"
    );
    let paused = export(&["pause", id]).await.unwrap();
    assert!(paused.contains("paused"), "{paused}");
    let rewound = export(&["reset", id, "--start", "2025-11-21T05:00:00Z"])
        .await
        .unwrap();
    assert!(
        rewound.contains("generation 1") && rewound.contains("paused"),
        "{rewound}"
    );
    let resumed = export(&["resume", id]).await.unwrap();
    assert!(resumed.contains("315 rows in 9 files"), "{resumed}");
    let json = export(&["status", id, "--json"]).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["cursor"]["generation"], 1);
    let error = export(&["run", "nobody"]).await.unwrap_err();
    assert!(
        error.to_string().contains("there is no automation nobody"),
        "{error:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automation_is_created_from_braintrusts_own_json() {
    let folder = tempfile::tempdir().unwrap();
    let (data, spans) = (folder.path().join("out"), excerpt("spans.jsonl.gz"));
    let (data, spans) = (path(&data), path(&spans));
    sealift(&["demo", "--spans", spans, "--data", data])
        .await
        .unwrap();
    let file = folder.path().join("automation.json");
    let mut automation = serde_json::json!({
        "project_id": "f1e858a4-58e3-408f-983f-016760d7fa25",
        "name": "Grades",
        "config": {
            "event_type": "btql_export",
            "export_definition": {
                "type": "btql_query",
                "btql_query": "SELECT _xact_id, id, created, output FROM \
                    project_logs('f1e858a4-58e3-408f-983f-016760d7fa25') \
                    WHERE span_attributes.type = 'score'",
            },
            "export_path": "s3://sealift-exports/grades",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::123456789012:role/sealift-own-exports",
                "external_id": "grades",
            },
        },
    });
    std::fs::write(&file, automation.to_string()).unwrap();
    let org = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";
    let create = [
        "export",
        "create",
        path(&file),
        "--org",
        org,
        "--id",
        "grades",
        "--data",
        data,
    ];
    let page = sealift(&create).await.unwrap();
    assert!(page.contains("automation grades is created"), "{page}");
    assert!(sealift(&create).await.unwrap().contains("exists already"));
    let page = sealift(&["export", "run", "grades", "--data", data])
        .await
        .unwrap();
    assert!(page.contains("112 rows in 7 files"), "{page}");
    automation["config"]["export_definition"]["btql_query"] =
        "SELECT count(1) FROM project_logs('x') GROUP BY id".into();
    std::fs::write(&file, automation.to_string()).unwrap();
    let error = sealift(&create).await.unwrap_err();
    assert!(
        error.to_string().contains("btql_query cannot be used"),
        "{error:#}"
    );
    automation["config"]["credentials"]["external_id"] = serde_json::Value::Null;
    std::fs::write(&file, automation.to_string()).unwrap();
    let error = format!("{:#}", sealift(&create).await.unwrap_err());
    assert!(
        error.contains("automation.json is no btql_export automation"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automation_is_updated_and_deleted_and_what_is_fixed_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (data, spans) = (folder.path().join("out"), excerpt("spans.jsonl.gz"));
    let (data, spans) = (path(&data), path(&spans));
    sealift(&["demo", "--spans", spans, "--data", data])
        .await
        .unwrap();
    let id = "project-f1e858a4-spans";
    let json = sealift(&["export", "status", id, "--json", "--data", data])
        .await
        .unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let automation = document["automation"].as_object_mut().unwrap();
    let mut asked = serde_json::json!({});
    for field in ["project_id", "name", "config"] {
        asked[field] = automation[field].clone();
    }
    asked["config"]["interval_seconds"] = serde_json::json!(7200);
    let file = folder.path().join("automation.json");
    let update = ["export", "update", id, path(&file), "--data", data];
    std::fs::write(&file, asked.to_string()).unwrap();
    sealift(&update).await.unwrap();
    let page = sealift(&["export", "status", id, "--data", data])
        .await
        .unwrap();
    assert!(
        page.contains("every 7200 s") && page.contains("252 rows"),
        "{page}"
    );
    asked["config"]["export_path"] = "s3://elsewhere/x".into();
    std::fs::write(&file, asked.to_string()).unwrap();
    let error = sealift(&update).await.unwrap_err().to_string();
    assert!(
        error.contains("config.export_path") && error.contains("create another"),
        "{error}"
    );
    asked["config"]["interval_seconds"] = "3600".into();
    std::fs::write(&file, asked.to_string()).unwrap();
    let error = sealift(&update).await.unwrap_err().to_string();
    assert!(
        error.contains("config.interval_seconds: invalid type"),
        "{error}"
    );
    sealift(&["export", "delete", id, "--data", data])
        .await
        .unwrap();
    let error = sealift(&["export", "run", id, "--data", data])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no automation"),
        "{error:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_used_leave_the_last_demo_as_it_is_and_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (data, rows) = (folder.path().join("out"), folder.path().join("rows.jsonl"));
    let (data, spans) = (path(&data), excerpt("spans.jsonl.gz"));
    sealift(&["demo", "--spans", path(&spans), "--data", data])
        .await
        .unwrap();
    let row = |id: &str, org: &str, xact: &str| {
        format!(
            r#"{{"id":"{id}","_xact_id":"{xact}","_pagination_key":"p1","root_span_id":"r","org_id":"{org}","project_id":"p"}}"#
        )
    };
    let past = "1000196176995155968";
    for (text, expected) in [
        (String::new(), "holds no rows"),
        ("no json".to_owned(), "row 1 of"),
        (
            [row("a", "o", past), row("b", "other", past)].join(
                "
",
            ),
            "a stack serves one",
        ),
        (
            [row("a", "o", past), row("a", "o", past)].join(
                "
",
            ),
            "the latest version of each row",
        ),
        (row("a", "o", "1000199999995155968"), "no time of the past"),
        (
            r#"{"id":"a","_xact_id":"12"}"#.to_owned(),
            "missing field `org_id`",
        ),
    ] {
        std::fs::write(&rows, text).unwrap();
        let error = sealift(&["demo", "--spans", path(&rows), "--data", data])
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error:#}");
    }
    let page = sealift(&["export", "status", "--data", data])
        .await
        .unwrap();
    assert!(page.contains("252 rows"), "{page}");
    let error = sealift(&["export", "status", "--data", path(folder.path())])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("was not made by a demo"),
        "{error:#}"
    );
    assert!(!folder.path().join("s3").exists(), "a look changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn pyarrow_and_duckdb_find_every_exported_row_as_it_was_given_field_by_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    succeed(&mut Command::new(root.join(".ci/readers")));
    let folder = tempfile::tempdir().unwrap();
    let (data, spans) = (folder.path().join("out"), excerpt("spans.jsonl.gz"));
    let demo = [
        "demo",
        "--spans",
        path(&spans),
        "--project",
        "Math",
        "--data",
    ];
    sealift(&[&demo[..], &[path(&data)]].concat())
        .await
        .unwrap();
    let mut given = String::new();
    let file = std::fs::File::open(&spans).unwrap();
    std::io::Read::read_to_string(&mut MultiGzDecoder::new(file), &mut given).unwrap();
    let mut by_hour: BTreeMap<String, String> = BTreeMap::new();
    for line in given.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let transaction = XactId::parse(row["_xact_id"].as_str().unwrap()).unwrap();
        let rows = by_hour
            .entry(hour_of(transaction).unwrap().folder())
            .or_default();
        rows.push_str(line);
        rows.push('\n');
    }
    let exported = data.join("s3/sealift-exports/braintrust/math/spans");
    for (hour, rows) in by_hour {
        let mut files = std::fs::read_dir(exported.join(&hour)).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "one file holds the hour {hour}");
        let lines = folder.path().join("rows.jsonl");
        std::fs::write(&lines, &rows).unwrap();
        // Out of its folders, which DuckDB takes for columns.
        let plain = folder.path().join("rows.parquet");
        std::fs::copy(file, &plain).unwrap();
        let mut reader = Command::new(root.join(".venv-readers/bin/python"));
        let script = root.join("shared/rows/tests/readers.py");
        let said = succeed(reader.arg(script).arg(plain).arg(&lines));
        let count = rows.lines().count();
        assert!(said.starts_with(&format!("{count} rows")), "{said}");
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}{error}");
    said
}

fn excerpt(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../events/corpus")
        .join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_comes_back_once_its_shape_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (
        folder.path().join("events.jsonl"),
        folder.path().join("out"),
    );
    let events = [
        r#"{"id":"1","org_id":"acme","created":"2026-05-12T23:48:21Z","event_type":"a.b"}"#,
        r#"{"uuid":"2","org_id":"acme","created":"2026-05-12T23:48:22Z","event_type":"a.b"}"#,
        r#"{"uuid":"3","org_id":"acme","created":"2026-05-13T00:00:00Z","event_type":"a.b"}"#,
        r#"{"id":"1","org_id":"acme","created":"2026-05-12T23:48:21Z","event_type":"a.b"}"#,
        r#"{"id":"4","created":"2026-05-12T23:48:21Z","event_type":"a.b"}"#,
    ];
    std::fs::write(&input, events.join("\n")).unwrap();
    let page = sealift(&["demo", "--audit", path(&input), "--data", path(&data)])
        .await
        .unwrap();
    assert!(
        page.contains("3 parked") && page.contains("1 duplicate dropped"),
        "{page}"
    );
    assert!(
        page.contains("2 lines: no id: nothing stands at /id"),
        "{page}"
    );
    let redrive = ["redrive", "--data", path(&data), "--shape", "id=/uuid"];
    let page = sealift(&[&redrive[..], &["--dry-run"]].concat())
        .await
        .unwrap();
    assert_eq!(
        page,
        "parked: 2 events would be brought back, 0 events in the log already, 1 event still unusable\n"
    );
    let page = sealift(&redrive).await.unwrap();
    assert_eq!(
        page,
        "parked: 2 events brought back, 0 events in the log already, 1 event still unusable\n"
    );
    let page = sealift(&redrive).await.unwrap();
    assert_eq!(
        page,
        "parked: 0 events brought back, 0 events in the log already, 1 event still unusable\n"
    );
    let bucket = data.join("s3/tenant-acme/audit-events");
    assert!(
        bucket.join("date=2026-05-13/hour=00").is_dir(),
        "the event was not delivered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_no_demo_made_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "mine").unwrap();
    let error = sealift(&["demo", "--data", path(folder.path())])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("name another with --data"),
        "{error:#}"
    );
    assert!(folder.path().join("precious").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_cannot_be_used_is_an_error_that_names_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (
        folder.path().join("events.jsonl"),
        folder.path().join("out"),
    );
    std::fs::write(&input, "{\"id\":\"1\"}\n").unwrap();
    let error = sealift(&["demo", "--audit", path(&input), "--data", path(&data)])
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no organization: nothing stands at /org_id"),
        "{error:#}"
    );
    let error = sealift(&["demo", "--audit", path(&input), "--shape", "id"])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is no part of a shape"),
        "{error:#}"
    );
}

//! Others read what is written: pyarrow and DuckDB, each row and field (`readers.py`).

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{corpus, encode, noise};
use sealift_rows::{Format, Settings, Table};

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert!(output.status.success(), "{command:?}:\n{out}{err}");
    out.into_owned()
}

fn assert_readers_agree(table: Table, settings: Settings, rows: &[String]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run(&mut Command::new(root.join(".ci/readers")));
    let folder = tempfile::tempdir().unwrap();
    let (file, lines) = (
        folder.path().join("rows.parquet"),
        folder.path().join("rows.jsonl"),
    );
    std::fs::write(&file, encode(Format::Parquet(table), settings, rows)).unwrap();
    std::fs::write(&lines, rows.join("\n") + "\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.py");
    let said = run(Command::new(root.join(".venv-readers/bin/python"))
        .arg(script)
        .arg(file)
        .arg(lines));
    assert!(said.starts_with(&format!("{} rows", rows.len())), "{said}");
}

#[test]
fn pyarrow_and_duckdb_read_the_corpus_as_it_is() {
    for name in ["spans.jsonl.gz", "spans-recorded.jsonl.gz"] {
        let rows = corpus(name);
        assert_readers_agree(Table::Spans, Settings::default(), &rows);
        let small = Settings {
            row_group_bytes: 64 << 10,
            page_bytes: 4 << 10,
            ..Settings::default()
        };
        assert_readers_agree(Table::Traces, small.clone(), &rows);
        assert_readers_agree(Table::Query, small, &rows);
    }
}

#[test]
fn pyarrow_and_duckdb_read_what_is_awkward() {
    let mut rows: Vec<String> = [
        r#"{"_xact_id":"1","created":"2026-05-12T23:48:21.627123Z","is_root":true,"id":"😀 \ud83d\ude00 \"\\"}"#,
        r#"{"_xact_id":"9223372036854775807","created":"1969-12-31T23:59:59.999999Z","is_root":null,"id":""}"#,
        r#"{"_xact_id":"18446744073709551615","created":"2026-05-12T23:48:21+02:00","id":7,"is_root":"no"}"#,
        r#"{"_xact_id":1000197156529394086,"tags":[],"scores":{},"metrics":{}}"#,
        r#"{"_xact_id":"2","tags":null,"scores":null,"metrics":null}"#,
        r#"{"_xact_id":"3","tags":["a",null,""],"scores":{"a":null,"b":0.5,"c":"x"},"metrics":{"n":9007199254740993,"m":-0.0,"k":1e-7}}"#,
        r#"{"_xact_id":"4","tags":["a",1],"scores":[1],"metrics":"none","span_parents":["p","q"]}"#,
        r#"{"_xact_id":"5","input":"null","output":[1,1.0,true,"1",{"a":null}],"error":"NaN","expected":1e400,"new":{"a":[1.50]},"nothing":null}"#,
        r#"{"_xact_id":"6","input":" ","output":12345678901234567890.123456789,"metadata":{},"context":[]}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    rows.push(format!(
        r#"{{"_xact_id":"7","input":"{}"}}"#,
        noise(1, 5 << 20)
    ));
    // More log ids than a dictionary has room for, and more rows than a page.
    rows.extend((0..21_000).map(|i| {
        let id = noise(i / 4, 40);
        format!(r#"{{"_xact_id":"{i}","log_id":"{id}","tags":["t{}","{id}"],"scores":{{"s{}":{i}}},"is_root":{}}}"#, i % 3, i % 5, i % 7 == 0)
    }));
    for table in [Table::Spans, Table::Query] {
        assert_readers_agree(table, Settings::default(), &rows);
    }
}

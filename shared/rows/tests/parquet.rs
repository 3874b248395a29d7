//! Rows become Parquet and come back as they were.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod common;

use bytes::Bytes;
use common::{check, corpus, encode, noise, read};
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sealift_rows::{FileEncoder, Format, PushError, RowError, Settings, Table};

/// Pages and row groups so small that there are many.
fn small() -> Settings {
    Settings {
        row_group_bytes: 64 << 10,
        page_bytes: 2 << 10,
        ..Settings::default()
    }
}

fn schema_of(table: Table, row: &str) -> String {
    let file = encode(Format::Parquet(table), Settings::default(), &[row]);
    let reader = SerializedFileReader::new(file).unwrap();
    let metadata = reader.metadata().file_metadata();
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, metadata.schema());
    let mut text = String::from_utf8(text).unwrap();
    let entries = metadata.key_value_metadata().unwrap().iter();
    text.extend(
        entries.map(|entry| format!("\n{} = {}", entry.key, entry.value.as_ref().unwrap())),
    );
    text
}

#[test]
fn the_schemas_are_those_that_were_promised() {
    let row = r#"{"_xact_id":"1"}"#;
    insta::assert_snapshot!("spans", schema_of(Table::Spans, row));
    insta::assert_snapshot!("traces", schema_of(Table::Traces, row));
    let row = r#"{"n":1,"id":"a","_xact_id":"1","metrics.cost":2,"metrics":{},"":0,"extra":1,"n":2,"\ud800":3,"created":null,"ü":1}"#;
    insta::assert_snapshot!("query", schema_of(Table::Query, row));
}

#[test]
fn every_row_of_the_corpus_comes_back_field_by_field() {
    for name in ["spans.jsonl.gz", "spans-recorded.jsonl.gz"] {
        let rows = corpus(name);
        for settings in [Settings::default(), small()] {
            check(Table::Spans, settings.clone(), &rows);
            check(Table::Traces, settings.clone(), &rows);
            check(Table::Query, settings, &rows);
        }
    }
}

#[test]
fn what_is_usual_needs_no_extra() {
    for name in ["spans.jsonl.gz", "spans-recorded.jsonl.gz"] {
        let file = encode(
            Format::Parquet(Table::Spans),
            Settings::default(),
            &corpus(name),
        );
        for row in read(file) {
            assert_eq!(row["extra"], Field::Null);
        }
    }
}

/// What is in `extra` for one member beside the transaction.
fn extra_of(member: &str) -> Option<String> {
    let row = format!(r#"{{"_xact_id":"1",{member}}}"#);
    let file = encode(Format::Parquet(Table::Traces), Settings::default(), &[row]);
    match &read(file)[0]["extra"] {
        Field::Null => None,
        Field::Str(json) => Some(json.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_its_column_is_in_extra_as_it_came() {
    let whole = [
        r#""id":7"#,
        r#""id":"\ud83d""#,
        r#""log_id":["g"]"#,
        r#""is_root":"true""#,
        r#""is_root":1"#,
        r#""created":"2026-05-12T23:48:21.6271234Z""#,
        r#""created":"2026-05-12T23:48:21+02:00""#,
        r#""created":1778629701"#,
        r#""tags":["a",1]"#,
        r#""tags":["a","\udc00"]"#,
        r#""tags":"a""#,
        r#""tags":{"0":"a"}"#,
        r#""span_parents":[["a"]]"#,
        r#""scores":1"#,
        r#""scores":[ 0.5 ]"#,
        r#""metrics":"none""#,
        r#""new_column":null"#,
        r#""new_column":{"a" : [1.0]}"#,
        r#""extra":{"id":"b"}"#,
        r#""\ud83d":1"#,
        r#""":1"#,
    ];
    for member in whole {
        assert_eq!(extra_of(member), Some(format!("{{{member}}}")), "{member}");
    }
    for (member, extra) in [
        // Of a map only what does not fit.
        (
            r#""metrics":{"tokens":9007199254740993,"start":1.5,"note":"x","deep":{"a":[]},"none":null}"#,
            r#"{"metrics":{"tokens":9007199254740993,"note":"x","deep":{"a":[]}}}"#,
        ),
        (
            r#""scores":{"\ud83d":1,"ok":1,"big":1e400}"#,
            r#"{"scores":{"\ud83d":1,"big":1e400}}"#,
        ),
        (
            r#""scores":{"a":"NaN"},"id":1,"x":2,"tags":[0]"#,
            r#"{"id":1,"scores":{"a":"NaN"},"tags":[0],"x":2}"#,
        ),
    ] {
        assert_eq!(extra_of(member).as_deref(), Some(extra));
    }
    let row = r#"{"_xact_id":"9223372036854775808"}"#;
    let file = encode(Format::Parquet(Table::Spans), Settings::default(), &[row]);
    let row = &read(file)[0];
    assert_eq!(row["_xact_id"], Field::Null);
    let extra = r#"{"_xact_id":"9223372036854775808"}"#.to_owned();
    assert_eq!(row["extra"], Field::Str(extra));
}

#[test]
fn what_fits_is_in_its_column() {
    for member in [
        r#""id":"""#,
        r#""id":"NaN""#,
        r#""id":"\ud83d\ude00 \u0000 \"""#,
        r#""created":"2026-05-12T23:48:21.627123Z""#,
        r#""created":"1969-12-31T23:59:59.999999Z""#,
        r#""is_root":false"#,
        r#""tags":[]"#,
        r#""tags":[null,"","\\"]"#,
        r#""scores":{}"#,
        r#""scores":{"a":null,"":-0.0,"é":1e-7}"#,
        r#""metrics":{"start":1763683208.6361175,"tokens":66}"#,
        r#""input":"null""#,
        r#""input":[ 1 , {"a":"\ud83d"} ]"#,
        r#""output":9007199254740993"#,
        r#""error":"NaN""#,
        r#""span_type_info":{"cached":false}"#,
        r#""tags":null,"scores":null,"id":null,"created":null,"is_root":null,"input":null"#,
    ] {
        assert_eq!(extra_of(member), None, "{member}");
        let row = format!(r#"{{"_xact_id":"1000197156529394086",{member}}}"#);
        check(Table::Traces, Settings::default(), &[row]);
    }
}

#[test]
fn one_column_may_hold_values_of_all_kinds() {
    let values = [
        "null",
        "1",
        "\"a\"",
        "[\"a\"]",
        "{\"a\":1}",
        "true",
        "[]",
        "{}",
        "\"\"",
        "1.5",
        "[null]",
        "{\"a\":null}",
        "\"2026-05-12T23:48:21Z\"",
    ];
    let columns = [
        "id", "created", "is_root", "tags", "scores", "input", "log_id", "other",
    ];
    let rows: Vec<String> = columns
        .iter()
        .flat_map(|column| values.map(|value| format!(r#"{{"_xact_id":"1","{column}":{value}}}"#)))
        .collect();
    for table in [Table::Spans, Table::Traces, Table::Query] {
        check(table, Settings::default(), &rows);
    }
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    let row = r#"{"_xact_id":"1","id":"a","metrics":{"n":1,"m":"x","n":2,"m":3},"\u0069d":"b","_xact_id":"2"}"#;
    let mut file = FileEncoder::new(Format::Parquet(Table::Spans), Settings::default());
    assert_eq!(file.push(row.as_bytes()).unwrap().get(), 2);
    let file = file.finish().unwrap().unwrap().bytes.concat();
    let found = &read(file.into())[0];
    assert_eq!(found["_xact_id"], Field::Long(2));
    assert_eq!(found["id"], Field::Str("b".to_owned()));
    assert_eq!(found["extra"], Field::Null);
    let metrics = r#"{"n" -> 2.0, "m" -> 3.0}"#;
    assert_eq!(found["metrics"].to_string(), metrics);
    let many: Vec<String> = (0..40).map(|i| format!(r#""k{}":{i}"#, i % 20)).collect();
    let row = format!(r#"{{"_xact_id":"1","metrics":{{{}}}}}"#, many.join(","));
    check(Table::Spans, Settings::default(), &[row]);
}

#[test]
fn a_value_of_5_mb_is_a_page_of_its_own() {
    let long = noise(1, 5 << 20);
    let rows: Vec<String> = (0..9)
        .map(|i| match i % 3 {
            0 => format!(r#"{{"_xact_id":"{i}","input":["{long}"],"output":"{i}"}}"#),
            1 => format!(r#"{{"_xact_id":"{i}","input":{i},"unknown":"{long}"}}"#),
            _ => {
                format!(r#"{{"_xact_id":"{i}","id":"{long}","tags":["{long}"],"log_id":"{long}"}}"#)
            }
        })
        .collect();
    check(Table::Spans, Settings::default(), &rows);
}

#[test]
fn members_come_back_in_any_order_and_spacing() {
    let row = "{ \"tags\" : [ \"a\" ,\t\"b\" ] , \"zeta\" : { } ,\"id\":\"1\",\"_xact_id\" : \"7\" , \"input\" : [ 1 ] }";
    check(
        Table::Spans,
        Settings::default(),
        &[row, "{\"_xact_id\":\"8\"}\r\n"],
    );
    let bytes = encode(Format::Parquet(Table::Spans), Settings::default(), &[row]);
    assert_eq!(read(bytes)[0]["input"], Field::Str("[ 1 ]".to_owned()));
}

#[test]
fn a_dictionary_that_grows_too_large_is_left_and_nothing_is_lost() {
    let rows: Vec<String> = (0..6000)
        .map(|i| {
            let id = noise(i / 2, 40);
            format!(r#"{{"_xact_id":"{i}","log_id":"{id}","tags":["a","{id}"],"scores":{{"{id}":{i},"a":1}}}}"#)
        })
        .collect();
    let file = encode(Format::Parquet(Table::Spans), Settings::default(), &rows);
    for (row, found) in rows.iter().zip(read(file.clone())) {
        common::assert_row(row, &found);
    }
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    let log_id = columns
        .iter()
        .find(|c| c.column_path().string() == "log_id")
        .unwrap();
    // Of the data pages alone: the dictionary's own page is plain, too.
    let encodings = log_id.page_encoding_stats_mask().unwrap();
    assert!(encodings.is_set(Encoding::RLE_DICTIONARY));
    assert!(encodings.is_set(Encoding::PLAIN));
}

#[test]
fn the_same_rows_give_the_same_bytes_whenever_they_are_taken() {
    let rows = corpus("spans.jsonl.gz");
    for format in [Format::Parquet(Table::Spans), Format::JsonLines] {
        let taken = encode(format, small(), &rows);
        let mut file = FileEncoder::new(format, small());
        for row in &rows {
            file.push(row.as_bytes()).unwrap();
        }
        assert_eq!(file.finish().unwrap().unwrap().bytes.concat(), taken);
    }
}

#[test]
fn a_refused_row_leaves_the_file_as_it_was() {
    let rows = corpus("spans-recorded.jsonl.gz");
    for format in [
        Format::Parquet(Table::Spans),
        Format::Parquet(Table::Query),
        Format::JsonLines,
    ] {
        let mut file = FileEncoder::new(format, Settings::default());
        for (row, bad) in rows.iter().zip(
            [
                "{}",
                "[1]",
                "{\"_xact_id\":\"1\"",
                "",
                r#"{"_xact_id":"x"}"#,
                r#"{"_xact_id":"1","a":1]"#,
            ]
            .iter()
            .cycle(),
        ) {
            let refused = file.push(bad.as_bytes());
            assert!(
                matches!(refused, Err(PushError::Row(_))),
                "{bad}: {refused:?}"
            );
            file.push(row.as_bytes()).unwrap();
        }
        let finished = file.finish().unwrap().unwrap();
        assert_eq!(finished.summary.rows, rows.len() as u64);
        let bytes = Bytes::from(finished.bytes.concat());
        assert_eq!(bytes, encode(format, Settings::default(), &rows));
    }
}

#[test]
fn a_file_without_rows_is_never_made() {
    for format in [Format::Parquet(Table::Query), Format::JsonLines] {
        let mut file = FileEncoder::new(format, Settings::default());
        let refused = file.push(b"{\"id\":\"a\"}");
        let missing = RowError::Missing { field: "_xact_id" };
        assert!(matches!(refused, Err(PushError::Row(error)) if error == missing));
        assert_eq!((file.take().len(), file.size(), file.held()), (0, 0, 0));
        assert_eq!(file.finish().unwrap(), None);
    }
}

#[test]
fn a_query_with_more_columns_than_a_file_has_keeps_the_others_in_extra() {
    let members: Vec<String> = (0..700).map(|i| format!(r#""c{i}":{i}"#)).collect();
    let row = format!(r#"{{{},"_xact_id":"1"}}"#, members.join(","));
    let bytes = encode(Format::Parquet(Table::Query), Settings::default(), &[&row]);
    let found = &read(bytes)[0];
    assert_eq!(found.len(), 502);
    common::assert_row(&row, found);
}

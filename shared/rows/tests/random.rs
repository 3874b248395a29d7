//! Rows of any form become Parquet and come back as they were, however the file is cut.

mod common;

use common::check;
use proptest::prelude::*;
use sealift_rows::{Settings, Table};

/// Any JSON, as text: spaced, escaped, nested, with numbers that no double holds.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap_or_default()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default()),
        "\"(\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\n|[a-z]){0,3}\"",
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3)
                .prop_map(|list| format!("[ {}]", list.join(" , "))),
            proptest::collection::vec(("\"[a-c]?\"", inner), 0..3).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("{{{} }}", entries.join(","))
            }),
        ]
    })
}

/// A value that may well be what a column is for.
fn likely(column: &str) -> BoxedStrategy<String> {
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default());
    match column {
        "created" => (-62_135_596_800_000_000i64..253_402_300_800_000_000)
            .prop_map(|micros| match jiff::Timestamp::from_microsecond(micros) {
                Ok(time) => format!("\"{time}\""),
                Err(error) => unreachable!("{error}"),
            })
            .boxed(),
        "is_root" => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        "tags" | "span_parents" => proptest::collection::vec(text, 0..4)
            .prop_map(|list| format!("[{}]", list.join(",")))
            .boxed(),
        "scores" | "metrics" => {
            let number = prop_oneof![
                any::<i32>().prop_map(|number| number.to_string()),
                any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap_or_default()),
                json(),
            ];
            proptest::collection::vec((text, number), 0..4)
                .prop_map(|entries| {
                    let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                    format!("{{{}}}", entries.join(","))
                })
                .boxed()
        }
        "input" | "span_attributes" => json().boxed(),
        _ => text.boxed(),
    }
}

const COLUMNS: [&str; 12] = [
    "created",
    "id",
    "input",
    "is_root",
    "log_id",
    "metrics",
    "scores",
    "span_attributes",
    "span_parents",
    "tags",
    "extra",
    "unknown",
];

fn row() -> impl Strategy<Value = String> {
    let member = proptest::sample::select(&COLUMNS[..]).prop_flat_map(|column| {
        let value = prop_oneof![3 => likely(column), 1 => json(), 1 => Just("null".to_owned())];
        value.prop_map(move |value| format!("\"{column}\":{value}"))
    });
    (any::<u64>(), proptest::collection::vec(member, 0..8)).prop_map(|(id, mut members)| {
        let place = usize::try_from(id % (members.len() as u64 + 1)).unwrap_or_default();
        members.insert(place, format!("\"_xact_id\":\"{id}\""));
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_rows_come_back(
        rows in proptest::collection::vec(row(), 1..30),
        table in proptest::sample::select(vec![Table::Spans, Table::Traces, Table::Query]),
        row_group_bytes in 1u64..4000,
        page_bytes in 1usize..400,
    ) {
        let settings = Settings { row_group_bytes, page_bytes, ..Settings::default() };
        check(table, settings, &rows);
    }
}

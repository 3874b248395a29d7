//! Reads Parquet files back with the `parquet` crate's own reader, and holds their rows to the
//! JSON that they were made of.

#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sealift_rows::{FileEncoder, Format, Settings, Table};
use serde_json::value::RawValue;

/// The rows of a file of `events/corpus`, one a line.
pub(crate) fn corpus(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/corpus");
    let file = std::fs::read(path.join(name)).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Encodes the rows as one file, and takes what is ready after each.
pub(crate) fn encode(format: Format, settings: Settings, rows: &[impl AsRef<str>]) -> Bytes {
    let mut file = FileEncoder::new(format, settings);
    let mut bytes = Vec::new();
    for row in rows {
        file.push(row.as_ref().as_bytes()).unwrap();
        bytes.extend(file.take());
    }
    let finished = file.finish().unwrap().unwrap();
    assert_eq!(finished.summary.rows, rows.len() as u64);
    bytes.extend(finished.bytes);
    bytes.concat().into()
}

/// A row as the reader gives it, by column.
pub(crate) type Found = BTreeMap<String, Field>;

pub(crate) fn read(file: Bytes) -> Vec<Found> {
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns().into_iter().collect())
        .collect()
}

/// The members of an object as they stand in it; of one name the last.
pub(crate) fn members(json: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// Encodes rows and holds each that is read back to what it was.
pub(crate) fn check(table: Table, settings: Settings, rows: &[impl AsRef<str>]) {
    let found = read(encode(Format::Parquet(table), settings, rows));
    assert_eq!(found.len(), rows.len());
    for (row, found) in rows.iter().zip(found) {
        assert_row(row.as_ref(), &found);
    }
}

/// Each member of the row is in its column or in `extra`, as it was, and nothing else is.
pub(crate) fn assert_row(row: &str, found: &Found) {
    let extra = match &found["extra"] {
        Field::Null => BTreeMap::new(),
        Field::Str(json) => members(json),
        other => panic!("{other:?}"),
    };
    let row = members(row);
    for (name, value) in &row {
        let extra = extra.get(name).map(|extra| extra.get());
        let column = found.get(name).filter(|_| name != "extra");
        let same = match column {
            None => extra == Some(value.get()),
            Some(column) => same(name, value.get(), column, extra),
        };
        assert!(same, "{name} {value}: {column:?}, extra {extra:?}");
    }
    for (name, column) in found {
        let is_there = row.contains_key(name) || name == "extra";
        assert!(is_there || *column == Field::Null, "{name}: {column:?}");
    }
    for name in extra.keys() {
        assert!(row.contains_key(name), "{name} comes from nowhere");
    }
}

fn same(name: &str, value: &str, column: &Field, extra: Option<&str>) -> bool {
    if matches!(name, "scores" | "metrics") && value.starts_with('{') {
        return same_map(value, column, extra);
    }
    match (column, extra) {
        (Field::Null, Some(extra)) => extra == value,
        (Field::Null, None) => value == "null",
        (Field::Str(text), None) if is_text(name) => *text == text_of(value),
        (Field::Str(json), None) => json == value,
        (Field::Bool(flag), None) => flag.to_string() == value,
        (Field::Long(id), None) => id.to_string() == value.trim_matches('"'),
        (Field::TimestampMicros(micros), None) => {
            let time: jiff::Timestamp = text_of(value).parse().unwrap();
            time == jiff::Timestamp::from_microsecond(*micros).unwrap()
        }
        (Field::ListInternal(list), None) => {
            let texts: Vec<Option<String>> = serde_json::from_str(value).unwrap();
            let expected: Vec<Field> = texts
                .into_iter()
                .map(|text| text.map_or(Field::Null, Field::Str))
                .collect();
            list.elements() == expected
        }
        _ => false,
    }
}

/// The entries are in the map, or in the object that `extra` has of it, and nothing else is.
fn same_map(value: &str, column: &Field, extra: Option<&str>) -> bool {
    let Field::MapInternal(map) = column else {
        return false;
    };
    let mut expected = members(value);
    for (name, extra) in extra.map(members).unwrap_or_default() {
        match expected.remove(&name) {
            Some(value) if value.get() == extra.get() => {}
            _ => return false,
        }
    }
    map.entries().len() == expected.len()
        && map.entries().iter().all(|(key, number)| {
            let Field::Str(key) = key else { return false };
            match (expected.get(key).map(|value| value.get()), number) {
                (Some("null"), Field::Null) => true,
                (Some(value), Field::Double(number)) => {
                    value.parse::<f64>().unwrap().to_bits() == number.to_bits()
                }
                _ => false,
            }
        })
}

fn is_text(name: &str) -> bool {
    matches!(
        name,
        "_pagination_key" | "id" | "log_id" | "org_id" | "project_id" | "root_span_id" | "span_id"
    )
}

fn text_of(json: &str) -> String {
    serde_json::from_str(json).unwrap()
}

/// Text that does not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state >> 20) as usize % alphabet.len()])
    })
    .take(length)
    .collect()
}

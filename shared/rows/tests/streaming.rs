//! What an encoder holds, how it tells its size, and JSON Lines byte by byte.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod common;

use std::io::Read;

use common::{corpus, encode, noise};
use parquet::file::reader::{FileReader, SerializedFileReader};
use sealift_rows::{FileEncoder, Format, Settings, Table, xact_id_of};

#[test]
fn json_lines_are_the_rows_byte_for_byte() {
    for name in ["spans.jsonl.gz", "spans-recorded.jsonl.gz"] {
        let mut rows = corpus(name);
        rows.push(r#" { "_xact_id" : 12 , "n":1.000000000000000000001,"u":"\ud83d" } "#.to_owned());
        let bytes = encode(Format::JsonLines, Settings::default(), &rows);
        // No name, no comment, no time: the same rows are the same bytes.
        assert_eq!(&bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        let mut text = String::new();
        let mut member = flate2::bufread::GzDecoder::new(&bytes[..]);
        member.read_to_string(&mut text).unwrap();
        assert_eq!(text, rows.join("\n") + "\n");
        assert!(member.into_inner().is_empty(), "there is one member");
    }
}

#[test]
fn a_line_break_between_tokens_becomes_a_space_and_one_at_the_end_is_none() {
    let row = "{\"_xact_id\":\"1\",\r\n\"a\":\"x\\ny\"}\n";
    let bytes = encode(Format::JsonLines, Settings::default(), &[row]);
    let mut text = String::new();
    flate2::bufread::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "{\"_xact_id\":\"1\",  \"a\":\"x\\ny\"}\n");
}

#[test]
fn a_row_tells_its_transaction_to_whom_it_is_pushed() {
    let rows = corpus("spans.jsonl.gz");
    for format in [Format::Parquet(Table::Spans), Format::JsonLines] {
        let mut file = FileEncoder::new(format, Settings::default());
        for row in &rows {
            let id = file.push(row.as_bytes()).unwrap();
            assert_eq!(Ok(id), xact_id_of(row.as_bytes()));
        }
    }
}

/// Rows that do not compress, of many sizes.
fn noisy_rows(total: usize) -> impl Iterator<Item = String> {
    let mut made = 0;
    (0..).map_while(move |i: u64| {
        let length = [200, 2000, 20_000, 300, 60_000][usize::try_from(i % 5).unwrap()];
        made += length;
        let (text, id) = (noise(i, length), noise(i + 7, 16));
        let row = format!(
            r#"{{"_xact_id":"{i}","id":"{id}","input":"{text}","metrics":{{"n":{i}}},"new":["{id}"]}}"#
        );
        (made < total).then_some(row)
    })
}

#[test]
fn what_is_held_stays_below_the_limit_however_long_the_stream_is() {
    for (format, limit) in [
        (Format::Parquet(Table::Spans), 8 << 20),
        (Format::Parquet(Table::Query), 16 << 20),
        (Format::JsonLines, 2 << 20),
    ] {
        let settings = Settings {
            memory_limit: limit,
            page_bytes: 128 << 10,
            ..Settings::default()
        };
        let mut file = FileEncoder::new(format, settings);
        let (mut most, mut bytes, mut rows) = (0, Vec::new(), 0);
        for row in noisy_rows(40 << 20) {
            file.push(row.as_bytes()).unwrap();
            rows += 1;
            most = most.max(file.held());
            bytes.extend(file.take());
        }
        assert!(most < limit, "{format:?} held {most} of {limit}");
        bytes.extend(file.finish().unwrap().unwrap().bytes);
        if let Format::Parquet(_) = format {
            assert!(most > limit / 3, "{format:?} held only {most} of {limit}");
            let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.concat())).unwrap();
            let metadata = reader.metadata();
            assert!(metadata.num_row_groups() > 3, "row groups ended early");
            assert_eq!(metadata.file_metadata().num_rows(), rows);
        }
    }
}

#[test]
fn memory_that_long_values_needed_is_free_again() {
    let long = noise(1, 3 << 20);
    let columns = [
        "input", "output", "expected", "metadata", "context", "error", "id", "new",
    ];
    let mut rows: Vec<String> = columns
        .iter()
        .map(|column| format!(r#"{{"_xact_id":"1","{column}":"{long}"}}"#))
        .collect();
    rows.extend((0..3000).map(|i| format!(r#"{{"_xact_id":"{i}","input":{i}}}"#)));
    let settings = Settings {
        memory_limit: 24 << 20,
        ..Settings::default()
    };
    let file = encode(Format::Parquet(Table::Spans), settings, &rows);
    let reader = SerializedFileReader::new(file).unwrap();
    let groups = reader.metadata().row_groups();
    let rows: Vec<i64> = groups
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows)
        .collect();
    assert!(rows.len() < 8 && rows.last() >= Some(&2900), "{rows:?}");
}

#[test]
fn the_size_that_is_told_is_about_the_size_that_comes() {
    let corpus = corpus("spans.jsonl.gz");
    let noisy: Vec<String> = noisy_rows(3 << 20).collect();
    for rows in [&corpus, &noisy] {
        for format in [Format::Parquet(Table::Spans), Format::JsonLines] {
            for cut in [rows.len() / 2, rows.len()] {
                let settings = Settings {
                    row_group_bytes: 256 << 10,
                    page_bytes: 16 << 10,
                    ..Settings::default()
                };
                let mut file = FileEncoder::new(format, settings);
                for row in &rows[..cut] {
                    file.push(row.as_bytes()).unwrap();
                }
                let told = file.size();
                let size = file.finish().unwrap().unwrap().bytes.concat().len() as u64;
                let off = told.abs_diff(size);
                assert!(
                    off < size / 3 || off < 64 << 10,
                    "{format:?}: told {told}, came {size}"
                );
            }
        }
    }
}

#[test]
fn an_encoder_may_move_to_another_thread() {
    let mut file = FileEncoder::new(Format::Parquet(Table::Spans), Settings::default());
    file.push(br#"{"_xact_id":"1"}"#).unwrap();
    let finished = std::thread::spawn(move || file.finish()).join().unwrap();
    assert_eq!(finished.unwrap().unwrap().summary.rows, 1);
}

#[test]
fn a_format_names_its_files() {
    let parquet = Format::Parquet(Table::Traces);
    assert_eq!(parquet.extension(), ".parquet");
    assert_eq!(parquet.content_type(), "application/vnd.apache.parquet");
    assert_eq!(Format::JsonLines.extension(), ".jsonl.gz");
    assert_eq!(Format::JsonLines.content_type(), "application/gzip");
}

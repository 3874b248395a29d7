//! What a Parquet file tells its readers, so that they can skip what they do not look for.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

mod common;

use bytes::Bytes;
use common::{corpus, encode, members, noise};
use parquet::basic::BoundaryOrder;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use sealift_rows::{Format, Settings, Table};

struct File {
    reader: SerializedFileReader<Bytes>,
    rows: Vec<String>,
}

impl File {
    /// The corpus in several row groups of several pages.
    fn open() -> Self {
        let rows = corpus("spans.jsonl.gz");
        let settings = Settings {
            row_group_bytes: 128 << 10,
            page_bytes: 1 << 10,
            ..Settings::default()
        };
        let file = encode(Format::Parquet(Table::Spans), settings, &rows);
        let properties = ReaderProperties::builder().set_read_bloom_filter(true);
        let options = ReadOptionsBuilder::new()
            .with_reader_properties(properties.build())
            .with_page_index()
            .build();
        let reader = SerializedFileReader::new_with_options(file, options).unwrap();
        assert!(reader.num_row_groups() > 2);
        Self { reader, rows }
    }

    /// The number of a column that is no list or map.
    fn column(&self, name: &str) -> usize {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let is = |index: &usize| schema.column(*index).path().string() == name;
        (0..schema.num_columns()).find(is).unwrap()
    }

    /// The values of a column without quotes, by row groups.
    fn values(&self, name: &str) -> Vec<Vec<String>> {
        let mut rows = self.rows.iter();
        let groups = self.reader.metadata().row_groups().iter();
        groups
            .map(|group| {
                let rows = rows
                    .by_ref()
                    .take(usize::try_from(group.num_rows()).unwrap());
                rows.map(|row| members(row)[name].get().trim_matches('"').to_owned())
                    .collect()
            })
            .collect()
    }
}

#[test]
fn a_row_group_tells_its_bounds_and_how_many_are_null() {
    let file = File::open();
    let groups = file.reader.metadata().row_groups();
    let (id, key) = (file.column("_xact_id"), file.column("_pagination_key"));
    for (group, values) in groups.iter().zip(file.values("_xact_id")) {
        let statistics = group.column(id).statistics().unwrap();
        let numbers: Vec<i64> = values.iter().map(|value| value.parse().unwrap()).collect();
        let bound = |bytes: Option<&[u8]>| i64::from_le_bytes(bytes.unwrap().try_into().unwrap());
        assert_eq!(
            Some(&bound(statistics.min_bytes_opt())),
            numbers.iter().min()
        );
        assert_eq!(
            Some(&bound(statistics.max_bytes_opt())),
            numbers.iter().max()
        );
    }
    for (group, values) in groups.iter().zip(file.values("_pagination_key")) {
        let statistics = group.column(key).statistics().unwrap();
        let bound = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        assert_eq!(
            Some(&bound(statistics.min_bytes_opt())),
            values.iter().min()
        );
        assert_eq!(
            Some(&bound(statistics.max_bytes_opt())),
            values.iter().max()
        );
        assert!(statistics.min_is_exact() && statistics.max_is_exact());
    }
    for name in ["error", "expected", "output"] {
        for (group, values) in groups.iter().zip(file.values(name)) {
            let statistics = group.column(file.column(name)).statistics().unwrap();
            let nulls = values.iter().filter(|value| *value == "null").count();
            assert_eq!(statistics.null_count_opt(), Some(nulls as u64));
            assert_eq!(statistics.min_bytes_opt(), None, "JSON has no order");
        }
    }
}

#[test]
fn a_page_tells_its_bounds_and_where_it_begins() {
    let file = File::open();
    let index = file.reader.metadata().page_index().unwrap();
    let column = file.column("_pagination_key");
    for (group, values) in file.values("_pagination_key").iter().enumerate() {
        let pages = &index.offset_index(group, column).unwrap().page_locations;
        let bounds = index.column_index(group, column).unwrap();
        assert_eq!(bounds.get_boundary_order(), Some(BoundaryOrder::ASCENDING));
        let ColumnIndexMetaData::BYTE_ARRAY(bounds) = bounds else {
            unreachable!("texts have bounds of texts");
        };
        assert!(pages.len() > 1);
        let begins = pages
            .iter()
            .map(|page| usize::try_from(page.first_row_index).unwrap());
        let begins: Vec<usize> = begins.chain([values.len()]).collect();
        assert_eq!(begins[0], 0);
        for (page, rows) in begins.windows(2).enumerate() {
            let values = &values[rows[0]..rows[1]];
            let bound = |bound: Option<&[u8]>| String::from_utf8(bound.unwrap().to_vec()).unwrap();
            assert_eq!(Some(&bound(bounds.min_value(page))), values.iter().min());
            assert_eq!(Some(&bound(bounds.max_value(page))), values.iter().max());
            assert_eq!(bounds.null_count(page), Some(0));
        }
        let input = file.column("input");
        assert!(
            index.column_index(group, input).is_none(),
            "JSON has no order"
        );
        let pages = &index.offset_index(group, input).unwrap().page_locations;
        assert!(pages.len() > 5);
    }
    let ids = (0..file.reader.num_row_groups())
        .map(|group| index.column_index(group, file.column("id")).unwrap());
    assert!(
        ids.filter(|ids| ids.get_boundary_order() == Some(BoundaryOrder::UNORDERED))
            .count()
            > 0
    );
}

#[test]
fn a_bloom_filter_knows_the_ids_of_a_row_group() {
    let file = File::open();
    let column = file.column("id");
    for (group, ids) in file.values("id").iter().enumerate() {
        let group = file.reader.get_row_group(group).unwrap();
        let filter = group.get_column_bloom_filter(column).unwrap();
        for id in ids {
            assert!(filter.check(id.as_str()), "{id}");
        }
        let absent = (0..200).filter(|seed| filter.check(noise(*seed, 16).as_str()));
        assert!(absent.count() < 20);
        assert!(
            filter.num_blocks() < 64,
            "it is folded to what so few ids need"
        );
    }
}

#[test]
fn a_page_is_found_where_the_index_says_behind_the_dictionary() {
    let file = File::open();
    let metadata = file.reader.metadata();
    let index = metadata.page_index().unwrap();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in ["log_id", "span_attributes", "input"].map(|name| file.column(name)) {
            let chunk = group.column(column);
            let (start, length) = chunk.byte_range();
            let first = chunk.data_page_offset();
            let dictionary =
                u64::try_from(chunk.dictionary_page_offset().unwrap_or(first)).unwrap();
            assert_eq!(dictionary, start);
            let mut at = first;
            for page in &index.offset_index(number, column).unwrap().page_locations {
                assert_eq!(page.offset, at);
                at += i64::from(page.compressed_page_size);
            }
            assert_eq!(u64::try_from(at).unwrap(), start + length);
        }
        let repeating = group.column(file.column("log_id"));
        assert!(
            repeating.dictionary_page_offset().is_some(),
            "each row group has its own"
        );
    }
}

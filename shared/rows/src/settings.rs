//! What a file is: its format, its table, and how it is cut and compressed.

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Apache Parquet with the columns of the table, compressed with zstd.
    Parquet(Table),
    /// The rows as they came, a line each, in one gzip member.
    JsonLines,
}

impl Format {
    /// What the names of such files end with.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Parquet(_) => ".parquet",
            Self::JsonLines => ".jsonl.gz",
        }
    }

    /// The media type to store such files with. JSON Lines get no `Content-Encoding`: the
    /// gzip is the file itself, and readers would inflate it twice.
    ///
    /// Source: <https://www.iana.org/assignments/media-types/application/vnd.apache.parquet>
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Parquet(_) => "application/vnd.apache.parquet",
            Self::JsonLines => "application/gzip",
        }
    }
}

/// Which columns a Parquet file has.
///
/// A known column has a real type: `_xact_id` a 64-bit integer (signed, since Athena and Spark
/// have no other), `created` a time in microseconds, ids text, `tags` and `span_parents` lists
/// of text, `scores` and `metrics` maps from text to doubles. All others are JSON: the value's
/// own bytes. JSON's `null` and a missing member are both NULL.
///
/// The last column, `extra`, is a JSON object of what has no column, or does not fit the type
/// of its column *exactly*: there the column is NULL, and `extra` has the member as it came.
/// Of a map the entries that fit stay in it, and `extra` has an object of the others. So a
/// reader that lays `extra` over the columns, and its maps over theirs, has the row. Members
/// of one name are read as JSON is read nearly everywhere: the last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// The rows of spans.
    Spans,
    /// The summaries of traces: the columns of spans and `span_type_info`.
    Traces,
    /// The rows of a user's own query. Its columns are those of the first row, in their order:
    /// with the types of [`Table::Traces`] by their names, and JSON otherwise. What later rows
    /// bring beside them is in `extra`, and so is a column that the query itself calls `extra`,
    /// and any after the first 500.
    Query,
}

impl Table {
    /// The table's name, as it stands in the file's metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Traces => "traces",
            Self::Query => "query",
        }
    }
}

/// How files are cut and compressed. The defaults are measured on real rows:
/// `benches/spans.py`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of rows after which a row group ends.
    pub row_group_bytes: u64,
    /// Bytes of a column's values after which a page ends. Each page is compressed by itself.
    pub page_bytes: usize,
    /// zstd's level for Parquet: 1 to 22, and what lies outside is taken as the nearest.
    pub zstd_level: i32,
    /// gzip's level for JSON Lines: 1 to 9, and what lies outside is taken as the nearest.
    pub gzip_level: u32,
    /// The bytes of memory that an encoder may hold, if what is ready is taken after each
    /// row. Row groups end early to keep below it. A single row may need up to six times its
    /// own size for a moment, whatever the limit.
    pub memory_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            row_group_bytes: 64 << 20,
            page_bytes: 1 << 20,
            zstd_level: 1,
            gzip_level: 6,
            memory_limit: 96 << 20,
        }
    }
}

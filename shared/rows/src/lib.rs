//! Rows of logs as files: Parquet and JSON Lines, encoded as they stream.
//!
//! A row is one JSON object on one line, as Braintrust's API gives it. [`FileEncoder`] takes
//! rows one by one and gives out the bytes of one file as they become ready, so that neither
//! the rows nor the file are ever in memory whole. [`Row`] reads of a row what an export itself
//! needs to know. Nothing of a row is ever dropped: what does not fit the type of its column
//! stands in the column `extra`, with the API's own bytes; [`Table`] has the rules.
//!
//! Start with [`file`](FileEncoder); the columns are in `parquet/schema.rs`, what fits them in
//! `value.rs`.

pub use self::file::{FileEncoder, FileError, Finished, PushError, Summary};
pub use self::row::{MAX_ROW_BYTES, Row, RowError, xact_id_of};
pub use self::settings::{Format, Settings, Table};

mod file;
mod json_lines;
mod parquet;
mod row;
mod scan;
mod settings;
mod sink;
mod value;

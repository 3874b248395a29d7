//! One file: rows in, bytes out.

use bytes::Bytes;
use sealift_core::id::XactId;

use crate::json_lines::JsonLines;
use crate::parquet::ParquetFile;
use crate::row::{RowError, as_text, xact_id_of};
use crate::settings::{Format, Settings};

/// Encodes one file as its rows come.
///
/// After each row, or every few, [`take`](Self::take) what is ready and upload it, and look at
/// [`size`](Self::size) to see whether the file is large enough; then [`finish`](Self::finish)
/// it and begin the next. The same rows with the same settings give the same bytes, whenever
/// they are taken.
///
/// ```
/// use sealift_rows::{FileEncoder, Format, Settings, Table};
///
/// let mut file = FileEncoder::new(Format::Parquet(Table::Spans), Settings::default());
/// let id = file.push(br#"{"_xact_id":"1000196176995155968","id":"a","input":[1]}"#)?;
/// let mut bytes = file.take();
/// let finished = file.finish()?.expect("a row was pushed");
/// bytes.extend(finished.bytes);
/// assert!(bytes.concat().ends_with(b"PAR1"));
/// assert_eq!((finished.summary.rows, id.get()), (1, 1000196176995155968));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileEncoder {
    format: Format,
    settings: Settings,
    state: State,
    summary: Summary,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its rows.
    pub rows: u64,
    /// Their bytes as they came, without line breaks.
    pub raw_bytes: u64,
}

/// The end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The bytes that were not taken yet, in order.
    pub bytes: Vec<Bytes>,
    /// What the file holds.
    pub summary: Summary,
}

/// Why a row was not added.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The row cannot be taken. The file is as it was, and takes other rows.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The file is lost.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A file that could not be encoded. What was taken of it is no file: drop the upload.
#[derive(Debug, thiserror::Error)]
#[error("a file could not be encoded: {0}; drop what was uploaded of it and begin it again")]
pub struct FileError(String);

impl From<::parquet::errors::ParquetError> for FileError {
    fn from(error: ::parquet::errors::ParquetError) -> Self {
        Self(error.to_string())
    }
}

impl From<::parquet::errors::ParquetError> for PushError {
    fn from(error: ::parquet::errors::ParquetError) -> Self {
        Self::File(error.into())
    }
}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

enum State {
    /// No row was pushed, so there is nothing.
    Empty,
    Parquet(Box<ParquetFile>),
    JsonLines(Box<JsonLines>),
    Lost,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Parquet(_) => "Parquet",
            Self::JsonLines(_) => "JsonLines",
            Self::Lost => "Lost",
        })
    }
}

impl FileEncoder {
    /// A file of the format. It costs nothing until the first row comes.
    pub fn new(format: Format, settings: Settings) -> Self {
        Self {
            format,
            settings,
            state: State::Empty,
            summary: Summary::default(),
        }
    }

    /// Adds a row: one JSON object, with or without a line break at its end. Returns the
    /// transaction that wrote it.
    ///
    /// A row that is refused ([`PushError::Row`]) leaves the file as it was.
    pub fn push(&mut self, line: &[u8]) -> Result<XactId, PushError> {
        let text = as_text(line)?;
        let id = match self.add(text) {
            Ok(id) => id,
            Err(error) => {
                if matches!(error, PushError::File(_)) {
                    self.state = State::Lost;
                }
                return Err(error);
            }
        };
        self.summary.rows += 1;
        self.summary.raw_bytes += text.len() as u64;
        Ok(id)
    }

    fn add(&mut self, line: &str) -> Result<XactId, PushError> {
        match (&mut self.state, self.format) {
            (State::Parquet(file), _) => file.push(line),
            (State::JsonLines(file), _) => {
                let id = xact_id_of(line.as_bytes())?;
                file.push(line).map_err(FileError::from)?;
                Ok(id)
            }
            (State::Lost, _) => Err(lost().into()),
            (State::Empty, Format::Parquet(table)) => {
                let mut file = ParquetFile::new(table, &self.settings, line)?;
                let id = file.push(line)?;
                self.state = State::Parquet(Box::new(file));
                Ok(id)
            }
            (State::Empty, Format::JsonLines) => {
                let id = xact_id_of(line.as_bytes())?;
                let mut file = JsonLines::new(&self.settings);
                file.push(line).map_err(FileError::from)?;
                self.state = State::JsonLines(Box::new(file));
                Ok(id)
            }
        }
    }

    /// The encoded bytes that are ready to be uploaded, in order. Empty most of the time: a
    /// Parquet file gives a row group at once, JSON Lines a piece of 256 kB.
    pub fn take(&mut self) -> Vec<Bytes> {
        match &mut self.state {
            State::Parquet(file) => file.take(),
            State::JsonLines(file) => file.take(),
            State::Empty | State::Lost => Vec::new(),
        }
    }

    /// About the size that the file would have if it ended now.
    pub fn size(&self) -> u64 {
        match &self.state {
            State::Parquet(file) => file.size(),
            State::JsonLines(file) => file.size(),
            State::Empty | State::Lost => 0,
        }
    }

    /// About the bytes of memory that the encoder holds, with what is ready and not taken.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Parquet(file) => file.held(),
            State::JsonLines(file) => file.held(),
            State::Empty | State::Lost => 0,
        }
    }

    /// Ends the file. None if no row was pushed: then no byte was ever given out, and there is
    /// no object to be written. So a file without rows is never made.
    pub fn finish(self) -> Result<Option<Finished>, FileError> {
        let bytes = match self.state {
            State::Empty => return Ok(None),
            State::Parquet(file) => file.finish()?,
            State::JsonLines(file) => file.finish()?,
            State::Lost => return Err(lost()),
        };
        let summary = self.summary;
        Ok(Some(Finished { bytes, summary }))
    }
}

fn lost() -> FileError {
    FileError("an earlier row broke it".to_owned())
}

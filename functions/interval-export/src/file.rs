//! The file that is being written: rows go in, parts of an object come out.

use bytes::Bytes;
use sealift_core::export::automation::{self, Definition};
use sealift_core::export::cursor::File;
use sealift_core::id::{ObjectKey, XactId};
use sealift_core::partition::{Hour, hex};
use sealift_core::ports::{StoreError, Upload};
use sealift_rows::{FileEncoder, FileError, Format, PushError, Table};
use sha2::{Digest, Sha256};

use crate::Settings;

/// What the parts of an upload may hold: one that gathers and two under way, 8 MiB each.
const PARTS_BYTES: usize = 3 * 8 * 1024 * 1024;

/// Why a row did not get into its file, or a file not into the bucket.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// The row or the file could not be encoded.
    Encoder(String),
    /// The bucket did not take the file.
    Bucket(StoreError),
}

impl From<PushError> for NotWritten {
    fn from(error: PushError) -> Self {
        Self::Encoder(error.to_string())
    }
}

impl From<FileError> for NotWritten {
    fn from(error: FileError) -> Self {
        Self::Encoder(error.to_string())
    }
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Bucket(error)
    }
}

/// A file that is being written.
pub(crate) struct OpenFile<U> {
    key: ObjectKey,
    pub(crate) hour: Hour,
    after: XactId,
    encoder: FileEncoder,
    written: Written<U>,
}

/// What of a file has been handed on.
struct Written<U> {
    upload: U,
    hash: Sha256,
    size: u64,
}

impl<U: Upload> Written<U> {
    async fn all(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> Result<(), StoreError> {
        for bytes in pieces {
            self.hash.update(&bytes);
            self.size += bytes.len() as u64;
            self.upload.write(bytes).await?;
        }
        Ok(())
    }
}

/// What a file of the automation is.
pub(crate) fn format(definition: &Definition, format: automation::Format) -> Format {
    match (format, definition) {
        (automation::Format::Jsonl, _) => Format::JsonLines,
        (automation::Format::Parquet, Definition::Spans) => Format::Parquet(Table::Spans),
        (automation::Format::Parquet, Definition::Traces) => Format::Parquet(Table::Traces),
        (automation::Format::Parquet, Definition::Query(_)) => Format::Parquet(Table::Query),
    }
}

impl<U: Upload> OpenFile<U> {
    /// A file at the key, through the upload; it holds rows after a transaction.
    pub(crate) fn new(
        key: ObjectKey,
        hour: Hour,
        after: XactId,
        format: Format,
        settings: &Settings,
        upload: U,
    ) -> Self {
        let encoder = sealift_rows::Settings {
            memory_limit: settings.buffer_bytes.saturating_sub(PARTS_BYTES),
            ..sealift_rows::Settings::default()
        };
        Self {
            key,
            hour,
            after,
            encoder: FileEncoder::new(format, encoder),
            written: Written {
                upload,
                hash: Sha256::new(),
                size: 0,
            },
        }
    }

    /// What its size would be if it ended now.
    pub(crate) fn size(&self) -> u64 {
        self.encoder.size()
    }

    /// Adds a row. After a failure of the bucket the file can only be aborted.
    pub(crate) async fn push(&mut self, line: &Bytes) -> Result<(), NotWritten> {
        self.encoder.push(line)?;
        Ok(self.written.all(self.encoder.take()).await?)
    }

    /// Ends the file: it stands in the bucket then, and holds all rows up to a transaction.
    pub(crate) async fn finish(self, through: XactId) -> Result<File, NotWritten> {
        let Self {
            encoder,
            mut written,
            ..
        } = self;
        let ended = match encoder.finish() {
            Ok(Some(end)) => {
                let rest = written.all(end.bytes).await;
                rest.map(|()| end.summary).map_err(Into::into)
            }
            // A file is begun with its first row.
            Ok(None) => Err(NotWritten::Encoder("a file without rows".to_owned())),
            Err(error) => Err(error.into()),
        };
        let summary = match ended {
            Ok(summary) => summary,
            Err(error) => {
                written.upload.abort().await;
                return Err(error);
            }
        };
        written.upload.complete().await?;
        Ok(File {
            key: self.key,
            hour: self.hour,
            after: self.after,
            through,
            rows: summary.rows,
            raw_bytes: summary.raw_bytes,
            size: written.size,
            sha256: hex(written.hash.finalize().as_slice()),
        })
    }

    /// Gives the file up.
    pub(crate) async fn abort(self) {
        self.written.upload.abort().await;
    }
}

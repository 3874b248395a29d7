//! Compression of pages: one compressor with its tables for all columns of a file.

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};

/// Bytes of the output buffer that are kept between two pages.
const KEPT: usize = 2 << 20;

/// What the compressor itself holds, about: it grows with the level.
const TABLES: usize = 1 << 20;

/// Compresses pages with zstd.
pub(super) struct Codec {
    level: ZstdLevel,
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Codec {
    pub(super) fn new(level: i32) -> Result<Self> {
        let level = ZstdLevel::try_new(level.clamp(1, 22))?;
        Ok(Self {
            level,
            zstd: zstd::bulk::Compressor::new(level.compression_level())?,
            out: Vec::new(),
        })
    }

    pub(super) fn compression(&self) -> Compression {
        Compression::ZSTD(self.level)
    }

    pub(super) fn compress(&mut self, raw: &[u8]) -> Result<Bytes> {
        if i32::try_from(raw.len()).is_err() {
            return Err(ParquetError::General(
                "the values of one row do not fit a page of 2 GiB".to_owned(),
            ));
        }
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.zstd.compress_to_buffer(raw, &mut self.out)?;
        let compressed = Bytes::copy_from_slice(&self.out);
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        Ok(compressed)
    }

    pub(super) fn held(&self) -> usize {
        self.out.capacity() + TABLES
    }
}

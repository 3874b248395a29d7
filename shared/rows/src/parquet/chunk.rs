//! The finished pages of one column of the open row group, in memory.
//!
//! A row group stores its columns one after the other, and rows bring them all at once: so
//! the compressed pages of each column wait here until the row group ends.

use std::io::{Read, Write};

use bytes::{Buf, Bytes};
use parquet::basic::{BoundaryOrder, Encoding, EncodingMask, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::Bounds;
use super::codec::Codec;
use super::dictionary::Dictionary;

/// Bytes that are set aside at once. Most columns need no more for a whole row group.
const SEGMENT: usize = 16 << 10;

/// What the library's writer sets aside.
const WRITER: usize = 8 << 10;

/// A page that is full.
pub(super) struct FullPage<'a> {
    /// Levels and values, as they are compressed.
    pub(super) content: &'a [u8],
    /// Entries, those that are NULL among them.
    pub(super) entries: usize,
    pub(super) nulls: usize,
    pub(super) rows: usize,
    pub(super) encoding: Encoding,
}

/// The pages of a column, and what the footer will say of them.
pub(super) struct Chunk {
    descriptor: ColumnDescPtr,
    sink: TrackedWrite<Segments>,
    bounds: Bounds,
    /// Those of the last page that has any.
    last_bounds: Option<Bounds>,
    ascending: bool,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
    encodings: Vec<PageEncodingStats>,
    entries: usize,
    nulls: usize,
    rows: usize,
    raw_bytes: usize,
    encoded_bytes: usize,
}

impl Chunk {
    /// A column without pages. `bounds` has none yet either.
    pub(super) fn new(descriptor: ColumnDescPtr, bounds: Bounds) -> Self {
        let mut column_index = ColumnIndexBuilder::new(descriptor.physical_type());
        if bounds == Bounds::Untold {
            column_index.to_invalid();
        }
        Self {
            descriptor,
            sink: TrackedWrite::new(Segments::default()),
            bounds,
            last_bounds: None,
            ascending: true,
            column_index,
            offset_index: OffsetIndexBuilder::new(),
            encodings: Vec::new(),
            entries: 0,
            nulls: 0,
            rows: 0,
            raw_bytes: 0,
            encoded_bytes: 0,
        }
    }

    /// Compresses a page and appends it. Its bounds are taken from `bounds`.
    pub(super) fn add(
        &mut self,
        page: &FullPage<'_>,
        bounds: &mut Bounds,
        codec: &mut Codec,
    ) -> Result<()> {
        let data = Page::DataPage {
            buf: codec.compress(page.content)?,
            num_values: size_32(page.entries)?,
            encoding: page.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data = CompressedPage::new(data, page.content.len());
        let written = self.write(data)?;
        self.offset_index.append_row_count(size_64(page.rows)?);
        self.offset_index
            .append_offset_and_size(size_64(written.offset)?, size_32(written.compressed_size)?);
        self.index(page, bounds)?;
        match self.encodings.last_mut() {
            Some(last) if last.encoding == page.encoding => last.count += 1,
            _ => self.encodings.push(PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding: page.encoding,
                count: 1,
            }),
        }
        self.entries += page.entries;
        self.nulls += page.nulls;
        self.rows += page.rows;
        Ok(())
    }

    fn write(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.sink.flush()?;
        self.raw_bytes += written.uncompressed_size;
        self.encoded_bytes += written.compressed_size;
        Ok(written)
    }

    /// Notes in the page index what readers may look for in the page.
    fn index(&mut self, page: &FullPage<'_>, bounds: &mut Bounds) -> Result<()> {
        if *bounds == Bounds::Untold {
            return Ok(());
        }
        let nulls = size_64(page.nulls)?;
        let only_nulls = page.nulls == page.entries;
        match bounds.plain() {
            Some((least, greatest)) => {
                self.column_index
                    .append(false, least, greatest, nulls, None);
                let last = self.last_bounds.as_ref();
                self.ascending &= last.is_none_or(|last| bounds.follow(last));
                self.last_bounds = Some(bounds.clone());
            }
            None if only_nulls => {
                let none = Vec::new;
                self.column_index.append(true, none(), none(), nulls, None);
            }
            None => self.column_index.to_invalid(),
        }
        self.bounds.take_in(bounds);
        Ok(())
    }

    /// Bytes of memory in use.
    pub(super) fn held(&self) -> usize {
        self.sink.inner().held + WRITER
    }

    /// Bytes of the pages, before compression and after.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.raw_bytes, self.encoded_bytes)
    }

    /// Ends the column: its pages, the dictionary's first, and what the footer says of them.
    pub(super) fn close(
        mut self,
        dictionary: Option<&Dictionary>,
        codec: &mut Codec,
    ) -> Result<(Pages, ColumnCloseResult)> {
        let mut encodings = vec![Encoding::RLE];
        let mut pages = Segments::default();
        if let Some(dictionary) = dictionary {
            let page = Page::DictionaryPage {
                buf: codec.compress(dictionary.plain())?,
                num_values: size_32(dictionary.entries())?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let data = std::mem::replace(&mut self.sink, TrackedWrite::new(pages));
            self.write(CompressedPage::new(page, dictionary.plain().len()))?;
            pages = std::mem::replace(&mut self.sink, data).into_inner()?;
            encodings.push(Encoding::PLAIN);
            let stats = PageEncodingStats {
                page_type: PageType::DICTIONARY_PAGE,
                encoding: Encoding::PLAIN,
                count: 1,
            };
            self.encodings.insert(0, stats);
        }
        let before_data = pages.written;
        pages.pieces.extend(self.sink.into_inner()?.pieces);
        encodings.extend(self.encodings.iter().map(|stats| stats.encoding));
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(codec.compression())
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(size_64(self.encoded_bytes)?)
            .set_total_uncompressed_size(size_64(self.raw_bytes)?)
            .set_num_values(size_64(self.entries)?)
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_data_page_offset(size_64(before_data)?)
            .set_statistics(self.bounds.statistics(self.nulls as u64))
            .build()?;
        let mut offset_index = self.offset_index.build();
        for location in &mut offset_index.page_locations {
            location.offset += size_64(before_data)?;
        }
        let mut column_index = self.column_index;
        column_index.set_boundary_order(match self.ascending {
            true => BoundaryOrder::ASCENDING,
            false => BoundaryOrder::UNORDERED,
        });
        let column_index = match column_index.valid() {
            true => Some(column_index.build()?),
            false => None,
        };
        let closed = ColumnCloseResult {
            bytes_written: self.encoded_bytes as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index,
            offset_index: Some(offset_index),
        };
        let pages = pages.pieces.into_iter().map(Bytes::from).collect();
        Ok((Pages(pages), closed))
    }
}

fn size_64(size: impl TryInto<i64>) -> Result<i64> {
    size.try_into().map_err(|_| too_large())
}

fn size_32<T: TryFrom<usize>>(size: usize) -> Result<T> {
    size.try_into().map_err(|_| too_large())
}

fn too_large() -> ParquetError {
    ParquetError::General("a size has more bits than Parquet has for it".to_owned())
}

/// Bytes in pieces, so that what is there need not be moved to make room.
#[derive(Debug, Default)]
struct Segments {
    pieces: Vec<Vec<u8>>,
    held: usize,
    written: usize,
}

impl Write for Segments {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = |piece: &Vec<u8>| piece.capacity() - piece.len();
        match self.pieces.last_mut() {
            Some(last) if room(last) >= bytes.len() => last.extend_from_slice(bytes),
            _ => {
                let mut piece = Vec::with_capacity(SEGMENT.max(bytes.len()));
                piece.extend_from_slice(bytes);
                self.held += piece.capacity();
                self.pieces.push(piece);
            }
        }
        self.written += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The finished pages of a column, to be put into the file.
#[derive(Debug, Clone)]
pub(super) struct Pages(Vec<Bytes>);

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }
}

impl ChunkReader for Pages {
    type T = PagesReader;

    fn get_read(&self, start: u64) -> Result<PagesReader> {
        let mut reader = PagesReader(self.0.iter().rev().cloned().collect());
        let skipped = std::io::copy(&mut (&mut reader).take(start), &mut std::io::sink())?;
        match skipped == start {
            true => Ok(reader),
            false => Err(ParquetError::EOF("a column has fewer bytes".to_owned())),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(Bytes::from(bytes))
    }
}

/// Reads pieces one after the other; the next one is the last here.
pub(super) struct PagesReader(Vec<Bytes>);

impl Read for PagesReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(next) = self.0.last_mut() {
            if next.has_remaining() {
                let length = next.remaining().min(into.len());
                let (into, _) = into.split_at_mut(length);
                next.copy_to_slice(into);
                return Ok(length);
            }
            self.0.pop();
        }
        Ok(0)
    }
}

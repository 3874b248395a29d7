//! One column of values as Parquet knows them. A list is one, a map is two.
//!
//! Values go straight to where the page will be compressed from, so that each is copied once.
//! The page ends with a row.

use parquet::basic::{Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::bounds::Bounds;
use super::chunk::{Chunk, FullPage, Pages};
use super::codec::Codec;
use super::dictionary::Dictionary;
use super::hybrid;

/// Rows after which a page ends, whatever their size: readers skip by pages.
const PAGE_ROWS: usize = 20_000;

/// Room before the values of a page, for the levels: they are known last and stand first.
const LEVELS: usize = 4 << 10;

/// Ids that a row group's bloom filter is made for. It is folded to what they need in the end;
/// with more of them it is only less sharp.
const BLOOM_IDS: u64 = 1 << 16;
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// How a column is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of values after which a page ends.
    pub(super) page_bytes: usize,
    /// What bounds are kept, with nothing in them.
    pub(super) bounds: Bounds,
    pub(super) has_dictionary: bool,
    pub(super) has_bloom_filter: bool,
}

/// Where an entry of a column stands: how much of it is there, and whether it is the first of
/// its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) definition: u8,
    pub(super) first: bool,
}

/// A column of the open row group.
pub(super) struct Leaf {
    descriptor: ColumnDescPtr,
    is_nested: bool,
    layout: Layout,
    /// The open page: room for the levels, and the values in plain encoding.
    values: Vec<u8>,
    /// Its values that are in the dictionary, by their numbers there.
    indexes: Vec<u32>,
    definitions: Vec<u8>,
    repetitions: Vec<u8>,
    present: usize,
    rows: usize,
    bounds: Bounds,
    dictionary: Option<Dictionary>,
    /// Whether values still go to the dictionary.
    uses_dictionary: bool,
    bloom_filter: Option<Sbbf>,
    chunk: Chunk,
}

/// Where the open page ended at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    values: usize,
    indexes: usize,
    entries: usize,
    present: usize,
}

impl Leaf {
    pub(super) fn new(descriptor: ColumnDescPtr, layout: Layout) -> Self {
        Self {
            chunk: Chunk::new(descriptor.clone(), layout.bounds.clone()),
            values: vec![0; LEVELS],
            indexes: Vec::new(),
            definitions: Vec::new(),
            repetitions: Vec::new(),
            present: 0,
            rows: 0,
            bounds: layout.bounds.clone(),
            dictionary: layout.has_dictionary.then(Dictionary::default),
            uses_dictionary: layout.has_dictionary,
            bloom_filter: None,
            is_nested: descriptor.max_rep_level() > 0,
            descriptor,
            layout,
        }
    }

    /// Adds an entry without a value.
    #[inline]
    pub(super) fn push_null(&mut self, level: Level) {
        self.definitions.push(level.definition);
        if self.is_nested {
            self.repetitions.push(u8::from(!level.first));
        }
    }

    /// Adds an entry with a number or a time.
    #[inline]
    pub(super) fn push_integer(&mut self, level: Level, value: i64) {
        self.push_null(level);
        self.present += 1;
        self.values.extend_from_slice(&value.to_le_bytes());
        self.bounds.add_integer(value);
    }

    /// Adds an entry with a double.
    #[inline]
    pub(super) fn push_double(&mut self, level: Level, value: f64) {
        self.push_null(level);
        self.present += 1;
        self.values.extend_from_slice(&value.to_le_bytes());
    }

    /// Adds an entry that is true or false; a byte until the page ends.
    pub(super) fn push_flag(&mut self, level: Level, value: bool) {
        self.push_null(level);
        self.present += 1;
        self.values.push(u8::from(value));
        self.bounds.add_flag(value);
    }

    /// Adds an entry with a text or JSON.
    #[inline]
    pub(super) fn push_bytes(&mut self, level: Level, value: &[u8]) {
        self.push_null(level);
        self.present += 1;
        self.bounds.add_text(value);
        if self.layout.has_bloom_filter {
            self.add_to_bloom_filter(value);
        }
        match &mut self.dictionary {
            Some(dictionary) if self.uses_dictionary => self.indexes.push(dictionary.index(value)),
            _ => {
                // No row is longer than 31 bits.
                let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
                self.values.extend_from_slice(&length.to_le_bytes());
                self.values.extend_from_slice(value);
            }
        }
    }

    fn add_to_bloom_filter(&mut self, value: &[u8]) {
        if self.bloom_filter.is_none() {
            self.bloom_filter = Sbbf::new_with_ndv_fpp(BLOOM_IDS, BLOOM_FALSE_POSITIVES).ok();
        }
        if let Some(filter) = &mut self.bloom_filter {
            filter.insert(value);
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            values: self.values.len(),
            indexes: self.indexes.len(),
            entries: self.definitions.len(),
            present: self.present,
        }
    }

    /// Takes back the entries since the mark, which was made in this row. A dictionary keeps
    /// their values.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.values.truncate(mark.values);
        self.indexes.truncate(mark.indexes);
        self.definitions.truncate(mark.entries);
        self.repetitions.truncate(mark.entries);
        self.present = mark.present;
    }

    /// Ends a row, and the page if it is full.
    #[inline]
    pub(super) fn end_row(&mut self, codec: &mut Codec) -> Result<()> {
        self.rows += 1;
        let full = self.values.len() >= self.layout.page_bytes + LEVELS
            || self.indexes.len() * size_of::<u32>() >= self.layout.page_bytes
            || self.rows >= PAGE_ROWS;
        let leaves_dictionary =
            self.uses_dictionary && self.dictionary.as_ref().is_some_and(Dictionary::is_full);
        if full || leaves_dictionary {
            self.end_page(codec)?;
        }
        self.uses_dictionary &= !leaves_dictionary;
        Ok(())
    }

    fn end_page(&mut self, codec: &mut Codec) -> Result<()> {
        if self.descriptor.physical_type() == Type::BOOLEAN {
            self.pack_flags();
        }
        let dictionary = self.dictionary.as_ref();
        let dictionary = dictionary.filter(|_| self.uses_dictionary && self.present > 0);
        let encoding = match dictionary {
            Some(_) => Encoding::RLE_DICTIONARY,
            None => Encoding::PLAIN,
        };
        if let Some(dictionary) = dictionary {
            let greatest = dictionary.entries().saturating_sub(1);
            let width = hybrid::width(u32::try_from(greatest).unwrap_or(u32::MAX));
            self.values.extend(u8::try_from(width));
            hybrid::encode(&self.indexes, width, &mut self.values);
        }
        let content = self.put_levels();
        let page = FullPage {
            content: self.values.get(content..).unwrap_or_default(),
            entries: self.definitions.len(),
            nulls: self.definitions.len() - self.present,
            rows: self.rows,
            encoding,
        };
        self.chunk.add(&page, &mut self.bounds, codec)?;
        self.values.truncate(LEVELS);
        // A long value does not keep its memory.
        self.values.shrink_to(2 * self.layout.page_bytes + LEVELS);
        self.indexes.clear();
        self.definitions.clear();
        self.repetitions.clear();
        (self.present, self.rows) = (0, 0);
        Ok(())
    }

    /// Writes the levels in front of the values, and tells where they begin.
    fn put_levels(&mut self) -> usize {
        let mut levels = Vec::with_capacity(LEVELS);
        for (greatest, numbers) in [
            (self.descriptor.max_rep_level(), &self.repetitions),
            (self.descriptor.max_def_level(), &self.definitions),
        ] {
            if greatest > 0 {
                let start = levels.len();
                levels.extend_from_slice(&[0; 4]);
                let width = hybrid::width(u32::from(greatest.unsigned_abs()));
                hybrid::encode(numbers, width, &mut levels);
                let length = levels.len() - start - 4;
                let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
                if let Some(place) = levels.get_mut(start..start + 4) {
                    place.copy_from_slice(&length);
                }
            }
        }
        let start = LEVELS.saturating_sub(levels.len());
        self.values.splice(start..LEVELS, levels);
        start
    }

    /// Packs the flags of the page to a bit each.
    fn pack_flags(&mut self) {
        let mut packed = vec![0; LEVELS];
        let flags = self.values.get(LEVELS..).unwrap_or_default();
        packed.extend(flags.chunks(8).map(|group| {
            let bit = |(index, flag): (usize, &u8)| flag << index;
            group.iter().enumerate().map(bit).sum::<u8>()
        }));
        self.values = packed;
    }

    /// Ends the column with the row group, and begins it again.
    pub(super) fn close(&mut self, codec: &mut Codec) -> Result<(Pages, ColumnCloseResult)> {
        if self.rows > 0 {
            self.end_page(codec)?;
        }
        // Memory that long values needed goes with them.
        let next = Self::new(self.descriptor.clone(), self.layout.clone());
        let full = std::mem::replace(self, next);
        let dictionary = full.dictionary.filter(|d| d.entries() > 0);
        let (pages, mut closed) = full.chunk.close(dictionary.as_ref(), codec)?;
        if let Some(mut filter) = full.bloom_filter {
            filter.fold_to_target_fpp(BLOOM_FALSE_POSITIVES);
            closed.bloom_filter = Some(filter);
        }
        Ok((pages, closed))
    }

    pub(super) fn usage(&self) -> Usage {
        let (raw, encoded) = self.chunk.sizes();
        let dictionary = self.dictionary.as_ref().map_or(0, Dictionary::held);
        let bloom_filter = self
            .bloom_filter
            .as_ref()
            .map_or(0, |f| f.num_blocks() * 32);
        let levels = self.definitions.capacity() + self.repetitions.capacity();
        let indexes = self.indexes.capacity() * size_of::<u32>();
        let held = self.values.capacity() + self.chunk.held();
        Usage {
            held: held + levels + indexes + dictionary + bloom_filter,
            raw,
            encoded,
            open: self.values.len() - LEVELS + self.indexes.len(),
        }
    }
}

/// What a column takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes of memory.
    pub(super) held: usize,
    /// Bytes of finished pages before compression, and after.
    pub(super) raw: usize,
    pub(super) encoded: usize,
    /// Bytes of the open page.
    pub(super) open: usize,
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            raw: self.raw + other.raw,
            encoded: self.encoded + other.encoded,
            open: self.open + other.open,
        }
    }
}

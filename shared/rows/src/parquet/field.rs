//! A column of a table: takes the values of its type, and sends what does not fit to `extra`.

use std::borrow::Cow;
use std::collections::HashMap;

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::Bounds;
use super::chunk::Pages;
use super::codec::Codec;
use super::extra::Extra;
use super::leaf::{Layout, Leaf, Level, Usage};
use super::recycle;
use super::schema::{Column, Kind, Nature};
use crate::scan::{self, Value, elements, members};
use crate::value;

/// Levels of a column that is no list or map.
const NULL: Level = level(true, 0);
const VALUE: Level = level(true, 1);

/// Levels to which an entry of a list or map is there. The row has NULL for it, or it is empty,
/// or its entry is NULL, or it has a value.
const ABSENT: u8 = 0;
const EMPTY: u8 = 1;
const NULL_ENTRY: u8 = 2;
const ENTRY: u8 = 3;
/// A map's key cannot be NULL, so the level of its entries is one less.
const KEY: u8 = 2;

/// Above so many entries a map's names are looked up in a table, not compared in turn.
const FEW: usize = 16;

const fn level(first: bool, definition: u8) -> Level {
    Level { definition, first }
}

pub(super) enum Field {
    Xact(Leaf),
    Time(Leaf),
    Flag(Leaf),
    Text(Leaf),
    Json(Leaf),
    Texts(Leaf),
    Numbers(Box<Numbers>),
}

pub(super) struct Numbers {
    keys: Leaf,
    values: Leaf,
    /// Empty between two rows, and kept for their memory.
    entries: Vec<(Value<'static>, Value<'static>)>,
}

impl Field {
    /// The field of a column, which takes the next of the schema's leaves.
    pub(super) fn new(
        column: &Column,
        leaves: &mut impl Iterator<Item = ColumnDescPtr>,
        page_bytes: usize,
    ) -> Result<Self> {
        let mut next = |bounds, has_dictionary| {
            let layout = Layout {
                page_bytes,
                bounds,
                has_dictionary,
                has_bloom_filter: column.name == "id",
            };
            let descriptor = leaves.next().ok_or_else(mismatch)?;
            Ok::<_, ParquetError>(Leaf::new(descriptor, layout))
        };
        let repeats = column.nature == Nature::Repeating;
        Ok(match column.kind {
            Kind::Xact => Self::Xact(next(Bounds::Integers(None), false)?),
            Kind::Time => Self::Time(next(Bounds::Integers(None), false)?),
            Kind::Flag => Self::Flag(next(Bounds::Flags(None), false)?),
            Kind::Text => Self::Text(next(Bounds::of_texts(), repeats)?),
            Kind::Json => Self::Json(next(Bounds::Untold, repeats)?),
            Kind::Texts => Self::Texts(next(Bounds::Untold, repeats)?),
            Kind::Numbers => Self::Numbers(Box::new(Numbers {
                keys: next(Bounds::Untold, repeats)?,
                values: next(Bounds::Untold, false)?,
                entries: Vec::new(),
            })),
        })
    }

    /// Adds the value of a row, as it stands in the JSON, if there is one, and ends the row.
    pub(super) fn push(
        &mut self,
        column: &Column,
        found: Option<Value<'_>>,
        extra: &mut Extra,
        codec: &mut Codec,
    ) -> Result<()> {
        let found = found.filter(|found| found.kind != scan::Kind::Null);
        let fits = match self {
            Self::Xact(leaf) => push(leaf, found.and_then(value::xact), Leaf::push_integer),
            Self::Time(leaf) => push(leaf, found.and_then(value::micros), Leaf::push_integer),
            Self::Flag(leaf) => push(leaf, found.and_then(value::flag), Leaf::push_flag),
            Self::Text(leaf) => {
                let text = found.and_then(value::text);
                let bytes = text.as_deref().map(str::as_bytes);
                push(leaf, bytes, Leaf::push_bytes)
            }
            Self::Json(leaf) => {
                let bytes = found.map(|found| found.raw.as_bytes());
                push(leaf, bytes, Leaf::push_bytes)
            }
            Self::Texts(leaf) => {
                let fits = found.is_some_and(|found| push_texts(leaf, found.raw));
                if !fits {
                    leaf.push_null(level(true, ABSENT));
                }
                fits
            }
            Self::Numbers(map) => {
                let fits = found.is_some_and(|found| map.push(column, found.raw, extra));
                if !fits {
                    map.push_nothing(ABSENT);
                }
                fits
            }
        };
        if let (false, Some(found)) = (fits, found) {
            extra.add(column.quoted(), found.raw);
        }
        self.end_row(codec)
    }

    fn end_row(&mut self, codec: &mut Codec) -> Result<()> {
        match self {
            Self::Numbers(map) => {
                map.keys.end_row(codec)?;
                map.values.end_row(codec)
            }
            Self::Xact(leaf)
            | Self::Time(leaf)
            | Self::Flag(leaf)
            | Self::Text(leaf)
            | Self::Json(leaf)
            | Self::Texts(leaf) => leaf.end_row(codec),
        }
    }

    fn leaves(&mut self) -> impl Iterator<Item = &mut Leaf> {
        let (leaf, other) = match self {
            Self::Numbers(map) => (&mut map.keys, Some(&mut map.values)),
            Self::Xact(leaf)
            | Self::Time(leaf)
            | Self::Flag(leaf)
            | Self::Text(leaf)
            | Self::Json(leaf)
            | Self::Texts(leaf) => (leaf, None),
        };
        std::iter::once(leaf).chain(other)
    }

    /// Ends the columns with the row group and hands them to `each`.
    pub(super) fn close(
        &mut self,
        codec: &mut Codec,
        mut each: impl FnMut(Pages, ColumnCloseResult) -> Result<()>,
    ) -> Result<()> {
        self.leaves().try_for_each(|leaf| {
            let (pages, closed) = leaf.close(codec)?;
            each(pages, closed)
        })
    }

    pub(super) fn usage(&mut self) -> Usage {
        let usages = self.leaves().map(|leaf| leaf.usage());
        usages.fold(Usage::default(), std::ops::Add::add)
    }
}

fn mismatch() -> ParquetError {
    ParquetError::General("the schema and the columns do not match".to_owned())
}

fn push<T>(leaf: &mut Leaf, value: Option<T>, with: impl FnOnce(&mut Leaf, Level, T)) -> bool {
    let fits = value.is_some();
    match value {
        Some(value) => with(leaf, VALUE, value),
        None => leaf.push_null(NULL),
    }
    fits
}

/// Adds a list of texts and NULLs. If it is none, nothing of it is added.
fn push_texts(leaf: &mut Leaf, raw: &str) -> bool {
    let mark = leaf.mark();
    let (mut first, mut fits) = (true, true);
    let read = elements(raw, |element| {
        match value::text(element) {
            Some(text) => leaf.push_bytes(level(first, ENTRY), text.as_bytes()),
            None if element.kind == scan::Kind::Null => leaf.push_null(level(first, NULL_ENTRY)),
            None => fits = false,
        }
        first = false;
    });
    if read.is_err() || !fits {
        leaf.rewind(mark);
        return false;
    }
    if first {
        leaf.push_null(level(true, EMPTY));
    }
    true
}

impl Numbers {
    /// Adds the entries of an object that are numbers or NULL; the others go to `extra`.
    /// Nothing of it is added if it is no object.
    fn push(&mut self, column: &Column, raw: &str, extra: &mut Extra) -> bool {
        let mut entries: Vec<(Value<'_>, Value<'_>)> = recycle(std::mem::take(&mut self.entries));
        if members(raw, |name, value| entries.push((name, value))).is_err() {
            return false;
        }
        keep_last(&mut entries);
        let (mut first, mut first_extra) = (true, true);
        for (name, found) in entries.iter().copied() {
            let number = value::number(found);
            match value::text(name) {
                Some(key) if number.is_some() || found.kind == scan::Kind::Null => {
                    self.keys.push_bytes(level(first, KEY), key.as_bytes());
                    match number {
                        Some(number) => self.values.push_double(level(first, ENTRY), number),
                        None => self.values.push_null(level(first, NULL_ENTRY)),
                    }
                    first = false;
                }
                _ => {
                    extra.add_entry(first_extra, column.quoted(), name.raw, found.raw);
                    first_extra = false;
                }
            }
        }
        if !first_extra {
            extra.end_map();
        }
        if first {
            self.push_nothing(EMPTY);
        }
        self.entries = recycle(entries);
        true
    }

    fn push_nothing(&mut self, definition: u8) {
        self.keys.push_null(level(true, definition));
        self.values.push_null(level(true, definition));
    }
}

/// Of entries with one name leaves the last, as JSON is read nearly everywhere.
fn keep_last(entries: &mut Vec<(Value<'_>, Value<'_>)>) {
    let escaped = entries
        .iter()
        .any(|(name, _)| name.kind == scan::Kind::Escaped);
    if entries.len() <= FEW && !escaped {
        let mut index = 0;
        while let Some(((name, _), later)) = entries.get(index..).and_then(<[_]>::split_first) {
            if later.iter().any(|(other, _)| name.raw == other.raw) {
                entries.remove(index);
            } else {
                index += 1;
            }
        }
        return;
    }
    let mut last = HashMap::with_capacity(entries.len());
    for (index, (name, _)) in entries.iter().enumerate() {
        last.insert(read_name(*name), index);
    }
    let mut index = 0;
    entries.retain(|(name, _)| {
        let is_last = last.get(&read_name(*name)) == Some(&index);
        index += 1;
        is_last
    });
}

/// The text of a name; what is no text is compared as it is written.
fn read_name(name: Value<'_>) -> Result<Cow<'_, str>, &str> {
    value::text(name).ok_or(name.raw)
}

//! Parquet, encoded row by row.
//!
//! All columns fill side by side: each has a writer into memory, and when the row group ends,
//! their compressed pages are put behind each other into the file. What the columns are is in
//! [`schema`]; how a value finds its place in [`field`].

use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::writer::SerializedFileWriter;
use bytes::Bytes;
use sealift_core::id::XactId;

use self::codec::Codec;
use self::extra::Extra;
use self::field::Field;
use self::leaf::Usage;
use self::schema::{Column, columns, properties, schema};
use crate::file::PushError;
use crate::row::{RowError, XACT_ID, xact_id_in};
use crate::scan::{Kind, Name, Value, members_like};
use crate::settings::{Settings, Table};
use crate::sink::Sink;
use crate::value;

mod bounds;
mod chunk;
mod codec;
mod dictionary;
mod extra;
mod field;
mod hybrid;
mod leaf;
mod schema;

/// Rows and bytes after which is looked how much memory the columns hold.
const BATCH_ROWS: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

/// Bytes of the footer for each column of a row group, about: what is known of it, its
/// statistics and the places of its pages.
const FOOTER_COLUMN: usize = 256;
/// Bytes of memory for the same.
const FOOTER_COLUMN_HELD: usize = 1 << 10;

/// By how much rows shrink, about, until it is known.
const FIRST_RATIO: u64 = 8;

/// Members of a row, or entries of a map, whose memory is kept for the next.
const MOST_KEPT: usize = 1 << 10;

/// An open Parquet file.
pub(crate) struct ParquetFile {
    /// The table's columns, and `extra` at the end.
    columns: Vec<(Column, Field)>,
    /// Which of them is the transaction's.
    xact_id: usize,
    file: SerializedFileWriter<Sink>,
    codec: Codec,
    row_group_bytes: u64,
    group_limit: usize,
    group: Group,
    row_groups: usize,
    /// Bytes of the pages of finished row groups, before compression and after.
    raw: u64,
    encoded: u64,
    /// The values of the row that is being added, by column, and the members that have none.
    /// Empty between two rows, and kept for their memory.
    found: Vec<Option<Value<'static>>>,
    unknown: Vec<(Value<'static>, Value<'static>)>,
    extra: Extra,
}

/// The open row group.
#[derive(Debug, Default)]
struct Group {
    bytes: u64,
    /// What the columns took when it was looked at last, and rows since then.
    usage: Usage,
    new_rows: usize,
    new_bytes: usize,
}

impl ParquetFile {
    /// A file whose first row this is: a query's columns are those of that row.
    pub(crate) fn new(
        table: Table,
        settings: &Settings,
        first_row: &str,
    ) -> Result<Self, PushError> {
        let columns = columns(table, first_row)?;
        let xact_id = columns.iter().position(|column| column.name == XACT_ID);
        let xact_id = xact_id.ok_or(RowError::Missing { field: XACT_ID })?;
        let properties = Arc::new(properties(table));
        let file = SerializedFileWriter::new(Sink::default(), schema(&columns)?, properties)?;
        let mut leaves = file.schema_descr().columns().iter().cloned();
        let columns = columns.into_iter().chain([Column::extra()]).map(|column| {
            let field = Field::new(&column, &mut leaves, settings.page_bytes)?;
            Ok((column, field))
        });
        Ok(Self {
            columns: columns.collect::<Result<_, ParquetError>>()?,
            xact_id,
            codec: Codec::new(settings.zstd_level)?,
            file,
            row_group_bytes: settings.row_group_bytes,
            // A finished row group may wait to be taken while the next one fills.
            group_limit: settings.memory_limit / 2,
            group: Group::default(),
            row_groups: 0,
            raw: 0,
            encoded: 0,
            found: Vec::new(),
            unknown: Vec::new(),
            extra: Extra::default(),
        })
    }

    /// Adds a row. It is read to its end before anything of it is added.
    pub(crate) fn push(&mut self, line: &str) -> Result<XactId, PushError> {
        let mut found = recycle(std::mem::take(&mut self.found));
        let mut unknown = recycle(std::mem::take(&mut self.unknown));
        self.find(line, &mut found, &mut unknown)?;
        let id = xact_id_in(found.get(self.xact_id).copied().flatten())?;
        self.extra.clear();
        if let Some(((extra_column, extra_field), columns)) = self.columns.split_last_mut() {
            for ((column, field), found) in columns.iter_mut().zip(&found) {
                field.push(column, *found, &mut self.extra, &mut self.codec)?;
            }
            for (name, found) in &unknown {
                self.extra.add(name.raw, found.raw);
            }
            let raw = self.extra.finish();
            let extra = raw.map(|raw| Value {
                raw,
                kind: Kind::Object,
            });
            let nowhere = &mut Extra::default();
            extra_field.push(extra_column, extra, nowhere, &mut self.codec)?;
        }
        self.found = recycle(found);
        self.unknown = recycle(unknown);
        self.count(line.len())?;
        Ok(id)
    }

    /// Sorts the members of a row by their columns. Of members with one name the last counts.
    fn find<'a>(
        &self,
        line: &'a str,
        found: &mut Vec<Option<Value<'a>>>,
        unknown: &mut Vec<(Value<'a>, Value<'a>)>,
    ) -> Result<(), RowError> {
        let columns = self.columns.split_last().map_or(&[][..], |(_, rest)| rest);
        found.resize(columns.len(), None);
        let expected = |index: usize| columns.get(index).map(|(column, _)| column.lead.as_str());
        let mut next = 0;
        let each = |name: Name<'a>, value| {
            let index = match name {
                Name::Expected(index) => Some(index),
                Name::Other(name) => position(columns, name, next),
            };
            match (index.and_then(|index| found.get_mut(index)), name) {
                (Some(place), _) => *place = Some(value),
                (None, Name::Other(name)) => unknown.push((name, value)),
                (None, Name::Expected(_)) => {}
            }
            next = index.map_or(next, |index| index + 1);
            next
        };
        Ok(members_like(line, expected, each)?)
    }

    /// Counts a row, and ends the row group if it is full.
    fn count(&mut self, bytes: usize) -> Result<(), ParquetError> {
        let group = &mut self.group;
        group.bytes += bytes as u64;
        group.new_rows += 1;
        group.new_bytes += bytes;
        let full = group.bytes >= self.row_group_bytes;
        if full || group.new_rows >= BATCH_ROWS || group.new_bytes >= BATCH_BYTES {
            (group.new_rows, group.new_bytes) = (0, 0);
            let usages = self.columns.iter_mut().map(|(_, field)| field.usage());
            group.usage = usages.fold(Usage::default(), std::ops::Add::add);
            if full || group.usage.held >= self.group_limit {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Puts the columns of the row group behind each other into the file.
    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut row_group = self.file.next_row_group()?;
        for (_, field) in &mut self.columns {
            field.close(&mut self.codec, |pages, closed| {
                let metadata = &closed.metadata;
                self.raw += u64::try_from(metadata.uncompressed_size()).unwrap_or_default();
                self.encoded += u64::try_from(metadata.compressed_size()).unwrap_or_default();
                row_group.append_column(&pages, closed)
            })?;
        }
        row_group.close()?;
        self.file.flush()?;
        self.row_groups += 1;
        self.group = Group::default();
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.file.inner_mut().take()
    }

    /// What the file's size would be if it ended now, about: what is in no page yet is taken
    /// to compress as what came before.
    pub(crate) fn size(&self) -> u64 {
        let usage = &self.group.usage;
        let open = (usage.open + self.group.new_bytes) as u64;
        let (raw, encoded) = (
            self.raw + usage.raw as u64,
            self.encoded + usage.encoded as u64,
        );
        let open = open
            .saturating_mul(encoded)
            .checked_div(raw)
            .unwrap_or(open / FIRST_RATIO);
        let footer = (self.row_groups + 1) * self.columns.len() * FOOTER_COLUMN;
        self.file.inner().written() + usage.encoded as u64 + open + footer as u64
    }

    pub(crate) fn held(&self) -> usize {
        let footer = self.row_groups * self.columns.len() * FOOTER_COLUMN_HELD;
        // Buffers grow by doubling.
        let columns = self.group.usage.held + 2 * self.group.new_bytes;
        columns + footer + self.codec.held() + self.file.inner().held()
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Bytes>, ParquetError> {
        if self.group.bytes > 0 {
            self.end_group()?;
        }
        Ok(self.file.into_inner()?.take_all())
    }
}

/// The column of a member, looked for from the `next` one on: rows mostly have the columns in
/// their order.
fn position(columns: &[(Column, Field)], name: Value<'_>, next: usize) -> Option<usize> {
    let is = |(column, _): &(Column, Field)| column.quoted() == name.raw;
    let (before, after) = columns.split_at_checked(next).unwrap_or((columns, &[]));
    let found = after.iter().position(is).map(|index| before.len() + index);
    let found = found.or_else(|| before.iter().position(is));
    if found.is_some() || name.kind != Kind::Escaped {
        return found;
    }
    let name = value::text(name)?;
    columns.iter().position(|(column, _)| column.name == *name)
}

/// An empty vector in the memory of another, for things that live shorter or longer.
fn recycle<A, B>(mut vector: Vec<A>) -> Vec<B> {
    vector.clear();
    vector.shrink_to(MOST_KEPT);
    // Nothing is mapped: the standard library collects into the memory that it came from.
    vector.into_iter().filter_map(|_| None).collect()
}

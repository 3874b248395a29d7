//! The columns of the tables: their types, and how each is laid out.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{PrimitiveTypeBuilder, Type, TypePtr};

use crate::row::{RowError, XACT_ID};
use crate::scan::members;
use crate::settings::Table;
use crate::value;

/// The last column of each table.
const EXTRA: &str = "extra";

/// Raises when a file of the same rows gets other columns or types.
const FORMAT_VERSION: &str = "1";

/// Columns that a query's file may have. Further ones are in `extra`: each takes memory from the
/// first row on.
const MOST_COLUMNS: usize = 500;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A transaction id: INT64.
    Xact,
    /// A time: TIMESTAMP(MICROS, UTC).
    Time,
    /// BOOLEAN.
    Flag,
    /// STRING.
    Text,
    /// LIST of STRING.
    Texts,
    /// MAP from STRING to DOUBLE.
    Numbers,
    /// JSON: a value's own bytes.
    Json,
}

/// What is known of a column's values beside their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nearly all are different.
    Varied,
    /// Few are different: they are kept once, in a dictionary.
    Repeating,
    /// Different, and long: their least and greatest tell a reader nothing.
    Long,
}

use Kind::{Flag, Json, Numbers, Text, Texts, Time, Xact};
use Nature::{Long, Repeating, Varied};

/// All columns that have a name we know, in the API's own order, which is the alphabet's.
const KNOWN: [(&str, Kind, Nature); 28] = [
    ("_async_scoring_state", Json, Repeating),
    ("_pagination_key", Text, Varied),
    ("_xact_id", Xact, Varied),
    ("audit_data", Json, Long),
    ("classifications", Json, Long),
    ("comments", Json, Long),
    ("context", Json, Long),
    ("created", Time, Varied),
    ("error", Json, Long),
    ("expected", Json, Long),
    ("facets", Json, Long),
    ("id", Text, Varied),
    ("input", Json, Long),
    ("is_root", Flag, Varied),
    ("log_id", Text, Repeating),
    ("metadata", Json, Long),
    ("metrics", Numbers, Repeating),
    ("org_id", Text, Repeating),
    ("origin", Json, Long),
    ("output", Json, Long),
    ("project_id", Text, Repeating),
    ("root_span_id", Text, Varied),
    ("scores", Numbers, Repeating),
    ("span_attributes", Json, Repeating),
    ("span_id", Text, Varied),
    ("span_parents", Texts, Varied),
    (SPAN_TYPE_INFO, Json, Repeating),
    ("tags", Texts, Repeating),
];
const SPAN_TYPE_INFO: &str = "span_type_info";

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The name as a JSON string with a colon behind it, as it mostly stands in a row.
    pub(super) lead: String,
    pub(super) kind: Kind,
    pub(super) nature: Nature,
}

impl Column {
    fn new(name: &str, kind: Kind, nature: Nature) -> Self {
        // A string can always be written.
        let lead = serde_json::to_string(name).unwrap_or_default() + ":";
        Self {
            name: name.to_owned(),
            lead,
            kind,
            nature,
        }
    }

    /// The last column.
    pub(super) fn extra() -> Self {
        Self::new(EXTRA, Json, Long)
    }

    /// The name as a JSON string.
    pub(super) fn quoted(&self) -> &str {
        self.lead.strip_suffix(':').unwrap_or_default()
    }

    fn named(name: &str) -> Self {
        match KNOWN.iter().find(|(known, ..)| *known == name) {
            Some((_, kind, nature)) => Self::new(name, *kind, *nature),
            None => Self::new(name, Json, Long),
        }
    }
}

/// The columns of a file whose first row this is, without `extra`.
pub(super) fn columns(table: Table, first_row: &str) -> Result<Vec<Column>, RowError> {
    let known = KNOWN.iter().map(|(name, ..)| *name);
    match table {
        Table::Spans => Ok(known
            .filter(|name| *name != SPAN_TYPE_INFO)
            .map(Column::named)
            .collect()),
        Table::Traces => Ok(known.map(Column::named).collect()),
        Table::Query => {
            let mut columns: Vec<Column> = Vec::new();
            members(first_row, |name, _| {
                // A name that is no text, or nothing, is none for a column.
                let Some(name) = value::text(name).filter(|name| !name.is_empty()) else {
                    return;
                };
                let taken = |column: &Column| column.name == *name;
                let room = columns.len() < MOST_COLUMNS || name == XACT_ID;
                if room && name != EXTRA && !columns.iter().any(taken) {
                    columns.push(Column::named(&name));
                }
            })?;
            Ok(columns)
        }
    }
}

/// The schema: the columns and `extra`. Each may be NULL.
pub(super) fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let extra = Column::extra();
    let fields = columns.iter().chain([&extra]).map(field);
    let fields: Vec<TypePtr> = fields.collect::<Result<_, _>>()?;
    let root = Type::group_type_builder("row").with_fields(fields);
    Ok(Arc::new(root.build()?))
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let name = &column.name;
    let text = Some(LogicalType::String);
    let built = match column.kind {
        Xact => primitive(name, Physical::INT64, None).build()?,
        Time => {
            let time = LogicalType::timestamp(true, TimeUnit::MICROS);
            primitive(name, Physical::INT64, Some(time)).build()?
        }
        Flag => primitive(name, Physical::BOOLEAN, None).build()?,
        Text => primitive(name, Physical::BYTE_ARRAY, text).build()?,
        Json => primitive(name, Physical::BYTE_ARRAY, Some(LogicalType::Json)).build()?,
        Texts => {
            let element = primitive("element", Physical::BYTE_ARRAY, text).build()?;
            nested(name, LogicalType::List, "list", vec![element])?
        }
        Numbers => {
            let key = primitive("key", Physical::BYTE_ARRAY, text)
                .with_repetition(Repetition::REQUIRED)
                .build()?;
            let value = primitive("value", Physical::DOUBLE, None).build()?;
            nested(name, LogicalType::Map, "key_value", vec![key, value])?
        }
    };
    Ok(Arc::new(built))
}

fn primitive(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
) -> PrimitiveTypeBuilder<'_> {
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
}

/// A list or map in its standard form of three levels.
///
/// Source: <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types>
fn nested(
    name: &str,
    logical: LogicalType,
    repeated: &str,
    leaves: Vec<Type>,
) -> Result<Type, ParquetError> {
    let repeated = Type::group_type_builder(repeated)
        .with_repetition(Repetition::REPEATED)
        .with_fields(leaves.into_iter().map(Arc::new).collect())
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(logical))
        .with_fields(vec![Arc::new(repeated)])
        .build()
}

/// What the footer says of the whole file. How columns are written is not in it: that is done
/// here.
pub(super) fn properties(table: Table) -> WriterProperties {
    let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    WriterProperties::builder()
        .set_created_by(concat!("sealift version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![
            entry("sealift.table", table.name()),
            entry("sealift.format", FORMAT_VERSION),
        ]))
        .build()
}

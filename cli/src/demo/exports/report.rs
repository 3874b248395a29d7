//! What the demo tells of its exports: a page that a person reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use sealift_core::export::cursor::Counts;
use sealift_core::export::name::hour_of;
use sealift_embedded::braintrust::request_log::Endpoint;

use super::files::Found;
use super::{Rows, Way, What};
use crate::stack::Stack;
use crate::text::{bytes, count, ratio};

/// Rows that are shown, and how much of a value.
const ROWS_SHOWN: usize = 3;
const VALUE_CHARACTERS: usize = 48;
/// Files of an automation that are shown.
const FILES_SHOWN: usize = 3;

/// Prints the page.
pub(super) fn print(
    out: &mut impl Write,
    stack: &Stack,
    data: &Path,
    rows: &Rows,
    exported: &[(Way, Counts, Vec<Found>)],
) -> anyhow::Result<()> {
    writeln!(out, "\nExports: {}", rows.name())?;
    writeln!(out)?;
    let mut row = |name: &str, text: String| writeln!(out, "  {name:<12} {text}");
    let projects: Vec<String> = rows
        .projects
        .values()
        .map(|(name, rows)| format!("{name} ({})", count(*rows, "row")))
        .collect();
    row("projects", projects.join(", "))?;
    let queries = stack.api.requests().count(Endpoint::Btql);
    row(
        "api",
        format!(
            "{} of the embedded Braintrust, within a budget of 20 a minute",
            count(queries, "query")
        ),
    )?;
    for (way, ..) in exported.iter().filter(|(way, ..)| way.what == What::Traces) {
        row(
            "provisioned",
            format!(
                "{}, because the audit log told of the project; the others by hand",
                way.id
            ),
        )?;
    }
    for (way, counts, found) in exported {
        row(
            way.what.folder(),
            format!(
                "{} in {}: {} of rows in {} ({})",
                count(counts.rows, "row"),
                count(found.len() as u64, "file"),
                bytes(counts.raw_bytes),
                bytes(counts.file_bytes),
                ratio(counts.raw_bytes, counts.file_bytes),
            ),
        )?;
    }
    tree(out, stack, data, exported)?;
    if let Some((way, _, found)) = exported.iter().find(|(way, ..)| way.what == What::Spans) {
        by_hour(out, way, found)?;
        if let Some(file) = found.first() {
            schema_and_rows(out, file)?;
        }
    }
    Ok(())
}

fn tree(
    out: &mut impl Write,
    stack: &Stack,
    data: &Path,
    exported: &[(Way, Counts, Vec<Found>)],
) -> anyhow::Result<()> {
    let root = data.join("s3").join(stack.export_bucket.as_str());
    writeln!(out, "\n  {}", root.display())?;
    for (way, _, found) in exported {
        writeln!(out, "  ├── {}", way.folder)?;
        for file in found.iter().take(FILES_SHOWN) {
            writeln!(out, "  │   ├── {}  {}", file.key, bytes(file.size))?;
        }
        match found.len().saturating_sub(FILES_SHOWN) {
            0 => writeln!(out, "  │   └── _runs/")?,
            more => writeln!(
                out,
                "  │   └── … {} more, and _runs/",
                count(more as u64, "file")
            )?,
        }
    }
    Ok(())
}

fn by_hour(out: &mut impl Write, way: &Way, found: &[Found]) -> anyhow::Result<()> {
    let mut hours: BTreeMap<String, u64> = BTreeMap::new();
    for (_, transaction) in found.iter().flat_map(|file| &file.rows) {
        let hour = hour_of(*transaction).map(|hour| hour.to_string());
        *hours.entry(hour.unwrap_or_default()).or_default() += 1;
    }
    writeln!(out, "\n  {}, by hour", way.folder)?;
    for (hour, rows) in hours {
        writeln!(out, "  {hour}  {rows:>6}")?;
    }
    Ok(())
}

/// The columns of a file with their types, and a few of its rows.
fn schema_and_rows(out: &mut impl Write, file: &Found) -> anyhow::Result<()> {
    let reader = SerializedFileReader::new(File::open(&file.path)?)?;
    let root = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .root_schema_ptr();
    let mut by_type: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for field in root.get_fields() {
        by_type.entry(kind(field)).or_default().push(field.name());
    }
    writeln!(out, "\n  {}", file.path.display())?;
    for (kind, names) in by_type {
        writeln!(out, "  {kind:<22} {}", names.join(", "))?;
    }
    let wanted = ["created", "span_attributes", "input", "output", "scores"];
    for row in reader.get_row_iter(None)?.take(ROWS_SHOWN) {
        writeln!(out)?;
        for (name, value) in row?.get_column_iter() {
            if wanted.contains(&name.as_str()) && *value != Field::Null {
                writeln!(out, "  {name:<16} {}", shown(value))?;
            }
        }
    }
    Ok(())
}

/// A column's type as people name it.
fn kind(field: &Type) -> String {
    let info = field.get_basic_info();
    if field.is_group() {
        return match info.converted_type() {
            ConvertedType::MAP => "map of text to double",
            ConvertedType::LIST => "list of text",
            _ => "group",
        }
        .to_owned();
    }
    match (info.logical_type_ref(), field.get_physical_type()) {
        (Some(LogicalType::Json), _) => "JSON".to_owned(),
        (Some(LogicalType::String), _) => "text".to_owned(),
        (Some(LogicalType::Timestamp { .. }), _) => "timestamp, UTC".to_owned(),
        (_, Physical::INT64) => "64-bit integer".to_owned(),
        (_, Physical::BOOLEAN) => "boolean".to_owned(),
        (_, other) => other.to_string(),
    }
}

fn shown(value: &Field) -> String {
    let text = match value {
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            let entries = entries.map(|(name, value)| format!("{}: {}", shown(name), shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Field::Double(number) => format!("{number:?}"),
        other => other.to_string(),
    };
    let start: String = text.chars().take(VALUE_CHARACTERS).collect();
    let cut = if start.len() < text.len() { " …" } else { "" };
    format!("{start}{cut}")
}

//! Reads exported files as a customer would: from the plain files of the bucket.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use sealift_core::id::XactId;

use super::{Way, What};
use crate::demo::verify::files;

/// An exported file.
#[derive(Debug)]
pub(super) struct Found {
    /// Below the automation's folder: `date=…/hour=…/…`.
    pub(super) key: String,
    /// The file itself.
    pub(super) path: PathBuf,
    /// Its bytes.
    pub(super) size: u64,
    /// Its rows: the id and the transaction of each.
    pub(super) rows: Vec<(String, XactId)>,
    /// JSON Lines as they are.
    pub(super) lines: Vec<String>,
}

/// All files of an automation, without its manifests.
pub(super) fn read(data: &Path, bucket: &str, way: &Way) -> anyhow::Result<Vec<Found>> {
    let folder = data.join("s3").join(bucket).join(&way.folder);
    let mut found = Vec::new();
    for path in files(&folder)? {
        let key = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
        if key.starts_with("_runs/") {
            continue;
        }
        let (rows, lines) = match way.what {
            What::SpansAsLines => lines(&path),
            What::Spans | What::Traces => parquet(&path).map(|rows| (rows, Vec::new())),
        }
        .with_context(|| format!("{} cannot be read", path.display()))?;
        found.push(Found {
            size: path.metadata()?.len(),
            key,
            path,
            rows,
            lines,
        });
    }
    Ok(found)
}

fn parquet(path: &Path) -> anyhow::Result<Vec<(String, XactId)>> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let root = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .root_schema_ptr();
    let wanted: Vec<_> = root
        .get_fields()
        .iter()
        .filter(|field| ["_xact_id", "id"].contains(&field.name()))
        .cloned()
        .collect();
    let projection = parquet::schema::types::Type::group_type_builder(root.name())
        .with_fields(wanted)
        .build()?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(Some(projection))? {
        let row = row?;
        let (mut id, mut transaction) = (String::new(), 0);
        for (index, (name, _)) in row.get_column_iter().enumerate() {
            match name.as_str() {
                "id" => id.clone_from(row.get_string(index)?),
                _ => transaction = row.get_long(index)?,
            }
        }
        rows.push((id, XactId::new(u64::try_from(transaction)?)));
    }
    Ok(rows)
}

type Lines = (Vec<(String, XactId)>, Vec<String>);

fn lines(path: &Path) -> anyhow::Result<Lines> {
    #[derive(serde::Deserialize)]
    struct Head {
        id: String,
        #[serde(rename = "_xact_id")]
        transaction: XactId,
    }
    let mut text = String::new();
    MultiGzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut rows = Vec::with_capacity(lines.len());
    for line in &lines {
        let Head { id, transaction } = serde_json::from_str(line)?;
        rows.push((id, transaction));
    }
    Ok((rows, lines))
}

//! The manifest of a run: what it wrote, as an object beside the files.

use bytes::Bytes;
use sealift_core::export::cursor::{Counts, File, Listing};
use sealift_core::export::name::Names;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_core::ports::{ExportPlace, ExportSink, Failure, StoreError, Upload};
use serde::Serialize;

/// The format's name and version.
pub(crate) const FORMAT: &str = "sealift.export-run/1";

/// The object, field by field.
#[derive(Serialize)]
struct Manifest<'a> {
    format: &'static str,
    automation_id: &'a AutomationId,
    project_id: &'a ProjectId,
    generation: u32,
    run: &'a str,
    started_ms: i64,
    after: XactId,
    through: XactId,
    rows: u64,
    raw_bytes: u64,
    file_bytes: u64,
    files: &'a [File],
}

/// Writes the manifest of a run that has committed files. Doing it again writes the same.
pub(crate) async fn write(
    sink: &impl ExportSink,
    place: &ExportPlace,
    automation: &AutomationId,
    listing: &Listing,
) -> Result<(), StoreError> {
    let names = Names::new(&place.prefix, automation, listing.generation);
    let refused = |target: String, message: String| {
        StoreError::Invalid(Failure {
            operation: "PutObject".to_owned(),
            target,
            code: String::new(),
            message,
            request_id: String::new(),
        })
    };
    let key = names
        .manifest(listing.after)
        .map_err(|error| refused(error.value.clone(), error.to_string()))?;
    let counts = Counts::of(&listing.files);
    let manifest = Manifest {
        format: FORMAT,
        automation_id: automation,
        project_id: &place.project,
        generation: listing.generation,
        run: &listing.run,
        started_ms: listing.started_ms,
        after: listing.after,
        through: listing
            .files
            .last()
            .map_or(listing.after, |file| file.through),
        rows: counts.rows,
        raw_bytes: counts.raw_bytes,
        file_bytes: counts.file_bytes,
        files: &listing.files,
    };
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| refused(key.to_string(), error.to_string()))?;
    let mut upload = sink.begin(&key, "application/json");
    if let Err(error) = upload.write(Bytes::from(text + "\n")).await {
        upload.abort().await;
        return Err(error);
    }
    upload.complete().await
}

//! The manifest of a run: what it wrote, as an object beside the files.

use bytes::Bytes;
use sealift_core::export::cursor::{Claim, Counts};
use sealift_core::export::name::Names;
use sealift_core::id::{AutomationId, ProjectId};
use sealift_core::ports::{ExportSink, Failure, StoreError, Upload};
use serde_json::json;

/// The format's name and version.
pub(crate) const FORMAT: &str = "sealift.export-run/1";

/// Whose manifest it is.
pub(crate) struct Of<'a> {
    pub(crate) automation: &'a AutomationId,
    pub(crate) project: &'a ProjectId,
    pub(crate) generation: u32,
}

/// Writes the manifest of a run that has committed files. Doing it again writes the same.
pub(crate) async fn write(
    sink: &impl ExportSink,
    names: &Names,
    of: Of<'_>,
    claim: &Claim,
) -> Result<(), StoreError> {
    let key = names.manifest(claim.after).map_err(|error| {
        StoreError::Invalid(Failure {
            operation: "PutObject".to_owned(),
            target: error.value.clone(),
            code: String::new(),
            message: error.to_string(),
            request_id: String::new(),
        })
    })?;
    let counts = Counts::of(&claim.files);
    let through = claim.files.last().map_or(claim.after, |file| file.through);
    let manifest = json!({
        "format": FORMAT,
        "automation_id": of.automation,
        "project_id": of.project,
        "generation": of.generation,
        "run": claim.run,
        "started_ms": claim.started_ms,
        "after": claim.after,
        "through": through,
        "rows": counts.rows,
        "raw_bytes": counts.raw_bytes,
        "file_bytes": counts.file_bytes,
        "files": claim.files,
    });
    let mut upload = sink.begin(&key, "application/json");
    let text = format!("{manifest:#}\n");
    if let Err(error) = upload.write(Bytes::from(text)).await {
        upload.abort().await;
        return Err(error);
    }
    upload.complete().await
}

//! The cursors of automations that Braintrust's data plane runs: `/brainstore/automation`.
//!
//! They are not in the published specification; what is known of them comes from Braintrust's
//! own tools. A cursor starts after a transaction, exclusively, so `0` is the beginning.

use http::Method;
use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy};
use serde::{Deserialize, Serialize};

use crate::call::{Call, Whole};
use crate::client::Client;
use crate::error::{ChangeError, Setback};
use crate::key::{ApiKey, ApiKeys};
use crate::wire::xact;

/// How far the segments of an automation's logs have come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SegmentCursors {
    /// All segments.
    #[serde(default)]
    pub total_segments: Option<u64>,
    /// Those with something left to do.
    #[serde(default)]
    pub pending_segments: Option<u64>,
    /// Those that failed.
    #[serde(default)]
    pub error_segments: Option<u64>,
    /// What failed last.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When, as the API writes it.
    #[serde(default)]
    pub last_error_at: Option<String>,
    /// The first transaction that is stored and not exported.
    #[serde(default, deserialize_with = "xact")]
    pub pending_min_compacted_xact_id: Option<XactId>,
    /// The last one.
    #[serde(default, deserialize_with = "xact")]
    pub pending_max_compacted_xact_id: Option<XactId>,
    /// Where the pending segment stands that is furthest behind.
    #[serde(default, deserialize_with = "xact")]
    pub pending_min_executed_xact_id: Option<XactId>,
    /// Where the one stands that is furthest ahead.
    #[serde(default, deserialize_with = "xact")]
    pub pending_max_executed_xact_id: Option<XactId>,
}

/// When the objects of an automation are due, and how their last run ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ObjectCursors {
    /// All objects.
    #[serde(default)]
    pub total_objects: Option<u64>,
    /// Those that are due.
    #[serde(default)]
    pub due_objects: Option<u64>,
    /// Those that failed.
    #[serde(default)]
    pub error_objects: Option<u64>,
    /// The last transaction that is stored.
    #[serde(default, deserialize_with = "xact")]
    pub last_compacted_xact_id: Option<XactId>,
    /// When the next run is, as the API writes it.
    #[serde(default)]
    pub next_run_at: Option<String>,
    /// When the last run was.
    #[serde(default)]
    pub last_run_at: Option<String>,
    /// Not before when a failed run is tried again.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// What failed last.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When.
    #[serde(default)]
    pub last_error_at: Option<String>,
}

#[derive(Serialize)]
struct OfObject<'a> {
    #[serde(rename = "automation_id")]
    automation: &'a AutomationId,
    #[serde(rename = "object_id")]
    object: String,
    #[serde(rename = "start_xact_id", skip_serializing_if = "Option::is_none")]
    after: Option<XactId>,
}

#[derive(Serialize)]
struct OfProject<'a> {
    automation_id: &'a AutomationId,
    project_id: &'a ProjectId,
}

#[derive(Serialize)]
struct Registration<'a> {
    automation_id: &'a AutomationId,
    cron: CronKind,
    service_token: &'a str,
}

#[derive(Serialize)]
struct CronKind {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Deserialize)]
struct Done {
    success: Option<bool>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// Has an automation begin after a transaction, which also registers a new one.
    ///
    /// It is not made again when its reply is lost: by then the cursor may have moved on, and
    /// would be set back a second time. Look at the cursors first.
    pub async fn reset_cursors(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
        after: XactId,
    ) -> Result<(), ChangeError> {
        let call = of_object(
            "reset cursors",
            "reset-cursors",
            automation,
            project,
            Some(after),
        );
        let call = call.map_err(ChangeError::NotDone)?.once();
        let answer = self.whole(&call).await;
        done(&answer.map_err(Setback::into_change_error)?).map_err(ChangeError::NotDone)
    }

    /// Has an automation look at a project's logs soon.
    pub async fn upsert_object_cursor(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
    ) -> Result<(), SourceError> {
        let path = "upsert-object-cursor";
        let call = of_object("schedule an automation", path, automation, project, None)?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        done(&answer)
    }

    /// How far an automation has come.
    pub async fn segment_cursors(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
    ) -> Result<SegmentCursors, SourceError> {
        let call = of_project("get cursors", "get-cursors", automation, project)?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        answer.read()
    }

    /// When an automation is due, and how its last run ended.
    pub async fn object_cursors(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
    ) -> Result<ObjectCursors, SourceError> {
        let call = of_project(
            "get object cursors",
            "get-object-cursors",
            automation,
            project,
        )?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        answer.read()
    }

    /// Registers an export with a data plane up to v2.0, which runs it with the given key. What
    /// a second registration does is not documented, so it is not made again when its reply is
    /// lost.
    pub async fn register_cron(
        &self,
        automation: &AutomationId,
        service_token: &ApiKey,
    ) -> Result<(), ChangeError> {
        let target = format!("automation {automation}");
        let call = Call::new(
            "register an export",
            target,
            Method::POST,
            "/automation/cron",
        );
        let call = call.json(&Registration {
            automation_id: automation,
            cron: CronKind {
                kind: "btql_export",
            },
            service_token: service_token.secret(),
        });
        let call = call
            .map_err(ChangeError::NotDone)?
            .hiding(service_token)
            .once();
        let answer = self.whole(&call).await;
        answer.map(|_| ()).map_err(Setback::into_change_error)
    }
}

fn of_object(
    operation: &'static str,
    path: &str,
    automation: &AutomationId,
    project: &ProjectId,
    after: Option<XactId>,
) -> Result<Call, SourceError> {
    call(operation, path, automation).json(&OfObject {
        automation,
        object: format!("project_logs:{project}"),
        after,
    })
}

fn of_project(
    operation: &'static str,
    path: &str,
    automation: &AutomationId,
    project: &ProjectId,
) -> Result<Call, SourceError> {
    call(operation, path, automation).json(&OfProject {
        automation_id: automation,
        project_id: project,
    })
}

fn call(operation: &'static str, path: &str, automation: &AutomationId) -> Call {
    let target = format!("automation {automation}");
    let path = format!("/brainstore/automation/{path}");
    Call::new(operation, target, Method::POST, path)
}

/// A success that says of itself that it is none.
fn done(answer: &Whole) -> Result<(), SourceError> {
    match answer.read::<Done>()?.success {
        Some(false) => Err(answer
            .about
            .invalid("the API answers that it did not succeed")),
        _ => Ok(()),
    }
}

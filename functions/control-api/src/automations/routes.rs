//! Braintrust's routes, with its bodies. For operators alone.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use sealift_core::Timestamp;
use sealift_core::control::{Access, Caller};
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::cursor::{Counts, Run};
use sealift_core::export::message;
use sealift_core::id::{AutomationId, InvalidId, ProjectId, XactId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AutomationChange, Exports, NewAutomation, Progress};
use crate::incoming::Body;
use crate::refusal::Refusal;

/// Says that what is answered was there before.
const FOUND_EXISTING: HeaderName = HeaderName::from_static("x-bt-found-existing");

type Shared = State<Option<Arc<dyn Exports>>>;
type Answer = Result<Json<Value>, Refusal>;

/// All of them.
pub(crate) fn routes(exports: Option<Arc<dyn Exports>>) -> Router {
    Router::new()
        .route(
            "/v1/project_automation",
            post(create).put(replace).get(list),
        )
        .route(
            "/v1/project_automation/{id}",
            get(read).patch(change).delete(remove),
        )
        .route("/brainstore/automation/reset-cursors", post(reset_cursors))
        .route(
            "/brainstore/automation/upsert-object-cursor",
            post(upsert_object_cursor),
        )
        .route("/brainstore/automation/get-cursors", post(get_cursors))
        .route(
            "/brainstore/automation/get-object-cursors",
            post(get_object_cursors),
        )
        .with_state(exports)
}

/// Whether it is an operator that calls, and there is anything to manage.
fn admitted(
    exports: Option<Arc<dyn Exports>>,
    caller: &Caller,
) -> Result<Arc<dyn Exports>, Refusal> {
    if caller.access != Access::Operator {
        return Err(Refusal::forbidden("automations are managed by operators"));
    }
    exports.ok_or_else(|| {
        Refusal::not_found("automations are not set up here: SEALIFT_ORGANIZATION_ID is missing")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    project_id: String,
    name: String,
    #[serde(default)]
    description: Option<String>,
    config: ExportConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    config: Option<Value>,
}

/// A transaction as a text or a number, both of which Braintrust takes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Start {
    Text(String),
    Number(u64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetCursors {
    automation_id: String,
    object_id: String,
    #[serde(default, rename = "start_xact_id")]
    start: Option<Start>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpsertObjectCursor {
    automation_id: String,
    object_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetCursors {
    automation_id: String,
    project_id: String,
}

fn refused(field: &'static str, reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::invalid(format!("`{field}` cannot be used: {reason}")).of_field(field)
}

fn project(text: &str) -> Result<ProjectId, Refusal> {
    ProjectId::parse(text).map_err(|error| refused("project_id", &error.reason))
}

/// One that cannot be named cannot be there.
fn automation(text: &str) -> Result<AutomationId, Refusal> {
    let missing = |_| Refusal::not_found("there is no automation of such an id");
    AutomationId::parse(text).map_err(missing)
}

/// `project_logs:<project>`
fn object(text: &str) -> Result<ProjectId, Refusal> {
    let project = text.strip_prefix("project_logs:");
    let project = project.and_then(|id| ProjectId::parse(id).ok());
    project.ok_or_else(|| refused("object_id", &"it must be project_logs:<project id>"))
}

impl Create {
    fn parse(self) -> Result<NewAutomation, Refusal> {
        Ok(NewAutomation {
            project: project(&self.project_id)?,
            name: self.name,
            description: self.description,
            config: self.config,
        })
    }
}

fn time(ms: i64) -> Option<String> {
    let time = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{time:.3}"))
}

/// As Braintrust shows one.
fn shown(automation: &Automation) -> Value {
    json!({
        "id": automation.id,
        "project_id": automation.project_id,
        "name": automation.name,
        "description": automation.description,
        "created": time(automation.created_ms),
        "config": automation.config,
    })
}

async fn create(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<Create>,
) -> Result<Response, Refusal> {
    let exports = admitted(exports, &caller)?;
    let (automation, found) = exports.create(&caller, body.parse()?).await?;
    let mut response = Json(shown(&automation)).into_response();
    if found {
        let headers = response.headers_mut();
        headers.insert(FOUND_EXISTING, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn replace(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<Create>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let replaced = exports.replace(&caller, body.parse()?).await?;
    Ok(Json(shown(&replaced)))
}

async fn read(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    Ok(Json(shown(&exports.get(&automation(&id)?).await?)))
}

async fn change(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(patch): Body<Patch>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let change = AutomationChange {
        name: patch.name,
        description: patch.description,
        config: patch.config,
    };
    let changed = exports.change(&caller, &automation(&id)?, change).await?;
    Ok(Json(shown(&changed)))
}

async fn remove(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let removed = exports.remove(&caller, &automation(&id)?).await?;
    Ok(Json(shown(&removed)))
}

/// What a list is asked for.
#[derive(Debug, Default)]
struct Asked {
    limit: Option<usize>,
    starting_after: Option<String>,
    ending_before: Option<String>,
    ids: Vec<String>,
    name: Option<String>,
    project: Option<ProjectId>,
}

impl Asked {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "limit" => {
                    let number = value.parse();
                    asked.limit =
                        Some(number.map_err(|_| refused("limit", &"it must be a number"))?);
                }
                "starting_after" => asked.starting_after = Some(value),
                "ending_before" => asked.ending_before = Some(value),
                "ids" => asked.ids.push(value),
                "project_automation_name" => asked.name = Some(value),
                "project_id" => asked.project = Some(project(&value)?),
                // There is one organization.
                "org_name" => {}
                _ => {
                    return Err(Refusal::invalid(
                        "the query has a parameter that is not known",
                    ));
                }
            }
        }
        if asked.starting_after.is_some() && asked.ending_before.is_some() {
            let message = "of `starting_after` and `ending_before` only one may be given";
            return Err(Refusal::invalid(message));
        }
        Ok(asked)
    }

    /// Those that are asked for, in the order that they have.
    fn of(&self, mut all: Vec<Automation>) -> Result<Vec<Automation>, Refusal> {
        all.retain(|there| {
            let id = |id: &String| id == there.id.as_str();
            (self.ids.is_empty() || self.ids.iter().any(id))
                && self.name.as_ref().is_none_or(|name| *name == there.name)
        });
        let place = |field: &'static str, id: &str| {
            let place = all.iter().position(|there| there.id.as_str() == id);
            place.ok_or_else(|| refused(field, &"it is no automation of the list"))
        };
        let limit = self.limit.unwrap_or(usize::MAX);
        let (from, to) = match (&self.starting_after, &self.ending_before) {
            (Some(id), _) => (place("starting_after", id)? + 1, usize::MAX),
            (None, Some(id)) => {
                let end = place("ending_before", id)?;
                (end.saturating_sub(limit), end)
            }
            (None, None) => (0, usize::MAX),
        };
        let count = to.saturating_sub(from).min(limit);
        Ok(all.into_iter().skip(from).take(count).collect())
    }
}

async fn list(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let asked = Asked::parse(query.as_deref().unwrap_or_default())?;
    let all = asked.of(exports.list(asked.project.as_ref()).await?)?;
    let objects: Vec<Value> = all.iter().map(shown).collect();
    Ok(Json(json!({"objects": objects})))
}

async fn reset_cursors(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<ResetCursors>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let start = match body.start {
        // That nothing means the beginning is a choice of ours.
        None => "0".to_owned(),
        Some(Start::Text(text)) => text,
        Some(Start::Number(number)) => number.to_string(),
    };
    let bad = |error: InvalidId| refused("start_xact_id", &error.reason);
    let position = XactId::parse(&start).map_err(bad)?;
    // No year and no seconds, either.
    start.parse::<message::Start>().map_err(bad)?;
    let id = automation(&body.automation_id)?;
    let project = object(&body.object_id)?;
    exports.reset(&caller, &id, &project, position).await?;
    Ok(Json(json!({"success": true, "automation_id": id})))
}

async fn upsert_object_cursor(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<UpsertObjectCursor>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let id = automation(&body.automation_id)?;
    let project = object(&body.object_id)?;
    exports.schedule(&caller, &id, &project).await?;
    Ok(Json(json!({"success": true, "automation_id": id})))
}

async fn get_cursors(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<GetCursors>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let (id, project) = (automation(&body.automation_id)?, project(&body.project_id)?);
    Ok(Json(segments(&exports.progress(&id, &project).await?)))
}

async fn get_object_cursors(
    State(exports): Shared,
    Extension(caller): Extension<Caller>,
    Body(body): Body<GetCursors>,
) -> Answer {
    let exports = admitted(exports, &caller)?;
    let (id, project) = (automation(&body.automation_id)?, project(&body.project_id)?);
    Ok(Json(objects(&exports.progress(&id, &project).await?)))
}

/// What the last run failed with, and when.
fn last_error(progress: &Progress) -> (Option<String>, Option<String>) {
    let cursor = &progress.cursor;
    let failure = cursor.failure.as_ref();
    let ended = cursor.runs.last().and_then(|run| time(run.ended_ms));
    (
        failure.map(|failed| failed.failure.to_string()),
        ended.filter(|_| failure.is_some()),
    )
}

fn execution(counts: Counts, duration_ms: i64) -> Value {
    json!({
        "rows_processed": counts.rows,
        "bytes_processed": counts.raw_bytes,
        "duration_ms": duration_ms,
    })
}

/// The one cursor that an automation has here stands for the cursors of segments there.
fn segments(progress: &Progress) -> Value {
    let Progress { cursor, entry, .. } = progress;
    let pending = entry.as_ref().is_some_and(|entry| !entry.quiet);
    let (error, error_at) = last_error(progress);
    let took = |run: &Run| run.ended_ms.saturating_sub(run.started_ms);
    let last = cursor.runs.last();
    json!({
        "total_segments": 1,
        "pending_segments": u8::from(pending),
        "error_segments": u8::from(error.is_some()),
        "last_error": error,
        "last_error_at": error_at,
        // What is still to come is known to the API alone.
        "pending_min_compacted_xact_id": null,
        "pending_max_compacted_xact_id": null,
        "pending_min_executed_xact_id": cursor.position.to_string(),
        "stats": {
            "last_execution": execution(
                last.map(|run| run.counts).unwrap_or_default(),
                last.map(took).unwrap_or_default(),
            ),
            // The time that the remembered runs took.
            "all_executions": execution(cursor.counts, cursor.runs.iter().map(took).sum()),
        },
    })
}

fn objects(progress: &Progress) -> Value {
    let Progress {
        cursor,
        entry,
        now_ms,
    } = progress;
    let running = entry.as_ref().filter(|entry| !entry.paused);
    let next = running.and_then(|entry| time(entry.next_ms));
    let retry = running.filter(|entry| entry.attempts > 0);
    let (error, error_at) = last_error(progress);
    json!({
        "total_objects": 1,
        "due_objects": u8::from(running.is_some_and(|entry| entry.is_due(*now_ms))),
        "error_objects": u8::from(error.is_some()),
        "last_compacted_xact_id": null,
        "next_run_at": next,
        "last_run_at": cursor.runs.last().and_then(|run| time(run.started_ms)),
        "retry_after": retry.and_then(|entry| time(entry.next_ms)),
        "last_error": error,
        "last_error_at": error_at,
        "topic_runtime": null,
    })
}

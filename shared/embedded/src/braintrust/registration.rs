//! Registering automations with the data plane, and asking how they stand:
//! `/brainstore/automation/…`, and `/automation/cron` of data planes up to 2.0.
//!
//! Confirmed from Braintrust's tools: the paths, the requests and the answers' fields. No
//! automation runs here, so the answers' numbers tell of a data plane that has not begun: all
//! rows after the start are pending in one segment.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::reply::Reply;
use super::shared::Shared;
use super::state::{Automation, Registered, State, time_text};
use super::validate::{Fields, Invalid, filled, one_of, uuid};

pub(crate) fn reset_cursors(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let fields = Fields::of("", body)?;
    fields
        .only(&["automation_id", "object_id", "start_xact_id"])?
        .optional("start_xact_id", &|path, value| match start(value) {
            Some(_) => Ok(()),
            None => Err(Invalid::new(path, "must be the digits of a transaction id")),
        })?;
    // "0" is from the beginning. That nothing means the same is our choice.
    let from = fields.get("start_xact_id").and_then(start).unwrap_or(0);
    register(shared, body, |registered| {
        registered.start = from;
        registered.resets += 1;
        registered.last_error = None;
    })
}

pub(crate) fn upsert_object_cursor(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    Fields::of("", body)?.only(&["automation_id", "object_id"])?;
    register(shared, body, |registered| registered.schedulings += 1)
}

fn register(
    shared: &Shared,
    body: &Value,
    change: impl FnOnce(&mut Registered),
) -> Result<Reply, Refusal> {
    let fields = Fields::of("", body)?;
    fields
        .required("automation_id", &uuid)?
        .required("object_id", &filled)?;
    let mut state = shared.state();
    let automation = automation(&state, fields.text("automation_id"))?;
    let object_id = fields.text("object_id");
    // Other known forms are `project_experiments:<id>` and `experiment:<id>`; exports have none.
    if object_id != format!("project_logs:{}", automation.project_id) {
        let said = "object_id: must be project_logs: and the id of the automation's project";
        return Err(Refusal::bad_request(said));
    }
    let id = automation.id.clone();
    let registered = state.registrations.entry(id.clone()).or_default();
    object_id.clone_into(&mut registered.object_id);
    change(registered);
    Ok(Reply::json(&json!({"success": true, "automation_id": id})))
}

fn start(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

pub(crate) fn get_cursors(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let state = shared.state();
    let (automation, registered) = asked(&state, body)?;
    let from = registered.map_or(0, |registered| registered.start);
    let pending = pending(&state, automation, from);
    let xact = |xact: Option<u64>| match (xact, shared.settings.numeric) {
        (Some(xact), true) => json!(xact),
        (Some(xact), false) => json!(xact.to_string()),
        (None, _) => Value::Null,
    };
    let error = registered.and_then(|registered| registered.last_error.as_ref());
    let nothing = json!({"rows_processed": 0, "bytes_processed": 0, "duration_ms": 0});
    Ok(Reply::json(&json!({
        "total_segments": u8::from(registered.is_some()),
        "pending_segments": u8::from(registered.is_some() && pending.is_some()),
        "error_segments": u8::from(error.is_some()),
        "last_error": error.map(|(message, _)| message),
        "last_error_at": error.map(|(_, at)| time_text(*at)),
        "pending_min_compacted_xact_id": xact(pending.map(|(first, _)| first)),
        "pending_max_compacted_xact_id": xact(pending.map(|(_, last)| last)),
        "pending_min_executed_xact_id": xact(registered.map(|registered| registered.start)),
        "stats": {"last_execution": nothing, "all_executions": nothing},
    })))
}

pub(crate) fn get_object_cursors(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let state = shared.state();
    let (automation, registered) = asked(&state, body)?;
    let scheduled = registered.is_some_and(|registered| registered.schedulings > 0);
    let error = registered.and_then(|registered| registered.last_error.as_ref());
    let project = state.project(&automation.project_id);
    let compacted = project.and_then(|project| project.rows.latest_xact());
    Ok(Reply::json(&json!({
        "total_objects": u8::from(registered.is_some()),
        "due_objects": u8::from(scheduled),
        "error_objects": u8::from(error.is_some()),
        "last_compacted_xact_id": compacted.map(|xact| match shared.settings.numeric {
            true => json!(xact),
            false => json!(xact.to_string()),
        }),
        "next_run_at": null,
        "last_run_at": null,
        "retry_after": null,
        "last_error": error.map(|(message, _)| message),
        "last_error_at": error.map(|(_, at)| time_text(*at)),
        "topic_runtime": null,
    })))
}

/// The first and the last transaction after the start.
fn pending(state: &State, automation: &Automation, start: u64) -> Option<(u64, u64)> {
    let project = state.project(&automation.project_id)?;
    let after = (start.checked_add(1)?, u64::MAX);
    let first = project.rows.by_xact(after, None, false).next()?;
    let last = project.rows.by_xact(after, None, true).next()?;
    Some((first.position.xact, last.position.xact))
}

fn asked<'a>(
    state: &'a State,
    body: &Value,
) -> Result<(&'a Automation, Option<&'a Registered>), Refusal> {
    let fields = Fields::of("", body)?;
    fields
        .only(&["automation_id", "project_id"])?
        .required("automation_id", &uuid)?
        .required("project_id", &uuid)?;
    let automation = automation(state, fields.text("automation_id"))?;
    if automation.project_id != fields.text("project_id") {
        let said = "project_id: is not the automation's project";
        return Err(Refusal::bad_request(said));
    }
    Ok((automation, state.registrations.get(&automation.id)))
}

fn automation<'a>(state: &'a State, id: &str) -> Result<&'a Automation, Refusal> {
    let found = state
        .automations
        .iter()
        .find(|automation| automation.id == id);
    found.ok_or_else(|| Refusal::missing("project_automation", id))
}

/// The request is confirmed word for word; the answer is unknown, so it is an empty object.
pub(crate) fn cron(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let fields = Fields::of("", body)?;
    fields
        .only(&["automation_id", "cron", "service_token"])?
        .required("automation_id", &uuid)?
        .required("cron", &|path, value| {
            Fields::of(path, value)?
                .only(&["type"])?
                .required("type", &one_of(&["btql_export"]))?;
            Ok(())
        })?
        .required("service_token", &|path, value| match value.as_str() {
            Some(token) if token.starts_with("sk-") || token.starts_with("bt-st-") => Ok(()),
            _ => Err(Invalid::new(path, "must begin with sk- or bt-st-")),
        })?;
    let mut state = shared.state();
    let id = automation(&state, fields.text("automation_id"))?.id.clone();
    state.registrations.entry(id).or_default().cron = true;
    Ok(Reply::json(&json!({})))
}

/// Recorded: what a key belongs to. An organization's id is part of every ExternalId.
pub(crate) fn login(shared: &Shared) -> Reply {
    let organization = &shared.settings.organization;
    Reply::json(&json!({"org_info": [{
        "id": organization.id.as_str(),
        "name": organization.name,
        "api_url": shared.url,
        "git_metadata": null,
        "is_universal_api": null,
        "proxy_url": shared.url,
        "realtime_url": null,
    }]}))
}

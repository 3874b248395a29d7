//! What the bus is told: audit entries of Sealift's own.

use sealift_core::Timestamp;
use sealift_core::audit::catalogue::{
    AUTOMATION_FAILED, AUTOMATION_PROVISIONED, AUTOMATION_UPDATED, CURSOR_RESET,
};
use sealift_core::audit::{Entry, Resource};
use sealift_core::export::automation::Automation;
use sealift_core::id::{AutomationId, OrgId, XactId};
use sealift_core::ports::BusEntry;
use sealift_core::provision::plan::Step;
use serde_json::json;

/// An automation was provisioned. The id is the automation's, so that telling it again is no
/// second entry.
pub(crate) fn provisioned(automation: &Automation, now: Timestamp) -> Option<BusEntry> {
    let resource = Resource {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        organization: automation.organization.clone(),
        project: Some(automation.project_id.clone()),
    };
    let after = serde_json::to_value(automation).ok()?;
    let entry = Entry::created(&AUTOMATION_PROVISIONED, resource, after).ok()?;
    let id = format!("provisioned-{}", automation.id);
    entry.on_bus(&id, now).ok()
}

/// An automation was stopped because its project is gone, or goes on because it is back. The id
/// has the time at which it was found to be gone, so that telling it again is no second entry.
pub(crate) fn switched(
    organization: &OrgId,
    step: &Step,
    automation: &AutomationId,
    active: bool,
    halted_ms: i64,
    now: Timestamp,
) -> Option<BusEntry> {
    let status = |active| json!({"status": if active { "active" } else { "paused" }});
    let resource = resource_of(organization, step, automation.as_str());
    let (before, after) = (status(!active), status(active));
    let entry = Entry::updated(&AUTOMATION_UPDATED, resource, before, after).ok()?;
    let reason = if active {
        "its project is back"
    } else {
        "its project was deleted"
    };
    let id = format!("{}-{halted_ms}-{automation}", step.action.word());
    let entry = entry.with_details(json!({"reason": reason}));
    entry.on_bus(&id, now).ok()
}

/// The cursor of an automation in Braintrust was set, by its registration. The id is the
/// automation's, whose only registration this is.
pub(crate) fn cursor_set(
    organization: &OrgId,
    step: &Step,
    automation: &AutomationId,
    start: XactId,
    now: Timestamp,
) -> Option<BusEntry> {
    let resource = resource_of(organization, step, automation.as_str());
    let position = |start| json!({"start_xact_id": start});
    let (before, after) = (position(None), position(Some(start)));
    let entry = Entry::updated(&CURSOR_RESET, resource, before, after).ok()?;
    let entry = entry.with_details(json!({"reason": "it was registered with the data plane"}));
    entry.on_bus(&format!("registered-{automation}"), now).ok()
}

/// A project did not get what it should.
pub(crate) fn failed(
    organization: &OrgId,
    step: &Step,
    message: &str,
    nonce: &str,
    now: Timestamp,
) -> Option<BusEntry> {
    let automation = step.action.automation();
    let id = automation.map_or_else(String::new, ToString::to_string);
    let entry = Entry::happened(&AUTOMATION_FAILED, resource_of(organization, step, &id)).ok()?;
    let details = json!({
        "project_name": step.name,
        "template": step.template,
        "action": step.action.word(),
        "message": message,
    });
    entry.with_details(details).on_bus(nonce, now).ok()
}

fn resource_of(organization: &OrgId, step: &Step, id: &str) -> Resource {
    Resource {
        id: id.to_owned(),
        name: step.template.clone(),
        organization: organization.clone(),
        project: Some(step.project.clone()),
    }
}

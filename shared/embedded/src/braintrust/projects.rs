//! `/v1/project`.

use serde_json::Value;

use super::audit_log::{Action, Actor, AuditEvent};
use super::automation_config::project_creation;
use super::listing::Listing;
use super::refusal::Refusal;
use super::reply::Reply;
use super::shared::Shared;
use super::state::Project;
use super::validate::{Fields, is_uuid};

const PARAMETERS: [&str; 6] = [
    "ending_before",
    "ids",
    "limit",
    "org_name",
    "project_name",
    "starting_after",
];

/// Deleted projects stay in the list, with their `deleted_at`: a client has to skip them.
pub(crate) fn list(shared: &Shared, query: &str) -> Result<Reply, Refusal> {
    let listing = Listing::parse(query, &PARAMETERS)?;
    let organization = &shared.settings.organization;
    let state = shared.state();
    let newest: Vec<&Project> = state.projects.iter().rev().collect();
    let named = |wanted: Option<&String>, is: &str| wanted.is_none_or(|wanted| wanted == is);
    listing.page(
        &newest,
        |project| &project.id,
        |project| {
            named(listing.name.as_ref(), &project.name)
                && named(listing.org_name.as_ref(), &organization.name)
        },
        |project| project.to_json(organization.id.as_str()),
        shared.settings.list_cap,
    )
}

pub(crate) fn get(shared: &Shared, id: &str) -> Result<Reply, Refusal> {
    if !is_uuid(id) {
        return Err(Refusal::bad_request("project_id: must be a UUID"));
    }
    let state = shared.state();
    let project = state.projects.iter().find(|project| project.id == id);
    let project = project.ok_or_else(|| Refusal::missing("project", id))?;
    Ok(reply(shared, project))
}

/// Confirmed: an existing project of the name is answered unmodified.
pub(crate) fn create(shared: &Shared, body: &Value, actor: &Actor) -> Result<Reply, Refusal> {
    project_creation(body)?;
    let fields = Fields::of("", body)?;
    let organization = &shared.settings.organization.name;
    let elsewhere = fields.get("org_name").and_then(Value::as_str);
    if elsewhere.is_some_and(|name| name != organization) {
        return Err(Refusal::missing("organization", fields.text("org_name")));
    }
    let name = fields.text("name");
    let mut state = shared.state();
    let mut living = state.projects.iter().filter(|p| p.deleted.is_none());
    if let Some(existing) = living.find(|project| project.name == name) {
        return Ok(reply(shared, existing).header("x-bt-found-existing", "true"));
    }
    let mut project = Project::new(shared.uuid(), name, shared.now());
    let description = fields.get("description").and_then(Value::as_str);
    project.description = description.map(str::to_owned);
    let answer = reply(shared, &project);
    let event = AuditEvent::of_project(&project, Action::Create).by(actor);
    state.projects.push(project);
    state.audit.record_own(shared, &event);
    Ok(answer)
}

fn reply(shared: &Shared, project: &Project) -> Reply {
    Reply::json(&project.to_json(shared.settings.organization.id.as_str()))
}

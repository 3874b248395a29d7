//! `/v1/project_automation`.

use serde_json::Value;

use super::automation_config::{config, creation, patch as patch_body};
use super::listing::Listing;
use super::refusal::Refusal;
use super::reply::Reply;
use super::shared::Shared;
use super::state::{Automation, State};
use super::validate::{Fields, is_uuid};

/// `project_id` is not in the OpenAPI file, but Braintrust's command-line tool sends it.
const PARAMETERS: [&str; 7] = [
    "ending_before",
    "ids",
    "limit",
    "org_name",
    "project_automation_name",
    "project_id",
    "starting_after",
];

pub(crate) fn list(shared: &Shared, query: &str) -> Result<Reply, Refusal> {
    let listing = Listing::parse(query, &PARAMETERS)?;
    let organization = &shared.settings.organization.name;
    let state = shared.state();
    let newest: Vec<&Automation> = state.automations.iter().rev().collect();
    let named = |wanted: Option<&String>, is: &str| wanted.is_none_or(|wanted| wanted == is);
    listing.page(
        &newest,
        |automation| &automation.id,
        |automation| {
            named(listing.name.as_ref(), &automation.name)
                && named(listing.project_id.as_ref(), &automation.project_id)
                && named(listing.org_name.as_ref(), organization)
        },
        Automation::to_json,
        shared.settings.list_cap,
    )
}

pub(crate) fn get(shared: &Shared, id: &str) -> Result<Reply, Refusal> {
    let state = shared.state();
    let place = place(&state, id)?;
    let found = state.automations.get(place);
    found.map(reply).ok_or_else(|| missing(id))
}

/// Confirmed: an automation of the same name is answered unmodified, so this is no upsert.
pub(crate) fn create(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let wanted = wanted(shared, body)?;
    let mut state = shared.state();
    if let Some(existing) = same_name(&mut state, &wanted.project_id, &wanted.name) {
        return Ok(reply(existing).header("x-bt-found-existing", "true"));
    }
    let answer = reply(&wanted);
    state.automations.push(wanted);
    Ok(answer)
}

/// Confirmed: an automation of the same name is replaced. It stays the same object (our
/// choice: its id and time of creation are kept).
pub(crate) fn replace(shared: &Shared, body: &Value) -> Result<Reply, Refusal> {
    let wanted = wanted(shared, body)?;
    let mut state = shared.state();
    let Some(existing) = same_name(&mut state, &wanted.project_id, &wanted.name) else {
        let answer = reply(&wanted);
        state.automations.push(wanted);
        return Ok(answer);
    };
    existing.description = wanted.description;
    existing.config = wanted.config;
    Ok(reply(existing).header("x-bt-found-existing", "true"))
}

/// Confirmed: objects are merged in depth, and nothing is removed or set to null. So a null is
/// passed over, and a list is replaced.
pub(crate) fn patch(shared: &Shared, id: &str, body: &Value) -> Result<Reply, Refusal> {
    patch_body(body)?;
    let fields = Fields::of("", body)?;
    let mut state = shared.state();
    let place = place(&state, id)?;
    let current = state.automations.get(place).ok_or_else(|| missing(id))?;
    let mut merged = current.config.clone();
    if let Some(change) = fields.get("config") {
        merge(&mut merged, change);
        // Fields of both may not go together, where the kind has changed.
        config("config", &merged)?;
    }
    let name = fields.get("name").and_then(Value::as_str);
    let name = name.unwrap_or(&current.name).to_owned();
    let project = current.project_id.clone();
    let other = same_name(&mut state, &project, &name);
    if other.is_some_and(|other| other.id != id) {
        // What a real server says is not documented.
        let said = format!("an automation named {name} exists in the project");
        return Err(Refusal::bad_request(said));
    }
    let automation = state
        .automations
        .get_mut(place)
        .ok_or_else(|| missing(id))?;
    automation.name = name;
    automation.config = merged;
    if let Some(description) = fields.get("description").and_then(Value::as_str) {
        automation.description = Some(description.to_owned());
    }
    Ok(reply(automation))
}

/// Confirmed: the deleted automation is the answer.
pub(crate) fn delete(shared: &Shared, id: &str) -> Result<Reply, Refusal> {
    let mut state = shared.state();
    let place = place(&state, id)?;
    let gone = state.automations.remove(place);
    state.registrations.remove(id);
    Ok(reply(&gone))
}

fn wanted(shared: &Shared, body: &Value) -> Result<Automation, Refusal> {
    creation(body)?;
    let fields = Fields::of("", body)?;
    let project_id = fields.text("project_id").to_owned();
    if shared.state().project(&project_id).is_none() {
        return Err(Refusal::missing("project", &project_id));
    }
    let description = fields.get("description").and_then(Value::as_str);
    Ok(Automation {
        id: shared.uuid(),
        project_id,
        name: fields.text("name").to_owned(),
        description: description.map(str::to_owned),
        created: shared.now(),
        config: fields.get("config").cloned().unwrap_or_default(),
    })
}

fn same_name<'a>(state: &'a mut State, project: &str, name: &str) -> Option<&'a mut Automation> {
    let mut of_project = state
        .automations
        .iter_mut()
        .filter(|a| a.project_id == project);
    of_project.find(|automation| automation.name == name)
}

fn place(state: &State, id: &str) -> Result<usize, Refusal> {
    if !is_uuid(id) {
        let said = "project_automation_id: must be a UUID";
        return Err(Refusal::bad_request(said));
    }
    let place = state
        .automations
        .iter()
        .position(|automation| automation.id == id);
    place.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Refusal {
    Refusal::missing("project_automation", id)
}

fn reply(automation: &Automation) -> Reply {
    Reply::json(&automation.to_json())
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (_, Value::Null) => {}
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                match fields.get_mut(name) {
                    Some(field) => merge(field, change),
                    None if change.is_null() => {}
                    None => {
                        fields.insert(name.clone(), change.clone());
                    }
                }
            }
        }
        (into, change) => into.clone_from(change),
    }
}

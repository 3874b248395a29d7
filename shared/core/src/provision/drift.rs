//! Drift: automations that are not as their templates have them. It is told and never mended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::Seen;
use super::ledger::Ledger;
use super::plan::Found;
use super::settings::Settings;
use super::template::{SLUG, Template};
use crate::id::{AutomationId, ProjectId};

/// An automation that is not as its template has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The project.
    pub project: ProjectId,
    /// The template's name.
    pub template: String,
    /// The automation.
    pub automation: AutomationId,
    /// What differs; nothing if the automation was deleted by hand.
    pub differences: Vec<Difference>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field, as a path: `config.format`.
    pub field: String,
    /// What the automation has.
    pub is: Value,
    /// What the template says.
    pub template: Value,
}

/// Compares the automations of the settings' mode with their templates. `found` holds all
/// automations of the ledger's projects.
pub fn drift(ledger: &Ledger, settings: &Settings, found: &Found) -> Vec<Drift> {
    let mut all = Vec::new();
    for (project, known) in &ledger.projects {
        let there: HashMap<&AutomationId, &Seen> = found
            .get(project)
            .into_iter()
            .flatten()
            .map(|automation| (&automation.id, automation))
            .collect();
        for template in &settings.templates {
            let entry = known.automations.get(&template.name);
            let Some(done) = entry.filter(|entry| entry.done && entry.mode == settings.mode) else {
                continue;
            };
            let differences = match there.get(done.automation()) {
                None => Some(Vec::new()),
                Some(automation) => {
                    let differences = compare(template, &known.slug, automation);
                    (!differences.is_empty()).then_some(differences)
                }
            };
            all.extend(differences.map(|differences| Drift {
                project: project.clone(),
                template: template.name.clone(),
                automation: done.automation().clone(),
                differences,
            }));
        }
    }
    all
}

/// What differs. The ExternalId is the automation's own, and whether it is paused is the
/// operator's to say. That a field is null is that it is not there.
pub fn compare(template: &Template, slug: &str, automation: &Seen) -> Vec<Difference> {
    let value = |config: &Value| {
        let mut fields = BTreeMap::new();
        flatten("config", config, &mut fields);
        fields.remove("config.credentials.external_id");
        fields.remove("config.status");
        fields
    };
    let mut wanted = template.config.clone();
    wanted.export_path = wanted.export_path.replace(SLUG, slug);
    let wanted = value(&serde_json::to_value(wanted).unwrap_or_default());
    let is = value(&automation.config);
    let fields: BTreeSet<&String> = wanted.keys().chain(is.keys()).collect();
    fields
        .into_iter()
        .filter(|field| !alike(wanted.get(*field), is.get(*field)))
        .map(|field| Difference {
            field: field.clone(),
            is: is.get(field).cloned().unwrap_or_default(),
            template: wanted.get(field).cloned().unwrap_or_default(),
        })
        .collect()
}

/// `3600` and `3600.0` are one number, whichever way the other side writes it.
fn alike(one: Option<&Value>, other: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    one == other || number(one).is_some_and(|one| Some(one) == number(other))
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{path}.{name}"), value, into);
            }
        }
        other => {
            into.insert(path.to_owned(), other.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_a_number_or_a_missing_field_is_written_is_no_drift() {
        let template: Template = serde_json::from_value(json!({"name": "Logs export", "config": {
            "event_type": "btql_export",
            "export_definition": {"type": "log_traces"},
            "export_path": "s3://bucket/<project-slug>",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::123456789012:role/r",
                "external_id": "<unique-external-id-suffix>",
            },
        }}))
        .unwrap();
        let mut config = serde_json::to_value(&template.config).unwrap();
        config["export_path"] = json!("s3://bucket/p");
        config["interval_seconds"] = json!(3600.0);
        config["batch_size"] = Value::Null;
        config["scope"] = Value::Null;
        config["status"] = json!("active");
        let mut seen = Seen {
            id: AutomationId::parse("a").unwrap(),
            name: "Logs export".to_owned(),
            config,
        };
        assert_eq!(compare(&template, "p", &seen), []);
        seen.config["interval_seconds"] = json!(3600.5);
        seen.config["scope"] = json!({"type": "trace"});
        let found = compare(&template, "p", &seen);
        let fields: Vec<&str> = found.iter().map(|one| &*one.field).collect();
        assert_eq!(fields, ["config.interval_seconds", "config.scope.type"]);
    }
}

//! What is shown of before and after: no secrets, and no noise.
//!
//! The page's rules: raw keys, their hashes and encrypted material are left out or stand as a
//! preview; ids of the entry's own columns and times of creation, update and deletion are left
//! out where they would only add noise. How secrets are known is told in
//! [`secrets`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::secrets;

/// Fields that stand in the entry's own columns.
const COLUMNS: [&str; 5] = [
    "id",
    "org_id",
    "organization",
    "organization_id",
    "project_id",
];

/// Fields that tell when something was written.
const TIMES: [&str; 11] = [
    "created",
    "created_at",
    "created_ms",
    "updated",
    "updated_at",
    "updated_ms",
    "modified_at",
    "modified_ms",
    "deleted_at",
    "deleted_ms",
    "last_modified",
];

/// What is shown of a thing that was created or deleted: without noise, secrets redacted.
pub fn shown(fields: Map<String, Value>) -> Map<String, Value> {
    let mut fields = redact_fields(fields);
    let noise = |name: &str| COLUMNS.contains(&name) || TIMES.contains(&name);
    fields.retain(|name, _| !noise(name));
    fields
}

/// The fields in which two differ, as they were before and as they are after, secrets redacted.
///
/// A field that is missing is the same as one that is null. A secret that changed is shown to
/// have changed, though both may look the same. An id that changed is no noise; times always are.
pub fn differing(
    mut before: Map<String, Value>,
    mut after: Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let (mut was, mut is) = (Map::new(), Map::new());
    for name in names {
        let old = before.remove(&name).unwrap_or_default();
        let new = after.remove(&name).unwrap_or_default();
        if old != new && !TIMES.contains(&name.as_str()) {
            was.insert(name.clone(), old);
            is.insert(name, new);
        }
    }
    (redact_fields(was), redact_fields(is))
}

/// Replaces secrets, wherever they stand, by previews.
pub fn redact(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(redact_fields(fields)),
        Value::Array(values) => values.into_iter().map(redact).collect(),
        Value::String(text) => Value::String(secrets::redact_text(&text)),
        other => other,
    }
}

/// Replaces secrets in fields, and in the names of fields.
pub fn redact_fields(fields: Map<String, Value>) -> Map<String, Value> {
    let redacted = fields.into_iter().map(|(name, value)| {
        let value = match secrets::is_secret_name(&name) {
            true => conceal(value),
            false => redact(value),
        };
        (secrets::redact_text(&name), value)
    });
    redacted.collect()
}

/// What stands under a secret's name. Whether a secret is there may be told, and so may what
/// describes it (`{"token": {"name": …, "preview": …}}`).
fn conceal(value: Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value,
        Value::String(text) => Value::String(secrets::preview(&text)),
        Value::Number(_) => Value::String(secrets::HIDDEN.to_owned()),
        Value::Array(values) => values.into_iter().map(conceal).collect(),
        Value::Object(fields) => {
            let concealed = fields.into_iter().map(|(name, value)| {
                let value = match secrets::is_harmless_name(&name) {
                    true => redact(value),
                    false => conceal(value),
                };
                (secrets::redact_text(&name), value)
            });
            Value::Object(concealed.collect())
        }
    }
}

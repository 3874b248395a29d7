//! What is shown of before and after: no secrets, and no noise.
//!
//! The page's rules: raw keys, their hashes and encrypted material are left out or stand as a
//! preview; ids of the entry's own columns and times of creation, update and deletion are left
//! out where they would only add noise.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Fields that stand in the entry's own columns, or tell when something was written.
const NOISE: [&str; 9] = [
    "id",
    "org_id",
    "organization",
    "project_id",
    "created",
    "created_at",
    "created_ms",
    "updated_at",
    "deleted_at",
];

/// What is shown of a thing: without noise, secrets redacted.
pub fn shown(value: Value) -> Value {
    match redact(value) {
        Value::Object(mut fields) => {
            fields.retain(|name, _| !NOISE.contains(&name.as_str()));
            Value::Object(fields)
        }
        other => other,
    }
}

/// The fields in which two differ, as they were before and as they are after. A secret that
/// changed is shown to have changed, though both may look the same.
pub fn differing(before: Value, after: Value) -> (Value, Value) {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (Value::Null, Value::Null);
    };
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let (mut was, mut is) = (Map::new(), Map::new());
    for name in names {
        let (old, new) = (before.get(&name), after.get(&name));
        if old != new {
            was.insert(name.clone(), old.cloned().unwrap_or_default());
            is.insert(name, new.cloned().unwrap_or_default());
        }
    }
    (shown(Value::Object(was)), shown(Value::Object(is)))
}

/// Replaces secrets, wherever they stand, by previews.
pub fn redact(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let redacted = fields.into_iter().map(|(name, value)| {
                let value = if is_secret(&name) {
                    preview(&value)
                } else {
                    redact(value)
                };
                (name, value)
            });
            Value::Object(redacted.collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(redact).collect()),
        other => other,
    }
}

/// Words of which a secret's name consists, in part.
const SECRETS: [&str; 12] = [
    "secret",
    "password",
    "passphrase",
    "apikey",
    "privatekey",
    "accesstoken",
    "servicetoken",
    "sessiontoken",
    "refreshtoken",
    "authorization",
    "keyhash",
    "bearer",
];

/// Whether a field's name says that it holds a secret. `access_key_id`, `external_id` and
/// `role_arn` are none: they are what one has to copy.
fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    // A preview is made to be shown, and a secret's name or id tells nothing.
    let harmless = ["preview", "id", "name", "arn", "type"];
    plain == "token"
        || (SECRETS.iter().any(|word| plain.contains(word))
            && !harmless.iter().any(|end| plain.ends_with(end)))
}

/// The last four characters of a long secret, nothing of a short one.
fn preview(secret: &Value) -> Value {
    match secret {
        Value::Null => Value::Null,
        Value::String(text) if text.chars().count() >= 16 => {
            let skipped = text.chars().count() - 4;
            let end: String = text.chars().skip(skipped).collect();
            Value::String(format!("…{end}"))
        }
        _ => Value::String("redacted".to_owned()),
    }
}

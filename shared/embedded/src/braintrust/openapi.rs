//! Braintrust's OpenAPI file as JSON Schema, for tests that hold requests and answers against it.
//!
//! OpenAPI 3.0 has a dialect of its own: `nullable: true` in place of a type of null, and bounds
//! that are excluded by a flag. [`json_schema`] turns one of its component schemas into a JSON
//! Schema of draft 2020-12 that stands by itself, with all that it refers to.

use serde_json::{Map, Value, json};

/// The component schema of that name, with its references and in JSON Schema.
///
/// `None` if the document has no component schema of the name.
///
/// ```
/// use sealift_embedded::braintrust::openapi::json_schema;
/// let document = serde_json::json!({"components": {"schemas": {
///     "Name": {"type": "string", "nullable": true},
/// }}});
/// let schema = json_schema(&document, "Name").unwrap();
/// assert_eq!(schema["$defs"]["Name"]["type"], serde_json::json!(["string", "null"]));
/// ```
pub fn json_schema(document: &Value, name: &str) -> Option<Value> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    schemas.contains_key(name).then(|| {
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        inline_schema(document, &reference)
    })
}

/// A schema that stands within the document (an answer's, a parameter's), in JSON Schema.
pub fn inline_schema(document: &Value, schema: &Value) -> Value {
    let schemas = document.pointer("/components/schemas");
    let schemas = schemas
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let definitions: Map<String, Value> = schemas
        .iter()
        .map(|(name, schema)| (name.clone(), translated(schema, false)))
        .collect();
    let mut schema = translated(schema, false);
    if let Value::Object(fields) = &mut schema {
        let draft = "https://json-schema.org/draft/2020-12/schema";
        fields.insert("$schema".into(), json!(draft));
        fields.insert("$defs".into(), Value::Object(definitions));
    }
    schema
}

/// `choice` says that the schema is one of several that are tried.
fn translated(schema: &Value, choice: bool) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    // A choice of nothing but `nullable` is the file's way to say null. Elsewhere the same
    // words say nothing, and let everything through.
    if choice && fields.len() == 1 && fields.get("nullable") == Some(&json!(true)) {
        return json!({"type": "null"});
    }
    let mut answer = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "$ref" => json!(value.as_str().map(local)),
            "properties" => each_field(value),
            "items" | "additionalProperties" | "not" => translated(value, false),
            "oneOf" | "anyOf" => each_choice(value, true),
            "allOf" => each_choice(value, false),
            _ => value.clone(),
        };
        answer.insert(name.clone(), value);
    }
    exclude(&mut answer, "minimum", "exclusiveMinimum");
    exclude(&mut answer, "maximum", "exclusiveMaximum");
    if answer.remove("nullable") == Some(json!(true))
        && let Some(kind) = answer.get("type").cloned()
    {
        answer.insert("type".into(), json!([kind, "null"]));
    }
    Value::Object(answer)
}

fn local(reference: &str) -> String {
    reference.replacen("#/components/schemas/", "#/$defs/", 1)
}

fn each_field(fields: &Value) -> Value {
    let fields = fields.as_object().cloned().unwrap_or_default();
    let translate = |(name, schema): (String, Value)| (name, translated(&schema, false));
    Value::Object(fields.into_iter().map(translate).collect())
}

fn each_choice(choices: &Value, choice: bool) -> Value {
    let choices = choices.as_array().cloned().unwrap_or_default();
    let translate = |schema: &Value| translated(schema, choice);
    Value::Array(choices.iter().map(translate).collect())
}

/// `minimum: 0, exclusiveMinimum: true` becomes `exclusiveMinimum: 0`.
fn exclude(schema: &mut Map<String, Value>, bound: &str, excluded: &str) {
    match schema.remove(excluded) {
        Some(Value::Bool(true)) => {
            if let Some(bound) = schema.remove(bound) {
                schema.insert(excluded.to_owned(), bound);
            }
        }
        Some(Value::Bool(false)) | None => {}
        Some(other) => {
            schema.insert(excluded.to_owned(), other);
        }
    }
}

//! Rows as the source gives them: JSON objects, a line each.

use bytes::Bytes;
use sealift_core::id::XactId;
use serde_json::{Value, json};

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    id: String,
    root_span_id: String,
    xact: XactId,
    value: Value,
}

impl Row {
    /// A span with nothing but its names.
    pub fn new(xact: XactId, id: &str, root_span_id: &str) -> Self {
        Self {
            id: id.to_owned(),
            root_span_id: root_span_id.to_owned(),
            xact,
            value: json!({
                "id": id,
                "_xact_id": xact,
                "root_span_id": root_span_id,
            }),
        }
    }

    /// A span as it stands in an answer; the error names the field that it lacks.
    pub fn parse(value: Value) -> Result<Self, String> {
        let text = |field: &str| match value.get(field).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("the row has no text `{field}`")),
        };
        Ok(Self {
            id: text("id")?,
            root_span_id: text("root_span_id")?,
            xact: XactId::parse(&text("_xact_id")?).map_err(|error| error.to_string())?,
            value,
        })
    }

    /// The span with one more field, or with another value of it. Its names stay as they are.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let named = ["id", "_xact_id", "root_span_id"].contains(&field);
        if let Value::Object(fields) = &mut self.value
            && !named
        {
            fields.insert(field.to_owned(), value.into());
        }
        self
    }

    /// The same span in another transaction: what an update makes of it.
    #[must_use]
    pub fn moved(mut self, xact: XactId) -> Self {
        self.xact = xact;
        if let Value::Object(fields) = &mut self.value {
            fields.insert("_xact_id".to_owned(), json!(xact));
        }
        self
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of its trace's root.
    pub fn root_span_id(&self) -> &str {
        &self.root_span_id
    }

    /// Its transaction.
    pub fn xact(&self) -> XactId {
        self.xact
    }

    /// The JSON object in a line, without the line's end.
    pub fn line(&self) -> Bytes {
        Bytes::from(self.value.to_string())
    }

    /// What tells that its trace was touched.
    pub(super) fn touched(&self) -> Bytes {
        let touched = json!({"_xact_id": self.xact, "root_span_id": self.root_span_id});
        Bytes::from(touched.to_string())
    }
}

/// A trace in a line.
pub(super) fn summary(root_span_id: &str, xact: XactId, spans: u64) -> Bytes {
    let summary = json!({
        "id": root_span_id,
        "root_span_id": root_span_id,
        "_xact_id": xact,
        "spans": spans,
    });
    Bytes::from(summary.to_string())
}

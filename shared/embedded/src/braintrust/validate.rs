//! Checks of request bodies: each says which field is wrong, and what it should be.
//!
//! They agree with the schemas of Braintrust's OpenAPI file; a test holds the two against each
//! other. Fields that a schema does not name are let through where it lets them through.

use serde_json::{Map, Value};

/// A body that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub(crate) struct Invalid {
    path: String,
    reason: String,
}

impl Invalid {
    pub(crate) fn new(path: &str, reason: impl Into<String>) -> Self {
        let path = if path.is_empty() { "the body" } else { path };
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// A check of one value; it is handed the value's path, for its message.
pub(crate) type Check<'a> = &'a dyn Fn(&str, &Value) -> Result<(), Invalid>;

/// An object, field by field.
pub(crate) struct Fields<'a> {
    path: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(path: &'a str, value: &'a Value) -> Result<Self, Invalid> {
        let map = value.as_object();
        let map = map.ok_or_else(|| Invalid::new(path, "must be an object"))?;
        Ok(Self { path, map })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    /// A field's text, empty if it is none.
    pub(crate) fn text(&self, name: &str) -> &'a str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn required(&self, name: &str, check: Check<'_>) -> Result<&Self, Invalid> {
        if self.map.contains_key(name) {
            return self.optional(name, check);
        }
        Err(Invalid::new(&self.within(name), "is required"))
    }

    pub(crate) fn optional(&self, name: &str, check: Check<'_>) -> Result<&Self, Invalid> {
        if let Some(value) = self.map.get(name) {
            check(&self.within(name), value)?;
        }
        Ok(self)
    }

    /// Nothing but these.
    pub(crate) fn only(&self, names: &[&str]) -> Result<&Self, Invalid> {
        match self.map.keys().find(|key| !names.contains(&key.as_str())) {
            Some(unknown) => Err(Invalid::new(&self.within(unknown), "is not a known field")),
            None => Ok(self),
        }
    }

    fn within(&self, name: &str) -> String {
        match self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }
}

pub(crate) fn text(path: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::String(_) => Ok(()),
        _ => Err(Invalid::new(path, "must be a text")),
    }
}

pub(crate) fn filled(path: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(()),
        _ => Err(Invalid::new(path, "must be a text that is not empty")),
    }
}

pub(crate) fn flag(path: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::Bool(_) => Ok(()),
        _ => Err(Invalid::new(path, "must be true or false")),
    }
}

pub(crate) fn uuid(path: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::String(text) if is_uuid(text) => Ok(()),
        _ => Err(Invalid::new(path, "must be a UUID")),
    }
}

pub(crate) fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(crate) fn number(path: &str, value: &Value) -> Result<(), Invalid> {
    match value {
        Value::Number(_) => Ok(()),
        _ => Err(Invalid::new(path, "must be a number")),
    }
}

pub(crate) fn number_in(least: f64, most: f64) -> impl Fn(&str, &Value) -> Result<(), Invalid> {
    move |path, value| match value.as_f64() {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ if most == f64::INFINITY => Err(Invalid::new(path, format!("must be {least} or more"))),
        _ => Err(Invalid::new(path, format!("must be {least} to {most}"))),
    }
}

/// A whole number; `2.0` is one, as JSON Schema has it.
pub(crate) fn whole_in(least: f64, most: f64) -> impl Fn(&str, &Value) -> Result<(), Invalid> {
    move |path, value| {
        number_in(least, most)(path, value)?;
        match value.as_f64() {
            Some(number) if number.fract() == 0.0 => Ok(()),
            _ => Err(Invalid::new(path, "must be a whole number")),
        }
    }
}

pub(crate) fn one_of<'a>(
    names: &'a [&'a str],
) -> impl Fn(&str, &Value) -> Result<(), Invalid> + 'a {
    move |path, value| match value {
        Value::String(text) if names.contains(&text.as_str()) => Ok(()),
        _ => Err(Invalid::new(
            path,
            format!("must be one of {}", names.join(", ")),
        )),
    }
}

pub(crate) fn nullable(check: Check<'_>) -> impl Fn(&str, &Value) -> Result<(), Invalid> + '_ {
    move |path, value| match value {
        Value::Null => Ok(()),
        value => check(path, value),
    }
}

pub(crate) fn list_of(
    most: usize,
    check: Check<'_>,
) -> impl Fn(&str, &Value) -> Result<(), Invalid> + '_ {
    move |path, value| {
        let items = value.as_array();
        let items = items.ok_or_else(|| Invalid::new(path, "must be a list"))?;
        if items.len() > most {
            return Err(Invalid::new(path, format!("may hold {most} at the most")));
        }
        for (index, item) in items.iter().enumerate() {
            check(&format!("{path}[{index}]"), item)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_five_groups() {
        assert!(is_uuid("f1e858a4-58e3-408f-983f-016760d7fa25"));
        assert!(is_uuid("F1E858A4-58E3-408F-983F-016760D7FA25"));
        for bad in [
            "",
            "f1e858a458e3408f983f016760d7fa25",
            "f1e858a4-58e3-408f-983f-016760d7fa2",
            "g1e858a4-58e3-408f-983f-016760d7fa25",
            "{f1e858a4-58e3-408f-983f-016760d7fa25}",
        ] {
            assert!(!is_uuid(bad), "{bad:?}");
        }
    }
}

//! A walk through a resource's properties that knows where it is.

use serde_json::{Map, Value};

use super::TemplateError;
use super::resolve::Resolver;

/// A value within a resource, not yet resolved.
#[derive(Clone)]
pub(super) struct Node<'a> {
    resolver: &'a Resolver<'a>,
    resource: &'a str,
    property: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// A resource's properties.
    pub(super) fn properties(
        resolver: &'a Resolver<'a>,
        resource: &'a str,
        document: &'a Value,
    ) -> Self {
        Self {
            resolver,
            resource,
            property: "Properties".to_owned(),
            value: document.get("Properties").unwrap_or(&Value::Null),
        }
    }

    /// What stands below the name.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        self.value.get(name).map(|value| self.child(name, value))
    }

    /// What has to stand below the name.
    pub(super) fn need(&self, name: &str) -> Result<Self, TemplateError> {
        self.get(name)
            .ok_or_else(|| self.error(format!("{name} is missing")))
    }

    /// The entries of a mapping; none if nothing or something else stands here.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        self.value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), self.child(name, value)))
            .collect()
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>, TemplateError> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.error("it must be a list"))?;
        let child = |(index, value): (usize, &'a Value)| self.child(&index.to_string(), value);
        Ok(items.iter().enumerate().map(child).collect())
    }

    /// Refuses what is not among the names, since leaving it out could change how events flow.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), TemplateError> {
        match self
            .entries()
            .iter()
            .find(|(name, _)| !known.contains(name))
        {
            Some((_, node)) => Err(node.error("it is not understood here")),
            None => Ok(()),
        }
    }

    /// The value with every function in it resolved.
    pub(super) fn resolved(&self) -> Result<Value, TemplateError> {
        self.resolver
            .value(self.value, self.resource, &self.property)
    }

    /// The value as text. Numbers and booleans are taken as CloudFormation takes them.
    pub(super) fn text(&self) -> Result<String, TemplateError> {
        match self.resolved()? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err(self.error("it must be text")),
        }
    }

    /// The value as a whole number.
    pub(super) fn number(&self) -> Result<u64, TemplateError> {
        let text = self.text()?;
        text.parse()
            .map_err(|_| self.error("it must be a whole number"))
    }

    /// What is wrong with the value here.
    pub(super) fn error(&self, reason: impl Into<String>) -> TemplateError {
        TemplateError::Property {
            resource: self.resource.to_owned(),
            property: self.property.clone(),
            reason: reason.into(),
        }
    }

    /// The mapping itself, where only its presence counts.
    pub(super) fn object(&self) -> Option<&'a Map<String, Value>> {
        self.value.as_object()
    }

    fn child(&self, name: &str, value: &'a Value) -> Self {
        Self {
            resolver: self.resolver,
            resource: self.resource,
            property: format!("{}.{name}", self.property),
            value,
        }
    }
}

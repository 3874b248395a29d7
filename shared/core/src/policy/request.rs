//! What is asked of the policies: who wants to do what to which resource, and in what context.

use std::collections::BTreeMap;
use std::fmt;

use super::principal::Caller;
use crate::external_id::ExternalId;

/// The condition key of an ExternalId.
pub(super) const EXTERNAL_ID_KEY: &str = "sts:ExternalId";

/// A request, as policies see it.
///
/// Its form says which kind of document it can be held against. With a caller and no
/// resource: trust policies. With both: a resource's own policy, as of a bucket. With a
/// resource and no caller: permission policies, whose principal is whoever they hang on.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks, if the policies name principals.
    pub caller: Option<&'a Caller>,
    /// The action: `s3:PutObject`.
    pub action: &'a str,
    /// The ARN of what it is done to, if the policies name resources.
    pub resource: Option<&'a str>,
    /// Everything else that is known of the request.
    pub context: &'a Context,
}

impl<'a> Request<'a> {
    /// `sts:AssumeRole`, for a role's trust policy. The context comes from
    /// [`Context::assuming`].
    pub fn assume_role(caller: &'a Caller, context: &'a Context) -> Self {
        Self {
            caller: Some(caller),
            action: "sts:AssumeRole",
            resource: None,
            context,
        }
    }

    /// An action on a resource, for permission and session policies.
    pub fn permission(action: &'a str, resource: &'a str, context: &'a Context) -> Self {
        Self {
            caller: None,
            action,
            resource: Some(resource),
            context,
        }
    }
}

/// The values that conditions test, by key. Keys are blind to case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// The context of `sts:AssumeRole`, with the ExternalId if one is sent.
    pub fn assuming(external_id: Option<&ExternalId>) -> Self {
        match external_id {
            Some(id) => Self::default().with(EXTERNAL_ID_KEY, id.as_str()),
            None => Self::default(),
        }
    }

    /// The context and one more key with one value.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<String>) -> Self {
        self.with_values(key, [value])
    }

    /// The context and one more key with any number of values, for keys that hold sets
    /// (`aws:TagKeys`).
    #[must_use]
    pub fn with_values(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.0.insert(key.to_ascii_lowercase(), values);
        self
    }

    /// A key's values; `None` if the request does not have the key.
    pub fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

/// Without ExternalIds, which may be secret.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, values) in &self.0 {
            map.key(key);
            redacted(&mut map, key, values);
        }
        map.finish()
    }
}

fn redacted(map: &mut fmt::DebugMap<'_, '_>, key: &str, values: &[String]) {
    if is_secret(key) {
        map.value(&"REDACTED");
    } else {
        map.value(&values);
    }
}

/// Whether a key's values must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    key.eq_ignore_ascii_case(EXTERNAL_ID_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_blind_to_case() {
        let context = Context::default().with("AWS:UserName", "adele");
        assert_eq!(context.values("aws:username").unwrap(), ["adele"]);
        assert_eq!(context.values("aws:userid"), None);
    }

    #[test]
    fn debug_does_not_show_an_external_id() {
        let id = ExternalId::parse("secret-text").unwrap();
        let context = Context::assuming(Some(&id)).with("aws:username", "adele");
        let shown = format!("{context:?}");
        assert!(
            shown.contains("adele") && !shown.contains("secret-text"),
            "{shown}"
        );
    }
}

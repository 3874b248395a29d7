//! The key that requests are made with.

use std::fmt;
use std::future::Future;

use http::HeaderValue;
use sealift_core::export::source::SourceError;

/// An API key. It is not printed: `Debug` says REDACTED.
///
/// It is visible ASCII without blanks, so that it can stand in a header; white space around it,
/// which comes along when a key is pasted, is cut.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// A text that cannot be a key. It does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API key is not valid: it must be visible ASCII characters, without blanks")]
pub struct InvalidKey;

impl ApiKey {
    /// Parses a key.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidKey);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key itself.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// `Bearer <key>`, marked so that no log prints it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text of the other side without the key, should it be in there.
    pub(crate) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "REDACTED")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(REDACTED)")
    }
}

/// Where the key comes from.
///
/// Contract: a key may be kept, until it is refused; an error holds no part of it.
pub trait ApiKeys: Send + Sync {
    /// The key, kept or fetched.
    fn key(&self) -> impl Future<Output = Result<ApiKey, SourceError>> + Send;

    /// The key was refused (401): what is kept of it is to be dropped, since there may be a
    /// new one.
    fn forget(&self);
}

/// A key that does not change.
#[derive(Debug, Clone)]
pub struct FixedKey(pub ApiKey);

impl ApiKeys for FixedKey {
    async fn key(&self) -> Result<ApiKey, SourceError> {
        Ok(self.0.clone())
    }

    fn forget(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let key = ApiKey::parse(" sk-secret\n").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(REDACTED)");
        assert_eq!(
            format!("{:?}", FixedKey(key.clone())),
            "FixedKey(ApiKey(REDACTED))"
        );
        assert_eq!(format!("{:?}", key.header().unwrap()), "Sensitive");
        let said = "Invalid key sk-secret (sk-secret)";
        assert_eq!(key.removed_from(said), "Invalid key REDACTED (REDACTED)");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_key_and_is_not_repeated() {
        for bad in ["", " ", "sk secret", "sk-\u{e9}", "sk-\r\nx: y"] {
            let error = ApiKey::parse(bad).unwrap_err();
            assert!(!error.to_string().contains("sk-"), "{error}");
        }
    }
}

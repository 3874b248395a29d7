//! Where the API is, and where its answers may send us.

use std::fmt;

use http::Uri;

/// The address of Braintrust's API: `https://api.braintrust.dev`, or a data plane of one's own.
///
/// It is `https`, for it is sent a key with every request; `http` only to this machine, which
/// is where the embedded mode is, or where the operator says so
/// ([`parse_allowing_http`](Self::parse_allowing_http)). It holds no user, query or fragment.
///
/// ```
/// use sealift_braintrust::ApiUrl;
/// assert_eq!(ApiUrl::parse("https://api.braintrust.dev/").unwrap().as_str(), "https://api.braintrust.dev");
/// assert!(ApiUrl::parse("http://127.0.0.1:4000").is_ok());
/// assert!(ApiUrl::parse("http://api.braintrust.dev").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl {
    /// Without a `/` at the end.
    text: String,
    on_this_machine: bool,
}

/// An address that cannot be the API's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API URL is not valid: {0}")]
pub struct InvalidApiUrl(&'static str);

impl ApiUrl {
    /// Parses an address: `https`, or `http` to this machine.
    pub fn parse(text: &str) -> Result<Self, InvalidApiUrl> {
        Self::checked(text, false)
    }

    /// Parses an address, `http` to anywhere included: whoever is on the way can read the key.
    pub fn parse_allowing_http(text: &str) -> Result<Self, InvalidApiUrl> {
        Self::checked(text, true)
    }

    fn checked(text: &str, http_anywhere: bool) -> Result<Self, InvalidApiUrl> {
        if text.contains(['?', '#', '@']) {
            return Err(InvalidApiUrl("no user, query or fragment may stand in it"));
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| InvalidApiUrl("it must have the form https://<host>"))?;
        let on_this_machine = match uri.scheme_str() {
            Some("https") => false,
            Some("http") if is_this_machine(&uri) => true,
            Some("http") if http_anywhere => false,
            Some("http") => {
                return Err(InvalidApiUrl(
                    "it must begin with https://, since the key is sent there; http:// is for \
                     127.0.0.1 and localhost, or where it is allowed expressly",
                ));
            }
            _ => return Err(InvalidApiUrl("it must begin with https://")),
        };
        Ok(Self {
            text: text.trim_end_matches('/').to_owned(),
            on_this_machine,
        })
    }

    /// The address, without a `/` at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address that an answer points to, if it may be followed: `https`, or this machine
    /// where the API is on it too. The error says why not, without the address, which may be
    /// signed and is then as good as a key.
    pub(crate) fn follow(&self, location: &str) -> Result<Uri, &'static str> {
        let uri: Uri = location
            .parse()
            .map_err(|_| "the address it points to cannot be read")?;
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.on_this_machine && is_this_machine(&uri) => Ok(uri),
            _ => Err("the address it points to does not begin with https://"),
        }
    }
}

impl std::str::FromStr for ApiUrl {
    type Err = InvalidApiUrl;
    fn from_str(text: &str) -> Result<Self, InvalidApiUrl> {
        Self::parse(text)
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_this_machine(uri: &Uri) -> bool {
    matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_over_https_or_to_this_machine_only() {
        for good in [
            "https://api.braintrust.dev",
            "https://10.0.0.8:8443/braintrust/",
            "http://127.0.0.1:4000",
            "http://localhost",
            "http://[::1]:80/",
        ] {
            assert!(ApiUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "api.braintrust.dev",
            "http://api.braintrust.dev",
            "http://127.0.0.1.example.com",
            "http://localhost@evil.example",
            "https://user:pass@api.braintrust.dev",
            "https://api.braintrust.dev?x=1",
            "https://api.braintrust.dev#x",
            "ftp://api.braintrust.dev",
            "https://",
        ] {
            assert!(ApiUrl::parse(bad).is_err(), "{bad}");
        }
        let plain = "http://braintrust.internal:8000/";
        assert!(ApiUrl::parse(plain).is_err());
        let allowed = ApiUrl::parse_allowing_http(plain).unwrap();
        assert_eq!(allowed.as_str(), "http://braintrust.internal:8000");
    }

    #[test]
    fn an_answer_is_followed_to_https_or_within_this_machine() {
        let remote = ApiUrl::parse("https://api.braintrust.dev").unwrap();
        let local = ApiUrl::parse("http://127.0.0.1:4000").unwrap();
        let plain = ApiUrl::parse_allowing_http("http://braintrust.internal").unwrap();
        let signed = "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=abc";
        for from in [&remote, &local, &plain] {
            assert!(from.follow(signed).is_ok());
            assert!(from.follow("http://bucket.s3.amazonaws.com/x").is_err());
            assert!(from.follow("/x").is_err());
        }
        let here = "http://localhost:9000/x";
        assert!(local.follow(here).is_ok());
        assert!(remote.follow(here).is_err() && plain.follow(here).is_err());
    }
}

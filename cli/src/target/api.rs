//! The control API, as a client sees it.

use std::fmt::{self, Write as _};

use anyhow::Context as _;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use sealift_aws::SystemClock;
use sealift_core::ports::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Http;
use super::sign::{Scope, signed};
use crate::text::printable;

/// How one gets in.
#[derive(Debug)]
pub(super) enum Door {
    /// With a token.
    Token(HeaderValue),
    /// With a signature.
    Signed {
        credentials: Credentials,
        region: String,
    },
}

/// A control API.
pub(crate) struct Api {
    http: Http,
    url: String,
    door: Door,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer(Bytes);

impl Api {
    pub(super) fn new(url: &str, door: Door) -> anyhow::Result<Self> {
        let http = Http::new()?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http, url, door })
    }

    /// Asks for what is there. `path` and `query` are plain texts.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query);
        let query = text.finish();
        self.call(Method::GET, path, &query, None).await
    }

    /// Has something done.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, "", Some(body)).await
    }

    /// Makes something, or replaces it.
    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> anyhow::Result<Answer> {
        self.call(Method::PUT, path, "", Some(body)).await
    }

    /// Changes something.
    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> anyhow::Result<Answer> {
        self.call(Method::PATCH, path, "", Some(body)).await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &[&str]) -> anyhow::Result<Answer> {
        self.call(Method::DELETE, path, "", None).await
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let mut uri = self.url.clone();
        for part in path {
            uri.push('/');
            uri.push_str(&encoded(part));
        }
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(query);
        }
        let mut request = Request::builder().method(method).uri(uri);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = request
            .body(Bytes::from(body))
            .with_context(|| format!("{} cannot be asked", self.url))?;
        match &self.door {
            Door::Token(bearer) => {
                let headers = request.headers_mut();
                headers.insert(header::AUTHORIZATION, bearer.clone());
            }
            Door::Signed {
                credentials,
                region,
            } => {
                let scope = Scope {
                    service: "execute-api",
                    region,
                    now: SystemClock.now(),
                };
                request = signed(request, credentials, &scope)?;
            }
        }
        let answer = self.http.send(request).await?;
        let (head, body) = answer.into_parts();
        match head.status.is_success() {
            true => Ok(Answer(body)),
            false => Err(ApiError::read(head.status, &head.headers, &body).into()),
        }
    }
}

impl Answer {
    /// What is in it.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.0).context(
            "the API's answer cannot be read: it is no control API of Sealift's, or one of another version",
        )
    }
}

/// A part of a path. All but the characters that never mean anything are written in hex, since what is
/// signed must be what arrives.
fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A text as a shell reads it back.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What the API refused, in its words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// HTTP's status.
    pub(crate) status: u16,
    /// The API's code.
    pub(crate) code: String,
    /// What is wrong, and what to do.
    pub(crate) message: String,
    /// The field that it is about.
    pub(crate) field: Option<String>,
    /// By which the log is searched.
    pub(crate) request_id: Option<String>,
    /// The check that is in the way.
    pub(crate) check: Option<Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    check: Option<Value>,
}

/// What API Gateway answers by itself.
#[derive(Deserialize)]
struct Gateway {
    message: String,
}

impl ApiError {
    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let name = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = name("x-request-id").or_else(|| name("apigw-requestid"));
        let request_id = request_id.map(printable);
        if let Ok(Refused { error }) = serde_json::from_slice(body) {
            return Self {
                status: status.as_u16(),
                code: printable(&error.code),
                message: clean(&error.message),
                field: error.field.as_deref().map(printable),
                request_id,
                check: error.check,
            };
        }
        let said = match serde_json::from_slice(body) {
            Ok(Gateway { message }) => printable(&message),
            Err(_) => printable(&String::from_utf8_lossy(body)),
        };
        let (code, means) = match status {
            StatusCode::UNAUTHORIZED => (
                "unauthenticated",
                "the token or the AWS credentials are not taken",
            ),
            StatusCode::FORBIDDEN => (
                "forbidden",
                "API Gateway does not let these AWS credentials in: their policy has to allow \
                 execute-api:Invoke on the operators' API, and customers come by token to their own",
            ),
            StatusCode::NOT_FOUND => ("not_found", "there is no control API at this address"),
            StatusCode::TOO_MANY_REQUESTS => {
                ("throttled", "there were too many requests; try again")
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => (
                "no_answer",
                "the function did not answer within API Gateway's half minute. What was asked for may be \
                 done all the same: look at the destination's status",
            ),
            _ => ("unexpected", "the answer is not one of a control API's"),
        };
        Self {
            status: status.as_u16(),
            code: code.to_owned(),
            message: format!("{means} (HTTP {}: {said})", status.as_u16()),
            field: None,
            request_id,
            check: None,
        }
    }
}

/// Without what would move a terminal's cursor.
fn clean(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, self.code)?;
        if let Some(field) = &self.field {
            write!(f, ", field {field}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, ", request {request_id}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ApiError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        ApiError::read(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    #[test]
    fn a_refusal_is_told_with_its_code_its_field_and_the_requests_name() {
        let body = r#"{"error":{"code":"invalid","message":"`bucket` \"A\" cannot be used","field":"bucket"}}"#;
        assert_eq!(
            error(400, &[("x-request-id", "r-1")], body).to_string(),
            "`bucket` \"A\" cannot be used (invalid, field bucket, request r-1)"
        );
        let body =
            r#"{"error":{"code":"not_healthy","message":"it was never checked","check":null}}"#;
        let error = error(409, &[], body);
        assert_eq!(error.to_string(), "it was never checked (not_healthy)");
        assert_eq!(error.check, None);
    }

    #[test]
    fn what_api_gateway_says_by_itself_is_explained() {
        let gateway = [("apigw-requestid", "g-1")];
        let denied = error(403, &gateway, r#"{"message":"Forbidden"}"#).to_string();
        assert!(
            denied.contains("execute-api:Invoke")
                && denied.ends_with("(HTTP 403: Forbidden) (forbidden, request g-1)"),
            "{denied}"
        );
        let late = error(503, &gateway, r#"{"message":"Service Unavailable"}"#);
        assert!(late.to_string().contains("status"), "{late}");
        let strange = error(502, &[], "<html>\u{1b}[2J");
        assert_eq!(
            strange.to_string(),
            "the answer is not one of a control API's (HTTP 502: <html> [2J) (unexpected)"
        );
    }

    #[test]
    fn names_stand_in_a_path_as_they_are_meant() {
        assert_eq!(encoded("a-b.c_d~1"), "a-b.c_d~1");
        assert_eq!(encoded("a+b=c,d@e/f"), "a%2Bb%3Dc%2Cd%40e%2Ff");
        assert_eq!(encoded("ö"), "%C3%B6");
    }

    #[test]
    fn a_shell_reads_back_what_is_quoted() {
        for (text, shown) in [
            ("audit-events/", "audit-events/"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}

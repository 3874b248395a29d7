//! What comes in: the names in a path, and bodies.
//!
//! A body is refused with the place that is wrong, and never with what stands there: it may be an
//! access key in the wrong field.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use sealift_core::control::PageRequest;
use sealift_core::id::{DestinationId, OrgId};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::refusal::Refusal;

/// The most bytes that a body may have.
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// The organization of the path.
pub(crate) struct Organization(pub(crate) OrgId);

/// The destination of the path.
pub(crate) struct Target {
    pub(crate) organization: OrgId,
    pub(crate) id: DestinationId,
}

/// The replay of the path.
pub(crate) struct Replay(pub(crate) String);

/// The part of a list that the query asks for.
pub(crate) struct Paging(pub(crate) PageRequest);

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body that may be left out.
pub(crate) struct MaybeBody<T>(pub(crate) T);

async fn name<S: Send + Sync>(parts: &mut Parts, state: &S, of: &str) -> Result<String, Refusal> {
    let names = RawPathParams::from_request_parts(parts, state).await;
    let names = names.map_err(|_| Refusal::not_found("the path leads nowhere"))?;
    let name = names.iter().find(|(name, _)| *name == of);
    name.map(|(_, value)| value.to_owned())
        .ok_or_else(|| Refusal::not_found("the path leads nowhere"))
}

impl<S: Send + Sync> FromRequestParts<S> for Organization {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let name = name(parts, state, "organization").await?;
        // One that cannot be named cannot be there.
        let parsed = OrgId::parse(name);
        let missing = |_| Refusal::not_found("there is no organization of such a name");
        parsed.map(Self).map_err(missing)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Organization(organization) = Organization::from_request_parts(parts, state).await?;
        let id = DestinationId::parse(name(parts, state, "destination").await?);
        let missing = |_| Refusal::not_found("there is no destination of such a name");
        let id = id.map_err(missing)?;
        Ok(Self { organization, id })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Replay {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        name(parts, state, "replay").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await;
        let bad = |error: QueryRejection| described_query(&error.body_text());
        query.map(|Query(page)| Self(page)).map_err(bad)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let (headers, bytes) = read(request, state).await?;
        if bytes.is_empty() {
            return Err(Refusal::invalid("the body is missing; send a JSON object"));
        }
        parse(&headers, &bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let (headers, bytes) = read(request, state).await?;
        match bytes.is_empty() {
            true => Ok(Self(T::default())),
            false => parse(&headers, &bytes).map(Self),
        }
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<(HeaderMap, Bytes), Refusal> {
    let headers = request.headers().clone();
    let bytes = Bytes::from_request(request, state).await;
    let bytes = bytes.map_err(|error: BytesRejection| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body may have at most {MOST_BYTES} bytes"),
        ),
        _ => Refusal::invalid("the body was cut off"),
    })?;
    Ok((headers, bytes))
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refusal> {
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.to_str());
    if !matches!(media_type, Some(Ok(text)) if is_json(text)) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be JSON, and the header content-type say application/json",
        ));
    }
    // A list would be taken for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::invalid("the body must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        described(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| described(".", &error))?;
    Ok(value)
}

/// `application/json`, with UTF-8 as charset if one is named.
fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let charset = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    essence.eq_ignore_ascii_case("application/json") && parts.all(charset)
}

/// An error of the query's reader, without the values that it quotes. Where it knows the
/// parameter, its text begins with that.
fn described_query(text: &str) -> Refusal {
    let at = |field: &&str| text.contains(&format!(": {field}: "));
    match ["limit", "starting_after"].into_iter().find(at) {
        Some(field) => Refusal::invalid(format!("`{field}` of the query cannot be used")),
        None => Refusal::invalid(
            "the query cannot be read: it takes `limit`, a number, and `starting_after`, each once",
        ),
    }
}

/// An error of the JSON reader, without the values that it quotes.
fn described(path: &str, error: &serde_json::Error) -> Refusal {
    let path = named(path);
    let (line, column) = (error.line(), error.column());
    let place = format!("at line {line}, column {column}");
    let refusal = match error.classify() {
        Category::Syntax => Refusal::invalid(format!("the body is no JSON, {place}")),
        Category::Eof => Refusal::invalid(format!("the body ends too early, {place}")),
        // There is nothing that a body in memory could be read from wrongly.
        Category::Io => return Refusal::invalid("the body cannot be read"),
        Category::Data => {
            let text = error.to_string();
            // Only where a place is known does the text end with it.
            let end = match line {
                0 => None,
                _ => text.rsplit_once(" at line ").map(|(message, _)| message),
            };
            let reason = reason(end.unwrap_or(&text));
            match path {
                "." => Refusal::invalid(format!("the body {reason}, {place}")),
                field => Refusal::invalid(format!("`{field}` {reason}, {place}")),
            }
        }
    };
    match path {
        "." => refusal,
        field => refusal.of_field(field),
    }
}

/// The part of a path that consists of fields' names and places in lists. What follows is a name
/// of the caller's own, which could be a secret.
fn named(path: &str) -> &str {
    let name = |segment: &str| {
        let letters = segment.split('[').next().unwrap_or_default();
        letters.len() <= LONGEST_NAME && letters.chars().all(is_of_name)
    };
    let segments = path.split('.').take_while(|segment| name(segment));
    let length = segments.map(|segment| segment.len() + 1).sum::<usize>();
    let known = path.get(..length.saturating_sub(1)).unwrap_or(path);
    if known.is_empty() { "." } else { known }
}

/// The longest name of a field that is shown, in bytes; all that are known are shorter.
const LONGEST_NAME: usize = 32;

/// Whether the character stands in fields' names, none of which has a digit.
fn is_of_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '-'
}

/// What is wrong, in words of ours: of serde's own, only what names fields and what was expected.
fn reason(message: &str) -> String {
    let of = |start: &str| message.starts_with(start);
    if of("unknown field ") {
        // The names are the caller's own, and as long as they like.
        let known = message.rsplit_once(", expected ").map(|(_, known)| known);
        let unknown: String = message
            .chars()
            .skip("unknown field ".len())
            .skip_while(|c| *c == '`')
            .take_while(|c| *c != '`')
            .take(80)
            .collect();
        let unknown = sealift_core::audit::secrets::redact_text(&unknown);
        // One that could be a secret is not named.
        let shown = unknown.len() <= LONGEST_NAME && unknown.chars().all(is_of_name);
        let unknown = match shown {
            true => format!("has the unknown field `{unknown}`"),
            false => "has an unknown field".to_owned(),
        };
        return match known {
            Some(known) => format!("{unknown}; expected {known}"),
            None => format!("{unknown}; it takes none"),
        };
    }
    if of("missing field ") || of("duplicate field ") {
        return format!("has a {message}");
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("cannot be used: expected {expected}"),
        None => "cannot be used".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_media_type() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json-seq",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_path_is_named_as_far_as_it_consists_of_names() {
        for (path, expected) in [
            ("bucket", "bucket"),
            ("included_events[12]", "included_events[12]"),
            ("config.credentials.role_arn", "config.credentials.role_arn"),
            ("config.sEcReT/0+1", "config"),
            ("sEcReT/0+1.x", "."),
            ("sEcReT0", "."),
            (".", "."),
            ("", "."),
        ] {
            assert_eq!(named(path), expected, "{path}");
        }
    }

    #[test]
    fn a_reason_holds_no_value_that_was_sent() {
        for (message, expected) in [
            (
                "unknown field `buckt`, expected one of `bucket`, `region`",
                "has the unknown field `buckt`; expected one of `bucket`, `region`",
            ),
            (
                "unknown field `sEcReT0`, expected `bucket`",
                "has an unknown field; expected `bucket`",
            ),
            (
                "unknown field `x`, there are no fields",
                "has the unknown field `x`; it takes none",
            ),
            ("missing field `bucket`", "has a missing field `bucket`"),
            (
                "invalid type: string \"x, expected sEcReT at line 7\", expected a boolean",
                "cannot be used: expected a boolean",
            ),
            (
                "unknown variant `sEcReT`, expected `iam_role` or `access_keys`",
                "cannot be used: expected `iam_role` or `access_keys`",
            ),
            ("sEcReT", "cannot be used"),
        ] {
            assert_eq!(reason(message), expected);
        }
    }
}

//! What a caller is told when something is not done.

use axum::Json;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sealift_core::control::{CheckView, ControlError};
use serde::Serialize;

/// Seconds after which what is busy or out of order may be asked for again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// A refusal: a status, and `{"error": {"code", "message", "field"?, "check"?}}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: Told,
    may_pass: bool,
    internal: Option<Internal>,
}

/// What went wrong inside, in words that are for the log alone.
#[derive(Debug, Clone)]
pub(crate) struct Internal(pub(crate) String);

#[derive(Debug, Serialize)]
struct Told {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Box<CheckView>>,
}

#[derive(Serialize)]
struct Body {
    error: Told,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: Told {
                code,
                message: message.into(),
                field: None,
                check: None,
            },
            may_pass: false,
            internal: None,
        }
    }

    /// A request that cannot be read.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// A path that leads nowhere, or not to anything that the caller may see.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Nobody who is known calls.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// Names the field that it is about.
    pub(crate) fn of_field(mut self, field: impl Into<String>) -> Self {
        self.error.field = Some(field.into());
        self
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        let may_pass = error.may_pass();
        if error.is_internal() {
            let (status, code, message) = match may_pass {
                true => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "it cannot be done at the moment; try again in a few seconds",
                ),
                false => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "something is wrong on our side; if it stays so, tell the operator the x-request-id of this answer",
                ),
            };
            let internal = Some(Internal(error.to_string()));
            let refusal = Self::new(status, code, message);
            return Self {
                may_pass,
                internal,
                ..refusal
            };
        }
        let message = error.to_string();
        let (status, code) = match &error {
            ControlError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            ControlError::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid"),
            ControlError::Taken { .. } => (StatusCode::CONFLICT, "taken"),
            ControlError::NotHealthy { .. } => (StatusCode::CONFLICT, "not_healthy"),
            ControlError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            ControlError::Busy => (StatusCode::CONFLICT, "busy"),
            _ => (StatusCode::CONFLICT, "conflict"),
        };
        let refusal = Self::new(status, code, message);
        let mut refusal = Self {
            may_pass,
            ..refusal
        };
        match error {
            ControlError::Invalid { field, .. } => refusal = refusal.of_field(field),
            ControlError::NotHealthy { check, .. } => refusal.error.check = check,
            _ => {}
        }
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        if self.may_pass {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let body = Json(Body { error: self.error });
        let mut response = (self.status, headers, body).into_response();
        if let Some(internal) = self.internal {
            // Whoever writes the log knows the request's id.
            response.extensions_mut().insert(internal);
        }
        response
    }
}

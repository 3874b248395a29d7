//! Requests that are refused, in the form in which Braintrust says so.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::query::Misread;
use super::reply::Reply;
use super::validate::Invalid;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What is not there, or not to be seen, which Braintrust does not tell apart.
    ///
    /// The words "Missing read access" are seen in public; the status is our choice. The
    /// OpenAPI file lists 400, 401, 403, 429 and 500 for every operation, and no 404.
    pub(crate) fn missing(kind: &str, id: &str) -> Self {
        let message =
            format!("Missing read access to {kind} id {id}, or the {kind} does not exist");
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Confirmed: an error's body is `{"Message": …}` with two remarks at the message's end.
    pub(crate) fn reply(self, now: Timestamp) -> Reply {
        let Self { status, message } = self;
        let time = now.as_second();
        let text = format!("{message} [user_email=sealift@example.com] [timestamp={time}]");
        let mut reply = Reply::json(&json!({ "Message": text }));
        reply.status = status;
        reply
    }
}

impl From<Misread> for Refusal {
    fn from(misread: Misread) -> Self {
        Self::bad_request(format!("This query is not understood: {misread}"))
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(invalid.to_string())
    }
}

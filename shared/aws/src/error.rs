//! What a failure of the SDK means to Sealift.
//!
//! An `SdkError` prints as "service error" and keeps the rest inside. [`store_error`] takes
//! out what helps (the service's code, message and request id) and sorts it by what the
//! caller can do. Nothing of the request goes into an error, so no secret can.

use std::error::Error;
use std::io;

use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use sealift_core::check::Obstacle;
use sealift_core::ports::{Failure, StoreError};

use sealift_core::reach::NotPublic;

/// The longest message that is kept, in characters: an endpoint may answer with a page.
const LONGEST_MESSAGE: usize = 600;

/// What was asked, for the error's text.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The operation: `PutObject`.
    pub operation: &'static str,
    /// What it was aimed at: `s3://bucket/key`.
    pub target: &'a str,
}

impl Request<'_> {
    /// A failure in our own words, where there was no answer or none that could be used.
    pub fn failure(&self, code: &str, message: impl Into<String>) -> Failure {
        Failure {
            operation: self.operation.to_owned(),
            target: self.target.to_owned(),
            code: code.to_owned(),
            message: tidy(&message.into()),
            request_id: String::new(),
        }
    }
}

/// Turns a failure of the SDK into the decision that it asks for.
pub fn store_error<E>(request: Request<'_>, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or_default();
            let message = answer.err().message().unwrap_or_default();
            let mut failure = request.failure(code, message);
            if code.is_empty() {
                failure.code = format!("HTTP {status}");
            }
            failure.request_id = request_id(answer.raw());
            decide(status, code, failure)
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            let mut failure = request.failure(&format!("HTTP {status}"), in_words(error));
            failure.request_id = request_id(answer.raw());
            // A good answer that broke off in the middle is a torn connection.
            if answer.raw().status().is_success() {
                StoreError::Transient(failure)
            } else {
                decide(status, "", failure)
            }
        }
        SdkError::ConstructionFailure(_) => {
            StoreError::Invalid(request.failure("", in_words(error)))
        }
        // Dispatch failures, time-outs, and whatever the SDK may add.
        _ => {
            let failure = request.failure("", in_words(error));
            let asks_for_change = matches!(error, SdkError::DispatchFailure(f) if f.is_user())
                || find::<NotPublic>(error).is_some();
            if asks_for_change {
                StoreError::Invalid(failure)
            } else {
                StoreError::Transient(failure)
            }
        }
    }
}

/// Whether the credentials of a request that failed so must not be used again: what they were
/// given for may have been taken back, or they have ended.
pub(crate) fn spoils<E>(error: &SdkError<E, HttpResponse>, decision: &StoreError) -> bool {
    status(error) == Some(403)
        || matches!(decision, StoreError::Denied(_))
        || decision.failure().code == "ExpiredToken"
}

/// What stood in the way of a request that had no answer, as far as that can be told.
pub(crate) fn obstacle<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Option<Obstacle> {
    match error {
        SdkError::TimeoutError(_) => Some(Obstacle::TimedOut),
        SdkError::DispatchFailure(failure) => {
            if find::<NotPublic>(error).is_some() {
                Some(Obstacle::NotPublic)
            } else if find::<ResolveDnsError>(error).is_some() {
                Some(Obstacle::NoAddress)
            } else if failure.is_timeout() {
                Some(Obstacle::TimedOut)
            } else {
                find::<io::Error>(error).and_then(of_connection)
            }
        }
        _ => None,
    }
}

/// A failed handshake is an error of its own inside the connection's, and rustls calls what it
/// does not like invalid data.
fn of_connection(error: &io::Error) -> Option<Obstacle> {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<io::Error>());
    match error.kind() {
        _ if inner.is_some() => Some(Obstacle::Tls),
        io::ErrorKind::InvalidData => Some(Obstacle::Tls),
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => Some(Obstacle::Unreachable),
        io::ErrorKind::TimedOut => Some(Obstacle::TimedOut),
        _ => None,
    }
}

/// Turns a failure that a good answer tells of a part of what was asked, by its code alone, into
/// the decision that it asks for.
#[cfg(feature = "event-bridge")]
pub(crate) fn partial_error(request: Request<'_>, code: &str, message: &str) -> StoreError {
    // Services that speak JSON answer with 400 to what their codes tell apart.
    decide(400, code, request.failure(code, message))
}

/// The HTTP status of the answer, if there was one.
pub fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// Sorts an answer by the service's code where it says more than the status, and else by the
/// status. The codes are S3's and the common ones:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html>
fn decide(status: u16, code: &str, failure: Failure) -> StoreError {
    match code {
        // New credentials will be fetched, clocks come right again, throttles end. S3 answers
        // some of these with 400 or 403.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestTimeTooSkewed"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "InternalError"
        | "InternalFailure"
        | "SlowDown"
        | "ServiceUnavailable"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequestsException" => return StoreError::Transient(failure),
        _ if code.contains("Throttl") => return StoreError::Transient(failure),
        // Services that speak JSON answer these with 400.
        "AccessDenied"
        | "AccessDeniedException"
        | "InvalidToken"
        | "UnrecognizedClientException" => return StoreError::Denied(failure),
        _ => {}
    }
    match status {
        401 | 403 => StoreError::Denied(failure),
        409 => StoreError::Conflict(failure),
        // 501 says that the endpoint does not know a header, and will not learn it.
        501 | 505 => StoreError::Invalid(failure),
        408 | 429 | 500.. => StoreError::Transient(failure),
        _ => StoreError::Invalid(failure),
    }
}

/// Both spellings are in use: S3's, and everybody else's.
fn request_id(answer: &HttpResponse) -> String {
    let headers = answer.headers();
    let id = headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"));
    tidy(id.unwrap_or_default())
}

/// The error and its causes, each in its own words, without their `Debug` forms, which would
/// show the request.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// The first cause of the type.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Cuts a text that came from outside, and keeps it on one line.
fn tidy(text: &str) -> String {
    text.chars()
        .take(LONGEST_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(status: u16, code: &str) -> &'static str {
        let request = Request {
            operation: "PutObject",
            target: "s3://bucket/key",
        };
        match decide(status, code, request.failure(code, "")) {
            StoreError::Transient(_) => "transient",
            StoreError::Conflict(_) => "conflict",
            StoreError::Denied(_) => "denied",
            StoreError::Invalid(_) => "invalid",
        }
    }

    #[test]
    fn an_answer_is_sorted_by_its_code_and_else_by_its_status() {
        for (status, code, expected) in [
            (503, "SlowDown", "transient"),
            (500, "InternalError", "transient"),
            (502, "", "transient"),
            (429, "", "transient"),
            (408, "", "transient"),
            (400, "RequestTimeout", "transient"),
            (400, "Throttling", "transient"),
            (400, "ThrottlingException", "transient"),
            (400, "ExpiredToken", "transient"),
            (403, "ExpiredTokenException", "transient"),
            (403, "RequestTimeTooSkewed", "transient"),
            (409, "ConditionalRequestConflict", "conflict"),
            (409, "OperationAborted", "conflict"),
            (403, "AccessDenied", "denied"),
            (403, "", "denied"),
            (401, "Unauthorized", "denied"),
            (400, "AccessDeniedException", "denied"),
            (400, "InvalidToken", "denied"),
            (403, "SignatureDoesNotMatch", "denied"),
            (404, "NoSuchBucket", "invalid"),
            (301, "PermanentRedirect", "invalid"),
            (400, "AuthorizationHeaderMalformed", "invalid"),
            (400, "KMS.DisabledException", "invalid"),
            (501, "NotImplemented", "invalid"),
        ] {
            assert_eq!(decided(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_page_for_an_answer_is_cut_to_one_line() {
        let page = "<html>\r\n".repeat(1000);
        let tidied = tidy(&page);
        assert_eq!(tidied.chars().count(), LONGEST_MESSAGE);
        assert!(!tidied.contains(['\r', '\n']));
    }
}

//! S3's errors in AWS's words.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

use super::store::StoreError;
use crate::faults::Effect;
use crate::iam::{Answer, Refusal};

pub(crate) fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// The answer to somebody whom no policy lets do this, or whom one forbids it.
pub(crate) fn not_authorized(arn: &str, action: &str, resource: &str, answer: &Answer) -> S3Error {
    let why = match answer {
        Answer::Unclear(error) => return not_implemented(&format!("such a policy: {error}")),
        Answer::Allowed => return access_denied(),
        Answer::NotAllowed => {
            format!("because no identity-based policy allows the {action} action")
        }
        Answer::NotInSession => format!("because no session policy allows the {action} action"),
        Answer::Forbidden => "with an explicit deny in an identity-based policy".to_owned(),
        Answer::ForbiddenInSession => "with an explicit deny in a session policy".to_owned(),
    };
    s3_error!(
        AccessDenied,
        "User: {arn} is not authorized to perform: {action} on resource: \"{resource}\" {why}"
    )
}

pub(crate) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

pub(crate) fn no_such_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

pub(crate) fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

pub(crate) fn precondition_failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold"
    )
}

/// What the embedded S3 does not do, said so that nobody takes it for AWS's answer.
pub(crate) fn not_implemented(what: &str) -> S3Error {
    s3_error!(NotImplemented, "the embedded S3 does not implement {what}")
}

pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "the embedded S3 failed");
    s3_error!(
        error,
        InternalError,
        "We encountered an internal error. Please try again."
    )
}

/// An error whose code `s3s` has no name for.
pub(crate) fn other(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InvalidRequest);
    let mut error = S3Error::with_message(code, message);
    error.set_status_code(status);
    error
}

pub(crate) fn refused(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::UnknownKey => s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        ),
        Refusal::WrongToken => s3_error!(
            InvalidToken,
            "The provided token is malformed or otherwise invalid."
        ),
        Refusal::Expired => s3_error!(ExpiredToken, "The provided token has expired."),
    }
}

/// The answer that a fault asks for; `None` if it asks for something else than an answer.
pub(crate) fn injected(effect: Effect) -> Option<S3Error> {
    match effect {
        Effect::SlowDown => Some(s3_error!(SlowDown, "Please reduce your request rate.")),
        Effect::InternalError => Some(s3_error!(
            InternalError,
            "We encountered an internal error. Please try again."
        )),
        Effect::Conflict => Some(s3_error!(
            ConditionalRequestConflict,
            "The conditional request cannot succeed due to a conflicting operation against this resource."
        )),
        Effect::PreconditionFailed => Some(precondition_failed()),
        Effect::AccessDenied | Effect::TearBefore => Some(access_denied()),
        Effect::LoseReply | Effect::TearBody { .. } | Effect::Latency(_) => None,
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => no_such_key(),
            StoreError::Precondition => precondition_failed(),
            StoreError::NoFile(reason) => s3_error!(InvalidArgument, "{reason}"),
            StoreError::Io(error) => internal(error),
        }
    }
}

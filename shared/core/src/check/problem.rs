//! What a failed try means: everything that can be told apart.

use serde::{Deserialize, Serialize};

use super::attempts::{Obstacle, Trouble};
use super::checker::Seen;
use super::{Verdict, denial};
use crate::destination::{Credentials, Destination};
use crate::ports::StoreError;
use crate::role_check::{self, Attempt, Matrix};

/// What is wrong with a destination. Of several things it is the one to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The role lets in what it must refuse.
    RoleUnsafe,
    /// The role refuses Sealift: its principal or the ExternalId, or there is no such role.
    RoleRefused,
    /// The role could not be tried, for a reason that has nothing to do with it.
    RoleUntried,
    /// A role with an endpoint that is not AWS's.
    RoleNeedsAws,
    /// There is no such bucket.
    NoSuchBucket,
    /// The bucket is in another region.
    WrongRegion,
    /// An endpoint that is not AWS's redirects, and no redirect is followed.
    Redirected,
    /// The bucket belongs to another account.
    WrongOwner,
    /// Writing is refused.
    WriteDenied,
    /// The use of the KMS key is refused.
    KmsDenied,
    /// The KMS key is of no use: disabled, missing, of another region.
    KmsUnusable,
    /// The storage class is not taken.
    StorageClassRefused,
    /// The bucket locks its objects, and asks for a checksum that does not go along.
    ChecksumRequired,
    /// There are no access keys.
    KeysMissing,
    /// The access keys cannot be read from where they are kept.
    KeysUnread,
    /// The access keys are no good.
    KeysRefused,
    /// The endpoint's name has no address.
    NoAddress,
    /// The endpoint is not on the public internet.
    NotPublic,
    /// Nobody takes connections at the endpoint.
    Unreachable,
    /// No TLS session came about.
    TlsFailed,
    /// There was no answer to go by: throttled, timed out, out of order.
    NoAnswer,
    /// None of these.
    Other,
}

impl Problem {
    /// What a check comes to if this is what it finds.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::RoleUnsafe => Verdict::Unsafe,
            Self::RoleUntried | Self::NoAnswer => Verdict::Unknown,
            _ => Verdict::Failing,
        }
    }
}

/// What a role's answers mean; nothing if it is healthy.
pub(super) fn of_role(matrix: &Matrix) -> Option<Problem> {
    match matrix.verdict() {
        role_check::Verdict::Healthy => None,
        role_check::Verdict::Unsafe { .. } => Some(Problem::RoleUnsafe),
        role_check::Verdict::Refused => Some(Problem::RoleRefused),
        role_check::Verdict::Unknown => {
            let untried = |(_, attempt): &(_, Attempt)| matches!(attempt, Attempt::Invalid(_));
            let untried = matrix.attempts().iter().any(untried);
            Some(if untried {
                Problem::RoleUntried
            } else {
                Problem::NoAnswer
            })
        }
    }
}

/// What the failed canary means.
pub(super) fn of_write(destination: &Destination, seen: &Seen, trouble: &Trouble) -> Problem {
    if let Some(obstacle) = trouble.obstacle {
        return of_obstacle(obstacle);
    }
    let failure = trouble.failure();
    match (failure.operation.as_str(), &trouble.error) {
        (_, error) if error.may_pass() => Problem::NoAnswer,
        ("PutObject", _) => of_answer(destination, seen, trouble),
        ("AssumeRole", StoreError::Denied(_)) => Problem::RoleRefused,
        ("AssumeRole" | "Connect", _) => Problem::Other,
        // All that is left is the vault.
        (_, StoreError::Denied(failure)) if !failure.code.starts_with("AccessDenied") => {
            Problem::KeysMissing
        }
        _ => Problem::KeysUnread,
    }
}

fn of_obstacle(obstacle: Obstacle) -> Problem {
    match obstacle {
        Obstacle::NoAddress => Problem::NoAddress,
        Obstacle::NotPublic => Problem::NotPublic,
        Obstacle::Unreachable => Problem::Unreachable,
        Obstacle::Tls => Problem::TlsFailed,
        Obstacle::TimedOut => Problem::NoAnswer,
    }
}

/// By S3's code, and where that says too little, by its message.
///
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>;
/// for the checksum of locked objects
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>;
/// for KMS <https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html#API_GenerateDataKey_Errors>,
/// whose names S3 answers with after `KMS.`
fn of_answer(destination: &Destination, seen: &Seen, trouble: &Trouble) -> Problem {
    let failure = trouble.failure();
    let message = failure.message.to_lowercase();
    let denied = matches!(trouble.error, StoreError::Denied(_));
    let elsewhere = destination.location.endpoint.is_some();
    match failure.code.as_str() {
        "NoSuchBucket" => return Problem::NoSuchBucket,
        "PermanentRedirect" | "TemporaryRedirect" if elsewhere => return Problem::Redirected,
        code if elsewhere && code.starts_with("HTTP 3") => return Problem::Redirected,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "HTTP 301"
        | "HTTP 307" => return Problem::WrongRegion,
        "InvalidStorageClass" => return Problem::StorageClassRefused,
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "Unauthorized"
            if destination.credentials == Credentials::AccessKeys =>
        {
            return Problem::KeysRefused;
        }
        _ => {}
    }
    let about_kms = denial::is_about_kms(failure);
    if denial::needs_checksum(failure) {
        Problem::ChecksumRequired
    } else if about_kms && denied {
        Problem::KmsDenied
    } else if about_kms {
        Problem::KmsUnusable
    } else if message.contains("storage class") || message.contains("x-amz-storage-class") {
        Problem::StorageClassRefused
    } else if denied && seen.owner_fits() == Some(false) {
        Problem::WrongOwner
    } else if denied {
        Problem::WriteDenied
    } else if seen.other_region(destination).is_some() {
        Problem::WrongRegion
    } else {
        Problem::Other
    }
}

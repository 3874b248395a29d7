//! The rows of a report.

use super::attempts::Trouble;
use super::checker::{Scene, Seen};
use super::{Outcome, Problem, Row, Step};
use crate::destination::{Credentials, Destination};
use crate::policy::trust::Probe;
use crate::ports::{Failure, StoreError};
use crate::role_check::Attempt;

/// A row for all that was tried, and for what was not.
pub(super) fn of(scene: &Scene<'_>, problem: Option<Problem>) -> Vec<Row> {
    let mut rows = Vec::new();
    let destination = scene.destination;
    if matches!(destination.credentials, Credentials::IamRole { .. }) {
        for (number, probe) in Probe::ALL.into_iter().enumerate() {
            let attempt = scene
                .matrix
                .and_then(|matrix| matrix.attempts().get(number));
            rows.push(of_attempt(probe, attempt.map(|(_, attempt)| attempt)));
        }
    }
    let Some(seen) = scene.seen else {
        rows.extend(steps(destination).into_iter().map(skipped));
        return rows;
    };
    rows.extend(steps(destination).into_iter().map(|step| match step {
        Step::HeadBucket => tried(step, &seen.look.answer),
        Step::BucketRegion => of_region(destination, seen),
        Step::BucketOwner => of_owner(seen),
        Step::GenerateDataKey => of_key(seen, problem),
        _ => of_write(destination, seen, problem),
    }));
    rows
}

/// What is tried of the bucket of a destination of this kind.
fn steps(destination: &Destination) -> Vec<Step> {
    let at_aws = destination.location.endpoint.is_none();
    let has_owner = matches!(destination.credentials, Credentials::IamRole { .. });
    let has_key = destination.storage.kms_key_arn.is_some();
    [
        (Step::HeadBucket, true),
        (Step::BucketRegion, at_aws),
        (Step::BucketOwner, has_owner),
        (Step::PutObject, true),
        (Step::GenerateDataKey, has_key),
    ]
    .into_iter()
    .filter_map(|(step, applies)| applies.then_some(step))
    .collect()
}

fn row(step: Step, outcome: Outcome) -> Row {
    let permission = match step {
        Step::AssumeWithoutExternalId
        | Step::AssumeWithWrongExternalId
        | Step::AssumeWithOtherOrganizations
        | Step::AssumeRole => Some("sts:AssumeRole"),
        Step::HeadBucket => Some("s3:ListBucket"),
        Step::PutObject => Some("s3:PutObject"),
        Step::GenerateDataKey => Some("kms:GenerateDataKey"),
        Step::BucketRegion | Step::BucketOwner => None,
    };
    let wanted = match step {
        Step::AssumeWithoutExternalId
        | Step::AssumeWithWrongExternalId
        | Step::AssumeWithOtherOrganizations => Outcome::Denied,
        _ => Outcome::Allowed,
    };
    Row {
        step,
        permission: permission.map(str::to_owned),
        wanted,
        outcome,
        code: String::new(),
        message: String::new(),
        request_id: String::new(),
    }
}

fn failed(step: Step, outcome: Outcome, failure: &Failure) -> Row {
    Row {
        code: failure.code.clone(),
        message: failure.message.clone(),
        request_id: failure.request_id.clone(),
        ..row(step, outcome)
    }
}

fn skipped(step: Step) -> Row {
    row(step, Outcome::Skipped)
}

fn of_attempt(probe: Probe, attempt: Option<&Attempt>) -> Row {
    let step = match probe {
        Probe::None => Step::AssumeWithoutExternalId,
        Probe::Wrong => Step::AssumeWithWrongExternalId,
        Probe::OtherOrganization => Step::AssumeWithOtherOrganizations,
        Probe::Right => Step::AssumeRole,
    };
    match attempt {
        None => skipped(step),
        Some(Attempt::Allowed) => row(step, Outcome::Allowed),
        Some(Attempt::Denied(failure)) => failed(step, Outcome::Denied, failure),
        Some(Attempt::Unknown(failure) | Attempt::Invalid(failure)) => {
            failed(step, Outcome::Unknown, failure)
        }
    }
}

/// An answer that refuses is a refusal, whether it is for lack of permission or for another
/// reason; no answer tells nothing.
fn tried(step: Step, answer: &Result<(), Trouble>) -> Row {
    match answer {
        Ok(()) => row(step, Outcome::Allowed),
        Err(trouble) => {
            let refused = trouble.obstacle.is_none()
                && matches!(
                    trouble.error,
                    StoreError::Denied(_) | StoreError::Invalid(_)
                );
            let outcome = if refused {
                Outcome::Denied
            } else {
                Outcome::Unknown
            };
            failed(step, outcome, trouble.failure())
        }
    }
}

fn of_region(destination: &Destination, seen: &Seen) -> Row {
    let step = Step::BucketRegion;
    match (&seen.look.region, seen.other_region(destination)) {
        (_, Some(other)) => Row {
            message: format!("the bucket is in {}", other.as_str()),
            ..row(step, Outcome::Denied)
        },
        (Some(_), None) => row(step, Outcome::Allowed),
        (None, None) => row(step, Outcome::Unknown),
    }
}

fn of_owner(seen: &Seen) -> Row {
    let outcome = match seen.owner_fits() {
        Some(true) => Outcome::Allowed,
        Some(false) => Outcome::Denied,
        None => Outcome::Unknown,
    };
    row(Step::BucketOwner, outcome)
}

/// A canary that never came to the bucket, or that the key refused, says nothing of the permission
/// to write.
fn of_write(destination: &Destination, seen: &Seen, problem: Option<Problem>) -> Row {
    let step = Step::PutObject;
    let has_key = destination.storage.kms_key_arn.is_some();
    match (problem, &seen.write) {
        (Some(Problem::KmsDenied | Problem::KmsUnusable), _) if has_key => {
            row(step, Outcome::Unknown)
        }
        (Some(Problem::RoleRefused | Problem::KeysMissing | Problem::KeysUnread), Err(trouble)) => {
            failed(step, Outcome::Unknown, trouble.failure())
        }
        _ => tried(step, &seen.write),
    }
}

fn of_key(seen: &Seen, problem: Option<Problem>) -> Row {
    let step = Step::GenerateDataKey;
    match (&seen.write, problem) {
        (Ok(()), _) => row(step, Outcome::Allowed),
        (Err(trouble), Some(Problem::KmsDenied | Problem::KmsUnusable)) => {
            failed(step, Outcome::Denied, trouble.failure())
        }
        (Err(_), _) => row(step, Outcome::Unknown),
    }
}

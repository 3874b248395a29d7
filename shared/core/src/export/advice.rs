//! Whose fault a failure of an export is, and what to do about it.
//!
//! The failure keeps the other side's own words; what is added here is for the person who reads
//! the status.

use serde::{Deserialize, Serialize};

use crate::export::automation::InvalidAutomation;
use crate::export::cursor::RunFailure;
use crate::export::source::SourceError;
use crate::ports::{ExportPlace, Failure, StoreError};

/// Who can mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody need: it passes by itself, and is tried again.
    Passing,
    /// Who owns the bucket and the role.
    Customer,
    /// Who runs Sealift.
    Operator,
    /// Who wrote the automation.
    Automation,
}

/// What a failure of the way into the bucket means.
pub fn of_bucket(error: &StoreError, place: &ExportPlace) -> RunFailure {
    let failure = error.failure().clone();
    // The action that was denied, or a code of the key service; a bucket may be called so, too.
    let of_key = failure.message.contains("kms:") || failure.code.starts_with("KMS.");
    let bucket = &place.bucket;
    let (fault, advice) = match error {
        StoreError::Transient(_) | StoreError::Conflict(_) => (Fault::Passing, PASSES.to_owned()),
        _ if of_key => (
            Fault::Customer,
            format!(
                "The bucket encrypts with a KMS key that the role may not use: allow \
                 kms:GenerateDataKey and kms:Decrypt on it to {}, in the role's policy and in the key's.",
                place.role
            ),
        ),
        StoreError::Denied(_) if failure.operation == "AssumeRole" => {
            (Fault::Customer, not_let_in(place, &failure))
        }
        StoreError::Denied(_) => (
            Fault::Customer,
            format!(
                "The role {} may not do that: allow s3:PutObject and s3:AbortMultipartUpload on \
                 arn:aws:s3:::{bucket}/{}* in its policy, and see that the bucket's own policy denies \
                 nothing. If the bucket belongs to another account than {}, say so in the automation's \
                 `bucket_owner`.",
                place.role, place.prefix, place.bucket_owner
            ),
        ),
        StoreError::Invalid(_) if failure.code == "NoSuchBucket" => (
            Fault::Customer,
            format!(
                "There is no bucket {bucket}: create it, or make a new automation with the right \
                 `export_path`."
            ),
        ),
        StoreError::Invalid(_) => (
            Fault::Customer,
            format!(
                "Look at the bucket {bucket} and the role {}: the request will not work as it is.",
                place.role
            ),
        ),
    };
    RunFailure {
        failure,
        fault,
        advice,
    }
}

const PASSES: &str = "Nothing to do: it is tried again by itself.";

/// STS answers the same whichever of the two is wrong, so one text names both.
fn not_let_in(place: &ExportPlace, failure: &Failure) -> String {
    if failure.target != place.role.as_str() {
        return format!(
            "Sealift's own principal role {} cannot be assumed by the function: look at the stack.",
            failure.target
        );
    }
    format!(
        "The role {} does not let Sealift in. Its trust policy must admit the account that Sealift runs in \
         (or its principal role), with an ExternalId that begins with bt:{org}: (StringLike bt:{org}:*, \
         or this automation's own in full). STS does not tell which of the two is wrong; \
         `sealift policy trust --org {org} --account <Sealift's account>` prints the policy.",
        place.role,
        org = place.organization
    )
}

/// What a failure of the API means.
pub fn of_source(error: &SourceError) -> RunFailure {
    let (fault, advice) = match error {
        SourceError::Throttled { .. } => (
            Fault::Passing,
            "The API asks to wait: it is tried again by itself. If that happens often, lower the stack's \
             requests per minute.",
        ),
        SourceError::Transient(_) => (Fault::Passing, PASSES),
        SourceError::Denied(_) => (
            Fault::Operator,
            "The API key of the stack may not read this project: look at the key in the Parameter Store \
             and at its owner's permissions.",
        ),
        SourceError::Invalid(_) => (
            Fault::Automation,
            "It will not work as it is: what the message says has to be changed, in the automation or at \
             its project.",
        ),
    };
    RunFailure {
        failure: error.failure().clone(),
        fault,
        advice: advice.to_owned(),
    }
}

/// What an automation that cannot be run means.
pub fn of_automation(error: &InvalidAutomation) -> RunFailure {
    RunFailure {
        failure: Failure {
            operation: "ReadAutomation".to_owned(),
            target: error.field.to_owned(),
            code: "InvalidAutomation".to_owned(),
            message: error.reason.clone(),
            request_id: String::new(),
        },
        fault: Fault::Automation,
        advice: "Change the automation (`sealift export update`).".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external_id::ExternalId;
    use crate::id::{AccountId, BucketName, KeyPrefix, OrgId, ProjectId, RoleArn};

    fn place() -> ExportPlace {
        ExportPlace {
            organization: OrgId::parse("org").unwrap(),
            project: ProjectId::parse("p").unwrap(),
            role: RoleArn::parse("arn:aws:iam::222222222222:role/export").unwrap(),
            external_id: ExternalId::parse("bt:org:p:0123456789").unwrap(),
            bucket: BucketName::parse("your-bucket").unwrap(),
            prefix: KeyPrefix::parse("braintrust/").unwrap(),
            bucket_owner: AccountId::parse("222222222222").unwrap(),
        }
    }

    fn failure(operation: &str, target: &str, code: &str, message: &str) -> Failure {
        Failure {
            operation: operation.to_owned(),
            target: target.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: String::new(),
        }
    }

    #[test]
    fn each_failure_names_whose_it_is_and_what_mends_it() {
        let role = "arn:aws:iam::222222222222:role/export";
        let key = "s3://your-bucket/braintrust/x";
        let denied = StoreError::Denied;
        let cases = [
            (
                denied(failure(
                    "AssumeRole",
                    role,
                    "AccessDenied",
                    "not authorized",
                )),
                Fault::Customer,
                "STS does not tell which of the two is wrong",
            ),
            (
                denied(failure(
                    "AssumeRole",
                    "arn:aws:iam::1:role/own",
                    "AccessDenied",
                    "",
                )),
                Fault::Customer,
                "Sealift's own principal role",
            ),
            (
                denied(failure("PutObject", key, "AccessDenied", "Access Denied")),
                Fault::Customer,
                "allow s3:PutObject and s3:AbortMultipartUpload on arn:aws:s3:::your-bucket/braintrust/*",
            ),
            (
                denied(failure(
                    "PutObject",
                    key,
                    "AccessDenied",
                    "not authorized to perform: kms:GenerateDataKey",
                )),
                Fault::Customer,
                "kms:GenerateDataKey and kms:Decrypt",
            ),
            (
                StoreError::Invalid(failure("HeadBucket", "your-bucket", "NoSuchBucket", "")),
                Fault::Customer,
                "There is no bucket your-bucket",
            ),
            (
                StoreError::Transient(failure("PutObject", key, "SlowDown", "")),
                Fault::Passing,
                "tried again",
            ),
        ];
        for (error, fault, words) in cases {
            let told = of_bucket(&error, &place());
            assert_eq!(told.fault, fault, "{error}");
            assert!(told.advice.contains(words), "{}", told.advice);
        }
    }

    #[test]
    fn no_advice_shows_the_suffix_of_the_external_id() {
        let error = StoreError::Denied(failure(
            "AssumeRole",
            "arn:aws:iam::222222222222:role/export",
            "AccessDenied",
            "",
        ));
        assert!(!of_bucket(&error, &place()).advice.contains("0123456789"));
    }
}

//! Whose fault a failed delivery is, and what to do about it.
//!
//! A cursor keeps the other side's own words; what is added here is for the person who reads the
//! status. The check tells more, since it tries what a delivery need not.

use super::status::Fault;
use crate::destination::{Credentials, Destination};
use crate::ports::Failure;

const PASSES: &str = "Nothing to do: it is tried again by itself.";

/// What passes by itself, whatever it was asked for.
fn passes(code: &str) -> bool {
    code.is_empty()
        || code.contains("Throttl")
        || matches!(
            code,
            "SlowDown"
                | "InternalError"
                | "InternalFailure"
                | "ServiceUnavailable"
                | "RequestTimeout"
                | "RequestTimeoutException"
                | "RequestTimeTooSkewed"
                | "RequestLimitExceeded"
                | "BandwidthLimitExceeded"
                | "TooManyRequestsException"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "OperationAborted"
                | "ConditionalRequestConflict"
        )
}

/// Whose fault the failure is, and what to do.
pub(super) fn of(failure: &Failure, destination: &Destination) -> (Fault, String) {
    let role = match &destination.credentials {
        Credentials::IamRole { role_arn, .. } => Some(role_arn),
        Credentials::AccessKeys => None,
    };
    let location = &destination.location;
    let (bucket, prefix) = (&location.bucket, &location.prefix);
    let code = failure.code.as_str();
    let denied = matches!(code, "AccessDenied" | "AccessDeniedException");
    let of_key = failure.message.contains("kms:") || code.starts_with("KMS.");
    let advice = match failure.operation.as_str() {
        _ if of_key => {
            "Objects are encrypted with a KMS key that the credentials may not use: allow kms:GenerateDataKey \
             on it, in the role's policy and in the key's, and see that the key is enabled."
                .to_owned()
        }
        "Connect" => {
            "Deliveries do not go to this endpoint: it must have a public address, and be reached over HTTPS."
                .to_owned()
        }
        "AssumeRole" if role.is_none_or(|role| failure.target != role.as_str()) => {
            let advice = "Sealift's own principal role cannot be assumed by its function: look at the stack.";
            return (Fault::Operator, advice.to_owned());
        }
        "AssumeRole" if denied => {
            "The role does not let Sealift in: its trust policy must name the `principal_arn` and ask for the \
             `external_id`, both as the destination shows them. STS does not tell which of the two is wrong."
                .to_owned()
        }
        "GetParameter" if code == "ParameterNotFound" => {
            "No access keys are stored: give them again, with an update of `authentication`.".to_owned()
        }
        "GetParameter" if !passes(code) => {
            let advice = "The access keys cannot be read from the vault: look at the function's permissions.";
            return (Fault::Operator, advice.to_owned());
        }
        _ if matches!(code, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => {
            "The service does not know the access keys: give a pair that is active, with an update of \
             `authentication`."
                .to_owned()
        }
        _ if code == "NoSuchBucket" => {
            format!("There is no bucket {bucket}: create it, or give the destination another one.")
        }
        _ if location.endpoint.is_some()
            && (code.starts_with("HTTP 3") || matches!(code, "PermanentRedirect" | "TemporaryRedirect")) =>
        {
            "The endpoint sends requests on to somewhere else, and redirects are not followed: give the \
             endpoint that answers by itself."
                .to_owned()
        }
        _ if matches!(code, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect") => {
            format!(
                "The bucket {bucket} is not in the region {}: correct the destination's `region`.",
                location.region.as_str()
            )
        }
        _ if denied => format!(
            "Allow s3:PutObject on arn:aws:s3:::{bucket}/{prefix}* to the credentials, and see that the \
             bucket's own policy denies nothing."
        ),
        _ if passes(code) => return (Fault::Passing, PASSES.to_owned()),
        _ => "The request will not work as it is.".to_owned(),
    };
    let advice = format!("{advice} A check tells more.");
    (Fault::Customer, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Endpoint;

    fn destination() -> Destination {
        let document = serde_json::json!({
            "id": "main", "organization": "acme", "status": "streaming", "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
            "credentials": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit",
                            "external_id": "f3a1b2c4d5e6f7a8"},
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn each_failure_has_its_fault_and_its_way_out() {
        let (role, own) = (
            "arn:aws:iam::222222222222:role/audit",
            "arn:aws:iam::111111111111:role/own",
        );
        for (operation, target, code, message, fault, words) in [
            (
                "AssumeRole",
                role,
                "AccessDenied",
                "",
                Fault::Customer,
                "`external_id`",
            ),
            (
                "AssumeRole",
                own,
                "AccessDenied",
                "",
                Fault::Operator,
                "the stack",
            ),
            (
                "AssumeRole",
                role,
                "Throttling",
                "",
                Fault::Passing,
                "tried again",
            ),
            (
                "PutObject",
                "k",
                "AccessDenied",
                "",
                Fault::Customer,
                "arn:aws:s3:::acme-audit/audit/*",
            ),
            (
                "PutObject",
                "k",
                "AccessDenied",
                "kms:GenerateDataKey",
                Fault::Customer,
                "KMS key",
            ),
            (
                "PutObject",
                "k",
                "NoSuchBucket",
                "",
                Fault::Customer,
                "no bucket acme-audit",
            ),
            (
                "PutObject",
                "k",
                "PermanentRedirect",
                "",
                Fault::Customer,
                "eu-central-1",
            ),
            (
                "PutObject",
                "k",
                "TemporaryRedirect",
                "",
                Fault::Customer,
                "redirects are not followed",
            ),
            (
                "PutObject",
                "k",
                "HTTP 302",
                "",
                Fault::Customer,
                "redirects are not followed",
            ),
            (
                "PutObject",
                "k",
                "SlowDown",
                "",
                Fault::Passing,
                "tried again",
            ),
            (
                "PutObject",
                "k",
                "",
                "timed out",
                Fault::Passing,
                "tried again",
            ),
            (
                "PutObject",
                "k",
                "SignatureDoesNotMatch",
                "",
                Fault::Customer,
                "`authentication`",
            ),
            (
                "GetParameter",
                "/x",
                "ParameterNotFound",
                "",
                Fault::Customer,
                "`authentication`",
            ),
            (
                "GetParameter",
                "/x",
                "AccessDeniedException",
                "",
                Fault::Operator,
                "permissions",
            ),
            (
                "GetParameter",
                "/x",
                "ThrottlingException",
                "",
                Fault::Passing,
                "tried again",
            ),
            (
                "Connect",
                "https://x",
                "",
                "private",
                Fault::Customer,
                "public address",
            ),
            (
                "PutObject",
                "k",
                "InvalidRequest",
                "",
                Fault::Customer,
                "check",
            ),
        ] {
            let failure = Failure {
                operation: operation.to_owned(),
                target: target.to_owned(),
                code: code.to_owned(),
                message: message.to_owned(),
                request_id: String::new(),
            };
            let mut destination = destination();
            if words.contains("redirects") {
                let endpoint = Endpoint::parse("https://minio.example.com").unwrap();
                destination.location.endpoint = Some(endpoint);
            }
            if operation == "GetParameter" {
                destination.credentials = Credentials::AccessKeys;
            }
            let (told, advice) = of(&failure, &destination);
            assert_eq!(told, fault, "{operation} {code}");
            assert!(advice.contains(words), "{operation} {code}: {advice}");
            assert!(!advice.contains("f3a1b2c4d5e6f7a8"));
        }
    }
}

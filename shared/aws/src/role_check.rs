//! Trying whether a customer's role can be assumed, as the caller that deliveries come from.

use aws_config::SdkConfig;
use sealift_core::external_id::ExternalId;
use sealift_core::id::RoleArn;
use sealift_core::policy::permissions;
use sealift_core::ports::{Clock, Failure, StoreError};
use sealift_core::role_check::{AssumeAttempts, Attempt};

use crate::roles::{Roles, SHORT_SESSION, Wanted};
use crate::sinks::Options;

/// The name of the sessions, so that whoever finds a refused attempt in CloudTrail knows what it
/// was.
const SESSION_NAME: &str = "sealift-role-check";

/// [`AssumeAttempts`] over STS: the principal first, and from there the customer's role, as a
/// delivery does it.
///
/// Every session is asked for with a policy that allows nothing, and none is kept.
#[derive(Debug)]
pub struct RoleAttempts<C> {
    roles: Roles<C>,
}

impl<C: Clock> RoleAttempts<C> {
    /// Attempts with the credentials of `base`, through the principal of the options if there is
    /// one. The region of `base` is the one whose STS is asked.
    pub fn new(base: SdkConfig, options: Options, clock: C) -> Self {
        Self {
            roles: Roles::new(base, options.endpoints.sts, options.principal, clock),
        }
    }
}

impl<C: Clock> AssumeAttempts for RoleAttempts<C> {
    async fn try_assume(&self, role: &RoleArn, external_id: Option<&ExternalId>) -> Attempt {
        let wanted = Wanted {
            role,
            session_name: SESSION_NAME,
            external_id,
            policy: Some(permissions::nothing().to_string()),
            seconds: SHORT_SESSION,
        };
        match self.roles.assume(&wanted).await {
            Ok(_) => Attempt::Allowed,
            Err(error) => sort(role, without(external_id, error)),
        }
    }
}

/// STS repeats a value that it finds malformed.
fn without(external_id: Option<&ExternalId>, mut error: StoreError) -> StoreError {
    let (StoreError::Transient(failure)
    | StoreError::Conflict(failure)
    | StoreError::Denied(failure)
    | StoreError::Invalid(failure)) = &mut error;
    if let Some(id) = external_id {
        failure.message = failure.message.replace(id.as_str(), "REDACTED");
    }
    error
}

fn sort(role: &RoleArn, error: StoreError) -> Attempt {
    let of_principal = error.failure().target != role.as_str();
    match error {
        StoreError::Transient(failure) | StoreError::Conflict(failure) => Attempt::Unknown(failure),
        StoreError::Denied(failure) | StoreError::Invalid(failure) if of_principal => {
            Attempt::Invalid(saying(
                failure,
                "this is about the role that Sealift itself comes from, which is assumed first",
            ))
        }
        // All other refusals are of the request, and not by the role.
        StoreError::Denied(failure) if failure.code == "AccessDenied" => Attempt::Denied(failure),
        StoreError::Denied(failure) | StoreError::Invalid(failure) => {
            Attempt::Invalid(match hint(&failure.code) {
                Some(hint) => saying(failure, hint),
                None => failure,
            })
        }
    }
}

/// What to do about errors of STS whose own words do not say it.
///
/// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors>
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "RegionDisabledException" => Some(
            "STS is switched off in this region for the role's account: ask in another region, or \
             have the account switch it on",
        ),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "SignatureDoesNotMatch" => {
            Some("the credentials that the role is tried with are no good")
        }
        _ => None,
    }
}

fn saying(mut failure: Failure, hint: &str) -> Failure {
    failure.message = format!("{} ({hint})", failure.message);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(decision: fn(Failure) -> StoreError, code: &str, target: &str) -> Attempt {
        let role = RoleArn::parse("arn:aws:iam::222222222222:role/exports").unwrap();
        let failure = Failure {
            operation: "AssumeRole".to_owned(),
            target: target.to_owned(),
            code: code.to_owned(),
            message: "said".to_owned(),
            request_id: String::new(),
        };
        sort(&role, decision(failure))
    }

    const ROLE: &str = "arn:aws:iam::222222222222:role/exports";

    #[test]
    fn only_what_iam_refused_of_this_role_is_denied() {
        let denied = sorted(StoreError::Denied, "AccessDenied", ROLE);
        assert!(matches!(denied, Attempt::Denied(_)), "{denied:?}");
        let of_principal = "arn:aws:iam::111111111111:role/sealift-principal";
        for (decision, code, target, hint) in [
            (
                StoreError::Denied as fn(_) -> _,
                "AccessDenied",
                of_principal,
                "comes from",
            ),
            (
                StoreError::Denied,
                "RegionDisabledException",
                ROLE,
                "another region",
            ),
            (StoreError::Denied, "InvalidClientTokenId", ROLE, "no good"),
            (StoreError::Denied, "HTTP 403", ROLE, "said"),
            (StoreError::Invalid, "MalformedPolicyDocument", ROLE, "said"),
        ] {
            let attempt = sorted(decision, code, target);
            let Attempt::Invalid(failure) = &attempt else {
                unreachable!("{code}: {attempt:?}")
            };
            assert!(failure.message.contains(hint), "{failure}");
        }
    }

    #[test]
    fn what_may_pass_is_unknown_whomever_it_is_about() {
        for target in [ROLE, "arn:aws:iam::111111111111:role/sealift-principal"] {
            for decision in [StoreError::Transient as fn(_) -> _, StoreError::Conflict] {
                let attempt = sorted(decision, "Throttling", target);
                assert!(matches!(attempt, Attempt::Unknown(_)), "{attempt:?}");
            }
        }
    }

    #[test]
    fn an_external_id_that_sts_repeats_is_not_shown() {
        let id = ExternalId::parse("0123456789abcdef").unwrap();
        let failure = Failure {
            operation: "AssumeRole".to_owned(),
            target: ROLE.to_owned(),
            code: "ValidationError".to_owned(),
            message: "Value '0123456789abcdef' at 'externalId' failed".to_owned(),
            request_id: String::new(),
        };
        let cleaned = without(Some(&id), StoreError::Invalid(failure));
        assert_eq!(
            cleaned.failure().message,
            "Value 'REDACTED' at 'externalId' failed"
        );
    }
}

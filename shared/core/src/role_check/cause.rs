//! Why a matrix is as it is, for whoever has to change the role.

use super::{Attempt, Matrix, Verdict};
use crate::external_id::ExternalId;
use crate::policy::trust::Probe;
use crate::policy::{Caller, Conditions, Context, Document, Request, Statement, evaluate};

pub(super) fn in_words(matrix: &Matrix) -> String {
    match matrix.verdict() {
        Verdict::Healthy => "it lets the right ExternalId in, and refuses every other".to_owned(),
        Verdict::Unsafe { allowed, stranger } => of_breach(&allowed, stranger).to_owned(),
        Verdict::Refused => of_refusal(matrix),
        Verdict::Unknown => of_ignorance(matrix),
    }
}

fn of_breach(allowed: &[Probe], stranger: bool) -> &'static str {
    let was = |probe| allowed.contains(&probe);
    match (
        was(Probe::None),
        was(Probe::Wrong),
        was(Probe::OtherOrganization),
    ) {
        (true, true, true) => {
            "it asks for no ExternalId at all: whoever makes Sealift name this role, for any \
             organization, gets in"
        }
        (true, false, _) => {
            "it lets callers in that send no ExternalId: its condition applies only if there is \
             one (`…IfExists`), or it stands in a statement of its own"
        }
        (_, true, true) => {
            "it takes any ExternalId: the pattern in its condition is a bare `*`, or as wide as one"
        }
        (_, _, true) => {
            "it takes the ExternalIds of other organizations: the pattern in its condition is too \
             wide, such as `bt:*`, or `bt:<org>*` without the `:` after the organization's id"
        }
        (_, true, _) => {
            "it takes more than the one ExternalId: its condition has a pattern (`StringLike` with \
             `*` or `?`) where it must name the whole text"
        }
        (false, false, false) if stranger => {
            "it lets callers of any AWS account in that know the ExternalId: its principal is `*`"
        }
        (false, false, false) => "it lets nothing in that it must refuse",
    }
}

fn of_refusal(matrix: &Matrix) -> String {
    let [.., (_, right)] = matrix.attempts();
    let told = match right {
        Attempt::Denied(failure) if !failure.message.is_empty() => failure.message.as_str(),
        _ => "the role refuses the right ExternalId",
    };
    let document = matrix.stranger().is_some();
    if document {
        format!("it refuses the right ExternalId: {told}")
    } else {
        format!(
            "it refuses the right ExternalId. Look in this order: is there a role of this name in \
             this account; is its principal the one that Sealift comes from; does it ask for this \
             ExternalId; may the caller's own policies call sts:AssumeRole. STS says: {told}"
        )
    }
}

fn of_ignorance(matrix: &Matrix) -> String {
    let mut attempts = matrix.attempts().iter().map(|(_, attempt)| attempt);
    let invalid = attempts.clone().find_map(|attempt| match attempt {
        Attempt::Invalid(failure) => Some(failure),
        _ => None,
    });
    if let Some(failure) = invalid {
        return format!("the role could not be tried, which says nothing of it: {failure}");
    }
    let unknown = attempts.find_map(|attempt| match attempt {
        Attempt::Unknown(failure) => Some(failure),
        _ => None,
    });
    match unknown {
        Some(failure) => format!(
            "some attempts got no answer to go by, so nothing is proved: try again. {failure}"
        ),
        None => "the answers do not fit together: try again".to_owned(),
    }
}

/// Why no statement of a trust policy is about the right attempt by the caller.
pub(super) fn of_silence(policy: &Document, caller: &Caller, right: &ExternalId) -> &'static str {
    let mut without_conditions = policy.clone();
    for statement in &mut without_conditions.statements {
        *statement = Statement {
            condition: Conditions::default(),
            ..statement.clone()
        };
    }
    let context = Context::assuming(Some(right));
    let request = Request::assume_role(caller, &context);
    match evaluate([&without_conditions], &request) {
        Ok(decision) if !decision.is_allowed() => {
            "no statement allows sts:AssumeRole to the principal that comes"
        }
        _ => "the principal is right, but no condition fits this ExternalId",
    }
}

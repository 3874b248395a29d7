//! Who sent a request, and what policies say of it.

use std::fmt;
use std::sync::Arc;

use sealift_core::id::{AccountId, RoleArn};
use sealift_core::policy::{self, CannotEvaluate, Decision, Document, Request};

pub(crate) use sealift_core::policy::Context;

use super::Issued;
use super::registry::{Policy, User};

/// Who sent a request, with the policies that hang on them at that moment.
pub(crate) struct Caller {
    arn: String,
    account: String,
    unique_id: String,
    kind: Kind,
}

enum Kind {
    Root,
    User(Arc<Policy>),
    Session {
        role: RoleArn,
        policies: Vec<Arc<Policy>>,
        session_policy: Option<Arc<Policy>>,
    },
}

/// What policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed,
    /// No policy of the caller, or of the resource, allows it.
    NotAllowed,
    /// The session policy does not allow it.
    NotInSession,
    /// A policy of the caller, or of the resource, denies it.
    Forbidden,
    /// The session policy denies it.
    ForbiddenInSession,
    /// The answer turns on something that the evaluator does not know.
    Unclear(CannotEvaluate),
}

impl Caller {
    pub(super) fn root(account: &AccountId) -> Self {
        Self {
            arn: format!("arn:aws:iam::{account}:root"),
            account: account.to_string(),
            unique_id: account.to_string(),
            kind: Kind::Root,
        }
    }

    pub(super) fn user(user: &User, policy: Arc<Policy>) -> Self {
        Self {
            arn: format!("arn:aws:iam::{}:user/{}", user.account, user.name),
            account: user.account.to_string(),
            unique_id: user.access_key_id.clone(),
            kind: Kind::User(policy),
        }
    }

    pub(super) fn session(
        role: &RoleArn,
        issued: &Issued,
        policies: Vec<Arc<Policy>>,
        session_policy: Option<Arc<Policy>>,
    ) -> Self {
        Self {
            arn: issued.assumed_role_arn.clone(),
            account: role.account().to_owned(),
            unique_id: issued.assumed_role_id.clone(),
            kind: Kind::Session {
                role: role.clone(),
                policies,
                session_policy,
            },
        }
    }

    pub(crate) fn arn(&self) -> &str {
        &self.arn
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// The id that AWS would know the caller by (`UserId` of `GetCallerIdentity`).
    pub(crate) fn unique_id(&self) -> &str {
        &self.unique_id
    }

    /// Whether the caller came in through a role already: role chaining.
    pub(crate) fn is_session(&self) -> bool {
        matches!(self.kind, Kind::Session { .. })
    }

    /// The ARN that the caller's policies hang on: of a session, its role's.
    fn identity_arn(&self) -> &str {
        match &self.kind {
            Kind::Session { role, .. } => role.as_str(),
            Kind::Root | Kind::User(_) => &self.arn,
        }
    }

    /// A context that tells of the caller and nothing else.
    pub(crate) fn context(&self) -> Context {
        Context::default()
            .with("aws:PrincipalArn", self.identity_arn())
            .with("aws:PrincipalAccount", self.account())
            .with("aws:userid", self.unique_id())
            // Policies that ask for TLS ask it of AWS; one machine talks to itself.
            .with("aws:SecureTransport", "true")
    }

    /// What the caller's own policies say. The root of an account may do anything: what lies
    /// in other accounts is not for these policies to say.
    pub(crate) fn may(&self, action: &str, resource: &str, context: &Context) -> Answer {
        let request = Request::permission(action, resource, context);
        match &self.kind {
            Kind::Root => Answer::Allowed,
            Kind::User(policy) => identity(policy::evaluate([&policy.document], &request)),
            Kind::Session {
                policies,
                session_policy,
                ..
            } => {
                let documents = policies.iter().map(|policy| &policy.document);
                let role = identity(policy::evaluate(documents, &request));
                match session_policy {
                    Some(narrowing) => narrowed(role, &narrowing.document, &request),
                    None => role,
                }
            }
        }
    }
}

fn narrowed(role: Answer, narrowing: &Document, request: &Request<'_>) -> Answer {
    let session = match policy::evaluate([narrowing], request) {
        Ok(Decision::Allowed) => Answer::Allowed,
        Ok(Decision::DeniedImplicitly) => Answer::NotInSession,
        Ok(Decision::DeniedExplicitly) => Answer::ForbiddenInSession,
        Err(error) => Answer::Unclear(error),
    };
    match (role, session) {
        (Answer::Allowed, session) => session,
        (role, _) => role,
    }
}

fn identity(decision: Result<Decision, CannotEvaluate>) -> Answer {
    match decision {
        Ok(Decision::Allowed) => Answer::Allowed,
        Ok(Decision::DeniedImplicitly) => Answer::NotAllowed,
        Ok(Decision::DeniedExplicitly) => Answer::Forbidden,
        Err(error) => Answer::Unclear(error),
    }
}

/// What a role's trust policy says of a caller that wants to assume it.
pub(super) fn trust(trust: &Policy, caller: &Caller, context: &Context) -> Answer {
    match policy::Caller::parse_arn(caller.arn()) {
        Ok(principal) => {
            let request = Request::assume_role(&principal, context);
            identity(policy::evaluate([&trust.document], &request))
        }
        // A caller that no ARN can name is named by no policy.
        Err(_) => Answer::NotAllowed,
    }
}

/// Policies are left out.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

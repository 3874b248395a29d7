//! Whether a customer's role lets Sealift in, and nobody on behalf of another tenant.
//!
//! A role is tried four times: without ExternalId, with a wrong one, with another
//! organization's, and with the right one ([`Probe`]). Only deny, deny, deny, allow is healthy.
//! What is neither (a throttle, a time-out) is unknown, and never taken for a refusal: a role that
//! lets everybody in must not pass because STS was busy.
//!
//! [`check`] tries the role itself, through the port [`AssumeAttempts`]; [`of_document`] holds the
//! same four attempts, and one by a stranger, against a trust policy that somebody hands in, for
//! roles that Sealift does not assume itself. Both give a [`Matrix`], whose
//! [`verdict`](Matrix::verdict), [`cause`](Matrix::cause) and [`mend`](Matrix::mend) say what is
//! to be done.

mod cause;

use std::future::Future;
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::external_id::ExternalId;
use crate::id::{InvalidId, RoleArn};
use crate::policy::trust::{Probe, Terms};
use crate::policy::{
    Caller, CannotEvaluate, Context, Decision, Document, Request, Statement, evaluate, trust,
};
use crate::ports::{Clock, Failure};

/// How one try to assume a role ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "answer", content = "failure", rename_all = "snake_case")]
pub enum Attempt {
    /// The role was assumed.
    Allowed,
    /// Permission to assume it was refused.
    Denied(Failure),
    /// There was no answer to go by: throttled, timed out, 5xx. It may come later.
    Unknown(Failure),
    /// It cannot be tried like this, now or later: a region where STS is off, credentials that
    /// are no good, a request that is malformed. It says nothing of the role.
    Invalid(Failure),
}

/// Tries to assume roles, as the very caller that deliveries come from.
///
/// Contract: `Denied` is only what IAM refused of the role that is asked for. Refused credentials,
/// a principal that could not be assumed first, and a proxy's 403 are `Invalid`; whatever may pass
/// is `Unknown`. A session that is given is thrown away, and could do nothing anyhow. No secret,
/// and no ExternalId, stands in a failure.
pub trait AssumeAttempts: Send + Sync {
    /// Tries once, with the ExternalId whole, or with none.
    fn try_assume(
        &self,
        role: &RoleArn,
        external_id: Option<&ExternalId>,
    ) -> impl Future<Output = Attempt> + Send;
}

/// The pauses between rounds of a check: a change in IAM takes some seconds to arrive at STS.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
pub const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(10),
];

/// What a role, or a trust policy, answered to each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    attempts: [(Probe, Attempt); 4],
    /// The answer to a caller of an account that has nothing to do with it, with the right
    /// ExternalId. Only a document tells it.
    stranger: Option<Attempt>,
}

/// What a [`Matrix`] means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It lets the right one in, and nobody else who was tried.
    Healthy,
    /// It let in what it must refuse. It must not be used, even if all else is unknown.
    Unsafe {
        /// What else than the right one was let in.
        allowed: Vec<Probe>,
        /// Whether a caller of any account is let in with the right ExternalId.
        stranger: bool,
    },
    /// It refuses the right ExternalId, and nothing was seen to be let in.
    Refused,
    /// There were not enough answers to tell.
    Unknown,
}

impl Verdict {
    /// Its name in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unsafe { .. } => "unsafe",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// Tries a role until it is found healthy, or cannot be tried at all, or there are no more pauses;
/// the last round counts. With [`PAUSES`] it takes 20 seconds at the least to find a role unsafe.
///
/// Every round asks all four, since answers of different rounds may be of different policies.
pub async fn check(
    attempts: &impl AssumeAttempts,
    clock: &impl Clock,
    role: &RoleArn,
    right: &ExternalId,
    pauses: &[Duration],
) -> Matrix {
    let mut pauses = pauses.iter();
    loop {
        let matrix = round(attempts, role, right).await;
        let pause = pauses.next();
        match pause {
            Some(pause) if !matrix.is_final() => clock.sleep(*pause).await,
            _ => return matrix,
        }
    }
}

async fn round(attempts: &impl AssumeAttempts, role: &RoleArn, right: &ExternalId) -> Matrix {
    let ask = async |probe: Probe| {
        let external_id = probe.external_id(right);
        let attempt = attempts.try_assume(role, external_id.as_ref());
        (probe, Box::pin(attempt).await)
    };
    let [none, wrong, other, right] = Probe::ALL;
    // One after the other: four at once may be what gets a small account throttled.
    let attempts = [
        ask(none).await,
        ask(wrong).await,
        ask(other).await,
        ask(right).await,
    ];
    Matrix {
        attempts,
        stranger: None,
    }
}

/// Holds a trust policy against the same four attempts by the caller, and against one by a caller
/// of another account.
///
/// The caller's own policies must allow the call too, and the role's account may have others in
/// its way (a permissions boundary of an organization); they are not looked at here.
pub fn of_document(
    policy: &Document,
    caller: &Caller,
    right: &ExternalId,
) -> Result<Matrix, CannotEvaluate> {
    let answer = |decision| attempt(policy, caller, right, decision);
    let [none, wrong, other, last] = trust::probe(policy, caller, right)?;
    let attempts = [none, wrong, other, last].map(|(probe, decision)| (probe, answer(decision)));
    let context = Context::assuming(Some(right));
    let stranger = stranger().map_err(|_| CannotEvaluate::Missing("Principal"))?;
    let decision = evaluate([policy], &Request::assume_role(&stranger, &context))?;
    Ok(Matrix {
        attempts,
        stranger: Some(answer(decision)),
    })
}

/// A role of an account that nobody has.
fn stranger() -> Result<Caller, InvalidId> {
    Caller::parse_arn("arn:aws:iam::000000000000:role/stranger")
}

fn attempt(policy: &Document, caller: &Caller, right: &ExternalId, decision: Decision) -> Attempt {
    let message = match decision {
        Decision::Allowed => return Attempt::Allowed,
        Decision::DeniedExplicitly => "a statement of the trust policy denies it",
        Decision::DeniedImplicitly => cause::of_silence(policy, caller, right),
    };
    Attempt::Denied(Failure {
        operation: "AssumeRole".to_owned(),
        target: "the trust policy".to_owned(),
        code: String::new(),
        message: message.to_owned(),
        request_id: String::new(),
    })
}

impl Matrix {
    /// The four attempts, the right one last.
    pub fn attempts(&self) -> &[(Probe, Attempt); 4] {
        &self.attempts
    }

    /// The answer to a caller of another account, if a document was asked.
    pub fn stranger(&self) -> Option<&Attempt> {
        self.stranger.as_ref()
    }

    /// What it means.
    pub fn verdict(&self) -> Verdict {
        let allowed: Vec<Probe> = self
            .attempts
            .iter()
            .filter(|(probe, attempt)| *attempt == Attempt::Allowed && !probe.must_be_allowed())
            .map(|(probe, _)| *probe)
            .collect();
        let stranger = self.stranger == Some(Attempt::Allowed);
        if stranger || !allowed.is_empty() {
            return Verdict::Unsafe { allowed, stranger };
        }
        let [none, wrong, other, right] = &self.attempts;
        let refused = |(_, attempt): &(Probe, Attempt)| matches!(attempt, Attempt::Denied(_));
        if refused(right) {
            return Verdict::Refused;
        }
        if [none, wrong, other].into_iter().all(refused) && right.1 == Attempt::Allowed {
            Verdict::Healthy
        } else {
            Verdict::Unknown
        }
    }

    /// Why, and what to do, in words.
    pub fn cause(&self) -> String {
        cause::in_words(self)
    }

    /// The statement that the trust policy must have in place of the one that lets too much in,
    /// or nothing; `None` where no policy is at fault.
    pub fn mend(&self, terms: &Terms) -> Option<Statement> {
        match self.verdict() {
            Verdict::Unsafe { .. } | Verdict::Refused => terms.statement(),
            Verdict::Healthy | Verdict::Unknown => None,
        }
    }

    /// Whether another round can tell nothing more.
    fn is_final(&self) -> bool {
        let hopeless = |(_, attempt): &(Probe, Attempt)| matches!(attempt, Attempt::Invalid(_));
        self.verdict() == Verdict::Healthy || self.attempts.iter().any(hopeless)
    }
}

impl Serialize for Matrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Row<'a> {
            with: Probe,
            #[serde(flatten)]
            attempt: &'a Attempt,
        }
        let rows = self.attempts.each_ref().map(|(with, attempt)| Row {
            with: *with,
            attempt,
        });
        let mut shown = serializer.serialize_struct("Matrix", 4)?;
        shown.serialize_field("verdict", self.verdict().as_str())?;
        shown.serialize_field("cause", &self.cause())?;
        shown.serialize_field("attempts", &rows)?;
        shown.serialize_field("stranger", &self.stranger)?;
        shown.end()
    }
}

#[cfg(test)]
mod tests;

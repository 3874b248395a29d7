//! Whether Sealift can deliver to a destination, and nobody on behalf of another tenant.
//!
//! [`Checks`] is the port; [`Checker`] the check itself, on narrow ports: the role is tried as
//! [`role_check`](crate::role_check) says, and then the bucket, by the very code that delivers
//! ([`BucketAttempts`]): a look at it, and a small object below the prefix
//! ([`canary_key`]). What that object meets is what a delivery would meet.
//!
//! The answer is a [`CheckReport`]: a verdict, a row for everything that was tried, the cause in
//! words, and the policy statements that would mend it. `problem` has one value for everything
//! that can be told apart, and each has its own words.

mod attempts;
mod canary;
mod checker;
mod denial;
mod fingerprint;
mod matrix;
mod mend;
mod problem;
mod words;

use std::fmt;
use std::future::Future;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::attempts::{BucketAttempts, Look, Obstacle, Owner, Trouble};
pub use self::canary::{CANARY, canary_key};
pub use self::checker::Checker;
pub use self::fingerprint::Fingerprint;
pub use self::mend::look_session;
pub use self::problem::Problem;
use crate::destination::Destination;
use crate::policy::Statement;

/// How long a healthy check is good for, in milliseconds: a day.
pub const FRESH_MS: i64 = 24 * 60 * 60 * 1000;

/// Checks destinations, saved ones or ones that are about to be.
///
/// Contract: nothing is changed but the object at [`canary_key`]. The answer is about the
/// credentials of this moment. It takes some twenty seconds if something is refused, because
/// changes in IAM arrive late.
///
/// No ExternalId of another tenant is sent, although the role is tried with one of another
/// organization: a role that takes it would show it to its owner. The one that is sent is made up
/// ([`ExternalId::of_another_organization`](crate::external_id::ExternalId::of_another_organization)).
pub trait Checks: Send + Sync {
    /// Checks one.
    fn check(&self, destination: &Destination) -> impl Future<Output = CheckReport> + Send;

    /// The addresses that a host's name has at this moment; nothing if it has none, or cannot be asked.
    fn addresses(&self, host: &str) -> impl Future<Output = Vec<IpAddr>> + Send;
}

/// What a check found.
///
/// There is no secret in it but one: a trust statement in [`mend`](Self::mend) holds the
/// destination's ExternalId, for its owner to use. `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
    /// The connection that it is about.
    pub fingerprint: Fingerprint,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is wrong, for programs; nothing if it is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What was tried, in order.
    pub matrix: Vec<Row>,
    /// Why it is so, in words.
    pub cause: String,
    /// What is to be done; nothing if it is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// The policy statements that would mend what is wrong, or what is warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<Mend>,
    /// What is not as it should be, but does no harm to deliveries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What [`checksum`](crate::destination::Storage::checksum) has to be for deliveries to work
    /// as the canary did; nothing if it may stay as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
    /// What [`path_style`](crate::destination::Location::path_style) has to be for deliveries to work
    /// as the canary did; nothing if it may stay as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

impl CheckReport {
    /// Puts into the destination that was checked what was found out of its endpoint, so that deliveries
    /// do as the canary did. The report is one of the destination as it is then.
    pub fn apply(&mut self, destination: &mut Destination) {
        destination.storage.checksum = self.checksum.or(destination.storage.checksum);
        if let Some(path_style) = self.path_style {
            destination.location.path_style = path_style;
        }
        self.fingerprint = Fingerprint::of(destination);
    }

    /// Whether it is about the connection that the destination has.
    pub fn fits(&self, destination: &Destination) -> bool {
        self.fingerprint == Fingerprint::of(destination)
    }

    /// Whether it is not older than [`FRESH_MS`].
    pub fn is_fresh(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.at_ms) <= FRESH_MS
    }

    /// Whether the destination may be started on its word.
    pub fn allows_start(&self, destination: &Destination, now_ms: i64) -> bool {
        self.verdict == Verdict::Healthy && self.fits(destination) && self.is_fresh(now_ms)
    }
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Deliveries work, and the role refuses what it must refuse.
    Healthy,
    /// The role lets others in. Nothing may be delivered through it.
    Unsafe,
    /// Deliveries do not work until somebody changes something.
    Failing,
    /// It cannot be told now: throttled, timed out.
    Unknown,
}

impl Verdict {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unsafe => "unsafe",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What.
    pub step: Step,
    /// The permission that it needs: `s3:PutObject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// How it ends at a healthy destination.
    pub wanted: Outcome,
    /// How it ended.
    pub outcome: Outcome,
    /// AWS's code, if it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// AWS's message, or what went wrong on the way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// AWS's name of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
}

/// What a check tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// To assume the role without ExternalId.
    AssumeWithoutExternalId,
    /// To assume it with a wrong one.
    AssumeWithWrongExternalId,
    /// To assume it with one of another organization.
    AssumeWithOtherOrganizations,
    /// To assume it with the right one.
    AssumeRole,
    /// To look at the bucket. Deliveries do without it.
    HeadBucket,
    /// The bucket is in the region that the destination names.
    BucketRegion,
    /// The bucket belongs to the account that it must belong to.
    BucketOwner,
    /// To write below the prefix.
    PutObject,
    /// To have what is written encrypted with the KMS key.
    GenerateDataKey,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It worked.
    Allowed,
    /// It was refused, for whatever reason.
    Denied,
    /// It cannot be told.
    Unknown,
    /// It was not tried, because of what was found before.
    Skipped,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// By whom.
    pub who: Who,
    /// What, in words.
    pub what: String,
}

/// Who can put something right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The destination's owner.
    Customer,
    /// Whoever runs Sealift.
    Operator,
    /// Nobody needs to: it passes.
    Nobody,
}

/// A statement that would mend what is wrong.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mend {
    /// The policy that it belongs into.
    pub policy: PolicyKind,
    /// Whose policy that is: a role's, a bucket's or a key's ARN, or `the access keys' user`.
    pub of: String,
    /// The statement. Whatever else the policy says is not looked at.
    pub statement: Statement,
}

/// A trust statement holds an ExternalId.
impl fmt::Debug for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mend")
            .field("policy", &self.policy)
            .field("of", &self.of)
            .finish_non_exhaustive()
    }
}

/// The kinds of policies that a statement may be missing from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyKind {
    /// Who may assume a role.
    Trust,
    /// What a role or user may do.
    Permissions,
    /// Who may do what to a bucket.
    Bucket,
    /// Who may use a KMS key.
    Key,
}

#[cfg(test)]
mod tests;

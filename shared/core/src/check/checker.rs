//! The check itself: what is tried, in which order, and when it is tried again.

use std::net::IpAddr;
use std::slice;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::attempts::{BucketAttempts, Look, Obstacle, Owner, Trouble};
use super::canary::{canary, canary_key};
use super::{CheckReport, Checks, Fingerprint, Problem, Verdict};
use super::{denial, matrix, mend, problem, words};
use crate::destination::{Credentials, Destination, Region};
use crate::external_id::ExternalId;
use crate::id::RoleArn;
use crate::policy::AwsPrincipal;
use crate::ports::{Clock, Failure, StoreError};
use crate::role_check::{self, AssumeAttempts, Attempt, Matrix, PAUSES};

/// [`Checks`] on narrow ports.
///
/// What is refused is tried again, since a change in IAM takes seconds to arrive; so is what a
/// role allows and must not, since its policy may have been tightened a moment ago. Role and
/// bucket share the pauses of [`PAUSES`], and with them 20 seconds.
#[derive(Debug)]
pub struct Checker<R, B, C> {
    roles: R,
    buckets: B,
    clock: C,
    principal: Option<AwsPrincipal>,
}

/// When no more pause is begun, whatever is left of them: answers may take their time, too, and
/// a gateway gives up after 29 seconds.
const PATIENCE: SignedDuration = SignedDuration::from_secs(22);

/// The pauses that are left, and until when.
struct Patience {
    pauses: slice::Iter<'static, Duration>,
    until: Timestamp,
}

impl Patience {
    fn from(start: Timestamp) -> Self {
        Self {
            pauses: PAUSES.iter(),
            until: start.checked_add(PATIENCE).unwrap_or(Timestamp::MAX),
        }
    }

    /// Waits a while, unless there is no more time.
    async fn pause(&mut self, clock: &impl Clock) -> bool {
        let Some(pause) = self.pauses.next() else {
            return false;
        };
        let ends = clock.now().checked_add(*pause);
        if ends.is_ok_and(|ends| ends <= self.until) {
            clock.sleep(*pause).await;
            true
        } else {
            false
        }
    }
}

/// All that a report is made from.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) destination: &'a Destination,
    /// Whom the role has to trust, if that is known.
    pub(super) principal: Option<&'a AwsPrincipal>,
    /// What the role answered, if it was tried.
    pub(super) matrix: Option<&'a Matrix>,
    /// What the bucket answered, if it was tried.
    pub(super) seen: Option<&'a Seen>,
}

impl Scene<'_> {
    /// How the canary failed, if it did.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let write = self.seen.map(|seen| &seen.write);
        write.and_then(|write| write.as_ref().err().map(Trouble::failure))
    }
}

/// What a bucket answered.
#[derive(Debug)]
pub(super) struct Seen {
    /// To a look that names the owner, if the destination has one.
    pub(super) look: Look,
    /// To a look that does not, if the first was refused.
    pub(super) whoever: Option<Look>,
    /// To the canary.
    pub(super) write: Result<(), Trouble>,
    /// Whether a checksum went along with the canary that was taken.
    pub(super) checksum: Option<bool>,
    /// The path style of the canary that was taken, if it is not the destination's.
    pub(super) path_style: Option<bool>,
}

impl Seen {
    /// Whether the bucket belongs to the account that it must belong to, as far as that can be
    /// told: S3 answers 403 to everything that is refused.
    pub(super) fn owner_fits(&self) -> Option<bool> {
        if self.look.answer.is_ok() || self.write.is_ok() {
            return Some(true);
        }
        let whoever = self.whoever.as_ref();
        whoever
            .is_some_and(|look| look.answer.is_ok())
            .then_some(false)
    }

    /// The bucket's region, if it is another than the destination's. Only AWS knows regions.
    pub(super) fn other_region(&self, destination: &Destination) -> Option<&Region> {
        let location = &destination.location;
        let told = self.look.region.as_ref();
        told.filter(|region| location.endpoint.is_none() && **region != location.region)
    }

    /// Whether the canary may be taken a moment later, though nobody changes anything now.
    fn may_change(&self) -> bool {
        match &self.write {
            Ok(()) => false,
            Err(Trouble { error, obstacle }) => {
                let about_aws = ["PutObject", "AssumeRole"].contains(&&*error.failure().operation);
                obstacle.is_none()
                    && (error.may_pass() || (about_aws && matches!(error, StoreError::Denied(_))))
            }
        }
    }
}

impl<R, B, C> Checker<R, B, C> {
    /// A checker that tries roles and buckets through the ports. The principal is the one that
    /// roles have to trust; without it no trust statement can be told.
    pub fn new(roles: R, buckets: B, clock: C, principal: Option<AwsPrincipal>) -> Self {
        Self {
            roles,
            buckets,
            clock,
            principal,
        }
    }
}

impl<R: AssumeAttempts, B: BucketAttempts, C: Clock> Checker<R, B, C> {
    async fn role(&self, role: &RoleArn, right: &ExternalId, patience: &mut Patience) -> Matrix {
        loop {
            // One round: the pauses are shared, so they are made here.
            let matrix = role_check::check(&self.roles, &self.clock, role, right, &[]).await;
            let hopeless = |(_, attempt): &(_, Attempt)| matches!(attempt, Attempt::Invalid(_));
            let settled = matrix.verdict() == role_check::Verdict::Healthy
                || matrix.attempts().iter().any(hopeless);
            if settled || !patience.pause(&self.clock).await {
                return matrix;
            }
        }
    }

    async fn bucket(&self, destination: &Destination, patience: &mut Patience) -> Seen {
        loop {
            let mut seen = self.try_bucket(destination).await;
            if may_be_for_style(destination, &seen) {
                seen = self.try_other_style(destination).await.unwrap_or(seen);
            }
            if !seen.may_change() || !patience.pause(&self.clock).await {
                return seen;
            }
        }
    }

    async fn try_bucket(&self, destination: &Destination) -> Seen {
        let look = self.buckets.look(destination, Owner::Expected).await;
        let has_owner = matches!(destination.credentials, Credentials::IamRole { .. });
        let whoever = if has_owner && look.is_denied() {
            Some(self.buckets.look(destination, Owner::Whoever).await)
        } else {
            None
        };
        let (write, checksum) = self.try_canary(destination).await;
        Seen {
            look,
            whoever,
            write,
            checksum,
            path_style: None,
        }
    }

    /// Finds out whether an endpoint takes the canary with its bucket in the other place, host or path.
    ///
    /// It is looked at first: if there is no such bucket, what is written would land in another, as where the
    /// endpoint is a bucket's own host.
    async fn try_other_style(&self, destination: &Destination) -> Option<Seen> {
        let mut other = destination.clone();
        let path_style = !destination.location.path_style;
        other.location.path_style = path_style;
        let look = self.buckets.look(&other, Owner::Expected).await;
        let missing = |trouble: &Trouble| trouble.failure().code == "NoSuchBucket";
        if look.answer.as_ref().is_err_and(missing) {
            return None;
        }
        let (write, checksum) = self.try_canary(&other).await;
        write.ok()?;
        Some(Seen {
            look,
            whoever: None,
            write: Ok(()),
            checksum,
            path_style: Some(path_style),
        })
    }

    /// Writes the canary, and finds out by the way whether a checksum may go along, which is not
    /// known of endpoints other than AWS. At AWS it always may.
    async fn try_canary(&self, destination: &Destination) -> (Result<(), Trouble>, Option<bool>) {
        let first = destination.storage.checksum.unwrap_or(true);
        let trouble = match self.put(destination, first).await {
            Ok(()) => return (Ok(()), Some(first)),
            Err(trouble) => trouble,
        };
        let at_aws = destination.location.endpoint.is_none();
        if (at_aws && first) || !may_be_for_checksum(&trouble) {
            return (Err(trouble), None);
        }
        match self.put(destination, !first).await {
            Ok(()) => (Ok(()), Some(!first)),
            // Without what the endpoint did not understand it says what else is wrong.
            Err(other) if matches!(trouble.error, StoreError::Invalid(_)) => (Err(other), None),
            Err(_) => (Err(trouble), None),
        }
    }

    async fn put(&self, destination: &Destination, checksum: bool) -> Result<(), Trouble> {
        let mut tried = destination.clone();
        tried.storage.checksum = Some(checksum);
        let key = canary_key(&destination.location.prefix);
        let (bytes, sha256) = canary();
        self.buckets.write(&tried, &key, bytes, &sha256).await
    }
}

/// Whether an endpoint may have failed the canary because it looks for the bucket in another place.
///
/// Where names of the endpoint do not begin with buckets, such a name has no address, no certificate, or nobody
/// behind it; or it is answered, and the first folder of the key is taken for the bucket. For the same
/// reason the bucket is put into the name only where the endpoint asks for it: Alibaba's, Tencent's and
/// Volcengine's do, each in its own words. AWS takes both, and a bucket with a dot has no choice.
///
/// Seen in <https://github.com/peak/s5cmd/issues/518>, <https://github.com/gobackup/gobackup/issues/233>,
/// <https://github.com/apache/opendal/issues/6549>
fn may_be_for_style(destination: &Destination, seen: &Seen) -> bool {
    let location = &destination.location;
    let Err(trouble) = &seen.write else {
        return false;
    };
    if location.endpoint.is_none() || location.bucket.as_str().contains('.') {
        return false;
    }
    let failure = trouble.failure();
    let by_host = || {
        let code = failure.code.as_str();
        code.ends_with("DomainForbidden") || code == "InvalidPathAccess"
    };
    match trouble.obstacle {
        Some(obstacle) if !location.path_style => matches!(
            obstacle,
            Obstacle::NoAddress | Obstacle::Tls | Obstacle::Unreachable
        ),
        Some(_) => false,
        None if trouble.error.may_pass() || failure.operation != "PutObject" => false,
        None => !location.path_style || by_host(),
    }
}

/// Whether an endpoint may have refused the canary because of its headers. Some answer 501, some
/// 400 and some 403.
fn may_be_for_checksum(trouble: &Trouble) -> bool {
    let failure = trouble.failure();
    let about_else = ["AccessDenied", "NoSuchBucket", "InvalidAccessKeyId"];
    trouble.obstacle.is_none()
        && !trouble.error.may_pass()
        && failure.operation == "PutObject"
        && !about_else.contains(&failure.code.as_str())
}

impl<R: AssumeAttempts, B: BucketAttempts, C: Clock> Checks for Checker<R, B, C> {
    async fn check(&self, destination: &Destination) -> CheckReport {
        let mut patience = Patience::from(self.clock.now());
        let invalid = destination.validate().is_err();
        let role = match &destination.credentials {
            Credentials::IamRole {
                role_arn,
                external_id,
                ..
            } if !invalid => Some(self.role(role_arn, external_id, &mut patience).await),
            _ => None,
        };
        // Through a role that is refused there is no way, and through an unsafe one none is
        // taken.
        let goes_on = !invalid && role.as_ref().is_none_or(lets_in);
        let seen = if goes_on {
            Some(self.bucket(destination, &mut patience).await)
        } else {
            None
        };
        let scene = Scene {
            destination,
            principal: self.principal.as_ref(),
            matrix: role.as_ref(),
            seen: seen.as_ref(),
        };
        report(&scene, invalid, self.clock.now().as_millisecond())
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.buckets.addresses(host).await
    }
}

/// Whether nothing speaks against going on through the role, even if not all is known of it.
fn lets_in(matrix: &Matrix) -> bool {
    let [.., (_, right)] = matrix.attempts();
    let unsafe_ = matches!(matrix.verdict(), role_check::Verdict::Unsafe { .. });
    !unsafe_ && *right == Attempt::Allowed
}

fn report(scene: &Scene<'_>, invalid: bool, at_ms: i64) -> CheckReport {
    let destination = scene.destination;
    let of_role = scene.matrix.and_then(problem::of_role);
    let of_bucket = scene.seen.and_then(|seen| {
        let trouble = seen.write.as_ref().err()?;
        Some(problem::of_write(destination, seen, trouble))
    });
    // What a bucket refuses is certain, though a role may not be known in full.
    let problem = match (of_role, of_bucket) {
        _ if invalid => Some(Problem::RoleNeedsAws),
        (Some(role), Some(bucket)) if role.verdict() == Verdict::Unknown => Some(bucket),
        (role, bucket) => role.or(bucket),
    };
    let mut warnings = Vec::new();
    let mut mends = problem.map_or_else(Vec::new, |problem| mend::of(problem, scene));
    if let Some(seen) = scene.seen.filter(|seen| seen.write.is_ok()) {
        warnings = words::warnings(destination, seen);
        if seen.look.is_denied() {
            mends.extend(mend::look(destination));
        }
    }
    let (cause, advice) = words::of(problem, scene);
    let mut report = CheckReport {
        at_ms,
        fingerprint: Fingerprint::of(destination),
        verdict: problem.map_or(Verdict::Healthy, Problem::verdict),
        problem,
        matrix: matrix::of(scene, problem),
        cause,
        advice,
        mend: mends,
        warnings,
        checksum: scene.seen.and_then(|seen| checksum(destination, seen)),
        path_style: scene.seen.and_then(|seen| seen.path_style),
    };
    if let Credentials::IamRole { external_id, .. } = &destination.credentials {
        denial::redact(&mut report, external_id);
    }
    report
}

/// What the destination's `checksum` has to be: what the canary was taken with, unless that goes
/// without saying.
fn checksum(destination: &Destination, seen: &Seen) -> Option<bool> {
    let taken = seen.checksum?;
    let configured = destination.storage.checksum;
    let at_aws = destination.location.endpoint.is_none();
    (configured != Some(taken) && !(at_aws && configured.is_none())).then_some(taken)
}

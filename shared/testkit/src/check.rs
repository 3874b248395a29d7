//! A check of destinations that finds what the test wants it to find.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use jiff::Timestamp;
use sealift_core::check::{
    BucketAttempts, CheckReport, Checker, Checks, Look, Owner, Trouble, Verdict,
};
use sealift_core::destination::{Credentials, Destination};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{DestinationId, ObjectKey, RoleArn};
use sealift_core::policy::AwsPrincipal;
use sealift_core::ports::{Clock, Failure, StoreError};
use sealift_core::role_check::{AssumeAttempts, Attempt};

use crate::{VirtualClock, lock};

/// A [`Checks`] that takes no time and finds everything healthy, unless it is told otherwise.
/// Clones share what they are told.
#[derive(Debug, Clone)]
pub struct ScriptedChecks {
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    standing: HashMap<DestinationId, Verdict>,
    next: HashMap<DestinationId, VecDeque<Verdict>>,
    checksums: HashMap<DestinationId, Option<bool>>,
    asked: Vec<Destination>,
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl ScriptedChecks {
    /// Everything is healthy. Reports bear the clock's time.
    pub fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Sets what is found of a destination from now on.
    pub fn set(&self, destination: &DestinationId, verdict: Verdict) {
        let mut state = lock(&self.state);
        state.standing.insert(destination.clone(), verdict);
    }

    /// Adds what is found of a destination once, after what was added before, and before what
    /// is set.
    pub fn then(&self, destination: &DestinationId, verdict: Verdict) {
        let mut state = lock(&self.state);
        let next = state.next.entry(destination.clone()).or_default();
        next.push_back(verdict);
    }

    /// Sets what reports of a destination say of its `checksum`.
    pub fn set_checksum(&self, destination: &DestinationId, checksum: Option<bool>) {
        let mut state = lock(&self.state);
        state.checksums.insert(destination.clone(), checksum);
    }

    /// Gives a host's name its addresses. Any other has none.
    pub fn set_addresses(&self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let mut state = lock(&self.state);
        let addresses = addresses.into_iter().collect();
        state.addresses.insert(host.to_owned(), addresses);
    }

    /// What was checked, in order, as it was handed in.
    pub fn asked(&self) -> Vec<Destination> {
        lock(&self.state).asked.clone()
    }
}

impl Checks for ScriptedChecks {
    async fn check(&self, destination: &Destination) -> CheckReport {
        let (verdict, checksum) = {
            let mut state = lock(&self.state);
            state.asked.push(destination.clone());
            let once = state.next.get_mut(&destination.id);
            let once = once.and_then(VecDeque::pop_front);
            let standing = state.standing.get(&destination.id).copied();
            let verdict = once.or(standing).unwrap_or(Verdict::Healthy);
            (verdict, state.checksums.get(&destination.id).copied())
        };
        let mut found = report(destination, verdict, self.clock.now().as_millisecond());
        if let Some(checksum) = checksum {
            found.checksum = checksum;
        }
        found
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let state = lock(&self.state);
        state.addresses.get(host).cloned().unwrap_or_default()
    }
}

/// A report as the check itself makes it where it finds a destination to be so. One with access
/// keys is not unsafe by itself; it says so all the same if it is wanted.
///
/// # Panics
///
/// Never, as long as the check itself waits for nothing but its ports.
pub fn report(destination: &Destination, verdict: Verdict, at_ms: i64) -> CheckReport {
    let answers = Answers {
        verdict,
        right: match &destination.credentials {
            Credentials::IamRole { external_id, .. } => Some(external_id),
            Credentials::AccessKeys => None,
        },
        at_ms,
    };
    let principal = AwsPrincipal::parse("arn:aws:iam::111111111111:role/sealift-principal");
    let checker = Checker::new(answers, answers, answers, principal.ok());
    let report = checker.check(destination).now_or_never();
    #[expect(clippy::expect_used, reason = "nothing in it waits")]
    let report = report.expect("it is ready at once");
    CheckReport { verdict, ..report }
}

/// The answers of role, bucket and clock that come to the verdict.
#[derive(Debug, Clone, Copy)]
struct Answers<'a> {
    verdict: Verdict,
    right: Option<&'a ExternalId>,
    at_ms: i64,
}

fn failure(operation: &str, code: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target: "as the test wants it".to_owned(),
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
        request_id: "R1".to_owned(),
    }
}

impl AssumeAttempts for Answers<'_> {
    async fn try_assume(&self, _: &RoleArn, external_id: Option<&ExternalId>) -> Attempt {
        let opens = external_id.is_some() && external_id == self.right;
        match self.verdict {
            Verdict::Unsafe => Attempt::Allowed,
            Verdict::Unknown => Attempt::Unknown(failure("AssumeRole", "Throttling")),
            _ if opens => Attempt::Allowed,
            _ => Attempt::Denied(failure("AssumeRole", "AccessDenied")),
        }
    }
}

impl BucketAttempts for Answers<'_> {
    async fn look(&self, destination: &Destination, _: Owner) -> Look {
        Look {
            answer: Ok(()),
            region: Some(destination.location.region.clone()),
        }
    }

    async fn write(
        &self,
        _: &Destination,
        _: &ObjectKey,
        _: Bytes,
        _: &[u8; 32],
    ) -> Result<(), Trouble> {
        match self.verdict {
            Verdict::Failing => {
                Err(StoreError::Denied(failure("PutObject", "AccessDenied")).into())
            }
            Verdict::Unknown => Err(StoreError::Transient(failure("PutObject", "SlowDown")).into()),
            Verdict::Healthy | Verdict::Unsafe => Ok(()),
        }
    }

    async fn addresses(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl Clock for Answers<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at_ms).unwrap_or_default()
    }

    async fn sleep(&self, _: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_core::check::Problem;

    fn destination(credentials: &serde_json::Value) -> Destination {
        let document = serde_json::json!({
            "id": "acme-main", "organization": "acme", "status": "paused", "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
            "credentials": credentials,
        });
        serde_json::from_value(document).unwrap()
    }

    fn with_role() -> Destination {
        destination(&serde_json::json!({
            "type": "iam_role",
            "role_arn": "arn:aws:iam::222222222222:role/acme-audit",
            "external_id": "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6",
        }))
    }

    const VERDICTS: [Verdict; 4] = [
        Verdict::Healthy,
        Verdict::Unsafe,
        Verdict::Failing,
        Verdict::Unknown,
    ];

    #[test]
    fn a_report_is_of_the_verdict_and_says_why() {
        for verdict in VERDICTS {
            for destination in [
                with_role(),
                destination(&serde_json::json!({"type": "access_keys"})),
            ] {
                let report = report(&destination, verdict, 7);
                assert_eq!((report.verdict, report.at_ms), (verdict, 7));
                assert!(report.fits(&destination));
                let is_role = destination == with_role();
                if is_role {
                    let found = report.problem.map_or(Verdict::Healthy, Problem::verdict);
                    assert_eq!(found, verdict, "{report:#?}");
                }
                assert_eq!(report.matrix.len() > 4, is_role, "{report:#?}");
            }
        }
    }

    #[test]
    fn what_is_told_once_comes_before_what_is_set() {
        let clock = VirtualClock::auto(Timestamp::UNIX_EPOCH);
        let checks = ScriptedChecks::new(clock);
        let destination = with_role();
        let check = || checks.check(&destination).now_or_never().unwrap();
        assert_eq!(check().verdict, Verdict::Healthy);
        checks.set(&destination.id, Verdict::Failing);
        checks.then(&destination.id, Verdict::Unsafe);
        checks.then(&destination.id, Verdict::Unknown);
        checks.set_checksum(&destination.id, Some(false));
        let told = [check(), check(), check()].map(|report| report.verdict);
        assert_eq!(told, [Verdict::Unsafe, Verdict::Unknown, Verdict::Failing]);
        assert_eq!(check().checksum, Some(false));
        assert_eq!(checks.asked().len(), 5);
    }
}

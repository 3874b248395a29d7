//! The check on scripted answers. The same over HTTP is in the workspace's `tests`.

mod checksums;
mod keys;
mod patience;
mod problems;
mod report;
mod styles;
mod ways;

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::destination::{Endpoint, KmsKeyArn, Region};
use crate::external_id::ExternalId;
use crate::id::{ObjectKey, RoleArn};
use crate::policy::AwsPrincipal;
use crate::ports::{Clock, Failure, StoreError};
use crate::role_check::{AssumeAttempts, Attempt};

const ROLE: &str = "arn:aws:iam::222222222222:role/acme-audit";
const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
const EXTERNAL_ID: &str = "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6";
const KEY: &str = "arn:aws:kms:eu-central-1:222222222222:key/0a-1b";

fn with_role() -> Destination {
    let document = json!({
        "id": "main", "organization": "acme", "status": "paused", "start_ms": 0,
        "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
        "credentials": {"type": "iam_role", "role_arn": ROLE, "external_id": EXTERNAL_ID},
    });
    serde_json::from_value(document).unwrap()
}

fn with_keys() -> Destination {
    Destination {
        credentials: crate::destination::Credentials::AccessKeys,
        ..with_role()
    }
}

fn elsewhere() -> Destination {
    let mut destination = with_keys();
    let endpoint = Endpoint::parse("https://minio.example.com:9000").unwrap();
    destination.location.endpoint = Some(endpoint);
    destination
}

fn failure(operation: &str, code: &str, message: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target: "s3://acme-audit/audit/_sealift-check.gz".to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: "R1".to_owned(),
    }
}

fn denied(code: &str, message: &str) -> Trouble {
    StoreError::Denied(failure("PutObject", code, message)).into()
}

fn invalid(code: &str, message: &str) -> Trouble {
    StoreError::Invalid(failure("PutObject", code, message)).into()
}

fn transient(code: &str) -> Trouble {
    StoreError::Transient(failure("PutObject", code, "later")).into()
}

fn blocked(obstacle: Obstacle) -> Trouble {
    Trouble {
        error: StoreError::Transient(failure("PutObject", "", "nothing came back")),
        obstacle: Some(obstacle),
    }
}

fn refused() -> Attempt {
    Attempt::Denied(failure("AssumeRole", "AccessDenied", "not authorized"))
}

fn throttled() -> Attempt {
    Attempt::Unknown(failure("AssumeRole", "Throttling", "later"))
}

fn untried() -> Attempt {
    Attempt::Invalid(failure("AssumeRole", "InvalidClientTokenId", "no good"))
}

fn healthy() -> [Attempt; 4] {
    [refused(), refused(), refused(), Attempt::Allowed]
}

fn looked(answer: Result<(), Trouble>, region: Option<&str>) -> Look {
    Look {
        answer,
        region: region.map(|region| Region::parse(region).unwrap()),
    }
}

fn well() -> Look {
    looked(Ok(()), Some("eu-central-1"))
}

fn look_denied() -> Look {
    let denied = StoreError::Denied(failure("HeadBucket", "HTTP 403", ""));
    looked(Err(denied.into()), Some("eu-central-1"))
}

/// Answers round by round, the last for all that follow, and remembers what it was asked.
struct World {
    roles: Vec<[Attempt; 4]>,
    looks: Vec<Look>,
    whoever: Look,
    writes: Vec<Result<(), Trouble>>,
    story: Mutex<Vec<String>>,
    /// The path style of each write.
    styles: Mutex<Vec<bool>>,
    assumed: Mutex<usize>,
    /// Seconds that every attempt takes.
    slow: u64,
    slept: Mutex<Vec<u64>>,
}

impl World {
    fn new() -> Self {
        Self {
            roles: vec![healthy()],
            looks: vec![well()],
            whoever: look_denied(),
            writes: vec![Ok(())],
            story: Mutex::default(),
            styles: Mutex::default(),
            assumed: Mutex::default(),
            slow: 0,
            slept: Mutex::default(),
        }
    }

    fn roles(mut self, rounds: impl IntoIterator<Item = [Attempt; 4]>) -> Self {
        self.roles = rounds.into_iter().collect();
        self
    }

    fn looks(mut self, looks: impl IntoIterator<Item = Look>) -> Self {
        self.looks = looks.into_iter().collect();
        self
    }

    fn whoever(mut self, look: Look) -> Self {
        self.whoever = look;
        self
    }

    fn writes(mut self, writes: impl IntoIterator<Item = Result<(), Trouble>>) -> Self {
        self.writes = writes.into_iter().collect();
        self
    }

    fn check(&self, destination: &Destination) -> CheckReport {
        let principal = AwsPrincipal::role(&RoleArn::parse(PRINCIPAL).unwrap());
        let checker = Checker::new(self, self, self, Some(principal));
        checker.check(destination).now_or_never().unwrap()
    }

    fn tell(&self, what: &str) -> usize {
        let mut story = self.story.lock().unwrap();
        story.push(what.to_owned());
        story.iter().filter(|told| *told == what).count() - 1
    }

    fn count(&self, what: &str) -> usize {
        let story = self.story.lock().unwrap();
        story.iter().filter(|told| told.starts_with(what)).count()
    }

    fn slept(&self) -> Vec<u64> {
        self.slept.lock().unwrap().clone()
    }
}

fn nth<T: Clone>(script: &[T], number: usize) -> T {
    script.get(number).or(script.last()).unwrap().clone()
}

impl AssumeAttempts for &World {
    async fn try_assume(&self, role: &RoleArn, external_id: Option<&ExternalId>) -> Attempt {
        assert_eq!(role.as_str(), ROLE);
        let mut assumed = self.assumed.lock().unwrap();
        let (round, probe) = (*assumed / 4, *assumed % 4);
        *assumed += 1;
        let is_right = external_id.is_some_and(|id| id.as_str() == EXTERNAL_ID);
        assert_eq!(is_right, probe == 3);
        self.tell("assume");
        nth(&self.roles, round)[probe].clone()
    }
}

impl BucketAttempts for &World {
    async fn look(&self, _: &Destination, owner: Owner) -> Look {
        match owner {
            Owner::Expected => nth(&self.looks, self.tell("look")),
            Owner::Whoever => {
                self.tell("whoever");
                self.whoever.clone()
            }
        }
    }

    async fn write(
        &self,
        destination: &Destination,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), Trouble> {
        assert_eq!(*key, canary_key(&destination.location.prefix));
        assert_eq!((bytes, *sha256), canary::canary());
        let number = self.count("write");
        let path_style = destination.location.path_style;
        self.styles.lock().unwrap().push(path_style);
        self.tell(match destination.storage.checksum {
            Some(true) => "write with",
            Some(false) => "write without",
            None => "write",
        });
        nth(&self.writes, number)
    }

    async fn addresses(&self, _: &str) -> Vec<IpAddr> {
        unreachable!("a check leaves names to the connection")
    }
}

impl Clock for &World {
    fn now(&self) -> Timestamp {
        let slept: u64 = self.slept.lock().unwrap().iter().sum();
        let asked = u64::try_from(*self.assumed.lock().unwrap()).unwrap();
        let passed = slept + asked * self.slow;
        Timestamp::from_second(i64::try_from(passed).unwrap()).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap().push(duration.as_secs());
    }
}

fn outcome(report: &CheckReport, step: Step) -> Outcome {
    let row = report.matrix.iter().find(|row| row.step == step);
    row.unwrap().outcome
}

fn steps(report: &CheckReport) -> Vec<Step> {
    report.matrix.iter().map(|row| row.step).collect()
}

/// What the report must say: the problem, who is asked, words of cause and advice, and the
/// policies that mend it.
struct Expected {
    problem: Problem,
    who: Who,
    cause: &'static str,
    what: &'static str,
    mend: &'static [PolicyKind],
}

fn assert_told(report: &CheckReport, expected: &Expected) {
    let advice = report.advice.as_ref().unwrap();
    let mend: Vec<PolicyKind> = report.mend.iter().map(|mend| mend.policy).collect();
    let told = format!("{report:#?}");
    assert_eq!(report.problem, Some(expected.problem), "{told}");
    assert_eq!(report.verdict, expected.problem.verdict(), "{told}");
    assert_eq!(advice.who, expected.who, "{told}");
    assert!(report.cause.contains(expected.cause), "{told}");
    assert!(advice.what.contains(expected.what), "{told}");
    assert_eq!(mend, expected.mend, "{told}");
}

fn with_key() -> Destination {
    let mut destination = with_role();
    destination.storage.kms_key_arn = Some(KmsKeyArn::parse(KEY).unwrap());
    destination
}

fn said(action: &str, on: &str, why: &str) -> String {
    format!(
        "User: arn:aws:sts::222222222222:assumed-role/acme-audit/sealift-1 is not authorized to \
         perform: {action} on resource: {on} {why}"
    )
}

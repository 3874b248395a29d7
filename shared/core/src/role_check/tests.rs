use std::sync::Mutex;

use futures_util::FutureExt;
use jiff::Timestamp;

use super::*;
use crate::external_id::ExternalIdSuffix;
use crate::id::{OrgId, ProjectId};
use crate::policy::AwsPrincipal;
use crate::policy::trust::Admitted;

const ROLE: &str = "arn:aws:iam::222222222222:role/exports";
const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";

fn role() -> RoleArn {
    RoleArn::parse(ROLE).unwrap()
}

fn export_id() -> ExternalId {
    let org = OrgId::parse("acme").unwrap();
    let project = ProjectId::parse("p1").unwrap();
    ExternalId::for_export(&org, &project, &ExternalIdSuffix::parse("s1").unwrap())
}

fn audit_id() -> ExternalId {
    ExternalId::parse("f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6").unwrap()
}

fn caller() -> Caller {
    Caller::role(&RoleArn::parse(PRINCIPAL).unwrap())
}

fn failure(code: &str) -> Failure {
    Failure {
        operation: "AssumeRole".to_owned(),
        target: ROLE.to_owned(),
        code: code.to_owned(),
        message: format!("about {code}"),
        request_id: "R1".to_owned(),
    }
}

fn denied() -> Attempt {
    Attempt::Denied(failure("AccessDenied"))
}

fn throttled() -> Attempt {
    Attempt::Unknown(failure("Throttling"))
}

fn matrix(attempts: [Attempt; 4]) -> Matrix {
    let [none, wrong, other, right] = attempts;
    Matrix {
        attempts: [
            (Probe::None, none),
            (Probe::Wrong, wrong),
            (Probe::OtherOrganization, other),
            (Probe::Right, right),
        ],
        stranger: None,
    }
}

/// Answers by round and probe, and remembers what it was asked and how long was waited.
struct Scripted {
    rounds: Vec<[Attempt; 4]>,
    asked: Mutex<Vec<Option<String>>>,
    slept: Mutex<Vec<u64>>,
}

impl Scripted {
    fn new(rounds: impl IntoIterator<Item = [Attempt; 4]>) -> Self {
        Self {
            rounds: rounds.into_iter().collect(),
            asked: Mutex::default(),
            slept: Mutex::default(),
        }
    }

    fn check(&self, right: &ExternalId) -> Matrix {
        check(self, self, &role(), right, &PAUSES)
            .now_or_never()
            .unwrap()
    }

    fn slept(&self) -> Vec<u64> {
        self.slept.lock().unwrap().clone()
    }
}

impl AssumeAttempts for Scripted {
    async fn try_assume(&self, _: &RoleArn, external_id: Option<&ExternalId>) -> Attempt {
        let mut asked = self.asked.lock().unwrap();
        let number = asked.len();
        asked.push(external_id.map(|id| id.as_str().to_owned()));
        let round = self.rounds.get(number / 4).or(self.rounds.last());
        round.unwrap()[number % 4].clone()
    }
}

impl Clock for Scripted {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap().push(duration.as_secs());
    }
}

fn healthy() -> [Attempt; 4] {
    [denied(), denied(), denied(), Attempt::Allowed]
}

#[test]
fn of_all_answers_only_deny_deny_deny_allow_is_healthy() {
    let answers = [
        Attempt::Allowed,
        denied(),
        throttled(),
        Attempt::Invalid(failure("RegionDisabledException")),
    ];
    let mut seen = [0; 4];
    for number in 0..256_usize {
        let at = |place: u32| answers[number / 4_usize.pow(place) % 4].clone();
        let attempts = [at(0), at(1), at(2), at(3)];
        let found = matrix(attempts.clone()).verdict();
        let breach = attempts[..3].contains(&Attempt::Allowed);
        match found {
            Verdict::Healthy => {
                seen[0] += 1;
                assert_eq!(attempts, healthy());
            }
            Verdict::Unsafe { allowed, stranger } => {
                seen[1] += 1;
                assert!(breach && !allowed.is_empty() && !stranger);
                assert!(!allowed.contains(&Probe::Right));
            }
            Verdict::Refused => {
                seen[2] += 1;
                assert!(!breach && attempts[3] == denied());
            }
            Verdict::Unknown => {
                seen[3] += 1;
                assert!(!breach && attempts[3] != denied() && attempts != healthy());
            }
        }
    }
    // 64 combinations of the first three, 27 of them without a breach, each with four last ones.
    assert_eq!(seen, [1, (64 - 27) * 4, 27, 27 * 3 - 1]);
}

#[test]
fn a_throttle_is_neither_a_refusal_nor_an_all_clear() {
    for place in 0..4 {
        let mut attempts = healthy();
        attempts[place] = throttled();
        let matrix = matrix(attempts);
        assert_eq!(matrix.verdict(), Verdict::Unknown, "{place}");
        assert!(matrix.cause().contains("Throttling"), "{}", matrix.cause());
        assert_eq!(matrix.mend(&terms(Admitted::Exactly(audit_id()))), None);
    }
}

#[test]
fn a_healthy_role_is_asked_once_with_each_external_id_in_turn() {
    let scripted = Scripted::new([healthy()]);
    assert_eq!(scripted.check(&export_id()).verdict(), Verdict::Healthy);
    let asked = scripted.asked.lock().unwrap().clone();
    let asked: Vec<Option<&str>> = asked.iter().map(Option::as_deref).collect();
    assert_eq!(
        asked,
        [
            None,
            Some("sealift-probe-wrong"),
            Some("bt:acme-other:p1:s1"),
            Some("bt:acme:p1:s1")
        ]
    );
    assert!(scripted.slept().is_empty());
}

#[test]
fn a_change_that_takes_its_time_is_waited_for() {
    let nobody = || [denied(), denied(), denied(), denied()];
    let everybody = || [(); 4].map(|()| Attempt::Allowed);
    let busy = || [denied(), throttled(), denied(), Attempt::Allowed];
    let scripted = Scripted::new([nobody(), everybody(), busy(), healthy()]);
    assert_eq!(scripted.check(&audit_id()).verdict(), Verdict::Healthy);
    assert_eq!(scripted.slept(), [1, 3, 6]);
}

#[test]
fn a_role_that_stays_as_it_is_gets_its_verdict_in_the_end() {
    for (round, expected) in [
        ([denied(), denied(), denied(), denied()], "refused"),
        (
            [denied(), Attempt::Allowed, denied(), Attempt::Allowed],
            "unsafe",
        ),
        ([denied(), denied(), denied(), throttled()], "unknown"),
    ] {
        let scripted = Scripted::new([round]);
        assert_eq!(scripted.check(&audit_id()).verdict().as_str(), expected);
        assert_eq!(scripted.slept(), [1, 3, 6, 10]);
    }
}

#[test]
fn what_can_never_be_tried_is_not_tried_again() {
    let off = || Attempt::Invalid(failure("RegionDisabledException"));
    let scripted = Scripted::new([[off(), off(), off(), off()]]);
    let matrix = scripted.check(&audit_id());
    assert_eq!(matrix.verdict(), Verdict::Unknown);
    assert!(
        matrix.cause().contains("says nothing of it"),
        "{}",
        matrix.cause()
    );
    assert!(scripted.slept().is_empty());
}

fn terms(admitted: Admitted) -> Terms {
    Terms {
        principal: AwsPrincipal::role(&RoleArn::parse(PRINCIPAL).unwrap()),
        admitted,
    }
}

fn organization() -> Terms {
    terms(Admitted::Organization(OrgId::parse("acme").unwrap()))
}

fn trust(principal: &str, condition: &str) -> Document {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"{condition}}}}}"#
    )
    .parse()
    .unwrap()
}

fn when(operator: &str, value: &str) -> String {
    format!(r#","Condition":{{"{operator}":{{"sts:ExternalId":"{value}"}}}}"#)
}

const ACCOUNT: &str = r#"{"AWS":"arn:aws:iam::111111111111:root"}"#;

#[test]
fn each_mistake_in_a_trust_policy_has_its_verdict_and_its_cause() {
    for (principal, condition, verdict, cause) in [
        (
            ACCOUNT,
            when("StringLike", "bt:acme:*"),
            "healthy",
            "refuses every other",
        ),
        (
            ACCOUNT,
            when("StringEquals", "bt:acme:p1:s1"),
            "healthy",
            "refuses every other",
        ),
        (ACCOUNT, String::new(), "unsafe", "asks for no ExternalId"),
        (
            ACCOUNT,
            when("StringLike", "bt:*"),
            "unsafe",
            "such as `bt:*`",
        ),
        (
            ACCOUNT,
            when("StringLike", "bt:acme*"),
            "unsafe",
            "without the `:`",
        ),
        (
            ACCOUNT,
            when("StringLike", "*"),
            "unsafe",
            "takes any ExternalId",
        ),
        (
            ACCOUNT,
            when("StringLikeIfExists", "bt:acme:*"),
            "unsafe",
            "IfExists",
        ),
        (
            r#""*""#,
            when("StringLike", "bt:acme:*"),
            "unsafe",
            "its principal is `*`",
        ),
        (
            r#"{"AWS":"*"}"#,
            when("StringLike", "bt:acme:*"),
            "unsafe",
            "its principal is `*`",
        ),
        (r#""*""#, String::new(), "unsafe", "asks for no ExternalId"),
        (
            ACCOUNT,
            when("StringLike", "bt:other:*"),
            "refused",
            "no condition fits",
        ),
        // Case counts, and `StringEquals` knows no wildcard.
        (
            ACCOUNT,
            when("StringEquals", "bt:acme:*"),
            "refused",
            "no condition fits",
        ),
        (
            r#"{"AWS":"arn:aws:iam::999999999999:root"}"#,
            when("StringLike", "bt:acme:*"),
            "refused",
            "no statement allows",
        ),
    ] {
        let policy = trust(principal, &condition);
        let matrix = of_document(&policy, &caller(), &export_id()).unwrap();
        let told = matrix.cause();
        assert_eq!(matrix.verdict().as_str(), verdict, "{policy}: {told}");
        assert!(told.contains(cause), "{policy}: {told}");
        let mended = matrix.mend(&organization());
        assert_eq!(mended.is_some(), verdict != "healthy", "{policy}");
        if let Some(statement) = mended {
            let policy = Document::new([statement]);
            let matrix = of_document(&policy, &caller(), &export_id()).unwrap();
            assert_eq!(matrix.verdict(), Verdict::Healthy, "{policy}");
        }
    }
}

#[test]
fn an_audit_destinations_policy_must_name_the_whole_external_id() {
    let right = audit_id();
    let terms = terms(Admitted::Exactly(right.clone()));
    let most: String = right.as_str().chars().take(60).collect();
    for (condition, verdict, cause) in [
        (
            when("StringEquals", right.as_str()),
            "healthy",
            "refuses every other",
        ),
        (
            when("StringLike", &format!("{most}*")),
            "unsafe",
            "must name the whole text",
        ),
        (
            when("StringLike", &format!("{most}????")),
            "unsafe",
            "must name the whole text",
        ),
        (
            when("StringLike", "bt:acme:*"),
            "refused",
            "no condition fits",
        ),
    ] {
        let policy = trust(ACCOUNT, &condition);
        let matrix = of_document(&policy, &caller(), &right).unwrap();
        assert_eq!(matrix.verdict().as_str(), verdict, "{}", matrix.cause());
        assert!(matrix.cause().contains(cause), "{}", matrix.cause());
        // What is told of it does not hold the ExternalId; the statement that mends it does.
        let told = format!("{matrix:?} {}", serde_json::to_string(&matrix).unwrap());
        assert!(!told.contains(&most), "{told}");
        if let Some(statement) = matrix.mend(&terms) {
            let json = serde_json::to_string(&statement).unwrap();
            assert!(json.contains(right.as_str()), "{json}");
        }
    }
    assert!(!format!("{terms:?}").contains(&most));
}

#[test]
fn a_policy_that_is_not_understood_is_an_error_and_no_verdict() {
    let policy = trust(
        ACCOUNT,
        r#","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
    );
    let error = of_document(&policy, &caller(), &export_id()).unwrap_err();
    assert_eq!(error, CannotEvaluate::Operator("IpAddress".to_owned()));
}

#[test]
fn its_json_has_verdict_cause_and_every_answer() {
    let matrix = matrix([denied(), throttled(), Attempt::Allowed, Attempt::Allowed]);
    insta::assert_json_snapshot!(matrix, @r#"
    {
      "verdict": "unsafe",
      "cause": "it takes the ExternalIds of other organizations: the pattern in its condition is too wide, such as `bt:*`, or `bt:<org>*` without the `:` after the organization's id",
      "attempts": [
        {
          "with": "none",
          "answer": "denied",
          "failure": {
            "operation": "AssumeRole",
            "target": "arn:aws:iam::222222222222:role/exports",
            "code": "AccessDenied",
            "message": "about AccessDenied",
            "request_id": "R1"
          }
        },
        {
          "with": "wrong",
          "answer": "unknown",
          "failure": {
            "operation": "AssumeRole",
            "target": "arn:aws:iam::222222222222:role/exports",
            "code": "Throttling",
            "message": "about Throttling",
            "request_id": "R1"
          }
        },
        {
          "with": "other_organization",
          "answer": "allowed"
        },
        {
          "with": "right",
          "answer": "allowed"
        }
      ],
      "stranger": null
    }
    "#);
}

//! Checking customers' roles over real HTTP: against an STS that evaluates trust policies, and
//! against one that answers as a test tells it to.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use sealift_aws::sinks::{AwsEndpoints, Options as SinkOptions};
use sealift_aws::{OsEntropy, RoleAttempts, SystemClock, config};
use sealift_core::external_id::{ExternalId, ExternalIdSuffix};
use sealift_core::id::{AccountId, OrgId, ProjectId, RoleArn};
use sealift_core::policy::trust::{self, Admitted, Probe, Terms};
use sealift_core::policy::{AwsPrincipal, Caller, Document, Partition};
use sealift_core::role_check::{self, Attempt, Matrix, PAUSES, Verdict};
use sealift_embedded::faults::{Effect, Rule};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::{Embedded, Options};
use sealift_testkit::VirtualClock;
use sealift_tests::responder::{Received, Reply, Responder};
use tempfile::TempDir;

const PLATFORM: &str = "111111111111";
const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
const CUSTOMER: &str = "arn:aws:iam::222222222222:role/bt/exports";
const AUDIT_ID: &str = "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6";
const SECRETS: [&str; 2] = ["platform-secret", "session-secret"];

fn arn(text: &str) -> RoleArn {
    RoleArn::parse(text).unwrap()
}

fn export_id() -> ExternalId {
    ExternalId::for_export(
        &OrgId::parse("acme").unwrap(),
        &ProjectId::parse("p1").unwrap(),
        &ExternalIdSuffix::parse("s1").unwrap(),
    )
}

fn audit_id() -> ExternalId {
    ExternalId::parse(AUDIT_ID).unwrap()
}

fn clock() -> VirtualClock {
    VirtualClock::auto("2023-07-10T11:00:00Z".parse().unwrap())
}

fn attempts(url: &str, principal: Option<&str>) -> RoleAttempts<VirtualClock> {
    let options = SinkOptions {
        principal: principal.map(arn),
        endpoints: AwsEndpoints {
            sts: Some(url.to_owned()),
            ..AwsEndpoints::default()
        },
        ..SinkOptions::default()
    };
    let keys = Keys::new("PLATFORMKEY", "platform-secret", None, None, "test");
    // Tests of errors would wait for the SDK's pauses between its tries.
    let base = config::fixed("us-east-1", keys, Some(url)).into_builder();
    let base = base.retry_config(RetryConfig::disabled()).build();
    RoleAttempts::new(base, options, clock())
}

/// An STS with Sealift's principal, and a customer's role without a trust policy yet.
struct Scene {
    aws: Embedded,
    _data: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let platform = Platform {
            account: AccountId::parse(PLATFORM).unwrap(),
            access_key_id: "PLATFORMKEY".to_owned(),
            secret_access_key: Secret::new("platform-secret"),
        };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let options = Options::new(data.path(), platform, clock, entropy);
        let aws = Embedded::start(options).await.unwrap();
        let root = format!("arn:aws:iam::{PLATFORM}:root");
        let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}]});
        let assume = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]});
        let may = [("assume", assume.to_string())];
        let may = may.each_ref().map(|(name, text)| (*name, text.as_str()));
        aws.iam()
            .create_role(&arn(PRINCIPAL), &trust.to_string(), &may)
            .unwrap();
        Self { aws, _data: data }
    }

    /// The customer's role, with full rights in its account.
    async fn check(&self, trust: &Document, right: &ExternalId) -> Matrix {
        let (iam, customer) = (self.aws.iam(), arn(CUSTOMER));
        let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        if iam.has_role(&customer) {
            iam.update_trust_policy(&customer, &trust.to_string())
                .unwrap();
        } else {
            iam.create_role(&customer, &trust.to_string(), &[("all", all)])
                .unwrap();
        }
        self.try_it(right).await
    }

    async fn try_it(&self, right: &ExternalId) -> Matrix {
        let attempts = attempts(&self.aws.endpoint_url(), Some(PRINCIPAL));
        role_check::check(&attempts, &clock(), &arn(CUSTOMER), right, &PAUSES).await
    }
}

fn trust_policy(principal: &str, condition: &str) -> Document {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"{condition}}}}}"#
    )
    .parse()
    .unwrap()
}

const ACCOUNT: &str = r#"{"AWS":"arn:aws:iam::111111111111:root"}"#;

fn like(pattern: &str) -> String {
    format!(r#","Condition":{{"StringLike":{{"sts:ExternalId":"{pattern}"}}}}"#)
}

#[tokio::test]
async fn what_sts_answers_is_what_the_trust_policy_says() {
    let scene = Scene::new().await;
    let caller = Caller::role(&arn(PRINCIPAL));
    let (exports, audit) = (export_id(), audit_id());
    let for_exports = trust::for_exports(
        Partition::Aws,
        &OrgId::parse("acme").unwrap(),
        &AccountId::parse(PLATFORM).unwrap(),
    );
    let for_audit =
        trust::for_audit_destination(&arn(PRINCIPAL), std::slice::from_ref(&audit)).unwrap();
    for (policy, right, verdict) in [
        (for_exports, &exports, "healthy"),
        (for_audit, &audit, "healthy"),
        (trust_policy(ACCOUNT, &like("bt:*")), &exports, "unsafe"),
        (trust_policy(ACCOUNT, &like("bt:acme*")), &exports, "unsafe"),
        (trust_policy(ACCOUNT, &like("*")), &exports, "unsafe"),
        (trust_policy(ACCOUNT, ""), &exports, "unsafe"),
        (trust_policy(r#""*""#, ""), &audit, "unsafe"),
        (trust_policy(ACCOUNT, &like("f3a1b2c4*")), &audit, "unsafe"),
        (
            trust_policy(ACCOUNT, &like("bt:other:*")),
            &exports,
            "refused",
        ),
        (
            trust_policy(
                r#"{"AWS":"arn:aws:iam::999999999999:root"}"#,
                &like("bt:acme:*"),
            ),
            &exports,
            "refused",
        ),
    ] {
        let tried = scene.check(&policy, right).await;
        assert_eq!(
            tried.verdict().as_str(),
            verdict,
            "{policy}: {}",
            tried.cause()
        );
        // The document says the same, but for the words of a refusal.
        let read = role_check::of_document(&policy, &caller, right).unwrap();
        let allowed = |matrix: &Matrix| {
            let answers = matrix.attempts().clone();
            answers.map(|(probe, attempt)| (probe, attempt == Attempt::Allowed))
        };
        assert_eq!(allowed(&tried), allowed(&read), "{policy}");
    }
}

#[tokio::test]
async fn that_everybody_is_let_in_shows_in_the_document_alone() {
    let scene = Scene::new().await;
    let policy = trust_policy(r#"{"AWS":"*"}"#, &like("bt:acme:*"));
    let tried = scene.check(&policy, &export_id()).await;
    assert_eq!(tried.verdict(), Verdict::Healthy);
    let read =
        role_check::of_document(&policy, &Caller::role(&arn(PRINCIPAL)), &export_id()).unwrap();
    let expected = Verdict::Unsafe {
        allowed: vec![],
        stranger: true,
    };
    assert_eq!(read.verdict(), expected);
}

#[tokio::test]
async fn a_trust_policy_that_was_mended_as_told_is_healthy() {
    let scene = Scene::new().await;
    for (admitted, right) in [
        (
            Admitted::Organization(OrgId::parse("acme").unwrap()),
            export_id(),
        ),
        (Admitted::Exactly(audit_id()), audit_id()),
    ] {
        let terms = Terms {
            principal: AwsPrincipal::role(&arn(PRINCIPAL)),
            admitted,
        };
        let matrix = scene.check(&trust_policy(ACCOUNT, ""), &right).await;
        assert!(matches!(matrix.verdict(), Verdict::Unsafe { .. }));
        let mended = Document::new([matrix.mend(&terms).unwrap()]);
        let matrix = scene.check(&mended, &right).await;
        assert_eq!(matrix.verdict(), Verdict::Healthy, "{}", matrix.cause());
    }
}

#[tokio::test]
async fn a_role_that_is_not_there_is_refused_with_all_that_it_may_be() {
    let scene = Scene::new().await;
    let matrix = scene.try_it(&export_id()).await;
    assert_eq!(matrix.verdict(), Verdict::Refused);
    let cause = matrix.cause();
    assert!(cause.contains("is there a role of this name"), "{cause}");
    // Five rounds of four, and one for the principal.
    assert_eq!(scene.aws.requests().count("AssumeRole").requests, 21);
}

#[tokio::test]
async fn a_throttle_that_passes_costs_a_round_and_one_that_stays_the_verdict() {
    let scene = Scene::new().await;
    let good = trust_policy(ACCOUNT, &like("bt:acme:*"));
    let faults = scene.aws.faults();
    let throttle = || Rule::new(Effect::SlowDown).key_prefix(CUSTOMER);
    faults.add(throttle().times(2));
    let matrix = scene.check(&good, &export_id()).await;
    assert_eq!(matrix.verdict(), Verdict::Healthy, "{}", matrix.cause());

    for effect in [Effect::SlowDown, Effect::InternalError, Effect::TearBefore] {
        faults.clear();
        faults.add(Rule::new(effect).key_prefix(CUSTOMER));
        let matrix = scene.check(&good, &export_id()).await;
        assert_eq!(matrix.verdict(), Verdict::Unknown, "{}", matrix.cause());
        assert!(matrix.cause().contains("try again"), "{}", matrix.cause());
    }
}

#[tokio::test]
async fn a_principal_that_is_refused_says_nothing_of_the_customers_role() {
    let scene = Scene::new().await;
    scene
        .aws
        .faults()
        .add(Rule::new(Effect::AccessDenied).key_prefix(PRINCIPAL));
    let matrix = scene.check(&trust_policy(ACCOUNT, ""), &export_id()).await;
    assert_eq!(matrix.verdict(), Verdict::Unknown);
    let cause = matrix.cause();
    assert!(
        cause.contains("says nothing of it") && cause.contains(PRINCIPAL),
        "{cause}"
    );
}

/// What the check makes of an STS that answers everything alike.
async fn against(reply: Reply, principal: Option<&str>) -> (Matrix, Vec<Received>) {
    let sts = Responder::start(move |_, _| reply.clone()).await.unwrap();
    let attempts = attempts(sts.url(), principal);
    let matrix = role_check::check(&attempts, &clock(), &arn(CUSTOMER), &audit_id(), &[]).await;
    let shown = format!("{attempts:?} {matrix:?} {}", matrix.cause());
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    (matrix, sts.received())
}

fn session() -> Reply {
    Reply::answer(
        200,
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <Credentials><AccessKeyId>KEY</AccessKeyId><SecretAccessKey>session-secret</SecretAccessKey>\
         <SessionToken>TOKEN</SessionToken><Expiration>2023-07-10T12:00:00Z</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>",
    )
}

#[tokio::test]
async fn each_attempt_goes_out_with_its_external_id_and_a_session_that_may_do_nothing() {
    let (matrix, received) = against(session(), None).await;
    assert_eq!(
        matrix.verdict(),
        Verdict::Unsafe {
            allowed: vec![Probe::None, Probe::Wrong, Probe::OtherOrganization],
            stranger: false
        }
    );
    let forms: Vec<_> = received.iter().map(Received::form).collect();
    let sent: Vec<Option<&str>> = forms
        .iter()
        .map(|form| form.get("ExternalId").map(String::as_str))
        .collect();
    let wrong = audit_id().wrong();
    assert_eq!(
        sent,
        [
            None,
            Some(wrong.as_str()),
            Some("bt:sealift-other:probe:probe"),
            Some(AUDIT_ID)
        ]
    );
    for form in forms {
        assert_eq!(form["RoleArn"], CUSTOMER);
        assert_eq!(form["RoleSessionName"], "sealift-role-check");
        assert_eq!(form["DurationSeconds"], "900");
        assert!(form["Policy"].contains(r#""Effect":"Deny","Action":"*","Resource":"*""#));
    }
}

#[tokio::test]
async fn only_sts_refusing_the_role_is_a_refusal() {
    for (reply, expected) in [
        (Reply::sts_error(403, "AccessDenied"), Verdict::Refused),
        (Reply::sts_error(400, "Throttling"), Verdict::Unknown),
        (Reply::sts_error(500, "InternalFailure"), Verdict::Unknown),
        (
            Reply::sts_error(503, "ServiceUnavailable"),
            Verdict::Unknown,
        ),
        (
            Reply::sts_error(403, "RegionDisabledException"),
            Verdict::Unknown,
        ),
        (
            Reply::sts_error(403, "InvalidClientTokenId"),
            Verdict::Unknown,
        ),
        (Reply::sts_error(403, "ExpiredToken"), Verdict::Unknown),
        (
            Reply::sts_error(403, "SignatureDoesNotMatch"),
            Verdict::Unknown,
        ),
        (Reply::sts_error(400, "ValidationError"), Verdict::Unknown),
        (Reply::answer(403, "<html>proxy"), Verdict::Unknown),
        (Reply::answer(200, "<html>portal"), Verdict::Unknown),
        (Reply::HangUp, Verdict::Unknown),
        (Reply::BreakOff, Verdict::Unknown),
    ] {
        let told = format!("{reply:?}");
        let (matrix, _) = against(reply, None).await;
        assert_eq!(matrix.verdict(), expected, "{told}: {}", matrix.cause());
    }
    let (matrix, _) = against(Reply::sts_error(403, "RegionDisabledException"), None).await;
    assert!(
        matrix.cause().contains("another region"),
        "{}",
        matrix.cause()
    );
    let (matrix, _) = against(Reply::sts_error(403, "AccessDenied"), Some(PRINCIPAL)).await;
    assert_eq!(matrix.verdict(), Verdict::Unknown, "{}", matrix.cause());
}

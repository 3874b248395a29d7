//! Against an S3 and STS that evaluate the policies of roles and users.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealift_aws::check::customer_checks;
use sealift_aws::{OsEntropy, SystemClock};
use sealift_core::check::{CheckReport, Checks, Outcome, PolicyKind, Problem, Step, Verdict, Who};
use sealift_core::destination::{Credentials, Destination, KmsKeyArn};
use sealift_core::id::{AccountId, BucketName, RoleArn};
use sealift_core::policy::permissions::{self, audit_under_prefix, least};
use sealift_core::policy::{Document, Partition};
use sealift_core::ports::Clock;
use sealift_core::vault::Vault;
use sealift_embedded::faults::{Effect, Rule};
use sealift_embedded::iam::{Platform, Secret, User};
use sealift_embedded::{Embedded, Options};
use sealift_testkit::MemoryVault;
use tempfile::TempDir;

use crate::scene::*;

const KEY: &str = "arn:aws:kms:us-east-1:222222222222:key/0a-1b";

struct Scene {
    aws: Embedded,
    checks: TestChecks,
    _data: TempDir,
}

fn role() -> RoleArn {
    RoleArn::parse(ROLE).unwrap()
}

/// A trust policy for the principal with the condition.
fn trust(condition: &serde_json::Value) -> String {
    let mut statement = serde_json::json!({
        "Effect": "Allow", "Principal": {"AWS": PRINCIPAL}, "Action": "sts:AssumeRole",
    });
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn right() -> String {
    trust(&serde_json::json!({"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}))
}

fn may_write(destination: &Destination) -> Document {
    let location = &destination.location;
    audit_under_prefix(Partition::Aws, &location.bucket, &location.prefix, None)
}

impl Scene {
    /// The principal, the tenant's bucket and role, and a user with the role's permissions.
    async fn new(trust: &str, permissions: &Document) -> Self {
        let data = tempfile::tempdir().unwrap();
        let platform = Platform {
            account: AccountId::parse(PLATFORM).unwrap(),
            access_key_id: "PLATFORMKEY".to_owned(),
            secret_access_key: Secret::new(PLATFORM_SECRET),
        };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let options = Options::new(data.path(), platform, clock, entropy);
        let aws = Embedded::start(options).await.unwrap();
        let bucket = BucketName::parse("acme-audit").unwrap();
        let tenant = AccountId::parse(TENANT).unwrap();
        aws.create_bucket(&bucket, &tenant).unwrap();
        let root = format!("arn:aws:iam::{PLATFORM}:root");
        let trust_root = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}]});
        let assume = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]});
        let iam = aws.iam();
        let principal = RoleArn::parse(PRINCIPAL).unwrap();
        iam.create_role(
            &principal,
            &trust_root.to_string(),
            &[("assume", &assume.to_string())],
        )
        .unwrap();
        let policy = permissions.to_string();
        iam.create_role(&role(), trust, &[("own", &policy)])
            .unwrap();
        iam.create_user(User {
            name: "acme".to_owned(),
            account: tenant,
            access_key_id: USER_KEY.to_owned(),
            secret_access_key: Secret::new(USER_SECRET),
            policy,
        })
        .unwrap();
        let checks = checks(crate::scene::options(&aws.endpoint_url())).await;
        Self {
            aws,
            checks,
            _data: data,
        }
    }

    async fn check(&self, destination: &Destination) -> CheckReport {
        let report = self.checks.check(destination).await;
        assert_clean(&report);
        report
    }

    fn written(&self) -> u64 {
        self.aws.requests().count("PutObject").requests
    }
}

#[tokio::test]
async fn what_is_set_up_as_asked_is_healthy_and_the_canary_overwrites_itself() {
    let destination = with_role();
    let scene = Scene::new(&right(), &may_write(&destination)).await;
    for written in [1, 2] {
        let report = scene.check(&destination).await;
        assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
        assert_eq!(report.warnings, Vec::<String>::new());
        assert!(
            report.matrix.iter().all(|row| row.outcome == row.wanted),
            "{report:#?}"
        );
        assert_eq!(report.matrix.len(), 8);
        assert_eq!(scene.written(), written);
    }
}

#[tokio::test]
async fn a_trust_policy_that_is_too_wide_is_unsafe_and_the_statement_told_mends_it() {
    let like =
        |pattern: &str| trust(&serde_json::json!({"StringLike": {"sts:ExternalId": pattern}}));
    let (first, _) = EXTERNAL_ID.split_at(16);
    let policies = [
        ("no condition", trust(&serde_json::Value::Null)),
        ("any", like("*")),
        ("a beginning", like(&format!("{first}*"))),
        ("64 of whatever", like(&"?".repeat(64))),
        (
            "another platform's too",
            trust(&serde_json::json!({"StringLike": {"sts:ExternalId": [EXTERNAL_ID, "bt:*"]}})),
        ),
        (
            "if there is one",
            trust(&serde_json::json!({"StringEqualsIfExists": {"sts:ExternalId": EXTERNAL_ID}})),
        ),
    ];
    let destination = with_role();
    for (what, policy) in policies {
        let scene = Scene::new(&policy, &may_write(&destination)).await;
        let report = scene.check(&destination).await;
        assert_eq!(report.verdict, Verdict::Unsafe, "{what}: {report:#?}");
        assert_eq!(outcome(&report, Step::AssumeRole), Outcome::Allowed);
        assert_eq!(scene.written(), 0, "{what}");
        let mended = mended(&report, PolicyKind::Trust);
        scene
            .aws
            .iam()
            .update_trust_policy(&role(), &mended)
            .unwrap();
        let report = scene.check(&destination).await;
        assert_eq!(report.verdict, Verdict::Healthy, "{what}: {report:#?}");
    }
}

#[tokio::test]
async fn a_role_that_refuses_is_failing_and_the_statement_told_mends_it() {
    let destination = with_role();
    let anothers = trust(&serde_json::json!({"StringEquals": {"sts:ExternalId": "another-one"}}));
    let elsewhere = right().replace("sealift-principal", "somebody-else");
    for policy in [anothers, elsewhere] {
        let scene = Scene::new(&policy, &may_write(&destination)).await;
        let report = scene.check(&destination).await;
        assert_eq!(report.problem, Some(Problem::RoleRefused), "{report:#?}");
        assert_eq!(report.verdict, Verdict::Failing);
        assert_eq!(outcome(&report, Step::PutObject), Outcome::Skipped);
        let mended = mended(&report, PolicyKind::Trust);
        scene
            .aws
            .iam()
            .update_trust_policy(&role(), &mended)
            .unwrap();
        assert_eq!(scene.check(&destination).await.verdict, Verdict::Healthy);
    }
}

#[tokio::test]
async fn a_write_that_is_refused_while_the_look_passes_is_mended_by_its_statement() {
    let destination = with_role();
    let mut looks = may_write(&destination);
    looks
        .statements
        .retain(|s| s.sid.as_deref() == Some("SealiftLook"));
    let scene = Scene::new(&right(), &looks).await;
    let report = scene.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::WriteDenied), "{report:#?}");
    assert!(
        report.cause.contains("lets itself be looked at"),
        "{}",
        report.cause
    );
    assert_eq!(outcome(&report, Step::HeadBucket), Outcome::Allowed);
    assert_eq!(outcome(&report, Step::PutObject), Outcome::Denied);
    let mended = mended(&report, PolicyKind::Permissions);
    scene
        .aws
        .iam()
        .put_role_policy(&role(), "write", &mended)
        .unwrap();
    assert_eq!(scene.check(&destination).await.verdict, Verdict::Healthy);
}

#[tokio::test]
async fn a_role_that_may_only_write_is_healthy_with_a_warning_that_its_statement_ends() {
    let destination = with_role();
    let location = &destination.location;
    let writes = least(Partition::Aws, &location.bucket, &location.prefix, None);
    let scene = Scene::new(&right(), &writes).await;
    let report = scene.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(report.warnings.len(), 1);
    let mended = mended(&report, PolicyKind::Permissions);
    scene
        .aws
        .iam()
        .put_role_policy(&role(), "look", &mended)
        .unwrap();
    let report = scene.check(&destination).await;
    assert_eq!(
        (report.warnings.len(), report.mend.len()),
        (0, 0),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_bucket_that_is_missing_or_anothers_is_told() {
    let mut missing = with_role();
    missing.location.bucket = BucketName::parse("acme-nowhere").unwrap();
    let scene = Scene::new(&right(), &may_write(&missing)).await;
    let report = scene.check(&missing).await;
    assert_eq!(report.problem, Some(Problem::NoSuchBucket), "{report:#?}");

    let mut anothers = with_role();
    if let Credentials::IamRole { bucket_owner, .. } = &mut anothers.credentials {
        *bucket_owner = Some(AccountId::parse("333333333333").unwrap());
    }
    let scene = Scene::new(&right(), &may_write(&anothers)).await;
    let report = scene.check(&anothers).await;
    assert_eq!(report.problem, Some(Problem::WrongOwner), "{report:#?}");
    assert!(report.cause.contains("333333333333"));
    assert_eq!(outcome(&report, Step::BucketOwner), Outcome::Denied);
}

#[tokio::test]
async fn a_kms_key_that_the_role_may_not_use_is_mended_by_its_statement() {
    let mut destination = with_role();
    destination.storage.kms_key_arn = Some(KmsKeyArn::parse(KEY).unwrap());
    let scene = Scene::new(&right(), &may_write(&destination)).await;
    let report = scene.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::KmsDenied), "{report:#?}");
    assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Denied);
    let mended = mended(&report, PolicyKind::Permissions);
    assert!(mended.contains(KEY), "{mended}");
    scene
        .aws
        .iam()
        .put_role_policy(&role(), "key", &mended)
        .unwrap();
    let report = scene.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Allowed);
}

#[tokio::test]
async fn access_keys_are_tried_without_a_role_and_as_they_lie_in_the_vault() {
    let destination = with_keys();
    let scene = Scene::new(&right(), &may_write(&destination)).await;
    let report = scene.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(report.matrix.len(), 3);
    assert_eq!(scene.aws.requests().count("AssumeRole").requests, 0);

    scene.aws.iam().delete_user(USER_KEY).unwrap();
    let report = scene.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::KeysRefused), "{report:#?}");

    let url = scene.aws.endpoint_url();
    let empty = MemoryVault::default();
    let without = customer_checks(&base(), options(&url), empty.clone(), clock());
    let report = without.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::KeysMissing), "{report:#?}");
    // Keys of another organization's destination of the same name are not its own.
    let mut other = destination.clone();
    other.organization = sealift_core::id::OrgId::parse("globex").unwrap();
    let keys = vault().await.get(&destination).await.unwrap();
    empty.put(&other, &keys).await.unwrap();
    let report = without.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::KeysMissing), "{report:#?}");
}

#[tokio::test]
async fn a_throttled_sts_or_s3_is_unknown_and_never_denied() {
    let destination = with_role();
    let scene = Scene::new(&trust(&serde_json::Value::Null), &may_write(&destination)).await;
    let faults = scene.aws.faults();
    faults.add(
        Rule::new(Effect::SlowDown)
            .on("AssumeRole")
            .key_prefix(ROLE),
    );
    let report = scene.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Unknown, "{report:#?}");
    assert_eq!(report.advice.unwrap().who, Who::Nobody);
    faults.clear();
    assert_eq!(scene.check(&destination).await.verdict, Verdict::Unsafe);

    scene
        .aws
        .iam()
        .update_trust_policy(&role(), &right())
        .unwrap();
    for effect in [Effect::SlowDown, Effect::InternalError, Effect::TearBefore] {
        faults.add(Rule::new(effect).on("PutObject"));
        let report = scene.check(&destination).await;
        assert_eq!(report.verdict, Verdict::Unknown, "{effect:?}: {report:#?}");
        assert_eq!(report.problem, Some(Problem::NoAnswer));
        faults.clear();
    }
    faults.add(Rule::new(Effect::SlowDown).on("PutObject").times(2));
    assert_eq!(scene.check(&destination).await.verdict, Verdict::Healthy);
}

#[tokio::test]
async fn a_principal_that_cannot_be_assumed_says_nothing_of_the_role() {
    let destination = with_role();
    let scene = Scene::new(&right(), &may_write(&destination)).await;
    scene
        .aws
        .iam()
        .delete_role(&RoleArn::parse(PRINCIPAL).unwrap())
        .unwrap();
    let report = scene.check(&destination).await;
    assert_eq!(report.problem, Some(Problem::RoleUntried), "{report:#?}");
    assert_eq!(report.verdict, Verdict::Unknown);
    assert_eq!(report.advice.unwrap().who, Who::Operator);
}

/// A clock whose pauses take no time, and during which something happens.
#[derive(Clone)]
struct Meanwhile(Arc<dyn Fn(Duration) + Send + Sync>);

impl Clock for Meanwhile {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, duration: Duration) {
        (self.0)(duration);
    }
}

#[tokio::test]
async fn what_is_put_right_while_the_check_waits_is_found_right() {
    let destination = with_role();
    let wide = trust(&serde_json::json!({"StringLike": {"sts:ExternalId": "*"}}));
    let nothing = permissions::nothing();
    let scene = Arc::new(Scene::new(&wide, &nothing).await);
    let (there, may) = (Arc::clone(&scene), may_write(&destination).to_string());
    let clock = Meanwhile(Arc::new(move |pause| {
        let iam = there.aws.iam();
        match pause.as_secs() {
            1 => iam.update_trust_policy(&role(), &right()).unwrap(),
            3 => iam.put_role_policy(&role(), "own", &may).unwrap(),
            _ => unreachable!("nothing is left to wait for"),
        }
    }));
    let options = options(&scene.aws.endpoint_url());
    let checks = customer_checks(&base(), options, vault().await, clock);
    let report = checks.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(scene.written(), 2, "refused, and then taken");
}

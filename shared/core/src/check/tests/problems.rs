//! Each thing that can be told apart has a message of its own.

use super::*;
use crate::destination::StorageClass;
use crate::id::AccountId;

#[test]
fn a_role_that_lets_others_in_is_unsafe_and_nothing_is_written_through_it() {
    let world = World::new().roles([[refused(), Attempt::Allowed, refused(), Attempt::Allowed]]);
    let report = world.check(&with_role());
    assert_told(
        &report,
        &Expected {
            problem: Problem::RoleUnsafe,
            who: Who::Customer,
            cause: "it takes more than the one ExternalId",
            what: PRINCIPAL,
            mend: &[PolicyKind::Trust],
        },
    );
    assert_eq!(world.count("write") + world.count("look"), 0);
    assert_eq!(
        outcome(&report, Step::AssumeWithWrongExternalId),
        Outcome::Allowed
    );
    assert_eq!(outcome(&report, Step::PutObject), Outcome::Skipped);
    let statement = serde_json::to_value(&report.mend[0].statement).unwrap();
    assert_eq!(statement["Principal"]["AWS"], PRINCIPAL);
    assert_eq!(
        statement["Condition"]["StringEquals"]["sts:ExternalId"],
        EXTERNAL_ID
    );
}

#[test]
fn a_role_that_refuses_names_principal_and_external_id_in_one_message() {
    let world = World::new().roles([[refused(), refused(), refused(), refused()]]);
    let report = world.check(&with_role());
    assert_told(
        &report,
        &Expected {
            problem: Problem::RoleRefused,
            who: Who::Customer,
            cause: "does not trust arn:aws:iam::111111111111:role/sealift-principal, or asks for \
                    another ExternalId",
            what: "with this destination's ExternalId",
            mend: &[PolicyKind::Trust],
        },
    );
    assert_eq!(world.count("write"), 0);
}

#[test]
fn without_a_known_principal_no_trust_statement_is_made_up() {
    let world = World::new().roles([[refused(), refused(), refused(), refused()]]);
    let checker = Checker::new(&world, &world, &world, None);
    let report = checker.check(&with_role()).now_or_never().unwrap();
    assert_eq!(report.problem, Some(Problem::RoleRefused));
    assert_eq!(report.mend, []);
}

#[test]
fn a_role_that_cannot_be_tried_is_unknown_and_the_operators_matter() {
    let world = World::new().roles([[untried(), untried(), untried(), untried()]]);
    assert_told(
        &world.check(&with_role()),
        &Expected {
            problem: Problem::RoleUntried,
            who: Who::Operator,
            cause: "could not be tried",
            what: "check again",
            mend: &[],
        },
    );
    assert_eq!(
        world.slept(),
        Vec::<u64>::new(),
        "it is not going to change"
    );
}

#[test]
fn a_refused_look_is_a_warning_if_the_canary_passes() {
    let world = World::new().looks([look_denied()]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!((report.problem, &report.advice), (None, &None));
    let [warning] = &report.warnings[..] else {
        unreachable!("{report:#?}")
    };
    assert!(
        warning.contains("HeadBucket is refused (s3:ListBucket"),
        "{warning}"
    );
    assert_eq!(outcome(&report, Step::HeadBucket), Outcome::Denied);
    assert_eq!(outcome(&report, Step::BucketOwner), Outcome::Allowed);
    let [mend] = &report.mend[..] else {
        unreachable!("{report:#?}")
    };
    let statement = serde_json::to_string(&mend.statement).unwrap();
    assert!(statement.contains("s3:ListBucket"), "{statement}");
    assert_eq!(world.slept(), Vec::<u64>::new(), "deliveries do without it");
}

#[test]
fn a_write_that_is_refused_while_the_look_passes_says_so() {
    let why = "because no identity-based policy allows the s3:PutObject action";
    let message = said("s3:PutObject", "\"arn:aws:s3:::acme-audit/audit/x\"", why);
    let world = World::new().writes([Err(denied("AccessDenied", &message))]);
    let report = world.check(&with_role());
    assert_told(
        &report,
        &Expected {
            problem: Problem::WriteDenied,
            who: Who::Customer,
            cause: "is there and lets itself be looked at, but no policy of the role",
            what: ROLE,
            mend: &[PolicyKind::Permissions],
        },
    );
    let statement = serde_json::to_value(&report.mend[0].statement).unwrap();
    assert_eq!(statement["Action"], "s3:PutObject");
    assert_eq!(statement["Resource"], "arn:aws:s3:::acme-audit/audit/*");
    assert_eq!(report.mend[0].of, ROLE);
}

#[test]
fn a_bare_403_names_both_permission_and_owner_unless_the_owner_is_known() {
    let refusal = || Err(denied("AccessDenied", "Access Denied"));
    let told = |look| {
        let world = World::new().looks([look]).writes([refusal()]);
        world.check(&with_role()).cause
    };
    let both = "or the bucket does not belong to account 222222222222, which S3 answers alike";
    assert!(
        told(look_denied()).contains(both),
        "{}",
        told(look_denied())
    );
    assert!(
        !told(well()).contains("222222222222, which"),
        "{}",
        told(well())
    );
    assert!(told(well()).contains("lets itself be looked at"));
}

#[test]
fn another_owner_is_told_by_a_look_that_does_not_ask_for_one() {
    let world = World::new()
        .looks([look_denied()])
        .whoever(well())
        .writes([Err(denied("AccessDenied", "Access Denied"))]);
    let report = world.check(&with_role());
    assert_told(
        &report,
        &Expected {
            problem: Problem::WrongOwner,
            who: Who::Customer,
            cause: "does not belong to account 222222222222",
            what: "`bucket_owner`",
            mend: &[],
        },
    );
    assert_eq!(outcome(&report, Step::BucketOwner), Outcome::Denied);
}

#[test]
fn a_bucket_of_another_account_needs_a_policy_of_its_own() {
    let mut destination = with_role();
    if let crate::destination::Credentials::IamRole { bucket_owner, .. } =
        &mut destination.credentials
    {
        *bucket_owner = Some(AccountId::parse("333333333333").unwrap());
    }
    let world = World::new()
        .looks([look_denied()])
        .writes([Err(denied("AccessDenied", "Access Denied"))]);
    let report = world.check(&destination);
    let kinds: Vec<PolicyKind> = report.mend.iter().map(|mend| mend.policy).collect();
    assert_eq!(kinds, [PolicyKind::Permissions, PolicyKind::Bucket]);
    let statement = serde_json::to_value(&report.mend[1].statement).unwrap();
    assert_eq!(statement["Principal"]["AWS"], ROLE);
    assert_eq!(report.mend[1].of, "arn:aws:s3:::acme-audit");
    assert!(report.cause.contains("account 333333333333"));
}

#[test]
fn an_explicit_deny_is_named_and_no_statement_pretends_to_mend_it() {
    for (place, who, named) in [
        (
            "a resource-based policy",
            Who::Customer,
            "the bucket's policy",
        ),
        (
            "a service control policy",
            Who::Customer,
            "AWS organization",
        ),
        ("a VPC endpoint policy", Who::Operator, "VPC endpoint"),
        (
            "an identity-based policy",
            Who::Customer,
            "in the permissions",
        ),
    ] {
        let why = format!("with an explicit deny in {place}");
        let message = said("s3:PutObject", "\"arn:aws:s3:::acme-audit/audit/x\"", &why);
        let world = World::new().writes([Err(denied("AccessDenied", &message))]);
        let report = world.check(&with_role());
        assert_eq!(report.problem, Some(Problem::WriteDenied), "{place}");
        assert_eq!(report.advice.as_ref().unwrap().who, who, "{place}");
        assert!(report.cause.contains(named), "{}", report.cause);
        assert_eq!(report.mend, [], "{place}");
    }
}

#[test]
fn missing_buckets_wrong_regions_and_classes_have_their_own_words() {
    let malformed = "The authorization header is malformed; the region 'eu-central-1' is wrong; \
                     expecting 'us-west-2'";
    let in_oregon = || {
        let redirect = StoreError::Invalid(failure("HeadBucket", "HTTP 301", ""));
        looked(Err(redirect.into()), Some("us-west-2"))
    };
    let missing = || {
        let missing = StoreError::Invalid(failure("HeadBucket", "NoSuchBucket", ""));
        looked(Err(missing.into()), None)
    };
    let untold = || looked(Err(invalid("HTTP 400", "")), None);
    for (look, trouble, problem, cause, what) in [
        (
            missing(),
            invalid("NoSuchBucket", "The specified bucket does not exist"),
            Problem::NoSuchBucket,
            "there is no bucket acme-audit at S3 in eu-central-1",
            "correct `bucket`",
        ),
        (
            in_oregon(),
            invalid("PermanentRedirect", "must be addressed elsewhere"),
            Problem::WrongRegion,
            "the bucket acme-audit is in us-west-2, not in eu-central-1",
            "`region` to us-west-2",
        ),
        (
            in_oregon(),
            invalid("HTTP 400", ""),
            Problem::WrongRegion,
            "is in us-west-2",
            "`region` to us-west-2",
        ),
        (
            untold(),
            invalid("AuthorizationHeaderMalformed", malformed),
            Problem::WrongRegion,
            "is in us-west-2",
            "`region` to us-west-2",
        ),
        (
            untold(),
            invalid("IllegalLocationConstraintException", "incompatible"),
            Problem::WrongRegion,
            "is not in eu-central-1",
            "to the bucket's",
        ),
        (
            well(),
            invalid(
                "InvalidStorageClass",
                "The storage class you specified is not valid",
            ),
            Problem::StorageClassRefused,
            "the storage class ONEZONE_IA is not taken",
            "`storage_class`, or none",
        ),
        (
            well(),
            invalid(
                "NotImplemented",
                "Header 'x-amz-storage-class' not implemented",
            ),
            Problem::StorageClassRefused,
            "ONEZONE_IA",
            "or none",
        ),
        (
            well(),
            invalid("EntityTooSmall", "strange"),
            Problem::Other,
            "is refused: EntityTooSmall: strange",
            "code and the message",
        ),
    ] {
        let mut destination = with_role();
        destination.storage.storage_class = Some(StorageClass::parse("ONEZONE_IA").unwrap());
        let world = World::new().looks([look]).writes([Err(trouble)]);
        let expected = Expected {
            problem,
            who: Who::Customer,
            cause,
            what,
            mend: &[],
        };
        assert_told(&world.check(&destination), &expected);
        assert_eq!(
            world.slept(),
            Vec::<u64>::new(),
            "nothing of it is a matter of time"
        );
    }
}

#[test]
fn a_role_towards_another_service_is_refused_before_anything_is_tried() {
    let mut destination = with_role();
    destination.location.endpoint = elsewhere().location.endpoint;
    let world = World::new();
    let report = world.check(&destination);
    assert_eq!(report.problem, Some(Problem::RoleNeedsAws));
    assert_eq!(report.verdict, Verdict::Failing);
    assert!(
        report
            .matrix
            .iter()
            .all(|row| row.outcome == Outcome::Skipped)
    );
    assert!(world.story.lock().unwrap().is_empty());
}

//! KMS keys and access keys.

use super::*;

#[test]
fn a_refused_kms_key_is_told_apart_from_a_refused_write() {
    let on = KEY;
    let identity = said(
        "kms:GenerateDataKey",
        on,
        "because no identity-based policy allows the kms:GenerateDataKey action",
    );
    let resource = said(
        "kms:GenerateDataKey",
        on,
        "because no resource-based policy allows the kms:GenerateDataKey action",
    );
    let untold = "The ciphertext refers to a KMS key that you are not allowed to access.";
    for (message, cause, mend) in [
        (
            &*identity,
            "no policy of the role",
            &[PolicyKind::Permissions][..],
        ),
        (&*resource, "the key's own policy", &[PolicyKind::Key]),
        (
            untold,
            "AWS does not tell",
            &[PolicyKind::Permissions, PolicyKind::Key],
        ),
    ] {
        let world = World::new().writes([Err(denied("AccessDenied", message))]);
        let report = world.check(&with_key());
        assert_eq!(report.problem, Some(Problem::KmsDenied), "{report:#?}");
        assert!(report.cause.contains(cause), "{report:#?}");
        assert!(report.cause.contains(KEY), "{report:#?}");
        let kinds: Vec<PolicyKind> = report.mend.iter().map(|mend| mend.policy).collect();
        assert_eq!(kinds, mend, "{message}");
        assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Denied);
        assert_eq!(outcome(&report, Step::PutObject), Outcome::Unknown);
        for mend in &report.mend {
            let statement = serde_json::to_value(&mend.statement).unwrap();
            assert_eq!(statement["Action"], "kms:GenerateDataKey");
            match mend.policy {
                PolicyKind::Key => {
                    assert_eq!(statement["Principal"]["AWS"], ROLE);
                    assert_eq!((&statement["Resource"], &*mend.of), (&json!("*"), KEY));
                }
                _ => assert_eq!((&statement["Resource"], &*mend.of), (&json!(KEY), ROLE)),
            }
        }
    }
}

#[test]
fn a_key_that_the_bucket_uses_by_default_has_to_be_named_by_the_destination() {
    let message = said(
        "kms:GenerateDataKey",
        KEY,
        "because no session policy allows the kms:GenerateDataKey action",
    );
    let world = World::new().writes([Err(denied("AccessDenied", &message))]);
    assert_told(
        &world.check(&with_role()),
        &Expected {
            problem: Problem::KmsDenied,
            who: Who::Customer,
            cause: "the bucket encrypts with it by default",
            what: "`kms_key_arn` to arn:aws:kms:eu-central-1:222222222222:key/0a-1b",
            mend: &[],
        },
    );
}

#[test]
fn a_kms_key_that_is_of_no_use_is_told_by_kms_own_code() {
    for code in [
        "KMS.DisabledException",
        "KMS.NotFoundException",
        "KMS.KMSInvalidStateException",
        "KMS.InvalidKeyUsageException",
    ] {
        let world = World::new().writes([Err(invalid(code, "about the key"))]);
        let report = world.check(&with_key());
        assert_told(
            &report,
            &Expected {
                problem: Problem::KmsUnusable,
                who: Who::Customer,
                cause: code,
                what: "is in eu-central-1 as the bucket is",
                mend: &[],
            },
        );
        assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Denied);
    }
    // KMS slows down as others do.
    let world = World::new().writes([Err(transient("KMS.ThrottlingException"))]);
    let report = world.check(&with_key());
    assert_eq!(report.problem, Some(Problem::NoAnswer));
    assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Unknown);
}

#[test]
fn missing_unread_and_refused_access_keys_are_told_apart() {
    let of_vault = |error: fn(Failure) -> StoreError, code: &str| -> Trouble {
        error(failure("GetParameter", code, "said")).into()
    };
    for (trouble, problem, who, cause, slept) in [
        (
            of_vault(StoreError::Denied, "ParameterNotFound"),
            Problem::KeysMissing,
            Who::Customer,
            "there are no access keys",
            0,
        ),
        (
            of_vault(StoreError::Denied, "AccessDeniedException"),
            Problem::KeysUnread,
            Who::Operator,
            "cannot be read",
            0,
        ),
        (
            of_vault(StoreError::Invalid, ""),
            Problem::KeysUnread,
            Who::Operator,
            "cannot be read",
            0,
        ),
        (
            denied("InvalidAccessKeyId", "not in our records"),
            Problem::KeysRefused,
            Who::Customer,
            "the access keys are refused",
            // A new key takes as long to arrive as a new policy.
            4,
        ),
        (
            denied("SignatureDoesNotMatch", "check your secret"),
            Problem::KeysRefused,
            Who::Customer,
            "the access keys are refused",
            4,
        ),
    ] {
        let world = World::new().writes([Err(trouble)]);
        let report = world.check(&with_keys());
        let expected = Expected {
            problem,
            who,
            cause,
            what: "keys",
            mend: &[],
        };
        assert_told(&report, &expected);
        assert_eq!(world.count("assume"), 0);
        assert_eq!(world.slept().len(), slept);
    }
}

#[test]
fn access_keys_that_may_not_write_are_given_the_statement_for_their_user() {
    let world = World::new().writes([Err(denied("AccessDenied", "Access Denied"))]);
    let report = world.check(&with_keys());
    assert_eq!(report.mend[0].of, "the access keys' user");
    let mut in_china = with_keys();
    in_china.location.region = Region::parse("cn-north-1").unwrap();
    let statement = serde_json::to_string(&world.check(&in_china).mend[0].statement).unwrap();
    assert!(
        statement.contains("arn:aws-cn:s3:::acme-audit/audit/*"),
        "{statement}"
    );
    // Another service's policies may be of another language.
    assert_eq!(world.check(&elsewhere()).mend, []);
}

#[test]
fn a_role_that_is_named_after_a_key_is_not_taken_for_one() {
    let message = "User: arn:aws:sts::222222222222:assumed-role/kms:writer/s is not authorized to \
                   perform: s3:PutObject on resource: \"arn:aws:s3:::kms-key/x\" because no \
                   identity-based policy allows the s3:PutObject action";
    let world = World::new().writes([Err(denied("AccessDenied", message))]);
    let report = world.check(&with_key());
    assert_eq!(report.problem, Some(Problem::WriteDenied), "{report:#?}");
    assert_eq!(outcome(&report, Step::GenerateDataKey), Outcome::Unknown);
}

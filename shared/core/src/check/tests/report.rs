//! The report as it is stored and shown.

use super::*;

/// Every combination of what a role and a bucket can answer, held against the rule itself.
#[test]
fn only_deny_deny_deny_allow_and_a_canary_that_passes_is_healthy() {
    let answers = [Attempt::Allowed, refused(), throttled(), untried()];
    let writes = [
        Ok(()),
        Err(denied("AccessDenied", "Access Denied")),
        Err(invalid("NoSuchBucket", "")),
        Err(transient("SlowDown")),
        Err(blocked(Obstacle::TimedOut)),
    ];
    for number in 0..256_usize {
        let [a, b, c, d] = [0, 2, 4, 6].map(|shift| answers[(number >> shift) & 3].clone());
        for write in &writes {
            let round = [a.clone(), b.clone(), c.clone(), d.clone()];
            let world = World::new().roles([round.clone()]).writes([write.clone()]);
            let report = world.check(&with_role());
            let [none, wrong, other, right] = &round;
            let leaks = [none, wrong, other].contains(&&Attempt::Allowed);
            let refuses = [none, wrong, other]
                .iter()
                .all(|a| matches!(a, Attempt::Denied(_)));
            let lets_in = *right == Attempt::Allowed;
            let broken = matches!(
                write,
                Err(Trouble {
                    error: StoreError::Denied(_) | StoreError::Invalid(_),
                    ..
                })
            );
            let expected = match () {
                () if leaks => Verdict::Unsafe,
                () if matches!(right, Attempt::Denied(_)) => Verdict::Failing,
                () if lets_in && broken => Verdict::Failing,
                () if lets_in && refuses && write.is_ok() => Verdict::Healthy,
                () => Verdict::Unknown,
            };
            assert_eq!(report.verdict, expected, "{round:?} {write:?} {report:#?}");
            assert_eq!(report.problem.is_none(), expected == Verdict::Healthy);
            assert_eq!(report.advice.is_none(), expected == Verdict::Healthy);
            assert_eq!(world.count("write") > 0, lets_in && !leaks);
            assert!(world.slept().iter().sum::<u64>() <= 20);
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<CheckReport>(&json).unwrap(), report);
        }
    }
}

#[test]
fn the_rows_are_those_that_apply_in_the_order_in_which_they_are_tried() {
    use Step::*;
    let mut with_key = with_role();
    with_key.storage.kms_key_arn = Some(KmsKeyArn::parse(KEY).unwrap());
    let world = World::new();
    assert_eq!(
        steps(&world.check(&with_key)),
        [
            AssumeWithoutExternalId,
            AssumeWithWrongExternalId,
            AssumeWithOtherOrganizations,
            AssumeRole,
            HeadBucket,
            BucketRegion,
            BucketOwner,
            PutObject,
            GenerateDataKey,
        ]
    );
    let keys = world.check(&with_keys());
    assert_eq!(steps(&keys), [HeadBucket, BucketRegion, PutObject]);
    assert_eq!(steps(&world.check(&elsewhere())), [HeadBucket, PutObject]);
    for row in &world.check(&with_key).matrix {
        assert_eq!(row.outcome, row.wanted, "{row:?}");
    }
}

#[test]
fn its_json_is_that_of_the_api() {
    let world = World::new().roles([[refused(), refused(), refused(), refused()]]);
    insta::assert_json_snapshot!(world.check(&with_role()), @r#"
    {
      "at_ms": 20000,
      "fingerprint": "d8daa536048452b7dbdc8a50b669db3f06a86325089d99b841af3936798a8522",
      "verdict": "failing",
      "problem": "role_refused",
      "matrix": [
        {
          "step": "assume_without_external_id",
          "permission": "sts:AssumeRole",
          "wanted": "denied",
          "outcome": "denied",
          "code": "AccessDenied",
          "message": "not authorized",
          "request_id": "R1"
        },
        {
          "step": "assume_with_wrong_external_id",
          "permission": "sts:AssumeRole",
          "wanted": "denied",
          "outcome": "denied",
          "code": "AccessDenied",
          "message": "not authorized",
          "request_id": "R1"
        },
        {
          "step": "assume_with_other_organizations",
          "permission": "sts:AssumeRole",
          "wanted": "denied",
          "outcome": "denied",
          "code": "AccessDenied",
          "message": "not authorized",
          "request_id": "R1"
        },
        {
          "step": "assume_role",
          "permission": "sts:AssumeRole",
          "wanted": "allowed",
          "outcome": "denied",
          "code": "AccessDenied",
          "message": "not authorized",
          "request_id": "R1"
        },
        {
          "step": "head_bucket",
          "permission": "s3:ListBucket",
          "wanted": "allowed",
          "outcome": "skipped"
        },
        {
          "step": "bucket_region",
          "wanted": "allowed",
          "outcome": "skipped"
        },
        {
          "step": "bucket_owner",
          "wanted": "allowed",
          "outcome": "skipped"
        },
        {
          "step": "put_object",
          "permission": "s3:PutObject",
          "wanted": "allowed",
          "outcome": "skipped"
        }
      ],
      "cause": "the role arn:aws:iam::222222222222:role/acme-audit does not let Sealift in. AWS does not tell whether it is missing, does not trust arn:aws:iam::111111111111:role/sealift-principal, or asks for another ExternalId. It says: AccessDenied: not authorized",
      "advice": {
        "who": "customer",
        "what": "see that the role exists, and that its trust policy lets arn:aws:iam::111111111111:role/sealift-principal assume it with this destination's ExternalId"
      },
      "mend": [
        {
          "policy": "trust",
          "of": "arn:aws:iam::222222222222:role/acme-audit",
          "statement": {
            "Effect": "Allow",
            "Principal": {
              "AWS": "arn:aws:iam::111111111111:role/sealift-principal"
            },
            "Action": "sts:AssumeRole",
            "Condition": {
              "StringEquals": {
                "sts:ExternalId": "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6"
              }
            }
          }
        }
      ]
    }
    "#);
}

#[test]
fn the_external_id_is_shown_by_the_statement_that_mends_alone() {
    let echo = format!("the value '{EXTERNAL_ID}' is not taken");
    let in_words = [
        Attempt::Denied(failure("AssumeRole", "AccessDenied", &echo)),
        refused(),
        refused(),
        Attempt::Denied(failure("AssumeRole", "AccessDenied", &echo)),
    ];
    let world = World::new().roles([in_words]);
    let mut report = world.check(&with_role());
    assert!(
        report.cause.contains("the value 'REDACTED'"),
        "{}",
        report.cause
    );
    assert!(!format!("{report:?} {report:#?}").contains(EXTERNAL_ID));
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .contains(EXTERNAL_ID)
    );
    report.mend.clear();
    assert!(
        !serde_json::to_string(&report)
            .unwrap()
            .contains(EXTERNAL_ID)
    );

    let write = Trouble::from(StoreError::Denied(failure(
        "AssumeRole",
        "AccessDenied",
        &echo,
    )));
    let world = World::new().writes([Err(write)]);
    let mut report = world.check(&with_role());
    assert_eq!(report.problem, Some(Problem::RoleRefused));
    report.mend.clear();
    assert!(
        !serde_json::to_string(&report)
            .unwrap()
            .contains(EXTERNAL_ID)
    );
}

#[test]
fn a_destination_starts_on_a_healthy_check_of_its_own_connection_within_a_day() {
    let world = World::new();
    let destination = with_role();
    let report = world.check(&destination);
    let day = FRESH_MS;
    assert!(report.allows_start(&destination, report.at_ms));
    assert!(report.allows_start(&destination, report.at_ms + day));
    assert!(!report.allows_start(&destination, report.at_ms + day + 1));
    let mut moved = destination.clone();
    moved.location.prefix = crate::id::KeyPrefix::parse("other/").unwrap();
    assert!(report.fits(&destination) && !report.fits(&moved));
    assert!(!report.allows_start(&moved, report.at_ms));
    let failing = World::new().writes([Err(transient("SlowDown"))]);
    let report = failing.check(&destination);
    assert!(!report.allows_start(&destination, report.at_ms));
}

#[test]
fn a_report_of_a_later_version_is_read_as_far_as_it_is_known() {
    let report = World::new().check(&with_role());
    let mut json = serde_json::to_value(&report).unwrap();
    json["added_later"] = json!(1);
    assert_eq!(serde_json::from_value::<CheckReport>(json).unwrap(), report);
}

#[test]
fn a_bucket_that_names_another_region_and_takes_objects_is_warned_of() {
    let world = World::new().looks([looked(Ok(()), Some("us-west-2"))]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Healthy);
    assert!(report.warnings[0].contains("us-west-2"), "{report:#?}");
    assert_eq!(outcome(&report, Step::BucketRegion), Outcome::Denied);
    // Other services have regions of their own making.
    assert_eq!(world.check(&elsewhere()).warnings, Vec::<String>::new());
    let told_nothing = World::new().looks([looked(Ok(()), None)]);
    let report = told_nothing.check(&with_role());
    assert_eq!(outcome(&report, Step::BucketRegion), Outcome::Unknown);
    assert_eq!(report.warnings, Vec::<String>::new());
}

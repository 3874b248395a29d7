//! Changes in IAM arrive late, and what passes by itself is no verdict.

use super::*;
use crate::role_check::PAUSES;

fn all() -> Vec<u64> {
    PAUSES.iter().map(Duration::as_secs).collect()
}

#[test]
fn what_is_well_at_once_is_told_at_once() {
    let world = World::new();
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Healthy);
    assert_eq!(world.slept(), Vec::<u64>::new());
    assert_eq!((world.count("assume"), world.count("write")), (4, 1));
}

#[test]
fn a_trust_policy_that_arrives_late_is_waited_for() {
    let refuses = || [refused(), refused(), refused(), refused()];
    let world = World::new().roles([refuses(), refuses(), refuses(), healthy()]);
    assert_eq!(world.check(&with_role()).verdict, Verdict::Healthy);
    assert_eq!(world.slept(), all()[..3]);
}

#[test]
fn a_policy_that_was_tightened_a_moment_ago_is_not_called_unsafe() {
    let open = || {
        [
            Attempt::Allowed,
            Attempt::Allowed,
            Attempt::Allowed,
            Attempt::Allowed,
        ]
    };
    let world = World::new().roles([open(), open(), healthy()]);
    assert_eq!(world.check(&with_role()).verdict, Verdict::Healthy);
    assert_eq!(world.slept(), all()[..2]);
    let world = World::new().roles([open()]);
    let report = world.check(&with_role());
    assert_eq!(
        report.verdict,
        Verdict::Unsafe,
        "and one that stays open is"
    );
    assert_eq!(world.slept(), all());
    assert_eq!(report.at_ms, 20_000);
}

#[test]
fn what_must_be_denied_and_is_needs_no_second_try() {
    let world = World::new();
    world.check(&with_role());
    assert_eq!(world.count("assume"), 4);
}

#[test]
fn a_permission_that_arrives_late_is_waited_for() {
    let refusal = || Err(denied("AccessDenied", "Access Denied"));
    let world = World::new().writes([refusal(), refusal(), Ok(())]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Healthy);
    assert_eq!(world.slept(), all()[..2]);
    let world = World::new().writes([refusal()]);
    assert_eq!(world.check(&with_role()).verdict, Verdict::Failing);
    assert_eq!(world.slept(), all());
}

#[test]
fn role_and_bucket_share_one_patience() {
    let refuses = || [refused(), refused(), refused(), refused()];
    let world = World::new()
        .roles([refuses(), refuses(), healthy()])
        .writes([Err(denied("AccessDenied", "Access Denied"))]);
    let report = world.check(&with_role());
    assert_eq!(report.problem, Some(Problem::WriteDenied));
    assert_eq!(world.slept(), all());
    assert_eq!(world.count("write"), 3);
}

#[test]
fn a_throttle_is_waited_for_and_then_unknown_never_denied() {
    let busy = || [throttled(), throttled(), throttled(), throttled()];
    let world = World::new().roles([busy(), healthy()]);
    assert_eq!(world.check(&with_role()).verdict, Verdict::Healthy);
    let world = World::new().roles([busy()]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Unknown);
    assert_eq!(report.problem, Some(Problem::NoAnswer));
    assert!(report.cause.contains("Throttling"), "{}", report.cause);
    assert_eq!(world.count("write"), 0);

    for code in ["SlowDown", "InternalError", "RequestTimeout"] {
        let world = World::new().writes([Err(transient(code))]);
        let report = world.check(&with_role());
        assert_eq!(report.verdict, Verdict::Unknown, "{code}");
        assert_eq!(report.advice.as_ref().unwrap().who, Who::Nobody);
        assert!(report.cause.contains(code), "{}", report.cause);
        assert_eq!(outcome(&report, Step::PutObject), Outcome::Unknown);
        assert_eq!(world.slept(), all());
        let world = World::new().writes([Err(transient(code)), Ok(())]);
        assert_eq!(world.check(&with_role()).verdict, Verdict::Healthy);
    }
}

#[test]
fn a_busy_sts_hides_neither_a_broken_bucket_nor_lets_a_role_pass() {
    let half = || [refused(), throttled(), refused(), Attempt::Allowed];
    let world = World::new().roles([half()]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Unknown, "{report:#?}");
    assert_eq!(outcome(&report, Step::PutObject), Outcome::Allowed);
    let missing = invalid("NoSuchBucket", "does not exist");
    let world = World::new().roles([half()]).writes([Err(missing)]);
    let report = world.check(&with_role());
    assert_eq!(report.verdict, Verdict::Failing);
    assert_eq!(report.problem, Some(Problem::NoSuchBucket));
}

#[test]
fn an_sts_that_hangs_is_not_waited_for_longer_than_a_gateway_waits() {
    for (slow, rounds) in [(6, 1), (2, 3), (1, 4)] {
        let busy = [throttled(), throttled(), throttled(), throttled()];
        let mut world = World::new().roles([busy]);
        world.slow = slow;
        let report = world.check(&with_role());
        assert_eq!(report.verdict, Verdict::Unknown);
        assert_eq!(world.count("assume"), 4 * rounds, "{slow}");
        assert!(report.at_ms < 29_000, "{}", report.at_ms);
    }
}

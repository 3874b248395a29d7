//! Whether an endpoint takes a checksum is found out.

use super::*;

const LOCKED: &str = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object \
                      requests with Object Lock parameters";

fn story(world: &World) -> Vec<String> {
    let story = world.story.lock().unwrap();
    let writes = story.iter().filter(|told| told.starts_with("write"));
    writes.cloned().collect()
}

fn configured(mut destination: Destination, checksum: Option<bool>) -> Destination {
    destination.storage.checksum = checksum;
    destination
}

fn not_known() -> Trouble {
    invalid(
        "NotImplemented",
        "Header 'x-amz-checksum-sha256' not implemented",
    )
}

#[test]
fn an_endpoint_that_takes_a_checksum_is_given_one_from_then_on() {
    let world = World::new();
    let report = world.check(&elsewhere());
    assert_eq!(
        (report.verdict, report.checksum),
        (Verdict::Healthy, Some(true))
    );
    assert_eq!(story(&world), ["write with"]);
    let report = world.check(&configured(elsewhere(), Some(true)));
    assert_eq!(report.checksum, None, "it may stay as it is");
}

#[test]
fn an_endpoint_that_does_not_know_checksums_is_spared_them() {
    for refusal in [
        not_known(),
        invalid(
            "InvalidArgument",
            "Unsupported header 'x-amz-checksum-sha256'",
        ),
        denied("SignatureDoesNotMatch", "check your key and signing method"),
    ] {
        let world = World::new().writes([Err(refusal), Ok(())]);
        let report = world.check(&elsewhere());
        assert_eq!(
            (report.verdict, report.checksum),
            (Verdict::Healthy, Some(false))
        );
        assert_eq!(story(&world), ["write with", "write without"]);
        assert_eq!(world.slept(), Vec::<u64>::new());
    }
}

#[test]
fn what_is_configured_is_tried_first() {
    let world = World::new();
    let report = world.check(&configured(elsewhere(), Some(false)));
    assert_eq!(report.checksum, None);
    assert_eq!(story(&world), ["write without"]);
}

#[test]
fn a_setting_that_has_become_wrong_is_put_right_with_a_warning() {
    for (destination, refusal, taken) in [
        (configured(elsewhere(), Some(true)), not_known(), false),
        (
            configured(with_role(), Some(false)),
            invalid("InvalidRequest", LOCKED),
            true,
        ),
    ] {
        let world = World::new().writes([Err(refusal), Ok(())]);
        let report = world.check(&destination);
        assert_eq!(
            (report.verdict, report.checksum),
            (Verdict::Healthy, Some(taken))
        );
        assert!(
            report.warnings[0].contains("storage.checksum"),
            "{report:#?}"
        );
    }
}

#[test]
fn at_aws_a_checksum_always_goes_along() {
    let world = World::new();
    assert_eq!(world.check(&with_role()).checksum, None);
    let world = World::new().writes([Err(not_known()), Ok(())]);
    let report = world.check(&with_role());
    assert_eq!((report.verdict, report.checksum), (Verdict::Failing, None));
    assert_eq!(story(&world), ["write with"]);
    let world = World::new();
    let report = world.check(&configured(with_role(), Some(false)));
    assert_eq!((report.verdict, report.checksum), (Verdict::Healthy, None));
}

#[test]
fn a_bucket_that_locks_its_objects_behind_an_endpoint_without_checksums_says_so() {
    for locked in [
        LOCKED,
        "Content-MD5 HTTP header is required for Put Object requests with Object Lock parameters",
    ] {
        let world = World::new().writes([Err(not_known()), Err(invalid("InvalidRequest", locked))]);
        let report = world.check(&elsewhere());
        assert_eq!(
            report.problem,
            Some(Problem::ChecksumRequired),
            "{report:#?}"
        );
        assert!(report.cause.contains("Object Lock"), "{}", report.cause);
        let what = report.advice.unwrap().what;
        assert!(what.contains("without a default retention"), "{what}");
        assert_eq!(report.checksum, None);
    }
}

#[test]
fn what_is_wrong_besides_the_checksum_is_what_is_told() {
    let world = World::new().writes([
        Err(not_known()),
        Err(invalid(
            "NoSuchBucket",
            "The specified bucket does not exist",
        )),
    ]);
    let report = world.check(&elsewhere());
    assert_eq!(report.problem, Some(Problem::NoSuchBucket));
    // And what has nothing to do with headers is not tried without them.
    let world = World::new().writes([Err(denied("AccessDenied", "Access Denied"))]);
    let report = world.check(&elsewhere());
    assert_eq!(report.problem, Some(Problem::WriteDenied));
    assert_eq!(world.count("write without"), 0);
}

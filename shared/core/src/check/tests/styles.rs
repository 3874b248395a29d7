//! Whether an endpoint takes the bucket in its host or in the path is found out.

use super::*;
use crate::id::BucketName;

fn styles(world: &World) -> Vec<bool> {
    world.styles.lock().unwrap().clone()
}

fn by_path() -> Destination {
    let mut destination = elsewhere();
    destination.location.path_style = true;
    destination
}

#[test]
fn an_endpoint_whose_names_do_not_begin_with_buckets_is_asked_by_path() {
    for trouble in [
        blocked(Obstacle::NoAddress),
        blocked(Obstacle::Tls),
        blocked(Obstacle::Unreachable),
        invalid("NoSuchBucket", "The specified bucket does not exist"),
        denied("AccessDenied", "Access Denied"),
        denied("InvalidAccessKeyId", "of another service at that name"),
    ] {
        let world = World::new().writes([Err(trouble), Ok(())]);
        let report = world.check(&elsewhere());
        assert_eq!(
            (report.verdict, report.path_style),
            (Verdict::Healthy, Some(true)),
            "{report:#?}"
        );
        assert_eq!(styles(&world), [false, true]);
        assert!(report.warnings[0].contains("`path_style` is true"));
        assert_eq!(world.slept(), Vec::<u64>::new());
    }
}

#[test]
fn an_endpoint_that_wants_the_bucket_in_its_host_is_asked_so() {
    for code in ["SecondLevelDomainForbidden", "InvalidPathAccess"] {
        let mut destination = by_path();
        destination.storage.checksum = Some(false);
        let refusals = [denied(code, ""), denied(code, "")].map(Err);
        let world = World::new().writes(refusals.into_iter().chain([Ok(())]));
        let report = world.check(&destination);
        assert_eq!(
            (report.verdict, report.path_style),
            (Verdict::Healthy, Some(false))
        );
        assert_eq!(styles(&world), [true, true, false]);
    }
}

#[test]
fn a_bucket_is_not_put_into_the_host_of_an_endpoint_that_does_not_ask_for_it() {
    // Whoever does not look at the host would take the key's first folder for the bucket.
    for trouble in [
        invalid("NoSuchBucket", "The specified bucket does not exist"),
        denied("AccessDenied", "Access Denied"),
        blocked(Obstacle::NoAddress),
        blocked(Obstacle::Tls),
    ] {
        let world = World::new().writes([Err(trouble)]);
        assert_eq!(world.check(&by_path()).verdict, Verdict::Failing);
        assert!(styles(&world).iter().all(|path_style| *path_style));
    }
}

#[test]
fn nothing_is_written_in_the_other_style_where_there_is_no_such_bucket() {
    // The endpoint is a bucket's own host: what is written to the path lands in that bucket.
    let missing = StoreError::Invalid(failure("HeadBucket", "NoSuchBucket", ""));
    let looks = [
        looked(Err(blocked(Obstacle::Tls)), None),
        looked(Err(missing.into()), None),
    ];
    let world = World::new()
        .looks(looks)
        .writes([Err(blocked(Obstacle::Tls)), Ok(())]);
    let report = world.check(&elsewhere());
    assert_eq!(report.problem, Some(Problem::TlsFailed), "{report:#?}");
    assert_eq!(styles(&world), [false]);
    assert_eq!(report.path_style, None);
}

#[test]
fn both_are_found_out_at_once() {
    let unknown = || invalid("NotImplemented", "Header 'x-amz-checksum-sha256'");
    let missing = || invalid("NoSuchBucket", "The specified bucket does not exist");
    let world = World::new().writes([Err(missing()), Err(unknown()), Ok(())]);
    let report = world.check(&elsewhere());
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(
        (report.path_style, report.checksum),
        (Some(true), Some(false))
    );
    assert_eq!(styles(&world), [false, true, true]);
}

#[test]
fn what_fails_in_both_is_told_of_the_one_that_is_configured() {
    let world = World::new().writes([
        Err(invalid("NoSuchBucket", "of the host")),
        Err(invalid("NoSuchBucket", "of the path")),
    ]);
    let report = world.check(&elsewhere());
    assert_eq!(report.problem, Some(Problem::NoSuchBucket));
    assert_eq!(report.path_style, None);
    assert!(report.cause.contains("of the host"), "{}", report.cause);
}

#[test]
fn what_another_host_would_not_change_is_not_tried_there() {
    let late = World::new().writes([Err(transient("SlowDown"))]);
    late.check(&elsewhere());
    let inside = World::new().writes([Err(blocked(Obstacle::NotPublic))]);
    inside.check(&elsewhere());
    let at_aws = World::new().writes([Err(invalid("NoSuchBucket", ""))]);
    at_aws.check(&with_role());
    let well = World::new();
    assert_eq!(well.check(&by_path()).path_style, None);
    // Its dot would make another host of it.
    let dotted = World::new().writes([Err(invalid("NoSuchBucket", ""))]);
    let mut destination = by_path();
    destination.location.bucket = BucketName::parse("acme.audit").unwrap();
    dotted.check(&destination);
    for (world, styles) in [
        (late, false),
        (inside, false),
        (at_aws, false),
        (well, true),
        (dotted, true),
    ] {
        let seen = world.styles.lock().unwrap();
        assert!(!seen.is_empty() && seen.iter().all(|style| *style == styles));
    }
}

#[test]
fn what_was_found_out_is_put_into_the_destination_and_the_report_fits_it_then() {
    let world = World::new().writes([Err(blocked(Obstacle::NoAddress)), Ok(())]);
    let mut destination = elsewhere();
    let mut report = world.check(&destination);
    assert!(report.fits(&destination));
    report.apply(&mut destination);
    assert!(destination.location.path_style);
    assert_eq!(destination.storage.checksum, Some(true));
    assert!(report.fits(&destination) && !report.fits(&elsewhere()));
    let again = World::new().check(&destination);
    assert_eq!((again.path_style, again.checksum), (None, None));
    assert!(again.warnings.is_empty(), "{again:#?}");
}

#[test]
fn an_endpoint_that_redirects_is_told_so_whatever_it_calls_it() {
    for code in [
        "HTTP 301",
        "HTTP 302",
        "HTTP 303",
        "HTTP 307",
        "HTTP 308",
        "PermanentRedirect",
        "TemporaryRedirect",
    ] {
        let world = World::new().writes([Err(invalid(code, "elsewhere"))]);
        let expected = Expected {
            problem: Problem::Redirected,
            who: Who::Customer,
            cause: "https://minio.example.com:9000 sends requests on to somewhere else",
            what: "answers by itself",
            mend: &[],
        };
        assert_told(&world.check(&by_path()), &expected);
    }
}

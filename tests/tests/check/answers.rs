//! What goes over the wire, and answers in the words that AWS and others use.

use sealift_core::check::{CheckReport, Checks, Problem, Verdict, look_session};
use sealift_core::destination::{Destination, KmsKeyArn, StorageClass};
use sealift_core::policy::Partition;
use sealift_core::policy::permissions;
use sealift_tests::responder::{Received, Reply, Responder};

use crate::scene::*;

const KEY: &str = "arn:aws:kms:us-east-1:222222222222:key/0a-1b";

fn step(request: &Received) -> &'static str {
    let form = request.form();
    match (
        request.method.as_str(),
        form.get("RoleArn").map(String::as_str),
    ) {
        ("HEAD", _) => "head",
        ("PUT", _) => "put",
        (_, Some(PRINCIPAL)) => "principal",
        (_, _) if form.get("ExternalId").map(String::as_str) == Some(EXTERNAL_ID) => "right",
        _ => "wrong",
    }
}

/// A role that is as it should be, and a bucket that takes everything.
fn well(request: &Received) -> Reply {
    match step(request) {
        "head" => Reply::answer(200, "").with("x-amz-bucket-region", "us-east-1"),
        "put" => Reply::answer(200, "").with("etag", "\"1\""),
        "wrong" => Reply::sts_error(403, "AccessDenied"),
        of => Reply::answer(
            200,
            format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleResult><Credentials><AccessKeyId>KEY-{of}</AccessKeyId>\
                 <SecretAccessKey>SESSIONSECRET</SecretAccessKey><SessionToken>T</SessionToken>\
                 <Expiration>2023-07-10T11:15:00Z</Expiration></Credentials></AssumeRoleResult>\
                 </AssumeRoleResponse>"
            ),
        ),
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Reply::answer(status, body)
}

/// The report on a bucket that answers so to a look and to the canary.
async fn answered(destination: &Destination, head: Reply, put: Reply) -> CheckReport {
    let aws = Responder::start(move |request, _| match step(request) {
        "head" => head.clone(),
        "put" => put.clone(),
        _ => well(request),
    })
    .await
    .unwrap();
    let report = checks(options(aws.url())).await.check(destination).await;
    assert_clean(&report);
    report
}

#[tokio::test]
async fn the_canary_is_sent_as_a_delivery_and_the_look_with_a_session_that_only_looks() {
    let aws = Responder::start(|request, _| well(request)).await.unwrap();
    let mut destination = with_role();
    destination.storage.kms_key_arn = Some(KmsKeyArn::parse(KEY).unwrap());
    destination.storage.storage_class = Some(StorageClass::parse("STANDARD_IA").unwrap());
    let report = checks(options(aws.url())).await.check(&destination).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    let received = aws.received();
    let story: Vec<&str> = received.iter().map(step).collect();
    assert_eq!(
        story,
        [
            // Who tries the role, and then the four attempts.
            "principal",
            "wrong",
            "wrong",
            "wrong",
            "right",
            // Who goes in, to look and to write.
            "principal",
            "right",
            "head",
            "right",
            "put",
        ]
    );
    let location = &destination.location;
    let policy = |number: usize| received[number].form()["Policy"].clone();
    assert_eq!(policy(4), permissions::nothing().to_string());
    let look = look_session(Partition::Aws, &location.bucket, &location.prefix);
    assert_eq!(policy(6), look.to_string());
    let key = destination.storage.kms_key_arn.as_ref();
    let write = permissions::session(Partition::Aws, &location.bucket, &location.prefix, key);
    assert_eq!(policy(8), write.unwrap().to_string());

    assert_eq!(received[7].header("x-amz-expected-bucket-owner"), TENANT);
    let put = &received[9];
    assert_eq!(
        put.path.split('?').next(),
        Some("/acme-audit/audit/_sealift-check.gz")
    );
    for (name, value) in [
        ("content-type", "application/gzip"),
        ("x-amz-expected-bucket-owner", TENANT),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", KEY),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("content-encoding", ""),
        ("x-amz-trailer", ""),
    ] {
        assert_eq!(put.header(name), value, "{name}");
    }
    assert_eq!(put.header("x-amz-checksum-sha256").len(), 44);
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told_with_the_right_one() {
    let elsewhere =
        |status| Reply::answer(status, "").with("x-amz-bucket-region", "ap-southeast-2");
    let malformed = "The authorization header is malformed; the region 'us-east-1' is wrong; \
                     expecting 'ap-southeast-2'";
    for (head, put) in [
        (elsewhere(301), Reply::s3_error(301, "PermanentRedirect")),
        (elsewhere(400), Reply::answer(301, "")),
        (
            elsewhere(400),
            error(400, "AuthorizationHeaderMalformed", malformed),
        ),
        (
            Reply::answer(400, ""),
            error(400, "AuthorizationHeaderMalformed", malformed),
        ),
        (
            elsewhere(403),
            Reply::s3_error(400, "IllegalLocationConstraintException"),
        ),
    ] {
        let told = format!("{head:?} {put:?}");
        let report = answered(&with_role(), head, put).await;
        assert_eq!(
            report.problem,
            Some(Problem::WrongRegion),
            "{told} {report:#?}"
        );
        assert!(
            report
                .cause
                .contains("is in ap-southeast-2, not in us-east-1"),
            "{told}: {}",
            report.cause
        );
        assert!(
            report
                .advice
                .unwrap()
                .what
                .contains("`region` to ap-southeast-2")
        );
    }
}

#[tokio::test]
async fn each_answer_of_s3_is_the_problem_that_it_means() {
    let not_authorized = |action: &str, why: &str| {
        error(
            403,
            "AccessDenied",
            &format!(
                "User: arn:aws:sts::{TENANT}:assumed-role/acme-audit/s is not authorized to \
                 perform: {action} on resource: {KEY} because no {why} policy allows the {action} \
                 action"
            ),
        )
    };
    let locked = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests \
                  with Object Lock parameters";
    for (put, problem, cause) in [
        (
            Reply::s3_error(404, "NoSuchBucket"),
            Problem::NoSuchBucket,
            "acme-audit",
        ),
        (
            error(403, "AccessDenied", "Access Denied"),
            Problem::WriteDenied,
            "lets itself be looked at",
        ),
        (
            not_authorized("kms:GenerateDataKey", "identity-based"),
            Problem::KmsDenied,
            "no policy of the role",
        ),
        (
            not_authorized("kms:GenerateDataKey", "resource-based"),
            Problem::KmsDenied,
            "the key's own policy",
        ),
        (
            not_authorized("kms:GenerateDataKey", "session"),
            Problem::KmsDenied,
            "encrypts with it by default",
        ),
        (
            Reply::s3_error(400, "KMS.DisabledException"),
            Problem::KmsUnusable,
            "KMS.DisabledException",
        ),
        (
            Reply::s3_error(400, "KMS.NotFoundException"),
            Problem::KmsUnusable,
            "KMS.NotFoundException",
        ),
        (
            Reply::s3_error(400, "InvalidStorageClass"),
            Problem::StorageClassRefused,
            "storage class",
        ),
        (
            error(400, "InvalidRequest", locked),
            Problem::ChecksumRequired,
            "Object Lock",
        ),
        (
            Reply::s3_error(503, "SlowDown"),
            Problem::NoAnswer,
            "SlowDown",
        ),
        (
            Reply::s3_error(400, "RequestTimeout"),
            Problem::NoAnswer,
            "RequestTimeout",
        ),
        (Reply::HangUp, Problem::NoAnswer, "cannot be told now"),
        (
            Reply::s3_error(400, "InvalidArgument"),
            Problem::Other,
            "InvalidArgument",
        ),
    ] {
        let told = format!("{put:?}");
        let report = answered(&with_role(), well_head(), put).await;
        assert_eq!(report.problem, Some(problem), "{told}: {report:#?}");
        assert_eq!(report.verdict, problem.verdict());
        assert!(report.cause.contains(cause), "{told}: {}", report.cause);
    }
}

fn well_head() -> Reply {
    Reply::answer(200, "").with("x-amz-bucket-region", "us-east-1")
}

#[tokio::test]
async fn a_row_tells_code_message_and_request_of_the_answer() {
    let put = error(403, "AccessDenied", "Access Denied");
    let report = answered(&with_role(), Reply::answer(403, ""), put).await;
    let row = report.matrix.last().unwrap();
    assert_eq!(
        (&*row.code, &*row.message, &*row.request_id),
        ("AccessDenied", "Access Denied", "REQ-1")
    );
    assert!(
        report.cause.contains("which S3 answers alike"),
        "{}",
        report.cause
    );
}

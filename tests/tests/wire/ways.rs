//! The way into a bucket: roles, session, region, and how long it is kept.

use std::time::Duration;

use sealift_core::id::{KeyPrefix, ProjectId};
use sealift_core::policy::{Partition, permissions};
use sealift_core::ports::{ExportSink, ExportSinks, StoreError};
use sealift_tests::responder::{Reply, Responder};

use crate::scene::*;

#[tokio::test]
async fn the_customers_role_is_assumed_from_the_principal_with_external_id_and_policy() {
    let scene = Scene::new(well).await;
    scene.write("rows").await.unwrap();
    assert_eq!(scene.story(), ["principal", "customer", "head", "put"]);
    let received = scene.aws.received();

    let form = received[0].form();
    assert_eq!(
        (form["Action"].as_str(), form["RoleArn"].as_str()),
        ("AssumeRole", PRINCIPAL)
    );
    assert_eq!(form["DurationSeconds"], "900");
    assert!(!form.contains_key("ExternalId") && !form.contains_key("Policy"));
    let authorization = received[0].header("authorization");
    assert!(
        authorization.contains("Credential=FUNCTIONKEY/"),
        "{authorization}"
    );

    let form = received[1].form();
    assert_eq!(
        (form["Action"].as_str(), form["RoleArn"].as_str()),
        ("AssumeRole", CUSTOMER)
    );
    assert_eq!(form["ExternalId"], EXTERNAL_ID);
    assert_eq!(form["DurationSeconds"], "3600");
    let place = place();
    let policy = permissions::export_session(Partition::Aws, &place.bucket, &place.prefix);
    assert_eq!(form["Policy"], policy.unwrap().to_string());
    assert!(form["Policy"].contains("arn:aws:s3:::acme-export/bt/*"));
    assert_eq!(
        received[1].header("x-amz-security-token"),
        "TOKEN-principal-0"
    );

    for request in &received[2..] {
        assert_eq!(request.header("x-amz-security-token"), "TOKEN-customer-1");
        assert_eq!(
            request.header("x-amz-expected-bucket-owner"),
            "333333333333"
        );
        let authorization = request.header("authorization");
        assert!(
            authorization.contains("Credential=KEY-customer/"),
            "{authorization}"
        );
    }
    assert_eq!(received[2].path.trim_end_matches('/'), "/acme-export");
}

#[tokio::test]
async fn the_session_name_tells_projects_apart_within_what_sts_takes() {
    let scene = Scene::new(well).await;
    let mut other = place();
    other.project = ProjectId::parse("m".repeat(128)).unwrap();
    scene.open().await.unwrap();
    scene.exports.open(&other).await.unwrap();
    let names: Vec<String> = scene
        .all("customer")
        .iter()
        .map(|request| request.form()["RoleSessionName"].clone())
        .collect();
    // printf 'acme\0p1' | sha256sum | cut -c 1-32
    assert_eq!(names[0], "sealift-f7bbff88ab55592043af3b29f6ec5f71");
    assert_ne!(names[0], names[1]);
    for name in names {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        assert!(plain && name.len() <= 64, "{name}");
    }
}

/// The region that an object is signed for, given the answer about the bucket.
async fn region_after(head: Reply) -> Result<String, StoreError> {
    let scene = Scene::new(but("head", head)).await;
    scene.write("rows").await?;
    let put = scene.all("put").pop().unwrap();
    let scope = put
        .header("authorization")
        .split('/')
        .nth(2)
        .map(str::to_owned);
    Ok(scope.unwrap())
}

#[tokio::test]
async fn the_buckets_region_is_taken_from_whatever_s3_answers() {
    for status in [200, 301, 307, 400, 403] {
        let head = Reply::answer(status, "").with("x-amz-bucket-region", "ap-southeast-2");
        assert_eq!(
            region_after(head).await.unwrap(),
            "ap-southeast-2",
            "{status}"
        );
    }
}

#[tokio::test]
async fn where_s3_tells_no_region_or_no_fit_one_the_configured_one_is_used() {
    for status in [200, 403, 400] {
        assert_eq!(
            region_after(Reply::answer(status, "")).await.unwrap(),
            "us-east-1",
            "{status}"
        );
    }
    let elsewhere = Reply::answer(403, "").with("x-amz-bucket-region", "evil.example.com/");
    assert_eq!(region_after(elsewhere).await.unwrap(), "us-east-1");
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_invalid_and_one_that_does_not_answer_transient() {
    let scene = Scene::new(but("head", Reply::answer(404, ""))).await;
    let error = scene.write("rows").await.unwrap_err();
    let StoreError::Invalid(failure) = &error else {
        unreachable!("{error:?}")
    };
    assert_eq!(
        (
            failure.operation.as_str(),
            failure.code.as_str(),
            failure.target.as_str()
        ),
        ("HeadBucket", "NoSuchBucket", "s3://acme-export")
    );
    for reply in [
        Reply::answer(503, ""),
        Reply::answer(429, ""),
        Reply::HangUp,
    ] {
        let told = format!("{reply:?}");
        let error = region_after(reply).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Transient(_)),
            "{told}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_way_in_is_kept_with_its_region_for_a_quarter_of_an_hour() {
    let scene = Scene::new(well).await;
    scene.write("rows").await.unwrap();
    scene.clock.advance(Duration::from_secs(899));
    scene.write("rows").await.unwrap();
    assert_eq!(
        scene.story(),
        ["principal", "customer", "head", "put", "put"]
    );
    scene.clock.advance(Duration::from_secs(1));
    scene.write("rows").await.unwrap();
    assert_eq!(scene.story()[5..], ["principal", "customer", "head", "put"]);
}

#[tokio::test]
async fn each_place_has_a_way_of_its_own_and_forgetting_one_keeps_the_others() {
    let scene = Scene::new(well).await;
    let mut other = place();
    other.prefix = KeyPrefix::parse("other/").unwrap();
    scene.open().await.unwrap();
    scene.exports.open(&other).await.unwrap();
    scene.exports.forget(&place());
    scene.exports.open(&other).await.unwrap();
    assert_eq!(scene.all("customer").len(), 2);
    scene.open().await.unwrap();
    assert_eq!(scene.all("customer").len(), 3);
}

#[tokio::test]
async fn who_asks_for_a_way_that_is_being_opened_waits_for_it() {
    let scene = Scene::new(well).await;
    let writes = futures_util::future::join_all((0..8).map(|_| scene.write("rows"))).await;
    assert!(writes.iter().all(Result::is_ok), "{writes:?}");
    let counts = ["principal", "customer", "head", "put"].map(|step| scene.all(step).len());
    assert_eq!(counts, [1, 1, 1, 8]);
}

#[tokio::test]
async fn a_refusal_by_the_bucket_drops_the_way_in() {
    for reply in [
        Reply::s3_error(403, "AccessDenied"),
        Reply::s3_error(400, "ExpiredToken"),
        Reply::s3_error(301, "PermanentRedirect"),
        Reply::s3_error(400, "AuthorizationHeaderMalformed"),
    ] {
        let told = format!("{reply:?}");
        let scene = Scene::new(but_once("put", reply)).await;
        scene.write("rows").await.unwrap_err();
        scene.write("rows").await.unwrap();
        assert_eq!(
            scene.story()[1..],
            ["customer", "head", "put", "customer", "head", "put"],
            "{told}"
        );
    }
}

#[tokio::test]
async fn what_may_pass_and_what_was_asked_wrongly_keep_the_way_in() {
    for reply in [
        Reply::s3_error(503, "SlowDown"),
        Reply::s3_error(400, "InvalidRequest"),
    ] {
        let scene = Scene::new(but_once("put", reply)).await;
        scene.write("rows").await.unwrap_err();
        scene.write("rows").await.unwrap();
        assert_eq!(scene.all("customer").len(), 1);
    }
}

#[tokio::test]
async fn a_role_that_refuses_is_denied_and_a_throttled_sts_is_no_refusal() {
    let scene = Scene::new(but("customer", Reply::sts_error(403, "AccessDenied"))).await;
    let error = scene.write("rows").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "AssumeRole" && f.target == CUSTOMER),
        "{error:?}"
    );
    scene.write("rows").await.unwrap_err();
    assert_eq!(scene.all("customer").len(), 2, "a refusal is not kept");
    let scene = Scene::new(but("customer", Reply::sts_error(400, "Throttling"))).await;
    let error = scene.write("rows").await.unwrap_err();
    assert!(matches!(error, StoreError::Transient(_)), "{error:?}");
}

#[tokio::test]
async fn a_prefix_that_no_session_policy_can_name_is_invalid_before_anything_is_asked() {
    let scene = Scene::new(well).await;
    let mut place = place();
    place.prefix = KeyPrefix::normalize(&"*".repeat(511)).unwrap();
    let error = scene.exports.open(&place).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Invalid(f) if f.message.contains("shorter prefix")),
        "{error:?}"
    );
    assert!(scene.story().is_empty());
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let elsewhere = Responder::start(well).await.unwrap();
    let redirect = Reply::s3_error(307, "TemporaryRedirect").with("location", elsewhere.url());
    let scene = Scene::new(but("put", redirect)).await;
    let error = scene.write("rows").await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn an_object_is_deleted_with_the_owner_that_is_expected() {
    let scene = Scene::new(well).await;
    let sink = scene.open().await.unwrap();
    let tested = permissions::test_object(&place().prefix);
    sink.delete(&tested).await.unwrap();
    let delete = scene.aws.received().pop().unwrap();
    assert_eq!(delete.method, "DELETE");
    assert!(
        delete.path.starts_with("/acme-export/bt/_sealift-test.txt"),
        "{}",
        delete.path
    );
    assert_eq!(delete.header("x-amz-expected-bucket-owner"), "333333333333");

    let scene = Scene::new(but("delete", Reply::s3_error(403, "AccessDenied"))).await;
    let error = scene
        .open()
        .await
        .unwrap()
        .delete(&tested)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "DeleteObject on s3://acme-export/bt/_sealift-test.txt failed: \
         AccessDenied: about AccessDenied (request REQ-1)"
    );
}

#[tokio::test]
async fn no_secret_appears_in_an_error_or_in_what_holds_it() {
    let secrets = [
        FUNCTION_SECRET,
        SESSION_SECRET,
        EXTERNAL_ID,
        "TOKEN-principal",
        "TOKEN-customer",
    ];
    for reply in [
        Reply::s3_error(403, "SignatureDoesNotMatch"),
        Reply::answer(502, "<html>bad gateway"),
        Reply::HangUp,
    ] {
        let scene = Scene::new(but("put", reply)).await;
        let sink = scene.open().await.unwrap();
        let upload = scene.begin().await;
        let error = scene.write("rows").await.unwrap_err();
        for text in [
            format!("{error} {error:?}"),
            format!("{sink:?} {upload:#?}"),
            format!("{:?}", scene.exports),
        ] {
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }
}

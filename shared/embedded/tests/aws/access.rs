use aws_sdk_s3::primitives::ByteStream;
use sealift_embedded::iam::{IamError, Secret, User};

use crate::support::{
    CUSTOMER, PLATFORM, World, account, bucket, credentials, failed, failure, get, is, put, s3, sts,
};

fn user(policy: &str) -> User {
    User {
        name: "uploader".to_owned(),
        account: account(CUSTOMER),
        access_key_id: "AKIACUSTOMER".to_owned(),
        secret_access_key: Secret::new("customer-secret"),
        policy: policy.to_owned(),
    }
}

fn allow(actions: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"{resource}"}}]}}"#
    )
}

fn as_user(world: &World) -> aws_sdk_s3::Client {
    s3(
        &world.aws,
        credentials("AKIACUSTOMER", "customer-secret", None),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_valid_signature() {
    let world = World::start().await;
    put(&world.platform(), "state", "k", b"x").await;
    let read = |client: aws_sdk_s3::Client| async move {
        failed(client.get_object().bucket("state").key("k").send().await)
    };
    let stranger = s3(
        &world.aws,
        credentials("AKIANOBODY", "platform-secret", None),
    );
    assert_eq!(read(stranger).await, is(403, "InvalidAccessKeyId"));
    let forger = s3(&world.aws, credentials("AKIAPLATFORM", "guess", None));
    assert_eq!(read(forger).await, is(403, "SignatureDoesNotMatch"));
    let token = s3(
        &world.aws,
        credentials("AKIAPLATFORM", "platform-secret", Some("t")),
    );
    assert_eq!(read(token).await, is(400, "InvalidToken"));

    let anonymous = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(world.aws.endpoint_url())
        .force_path_style(true)
        .allow_no_auth()
        .build();
    let anonymous = aws_sdk_s3::Client::from_conf(anonymous);
    assert_eq!(read(anonymous).await, is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_credentials_open_its_own_buckets_only() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "k", b"x").await;
    let theirs = client.put_object().bucket("customer").key("k").send().await;
    assert_eq!(failed(theirs), is(403, "AccessDenied"));
    let listed = client.list_objects_v2().bucket("customer").send().await;
    assert_eq!(failed(listed), is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_do_what_the_policy_says_and_no_more() {
    let world = World::start().await;
    let policy = allow(r#"["s3:PutObject","s3:GetObject"]"#, "arn:aws:s3:::*/in/*");
    world.aws.iam().create_user(user(&policy)).unwrap();
    let client = as_user(&world);
    put(&client, "customer", "in/1", b"x").await;
    assert_eq!(get(&client, "customer", "in/1").await, b"x");

    let outside = failure(
        client
            .put_object()
            .bucket("customer")
            .key("out/1")
            .send()
            .await,
    );
    assert_eq!(
        (outside.status, outside.code.as_str()),
        (403, "AccessDenied")
    );
    assert_eq!(
        outside.message,
        "User: arn:aws:iam::222222222222:user/uploader is not authorized to perform: s3:PutObject \
         on resource: \"arn:aws:s3:::customer/out/1\" because no identity-based policy allows the \
         s3:PutObject action"
    );
    let delete = client
        .delete_object()
        .bucket("customer")
        .key("in/1")
        .send()
        .await;
    assert_eq!(failed(delete), is(403, "AccessDenied"));
    // Its policy would allow it, but the bucket is another account's.
    let state = client.put_object().bucket("state").key("in/1").send().await;
    assert_eq!(failed(state), is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_told_only_to_those_who_may_list() {
    let world = World::start().await;
    world
        .aws
        .iam()
        .create_user(user(&allow(r#""s3:GetObject""#, "*")))
        .unwrap();
    let client = as_user(&world);
    let read = || client.get_object().bucket("customer").key("none").send();
    let head = || client.head_object().bucket("customer").key("none").send();
    assert_eq!(failed(read().await), is(403, "AccessDenied"));
    assert_eq!(failed(head().await).0, 403);

    world.aws.iam().delete_user("AKIACUSTOMER").unwrap();
    let policy = allow(r#"["s3:GetObject","s3:ListBucket"]"#, "*");
    world.aws.iam().create_user(user(&policy)).unwrap();
    assert_eq!(failed(read().await), is(404, "NoSuchKey"));
    assert_eq!(failed(head().await), is(404, "NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_held_against_its_prefix() {
    let world = World::start().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket",
        "Resource":"arn:aws:s3:::customer","Condition":{"StringLike":{"s3:prefix":"audit/*"}}}]}"#;
    world.aws.iam().create_user(user(policy)).unwrap();
    let client = as_user(&world);
    let list = |prefix: &str| {
        client
            .list_objects_v2()
            .bucket("customer")
            .prefix(prefix)
            .send()
    };
    list("audit/2026").await.unwrap();
    assert_eq!(failed(list("other/").await), is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_and_a_customers_key_need_their_own_permissions() {
    let world = World::start().await;
    world
        .aws
        .iam()
        .create_user(user(&allow(r#""s3:PutObject""#, "*")))
        .unwrap();
    let client = as_user(&world);
    let put = || {
        let body = ByteStream::from_static(b"x");
        client.put_object().bucket("customer").key("k").body(body)
    };
    put().send().await.unwrap();
    let acl = put()
        .acl(aws_sdk_s3::types::ObjectCannedAcl::BucketOwnerFullControl)
        .send()
        .await;
    assert!(failure(acl).message.contains("s3:PutObjectAcl"));
    let key = put()
        .server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms)
        .ssekms_key_id("arn:aws:kms:us-east-1:222222222222:key/1");
    assert!(
        failure(key.send().await)
            .message
            .contains("kms:GenerateDataKey")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_another_owner_than_expected_is_refused() {
    let world = World::start().await;
    let client = world.platform();
    let put = |owner: &str| {
        let put = client
            .put_object()
            .bucket("state")
            .key("k")
            .expected_bucket_owner(owner);
        put.body(ByteStream::from_static(b"x")).send()
    };
    put(PLATFORM).await.unwrap();
    assert_eq!(failed(put(CUSTOMER).await), is(403, "AccessDenied"));
    assert_eq!(
        failed(put("me").await),
        is(400, "InvalidBucketOwnerAWSAccountID")
    );
    let record = world.aws.requests().records_of("PutObject").remove(0);
    assert_eq!(record.headers["x-amz-expected-bucket-owner"], PLATFORM);
    assert_eq!(record.principal, "arn:aws:iam::111111111111:root");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_evaluated_is_no_permission_and_says_why() {
    let world = World::start().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*",
        "Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#;
    world.aws.iam().create_user(user(policy)).unwrap();
    let put = as_user(&world)
        .put_object()
        .bucket("customer")
        .key("k")
        .send()
        .await;
    let failure = failure(put);
    assert_eq!(
        (failure.status, failure.code.as_str()),
        (501, "NotImplemented")
    );
    assert!(failure.message.contains("IpAddress"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_says_so() {
    let world = World::start().await;
    let client = world.platform();
    assert_eq!(
        failed(client.list_buckets().send().await),
        is(501, "NotImplemented")
    );
    let acl = client
        .get_object_acl()
        .bucket("state")
        .key("k")
        .send()
        .await;
    assert_eq!(failed(acl), is(501, "NotImplemented"));
    let copy = client
        .copy_object()
        .bucket("state")
        .key("k")
        .copy_source("state/j")
        .send()
        .await;
    assert_eq!(failed(copy), is(501, "NotImplemented"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_none_is_refused_when_it_is_given() {
    let world = World::start().await;
    let error = world.aws.iam().create_user(user("{}")).unwrap_err();
    assert!(matches!(error, IamError::MalformedPolicy { .. }), "{error}");
    let unknown = sts(
        &world.aws,
        credentials("AKIACUSTOMER", "customer-secret", None),
    );
    let identity = unknown.get_caller_identity().send().await;
    assert_eq!(failed(identity), is(403, "InvalidClientTokenId"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_tell_what_a_run_would_cost() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "k", b"12345").await;
    get(&client, "state", "k").await;
    failed(client.get_object().bucket("state").key("none").send().await);
    let puts = world.aws.requests().count("PutObject");
    assert_eq!(
        (puts.requests, puts.failures, puts.request_bytes),
        (1, 0, 5)
    );
    let gets = world.aws.requests().count("GetObject");
    assert_eq!((gets.requests, gets.failures), (2, 1));
    let records = world.aws.requests().records_of("GetObject");
    assert_eq!(
        (records[0].status, records[0].response_bytes),
        (Some(200), 5)
    );
    assert_eq!(
        (records[1].status, records[1].error_code.as_str()),
        (Some(404), "NoSuchKey")
    );
    assert_eq!(records[0].access_key_id, "AKIAPLATFORM");
    assert_eq!(
        world.aws.bucket_owner(&bucket("state")),
        Some(account(PLATFORM))
    );
}

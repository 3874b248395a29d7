use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::result::SdkError;
use sealift_core::ports::Clock as _;
use sealift_embedded::faults::{Effect, Rule};

use crate::support::{World, failed, get, is, platform_credentials, put, s3_with_attempts};

#[tokio::test(flavor = "multi_thread")]
async fn each_error_comes_as_aws_would_send_it_and_nothing_is_performed() {
    let world = World::start().await;
    let client = world.platform();
    let put = || {
        let body = ByteStream::from_static(b"x");
        client
            .put_object()
            .bucket("state")
            .key("k")
            .body(body)
            .send()
    };
    for (effect, expected) in [
        (Effect::SlowDown, is(503, "SlowDown")),
        (Effect::InternalError, is(500, "InternalError")),
        (Effect::Conflict, is(409, "ConditionalRequestConflict")),
        (Effect::PreconditionFailed, is(412, "PreconditionFailed")),
        (Effect::AccessDenied, is(403, "AccessDenied")),
        (Effect::TearBefore, is(0, "")),
    ] {
        world
            .aws
            .faults()
            .add(Rule::new(effect).on("PutObject").times(1));
        assert_eq!(failed(put().await), expected);
        assert!(!world.file("state", "k").exists(), "{effect:?}");
    }
    put().await.unwrap();
    let last_torn = &world.aws.requests().records_of("PutObject")[5];
    assert_eq!(last_torn.status, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_leaves_the_write_done() {
    let world = World::start().await;
    let client = world.platform();
    let id = world
        .aws
        .faults()
        .add(Rule::new(Effect::LoseReply).on("PutObject").times(1));
    let create = |client: &aws_sdk_s3::Client| {
        let create = client
            .put_object()
            .bucket("state")
            .key("log/1")
            .if_none_match("*");
        create.body(ByteStream::from_static(b"mine")).send()
    };
    let lost = create(&client).await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert_eq!(world.aws.faults().strikes(id), 1);
    assert_eq!(get(&client, "state", "log/1").await, b"mine");
    // A retry meets the write that nobody was told of.
    assert_eq!(failed(create(&client).await), is(412, "PreconditionFailed"));

    world
        .aws
        .faults()
        .add(Rule::new(Effect::LoseReply).key_prefix("log/2").times(1));
    let retrying = s3_with_attempts(&world.aws, platform_credentials(), 3);
    let create = retrying
        .put_object()
        .bucket("state")
        .key("log/2")
        .if_none_match("*");
    let outcome = create.body(ByteStream::from_static(b"mine")).send().await;
    assert_eq!(failed(outcome), is(412, "PreconditionFailed"));
    assert_eq!(get(&client, "state", "log/2").await, b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_torn_in_its_midst() {
    let world = World::start().await;
    let client = world.platform();
    let bytes = vec![7; 3_000_000];
    put(&client, "state", "k", &bytes).await;
    for after in [0, 1, 1_000_000] {
        world.aws.faults().add(
            Rule::new(Effect::TearBody { after })
                .on("GetObject")
                .times(1),
        );
        let mut got = client
            .get_object()
            .bucket("state")
            .key("k")
            .send()
            .await
            .unwrap();
        let mut read = 0;
        let broke = loop {
            match got.body.next().await {
                Some(Ok(chunk)) => read += u64::try_from(chunk.len()).unwrap(),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broke, "the body ended as if it were whole");
        assert_eq!(read, after);
    }
    assert!(get(&client, "state", "k").await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_passes_by_the_handed_in_clock() {
    let world = World::start().await;
    let client = world.platform();
    let delay = Duration::from_hours(1);
    world
        .aws
        .faults()
        .add(Rule::new(Effect::Latency(delay)).on("PutObject"));
    let before = world.clock.now();
    put(&client, "state", "k", b"x").await;
    assert_eq!(world.clock.now().duration_since(before).as_secs(), 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_own_retries_get_past_a_few_slow_downs() {
    let world = World::start().await;
    let client = s3_with_attempts(&world.aws, platform_credentials(), 3);
    let id = world
        .aws
        .faults()
        .add(Rule::new(Effect::SlowDown).bucket("state").times(2));
    put(&client, "state", "k", b"x").await;
    assert_eq!(world.aws.faults().strikes(id), 2);
    assert_eq!(world.aws.requests().count("PutObject").requests, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn sts_has_its_own_words_for_trouble() {
    let world = World::start().await;
    let arn = "arn:aws:iam::222222222222:role/some-role";
    let assume = || {
        let assume = world
            .sts()
            .assume_role()
            .role_arn(arn)
            .role_session_name("t-1");
        assume.send()
    };
    for (effect, expected) in [
        (Effect::SlowDown, is(400, "Throttling")),
        (Effect::InternalError, is(500, "InternalFailure")),
        (Effect::TearBefore, is(0, "")),
    ] {
        let rule = Rule::new(effect)
            .on("AssumeRole")
            .key_contains("some-role")
            .times(1);
        world.aws.faults().add(rule);
        assert_eq!(failed(assume().await), expected);
    }
}

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Crc32, Md5, Sha256};

use crate::support::{World, failed, is};

const BODY: &[u8] = b"a body";

#[tokio::test(flavor = "multi_thread")]
async fn a_sha256_is_verified_kept_and_given_back() {
    let world = World::start().await;
    let client = world.platform();
    let right = STANDARD.encode(Sha256::checksum(BODY));
    let wrong = STANDARD.encode(Sha256::checksum(b"another"));
    let put = |sum: &str| {
        let put = client
            .put_object()
            .bucket("state")
            .key("k")
            .checksum_sha256(sum);
        put.body(ByteStream::from_static(BODY)).send()
    };
    assert_eq!(failed(put(&wrong).await), is(400, "BadDigest"));
    assert!(!world.file("state", "k").exists());
    assert_eq!(
        put(&right).await.unwrap().checksum_sha256(),
        Some(right.as_str())
    );

    let head = client.head_object().bucket("state").key("k");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_sha256(), Some(right.as_str()));
    let record = world.aws.requests().records_of("PutObject").pop().unwrap();
    assert_eq!(record.headers["x-amz-checksum-sha256"], right);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_md5_is_verified() {
    let world = World::start().await;
    let client = world.platform();
    let put = |md5: String| {
        let put = client
            .put_object()
            .bucket("state")
            .key("k")
            .content_md5(md5);
        put.body(ByteStream::from_static(BODY)).send()
    };
    let wrong = STANDARD.encode(Md5::checksum(b"another"));
    assert_eq!(failed(put(wrong).await), is(400, "BadDigest"));
    assert_eq!(failed(put("short".into()).await), is(400, "InvalidDigest"));
    put(STANDARD.encode(Md5::checksum(BODY))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crc32_is_verified_and_what_the_sdk_sends_by_itself_is_kept() {
    let world = World::start().await;
    let client = world.platform();
    let put = || {
        client
            .put_object()
            .bucket("state")
            .key("k")
            .body(ByteStream::from_static(BODY))
    };
    let wrong = STANDARD.encode(Crc32::checksum(b"another"));
    assert_eq!(
        failed(put().checksum_crc32(wrong).send().await),
        is(400, "BadDigest")
    );

    let right = STANDARD.encode(Crc32::checksum(BODY));
    let sent = put()
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.checksum_crc32(), Some(right.as_str()));
    let head = client.head_object().bucket("state").key("k");
    let head = head
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.checksum_crc32(), Some(right.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_at_the_end_of_a_streamed_body_is_verified() {
    let world = World::start().await;
    let client = world.platform();
    let file = world.folder.path().join("upload");
    let body = b"0123456789".repeat(100_000);
    std::fs::write(&file, &body).unwrap();
    // A body from a file is streamed, with its checksum after it.
    let stream = ByteStream::read_from().path(&file).build().await.unwrap();
    let sent = client
        .put_object()
        .bucket("state")
        .key("k")
        .body(stream)
        .send()
        .await
        .unwrap();
    assert_eq!(
        sent.checksum_crc32(),
        Some(STANDARD.encode(Crc32::checksum(&body)).as_str())
    );
    assert_eq!(std::fs::read(world.file("state", "k")).unwrap(), body);
    let record = world.aws.requests().records_of("PutObject").pop().unwrap();
    assert_eq!(record.headers["x-amz-trailer"], "x-amz-checksum-crc32");
    assert_eq!(record.request_bytes, 1_000_000);
    let head = client
        .head_object()
        .bucket("state")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_encoding(), None);
}

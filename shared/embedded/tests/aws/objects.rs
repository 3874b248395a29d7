use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
use sealift_embedded::ObjectCreated;
use std::sync::{Arc, Mutex};

use crate::support::{World, bucket, failed, failure, get, is, put};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_a_plain_file_and_comes_back_as_it_was_sent() {
    let world = World::start().await;
    let client = world.platform();
    let put = client
        .put_object()
        .bucket("state")
        .key("a/b c+ü.jsonl.gz")
        .body(ByteStream::from_static(b"hello"))
        .content_type("application/gzip")
        .cache_control("no-store")
        .content_encoding("zstd")
        .storage_class(StorageClass::StandardIa)
        .metadata("nonce", "0af1")
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(
        std::fs::read(world.file("state", "a/b c+ü.jsonl.gz")).unwrap(),
        b"hello"
    );

    let got = client
        .get_object()
        .bucket("state")
        .key("a/b c+ü.jsonl.gz")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_type(), Some("application/gzip"));
    assert_eq!(got.cache_control(), Some("no-store"));
    assert_eq!(got.content_encoding(), Some("zstd"));
    assert_eq!(got.storage_class(), Some(&StorageClass::StandardIa));
    assert_eq!(got.metadata().unwrap()["nonce"], "0af1");
    assert_eq!(got.e_tag(), put.e_tag());
    // S3 tells times to the second.
    assert_eq!(
        got.last_modified().unwrap().to_string(),
        "2026-03-01T12:00:00Z"
    );
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");

    let head = client
        .head_object()
        .bucket("state")
        .key("a/b c+ü.jsonl.gz")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(head.metadata().unwrap()["nonce"], "0af1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_type_or_encoding_gets_none_that_was_not_sent() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "k", b"x").await;
    let head = client
        .head_object()
        .bucket("state")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_encoding(), None);
    // The SDK names a type by itself; without one S3 says binary/octet-stream.
    assert_eq!(head.content_type(), Some("application/octet-stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_streamed_both_ways() {
    let world = World::start().await;
    let client = world.platform();
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .flat_map(|i| (i ^ (i >> 7)).to_le_bytes())
        .collect();
    put(&client, "state", "large", &bytes).await;
    assert!(get(&client, "state", "large").await == bytes);
    put(&client, "state", "empty", b"").await;
    assert!(get(&client, "state", "empty").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_answered_with_their_bytes() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "k", b"0123456789").await;
    let ask = |range: &str| {
        client
            .get_object()
            .bucket("state")
            .key("k")
            .range(range)
            .send()
    };
    for (range, bytes, told) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
    ] {
        let got = ask(range).await.unwrap();
        assert_eq!(got.content_range(), Some(told));
        assert_eq!(got.content_length(), i64::try_from(bytes.len()).ok());
        assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes.as_bytes());
    }
    assert_eq!(failed(ask("bytes=10-").await), is(416, "InvalidRange"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_to_be_missing() {
    let world = World::start().await;
    let client = world.platform();
    let got = client.get_object().bucket("state").key("none").send().await;
    assert_eq!(failed(got), is(404, "NoSuchKey"));
    let got = client
        .head_object()
        .bucket("state")
        .key("none")
        .send()
        .await;
    assert_eq!(failed(got), is(404, "NotFound"));
    let got = client
        .get_object()
        .bucket("nowhere")
        .key("none")
        .send()
        .await;
    assert_eq!(failed(got), is(404, "NoSuchBucket"));
    let put = client.put_object().bucket("nowhere").key("k").send().await;
    assert_eq!(failed(put), is(404, "NoSuchBucket"));
    let head = client.head_bucket().bucket("nowhere").send().await;
    assert_eq!(failed(head), is(404, "NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_is_gone_with_its_folders_and_deleting_none_is_no_error() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "a/b/c", b"1").await;
    put(&client, "state", "a/d", b"2").await;
    for _ in 0..2 {
        client
            .delete_object()
            .bucket("state")
            .key("a/b/c")
            .send()
            .await
            .unwrap();
    }
    assert!(!world.file("state", "a/b").exists());
    assert_eq!(get(&client, "state", "a/d").await, b"2");
    // The folder's name is free for an object now.
    put(&client, "state", "a/b", b"3").await;
    assert_eq!(get(&client, "state", "a/b").await, b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_a_file_is_refused_with_a_reason() {
    let world = World::start().await;
    let client = world.platform();
    put(&client, "state", "a/b", b"1").await;
    for (key, reason) in [
        ("a", "is the folder that \"a/b\" lies in"),
        ("a/b/c", "\"a/b\" is an object"),
        ("x//y", "may be empty"),
        ("folder/", "may be empty"),
        ("x/../../y", "`.` or `..`"),
    ] {
        let put = client
            .put_object()
            .bucket("state")
            .key(key)
            .body(ByteStream::from_static(b"x"));
        let failure = failure(put.send().await);
        assert_eq!(
            (failure.status, failure.code.as_str()),
            (400, "InvalidArgument"),
            "{key}"
        );
        assert!(
            failure.message.contains(reason),
            "{key}: {}",
            failure.message
        );
    }
    assert_eq!(get(&client, "state", "a/b").await, b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_before_they_are_used_and_tell_their_region() {
    let world = World::start().await;
    let client = world.platform();
    client
        .create_bucket()
        .bucket("new-one")
        .send()
        .await
        .unwrap();
    put(&client, "new-one", "k", b"x").await;
    let again = client.create_bucket().bucket("new-one").send().await;
    assert_eq!(failed(again), is(409, "BucketAlreadyOwnedByYou"));
    let theirs = client.create_bucket().bucket("customer").send().await;
    assert_eq!(failed(theirs), is(409, "BucketAlreadyExists"));
    let head = client.head_bucket().bucket("new-one").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let place = client
        .get_bucket_location()
        .bucket("new-one")
        .send()
        .await
        .unwrap();
    assert!(
        place
            .location_constraint()
            .is_none_or(|c| c.as_str().is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn created_objects_are_told_of_where_somebody_listens() {
    let world = World::start().await;
    let heard: Arc<Mutex<Vec<ObjectCreated>>> = Arc::default();
    let ears = Arc::clone(&heard);
    world
        .aws
        .on_object_created(&bucket("state"), move |created| {
            ears.lock().unwrap().push(created.clone());
        });
    let client = world.platform();
    client
        .create_bucket()
        .bucket("silent")
        .send()
        .await
        .unwrap();
    put(&client, "silent", "k", b"x").await;
    put(&client, "state", "log/1", b"hello").await;
    put(&client, "state", "log/1", b"again").await;
    let put = client
        .put_object()
        .bucket("state")
        .key("log/1")
        .if_none_match("*")
        .send()
        .await;
    assert_eq!(failed(put), is(412, "PreconditionFailed"));

    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert_eq!(
        (heard[0].bucket.as_str(), heard[0].key.as_str()),
        ("state", "log/1")
    );
    assert_eq!(
        (heard[0].size, heard[0].etag.as_str()),
        (5, "5d41402abc4b2a76b9719d911017c592")
    );
    assert_eq!(heard[0].time.to_string(), "2026-03-01T12:00:00.25Z");
    assert!(heard[0].sequencer < heard[1].sequencer);
}

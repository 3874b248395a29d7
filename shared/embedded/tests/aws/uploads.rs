use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Sha256};

use crate::support::{World, bucket, failed, get, is, put};

const PART: usize = 5 * 1024 * 1024;

async fn begin(client: &aws_sdk_s3::Client, key: &str) -> String {
    let begin = client.create_multipart_upload().bucket("state").key(key);
    let begin = begin
        .content_type("application/vnd.apache.parquet")
        .metadata("rows", "7");
    begin.send().await.unwrap().upload_id.unwrap()
}

async fn part(
    client: &aws_sdk_s3::Client,
    key: &str,
    id: &str,
    number: i32,
    body: Vec<u8>,
) -> CompletedPart {
    let part = client
        .upload_part()
        .bucket("state")
        .key(key)
        .upload_id(id)
        .part_number(number);
    let sent = part.body(ByteStream::from(body)).send().await.unwrap();
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .build()
}

fn all(parts: &[CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts.to_vec()))
        .build()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_one_object() {
    let world = World::start().await;
    let told = Arc::new(AtomicU64::new(0));
    let ears = Arc::clone(&told);
    world
        .aws
        .on_object_created(&bucket("state"), move |created| {
            ears.store(created.size, Ordering::SeqCst);
        });
    let client = world.platform();
    let id = begin(&client, "t/big").await;
    // The second part is replaced before the upload is completed.
    let first = part(&client, "t/big", &id, 1, vec![1; PART]).await;
    part(&client, "t/big", &id, 2, vec![9; 10]).await;
    let second = part(&client, "t/big", &id, 2, vec![2; 3]).await;
    assert!(!world.file("state", "t/big").exists());

    let complete = client
        .complete_multipart_upload()
        .bucket("state")
        .key("t/big");
    let done = complete
        .upload_id(&id)
        .multipart_upload(all(&[first, second]))
        .send()
        .await
        .unwrap();
    assert!(
        done.e_tag().unwrap().ends_with("-2\""),
        "{:?}",
        done.e_tag()
    );
    let mut expected = vec![1; PART];
    expected.extend([2; 3]);
    assert!(get(&client, "state", "t/big").await == expected);
    let head = client
        .head_object()
        .bucket("state")
        .key("t/big")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("application/vnd.apache.parquet"));
    assert_eq!(head.metadata().unwrap()["rows"], "7");
    assert_eq!(head.e_tag(), done.e_tag());
    assert_eq!(told.load(Ordering::SeqCst), 5_242_883);
    let folder = world.folder.path().join("s3-uploads").join(&id);
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_holds_against_what_has_arrived() {
    let world = World::start().await;
    let client = world.platform();
    let id = begin(&client, "k").await;
    let first = part(&client, "k", &id, 1, vec![1; 100]).await;
    let second = part(&client, "k", &id, 2, vec![2; 100]).await;
    let complete = |parts: &[CompletedPart]| {
        let complete = client.complete_multipart_upload().bucket("state").key("k");
        complete.upload_id(&id).multipart_upload(all(parts)).send()
    };
    let small = complete(&[first.clone(), second.clone()]).await;
    assert_eq!(failed(small), is(400, "EntityTooSmall"));
    let order = complete(&[second.clone(), first.clone()]).await;
    assert_eq!(failed(order), is(400, "InvalidPartOrder"));
    let wrong = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(second.e_tag.clone())
        .build();
    assert_eq!(failed(complete(&[wrong]).await), is(400, "InvalidPart"));
    complete(&[second]).await.unwrap();
    assert_eq!(get(&client, "state", "k").await, [2; 100]);
    assert_eq!(failed(complete(&[first]).await), is(404, "NoSuchUpload"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_be_completed_on_a_condition() {
    let world = World::start().await;
    let client = world.platform();
    let id = begin(&client, "k").await;
    let first = part(&client, "k", &id, 1, b"in parts".to_vec()).await;
    let etag = put(&client, "state", "k", b"whole").await;
    let complete = || {
        let complete = client.complete_multipart_upload().bucket("state").key("k");
        complete
            .upload_id(&id)
            .multipart_upload(all(std::slice::from_ref(&first)))
    };
    assert_eq!(
        failed(complete().if_none_match("*").send().await),
        is(412, "PreconditionFailed")
    );
    assert_eq!(
        failed(complete().if_match("\"0\"").send().await),
        is(412, "PreconditionFailed")
    );
    assert_eq!(get(&client, "state", "k").await, b"whole");
    complete().if_match(etag).send().await.unwrap();
    assert_eq!(get(&client, "state", "k").await, b"in parts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_is_gone() {
    let world = World::start().await;
    let client = world.platform();
    let id = begin(&client, "k").await;
    part(&client, "k", &id, 1, b"x".to_vec()).await;
    let abort = |key: &str, id: &str| {
        client
            .abort_multipart_upload()
            .bucket("state")
            .key(key)
            .upload_id(id)
            .send()
    };
    assert_eq!(failed(abort("other", &id).await), is(404, "NoSuchUpload"));
    assert_eq!(
        failed(abort("k", "../s3-uploads").await),
        is(404, "NoSuchUpload")
    );
    abort("k", &id).await.unwrap();
    assert_eq!(failed(abort("k", &id).await), is(404, "NoSuchUpload"));
    let late = client
        .upload_part()
        .bucket("state")
        .key("k")
        .upload_id(&id)
        .part_number(2);
    assert_eq!(failed(late.send().await), is(404, "NoSuchUpload"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checksums_of_parts_make_one_of_the_whole() {
    let world = World::start().await;
    let client = world.platform();
    let begin = client.create_multipart_upload().bucket("state").key("k");
    let begin = begin
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
    let id = begin.upload_id.unwrap();
    let part = client
        .upload_part()
        .bucket("state")
        .key("k")
        .upload_id(&id)
        .part_number(1);
    let part = part.checksum_algorithm(ChecksumAlgorithm::Sha256);
    let sent = part
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    let named = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(sent.e_tag)
        .set_checksum_sha256(sent.checksum_sha256)
        .build();
    let complete = client
        .complete_multipart_upload()
        .bucket("state")
        .key("k")
        .upload_id(&id);
    let done = complete
        .multipart_upload(all(&[named]))
        .send()
        .await
        .unwrap();
    // SHA-256 of the SHA-256 of "x", in base 64, and the number of parts.
    let twice = Sha256::checksum(&Sha256::checksum(b"x"));
    let expected = format!("{}-1", STANDARD.encode(twice));
    assert_eq!(done.checksum_sha256(), Some(expected.as_str()));
}

//! Objects on their way into a bucket: whole, and in parts.

use bytes::Bytes;
use sealift_aws::exports::upload::PART_BYTES;
use sealift_core::ports::{StoreError, Upload};
use sealift_tests::responder::{Received, Reply};

use crate::scene::*;

fn zeros(bytes: usize) -> Bytes {
    Bytes::from(vec![0; bytes])
}

/// The texts of the elements of a name, in order.
fn texts(xml: &[u8], name: &str) -> Vec<String> {
    let xml = String::from_utf8_lossy(xml).replace("&quot;", "\"");
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let elements = xml.split(&start).skip(1);
    elements
        .map(|rest| rest.split(&end).next().unwrap_or_default().to_owned())
        .collect()
}

fn assert_plain(request: &Received) {
    for absent in [
        "content-encoding",
        "x-amz-trailer",
        "x-amz-acl",
        "x-amz-server-side-encryption",
        "x-amz-storage-class",
    ] {
        assert_eq!(request.header(absent), "", "{absent}");
    }
}

#[tokio::test]
async fn a_small_object_is_one_request_that_says_what_it_is_and_has_it_verified() {
    let scene = Scene::new(well).await;
    let mut upload = scene.begin().await;
    upload.write(Bytes::from_static(b"12345")).await.unwrap();
    upload.write(Bytes::from_static(b"6789")).await.unwrap();
    assert_eq!(upload.held(), 9);
    upload.complete().await.unwrap();
    assert_eq!(scene.story()[3..], ["put"]);
    let put = scene.aws.received().pop().unwrap();
    assert_eq!(
        put.path.split('?').next(),
        Some("/acme-export/bt/spans/2023-07-10/part-0001.parquet")
    );
    assert_eq!(put.body, b"123456789");
    assert_eq!(put.header("content-type"), "application/vnd.apache.parquet");
    assert_eq!(put.header("content-length"), "9");
    assert_eq!(put.header("x-amz-expected-bucket-owner"), "333333333333");
    // The published check value of CRC-64/NVME, 0xae8b14860a799888, in Base64.
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), "rosUhgp5mIg=");
    assert_plain(&put);
}

#[tokio::test]
async fn an_empty_object_and_one_that_fills_a_part_are_one_request_each() {
    let scene = Scene::new(well).await;
    scene.begin().await.complete().await.unwrap();
    scene.write(zeros(PART_BYTES)).await.unwrap();
    assert_eq!(scene.story()[3..], ["put", "put"]);
    let lengths: Vec<usize> = scene.all("put").iter().map(|put| put.body.len()).collect();
    assert_eq!(lengths, [0, PART_BYTES]);
}

#[tokio::test]
async fn a_large_object_goes_in_parts_that_are_joined_in_their_order() {
    let scene = Scene::new(well).await;
    let mut upload = scene.begin().await;
    upload.write(zeros(PART_BYTES)).await.unwrap();
    assert_eq!(scene.story().len(), 3, "it may still be the whole object");
    upload.write(Bytes::from_static(b"a")).await.unwrap();
    upload.write(zeros(2 * PART_BYTES)).await.unwrap();
    assert!(upload.held() <= 3 * PART_BYTES, "{}", upload.held());
    upload.complete().await.unwrap();

    let create = scene.all("create").pop().unwrap();
    assert_eq!(
        create.header("content-type"),
        "application/vnd.apache.parquet"
    );
    assert_eq!(create.header("x-amz-checksum-algorithm"), "CRC64NVME");
    assert_plain(&create);

    let parts = ["part 1", "part 2", "part 3", "part 4"].map(|step| {
        let mut requests = scene.all(step);
        assert_eq!(requests.len(), 1, "{step}");
        requests.remove(0)
    });
    let lengths = parts.each_ref().map(|part| part.body.len());
    assert_eq!(lengths, [PART_BYTES, PART_BYTES, PART_BYTES, 1]);
    assert_eq!((parts[1].body[0], &parts[3].body[..]), (b'a', &[0][..]));
    for part in &parts {
        assert!(part.path.contains("uploadId=UPLOAD-1"), "{}", part.path);
        assert_plain(part);
    }

    let join = scene.all("join").pop().unwrap();
    assert!(join.path.contains("uploadId=UPLOAD-1"), "{}", join.path);
    let size = (3 * PART_BYTES + 1).to_string();
    assert_eq!(join.header("x-amz-mp-object-size"), size);
    assert_eq!(texts(&join.body, "PartNumber"), ["1", "2", "3", "4"]);
    assert_eq!(
        texts(&join.body, "ETag"),
        [
            "\"of part 1\"",
            "\"of part 2\"",
            "\"of part 3\"",
            "\"of part 4\""
        ]
    );
    let sums = parts.map(|part| part.header("x-amz-checksum-crc64nvme").to_owned());
    assert!(sums.iter().all(|sum| !sum.is_empty()), "{sums:?}");
    assert_eq!(texts(&join.body, "ChecksumCRC64NVME"), sums);

    let received = scene.aws.received();
    for request in received.iter().skip(2) {
        let owner = request.header("x-amz-expected-bucket-owner");
        assert_eq!(owner, "333333333333", "{}", step(request));
    }
    assert_eq!(scene.story().last().map(String::as_str), Some("join"));
    assert!(scene.all("abort").is_empty());
}

#[tokio::test]
async fn a_part_that_fails_gives_the_upload_up_and_nothing_more_is_sent() {
    let scene = Scene::new(but("part 1", Reply::s3_error(403, "AccessDenied"))).await;
    let mut upload = scene.begin().await;
    let mut written = Ok(());
    for _ in 0..8 {
        written = upload.write(zeros(PART_BYTES)).await;
        if written.is_err() {
            break;
        }
    }
    let error = written.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "UploadPart"),
        "{error:?}"
    );
    let abort = scene.all("abort").pop().unwrap();
    assert!(abort.path.contains("uploadId=UPLOAD-1"), "{}", abort.path);
    assert_eq!(abort.header("x-amz-expected-bucket-owner"), "333333333333");
    assert_eq!(upload.held(), 0);

    let requests = scene.story().len();
    assert_eq!(upload.write(zeros(1)).await, Err(error.clone()));
    assert_eq!(upload.complete().await, Err(error));
    assert_eq!(scene.story().len(), requests);
    scene.open().await.unwrap();
    assert_eq!(scene.all("customer").len(), 2, "the way was dropped");
}

#[tokio::test]
async fn a_part_that_fails_at_the_end_gives_the_upload_up() {
    for (at, operation) in [
        ("part 1", "UploadPart"),
        ("part 2", "UploadPart"),
        ("join", "CompleteMultipartUpload"),
    ] {
        let scene = Scene::new(but(at, Reply::s3_error(503, "SlowDown"))).await;
        let error = scene.write(zeros(PART_BYTES + 1)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Transient(f) if f.operation == operation),
            "{at}: {error:?}"
        );
        assert_eq!(scene.all("abort").len(), 1, "{at}");
    }
}

#[tokio::test]
async fn an_upload_that_could_not_be_begun_needs_no_giving_up() {
    let scene = Scene::new(but("create", Reply::s3_error(403, "AccessDenied"))).await;
    let error = scene.write(zeros(PART_BYTES + 1)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(f) if f.operation == "CreateMultipartUpload"),
        "{error:?}"
    );
    assert_eq!(scene.story()[3..], ["create"]);
}

#[tokio::test]
async fn joining_may_fail_in_an_answer_that_began_well() {
    let reply = Reply::s3_error(200, "InternalError");
    let scene = Scene::new(but("join", reply)).await;
    let error = scene.write(zeros(PART_BYTES + 1)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Transient(f) if f.code == "InternalError"),
        "{error:?}"
    );
    assert_eq!(scene.story().last().map(String::as_str), Some("abort"));
}

#[tokio::test]
async fn an_upload_that_is_gone_asks_for_nothing_but_another_try() {
    let gone = Reply::s3_error(404, "NoSuchUpload");
    let scene = Scene::new(move |request, number| match step(request).as_str() {
        "join" | "abort" => gone.clone(),
        _ => well(request, number),
    })
    .await;
    let error = scene.write(zeros(PART_BYTES + 1)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Transient(f) if f.code == "NoSuchUpload"),
        "{error:?}"
    );
}

#[tokio::test]
async fn giving_up_removes_what_was_begun_and_else_asks_for_nothing() {
    let scene = Scene::new(well).await;
    let mut upload = scene.begin().await;
    upload.write(zeros(9)).await.unwrap();
    upload.abort().await;
    assert_eq!(scene.story().len(), 3);

    let mut upload = scene.begin().await;
    upload.write(zeros(2 * PART_BYTES + 1)).await.unwrap();
    upload.abort().await;
    assert_eq!(scene.all("abort").len(), 1);
    assert!(scene.all("join").is_empty() && scene.all("put").is_empty());
}

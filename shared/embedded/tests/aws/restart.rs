use aws_sdk_s3::primitives::ByteStream;
use sealift_embedded::StartError;
use sealift_embedded::iam::{Secret, User};

use crate::support::{
    CUSTOMER, World, account, credentials, failed, get, is, platform_credentials, put, role, s3,
    start_on, sts,
};

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_used_by_one_process_at_a_time() {
    let world = World::start().await;
    let second = start_on(world.folder.path()).await.map(drop).unwrap_err();
    assert!(matches!(second, StartError::InUse { .. }), "{second}");
    assert!(
        second.to_string().contains("is in use by another process"),
        "{second}"
    );
    world.aws.shutdown().await;
    start_on(world.folder.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_it_stops_it() {
    let world = World::start().await;
    let url = world.aws.endpoint_url();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    tokio::net::TcpStream::connect(&address).await.unwrap();
    drop(world);
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(&address).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_objects_roles_and_users_are_there_after_a_restart() {
    let world = World::start().await;
    let client = world.platform();
    let etag = client
        .put_object()
        .bucket("state")
        .key("a.json/k")
        .body(ByteStream::from_static(b"one"))
        .metadata("nonce", "1")
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    put(&client, "state", "a", b"two").await;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}]}"#;
    let tenant = role("arn:aws:iam::222222222222:role/r");
    world
        .aws
        .iam()
        .create_role(&tenant, trust, &[("all", ALL)])
        .unwrap();
    let user = User {
        name: "u".into(),
        account: account(CUSTOMER),
        access_key_id: "AKIAUSER".into(),
        secret_access_key: Secret::new("user-secret"),
        policy: ALL.into(),
    };
    world.aws.iam().create_user(user).unwrap();
    let registry = world.folder.path().join("iam/registry.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&registry).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    world.aws.shutdown().await;
    let (aws, _clock) = start_on(world.folder.path()).await.unwrap();
    let client = s3(&aws, platform_credentials());
    let got = client
        .get_object()
        .bucket("state")
        .key("a.json/k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.e_tag(), Some(etag.as_str()));
    assert_eq!(got.metadata().unwrap()["nonce"], "1");
    assert_eq!(
        got.last_modified().unwrap().to_string(),
        "2026-03-01T12:00:00Z"
    );
    let again = client
        .put_object()
        .bucket("state")
        .key("a")
        .if_none_match("*")
        .send()
        .await;
    assert_eq!(failed(again), is(412, "PreconditionFailed"));
    client
        .put_object()
        .bucket("state")
        .key("a.json/k")
        .if_match(&etag)
        .send()
        .await
        .unwrap();
    put(
        &s3(&aws, credentials("AKIAUSER", "user-secret", None)),
        "customer",
        "k",
        b"x",
    )
    .await;
    let assume = sts(&aws, platform_credentials())
        .assume_role()
        .role_arn(tenant.as_str());
    assume.role_session_name("t-1").send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_by_hand_is_told_as_it_is() {
    let world = World::start().await;
    let client = world.platform();
    let old = client
        .put_object()
        .bucket("state")
        .key("k")
        .metadata("nonce", "1");
    let old = old
        .body(ByteStream::from_static(b"old"))
        .send()
        .await
        .unwrap();
    std::fs::write(world.file("state", "k"), b"new").unwrap();
    let head = client
        .head_object()
        .bucket("state")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_ne!(head.e_tag(), old.e_tag());
    assert_eq!(head.e_tag(), Some("\"22af645d1859cb5ca6da0c484f1f37ea\""));
    assert!(
        head.metadata()
            .is_none_or(std::collections::HashMap::is_empty)
    );
    std::fs::remove_file(world.file("state", "k")).unwrap();
    let gone = client.get_object().bucket("state").key("k").send().await;
    assert_eq!(failed(gone), is(404, "NoSuchKey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_two_files_keeps_the_old_object_with_its_record() {
    let world = World::start().await;
    let client = world.platform();
    let put = |body: &'static [u8], nonce: &str| {
        let put = client
            .put_object()
            .bucket("state")
            .key("k")
            .metadata("nonce", nonce);
        put.body(ByteStream::from_static(body)).send()
    };
    put(b"old", "1").await.unwrap();
    let file = world.file("state", "k");
    let kept = world.folder.path().join("kept");
    // The old file with its times, as it lies there when the crash comes after the record was
    // written and before the new file was renamed.
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::copy(&file, &kept).unwrap();
    let kept_file = std::fs::File::options().write(true).open(&kept).unwrap();
    kept_file.set_modified(modified).unwrap();
    put(b"new", "2").await.unwrap();
    std::fs::rename(&kept, &file).unwrap();

    world.aws.shutdown().await;
    let (aws, _clock) = start_on(world.folder.path()).await.unwrap();
    let client = s3(&aws, platform_credentials());
    let got = client
        .get_object()
        .bucket("state")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(got.metadata().unwrap()["nonce"], "1");
    assert_eq!(got.e_tag(), Some("\"149603e6c03516362a8da23f624db945\""));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_folder_keeps_what_is_known_of_its_objects() {
    let world = World::start().await;
    let client = world.platform();
    let put = client
        .put_object()
        .bucket("state")
        .key("k")
        .metadata("nonce", "1");
    put.body(ByteStream::from_static(b"old"))
        .send()
        .await
        .unwrap();
    world.aws.shutdown().await;
    let file = world.folder.path().join("s3/state/k");
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    open.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    std::fs::write(world.folder.path().join("s3/state/by-hand"), b"x").unwrap();

    let (aws, _clock) = start_on(world.folder.path()).await.unwrap();
    let client = s3(&aws, platform_credentials());
    let head = client
        .head_object()
        .bucket("state")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(head.metadata().unwrap()["nonce"], "1");
    assert_eq!(get(&client, "state", "by-hand").await, b"x");
}

//! Endpoints that are looked at when they are saved.

use sealift_core::control::ControlError;
use serde_json::{Value, json};

use crate::scene::{Scene, acme, admin, by_keys, id, new};

const OUTSIDE: &str = "https://minio.example.com";

fn at(endpoint: &str, path_style: bool) -> Value {
    json!({"authentication": by_keys(), "endpoint": endpoint, "path_style": path_style})
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ControlError>) {
    match result {
        Err(ControlError::Invalid { field, reason }) => {
            assert_eq!(field, "endpoint");
            assert!(reason.contains("public internet"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

fn create(scene: &Scene, body: Value) -> Result<(), ControlError> {
    let (who, acme) = (admin(&acme()), acme());
    let created = scene.service.create(&who, &acme, new(body));
    scene.run(created).map(|_| ())
}

#[test]
fn an_address_that_is_not_public_is_neither_saved_nor_told_anybody() {
    for inside in [
        "https://169.254.169.254",
        "https://127.0.0.1:9001",
        "https://10.0.0.1",
        "https://[::ffff:169.254.169.254]",
        "https://2130706433",
        "https://localhost",
        "https://metadata.google.internal",
        "https://minio.corp.local:22",
    ] {
        let scene = Scene::new();
        assert_refused(create(&scene, at(inside, true)));
        assert!(scene.configured().is_empty(), "{inside}");
        assert_eq!(scene.told(), [""; 0], "{inside}");
    }
}

#[test]
fn a_name_is_saved_only_if_all_its_addresses_are_public() {
    let verdict = |addresses: &[&str]| {
        let scene = Scene::new();
        scene.checks.name("minio.example.com", addresses);
        create(&scene, at(OUTSIDE, true))
    };
    verdict(&["8.8.8.8", "2600::1"]).unwrap();
    // It may get one; the check tells of it.
    verdict(&[]).unwrap();
    for inside in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:8.8.8.8",
        "fd00:ec2::254",
    ] {
        assert_refused(verdict(&[inside]));
        assert_refused(verdict(&["8.8.8.8", inside]));
    }
}

#[test]
fn where_the_bucket_is_part_of_the_host_that_host_is_looked_at() {
    let scene = Scene::new();
    scene.checks.name("minio.example.com", &["8.8.8.8"]);
    scene
        .checks
        .name("acme-audit.minio.example.com", &["10.0.0.1"]);
    assert_refused(create(&scene, at(OUTSIDE, false)));
    create(&scene, at(OUTSIDE, true)).unwrap();
}

#[test]
fn a_bucket_with_a_dot_stands_in_the_path_of_an_endpoint() {
    let dotted = |path_style: Option<bool>| {
        let mut body = at(OUTSIDE, true);
        body["bucket"] = json!("acme.audit");
        body["path_style"] = json!(path_style);
        body
    };
    let scene = Scene::new();
    scene.create(dotted(None));
    assert!(scene.get().unwrap().path_style);
    for refused in [
        create(&Scene::new(), dotted(Some(false))),
        scene.update(json!({"path_style": false})).map(|_| ()),
    ] {
        match refused {
            Err(ControlError::Invalid { field, reason }) => {
                assert_eq!(field, "path_style");
                assert!(reason.contains("must be `true`"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    // At AWS the SDK does what such a bucket needs.
    Scene::new().create(json!({"bucket": "acme.audit", "path_style": false}));
    // Another bucket, with the style that was chosen for the first.
    let scene = Scene::new();
    scene.create(at(OUTSIDE, false));
    assert!(scene.update(json!({"bucket": "acme.audit"})).is_err());
}

#[test]
fn what_a_check_finds_out_of_the_path_style_is_kept_and_is_no_change_of_the_connection() {
    let scene = Scene::new();
    scene.create(at(OUTSIDE, false));
    scene.finds_path_style(true);
    scene.check();
    let view = scene.get().unwrap();
    assert!(view.path_style && view.last_check.unwrap().current);
    assert!(scene.configured()[&id("main")].location.path_style);
    assert_eq!(scene.told(), ["destination.created", "destination.updated"]);
    // The check was of this very connection, so that it may start.
    scene.start().unwrap();
    scene.assert_settled();
    // Where events flow, a changed connection is checked first, and saved as it works.
    scene.finds_path_style(false);
    scene
        .update(json!({"endpoint": "https://minio.example.org"}))
        .unwrap();
    let view = scene.get().unwrap();
    assert!(!view.path_style && view.last_check.unwrap().current);
    scene.assert_settled();
}

#[test]
fn a_bucket_whose_name_would_change_the_host_is_no_bucket() {
    for bucket in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "acme@evil",
        "acme/..",
        "acme:9000",
        "acme?x",
        "acme#x",
        "a..b",
        "-acme",
        "acme.",
        "acme%2e",
        "ACME",
        "acme_audit",
        "acme\\x",
        "acme audit",
        "",
    ] {
        let scene = Scene::new();
        let mut body = at(OUTSIDE, false);
        body["bucket"] = json!(bucket);
        match create(&scene, body) {
            Err(ControlError::Invalid { field, .. }) => assert_eq!(field, "bucket", "{bucket}"),
            other => panic!("{bucket}: {other:?}"),
        }
    }
}

#[test]
fn an_update_is_looked_at_as_a_creation_is() {
    let scene = Scene::new();
    scene.create(at(OUTSIDE, true));
    assert_refused(scene.update(json!({"endpoint": "https://192.168.0.1"})));
    scene.checks.name("other.example.com", &["172.16.0.1"]);
    assert_refused(scene.update(json!({"endpoint": "https://other.example.com"})));
    let view = scene.get().unwrap();
    assert_eq!(view.endpoint.as_deref(), Some(OUTSIDE));
    assert_eq!(scene.told(), ["destination.created"]);
}

#[test]
fn a_host_that_the_operator_has_listed_may_have_a_private_address_and_no_other() {
    let listed = "https://minio.corp.local:9000";
    let verdict = |address: &str| {
        let scene = Scene::new();
        scene.checks.name("minio.corp.local", &[address]);
        create(&scene, at(listed, true))
    };
    verdict("10.0.0.1").unwrap();
    verdict("8.8.8.8").unwrap();
    assert_refused(verdict("169.254.169.254"));
    assert_refused(verdict("127.0.0.1"));
}

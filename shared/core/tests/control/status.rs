//! The status: an empty stream told apart from a broken one.

use std::time::Duration;

use sealift_core::check::Verdict;
use sealift_core::control::{Activity, Fault, State, StatusView};
use sealift_core::delivery::{LeftCursor, ShardCursor};
use sealift_core::destination::shard_of;
use sealift_core::ports::{Metadata, ObjectStore};
use serde_json::{Value, json};

use crate::scene::{SHARDS, Scene, acme, main_id, reader};

fn status(scene: &Scene) -> StatusView {
    scene
        .run(scene.service.status(&reader(&acme()), &acme(), &main_id()))
        .unwrap()
}

fn put(scene: &Scene, log: bool, key: &str, text: &str) {
    let store = if log { &scene.log } else { &scene.store };
    let key = key.parse().unwrap();
    let bytes = text.to_owned().into();
    scene
        .run(store.create(&key, bytes, Metadata::new()))
        .unwrap();
}

fn log_head(scene: &Scene) {
    let head = json!({"format": "sealift.log-head/1", "revision": 1, "body":
        {"epoch": "e1", "start": 1, "floor": 1, "updated_ms": 0}});
    put(scene, true, "head.json", &head.to_string());
}

fn shard() -> u16 {
    shard_of(&acme(), SHARDS)
}

/// The shard's cursor, with the destination riding on it or left behind.
fn cursor(scene: &Scene, left: Option<Value>) {
    let created_ms = scene.configured()[&main_id()].created_ms;
    let position = json!({"epoch": "e1", "next": 1});
    let counts = json!({"delivered": 0, "left_out": 0, "duplicates": 0, "altered": 0, "raw_bytes": 0,
        "objects": 0, "object_bytes": 0});
    let member = json!({"organization": "acme", "created_ms": created_ms, "since_ms": 0,
        "progress": {"counts": counts}});
    let mut body = json!({"shards": SHARDS, "position": position, "appended_ms": 0, "flushed_ms": 0,
        "members": {}, "left": {}, "generation": 1});
    match left {
        None => body["members"]["main"] = member,
        Some(failure) => {
            let begin = json!({"organization": "acme", "created_ms": created_ms, "position": position,
                "since_ms": 0, "progress": {"counts": counts}, "attempts": 3, "not_before_ms": 1_900_000_000_000_i64,
                "failure": failure});
            body["left"]["main"] =
                json!({"generation": 1, "reason": "failed", "left_ms": 0, "begin": begin});
            let place = LeftCursor::place(shard(), &main_id(), 1);
            let own = json!({"format": "sealift.left-cursor/1", "revision": 1, "body": begin});
            put(scene, false, place.key().as_str(), &own.to_string());
        }
    }
    let place = ShardCursor::place(shard());
    let document = json!({"format": "sealift.shard-cursor/1", "revision": 1, "body": body});
    put(scene, false, place.key().as_str(), &document.to_string());
}

#[test]
fn one_that_was_never_started_says_so() {
    let scene = Scene::new();
    scene.create(json!({}));
    let status = status(&scene);
    assert_eq!(
        (status.state, status.activity),
        (State::NeverStarted, Activity::None)
    );
    assert!(
        status.summary.contains("never started"),
        "{}",
        status.summary
    );
}

#[test]
fn a_stream_that_works_and_has_had_nothing_is_not_a_broken_one() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    log_head(&scene);
    cursor(&scene, None);
    let status = status(&scene);
    assert_eq!(
        (status.state, status.activity),
        (State::Streaming, Activity::NothingYet)
    );
    assert_eq!((status.issue, status.events_seen), (None, 0));
    assert!(
        status.summary.starts_with("It works, and no event"),
        "{}",
        status.summary
    );
    assert!(status.last_check.unwrap().current);
}

#[test]
fn a_broken_stream_names_the_fault_in_the_services_words_and_the_way_out() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    log_head(&scene);
    let failure = json!({"operation": "PutObject", "target": "s3://acme-audit/k", "code": "AccessDenied",
        "message": "Access Denied", "request_id": "REQ-1"});
    cursor(&scene, Some(failure));
    let status = status(&scene);
    assert_eq!(
        (status.state, status.activity),
        (State::Failing, Activity::Stuck)
    );
    let issue = status.issue.unwrap();
    assert_eq!(
        (issue.code.as_str(), issue.fault, issue.attempts),
        ("AccessDenied", Fault::Customer, 3)
    );
    assert_eq!(issue.request_id, "REQ-1");
    assert!(issue.advice.contains("s3:PutObject"), "{}", issue.advice);
    assert!(
        status.summary.contains("s3:PutObject"),
        "{}",
        status.summary
    );
    assert!(issue.next_try.is_some());
}

#[test]
fn events_that_wait_while_nothing_fails_are_the_operators_affair() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    log_head(&scene);
    // Appended, and not taken up: deliveries do not run.
    put(&scene, true, "log/00000000000000000001.seg", "a segment");
    scene.advance(Duration::from_secs(5 * 60));
    assert_eq!(status(&scene).state, State::Streaming);
    cursor(&scene, None);
    scene.advance(Duration::from_secs(6 * 60));
    let status = status(&scene);
    assert_eq!(status.state, State::Failing, "{status:?}");
    let issue = status.issue.unwrap();
    assert_eq!(
        (issue.code.as_str(), issue.fault),
        ("Overdue", Fault::Operator)
    );
    assert!(issue.advice.contains("audit-delivery"));
}

#[test]
fn paused_and_unsafe_are_told_before_anything_else() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    scene.pause();
    assert_eq!(status(&scene).state, State::Paused);
    scene.start().unwrap();
    scene.answers(&[Verdict::Unsafe]);
    scene.check();
    let status = status(&scene);
    assert_eq!(status.state, State::Unsafe);
    assert!(
        status.held.is_some() && status.summary.contains("trust policy"),
        "{}",
        status.summary
    );
}

//! Starting, pausing, and being held.

use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::check::Verdict;
use sealift_core::control::{Caller, ControlError, DestinationView, StartRequest};
use sealift_core::destination::Status;
use serde_json::json;

use crate::scene::{Scene, acme, admin, from, id, main_id, operator};

const DAY: Duration = Duration::from_hours(24);

fn start_with(
    scene: &Scene,
    caller: &Caller,
    body: serde_json::Value,
) -> Result<DestinationView, ControlError> {
    let asked: StartRequest = from(body);
    scene.run(scene.service.start(caller, &acme(), &main_id(), asked))
}

fn start_ms(scene: &Scene) -> Option<i64> {
    scene.configured()[&id("main")].start_ms
}

#[test]
fn the_first_start_is_where_events_begin_and_later_ones_go_on() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.check();
    scene.advance(Duration::from_secs(60));
    let now_ms = scene.clock.now().as_millisecond();
    assert_eq!(scene.start().unwrap().status, "streaming");
    assert_eq!(start_ms(&scene), Some(now_ms));
    scene.advance(Duration::from_secs(600));
    assert_eq!(scene.pause().status, "paused");
    scene.advance(Duration::from_secs(600));
    scene.start().unwrap();
    assert_eq!(start_ms(&scene), Some(now_ms), "only pauses are buffered");
    assert_eq!(
        scene.told(),
        [
            "destination.created",
            "destination.started",
            "destination.paused",
            "destination.started"
        ]
    );
    let entry = scene.entry("destination.paused");
    assert_eq!(entry["before_changes"], json!({"status": "streaming"}));
    assert_eq!(entry["after_changes"], json!({"status": "paused"}));
}

#[test]
fn starting_what_streams_and_pausing_what_is_paused_changes_nothing() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let told = scene.told();
    scene.start().unwrap();
    assert_eq!(scene.told(), told);
    scene.pause();
    let told = scene.told();
    scene.pause();
    assert_eq!(scene.told(), told);
}

#[test]
fn a_first_start_may_lie_in_the_past_as_far_as_events_are_kept() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.check();
    let admin = admin(&acme());
    let at = |days: u64| (scene.clock.now() - DAY * u32::try_from(days).unwrap()).to_string();
    let late = (scene.clock.now() + Duration::from_secs(1)).to_string();
    for (start_at, words) in [
        (at(31), "30 days"),
        (late, "future"),
        ("soon".to_owned(), "zone"),
    ] {
        let refused = start_with(&scene, &admin, json!({"start_at": start_at})).unwrap_err();
        assert!(
            matches!(&refused, ControlError::Invalid { field: "start_at", reason } if reason.contains(words)),
            "{refused:?}"
        );
    }
    let asked = at(29);
    let view = start_with(&scene, &admin, json!({"start_at": asked})).unwrap();
    let asked: Timestamp = asked.parse().unwrap();
    assert_eq!(start_ms(&scene), Some(asked.as_millisecond()));
    assert!(view.started.is_some());
    let again = start_with(&scene, &admin, json!({"start_at": at(3)})).unwrap_err();
    assert!(
        matches!(&again, ControlError::Invalid { field: "start_at", reason } if reason.contains("replay")),
        "{again:?}"
    );
}

#[test]
fn a_start_needs_a_healthy_check_of_the_connection_that_is_not_older_than_a_day() {
    let scene = Scene::new();
    scene.create(json!({}));
    let refused = |words: &str| {
        let error = scene.start().unwrap_err();
        assert!(
            matches!(&error, ControlError::NotHealthy { reason, .. } if reason.contains(words)),
            "{words}: {error:?}"
        );
        assert_eq!(scene.configured()[&id("main")].status, Status::Paused);
    };
    refused("never checked");
    for (verdict, words) in [
        (Verdict::Failing, "did not find it healthy"),
        (Verdict::Unknown, "did not find it healthy"),
        (Verdict::Unsafe, "lets in others"),
    ] {
        scene.answers(&[verdict]);
        scene.check();
        refused(words);
    }
    scene.check();
    scene.advance(DAY + Duration::from_secs(1));
    refused("older than a day");
    scene.check();
    scene.advance(Duration::from_secs(24 * 3600 - 60));
    // One that could not tell takes nothing back.
    scene.answers(&[Verdict::Unknown]);
    scene.check();
    scene.start().unwrap();
}

#[test]
fn an_operator_may_start_without_a_check_and_it_is_told_but_never_what_is_unsafe() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.answers(&[Verdict::Failing]);
    scene.check();
    let body = json!({"override_check": true, "reason": "the bucket comes tomorrow"});
    let refused = start_with(&scene, &admin(&acme()), body.clone()).unwrap_err();
    assert!(
        matches!(refused, ControlError::Forbidden { .. }),
        "{refused:?}"
    );
    start_with(&scene, &operator(), body.clone()).unwrap();
    let entry = scene.entry("destination.check_overridden");
    assert_eq!(
        entry["event_details"]["reason"],
        "the bucket comes tomorrow"
    );
    assert_eq!(entry["event_details"]["last_check"]["verdict"], "failing");
    assert!(scene.told().contains(&"destination.started".to_owned()));

    scene.pause();
    scene.answers(&[Verdict::Unsafe]);
    scene.check();
    let refused = start_with(&scene, &operator(), body.clone()).unwrap_err();
    assert!(
        matches!(refused, ControlError::NotHealthy { .. }),
        "{refused:?}"
    );
    // One that could not tell does not unlock it.
    scene.answers(&[Verdict::Unknown]);
    scene.check();
    let refused = start_with(&scene, &operator(), body).unwrap_err();
    assert!(
        matches!(refused, ControlError::NotHealthy { .. }),
        "{refused:?}"
    );
}

#[test]
fn one_that_is_found_unsafe_is_held_until_a_new_check_finds_it_healthy() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    scene.advance(Duration::from_secs(10));
    scene.answers(&[Verdict::Unsafe]);
    assert_eq!(scene.check(), Verdict::Unsafe);
    let view = scene.get().unwrap();
    assert_eq!(view.status, "unsafe");
    assert!(view.held.unwrap().message.contains("trust policy"));
    assert!(!scene.configured()[&id("main")].flows());
    let entry = scene.entry("destination.turned_unsafe");
    assert_eq!(entry["before_changes"], json!({"verdict": "healthy"}));
    assert_eq!(entry["after_changes"], json!({"verdict": "unsafe"}));

    for caller in [admin(&acme()), operator()] {
        let refused = start_with(&scene, &caller, json!({"override_check": true})).unwrap_err();
        assert!(
            matches!(refused, ControlError::NotHealthy { .. }),
            "{refused:?}"
        );
    }
    // An owner's pause in between lets nothing slip.
    scene.pause();
    assert!(matches!(
        scene.start(),
        Err(ControlError::NotHealthy { .. })
    ));
    scene.advance(Duration::from_secs(10));
    scene.check();
    let view = scene.start().unwrap();
    assert_eq!((view.status, view.held), ("streaming", None));
    scene.assert_settled();
}

#[test]
fn a_failing_check_does_not_stop_a_stream_and_is_told_once() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    scene.answers(&[Verdict::Failing, Verdict::Failing]);
    scene.check();
    scene.check();
    assert_eq!(scene.get().unwrap().status, "streaming");
    let failed = scene.told();
    assert_eq!(
        failed
            .iter()
            .filter(|told| *told == "destination.check_failed")
            .count(),
        1
    );
}

#[test]
fn a_check_whose_connection_changed_meanwhile_is_not_remembered() {
    let scene = Scene::new();
    scene.create(json!({}));
    let service = &scene.service;
    let (caller, org, id) = (admin(&acme()), acme(), main_id());
    let checked = scene.run(async {
        let update = from(json!({"bucket": "another-bucket"}));
        let (checked, updated) = futures_util::future::join(
            Box::pin(service.check(&caller, &org, &id)),
            Box::pin(service.update(&caller, &org, &id, update)),
        )
        .await;
        updated.unwrap();
        checked.unwrap()
    });
    assert!(!checked.current);
    assert_eq!(scene.get().unwrap().last_check, None);
}

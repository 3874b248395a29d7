//! Replays.

use sealift_core::control::{ControlError, ReplayRequest, ReplayView};
use sealift_core::delivery::replay::{Replay, ReplayState};
use sealift_core::destination::shard_of;
use sealift_core::id::ReplayId;
use serde_json::json;

use crate::scene::{SHARDS, Scene, acme, admin, id, main_id};

fn ask(scene: &Scene, from: &str, to: &str) -> Result<ReplayView, ControlError> {
    let asked = ReplayRequest {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    scene.run(
        scene
            .service
            .replay(&admin(&acme()), &acme(), &main_id(), asked),
    )
}

fn ask_well(scene: &Scene) -> ReplayView {
    ask(scene, "2025-11-20T08:00:00Z", "2025-11-20T10:00:00Z").unwrap()
}

fn cancel(scene: &Scene, replay: &str) -> Result<ReplayView, ControlError> {
    scene.run(
        scene
            .service
            .cancel_replay(&admin(&acme()), &acme(), &main_id(), replay),
    )
}

fn running(scene: &Scene) -> Vec<ReplayId> {
    scene.configured()[&id("main")].replays.clone()
}

/// Ends a replay as delivery does.
fn end(scene: &Scene, replay: &ReplayId) {
    let place = Replay::place(shard_of(&acme(), SHARDS), &main_id(), replay);
    let entropy = sealift_testkit::SeededEntropy::new(99);
    let ended = place.update(&scene.store, &entropy, |there| {
        Some(there?.ended(ReplayState::Done, 1))
    });
    scene.run(ended).unwrap().unwrap();
}

#[test]
fn a_replay_is_written_and_named_and_told() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let view = ask_well(&scene);
    assert_eq!(view.state, "waiting");
    assert_eq!(view.prefix, format!("audit-events/_replays/{}/", view.id));
    assert_eq!(running(&scene), std::slice::from_ref(&view.id));
    let key = Replay::place(shard_of(&acme(), SHARDS), &main_id(), &view.id);
    assert!(scene.document(key.key().as_str()).is_some());
    let entry = scene.entry("destination.replay_begun");
    assert_eq!(
        entry["after_changes"]["replay"]["replay_id"],
        view.id.as_str()
    );
    scene.assert_settled();
}

#[test]
fn what_cannot_be_replayed_is_refused_by_field() {
    let scene = Scene::new();
    scene.create(json!({}));
    assert!(matches!(
        ask(&scene, "2025-11-20T08:00:00Z", "2025-11-20T10:00:00Z"),
        Err(ControlError::Conflict { .. })
    ));
    scene.check();
    scene.start().unwrap();
    for (from, to, field) in [
        ("2025-11-20T08:00:00Z", "2025-11-20T08:00:00Z", "from"),
        ("2025-10-01T08:00:00Z", "2025-11-20T08:00:00Z", "from"),
        ("yesterday", "2025-11-20T08:00:00Z", "from"),
        ("2025-11-20T08:00:00Z", "2025-11-20", "to"),
    ] {
        let refused = ask(&scene, from, to).unwrap_err();
        assert!(
            matches!(&refused, ControlError::Invalid { field: named, .. } if *named == field),
            "{refused:?}"
        );
    }
    assert!(running(&scene).is_empty());
}

#[test]
fn a_cancelled_replay_leaves_the_list_and_cancelling_again_changes_nothing() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let replay = ask_well(&scene);
    assert_eq!(
        cancel(&scene, replay.id.as_str()).unwrap().state,
        "cancelled"
    );
    assert!(running(&scene).is_empty());
    let told = scene.told();
    assert_eq!(told.last().unwrap(), "destination.replay_cancelled");
    assert_eq!(
        cancel(&scene, replay.id.as_str()).unwrap().state,
        "cancelled"
    );
    assert_eq!(scene.told(), told);
    assert!(matches!(
        cancel(&scene, "nothing"),
        Err(ControlError::NotFound { .. })
    ));
    scene.assert_settled();
}

#[test]
fn four_at_once_are_the_most_and_those_that_are_over_do_not_count() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let replays: Vec<ReplayView> = (0..4).map(|_| ask_well(&scene)).collect();
    let refused = ask(&scene, "2025-11-20T08:00:00Z", "2025-11-20T10:00:00Z");
    assert!(
        matches!(refused, Err(ControlError::Conflict { .. })),
        "{refused:?}"
    );
    end(&scene, &replays[1].id);
    let fifth = ask_well(&scene);
    assert_eq!(running(&scene).len(), 4);
    assert!(!running(&scene).contains(&replays[1].id));
    end(&scene, &fifth.id);
    assert_eq!(scene.sweep().replays_ended, 1);
    assert_eq!(running(&scene).len(), 3);
    let views = scene
        .run(scene.service.replays(&admin(&acme()), &acme(), &main_id()))
        .unwrap();
    let states: Vec<&str> = views.iter().map(|view| view.state).collect();
    assert_eq!(states, ["done", "waiting", "waiting", "done", "waiting"]);
}

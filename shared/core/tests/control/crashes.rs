//! A crash, a failure and a lost reply at every step of what changes several places.

use std::time::Duration;

use sealift_core::check::Verdict;
use sealift_core::control::{ControlError, Round};
use sealift_core::delivery::replay::Replay;
use sealift_core::destination::{Credentials, shard_of};
use sealift_testkit::scripted::Turn;
use serde_json::{Value, json};

use crate::scene::{
    SECOND_SECRET, SECRET, SHARDS, Scene, acme, admin, by_keys, by_role, by_second_keys, from, id,
    main_id, new,
};

const TURNS: [Turn; 7] = [
    Turn::KilledBefore,
    Turn::KilledAfter,
    Turn::Transient,
    Turn::LosesReply,
    Turn::RefusesOwn,
    Turn::Conflict,
    Turn::Denied,
];

type Outcome = Option<Result<(), ControlError>>;

/// Does an operation with something going wrong at each of its calls in turn, then either
/// repeats it or has the sweep come by. `done` tells whether it is done in the end.
fn everywhere(
    name: &str,
    prepare: impl Fn(&Scene),
    operate: impl Fn(&Scene) -> Outcome,
    done: impl Fn(&Scene) -> bool,
    event_type: &str,
) {
    for turn in TURNS {
        for repeats in [true, false] {
            let mut nth = 0;
            loop {
                let scene = Scene::new();
                prepare(&scene);
                let calls = scene.script.calls().len();
                let told = count(&scene, event_type);
                scene.interrupt(nth, turn);
                let outcome = operate(&scene);
                if scene.script.calls().len() - calls <= nth {
                    assert!(matches!(outcome, Some(Ok(()))), "{name}: {outcome:?}");
                    break;
                }
                scene.watch();
                scene.let_go();
                let case = format!("{name}, {turn:?} at call {nth}, repeats: {repeats}");
                if repeats {
                    match operate(&scene) {
                        Some(Ok(())) => {}
                        // It had come through.
                        Some(Err(ControlError::NotFound { .. } | ControlError::Taken { .. })) => {
                            assert!(done(&scene), "{case}");
                        }
                        other => panic!("{case}: {other:?}"),
                    }
                    assert!(done(&scene), "{case}");
                }
                let swept = scene.sweep();
                assert!(swept.failed.is_empty(), "{case}: {swept:?}");
                scene.assert_settled();
                let told = count(&scene, event_type) - told;
                if done(&scene) {
                    assert!(told >= 1, "{case}: it is done, and nobody was told");
                } else {
                    assert_eq!(told, 0, "{case}: it was told, and is not done");
                }
                nth += 1;
            }
            assert!(nth > 5, "{name}: there are more calls than {nth}");
        }
    }
}

fn count(scene: &Scene, event_type: &str) -> usize {
    scene
        .told()
        .iter()
        .filter(|told| *told == event_type)
        .count()
}

fn create(scene: &Scene, fields: &Value) -> Outcome {
    let (caller, org) = (admin(&acme()), acme());
    let created = scene.service.create(&caller, &org, new(fields.clone()));
    scene.try_run(created).map(|created| created.map(|_| ()))
}

fn update(scene: &Scene, body: &Value) -> Outcome {
    let (caller, org, id) = (admin(&acme()), acme(), main_id());
    let updated = scene.service.update(&caller, &org, &id, from(body.clone()));
    scene.try_run(updated).map(|updated| updated.map(|_| ()))
}

fn remove(scene: &Scene) -> Outcome {
    let (caller, org, id) = (admin(&acme()), acme(), main_id());
    scene.try_run(scene.service.remove(&caller, &org, &id))
}

fn exists(scene: &Scene) -> bool {
    scene.configured().contains_key(&id("main"))
}

fn has_role(scene: &Scene) -> bool {
    let configured = scene.configured();
    configured[&id("main")].credentials != Credentials::AccessKeys
}

#[test]
fn a_creation_with_a_role_heals() {
    let fields = json!({});
    everywhere(
        "create by role",
        |_| {},
        |scene| create(scene, &fields),
        exists,
        "destination.created",
    );
}

#[test]
fn a_creation_with_access_keys_heals_and_leaves_no_stray_keys() {
    let fields = json!({"authentication": by_keys()});
    everywhere(
        "create by keys",
        |_| {},
        |scene| create(scene, &fields),
        exists,
        "destination.created",
    );
}

#[test]
fn a_removal_heals() {
    for fields in [json!({}), json!({"authentication": by_keys()})] {
        everywhere(
            "remove",
            |scene| {
                scene.streaming(fields.clone());
            },
            remove,
            |scene| !exists(scene),
            "destination.deleted",
        );
    }
}

#[test]
fn a_switch_to_a_role_heals_and_a_role_never_has_keys_in_the_vault() {
    let body = json!({"authentication": by_role(), "prefix": "moved"});
    everywhere(
        "switch to a role",
        |scene| {
            scene.streaming(json!({"authentication": by_keys()}));
        },
        |scene| update(scene, &body),
        has_role,
        "destination.credentials_removed",
    );
}

#[test]
fn a_switch_to_access_keys_heals_and_a_role_never_has_keys_in_the_vault() {
    let body = json!({"authentication": by_keys(), "prefix": "moved"});
    everywhere(
        "switch to keys",
        |scene| {
            scene.streaming(json!({}));
        },
        |scene| update(scene, &body),
        |scene| !has_role(scene),
        "destination.credentials_replaced",
    );
}

#[test]
fn a_start_heals() {
    everywhere(
        "start",
        |scene| {
            scene.create(json!({}));
            scene.check();
        },
        |scene| {
            let (caller, org, id) = (admin(&acme()), acme(), main_id());
            let started = scene.service.start(&caller, &org, &id, from(json!({})));
            scene.try_run(started).map(|started| started.map(|_| ()))
        },
        |scene| scene.configured()[&id("main")].flows(),
        "destination.started",
    );
}

#[test]
fn a_pause_heals() {
    everywhere(
        "pause",
        |scene| {
            scene.streaming(json!({}));
        },
        |scene| {
            let (caller, org, id) = (admin(&acme()), acme(), main_id());
            let paused = scene.service.pause(&caller, &org, &id);
            scene.try_run(paused).map(|paused| paused.map(|_| ()))
        },
        |scene| !scene.configured()[&id("main")].flows(),
        "destination.paused",
    );
}

#[test]
fn a_move_heals_and_holds_one_prefix_in_the_end() {
    let body = json!({"prefix": "moved", "bucket": "another-bucket"});
    everywhere(
        "move",
        |scene| {
            scene.streaming(json!({}));
        },
        |scene| update(scene, &body),
        |scene| scene.configured()[&id("main")].location.prefix.as_str() == "moved/",
        "destination.updated",
    );
}

#[test]
fn a_hold_heals() {
    everywhere(
        "hold",
        |scene| {
            scene.streaming(json!({}));
            scene.always(Verdict::Unsafe);
        },
        |scene| {
            let (caller, org, id) = (admin(&acme()), acme(), main_id());
            let checked = scene.service.check(&caller, &org, &id);
            scene.try_run(checked).map(|checked| checked.map(|_| ()))
        },
        |scene| scene.configured()[&id("main")].held.is_some(),
        "destination.turned_unsafe",
    );
}

#[test]
fn a_replay_heals() {
    everywhere(
        "replay",
        |scene| {
            scene.streaming(json!({}));
        },
        |scene| {
            let (caller, org, id) = (admin(&acme()), acme(), main_id());
            let body = json!({"from": "2025-11-20T08:00:00Z", "to": "2025-11-20T10:00:00Z"});
            let asked = scene.service.replay(&caller, &org, &id, from(body));
            scene.try_run(asked).map(|asked| asked.map(|_| ()))
        },
        |scene| {
            let configured = scene.configured();
            let replays = &configured[&id("main")].replays;
            for replay in replays {
                let place = Replay::place(shard_of(&acme(), SHARDS), &main_id(), replay);
                assert!(scene.document(place.key().as_str()).is_some());
            }
            !replays.is_empty()
        },
        "destination.replay_begun",
    );
}

#[test]
fn a_sweep_that_is_cut_off_is_made_good_by_the_next() {
    for turn in TURNS {
        let mut nth = 0;
        loop {
            let scene = Scene::new();
            scene.streaming(json!({}));
            scene.advance(Duration::from_hours(24));
            scene.always(Verdict::Unsafe);
            let calls = scene.script.calls().len();
            scene.interrupt(nth, turn);
            let deadline = scene.clock.now() + Duration::from_secs(900);
            let round = Round::default();
            let swept = scene.try_run(scene.service.sweep(deadline, &round));
            if scene.script.calls().len() - calls <= nth {
                assert_eq!(swept.unwrap().unwrap().held, [id("main")]);
                break;
            }
            scene.watch();
            scene.sweep();
            scene.sweep();
            scene.assert_settled();
            assert!(
                scene.configured()[&id("main")].held.is_some(),
                "{turn:?} at call {nth}"
            );
            assert_eq!(
                count(&scene, "destination.turned_unsafe"),
                1,
                "{turn:?} at call {nth}"
            );
            nth += 1;
        }
    }
}

#[test]
fn replaced_keys_are_the_old_or_the_new_ones_and_whole() {
    let body = json!({"authentication": by_second_keys()});
    for turn in TURNS {
        let mut nth = 0;
        loop {
            let scene = Scene::new();
            scene.streaming(json!({"authentication": by_keys()}));
            let calls = scene.script.calls().len();
            scene.interrupt(nth, turn);
            update(&scene, &body);
            if scene.script.calls().len() - calls <= nth {
                break;
            }
            scene.watch();
            scene.let_go();
            scene.sweep();
            scene.assert_settled();
            let secret = scene.stored_secret().unwrap();
            assert!([SECRET, SECOND_SECRET].contains(&secret.as_str()));
            let told = count(&scene, "destination.credentials_replaced");
            if secret == SECOND_SECRET {
                assert!(
                    told >= 1,
                    "{turn:?} at call {nth}: they were replaced, and nobody was told"
                );
            }
            assert!(
                matches!(update(&scene, &body), Some(Ok(()))),
                "{turn:?} at call {nth}"
            );
            assert_eq!(scene.stored_secret().as_deref(), Some(SECOND_SECRET));
            scene.assert_settled();
            nth += 1;
        }
    }
}

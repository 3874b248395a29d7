//! Two changes of one destination at once.

use futures_util::future::join;
use sealift_core::control::ControlError;
use sealift_testkit::scripted::{Call, Turn};
use serde_json::json;

use crate::scene::{Scene, acme, admin, by_keys, from, id, main_id, new, org};

/// Both run at once; the first one is held up for a while at its n-th call.
fn race<A, B>(
    scene: &Scene,
    nth: usize,
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> (A, B) {
    let mut count = 0;
    scene.script.set(move |_: &Call| {
        count += 1;
        if count - 1 == nth {
            Turn::Late(40)
        } else {
            Turn::Late(1)
        }
    });
    let both = scene.run(join(one, other));
    scene.watch();
    both
}

#[test]
fn of_two_updates_at_once_both_are_done_one_after_the_other() {
    for nth in 0..24 {
        let scene = Scene::new();
        scene.create(json!({}));
        let (caller, org, id) = (admin(&acme()), acme(), main_id());
        let one = scene
            .service
            .update(&caller, &org, &id, from(json!({"prefix": "one"})));
        let other = scene
            .service
            .update(&caller, &org, &id, from(json!({"region": "us-east-1"})));
        let (one, other) = race(&scene, nth, one, other);
        assert!(one.is_ok() && other.is_ok(), "{nth}: {one:?} {other:?}");
        let view = scene.get().unwrap();
        assert_eq!(
            (view.prefix.as_str(), view.region.as_str()),
            ("one/", "us-east-1"),
            "{nth}"
        );
        assert_eq!(scene.told().len(), 3, "{nth}: {:?}", scene.told());
        scene.assert_settled();
    }
}

#[test]
fn a_start_and_a_pause_at_once_end_as_one_of_the_two_left_it() {
    for nth in 0..24 {
        let scene = Scene::new();
        scene.streaming(json!({}));
        let (caller, org, id) = (admin(&acme()), acme(), main_id());
        let pause = scene.service.pause(&caller, &org, &id);
        let start = scene.service.start(&caller, &org, &id, from(json!({})));
        let (pause, start) = race(&scene, nth, pause, start);
        assert!(pause.is_ok() && start.is_ok(), "{nth}: {pause:?} {start:?}");
        let told = scene.told();
        let status = scene.get().unwrap().status;
        match told.last().unwrap().as_str() {
            "destination.paused" => assert_eq!(status, "paused", "{nth}"),
            _ => assert_eq!(status, "streaming", "{nth}: {told:?}"),
        }
        scene.assert_settled();
    }
}

#[test]
fn of_two_creations_on_one_prefix_one_is_refused() {
    for nth in 0..24 {
        let scene = Scene::new();
        let (mine, theirs) = (acme(), org("other"));
        let (me, them) = (admin(&mine), admin(&theirs));
        let one = scene
            .service
            .create(&me, &mine, new(json!({"prefix": "audit"})));
        let body = new(json!({"id": "theirs", "prefix": "audit/below"}));
        let other = scene.service.create(&them, &theirs, body);
        let (one, other) = race(&scene, nth, one, other);
        assert_eq!(
            u8::from(one.is_ok()) + u8::from(other.is_ok()),
            1,
            "{nth}: {one:?} {other:?}"
        );
        assert_eq!(scene.configured().len(), 1, "{nth}");
        scene.assert_settled();
    }
}

#[test]
fn of_two_creations_of_one_id_by_two_organizations_one_is_refused() {
    for nth in 0..16 {
        let scene = Scene::new();
        let (mine, theirs) = (acme(), org("other"));
        let (me, them) = (admin(&mine), admin(&theirs));
        let one = scene
            .service
            .create(&me, &mine, new(json!({"authentication": by_keys()})));
        let body = new(json!({"bucket": "other-audit", "authentication": by_keys()}));
        let other = scene.service.create(&them, &theirs, body);
        let (one, other) = race(&scene, nth, one, other);
        assert_eq!(
            u8::from(one.is_ok()) + u8::from(other.is_ok()),
            1,
            "{nth}: {one:?} {other:?}"
        );
        assert_eq!(scene.configured().len(), 1, "{nth}");
        scene.assert_settled();
    }
}

#[test]
fn a_removal_and_an_update_at_once_leave_nothing_behind() {
    for nth in 0..32 {
        let scene = Scene::new();
        scene.streaming(json!({"authentication": by_keys()}));
        let (caller, org, id) = (admin(&acme()), acme(), main_id());
        let remove = scene.service.remove(&caller, &org, &id);
        let body = from(json!({"included_events": ["identity"]}));
        let update = scene.service.update(&caller, &org, &id, body);
        let (remove, update) = race(&scene, nth, remove, update);
        assert!(
            matches!(
                update,
                Ok(_) | Err(ControlError::NotFound { .. } | ControlError::Busy)
            ),
            "{nth}: {update:?}"
        );
        if remove.is_err() {
            scene.let_go();
            scene.remove().unwrap();
        }
        assert!(scene.configured().is_empty(), "{nth}");
        scene.assert_settled();
    }
}

#[test]
fn who_meets_a_change_of_keys_that_is_under_way_is_asked_to_wait() {
    let scene = Scene::new();
    scene.create(json!({}));
    // Killed when the keys are stored: nobody knows whether it is still at work.
    scene.script.first(
        sealift_testkit::scripted::Verb::PutKeys,
        "",
        [Turn::KilledAfter],
    );
    let (caller, org, id_) = (admin(&acme()), acme(), main_id());
    let body = from(json!({"authentication": by_keys()}));
    let update = scene.service.update(&caller, &org, &id_, body);
    assert!(scene.try_run(update).is_none());
    scene.watch();
    let busy = scene.update(json!({"prefix": "elsewhere"})).unwrap_err();
    assert_eq!(busy, ControlError::Busy);
    assert!(busy.may_pass());
    scene.let_go();
    // The keys are gone with who had them: it is as it was before.
    scene.update(json!({"prefix": "elsewhere"})).unwrap();
    assert!(scene.vault.names().is_empty());
    assert!(
        scene.configured()[&id("main")].credentials
            != sealift_core::destination::Credentials::AccessKeys
    );
    scene.assert_settled();
}

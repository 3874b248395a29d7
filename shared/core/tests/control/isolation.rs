//! Another organization's ids, and callers who may only look, on every operation.

use sealift_core::control::{Caller, ControlError, PageRequest, ReplayRequest, StartRequest};
use sealift_core::id::{DestinationId, OrgId};
use serde_json::json;

use crate::scene::{Scene, acme, admin, from, id, new, operator, org, reader};

/// What each operation answers.
fn all(
    scene: &Scene,
    caller: &Caller,
    organization: &OrgId,
    id: &DestinationId,
) -> Vec<(&'static str, Option<ControlError>)> {
    let service = &scene.service;
    let update = || from(json!({"prefix": "moved"}));
    let replay = || ReplayRequest {
        from: "2025-11-20T08:00:00Z".to_owned(),
        to: "2025-11-20T10:00:00Z".to_owned(),
    };
    let start = StartRequest::default;
    vec![
        (
            "get",
            scene.run(service.get(caller, organization, id)).err(),
        ),
        (
            "status",
            scene.run(service.status(caller, organization, id)).err(),
        ),
        (
            "replays",
            scene.run(service.replays(caller, organization, id)).err(),
        ),
        (
            "last_check",
            scene
                .run(service.last_check(caller, organization, id))
                .err(),
        ),
        (
            "update",
            scene
                .run(service.update(caller, organization, id, update()))
                .err(),
        ),
        (
            "check",
            scene.run(service.check(caller, organization, id)).err(),
        ),
        (
            "start",
            scene
                .run(service.start(caller, organization, id, start()))
                .err(),
        ),
        (
            "pause",
            scene.run(service.pause(caller, organization, id)).err(),
        ),
        (
            "replay",
            scene
                .run(service.replay(caller, organization, id, replay()))
                .err(),
        ),
        (
            "cancel",
            scene
                .run(service.cancel_replay(caller, organization, id, "ab"))
                .err(),
        ),
        (
            "remove",
            scene.run(service.remove(caller, organization, id)).err(),
        ),
    ]
}

#[test]
fn an_id_of_another_organization_is_answered_exactly_as_one_that_does_not_exist() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let (before, told) = (scene.configured(), scene.told());
    // Two that share acme's shard or not, and the operator with the wrong path.
    for name in ["other", "another", "third", "o4"] {
        let other = org(name);
        for caller in [admin(&other), operator()] {
            let theirs = all(&scene, &caller, &other, &id("main"));
            let missing = all(&scene, &caller, &other, &id("none"));
            for ((operation, theirs), (_, missing)) in theirs.into_iter().zip(missing) {
                let (theirs, missing) = (theirs.unwrap(), missing.unwrap());
                assert!(
                    matches!(theirs, ControlError::NotFound { .. }),
                    "{operation}: {theirs:?}"
                );
                let missing = missing.to_string().replace("none", "main");
                assert_eq!(theirs.to_string(), missing, "{operation}");
            }
        }
    }
    assert_eq!(scene.configured(), before);
    assert_eq!(scene.told(), told);
}

#[test]
fn a_caller_of_one_organization_is_told_nothing_of_another() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let before = scene.configured();
    for caller in [admin(&org("other")), reader(&org("other"))] {
        let there = all(&scene, &caller, &acme(), &id("main"));
        let missing = all(&scene, &caller, &acme(), &id("none"));
        let nobodys = all(&scene, &caller, &org("nobody"), &id("main"));
        for ((operation, there), ((_, missing), (_, nobodys))) in
            there.into_iter().zip(missing.into_iter().zip(nobodys))
        {
            let there = there.unwrap();
            assert!(
                matches!(there, ControlError::NotFound { .. }),
                "{operation}"
            );
            assert_eq!(Some(&there), missing.as_ref(), "{operation}");
            let nobodys = nobodys.unwrap().to_string().replace("nobody", "acme");
            assert_eq!(there.to_string(), nobodys, "{operation}");
        }
        let page = PageRequest::default();
        let listed = scene.run(scene.service.list(&caller, &acme(), &page));
        assert!(matches!(listed, Err(ControlError::NotFound { .. })));
        let body = new(json!({"id": "mine", "prefix": "mine"}));
        let created = scene.run(scene.service.create(&caller, &acme(), body));
        assert!(matches!(created, Err(ControlError::NotFound { .. })));
    }
    assert_eq!(scene.configured(), before);
}

#[test]
fn a_reader_may_look_and_change_nothing() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let (before, told) = (scene.configured(), scene.told());
    let looks = ["get", "status", "replays", "last_check"];
    for (operation, error) in all(&scene, &reader(&acme()), &acme(), &id("main")) {
        if looks.contains(&operation) {
            assert_eq!(error, None, "{operation}");
        } else {
            assert!(
                matches!(error, Some(ControlError::Forbidden { .. })),
                "{operation}: {error:?}"
            );
        }
    }
    let page = PageRequest::default();
    let listed = scene.run(scene.service.list(&reader(&acme()), &acme(), &page));
    assert_eq!(listed.unwrap().objects.len(), 1);
    let body = new(json!({"id": "second", "prefix": "second"}));
    let created = scene.run(scene.service.create(&reader(&acme()), &acme(), body));
    assert!(matches!(created, Err(ControlError::Forbidden { .. })));
    assert_eq!(scene.configured(), before);
    assert_eq!(scene.told(), told);
}

#[test]
fn an_id_is_taken_whoever_has_it_and_it_is_not_told_who() {
    let scene = Scene::new();
    scene.create(json!({}));
    for name in ["other", "another", "third", "o4"] {
        let other = org(name);
        let body = new(json!({"bucket": format!("{name}-audit")}));
        let error = scene
            .run(scene.service.create(&admin(&other), &other, body))
            .unwrap_err();
        assert!(matches!(error, ControlError::Taken { .. }), "{error:?}");
        assert!(!error.to_string().contains("acme"), "{error}");
    }
    scene.assert_settled();
}

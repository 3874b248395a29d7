//! Changing the configuration, and the keys in the vault.

use sealift_core::check::Verdict;
use sealift_core::control::ControlError;
use sealift_core::destination::Credentials;
use serde_json::json;

use crate::scene::{
    KEY_ID, SECOND_KEY_ID, SECOND_SECRET, SECRET, Scene, acme, by_keys, by_role, by_second_keys, id,
};

#[test]
fn what_an_update_does_not_name_stays_and_null_takes_away() {
    let scene = Scene::new();
    let before =
        scene.create(json!({"storage_class": "STANDARD_IA", "included_events": ["identity"]}));
    let view = scene
        .update(json!({"prefix": "elsewhere", "storage_class": null}))
        .unwrap();
    assert_eq!(view.prefix, "elsewhere/");
    assert_eq!(
        (view.storage_class.clone(), &view.bucket),
        (None, &before.bucket)
    );
    assert_eq!(view.included_events, before.included_events);
    assert_eq!(view.external_id, before.external_id);
    let entry = scene.entry("destination.updated");
    assert_eq!(
        entry["before_changes"],
        json!({"prefix": "audit-events/", "storage_class": "STANDARD_IA"})
    );
    assert_eq!(
        entry["after_changes"],
        json!({"prefix": "elsewhere/", "storage_class": null})
    );
    assert_eq!(entry["actor_id"], "user-1");
    assert_eq!(entry["actor_details"]["ip_address"], "203.0.113.9");
    assert_eq!(entry["actor_details"]["request_id"], "req-1");
    scene.assert_settled();
}

#[test]
fn an_update_that_changes_nothing_writes_and_tells_nothing() {
    let scene = Scene::new();
    scene.create(json!({}));
    let before = scene
        .store
        .get_now(&"destinations/records/main.json".parse().unwrap());
    scene.update(json!({"bucket": "acme-audit"})).unwrap();
    scene.update(json!({})).unwrap();
    let after = scene
        .store
        .get_now(&"destinations/records/main.json".parse().unwrap());
    assert_eq!(before, after);
    assert_eq!(scene.told(), ["destination.created"]);
}

#[test]
fn an_external_id_cannot_be_set_by_an_update_either() {
    let scene = Scene::new();
    scene.create(json!({}));
    let refused = scene.update(json!({"external_id": "mine"})).unwrap_err();
    assert!(matches!(
        refused,
        ControlError::Invalid {
            field: "external_id",
            ..
        }
    ));
}

#[test]
fn a_changed_connection_is_checked_before_it_is_saved_where_events_flow() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let before = scene.configured();
    for (verdict, words) in [
        (Verdict::Failing, "mend it"),
        (Verdict::Unsafe, "mend it"),
        (Verdict::Unknown, "try again"),
    ] {
        scene.answers(&[verdict]);
        let error = scene
            .update(json!({"bucket": "another-bucket"}))
            .unwrap_err();
        let ControlError::NotHealthy { reason, check } = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains(words), "{reason}");
        assert_eq!(check.unwrap().verdict, verdict);
        assert_eq!(scene.configured(), before, "it is as it was");
        scene.assert_settled();
    }
    scene.update(json!({"bucket": "another-bucket"})).unwrap();
    assert_eq!(
        scene.asked().last().unwrap().location.bucket.as_str(),
        "another-bucket"
    );
    let view = scene.get().unwrap();
    assert_eq!(view.status, "streaming");
    assert!(
        view.last_check.unwrap().current,
        "the check was of what is saved"
    );
    scene.assert_settled();
}

#[test]
fn a_selection_is_changed_without_a_check_and_a_paused_destination_too() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    let checks = scene.asked().len();
    scene
        .update(json!({"included_events": ["project.*"]}))
        .unwrap();
    scene.pause();
    scene.update(json!({"bucket": "another-bucket"})).unwrap();
    assert_eq!(scene.asked().len(), checks);
    let view = scene.get().unwrap();
    assert!(!view.last_check.unwrap().current);
    let refused = scene.start().unwrap_err();
    assert!(
        matches!(&refused, ControlError::NotHealthy { reason, .. } if reason.contains("has changed since")),
        "{refused:?}"
    );
}

#[test]
fn a_move_frees_the_old_prefix_and_an_overlap_leaves_all_as_it_was() {
    let scene = Scene::new();
    scene.create(json!({"id": "other", "prefix": "taken"}));
    scene.create(json!({"prefix": "mine"}));
    let refused = scene.update(json!({"prefix": "taken/below"})).unwrap_err();
    assert!(matches!(refused, ControlError::Conflict { .. }));
    scene.assert_settled();
    scene.update(json!({"prefix": "mine/below"})).unwrap();
    scene.assert_settled();
    scene.create(json!({"id": "third", "prefix": "mine/beside"}));
    scene.assert_settled();
}

#[test]
fn switching_to_a_role_deletes_the_keys_and_back_asks_for_new_ones() {
    let scene = Scene::new();
    let first = scene.streaming(json!({"authentication": by_keys()}));
    let view = scene.update(json!({"authentication": by_role()})).unwrap();
    assert!(scene.vault.names().is_empty());
    assert_eq!(
        (view.status, &view.external_id),
        ("streaming", &first.external_id)
    );
    assert!(matches!(
        &scene.configured()[&id("main")].credentials,
        Credentials::IamRole { external_id, .. } if external_id.as_str() == first.external_id
    ));
    assert!(
        scene
            .told()
            .contains(&"destination.credentials_removed".to_owned())
    );

    let refused = scene
        .update(json!({"authentication": {"type": "access_keys"}}))
        .unwrap_err();
    assert!(
        matches!(
            refused,
            ControlError::Invalid {
                field: "authentication",
                ..
            }
        ),
        "{refused:?}"
    );

    let view = scene
        .update(json!({"authentication": by_second_keys()}))
        .unwrap();
    assert_eq!(view.external_id, first.external_id);
    assert_eq!(scene.stored_secret().as_deref(), Some(SECOND_SECRET));
    scene.assert_settled();
}

#[test]
fn new_keys_are_tried_before_they_take_the_place_of_those_that_work() {
    let scene = Scene::new();
    scene.streaming(json!({"authentication": by_keys()}));
    let saved = scene.configured();
    scene.answers(&[Verdict::Failing]);
    let refused = scene
        .update(json!({"authentication": by_second_keys()}))
        .unwrap_err();
    assert!(matches!(refused, ControlError::NotHealthy { .. }));
    let tried = scene.keys_seen().pop().unwrap().unwrap();
    assert_eq!(
        (
            tried.access_key_id.as_str(),
            tried.secret_access_key.as_str()
        ),
        (SECOND_KEY_ID, SECOND_SECRET)
    );
    assert_eq!(
        scene.stored_secret().as_deref(),
        Some(SECRET),
        "they are as they were"
    );

    let view = scene
        .update(json!({"authentication": by_second_keys()}))
        .unwrap();
    assert_eq!(scene.stored_secret().as_deref(), Some(SECOND_SECRET));
    assert_eq!(
        scene.configured(),
        saved,
        "cursor, start and ExternalId stay"
    );
    assert!(
        view.last_check.unwrap().current,
        "it was made with the new ones"
    );
    assert!(
        scene
            .told()
            .contains(&"destination.credentials_replaced".to_owned())
    );
    scene.assert_settled();
}

#[test]
fn keys_that_were_replaced_while_paused_ask_for_a_new_check() {
    let scene = Scene::new();
    scene.create(json!({"authentication": by_keys()}));
    assert_eq!(scene.check(), Verdict::Healthy);
    let seen = scene.keys_seen().pop().unwrap().unwrap();
    assert_eq!(seen.access_key_id, KEY_ID);
    scene
        .update(json!({"authentication": by_second_keys()}))
        .unwrap();
    assert!(!scene.get().unwrap().last_check.unwrap().current);
    assert!(matches!(
        scene.start(),
        Err(ControlError::NotHealthy { .. })
    ));
    scene.check();
    scene.start().unwrap();
}

#[test]
fn what_a_check_finds_out_of_checksums_is_saved() {
    let scene = Scene::new();
    scene.create(json!({"authentication": by_keys(), "endpoint": "https://minio.example.com"}));
    scene.finds_checksum(true);
    scene.check();
    assert_eq!(scene.get().unwrap().checksum, Some(true));
    scene.start().unwrap();
    scene.finds_checksum(false);
    scene
        .update(json!({"endpoint": "https://minio.example.org"}))
        .unwrap();
    let saved = &scene.configured()[&id("main")];
    assert_eq!(saved.storage.checksum, Some(false));
    assert!(scene.vault.get_now(&acme(), &id("main")).is_some());
    scene.assert_settled();
}

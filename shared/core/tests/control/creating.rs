//! Creating, showing, listing and removing.

use std::time::Duration;

use sealift_core::control::{ControlError, NewDestination, PageRequest};
use sealift_core::destination::{Credentials, Status};
use serde_json::{Value, json};

use crate::scene::{Scene, acme, admin, by_keys, from, id, new, org};

#[test]
fn a_new_destination_is_paused_and_has_the_external_id_that_was_drawn() {
    let scene = Scene::new();
    let view = scene.create(json!({}));
    assert_eq!(view.status, "never_started");
    assert_eq!(view.prefix, "audit-events/");
    assert_eq!(view.external_id.len(), 64);
    assert!(view.external_id.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(
        view.principal_arn.as_str(),
        "arn:aws:iam::111111111111:role/sealift-principal"
    );
    let saved = &scene.configured()[&id("main")];
    assert_eq!((saved.status, saved.start_ms), (Status::Paused, None));
    assert!(
        matches!(&saved.credentials, Credentials::IamRole { external_id, .. } if external_id.as_str() == view.external_id)
    );
    assert_eq!(scene.get().unwrap(), view);
    assert_eq!(scene.told(), ["destination.created"]);
    scene.assert_settled();
}

#[test]
fn two_destinations_have_ids_and_external_ids_of_their_own() {
    let scene = Scene::new();
    let drawn = |prefix: &str| {
        let mut body = json!({
            "bucket": "acme-audit", "region": "eu-central-1", "prefix": prefix,
            "authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit"},
        });
        body.as_object_mut().unwrap().remove("id");
        let created = scene.run(scene.service.create(&admin(&acme()), &acme(), from(body)));
        created.unwrap()
    };
    let (one, other) = (drawn("one"), drawn("other"));
    assert_ne!(one.id, other.id);
    assert_ne!(one.external_id, other.external_id);
}

#[test]
fn access_keys_go_to_the_vault_and_an_external_id_is_drawn_all_the_same() {
    let scene = Scene::new();
    let view =
        scene.create(json!({"authentication": by_keys(), "endpoint": "https://minio.example.com"}));
    assert_eq!(view.external_id.len(), 64);
    assert_eq!(
        serde_json::to_value(&view.authentication).unwrap(),
        json!({"type": "access_keys"})
    );
    assert!(scene.stored_secret().is_some());
}

#[test]
fn what_cannot_be_used_is_refused_by_field_and_with_a_way_out() {
    let scene = Scene::new();
    for (fields, field, words) in [
        (
            json!({"external_id": "mine"}),
            "external_id",
            "Sealift draws it",
        ),
        (
            json!({"authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/a", "external_id": "mine"}}),
            "external_id",
            "Sealift draws it",
        ),
        (json!({"bucket": "ac"}), "bucket", "3 to 63"),
        (json!({"bucket": "A_cme-Audit"}), "bucket", "lower-case"),
        (json!({"region": "EU"}), "region", "us-east-1"),
        (json!({"prefix": "../x"}), "prefix", "`..`"),
        (json!({"prefix": "x".repeat(401)}), "prefix", "400"),
        (
            json!({"endpoint": "http://minio.example.com"}),
            "endpoint",
            "https://",
        ),
        (
            json!({"endpoint": "https://minio.example.com"}),
            "endpoint",
            "roles work on AWS only",
        ),
        (
            json!({"included_events": ["identiy"]}),
            "included_events",
            "neither a category",
        ),
        (
            json!({"storage_class": "FAST"}),
            "storage_class",
            "STANDARD",
        ),
        (json!({"kms_key_arn": "alias/mine"}), "kms_key_arn", "alias"),
        (json!({"id": "a:b"}), "id", "letters"),
        (
            json!({"authentication": {"type": "iam_role", "role_arn": "mine"}}),
            "authentication.role_arn",
            "arn:aws:iam::",
        ),
        (
            json!({"authentication": {"type": "access_keys", "access_key_id": "AKID"}}),
            "authentication",
            "both",
        ),
        (
            json!({"authentication": {"type": "access_keys", "access_key_id": "AKID", "secret_access_key": "a b"}}),
            "secret_access_key",
            "no space",
        ),
    ] {
        let created = scene.run(scene.service.create(
            &admin(&acme()),
            &acme(),
            new(fields.clone()),
        ));
        let error = created.unwrap_err();
        assert!(
            matches!(&error, ControlError::Invalid { field: named, .. } if *named == field),
            "{fields}: {error:?}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(scene.store.keys().is_empty(), "nothing was written");
    assert!(scene.told().is_empty());
}

#[test]
fn unknown_fields_and_wrong_types_are_refused_and_no_secret_is_quoted() {
    let refused = |body: Value| serde_json::from_value::<NewDestination>(body).unwrap_err();
    let mut body = json!({"bucket": "b", "region": "r", "buckets": 1, "authentication": by_keys()});
    assert!(refused(body.clone()).to_string().contains("buckets"));
    body.as_object_mut().unwrap().remove("buckets");
    body["authentication"]["secret_access_key"] = json!([734_193]);
    let error = refused(body).to_string();
    assert!(
        error.contains("texts") && !error.contains("734193"),
        "{error}"
    );
}

#[test]
fn a_second_try_with_the_same_id_finds_what_the_first_one_made() {
    let scene = Scene::new();
    let first = scene.create(json!({}));
    let again = scene.create(json!({}));
    assert_eq!(first, again);
    let other = new(json!({"prefix": "other"}));
    let error = scene
        .run(scene.service.create(&admin(&acme()), &acme(), other))
        .unwrap_err();
    assert!(matches!(error, ControlError::Taken { .. }), "{error:?}");
    assert_eq!(scene.told(), ["destination.created"]);
}

#[test]
fn overlapping_prefixes_of_one_bucket_are_refused_whoever_has_the_other() {
    let scene = Scene::new();
    scene.create(json!({"prefix": "audit/acme"}));
    for organization in [acme(), org("other")] {
        for prefix in [
            "",
            "audit",
            "audit/acme",
            "audit/acme/x",
            "audit/acme/_replays",
            "audit/acme/_gaps",
        ] {
            let body = new(json!({"id": "second", "prefix": prefix}));
            let created = scene.run(scene.service.create(
                &admin(&organization),
                &organization,
                body,
            ));
            let error = created.unwrap_err();
            assert!(
                matches!(error, ControlError::Conflict { .. }),
                "{prefix:?}: {error:?}"
            );
            let words = error.to_string();
            assert!(
                !words.contains("acme") && !words.contains("main"),
                "{words}"
            );
        }
        for (number, (prefix, bucket)) in [
            ("audit/acme-2", "acme-audit"),
            ("audit/acme", "another-bucket"),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("{organization}-{number}");
            let prefix = format!("{prefix}-{organization}");
            let body = new(json!({"id": name, "prefix": prefix, "bucket": bucket}));
            let created = scene.run(scene.service.create(
                &admin(&organization),
                &organization,
                body,
            ));
            created.unwrap();
        }
    }
    scene.assert_settled();
}

#[test]
fn a_bucket_at_aws_is_the_same_by_either_address() {
    let scene = Scene::new();
    scene.create(json!({}));
    let body = new(json!({"id": "second", "authentication": by_keys(),
        "endpoint": "https://s3.eu-central-1.amazonaws.com"}));
    let created = scene.run(scene.service.create(&admin(&acme()), &acme(), body));
    assert!(matches!(created, Err(ControlError::Conflict { .. })));
    assert!(scene.vault.names().is_empty());
    scene.assert_settled();
}

#[test]
fn pages_follow_the_ids_and_show_ones_own_only() {
    let scene = Scene::new();
    for number in 0..5 {
        scene.create(json!({"id": format!("d{number}"), "prefix": format!("p{number}")}));
    }
    let other = org("other");
    let body = new(json!({"id": "d2b", "bucket": "other-audit"}));
    scene
        .run(scene.service.create(&admin(&other), &other, body))
        .unwrap();
    let page = |limit: u32, after: Option<&str>| {
        let page = PageRequest {
            limit: Some(limit),
            starting_after: after.map(str::to_owned),
        };
        let page = scene
            .run(scene.service.list(&admin(&acme()), &acme(), &page))
            .unwrap();
        let ids: Vec<String> = page
            .objects
            .iter()
            .map(|view| view.id.to_string())
            .collect();
        (ids, page.has_more)
    };
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(2, None), (owned(&["d0", "d1"]), true));
    assert_eq!(page(2, Some("d1")), (owned(&["d2", "d3"]), true));
    assert_eq!(page(2, Some("d3")), (owned(&["d4"]), false));
    assert!(!page(5, None).1);
    for limit in [0, 101] {
        let page = PageRequest {
            limit: Some(limit),
            starting_after: None,
        };
        let listed = scene.run(scene.service.list(&admin(&acme()), &acme(), &page));
        assert!(matches!(
            listed,
            Err(ControlError::Invalid { field: "limit", .. })
        ));
    }
}

#[test]
fn a_removed_destination_leaves_nothing_and_its_id_and_prefix_are_free() {
    let scene = Scene::new();
    let first = scene
        .streaming(json!({"authentication": by_keys(), "endpoint": "https://minio.example.com"}));
    let created_ms = scene.configured()[&id("main")].created_ms;
    // What deliveries of it and of one with a longer name have left.
    for name in ["main-7", "main-2-7", "maine-7"] {
        put(&scene, &format!("delivery/{:04}/left/{name}.json", shard()));
    }
    put(
        &scene,
        &format!("delivery/{:04}/replays/main-ab12.json", shard()),
    );
    scene.remove().unwrap();
    assert!(matches!(scene.get(), Err(ControlError::NotFound { .. })));
    assert!(matches!(scene.remove(), Err(ControlError::NotFound { .. })));
    let kept: Vec<String> = scene
        .store
        .keys()
        .iter()
        .filter(|key| key.as_str().starts_with("delivery/"))
        .map(|key| key.as_str().rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(kept, ["main-2-7.json", "maine-7.json"]);
    assert_eq!(scene.told().last().unwrap(), "destination.deleted");
    let left = scene
        .document("destinations/records/main.json")
        .unwrap()
        .to_string();
    assert!(!left.contains(&first.external_id), "{left}");

    let again =
        scene.create(json!({"authentication": by_keys(), "endpoint": "https://minio.example.com"}));
    assert_ne!(again.external_id, first.external_id);
    assert_eq!(again.status, "never_started");
    assert_ne!(
        scene.configured()[&id("main")].created_ms,
        created_ms,
        "its cursors begin anew"
    );
    scene.assert_settled();
}

#[test]
fn another_organization_may_take_an_id_that_was_freed() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.remove().unwrap();
    let other = org("other");
    scene
        .run(scene.service.create(&admin(&other), &other, new(json!({}))))
        .unwrap();
    assert!(matches!(scene.get(), Err(ControlError::NotFound { .. })));
    scene.advance(Duration::from_secs(1));
    scene.assert_settled();
}

#[test]
fn a_destination_that_was_set_up_by_hand_is_taken_over_as_it_is() {
    let scene = Scene::new();
    let place = format!("destinations/{:04}.json", shard());
    let set = json!({"format": "sealift.destinations/1", "revision": 1, "body": {"main": {
        "id": "main", "organization": "acme", "status": "streaming", "start_ms": 1_700_000_000_000_i64,
        "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
        "credentials": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit", "external_id": "by-hand"},
    }}});
    put_bytes(&scene, &place, set.to_string());
    let view = scene.get().unwrap();
    assert_eq!(
        (view.status, view.external_id.as_str()),
        ("streaming", "by-hand")
    );
    assert_eq!(
        scene.configured()[&id("main")].created_ms,
        None,
        "its cursors stay its own"
    );
    // Others' ids and prefixes are refused though nobody has written them down.
    let other = org("other");
    let body = new(json!({"id": "main", "bucket": "other-audit"}));
    let taken = scene.run(scene.service.create(&admin(&other), &other, body));
    assert!(
        matches!(taken, Err(ControlError::Taken { .. })),
        "{taken:?}"
    );
    let body = new(json!({"id": "second", "prefix": "audit/x"}));
    let overlaps = scene.run(scene.service.create(&admin(&other), &other, body));
    assert!(
        matches!(overlaps, Err(ControlError::Conflict { .. })),
        "{overlaps:?}"
    );
    scene.pause();
    scene.assert_settled();
}

fn shard() -> u16 {
    sealift_core::destination::shard_of(&acme(), crate::scene::SHARDS)
}

fn put(scene: &Scene, key: &str) {
    put_bytes(scene, key, "{}".to_owned());
}

fn put_bytes(scene: &Scene, key: &str, text: String) {
    use sealift_core::ports::{Metadata, ObjectStore};
    let key = sealift_core::id::ObjectKey::parse(key).unwrap();
    let written = scene.run(scene.store.create(&key, text.into(), Metadata::new()));
    written.unwrap();
}

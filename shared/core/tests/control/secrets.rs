//! Secrets are in the vault and nowhere else.

use sealift_core::check::Verdict;
use sealift_core::control::NewDestination;
use sealift_core::ports::StoreError;
use sealift_testkit::scripted::{Turn, Verb};
use serde_json::json;

use crate::scene::{
    KEY_ID, SECOND_KEY_ID, SECOND_SECRET, SECRET, Scene, acme, admin, by_keys, by_role,
    by_second_keys, from, main_id, new,
};

#[test]
fn no_secret_stands_in_any_document_answer_error_entry_or_debug_form() {
    let scene = Scene::new();
    let mut shown: Vec<String> = Vec::new();
    let mut show = |text: String| shown.push(text);
    let body: NewDestination = new(json!({"authentication": by_keys()}));
    show(format!("{body:?} {body:#?}"));
    let update: sealift_core::control::DestinationUpdate =
        from(json!({"authentication": by_second_keys()}));
    show(format!("{update:?} {update:#?}"));

    // A full life, with every answer looked at.
    let created = scene.run(scene.service.create(&admin(&acme()), &acme(), body));
    show(format!("{created:?}"));
    show(serde_json::to_string(&created.unwrap()).unwrap());
    scene.check();
    show(format!("{:?}", scene.start()));
    // Failures at each step of a replacement.
    for (verb, start) in [
        (Verb::PutKeys, ""),
        (Verb::Swap, "destinations/"),
        (Verb::Publish, ""),
    ] {
        for turn in [Turn::Transient, Turn::Denied, Turn::Invalid] {
            scene.script.first(verb, start, [turn]);
            show(format!(
                "{:?}",
                scene.update(json!({"authentication": by_second_keys()}))
            ));
            scene.let_go();
            scene.watch();
            show(format!(
                "{:?}",
                scene.update(json!({"authentication": by_keys()}))
            ));
        }
    }
    scene.always(Verdict::Failing);
    show(format!(
        "{:?}",
        scene.update(json!({"authentication": by_second_keys()}))
    ));
    scene.always(Verdict::Healthy);
    show(format!(
        "{:?}",
        scene.update(json!({"authentication": by_second_keys()}))
    ));
    show(format!(
        "{:?}",
        scene.update(json!({"authentication": {"type": "access_keys",
        "access_key_id": KEY_ID, "secret_access_key": format!("{SECRET} with a space")}}))
    ));
    scene.bus.fail(1, StoreError::Transient);
    show(format!(
        "{:?}",
        scene.update(json!({"authentication": by_role()}))
    ));
    show(format!(
        "{:?}",
        scene.update(json!({"authentication": by_keys()}))
    ));
    let status = scene.run(scene.service.status(&admin(&acme()), &acme(), &main_id()));
    show(serde_json::to_string(&status.unwrap()).unwrap());
    show(format!("{:?}", scene.sweep()));
    // While all of it stands, and after it was removed.
    everything(&scene, &mut show);
    show(format!("{:?}", scene.remove()));
    everything(&scene, &mut show);
    assert!(scene.vault.names().is_empty());

    assert!(shown.len() > 40, "{}", shown.len());
    for text in shown {
        for secret in [SECRET, SECOND_SECRET, KEY_ID, SECOND_KEY_ID] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

fn everything(scene: &Scene, show: &mut impl FnMut(String)) {
    for key in scene.store.keys() {
        let object = scene.store.get_now(&key).unwrap();
        show(format!("{key} {}", String::from_utf8_lossy(&object.bytes)));
    }
    for entry in scene.bus.entries() {
        show(format!("{entry:?}"));
    }
    show(format!("{:?} {:#?}", scene.service, scene.service));
}

#[test]
fn an_external_id_is_shown_to_its_owner_and_stands_in_no_entry() {
    let scene = Scene::new();
    let view = scene.streaming(json!({}));
    scene.update(json!({"authentication": by_role()})).unwrap();
    scene.answers(&[Verdict::Unsafe]);
    scene.check();
    scene.remove().unwrap();
    for entry in scene.bus.entries() {
        assert!(
            !entry.detail.contains(&view.external_id),
            "{}",
            entry.detail
        );
    }
    assert!(!format!("{:?}", scene.service).contains(&view.external_id));
}

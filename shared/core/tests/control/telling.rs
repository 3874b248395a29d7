//! Audit entries reach the bus, whatever it says at first.

use sealift_core::ports::StoreError;
use serde_json::json;

use crate::scene::Scene;

#[test]
fn an_entry_that_the_bus_refused_is_told_with_the_next_operation() {
    let scene = Scene::new();
    scene.bus.fail(1, StoreError::Transient);
    let view = scene.create(json!({}));
    assert_eq!(view.status, "never_started", "the change stands");
    assert!(scene.told().is_empty());
    scene.update(json!({"prefix": "elsewhere"})).unwrap();
    assert_eq!(scene.told(), ["destination.created", "destination.updated"]);
    scene.assert_settled();
}

#[test]
fn an_entry_that_the_bus_refused_is_told_by_the_sweep_even_of_what_was_removed() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.bus.fail(1, StoreError::Denied);
    scene.remove().unwrap();
    assert_eq!(scene.told(), ["destination.created"]);
    assert_eq!(scene.sweep().told, 1);
    assert_eq!(scene.told(), ["destination.created", "destination.deleted"]);
    assert_eq!(scene.sweep().told, 0);
    scene.assert_settled();
}

#[test]
fn an_entry_of_a_removed_destination_outlives_that_its_id_is_used_again() {
    let scene = Scene::new();
    scene.create(json!({}));
    scene.bus.fail(1, StoreError::Transient);
    scene.remove().unwrap();
    scene.create(json!({}));
    assert_eq!(
        scene.told(),
        [
            "destination.created",
            "destination.deleted",
            "destination.created"
        ]
    );
    scene.assert_settled();
}

#[test]
fn of_several_entries_the_bus_may_take_some() {
    let scene = Scene::new();
    scene.streaming(json!({"authentication": crate::scene::by_keys()}));
    scene.bus.refuse(1, StoreError::Transient);
    scene
        .update(json!({"authentication": crate::scene::by_role()}))
        .unwrap();
    assert_eq!(scene.told().last().unwrap(), "destination.updated");
    scene.sweep();
    assert_eq!(
        scene.told().last().unwrap(),
        "destination.credentials_removed"
    );
    scene.assert_settled();
}

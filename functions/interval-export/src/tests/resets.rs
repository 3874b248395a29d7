//! What the audit log is told of a cursor that was set.

use sealift_core::audit::OWN_SOURCE;
use sealift_core::ports::StoreError;
use serde_json::Value;

use super::{World, project, row};

const RESET: &str = r#"{"id":"e-1","detail-type":"export.reset","detail":{"automation_id":"a1","start":"2025-11-21T11:00:00Z"}}"#;

fn told(world: &World) -> Vec<Value> {
    let own = world.bus.take().into_iter();
    own.filter(|entry| entry.source == OWN_SOURCE)
        .map(|entry| {
            assert_eq!(entry.detail_type, "cursor.reset");
            serde_json::from_str(&entry.detail).unwrap()
        })
        .collect()
}

#[test]
fn a_reset_is_told_with_the_position_before_and_after() {
    let world = World::new();
    world.source.upsert(&project(), [row("a", "10:00:00", 0)]);
    world.run();
    let before = world.cursor().position.to_string();
    world.bus.take();
    assert!(world.handle(&[RESET]).failures.is_empty());
    let entries = told(&world);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["id"], "reset-e-1");
    assert_eq!(entries[0]["resource_type"], "automation");
    assert_eq!(entries[0]["resource_id"], "a1");
    assert_eq!(entries[0]["before_changes"]["start_xact_id"], before);
    let after = world.cursor().position.to_string();
    assert_eq!(entries[0]["after_changes"]["start_xact_id"], after);
    assert_ne!(before, after);
}

#[test]
fn a_reset_that_the_bus_did_not_take_is_done_once_and_told_when_its_event_comes_again() {
    let world = World::new();
    world.source.upsert(&project(), [row("a", "10:00:00", 0)]);
    world.run();
    world.bus.take();
    world.bus.refuse(0, StoreError::Transient);
    assert_eq!(world.handle(&[RESET]).failures.len(), 1);
    assert!(told(&world).is_empty());
    assert_eq!(world.cursor().generation, 1);
    for _ in 0..2 {
        assert!(world.handle(&[RESET]).failures.is_empty());
        let entries = told(&world);
        assert_eq!(entries[0]["id"], "reset-e-1", "the same entry");
    }
    assert_eq!(world.cursor().generation, 1, "it is done once");
}

//! The daily round.

use std::time::Duration;

use sealift_core::check::Verdict;
use sealift_core::control::{Round, StartRequest};
use sealift_core::ports::StoreError;
use serde_json::json;

use crate::scene::{Scene, acme, admin, id, new, org};

const HOUR: Duration = Duration::from_hours(1);

fn stream_many(scene: &Scene, count: usize) {
    for number in 0..count {
        let organization = org(&format!("org{number}"));
        let caller = admin(&organization);
        let name = id(&format!("d{number}"));
        let body = new(json!({"id": name, "prefix": format!("p{number}")}));
        scene
            .run(scene.service.create(&caller, &organization, body))
            .unwrap();
        scene
            .run(scene.service.check(&caller, &organization, &name))
            .unwrap();
        let asked = StartRequest::default();
        scene
            .run(scene.service.start(&caller, &organization, &name, asked))
            .unwrap();
    }
}

#[test]
fn every_destination_that_streams_is_checked_once_a_day_and_no_other() {
    let scene = Scene::new();
    stream_many(&scene, 5);
    scene.create(json!({}));
    let before = scene.asked().len();
    assert_eq!(scene.sweep().checked, 0, "they were checked a moment ago");
    for _ in 0..48 {
        scene.advance(HOUR);
        scene.sweep();
    }
    assert_eq!(scene.asked().len() - before, 10, "five, twice in two days");
    assert!(scene.asked().iter().all(|asked| asked.id != id("main")));
    scene.assert_settled();
}

#[test]
fn one_that_turned_unsafe_is_held_and_it_is_told_and_the_others_stream_on() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    stream_many(&scene, 3);
    scene.advance(HOUR * 24);
    scene.answers(&[Verdict::Unsafe]);
    let swept = scene.sweep();
    assert_eq!((swept.checked, swept.healthy, swept.held.len()), (4, 3, 1));
    let held = &swept.held[0];
    let configured = scene.configured();
    assert!(!configured[held].flows());
    assert_eq!(configured.values().filter(|d| d.flows()).count(), 3);
    let entry = scene.entry("destination.turned_unsafe");
    assert_eq!(entry["resource_id"], held.as_str());
    assert_eq!(entry["actor_id"], "sealift");
    scene.advance(HOUR * 24);
    assert_eq!(scene.sweep().checked, 3, "what is held waits for its owner");
}

#[test]
fn a_round_without_time_is_gone_on_with_by_the_next() {
    let scene = Scene::new();
    stream_many(&scene, 9);
    scene.advance(HOUR * 24);
    let before = scene.asked().len();
    let round = Round {
        at_once: 1,
        reserve: Duration::from_secs(1),
        ..Round::default()
    };
    let mut rounds = 0;
    loop {
        // A check takes 5 ms: there is time for four.
        let deadline = scene.clock.now() + Duration::from_millis(1018);
        let swept = scene.run(scene.service.sweep(deadline, &round)).unwrap();
        rounds += 1;
        assert!(swept.checked <= 4 && rounds < 9, "{swept:?}");
        if swept.left == 0 && swept.checked == 0 {
            break;
        }
    }
    assert_eq!(scene.asked().len() - before, 9, "each once");
}

#[test]
fn what_could_not_be_told_is_asked_again_within_hours_and_holds_nothing() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    scene.advance(HOUR * 24);
    scene.answers(&[Verdict::Unknown]);
    assert_eq!(scene.sweep().unknown, 1);
    assert!(scene.configured()[&id("main")].flows());
    scene.advance(HOUR / 2);
    assert_eq!(scene.sweep().checked, 0);
    scene.advance(HOUR);
    assert_eq!(scene.sweep().healthy, 1);
}

#[test]
fn ones_trouble_does_not_stop_the_others() {
    let scene = Scene::new();
    stream_many(&scene, 3);
    scene.advance(HOUR * 24);
    let broken = "destinations/records/d1.json".parse().unwrap();
    scene.store.remove_now(&broken).unwrap();
    let text = bytes::Bytes::from_static(b"not a document");
    let written = sealift_core::ports::ObjectStore::create(
        &scene.store,
        &broken,
        text,
        sealift_core::ports::Metadata::new(),
    );
    scene.run(written).unwrap();
    let swept = scene.sweep();
    assert_eq!((swept.checked, swept.failed.len()), (2, 1), "{swept:?}");
    assert_eq!(swept.failed[0].0, id("d1"));
}

#[test]
fn a_bus_that_is_away_for_a_round_is_told_in_the_next() {
    let scene = Scene::new();
    scene.streaming(json!({}));
    scene.advance(HOUR * 24);
    scene.answers(&[Verdict::Failing]);
    scene.bus.fail(1, StoreError::Transient);
    assert_eq!(scene.sweep().failing, 1);
    assert!(
        !scene
            .told()
            .contains(&"destination.check_failed".to_owned())
    );
    assert_eq!(scene.sweep().told, 1);
    assert!(
        scene
            .told()
            .contains(&"destination.check_failed".to_owned())
    );
    assert!(scene.configured()[&id("main")].flows());
    let _ = acme();
}

//! Entries from their announcement until they are told.

use std::collections::BTreeSet;

use sealift_core::audit::catalogue::AUTOMATION_FAILED;
use sealift_core::audit::outbox::{FOLDER, LEFT_ALONE, MOST_AT_ONCE, OutboxError, SentLeft, Told};
use sealift_core::audit::{Entry, Resource};
use sealift_core::id::{ObjectKey, OrgId};
use sealift_core::ports::{Metadata, ObjectStore as _, StoreError};
use sealift_testkit::scripted::{Turn, Verb};
use serde_json::json;

use crate::scene::{Scene, entry};

#[test]
fn an_entry_is_written_down_before_and_is_gone_when_it_is_told() {
    let scene = Scene::new();
    let announced = scene.announce();
    let waiting = scene.waiting();
    assert_eq!(waiting[0]["format"], "sealift.audit-outbox/1");
    assert_eq!(waiting[0]["body"]["stage"], "announced");
    assert!(scene.told().is_empty());
    let key = scene.store.keys()[0].to_string();
    let name = key.strip_prefix("outbox/1763712000000-").unwrap();
    assert_eq!(name.strip_suffix(".json").unwrap().len(), 32, "{key}");
    assert_eq!(scene.run(scene.outbox().tell(announced)), Told::Sent);
    let told = scene.bus.entries();
    assert_eq!(told[0].detail, waiting[0]["body"]["entry"]["detail"]);
    assert_eq!((told.len(), scene.store.keys().len()), (1, 0));
    let writes = |verb| scene.script.count(verb, FOLDER);
    assert_eq!(
        (
            writes(Verb::Create),
            writes(Verb::Delete),
            writes(Verb::Swap)
        ),
        (1, 1, 0)
    );
}

#[test]
fn what_was_withdrawn_is_never_told() {
    let scene = Scene::new();
    let announced = scene.announce();
    scene.run(scene.outbox().withdraw(announced)).unwrap();
    scene.wait();
    assert_eq!(scene.send_left(), SentLeft::default());
    assert!(scene.told().is_empty() && scene.store.keys().is_empty());
}

#[test]
fn an_entry_that_the_bus_refused_is_told_once_by_the_next_round_word_for_word() {
    let scene = Scene::new();
    let announced = scene.announce();
    scene.bus.fail(1, StoreError::Denied);
    let told = scene.run(scene.outbox().tell(announced));
    assert!(matches!(told, Told::Left(OutboxError::Bus(_))), "{told:?}");
    let waiting = scene.waiting();
    assert_eq!(waiting[0]["body"]["stage"], "done");
    scene.wait();
    let sent = scene.send_left();
    assert_eq!((sent.told, sent.unknown, sent.left), (1, 0, 0));
    assert_eq!(
        scene.bus.entries()[0].detail,
        waiting[0]["body"]["entry"]["detail"]
    );
    assert_eq!(scene.send_left(), SentLeft::default());
    assert_eq!(scene.told().len(), 1);
}

#[test]
fn one_that_was_cut_off_is_told_as_of_an_unknown_outcome_and_is_the_same_entry() {
    let scene = Scene::new();
    let announced = scene.announce();
    let written = scene.waiting()[0]["body"]["entry"]["detail"].clone();
    let written = written.as_str().unwrap();
    drop(announced);
    scene.clock.advance(LEFT_ALONE);
    assert_eq!(
        scene.send_left(),
        SentLeft::default(),
        "it may be under way"
    );
    scene.wait();
    let sent = scene.send_left();
    assert_eq!((sent.told, sent.unknown, sent.left), (1, 1, 0));
    let details = json!({
        "message": "it was cut off: it may have been made, and may not",
        "outcome": "unknown",
    });
    assert_eq!(scene.told()[0]["event_details"], details);
    let expected = written.replacen(
        r#""event_details":null"#,
        &format!(r#""event_details":{details}"#),
        1,
    );
    assert_eq!(
        scene.bus.entries()[0].detail,
        expected,
        "all else is as it was"
    );
    assert_eq!(scene.send_left(), SentLeft::default());
}

#[test]
fn the_details_of_an_entry_stay_beside_its_unknown_outcome() {
    let scene = Scene::new();
    let resource = Resource {
        id: "a-1".to_owned(),
        name: "hourly".to_owned(),
        organization: OrgId::parse("org-1").unwrap(),
        project: None,
    };
    let entry = Entry::happened(&AUTOMATION_FAILED, resource).unwrap();
    let entry = entry.with_details(json!({"template": "t"}));
    let announced = scene.run(scene.outbox().announce(&entry, scene.clock.now()));
    drop(announced.unwrap());
    scene.wait();
    scene.send_left();
    let details = &scene.told()[0]["event_details"];
    assert_eq!(
        (&details["template"], &details["outcome"]),
        (&json!("t"), &json!("unknown"))
    );
}

#[test]
fn a_round_is_bounded_and_the_next_ones_send_the_rest() {
    let scene = Scene::new();
    let count = MOST_AT_ONCE + 25;
    for _ in 0..count {
        drop(scene.announce());
    }
    scene.wait();
    let sent = scene.send_left();
    assert_eq!((sent.told, sent.left), (100, 25));
    assert_eq!(scene.bus.calls(), 10, "ten in a request");
    let sent = scene.send_left();
    assert_eq!((sent.told, sent.left), (25, 0));
    let ids: BTreeSet<String> = scene.told().iter().map(|e| e["id"].to_string()).collect();
    assert_eq!(ids.len(), count, "each has an id of its own");
}

#[test]
fn what_cannot_be_read_or_is_refused_holds_up_nothing_else() {
    let scene = Scene::new();
    let put = |name: &str, text: String| {
        let key = ObjectKey::parse(format!("{FOLDER}{name}")).unwrap();
        scene
            .run(scene.store.create(&key, text.into(), Metadata::new()))
            .unwrap();
    };
    for number in 0..MOST_AT_ONCE + 5 {
        put(&format!("{number:013}-x.json"), "no document".to_owned());
    }
    let odd = json!({"source": "sealift", "detail_type": "x", "detail": "{}"});
    let odd = json!({"stage": "announced", "entry": odd});
    let odd = json!({"format": "sealift.audit-outbox/1", "revision": 1, "body": odd});
    put("0000000000999-odd.json", odd.to_string());
    // No name of ours: it is nobody's business.
    put("readme.txt", String::new());
    drop((scene.announce(), scene.announce()));
    scene.wait();
    scene.bus.refuse(0, StoreError::Transient);
    let sent = scene.send_left();
    assert_eq!((sent.told, sent.left), (1, 107), "{sent:?}");
    assert_eq!(sent.failed.len(), 107);
    assert_eq!(scene.send_left().told, 1);
}

#[test]
fn an_outbox_that_cannot_be_listed_says_so() {
    let scene = Scene::new();
    scene.script.first(Verb::List, FOLDER, [Turn::Denied]);
    let sent = scene.send_left();
    assert!(
        matches!(&*sent.failed, [OutboxError::Store(StoreError::Denied(_))]),
        "{sent:?}"
    );
}

#[test]
fn an_announcement_whose_answer_was_lost_leaves_nothing_behind() {
    let scene = Scene::new();
    scene.script.first(Verb::Create, FOLDER, [Turn::LosesReply]);
    let announced = scene.run(scene.outbox().announce(&entry(), scene.clock.now()));
    assert!(matches!(announced, Err(OutboxError::Document(_))));
    assert!(scene.store.keys().is_empty());
}

#[test]
fn no_secret_is_in_the_outbox() {
    let scene = Scene::new();
    drop(scene.announce());
    let written = scene.waiting()[0].to_string();
    assert!(written.contains("…WXYZ"), "{written}");
    assert!(!written.contains("0123456789abcdef"), "{written}");
}

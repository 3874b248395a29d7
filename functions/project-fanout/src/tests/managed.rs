//! Automations in Braintrust: which projects get what there.

use sealift_core::id::XactId;
use sealift_core::provision::ledger::Registration;
use serde_json::Value;

use super::plane::Turn;
use super::*;

/// What the template makes of a project.
fn config(world: &World, path: &str, suffix: &str) -> Value {
    let mut config = serde_json::to_value(&world.settings.templates[0].config).unwrap();
    config["export_path"] = json!(path);
    config["credentials"]["external_id"] = json!(suffix);
    config
}

#[test]
fn a_created_project_has_its_automation_in_braintrust_and_its_cursor_is_set() {
    let world = World::managed();
    world.api.set("p1", "GSM8K");
    assert_eq!(world.created("p1").unwrap().created, 1);
    assert_eq!(world.plane.asked(), ["list p1", "create p1", "register p1"]);
    let entry = world.entry("p1");
    let there = world.plane.of("p1");
    assert_eq!(there.len(), 1);
    let suffix = entry.external_id.as_ref().unwrap();
    let expected = config(&world, "s3://bucket/braintrust/gsm8k", suffix.as_str());
    assert_eq!(there[0].config, expected);
    assert_eq!(there[0].name, "Logs export");
    assert_eq!(entry.remote.as_ref(), Some(&there[0].id));
    assert_eq!(entry.registration, Some(Registration::Made));
    assert!(entry.done && entry.claim.is_none());
    assert_eq!(world.plane.resets("p1"), [entry.start]);
    assert!(
        world.automations().is_empty(),
        "Sealift itself exports nothing"
    );
    let told = world.bus.take();
    let types: Vec<&str> = told.iter().map(|entry| &*entry.detail_type).collect();
    assert_eq!(types, ["automation.provisioned", "cursor.reset"]);
    let reset: Value = serde_json::from_str(&told[1].detail).unwrap();
    assert_eq!(reset["resource_id"], entry.remote.unwrap().as_str());
    assert_eq!(
        reset["after_changes"]["start_xact_id"],
        entry.start.to_string()
    );
    let writes = world.writes();
    assert_eq!(world.later(), Applied::default());
    assert_eq!(world.created("p1").unwrap(), Applied::default());
    assert!(world.plane.asked().is_empty(), "the ledger is trusted");
    assert_eq!(world.writes(), writes);
}

#[test]
fn the_exports_of_new_projects_start_with_their_first_row() {
    let world = World::managed();
    world.api.set("old", "old");
    world.sweep();
    let now = XactId::before(world.clock.now());
    assert_eq!(world.plane.resets("old"), [now]);
    world.clock.advance(Duration::from_hours(1));
    world.api.set("new", "new");
    world.sweep();
    assert_eq!(world.plane.resets("new"), [XactId::ZERO]);
}

#[test]
fn what_is_there_already_counts_is_registered_only_where_it_is_not_and_never_changed() {
    for (name, path, registered) in [
        ("Logs export", "s3://elsewhere/x", true),
        ("Logs export", "s3://bucket/x", false),
        ("Mine", "s3://bucket/by-hand", true),
        ("Mine", "s3://bucket/by-hand", false),
    ] {
        let world = World::managed();
        world.api.set("p1", "one");
        let config = config(&world, path, "their-own");
        world.plane.put("p1", "by-hand", name, config);
        if registered {
            world.plane.reset("by-hand");
        }
        let before = world.plane.of("p1");
        let applied = world.sweep();
        assert_eq!((applied.adopted, applied.created), (1, 0), "{name} {path}");
        assert_eq!(world.plane.of("p1"), before);
        assert_eq!(world.plane.resets("p1").len(), 1);
        let entry = world.entry("p1");
        assert_eq!(entry.external_id, None);
        assert_eq!(entry.remote.as_ref().unwrap().as_str(), "by-hand");
        let (registration, told) = match registered {
            true => (Registration::Found, vec![]),
            false => (Registration::Made, vec!["cursor.reset"]),
        };
        assert_eq!(entry.registration, Some(registration));
        assert_eq!(world.told(), told);
        let fanout = world.fanout();
        let situation = fanout.look().now_or_never().unwrap().unwrap();
        let drift = fanout.drift(&situation).now_or_never().unwrap().unwrap();
        let fields: Vec<&str> = drift[0].differences.iter().map(|d| &*d.field).collect();
        assert_eq!(fields, ["config.export_path"]);
    }
}

#[test]
fn one_that_does_something_else_does_not_count() {
    let world = World::managed();
    world.api.set("p1", "one");
    let mut spans = config(&world, "s3://bucket/x", "a");
    spans["export_definition"]["type"] = json!("log_spans");
    world.plane.put("p1", "spans", "Spans", spans);
    let elsewhere = config(&world, "s3://elsewhere/x", "b");
    world.plane.put("p1", "elsewhere", "Elsewhere", elsewhere);
    let odd = json!({"event_type": "btql_export", "export_path": 7, "credentials": []});
    world.plane.put("p1", "odd", "Odd", odd);
    let retention = json!({"event_type": "retention", "retention_days": 30});
    world.plane.put("p1", "retention", "Retention", retention);
    assert_eq!(world.sweep().created, 1);
    assert_eq!(world.plane.of("p1").len(), 5);
}

#[test]
fn an_automation_of_the_name_that_exports_nothing_is_told_and_not_registered() {
    let world = World::managed();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    let retention = json!({"event_type": "retention", "retention_days": 30});
    world.plane.put("p1", "r", "Logs export", retention);
    let applied = world.sweep();
    assert_eq!((applied.created, applied.failed.len()), (1, 1));
    let message = &applied.failed[0].message;
    assert!(message.contains("exports nothing"), "{message}");
    assert!(world.plane.resets("p1").is_empty());
    assert_eq!(world.later().failed.len(), 1);
    let told = world.told();
    let failures = told.iter().filter(|kind| *kind == "automation.failed");
    assert_eq!(failures.count(), 1, "told once: {told:?}");
}

#[test]
fn two_templates_never_take_each_others_automations() {
    let mut world = World::managed();
    let mut second = world.settings.templates[0].clone();
    second.name = "Second".to_owned();
    second.config.export_path = "s3://bucket/second/<project-slug>".to_owned();
    world.settings.templates.push(second);
    world.api.set("p1", "one");
    // The first one's reply is lost, and the second one is come to before it is known.
    world.plane.first("create", [Turn::LosesReply]);
    let applied = world.sweep();
    assert_eq!((applied.created, applied.failed.len()), (1, 1));
    assert_eq!(world.later().created, 1);
    let there = world.plane.of("p1");
    assert_eq!(there.len(), 2);
    let known = &world.ledger().projects[&project("p1")];
    let ids: BTreeSet<_> = known.automations.values().map(|e| &e.remote).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(world.plane.resets("p1").len(), 2);
}

#[test]
fn what_sealift_exports_itself_is_not_created_in_braintrust_as_well() {
    let mut world = World::new();
    world.api.set("p1", "one");
    world.sweep();
    let by_hand = world.automations();
    // As if somebody had created it, and provisioning had never been on.
    world.change_ledger(|ledger| *ledger = Ledger::default());
    world.settings.mode = Mode::Managed;
    assert_eq!(world.sweep().adopted, 1);
    assert!(world.plane.asked().is_empty());
    assert_eq!(world.automations(), by_hand);
    assert_eq!(world.entry("p1").mode, Mode::SelfRun);
    assert_eq!(world.later(), Applied::default());
}

#[test]
fn another_mode_leaves_alone_what_was_provisioned_and_the_plan_tells() {
    let mut world = World::new();
    world.api.set("p1", "one");
    world.sweep();
    let before = (world.automations(), world.entry("p1"));
    world.settings.mode = Mode::Managed;
    world.api.set("p2", "two");
    assert_eq!(world.later().created, 1);
    assert_eq!((world.automations(), world.entry("p1")), before);
    assert!(world.plane.of("p1").is_empty());
    assert_eq!(world.plane.of("p2").len(), 1);
    // One that was begun in the one mode is not completed by the other.
    world.api.set("p3", "three");
    world.plane.first("register", [Turn::KilledBefore]);
    let killed = world.fanout();
    assert!(
        killed
            .handle(SWEEP, world.deadline())
            .now_or_never()
            .is_none()
    );
    world.plane.calm();
    world.settings.mode = Mode::SelfRun;
    world.plane.asked();
    assert_eq!(world.later(), Applied::default());
    let fanout = world.fanout();
    let plan = fanout.look().now_or_never().unwrap().unwrap().plan;
    let others: Vec<_> = plan
        .others
        .iter()
        .map(|other| (other.project.as_str(), other.mode, other.done))
        .collect();
    let expected = [("p2", Mode::Managed, true), ("p3", Mode::Managed, false)];
    assert_eq!(others, expected);
    // Nor is it stopped, when its project is gone.
    world.api.remove("p2");
    assert_eq!(world.later(), Applied::default());
    assert!(world.plane.asked().is_empty());
    world.settings.mode = Mode::Managed;
    world.api.set("p2", "two");
    assert_eq!(world.later().created, 1, "set back, it goes on");
    assert_eq!(world.plane.resets("p3").len(), 1);
}

#[test]
fn a_deleted_projects_automation_is_noted_once_and_not_touched() {
    let world = World::managed();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    world.sweep();
    world.told();
    world.plane.asked();
    let before = world.plane.of("p1");
    world.api.remove("p1");
    assert_eq!(world.later().noted, 1);
    assert!(world.entry("p1").stopped);
    let (writes, requests) = (world.writes(), world.api.requests());
    assert_eq!(world.later(), Applied::default());
    assert_eq!(world.writes(), writes);
    assert_eq!(
        world.api.requests() - requests,
        1,
        "it is not asked about again"
    );
    world.api.set("p1", "one");
    assert_eq!(world.later().noted, 1);
    assert!(!world.entry("p1").stopped);
    assert_eq!(world.later(), Applied::default());
    assert_eq!(world.plane.of("p1"), before);
    assert!(world.plane.asked().is_empty());
    assert!(world.told().is_empty());
}

#[test]
fn without_a_way_to_braintrust_managed_mode_says_so() {
    let world = World::managed();
    world.api.set("p1", "one");
    let fanout = Fanout::new(
        world.fanout().registry,
        world.api.clone(),
        world.bus.clone(),
        world.clock.clone(),
        world.settings.clone(),
    );
    let handled = fanout.handle(SWEEP, world.deadline()).now_or_never();
    assert!(matches!(handled.unwrap(), Err(FanoutError::NoRemote)));
    assert_eq!(world.writes(), 0);
}

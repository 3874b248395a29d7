//! Which projects get what.

use sealift_core::external_id::ExternalId;
use sealift_core::provision::settings::Written;

use super::*;

#[test]
fn a_created_project_has_its_automation_at_once() {
    let world = World::new();
    world.api.set("p1", "GSM8K");
    assert_eq!(world.created("p1").unwrap().created, 1);
    let automations = world.automations();
    assert_eq!(automations.len(), 1);
    let plan = automations[0].plan().unwrap();
    assert_eq!(
        automations[0].config.export_path,
        "s3://bucket/braintrust/gsm8k"
    );
    let drawn = &world.ledger().projects[&project("p1")].automations["Logs export"];
    let expected = ExternalId::for_export(
        &OrgId::parse("org-1").unwrap(),
        &project("p1"),
        drawn.external_id.as_ref().unwrap(),
    );
    assert_eq!(plan.place.external_id, expected);
    assert!(drawn.done);
    assert_eq!(world.told(), ["automation.provisioned"]);
}

#[test]
fn events_that_come_twice_or_late_or_for_nobody_change_nothing() {
    let world = World::new();
    world.api.set("p1", "one");
    world.sweep();
    let before = world.automations();
    world.told();
    for _ in 0..2 {
        assert_eq!(world.created("p1").unwrap(), Applied::default());
    }
    world.api.set("p1", "renamed");
    world.created("p1").unwrap();
    world.sweep();
    assert_eq!(world.automations(), before);
    assert!(world.told().is_empty());
    let error = world.created("p9").unwrap_err();
    assert!(error.to_string().contains("p9"), "{error}");
    world.api.set("p2", "scratch-anna");
    assert_eq!(world.created("p2").unwrap(), Applied::default());
}

#[test]
fn a_sweep_finds_what_no_event_told_of_and_then_has_nothing_to_do() {
    let world = World::new();
    for (id, name) in [
        ("p1", "../.."),
        ("p2", "🚢"),
        ("p3", "Project"),
        ("p4", "scratch-x"),
    ] {
        world.api.set(id, name);
    }
    assert_eq!(world.sweep().created, 3);
    let paths = world.paths();
    assert!(paths.contains(&"s3://bucket/braintrust/project".to_owned()));
    let distinct: BTreeSet<_> = paths.iter().collect();
    assert_eq!(distinct.len(), 3, "{paths:?}");
    for path in &paths {
        let rest = path.strip_prefix("s3://bucket/braintrust/").unwrap();
        assert!(!rest.contains('/') && !rest.contains('.'), "{path}");
    }
    let writes = world.writes();
    let reads = world.script.count(Verb::Get, "");
    let requests = world.api.requests();
    assert_eq!(world.sweep(), Applied::default());
    assert_eq!(world.writes(), writes, "an idle sweep writes nothing");
    assert!(world.script.count(Verb::Get, "") - reads <= 5);
    assert_eq!(world.api.requests() - requests, 1, "the page of the list");
}

#[test]
fn older_projects_start_as_the_settings_say_and_new_ones_with_their_first_row() {
    let world = World::new();
    let start = |id: &str| world.ledger().projects[&project(id)].automations["Logs export"].start;
    for number in 1..=1500 {
        world.api.set(&format!("p{number}"), "old");
    }
    world.api.set("fresh", "fresh");
    world.api.set_created("fresh", "2025-11-21T11:59:00Z");
    world.sweep();
    let now = sealift_core::id::XactId::before(world.clock.now());
    // More than are written down at once.
    let ledger = world.ledger();
    let of = |id: String| ledger.projects[&project(&id)].automations["Logs export"].start;
    assert!((1..=1500).all(|number| of(format!("p{number}")) == now));
    assert_eq!(start("fresh"), sealift_core::id::XactId::ZERO);
    world.clock.advance(Duration::from_hours(1));
    world.api.set("late", "found late");
    world.api.set_created("late", "2025-11-21T12:20:00Z");
    world.api.set("hidden", "seen by the key only now");
    world.api.set_created("hidden", "2024-01-01T00:00:00Z");
    assert_eq!(world.sweep().created, 2);
    assert_eq!(start("late"), sealift_core::id::XactId::ZERO);
    assert!(start("hidden") > now);
}

#[test]
fn what_is_there_already_counts_and_stays_as_it_is() {
    let world = World::new();
    world.api.set("p1", "one");
    let mut config = world.settings.templates[0].config.clone();
    config.export_path = "s3://bucket/by-hand".to_owned();
    config.interval_seconds = 60.into();
    if let sealift_core::export::automation::ExportCredentials::AwsIam { external_id, .. } =
        &mut config.credentials
    {
        "mine".clone_into(external_id);
    }
    let by_hand = Automation {
        id: AutomationId::parse("by-hand").unwrap(),
        organization: OrgId::parse("org-1").unwrap(),
        project_id: project("p1"),
        name: "Mine".to_owned(),
        description: None,
        created_ms: 0,
        config,
        bucket_owner: None,
    };
    let fanout = world.fanout();
    let registered = fanout
        .registry
        .register(&by_hand, sealift_core::id::XactId::ZERO, 0);
    registered.now_or_never().unwrap().unwrap();
    assert_eq!(world.sweep().adopted, 1);
    assert_eq!(world.automations(), [by_hand]);
    let situation = fanout.look().now_or_never().unwrap().unwrap();
    let drift = fanout.drift(&situation).now_or_never().unwrap().unwrap();
    let fields: Vec<&str> = drift[0].differences.iter().map(|d| &*d.field).collect();
    assert_eq!(fields, ["config.export_path", "config.interval_seconds"]);
}

#[test]
fn a_deleted_projects_automation_stops_and_goes_on_when_it_is_back() {
    let world = World::new();
    world.api.set("p1", "one");
    world.api.set("p2", "two");
    world.sweep();
    world.told();
    let id = world.ledger().projects[&project("p1")].automations["Logs export"]
        .id
        .clone();
    world.api.hide("p1");
    assert_eq!(world.sweep().stopped, 0, "not to be seen is not to be gone");
    world.api.0.lock().unwrap().hidden.clear();
    world.api.remove("p1");
    assert_eq!(world.sweep().stopped, 1);
    assert!(!world.is_active(&id));
    assert_eq!(world.sweep(), Applied::default());
    world.api.set("p1", "one");
    assert_eq!(world.sweep().restarted, 1);
    assert!(world.is_active(&id));
    assert_eq!(world.told(), ["automation.updated", "automation.updated"]);
}

#[test]
fn a_key_that_sees_none_of_the_known_projects_stops_nothing() {
    let world = World::new();
    world.api.set("p1", "one");
    world.sweep();
    world.api.remove("p1");
    world.api.set("other", "of another organization");
    let applied = world.sweep();
    assert_eq!((applied.stopped, applied.created), (0, 1));
    world.api.remove("other");
    assert_eq!(world.sweep().stopped, 0);
}

#[test]
fn further_templates_come_from_the_settings_document() {
    let world = World::new();
    world.api.set("p1", "one");
    world.sweep();
    let mut second = world.settings.templates[0].clone();
    second.name = "Spans".to_owned();
    second.config.export_path = "s3://bucket/spans/<project-slug>".to_owned();
    let written = Written {
        templates: vec![second],
        exclude: vec!["o*".to_owned()],
    };
    let put = |written: Written| {
        let place = Written::place();
        let change = place.update(&world.state, &world.entropy, |_| Some(written.clone()));
        change.now_or_never().unwrap().unwrap();
    };
    put(written.clone());
    assert_eq!(world.sweep(), Applied::default(), "it is excluded now");
    put(Written {
        exclude: vec![],
        ..written.clone()
    });
    assert_eq!(world.sweep().created, 1);
    let expected = ["s3://bucket/braintrust/one", "s3://bucket/spans/one"];
    assert_eq!(world.paths(), expected);
    let mut bad = written;
    bad.templates[0].config.export_path = "s3://bucket/all".to_owned();
    put(bad);
    let error = world.handle(SWEEP).unwrap_err();
    assert!(error.to_string().contains("\"Spans\""), "{error}");
}

#[test]
fn a_refusal_of_the_api_is_passed_on_in_its_own_words() {
    let world = World::new();
    world
        .api
        .fail(Some(SourceError::Denied(failure("the key is not valid"))));
    let error = world.handle(SWEEP).unwrap_err().to_string();
    assert!(error.contains("the key is not valid"), "{error}");
    assert_eq!(world.writes(), 0);
}

#[test]
fn ten_thousand_projects_are_provisioned_in_one_sweep() {
    let world = World::new();
    for number in 0..10_000 {
        world
            .api
            .set(&format!("p{number}"), &format!("Project {}", number % 9000));
    }
    let applied = world.sweep();
    assert_eq!((applied.created, applied.left), (10_000, 0));
    let paths = world.paths();
    let distinct: BTreeSet<_> = paths.iter().collect();
    assert_eq!(distinct.len(), 10_000);
    let requests = world.api.requests();
    assert_eq!(world.sweep(), Applied::default());
    assert_eq!(world.api.requests() - requests, 10, "the pages of the list");
}

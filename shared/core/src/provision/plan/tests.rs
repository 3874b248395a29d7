//! What is planned, for which projects.

use serde_json::json;

use super::super::drift::drift;
use super::*;
use crate::export::message::Start;
use crate::external_id::ExternalIdSuffix;
use crate::id::{OrgId, XactId};

fn project(id: &str, name: &str) -> Project {
    Project {
        id: ProjectId::parse(id).unwrap(),
        organization: OrgId::parse("o").unwrap(),
        name: name.to_owned(),
        created: None,
    }
}

/// The id of the first project.
fn first() -> ProjectId {
    ProjectId::parse("1").unwrap()
}

fn template(name: &str, kind: &str, path: &str) -> Template {
    serde_json::from_value(json!({"name": name, "config": {
        "event_type": "btql_export",
        "export_definition": {"type": kind},
        "export_path": path,
        "format": "parquet",
        "interval_seconds": 3600,
        "credentials": {
            "type": "aws_iam",
            "role_arn": "arn:aws:iam::123456789012:role/r",
            "external_id": "<unique-external-id-suffix>",
        },
    }}))
    .unwrap()
}

fn settings() -> Settings {
    Settings {
        templates: vec![template(
            "Logs export",
            "log_traces",
            "s3://bucket/braintrust/<project-slug>",
        )],
        exclude: vec!["scratch-*".to_owned()],
        start: Start::Now,
        mode: Mode::SelfRun,
        requests: 200,
    }
}

fn automation(id: &str, name: &str, kind: &str, path: &str) -> Seen {
    Seen {
        id: AutomationId::parse(id).unwrap(),
        name: name.to_owned(),
        config: serde_json::to_value(template(name, kind, path).config).unwrap(),
    }
}

/// A ledger in which project 1 has the template's automation.
fn ledger(done: bool) -> Ledger {
    let mut ledger = Ledger::default();
    let id = AutomationId::parse("gsm-logs-export-1").unwrap();
    let provisioned = Provisioned {
        external_id: Some(ExternalIdSuffix::parse("s").unwrap()),
        done,
        ..Provisioned::new(id, XactId::ZERO, Mode::SelfRun)
    };
    let mut taken = HashSet::new();
    let known = ledger.project(&project("1", "gsm"), &mut taken);
    known
        .automations
        .insert("Logs export".to_owned(), provisioned);
    ledger
}

fn words(projects: &[Project], ledger: &Ledger, settings: &Settings, found: &Found) -> Vec<String> {
    let plan = plan(projects, ledger, settings, found, &BTreeSet::new());
    let steps = plan.steps.iter();
    steps
        .map(|step| format!("{} {} {}", step.project, step.template, step.action.word()))
        .collect()
}

#[test]
fn a_new_project_gets_every_template_and_an_excluded_one_none() {
    let projects = [project("1", "gsm"), project("2", "scratch-anna")];
    let empty = Ledger::default();
    assert_eq!(
        words(&projects, &empty, &settings(), &Found::new()),
        ["1 Logs export create"]
    );
    let unknown = unknown(&projects, &empty, &settings());
    assert_eq!(unknown, [ProjectId::parse("1").unwrap()].into());
}

#[test]
fn what_is_done_needs_nothing_and_what_was_cut_off_is_completed() {
    let projects = [project("1", "gsm")];
    let done = plan(
        &projects,
        &ledger(true),
        &settings(),
        &Found::new(),
        &BTreeSet::new(),
    );
    assert_eq!((done.steps.len(), done.settled), (0, 1));
    assert_eq!(
        words(&projects, &ledger(false), &settings(), &Found::new()),
        ["1 Logs export register"]
    );
}

#[test]
fn an_automation_of_the_name_or_of_the_same_content_counts_as_existing() {
    let projects = [project("1", "gsm")];
    let id = ProjectId::parse("1").unwrap();
    let adopt = |automation: Seen| {
        let found = Found::from([(id.clone(), vec![automation])]);
        words(&projects, &Ledger::default(), &settings(), &found)
    };
    let elsewhere = "s3://another/x";
    assert_eq!(
        adopt(automation("a", "Logs export", "log_spans", elsewhere)),
        ["1 Logs export adopt"]
    );
    assert_eq!(
        adopt(automation("a", "Mine", "log_traces", "s3://bucket/x")),
        ["1 Logs export adopt"]
    );
    assert_eq!(
        adopt(automation("a", "Mine", "log_traces", elsewhere)),
        ["1 Logs export create"]
    );
    assert_eq!(
        adopt(automation("a", "Mine", "log_spans", "s3://bucket/x")),
        ["1 Logs export create"]
    );
}

#[test]
fn one_automation_is_taken_for_one_template_only() {
    let mut settings = settings();
    let second = "s3://bucket/other/<project-slug>";
    settings
        .templates
        .push(template("Second", "log_traces", second));
    let one = automation("a", "Mine", "log_traces", "s3://bucket/x");
    let found = Found::from([(first(), vec![one])]);
    let projects = [project("1", "gsm")];
    assert_eq!(
        words(&projects, &Ledger::default(), &settings, &found),
        ["1 Logs export adopt", "1 Second create"]
    );
    let own = automation("gsm-logs-export-1", "x", "log_traces", "s3://bucket/x");
    let found = Found::from([(first(), vec![own])]);
    assert_eq!(
        words(&projects, &ledger(true), &settings, &found),
        ["1 Second create"],
        "the first template's own is not the second's"
    );
}

#[test]
fn a_project_is_stopped_only_when_it_is_certainly_gone_and_restarted_when_it_is_back() {
    let mut ledger = ledger(true);
    let id = ProjectId::parse("1").unwrap();
    assert_eq!(
        missing(&[], &ledger, Mode::SelfRun),
        std::slice::from_ref(&id)
    );
    assert!(words(&[], &ledger, &settings(), &Found::new()).is_empty());
    let gone = BTreeSet::from([id.clone()]);
    let stop = plan(&[], &ledger, &settings(), &Found::new(), &gone);
    assert_eq!(stop.steps.len(), 1);
    assert_eq!(stop.steps[0].action.word(), "stop");
    let known = ledger.projects.get_mut(&id).unwrap();
    let mut automations = known.automations.values_mut();
    automations.next().unwrap().stopped = true;
    assert!(missing(&[], &ledger, Mode::SelfRun).is_empty());
    assert_eq!(
        words(&[project("1", "gsm")], &ledger, &settings(), &Found::new()),
        ["1 Logs export restart"]
    );
}

#[test]
fn drift_names_each_field_and_leaves_out_what_is_the_automations_own() {
    let path = "s3://bucket/braintrust/gsm";
    let mut one = automation("gsm-logs-export-1", "Logs export", "log_traces", path);
    one.config["status"] = json!("paused");
    let drifted = |one: &Seen| {
        let found = Found::from([(first(), vec![one.clone()])]);
        drift(&ledger(true), &settings(), &found)
    };
    assert!(drifted(&one).is_empty());
    one.config["interval_seconds"] = json!(60);
    one.config["batch_size"] = json!(10);
    let found = drifted(&one);
    let fields: Vec<&str> = found[0].differences.iter().map(|d| &*d.field).collect();
    assert_eq!(fields, ["config.batch_size", "config.interval_seconds"]);
    assert_eq!(found[0].differences[1].is, json!(60));
    assert_eq!(found[0].differences[1].template, json!(3600));
    let deleted = drift(&ledger(true), &settings(), &Found::new());
    assert!(deleted[0].differences.is_empty());
}

#[test]
fn ten_thousand_projects_are_planned_and_then_settled() {
    let projects: Vec<Project> = (0..10_000)
        .map(|n| project(&format!("p{n}"), &format!("Project {}", n % 7000)))
        .collect();
    let mut ledger = Ledger::default();
    let first = plan(
        &projects,
        &ledger,
        &settings(),
        &Found::new(),
        &BTreeSet::new(),
    );
    assert_eq!(first.steps.len(), 10_000);
    let mut taken = ledger.slugs();
    for project in &projects {
        let known = ledger.project(project, &mut taken);
        let template = &settings().templates[0];
        let id = AutomationId::parse(format!("a-{}", project.id)).unwrap();
        let drawn = Provisioned {
            done: true,
            ..Provisioned::new(id, XactId::ZERO, Mode::SelfRun)
        };
        known.automations.insert(template.name.clone(), drawn);
    }
    assert_eq!(ledger.slugs().len(), 10_000);
    let second = plan(
        &projects,
        &ledger,
        &settings(),
        &Found::new(),
        &BTreeSet::new(),
    );
    assert_eq!((second.steps.len(), second.settled), (0, 10_000));
}

#[test]
fn what_the_other_mode_has_provisioned_is_left_alone_and_told() {
    let managed = Settings {
        mode: Mode::Managed,
        ..settings()
    };
    for done in [true, false] {
        let ledger = ledger(done);
        let projects = [project("1", "gsm"), project("2", "new")];
        let made = plan(
            &projects,
            &ledger,
            &managed,
            &Found::new(),
            &BTreeSet::new(),
        );
        assert_eq!(made.steps.len(), 1);
        assert_eq!(
            made.steps[0].project.as_str(),
            "2",
            "the new one is managed"
        );
        assert_eq!(made.settled, 1);
        assert_eq!(made.others.len(), 1);
        assert_eq!(
            (made.others[0].mode, made.others[0].done),
            (Mode::SelfRun, done)
        );
        assert!(missing(&[], &ledger, Mode::Managed).is_empty());
        let gone = BTreeSet::from([first()]);
        let without = plan(&[], &ledger, &managed, &Found::new(), &gone);
        assert!(without.steps.is_empty(), "nor is it stopped");
        assert!(drift(&ledger, &managed, &Found::new()).is_empty());
    }
}

#[test]
fn a_gone_projects_automation_in_braintrust_is_noted_and_not_touched() {
    let managed = Settings {
        mode: Mode::Managed,
        ..settings()
    };
    let mut ledger = ledger(true);
    let one = |ledger: &mut Ledger, change: &dyn Fn(&mut Provisioned)| {
        let known = ledger.projects.get_mut(&first()).unwrap();
        known.automations.values_mut().for_each(change);
    };
    one(&mut ledger, &|entry| {
        entry.mode = Mode::Managed;
        entry.remote = Some(AutomationId::parse("in-braintrust").unwrap());
    });
    assert_eq!(missing(&[], &ledger, Mode::Managed), [first()]);
    let gone = BTreeSet::from([first()]);
    let noted = plan(&[], &ledger, &managed, &Found::new(), &gone);
    let note = |gone| Action::Note {
        automation: AutomationId::parse("in-braintrust").unwrap(),
        gone,
    };
    assert_eq!(noted.steps[0].action, note(true));
    one(&mut ledger, &|entry| entry.stopped = true);
    assert!(missing(&[], &ledger, Mode::Managed).is_empty());
    let back = [project("1", "gsm")];
    let noted = plan(&back, &ledger, &managed, &Found::new(), &BTreeSet::new());
    assert_eq!(noted.steps[0].action, note(false));
}

#[test]
fn what_bears_another_templates_name_is_that_templates() {
    let mut both = settings();
    let second = template("Second", "log_traces", "s3://bucket/other/<project-slug>");
    both.templates.push(second);
    let found = [automation("a", "Second", "log_traces", "s3://bucket/x")];
    let of = |number: usize| {
        let template = &both.templates[number];
        same(template, &both.templates, &found, &BTreeSet::new()).is_some()
    };
    assert!(!of(0));
    assert!(of(1));
}

//! What is printed of plans.

use std::collections::BTreeSet;

use sealift_core::id::{OrgId, ProjectId};
use sealift_core::provision::Project;
use sealift_core::provision::drift::Difference;
use sealift_core::provision::ledger::Ledger;
use sealift_core::provision::mode::Mode;
use sealift_core::provision::plan::{Found, Other, plan};
use sealift_core::provision::settings::Settings;
use serde_json::Value;

use super::super::history;
use super::*;

fn situation(projects: u32, start: &str) -> Situation {
    let template = json!({"name": "Logs export", "config": {
        "event_type": "btql_export",
        "export_definition": {"type": "log_traces"},
        "export_path": "s3://bucket/braintrust/<project-slug>",
        "format": "parquet",
        "interval_seconds": 3600,
        "credentials": {
            "type": "aws_iam",
            "role_arn": "arn:aws:iam::123456789012:role/r",
            "external_id": "<unique-external-id-suffix>",
        },
    }});
    let settings = Settings {
        templates: vec![serde_json::from_value(template).unwrap()],
        exclude: vec!["scratch*".to_owned()],
        start: start.parse().unwrap(),
        mode: Mode::SelfRun,
        requests: 200,
    };
    let projects: Vec<Project> = (0..projects)
        .map(|n| Project {
            id: ProjectId::parse(format!("p{n}")).unwrap(),
            organization: OrgId::parse("o").unwrap(),
            name: if n == 0 {
                "scratch\u{1b}[2J".to_owned()
            } else {
                format!("Project\u{7} {n}")
            },
            created: None,
        })
        .collect();
    let ledger = Ledger::default();
    let plan = plan(
        &projects,
        &ledger,
        &settings,
        &Found::new(),
        &BTreeSet::new(),
    );
    Situation {
        settings,
        projects,
        ledger,
        plan,
        asked: None,
    }
}

fn printed(situation: &Situation, drift: Option<Vec<Drift>>) -> Printed<'_> {
    Printed {
        situation,
        drift,
        beginnings: history::beginnings(situation, "2025-11-21T12:00:00Z".parse().unwrap())
            .unwrap(),
        history: None,
        requests: 11,
    }
}

fn table_of(printed: &Printed<'_>) -> String {
    let mut out = Vec::new();
    printed.table(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_plan_of_ten_thousand_projects_fits_a_screen_and_says_what_it_took() {
    let situation = situation(10_000, "0");
    let text = table_of(&printed(&situation, None));
    assert!(text.lines().count() < 50, "{text}");
    assert!(text.contains("… and 9959 more"), "{text}");
    assert!(
        text.contains(
            "10000 projects (self-run): 9999 to create; 0 settled, 1 excluded. 11 requests to the API."
        ),
        "{text}"
    );
    assert!(text.contains("all history is exported"), "{text}");
    assert!(
        text.contains("--history asks how many rows that is (200 requests)"),
        "{text}"
    );
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "nothing moves the cursor"
    );
    let mut json = Vec::new();
    printed(&situation, None).json(&mut json).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["steps"].as_array().unwrap().len(), 9999);
    assert_eq!(json["steps"][0]["action"], "create");
    assert_eq!(json["totals"]["create"], 9999);
    assert_eq!(json["api_requests"], 11);
}

#[test]
fn drift_names_the_field_and_both_values() {
    let situation = situation(1, "now");
    let drift = Drift {
        project: ProjectId::parse("p1").unwrap(),
        template: "Logs export".to_owned(),
        automation: "a-1".parse().unwrap(),
        differences: vec![Difference {
            field: "config.interval_seconds".to_owned(),
            is: json!(60),
            template: json!(3600),
        }],
    };
    let text = table_of(&printed(&situation, Some(vec![drift])));
    let line = "config.interval_seconds: 60, and the template says 3600";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("nothing to do"), "{text}");
    let none = table_of(&printed(&situation, Some(vec![])));
    assert!(none.contains("as their templates have them"), "{none}");
}

#[test]
fn what_is_not_done_makes_apply_fail_and_says_how_to_go_on() {
    let situation = situation(3, "now");
    let mut applied = Applied {
        created: 2,
        ..Applied::default()
    };
    let mut out = Vec::new();
    print_applied(&applied, &situation, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with("2 created"));
    applied.left = 1;
    let error = print_applied(&applied, &situation, &mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().contains("run it again to go on"),
        "{error}"
    );
}

#[test]
fn what_the_other_mode_has_is_told_with_one_example() {
    let mut situation = situation(3, "now");
    let other = |done| Other {
        project: ProjectId::parse("p1").unwrap(),
        template: "Logs export".to_owned(),
        automation: "a-1".parse().unwrap(),
        mode: Mode::Managed,
        done,
    };
    situation.plan.others = vec![other(true), other(true)];
    let text = table_of(&printed(&situation, None));
    assert!(
        text.contains("2 automations of mode managed left alone, such as a-1"),
        "{text}"
    );
    assert!(!text.contains("not registered yet"), "{text}");
    situation.plan.others.push(other(false));
    let text = table_of(&printed(&situation, None));
    assert!(
        text.contains("1 of them not registered yet: with --mode managed"),
        "{text}"
    );
}

#[test]
fn projects_that_are_new_start_with_their_first_row_and_have_a_history_to_ask_for() {
    let mut situation = situation(4, "now");
    situation.ledger.since_ms = Some(1_763_726_400_000);
    situation.projects[1].created = Some("2024-01-01T00:00:00Z".parse().unwrap());
    let printed = printed(&situation, None);
    assert_eq!((printed.beginnings.older, printed.beginnings.new), (1, 2));
    assert_eq!(printed.beginnings.requests(), 1);
    let text = table_of(&printed);
    assert!(text.contains("began (1) start now"), "{text}");
    assert!(
        text.contains("at the most (2), start with their first row"),
        "{text}"
    );
    assert!(
        text.contains("--history asks how many rows that is (1 request)"),
        "{text}"
    );
}

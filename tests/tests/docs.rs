//! Holds the documentation to the code: variables, permissions, examples, named tests, links,
//! dependencies, and which crate may depend on which.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

#[path = "docs/export_scene.rs"]
mod export_scene;
#[path = "docs/outbox_scene.rs"]
mod outbox_scene;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/provision_scene.rs"]
mod provision_scene;
#[path = "docs/relay_scene.rs"]
mod relay_scene;
#[path = "docs/scene.rs"]
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sealift_embedded::template::Template;
use serde_json::Value;

use page::{anchors, code_spans, examples, first_column, links, section};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    let found = std::fs::read_to_string(root().join(path));
    found.unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn set<'a>(of: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    of.into_iter().map(str::to_owned).collect()
}

/// The functions: their page, their resources in the template, the variables that they read.
fn functions() -> [(&'static str, &'static str, BTreeSet<String>); 8] {
    let control = control_api::VARIABLES;
    let (relay, check) = (audit_relay::VARIABLES, destination_check::VARIABLES);
    let (writer, delivery) = (audit_writer::VARIABLES, audit_delivery::VARIABLES);
    let fanout = project_fanout::VARIABLES;
    let (dispatch, export) = (export_dispatch::VARIABLES, interval_export::VARIABLES);
    [
        ("functions/audit-relay", "AuditRelay", set(relay)),
        ("functions/audit-writer", "AuditWriter", set(writer)),
        ("functions/audit-delivery", "AuditDelivery", set(delivery)),
        ("functions/control-api", "ControlApi", set(control)),
        (
            "functions/destination-check",
            "DestinationCheck",
            set(check),
        ),
        ("functions/export-dispatch", "ExportDispatch", set(dispatch)),
        ("functions/interval-export", "IntervalExport", set(export)),
        ("functions/project-fanout", "ProjectFanout", set(fanout)),
    ]
}

fn template() -> Template {
    Template::parse(&text("template.yaml")).unwrap()
}

// ---- Functions ------------------------------------------------------------------------------

#[test]
fn each_functions_page_lists_the_variables_that_it_reads_and_is_given() {
    let template = template();
    for (folder, resource, variables) in functions() {
        let page = text(&format!("{folder}/README.md"));
        let table = first_column(section(&page, "Variables"));
        assert_eq!(table.len(), variables.len(), "{folder}: one row for each");
        assert_eq!(BTreeSet::from_iter(table), variables, "{folder}");
        let function = template.resource(resource).unwrap();
        let given = &function["Properties"]["Environment"]["Variables"];
        let given = given.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(set(given), variables, "{resource} in the template");
    }
}

#[test]
fn each_functions_page_lists_the_actions_that_its_role_allows() {
    let template = template();
    for (folder, resource, _) in functions() {
        let role = template.resource(&format!("{resource}Role")).unwrap();
        let policies = role["Properties"]["Policies"].as_array().unwrap();
        let statements = policies
            .iter()
            .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
        let actions = statements.map(|statement| statement["Action"].as_str().unwrap());
        let page = text(&format!("{folder}/README.md"));
        let rows = section(&page, "Permissions").lines();
        let listed = rows
            .filter_map(|row| row.strip_prefix('|')?.split('|').next())
            .flat_map(code_spans);
        assert_eq!(set(listed), set(actions), "{folder}");
    }
}

// ---- Formats and semantics ------------------------------------------------------------------

#[test]
fn the_examples_of_the_formats_are_what_the_code_writes() {
    let page = text("docs/formats.md");
    let shown = examples(&page);
    let mut written = scene::examples();
    written.extend(export_scene::examples());
    written.extend(provision_scene::examples());
    written.extend(relay_scene::examples());
    written.extend(outbox_scene::examples());
    let names = |of: &BTreeMap<&str, String>| set(of.keys().copied());
    assert_eq!(names(&shown), names(&written));
    for (name, written) in written {
        let shown = &shown[name];
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        // What is broken into lines for readers is compared by its content.
        let same = match (json(shown), json(&written)) {
            (Some(shown), Some(written)) => shown == written,
            _ => *shown == written,
        };
        assert!(same, "the example {name} is now:\n{written}");
    }
}

#[test]
fn each_tenet_names_tests_that_exist() {
    let page = text("docs/semantics.md");
    let tenets = section(&page, "The tenets");
    let tenets: Vec<&str> = tenets.split("\n### ").skip(1).collect();
    assert!(tenets.len() >= 10);
    for tenet in tenets {
        names_tests_that_exist(tenet);
    }
    let page = text("docs/exports.md");
    names_tests_that_exist(section(&page, "What it promises"));
}

/// What it promises is held by tests, which it names behind their files.
fn names_tests_that_exist(tenet: &str) {
    let title = tenet.lines().next().unwrap();
    let (_, held) = tenet
        .split_once("\nHeld by ")
        .unwrap_or_else(|| panic!("{title}: no test is named"));
    let held = held.split("\n\n").next().unwrap();
    let mut source = String::new();
    let mut tests = 0;
    for name in code_spans(held) {
        if name.contains('/') {
            source = text(name);
        } else {
            let known =
                source.contains(&format!("fn {name}(")) || source.contains(&format!("fn {name}<"));
            assert!(known, "{title}: there is no test {name}");
            tests += 1;
        }
    }
    assert!(tests > 0, "{title}");
}

// ---- Links ----------------------------------------------------------------------------------

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or(".");
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                pages(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn links_between_pages_lead_to_files_and_headings_that_exist() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    let mut checked = 0;
    for page in found {
        let content = std::fs::read_to_string(&page).unwrap();
        for link in links(&content) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let from = page.display();
            assert!(target.exists(), "{from}: {link} leads to nothing");
            if !anchor.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(headings.contains(anchor), "{from}: no heading for {link}");
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

// ---- Dependencies ---------------------------------------------------------------------------

#[test]
fn every_dependency_has_its_reason() {
    let manifest = text("Cargo.toml");
    let (_, table) = manifest.split_once("\n[workspace.dependencies]\n").unwrap();
    let table = table.split("\n[").next().unwrap().lines();
    let external = table.filter(|line| !line.starts_with('#') && !line.contains("path = "));
    let external = external.filter_map(|line| Some(line.split_once(" = ")?.0));
    let page = text("docs/dependencies.md");
    let listed = first_column(&page);
    assert_eq!(
        listed.len(),
        BTreeSet::from_iter(&listed).len(),
        "a crate is listed twice"
    );
    assert_eq!(BTreeSet::from_iter(listed), set(external));
}

/// The packages that each package of the workspace links, by what it asks for outside of tests
/// and build scripts.
fn linked() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        let output = command
            .args(arguments)
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cargo {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    // Offline: whoever runs this has just built it, at least for this platform.
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        host.unwrap(),
    ]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let array = |value: &Value| value.as_array().unwrap().clone();
    let name = |value: &Value| value.as_str().unwrap().to_owned();
    let names: BTreeMap<String, String> = array(&metadata["packages"])
        .iter()
        .map(|package| (name(&package["id"]), name(&package["name"])))
        .collect();
    let normal = |dependency: &Value| {
        let kinds = array(&dependency["dep_kinds"]);
        kinds.iter().any(|kind| kind["kind"].is_null())
    };
    let asks: BTreeMap<String, Vec<String>> = array(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let dependencies = array(&node["deps"]).into_iter().filter(normal);
            let ids = dependencies.map(|dependency| name(&dependency["pkg"]));
            (name(&node["id"]), ids.collect())
        })
        .collect();
    let members = array(&metadata["workspace_members"]);
    let tree = |member: &Value| {
        let member = name(member);
        let mut linked = BTreeSet::new();
        let mut open = asks[&member].clone();
        while let Some(id) = open.pop() {
            if linked.insert(names[&id].clone()) {
                open.extend(asks[&id].iter().cloned());
            }
        }
        (names[&member].clone(), linked)
    };
    members.iter().map(tree).collect()
}

#[test]
fn no_crate_links_what_it_may_not_know() {
    let linked = linked();
    let runs = ["tokio", "hyper", "tracing", "lambda_runtime", "s3s"];
    let sdk = ["aws-config", "aws-sdk-", "aws-smithy-"];
    let functions = [
        "audit-relay",
        "audit-writer",
        "audit-delivery",
        "control-api",
        "destination-check",
        "export-dispatch",
        "interval-export",
        "project-fanout",
    ];
    // No function knows another, nor what is for tests and the embedded mode.
    let except = |own: &str| -> Vec<&str> {
        let others = functions.into_iter().filter(|name| *name != own);
        others
            .chain(["sealift-embedded", "sealift-testkit"])
            .collect()
    };
    let rules: [(&str, Vec<&str>); 15] = [
        ("sealift-core", [&runs[..], &sdk, &["sealift-"]].concat()),
        ("sealift-testkit", [&runs[..], &sdk].concat()),
        (
            "sealift-aws",
            [&functions[..], &["sealift-embedded", "sealift-testkit"]].concat(),
        ),
        (
            "sealift-embedded",
            [
                &sdk[..],
                &functions,
                &["sealift-aws", "sealift-braintrust", "sealift-testkit"],
            ]
            .concat(),
        ),
        (
            "sealift-braintrust",
            [&sdk[..], &functions, &["sealift-aws"]].concat(),
        ),
        ("sealift-rows", [&runs[..], &sdk, &functions].concat()),
        ("audit-relay", except("audit-relay")),
        ("audit-writer", except("audit-writer")),
        ("audit-delivery", except("audit-delivery")),
        ("destination-check", except("destination-check")),
        ("control-api", except("control-api")),
        ("destination-check", except("destination-check")),
        ("export-dispatch", except("export-dispatch")),
        ("interval-export", except("interval-export")),
        ("project-fanout", except("project-fanout")),
    ];
    for (member, refused) in rules {
        let tree = &linked[member];
        assert!(!tree.is_empty(), "{member} links nothing");
        for start in refused {
            let known = tree.iter().find(|name| name.starts_with(start));
            assert_eq!(known, None, "{member} may not link it");
        }
    }
}

//! `sealift destination`, as an operator runs it against a stack on this machine.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, and take time and environment as they are"
)]

#[path = "destination/scene.rs"]
mod scene;

use serde_json::{Value, json};

use scene::{Served, program, run};

const ROLE: &str = "arn:aws:iam::222222222222:role/acme-audit";
const KEYS: [(&str, &str); 2] = [
    ("SEALIFT_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("SEALIFT_SECRET_ACCESS_KEY", "sEcReT-of-a-customer"),
];

/// A destination with a role.
fn create<'a>(id: &'a str, bucket: &'a str) -> Vec<&'a str> {
    let region = ["--region", "us-east-1", "--role-arn", ROLE];
    [
        &["create", id, "--org", "acme", "--bucket", bucket],
        &region[..],
    ]
    .concat()
}

#[test]
fn a_new_destination_says_what_its_owner_sets_up_and_the_printed_command_prints_it() {
    let served = Served::start();
    let page = served.destination(&create("main", "acme-audit")).done();
    let shown = served.destination(&["show", "main", "--org", "acme", "--json"]);
    let there = shown.json();
    let external_id = there["external_id"].as_str().unwrap();
    let principal = there["principal_arn"].as_str().unwrap();
    assert!(page.contains("main of acme: never started"), "{page}");
    for wanted in [
        external_id,
        principal,
        "s3://acme-audit/audit-events/",
        "s3:PutObject",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let mut commands = page
        .lines()
        .filter_map(|line| line.trim().strip_prefix("sealift "));
    let onboard = commands.find(|line| line.starts_with("onboard ")).unwrap();
    let words: Vec<&str> = onboard.split(' ').chain(["--json"]).collect();
    let printed = run(&words, &[], "").json();
    let trust = printed["trust_policy"].to_string();
    assert!(
        trust.contains(external_id) && trust.contains(principal),
        "{trust}"
    );
    assert_eq!(printed["role_name"], "acme-audit");
    // The same once more is the same destination.
    let again = served.destination(&create("main", "acme-audit")).done();
    assert!(again.contains(external_id));
    let error = served
        .destination(&create("main", "another-bucket"))
        .failed();
    assert!(error.contains("(taken, request "), "{error}");
}

#[test]
fn access_keys_come_by_variables_or_standard_input_and_never_out_again() {
    let served = Served::start();
    let keys = [
        "create",
        "--org",
        "acme",
        "--region",
        "us-east-1",
        "--access-keys",
    ];
    let by_variables = [&keys[..], &["one", "--bucket", "acme-one", "--json"]].concat();
    let created = served.destination_with(&by_variables, &KEYS, "");
    let by_input = [&keys[..], &["two", "--bucket", "acme-two"]].concat();
    let input = "AKIAEXAMPLE\nsEcReT-of-a-customer\n";
    let guided = served.destination_with(&by_input, &[], input);
    let listed = served.destination(&["list", "--org", "acme"]);
    for ran in [&created, &guided, &listed] {
        let all = format!("{}{}", ran.out, ran.err);
        assert!(ran.ok, "{all}");
        assert!(
            !all.contains("sEcReT") && !all.contains("AKIAEXAMPLE"),
            "{all}"
        );
    }
    assert_eq!(
        created.json()["authentication"],
        json!({"type": "access_keys"})
    );
    assert!(
        guided
            .done()
            .contains("sealift policy permissions --bucket acme-two")
    );
    let table = listed.done();
    assert!(
        table.contains("access keys") && table.ends_with("2 destinations\n"),
        "{table}"
    );
    let stored = std::fs::read_dir(served.data().join("vault"))
        .unwrap()
        .count();
    assert_eq!(stored, 2);

    // A role in their place has them deleted; a pair of keys takes the role's.
    let switch = ["switch", "one", "--org", "acme"];
    let to_role = [&switch[..], &["--role-arn", ROLE]].concat();
    let page = served.destination(&to_role).done();
    assert!(
        page.contains(ROLE) && page.contains("sealift onboard"),
        "{page}"
    );
    let stored = std::fs::read_dir(served.data().join("vault"))
        .unwrap()
        .count();
    assert_eq!(stored, 1);
    let to_keys = [&switch[..], &["--access-keys", "--json"]].concat();
    let back = served.destination_with(&to_keys, &KEYS, "").json();
    assert_eq!(back["authentication"]["type"], "access_keys");
    let error = served.destination(&to_keys).failed();
    assert!(
        error.contains("the key's id is missing on standard input"),
        "{error}"
    );
}

#[test]
fn what_is_not_healthy_is_not_started_unless_the_operator_says_why() {
    let served = Served::start();
    let keys = ["--org", "acme", "--region", "us-east-1", "--access-keys"];
    let words = [&["create", "main", "--bucket", "acme-audit"], &keys[..]].concat();
    served.destination_with(&words, &KEYS, "").done();
    let on = |command: &'static str, more: &[&'static str]| {
        let words = [&[command, "main", "--org", "acme"], more].concat();
        served.destination(&words)
    };
    let error = on("start", &[]).failed();
    assert!(
        error.contains("it was never checked") && error.contains("(not_healthy, request "),
        "{error}"
    );
    let status = on("status", &[]).done();
    assert!(
        status.contains("main of acme: never started") && status.contains("none yet"),
        "{status}"
    );

    let checked = on("check", &[]);
    assert!(
        checked
            .out
            .contains("write below the prefix (s3:PutObject)")
            && checked.out.contains("failing: ")
            && checked.out.contains("For the customer to do: "),
        "{}",
        checked.out
    );
    let error = checked.failed();
    assert!(
        error.contains("the destination main of acme is not healthy: failing"),
        "{error}"
    );
    let refused = on("start", &[]);
    assert!(
        refused.out.contains("write below the prefix"),
        "{}",
        refused.out
    );
    let error = refused.failed();
    assert!(error.contains("(not_healthy"), "{error}");
    let error = on("start", &["--override"]).failed();
    assert!(error.contains("--reason"), "{error}");

    let started = on("start", &["--override", "--reason", "a test"]).done();
    assert!(
        started.contains("main of acme is streaming, with events since 20"),
        "{started}"
    );
    let status = on("status", &[]).done();
    assert!(
        status.contains("main of acme: streaming, nothing yet")
            && status.contains("nothing was delivered yet")
            && status.contains("write below the prefix"),
        "{status}"
    );
    assert_eq!(on("status", &["--json"]).json()["state"], "streaming");
    let now = "2026-01-02T03:00:00Z";
    let error = on("replay", &["--from", now, "--to", now]).failed();
    assert!(error.contains("(invalid, field "), "{error}");
    let paused = on("pause", &[]).done();
    assert!(
        paused.contains("main of acme is paused; events wait"),
        "{paused}"
    );
}

#[test]
fn a_replay_is_asked_for_and_called_off() {
    let served = Served::start();
    served.destination(&create("main", "acme-audit")).done();
    let override_it = ["--override", "--reason", "a test"];
    let start = [&["start", "main", "--org", "acme"], &override_it[..]].concat();
    served.destination(&start).done();
    let started = served
        .destination(&["show", "main", "--org", "acme", "--json"])
        .json();
    // A range that ends with the hour that has just begun to be kept.
    let started = started["started"].as_str().unwrap();
    let words = [
        "replay", "main", "--org", "acme", "--json", "--to", started, "--from",
    ];
    let hour = format!("{}T00:00:00Z", started.split('T').next().unwrap());
    let asked = served.destination(&[&words[..], &[&hour]].concat()).json();
    let id = asked["id"].as_str().unwrap();
    let status = served
        .destination(&["status", "main", "--org", "acme"])
        .done();
    assert!(status.contains(id), "{status}");
    let cancelled = served
        .destination(&["cancel-replay", "main", id, "--org", "acme"])
        .done();
    assert!(cancelled.contains(id), "{cancelled}");
    let error = served
        .destination(&["cancel-replay", "main", "nope", "--org", "acme"])
        .failed();
    assert!(error.contains("(not_found, request "), "{error}");
}

#[test]
fn a_destination_is_removed_only_by_one_who_means_it() {
    let served = Served::start();
    served.destination(&create("main", "acme-audit")).done();
    let remove = ["remove", "main", "--org", "acme"];
    let error = served.destination(&remove).failed();
    assert!(error.contains("--yes"), "{error}");
    served
        .destination(&["show", "main", "--org", "acme"])
        .done();
    let done = served
        .destination(&[&remove[..], &["--yes"]].concat())
        .done();
    assert!(done.contains("objects in its bucket stay"), "{done}");
    let error = served
        .destination(&["show", "main", "--org", "acme"])
        .failed();
    assert!(
        error.contains("there is no ") && error.contains("(not_found, request "),
        "{error}"
    );
    let none = served.destination(&["list", "--org", "acme"]).done();
    assert!(none.contains("acme has no destination"), "{none}");
}

#[test]
fn what_the_api_refuses_is_told_with_its_field() {
    let served = Served::start();
    let key = ["--kms-key", "alias/mine"];
    let error = served
        .destination(&[&create("main", "acme-audit")[..], &key].concat())
        .failed();
    assert!(
        error.contains("(invalid, field kms_key_arn, request "),
        "{error}"
    );
    let error = served.destination(&create("main", "Acme")).failed();
    assert!(error.contains("field bucket"), "{error}");
    let elsewhere = served
        .destination(&["show", "main", "--org", "globex"])
        .failed();
    assert!(elsewhere.contains("not_found"), "{elsewhere}");
}

/// One more than a page has.
const MANY: usize = 101;

#[test]
fn an_import_brings_in_what_can_be_and_says_what_cannot_and_can_be_run_again() {
    let served = Served::start();
    let line = |number: usize| {
        json!({
            "organization": "acme",
            "id": format!("d{number:03}"),
            "bucket": format!("acme-{number:03}"),
            "region": "us-east-1",
            "authentication": {"type": "iam_role", "role_arn": ROLE},
        })
    };
    let mut lines: Vec<Value> = (1..=MANY).map(line).collect();
    lines[6]["bucket"] = json!("Not-A-Bucket");
    lines[7].as_object_mut().unwrap().remove("id");
    let mut text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    text[8] = "{\"id\": \"sEcReT".to_owned();
    let file = served.data().join("all.jsonl");
    std::fs::write(&file, text.join("\n")).unwrap();
    let import = ["import", file.to_str().unwrap()];
    let first = served.destination(&import);
    for wanted in [
        "line 1: d001 of acme created, ExternalId ",
        "line 7: d007 of acme FAILED: `bucket`",
        "field bucket, request ",
        "line 8: FAILED: field id: it is missing",
        "line 9: FAILED: it is no JSON",
        "line 101: d101 of acme created",
        "98 created, 0 unchanged, 3 failed",
    ] {
        assert!(first.out.contains(wanted), "{wanted}: {}", first.out);
    }
    assert!(!first.out.contains("sEcReT"));
    let error = first.failed();
    assert!(error.contains("3 of 101 could not be imported"), "{error}");

    // Mended, one of them changed, and now as an array.
    lines[6] = line(7);
    lines[7] = line(8);
    lines[8] = line(9);
    lines[9]["prefix"] = json!("elsewhere");
    std::fs::write(&file, Value::from(lines).to_string()).unwrap();
    let second = served.destination(&[&import[..], &["--json"]].concat());
    let told: Vec<Value> = second
        .out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let results = |wanted: &str| told.iter().filter(|line| line["result"] == wanted).count();
    assert_eq!(
        (results("created"), results("unchanged"), results("failed")),
        (3, 97, 1)
    );
    assert_eq!(told[9]["place"], "item 10");
    assert_eq!(told[9]["error"]["fields"], json!(["prefix"]));
    assert_eq!(told[0]["destination"]["id"], "d001");
    second.failed();

    // More than a page of them are listed.
    let all = served
        .destination(&["list", "--org", "acme", "--json"])
        .json();
    assert_eq!(all["objects"].as_array().unwrap().len(), MANY);
    assert_eq!(all["has_more"], false);
    let ids: Vec<&Value> = all["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["id"])
        .collect();
    assert!(ids.is_sorted_by_key(ToString::to_string));
    assert_eq!((ids[0], ids[MANY - 1]), (&json!("d001"), &json!("d101")));
}

#[test]
fn without_a_running_stack_it_is_said_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let words = ["destination", "list", "--org", "acme", "--data", data];
    let error = run(&words, &[], "").failed();
    assert!(error.contains("sealift serve --data"), "{error}");
    // A folder named by no option is `out`.
    let output = program()
        .args(["destination", "list", "--org", "acme"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("sealift serve --data out"),
        "{error}"
    );
}

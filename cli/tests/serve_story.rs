//! A reader who plays both sides against `sealift serve`: a customer who sets up a bucket and a role, at
//! first wrongly, and a platform that puts events.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, and take time and environment as they are"
)]

#[path = "serve_story/scene.rs"]
mod scene;

#[path = "serve_story/doors.rs"]
mod doors;

use std::time::Duration;

use serde_json::{Value, json};

use scene::{Served, wait_for};

const BUCKET: &str = "acme-audit";
const ROLE: &str = "arn:aws:iam::222222222222:role/acme-audit";

/// `sealift destination … main --org acme …`.
fn on<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["destination", command, "main", "--org", "acme"], more].concat()
}

/// The platform's events, by their numbers, one a line.
fn events(numbers: std::ops::Range<u32>) -> String {
    let event = |number| {
        let event = json!({
            "id": format!("event-{number}"),
            "created": "2026-05-12T23:48:21.627Z",
            "org_id": "acme",
            "event_type": "project.created",
        });
        format!("{event}\n")
    };
    numbers.map(event).collect()
}

/// The numbers of the platform's events in the customer's bucket, in the order that they stand there.
fn delivered(served: &Served) -> Vec<u32> {
    let number = |line: Value| line["id"].as_str()?.strip_prefix("event-")?.parse().ok();
    let lines = served.lines(BUCKET).into_iter();
    lines.filter_map(number).collect()
}

/// What a check found that does not find the destination healthy.
#[track_caller]
fn unhealthy(served: &Served, verdict: &str) -> Value {
    let printed = served.failed(&on("check", &["--json"]), "");
    // The complaint follows the answer.
    let answer = printed.get(..=printed.rfind('}').unwrap()).unwrap();
    let check: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(check["verdict"], verdict, "{printed}");
    check
}

/// The one statement that a check prints for a policy of the role, as a policy.
#[track_caller]
fn mended(check: &Value, policy: &str, beside: &[Value]) -> Value {
    let mend = check["report"]["mend"].as_array().unwrap();
    assert_eq!(mend.len(), 1, "{check}");
    assert_eq!(
        (&mend[0]["policy"], &mend[0]["of"]),
        (&json!(policy), &json!(ROLE))
    );
    let statements = [beside, &[mend[0]["statement"].clone()]].concat();
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// Gives the customer's role its policies.
#[track_caller]
fn give(served: &Served, folder: &std::path::Path, trust: &Value, permissions: &Value) {
    let file = folder.join("trust.json");
    std::fs::write(&file, trust.to_string()).unwrap();
    let trust = file.to_str().unwrap();
    let words = ["customer", "role", "acme-audit", "--trust", trust];
    let words = [&words[..], &["--permissions", "-"]].concat();
    let arn = served.done(&words, &permissions.to_string());
    assert_eq!(arn.trim(), ROLE);
}

#[test]
fn a_reader_sets_up_a_destination_mends_what_the_check_finds_and_gets_every_event_once_and_in_order()
 {
    let folder = tempfile::tempdir().unwrap();
    let (data, files) = (folder.path().join("out"), folder.path());
    std::fs::create_dir(&data).unwrap();
    let served = Served::start(&data);
    served.done(&["customer", "bucket", BUCKET], "");
    let to = ["--bucket", BUCKET, "--region", "us-east-1"];
    let create = [&to[..], &["--role-arn", ROLE, "--json"]].concat();
    let there: Value = serde_json::from_str(&served.done(&on("create", &create), "")).unwrap();

    // The role may look, and not write.
    let enter = |id: &Value, how: &str| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": there["principal_arn"]},
            "Action": "sts:AssumeRole",
            "Condition": {how: {"sts:ExternalId": id}},
        }]})
    };
    let trust = enter(&there["external_id"], "StringEquals");
    let look = json!({
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": format!("arn:aws:s3:::{BUCKET}"),
    });
    let looks = json!({"Version": "2012-10-17", "Statement": [look]});
    give(&served, files, &trust, &looks);
    let check = unhealthy(&served, "failing");
    let permissions = mended(&check, "permissions", &[look]);
    let refused = served.failed(&on("start", &[]), "");
    assert!(refused.contains("not_healthy"), "{refused}");

    // The printed statement lets it write; but now the role takes any ExternalId.
    give(
        &served,
        files,
        &enter(&json!("*"), "StringLike"),
        &permissions,
    );
    let check = unhealthy(&served, "unsafe");
    let refused = served.failed(&on("start", &[]), "");
    assert!(refused.contains("not_healthy"), "{refused}");
    give(&served, files, &mended(&check, "trust", &[]), &permissions);
    served.done(&on("check", &[]), "");

    served.done(&on("start", &[]), "");
    let put = ["events", "put", "-"];
    let told = served.done(&put, &events(0..25));
    assert!(told.contains("25 events are on the bus"), "{told}");
    wait_for("the first events", || {
        (delivered(&served).len() >= 25).then_some(())
    });

    // What comes during a pause waits, whatever becomes of the program.
    served.done(&on("pause", &[]), "");
    served.done(&put, &events(25..40));
    let waits = |served: &Served| {
        let status = served.done(&on("status", &["--json"]), "");
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["activity"] == "waiting").then_some(status)
    };
    wait_for("what waits", || waits(&served));
    // The last of them are on the bus, and not yet in the log.
    served.done(&put, &events(40..60));
    assert!(served.end("INT").success());
    let served = Served::start(&data);
    assert_eq!(waits(&served).unwrap()["state"], "paused");
    // Some times as long as a delivery takes.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(delivered(&served).len(), 25);

    served.done(&on("start", &[]), "");
    served.done(&put, &events(60..80));
    wait_for("the last events", || {
        (delivered(&served).len() >= 80).then_some(())
    });
    // Time for one that would come again.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(delivered(&served), (0..80).collect::<Vec<_>>());
    let status = served.done(&on("status", &[]), "");
    assert!(status.contains("up to date"), "{status}");
}

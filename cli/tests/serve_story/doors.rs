//! Who gets in, and what is taken from them.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::scene::{Served, run};

#[test]
fn an_address_that_others_reach_is_refused_with_the_reason() {
    for address in ["0.0.0.0:0", "192.0.2.1:8480", "[::]:0"] {
        let (ok, printed) = run(&["serve", "--listen", address], "");
        assert!(!ok, "{printed}");
        assert!(
            printed.contains("in the clear") && printed.contains("TLS"),
            "{printed}"
        );
    }
    let (ok, printed) = run(&["serve", "--listen", "8480"], "");
    assert!(!ok && printed.contains("127.0.0.1:8480"), "{printed}");
}

#[test]
fn commands_find_what_serves_by_a_file_that_its_owner_alone_reads_and_that_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let sign = served.sign();
    let mode = |sign: &std::path::Path| std::fs::metadata(sign).unwrap().permissions().mode();
    assert_eq!(mode(&sign) & 0o777, 0o600);
    let told: Value = serde_json::from_slice(&std::fs::read(&sign).unwrap()).unwrap();
    assert_eq!(told["format"], "sealift.serving/1");
    for word in ["url", "token", "endpoint_url"] {
        let value = told[word].as_str().unwrap();
        assert!(served.printed().contains(value), "{word}");
    }
    served.done(&["customer", "bucket", "acme-audit"], "");
    let bucket = ["customer", "bucket", "acme-logs"];
    let data = ["--data", folder.path().to_str().unwrap()];
    let words = [&bucket[..], &data[..]].concat();

    // One that is killed leaves its file.
    assert!(!served.end("KILL").success());
    assert!(sign.exists());
    let (ok, printed) = run(&words, "");
    assert!(!ok && printed.contains("nobody listens on"), "{printed}");
    // Whoever could read the one that was left reads nothing of the next.
    std::fs::set_permissions(&sign, PermissionsExt::from_mode(0o644)).unwrap();
    let served = Served::start(folder.path());
    assert_eq!(mode(&sign) & 0o777, 0o600);
    served.done(&bucket, "");
    let again = served.failed(&["customer", "bucket", "acme-audit"], "");
    assert!(again.contains("(conflict)"), "{again}");

    // One that is told to end takes it away.
    assert!(served.end("TERM").success());
    assert!(!sign.exists());
    let (ok, printed) = run(&words, "");
    assert!(
        !ok && printed.contains("no `sealift serve` runs"),
        "{printed}"
    );
}

#[test]
fn a_command_right_behind_the_start_waits_for_what_has_only_begun() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let words = ["customer", "bucket", "acme-audit", "--data"];
    let words = [&words[..], &[data.to_str().unwrap()]].concat();
    let (ok, printed) = std::thread::scope(|scope| {
        let command = scope.spawn(|| run(&words, ""));
        // It has found nothing by now, and looks on.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!command.is_finished());
        let served = Served::start(data);
        let ran = command.join().unwrap();
        drop(served);
        ran
    });
    assert!(ok, "{printed}");
    assert!(data.join("s3/acme-audit").is_dir());
    assert!(!data.join("serving.json.new").exists());
}

#[test]
fn nobody_plays_a_side_without_the_operators_token() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let bucket = json!({"bucket": "acme-audit", "account": "222222222222"});
    let role = json!({"role": "r", "account": "222222222222", "trust_policy": policy("*")});
    let keys = json!({"user": "u", "account": "222222222222", "permission_policy": policy("s3:*")});
    let events = json!({"entries": [{"source": "x", "detail_type": "x", "detail": "{}"}]});
    for (method, path, body) in [
        ("POST", "/embedded/buckets", bucket),
        ("PUT", "/embedded/roles", role),
        ("POST", "/embedded/keys", keys),
        ("POST", "/embedded/events", events),
    ] {
        for token in [None, Some("another")] {
            let (status, answer) = served.call_as(token, method, path, &body);
            assert_eq!(status, 401, "{path}: {answer}");
            assert_eq!(answer["error"]["code"], "unauthenticated");
        }
    }
    assert!(!folder.path().join("s3/acme-audit").exists());
}

#[test]
fn what_cannot_be_used_is_refused_with_the_name_of_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let account = "222222222222";
    let event = json!({"source": "x", "detail_type": "x", "detail": "{}"});
    let many = vec![event; 11];
    for (method, path, body, field) in [
        (
            "POST",
            "buckets",
            json!({"bucket": "No", "account": account}),
            "bucket",
        ),
        (
            "POST",
            "buckets",
            json!({"bucket": "acme-audit", "account": "2"}),
            "account",
        ),
        (
            "POST",
            "buckets",
            json!({"bucket": "acme-audit"}),
            "account",
        ),
        (
            "POST",
            "buckets",
            json!({"bucket": "a-b-c", "account": account, "owner": 1}),
            "owner",
        ),
        (
            "PUT",
            "roles",
            json!({"role": "a role", "account": account, "trust_policy": policy("*")}),
            "role",
        ),
        (
            "PUT",
            "roles",
            json!({"role": "sealift-principal", "account": "123456789012", "trust_policy": {}}),
            "role",
        ),
        (
            "PUT",
            "roles",
            json!({"role": "r", "account": account}),
            "trust_policy",
        ),
        (
            "PUT",
            "roles",
            json!({"role": "r", "account": account, "trust_policy": {"Statement": [{"Effect": "Perhaps"}]}}),
            "Perhaps",
        ),
        (
            "POST",
            "keys",
            json!({"user": "u", "account": account}),
            "permission_policy",
        ),
        (
            "POST",
            "keys",
            json!({"user": "a user", "account": account, "permission_policy": policy("s3:*")}),
            "`user`",
        ),
        ("POST", "events", json!({"entries": many}), "entries"),
        (
            "POST",
            "events",
            json!({"entries": [{"source": "x"}]}),
            "detail_type",
        ),
    ] {
        let (status, answer) = served.call(method, &format!("/embedded/{path}"), &body);
        assert!((400..500).contains(&status), "{body}: {status} {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{body}: {message}");
    }
}

#[test]
fn a_pair_of_keys_is_told_once_and_the_destination_that_takes_it_is_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    served.done(&["customer", "bucket", "acme-audit"], "");
    let may = policy("s3:*").to_string();
    let printed = served.done(&["customer", "keys", "writer", "--permissions", "-"], &may);
    let values: Vec<&str> = printed
        .lines()
        .filter_map(|line| Some(line.strip_prefix("export SEALIFT_")?.split_once('=')?.1))
        .collect();
    let create = [
        "destination",
        "create",
        "main",
        "--org",
        "acme",
        "--access-keys",
    ];
    let to = ["--bucket", "acme-audit", "--region", "us-east-1"];
    // In place of the variables they are read from standard input.
    served.done(&[&create[..], &to[..]].concat(), &values.join("\n"));
    served.done(&["destination", "check", "main", "--org", "acme"], "");
    let other = served.failed(&["customer", "keys", "writer", "--permissions", "-"], "[]");
    assert!(!other.contains(values[1]), "{other}");
}

#[test]
fn a_file_with_an_event_that_cannot_be_used_is_refused_with_its_line_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let event = |id: &str| json!({"id": id, "created": "2026-05-12T23:48:21Z", "org_id": "acme", "event_type": "a.b"});
    let mut nameless = event("1");
    nameless.as_object_mut().unwrap().remove("org_id");
    let put = ["events", "put", "-"];
    let text = format!("{}\n\n{nameless}\n", event("1"));
    let refused = served.failed(&put, &text);
    assert!(
        refused.contains("line 3")
            && refused.contains("org_id")
            && refused.contains("nothing was sent"),
        "{refused}"
    );
    let refused = served.failed(&put, &json!([event("1"), event("2"), nameless]).to_string());
    assert!(
        refused.contains("event 3") && refused.contains("org_id"),
        "{refused}"
    );
    let told = served.done(&put, &json!([event("1"), event("2")]).to_string());
    assert!(told.contains("2 events are on the bus"), "{told}");
}

/// A policy that allows one thing.
fn policy(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": "*"},
    ]})
}

//! No secret is in an answer, on a standard stream, in the log, or in a file but the vault's: the
//! whole life of a destination that is entered by access keys, and a search of all that came of it.
//!
//! `sealift serve` runs as a process that logs all it can (`--log trace`); in between the same folder's stack
//! runs in this process, logging as much. What is looked for are both halves of each pair, wrong
//! and pasted secrets, and the operator's token, in any form that [`search`] knows; what must
//! be found by the same search is a marker in each of the places.
//!
//! One exception: at `trace`, and there alone, AWS's SDK logs the ids of the access keys that it is
//! given, which AWS does not take for secrets. Ids are looked for in all other lines.
//!
//! The embedded AWS keeps its users' keys in `iam/registry.json`, as AWS itself would: with the
//! vault it is the only file that may hold them. The operator's token is printed at the start, and stands
//! in `serving.json` by which commands find what serves, for its owner alone to read.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]
#![cfg(unix)]

#[path = "secrets/scene.rs"]
mod scene;
#[path = "secrets/search.rs"]
mod search;
#[path = "secrets/wrong.rs"]
mod wrong;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Mutex;

use sealift_core::ports::Clock as _;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use self::scene::{
    BUCKET, Keys, PREFIX, ROLE, Serving, create_user, let_in, pass, put, set_up, stack, stop,
    vault, wait_for_entries,
};
use self::search::{Sought, everything_in};
use self::wrong::{call_wrongly, export};

/// The file by which commands find what serves.
const SIGN: &str = "serving.json";

const FIRST: Keys = Keys {
    id: "AKIAQFIRSTPAIR4417X2",
    secret: "f1RsTpAiR/0aB9cD8eF7gH6+iJ5kL4mN3oP2qR1s",
};
const SECOND: Keys = Keys {
    id: "AKIAQSECONDPAIR8R5T3",
    secret: "sEcOnDpAiR/9zY8xW7vU6tS5+rQ4pO3nM2lK1jI0",
};
/// Not the second pair's secret.
const WRONG: Keys = Keys {
    id: SECOND.id,
    secret: "wRoNgSeCrEt/2bC3dE4fG5hI6+jK7lM8nO9pQ0rS",
};
/// A pair of which AWS knows nothing.
const UNKNOWN: Keys = Keys {
    id: "AKIAQUNKNOWNPAIR6W7Z",
    secret: "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",
};
/// Pasted where it does not belong: a secret key of AWS, one of another S3, one of Braintrust.
const PASTED: [&str; 3] = [
    "PaStEdKeY/4kJ5hG6fD7sA8+qW9eR0tY1uI2oP3z",
    "9f2c71d05be84a36c1f7e90b2d48a65317ce8f40b9d2a6e51384c70fb6ed2913",
    "sk-PaStEdApIkEy7Qw3Er5Ty9Ui1Op2As4Df6Gh8Jk0",
];

const ALL: &str = "/v1/organizations/acme/destinations";
const MAIN: &str = "/v1/organizations/acme/destinations/marker-main";
const AUTOMATIONS: &str = "/v1/project_automation";

/// Which of the secrets the vault holds.
fn vaulted(data: &Path) -> Vec<&'static str> {
    let files = vault(data);
    let text: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let halves = [
        FIRST.id,
        FIRST.secret,
        SECOND.id,
        SECOND.secret,
        WRONG.secret,
        UNKNOWN.id,
    ];
    halves
        .into_iter()
        .filter(|half| text.contains(half))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a life is told in order")]
async fn no_secret_is_anywhere_but_in_the_vault_after_the_whole_life_of_a_destination() {
    let folder = tempfile::tempdir().unwrap();
    let (data, printed) = (folder.path().join("data"), folder.path().join("printed"));
    std::fs::create_dir(&printed).unwrap();
    let log = std::fs::File::create(printed.join("here.err")).unwrap();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("trace,s3s=off"))
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .init();
    let said = RefCell::new(String::new());
    let (mut tokens, mut requests) = (Vec::new(), Vec::new());
    set_up(&data, &[FIRST, SECOND]).await;

    // By access keys: created, checked, started, and others given, none of which work but the last.
    let api = Serving::start(&data, &printed.join("first"), &said);
    tokens.push(api.token.clone());
    let new = json!({
        "id": "marker-main", "bucket": BUCKET, "region": "us-east-1", "prefix": PREFIX,
        "authentication": FIRST.authentication(),
    });
    let created = api.must(201, "POST", ALL, &new);
    let external_id = created.body["external_id"].as_str().unwrap().to_owned();
    requests.push(created.request_id);
    assert_eq!(vaulted(&data), [FIRST.id, FIRST.secret]);
    let check = api.must(200, "POST", &format!("{MAIN}/check"), &Value::Null);
    assert_eq!(check.body["verdict"], "healthy", "{}", check.text);
    let reason = json!({"reason": format!("for secret_access_key={}", PASTED[0])});
    api.must(200, "POST", &format!("{MAIN}/start"), &reason);
    for keys in [WRONG, UNKNOWN] {
        let change = json!({"authentication": keys.authentication()});
        let answer = api.must(409, "PATCH", MAIN, &change);
        assert_eq!(
            answer.body["error"]["code"], "not_healthy",
            "{}",
            answer.text
        );
    }
    assert_eq!(vaulted(&data), [FIRST.id, FIRST.secret]);
    call_wrongly(&api);
    let second = json!({"authentication": SECOND.authentication()});
    api.must(200, "PATCH", MAIN, &second);
    assert_eq!(vaulted(&data), [SECOND.id, SECOND.secret]);
    api.must(200, "POST", AUTOMATIONS, &export("marker-export"));
    wait_for_entries(&data, "destination.credentials_replaced", 1);
    drop(api);

    // Events arrive by the second pair, and then do not, since its owner has taken it back.
    let here = stack(&data).await;
    let_in(&here, &external_id);
    put(&here, "marker-of-an-event").await;
    let delivered = everything_in(&data.join("s3").join(BUCKET), &[]);
    assert!(delivered.contains("marker-of-an-event"), "{delivered}");
    here.aws.iam().delete_user(SECOND.id).unwrap();
    put(&here, "marker-of-another").await;
    stop(here).await;

    // The failure is told; a role takes over, and access keys again.
    let api = Serving::start(&data, &printed.join("second"), &said);
    tokens.push(api.token.clone());
    let status = api.must(200, "GET", &format!("{MAIN}/status"), &Value::Null);
    assert!(
        status.text.contains("InvalidAccessKeyId"),
        "{}",
        status.text
    );
    let role = json!({"authentication": {"type": "iam_role", "role_arn": ROLE}});
    api.must(200, "PATCH", MAIN, &role);
    assert_eq!(vaulted(&data), [""; 0], "a role needs no keys");
    api.must(
        200,
        "PATCH",
        MAIN,
        &json!({"authentication": FIRST.authentication()}),
    );
    assert_eq!(vaulted(&data), [FIRST.id, FIRST.secret]);
    let now = sealift_aws::SystemClock.now();
    let hours = |hours: i64| {
        let second = now.as_second() + hours * 3600;
        sealift_core::Timestamp::from_second(second)
            .unwrap()
            .to_string()
    };
    let range = json!({"from": hours(-2), "to": hours(2)});
    requests.push(
        api.must(201, "POST", &format!("{MAIN}/replay"), &range)
            .request_id,
    );
    api.must(200, "GET", ALL, &Value::Null);
    wait_for_entries(&data, "destination.replay_begun", 1);
    drop(api);

    let here = stack(&data).await;
    create_user(&here, SECOND);
    pass(&here).await;
    stop(here).await;
    let delivered = everything_in(&data.join("s3").join(BUCKET), &[]);
    assert!(delivered.contains("_replays/"), "{delivered}");
    assert!(delivered.contains("marker-of-another"), "{delivered}");

    let registry = data.join("iam/registry.json");
    let but = [registry, data.join("vault"), data.join(SIGN)];
    let lived = everything_in(&data, &but);

    // Paused and removed.
    let api = Serving::start(&data, &printed.join("third"), &said);
    tokens.push(api.token.clone());
    api.must(200, "GET", &format!("{MAIN}/status"), &Value::Null);
    api.must(200, "POST", &format!("{MAIN}/pause"), &Value::Null);
    assert_eq!(vaulted(&data), [FIRST.id, FIRST.secret]);
    requests.push(api.must(204, "DELETE", MAIN, &Value::Null).request_id);
    assert_eq!(
        vault(&data),
        [""; 0].map(std::path::PathBuf::from),
        "removed, and its keys left"
    );
    wait_for_entries(&data, "destination.deleted", 1);
    drop(api);

    let said = said.take();
    search_all(&data, &lived, (&said, &printed), &tokens, &requests);
}

/// Looks for every secret in every place, and for what must be there.
fn search_all(
    data: &Path,
    lived: &str,
    (said, printed): (&str, &Path),
    tokens: &[String],
    requests: &[String],
) {
    let registry = data.join("iam/registry.json");
    let (mut out, mut log) = (String::new(), String::new());
    for name in ["first", "second", "third", "here"] {
        let read =
            |extension: &str| std::fs::read_to_string(printed.join(name).with_extension(extension));
        out.push_str(&read("out").unwrap_or_default());
        log.push_str(&read("err").unwrap());
    }
    let ours = |line: &&str| !line.contains(" aws_");
    let of_ours: String = log.lines().filter(ours).collect();
    let places = [
        ("logs of ours", of_ours),
        ("answers", said.to_owned()),
        ("standard output", out),
        ("logs", log),
        ("folder before the removal", lived.to_owned()),
        ("state", everything_in(&data.join("s3/sealift-state"), &[])),
        (
            "audit log",
            everything_in(&data.join("s3/sealift-log"), &[]),
        ),
        (
            "customer's bucket",
            everything_in(&data.join("s3").join(BUCKET), &[]),
        ),
        (
            "folder",
            everything_in(data, &[registry.clone(), data.join(SIGN)]),
        ),
        (
            "serving.json",
            std::fs::read_to_string(data.join(SIGN)).unwrap(),
        ),
    ];
    // Each place is one that a secret would be found in, were it there.
    let planted = [
        ("answers", PREFIX),
        ("standard output", tokens[0].as_str()),
        ("logs", requests[0].as_str()),
        ("logs", requests[1].as_str()),
        ("logs", requests[2].as_str()),
        ("logs", "marker-main"),
        ("logs of ours", requests[0].as_str()),
        ("logs of ours", "marker-main"),
        ("folder before the removal", PREFIX),
        ("state", "marker-suffix"),
        ("audit log", "marker-of-an-event"),
        ("audit log", "destination.deleted"),
        ("customer's bucket", "marker-of-an-event"),
        ("customer's bucket", "destination.credentials_replaced"),
        ("folder", "marker-of-an-event"),
        ("serving.json", tokens.last().unwrap()),
    ];
    for (place, marker) in planted {
        let text = &places.iter().find(|(name, _)| *name == place).unwrap().1;
        let sought = Sought::of("marker", marker);
        let found = sought.found_in(text).map(|(form, _)| form);
        assert_eq!(found, Some("plain"), "no {marker} in the {place}");
    }
    let users = std::fs::read_to_string(&registry).unwrap();
    let secret = Sought::of("first secret", FIRST.secret);
    let found = secret.found_in(&users).map(|(form, _)| form);
    assert_eq!(found, Some("plain"), "the search finds what is there");

    let mut secrets = vec![
        Sought::of("first id", FIRST.id),
        secret,
        Sought::of("second id", SECOND.id),
        Sought::of("second secret", SECOND.secret),
        Sought::of("wrong secret", WRONG.secret),
        Sought::of("unknown id", UNKNOWN.id),
        Sought::of("unknown secret", UNKNOWN.secret),
    ];
    secrets.extend(PASTED.map(|pasted| Sought::of("pasted secret", pasted)));
    let token = |token: &String| Sought::of("operator's token", token);
    let tokens: Vec<Sought> = tokens.iter().map(token).collect();
    let mut shown = Vec::new();
    for (place, text) in &places {
        let also = if ["standard output", "serving.json"].contains(place) {
            &[]
        } else {
            tokens.as_slice()
        };
        for secret in secrets.iter().chain(also) {
            if *place == "logs" && secret.name.ends_with(" id") {
                continue;
            }
            if let Some((form, before)) = secret.found_in(text) {
                shown.push(format!(
                    "{} in the {place}, {form}, after {before}",
                    secret.name
                ));
            }
        }
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

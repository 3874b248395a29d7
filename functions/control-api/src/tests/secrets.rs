//! No secret is in an answer, a line of the log, an audit entry, or the state.

use std::fmt::Write;

use serde_json::{Value, json};

use super::scene::{ADMIN, BASE, MAIN, READER, Scene, Who, new};

const SECRETS: [&str; 6] = [
    "AKIAFIRSTPAIR1234567",
    "fIrStSeCrEtKeY/7c41+aaaaaaaaaaaaaaaaaaaa",
    "AKIASECONDPAIR987654",
    "sEcOnDsEcReTkEy/9e02+bbbbbbbbbbbbbbbbbbb",
    "Wr0ngPlAcE/secret+cccccccccccccccccccccc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
];

fn by_keys(pair: usize) -> Value {
    json!({
        "type": "access_keys",
        "access_key_id": SECRETS[pair], "secret_access_key": SECRETS[pair + 1],
    })
}

#[test]
fn a_full_run_shows_no_secret_anywhere() {
    let scene = Scene::new();
    let mut said = String::new();
    let mut call = |who: Who<'_>, method: &str, path: &str, body: Value| {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut event = super::scene::event(who, method, path, &text);
        event["headers"]["authorization"] = json!(format!("Bearer {}", SECRETS[5]));
        event["headers"]["cookie"] = json!(format!("session={}", SECRETS[5]));
        let answer = scene.send(&event);
        let shown = SECRETS.iter().find(|secret| answer.text.contains(**secret));
        assert_eq!(shown, None, "{method} {path} {body}: {}", answer.text);
        said.push_str(&answer.text);
        writeln!(said, "{:?}", answer.headers).unwrap();
        answer.status
    };
    let mut body = new("main");
    body["authentication"] = by_keys(0);
    assert_eq!(call(ADMIN, "POST", BASE, body.clone()), 201);
    // Whether the keys are the same is not told.
    assert_eq!(call(ADMIN, "POST", BASE, body), 409);
    assert_eq!(
        call(ADMIN, "POST", &format!("{MAIN}/check"), Value::Null),
        200
    );
    assert_eq!(
        call(ADMIN, "POST", &format!("{MAIN}/start"), Value::Null),
        200
    );
    let second = json!({"authentication": by_keys(2)});
    assert_eq!(call(ADMIN, "PATCH", MAIN, second.clone()), 200);
    assert_eq!(call(READER, "PATCH", MAIN, second.clone()), 403);
    assert_eq!(
        call(Who::Admin("globex"), "PATCH", MAIN, second.clone()),
        404
    );
    assert_eq!(call(READER, "GET", MAIN, Value::Null), 200);
    assert_eq!(
        call(READER, "GET", &format!("{MAIN}/status"), Value::Null),
        200
    );
    let role = json!({"authentication": {"type": "iam_role", "role_arn": "arn:aws:iam::222222222222:role/audit"}});
    assert_eq!(call(ADMIN, "PATCH", MAIN, role), 200);
    assert_eq!(call(ADMIN, "PATCH", MAIN, second), 200);

    // Pasted into the wrong place, or as the wrong type.
    let wrong = SECRETS[4];
    for body in [
        json!({"authentication": wrong}),
        json!({"authentication": {"type": wrong}}),
        json!({"authentication": [wrong]}),
        json!({"authentication": {"type": "access_keys", "access_key_id": {"is": wrong}, "secret_access_key": [wrong]}}),
        json!({"authentication": {"type": "access_keys", "access_key_id": "AKIA", "secret_access_key": format!("{wrong}\n")}}),
        json!({"path_style": wrong}),
        json!({"checksum": wrong}),
        json!({"included_events": wrong}),
        json!(wrong),
        json!([wrong]),
    ] {
        assert_eq!(call(ADMIN, "PATCH", MAIN, body.clone()), 400, "{body}");
    }
    assert_eq!(call(ADMIN, "DELETE", MAIN, Value::Null), 204);

    let logged = scene.logged();
    let entries = format!("{:?}", scene.bus.entries());
    let mut state = String::new();
    for store in [&scene.state, &scene.log] {
        for key in store.keys() {
            let object = store.get_now(&key).unwrap();
            let text = String::from_utf8_lossy(&object.bytes);
            writeln!(state, "{key} {text}").unwrap();
        }
    }
    assert!(
        logged.contains(MAIN.trim_end_matches("acme/destinations/main")) && entries.len() > 1000
    );
    assert!(state.len() > 500 && said.len() > 5000);
    for secret in SECRETS {
        for (place, text) in [
            ("answers", &said),
            ("log", &logged),
            ("entries", &entries),
            ("state", &state),
        ] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
    assert_eq!(scene.vault.names(), [], "removed, and its keys left");
}

//! The types of the document and those of the core, held against each other.

use std::collections::BTreeSet;

use sealift_core::check::{
    Advice, CheckReport, Fingerprint, Mend, Outcome, PolicyKind, Row, Step, Verdict, Who,
};
use sealift_core::control::{
    Activity, AuthenticationView, CheckSummary, CheckView, DestinationUpdate, DestinationView,
    ExpiryView, Fault, FreshnessView, GapView, HeldView, Issue, NewDestination, Page, PageRequest,
    ReplayProgress, ReplayRequest, ReplayView, StartRequest, State, StatusView,
};
use sealift_core::delivery::{Counts, GapReason, LeftReason, Position};
use sealift_core::destination::HeldReason;
use sealift_core::id::{AccountId, DestinationId, OrgId, ReplayId, RoleArn, Sequence};
use sealift_core::ports::Failure;
use sealift_core::selection::Selection;
use sealift_testkit::SeededEntropy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::scene::{Scene, assert_valid, openapi};
use crate::schema;

fn now() -> String {
    "2025-11-21T08:00:00.000Z".to_owned()
}

fn failure() -> Failure {
    Failure {
        operation: "PutObject".to_owned(),
        target: "acme-audit".to_owned(),
        code: "AccessDenied".to_owned(),
        message: "denied".to_owned(),
        request_id: "1".to_owned(),
    }
}

fn held() -> HeldView {
    HeldView {
        reason: HeldReason::Unsafe,
        since: now(),
        message: "mend it",
    }
}

/// A destination whose connection is asked for, to have a fingerprint of one.
fn fingerprint() -> Fingerprint {
    let scene = Scene::new();
    scene.stream("acme", "main");
    Fingerprint::of(&scene.checks.asked()[0])
}

fn check(full: bool) -> CheckView {
    let statement = json!({
        "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::acme-audit/*",
    });
    let mend = Mend {
        policy: PolicyKind::Permissions,
        of: "arn:aws:iam::222222222222:role/audit".to_owned(),
        statement: serde_json::from_value(statement).unwrap(),
    };
    let advice = Advice {
        who: Who::Customer,
        what: "add it".to_owned(),
    };
    let text = |text: &str| if full { text.to_owned() } else { String::new() };
    let row = Row {
        step: Step::PutObject,
        permission: full.then(|| "s3:PutObject".to_owned()),
        wanted: Outcome::Allowed,
        outcome: Outcome::Denied,
        code: text("AccessDenied"),
        message: text("denied"),
        request_id: text("1"),
    };
    let report = CheckReport {
        at_ms: 1,
        fingerprint: fingerprint(),
        verdict: Verdict::Failing,
        problem: full.then_some(sealift_core::check::Problem::WriteDenied),
        matrix: vec![row],
        cause: "it is denied".to_owned(),
        advice: full.then_some(advice),
        mend: full.then_some(mend).into_iter().collect(),
        warnings: full.then(|| "slow".to_owned()).into_iter().collect(),
        checksum: full.then_some(true),
        path_style: full.then_some(true),
    };
    CheckView {
        checked: now(),
        verdict: Verdict::Failing,
        current: true,
        report: serde_json::to_value(report).unwrap(),
    }
}

fn destination(full: bool) -> DestinationView {
    let text = |text: &str| full.then(|| text.to_owned());
    let authentication = match full {
        true => AuthenticationView::IamRole {
            role_arn: RoleArn::parse("arn:aws:iam::222222222222:role/audit").unwrap(),
            bucket_owner: AccountId::parse("222222222222").ok(),
        },
        false => AuthenticationView::AccessKeys,
    };
    let time = full.then(now);
    DestinationView {
        id: DestinationId::parse("main").unwrap(),
        organization: OrgId::parse("acme").unwrap(),
        status: "streaming",
        created: time.clone(),
        updated: time.clone(),
        started: time,
        held: full.then(held),
        endpoint: text("https://s3.example.com"),
        bucket: "acme-audit".to_owned(),
        region: "eu-central-1".to_owned(),
        prefix: "audit-events/".to_owned(),
        path_style: full,
        authentication,
        principal_arn: RoleArn::parse("arn:aws:iam::111111111111:role/principal").unwrap(),
        external_id: "x".repeat(64),
        included_events: Selection::parse(full.then_some("identity")).unwrap(),
        kms_key_arn: text("arn:aws:kms:eu-central-1:222222222222:key/1"),
        storage_class: text("STANDARD_IA"),
        checksum: full.then_some(true),
        last_check: full.then(|| CheckSummary {
            checked: now(),
            verdict: Verdict::Healthy,
            current: true,
        }),
    }
}

fn replay(full: bool) -> ReplayView {
    ReplayView {
        id: ReplayId::generate(&SeededEntropy::new(1)),
        from: now(),
        to: now(),
        requested: now(),
        state: "running",
        prefix: "audit-events/_replays/1/".to_owned(),
        progress: full.then_some(ReplayProgress {
            passed_segments: 1,
            segments: 2,
        }),
        counts: Counts::default(),
        failure: full.then(failure),
        ended: full.then(now),
    }
}

fn status(full: bool) -> StatusView {
    let position = Position {
        epoch: "e".to_owned(),
        next: Sequence(7),
    };
    let issue = Issue {
        operation: "PutObject".to_owned(),
        target: "acme-audit".to_owned(),
        code: "AccessDenied".to_owned(),
        message: "denied".to_owned(),
        request_id: "1".to_owned(),
        fault: Fault::Customer,
        advice: "allow it".to_owned(),
        attempts: 3,
        next_try: full.then(now),
    };
    let gap = GapView {
        first: 1,
        last: full.then_some(2),
        from: full.then(now),
        to: full.then(now),
        noticed: now(),
        reason: GapReason::Expired,
    };
    StatusView {
        id: DestinationId::parse("main").unwrap(),
        organization: OrgId::parse("acme").unwrap(),
        state: State::Failing,
        activity: Activity::Stuck,
        summary: "it is stuck".to_owned(),
        issue: full.then_some(issue),
        held: full.then(held),
        events_seen: 1,
        counts: Counts::default(),
        delivered: full.then(now),
        position: full.then(|| position.clone()),
        log_end: full.then_some(position),
        lag_segments: 1,
        catching_up: full.then_some(LeftReason::StartsInPast),
        oldest_waiting: full.then(now),
        oldest_age_seconds: full.then_some(1),
        freshness: FreshnessView {
            p50_ms: full.then_some(1),
            p95_ms: full.then_some(2),
            events: 3,
        },
        expiry: full.then(|| ExpiryView {
            promised_until: now(),
            kept_until: now(),
            days_left: 7,
            warns: true,
        }),
        gaps: vec![gap],
        replays: vec![replay(full)],
        last_check: full.then(|| check(full)),
    }
}

/// What the core writes has the document's form, and nothing of it is lost in the document's types.
fn same<T: DeserializeOwned + Serialize>(name: &str, written: &impl Serialize) -> Value {
    let written = serde_json::to_value(written).unwrap();
    assert_valid(name, &written);
    let read: T = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), written, "{name}");
    written
}

/// The fields of an object, and that none of the document is missing in it.
fn has_all_fields(name: &str, written: &Value) {
    let properties = &openapi()["components"]["schemas"][name]["properties"];
    let described: BTreeSet<_> = properties.as_object().unwrap().keys().collect();
    let there: BTreeSet<_> = written.as_object().unwrap().keys().collect();
    assert_eq!(there, described, "{name}");
}

#[test]
fn answers_have_the_fields_of_the_document_and_it_has_no_others() {
    for full in [true, false] {
        let page = Page {
            objects: vec![destination(full)],
            has_more: full,
        };
        let page = same::<schema::Page>("Page", &page);
        let destination = same::<schema::Destination>("Destination", &destination(full));
        let check = same::<schema::Check>("Check", &check(full));
        let replay = same::<schema::Replay>("Replay", &replay(full));
        let status = same::<schema::Status>("Status", &status(full));
        if !full {
            continue;
        }
        for (name, written) in [
            ("Page", &page),
            ("Destination", &destination),
            ("Held", &destination["held"]),
            ("CheckSummary", &destination["last_check"]),
            ("Check", &check),
            ("CheckReport", &check["report"]),
            ("CheckRow", &check["report"]["matrix"][0]),
            ("Advice", &check["report"]["advice"]),
            ("Mend", &check["report"]["mend"][0]),
            ("Replay", &replay),
            ("ReplayProgress", &replay["progress"]),
            ("Counts", &replay["counts"]),
            ("Failure", &replay["failure"]),
            ("Status", &status),
            ("Issue", &status["issue"]),
            ("Position", &status["position"]),
            ("Freshness", &status["freshness"]),
            ("Expiry", &status["expiry"]),
            ("Gap", &status["gaps"][0]),
        ] {
            has_all_fields(name, written);
        }
    }
}

/// The words that a type of the core has are those of the document's.
fn same_words<T: Serialize>(name: &str, words: &[T]) {
    let described = &openapi()["components"]["schemas"][name];
    let described = match described["enum"].as_array() {
        Some(words) => words.clone(),
        // One with a description for each word.
        None => described["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word["enum"][0].clone())
            .collect(),
    };
    let described: BTreeSet<_> = described.iter().map(Value::to_string).collect();
    let words: BTreeSet<_> = words
        .iter()
        .map(|word| serde_json::to_value(word).unwrap().to_string())
        .collect();
    assert_eq!(words, described, "{name}");
}

#[test]
fn words_are_the_same() {
    same_words(
        "Verdict",
        &[
            Verdict::Healthy,
            Verdict::Unsafe,
            Verdict::Failing,
            Verdict::Unknown,
        ],
    );
    same_words(
        "Outcome",
        &[
            Outcome::Allowed,
            Outcome::Denied,
            Outcome::Unknown,
            Outcome::Skipped,
        ],
    );
    same_words("Who", &[Who::Customer, Who::Operator, Who::Nobody]);
    same_words(
        "PolicyKind",
        &[
            PolicyKind::Trust,
            PolicyKind::Permissions,
            PolicyKind::Bucket,
            PolicyKind::Key,
        ],
    );
    same_words(
        "State",
        &[
            State::NeverStarted,
            State::Streaming,
            State::Paused,
            State::Failing,
            State::Unsafe,
        ],
    );
    same_words(
        "Activity",
        &[
            Activity::None,
            Activity::NothingYet,
            Activity::UpToDate,
            Activity::Delivering,
            Activity::Waiting,
            Activity::Stuck,
        ],
    );
    same_words("Fault", &[Fault::Passing, Fault::Customer, Fault::Operator]);
    same_words(
        "ReplayState",
        &["waiting", "running", "done", "cancelled", "failed"],
    );
    same_words(
        "DestinationState",
        &["never_started", "streaming", "paused", "unsafe"],
    );
}

/// The fields that a type reads, by what it says of one that it does not know.
fn fields_of<T: DeserializeOwned>(mut body: Value) -> BTreeSet<String> {
    body["no-such-field"] = json!(1);
    let Err(error) = serde_json::from_value::<T>(body) else {
        panic!("it reads anything");
    };
    let text = error.to_string();
    let (_, known) = text.split_once("expected ").unwrap();
    let known = known.split('`').skip(1).step_by(2);
    // Known to be refused, with its reason.
    known
        .filter(|name| *name != "external_id")
        .map(str::to_owned)
        .collect()
}

#[test]
fn bodies_have_the_fields_that_are_read_and_no_others() {
    assert_eq!(
        fields_of::<NewDestination>(json!({})),
        fields_of::<schema::NewDestination>(json!({}))
    );
    assert_eq!(
        fields_of::<DestinationUpdate>(json!({})),
        fields_of::<schema::DestinationUpdate>(json!({}))
    );
    assert_eq!(
        fields_of::<StartRequest>(json!({})),
        fields_of::<schema::StartRequest>(json!({}))
    );
    assert_eq!(
        fields_of::<ReplayRequest>(json!({})),
        fields_of::<schema::ReplayRequest>(json!({}))
    );
    assert_eq!(
        fields_of::<PageRequest>(json!({})),
        fields_of::<schema::PageRequest>(json!({}))
    );
    for kind in ["iam_role", "access_keys"] {
        let body = json!({"type": kind});
        assert_eq!(
            fields_of::<sealift_core::control::Authentication>(body.clone()),
            fields_of::<schema::Authentication>(body),
            "{kind}"
        );
    }
}

/// What the document takes, the core reads.
fn read<D: Serialize + for<'de> Deserialize<'de>, T: DeserializeOwned>(name: &str, body: &Value) {
    assert_valid(name, body);
    let described: D = serde_json::from_value(body.clone()).unwrap();
    let whole = serde_json::to_value(described).unwrap();
    for body in [body.clone(), whole] {
        assert!(
            serde_json::from_value::<T>(body.clone()).is_ok(),
            "{name}: {body}"
        );
    }
}

#[test]
fn a_body_of_the_document_is_read() {
    let role = json!({"type": "iam_role", "role_arn": "r", "bucket_owner": "1"});
    let keys = json!({"type": "access_keys", "access_key_id": "a", "secret_access_key": "b"});
    let whole = json!({
        "id": "main", "endpoint": "https://s3.example", "bucket": "b", "region": "r", "prefix": "p/",
        "path_style": true, "authentication": role, "included_events": ["identity"],
        "kms_key_arn": "k", "storage_class": "c", "checksum": true,
    });
    read::<schema::NewDestination, NewDestination>("NewDestination", &whole);
    let least = json!({"bucket": "b", "region": "r", "authentication": keys});
    read::<schema::NewDestination, NewDestination>("NewDestination", &least);
    let mut update = whole;
    update.as_object_mut().unwrap().remove("id");
    for field in ["endpoint", "kms_key_arn", "storage_class", "checksum"] {
        update[field] = Value::Null;
    }
    read::<schema::DestinationUpdate, DestinationUpdate>("DestinationUpdate", &update);
    read::<schema::DestinationUpdate, DestinationUpdate>("DestinationUpdate", &json!({}));
    let start = json!({"start_at": "2025-11-21T08:00:00Z", "override_check": true, "reason": "x"});
    read::<schema::StartRequest, StartRequest>("StartRequest", &start);
    read::<schema::StartRequest, StartRequest>("StartRequest", &json!({}));
    let range = json!({"from": "2025-11-20T00:00:00Z", "to": "2025-11-21T00:00:00Z"});
    read::<schema::ReplayRequest, ReplayRequest>("ReplayRequest", &range);
}

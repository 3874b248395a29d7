//! The audit log: what is asked, how entries are read, and what is made of refusals. At the end
//! the embedded data plane is asked.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealift_braintrust::Settings;
use sealift_braintrust::audit_log::{AuditLogClient, MOST_ROWS};
use sealift_core::export::source::SourceError;
use sealift_core::id::OrgId;
use sealift_core::relay::{AuditEntry, AuditLog, AuditPage, AuditQuery};
use sealift_embedded::braintrust::faults::{Effect, Rule};
use sealift_embedded::braintrust::{
    AuditAccess, AuditChange, AuditEvent, DataPlane, DataPlaneOptions, Organization,
};
use sealift_embedded::iam::Secret;
use sealift_testkit::{SeededEntropy, VirtualClock};
use serde_json::{Value, json};

use crate::server::{KEY, Reply, Server, TestClient, Way, client, client_with, clock};

const ORG: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

type Log = AuditLogClient<VirtualClock, SeededEntropy, sealift_braintrust::FixedKey>;

fn log_of(client: TestClient) -> Log {
    AuditLogClient::new(client, OrgId::parse(ORG).unwrap())
}

fn log(server: &Server) -> Log {
    log_of(client(server))
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn query(limit: u32, without: &[&str]) -> AuditQuery {
    AuditQuery {
        from: time("2026-03-01T11:00:00Z"),
        until: time("2026-03-01T12:00:00Z"),
        limit,
        without: without.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn read(server: &Server) -> Result<AuditPage, SourceError> {
    log(server).entries(&query(100, &[])).await
}

/// What a server gives that answers so.
async fn answered(reply: Reply) -> Result<AuditPage, SourceError> {
    let server = Server::with(vec![reply]).await;
    read(&server).await
}

/// A row with an id, of a second of 11:00.
fn row(id: &str, second: u32) -> String {
    format!(
        r#"{{"created":"2026-03-01T11:00:{second:02}.000Z","event_type":"project.updated","id":"{id}","org_id":"{ORG}"}}"#
    )
}

fn ids(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[tokio::test]
async fn the_log_of_one_organization_is_asked_for_a_stretch_of_time() {
    let server = Server::with(vec![Reply::answer(200, "")]).await;
    let log = log(&server);
    assert_eq!(log.entries(&query(7, &[])).await, Ok(AuditPage::default()));
    let without = query(1000, &["query.read", "it's"]);
    log.entries(&without).await.unwrap();
    let received = server.received();
    let request = &received[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/btql")
    );
    assert_eq!(request.header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(
        request.json(),
        json!({
            "query": "SELECT * FROM audit_logs('5abfae3a-7aa7-4653-a9c8-b3efcb18f584') \
                WHERE created >= '2026-03-01T11:00:00.000Z' AND \
                created < '2026-03-01T12:00:00.000Z' ORDER BY created LIMIT 7",
            "fmt": "jsonl",
        })
    );
    assert_eq!(
        received[1].query(),
        "SELECT * FROM audit_logs('5abfae3a-7aa7-4653-a9c8-b3efcb18f584') \
         WHERE created >= '2026-03-01T11:00:00.000Z' AND created < '2026-03-01T12:00:00.000Z' \
         AND event_type NOT IN ('query.read', 'it\\'s') ORDER BY created LIMIT 1000"
    );
    assert_eq!(log.client().requests(), 2);
}

#[tokio::test]
async fn what_cannot_be_answered_wholly_or_needs_no_answer_is_not_asked() {
    let server = Server::with(vec![Reply::answer(200, "")]).await;
    let log = log(&server);
    let backwards = AuditQuery {
        from: query(7, &[]).until,
        ..query(7, &[])
    };
    for nothing in [query(0, &[]), backwards] {
        assert_eq!(log.entries(&nothing).await, Ok(AuditPage::default()));
    }
    let error = log.entries(&query(MOST_ROWS + 1, &[])).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(
        error.to_string().contains("a limit of 1001 rows"),
        "{error}"
    );
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn an_entry_is_kept_byte_by_byte() {
    let odd = format!(
        r#"{{ "z" : 1.000000000000000000001,"event_details":{{"b":1e400,"a":"\ud83d\ude00 ü\n"}},"created":"2026-03-01T12:00:00.123456+01:00", "id":"a\u002fb","org_id":"{}","event_type":"query.read","before_changes":null}}"#,
        ORG.to_uppercase()
    );
    let (start, end) = odd.split_at(40);
    let pieces = [&row("a", 1), "\r\n", "\n", start, end];
    let page = answered(Reply::sent(Way::Chunked, &pieces)).await.unwrap();
    assert_eq!(page.unusable, []);
    let expected = AuditEntry {
        id: "a/b".to_owned(),
        created: time("2026-03-01T11:00:00.123456Z"),
        event_type: "query.read".to_owned(),
        text: odd,
    };
    assert_eq!(page.entries[0], expected);
    assert_eq!(page.entries[1].text, row("a", 1));
    assert_eq!((page.entries.len(), page.rows()), (2, 2));
}

#[tokio::test]
async fn an_entry_without_id_gets_one_from_its_bytes() {
    let bare = |id: &str| {
        format!(
            r#"{{"created":"2026-03-01T11:00:00Z","event_type":"x.y","org_id":"{ORG}"{id},"n":1}}"#
        )
    };
    let rows = ["", r#","id":null"#, r#","id":"""#, r#","id":7"#].map(bare);
    let page = answered(Reply::answer(200, rows.join("\n"))).await.unwrap();
    assert_eq!(page.unusable, []);
    let all = ids(&page.entries);
    // What `sha256sum` says of the first row.
    assert_eq!(
        all[0],
        "sha256-efeb8387f318cf691bfc993b9b561af86e94ecc80d9fa410ecdc7c1d559eb801"
    );
    let mut different = all.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 4, "{all:?}");
    let again = answered(Reply::answer(200, rows.join("\n"))).await.unwrap();
    assert_eq!(ids(&again.entries), all);
}

#[tokio::test]
async fn a_row_that_cannot_be_used_is_told_apart_and_spoils_no_other() {
    let full = |created: &str, org: &str, kind: &str| {
        format!(r#"{{"created":{created},"org_id":{org},"event_type":{kind},"id":"x"}}"#)
    };
    let (at, org, kind) = (
        r#""2026-03-01T11:00:00Z""#,
        format!("\"{ORG}\""),
        r#""project.created""#,
    );
    for (bad, said) in [
        (
            full(r#""yesterday""#, &org, kind),
            "`created` must be a time",
        ),
        // Without its zone a time is none.
        (
            full(r#""2026-03-01T11:00:00""#, &org, kind),
            "`created` must be a time",
        ),
        (full("1772362800", &org, kind), "`created` must be a text"),
        (full("null", &org, kind), "`created` is missing or null"),
        (full(at, &org, "null"), "`event_type` is missing"),
        (full(at, &org, r#""""#), "`event_type` must be a text"),
        (full(at, &org, r#"["a.b"]"#), "`event_type` must be a text"),
        (
            full(at, r#""f1e858a4-58e3-408f-983f-016760d7fa25""#, kind),
            "`org_id` is not 5abfae3a",
        ),
        (full(at, "null", kind), "`org_id` is missing"),
        (full(at, "5", kind), "`org_id` must be a text"),
        (
            format!(r#"{{"org_id":{org},"created":{at},"created":{at}}}"#),
            "duplicate field `created`",
        ),
        (format!(r#"["x",{at},{org},{kind}]"#), "not a JSON object"),
        (format!(r#"{{"created":{at},"#), "cannot be read as a JSON"),
        (format!("{} {{}}", row("x", 1)), "trailing characters"),
        ("7".to_owned(), "not a JSON object"),
        ("<html>".to_owned(), "not a JSON object"),
    ] {
        let lines = [row("a", 1), bad.clone(), row("b", 2), String::new()];
        let page = answered(Reply::answer(200, lines.join("\n")))
            .await
            .unwrap();
        assert_eq!(ids(&page.entries), ["a", "b"], "{bad}");
        assert_eq!(page.rows(), 3);
        assert_eq!(page.unusable[0].text, bad);
        let reason = &page.unusable[0].reason;
        assert!(reason.contains(said), "{bad}: {reason}");
    }
}

#[tokio::test]
async fn entries_come_in_the_order_of_their_time() {
    let rows = [row("c", 2), row("a", 1), row("d", 2), row("b", 1)];
    let page = answered(Reply::answer(200, rows.join("\n"))).await.unwrap();
    assert_eq!(ids(&page.entries), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_full_page_in_another_order_is_refused_since_what_it_lacks_is_unknown() {
    let rows = [row("b", 2), row("a", 1)].join("\n");
    let server = Server::with(vec![Reply::answer(200, rows.as_str())]).await;
    let error = log(&server).entries(&query(2, &[])).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("order of `created`"), "{error}");
    let page = log(&server).entries(&query(3, &[])).await.unwrap();
    assert_eq!(ids(&page.entries), ["a", "b"]);
}

#[tokio::test]
async fn a_refusal_keeps_the_apis_words_and_never_the_key() {
    for (status, body, denied) in [
        (400, format!("Unknown function audit_logs ({KEY})"), false),
        (
            403,
            format!(r#"{{"Message":"Unknown function audit_logs ({KEY})"}}"#),
            true,
        ),
        (401, format!("Unknown function audit_logs ({KEY})"), true),
    ] {
        let server = Server::with(vec![Reply::answer(status, body)]).await;
        let error = read(&server).await.unwrap_err();
        let said = format!(
            "read the audit log on organization {ORG} at {} failed: HTTP {status}: Unknown \
             function audit_logs (REDACTED) (request trace-1)",
            server.url()
        );
        assert_eq!(error.to_string(), said);
        assert_eq!(matches!(error, SourceError::Denied(_)), denied, "{error:?}");
        assert_eq!(matches!(error, SourceError::Invalid(_)), !denied);
        assert!(!format!("{error:?}").contains(KEY));
        assert_eq!(server.received().len(), 1, "{status} is not asked again");
    }
}

#[tokio::test]
async fn a_throttled_question_waits_as_long_as_it_is_told() {
    let throttled = Reply::answer(429, "slow down").with("retry-after", "7");
    let server = Server::with(vec![throttled, Reply::answer(200, row("a", 1))]).await;
    let clock = clock();
    let log = log_of(client_with(
        server.url(),
        clock.clone(),
        Settings::default(),
    ));
    let page = log.entries(&query(100, &[])).await.unwrap();
    assert_eq!(ids(&page.entries), ["a"]);
    let waited = clock.now().duration_since(crate::server::clock().now());
    assert_eq!(waited.as_secs(), 7);

    let throttled = Reply::answer(429, "slow down").with("retry-after", "61");
    let error = answered(throttled).await.unwrap_err();
    let SourceError::Throttled { retry_after, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(61)));
}

#[tokio::test]
async fn a_reply_that_is_lost_or_torn_is_asked_for_again() {
    let whole = Reply::answer(200, row("a", 1));
    let torn = Reply::sent(Way::Torn, &[&row("b", 1), "\n"]);
    for lost in [Reply::HangUp, torn, Reply::answer(503, "x")] {
        let server = Server::with(vec![lost.clone(), whole.clone()]).await;
        let page = read(&server).await.unwrap();
        assert_eq!(ids(&page.entries), ["a"], "{lost:?}");
        let received = server.received();
        assert_eq!(received.len(), 2, "{lost:?}");
        assert_eq!(received[0].body, received[1].body);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_all() {
    let second = row("b", 1);
    let pieces = [&row("a", 1), "\n", second.split_at(30).0];
    let error = answered(Reply::sent(Way::Unannounced, &pieces)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
    assert!(error.to_string().contains("broke off"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_kind_is_not_taken_for_rows() {
    let page = "\n <!doctype html>\n<html>\n</html>\n";
    let error = answered(Reply::answer(200, page)).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(
        error.to_string().contains("is the API URL right?"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_long_says_so() {
    let server = Server::with(vec![Reply::answer(200, row("a", 1))]).await;
    let settings = Settings {
        longest_answer: 50,
        ..Settings::default()
    };
    let log = log_of(client_with(server.url(), clock(), settings));
    let error = log.entries(&query(100, &[])).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(
        error.to_string().contains("longer than 50 bytes"),
        "{error}"
    );
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_large_answer_is_fetched_elsewhere_without_the_key() {
    let store = Server::with(vec![Reply::answer(200, row("a", 1))]).await;
    let place = format!("{}/results/1?X-Amz-Signature=abc", store.url());
    let page = answered(Reply::answer(303, "").with("location", place)).await;
    assert_eq!(ids(&page.unwrap().entries), ["a"]);
    let followed = &store.received()[0];
    assert_eq!(followed.header("authorization"), "");
    assert!(!format!("{followed:?}").contains(KEY));
}

/// The embedded data plane, and a client of its audit log.
async fn embedded(
    clock: &VirtualClock,
    set: impl FnOnce(DataPlaneOptions) -> DataPlaneOptions,
) -> (DataPlane, Log) {
    let organization = Organization {
        id: OrgId::parse(ORG).unwrap(),
        name: "Acme".to_owned(),
    };
    let (time, entropy) = (Arc::new(clock.clone()), Arc::new(SeededEntropy::new(7)));
    let options = DataPlaneOptions::new(organization, Secret::new(KEY), time, entropy);
    let plane = DataPlane::start(set(options)).await.unwrap();
    let log = log_of(client_with(
        &plane.url(),
        clock.clone(),
        Settings::default(),
    ));
    (plane, log)
}

fn updated(id: &str, created: &str) -> AuditEvent {
    let (before, after) = (json!({"name": "a"}), json!({"name": "b"}));
    let change = AuditChange::Updated { before, after };
    AuditEvent {
        id: Some(id.to_owned()),
        created: Some(time(created)),
        ..AuditEvent::new("dataset.updated", change)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_is_read_to_its_end_from_the_last_times_on() {
    for (overflow, line_break) in [(usize::MAX, true), (usize::MAX, false), (0, true)] {
        let clock = clock();
        let set = |options: DataPlaneOptions| {
            options
                .overflow_bytes(overflow)
                .final_line_break(line_break)
        };
        let (plane, log) = embedded(&clock, set).await;
        let project = plane.create_project("first").unwrap();
        plane.rename_project(&project, "renamed").unwrap();
        for (id, created) in [
            ("e4", "2026-03-01T11:30:00.001Z"),
            ("e1", "2026-03-01T11:00:00Z"),
            ("e2", "2026-03-01T11:30:00Z"),
            ("e3", "2026-03-01T11:30:00Z"),
            ("e0", "2026-03-01T10:59:59.999Z"),
        ] {
            plane.record_audit_entry(&updated(id, created));
        }
        plane.record_audit_entry(&AuditEvent {
            created: Some(time("2026-03-01T11:15:00Z")),
            ..AuditEvent::new("query.read", AuditChange::Nothing)
        });
        let page = log.entries(&query(3, &["query.read"])).await.unwrap();
        assert_eq!(ids(&page.entries), ["e1", "e2", "e3"]);
        let rest = AuditQuery {
            from: page.entries[2].created,
            until: time("2026-03-01T12:00:00.001Z"),
            ..query(1000, &["query.read"])
        };
        let page = log.entries(&rest).await.unwrap();
        let types: Vec<&str> = page.entries.iter().map(|e| e.event_type.as_str()).collect();
        assert_eq!(&ids(&page.entries)[..3], ["e2", "e3", "e4"]);
        assert_eq!(types[3..], ["project.created", "project.updated"]);
        // Every byte as it was recorded.
        let recorded = plane.audit_entries();
        let texts = page.entries.iter().map(|entry| entry.text.as_bytes());
        assert!(texts.clone().all(|text| recorded.iter().any(|r| r == text)));
        let last: Value = serde_json::from_str(&page.entries[4].text).unwrap();
        assert_eq!(last["before_changes"], json!({"name": "first"}));
        assert_eq!(last["project_id"], project.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_embedded_log_that_are_broken_are_set_aside() {
    let clock = clock();
    let (plane, log) = embedded(&clock, |options| options).await;
    plane.record_audit_entry(&updated("e1", "2026-03-01T11:00:00Z"));
    let foreign = row("f", 1).replace(ORG, "f1e858a4-58e3-408f-983f-016760d7fa25");
    for broken in [foreign.as_bytes(), b"{\"id\":\"x\"", b"{\"id\":\"\xff\"}"] {
        let at = time("2026-03-01T11:10:00Z");
        plane.record_raw_audit_row(at, "project.created", broken.to_vec());
    }
    plane.record_audit_entry(&updated("e2", "2026-03-01T11:20:00Z"));
    let page = log.entries(&query(100, &[])).await.unwrap();
    assert_eq!(ids(&page.entries), ["e1", "e2"]);
    assert_eq!(page.unusable[0].text, foreign);
    assert_eq!(page.unusable[1].text, "{\"id\":\"x\"");
    assert_eq!(page.unusable[2].reason, "the row is not UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_the_embedded_log_appear_late_and_a_lost_reply_is_repeated() {
    let clock = VirtualClock::new(time("2026-03-01T12:00:00Z"));
    let (plane, log) = embedded(&clock, |options| options).await;
    plane.set_audit_delay(Duration::from_secs(180));
    plane.record_audit_entry(&updated("e1", "2026-03-01T11:59:00Z"));
    let asked = query(100, &[]);
    assert_eq!(log.entries(&asked).await, Ok(AuditPage::default()));
    clock.advance(Duration::from_secs(179));
    assert_eq!(log.entries(&asked).await, Ok(AuditPage::default()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(ids(&log.entries(&asked).await.unwrap().entries), ["e1"]);

    let clock = crate::server::clock();
    let (plane, log) = embedded(&clock, |options| options).await;
    plane.record_audit_entry(&updated("e1", "2026-03-01T11:59:00Z"));
    let lost = plane.faults().add(Rule::new(Effect::LoseReply).times(2));
    assert_eq!(ids(&log.entries(&asked).await.unwrap().entries), ["e1"]);
    assert_eq!(plane.faults().strikes(lost), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_log_that_may_not_be_read_says_why() {
    let clock = clock();
    let (plane, log) = embedded(&clock, |options| options).await;
    for (access, denied, said) in [
        (AuditAccess::NoPermission, true, "Read audit logs"),
        (AuditAccess::NotEnterprise, true, "Enterprise"),
        (AuditAccess::OldDataPlane, false, "v2.6.0"),
    ] {
        plane.set_audit_access(access);
        let error = log.entries(&query(100, &[])).await.unwrap_err();
        assert_eq!(matches!(error, SourceError::Denied(_)), denied, "{error:?}");
        assert_eq!(matches!(error, SourceError::Invalid(_)), !denied);
        assert!(error.failure().message.contains(said), "{error}");
    }
    plane.set_audit_access(AuditAccess::Allowed);
    assert!(log.entries(&query(100, &[])).await.is_ok());

    let other = OrgId::parse("f1e858a4-58e3-408f-983f-016760d7fa25").unwrap();
    let foreign = client_with(&plane.url(), crate::server::clock(), Settings::default());
    let foreign = AuditLogClient::new(foreign, other);
    let error = foreign.entries(&query(100, &[])).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied(_)), "{error:?}");
}

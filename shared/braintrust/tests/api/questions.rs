//! What is asked of ranges as a whole: freshness and surveys.

use sealift_braintrust::Settings;
use sealift_core::export::source::{Freshness, LogSource, SourceError, Surveyed};
use sealift_core::id::{ProjectId, XactId};
use serde_json::json;

use crate::pages::range;
use crate::server::{Reply, Server, client, client_with, clock};

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

/// The second is the nearest number that an `f64` can hold; the first is none.
const EXACT: u64 = 1_000_197_156_529_394_087;

#[tokio::test]
async fn freshness_is_exact_beyond_2_to_the_53_in_both_forms() {
    for state in [
        r#"{"last_processed_xact_id":"1000197156529394087","last_considered_xact_id":"1"}"#,
        r#"{"last_processed_xact_id":1000197156529394087}"#,
    ] {
        let body =
            format!(r#"{{"data":[{{"_xact_id":"1"}}],"schema":{{}},"freshness_state":{state}}}"#);
        let server = Server::with(vec![Reply::answer(200, body)]).await;
        let found = client(&server).freshness(&project("p1"), range()).await;
        let settled = Some(XactId::new(EXACT));
        assert_eq!(found, Ok(Freshness { any: true, settled }));
        let request = server.received()[0].json();
        assert_eq!(request["fmt"], "json");
        assert_eq!(
            request["query"],
            "SELECT _xact_id FROM project_logs('p1', shape => 'spans') \
             WHERE _xact_id > '1000197156529394086' AND _xact_id <= '1000197156529399999' \
             ORDER BY _xact_id LIMIT 1"
        );
    }
}

#[tokio::test]
async fn a_source_that_does_not_say_how_far_it_has_come_has_not_said_it() {
    for body in [
        json!({"data": []}),
        json!({"data": [], "freshness_state": null}),
        json!({"data": [], "freshness_state": {}}),
        json!({"data": [], "freshness_state": {"last_processed_xact_id": null}}),
    ] {
        let server = Server::with(vec![Reply::json(&body)]).await;
        let found = client(&server).freshness(&project("p1"), range()).await;
        let (any, settled) = (false, None);
        assert_eq!(found, Ok(Freshness { any, settled }), "{body}");
    }
}

#[tokio::test]
async fn a_transaction_id_that_has_lost_digits_is_refused() {
    let body = r#"{"data":[],"freshness_state":{"last_processed_xact_id":1.000197156529394e18}}"#;
    let server = Server::with(vec![Reply::answer(200, body)]).await;
    let error = client(&server)
        .freshness(&project("p1"), range())
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_survey_asks_of_all_projects_at_once() {
    let body = format!(
        r#"{{"data":[{{"project_id":"p1","latest":"{EXACT}","rows":3}},{{"project_id":"p3","latest":{EXACT},"rows":1}}]}}"#
    );
    let server = Server::with(vec![Reply::answer(200, body)]).await;
    let projects = ["p1", "p2", "p3"].map(project);
    let found = client(&server)
        .survey(&projects, XactId::new(7))
        .await
        .unwrap();
    let surveyed = |id, rows| Surveyed {
        project: project(id),
        latest: XactId::new(EXACT),
        rows,
    };
    assert_eq!(found, [surveyed("p1", 3), surveyed("p3", 1)]);
    assert_eq!(
        server.received()[0].query(),
        "SELECT project_id, max(_xact_id) AS latest, count(1) AS rows FROM \
         project_logs('p1', 'p2', 'p3', shape => 'spans') WHERE _xact_id > '7' GROUP BY project_id"
    );
}

#[tokio::test]
async fn a_survey_of_many_projects_goes_in_parts_and_of_none_nowhere() {
    let server = Server::with(vec![Reply::json(&json!({"data": []}))]).await;
    let settings = Settings {
        surveyed_at_once: 2,
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let projects = ["p1", "p2", "p3"].map(project);
    client.survey(&projects, XactId::ZERO).await.unwrap();
    assert_eq!(LogSource::requests(&client), 2);
    assert!(
        server.received()[1]
            .query()
            .contains("project_logs('p3', shape")
    );
    client.survey(&[], XactId::ZERO).await.unwrap();
    assert_eq!(client.requests(), 2);
}

#[tokio::test]
async fn a_large_answer_may_lie_elsewhere_too() {
    let store = Server::with(vec![Reply::json(&json!({"data": [1]}))]).await;
    let api = Server::with(vec![Reply::answer(303, "").with("location", store.url())]).await;
    let found = client(&api)
        .freshness(&project("p1"), range())
        .await
        .unwrap();
    assert!(found.any);
}

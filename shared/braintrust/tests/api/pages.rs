//! Pages: how rows are read, and how a page ends.

use std::time::Duration;

use sealift_braintrust::{Page, Settings};
use sealift_core::export::source::{Ask, LogSource, Query, RowPage, SourceError, XactRange};
use sealift_core::export::user_query::UserQuery;
use sealift_core::id::{ProjectId, XactId};

use crate::server::{KEY, Reply, Server, TestClient, Way, client, client_with, clock};

pub(crate) fn range() -> XactRange {
    XactRange {
        after: XactId::new(1_000_197_156_529_394_086),
        through: XactId::new(1_000_197_156_529_399_999),
    }
}

pub(crate) fn spans(cursor: Option<&str>) -> Query {
    Query {
        project: ProjectId::parse("p1").unwrap(),
        ask: Ask::Spans(range()),
        limit: 1000,
        cursor: cursor.map(str::to_owned),
    }
}

/// The rows until the end, or until the page fails.
async fn rows(page: &mut Page) -> (Vec<String>, Option<SourceError>) {
    let mut rows = Vec::new();
    loop {
        match page.next().await {
            Ok(Some(row)) => rows.push(String::from_utf8(row.to_vec()).unwrap()),
            Ok(None) => return (rows, None),
            Err(error) => return (rows, Some(error)),
        }
    }
}

async fn read(client: &TestClient) -> (Vec<String>, Option<SourceError>) {
    rows(&mut client.page(&spans(None)).await.unwrap()).await
}

#[tokio::test]
async fn rows_are_asked_for_as_json_lines_with_nothing_else_in_the_request() {
    let server = Server::with(vec![Reply::answer(200, "")]).await;
    let client = client(&server);
    let mut page = client.page(&spans(Some("aQJI5+sNAAA"))).await.unwrap();
    assert_eq!(rows(&mut page).await, (vec![], None));
    assert_eq!(page.cursor(), None);
    let request = &server.received()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/btql")
    );
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        request.json(),
        serde_json::json!({
            "query": "SELECT * FROM project_logs('p1', shape => 'spans') \
                WHERE _xact_id > '1000197156529394086' AND _xact_id <= '1000197156529399999' \
                ORDER BY _xact_id LIMIT 1000 OFFSET 'aQJI5+sNAAA'",
            "fmt": "jsonl",
        })
    );
}

#[tokio::test]
async fn a_row_may_come_in_three_chunks() {
    let pieces = [
        "{\"a\":1}\n{\"_xact",
        "_id\":\"10001",
        "97\"}\n",
        "\n{\"b\":2}\n",
    ];
    let server = Server::with(vec![Reply::sent(Way::Chunked, &pieces)]).await;
    let (rows, error) = read(&client(&server)).await;
    assert_eq!(
        rows,
        ["{\"a\":1}", "{\"_xact_id\":\"1000197\"}", "{\"b\":2}"]
    );
    assert_eq!(error, None);
}

#[tokio::test]
async fn the_cursor_is_in_either_of_two_headers() {
    for (name, value, cursor) in [
        ("x-bt-cursor", "aQJI5+sNAAA", Some("aQJI5+sNAAA")),
        ("x-amz-meta-bt_cursor", "aQ==", Some("aQ==")),
        ("x-bt-cursor", "", None),
    ] {
        let reply = Reply::answer(200, "{}\n").with(name, value);
        let server = Server::with(vec![reply]).await;
        let page = client(&server).page(&spans(None)).await.unwrap();
        assert_eq!(page.cursor(), cursor, "{name}");
    }
    let both = Reply::answer(200, "{}\n")
        .with("x-amz-meta-bt_cursor", "second")
        .with("x-bt-cursor", "first");
    let server = Server::with(vec![both]).await;
    let page = client(&server).page(&spans(None)).await.unwrap();
    assert_eq!(page.cursor(), Some("first"));
}

#[tokio::test]
async fn a_large_result_is_followed_elsewhere_without_the_key() {
    for (here, there, cursor) in [
        (Some("from-the-api"), Some("from-the-store"), "from-the-api"),
        (None, Some("from-the-store"), "from-the-store"),
    ] {
        let mut stored = Reply::answer(200, "{\"a\":1}\n");
        if let Some(cursor) = there {
            stored = stored.with("x-amz-meta-bt_cursor", cursor);
        }
        let store = Server::with(vec![stored]).await;
        let place = format!("{}/results/1?X-Amz-Signature=abc", store.url());
        let mut pointer = Reply::answer(303, "").with("location", place);
        if let Some(cursor) = here {
            pointer = pointer.with("x-bt-cursor", cursor);
        }
        let api = Server::with(vec![pointer]).await;
        let client = client(&api).for_organization("Acme").unwrap();
        let mut page = client.page(&spans(None)).await.unwrap();
        assert_eq!(rows(&mut page).await.0, ["{\"a\":1}"]);
        assert_eq!(page.cursor(), Some(cursor));
        let followed = &store.received()[0];
        assert_eq!(followed.method, "GET");
        assert_eq!(followed.path, "/results/1?X-Amz-Signature=abc");
        assert_eq!(followed.header("authorization"), "");
        assert_eq!(followed.header("x-bt-org-name"), "");
        assert!(!format!("{followed:?}").contains(KEY));
        assert_eq!(client.requests(), 2);
    }
}

#[tokio::test]
async fn a_large_result_is_followed_to_no_unsafe_place_and_not_twice() {
    for place in [
        "http://bucket.s3.amazonaws.com/x?X-Amz-Signature=abc",
        "/results/1?X-Amz-Signature=abc",
        "",
    ] {
        let api = Server::with(vec![Reply::answer(303, "").with("location", place)]).await;
        let client = client(&api);
        let error = client.page(&spans(None)).await.unwrap_err();
        assert!(
            matches!(error, SourceError::Invalid(_)),
            "{place}: {error:?}"
        );
        assert!(!error.to_string().contains("Signature"), "{error}");
        assert_eq!(client.requests(), 1);
    }

    let second = Reply::answer(303, "").with("location", "https://bucket.example/y");
    let store = Server::with(vec![second]).await;
    let api = Server::with(vec![Reply::answer(303, "").with("location", store.url())]).await;
    let error = client(&api).page(&spans(None)).await.unwrap_err();
    assert!(error.to_string().contains("HTTP 303 there"), "{error}");

    let api = Server::with(vec![Reply::answer(303, "").with("location", store.url())]).await;
    let error = client(&api).projects().await.unwrap_err();
    assert!(
        error.to_string().contains("which is not followed"),
        "{error}"
    );
}

#[tokio::test]
async fn a_result_that_is_gone_elsewhere_is_asked_for_anew() {
    let store = Server::with(vec![
        Reply::answer(403, "<StringToSign>AKIA</StringToSign>"),
        Reply::answer(200, "{\"a\":1}\n"),
    ])
    .await;
    let api = Server::with(vec![Reply::answer(303, "").with("location", store.url())]).await;
    let client = client(&api);
    assert_eq!(read(&client).await.0, ["{\"a\":1}"]);
    assert_eq!(api.received().len(), 2);
    assert_eq!(client.requests(), 4);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_the_whole_page() {
    for (way, pieces, whole) in [
        (Way::Torn, ["{\"a\":1}\n", "{\"b\":2}\n"], 2),
        (Way::Torn, ["{\"a\":1}\n", "{\"b\""], 1),
        (Way::Unannounced, ["{\"a\":1}\n", "{\"b\":"], 1),
    ] {
        let server = Server::with(vec![Reply::sent(way, &pieces)]).await;
        let client = client(&server);
        let mut page = client.page(&spans(None)).await.unwrap();
        let (got, error) = rows(&mut page).await;
        assert_eq!(got.len(), whole, "{way:?}");
        let error = error.unwrap();
        assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
        assert!(error.to_string().contains("broke off"), "{error}");
        assert!(error.to_string().ends_with("(request trace-1)"), "{error}");
        assert_eq!(page.next().await, Err(error), "a page that failed stays so");
        assert_eq!(
            client.requests(),
            1,
            "rows that were handed out are not read again"
        );
    }
    let whole = Reply::sent(Way::Unannounced, &["{\"a\":1}\n", "{\"b\":2}"]);
    let server = Server::with(vec![whole]).await;
    let (rows, error) = read(&client(&server)).await;
    assert_eq!((rows.len(), error), (2, None));
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let server = Server::with(vec![Reply::sent(Way::Stalled, &["{\"a\":1}\n{\"b"])]).await;
    let settings = Settings {
        stall_timeout: Duration::from_millis(50),
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let (_, error) = read(&client).await;
    let error = error.unwrap();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
    assert!(
        error.to_string().contains("nothing came for 50 ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_row_that_is_too_long_is_refused_with_the_way_out() {
    let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(200));
    let server = Server::with(vec![Reply::sent(Way::Chunked, &["{}\n", &long])]).await;
    let settings = Settings {
        longest_row: 100,
        ..Settings::default()
    };
    let client = client_with(server.url(), clock(), settings);
    let (rows, error) = read(&client).await;
    assert_eq!(rows, ["{}"]);
    let error = error.unwrap();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("longer than 100 bytes: export it by a query"),
        "{error}"
    );
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_refused() {
    let reply = Reply::answer(200, "?").with("content-encoding", "gzip");
    let server = Server::with(vec![reply]).await;
    let error = client(&server).page(&spans(None)).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("encoded (gzip)"), "{error}");
}

#[tokio::test]
async fn summaries_of_no_traces_are_not_asked_for() {
    let server = Server::with(vec![]).await;
    let client = client(&server);
    let query = Query {
        ask: Ask::Summaries(vec![]),
        ..spans(None)
    };
    let mut page = client.page(&query).await.unwrap();
    assert_eq!(rows(&mut page).await, (vec![], None));
    assert_eq!((page.cursor(), client.requests()), (None, 0));
}

#[tokio::test]
async fn a_query_of_another_project_is_not_asked() {
    let server = Server::with(vec![Reply::answer(200, "")]).await;
    let client = client(&server);
    let custom = |text: &str| Query {
        ask: Ask::Custom(UserQuery::parse(text).unwrap(), range()),
        ..spans(None)
    };
    let foreign = custom("SELECT * FROM project_logs('p2')");
    let error = client.page(&foreign).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid(_)), "{error:?}");
    assert!(
        error.to_string().contains("it must read its own, p1"),
        "{error}"
    );
    assert_eq!(client.requests(), 0);
    let own = custom("SELECT * FROM project_logs('p1') WHERE a = 'b' -- c");
    client.page(&own).await.unwrap();
    let sent = server.received()[0].query();
    assert!(
        sent.contains("WHERE (a = 'b') AND _xact_id > '1000197156529394086' AND"),
        "{sent}"
    );
}

use super::*;
use futures_util::FutureExt;
use jiff::Timestamp;
use sealift_core::export::user_query::UserQuery;
use serde_json::{Value, json};

const ALL: XactRange = XactRange {
    after: XactId::ZERO,
    through: XactId::new(u64::MAX),
};

fn project() -> ProjectId {
    ProjectId::parse("p1").unwrap()
}

fn xact(id: u64) -> XactId {
    XactId::new(id)
}

/// Spans `s1` to `s<n>` in the transactions 1 to n, two to a trace.
fn source(spans: u64) -> (MemorySource, VirtualClock) {
    let clock = VirtualClock::auto(Timestamp::UNIX_EPOCH);
    let source = MemorySource::new(clock.clone());
    let row = |n: u64| Row::new(xact(n), &format!("s{n}"), &format!("t{}", n.div_ceil(2)));
    source.upsert(&project(), (1..=spans).map(row));
    (source, clock)
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

type Page = (Vec<Value>, Option<String>);

fn page(
    source: &MemorySource,
    ask: Ask,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Page, SourceError> {
    let query = Query {
        project: project(),
        ask,
        limit,
        cursor: cursor.map(str::to_owned),
    };
    at_once(async {
        let mut page = source.page(&query).await?;
        let mut rows = Vec::new();
        while let Some(row) = page.next().await? {
            assert_eq!(page.cursor(), None, "it is told at the end");
            rows.push(serde_json::from_slice(&row).unwrap());
        }
        Ok((rows, page.cursor().map(str::to_owned)))
    })
}

/// The ids of the pages, one after the other, until the last.
fn pages(source: &MemorySource, limit: u32) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let (rows, next) = page(source, Ask::Spans(ALL), limit, cursor.as_deref()).unwrap();
        let ids = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned());
        all.push(ids.collect());
        match next {
            Some(next) if !rows.is_empty() => cursor = Some(next),
            _ => return all,
        }
    }
}

#[test]
fn a_range_comes_in_pages_by_ascending_transaction() {
    let (source, _) = source(5);
    assert_eq!(
        pages(&source, 2),
        [vec!["s1", "s2"], vec!["s3", "s4"], vec!["s5"]]
    );
    let part = XactRange {
        after: xact(2),
        through: xact(4),
    };
    let (rows, cursor) = page(&source, Ask::Spans(part), 10, None).unwrap();
    assert_eq!(cursor, None);
    assert_eq!(
        rows,
        [
            json!({"id": "s3", "_xact_id": "3", "root_span_id": "t2"}),
            json!({"id": "s4", "_xact_id": "4", "root_span_id": "t2"}),
        ]
    );
}

#[test]
fn a_page_may_be_short_with_a_cursor_and_the_last_one_empty() {
    let (source, _) = source(4);
    source.set_page_limit(3);
    assert_eq!(pages(&source, 10), [vec!["s1", "s2", "s3"], vec!["s4"]]);
    source.end_with_empty_page(true);
    let empty: Vec<&str> = vec![];
    assert_eq!(
        pages(&source, 10),
        [vec!["s1", "s2", "s3"], vec!["s4"], empty]
    );
}

#[test]
fn an_updated_row_leaves_its_place_while_the_range_is_read() {
    let (source, _) = source(4);
    let mut pages_read = 0;
    source.before_each_page(move |source, query| {
        pages_read += 1;
        if pages_read == 2 {
            let updated = source.rows(&query.project)[2].clone().moved(xact(9));
            source.upsert(&query.project, [updated.with("tags", json!(["new"]))]);
            source.remove(&query.project, "s4");
        }
    });
    assert_eq!(pages(&source, 2), [vec!["s1", "s2"], vec!["s3"]]);
    let rows = source.rows(&project());
    assert_eq!(rows.len(), 3);
    assert_eq!(
        serde_json::from_slice::<Value>(&rows[2].line()).unwrap(),
        json!({"id": "s3", "_xact_id": "9", "root_span_id": "t2", "tags": ["new"]})
    );
}

#[test]
fn touched_spans_and_summaries_tell_of_traces() {
    let (source, _) = source(3);
    let (touched, _) = page(&source, Ask::Touched(ALL), 2, None).unwrap();
    assert_eq!(touched[1], json!({"_xact_id": "2", "root_span_id": "t1"}));
    let ask = Ask::Summaries(vec!["t1".to_owned(), "t2".to_owned(), "none".to_owned()]);
    let (summaries, cursor) = page(&source, ask, 10, None).unwrap();
    assert_eq!(cursor, None);
    assert_eq!(
        summaries,
        [
            json!({"id": "t1", "root_span_id": "t1", "_xact_id": "2", "spans": 2}),
            json!({"id": "t2", "root_span_id": "t2", "_xact_id": "3", "spans": 1}),
        ]
    );
    let query = UserQuery::parse("SELECT * FROM project_logs('p1')").unwrap();
    let (rows, _) = page(&source, Ask::Custom(query, ALL), 10, None).unwrap();
    assert_eq!(rows.len(), 3);
}

#[test]
fn what_is_held_back_is_neither_read_nor_surveyed() {
    let (source, _) = source(4);
    source.hold_back(Some(xact(3)));
    let fresh = |range| at_once(source.freshness(&project(), range)).unwrap();
    let late = XactRange {
        after: xact(2),
        through: xact(4),
    };
    let settled = Some(xact(2));
    assert_eq!(
        fresh(late),
        Freshness {
            any: false,
            settled
        }
    );
    assert_eq!(pages(&source, 9), [vec!["s1", "s2"]]);
    let other = ProjectId::parse("empty").unwrap();
    let survey = |after| at_once(source.survey(&[other.clone(), project()], after)).unwrap();
    let found = Surveyed {
        project: project(),
        latest: xact(2),
        rows: 1,
    };
    assert_eq!(survey(xact(1)), [found]);
    assert!(survey(xact(2)).is_empty());

    source.settle(Settled::At(xact(9)));
    assert_eq!(fresh(ALL).settled, Some(xact(9)));
    source.hold_back(None);
    source.settle(Settled::Unknown);
    assert_eq!(
        fresh(late),
        Freshness {
            any: true,
            settled: None
        }
    );
}

#[test]
fn each_fault_strikes_the_request_it_is_for_and_is_gone() {
    let (source, clock) = source(4);
    let ask = || page(&source, Ask::Spans(ALL), 2, None);
    let wait = Duration::from_secs(7);
    source.fail(Kind::Spans, 1, Fault::Throttled(Some(wait)));
    source.fail(Kind::Spans, 2, Fault::Transient);
    source.fail(Kind::Spans, 3, Fault::Denied);
    source.fail(Kind::Spans, 4, Fault::Invalid);
    assert!(ask().is_ok());
    assert!(matches!(
        ask(),
        Err(SourceError::Throttled { retry_after, .. }) if retry_after == Some(wait)
    ));
    assert!(matches!(ask(), Err(SourceError::Transient(_))));
    assert!(matches!(ask(), Err(SourceError::Denied(_))));
    assert!(matches!(ask(), Err(SourceError::Invalid(_))));
    assert!(ask().is_ok());
    assert_eq!((source.count(Kind::Spans), source.requests()), (6, 6));
    assert_eq!(source.queries().len(), 6);

    source.fail(Kind::Spans, 0, Fault::Stall(wait));
    source.fail(Kind::Spans, 0, Fault::StallAfter(1, wait));
    assert!(ask().is_ok());
    assert_eq!(clock.now().as_second(), 14);
    source.fail(Kind::Survey, 0, Fault::Denied);
    assert!(at_once(source.survey(&[], XactId::ZERO)).is_err());
    source.fail(Kind::Freshness, 0, Fault::Transient);
    assert!(at_once(source.freshness(&project(), ALL)).is_err());
}

#[test]
fn a_page_breaks_off_after_some_rows_or_before_its_end() {
    let (source, _) = source(4);
    for (after, got) in [(1, 1), (2, 2), (9, 4)] {
        source.fail(Kind::Spans, 0, Fault::BreakAfter(after));
        let query = Query {
            project: project(),
            ask: Ask::Spans(ALL),
            limit: 9,
            cursor: None,
        };
        at_once(async {
            let mut page = source.page(&query).await.unwrap();
            let mut rows = 0;
            while let Ok(Some(_)) = page.next().await {
                rows += 1;
            }
            assert_eq!(rows, got);
            assert!(matches!(page.next().await, Err(SourceError::Transient(_))));
            assert_eq!(page.cursor(), None);
        });
    }
}

#[test]
fn a_page_may_carry_the_cursor_that_it_was_asked_with() {
    let (source, _) = source(4);
    let (_, first) = page(&source, Ask::Spans(ALL), 2, None).unwrap();
    source.fail(Kind::Spans, 0, Fault::SameCursor);
    let (rows, second) = page(&source, Ask::Spans(ALL), 1, first.as_deref()).unwrap();
    assert_eq!(rows[0]["id"], "s3");
    assert_eq!(second, first);
}

#[test]
fn a_row_is_read_from_json_or_says_what_it_lacks() {
    let value = json!({"id": "a", "_xact_id": "5", "root_span_id": "r", "input": {"q": 1}});
    let row = Row::parse(value.clone()).unwrap();
    assert_eq!(
        (row.id(), row.root_span_id(), row.xact()),
        ("a", "r", xact(5))
    );
    assert_eq!(serde_json::from_slice::<Value>(&row.line()).unwrap(), value);
    let without = json!({"id": "a", "_xact_id": "5"});
    assert!(Row::parse(without).unwrap_err().contains("root_span_id"));
    let number = json!({"id": "a", "_xact_id": 5, "root_span_id": "r"});
    assert!(Row::parse(number).unwrap_err().contains("_xact_id"));
}

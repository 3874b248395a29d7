use super::*;
use crate::id::XactId;

mod readers;

const RANGE: &str = "_xact_id > '1000197156529394086' AND _xact_id <= '1000197156529999999'";

fn range() -> XactRange {
    XactRange {
        after: XactId::new(1_000_197_156_529_394_086),
        through: XactId::new(1_000_197_156_529_999_999),
    }
}

fn asked(text: &str) -> String {
    let query = UserQuery::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    query.with_range(range(), 500, None)
}

fn refusal(text: &str) -> String {
    match UserQuery::parse(text) {
        Ok(query) => panic!("{text} is taken as {query:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_range_joins_the_condition_of_an_sql_query() {
    assert_eq!(
        asked("select *\nFrom project_logs('p1')\nwhere scores.Factuality > 0.8 OR error IS NULL;"),
        format!(
            "SELECT * FROM project_logs('p1', shape => 'spans') WHERE (scores.Factuality > 0.8 OR \
             error IS NULL) AND {RANGE} ORDER BY _xact_id LIMIT 500"
        )
    );
    let query = UserQuery::parse("SELECT * FROM project_logs(\"p1\", shape => 'spans')").unwrap();
    assert_eq!(
        query.with_range(range(), 7, Some("aQJI5+sNAAA")),
        format!(
            "SELECT * FROM project_logs('p1', shape => 'spans') WHERE {RANGE} ORDER BY _xact_id \
             LIMIT 7 OFFSET 'aQJI5+sNAAA'"
        )
    );
}

#[test]
fn the_range_joins_the_filter_of_a_btql_query_however_its_clauses_are_separated() {
    let expected = format!(
        "select: id, _xact_id | from: project_logs('p1') spans | filter: (tags INCLUDES 'a' or \
         metrics.tokens > 3) AND {RANGE} | sort: _xact_id ASC | limit: 500"
    );
    for text in [
        "select: id, _xact_id | from: project_logs('p1') spans | filter: tags INCLUDES 'a' or metrics.tokens > 3",
        "filter: tags INCLUDES 'a' or metrics.tokens > 3\nfrom: project_logs('p1')\nselect: id, _xact_id",
        "SELECT: id, _xact_id from: project_logs('p1') filter: tags INCLUDES 'a' or metrics.tokens > 3 |",
    ] {
        assert_eq!(asked(text), expected, "{text}");
    }
    let query = UserQuery::parse("select: * from: project_logs('p1')").unwrap();
    assert_eq!(
        query.with_range(range(), 7, Some("a'b\\c")),
        format!(
            "select: * | from: project_logs('p1') spans | filter: {RANGE} | sort: _xact_id ASC | \
             limit: 7 | cursor: 'a\\'b\\\\c'"
        )
    );
}

#[test]
fn comments_are_left_out_and_their_content_is_not_read() {
    assert_eq!(
        asked(
            "-- it's mine\nSELECT * /* LIMIT 3 */ FROM project_logs('p1') -- \"\nWHERE a -- ( x\n = 'b -- c'--end"
        ),
        format!(
            "SELECT * FROM project_logs('p1', shape => 'spans') WHERE (a = 'b -- c') AND {RANGE} \
             ORDER BY _xact_id LIMIT 500"
        )
    );
}

#[test]
fn a_conditional_expression_is_no_clause() {
    let text = "select: _xact_id, (a ? b : c) as d, e ? f : g as h | from: project_logs('p1') | filter: x ? y : z";
    let sent = asked(text);
    assert!(
        sent.contains("(a ? b : c) as d, e ? f : g as h |"),
        "{sent}"
    );
    assert!(sent.contains("(x ? y : z) AND"), "{sent}");
}

#[test]
fn words_of_clauses_may_stand_in_paths_and_quotes() {
    let sent = asked(
        "SELECT *, metadata.limit AS a, metadata.\"group by\" AS b FROM project_logs('p1') \
         WHERE metadata.order = 'LIMIT 3' AND input.select IS NULL AND grouped = 1",
    );
    assert!(sent.starts_with("SELECT *, metadata.limit AS a"), "{sent}");
}

/// Queries, what of them is refused, and the way out.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "SELECT * FROM project_logs('p1') GROUP BY id",
        "GROUP BY",
        "aggregate where its files are read",
    ),
    (
        "SELECT * FROM project_logs('p1') WHERE a = 1 HAVING b",
        "HAVING",
        "aggregate where",
    ),
    (
        "SELECT *, count(1) AS n FROM project_logs('p1')",
        "count()",
        "aggregate where",
    ),
    (
        "SELECT *, 1 + Max(a) AS n FROM project_logs('p1')",
        "Max()",
        "aggregate where",
    ),
    (
        "SELECT DISTINCT _xact_id FROM project_logs('p1')",
        "DISTINCT",
        "aggregate where",
    ),
    (
        "SELECT * FROM project_logs('p1') UNPIVOT (v FOR s IN (scores))",
        "UNPIVOT",
        "aggregate where",
    ),
    (
        "SELECT * FROM project_logs('p1') LIMIT 10",
        "LIMIT",
        "`batch_size`",
    ),
    (
        "SELECT * FROM project_logs('p1') ORDER BY created",
        "ORDER BY",
        "order of their transactions",
    ),
    (
        "SELECT * FROM project_logs('p1') OFFSET 'abc'",
        "OFFSET",
        "its own cursor",
    ),
    (
        "SELECT * FROM project_logs('p1') TABLESAMPLE (10)",
        "TABLESAMPLE",
        "in a condition",
    ),
    (
        "SELECT * FROM project_logs('p1') UNION SELECT * FROM project_logs('p1')",
        "UNION",
        "an automation for each source",
    ),
    (
        "SELECT * FROM project_logs('p1') JOIN b",
        "JOIN",
        "an automation for each source",
    ),
    (
        "SELECT * FROM (SELECT * FROM project_logs('p1'))",
        "a subquery",
        "write one SELECT",
    ),
    (
        "SELECT * FROM project_logs('p1') WHERE id IN (SELECT id FROM project_logs('p1'))",
        "a subquery",
        "write one SELECT",
    ),
    (
        "SELECT * FROM project_logs('p1'); SELECT * FROM project_logs('p1')",
        "`;` between statements",
        "write one SELECT",
    ),
    (
        "WITH a AS (SELECT * FROM project_logs('p1')) SELECT * FROM a",
        "WITH",
        "write one SELECT",
    ),
    (
        "SELECT * FROM project_logs('p1') SETTINGS x = 1",
        "SETTINGS",
        "leave it out",
    ),
    (
        "SELECT * FROM project_logs('p1') WHERE a = 1 WHERE b = 2",
        "WHERE here",
        "stands once",
    ),
    (
        "dimensions: a | measures: count(1) | from: project_logs('p1')",
        "`dimensions:`",
        "aggregate where",
    ),
    (
        "select: * | from: project_logs('p1') | limit: 10",
        "`limit:`",
        "`batch_size`",
    ),
    (
        "select: * | from: project_logs('p1') | sort: created desc",
        "`sort:`",
        "order of their",
    ),
    (
        "select: * | from: project_logs('p1') | cursor: 'x'",
        "`cursor:`",
        "its own cursor",
    ),
    (
        "select: * | from: project_logs('p1') | sample: 25%",
        "`sample:`",
        "in a condition",
    ),
    (
        "select: * | from: project_logs('p1') | pivot: a",
        "`pivot:`",
        "aggregate where",
    ),
    (
        "select: * | from: project_logs('p1') unpivot: a",
        "`unpivot:`",
        "aggregate where",
    ),
    (
        "select: * | from: project_logs('p1') | infer: a",
        "`infer:`",
        "has `select:`",
    ),
    (
        "select: * | from: project_logs('p1') | filter: a ? limit : 5",
        "`limit:`",
        "`batch_size`",
    ),
    (
        "select: * | from: project_logs('p1') | from: project_logs('p2')",
        "`from:` a second time",
        "once",
    ),
    (
        "select: * | from: project_logs('p1') | filter: (select: a)",
        "a subquery",
        "write one SELECT",
    ),
];

#[test]
fn each_refusal_names_the_clause_and_the_way_out() {
    for (text, clause, way_out) in REFUSALS {
        let error = refusal(text);
        let expected = format!("{clause} cannot stand in an exported query: ");
        assert!(error.contains(&expected), "{text}: {error}");
        assert!(error.contains(way_out), "{text}: {error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (text, missing) in [
        ("", "the query is missing"),
        ("-- nothing", "the query is missing"),
        ("SELECT *", "FROM is missing"),
        (
            "SELECT FROM project_logs('p1')",
            "the select list is missing",
        ),
        (
            "SELECT *, FROM project_logs('p1')",
            "an item of the select list is missing",
        ),
        (
            "SELECT * FROM project_logs('p1') WHERE",
            "the condition is missing",
        ),
        ("select: * | filter: a = 1", "`from:` is missing"),
        ("from: project_logs('p1')", "`select:` is missing"),
        (
            "select: * | from: project_logs('p1') | filter: | ",
            "the condition is missing",
        ),
    ] {
        let error = refusal(text);
        assert!(error.starts_with(missing), "{text}: {error}");
    }
}

#[test]
fn the_rows_must_carry_the_transaction_under_its_own_name() {
    for text in [
        "SELECT id FROM project_logs('p1')",
        "SELECT _xact_id AS x FROM project_logs('p1')",
        "SELECT * EXCLUDE (id) FROM project_logs('p1')",
        "SELECT t.* FROM project_logs('p1')",
        "select: id | from: project_logs('p1')",
    ] {
        assert_eq!(
            UserQuery::parse(text),
            Err(UserQueryError::NoTransaction),
            "{text}"
        );
    }
    for text in [
        "SELECT *, created AS _xact_id FROM project_logs('p1')",
        "SELECT *, '9' AS \"_xact_id\" FROM project_logs('p1')",
        "SELECT *, 9 _XACT_ID FROM project_logs('p1')",
        "SELECT *, metadata._xact_id FROM project_logs('p1')",
        "SELECT id, \"_xact_id\" FROM project_logs('p1')",
        "SELECT TOP 5 _xact_id FROM project_logs('p1')",
    ] {
        let error = UserQuery::parse(text).unwrap_err();
        assert!(
            matches!(error, UserQueryError::TransactionName(_)),
            "{text}: {error}"
        );
    }
}

#[test]
fn only_spans_of_one_project_are_read() {
    for text in [
        "SELECT * FROM experiment('e1')",
        "SELECT * FROM project_logs",
        "SELECT * FROM project_logs('p1', 'p2')",
        "SELECT * FROM project_logs('p1'), project_logs('p2')",
        "SELECT * FROM project_logs(p1)",
        "SELECT * FROM project_logs('p1') AS t",
        "SELECT * FROM project_logs('p1') spans",
        "SELECT * FROM project_logs('p''1')",
        "SELECT * FROM audit_logs('o1')",
        "select: * | from: project_logs('p1') spans spans",
    ] {
        let error = UserQuery::parse(text).unwrap_err();
        assert!(
            matches!(error, UserQueryError::Source { .. }),
            "{text}: {error}"
        );
    }
    for text in [
        "SELECT * FROM project_logs('p1', shape => 'summary')",
        "SELECT * FROM project_logs('p1', shape => 'traces')",
        "select: * from: project_logs('p1') summary",
    ] {
        let error = refusal(text);
        assert!(error.contains("log_traces"), "{text}: {error}");
    }
}

#[test]
fn a_text_that_is_read_in_more_than_one_way_is_refused_with_its_place() {
    for (condition, place, problem) in [
        (r"a = 'x\' OR true) -- '", 44, "write a quote as ''"),
        (r#"a = "x\\\" or "" "#, 44, "write a quote as \"\""),
        ("a = 'x", 44, "not closed"),
        ("a /* b", 42, "comment is not closed"),
        ("a /* /* */ */", 42, "a comment stands in a comment"),
        ("a = 1) OR (true", 45, "`)` closes nothing"),
        ("a = (1]", 46, "`]` closes nothing"),
        ("a IN ('b'", 49, "`)` is missing"),
        ("a = `b`", 44, "'`' is not understood"),
        ("a = $1", 44, "'$' is not understood"),
        ("a // b", 42, "`//` is not understood"),
        ("ä = 1", 40, "double quotes"),
        ("a = \u{a0}1", 44, "may stand in quotes only"),
        ("a | b", 42, "is no sign of SQL"),
    ] {
        let error = refusal(&format!(
            "SELECT *  FROM project_logs('p1')  WHERE{condition}"
        ));
        let expected = format!("the query cannot be read at character {}: ", place + 1);
        assert!(error.starts_with(&expected), "{condition}: {error}");
        assert!(error.contains(problem), "{condition}: {error}");
    }
    assert!(
        UserQuery::parse(r"SELECT * FROM project_logs('p1') WHERE a = 'x\\' OR b = 'it''s\n'")
            .is_ok()
    );
    assert!(refusal(&"x".repeat(40_000)).contains("longer than 32768 bytes"));
}

#[test]
fn a_query_is_written_and_read_as_its_text() {
    let text = "SELECT * -- all\nFROM project_logs('p1')";
    let query = UserQuery::parse(text).unwrap();
    let json = serde_json::to_string(&query).unwrap();
    assert_eq!(json, serde_json::to_string(text).unwrap());
    assert_eq!(serde_json::from_str::<UserQuery>(&json).unwrap(), query);
    let error = serde_json::from_str::<UserQuery>("\"SELECT 1\"").unwrap_err();
    assert!(error.to_string().contains("FROM is missing"), "{error}");
}

#[test]
fn a_column_that_is_called_like_a_folder_of_the_files_is_refused() {
    for select in [
        "_xact_id, created AS date",
        "_xact_id, id AS Hour",
        "*, metadata.date",
    ] {
        let query = format!("SELECT {select} FROM project_logs('p1')");
        let error = UserQuery::parse(&query).unwrap_err();
        assert!(
            matches!(error, UserQueryError::FolderName(_)),
            "{select}: {error}"
        );
    }
    assert!(UserQuery::parse("SELECT _xact_id, created AS day FROM project_logs('p1')").is_ok());
}

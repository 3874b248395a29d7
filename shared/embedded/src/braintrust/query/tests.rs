use super::filter::{Comparison, Expression, Path};
use super::*;
use crate::braintrust::row::Row;

fn parsed(text: &str) -> Query {
    match Asked::parse(text) {
        Ok(Asked::Logs(query)) => query,
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> String {
    match Asked::parse(text) {
        Ok(query) => panic!("{text} was understood: {query:?}"),
        Err(error) => error.to_string(),
    }
}

const FROM: &str = "FROM project_logs('p', shape => 'spans')";

#[test]
fn the_queries_that_sealift_asks_are_understood() {
    let first = parsed(&format!(
        "SELECT _xact_id {FROM} WHERE _xact_id > '5' AND _xact_id <= '9' ORDER BY _xact_id LIMIT 1"
    ));
    assert_eq!(first.projects, ["p"]);
    assert_eq!(first.columns(), ["_xact_id"]);
    assert_eq!(first.limit, Some(1));
    assert_eq!(first.filter.as_ref().map(Expression::xacts), Some((6, 9)));
    let order = Order {
        by: Key::Xact,
        descending: false,
    };
    assert_eq!(first.order, Some(order));

    let page = parsed(&format!(
        "select * {FROM} where _xact_id > '5' and _xact_id <= '9' \
         order by _xact_id asc limit 7 offset 'a+/b'"
    ));
    assert_eq!(page.select, Select::All);
    assert_eq!(page.cursor.as_deref(), Some("a+/b"));
    assert_eq!(page.columns(), COLUMNS);

    let summaries = parsed(
        "SELECT * FROM project_logs('p', shape => 'summary') \
         WHERE root_span_id IN ('r1', 'r2') LIMIT 100",
    );
    assert_eq!(summaries.shape, Shape::Summary);
    assert_eq!(summaries.filter.unwrap().roots(), ["r1", "r2"]);

    let survey = parsed(
        "SELECT project_id, max(_xact_id) AS latest, count(1) AS rows \
         FROM project_logs('p1', 'p2', shape => 'spans') WHERE _xact_id > '5' GROUP BY project_id",
    );
    assert_eq!(survey.projects, ["p1", "p2"]);
    let Select::Survey(measures) = survey.select else {
        panic!("{survey:?}");
    };
    assert_eq!(measures.len(), 3);
}

#[test]
fn a_users_query_keeps_its_meaning_when_conditions_are_added() {
    let query = parsed(&format!(
        "SELECT id, metadata.model, metadata.\"braintrust.parent\" AS parent {FROM} \
         WHERE (scores.\"Email sent\" >= 0.5 OR error IS NOT NULL AND is_root = true) \
         AND _xact_id > '5' LIMIT 3"
    ));
    assert_eq!(query.columns(), ["id", "model", "parent"]);
    let Some(Expression::All(parts)) = &query.filter else {
        panic!("{query:?}");
    };
    assert!(matches!(&parts[0], Expression::Any(branches) if branches.len() == 2));
    assert!(query.is_bounded());
    assert_eq!(query.filter.unwrap().xacts(), (6, u64::MAX));
}

#[test]
fn the_form_in_clauses_says_the_same() {
    let pipe = "select: id, metadata.model as m | from: project_logs('p') spans \
                | filter: _xact_id > '5' and metadata.model = \"gpt\" \
                | sort: _xact_id ASC | limit: 7 | cursor: \"tok\"";
    let sql = format!(
        "SELECT id, metadata.model AS m {FROM} WHERE _xact_id > '5' AND metadata.model = 'gpt' \
         ORDER BY _xact_id LIMIT 7 OFFSET 'tok'"
    );
    assert_eq!(parsed(pipe), parsed(&sql));
    // In any order, and without bars.
    let lines = "from: project_logs('p')\nlimit: 7\nselect: *\nfilter: id = 'a'\n\
                 sort: _pagination_key DESC";
    let query = parsed(lines);
    assert_eq!(query.shape, Shape::Spans);
    assert!(query.order.is_some_and(|order| order.descending));
}

#[test]
fn quotes_are_doubled_or_escaped() {
    let literal = |text: &str| {
        let query = parsed(&format!("SELECT * {FROM} WHERE id = {text}"));
        let Some(Expression::Compare { value, .. }) = query.filter else {
            panic!("{text}");
        };
        value
    };
    let text = |text: &str| filter::Literal::Text(text.to_owned());
    assert_eq!(literal("'it''s'"), text("it's"));
    assert_eq!(literal(r"'it\'s'"), text("it's"));
    assert_eq!(literal(r"'a\\b'"), text(r"a\b"));
    assert_eq!(literal("''"), text(""));
    assert_eq!(literal("'😀 \"'"), text("😀 \""));
    refused(&format!(r"SELECT * {FROM} WHERE id = 'a\nb'"));
    refused(&format!("SELECT * {FROM} WHERE id = 'open"));
}

/// Queries and what is said of them. `@` is the source, `#` a filter that is well.
const REFUSED: [(&str, &str); 45] = [
    ("", "expected SELECT, but the query ends"),
    ("DELETE FROM x", "expected SELECT, but `DELETE` stands at 0"),
    ("SELECT @", "a column of project logs"),
    ("SELECT nonsense @", "a column of project logs"),
    ("SELECT upper(id) @", "max(_xact_id) or count(1)"),
    ("SELECT id, metadata.id @", "a name other than `id`"),
    ("SELECT *, id @", "FROM"),
    ("SELECT * FROM experiment('p')", "project_logs"),
    ("SELECT * FROM project_logs(p)", "a text in quotes"),
    ("SELECT * FROM project_logs(\"p\")", "a text in quotes"),
    ("SELECT * FROM project_logs()", "a text in quotes"),
    (
        "SELECT * FROM project_logs('p', shape => 'traces')",
        "`traces` is not",
    ),
    (
        "SELECT * FROM project_logs('p', form => 'spans')",
        "a text in quotes",
    ),
    (
        "SELECT * FROM project_logs('p') AS t",
        "the end of the query",
    ),
    ("SELECT * @ WHERE", "a field"),
    ("SELECT * @ WHERE id", "a comparison, IS or IN"),
    ("SELECT * @ WHERE id LIKE 'a%'", "a comparison, IS or IN"),
    ("SELECT * @ WHERE id ~ 'a'", "`~` at"),
    ("SELECT * @ WHERE NOT id = 'a'", "a column of project logs"),
    ("SELECT * @ WHERE model = 'a'", "a column of project logs"),
    ("SELECT * @ WHERE created > now()", "a text, a number"),
    ("SELECT * @ WHERE id = \"a\"", "a text, a number"),
    ("SELECT * @ WHERE (id = 'a'", "`)`"),
    ("SELECT * @ WHERE id IN ()", "a text, a number"),
    ("SELECT * @ WHERE id NOT = 'a'", "IN"),
    ("SELECT * @ WHERE tags[0] = 'a'", "`[` at"),
    ("SELECT * @ WHERE _xact_id > 'p5'", "digits"),
    ("SELECT * @ WHERE _xact_id > 1.5", "digits"),
    ("SELECT * @ WHERE _xact_id > 18446744073709551616", "digits"),
    ("SELECT * @ WHERE _xact_id IN ('5')", "not answered"),
    (
        "SELECT * @ # ORDER BY created",
        "_xact_id or _pagination_key",
    ),
    ("SELECT * @ # LIMIT '5'", "a whole number"),
    ("SELECT * @ # LIMIT 5x", "not a number"),
    ("SELECT * @ # LIMIT -5", "a whole number"),
    ("SELECT * @ # OFFSET 10", "a text in quotes"),
    ("SELECT * @ # LIMIT 5;", "`;` at"),
    ("SELECT * @ -- all\n#", "the end of the query"),
    ("SELECT * @ # GROUP BY project_id", "GROUP BY needs"),
    ("SELECT max(_xact_id) AS m @ #", "GROUP BY project_id"),
    ("SELECT max(_xact_id) AS m @ # GROUP BY id", "project_id"),
    (
        "SELECT max(_xact_id) AS m @ # GROUP BY project_id ORDER BY _xact_id",
        "beside GROUP BY",
    ),
    ("SELECT count(1) @ # GROUP BY project_id", "AS and a name"),
    ("SELECT count(2) AS n @ #", "count(1)"),
    ("SELECT id, count(1) AS n @ #", "must be grouped by"),
    ("SELECT max(created) AS m @ #", "_xact_id"),
];

#[test]
fn what_is_not_understood_is_named() {
    for (text, said) in REFUSED {
        let text = text.replace('@', FROM).replace('#', "WHERE _xact_id > '5'");
        let error = refused(&text);
        assert!(error.contains(said), "{text}\n{error}");
    }
    let error = refused("SELECT * FROM project_logs('p', 'q') WHERE id = 'a'");
    assert!(error.contains("a single project"), "{error}");
}

#[test]
fn summaries_are_asked_for_by_their_traces_only() {
    let from = "FROM project_logs('p', shape => 'summary')";
    parsed(&format!("SELECT * {from} WHERE root_span_id = 'r'"));
    for text in [
        format!("SELECT * {from} WHERE _xact_id > '5'"),
        format!("SELECT * {from} WHERE root_span_id IN ('r') AND is_root = true"),
        format!("SELECT * {from} WHERE root_span_id NOT IN ('r')"),
        format!("SELECT * {from} WHERE root_span_id != 'r'"),
        format!("SELECT id {from} WHERE root_span_id IN ('r')"),
        format!("SELECT * {from} WHERE root_span_id IN ('r') ORDER BY _xact_id"),
        "SELECT * FROM project_logs('p', 'q', shape => 'summary') WHERE root_span_id = 'r'".into(),
    ] {
        refused(&text);
    }
}

#[test]
fn clauses_that_are_missing_repeated_or_unknown_are_named() {
    for (text, said) in [
        ("from: project_logs('p')", "`select:` is missing"),
        ("select: *", "`from:` is missing"),
        (
            "select: * | select: * | from: project_logs('p')",
            "stands twice",
        ),
        (
            "select: * | from: project_logs('p') | sample: 5",
            "`sample:` is not understood",
        ),
        (
            "select: * | from: project_logs('p') traces",
            "spans or summary",
        ),
        (
            "select: * | from: project_logs('p') | filter: id = 'a' limit",
            "the end of the query",
        ),
        (
            "select: count(1) as n | from: project_logs('p')",
            "in SQL only",
        ),
        (
            "select: * | from: project_logs('p') | limit: 'x'",
            "a whole number",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(said), "{text}\n{error}");
    }
}

#[test]
fn deep_parentheses_are_refused_and_shallow_ones_are_not() {
    let nested = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        format!("SELECT * {FROM} WHERE {open}id = 'a'{close}")
    };
    parsed(&nested(50));
    assert!(refused(&nested(51)).contains("too deeply"));
    assert!(refused(&nested(100_000)).contains("too deeply"));
}

#[test]
fn a_query_is_bounded_only_by_what_leaves_segments_out() {
    let bounded = |filter: &str| parsed(&format!("SELECT * {FROM} WHERE {filter}")).is_bounded();
    for filter in [
        "_xact_id <= '5'",
        "_xact_id = '5'",
        "created >= '2026-01-01'",
        "_pagination_key > 'p00000000000000000001'",
        "root_span_id = 'r'",
        "id IN ('a', 'b')",
        "error IS NULL AND (is_root = true AND id = 'a')",
        "id = 'a' OR created > '2026-01-01'",
    ] {
        assert!(bounded(filter), "{filter}");
    }
    for filter in [
        "_xact_id != '5'",
        "created IS NOT NULL",
        "root_span_id != 'r'",
        "root_span_id > 'r'",
        "id NOT IN ('a')",
        "metadata.id = 'a'",
        "error IS NULL",
        "id = 'a' OR error IS NULL",
    ] {
        assert!(!bounded(filter), "{filter}");
    }
    assert!(!parsed(&format!("SELECT * {FROM}")).is_bounded());
}

fn row() -> Row {
    let text = r#"{"_xact_id":"10000000000000000000","_pagination_key":"p00000000000000000003",
        "id":"a","root_span_id":"r","created":"2026-05-12T23:48:21.627Z","is_root":true,
        "scores":{"Factuality":0.5},"metrics":{"tokens":66,"start":1778629701.5},
        "metadata":{"model":"gpt","braintrust.parent":"p","none":null,"deep":{"er":"x"}},
        "error":null,"tags":["t"]}"#;
    Row::parse(text.replace(['\n', ' '], "").into()).unwrap()
}

#[test]
fn conditions_hold_as_in_sql() {
    let row = row();
    let holds = |filter: &str| {
        let query = parsed(&format!("SELECT * {FROM} WHERE {filter}"));
        query.filter.unwrap().holds(&row)
    };
    for filter in [
        "metadata.model = 'gpt'",
        "metadata.\"braintrust.parent\" = 'p'",
        "metadata.deep.er != 'y'",
        "metrics.tokens = 66.0",
        "metrics.tokens > -1",
        "metrics.start < 1778629701.6",
        "scores.Factuality >= 0.5",
        "is_root = TRUE",
        "is_root <> false",
        "created > '2026-05-12'",
        "error IS NULL",
        "metadata.none IS NULL",
        "metadata.absent.at.all IS NULL",
        "tags IS NOT NULL",
        "id IN ('b', 'a')",
        "id NOT IN ('b')",
        "root_span_id = 'r' AND (id = 'b' OR is_root = true)",
        // As a number: as text it would be the smaller one.
        "_xact_id > '9999999999999999999'",
        "_xact_id <= 10000000000000000000",
        "_pagination_key < 'p00000000000000000004'",
    ] {
        assert!(holds(filter), "{filter}");
    }
    for filter in [
        "metadata.model != 'gpt'",
        "metadata.model = 5",
        "metadata.absent != 'x'",
        "metadata.absent NOT IN ('x')",
        "error = NULL",
        "error != NULL",
        "is_root = 'true'",
        "tags = 't'",
        "_xact_id < '9999999999999999999'",
        "_xact_id IS NULL",
        "id = 'b' OR id = 'c'",
    ] {
        assert!(!holds(filter), "{filter}");
    }
}

#[test]
fn the_range_of_transactions_is_found_in_conjunctions_only() {
    let xacts = |filter: &str| {
        let query = parsed(&format!("SELECT * {FROM} WHERE {filter}"));
        query.filter.unwrap().xacts()
    };
    let all = (0, u64::MAX);
    assert_eq!(
        xacts("_xact_id > '5' AND (_xact_id < '9' AND id = 'a')"),
        (6, 8)
    );
    assert_eq!(xacts("_xact_id >= '5' AND _xact_id <= '9'"), (5, 9));
    assert_eq!(xacts("_xact_id = '5'"), (5, 5));
    assert_eq!(xacts("_xact_id != '5'"), all);
    assert_eq!(xacts("_xact_id > '5' OR id = 'a'"), all);
    for nothing in [
        format!("_xact_id > '{}'", u64::MAX),
        "_xact_id < '0'".into(),
        "_xact_id > '9' AND _xact_id <= '5'".into(),
    ] {
        let (first, last) = xacts(&nothing);
        assert!(first > last, "{nothing}");
    }
}

#[test]
fn comparing_the_transaction_never_reads_the_row() {
    let broken = Row {
        bytes: "no JSON".into(),
        ..row()
    };
    let expression = Expression::compare(
        Path(vec!["_xact_id".into()]),
        Comparison::Greater,
        filter::Literal::Text("5".into()),
    );
    assert!(expression.unwrap().holds(&broken));
}

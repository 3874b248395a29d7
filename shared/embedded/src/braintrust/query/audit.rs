//! Queries of the audit log: `SELECT * FROM audit_logs('<organization>') WHERE … ORDER BY created`.
//!
//! Documented: the source, its fields, and that it is asked in SQL. What else may be asked of it
//! is not, so this server takes what Sealift asks, conditions on `created` and `event_type` that
//! all must hold, and refuses the rest.

use jiff::Timestamp;

use super::Misread;
use super::filter::{Comparison, Literal};
use super::parser::Parser;
use super::token::{Kind, Token};

/// A query of the audit log, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditQuery {
    pub(crate) organization: String,
    conditions: Vec<Condition>,
    pub(crate) descending: bool,
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Created(Comparison, Timestamp),
    Type { negated: bool, among: Vec<String> },
}

impl AuditQuery {
    /// Whether an entry of this time and type is asked for.
    pub(crate) fn wants(&self, created: Timestamp, event_type: &str) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Created(comparison, time) => comparison.holds(created.cmp(time)),
            Condition::Type { negated, among } => {
                among.iter().any(|name| name == event_type) != *negated
            }
        })
    }

    /// Whether it says how far back it reads. That others are refused, as queries of logs are,
    /// is our choice.
    pub(crate) fn is_bounded(&self) -> bool {
        let created = |condition: &Condition| matches!(condition, Condition::Created(..));
        self.conditions.iter().any(created)
    }
}

/// Whether the query reads the audit log, and nothing else says what it reads.
pub(super) fn is_audit(tokens: &[Token]) -> bool {
    let mut kinds = tokens.iter().map(|token| &token.kind);
    let from = kinds.find(|kind| is_word(kind, "FROM"));
    from.is_some() && kinds.next().is_some_and(|kind| is_word(kind, "audit_logs"))
}

fn is_word(kind: &Kind, word: &str) -> bool {
    matches!(kind, Kind::Word(is) if is.eq_ignore_ascii_case(word))
}

pub(super) fn query(tokens: Vec<Token>) -> Result<AuditQuery, Misread> {
    let mut parser = Parser::new(tokens, false);
    parser.word("SELECT")?;
    parser.sign("*")?;
    parser.word("FROM")?;
    parser.word("audit_logs")?;
    parser.sign("(")?;
    let organization = parser.text()?;
    parser.sign(")")?;
    let mut conditions = Vec::new();
    if parser.takes_word("WHERE") {
        conditions.push(condition(&mut parser)?);
        while parser.takes_word("AND") {
            conditions.push(condition(&mut parser)?);
        }
    }
    // Without ORDER BY the newest come first, as in Braintrust's own table. Our choice.
    let mut descending = true;
    if parser.takes_word("ORDER") {
        parser.word("BY")?;
        parser.word("created")?;
        descending = parser.takes_word("DESC");
        if !descending {
            parser.takes_word("ASC");
        }
    }
    let limit = match parser.takes_word("LIMIT") {
        true => Some(parser.count()?),
        false => None,
    };
    parser.end()?;
    Ok(AuditQuery {
        organization,
        conditions,
        descending,
        limit,
    })
}

fn condition(parser: &mut Parser) -> Result<Condition, Misread> {
    if parser.takes_word("created") {
        let comparison = parser.comparison()?;
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            return Err(Misread::new("created is compared by >=, >, < or <= here"));
        }
        let text = parser.text()?;
        let time = text.parse().map_err(|_| {
            let said = "created is compared with a time of RFC 3339, which this is not";
            Misread::new(format!("{said}: '{text}'"))
        })?;
        return Ok(Condition::Created(comparison, time));
    }
    if !parser.takes_word("event_type") {
        return Err(parser.expected("created or event_type"));
    }
    if parser.takes_sign("=") {
        let (negated, among) = (false, vec![parser.text()?]);
        return Ok(Condition::Type { negated, among });
    }
    let negated = parser.takes_word("NOT");
    if !parser.takes_word("IN") {
        return Err(parser.expected(if negated { "IN" } else { "`=`, IN or NOT IN" }));
    }
    let mut among = Vec::new();
    for value in parser.list()? {
        let Literal::Text(name) = value else {
            return Err(Misread::new("event_type is among texts only"));
        };
        among.push(name);
    }
    Ok(Condition::Type { negated, among })
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::*;

    fn parsed(text: &str) -> AuditQuery {
        match Asked::parse(text) {
            Ok(Asked::Audit(query)) => query,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_query_that_sealift_asks_is_understood() {
        let query = parsed(
            "SELECT * FROM audit_logs('o') WHERE created >= '2026-05-12T00:00:00.000Z' AND \
             created < '2026-05-13T00:00:00.000Z' AND event_type NOT IN ('query.read', 'a\\'b') \
             ORDER BY created LIMIT 500",
        );
        assert_eq!(query.organization, "o");
        assert_eq!((query.descending, query.limit), (false, Some(500)));
        assert!(query.is_bounded());
        for (created, kind, wanted) in [
            ("2026-05-12T00:00:00Z", "project.created", true),
            ("2026-05-12T23:59:59.999999Z", "x", true),
            ("2026-05-13T01:00:00+02:00", "x", true),
            ("2026-05-11T23:59:59.999Z", "project.created", false),
            ("2026-05-13T00:00:00Z", "project.created", false),
            ("2026-05-12T00:00:00Z", "query.read", false),
            ("2026-05-12T00:00:00Z", "a'b", false),
        ] {
            assert_eq!(query.wants(time(created), kind), wanted, "{created} {kind}");
        }
    }

    #[test]
    fn each_condition_has_its_sense() {
        let at = "2026-05-12T00:00:00Z";
        let holds = |condition: &str, created: &str, kind: &str| {
            let query = parsed(&format!("select * from audit_logs('o') where {condition}"));
            query.wants(time(created), kind)
        };
        for (sign, before, same, after) in [
            (">", false, false, true),
            (">=", false, true, true),
            ("<", true, false, false),
            ("<=", true, true, false),
        ] {
            let condition = format!("created {sign} '{at}'");
            assert_eq!(holds(&condition, "2026-05-11T23:59:59Z", "x"), before);
            assert_eq!(holds(&condition, at, "x"), same, "{sign}");
            assert_eq!(holds(&condition, "2026-05-12T00:00:00.1Z", "x"), after);
        }
        for (condition, kind, wanted) in [
            ("event_type = 'a.b'", "a.b", true),
            ("event_type = 'a.b'", "A.b", false),
            ("event_type IN ('a.b', 'c.d')", "c.d", true),
            ("event_type IN ('a.b')", "c.d", false),
            ("event_type NOT IN ('a.b')", "c.d", true),
        ] {
            assert_eq!(holds(condition, at, kind), wanted, "{condition}");
        }
    }

    #[test]
    fn without_an_order_the_newest_come_first() {
        assert!(parsed("SELECT * FROM audit_logs('o')").descending);
        assert!(parsed("SELECT * FROM audit_logs('o') ORDER BY created DESC").descending);
        assert!(!parsed("SELECT * FROM audit_logs('o') ORDER BY created ASC").descending);
        assert!(!parsed("SELECT * FROM audit_logs('o') WHERE event_type = 'a'").is_bounded());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (rest, said) in [
            ("", "expected `(`"),
            ("()", "a text in quotes"),
            ("(o)", "a text in quotes"),
            ("('o', 'p')", "`)`"),
            ("('o', shape => 'spans')", "`)`"),
            ("('o') WHERE", "created or event_type"),
            ("('o') WHERE actor_id = 'a'", "created or event_type"),
            ("('o') WHERE (created > 'x')", "created or event_type"),
            (
                "('o') WHERE created = '2026-05-12T00:00:00Z'",
                "compared by",
            ),
            (
                "('o') WHERE created != '2026-05-12T00:00:00Z'",
                "compared by",
            ),
            ("('o') WHERE created > '2026-05-12'", "a time of RFC 3339"),
            ("('o') WHERE created > now()", "a text in quotes"),
            ("('o') WHERE event_type != 'a'", "`=`, IN or NOT IN"),
            ("('o') WHERE event_type LIKE 'a%'", "`=`, IN or NOT IN"),
            ("('o') WHERE event_type NOT = 'a'", "expected IN"),
            ("('o') WHERE event_type IN ()", "a text, a number"),
            ("('o') WHERE event_type IN (1)", "among texts only"),
            (
                "('o') WHERE event_type = 'a' OR event_type = 'b'",
                "the end",
            ),
            ("('o') ORDER BY id", "expected created"),
            ("('o') ORDER BY created, id", "the end"),
            ("('o') LIMIT -1", "a whole number"),
            ("('o') LIMIT 5 OFFSET 'x'", "the end"),
            ("('o') GROUP BY event_type", "the end"),
        ] {
            let text = format!("SELECT * FROM audit_logs{rest}");
            let error = match Asked::parse(&text) {
                Err(error) => error.to_string(),
                other => panic!("{text}: {other:?}"),
            };
            assert!(error.contains(said), "{text}\n{error}");
        }
        let fields = Asked::parse("SELECT id FROM audit_logs('o')").unwrap_err();
        assert!(fields.to_string().contains("expected `*`"), "{fields}");
        let pipe = Asked::parse("select: * | from: audit_logs('o')").unwrap_err();
        assert!(pipe.to_string().contains("project_logs"), "{pipe}");
    }
}

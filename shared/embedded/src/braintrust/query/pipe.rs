//! The form in clauses: `select: * | from: project_logs('…') spans | filter: … | limit: 10`.
//!
//! Clauses stand in any order, each once, with a bar or nothing but white space between them.

use super::parser::{Parser, named_shape};
use super::token::{Kind, Token};
use super::{Misread, Query, Select, Shape};

pub(super) fn is_pipe(tokens: &[Token]) -> bool {
    let mut kinds = tokens.iter().map(|token| &token.kind);
    matches!(
        (kinds.next(), kinds.next()),
        (Some(Kind::Word(_)), Some(Kind::Sign(":")))
    )
}

pub(super) fn query(tokens: Vec<Token>) -> Result<Query, Misread> {
    let mut parser = Parser::new(tokens, true);
    let (mut select, mut source, mut filter) = (None, None, None);
    let (mut order, mut limit, mut cursor) = (None, None, None);
    while let Some(clause) = clause(&mut parser)? {
        let again = match clause.as_str() {
            "select" => select.replace(parser.select()?).is_some(),
            "from" => source.replace(from(&mut parser)?).is_some(),
            "filter" => filter.replace(parser.condition()?).is_some(),
            "sort" => order.replace(parser.order()?).is_some(),
            "limit" => limit.replace(parser.count()?).is_some(),
            "cursor" => cursor.replace(parser.text()?).is_some(),
            _ => {
                return Err(Misread::new(format!(
                    "the clause `{clause}:` is not understood"
                )));
            }
        };
        if again {
            return Err(Misread::new(format!("the clause `{clause}:` stands twice")));
        }
        parser.takes_sign("|");
    }
    parser.end()?;
    let select = select.ok_or_else(|| Misread::new("the clause `select:` is missing"))?;
    if matches!(select, Select::Survey(_)) {
        return Err(Misread::new("aggregates are answered in SQL only"));
    }
    let (projects, shape) = source.ok_or_else(|| Misread::new("the clause `from:` is missing"))?;
    Ok(Query {
        projects,
        shape,
        select,
        filter,
        order,
        limit,
        cursor,
    })
}

/// The next clause's name; `None` where none begins.
fn clause(parser: &mut Parser) -> Result<Option<String>, Misread> {
    if !matches!(parser.peek_at(1), Some(Kind::Sign(":"))) {
        return Ok(None);
    }
    let name = parser.identifier()?.to_ascii_lowercase();
    parser.sign(":")?;
    Ok(Some(name))
}

fn from(parser: &mut Parser) -> Result<(Vec<String>, Shape), Misread> {
    let (projects, shape) = parser.source()?;
    let named = match (parser.peek(), parser.peek_at(1)) {
        // The next clause's name, where clauses are not separated by bars.
        (Some(Kind::Word(_)), Some(Kind::Sign(":"))) => None,
        (Some(Kind::Word(name)), _) => Some(named_shape(name)),
        _ => None,
    };
    match named {
        None => Ok((projects, shape)),
        Some(None) => Err(parser.expected("spans or summary")),
        Some(Some(shape)) => {
            parser.identifier()?;
            Ok((projects, shape))
        }
    }
}

//! The SQL form: `SELECT … FROM project_logs(…) WHERE … ORDER BY … LIMIT … OFFSET '<cursor>'`.

use super::parser::Parser;
use super::token::Token;
use super::{Misread, Query, Select};

pub(super) fn query(tokens: Vec<Token>) -> Result<Query, Misread> {
    let mut parser = Parser::new(tokens, false);
    parser.word("SELECT")?;
    let select = parser.select()?;
    parser.word("FROM")?;
    let (projects, shape) = parser.source()?;
    let filter = match parser.takes_word("WHERE") {
        true => Some(parser.condition()?),
        false => None,
    };
    group(&mut parser, &select)?;
    let order = if parser.takes_word("ORDER") {
        parser.word("BY")?;
        Some(parser.order()?)
    } else {
        None
    };
    let limit = match parser.takes_word("LIMIT") {
        true => Some(parser.count()?),
        false => None,
    };
    // Confirmed: numeric offsets are not supported.
    let cursor = match parser.takes_word("OFFSET") {
        true => Some(parser.text()?),
        false => None,
    };
    parser.end()?;
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

/// `GROUP BY project_id`, which aggregates need and nothing else may have.
fn group(parser: &mut Parser, select: &Select) -> Result<(), Misread> {
    let surveys = matches!(select, Select::Survey(_));
    if surveys != parser.is_word("GROUP") {
        return Err(match surveys {
            true => parser.expected("GROUP BY project_id"),
            false => Misread::new("GROUP BY needs max(_xact_id) or count(1) in the select list"),
        });
    }
    if surveys {
        parser.word("GROUP")?;
        parser.word("BY")?;
        parser.word("project_id")?;
    }
    Ok(())
}

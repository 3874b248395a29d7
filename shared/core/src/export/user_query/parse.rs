//! From tokens to the parts of a query: what is selected, of which project, under what
//! condition. Everything else is refused here.

use super::UserQueryError;
use super::token::{Kind, Token, text_of, tokens};
use crate::id::ProjectId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Sql,
    Btql,
}

/// A query, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) syntax: Syntax,
    pub(super) select: String,
    pub(super) project: ProjectId,
    pub(super) filter: Option<String>,
}

/// A part of the query, and what follows it.
type Split<'a, 't> = (&'a [Token<'t>], &'a [Token<'t>]);

/// The tokens of the clauses.
struct Clauses<'a, 't> {
    select: &'a [Token<'t>],
    from: &'a [Token<'t>],
    filter: Option<&'a [Token<'t>]>,
}

const ROWS: &str = "an export is of rows, one for each span; aggregate where its files are read";
const ALL_ROWS: &str = "every row of a range is exported; say which in a condition (WHERE, filter)";
const ORDER: &str = "rows come in the order of their transactions; leave it out";
const PAGES: &str = "all rows are read, page by page; leave it out (`batch_size` is a page's size)";
const CURSOR: &str = "the export keeps its own cursor; leave it out";
const ONE_SOURCE: &str = "rows come from one project's logs; make an automation for each source";
const ONE_QUERY: &str = "write one SELECT … FROM project_logs('<project id>') WHERE …";
const ONCE: &str =
    "it stands once, after the clause before it; a field of this name stands in double quotes";
const PLAIN: &str = "leave it out";

/// Words that begin what no exported query has, with the word that must follow, if one must.
const REFUSED: [(&str, Option<&str>, &str, &str); 25] = [
    ("select", None, "a subquery", ONE_QUERY),
    ("with", None, "WITH", ONE_QUERY),
    ("union", None, "UNION", ONE_SOURCE),
    ("intersect", None, "INTERSECT", ONE_SOURCE),
    ("except", None, "EXCEPT", ONE_SOURCE),
    ("join", None, "JOIN", ONE_SOURCE),
    ("from", None, "FROM here", ONCE),
    ("where", None, "WHERE here", ONCE),
    ("into", None, "INTO", PLAIN),
    ("distinct", None, "DISTINCT", ROWS),
    ("group", Some("by"), "GROUP BY", ROWS),
    ("having", None, "HAVING", ROWS),
    ("over", None, "OVER", ROWS),
    ("window", None, "WINDOW", ROWS),
    ("qualify", None, "QUALIFY", ROWS),
    ("pivot", None, "PIVOT", ROWS),
    ("unpivot", None, "UNPIVOT", ROWS),
    ("sample", None, "SAMPLE", ALL_ROWS),
    ("tablesample", None, "TABLESAMPLE", ALL_ROWS),
    ("order", Some("by"), "ORDER BY", ORDER),
    ("limit", None, "LIMIT", PAGES),
    ("fetch", None, "FETCH", PAGES),
    ("offset", None, "OFFSET", CURSOR),
    ("cursor", None, "CURSOR", CURSOR),
    ("settings", None, "SETTINGS", PLAIN),
];

/// The clauses of BTQL besides `select`, `from` and `filter`.
const REFUSED_CLAUSES: [(&str, &str); 13] = [
    ("dimensions", ROWS),
    ("measures", ROWS),
    ("final_filter", ROWS),
    ("having", ROWS),
    ("pivot", ROWS),
    ("unpivot", ROWS),
    ("sample", ALL_ROWS),
    ("sort", ORDER),
    ("limit", PAGES),
    ("cursor", CURSOR),
    ("trace_filter", "put the condition into `filter:`"),
    ("preview_length", "spans have no previews; leave it out"),
    ("where", "in this syntax the condition is `filter:`"),
];

/// The documented aggregate functions.
const AGGREGATES: [&str; 8] = [
    "count",
    "count_distinct",
    "sum",
    "avg",
    "min",
    "max",
    "any_value",
    "percentile",
];

const QUERY_EXAMPLE: &str = "`SELECT … FROM project_logs('<project id>') WHERE …`";
const SELECT_EXAMPLE: &str = "`SELECT *` or `select: *`, or a list of fields with `_xact_id`";
const FROM_EXAMPLE: &str =
    "`FROM project_logs('<project id>')` or `from: project_logs('<project id>')`";
const FILTER_EXAMPLE: &str = "a condition there, or leaves the clause out";

pub(super) fn parts(text: &str) -> Result<Parts, UserQueryError> {
    let tokens = tokens(text)?;
    let tokens = one_statement(&tokens)?;
    let (syntax, clauses) = match tokens {
        [name, colon, ..] if name.is_bare() && colon.is_sign(":") => (Syntax::Btql, btql(tokens)?),
        _ => (Syntax::Sql, sql(tokens)?),
    };
    let filter = clauses.filter.unwrap_or_default();
    for body in [clauses.select, clauses.from, filter] {
        refuse_words(body)?;
    }
    if clauses.filter.is_some_and(<[_]>::is_empty) {
        return Err(missing("the condition", FILTER_EXAMPLE));
    }
    check_select(clauses.select)?;
    Ok(Parts {
        syntax,
        select: text_of(clauses.select),
        project: source(clauses.from, syntax)?,
        filter: clauses.filter.map(text_of),
    })
}

/// Leaves a `;` at the end away, and refuses any other.
fn one_statement<'a, 't>(tokens: &'a [Token<'t>]) -> Result<&'a [Token<'t>], UserQueryError> {
    let tokens = match tokens {
        [whole @ .., last] if last.is_sign(";") => whole,
        _ => tokens,
    };
    if tokens.iter().any(|token| token.is_sign(";")) {
        return Err(refused("`;` between statements", ONE_QUERY));
    }
    Ok(tokens)
}

fn sql<'a, 't>(tokens: &'a [Token<'t>]) -> Result<Clauses<'a, 't>, UserQueryError> {
    let rest = match tokens {
        [first, rest @ ..] if first.is_keyword("select") => rest,
        [first, ..] if first.is_keyword("with") => return Err(refused("WITH", ONE_QUERY)),
        [first, ..] => return Err(at(first, "a query begins with SELECT or `select:`")),
        [] => return Err(missing("the query", QUERY_EXAMPLE)),
    };
    if let Some(bar) = rest.iter().find(|token| token.is_sign("|")) {
        return Err(at(
            bar,
            "`|` separates the clauses of BTQL and is no sign of SQL",
        ));
    }
    let outermost = |tokens: &[Token<'_>], word| {
        let is = |token: &Token<'_>| token.depth == 0 && token.is_keyword(word);
        tokens.iter().position(is)
    };
    let from = outermost(rest, "from").ok_or_else(|| missing("FROM", FROM_EXAMPLE))?;
    let (select, rest) = split(rest, from);
    let (from, filter) = match outermost(rest, "where") {
        None => (rest, None),
        Some(place) => {
            let (from, filter) = split(rest, place);
            (from, Some(filter))
        }
    };
    Ok(Clauses {
        select,
        from,
        filter,
    })
}

/// What stands before a token, and what after it.
fn split<'a, 't>(tokens: &'a [Token<'t>], at: usize) -> Split<'a, 't> {
    let before = tokens.get(..at).unwrap_or_default();
    let after = tokens.get(at + 1..).unwrap_or_default();
    (before, after)
}

/// The clauses stand in any order, with a bar or only white space between them.
fn btql<'a, 't>(mut rest: &'a [Token<'t>]) -> Result<Clauses<'a, 't>, UserQueryError> {
    let (mut select, mut from, mut filter) = (None, None, None);
    while let [name, _colon, after @ ..] = rest {
        let (mut body, next) = body(after)?;
        if let [whole @ .., last] = body
            && last.is_sign("|")
        {
            body = whole;
        }
        if let Some(bar) = body.iter().find(|token| token.is_sign("|")) {
            return Err(at(bar, "`|` may stand only before the next clause"));
        }
        let clause = name.text.to_ascii_lowercase();
        let before = match clause.as_str() {
            "select" => select.replace(body),
            "from" => from.replace(body),
            "filter" => filter.replace(body),
            _ => return Err(unusable_clause(&clause)),
        };
        if before.is_some() {
            return Err(refused(
                format!("`{clause}:` a second time"),
                "write it once",
            ));
        }
        rest = next;
    }
    Ok(Clauses {
        select: select.ok_or_else(|| missing("`select:`", SELECT_EXAMPLE))?,
        from: from.ok_or_else(|| missing("`from:`", FROM_EXAMPLE))?,
        filter,
    })
}

/// Splits what follows a clause's colon into the clause's body and the rest, which begins with
/// the next clause's name, if there is one.
///
/// Every colon outside of brackets begins a clause, unless it belongs to a `? :` in the body.
fn body<'a, 't>(tokens: &'a [Token<'t>]) -> Result<Split<'a, 't>, UserQueryError> {
    let mut questions = 0_usize;
    let mut before: Option<&Token<'_>> = None;
    for (place, token) in tokens.iter().enumerate() {
        if token.depth == 0 && token.is_sign("?") {
            questions += 1;
        } else if token.depth == 0 && token.is_sign(":") {
            let name = before.ok_or_else(|| at(token, "`:` follows no clause's name"))?;
            if name.is_bare() && is_clause(name.text) {
                let split = tokens.split_at_checked(place - 1);
                return Ok(split.unwrap_or((tokens, &[])));
            }
            match questions.checked_sub(1) {
                Some(left) => questions = left,
                None => return Err(unusable_clause(name.text)),
            }
        }
        before = Some(token);
    }
    Ok((tokens, &[]))
}

fn is_clause(name: &str) -> bool {
    let known = REFUSED_CLAUSES.iter().map(|(name, _)| *name);
    known
        .chain(["select", "from", "filter"])
        .any(|clause| clause.eq_ignore_ascii_case(name))
}

fn unusable_clause(name: &str) -> UserQueryError {
    let known = REFUSED_CLAUSES.iter().find(|(clause, _)| *clause == name);
    let way_out = known.map_or(
        "an exported query has `select:`, `from:` and `filter:`",
        |(_, way_out)| way_out,
    );
    refused(format!("`{name}:`"), way_out)
}

fn refuse_words(body: &[Token<'_>]) -> Result<(), UserQueryError> {
    for (place, token) in body.iter().enumerate() {
        let follows = |word| {
            body.get(place + 1)
                .is_some_and(|next| next.is_keyword(word))
        };
        let found = REFUSED
            .iter()
            .find(|(word, next, ..)| token.is_keyword(word) && next.is_none_or(follows));
        if let Some((_, _, clause, way_out)) = found {
            return Err(refused(*clause, way_out));
        }
    }
    Ok(())
}

/// What the folders of files are called: readers put these columns in place of a file's own.
const FOLDERS: [&str; 2] = ["date", "hour"];

/// Sees that the rows carry `_xact_id`, the column, under that name, and are not aggregated.
fn check_select(select: &[Token<'_>]) -> Result<(), UserQueryError> {
    for pair in select.windows(2) {
        if let [function, open] = pair
            && open.is_sign("(")
            && function.is_bare()
            && AGGREGATES.contains(&function.text.to_ascii_lowercase().as_str())
        {
            return Err(refused(format!("the aggregate {}()", function.text), ROWS));
        }
    }
    if select.is_empty() {
        return Err(missing("the select list", SELECT_EXAMPLE));
    }
    let mut found = false;
    for item in select.split(|token| token.depth == 0 && token.is_sign(",")) {
        match item {
            [] => return Err(missing("an item of the select list", SELECT_EXAMPLE)),
            [only] if only.is_sign("*") || (only.is_bare() && only.text == "_xact_id") => {
                found = true;
            }
            // Without AS an item is called after the last part of its path; with it, after
            // what follows. In double quotes it may be a name or a text.
            [.., last] if last.content().eq_ignore_ascii_case("_xact_id") => {
                return Err(UserQueryError::TransactionName(text_of(item)));
            }
            [.., last]
                if FOLDERS
                    .iter()
                    .any(|name| last.content().eq_ignore_ascii_case(name)) =>
            {
                return Err(UserQueryError::FolderName(text_of(item)));
            }
            _ => {}
        }
    }
    if found {
        Ok(())
    } else {
        Err(UserQueryError::NoTransaction)
    }
}

/// `project_logs('…')` with the shape `spans` or none: a parameter in SQL, a word behind it in
/// BTQL.
fn source(from: &[Token<'_>], syntax: Syntax) -> Result<ProjectId, UserQueryError> {
    let other = || UserQueryError::Source {
        found: text_of(from).chars().take(120).collect(),
    };
    let [function, open, id, rest @ ..] = from else {
        return Err(other());
    };
    if !function.is_keyword("project_logs") || !open.is_sign("(") || id.kind != Kind::Quoted {
        return Err(other());
    }
    let shape = match rest {
        [close] if close.is_sign(")") => None,
        [close, shape]
            if syntax == Syntax::Btql && close.is_sign(")") && shape.kind == Kind::Word =>
        {
            Some(shape)
        }
        [comma, name, arrow, shape, close]
            if comma.is_sign(",")
                && name.is_keyword("shape")
                && arrow.is_sign("=>")
                && shape.kind == Kind::Quoted
                && close.is_sign(")") =>
        {
            Some(shape)
        }
        _ => return Err(other()),
    };
    match shape.map(Token::content) {
        None | Some("spans") => ProjectId::parse(id.content()).map_err(|_| other()),
        Some(shape) => Err(UserQueryError::Shape(shape.to_owned())),
    }
}

fn refused(clause: impl Into<String>, way_out: &'static str) -> UserQueryError {
    UserQueryError::Clause {
        clause: clause.into(),
        way_out,
    }
}

fn missing(clause: &'static str, example: &'static str) -> UserQueryError {
    UserQueryError::Missing { clause, example }
}

fn at(token: &Token<'_>, problem: &str) -> UserQueryError {
    UserQueryError::Text {
        at: token.at,
        problem: problem.to_owned(),
    }
}

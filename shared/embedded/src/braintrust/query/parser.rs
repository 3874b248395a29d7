//! What SQL and the form in clauses have in common: fields, conditions and the data source.

use serde_json::Number;

use super::filter::{Comparison, Expression, Literal, Path};
use super::token::{Kind, Token};
use super::{COLUMNS, Field, Key, Measure, Measured, Misread, Order, Select, Shape};

/// Parentheses inside parentheses; more is refused before it costs stack.
const MAX_DEPTH: usize = 50;

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// Whether a text may stand in double quotes, as BTQL allows.
    double_quotes: bool,
}

/// An item of the select list.
enum Item {
    Field(Field),
    Measure(Measure),
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>, double_quotes: bool) -> Self {
        Self {
            tokens,
            next: 0,
            double_quotes,
        }
    }

    pub(super) fn peek(&self) -> Option<&Kind> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    /// "expected …, but …", at the place where reading stopped.
    pub(super) fn expected(&self, what: &str) -> Misread {
        Misread::new(match self.tokens.get(self.next) {
            Some(token) => format!(
                "expected {what}, but `{}` stands at {}",
                token.kind.shown(),
                token.at
            ),
            None => format!("expected {what}, but the query ends"),
        })
    }

    pub(super) fn end(&self) -> Result<(), Misread> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the query")),
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(is)) if is.eq_ignore_ascii_case(word))
    }

    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.next += usize::from(is);
        is
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), Misread> {
        if self.takes_word(word) {
            Ok(())
        } else {
            Err(self.expected(word))
        }
    }

    pub(super) fn takes_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Kind::Sign(is)) if *is == sign);
        self.next += usize::from(is);
        is
    }

    pub(super) fn sign(&mut self, sign: &str) -> Result<(), Misread> {
        if self.takes_sign(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{sign}`")))
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Misread> {
        let text = match self.peek() {
            Some(Kind::Text(text)) => Some(text.clone()),
            Some(Kind::Quoted(text)) if self.double_quotes => Some(text.clone()),
            _ => None,
        };
        let text = text.ok_or_else(|| self.expected("a text in quotes"))?;
        self.next += 1;
        Ok(text)
    }

    pub(super) fn count(&mut self) -> Result<u64, Misread> {
        let count = match self.peek() {
            Some(Kind::Number(text)) => text.parse().ok(),
            _ => None,
        };
        let count = count.ok_or_else(|| self.expected("a whole number"))?;
        self.next += 1;
        Ok(count)
    }

    pub(super) fn identifier(&mut self) -> Result<String, Misread> {
        let name = match self.peek() {
            Some(Kind::Word(name) | Kind::Quoted(name)) => Some(name.clone()),
            _ => None,
        };
        let name = name.ok_or_else(|| self.expected("a field"))?;
        self.next += 1;
        Ok(name)
    }

    /// A column, or a field within one: `metadata.model`, `metadata."braintrust.parent"`.
    pub(super) fn path(&mut self) -> Result<Path, Misread> {
        let at = self.next;
        let column = self.identifier()?;
        if !COLUMNS.contains(&column.as_str()) {
            self.next = at;
            // A real data plane also knows the short names of selected fields (`model` for
            // `metadata.model`). Refusing them is our choice: the full path always works.
            return Err(self.expected("a column of project logs"));
        }
        let mut path = vec![column];
        while self.takes_sign(".") {
            path.push(self.identifier()?);
        }
        Ok(Path(path))
    }

    pub(super) fn select(&mut self) -> Result<Select, Misread> {
        if self.takes_sign("*") {
            return Ok(Select::All);
        }
        let (mut fields, mut measures, mut names) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let at = self.next;
            let item = self.item()?;
            let name = match &item {
                Item::Field(field) => field.name.clone(),
                Item::Measure(measure) => measure.name.clone(),
            };
            if names.contains(&name) {
                // Confirmed: duplicates are rejected, whether explicit or implicit.
                self.next = at;
                return Err(self.expected(&format!("a name other than `{name}`, which is taken")));
            }
            names.push(name);
            match item {
                Item::Field(field) => fields.push(field),
                Item::Measure(measure) => measures.push(measure),
            }
            if !self.takes_sign(",") {
                break;
            }
        }
        if measures.is_empty() {
            return Ok(Select::Fields(fields));
        }
        for field in fields {
            if field.path.0 != ["project_id"] {
                let said = format!("`{}` beside an aggregate must be grouped by", field.path);
                return Err(Misread::new(said));
            }
            measures.push(Measure {
                what: Measured::Project,
                name: field.name,
            });
        }
        Ok(Select::Survey(measures))
    }

    fn item(&mut self) -> Result<Item, Misread> {
        let called = matches!(self.peek_at(1), Some(Kind::Sign("(")));
        if !called {
            let path = self.path()?;
            // Confirmed: without AS a field is named after the last part of its path.
            let last = path.0.last().cloned().unwrap_or_default();
            let name = self.alias()?.unwrap_or(last);
            return Ok(Item::Field(Field { path, name }));
        }
        let what = if self.takes_word("max") {
            self.sign("(")?;
            self.word("_xact_id")?;
            Measured::LatestXact
        } else if self.takes_word("count") {
            self.sign("(")?;
            if !self.takes_sign("*") && self.count()? != 1 {
                return Err(Misread::new("only count(1) and count(*) are answered"));
            }
            Measured::Rows
        } else {
            return Err(self.expected("max(_xact_id) or count(1)"));
        };
        self.sign(")")?;
        // What an aggregate is called without AS is not documented.
        let name = self
            .alias()?
            .ok_or_else(|| self.expected("AS and a name"))?;
        Ok(Item::Measure(Measure { what, name }))
    }

    fn alias(&mut self) -> Result<Option<String>, Misread> {
        if self.takes_word("AS") {
            self.identifier().map(Some)
        } else {
            Ok(None)
        }
    }

    /// `project_logs('…')`, with the shape as a parameter (SQL) or behind it (clauses).
    pub(super) fn source(&mut self) -> Result<(Vec<String>, Shape), Misread> {
        self.word("project_logs")?;
        self.sign("(")?;
        let mut projects = Vec::new();
        let mut shape = Shape::Spans;
        loop {
            if !projects.is_empty() && self.takes_word("shape") {
                self.sign("=>")?;
                let name = self.text()?;
                shape = named_shape(&name).ok_or_else(|| unknown_shape(&name))?;
                break;
            }
            projects.push(self.text()?);
            if !self.takes_sign(",") {
                break;
            }
        }
        self.sign(")")?;
        Ok((projects, shape))
    }

    pub(super) fn order(&mut self) -> Result<Order, Misread> {
        let by = if self.takes_word("_xact_id") {
            Key::Xact
        } else if self.takes_word("_pagination_key") {
            Key::Pagination
        } else {
            return Err(self.expected("_xact_id or _pagination_key"));
        };
        let descending = self.takes_word("DESC");
        if !descending {
            self.takes_word("ASC");
        }
        Ok(Order { by, descending })
    }

    pub(super) fn condition(&mut self) -> Result<Expression, Misread> {
        self.any(0)
    }

    fn any(&mut self, depth: usize) -> Result<Expression, Misread> {
        let mut branches = vec![self.all(depth)?];
        while self.takes_word("OR") {
            branches.push(self.all(depth)?);
        }
        Ok(single(branches, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, Misread> {
        let mut parts = vec![self.term(depth)?];
        while self.takes_word("AND") {
            parts.push(self.term(depth)?);
        }
        Ok(single(parts, Expression::All))
    }

    fn term(&mut self, depth: usize) -> Result<Expression, Misread> {
        if self.takes_sign("(") {
            if depth >= MAX_DEPTH {
                return Err(Misread::new("parentheses are nested too deeply"));
            }
            let inner = self.any(depth + 1)?;
            self.sign(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        if self.takes_word("IS") {
            let negated = self.takes_word("NOT");
            self.word("NULL")?;
            return Ok(Expression::Null { path, negated });
        }
        let negated = self.takes_word("NOT");
        if self.takes_word("IN") {
            let values = self.list()?;
            return Expression::among(path, negated, values);
        }
        if negated {
            return Err(self.expected("IN"));
        }
        let comparison = self.comparison()?;
        let value = self.literal()?;
        Expression::compare(path, comparison, value)
    }

    pub(super) fn comparison(&mut self) -> Result<Comparison, Misread> {
        let found = match self.peek() {
            Some(Kind::Sign(sign)) => Comparison::parse(sign),
            _ => None,
        };
        let found = found.ok_or_else(|| self.expected("a comparison, IS or IN"))?;
        self.next += 1;
        Ok(found)
    }

    pub(super) fn list(&mut self) -> Result<Vec<Literal>, Misread> {
        self.sign("(")?;
        let mut values = vec![self.literal()?];
        while self.takes_sign(",") {
            values.push(self.literal()?);
        }
        self.sign(")")?;
        Ok(values)
    }

    fn literal(&mut self) -> Result<Literal, Misread> {
        for (word, literal) in [
            ("TRUE", Literal::Bool(true)),
            ("FALSE", Literal::Bool(false)),
            ("NULL", Literal::Null),
        ] {
            if self.takes_word(word) {
                return Ok(literal);
            }
        }
        let negative = self.takes_sign("-");
        if let Some(Kind::Number(text)) = self.peek() {
            let text = format!("{}{text}", if negative { "-" } else { "" });
            let number = text.parse::<Number>();
            let number = number.map_err(|_| self.expected("a number"))?;
            self.next += 1;
            return Ok(Literal::Number(number));
        }
        if negative {
            return Err(self.expected("a number"));
        }
        self.text()
            .map(Literal::Text)
            .map_err(|_| self.expected("a text, a number, true, false or null"))
    }
}

pub(super) fn named_shape(name: &str) -> Option<Shape> {
    match name {
        "spans" => Some(Shape::Spans),
        "summary" => Some(Shape::Summary),
        _ => None,
    }
}

fn unknown_shape(name: &str) -> Misread {
    Misread::new(format!(
        "the shape `{name}` is not answered: write spans or summary"
    ))
}

/// One part stands for itself.
fn single(mut parts: Vec<Expression>, joined: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            joined(parts)
        }
        (None, _) => joined(parts),
    }
}

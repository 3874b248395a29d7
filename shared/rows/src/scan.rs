//! Finds the values in a JSON text, in one pass and without a copy.
//!
//! The text is checked as it is read, as strictly as `serde_json` does (a test holds the two
//! together), and a value is given as the bytes that it has there. General parsers do more for
//! each value than is needed here, and reading was a third of what a file costs.

use self::nesting::Nesting;
use self::plain::plain_end;

mod nesting;
mod plain;
#[cfg(test)]
mod tests;

/// What kind of value stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Flag,
    Number,
    /// A string without a backslash.
    Plain,
    /// A string with one.
    Escaped,
    List,
    Object,
}

/// A value as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    /// Its bytes, a string's with its quotes.
    pub(crate) raw: &'a str,
    pub(crate) kind: Kind,
}

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is JSON so far, but of another kind.
    OtherKind,
    /// It is no JSON: what was expected, and the byte that it was expected at.
    Malformed(&'static str, usize),
}

/// The name of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    /// That of the expected member with this number.
    Expected(usize),
    /// Any other, or an expected one that is written in another way.
    Other(Value<'a>),
}

/// Calls `each` with the name and the value of each member of an object, in their order.
pub(crate) fn members<'a>(
    text: &'a str,
    mut each: impl FnMut(Value<'a>, Value<'a>),
) -> Result<(), Unreadable> {
    let nothing = |_: usize| None::<&str>;
    members_like(text, nothing, |name, value| {
        if let Name::Other(name) = name {
            each(name, value);
        }
        0
    })
}

/// As [`members`], for an object whose members are mostly known and in their order:
/// `expected` gives the name of each with the colon behind it (`"id":`), which is compared
/// rather than read. `each` returns the number of the one that is expected next.
pub(crate) fn members_like<'a, 'e>(
    text: &'a str,
    expected: impl Fn(usize) -> Option<&'e str>,
    each: impl FnMut(Name<'a>, Value<'a>) -> usize,
) -> Result<(), Unreadable> {
    let mut scanner = Scanner::new(text);
    let read = scanner.members(expected, each);
    read.ok_or_else(|| scanner.unreadable(b'{'))
}

/// Calls `each` with the elements of a list, in their order.
pub(crate) fn elements<'a>(text: &'a str, each: impl FnMut(Value<'a>)) -> Result<(), Unreadable> {
    let mut scanner = Scanner::new(text);
    let read = scanner.elements(each);
    read.ok_or_else(|| scanner.unreadable(b'['))
}

/// A place in the text: what is left of it.
///
/// Its functions give None where the text is no JSON, and have then noted what they expected:
/// so little is handed back and forth that it stays in registers.
struct Scanner<'a> {
    text: &'a str,
    rest: &'a [u8],
    expected: &'static str,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.as_bytes(),
            expected: "",
        }
    }

    fn members<'e>(
        &mut self,
        expected: impl Fn(usize) -> Option<&'e str>,
        mut each: impl FnMut(Name<'a>, Value<'a>) -> usize,
    ) -> Option<()> {
        self.skip_space();
        self.need(b'{', "an object")?;
        let mut next = 0;
        let mut more = !self.closes(b'}');
        while more {
            let name = match expected(next) {
                Some(name) if self.take_all(name) => Name::Expected(next),
                _ => Name::Other(self.name()?),
            };
            self.skip_space();
            let value = self.value()?;
            next = each(name, value);
            more = self.goes_on(b'}')?;
        }
        self.end()
    }

    fn elements(&mut self, mut each: impl FnMut(Value<'a>)) -> Option<()> {
        self.skip_space();
        self.need(b'[', "a list")?;
        let mut more = !self.closes(b']');
        while more {
            each(self.value()?);
            more = self.goes_on(b']')?;
        }
        self.end()
    }

    /// Why a text that should begin with this bracket could not be read.
    #[cold]
    fn unreadable(&self, bracket: u8) -> Unreadable {
        let start = self.text.trim_start_matches([' ', '\t', '\r', '\n']);
        let is_value = self.text.len() - start.len() == self.position()
            && !start.starts_with(char::from(bracket))
            && Scanner::new(start).scalar_or_bracket().is_some();
        match is_value {
            true => Unreadable::OtherKind,
            false => Unreadable::Malformed(self.expected, self.position()),
        }
    }

    #[cold]
    fn malformed<T>(&mut self, expected: &'static str) -> Option<T> {
        self.expected = expected;
        None
    }

    fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Takes the next byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes these bytes, if they are the next.
    fn take_all(&mut self, bytes: &str) -> bool {
        match self.rest.strip_prefix(bytes.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, byte: u8, expected: &'static str) -> Option<()> {
        match self.take(byte) {
            true => Some(()),
            false => self.malformed(expected),
        }
    }

    #[inline]
    fn skip_space(&mut self) {
        // Hardly ever is there any.
        while let [b'\t' | b'\n' | b'\r' | b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes the bracket, if the object or list has nothing in it.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_space();
        self.take(bracket)
    }

    /// Takes the comma before another member or element, or the bracket after the last.
    #[inline]
    fn goes_on(&mut self, bracket: u8) -> Option<bool> {
        self.skip_space();
        if self.take(b',') {
            self.skip_space();
            return Some(true);
        }
        self.need(bracket, "a comma or a closing bracket")?;
        Some(false)
    }

    fn end(&mut self) -> Option<()> {
        self.skip_space();
        match self.rest {
            [] => Some(()),
            _ => self.malformed("the end"),
        }
    }

    /// The name of a member and the colon after it.
    fn name(&mut self) -> Option<Value<'a>> {
        let start = self.position();
        self.need(b'"', "the name of a member")?;
        let kind = self.string()?;
        let name = self.since(start, kind);
        self.skip_space();
        self.need(b':', "a colon")?;
        Some(name)
    }

    fn since(&self, start: usize, kind: Kind) -> Value<'a> {
        // Values begin and end at ASCII characters.
        let raw = self.text.get(start..self.position()).unwrap_or_default();
        Value { raw, kind }
    }

    /// A value of any kind, to its end.
    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        let start = self.position();
        let kind = self.scalar_or_bracket()?;
        if matches!(kind, Kind::List | Kind::Object) {
            self.skip_nested(kind)?;
        }
        Some(self.since(start, kind))
    }

    /// Takes a value, or only the bracket that begins a list or an object.
    #[inline]
    fn scalar_or_bracket(&mut self) -> Option<Kind> {
        match self.rest {
            [b'"', rest @ ..] => {
                self.rest = rest;
                self.string()
            }
            [b'{', rest @ ..] => {
                self.rest = rest;
                Some(Kind::Object)
            }
            [b'[', rest @ ..] => {
                self.rest = rest;
                Some(Kind::List)
            }
            [b'-' | b'0'..=b'9', ..] => self.number(),
            [b'n', b'u', b'l', b'l', rest @ ..] => {
                self.rest = rest;
                Some(Kind::Null)
            }
            [b't', b'r', b'u', b'e', rest @ ..] | [b'f', b'a', b'l', b's', b'e', rest @ ..] => {
                self.rest = rest;
                Some(Kind::Flag)
            }
            _ => self.malformed("a value"),
        }
    }

    /// Takes what is in a list or object and the bracket at its end.
    fn skip_nested(&mut self, outermost: Kind) -> Option<()> {
        let mut nesting = Nesting::new(outermost);
        // Whether something may stand here without a comma before it.
        let mut fresh = true;
        loop {
            let in_list = nesting.in_list();
            let bracket = if in_list { b']' } else { b'}' };
            let more = match fresh {
                true => !self.closes(bracket),
                false => self.goes_on(bracket)?,
            };
            if !more {
                if nesting.leave() {
                    return Some(());
                }
                fresh = false;
                continue;
            }
            if !in_list {
                self.need(b'"', "the name of a member")?;
                self.string()?;
                self.skip_space();
                self.need(b':', "a colon")?;
                self.skip_space();
            }
            let kind = self.scalar_or_bracket()?;
            fresh = matches!(kind, Kind::List | Kind::Object);
            if fresh {
                nesting.enter(kind);
            }
        }
    }

    fn number(&mut self) -> Option<Kind> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Some(Kind::Number)
    }

    fn digits(&mut self) -> Option<()> {
        let is_other = |byte: &u8| !byte.is_ascii_digit();
        let length = self
            .rest
            .iter()
            .position(is_other)
            .unwrap_or(self.rest.len());
        self.rest = self.rest.get(length..).unwrap_or_default();
        match length {
            0 => self.malformed("a digit"),
            _ => Some(()),
        }
    }

    /// A string behind its first quote.
    #[inline]
    fn string(&mut self) -> Option<Kind> {
        self.rest = plain_end(self.rest);
        match self.rest {
            [b'"', rest @ ..] => {
                self.rest = rest;
                Some(Kind::Plain)
            }
            _ => self.escaped_string(),
        }
    }

    /// A string from its first escape on.
    fn escaped_string(&mut self) -> Option<Kind> {
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Some(Kind::Escaped);
                }
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    rest @ ..,
                ] => self.rest = rest,
                [b'\\', b'u', a, b, c, d, rest @ ..]
                    if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) =>
                {
                    self.rest = rest;
                }
                [b'\\', ..] => return self.malformed("an escape"),
                [] => return self.malformed("a quote"),
                _ => return self.malformed("no control character"),
            }
            self.rest = plain_end(self.rest);
        }
    }
}

/// One value that is the whole text.
#[cfg(test)]
pub(crate) fn only(text: &str) -> Option<Value<'_>> {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    let value = scanner.value()?;
    scanner.end()?;
    Some(value)
}

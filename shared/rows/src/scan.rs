//! Finds the values in a JSON text, in one pass and without a copy.
//!
//! The text is checked as it is read, as strictly as `serde_json` does (a test holds the two
//! together), and a value is given as the bytes that it has there. General parsers do more for
//! each value than is needed here, and reading was a third of what a file costs.

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

/// What is left of a string from the first byte on that does not stand for itself: a quote, a
/// backslash, a control character.
#[inline]
fn plain_end(mut rest: &[u8]) -> &[u8] {
    // Names and ids end soon; texts do not, and whole blocks of them are told apart at once.
    for _ in 0..2 {
        let Some((word, after)) = rest.split_first_chunk::<8>() else {
            return byte_by_byte(rest);
        };
        if let Some(index) = first_special(*word) {
            return rest.get(index..).unwrap_or_default();
        }
        rest = after;
    }
    while let Some((block, after)) = rest.split_first_chunk::<32>() {
        let special = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
        if block.iter().fold(false, |any, byte| any | special(byte)) {
            break;
        }
        rest = after;
    }
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if let Some(index) = first_special(*word) {
            return rest.get(index..).unwrap_or_default();
        }
        rest = after;
    }
    byte_by_byte(rest)
}

fn byte_by_byte(rest: &[u8]) -> &[u8] {
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    let index = rest.iter().position(special).unwrap_or(rest.len());
    rest.get(index..).unwrap_or_default()
}

/// The index of the first byte that is a quote, a backslash or a control character.
///
/// A subtraction borrows from a byte's high bit if the byte is small enough; the bytes above
/// may be marked wrongly then, the first one never.
/// Source: <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>
fn first_special(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let marked = (word.wrapping_sub(ONES * 0x20) & !word)
        | (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash);
    let marked = marked & (ONES << 7);
    (marked != 0).then(|| marked.trailing_zeros() as usize / 8)
}

/// The lists and objects that are open, a bit each, the innermost the lowest.
struct Nesting {
    lists: u64,
    /// How many of the bits are in use.
    depth: u32,
    /// Full words of bits, below.
    outer: Vec<u64>,
}

impl Nesting {
    fn new(outermost: Kind) -> Self {
        Self {
            lists: u64::from(outermost == Kind::List),
            depth: 1,
            outer: Vec::new(),
        }
    }

    fn in_list(&self) -> bool {
        self.lists & 1 == 1
    }

    fn enter(&mut self, kind: Kind) {
        if self.depth == u64::BITS {
            self.outer.push(self.lists);
            self.depth = 0;
        }
        self.lists = (self.lists << 1) | u64::from(kind == Kind::List);
        self.depth += 1;
    }

    /// Whether it was the outermost.
    fn leave(&mut self) -> bool {
        self.lists >>= 1;
        self.depth -= 1;
        if self.depth == 0 {
            match self.outer.pop() {
                Some(lists) => (self.lists, self.depth) = (lists, u64::BITS),
                None => return true,
            }
        }
        false
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepted(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    #[test]
    fn members_and_elements_come_in_order_with_their_own_bytes() {
        let text = " {\"a\" : [1, {\"b\":\"]\"}] ,\t\"\\u0062\":\"x\\\"y\",\n\"c\":-0.5e+3,\"d\":{},\"e\":null,\"a\":true}\r\n";
        let mut found = Vec::new();
        members(text, |name, value| {
            found.push((name.raw, value.raw, value.kind))
        })
        .unwrap();
        assert_eq!(
            found,
            [
                ("\"a\"", "[1, {\"b\":\"]\"}]", Kind::List),
                ("\"\\u0062\"", "\"x\\\"y\"", Kind::Escaped),
                ("\"c\"", "-0.5e+3", Kind::Number),
                ("\"d\"", "{}", Kind::Object),
                ("\"e\"", "null", Kind::Null),
                ("\"a\"", "true", Kind::Flag),
            ]
        );
        let mut found = Vec::new();
        elements("[ \"\" , [ ] ,0]", |value| found.push(value.raw)).unwrap();
        assert_eq!(found, ["\"\"", "[ ]", "0"]);
        for text in ["[]", " 1", "\"a\"", "null"] {
            assert_eq!(members(text, |_, _| ()), Err(Unreadable::OtherKind));
        }
        assert_eq!(elements("{}", |_| ()), Err(Unreadable::OtherKind));
        for (text, expected, at) in [
            ("", "an object", 0),
            (" nul", "an object", 1),
            ("{\"a\":1", "a comma or a closing bracket", 6),
            ("{\"a\" 1}", "a colon", 5),
        ] {
            let error = members(text, |_, _| ()).unwrap_err();
            assert_eq!(error, Unreadable::Malformed(expected, at));
        }
    }

    #[test]
    fn what_is_no_json_is_refused_as_serde_json_refuses_it() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "nul",
            "nulll",
            "True",
            "NaN",
            "Infinity",
            "-",
            "-a",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "1 2",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u123g\"",
            "\"\n\"",
            "\"\u{1}\"",
            "'a'",
            "[1]]",
            "{}{}",
            "//",
            "[\"a\" \"b\"]",
            "\u{feff}1",
            "\u{a0}1",
            "[[[[",
            "{\"a\":{\"b\":[}}",
        ] {
            assert!(!accepted(text), "{text:?}");
            assert!(only(text).is_none(), "{text:?}");
        }
        for text in [
            "0",
            "-0",
            "-0.0",
            "1e5",
            "1E-5",
            "10.25",
            "\"\\ud83d\"",
            "\"\\u0000\\/\"",
            "[[],[[]],{}]",
            "\"\u{7f}ü😀\"",
            " { } ",
            "[ ]",
        ] {
            assert!(accepted(text), "{text:?}");
            assert_eq!(only(text).map(|value| value.raw), Some(text.trim()));
        }
    }

    #[test]
    fn nesting_has_no_end() {
        for depth in [1, 63, 64, 65, 128, 129, 5000] {
            let open: String = (0..depth).map(|i| ["[", "{\"a\":"][i % 2]).collect();
            let close: String = (0..depth).rev().map(|i| ["]", "}"][i % 2]).collect();
            let text = format!("{open}1{close}");
            assert_eq!(only(&text).map(|value| value.raw), Some(text.as_str()));
            assert!(only(&text[..text.len() - 1]).is_none());
            assert!(only(&format!("{open}1{}", close.replacen([']', '}'], "", 1))).is_none());
        }
    }

    #[test]
    fn a_string_ends_at_the_first_quote_wherever_it_stands() {
        for length in 0..100 {
            for special in ['"', '\\', '\u{1f}'] {
                let text = format!(
                    "{}{special}{}",
                    "é".repeat(length / 2) + &"x".repeat(length % 2),
                    "\"y".repeat(20)
                );
                let end = text.len() - 41;
                assert_eq!(plain_end(text.as_bytes()), &text.as_bytes()[end..]);
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_is_accepted_if_and_only_if_serde_json_accepts_it(
            tokens in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "\"\\u00e9\"", "1", "-0.5e3", "null",
                    "true", "false", " ", "\"", "\\", "x", "{\"a\":1", "[1,", "0", ".", "e", "-",
                ]),
                0..12,
            ),
        ) {
            let text = tokens.concat();
            prop_assert_eq!(only(&text).is_some(), accepted(&text), "{}", text);
        }

        #[test]
        fn any_text_is_accepted_if_and_only_if_serde_json_accepts_it(text in "[ \\[\\]{},:\"\\\\a-fn0-9.eE+-]{0,20}") {
            prop_assert_eq!(only(&text).is_some(), accepted(&text), "{}", text);
        }

        #[test]
        fn any_string_is_one_value(text: String, before in 0usize..40) {
            let text = "x".repeat(before) + &text;
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(only(&json).map(|value| value.raw), Some(json.as_str()));
        }
    }
}

//! From text to tokens, such that every reader of the text sees the same ones.
//!
//! Where a quoted text ends depends on the reader: some take a backslash for an escape, some a
//! doubled quote, some both. They agree on every text in which no quote follows an odd number of
//! backslashes, so such a text is refused, and a quote in a text is written doubled. Comments
//! are read here and sent to nobody. Outside of quotes only the documented signs and ASCII may
//! stand. So what is outside of quotes here is so for Braintrust too.

use super::UserQueryError;

/// The longest query, in bytes; a filter that lists ids is a few kilobytes.
const LONGEST: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    /// A text in single or double quotes, with them.
    Quoted,
    Sign,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Which character it begins with, from 1.
    pub(super) at: usize,
    /// In how many brackets it stands; a bracket itself stands outside of its pair.
    pub(super) depth: usize,
    /// Whether white space or a comment stands before it.
    spaced: bool,
    /// Whether it is a part of a path: a dot stands before it.
    in_path: bool,
}

impl<'t> Token<'t> {
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// A word that is no part of a path (`metadata.limit`), so it may be a keyword.
    pub(super) fn is_bare(&self) -> bool {
        self.kind == Kind::Word && !self.in_path
    }

    pub(super) fn is_keyword(&self, word: &str) -> bool {
        self.is_bare() && self.text.eq_ignore_ascii_case(word)
    }

    /// What stands in the quotes.
    pub(super) fn content(&self) -> &'t str {
        let inner = |quote| self.text.strip_prefix(quote)?.strip_suffix(quote);
        inner('\'').or_else(|| inner('"')).unwrap_or(self.text)
    }
}

/// The signs of the documented operators, the longest first.
const SIGNS: [&str; 25] = [
    "<!=>", "<=>", "=>", "<=", ">=", "<>", "!=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", ",", ".", "?", ":", "|", ";",
];

/// Reads a query; brackets are seen to match.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, UserQueryError> {
    let mut lexer = Lexer { rest: text, at: 1 };
    if text.len() > LONGEST {
        return Err(lexer.problem(format!("it is longer than {LONGEST} bytes")));
    }
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut open = Vec::new();
    loop {
        let spaced = lexer.space()?;
        let at = lexer.at;
        let Some((kind, text)) = lexer.token()? else {
            break;
        };
        if matches!(text, ")" | "]") && open.pop() != Some(text) {
            let problem = format!("`{text}` closes nothing");
            return Err(UserQueryError::Text { at, problem });
        }
        tokens.push(Token {
            kind,
            text,
            at,
            depth: open.len(),
            spaced,
            in_path: tokens.last().is_some_and(|before| before.is_sign(".")),
        });
        match text {
            "(" => open.push(")"),
            "[" => open.push("]"),
            _ => {}
        }
    }
    match open.pop() {
        Some(missing) => Err(lexer.problem(format!("`{missing}` is missing"))),
        None => Ok(tokens),
    }
}

/// The tokens as text again: a blank stands where white space or a comment did.
pub(super) fn text_of(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in tokens {
        if token.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(token.text);
    }
    text
}

struct Lexer<'t> {
    rest: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn problem(&self, problem: impl Into<String>) -> UserQueryError {
        UserQueryError::Text {
            at: self.at,
            problem: problem.into(),
        }
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.at += taken.chars().count();
        taken
    }

    /// Skips white space and comments, and says whether there were any.
    fn space(&mut self) -> Result<bool, UserQueryError> {
        let before = self.at;
        loop {
            let blanks = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.take(self.rest.len() - blanks.len());
            if self.rest.starts_with("--") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(self.problem("the comment is not closed"));
                };
                // Whether the first end closes both is read in two ways.
                if comment.find("/*").is_some_and(|inner| inner < end) {
                    return Err(self.problem("a comment stands in a comment"));
                }
                self.take(end + 4);
            } else {
                return Ok(self.at > before);
            }
        }
    }

    fn token(&mut self) -> Result<Option<(Kind, &'t str)>, UserQueryError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if matches!(first, '\'' | '"') {
            let length = self.quoted(first)?;
            return Ok(Some((Kind::Quoted, self.take(length))));
        }
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if in_word(first) {
            let kind = match first.is_ascii_digit() {
                true => Kind::Number,
                false => Kind::Word,
            };
            let length = self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len());
            return Ok(Some((kind, self.take(length))));
        }
        for comment in ["//", "*/"] {
            if self.rest.starts_with(comment) {
                return Err(self.problem(format!("`{comment}` is not understood")));
            }
        }
        match SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) {
            Some(sign) => Ok(Some((Kind::Sign, self.take(sign.len())))),
            None if first.is_ascii() => Err(self.problem(format!("{first:?} is not understood"))),
            None => Err(self.problem(format!(
                "{first:?} may stand in quotes only; a field's name may be put in double quotes"
            ))),
        }
    }

    /// The length of a quoted text, with its quotes, in bytes.
    fn quoted(&self, quote: char) -> Result<usize, UserQueryError> {
        let mut chars = self.rest.char_indices().skip(1).peekable();
        let mut backslashes = 0;
        while let Some((at, c)) = chars.next() {
            if c == quote {
                if backslashes % 2 == 1 {
                    return Err(self.problem(format!(
                        "a quote follows a backslash in this text, which is read in more than one \
                         way: write a quote as {quote}{quote}"
                    )));
                }
                match chars.peek() {
                    Some((_, next)) if *next == quote => {
                        chars.next();
                    }
                    _ => return Ok(at + c.len_utf8()),
                }
            }
            backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        }
        Err(self.problem("the text in quotes is not closed"))
    }
}

//! From text to tokens.

use super::Misread;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it begins, in characters.
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    /// In double quotes: a field's name, or in the form of clauses a text.
    Quoted(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

impl Kind {
    /// The token as somebody would write it, for messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) => text.clone(),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Text(text) => format!("'{text}'"),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// Two characters first, since the first that fits is taken.
const SIGNS: [&str; 16] = [
    "!=", "<>", ">=", "<=", "=>", "=", "<", ">", "(", ")", ",", ".", "*", "|", ":", "-",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Misread> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let (kind, length) = if first.is_whitespace() {
            at += 1;
            continue;
        } else if first == '\'' || first == '"' {
            quoted(rest, at)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let word = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            let length = word.chars().count();
            (Kind::Word(word), length)
        } else if first.is_ascii_digit() {
            number(rest, at)?
        } else {
            sign(rest, at)?
        };
        tokens.push(Token { kind, at });
        at += length;
    }
    Ok(tokens)
}

fn run(chars: &[char], belongs: impl Fn(char) -> bool) -> String {
    chars.iter().copied().take_while(|c| belongs(*c)).collect()
}

/// A text in single quotes, or a name in double quotes.
///
/// A quote inside is doubled (as Braintrust's command-line tool writes) or stands behind a
/// backslash, as a backslash does (as its migration tool writes). Which of the two a real data
/// plane takes in which form is not documented, so any other use of a backslash is refused.
fn quoted(chars: &[char], at: usize) -> Result<(Kind, usize), Misread> {
    let (quote, body) = chars.split_first().ok_or_else(|| unclosed(at))?;
    let mut text = String::new();
    let mut place = 0;
    loop {
        match (body.get(place), body.get(place + 1)) {
            (Some('\\'), Some(next)) if *next == '\\' || next == quote => {
                text.push(*next);
                place += 2;
            }
            (Some('\\'), _) => {
                let said = "a backslash may stand before a backslash or a quote only";
                return Err(Misread::new(format!("{said} (at {})", at + place + 1)));
            }
            (Some(c), Some(next)) if c == quote && next == quote => {
                text.push(*c);
                place += 2;
            }
            (Some(c), _) if c == quote => {
                let kind = match quote {
                    '"' => Kind::Quoted(text),
                    _ => Kind::Text(text),
                };
                return Ok((kind, place + 2));
            }
            (Some(c), _) => {
                text.push(*c);
                place += 1;
            }
            (None, _) => return Err(unclosed(at)),
        }
    }
}

fn unclosed(at: usize) -> Misread {
    Misread::new(format!("the quote that opens at {at} is not closed"))
}

fn number(chars: &[char], at: usize) -> Result<(Kind, usize), Misread> {
    let text = run(chars, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !digits || text.ends_with('.') || text.matches('.').count() > 1 {
        let said = format!("`{text}` at {at} is not a number this server reads");
        return Err(Misread::new(said));
    }
    let length = text.chars().count();
    Ok((Kind::Number(text), length))
}

fn sign(chars: &[char], at: usize) -> Result<(Kind, usize), Misread> {
    let found = SIGNS.iter().find(|sign| {
        let wanted = sign.chars();
        chars.len() >= sign.len() && wanted.zip(chars).all(|(wanted, is)| wanted == *is)
    });
    match (found, chars.first()) {
        (Some(sign), _) => Ok((Kind::Sign(sign), sign.len())),
        (None, Some(c)) => Err(Misread::new(format!("`{c}` at {at} is not understood"))),
        (None, None) => Err(Misread::new("the query ends in the middle")),
    }
}

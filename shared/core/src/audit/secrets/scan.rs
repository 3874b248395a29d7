//! Reading a text piece by piece.

/// A secret that was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// What stands before it and stays.
    pub(super) kept: &'a str,
    /// The secret.
    pub(super) secret: &'a str,
    /// Whether not even its end may be shown.
    pub(super) hidden: bool,
}

impl<'a> Found<'a> {
    /// So many bytes after so many that stay; its end is shown.
    pub(super) fn shown(rest: &'a str, kept: usize, length: usize) -> Option<Self> {
        let (kept, from) = rest.split_at_checked(kept)?;
        let secret = from.get(..length)?;
        Some(Self {
            kept,
            secret,
            hidden: false,
        })
    }

    /// So many bytes after so many that stay; nothing of them is shown.
    pub(super) fn hidden(rest: &'a str, kept: usize, length: usize) -> Option<Self> {
        let found = Self::shown(rest, kept, length)?;
        Some(Self {
            hidden: true,
            ..found
        })
    }
}

/// Whether a word may begin after this: no letter or digit stands there, or only one of an
/// escape.
pub(super) fn at_start(before: &str) -> bool {
    let last = before.bytes().next_back();
    !last.is_some_and(|b| b.is_ascii_alphanumeric()) || ends_escape(before)
}

/// Whether an escape (`\n`, `%3D`) ends here.
pub(super) fn ends_escape(before: &str) -> bool {
    let mut back = before.bytes().rev();
    let (last, second, third) = (back.next(), back.next(), back.next());
    let hex = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
    let letter = last.is_some_and(|b| b"nrt".contains(&b));
    (second == Some(b'\\') && letter) || (third == Some(b'%') && hex(second) && hex(last))
}

/// What the text begins with of such bytes. They must be ASCII.
pub(super) fn run(text: &str, inside: impl Fn(u8) -> bool) -> &str {
    run_of(text, usize::MAX, inside)
}

/// The same, but so many bytes at most: what is looked at again and again must be short.
pub(super) fn run_of(text: &str, most: usize, inside: impl Fn(u8) -> bool) -> &str {
    let most = most.min(text.len());
    let end = text.bytes().take(most).position(|b| !inside(b));
    text.get(..end.unwrap_or(most)).unwrap_or_default()
}

/// The blanks at the start, and what follows.
pub(super) fn blank(text: &str) -> (&str, &str) {
    let gap = run(text, |b| b == b' ' || b == b'\t');
    (gap, text.strip_prefix(gap).unwrap_or(text))
}

/// How surely it is that a value is given to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assigned {
    /// `name=…` and `"name": "…"`.
    Surely,
    /// `name: …`, which sentences have, too.
    Perhaps,
}

/// The text from the value on that follows a name, if one does.
pub(super) fn assigned(after_name: &str) -> Option<(Assigned, &str)> {
    let quoted_name = quote(after_name);
    let after = quoted_name.map_or(after_name, |(_, _, after)| after);
    let (gap, after) = blank(after);
    let signs = ["=", "%3D", "%3d"];
    if let Some(after) = signs.into_iter().find_map(|sign| after.strip_prefix(sign)) {
        return Some((Assigned::Surely, blank(after).1));
    }
    let (between, after) = blank(after.strip_prefix(':')?);
    if quoted_name.is_some() || quote(after).is_some() {
        return Some((Assigned::Surely, after));
    }
    // In `arn:…:secret:name` nothing stands between.
    (gap.is_empty() && !between.is_empty()).then_some((Assigned::Perhaps, after))
}

/// The value at the start, without the quotes that it may stand in, and how many bytes come
/// before it.
pub(super) fn value(text: &str) -> (usize, &str) {
    let Some((backslashes, mark, inside)) = quote(text) else {
        let ends = |c: char| c.is_whitespace() || "&\"'<>;,()[]{}\\|`".contains(c);
        let value = text.split(ends).next().unwrap_or_default();
        return (0, value.split("%26").next().unwrap_or_default());
    };
    let skipped = backslashes.saturating_add(1);
    // A quote inside the value has more backslashes before it than the one that ends it.
    let mut before = 0_usize;
    for (at, c) in inside.char_indices() {
        if c == mark && before == backslashes {
            let end = at.saturating_sub(backslashes);
            return (skipped, inside.get(..end).unwrap_or_default());
        }
        before = if c == '\\' {
            before.saturating_add(1)
        } else {
            0
        };
    }
    (skipped, inside)
}

/// A quote at the start, with the backslashes before it: how many, which, and what follows.
fn quote(text: &str) -> Option<(usize, char, &str)> {
    let backslashes = run(text, |b| b == b'\\');
    let after = text.strip_prefix(backslashes)?;
    let mark = after.chars().next().filter(|c| ['"', '\''].contains(c))?;
    Some((backslashes.len(), mark, after.strip_prefix(mark)?))
}

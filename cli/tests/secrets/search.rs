//! The search: a secret's forms, and everything that they might stand in.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// The fewest characters of half a secret that are looked for: fewer may stand anywhere by chance.
const HALF: usize = 16;

/// Something to look for, in all the forms that it could have been written down in.
pub(crate) struct Sought {
    pub(crate) name: &'static str,
    forms: Vec<(String, String)>,
}

impl Sought {
    /// The text itself, as base64 wherever in a longer text it stands, URL-encoded, as hexadecimal
    /// digits, and its halves.
    pub(crate) fn of(name: &'static str, text: &str) -> Self {
        let mut forms = vec![("plain".to_owned(), text.to_owned())];
        for before in 0..3 {
            let base64 = inside_base64(text.as_bytes(), before);
            let safe = url_safe(&base64);
            forms.push((format!("base64 {before}"), base64));
            forms.push((format!("URL-safe base64 {before}"), safe));
        }
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut digits, byte| {
                write!(digits, "{byte:02x}").unwrap();
                digits
            })
        };
        let digits = hex(text.as_bytes());
        forms.push(("HEX".to_owned(), digits.to_uppercase()));
        forms.push(("hex".to_owned(), digits));
        forms.push(("URL-encoded".to_owned(), url_encoded(text)));
        forms.push(("url-encoded".to_owned(), url_encoded(text).to_lowercase()));
        let (first, second) = text.split_at(text.len() / 2);
        if first.len() >= HALF {
            forms.push(("first half".to_owned(), first.to_owned()));
            forms.push(("second half".to_owned(), second.to_owned()));
        }
        Self { name, forms }
    }

    /// The form in which it stands in a text, if it does, and what stands before it.
    pub(crate) fn found_in<'a>(&'a self, text: &'a str) -> Option<(&'a str, &'a str)> {
        self.forms.iter().find_map(|(name, form)| {
            let before = text.split_once(form.as_str())?.0;
            let start = before.char_indices().rev().nth(300);
            Some((name.as_str(), &before[start.map_or(0, |(at, _)| at)..]))
        })
    }
}

/// The digits that are the same whatever stands before and after, where so many bytes (of three)
/// stand before.
fn inside_base64(bytes: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let all: Vec<u8> = std::iter::repeat_n(0, before)
        .chain(bytes.iter().copied())
        .collect();
    let bit = |at: usize| (all[at / 8] >> (7 - at % 8)) & 1;
    let digit = |number: usize| {
        let value = (0..6).fold(0, |value, place| (value << 1) | bit(number * 6 + place));
        char::from(DIGITS[usize::from(value)])
    };
    let (first, end) = ((before * 8).div_ceil(6), all.len() * 8 / 6);
    (first..end).map(digit).collect()
}

fn url_safe(base64: &str) -> String {
    base64.replace('+', "-").replace('/', "_")
}

fn url_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        encoded
    })
}

/// The bytes as text, and behind them what is packed in them, wherever in them it begins: so the
/// members of a segment.
pub(crate) fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for (at, _) in bytes
        .windows(3)
        .enumerate()
        .filter(|(_, three)| *three == [0x1f, 0x8b, 8])
    {
        let mut inside = Vec::new();
        // What only looks like it ends early; what was read until then is looked at all the same.
        let _ = GzDecoder::new(&bytes[at..]).read_to_end(&mut inside);
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&inside));
    }
    text
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Name and content of all files below a folder but these, as one text.
pub(crate) fn everything_in(folder: &Path, but: &[PathBuf]) -> String {
    let mut text = String::new();
    for file in files(folder) {
        if !but.iter().any(|but| file.starts_with(but)) {
            let content = unpacked(&std::fs::read(&file).unwrap());
            writeln!(text, "{}\n{content}", file.display()).unwrap();
        }
    }
    text
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_written_down() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;
    let secret = "pLaNtEd/0123456789+abcdefghijklmnopqrst/";
    let sought = Sought::of("planted", secret);
    for (form, text) in [
        ("plain", format!("\"{secret}\"")),
        (
            "base64 0",
            "cExhTnRFZC8wMTIzNDU2Nzg5K2FiY2RlZmdoaWprbG1ub3BxcnN0Lw==".to_owned(),
        ),
        // After one and after two other bytes.
        (
            "base64 1",
            "eHBMYU50RWQvMDEyMzQ1Njc4OSthYmNkZWZnaGlqa2xtbm9wcXJzdC8=".to_owned(),
        ),
        (
            "base64 2",
            "eHhwTGFOdEVkLzAxMjM0NTY3ODkrYWJjZGVmZ2hpamtsbW5vcHFyc3Qv".to_owned(),
        ),
        (
            "hex",
            "704c614e7445642f303132333435363738392b6162636465666768696a6b6c6d6e6f7071727374\
             2f"
            .to_owned(),
        ),
        (
            "URL-encoded",
            "?x=pLaNtEd%2F0123456789%2Babcdefghijklmnopqrst%2F&y".to_owned(),
        ),
        ("first half", "key pLaNtEd/0123456789+a…".to_owned()),
        ("second half", "…bcdefghijklmnopqrst/".to_owned()),
    ] {
        let found = sought.found_in(&text).map(|(form, _)| form);
        assert_eq!(found, Some(form), "{text}");
    }
    assert_eq!(sought.found_in("…st/, pLaNtEd, 0123456789"), None);
    let mut packed = b"segment".to_vec();
    for line in ["something else", secret] {
        let mut member = GzEncoder::new(Vec::new(), Compression::default());
        member.write_all(line.as_bytes()).unwrap();
        packed.extend(member.finish().unwrap());
    }
    assert_eq!(sought.found_in(&String::from_utf8_lossy(&packed)), None);
    let found = unpacked(&packed);
    assert_eq!(sought.found_in(&found).unwrap().0, "plain");
}

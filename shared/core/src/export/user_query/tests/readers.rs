//! Whatever a query holds, the range bounds the whole of it, for every kind of reader.

use proptest::prelude::*;

use super::*;

/// How a reader of the query may find the end of a quoted text.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Backslashes,
    DoubledQuotes,
    Both,
}

/// The brackets open at each byte, `None` within quotes and comments. It shares nothing with
/// the tokenizer.
fn depths(text: &str, reader: Reader) -> Vec<Option<i64>> {
    let bytes = text.as_bytes();
    let (mut depths, mut depth, mut quote, mut at) = (Vec::new(), 0, None, 0);
    while at < bytes.len() {
        let (byte, next) = (bytes[at], bytes.get(at + 1).copied());
        let mut length = 1;
        match quote {
            None if byte == b'-' && next == Some(b'-') => {
                length = bytes[at..].iter().take_while(|b| **b != b'\n').count();
                depths.extend(vec![None; length]);
                at += length;
                continue;
            }
            None => match byte {
                b'\'' | b'"' => quote = Some(byte),
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth -= 1,
                _ => {}
            },
            Some(_) if byte == b'\\' && !matches!(reader, Reader::DoubledQuotes) => length = 2,
            Some(open) if byte == open => {
                if next == Some(open) && !matches!(reader, Reader::Backslashes) {
                    length = 2;
                } else {
                    quote = None;
                    depths.push(None);
                    at += 1;
                    continue;
                }
            }
            Some(_) => {}
        }
        let here = if quote.is_some() { None } else { Some(depth) };
        depths.extend(vec![here; length.min(bytes.len() - at)]);
        at += length;
    }
    depths
}

/// Whatever the reader's way with quotes, the range stands outside of all of them and of all
/// brackets, and only the order and the limit come after it.
fn assert_bounded(sent: &str) {
    let (before, tail) = sent.rsplit_once(RANGE).unwrap();
    let at = before.len();
    let tails = [
        " ORDER BY _xact_id LIMIT 500",
        " | sort: _xact_id ASC | limit: 500",
    ];
    assert!(tails.contains(&tail), "{sent}");
    for reader in [Reader::Backslashes, Reader::DoubledQuotes, Reader::Both] {
        let depths = depths(sent, reader);
        assert_eq!(depths.len(), sent.len());
        assert_eq!(depths[at], Some(0), "{reader:?}: {sent}");
        assert_eq!(depths.last(), Some(&Some(0)), "{reader:?}: {sent}");
    }
    // And as the tokenizer reads it back.
    let tokens = token::tokens(sent).unwrap();
    let from_range = tokens
        .iter()
        .filter(|token| token.at > before.chars().count());
    assert!(from_range.clone().all(|token| token.depth == 0), "{sent}");
    assert_eq!(
        from_range.clone().nth(2).unwrap().text,
        "'1000197156529394086'"
    );
}

/// A condition with texts and comments that hold anything.
fn condition() -> impl Strategy<Value = String> {
    let text = |quote: &'static str| {
        "[a-z'\"()\\\\|:;/*\n -]{0,12}".prop_map(move |content| {
            format!("{quote}{}{quote}", content.replace(quote, &quote.repeat(2)))
        })
    };
    let comment = prop_oneof![
        "[a-z'\"()|:;/* -]{0,12}".prop_map(|content| format!("--{content}\n")),
        "[a-z'\"()|:;\n -]{0,12}".prop_map(|content| format!("/*{content}*/")),
    ];
    let leaf = prop_oneof![text("'"), text("\""), Just("metadata.x".to_owned())];
    let term = (leaf.clone(), comment, leaf).prop_map(|(a, b, c)| format!("{a} {b} = {c}"));
    proptest::collection::vec(term, 1..4).prop_map(|terms| format!("({})", terms.join(") OR (")))
}

proptest! {
    #[test]
    fn whatever_texts_and_comments_hold_the_range_bounds_the_whole(
        condition in condition(),
        btql: bool,
    ) {
        let text = if btql {
            format!("select: * | from: project_logs('p1') | filter: {condition}")
        } else {
            format!("SELECT * FROM project_logs('p1') WHERE {condition}")
        };
        match UserQuery::parse(&text) {
            Ok(query) => assert_bounded(&query.with_range(range(), 500, None)),
            Err(error) => {
                let ambiguous = error.to_string().contains("read in more than one way");
                prop_assert!(ambiguous, "{}: {}", text, error);
            }
        }
    }

    #[test]
    fn whatever_is_taken_is_bounded(
        rest in "(['\"\\\\()\\[\\]/*|:;?,.=<>a-c \n-]|--|/\\*|\\*/| OR |\\\\'|'' |from: |filter: | WHERE ){0,14}",
        btql: bool,
        begun: bool,
    ) {
        let text = if btql {
            let begun = if begun { "| filter: a" } else { "" };
            format!("select: * | from: project_logs('p1') {begun}{rest}")
        } else {
            let begun = if begun { "WHERE a" } else { "" };
            format!("SELECT * FROM project_logs('p1') {begun}{rest}")
        };
        if let Ok(query) = UserQuery::parse(&text) {
            prop_assert_eq!(query.project().as_str(), "p1");
            assert_bounded(&query.with_range(range(), 500, None));
        }
    }

    #[test]
    fn a_literal_is_one_text(content in "\\PC{0,20}") {
        let literal = literal(&content);
        let depths = depths(&literal, Reader::Backslashes);
        prop_assert!(depths.iter().all(Option::is_none), "{}", literal);
    }
}

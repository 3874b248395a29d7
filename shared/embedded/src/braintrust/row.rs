//! One row of a project's logs, as its own bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// Where a row stands among the others: by transaction, and within one by pagination key.
///
/// That rows of one transaction come in the order of their keys is our choice; Braintrust
/// documents no order between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) xact: u64,
    pub(crate) key: u64,
}

/// A row. Its bytes are answered as they are, never written anew.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) root_span_id: String,
    pub(crate) position: Position,
    pub(crate) bytes: Bytes,
}

/// What is read of a row when it comes in.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    root_span_id: Cow<'a, str>,
    #[serde(borrow, rename = "_xact_id")]
    xact: Cow<'a, str>,
    #[serde(borrow, rename = "_pagination_key")]
    key: Cow<'a, str>,
}

impl Row {
    /// Takes a row in; the error says what is wrong with it.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, String> {
        if bytes.contains(&b'\n') || bytes.contains(&b'\r') {
            return Err("a row must be one line".to_owned());
        }
        let named: Named<'_> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        let position = Position {
            xact: digits(&named.xact).ok_or("`_xact_id` must be the digits of a 64-bit number")?,
            key: key_number(&named.key).ok_or("`_pagination_key` must be `p` and 20 digits")?,
        };
        Ok(Self {
            id: named.id.into_owned(),
            root_span_id: named.root_span_id.into_owned(),
            position,
            bytes,
        })
    }

    /// The id that a row has, before it has any other name.
    pub(crate) fn id_of(bytes: &[u8]) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Only<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
        }
        let only: Only<'_> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        Ok(only.id.into_owned())
    }

    /// A row written at a position: its keys sorted, as Braintrust's are, its values as they
    /// were, and the position's `_xact_id` and `_pagination_key` in it.
    pub(crate) fn at(bytes: &[u8], position: Position) -> Result<Self, String> {
        let written = |text: String| to_raw_value(&text).map_err(|e| e.to_string());
        let mut columns: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        columns.insert("_xact_id".into(), written(position.xact.to_string())?);
        columns.insert("_pagination_key".into(), written(key_text(position.key))?);
        let bytes = serde_json::to_vec(&columns).map_err(|e| e.to_string())?;
        Self::parse(bytes.into())
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// The key of a row that is the `index`-th of its transaction.
///
/// Inferred, but kept by 63 of 63 recorded rows: the transaction's lower 48 bits, then 16 bits
/// of index. An update leaves the key as it is, so it may belong to an earlier transaction.
pub(crate) fn first_key(xact: u64) -> u64 {
    (xact & 0xffff_ffff_ffff) << 16
}

/// `p` and 20 digits, so that keys sort as texts.
pub(crate) fn key_text(key: u64) -> String {
    format!("p{key:020}")
}

fn key_number(text: &str) -> Option<u64> {
    let number = text.strip_prefix('p')?;
    if number.len() == 20 {
        digits(number)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id":"a","_xact_id":"1000197156529394086","root_span_id":"r","z":1.50,"_pagination_key":"p07639156420333928460"}"#;

    #[test]
    fn a_row_keeps_its_bytes_and_is_known_by_its_names() {
        let row = Row::parse(ROW.into()).unwrap();
        assert_eq!(row.bytes, ROW);
        assert_eq!((row.id.as_str(), row.root_span_id.as_str()), ("a", "r"));
        assert_eq!(row.position.xact, 1_000_197_156_529_394_086);
        assert_eq!(row.position.key, 7_639_156_420_333_928_460);
        assert_eq!(first_key(row.position.xact), row.position.key & !0xffff);
    }

    #[test]
    fn a_row_written_anew_sorts_its_keys_and_keeps_its_values() {
        let position = Position { xact: 7, key: 9 };
        let row = Row::at(ROW.as_bytes(), position).unwrap();
        let expected = r#"{"_pagination_key":"p00000000000000000009","_xact_id":"7","id":"a","root_span_id":"r","z":1.50}"#;
        assert_eq!(row.bytes, expected);
        assert_eq!(row.position, position);
    }

    #[test]
    fn a_row_without_one_of_its_names_is_refused() {
        for (from, to) in [
            (r#""id":"a","#, ""),
            (r#""root_span_id":"r","#, ""),
            ("1000197156529394086", "1e18"),
            ("1000197156529394086", "18446744073709551616"),
            ("1000197156529394086", "+5"),
            ("p07639156420333928460", "07639156420333928460"),
            ("p07639156420333928460", "p7639156420333928460"),
            ("}", ""),
            (r#""z""#, "\n\"z\""),
        ] {
            let bad = ROW.replacen(from, to, 1);
            assert!(Row::parse(bad.clone().into()).is_err(), "{bad}");
        }
    }
}

//! The tokens that lead from page to page. Clients treat them as opaque.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest, Md5};

use super::query::{Misread, Query};
use super::row::Position;

/// What stands in front of a token that is ours.
const MARK: u8 = b'x';

/// The token of a page that is sorted by pagination key and ends with the key.
///
/// Inferred from recorded traffic: the key's eight bytes, in base64 without padding.
pub(crate) fn of_key(key: u64) -> String {
    STANDARD_NO_PAD.encode(key.to_be_bytes())
}

pub(crate) fn to_key(token: &str) -> Result<u64, Misread> {
    let bytes = STANDARD_NO_PAD.decode(token).map_err(|_| foreign())?;
    let bytes = bytes.try_into().map_err(|_| foreign())?;
    Ok(u64::from_be_bytes(bytes))
}

/// The token of a page that is sorted by transaction and ends with the position.
///
/// The form is our own, since no recorded one is public. It is bound to the query it belongs
/// to: a client that goes on with another one has made a mistake, and is told so.
pub(crate) fn of_position(query: &Query, position: Position) -> String {
    let mut bytes = vec![MARK];
    bytes.extend(fingerprint(query));
    bytes.extend(position.xact.to_be_bytes());
    bytes.extend(position.key.to_be_bytes());
    STANDARD_NO_PAD.encode(bytes)
}

pub(crate) fn to_position(query: &Query, token: &str) -> Result<Position, Misread> {
    let bytes = STANDARD_NO_PAD.decode(token).map_err(|_| foreign())?;
    let (mark, rest) = bytes.split_first().ok_or_else(foreign)?;
    let (print, rest) = rest.split_first_chunk::<8>().ok_or_else(foreign)?;
    let (xact, rest) = rest.split_first_chunk::<8>().ok_or_else(foreign)?;
    let key: [u8; 8] = rest.try_into().map_err(|_| foreign())?;
    if *mark != MARK {
        return Err(foreign());
    }
    if *print != fingerprint(query) {
        return Err(Misread::new("the cursor belongs to another query"));
    }
    Ok(Position {
        xact: u64::from_be_bytes(*xact),
        key: u64::from_be_bytes(key),
    })
}

fn fingerprint(query: &Query) -> [u8; 8] {
    let digest: [u8; 16] = Md5::digest(query.identity().as_bytes()).into();
    let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    *first
}

fn foreign() -> Misread {
    Misread::new("the cursor is not one that this server has given")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::braintrust::query::Asked;

    fn parsed(text: &str) -> Query {
        match Asked::parse(text) {
            Ok(Asked::Logs(query)) => query,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_key_becomes_the_recorded_token() {
        // Recorded: the last row of the page had p07566690484853997568.
        assert_eq!(of_key(7_566_690_484_853_997_568), "aQJI5+sNAAA");
        assert_eq!(to_key("aQJI5+sNAAA").unwrap(), 7_566_690_484_853_997_568);
        for bad in ["", "aQJI5+sNAAA=", "aQJI5", "aQJI5+sNAAAA", "!"] {
            assert!(to_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_position_is_given_back_to_its_own_query_only() {
        let text = |to: u64| {
            format!(
                "SELECT * FROM project_logs('p') WHERE _xact_id > '1' AND _xact_id <= '{to}' \
                 ORDER BY _xact_id LIMIT 9"
            )
        };
        let query = parsed(&text(5));
        let position = Position {
            xact: u64::MAX,
            key: 3,
        };
        let token = of_position(&query, position);
        let next = format!("{} OFFSET '{token}'", text(5)).replace("LIMIT 9", "LIMIT 10");
        let next = parsed(&next);
        assert_eq!(to_position(&next, &token).unwrap(), position);
        let other = parsed(&text(6));
        assert!(to_position(&other, &token).is_err());
        assert!(to_position(&query, "aQJI5+sNAAA").is_err());
        assert!(to_key(&token).is_err());
    }
}

//! The least and the greatest value of a page or a column, by which readers skip what they do
//! not look for.

use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

/// Bytes of a text that are kept as a bound.
const TEXT_BYTES: usize = 64;

/// The bounds of what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bounds {
    /// None are kept: they would tell nothing.
    Untold,
    Integers(Option<(i64, i64)>),
    Flags(Option<(bool, bool)>),
    /// The texts whole, so that one buffer serves for all of them.
    Texts {
        any: bool,
        least: Vec<u8>,
        greatest: Vec<u8>,
    },
}

impl Bounds {
    pub(super) fn of_texts() -> Self {
        let (least, greatest) = Default::default();
        Self::Texts {
            any: false,
            least,
            greatest,
        }
    }

    #[inline]
    pub(super) fn add_integer(&mut self, value: i64) {
        if let Self::Integers(seen) = self {
            let (least, greatest) = seen.unwrap_or((value, value));
            *seen = Some((least.min(value), greatest.max(value)));
        }
    }

    pub(super) fn add_flag(&mut self, value: bool) {
        if let Self::Flags(seen) = self {
            let (least, greatest) = seen.unwrap_or((value, value));
            *seen = Some((least & value, greatest | value));
        }
    }

    #[inline]
    pub(super) fn add_text(&mut self, value: &[u8]) {
        let Self::Texts {
            any,
            least,
            greatest,
        } = self
        else {
            return;
        };
        if !*any || value < least.as_slice() {
            least.clear();
            least.extend_from_slice(value);
        }
        if !*any || value > greatest.as_slice() {
            greatest.clear();
            greatest.extend_from_slice(value);
        }
        *any = true;
    }

    /// Takes in the bounds of a page, and leaves the page none.
    pub(super) fn take_in(&mut self, page: &mut Self) {
        match page {
            Self::Untold => {}
            Self::Integers(seen) => {
                for value in seen.take().into_iter().flat_map(<[i64; 2]>::from) {
                    self.add_integer(value);
                }
            }
            Self::Flags(seen) => {
                for value in seen.take().into_iter().flat_map(<[bool; 2]>::from) {
                    self.add_flag(value);
                }
            }
            Self::Texts {
                any,
                least,
                greatest,
            } => {
                if std::mem::take(any) {
                    self.add_text(least);
                    self.add_text(greatest);
                }
            }
        }
    }

    /// Whether neither bound lies below that of the page before.
    pub(super) fn follow(&self, last: &Self) -> bool {
        match (self, last) {
            (Self::Integers(Some(now)), Self::Integers(Some(last))) => {
                now.0 >= last.0 && now.1 >= last.1
            }
            (Self::Flags(Some(now)), Self::Flags(Some(last))) => now.0 >= last.0 && now.1 >= last.1,
            // As they are cut, since that is what readers go by.
            _ => match (self.plain(), last.plain()) {
                (Some(now), Some(last)) => now.0 >= last.0 && now.1 >= last.1,
                _ => false,
            },
        }
    }

    /// The bounds as they stand in the page index; none if nothing was seen.
    pub(super) fn plain(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::Untold => None,
            Self::Integers(seen) => seen.map(|(least, greatest)| {
                (least.to_le_bytes().into(), greatest.to_le_bytes().into())
            }),
            Self::Flags(seen) => {
                seen.map(|(least, greatest)| (vec![least.into()], vec![greatest.into()]))
            }
            Self::Texts {
                any,
                least,
                greatest,
            } => any.then(|| Some((cut_below(least).to_vec(), cut_above(greatest)?)))?,
        }
    }

    /// The bounds as they stand in the footer, and how many values were NULL.
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        let nulls = Some(nulls);
        match self {
            Self::Untold => Statistics::byte_array(None, None, None, nulls, false),
            Self::Integers(seen) => {
                let (least, greatest) = seen.unzip();
                Statistics::int64(least, greatest, None, nulls, false)
            }
            Self::Flags(seen) => {
                let (least, greatest) = seen.unzip();
                Statistics::boolean(least, greatest, None, nulls, false)
            }
            Self::Texts {
                least, greatest, ..
            } => {
                let (low, high) = self.plain().unzip();
                let exact =
                    |bound: &Option<Vec<u8>>, value: &Vec<u8>| bound.as_ref() == Some(value);
                let (low_exact, high_exact) = (exact(&low, least), exact(&high, greatest));
                let bound = |bound: Option<Vec<u8>>| bound.map(ByteArray::from);
                let values = ValueStatistics::new(bound(low), bound(high), None, nulls, false);
                let values = values
                    .with_min_is_exact(low_exact)
                    .with_max_is_exact(high_exact);
                Statistics::ByteArray(values)
            }
        }
    }
}

/// The beginning of a text: not above it.
fn cut_below(text: &[u8]) -> &[u8] {
    match text.get(..TEXT_BYTES) {
        Some(start) => whole_characters(start),
        None => text,
    }
}

/// The text, or a short one above it; none if there is none.
fn cut_above(text: &[u8]) -> Option<Vec<u8>> {
    let Some(start) = text
        .get(..TEXT_BYTES)
        .filter(|start| start.len() < text.len())
    else {
        return Some(text.to_vec());
    };
    // Bytes are in the order of their characters, so the next character makes it greater.
    let mut start = std::str::from_utf8(whole_characters(start))
        .ok()?
        .to_owned();
    while let Some(last) = start.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            start.push(next);
            return Some(start.into_bytes());
        }
    }
    None
}

/// The bytes without a character that is cut at their end.
fn whole_characters(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(_) => text,
        Err(error) => text.get(..error.valid_up_to()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_bounded_by_short_ones() {
        for text in [
            "a".repeat(65),
            "é".repeat(40),
            format!("{}\u{d7ff}{}", "a".repeat(61), "z".repeat(9)),
            format!("{}😀", "a".repeat(62)),
            format!("b{}", "\u{10ffff}".repeat(20)),
        ] {
            let mut bounds = Bounds::of_texts();
            bounds.add_text(text.as_bytes());
            let (least, greatest) = bounds.plain().unwrap();
            assert!(least.len() <= TEXT_BYTES && greatest.len() <= TEXT_BYTES + 2);
            assert!(least.as_slice() < text.as_bytes() && text.as_bytes() < greatest.as_slice());
            assert!(std::str::from_utf8(&greatest).is_ok());
        }
        let mut bounds = Bounds::of_texts();
        bounds.add_text("\u{10ffff}".repeat(20).as_bytes());
        assert_eq!(bounds.plain(), None, "nothing lies above");
    }

    proptest! {
        #[test]
        fn every_text_lies_within_the_bounds(pages in proptest::collection::vec(proptest::collection::vec("\\PC{0,90}", 0..6), 1..4)) {
            let mut column = Bounds::of_texts();
            let mut page = Bounds::of_texts();
            for texts in &pages {
                for text in texts {
                    page.add_text(text.as_bytes());
                }
                let bounds = page.plain();
                for text in texts {
                    let (least, greatest) = bounds.as_ref().unwrap();
                    prop_assert!(least.as_slice() <= text.as_bytes() && text.as_bytes() <= greatest.as_slice());
                }
                column.take_in(&mut page);
                prop_assert_eq!(page.plain(), None);
            }
            let all: Vec<&String> = pages.iter().flatten().collect();
            let statistics = column.statistics(3);
            prop_assert_eq!(statistics.null_count_opt(), Some(3));
            if let (Some(least), Some(greatest)) = (all.iter().min(), all.iter().max()) {
                prop_assert!(statistics.min_bytes_opt().unwrap() <= least.as_bytes());
                prop_assert!(statistics.max_bytes_opt().unwrap() >= greatest.as_bytes());
                prop_assert_eq!(statistics.min_is_exact(), statistics.min_bytes_opt() == Some(least.as_bytes()));
                prop_assert_eq!(statistics.max_is_exact(), statistics.max_bytes_opt() == Some(greatest.as_bytes()));
            } else {
                prop_assert_eq!(statistics.min_bytes_opt(), None);
            }
        }
    }
}

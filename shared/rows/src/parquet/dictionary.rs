//! The dictionary of a column whose values repeat.

use std::collections::HashMap;
use std::ops::Range;

/// Bytes and entries that a dictionary may have. A column that needs more goes on without.
const MOST_BYTES: usize = 128 << 10;
const MOST_ENTRIES: usize = 1 << 14;

/// Bytes that an entry takes beside its value, about.
const ENTRY_HELD: usize = 64;

/// The different values of a column, in the order in which they came.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The values as Parquet has them on the dictionary page: each behind its length.
    plain: Vec<u8>,
    places: Vec<Range<usize>>,
    indexes: HashMap<Box<[u8]>, u32>,
    /// The entry that was used last of those that share a place: nearly always the one that is
    /// looked for.
    recent: [u32; Self::RECENT],
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            places: Vec::new(),
            indexes: HashMap::new(),
            recent: [u32::MAX; Self::RECENT],
        }
    }
}

impl Dictionary {
    /// Well above the keys that the metrics of a project usually have.
    const RECENT: usize = 64;

    /// The number of the value, which becomes an entry if it is none.
    #[inline]
    pub(super) fn index(&mut self, value: &[u8]) -> u32 {
        let place = recent_place(value);
        let recent = self.recent.get(place).copied().unwrap_or(u32::MAX);
        if self.entry(recent) == Some(value) {
            return recent;
        }
        let index = match self.indexes.get(value) {
            Some(index) => *index,
            None => self.add(value),
        };
        if let Some(recent) = self.recent.get_mut(place) {
            *recent = index;
        }
        index
    }

    fn entry(&self, index: u32) -> Option<&[u8]> {
        let place = self.places.get(index as usize)?;
        self.plain.get(place.clone())
    }

    fn add(&mut self, value: &[u8]) -> u32 {
        // A row's length has 31 bits, and no entry is added after the limits.
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.plain.extend_from_slice(&length.to_le_bytes());
        let start = self.plain.len();
        self.plain.extend_from_slice(value);
        self.places.push(start..self.plain.len());
        self.indexes.insert(value.into(), index);
        index
    }

    /// Whether no more values should be added.
    pub(super) fn is_full(&self) -> bool {
        self.plain.len() >= MOST_BYTES || self.places.len() >= MOST_ENTRIES
    }

    pub(super) fn entries(&self) -> usize {
        self.places.len()
    }

    /// The content of the dictionary page.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    pub(super) fn held(&self) -> usize {
        self.plain.capacity() + self.plain.len() + self.places.len() * ENTRY_HELD
    }
}

/// Where an entry is remembered: by the length and the last bytes, which tell apart what is
/// much alike at its beginning.
fn recent_place(value: &[u8]) -> usize {
    let tail = value.iter().rev().take(8);
    let hash = tail.fold(value.len(), |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    hash % Dictionary::RECENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_values_have_one_number_and_the_page_has_them_in_order(
            values in proptest::collection::vec("[ab]{0,3}", 0..300),
        ) {
            let mut dictionary = Dictionary::default();
            let mut order: Vec<&str> = Vec::new();
            for value in &values {
                let index = dictionary.index(value.as_bytes()) as usize;
                if index == order.len() {
                    order.push(value);
                }
                prop_assert_eq!(order.get(index).copied(), Some(value.as_str()));
            }
            let plain: Vec<u8> = order
                .iter()
                .flat_map(|value| [&[u8::try_from(value.len()).unwrap(), 0, 0, 0], value.as_bytes()].concat())
                .collect();
            prop_assert_eq!(dictionary.plain(), plain);
        }
    }
}

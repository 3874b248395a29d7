//! The column `extra`: an object of the members of a row that have no column, or do not fit
//! the type of theirs.

/// Bytes that are kept for the next row.
const KEPT: usize = 64 << 10;

/// Builds the object. It is kept from row to row for its memory.
#[derive(Debug, Default)]
pub(super) struct Extra {
    json: String,
}

impl Extra {
    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.json.shrink_to(KEPT);
    }

    /// Adds a member: its name, with quotes, and its value, as they stand in the row.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.json.push_str(value);
    }

    /// Adds an entry of a map. `first` is whether it is the map's first one here; all entries
    /// of a map come behind each other, and [`end_map`](Self::end_map) after the last.
    pub(super) fn add_entry(&mut self, first: bool, map: &str, name: &str, value: &str) {
        if first {
            self.begin(map);
        }
        self.json.push(if first { '{' } else { ',' });
        self.json.push_str(name);
        self.json.push(':');
        self.json.push_str(value);
    }

    pub(super) fn end_map(&mut self) {
        self.json.push('}');
    }

    /// The object, if it has a member.
    pub(super) fn finish(&mut self) -> Option<&str> {
        if self.json.is_empty() {
            return None;
        }
        self.json.push('}');
        Some(&self.json)
    }

    fn begin(&mut self, name: &str) {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        self.json.push_str(name);
        self.json.push(':');
    }
}

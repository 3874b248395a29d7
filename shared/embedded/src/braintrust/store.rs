//! The rows of one project, found by id, by transaction, by pagination key and by trace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::row::{Position, Row, first_key};

#[derive(Debug, Default)]
pub(crate) struct Store {
    ids: HashMap<String, Arc<Row>>,
    positions: BTreeMap<Position, Arc<Row>>,
    /// A key belongs to one row for good.
    keys: BTreeMap<u64, Arc<Row>>,
    /// The keys of each trace's spans.
    roots: HashMap<String, BTreeSet<u64>>,
}

impl Store {
    pub(crate) fn get(&self, id: &str) -> Option<&Row> {
        self.ids.get(id).map(Arc::as_ref)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Adds a row; the error says what is there already.
    pub(crate) fn insert(&mut self, row: Row) -> Result<(), String> {
        if self.ids.contains_key(&row.id) {
            return Err(format!("a row of id `{}` is there already", row.id));
        }
        if self.keys.contains_key(&row.position.key) {
            return Err("another row has its `_pagination_key`".to_owned());
        }
        let row = Arc::new(row);
        let keys = self.roots.entry(row.root_span_id.clone()).or_default();
        keys.insert(row.position.key);
        self.keys.insert(row.position.key, Arc::clone(&row));
        self.positions.insert(row.position, Arc::clone(&row));
        self.ids.insert(row.id.clone(), row);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Arc<Row>> {
        let row = self.ids.remove(id)?;
        self.positions.remove(&row.position);
        self.keys.remove(&row.position.key);
        if let Some(keys) = self.roots.get_mut(&row.root_span_id) {
            keys.remove(&row.position.key);
        }
        Some(row)
    }

    /// The key for one more row of a transaction.
    pub(crate) fn next_key(&self, xact: u64) -> u64 {
        let first = first_key(xact);
        let last = self.keys.range(first..=first | 0xffff).next_back();
        last.map_or(first, |(key, _)| key.saturating_add(1))
    }

    pub(crate) fn latest_xact(&self) -> Option<u64> {
        let last = self.positions.keys().next_back();
        last.map(|position| position.xact)
    }

    /// The rows from one transaction to another, after or before a position if one is given.
    pub(crate) fn by_xact(
        &self,
        (first, last): (u64, u64),
        after: Option<Position>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = &Row> + '_> {
        let first = Position {
            xact: first,
            key: 0,
        };
        let last = Position {
            xact: last,
            key: u64::MAX,
        };
        ranged(&self.positions, first, last, after, descending)
    }

    /// All rows by pagination key, after or before one if it is given.
    pub(crate) fn by_key(
        &self,
        after: Option<u64>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = &Row> + '_> {
        ranged(&self.keys, 0, u64::MAX, after, descending)
    }

    /// A trace's spans, by pagination key.
    pub(crate) fn trace(&self, root: &str) -> impl Iterator<Item = &Row> {
        let keys = self.roots.get(root).into_iter().flatten();
        keys.filter_map(|key| self.keys.get(key).map(Arc::as_ref))
    }
}

fn ranged<K: Ord + Copy>(
    rows: &BTreeMap<K, Arc<Row>>,
    first: K,
    last: K,
    after: Option<K>,
    descending: bool,
) -> Box<dyn Iterator<Item = &Row> + '_> {
    let (mut lower, mut upper) = (Bound::Included(first), Bound::Included(last));
    match after {
        Some(after) if descending && after <= last => upper = Bound::Excluded(after),
        Some(after) if !descending && after >= first => lower = Bound::Excluded(after),
        _ => {}
    }
    let (Bound::Included(from) | Bound::Excluded(from)) = lower else {
        return Box::new(std::iter::empty());
    };
    let (Bound::Included(to) | Bound::Excluded(to)) = upper else {
        return Box::new(std::iter::empty());
    };
    // An empty range would be a panic of the map's.
    if from > to || (from == to && upper == Bound::Excluded(to)) {
        return Box::new(std::iter::empty());
    }
    let range = rows.range((lower, upper)).map(|(_, row)| row.as_ref());
    if descending {
        Box::new(range.rev())
    } else {
        Box::new(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, root: &str, xact: u64, key: u64) -> Row {
        Row {
            id: id.into(),
            root_span_id: root.into(),
            position: Position { xact, key },
            bytes: "{}".into(),
        }
    }

    fn ids<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a str> {
        rows.map(|row| row.id.as_str()).collect()
    }

    fn filled() -> Store {
        let mut store = Store::default();
        for (id, root, xact, key) in [("a", "r", 5, 1), ("b", "r", 5, 2), ("c", "s", 7, 3)] {
            store.insert(row(id, root, xact, key)).unwrap();
        }
        store
    }

    #[test]
    fn ranges_hold_their_ends_and_go_on_after_a_position() {
        let store = filled();
        let after = |xact, key| Some(Position { xact, key });
        assert_eq!(ids(store.by_xact((5, 7), None, false)), ["a", "b", "c"]);
        assert_eq!(ids(store.by_xact((5, 7), None, true)), ["c", "b", "a"]);
        assert_eq!(ids(store.by_xact((6, 7), None, false)), ["c"]);
        assert_eq!(ids(store.by_xact((5, 7), after(5, 1), false)), ["b", "c"]);
        assert_eq!(ids(store.by_xact((5, 7), after(5, 2), true)), ["a"]);
        assert_eq!(ids(store.by_key(Some(2), false)), ["c"]);
        assert_eq!(ids(store.by_key(None, true)), ["c", "b", "a"]);
    }

    #[test]
    fn an_empty_range_is_empty_and_no_panic() {
        let store = filled();
        let after = |xact, key| Some(Position { xact, key });
        assert!(ids(store.by_xact((7, 5), None, false)).is_empty());
        assert!(ids(store.by_xact((1, 0), None, true)).is_empty());
        assert!(ids(store.by_xact((5, 5), after(9, 0), false)).is_empty());
        assert!(ids(store.by_xact((5, 5), after(0, 0), true)).is_empty());
        assert!(ids(store.by_xact((5, 7), after(5, 0), true)).is_empty());
        assert!(ids(store.by_key(Some(0), true)).is_empty());
        assert!(ids(store.by_key(Some(u64::MAX), false)).is_empty());
    }

    #[test]
    fn a_row_that_is_removed_leaves_every_index() {
        let mut store = filled();
        assert_eq!(ids(store.trace("r")), ["a", "b"]);
        store.remove("a").unwrap();
        assert_eq!(ids(store.trace("r")), ["b"]);
        assert_eq!(ids(store.by_key(None, false)), ["b", "c"]);
        assert_eq!(ids(store.by_xact((0, 9), None, false)), ["b", "c"]);
        assert!(store.get("a").is_none());
        assert_eq!(store.latest_xact(), Some(7));
        assert!(store.insert(row("b", "r", 9, 9)).is_err());
        assert!(store.insert(row("d", "r", 9, 3)).is_err());
    }

    #[test]
    fn the_next_key_follows_those_of_its_transaction() {
        let mut store = Store::default();
        assert_eq!(store.next_key(3), 3 << 16);
        store.insert(row("a", "r", 9, 3 << 16)).unwrap();
        assert_eq!(store.next_key(3), (3 << 16) + 1);
        assert_eq!(store.next_key(4), 4 << 16);
    }
}

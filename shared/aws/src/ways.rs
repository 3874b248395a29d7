//! The ways into customers' buckets that are kept open.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// An open way.
pub(crate) trait Way {
    /// Until when it may be used.
    fn kept_until(&self) -> Timestamp;
}

/// A way, once it is open; who opens it holds the lock.
pub(crate) type Slot<W> = Arc<tokio::sync::Mutex<Option<W>>>;

/// The ways that are kept, each to a place of its own.
#[derive(Debug)]
pub(crate) struct Ways<P, W>(Mutex<Kept<P, W>>);

#[derive(Debug)]
struct Kept<P, W> {
    slots: HashMap<P, Slot<W>>,
    swept: Option<Timestamp>,
}

/// How often ways that are past their time are let go.
const SWEEP: Duration = Duration::from_mins(10);

impl<P, W> Default for Ways<P, W> {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            slots: HashMap::new(),
            swept: None,
        }))
    }
}

impl<P: Clone + Eq + Hash, W: Way> Ways<P, W> {
    fn lock(&self) -> MutexGuard<'_, Kept<P, W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn slot(&self, place: &P, now: Timestamp) -> Slot<W> {
        let mut kept = self.lock();
        let due = kept.swept.and_then(|swept| swept.checked_add(SWEEP).ok());
        if due.is_none_or(|due| due <= now) {
            kept.swept = Some(now);
            // A slot that is locked is being opened or about to be.
            kept.slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |way| {
                    way.as_ref().is_some_and(|way| now < way.kept_until())
                })
            });
        }
        Arc::clone(kept.slots.entry(place.clone()).or_default())
    }

    /// Drops the ways to the places that are meant.
    pub(crate) fn forget(&self, meant: impl Fn(&P) -> bool) {
        self.lock().slots.retain(|place, _| !meant(place));
    }
}

//! What a warm process remembers of what it has read. It only saves sending and parsing: whatever is
//! remembered is used only where the store says that it is still so, and results do not depend
//! on it.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use futures_util::future::try_join;
use sealift_core::delivery::{Position, ShardCursor};
use sealift_core::destination::DestinationSet;
use sealift_core::document::{Document, DocumentError, Place, Refreshed, Stored};
use sealift_core::log::Head;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};

use crate::{Delivery, DeliveryError};

/// For how long the end of the log that a listing has shown is asked after by its number: far
/// less than a segment lives, so that none can come and expire unseen meanwhile.
const END_KNOWN_MS: i64 = 15 * 60 * 1000;

/// How a run looks for what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It lists what there is.
    Whole,
    /// Where a listing has shown lately that there was nothing, it asks for the next number alone:
    /// for a run that nobody has told of a segment. A hole, such as somebody's deletion leaves, is
    /// then seen with the next trigger or listing.
    Brief,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sets: BTreeMap<u16, Stored<DestinationSet>>,
    cursors: BTreeMap<u16, Stored<ShardCursor>>,
    /// Where a listing has shown the log to end, and when it was asked for.
    end: Option<(Position, i64)>,
}

/// The documents of a shard.
pub(crate) struct Documents {
    pub set: Option<Stored<DestinationSet>>,
    pub cursor: Option<Stored<ShardCursor>>,
}

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// A shard's destinations and cursor, as they stand now.
    pub(crate) async fn documents(&self, shard: u16) -> Result<Documents, DeliveryError> {
        let (set, cursor) = {
            let mut memory = self.memory();
            (memory.sets.remove(&shard), memory.cursors.remove(&shard))
        };
        let (sets, cursors) = (DestinationSet::place(shard), ShardCursor::place(shard));
        let set = fresh(&sets, &self.state, set);
        let cursor = fresh(&cursors, &self.state, cursor);
        let (set, cursor) = try_join(set, cursor).await?;
        Ok(Documents { set, cursor })
    }

    /// Remembers what a run has ended with.
    pub(crate) fn keep(&self, shard: u16, documents: Documents) {
        let mut memory = self.memory();
        if let Some(set) = documents.set {
            memory.sets.insert(shard, set);
        }
        if let Some(cursor) = documents.cursor {
            memory.cursors.insert(shard, cursor);
        }
    }

    /// Remembers where a listing that was asked for at a time has shown the log to end.
    pub(crate) fn keep_end(&self, end: Position, asked_ms: i64) {
        self.memory().end = Some((end, asked_ms));
    }

    /// Whether the log still ends at a position, as a listing has shown lately. Its numbers are
    /// dense: as long as the next one is free, nothing was appended behind it either. The question
    /// costs a twelfth of a listing.
    pub(crate) async fn still_ends_at(
        &self,
        position: &Position,
        head: &Head,
    ) -> Result<bool, DeliveryError> {
        let known = self.memory().end.clone();
        let lately = |asked_ms: i64| (0..END_KNOWN_MS).contains(&(self.now_ms() - asked_ms));
        let known = known.is_some_and(|(end, asked_ms)| end == *position && lately(asked_ms));
        if !known || head.epoch != position.epoch || head.floor > position.next {
            return Ok(false);
        }
        Ok(!self.log.holds(position.next).await?)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document as it stands now; what has not changed since it was read is not read again.
async fn fresh<T: Document + Send + Sync>(
    place: &Place<T>,
    store: &impl ObjectStore,
    known: Option<Stored<T>>,
) -> Result<Option<Stored<T>>, DocumentError> {
    let Some(known) = known else {
        return place.load(store).await;
    };
    Ok(match place.refresh(store, &known).await? {
        Refreshed::Same => Some(known),
        Refreshed::Changed(changed) => Some(changed),
        Refreshed::Gone => None,
    })
}

//! What one run has read, and how it is kept.

use sealift_core::Timestamp;
use sealift_core::document::Stored;
use sealift_core::relay::cursor::{RelayCursor, Sweep};

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries that are now on the bus.
    pub relayed: u64,
    /// Those of them that appeared only after what was later had been read.
    pub late: u64,
    /// Entries that were read again.
    pub seen_before: u64,
    /// Entries that are not wanted.
    pub left_out: u64,
    /// Entries that were parked.
    pub parked: u64,
    /// Stretches of time that cannot be read.
    pub gaps: u64,
    /// Questions that were asked of the API.
    pub queries: u64,
    /// How long after it happened the last of the entries came onto the bus that was not late.
    pub delay_ms: i64,
    /// How far the position is behind the time at the end of the run.
    pub lag_ms: i64,
    /// Whether there was no time left for all of it.
    pub cut_short: bool,
}

/// Which of its two tasks a stretch of time is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// What is new, and the time just before it.
    Recent,
    /// All of the time in which something can have appeared late.
    Sweep(Sweep),
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run<'r> {
    /// The cursor as it is stored.
    pub(crate) stored: Stored<RelayCursor>,
    /// The cursor as it is meanwhile.
    pub(crate) cursor: RelayCursor,
    /// Where the run began: what is new before it is late.
    pub(crate) began_at: Timestamp,
    /// Whether something was passed on that is not stored.
    pub(crate) fresh: bool,
    /// Whether the bus has taken anything of this run.
    pub(crate) bus_works: bool,
    pub(crate) deadline: Timestamp,
    pub(crate) report: &'r mut Report,
}

impl<'r> Run<'r> {
    pub(crate) fn new(
        stored: Stored<RelayCursor>,
        deadline: Timestamp,
        report: &'r mut Report,
    ) -> Self {
        Self {
            cursor: stored.body.clone(),
            began_at: stored.body.position,
            stored,
            fresh: false,
            bus_works: false,
            deadline,
            report,
        }
    }

    /// Everything before the time was passed on, as far as the task goes.
    pub(crate) fn passed(&mut self, task: Task, until: Timestamp) {
        match task {
            Task::Recent => self.cursor.advance(until),
            Task::Sweep(sweep) => {
                let at = self.cursor.sweep.map_or(sweep.at, |sweep| sweep.at);
                self.cursor.sweep = Some(Sweep {
                    at: at.max(until),
                    ..sweep
                });
            }
        }
    }

    pub(crate) fn remember(&mut self, id: &str, created: Timestamp) {
        self.cursor.remember(id, created);
        self.fresh = true;
    }
}

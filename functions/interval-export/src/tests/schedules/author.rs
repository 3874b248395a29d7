//! Chance, and who writes into the project by it.

use sealift_core::Timestamp;
use sealift_core::id::XactId;
use sealift_testkit::exports::{MemorySource, Row};
use sealift_testkit::{SeededEntropy, VirtualClock};

use crate::tests::{project, xact};

/// Draws. Clones draw from one sequence.
#[derive(Debug, Clone)]
pub(super) struct Chance(pub(super) SeededEntropy);

impl Chance {
    /// A number from one to another, both included.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high - low + 1)
    }

    pub(super) fn one_in(&self, many: u64) -> bool {
        self.between(1, many) == 1
    }

    pub(super) fn of<T: Clone>(&self, some: &[T]) -> T {
        let last = some.len() as u64 - 1;
        some[usize::try_from(self.between(0, last)).unwrap()].clone()
    }
}

/// Who writes into the project.
pub(super) struct Author {
    chance: Chance,
    clock: VirtualClock,
    /// What the source has called settled: nothing is written up to there any more.
    pub(super) settled: XactId,
    /// Whether rows are updated, too.
    pub(super) updates: bool,
    ids: u64,
}

impl Author {
    pub(super) fn new(chance: Chance, clock: VirtualClock) -> Self {
        Self {
            chance,
            clock,
            settled: xact("09:00:00", 0),
            updates: true,
            ids: 0,
        }
    }

    /// A transaction of now or of a while ago, but one that nobody has been told to be settled.
    fn transaction(&self, after: XactId) -> XactId {
        let after = self.settled.max(after);
        let now = self.clock.now().as_second();
        let since = i64::from(after.epoch_seconds()).clamp(now - 4000, now);
        let ago = self.chance.between(0, u64::try_from(now - since).unwrap());
        let second = Timestamp::from_second(now - i64::try_from(ago).unwrap()).unwrap();
        let drawn = XactId::before(second).get() + self.chance.between(1, 3);
        XactId::new(drawn.max(after.get() + 1))
    }

    pub(super) fn add(&mut self, source: &MemorySource) {
        let transaction = self.transaction(XactId::ZERO);
        for _ in 0..self.chance.between(1, 4) {
            self.ids += 1;
            let trace = format!("t{}", self.chance.between(0, 7));
            let row = Row::new(transaction, &format!("s{}", self.ids), &trace);
            source.upsert(&project(), [row]);
        }
    }

    /// Updates a row or some, to transactions later than theirs.
    pub(super) fn update(&mut self, source: &MemorySource) {
        let rows = source.rows(&project());
        if rows.is_empty() || !self.updates {
            return;
        }
        let some: Vec<Row> = (0..3).map(|_| self.chance.of(&rows)).collect();
        let latest = some.iter().map(Row::xact).max().unwrap();
        let transaction = self.transaction(latest);
        let moved = some.into_iter().map(|row| row.moved(transaction));
        source.upsert(&project(), moved);
    }
}

//! Stores, sinks, a clock and chance for tests and simulation: real implementations of the
//! core's ports, held in memory and under the test's control.
//!
//! Nothing here is shipped. [`conformance`] is the suite that every
//! [`ObjectStore`](sealift_core::ports::ObjectStore) passes, this crate's [`MemoryStore`] as
//! well as the adapter that speaks to S3, so what is proved on the one holds on the other.

pub mod check;
pub mod clock;
pub mod conformance;
pub mod entropy;
pub mod exports;
pub mod scripted;
pub mod sinks;
pub mod store;
pub mod vault;

pub use check::ScriptedChecks;
pub use clock::VirtualClock;
pub use entropy::SeededEntropy;
pub use exports::{MemoryBus, MemoryExports, MemorySource};
pub use scripted::Script;
pub use sinks::{MemorySink, MemorySinks};
pub use store::MemoryStore;
pub use vault::MemoryVault;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not a failed test has left the lock poisoned: the state is whole between
/// any two statements that take it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

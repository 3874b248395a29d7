//! What the endpoints have in common.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sealift_core::ports::Entropy;

use super::btql::Overflow;
use super::faults::Faults;
use super::options::Settings;
use super::request_log::RequestLog;
use super::state::State;
use crate::time::Time;

/// Large answers that are kept to be fetched; the oldest leave first.
const KEPT_OVERFLOWS: usize = 64;

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Where the server listens, without a path.
    pub(crate) url: String,
    pub(crate) time: Time,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) faults: Faults,
    pub(crate) log: RequestLog,
    pub(crate) state: Mutex<State>,
    pub(crate) overflows: Mutex<VecDeque<Overflow>>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now, as precise as it is told.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.time.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// A fresh UUID, of version 4.
    pub(crate) fn uuid(&self) -> String {
        let bits = self.entropy.bits() & !(0xf << 76) & !(0x3 << 62);
        let bits = bits | (0x4 << 76) | (0x2 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff,
        )
    }

    /// Keeps a large answer, and tells where it is fetched.
    pub(crate) fn keep(&self, overflow: Overflow) -> String {
        let Overflow { id, signature, .. } = &overflow;
        let place = format!("{}/overflow/{id}?signature={signature}", self.url);
        let mut kept = self.overflows();
        kept.push_back(overflow);
        while kept.len() > KEPT_OVERFLOWS {
            kept.pop_front();
        }
        place
    }

    pub(crate) fn overflows(&self) -> MutexGuard<'_, VecDeque<Overflow>> {
        self.overflows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

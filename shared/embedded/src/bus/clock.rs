//! Time that the event loop can move on.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealift_core::ports::Clock;

/// A clock whose next time can be asked for.
pub trait Timeline: Clock {
    /// Comes back when it is the time or later.
    fn reach(&self, when: Timestamp) -> impl Future<Output = ()> + Send;
}

/// A clock that jumps over waiting. In between it runs as the clock that it is made of: over a
/// real clock, work takes the time it takes; over one that stands still, nothing does, and a
/// run is the same each time.
#[derive(Debug)]
pub struct JumpingClock<C> {
    clock: C,
    ahead: Mutex<SignedDuration>,
}

impl<C: Clock> JumpingClock<C> {
    /// A clock that shows `start` now.
    pub fn starting_at(start: Timestamp, clock: C) -> Self {
        let ahead = Mutex::new(start.duration_since(clock.now()));
        Self { clock, ahead }
    }

    fn jump(&self, when: Timestamp) {
        let needed = when.duration_since(self.clock.now());
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = (*ahead).max(needed);
    }
}

impl<C: Clock> Clock for JumpingClock<C> {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock
            .now()
            .saturating_add(ahead)
            .unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.clock.sleep(duration)
    }
}

impl<C: Clock> Timeline for JumpingClock<C> {
    async fn reach(&self, when: Timestamp) {
        self.jump(when);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn it_jumps_forward_and_never_back() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let clock = JumpingClock::starting_at(at(1000), Still);
        assert_eq!(clock.now(), at(1000));
        clock.reach(at(1020)).await;
        assert_eq!(clock.now(), at(1020));
        clock.reach(at(1010)).await;
        assert_eq!(clock.now(), at(1020));
    }
}

//! A clock that stands until it is told to go.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use sealift_core::ports::Clock;

use crate::lock;

/// A [`Clock`] whose time the test moves. Clones share the time.
///
/// It needs no runtime: a sleeper's waker is kept and called when the time is moved past its
/// deadline. With [`VirtualClock::auto`] a sleeper moves the time itself and goes on at once,
/// so sleepers follow one another even where they would have waited side by side.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    auto: bool,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
    next_sleeper: u64,
}

impl VirtualClock {
    /// A clock that stands at `start` until it is advanced.
    pub fn new(start: Timestamp) -> Self {
        Self::starting(start, false)
    }

    /// A clock on which every sleep moves the time and returns at once.
    pub fn auto(start: Timestamp) -> Self {
        Self::starting(start, true)
    }

    fn starting(now: Timestamp, auto: bool) -> Self {
        let state = State {
            now,
            auto,
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        lock(&self.state).now
    }

    /// Moves the time on and wakes those whose deadline has come.
    pub fn advance(&self, duration: Duration) {
        let now = later(self.now(), duration);
        self.advance_to(now);
    }

    /// Moves the time to the earliest deadline of a sleeper; `false` if nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let next = lock(&self.state).sleepers.keys().next().map(|(at, _)| *at);
        next.is_some_and(|at| {
            self.advance_to(at);
            true
        })
    }

    /// Moves the time to `time`, never backward, and wakes those whose deadline has come.
    pub fn advance_to(&self, time: Timestamp) {
        let due: Vec<Waker> = {
            let mut state = lock(&self.state);
            let now = state.now.max(time);
            state.now = now;
            let still_asleep = state.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.sleepers, still_asleep)
                .into_values()
                .collect()
        };
        // Outside the lock: a waker may poll at once.
        due.into_iter().for_each(Waker::wake);
    }
}

fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Sleep {
            clock: self.clone(),
            deadline: later(self.now(), duration),
            slot: None,
        }
    }
}

struct Sleep {
    clock: VirtualClock,
    deadline: Timestamp,
    slot: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = lock(&this.clock.state);
        if state.auto && state.now < this.deadline {
            state.now = this.deadline;
        }
        if state.now >= this.deadline {
            return Poll::Ready(());
        }
        let slot = *this.slot.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        let waker = context.waker().clone();
        state.sleepers.insert((this.deadline, slot), waker);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            lock(&self.clock.state)
                .sleepers
                .remove(&(self.deadline, slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::task::noop_waker_ref;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn a_sleeper_goes_on_when_the_time_has_passed_and_not_before() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let mut sleep = Box::pin(clock.sleep(Duration::from_secs(10)));
        assert!(poll(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(poll(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(poll(&mut sleep).is_ready());
    }

    #[test]
    fn the_time_goes_from_deadline_to_deadline_and_forgets_who_gave_up() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let mut first = Box::pin(clock.sleep(Duration::from_secs(1)));
        let mut second = Box::pin(clock.sleep(Duration::from_secs(5)));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        drop(first);
        assert!(clock.advance_to_next());
        assert_eq!(clock.now().as_second(), 5);
        assert!(poll(&mut second).is_ready());
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn on_an_automatic_clock_a_sleep_moves_the_time_by_itself() {
        let clock = VirtualClock::auto(Timestamp::UNIX_EPOCH);
        assert!(clock.sleep(Duration::from_secs(7)).now_or_never().is_some());
        assert_eq!(clock.now().as_second(), 7);
    }

    #[test]
    fn a_waiting_task_is_woken() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let sleeper = clock.clone();
        let thread = std::thread::spawn(move || {
            block_on(sleeper.sleep(Duration::from_secs(3)));
        });
        while !clock.advance_to_next() {
            std::thread::yield_now();
        }
        thread.join().expect("the sleeper wakes");
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

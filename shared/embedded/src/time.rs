//! The handed-in clock, with its type erased: the server holds it beside trait objects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealift_core::ports::Clock;

/// A clock of any type.
#[derive(Clone)]
pub(crate) struct Time(Arc<dyn Erased>);

trait Erased: Send + Sync {
    fn now(&self) -> Timestamp;
    fn sleep(self: Arc<Self>, duration: Duration) -> BoxFuture<'static, ()>;
}

struct Handed<C>(Arc<C>);

impl<C: Clock + 'static> Erased for Handed<C> {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(self: Arc<Self>, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.0.sleep(duration).await })
    }
}

impl Time {
    pub(crate) fn new<C: Clock + 'static>(clock: Arc<C>) -> Self {
        Self(Arc::new(Handed(clock)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.now()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        Arc::clone(&self.0).sleep(duration).await;
    }
}

/// The time as the standard library writes it; what lies before 1970 becomes 1970.
pub(crate) fn system_time(timestamp: Timestamp) -> SystemTime {
    let nanos = u64::try_from(timestamp.as_nanosecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

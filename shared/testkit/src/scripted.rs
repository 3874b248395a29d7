//! Stores, sinks, vaults, buses and checks on which the test decides how each call goes.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use sealift_core::destination::{Destination, Location};
use sealift_core::id::ObjectKey;
use sealift_core::ports::{
    Conditional, ETag, Failure, Listed, Metadata, Object, ObjectMeta, ObjectSink, ObjectStore,
    Sinks, StoreError,
};

use crate::{VirtualClock, lock};

mod control;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// [`ObjectStore::get`].
    Get,
    /// [`ObjectStore::get_first`].
    GetFirst,
    /// [`ObjectStore::head`].
    Head,
    /// [`ObjectStore::create`].
    Create,
    /// [`ObjectStore::swap`].
    Swap,
    /// [`ObjectStore::delete`].
    Delete,
    /// [`ObjectStore::list`].
    List,
    /// [`Sinks::open`].
    Open,
    /// [`ObjectSink::put`].
    Put,
    /// [`Vault::get`](sealift_core::vault::Vault::get).
    GetKeys,
    /// [`Vault::put`](sealift_core::vault::Vault::put).
    PutKeys,
    /// [`Vault::delete`](sealift_core::vault::Vault::delete).
    DeleteKeys,
    /// [`EventBus::put`](sealift_core::ports::EventBus::put).
    Publish,
    /// [`Checks::check`](sealift_core::check::Checks::check).
    Check,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is called.
    pub verb: Verb,
    /// The key or prefix, or the destination that is opened.
    pub at: String,
}

impl Call {
    /// Whether it is this call on something that begins so.
    pub fn is(&self, verb: Verb, start: &str) -> bool {
        self.verb == verb && self.at.starts_with(start)
    }
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Well.
    Well,
    /// Well, after others have had so many turns.
    Late(u32),
    /// It is not done, and may work later.
    Transient,
    /// It is not done, since another write on the key is under way.
    Conflict,
    /// It is not done, for want of permission.
    Denied,
    /// It is not done, and never will be.
    Invalid,
    /// It is done, and its answer is lost.
    LosesReply,
    /// The conditional write is done, its answer is lost, and the SDK's own second try finds
    /// the first in its way.
    RefusesOwn,
    /// The process is killed before it is done.
    KilledBefore,
    /// The process is killed when it is done.
    KilledAfter,
}

type Decide = dyn FnMut(&Call) -> Turn + Send;

/// Decides how calls go, and remembers them. Clones are one script.
#[derive(Clone)]
pub struct Script {
    decide: Arc<Mutex<Box<Decide>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    killed: Arc<AtomicBool>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            decide: Arc::new(Mutex::new(Box::new(|_| Turn::Well))),
            calls: Arc::default(),
            killed: Arc::default(),
        }
    }
}

impl Script {
    /// From now on `decide` decides. It is asked once for each call, just before it is done, and
    /// may do something in between itself, as somebody else would.
    pub fn set(&self, decide: impl FnMut(&Call) -> Turn + Send + 'static) {
        *lock(&self.decide) = Box::new(decide);
    }

    /// From now on all goes well.
    pub fn calm(&self) {
        self.set(|_| Turn::Well);
    }

    /// The first calls of the kind go as told, one after the other; everything else goes well.
    pub fn first(&self, verb: Verb, start: &'static str, turns: impl Into<Vec<Turn>>) {
        let mut turns = turns.into().into_iter();
        self.set(move |call| {
            if call.is(verb, start) {
                turns.next().unwrap_or(Turn::Well)
            } else {
                Turn::Well
            }
        });
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// How many calls of the kind there were so far.
    pub fn count(&self, verb: Verb, start: &str) -> usize {
        let calls = lock(&self.calls);
        calls.iter().filter(|call| call.is(verb, start)).count()
    }

    /// Wraps a store, sinks or a sink.
    pub fn on<T>(&self, inner: T) -> Scripted<T> {
        Scripted {
            inner,
            script: self.clone(),
        }
    }

    /// Runs a future to its end, moving the time on whenever all that is left is to wait.
    /// `None` if a call had the process killed: the future is dropped where it stood.
    ///
    /// # Panics
    /// If the future waits for something that never comes.
    pub fn run<F: Future>(&self, clock: &VirtualClock, future: F) -> Option<F::Output> {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let mut future = pin!(future);
        self.killed.store(false, Ordering::Relaxed);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            if self.killed.swap(false, Ordering::Relaxed) {
                return None;
            }
            let goes_on = woken.0.swap(false, Ordering::Relaxed) || clock.advance_to_next();
            assert!(goes_on, "it waits for something that never comes");
        }
    }

    /// Lets a call go as decided: the error, if it is not to be done; else what else happens.
    async fn before(&self, verb: Verb, at: &str) -> Result<Turn, StoreError> {
        let call = Call {
            verb,
            at: at.to_owned(),
        };
        lock(&self.calls).push(call.clone());
        let turn = (*lock(&self.decide))(&call);
        let error = |decision: fn(Failure) -> StoreError| Err(decision(failure(&call, "")));
        match turn {
            Turn::Transient => error(StoreError::Transient),
            Turn::Conflict => error(StoreError::Conflict),
            Turn::Denied => error(StoreError::Denied),
            Turn::Invalid => error(StoreError::Invalid),
            Turn::KilledBefore => self.die().await,
            Turn::Late(turns) => {
                for _ in 0..turns {
                    pause().await;
                }
                Ok(turn)
            }
            _ => Ok(turn),
        }
    }

    /// What the caller learns of a call that was done.
    async fn after<T>(&self, turn: Turn, verb: Verb, outcome: T) -> Result<T, StoreError> {
        match turn {
            Turn::KilledAfter => self.die().await,
            Turn::LosesReply => {
                let at = "the script".to_owned();
                let lost = failure(&Call { verb, at }, "the reply was lost");
                Err(StoreError::Transient(lost))
            }
            _ => Ok(outcome),
        }
    }

    async fn die<T>(&self) -> T {
        self.killed.store(true, Ordering::Relaxed);
        std::future::pending().await
    }
}

/// Gives the others a turn.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn failure(call: &Call, message: &str) -> Failure {
    Failure {
        operation: format!("{:?}", call.verb),
        target: call.at.clone(),
        code: "Scripted".to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

/// A store, sinks or a sink under a script.
#[derive(Debug, Clone)]
pub struct Scripted<T> {
    inner: T,
    script: Script,
}

impl<T> Scripted<T> {
    /// What the script does not touch.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    async fn call<R>(
        &self,
        verb: Verb,
        at: &str,
        call: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        let turn = self.script.before(verb, at).await?;
        let outcome = call.await?;
        self.script.after(turn, verb, outcome).await
    }

    async fn write(
        &self,
        verb: Verb,
        at: &str,
        write: impl Future<Output = Result<Conditional, StoreError>>,
    ) -> Result<Conditional, StoreError> {
        let turn = self.script.before(verb, at).await?;
        let outcome = write.await?;
        if turn == Turn::RefusesOwn {
            return Ok(Conditional::Refused);
        }
        self.script.after(turn, verb, outcome).await
    }
}

impl<S: ObjectStore> ObjectStore for Scripted<S> {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        let call = self.inner.get(key);
        self.call(Verb::Get, key.as_str(), call).await
    }

    async fn get_first(&self, key: &ObjectKey, length: u64) -> Result<Option<Object>, StoreError> {
        let call = self.inner.get_first(key, length);
        self.call(Verb::GetFirst, key.as_str(), call).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let call = self.inner.head(key);
        self.call(Verb::Head, key.as_str(), call).await
    }

    async fn create(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Conditional, StoreError> {
        let write = self.inner.create(key, bytes, metadata);
        self.write(Verb::Create, key.as_str(), write).await
    }

    async fn swap(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
        version: &ETag,
    ) -> Result<Conditional, StoreError> {
        let write = self.inner.swap(key, bytes, metadata, version);
        self.write(Verb::Swap, key.as_str(), write).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let call = self.inner.delete(key);
        self.call(Verb::Delete, key.as_str(), call).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let call = self.inner.list(prefix, start_after, limit);
        self.call(Verb::List, prefix, call).await
    }
}

impl<K: Sinks> Sinks for Scripted<K>
where
    K::Sink: 'static,
{
    type Sink = Scripted<K::Sink>;

    async fn open(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> Result<Self::Sink, StoreError> {
        let call = self.inner.open(destination, location);
        let sink = self.call(Verb::Open, destination.id.as_str(), call).await?;
        Ok(self.script.on(sink))
    }
}

impl<O: ObjectSink> ObjectSink for Scripted<O> {
    async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        let call = self.inner.put(key, bytes, sha256);
        self.call(Verb::Put, key.as_str(), call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use jiff::Timestamp;
    use sealift_core::ports::Clock;
    use std::time::Duration;

    fn clock() -> VirtualClock {
        VirtualClock::new(Timestamp::UNIX_EPOCH)
    }

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[test]
    fn a_store_under_no_script_conforms() {
        let run = crate::conformance::run(async || Script::default().on(MemoryStore::new(clock())));
        assert!(Script::default().run(&clock(), run).is_some());
    }

    #[test]
    fn a_call_goes_as_the_script_has_it() {
        let script = Script::default();
        let store = script.on(MemoryStore::new(clock()));
        let turns = [
            (Turn::Conflict, false),
            (Turn::LosesReply, true),
            (Turn::RefusesOwn, true),
            (Turn::KilledBefore, false),
            (Turn::KilledAfter, true),
            (Turn::Late(3), true),
        ];
        for (number, (turn, done)) in turns.into_iter().enumerate() {
            let key = key(&format!("a/{number}"));
            script.first(Verb::Create, "a/", [turn]);
            let create = store.create(&key, Bytes::new(), Metadata::new());
            let told = script.run(&clock(), create);
            assert_eq!(store.inner().get_now(&key).is_some(), done, "{turn:?}");
            match turn {
                Turn::Conflict => assert!(matches!(told, Some(Err(StoreError::Conflict(_))))),
                Turn::LosesReply => assert!(matches!(told, Some(Err(StoreError::Transient(_))))),
                Turn::RefusesOwn => assert_eq!(told, Some(Ok(Conditional::Refused))),
                Turn::Late(_) => assert!(matches!(told, Some(Ok(Conditional::Written(_))))),
                _ => assert_eq!(told, None),
            }
        }
        assert_eq!(script.count(Verb::Create, "a/"), 6);
    }

    #[test]
    fn the_time_moves_on_only_while_everybody_waits() {
        let (script, clock) = (Script::default(), clock());
        let store = script.on(MemoryStore::new(clock.clone()));
        script.first(Verb::Head, "", [Turn::Late(5)]);
        let waits = clock.sleep(Duration::from_secs(1));
        let key = key("a");
        let both = futures_util::future::join(waits, async {
            store.head(&key).await.unwrap();
            clock.now()
        });
        let ((), at) = script.run(&clock, both).unwrap();
        assert_eq!((at, clock.now().as_second()), (Timestamp::UNIX_EPOCH, 1));
    }
}

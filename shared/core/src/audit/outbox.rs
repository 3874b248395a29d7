//! The outbox: audit entries of changes, from before they are made until they are told.
//!
//! A change and its entry cannot be made in one step: the one is in the state, the other on the bus.
//! So the entry is written down first:
//!
//! 1. [`announce`](Outbox::announce): the entry is written into the outbox.
//! 2. The change is made.
//! 3. [`tell`](Outbox::tell): the entry goes onto the bus, and leaves the outbox. One that the bus
//!    does not take stays, marked as of a change that was *done*.
//!
//! A change that was refused, so that nothing was done, is [withdrawn](Outbox::withdraw), and nobody
//! hears of it. What was cut off anywhere in between stays, and [`send_left`](Outbox::send_left)
//! tells it later: what is not known to have been done as of an *unknown* outcome, because an audit
//! trail may tell of what was not made after all, but must not keep silent about what was.
//!
//! An entry keeps its id from the beginning, so that one that is told twice is the same entry.
//!
//! `outbox/<time, 13 digits>-<nonce>.json` in the state bucket. No secret is in it: an [`Entry`]
//! holds none.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{BadEntry, Entry};
use crate::Timestamp;
use crate::document::{Document, DocumentError, Place, Saved, Stored};
use crate::id::ObjectKey;
use crate::ports::{BusEntry, Entropy, EventBus, ObjectStore, StoreError};

/// The folder of the outbox.
pub const FOLDER: &str = "outbox/";

/// How long an entry is left to whoever announced it. No Lambda function runs for longer, so nobody
/// is still at it after that.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const LEFT_ALONE: Duration = Duration::from_mins(15);

/// How many entries are sent in one go at the most. They are read, put and deleted in some seconds,
/// and what is left waits for the next round.
pub const MOST_AT_ONCE: usize = 100;

/// How many are read and put on the bus together, which is what one request takes.
const TOGETHER: usize = 10;

/// How many keys are looked at; more than are sent, lest a few that cannot be read hold up the rest.
const LOOKED_AT: usize = 1000;

/// What is said of an entry whose change was cut off.
const CUT_OFF: &str = "it was cut off: it may have been made, and may not";

/// An audit entry that the bus has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// As in [`BusEntry`].
    pub source: String,
    /// As in [`BusEntry`].
    pub detail_type: String,
    /// As in [`BusEntry`]. It has its own id, so that telling it twice is no second entry.
    pub detail: String,
}

impl From<BusEntry> for Pending {
    fn from(entry: BusEntry) -> Self {
        Self {
            source: entry.source,
            detail_type: entry.detail_type,
            detail: entry.detail,
        }
    }
}

impl From<Pending> for BusEntry {
    fn from(pending: Pending) -> Self {
        Self {
            source: pending.source,
            detail_type: pending.detail_type,
            detail: pending.detail,
        }
    }
}

/// What stands in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// How far the change has come, as far as is known.
    pub stage: Stage,
    /// The entry, as it goes onto the bus.
    pub entry: Pending,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It was about to be made.
    Announced,
    /// It was made.
    Done,
}

impl Document for Letter {
    const FORMAT: &'static str = "sealift.audit-outbox/1";
}

/// An entry of the outbox whose change is under way.
#[derive(Debug)]
#[must_use = "it is told, or withdrawn"]
pub struct Announced {
    place: Place<Letter>,
    stored: Stored<Letter>,
}

/// Why an entry could not be written down, told, or taken out again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// There is no such entry.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// Its document could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus did not take it.
    #[error("the bus did not take the entry: {0}")]
    Bus(StoreError),
}

/// What became of the entry of a change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// There is nothing to tell.
    Nothing,
    /// It is on the bus.
    Sent,
    /// It is still in the outbox, and is sent from there later.
    Left(OutboxError),
}

/// What came of sending what was left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentLeft {
    /// Entries that the bus took.
    pub told: u64,
    /// Of these, those of an unknown outcome.
    pub unknown: u64,
    /// Entries that are still there, though they are old enough: the next round goes on with them.
    pub left: u64,
    /// What failed.
    pub failed: Vec<OutboxError>,
}

/// The outbox, on ports.
#[derive(Debug)]
pub struct Outbox<'a, S, B, E> {
    /// The state bucket.
    pub store: &'a S,
    /// The bus.
    pub bus: &'a B,
    /// Chance, for names.
    pub entropy: &'a E,
}

impl<S: ObjectStore, B: EventBus, E: Entropy> Outbox<'_, S, B, E> {
    /// Writes an entry down, whose change may be made then.
    pub async fn announce(&self, entry: &Entry, now: Timestamp) -> Result<Announced, OutboxError> {
        let nonce = self.entropy.nonce();
        let entry = entry.on_bus(&format!("change-{nonce}"), now)?;
        let letter = Letter {
            stage: Stage::Announced,
            entry: entry.into(),
        };
        let place = place(now, &nonce);
        match place.create(self.store, letter, self.entropy).await {
            Ok(Saved::Done(stored)) => Ok(Announced { place, stored }),
            Ok(Saved::Stale) => Err(DocumentError::Contended {
                key: place.key().clone(),
            }
            .into()),
            Err(error) => {
                // It may be there all the same, and its change will not be made.
                let _ = self.store.delete(place.key()).await;
                Err(error.into())
            }
        }
    }

    /// Takes back an entry whose change was refused, so that nothing was done. Should that fail, it
    /// is told as one of an unknown outcome.
    pub async fn withdraw(&self, announced: Announced) -> Result<(), OutboxError> {
        Ok(self.store.delete(announced.place.key()).await?)
    }

    /// Tells of a change that was made.
    pub async fn tell(&self, announced: Announced) -> Told {
        let Announced { place, stored } = announced;
        let entry = BusEntry::from(stored.body.entry.clone());
        let outcome = self.bus.put(&[entry]).await.into_iter().next();
        let left = match outcome.unwrap_or(Ok(())) {
            Ok(()) => match self.store.delete(place.key()).await {
                Ok(()) => return Told::Sent,
                Err(error) => error.into(),
            },
            Err(error) => OutboxError::Bus(error),
        };
        // Should this fail as well, it is told as one of an unknown outcome, which is not wrong.
        let letter = Letter {
            stage: Stage::Done,
            ..stored.body.clone()
        };
        let _ = place
            .replace(self.store, &stored, letter, self.entropy)
            .await;
        Told::Left(left)
    }

    /// Tells what was left by others, the oldest first, and bounded.
    pub async fn send_left(&self, now: Timestamp) -> SentLeft {
        let mut sent = SentLeft::default();
        let listed = match self.store.list(FOLDER, None, LOOKED_AT).await {
            Ok(listed) => listed,
            Err(error) => {
                sent.failed.push(error.into());
                return sent;
            }
        };
        let wait_ms = i64::try_from(LEFT_ALONE.as_millis()).unwrap_or(i64::MAX);
        let last_ms = now.as_millisecond().saturating_sub(wait_ms);
        let old = |key: &ObjectKey| announced_ms(key).is_some_and(|ms| ms < last_ms);
        let keys = listed.into_iter().map(|object| object.key);
        let keys: Vec<ObjectKey> = keys.filter(old).collect();
        let mut tried = 0;
        for keys in keys.chunks(TOGETHER) {
            if tried < MOST_AT_ONCE {
                tried += self.send_some(keys, &mut sent).await;
            } else {
                sent.left += count(keys.len());
            }
        }
        sent
    }

    /// Tells some; how many of them there was anything to tell of.
    async fn send_some(&self, keys: &[ObjectKey], sent: &mut SentLeft) -> usize {
        let places: Vec<Place<Letter>> = keys.iter().cloned().map(Place::new).collect();
        let mut reads = Vec::with_capacity(places.len());
        for place in &places {
            reads.push(place.load(self.store));
        }
        let (mut told, mut entries) = (Vec::new(), Vec::new());
        for (key, read) in keys.iter().zip(join_all(reads).await) {
            let letter = match read {
                Ok(Some(read)) => read.body,
                // Told by another a moment ago.
                Ok(None) => continue,
                Err(error) => {
                    sent.left += 1;
                    sent.failed.push(error.into());
                    continue;
                }
            };
            let (unknown, entry) = (letter.stage == Stage::Announced, letter.entry);
            let entry = match unknown {
                false => Ok(entry.into()),
                true => of_unknown_outcome(entry),
            };
            match entry {
                Ok(entry) => {
                    told.push((key, unknown));
                    entries.push(entry);
                }
                Err(error) => {
                    let (key, reason) = (key.clone(), error.to_string());
                    sent.left += 1;
                    sent.failed
                        .push(DocumentError::Unreadable { key, reason }.into());
                }
            }
        }
        if entries.is_empty() {
            return 0;
        }
        for ((key, unknown), outcome) in told.into_iter().zip(self.bus.put(&entries).await) {
            if let Err(error) = outcome {
                sent.left += 1;
                sent.failed.push(OutboxError::Bus(error));
                continue;
            }
            sent.told += 1;
            sent.unknown += u64::from(unknown);
            // If it stays, it is told again, and is the same entry.
            if let Err(error) = self.store.delete(key).await {
                sent.left += 1;
                sent.failed.push(error.into());
            }
        }
        entries.len()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn place(now: Timestamp, nonce: &str) -> Place<Letter> {
    let ms = now.as_millisecond().max(0);
    Place::new(ObjectKey::of_known_form(format!(
        "{FOLDER}{ms:013}-{nonce}.json"
    )))
}

/// When the entry at a key was announced.
fn announced_ms(key: &ObjectKey) -> Option<i64> {
    let name = key.as_str().strip_prefix(FOLDER)?.strip_suffix(".json")?;
    name.split_once('-')?.0.parse().ok()
}

/// The line of an entry; all but the details stay as they are, byte for byte.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    created: &'a RawValue,
    #[serde(borrow)]
    org_id: &'a RawValue,
    #[serde(borrow)]
    project_id: &'a RawValue,
    #[serde(borrow)]
    actor_id: &'a RawValue,
    #[serde(borrow)]
    event_type: &'a RawValue,
    event_details: Value,
    #[serde(borrow)]
    resource_type: &'a RawValue,
    #[serde(borrow)]
    resource_id: &'a RawValue,
    #[serde(borrow)]
    resource_name: &'a RawValue,
    #[serde(borrow)]
    actor_details: &'a RawValue,
    #[serde(borrow)]
    before_changes: &'a RawValue,
    #[serde(borrow)]
    after_changes: &'a RawValue,
}

/// The entry with the words that its change was cut off. What they add is little, and fits into what
/// [`bounds`](super::bounds) leaves for the envelope.
fn of_unknown_outcome(entry: Pending) -> Result<BusEntry, serde_json::Error> {
    let mut line: Line<'_> = serde_json::from_str(&entry.detail)?;
    let mut details = match line.event_details.take() {
        Value::Object(details) => details,
        Value::Null => Map::new(),
        other => Map::from_iter([("details".to_owned(), other)]),
    };
    details.insert("outcome".to_owned(), json!("unknown"));
    details.insert("message".to_owned(), json!(CUT_OFF));
    line.event_details = Value::Object(details);
    Ok(BusEntry {
        detail: serde_json::to_string(&line)?,
        source: entry.source,
        detail_type: entry.detail_type,
    })
}

//! The audit log: segments with dense numbers, and the head that keeps numbers from being used
//! twice.
//!
//! A segment lies at `log/<20 digits>.seg` and is created with `If-None-Match: *` at the next
//! free number, so a reader at *n* knows whether it missed anything. The head document, at
//! `head.json`, never expires; segments do. It holds the epoch and a floor, below which no
//! writer looks for a number.
//!
//! Why a number is never handed out twice although segments expire: whoever plans a range raises
//! the floor over it first, so no number that a reader has seen is free again. A log that is
//! empty above its floor either has had nothing since, or has lost it unread by age; if the
//! head was not touched for [`IDLE_BEFORE_NEW_EPOCH`] it could be the latter, and the writer
//! begins a new epoch. Positions and names carry the epoch. A log whose bucket was made anew
//! has no head, and so gets a new epoch as well.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError, NONCE, Place, Saved, Stored};
use crate::id::{ObjectKey, Sequence};
use crate::partition::parse_sequence;
use crate::ports::{Clock, Conditional, Entropy, Metadata, ObjectStore, StoreError};
use crate::segment::{Draft, Index, Segment, SegmentError, Stamp};

/// The folder of the segments.
pub const FOLDER: &str = "log/";

/// Segments live 37 days for a promise of 30; this is less than what lies between, so that a head
/// that is younger proves that delivery was at work when the promise still held.
pub const IDLE_BEFORE_NEW_EPOCH: Duration = Duration::from_hours(6 * 24);

/// How many bytes are fetched first when only a segment's index is wanted.
const INDEX_GUESS_BYTES: u64 = 256 * 1024;

/// How often an append asks again when the store says that it may work later.
const MAX_ATTEMPTS: u32 = 8;

/// How many taken numbers an append tries one by one before it looks where the log ends.
const MAX_STEPS: u32 = 4;

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The epoch: together with it, a number stands for one segment ever.
    pub epoch: String,
    /// The first number of the epoch.
    pub start: Sequence,
    /// No writer appends below this number.
    pub floor: Sequence,
    /// When the head was last written, in milliseconds since 1970.
    pub updated_ms: i64,
}

impl Document for Head {
    const FORMAT: &'static str = "sealift.log-head/1";
}

/// Why the log could not be read or appended to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A document could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment is damaged.
    #[error("segment {sequence}: {error}")]
    Segment {
        /// Which.
        sequence: Sequence,
        /// How.
        error: SegmentError,
    },
    /// So many others write that no number could be had in the tries that were allowed.
    #[error(
        "no free number was found in the log in {0} tries; other writers were quicker each time"
    )]
    Crowded(u32),
}

/// Where an append went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The epoch.
    pub epoch: String,
    /// The number.
    pub sequence: Sequence,
    /// Bytes of the segment.
    pub bytes: u64,
    /// Numbers that were tried and found taken, and tries that the store turned away.
    pub retries: u32,
}

/// A segment as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub sequence: Sequence,
    /// Its bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub last_modified: Timestamp,
}

/// The audit log on a bucket.
#[derive(Debug)]
pub struct Log<S> {
    store: S,
    head: Place<Head>,
}

impl<S: ObjectStore> Log<S> {
    /// The log in the bucket that the store stands for.
    pub fn new(store: S) -> Self {
        Self {
            store,
            head: Place::new(ObjectKey::of_known_form("head.json".to_owned())),
        }
    }

    /// The bucket.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The head; `None` before the first append.
    pub async fn head(&self) -> Result<Option<Stored<Head>>, LogError> {
        Ok(self.head.load(&self.store).await?)
    }

    /// Raises the floor to at least `floor`. Does nothing where it is as high already, or where
    /// the log's epoch is another by now.
    pub async fn raise_floor(
        &self,
        epoch: &str,
        floor: Sequence,
        clock: &impl Clock,
        entropy: &impl Entropy,
    ) -> Result<(), LogError> {
        loop {
            let Some(read) = self.head().await? else {
                return Ok(());
            };
            if read.body.epoch != epoch || read.body.floor >= floor {
                return Ok(());
            }
            let raised = Head {
                floor,
                updated_ms: clock.now().as_millisecond(),
                ..read.body.clone()
            };
            let saved = self
                .head
                .replace(&self.store, &read, raised, entropy)
                .await?;
            if matches!(saved, Saved::Done(_)) {
                return Ok(());
            }
        }
    }

    /// Lists segments after a number, in order, at most `limit` (1 to 1,000).
    pub async fn list_after(&self, after: Sequence, limit: usize) -> Result<Vec<Entry>, LogError> {
        let after = segment_key(after);
        let listed = self.store.list(FOLDER, Some(&after), limit).await?;
        let entries = listed.into_iter().filter_map(|object| {
            Some(Entry {
                sequence: sequence_of(&object.key)?,
                size: object.size,
                last_modified: object.last_modified,
            })
        });
        Ok(entries.collect())
    }

    /// Whether there is a segment of the number.
    pub async fn holds(&self, sequence: Sequence) -> Result<bool, LogError> {
        Ok(self.store.head(&segment_key(sequence)).await?.is_some())
    }

    /// Reads a segment; `None` if there is none.
    pub async fn read(&self, sequence: Sequence) -> Result<Option<Segment>, LogError> {
        let Some(object) = self.store.get(&segment_key(sequence)).await? else {
            return Ok(None);
        };
        let segment = Segment::read(&object.bytes).and_then(|segment| {
            same_number(&segment.index, sequence)?;
            Ok(segment)
        });
        segment
            .map(Some)
            .map_err(|error| LogError::Segment { sequence, error })
    }

    /// Reads what is known of a segment without its members; `None` if there is none.
    pub async fn read_index(&self, sequence: Sequence) -> Result<Option<Index>, LogError> {
        let key = segment_key(sequence);
        let mut length = INDEX_GUESS_BYTES;
        loop {
            let Some(object) = self.store.get_first(&key, length).await? else {
                return Ok(None);
            };
            match Index::read(&object.bytes) {
                Ok(index) => {
                    same_number(&index, sequence)
                        .map_err(|error| LogError::Segment { sequence, error })?;
                    return Ok(Some(index));
                }
                Err(SegmentError::Short { need, .. })
                    if need > length && need <= object.meta.size =>
                {
                    length = need;
                }
                Err(error) => return Err(LogError::Segment { sequence, error }),
            }
        }
    }

    /// Appends a segment at the next free number.
    ///
    /// Never writes the same draft twice within one call: after a refusal it looks whether the
    /// segment that stands there is its own, written by a try whose reply was lost. An error
    /// leaves open whether the segment was written; appending again may then double its events,
    /// which delivery finds by their ids.
    pub async fn append(
        &self,
        draft: &Draft,
        clock: &impl Clock,
        entropy: &impl Entropy,
    ) -> Result<Appended, LogError> {
        let nonce = entropy.nonce();
        let mut retries = 0;
        let (mut head, mut next) = self.end(clock, entropy).await?;
        let mut steps = 0;
        let mut failures = 0;
        // Each round either succeeds, finds a number taken, or fails; both are bounded.
        while retries < 1000 {
            let stamp = Stamp {
                epoch: head.epoch.clone(),
                sequence: next,
                nonce: nonce.clone(),
                appended_ms: clock.now().as_millisecond(),
            };
            let bytes = draft.stamped(&stamp).map_err(|error| LogError::Segment {
                sequence: next,
                error,
            })?;
            let size = bytes.len() as u64;
            let metadata = Metadata::from([(NONCE.to_owned(), nonce.clone())]);
            let key = segment_key(next);
            let written = match self.store.create(&key, bytes, metadata).await {
                Ok(Conditional::Written(_)) => true,
                Ok(Conditional::Refused) => self.is_own(&key, &nonce).await?,
                // Whether it was written is unknown. The same number again finds out.
                Err(error) if error.may_pass() && failures < MAX_ATTEMPTS => {
                    failures += 1;
                    retries += 1;
                    clock.sleep(backoff(failures, entropy)).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if written {
                return Ok(Appended {
                    epoch: head.epoch,
                    sequence: next,
                    bytes: size,
                    retries,
                });
            }
            retries += 1;
            steps += 1;
            if steps < MAX_STEPS {
                next = next.next();
            } else {
                // Far behind the others: look where the log ends now. Nothing of ours was
                // written, since every number that was tried is somebody else's.
                (head, next) = self.end(clock, entropy).await?;
                steps = 0;
            }
        }
        Err(LogError::Crowded(retries))
    }

    async fn is_own(&self, key: &ObjectKey, nonce: &str) -> Result<bool, LogError> {
        let meta = self.store.head(key).await?;
        Ok(meta.is_some_and(|meta| meta.metadata.get(NONCE).is_some_and(|n| n == nonce)))
    }

    /// The epoch's head and the next free number. Begins the log, or a new epoch, if need be.
    async fn end(
        &self,
        clock: &impl Clock,
        entropy: &impl Entropy,
    ) -> Result<(Head, Sequence), LogError> {
        loop {
            let read = self.head().await?;
            let floor = read
                .as_ref()
                .map_or(Sequence::FIRST, |read| read.body.floor);
            let last = self.last_after(floor.previous()).await?;
            let next = last.map_or(floor, Sequence::next);
            let now = clock.now();
            let head = match &read {
                Some(read) if !idle(&read.body, now) => return Ok((read.body.clone(), next)),
                // Whoever appended above a head that idled may have begun an epoch with it.
                Some(read) if last.is_some() => {
                    if self.head().await?.map(|now| now.etag).as_ref() == Some(&read.etag) {
                        return Ok((read.body.clone(), next));
                    }
                    continue;
                }
                _ => Head {
                    epoch: entropy.nonce(),
                    start: next,
                    floor: next,
                    updated_ms: now.as_millisecond(),
                },
            };
            let saved = match &read {
                None => self.head.create(&self.store, head, entropy).await?,
                Some(read) => self.head.replace(&self.store, read, head, entropy).await?,
            };
            if let Saved::Done(head) = saved {
                return Ok((head.body, next));
            }
        }
    }

    /// The last segment after a number, if there is any.
    async fn last_after(&self, mut after: Sequence) -> Result<Option<Sequence>, LogError> {
        let mut last = None;
        loop {
            let page = self.list_after(after, 1000).await?;
            let full = page.len() == 1000;
            if let Some(entry) = page.last() {
                after = entry.sequence;
                last = Some(after);
            }
            if !full {
                return Ok(last);
            }
        }
    }
}

/// Whether the head was left alone for so long that segments above its floor may have expired.
fn idle(head: &Head, now: Timestamp) -> bool {
    let age_ms = now.as_millisecond().saturating_sub(head.updated_ms);
    u128::try_from(age_ms).is_ok_and(|age| age >= IDLE_BEFORE_NEW_EPOCH.as_millis())
}

/// 50 ms, doubled each time up to 3.2 s, of which a random half is taken off.
fn backoff(failures: u32, entropy: &impl Entropy) -> Duration {
    let full = 50u64 << failures.saturating_sub(1).min(6);
    let jitter = u64::try_from(entropy.bits() % u128::from(full / 2)).unwrap_or(0);
    Duration::from_millis(full - jitter)
}

fn same_number(index: &Index, sequence: Sequence) -> Result<(), SegmentError> {
    let is = index.header.sequence;
    if is == sequence {
        Ok(())
    } else {
        Err(SegmentError::Damaged(format!(
            "it says that it is number {is}"
        )))
    }
}

/// The key of a segment.
pub fn segment_key(sequence: Sequence) -> ObjectKey {
    ObjectKey::of_known_form(format!("{FOLDER}{sequence}.seg"))
}

/// The number of the segment at a key; `None` if it is no segment's.
pub fn sequence_of(key: &ObjectKey) -> Option<Sequence> {
    parse_sequence(key.as_str().strip_prefix(FOLDER)?.strip_suffix(".seg")?)
}

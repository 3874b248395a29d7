//! Documents: state, as JSON objects in the state bucket that are replaced by compare-and-swap.
//!
//! ```json
//! {"format": "sealift.shard-cursor/1", "revision": 12, "body": {…}}
//! ```
//!
//! The format's version is checked at reading; the revision counts the writes. Each write
//! carries a nonce in the object's metadata, so that a writer whose reply was lost (its
//! retry is refused) knows its own write again.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::ObjectKey;
use crate::ports::{Conditional, ETag, Entropy, Fresh, Metadata, Object, ObjectStore, StoreError};

/// The metadata field that holds the nonce of a conditional write.
pub const NONCE: &str = "sealift-nonce";

/// What can stand in a document.
pub trait Document: Serialize + DeserializeOwned {
    /// The format's name and version: `sealift.shard-cursor/1`. A version that is read but no
    /// longer written is handled by the type's own `Deserialize`.
    const FORMAT: &'static str;
}

/// Why a document could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It holds something else than it should. Somebody has to look at it.
    #[error("document {key} cannot be used: {reason}")]
    Unreadable {
        /// Where it lies.
        key: ObjectKey,
        /// What is wrong.
        reason: String,
    },
    /// Others were quicker every time. It may work later.
    #[error("document {key} was changed by others {TRIES} times in a row; try again")]
    Contended {
        /// Where it lies.
        key: ObjectKey,
    },
}

/// How often a change is tried anew when others are quicker.
const TRIES: u32 = 64;

/// A document as it was read or written, with what its replacement is conditional on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The content.
    pub body: T,
    /// The number of writes so far.
    pub revision: u64,
    /// The version in the store.
    pub etag: ETag,
}

/// How a conditional write of a document ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved<T> {
    /// It is written.
    Done(Stored<T>),
    /// Somebody else wrote in between: read again.
    Stale,
}

#[derive(Serialize)]
struct Wire<'a, T> {
    format: &'a str,
    revision: u64,
    body: &'a T,
}

/// What is read: the body is left as it lies until its format is known.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    revision: u64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What became of a document that was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed<T> {
    /// It is as it was.
    Same,
    /// It was changed.
    Changed(Stored<T>),
    /// There is none any more.
    Gone,
}

/// The documents of one type at one place.
#[derive(Debug, Clone)]
pub struct Place<T> {
    key: ObjectKey,
    content: PhantomData<fn() -> T>,
}

impl<T: Document> Place<T> {
    /// The place at the key.
    pub fn new(key: ObjectKey) -> Self {
        Self {
            key,
            content: PhantomData,
        }
    }

    /// Its key.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn unreadable(&self, reason: &dyn fmt::Display) -> DocumentError {
        DocumentError::Unreadable {
            key: self.key.clone(),
            reason: reason.to_string(),
        }
    }

    /// Reads the document; `None` if there is none.
    pub async fn load(&self, store: &impl ObjectStore) -> Result<Option<Stored<T>>, DocumentError> {
        let object = store.get(&self.key).await?;
        object.map(|object| self.parse(&object)).transpose()
    }

    /// Reads the document unless it is still the one that was read before: what has not changed is
    /// neither sent nor parsed again.
    pub async fn refresh(
        &self,
        store: &impl ObjectStore,
        known: &Stored<T>,
    ) -> Result<Refreshed<T>, DocumentError> {
        Ok(match store.get_unless(&self.key, &known.etag).await? {
            Fresh::Same => Refreshed::Same,
            Fresh::Other(object) => Refreshed::Changed(self.parse(&object)?),
            Fresh::Missing => Refreshed::Gone,
        })
    }

    fn parse(&self, object: &Object) -> Result<Stored<T>, DocumentError> {
        // The format is looked at first: another one's body may not parse at all.
        let head: Head<'_> =
            serde_json::from_slice(&object.bytes).map_err(|e| self.unreadable(&e))?;
        if head.format != T::FORMAT {
            let (is, expected) = (head.format, T::FORMAT);
            let reason =
                format!("its format is {is:?}, and this version of Sealift reads {expected:?}");
            return Err(self.unreadable(&reason));
        }
        Ok(Stored {
            body: serde_json::from_str(head.body.get()).map_err(|e| self.unreadable(&e))?,
            revision: head.revision,
            etag: object.meta.etag.clone(),
        })
    }

    /// Writes the first version, if there is none.
    pub async fn create(
        &self,
        store: &impl ObjectStore,
        body: T,
        entropy: &impl Entropy,
    ) -> Result<Saved<T>, DocumentError> {
        self.write(store, body, None, entropy).await
    }

    /// Replaces the version that was read.
    pub async fn replace(
        &self,
        store: &impl ObjectStore,
        read: &Stored<T>,
        body: T,
        entropy: &impl Entropy,
    ) -> Result<Saved<T>, DocumentError> {
        self.write(store, body, Some(read), entropy).await
    }

    /// Changes the document, from a fresh read whenever somebody else was quicker. `change` is
    /// given what stands there and answers with what shall stand there; with `None` nothing is
    /// written. The answer is what stands there in the end, if anything does.
    pub async fn update(
        &self,
        store: &impl ObjectStore,
        entropy: &impl Entropy,
        mut change: impl FnMut(Option<&T>) -> Option<T> + Send,
    ) -> Result<Option<Stored<T>>, DocumentError> {
        for _ in 0..TRIES {
            let read = self.load(store).await?;
            let Some(body) = change(read.as_ref().map(|read| &read.body)) else {
                return Ok(read);
            };
            if let Saved::Done(stored) = self.write(store, body, read.as_ref(), entropy).await? {
                return Ok(Some(stored));
            }
        }
        let key = self.key.clone();
        Err(DocumentError::Contended { key })
    }

    async fn write(
        &self,
        store: &impl ObjectStore,
        body: T,
        read: Option<&Stored<T>>,
        entropy: &impl Entropy,
    ) -> Result<Saved<T>, DocumentError> {
        let revision = read.map_or(0, |read| read.revision) + 1;
        let wire = Wire {
            format: T::FORMAT,
            revision,
            body: &body,
        };
        let bytes: Bytes = serde_json::to_vec(&wire)
            .map_err(|e| self.unreadable(&e))?
            .into();
        let nonce = entropy.nonce();
        let metadata = Metadata::from([(NONCE.to_owned(), nonce.clone())]);
        let outcome = match read {
            None => store.create(&self.key, bytes, metadata).await?,
            Some(read) => store.swap(&self.key, bytes, metadata, &read.etag).await?,
        };
        let etag = match outcome {
            Conditional::Written(etag) => etag,
            // A reply may have been lost and the write tried again: then it is our own.
            Conditional::Refused => match store.head(&self.key).await? {
                Some(meta) if meta.metadata.get(NONCE) == Some(&nonce) => meta.etag,
                _ => return Ok(Saved::Stale),
            },
        };
        Ok(Saved::Done(Stored {
            body,
            revision,
            etag,
        }))
    }
}

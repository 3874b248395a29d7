//! Parked events: those that cannot be used, kept where an operator finds, counts and replays
//! them.
//!
//! The events of a batch that are parked make one object of JSON lines at
//! `parked/date=<day>/<hash>.jsonl` in the log's bucket. The hash is of what is parked, so that a
//! batch that comes again is not parked twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Rejected;
use crate::id::ObjectKey;
use crate::partition::{Hour, hex};
use crate::ports::{Metadata, ObjectStore, StoreError};

/// The folder of parked events.
pub const FOLDER: &str = "parked/";

/// The format of a line.
pub const FORMAT: &str = "sealift.parked/1";

/// One parked event: a line of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Always [`FORMAT`].
    pub format: String,
    /// The SHA-256 of the body, in hexadecimal digits: the same event has the same.
    pub id: String,
    /// A stable word for counting: `no_id`, `bad_time`.
    pub reason: String,
    /// What is wrong and the way out, in words.
    pub message: String,
    /// When it was parked, in milliseconds since 1970.
    pub parked_ms: i64,
    /// The queue's id of the message that it came in; or who parked it before it was in a queue.
    pub message_id: String,
    /// A message that holds this event and no other; sending it again replays it.
    pub body: String,
}

impl Parked {
    /// The line for a rejected event.
    pub fn of(rejected: &Rejected, message_id: &str, parked_ms: i64) -> Self {
        let (reason, message) = (rejected.reason.code(), rejected.reason.to_string());
        Self::because(reason, message, &rejected.body, message_id, parked_ms)
    }

    /// The line for an event that is parked for another reason.
    pub fn because(
        reason: impl Into<String>,
        message: impl Into<String>,
        body: &str,
        message_id: &str,
        parked_ms: i64,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            id: hex(&Sha256::digest(body.as_bytes())),
            reason: reason.into(),
            message: message.into(),
            parked_ms,
            message_id: message_id.to_owned(),
            body: body.to_owned(),
        }
    }
}

/// Writes parked events as one object; returns its key.
pub async fn park(
    store: &impl ObjectStore,
    parked: &[Parked],
    hour: Hour,
) -> Result<ObjectKey, StoreError> {
    let mut hasher = Sha256::new();
    let mut lines = Vec::new();
    for event in parked {
        hasher.update(&event.id);
        // Strings and a number: there is nothing in it that could fail.
        lines.extend(serde_json::to_vec(event).unwrap_or_default());
        lines.push(b'\n');
    }
    let hash: String = hex(&hasher.finalize()).chars().take(32).collect();
    let hour = hour.to_string();
    let date = hour.split_once('T').map_or("", |(date, _)| date);
    let key = ObjectKey::of_known_form(format!("{FOLDER}date={date}/{hash}.jsonl"));
    // Refused means that an earlier try has parked the very same.
    store.create(&key, lines.into(), Metadata::new()).await?;
    Ok(key)
}

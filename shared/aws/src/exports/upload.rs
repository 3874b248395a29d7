//! An object on its way into the bucket of an export, in parts where it is large.

use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use sealift_core::id::ObjectKey;
use sealift_core::ports::{Failure, StoreError, Upload};
use tokio::task::{JoinError, JoinSet};

use super::bucket::Bucket;
use crate::error::Request;

/// The size of a part but the last, in bytes. S3 takes 5 MiB at the least and 10,000 parts, so
/// an object may have 80 GiB. Three of them are held at the most ([`UNDER_WAY`] and the one that
/// gathers), and one takes a second at 8 MB/s, well within the time of an attempt.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts that are sent at the same time, at the most: while one waits for its answer the other
/// keeps the line busy.
pub const UNDER_WAY: usize = 2;

/// The most parts of an object.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MOST_PARTS: i32 = 10_000;

/// An [`Upload`] into a customer's bucket.
///
/// Parts are sent by tasks of the runtime, so they get on while the caller makes the next one;
/// none outlives the upload. An upload that fails is given up at once, and its parts with it.
#[derive(Debug)]
pub struct CustomerUpload {
    to: Arc<Object>,
    /// What does not make a part yet.
    gathered: BytesMut,
    /// The upload's id, from the first part on until it is ended.
    id: Option<Arc<str>>,
    sending: JoinSet<Result<CompletedPart, StoreError>>,
    parts: Vec<CompletedPart>,
    /// Bytes that were handed to tasks.
    sent: u64,
    failed: Option<StoreError>,
}

/// What is being written.
#[derive(Debug)]
struct Object {
    bucket: Arc<Bucket>,
    key: ObjectKey,
    content_type: &'static str,
}

/// How a task that sent a part has ended.
type Sent = Result<Result<CompletedPart, StoreError>, JoinError>;

impl CustomerUpload {
    pub(super) fn new(bucket: Arc<Bucket>, key: ObjectKey, content_type: &'static str) -> Self {
        let object = Object {
            bucket,
            key,
            content_type,
        };
        Self {
            to: Arc::new(object),
            gathered: BytesMut::new(),
            id: None,
            sending: JoinSet::new(),
            parts: Vec::new(),
            sent: 0,
            failed: None,
        }
    }

    /// Gathers bytes, and sends what makes a part as soon as it is known not to be the last.
    async fn gather(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        // A failure shows now, and not only when there is no place for another part.
        while let Some(ended) = self.sending.try_join_next() {
            self.take(ended)?;
        }
        while !bytes.is_empty() {
            if self.gathered.len() >= PART_BYTES {
                self.send_part().await?;
            }
            let room = PART_BYTES.saturating_sub(self.gathered.len());
            let piece = bytes.split_to(room.min(bytes.len()));
            self.gathered.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Hands what is gathered to a task, after waiting for a place if too many are under way.
    async fn send_part(&mut self) -> Result<(), StoreError> {
        self.wait(UNDER_WAY - 1).await?;
        let id = self.begun().await?;
        let number = self.next_number()?;
        // The next part is likely to become whole, too.
        let next = BytesMut::with_capacity(PART_BYTES);
        let bytes = std::mem::replace(&mut self.gathered, next).freeze();
        self.sent += bytes.len() as u64;
        let Object { bucket, key, .. } = &*self.to;
        let (bucket, key) = (Arc::clone(bucket), key.clone());
        self.sending
            .spawn(async move { bucket.put_part(&key, &id, number, bytes).await });
        Ok(())
    }

    /// The number of the next part, from 1.
    fn next_number(&self) -> Result<i32, StoreError> {
        let number = i32::try_from(self.parts.len() + self.sending.len() + 1).unwrap_or(i32::MAX);
        if number > MOST_PARTS {
            let most = PART_BYTES as u64 * u64::from(MOST_PARTS.unsigned_abs());
            let why = format!("the object has more than {most} bytes: export it in smaller files");
            return Err(StoreError::Invalid(self.failure("UploadPart", why)));
        }
        Ok(number)
    }

    async fn begun(&mut self) -> Result<Arc<str>, StoreError> {
        if let Some(id) = &self.id {
            return Ok(Arc::clone(id));
        }
        let Object {
            bucket,
            key,
            content_type,
        } = &*self.to;
        let id: Arc<str> = bucket.begin(key, content_type).await?.into();
        self.id = Some(Arc::clone(&id));
        Ok(id)
    }

    /// Waits until so many parts at the most are under way.
    async fn wait(&mut self, most: usize) -> Result<(), StoreError> {
        while self.sending.len() > most {
            if let Some(ended) = self.sending.join_next().await {
                self.take(ended)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, ended: Sent) -> Result<(), StoreError> {
        let part = ended.map_err(|error| {
            let why = format!("the task that sent a part ended early: {error}");
            StoreError::Transient(self.failure("UploadPart", why))
        })??;
        self.parts.push(part);
        Ok(())
    }

    async fn end(&mut self) -> Result<(), StoreError> {
        let Object {
            bucket,
            key,
            content_type,
        } = &*Arc::clone(&self.to);
        if self.id.is_none() {
            let bytes = std::mem::take(&mut self.gathered).freeze();
            return bucket.put(key, content_type, bytes).await;
        }
        if !self.gathered.is_empty() {
            self.send_part().await?;
        }
        self.wait(0).await?;
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_unstable_by_key(CompletedPart::part_number);
        let id = self.begun().await?;
        bucket.join(key, &id, parts, self.sent).await?;
        self.id = None;
        Ok(())
    }

    /// Ends everything that is under way, and has S3 remove the parts.
    ///
    /// A part that had fully left when its task was ended may still arrive after them; such a
    /// part stays until a lifecycle rule of the bucket removes it.
    async fn give_up(&mut self) {
        self.gathered = BytesMut::new();
        self.sending.shutdown().await;
        if let Some(id) = self.id.take() {
            let Object { bucket, key, .. } = &*self.to;
            if let Err(error) = bucket.abort(key, &id).await {
                tracing::warn!(
                    %error,
                    "an upload could not be given up; its parts stay until a lifecycle rule of the bucket removes them"
                );
            }
        }
    }

    fn failure(&self, operation: &'static str, why: String) -> Failure {
        let target = self.to.bucket.target(&self.to.key);
        let asked = Request {
            operation,
            target: &target,
        };
        asked.failure("", why)
    }
}

impl Upload for CustomerUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let gathered = self.gather(bytes).await;
        if let Err(error) = &gathered {
            self.failed = Some(error.clone());
            self.give_up().await;
        }
        gathered
    }

    async fn complete(mut self) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let ended = self.end().await;
        if ended.is_err() {
            // So that a request to join whose reply was lost can't do so later, over an object
            // that is written at the same key meanwhile.
            self.give_up().await;
        }
        ended
    }

    async fn abort(mut self) {
        self.give_up().await;
    }

    fn held(&self) -> usize {
        self.gathered.len() + self.sending.len() * PART_BYTES
    }
}

impl Drop for CustomerUpload {
    fn drop(&mut self) {
        if self.id.is_some() {
            let object = self.to.bucket.target(&self.to.key);
            tracing::warn!(
                object,
                "an upload of {object} was dropped; its parts stay until a lifecycle rule of the bucket removes them"
            );
        }
    }
}

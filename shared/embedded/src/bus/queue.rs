//! A queue: messages that are visible from a time on, and received until they are deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::state::Ids;
use crate::template;

/// The largest message, in bytes.
///
/// Source: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The largest payload of a call, in bytes: a batch is cut before it.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// What a message's record has beside the body, at the most, in bytes: 422, and the queue's ARN
/// with up to 121.
const RECORD_BYTES: usize = 550;

/// A message, for whoever looks into a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its body.
    pub body: String,
    /// When it was first sent, in milliseconds since 1970.
    pub sent_ms: i64,
    /// How often it was received.
    pub receive_count: u64,
}

/// A message as it is kept: the body escaped, as it goes into payloads.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) body: Box<RawValue>,
    pub(super) md5: String,
    pub(super) sent: Timestamp,
    pub(super) first_received: Option<Timestamp>,
    pub(super) receive_count: u64,
}

impl Stored {
    /// `None` if the body is too large.
    pub(super) fn new(id: String, body: &str, sent: Timestamp) -> Option<Self> {
        if body.len() > MAX_MESSAGE_BYTES {
            return None;
        }
        let digest = Md5::digest(body.as_bytes());
        Some(Self {
            id,
            body: serde_json::value::to_raw_value(body).ok()?,
            md5: format!("{:032x}", u128::from_be_bytes(digest.into())),
            sent,
            first_received: None,
            receive_count: 0,
        })
    }

    fn payload_bytes(&self) -> usize {
        self.body.get().len() + RECORD_BYTES
    }

    fn message(&self) -> Message {
        Message {
            id: self.id.clone(),
            body: serde_json::from_str(self.body.get()).unwrap_or_default(),
            sent_ms: self.sent.as_millisecond(),
            receive_count: self.receive_count,
        }
    }
}

/// Messages sort by the time they are visible from, and then as they came.
type Key = (Timestamp, u64);

/// A message that was received.
pub(super) struct Received {
    key: Key,
    pub(super) receipt: String,
    pub(super) message: Stored,
}

/// What was taken out of a queue.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) batch: Vec<Received>,
    /// Messages that were received too often.
    pub(super) dead: Vec<Stored>,
    /// How many were kept too long.
    pub(super) expired: u64,
}

/// A queue's messages.
#[derive(Default)]
pub(super) struct Queue {
    messages: BTreeMap<Key, Stored>,
    arrivals: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn insert(&mut self, message: Stored, visible: Timestamp) {
        self.arrivals += 1;
        self.messages.insert((visible, self.arrivals), message);
    }

    /// When the next batch is due: when it is full, or when the window after its first
    /// message is over.
    pub(super) fn due(&self, mapping: &template::Mapping) -> Option<Timestamp> {
        let (first, _) = *self.messages.keys().next()?;
        let over = later(first, mapping.window);
        let (mut count, mut bytes) = (0, 0);
        for ((visible, _), message) in self.messages.range(..=(over, u64::MAX)) {
            count += 1;
            bytes += message.payload_bytes();
            if count >= mapping.batch_size || bytes > MAX_PAYLOAD_BYTES {
                return Some(*visible);
            }
        }
        Some(over)
    }

    /// Receives a batch of what is visible, which then is not for the visibility timeout.
    pub(super) fn receive(
        &mut self,
        queue: &template::Queue,
        batch_size: usize,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Taken {
        let mut taken = Taken::default();
        let mut bytes = 0;
        while taken.batch.len() < batch_size {
            let Some(entry) = self.messages.first_entry() else {
                break;
            };
            let visible = entry.key().0 <= now;
            let size = entry.get().payload_bytes();
            let full = !taken.batch.is_empty() && bytes + size > MAX_PAYLOAD_BYTES;
            if !visible || full {
                break;
            }
            let mut message = entry.remove();
            if now >= later(message.sent, queue.retention) {
                taken.expired += 1;
                continue;
            }
            let spent =
                |redrive: &template::Redrive| message.receive_count >= redrive.max_receive_count;
            if queue.redrive.as_ref().is_some_and(spent) {
                taken.dead.push(message);
                continue;
            }
            bytes += size;
            message.receive_count += 1;
            message.first_received.get_or_insert(now);
            self.arrivals += 1;
            taken.batch.push(Received {
                key: (later(now, queue.visibility), self.arrivals),
                receipt: ids.next(),
                message,
            });
        }
        // Back in at once, out of sight, so that nothing is lost with a batch that never ends.
        for received in &taken.batch {
            self.messages.insert(received.key, received.message.clone());
        }
        taken
    }

    pub(super) fn delete(&mut self, received: &Received) {
        self.messages.remove(&received.key);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.values().map(Stored::message).collect()
    }

    pub(super) fn take(&mut self) -> Vec<Message> {
        let messages = self.messages();
        self.messages.clear();
        messages
    }
}

/// A time after another one, as far as there is time.
pub(super) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn mapping(batch_size: usize, window: u64) -> template::Mapping {
        template::Mapping {
            queue: "Queue".to_owned(),
            function: "Function".to_owned(),
            batch_size,
            window: Duration::from_secs(window),
            report_batch_item_failures: true,
            maximum_concurrency: None,
        }
    }

    fn settings(max_receive_count: u64) -> template::Queue {
        template::Queue {
            arn: "arn:aws:sqs:us-east-1:123456789012:queue".to_owned(),
            delay: Duration::ZERO,
            visibility: Duration::from_mins(6),
            retention: Duration::from_secs(10_000),
            redrive: Some(template::Redrive {
                dead_letter_queue: "DeadLetters".to_owned(),
                max_receive_count,
            }),
        }
    }

    fn message(body: &str, sent: i64) -> Stored {
        Stored::new(format!("id of {body}"), body, at(sent)).unwrap()
    }

    fn bodies(taken: &Taken) -> Vec<&str> {
        taken.batch.iter().map(|r| r.message.body.get()).collect()
    }

    #[test]
    fn a_batch_is_due_when_its_window_is_over() {
        let mut queue = Queue::default();
        assert_eq!(queue.due(&mapping(10, 5)), None);
        queue.insert(message("a", 0), at(2));
        queue.insert(message("b", 0), at(4));
        assert_eq!(queue.due(&mapping(10, 5)), Some(at(7)));
        assert_eq!(queue.due(&mapping(10, 0)), Some(at(2)));
    }

    #[test]
    fn a_batch_is_due_when_it_is_full() {
        let mut queue = Queue::default();
        for second in 0..3 {
            queue.insert(message("a", 0), at(second));
        }
        assert_eq!(queue.due(&mapping(2, 5)), Some(at(1)));
        let taken = queue.receive(&settings(10), 2, at(1), &mut Ids::new(1));
        assert_eq!(taken.batch.len(), 2);
    }

    #[test]
    fn a_batch_is_due_and_cut_before_six_megabytes() {
        let mut queue = Queue::default();
        let large = "x".repeat(MAX_MESSAGE_BYTES);
        for second in 0..7 {
            queue.insert(message(&large, 0), at(second));
        }
        assert_eq!(queue.due(&mapping(10_000, 60)), Some(at(5)));
        let taken = queue.receive(&settings(10), 10_000, at(6), &mut Ids::new(1));
        assert_eq!(taken.batch.len(), 5);
    }

    #[test]
    fn a_message_larger_than_the_limit_is_not_taken() {
        assert!(Stored::new("id".to_owned(), &"x".repeat(MAX_MESSAGE_BYTES + 1), at(0)).is_none());
    }

    #[test]
    fn a_received_message_is_out_of_sight_for_the_visibility_timeout() {
        let mut queue = Queue::default();
        let ids = &mut Ids::new(1);
        queue.insert(message("a", 0), at(0));
        assert_eq!(
            bodies(&queue.receive(&settings(10), 10, at(0), ids)),
            ["\"a\""]
        );
        assert_eq!(
            queue.receive(&settings(10), 10, at(359), ids).batch.len(),
            0
        );
        assert_eq!(queue.due(&mapping(10, 0)), Some(at(360)));
        let again = queue.receive(&settings(10), 10, at(360), ids);
        let received = again.batch.first().unwrap();
        assert_eq!(received.message.receive_count, 2);
        assert_eq!(received.message.first_received, Some(at(0)));
        queue.delete(received);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_message_that_was_received_too_often_is_dead() {
        let mut queue = Queue::default();
        let ids = &mut Ids::new(1);
        queue.insert(message("a", 0), at(0));
        assert_eq!(queue.receive(&settings(2), 10, at(0), ids).batch.len(), 1);
        assert_eq!(queue.receive(&settings(2), 10, at(360), ids).batch.len(), 1);
        let taken = queue.receive(&settings(2), 10, at(720), ids);
        assert_eq!((taken.batch.len(), taken.dead.len()), (0, 1));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_message_is_not_kept_beyond_its_retention() {
        let mut queue = Queue::default();
        queue.insert(message("a", 0), at(0));
        let taken = queue.receive(&settings(10), 10, at(10_000), &mut Ids::new(1));
        assert_eq!((taken.batch.len(), taken.expired), (0, 1));
    }

    #[test]
    fn a_delayed_message_waits() {
        let mut queue = Queue::default();
        queue.insert(message("a", 0), at(20));
        queue.insert(message("b", 1), at(1));
        let ids = &mut Ids::new(1);
        assert_eq!(
            bodies(&queue.receive(&settings(10), 10, at(19), ids)),
            ["\"b\""]
        );
    }
}

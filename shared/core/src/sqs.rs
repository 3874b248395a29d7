//! What Lambda hands over and takes back for a batch from SQS: only the fields that are used.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use serde::{Deserialize, Serialize};

/// A batch of messages.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

/// One message.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// The queue's id of it.
    #[serde(rename = "messageId")]
    pub message_id: String,
    /// Its text: an EventBridge envelope.
    pub body: String,
}

/// Which messages must come again; the others are deleted from the queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The messages.
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<Failure>,
}

/// A message that must come again.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The queue's id of it.
    #[serde(rename = "itemIdentifier")]
    pub message_id: String,
}

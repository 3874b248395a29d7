//! The payload of a batch, and what the function's answer says of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::queue::Received;

/// An event from SQS, as Lambda hands it to a function.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SqsEvent<'a> {
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a RawValue,
    attributes: Attributes,
    message_attributes: Empty,
    md5_of_body: &'a str,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
    sent_timestamp: String,
    sender_id: &'static str,
    approximate_first_receive_timestamp: String,
}

#[derive(Serialize)]
struct Empty {}

pub(super) fn sqs_event(batch: &[Received], queue_arn: &str, region: &str) -> Bytes {
    let record = |received| record(received, queue_arn, region);
    let event = SqsEvent {
        records: batch.iter().map(record).collect(),
    };
    // Nothing in it can fail to be written: strings, and JSON that was read before.
    Bytes::from(serde_json::to_vec(&event).unwrap_or_default())
}

fn record<'a>(received: &'a Received, queue_arn: &'a str, region: &'a str) -> Record<'a> {
    let message = &received.message;
    let first = message.first_received.unwrap_or(message.sent);
    Record {
        message_id: &message.id,
        receipt_handle: &received.receipt,
        body: &message.body,
        attributes: Attributes {
            approximate_receive_count: message.receive_count.to_string(),
            sent_timestamp: message.sent.as_millisecond().to_string(),
            sender_id: "events.amazonaws.com",
            approximate_first_receive_timestamp: first.as_millisecond().to_string(),
        },
        message_attributes: Empty {},
        md5_of_body: &message.md5,
        event_source: "aws:sqs",
        event_source_arn: queue_arn,
        aws_region: region,
    }
}

/// The places in the batch of the messages that come again.
///
/// A function that fails, fails all of them. Its answer is looked at only where the mapping
/// says so; an answer that is not of the form, or names what was not in the batch, fails all
/// of them, too.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>
pub(super) fn failed(
    outcome: &Result<Value, String>,
    batch: &[Received],
    reports: bool,
) -> BTreeSet<usize> {
    let all = || (0..batch.len()).collect();
    match outcome {
        Err(_) => all(),
        Ok(answer) if reports => reported(answer, batch).unwrap_or_else(all),
        Ok(_) => BTreeSet::new(),
    }
}

fn reported(answer: &Value, batch: &[Received]) -> Option<BTreeSet<usize>> {
    let failures = match answer {
        Value::Null => return Some(BTreeSet::new()),
        Value::Object(answer) => answer.get("batchItemFailures"),
        _ => return None,
    };
    match failures {
        None | Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                let id = item.get("itemIdentifier")?.as_str()?;
                batch.iter().position(|received| received.message.id == id)
            })
            .collect(),
        Some(_) => None,
    }
}

//! What the benchmarks feed: batches as Lambda hands them over, made of real CloudTrail records.

use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flate2::read::MultiGzDecoder;
use sealift_core::event::{Reading, Shapes, read};
use sealift_core::partition::hex;
use sealift_core::sqs::Batch;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The committed excerpt, so that the benchmarks run anywhere.
const EXCERPT: &[u8] = include_bytes!("../../../events/corpus/cloudtrail.jsonl.gz");

/// Where producers of bundles stop, so that one fits into an entry of the bus.
const BUNDLE_BYTES: usize = 900_000;

/// What a batch is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// Each event in an envelope, all of one organization: the account that the records are of.
    OneTenant,
    /// The same, and each event source is an organization; they are of very different sizes.
    ManyTenants,
    /// All of one organization, many events in an envelope.
    Bundles,
}

impl Case {
    /// The case in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneTenant => "one tenant",
            Self::ManyTenants => "a tenant for each event source",
            Self::Bundles => "one tenant, events in bundles",
        }
    }

    /// The shapes that the case needs.
    pub(super) fn shapes(self) -> anyhow::Result<Shapes> {
        Ok(match self {
            Self::OneTenant => Shapes::default(),
            Self::ManyTenants => {
                Shapes::parse(r#"[{"base":"cloudtrail","organization":"/eventSource"}]"#)?
            }
            Self::Bundles => Shapes::parse(r#"[{"base":"cloudtrail"}]"#)?,
        })
    }
}

/// CloudTrail records, one a line.
#[derive(Debug)]
pub(super) struct Corpus {
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    line: String,
    id: String,
    service: String,
}

/// The message of a queue, as Lambda hands it over.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: Attributes<'a>,
    message_attributes: Empty,
    #[serde(rename = "md5OfBody")]
    md5_of_body: &'a str,
    event_source: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes<'a> {
    approximate_receive_count: &'a str,
    sent_timestamp: &'a str,
    sender_id: &'a str,
    approximate_first_receive_timestamp: &'a str,
}

#[derive(Serialize)]
struct Empty {}

impl Corpus {
    /// Reads a file of JSON lines, plain or gzip; without one, the committed excerpt.
    pub(super) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let bytes = match file {
            None => EXCERPT.to_vec(),
            Some(file) => {
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
            }
        };
        let mut text = String::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8(bytes)?;
        }
        let records = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(Record::parse)
            .collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(!records.is_empty(), "there is no record to measure with");
        Ok(Self { records })
    }

    /// Number of records and bytes of them.
    pub(super) fn size(&self) -> (usize, u64) {
        let bytes = self.records.iter().map(|r| r.line.len() as u64 + 1).sum();
        (self.records.len(), bytes)
    }

    /// The lines that a batch of up to `limit` bytes delivers, in its order.
    pub(super) fn batch_of_lines(&self, limit: usize) -> anyhow::Result<Vec<u8>> {
        let payload = self.payload(Case::OneTenant, 0, limit)?;
        let batch: Batch = serde_json::from_slice(&payload)?;
        let mut lines = Vec::new();
        for record in &batch.records {
            if let Reading::Events(events) = read(&record.body, &Shapes::default()) {
                for event in events {
                    let event = event.map_err(|rejected| rejected.reason)?;
                    lines.extend_from_slice(event.line.as_bytes());
                    lines.push(b'\n');
                }
            }
        }
        Ok(lines)
    }

    /// A batch of up to `limit` bytes. The records go round, each time with ids of their own; two
    /// batches with other numbers have no id in common.
    pub(super) fn payload(&self, case: Case, number: u64, limit: usize) -> anyhow::Result<Vec<u8>> {
        let mut records = (0u64..).zip(self.records.iter().cycle());
        let mut payload = b"{\"Records\":[".to_vec();
        for count in 0u64.. {
            let seed = format!("{number}/{count}");
            let mut next = || {
                let (count, record) = records.next()?;
                Some((record, record.with_id(&format!("{number}/{count}"))))
            };
            let body = match case {
                Case::Bundles => bundle(std::iter::from_fn(next).map(|(_, line)| line), &seed),
                Case::OneTenant | Case::ManyTenants => {
                    let Some((record, line)) = next() else { break };
                    let source = format!("aws.{}", record.service);
                    envelope("AWS API Call via CloudTrail", &source, &line, &seed)
                }
            };
            let message = message(&body, &seed)?;
            if payload.len() + message.len() + 3 > limit {
                break;
            }
            if count > 0 {
                payload.push(b',');
            }
            payload.extend(message);
        }
        payload.extend(b"]}");
        Ok(payload)
    }
}

impl Record {
    fn parse(line: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Needed {
            #[serde(rename = "eventID")]
            event_id: String,
            event_source: String,
        }
        let needed: Needed = serde_json::from_str(line)
            .context("a line is no CloudTrail record, which is what this is measured with")?;
        let service = needed.event_source.split('.').next().unwrap_or_default();
        Ok(Self {
            line: line.to_owned(),
            service: service.to_owned(),
            id: needed.event_id,
        })
    }

    /// The record's line with an id drawn from `seed`.
    fn with_id(&self, seed: &str) -> String {
        self.line.replace(&self.id, &uuid("event", seed))
    }
}

/// As many lines as a bundle takes, in their envelope.
fn bundle(lines: impl Iterator<Item = String>, seed: &str) -> String {
    let mut detail = "{\"events\":[".to_owned();
    for (count, line) in lines.enumerate() {
        if count > 0 {
            detail.push(',');
        }
        detail.push_str(&line);
        if detail.len() > BUNDLE_BYTES {
            break;
        }
    }
    detail.push_str("]}");
    envelope("sealift.bundle", "com.example.platform", &detail, seed)
}

/// EventBridge's envelope.
fn envelope(detail_type: &str, source: &str, detail: &str, seed: &str) -> String {
    let id = uuid("envelope", seed);
    format!(
        r#"{{"version":"0","id":"{id}","detail-type":"{detail_type}","source":"{source}","account":"123837392027","time":"2023-07-10T11:42:24Z","region":"us-east-1","resources":[],"detail":{detail}}}"#
    )
}

/// A message as Lambda hands it over.
fn message(body: &str, seed: &str) -> anyhow::Result<Vec<u8>> {
    // Handles have about 400 characters.
    let handle: String = (0..6).map(|n| digits(&format!("{n} {seed}"))).collect();
    Ok(serde_json::to_vec(&Item {
        message_id: &uuid("message", seed),
        receipt_handle: &handle,
        body,
        attributes: Attributes {
            approximate_receive_count: "1",
            sent_timestamp: "1688989341000",
            sender_id: "AIDAIENQZJOLO23YVJ4VO",
            approximate_first_receive_timestamp: "1688989346000",
        },
        message_attributes: Empty {},
        md5_of_body: handle.get(..32).unwrap_or_default(),
        event_source: "aws:sqs",
        event_source_arn: "arn:aws:sqs:us-east-1:123456789012:sealift-AuditQueue-Q1w2E3r4T5y6",
        aws_region: "us-east-1",
    })?)
}

/// 64 hexadecimal digits that follow from the seed.
fn digits(seed: &str) -> String {
    hex(&Sha256::digest(seed))
}

/// A text in the form of a UUID that follows from the seed.
fn uuid(what: &str, seed: &str) -> String {
    let digits = digits(&format!("{what} {seed}"));
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events_and_tenants(case: Case, limit: usize) -> (usize, usize) {
        let corpus = Corpus::load(None).unwrap();
        let payload = corpus.payload(case, 1, limit).unwrap();
        assert!(payload.len() <= limit);
        let batch: Batch = serde_json::from_slice(&payload).unwrap();
        let shapes = case.shapes().unwrap();
        let mut ids = std::collections::BTreeSet::new();
        let mut tenants = std::collections::BTreeSet::new();
        for record in &batch.records {
            let Reading::Events(events) = read(&record.body, &shapes) else {
                panic!()
            };
            for event in events {
                let event = event.unwrap();
                assert!(ids.insert(event.id.to_string()));
                tenants.insert(event.organization);
            }
        }
        (ids.len(), tenants.len())
    }

    #[test]
    fn all_events_of_a_batch_are_usable_and_different() {
        let (records, _) = Corpus::load(None).unwrap().size();
        let (events, tenants) = events_and_tenants(Case::OneTenant, 1_000_000);
        assert!(events > records, "no record came twice");
        assert_eq!(tenants, 1);
        assert_eq!(
            events_and_tenants(Case::ManyTenants, 1_000_000),
            (events, 25)
        );
        let (in_bundles, tenants) = events_and_tenants(Case::Bundles, 2_100_000);
        assert!(in_bundles > events, "two bundles fit");
        assert_eq!(tenants, 1);
    }
}

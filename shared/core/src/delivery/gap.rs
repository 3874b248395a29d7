//! Gaps: parts of the log that were gone before they could be delivered, and how a customer is
//! told of them.
//!
//! A gap that is noticed stands in the destination's progress at once. Its record, a small JSON
//! object below `_gaps/` in the customer's bucket, is then planned, written and committed as
//! deliveries are; nothing else is delivered to the destination before that.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::destination::{Destination, Location};
use crate::id::{DestinationId, InvalidId, ObjectKey, OrgId, Sequence};
use crate::partition::{Tag, hex};

/// The folder of the records, below a destination's prefix.
pub const FOLDER: &str = "_gaps/";

/// The format of a record.
pub const FORMAT: &str = "sealift.gap/1";

/// A part of the log that was gone before it could be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The epoch of the numbers.
    pub epoch: String,
    /// The first missing segment.
    pub first: Sequence,
    /// The last missing one; unknown where the log was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Sequence>,
    /// What is missing was appended at this time or later, as far as that is known; in
    /// milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// What is missing was appended at this time or earlier, as far as that is known; in
    /// milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// When it was noticed, in milliseconds since 1970.
    pub noticed_ms: i64,
    /// Why they are missing.
    pub reason: GapReason,
}

/// Why a part of the log is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The segments' time was over.
    Expired,
    /// The log's bucket was made anew.
    LogReplaced,
}

impl GapReason {
    /// What it means to whoever reads the record.
    fn meaning(self) -> &'static str {
        match self {
            Self::Expired => {
                "These segments of the audit log were older than the log keeps them before this \
                 destination could take them. Events of this organization that stood in them \
                 were not delivered and cannot be delivered any more. Not every segment need \
                 have held some."
            }
            Self::LogReplaced => {
                "The audit log was made anew. Events of this organization that were appended to \
                 the old log from the first of these segments on, if there were any, were not \
                 delivered and cannot be delivered any more."
            }
        }
    }
}

impl Gap {
    /// How many segments are missing, where that is known.
    pub fn segments(&self) -> Option<u64> {
        let last = self.last?;
        Some(last.0.saturating_sub(self.first.0).saturating_add(1))
    }

    /// Where its record lies in a destination's bucket:
    /// `<prefix>_gaps/<first>-<last>-<tag>.json`, with `end` for a last number that is unknown.
    fn key(&self, destination: &Destination) -> Result<ObjectKey, InvalidId> {
        let Destination {
            id,
            organization,
            created_ms,
            ..
        } = destination;
        let tag = Tag::of_life(organization, id, *created_ms, &self.epoch);
        let prefix = &destination.location.prefix;
        let first = self.first;
        let last = self
            .last
            .map_or_else(|| "end".to_owned(), |last| last.to_string());
        ObjectKey::parse(format!("{prefix}{FOLDER}{first}-{last}-{tag}.json"))
    }

    /// The record of the gap for a destination: the same gap gives the same bytes.
    fn record(&self, destination: &Destination) -> Result<Vec<u8>, InvalidId> {
        let time = |ms: i64| {
            let time = Timestamp::from_millisecond(ms).ok()?;
            Some(format!("{time:.3}"))
        };
        let record = Record {
            format: FORMAT,
            destination: &destination.id,
            organization: &destination.organization,
            epoch: &self.epoch,
            first_sequence: self.first,
            last_sequence: self.last,
            segments: self.segments(),
            from: self.from_ms.and_then(time),
            to: self.to_ms.and_then(time),
            noticed: time(self.noticed_ms),
            reason: self.reason,
            meaning: self.reason.meaning(),
        };
        let mut bytes = serde_json::to_vec_pretty(&record)
            .map_err(|_| InvalidId::new("gap", &self.epoch, "it cannot be written as JSON"))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// What a record says, in this order.
#[derive(Serialize)]
struct Record<'a> {
    format: &'static str,
    destination: &'a DestinationId,
    organization: &'a OrgId,
    epoch: &'a str,
    first_sequence: Sequence,
    last_sequence: Option<Sequence>,
    segments: Option<u64>,
    from: Option<String>,
    to: Option<String>,
    noticed: Option<String>,
    reason: GapReason,
    meaning: &'static str,
}

/// An open plan of one gap's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapPlan {
    /// Where to.
    pub location: Location,
    /// What is told.
    pub gap: Gap,
    /// What will be written.
    pub object: PlannedRecord,
}

/// The record of a plan: the line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRecord {
    /// Where it will be.
    pub key: ObjectKey,
    /// Its bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// A record that is ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The plan of it.
    pub plan: GapPlan,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Makes the record of a gap, at a location of the destination's. The same arguments give the
/// same bytes.
pub fn tell(destination: &Destination, location: &Location, gap: &Gap) -> Result<Told, InvalidId> {
    let there = Destination {
        location: location.clone(),
        ..destination.clone()
    };
    let bytes = gap.record(&there)?;
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    let object = PlannedRecord {
        key: gap.key(&there)?,
        size: bytes.len() as u64,
        sha256: hex(&sha256),
    };
    let plan = GapPlan {
        location: location.clone(),
        gap: gap.clone(),
        object,
    };
    Ok(Told {
        plan,
        bytes,
        sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn destination(created_ms: Option<i64>) -> Destination {
        let document = json!({
            "id": "main", "organization": "acme", "status": "streaming", "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "bucket", "prefix": "audit/"},
            "credentials": {"type": "access_keys"},
        });
        Destination {
            created_ms,
            ..serde_json::from_value(document).unwrap()
        }
    }

    fn gap(last: Option<u64>) -> Gap {
        Gap {
            epoch: "e".to_owned(),
            first: Sequence(2),
            last: last.map(Sequence),
            from_ms: Some(0),
            to_ms: None,
            noticed_ms: 1_778_630_400_000,
            reason: GapReason::Expired,
        }
    }

    fn told(created_ms: Option<i64>, last: Option<u64>) -> Told {
        let destination = destination(created_ms);
        tell(&destination, &destination.location, &gap(last)).unwrap()
    }

    #[test]
    fn a_record_says_what_is_missing_and_has_the_same_key_and_bytes_each_time() {
        let once = told(None, Some(3));
        assert_eq!(once, told(None, Some(3)));
        let key = once.plan.object.key.as_str();
        let range = "audit/_gaps/00000000000000000002-00000000000000000003-";
        assert!(key.starts_with(range), "{key}");
        let record: serde_json::Value = serde_json::from_slice(&once.bytes).unwrap();
        assert_eq!(record["segments"], 2);
        assert_eq!(record["from"], "1970-01-01T00:00:00.000Z");
        assert_eq!(record["to"], serde_json::Value::Null);
        assert_eq!(record["noticed"], "2026-05-13T00:00:00.000Z");
        assert_eq!(record["reason"], "expired");
    }

    #[test]
    fn a_gap_without_a_known_end_says_so() {
        let told = told(None, None);
        assert!(told.plan.object.key.as_str().contains("0002-end-"));
        let record: serde_json::Value = serde_json::from_slice(&told.bytes).unwrap();
        assert!(record["segments"].is_null() && record["last_sequence"].is_null());
    }

    #[test]
    fn a_destination_that_was_made_again_tells_under_another_key() {
        let keys = [None, Some(1), Some(2)].map(|life| told(life, Some(3)).plan.object.key);
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}

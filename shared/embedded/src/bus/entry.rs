//! What producers put on a bus, and the envelope that it travels in.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ObjectCreated;

/// The name of the account's own bus: the only one that AWS services send to.
pub const DEFAULT_BUS: &str = "default";

/// The most entries in one request.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const MAX_REQUEST_ENTRIES: usize = 10;

/// All entries of a request together must be smaller, in bytes, and so must each.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
/// (1 MB; it was 256 KB until January 2026)
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The longest detail-type, in characters.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
const MAX_DETAIL_TYPE: usize = 128;

/// One entry of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who sends it: `platform.audit`. Services of AWS alone begin with `aws.`.
    pub source: String,
    /// What kind of event it is.
    pub detail_type: String,
    /// The event: the text of a JSON object. Its bytes are kept as they are.
    pub detail: String,
    /// When it happened; the time of the request if not given. Envelopes carry whole seconds.
    pub time: Option<Timestamp>,
    /// The ARNs of what it concerns.
    pub resources: Vec<String>,
}

/// A request that is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too few or too many entries.
    #[error("a request has 1 to {MAX_REQUEST_ENTRIES} entries, not {0}")]
    Entries(usize),
    /// Too many bytes.
    #[error("the entries have {0} bytes; it must be less than {MAX_REQUEST_BYTES}")]
    Size(usize),
}

/// Why an entry was refused. The texts begin with the codes that `PutEvents` answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The detail is no JSON object.
    #[error("MalformedDetail: {0}")]
    MalformedDetail(String),
    /// The source or the detail-type is empty or too long.
    #[error("InvalidArgument: {0}")]
    InvalidArgument(&'static str),
    /// The source is one of AWS's own.
    #[error(
        "NotAuthorizedForSource: only AWS services may send from sources that begin with `aws.`"
    )]
    NotAuthorizedForSource,
    /// No bus has the name.
    #[error("ResourceNotFound: there is no bus {0:?}")]
    NoSuchBus(String),
}

impl Entry {
    /// Its size as `PutEvents` counts it, in bytes.
    ///
    /// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
    pub fn size(&self) -> usize {
        let time = if self.time.is_some() { 14 } else { 0 };
        let resources: usize = self.resources.iter().map(String::len).sum();
        time + self.source.len() + self.detail_type.len() + self.detail.len() + resources
    }

    pub(super) fn check_source(&self) -> Result<(), EntryError> {
        if self.source.starts_with("aws.") {
            return Err(EntryError::NotAuthorizedForSource);
        }
        Ok(())
    }

    /// The event in its envelope, for the rules and as text. The event itself stands in the
    /// first only if a rule reads it.
    ///
    /// Source: <https://docs.aws.amazon.com/eventbridge/latest/ref/overview-event-structure.html>
    pub(super) fn envelope(
        &self,
        stamp: &Stamp<'_>,
        with_detail: bool,
    ) -> Result<(Value, String), EntryError> {
        if self.source.is_empty() {
            return Err(EntryError::InvalidArgument("the source is empty"));
        }
        if self.detail_type.is_empty() {
            return Err(EntryError::InvalidArgument("the detail-type is empty"));
        }
        if self.detail_type.chars().count() > MAX_DETAIL_TYPE {
            return Err(EntryError::InvalidArgument(
                "the detail-type is longer than 128 characters",
            ));
        }
        let malformed = |reason: String| EntryError::MalformedDetail(reason);
        let detail: &RawValue =
            serde_json::from_str(&self.detail).map_err(|error| malformed(error.to_string()))?;
        if !detail.get().starts_with('{') {
            return Err(malformed("the detail must be a JSON object".to_owned()));
        }
        let head = Head {
            version: "0",
            id: stamp.id,
            detail_type: &self.detail_type,
            source: &self.source,
            account: stamp.account,
            time: self
                .time
                .unwrap_or(stamp.now)
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            region: stamp.region,
            resources: &self.resources,
        };
        let unwritable = |error: serde_json::Error| malformed(error.to_string());
        let mut value = serde_json::to_value(&head).map_err(unwritable)?;
        let mut text = serde_json::to_string(&head).map_err(unwritable)?;
        text.pop();
        text.push_str(",\"detail\":");
        text.push_str(detail.get());
        text.push('}');
        if with_detail {
            let detail = serde_json::from_str(detail.get()).map_err(unwritable)?;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("detail".to_owned(), detail);
            }
        }
        Ok((value, text))
    }
}

/// The envelope without the event.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Head<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'a str,
    source: &'a str,
    account: &'a str,
    time: String,
    region: &'a str,
    resources: &'a [String],
}

/// What the bus adds to an entry.
pub(super) struct Stamp<'a> {
    pub(super) id: &'a str,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
}

pub(super) fn check_request(entries: &[Entry]) -> Result<(), RequestError> {
    if entries.is_empty() || entries.len() > MAX_REQUEST_ENTRIES {
        return Err(RequestError::Entries(entries.len()));
    }
    let size = entries.iter().map(Entry::size).sum();
    if size >= MAX_REQUEST_BYTES {
        return Err(RequestError::Size(size));
    }
    Ok(())
}

/// S3's event for a new object, as it reaches the account's own bus.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>
pub fn object_created(object: &ObjectCreated) -> Entry {
    let detail = json!({
        "version": "0",
        "bucket": {"name": object.bucket},
        "object": {
            "key": object.key,
            "size": object.size,
            "etag": object.etag,
            "sequencer": object.sequencer,
        },
        "reason": "PutObject",
    });
    Entry {
        source: "aws.s3".to_owned(),
        detail_type: "Object Created".to_owned(),
        detail: detail.to_string(),
        time: Some(object.time),
        resources: vec![format!("arn:aws:s3:::{}", object.bucket)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(detail: &str) -> Entry {
        Entry {
            source: "platform.audit".to_owned(),
            detail_type: "project.created".to_owned(),
            detail: detail.to_owned(),
            time: None,
            resources: Vec::new(),
        }
    }

    fn envelope(entry: &Entry) -> Result<(Value, String), EntryError> {
        let stamp = Stamp {
            id: "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            account: "111122223333",
            region: "us-west-1",
            now: "2026-05-12T23:48:21.999Z".parse().unwrap(),
        };
        entry.envelope(&stamp, true)
    }

    #[test]
    fn the_events_bytes_are_kept() {
        let detail = "{ \"b\":1.10,\n\"a\" : 12345678901234567890, \"a\":\"\\u00e9\" }";
        let (_, text) = envelope(&entry(detail)).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"version\":\"0\",\"id\":\"6a7e8feb-b491-4cf7-a9f1-bf3703467718\",\
                 \"detail-type\":\"project.created\",\"source\":\"platform.audit\",\
                 \"account\":\"111122223333\",\"time\":\"2026-05-12T23:48:21Z\",\
                 \"region\":\"us-west-1\",\"resources\":[],\"detail\":{detail}}}"
            )
        );
    }

    #[test]
    fn a_detail_is_a_json_object() {
        for bad in ["", "x", "[]", "\"x\"", "1", "null", "{", "{} {}"] {
            let error = envelope(&entry(bad)).unwrap_err();
            assert!(matches!(error, EntryError::MalformedDetail(_)), "{bad}");
        }
        assert!(envelope(&entry(" {} ")).is_ok());
    }

    #[test]
    fn source_and_type_are_asked_for() {
        let mut none = entry("{}");
        none.source = String::new();
        assert!(matches!(
            envelope(&none),
            Err(EntryError::InvalidArgument(_))
        ));
        let mut long = entry("{}");
        long.detail_type = "x".repeat(129);
        assert!(matches!(
            envelope(&long),
            Err(EntryError::InvalidArgument(_))
        ));
    }

    #[test]
    fn a_producer_may_not_pose_as_aws() {
        let mut posing = entry("{}");
        posing.source = "aws.s3".to_owned();
        assert_eq!(
            posing.check_source(),
            Err(EntryError::NotAuthorizedForSource)
        );
    }

    #[test]
    fn a_request_has_ten_entries_and_less_than_a_mebibyte() {
        assert_eq!(check_request(&[]), Err(RequestError::Entries(0)));
        assert_eq!(
            check_request(&vec![entry("{}"); 11]),
            Err(RequestError::Entries(11))
        );
        assert_eq!(check_request(&vec![entry("{}"); 10]), Ok(()));
        let overhead = entry("").size();
        let fits = entry(&"x".repeat(MAX_REQUEST_BYTES - overhead - 1));
        assert_eq!(check_request(std::slice::from_ref(&fits)), Ok(()));
        let over = entry(&"x".repeat(MAX_REQUEST_BYTES - overhead));
        assert_eq!(
            check_request(&[over]),
            Err(RequestError::Size(MAX_REQUEST_BYTES))
        );
        assert!(check_request(&[fits, entry("{}")]).is_err());
    }

    #[test]
    fn a_new_object_is_told_as_s3_tells_it() {
        let entry = object_created(&ObjectCreated {
            bucket: "amzn-s3-demo-bucket1".to_owned(),
            key: "example-key".to_owned(),
            size: 5,
            etag: "b1946ac92492d2347c6235b4d2611184".to_owned(),
            sequencer: "617f08299329d189".to_owned(),
            time: "2021-11-12T00:00:00Z".parse().unwrap(),
        });
        let (value, _) = envelope(&entry).unwrap();
        assert_eq!(value["source"], "aws.s3");
        assert_eq!(value["detail-type"], "Object Created");
        assert_eq!(value["time"], "2021-11-12T00:00:00Z");
        assert_eq!(value["resources"][0], "arn:aws:s3:::amzn-s3-demo-bucket1");
        assert_eq!(value["detail"]["bucket"]["name"], "amzn-s3-demo-bucket1");
        assert_eq!(value["detail"]["object"]["key"], "example-key");
        assert_eq!(value["detail"]["object"]["size"], 5);
    }
}

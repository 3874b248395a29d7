//! Partitioning: from an event's time to the folder and name that its line is delivered under.
//!
//! Folders follow the Hive convention (`date=…/hour=…`), in UTC, by the *event's* time: a late
//! event goes into its own hour's folder, in a later object. Names hold nothing but the
//! range of the log and a tag, so that writing a plan again gives the same name.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{DestinationId, InvalidId, KeyPrefix, ObjectKey, OrgId, Sequence};

const SECONDS_PER_HOUR: i64 = 3600;

/// An hour in UTC, the unit of partitioning. Years 1 to 9999, which RFC 3339 can write.
///
/// ```
/// use sealift_core::partition::Hour;
/// let hour = Hour::of("2023-07-10T11:42:24Z".parse().unwrap()).unwrap();
/// assert_eq!(hour.to_string(), "2023-07-10T11");
/// assert_eq!(hour.folder(), "date=2023-07-10/hour=11/");
/// assert_eq!(Hour::parse("2023-07-10T11"), Ok(hour));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hour(i64);

impl Hour {
    /// Before every hour; for the bounds of ranges only, since it has no written form.
    pub(crate) const MIN: Self = Self(i64::MIN);

    /// The hour that the time lies in; `None` outside the years 1 to 9999.
    pub fn of(time: Timestamp) -> Option<Self> {
        let hour = Self(time.as_second().div_euclid(SECONDS_PER_HOUR));
        (1..=9999).contains(&hour.civil()?.year()).then_some(hour)
    }

    /// Parses `YYYY-MM-DDTHH`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let refuse = || InvalidId::new("hour", text, "it must have the form YYYY-MM-DDTHH");
        let form: [bool; 13] = std::array::from_fn(|i| {
            text.as_bytes().get(i).is_some_and(|b| match i {
                4 | 7 => *b == b'-',
                10 => *b == b'T',
                _ => b.is_ascii_digit(),
            })
        });
        if text.len() != 13 || form.contains(&false) {
            return Err(refuse());
        }
        let civil: DateTime = format!("{text}:00:00").parse().map_err(|_| refuse())?;
        let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| refuse())?;
        Self::of(zoned.timestamp()).ok_or_else(refuse)
    }

    fn civil(self) -> Option<DateTime> {
        let start = Timestamp::from_second(self.0.checked_mul(SECONDS_PER_HOUR)?).ok()?;
        Some(TimeZone::UTC.to_datetime(start))
    }

    /// The folder of the hour: `date=YYYY-MM-DD/hour=HH/`.
    pub fn folder(self) -> String {
        let text = self.to_string();
        let (date, hour) = text.split_once('T').unwrap_or((&text, ""));
        format!("date={date}/hour={hour}/")
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An `Hour` is only ever made from a time that has a civil form.
        let Some(t) = self.civil() else {
            return Err(fmt::Error);
        };
        let (year, month, day, hour) = (t.year(), t.month(), t.day(), t.hour());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}")
    }
}

impl TryFrom<String> for Hour {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<Hour> for String {
    fn from(hour: Hour) -> String {
        hour.to_string()
    }
}

/// A short hash of a destination and the log's epoch: two destinations on one prefix, or a log
/// that was made anew, can never share a key.
///
/// 12 hexadecimal digits: 48 bits of the SHA-256 of `<organization>` NUL `<destination>` NUL
/// `<epoch>`, and of NUL and the milliseconds of its creation where those are known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag of a destination's objects in an epoch of the log.
    pub fn of(organization: &OrgId, destination: &DestinationId, epoch: &str) -> Self {
        Self::of_life(organization, destination, None, epoch)
    }

    /// The same, of a destination that knows when it was created: one that is removed and
    /// created again under the same id has another tag.
    pub fn of_life(
        organization: &OrgId,
        destination: &DestinationId,
        created_ms: Option<i64>,
        epoch: &str,
    ) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(organization.as_str());
        hasher.update([0]);
        hasher.update(destination.as_str());
        hasher.update([0]);
        hasher.update(epoch);
        if let Some(created_ms) = created_ms {
            hasher.update([0]);
            hasher.update(created_ms.to_string());
        }
        Self(hex(hasher.finalize().as_slice()).chars().take(12).collect())
    }

    /// Parses 12 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 12 && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "tag",
                text,
                "it must be 12 hexadecimal digits",
            ))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the name of a delivered object says.
///
/// `<prefix>date=YYYY-MM-DD/hour=HH/<first>-<last>-<tag>.jsonl.gz`, where first and last are
/// the range of segments that the plan covered, in 20 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredName {
    /// The hour of the events in it.
    pub hour: Hour,
    /// The first segment of the range.
    pub first: Sequence,
    /// The last segment of the range.
    pub last: Sequence,
    /// Whose object it is.
    pub tag: Tag,
}

impl DeliveredName {
    /// The key below a destination's prefix.
    pub fn key(&self, prefix: &KeyPrefix) -> Result<ObjectKey, InvalidId> {
        let Self {
            hour,
            first,
            last,
            tag,
        } = self;
        let folder = hour.folder();
        ObjectKey::parse(format!("{prefix}{folder}{first}-{last}-{}.jsonl.gz", tag.0))
    }

    /// Reads a key that [`key`](Self::key) wrote below the same prefix.
    pub fn parse(key: &ObjectKey, prefix: &KeyPrefix) -> Result<Self, InvalidId> {
        let refuse = || {
            let form = "it must be <prefix>date=YYYY-MM-DD/hour=HH/<first>-<last>-<tag>.jsonl.gz";
            InvalidId::new("delivered object's key", key.as_str(), form)
        };
        let parts = || {
            let rest = key.as_str().strip_prefix(prefix.as_str())?;
            let (date, rest) = rest.strip_prefix("date=")?.split_once("/hour=")?;
            let (hour, name) = rest.split_once('/')?;
            let mut fields = name.strip_suffix(".jsonl.gz")?.splitn(3, '-');
            Some((date, hour, fields.next()?, fields.next()?, fields.next()?))
        };
        let (date, hour, first, last, tag) = parts().ok_or_else(refuse)?;
        Ok(Self {
            hour: Hour::parse(&format!("{date}T{hour}"))?,
            first: parse_sequence(first).ok_or_else(refuse)?,
            last: parse_sequence(last).ok_or_else(refuse)?,
            tag: Tag::parse(tag)?,
        })
    }
}

/// Reads a sequence number in its 20 digits.
pub fn parse_sequence(text: &str) -> Option<Sequence> {
    let digits = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok().map(Sequence)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Hour {
        Hour::of(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_hour_is_the_events_own_in_utc() {
        assert_eq!(at("2023-07-10T11:59:59.999Z").to_string(), "2023-07-10T11");
        assert_eq!(at("2023-07-10T01:30:00+02:00").to_string(), "2023-07-09T23");
        assert_eq!(at("1969-12-31T23:59:59Z").to_string(), "1969-12-31T23");
        assert_eq!(at("0001-01-01T00:00:00Z").to_string(), "0001-01-01T00");
    }

    #[test]
    fn an_hour_in_another_form_is_refused() {
        for bad in [
            "",
            "2023-07-10",
            "2023-07-10T24",
            "2023-13-10T01",
            "2023-07-10t11",
            "2023-07-10T1",
            "+023-07-10T11",
            "0000-01-01T00",
        ] {
            assert!(Hour::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_reads_as_the_docs_say() {
        let acme = OrgId::parse("acme").unwrap();
        let destination = DestinationId::parse("tenant-ec2").unwrap();
        let name = DeliveredName {
            hour: at("2023-07-10T11:42:24Z"),
            first: Sequence(1),
            last: Sequence(12),
            tag: Tag::of(&acme, &destination, "e"),
        };
        let key = name
            .key(&KeyPrefix::parse("audit-events/").unwrap())
            .unwrap();
        assert_eq!(
            key.as_str(),
            format!(
                "audit-events/date=2023-07-10/hour=11/00000000000000000001-00000000000000000012-{}.jsonl.gz",
                name.tag.0
            )
        );
        assert_ne!(name.tag, Tag::of(&acme, &destination, "another epoch"));
        let lives = [None, Some(1), Some(2)];
        let lives = lives.map(|life| Tag::of_life(&acme, &destination, life, "e"));
        assert_eq!(lives[0], name.tag);
        assert!(lives[0] != lives[1] && lives[1] != lives[2]);
        let other = OrgId::parse("other").unwrap();
        assert_ne!(name.tag, Tag::of(&other, &destination, "e"));
    }

    proptest! {
        #[test]
        fn parsing_a_key_gives_back_what_was_formatted(
            seconds in -62_135_596_800i64..253_402_300_800,
            first: u64, last: u64, bits: u64,
            prefix in "([a-z0-9=. -]{1,8}[a-z0-9]/){0,3}",
        ) {
            let name = DeliveredName {
                hour: Hour::of(Timestamp::from_second(seconds).unwrap()).unwrap(),
                first: Sequence(first),
                last: Sequence(last),
                tag: Tag::parse(&format!("{:012x}", bits >> 16)).unwrap(),
            };
            let prefix = KeyPrefix::parse(prefix).unwrap();
            let key = name.key(&prefix).unwrap();
            prop_assert_eq!(DeliveredName::parse(&key, &prefix), Ok(name));
        }
    }
}

//! What must come out: computed from what was sent and what the log has ever held, without any
//! of the code that delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use sealift_core::destination::Destination;
use sealift_core::id::{KeyPrefix, ObjectKey, OrgId, Sequence};
use sealift_core::partition::{DeliveredName, Hour, Tag};
use sealift_core::segment::Segment;
use sealift_core::selection::Selection;
use sealift_testkit::sinks::{Put, Replaced};

/// An event where it stands in the log.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) organization: OrgId,
    pub(super) hour: Hour,
    pub(super) sequence: Sequence,
    pub(super) appended_ms: i64,
    pub(super) event_type: String,
    pub(super) line: String,
}

/// All events that the log has ever held, wherever they stand in it, in log order.
pub(super) fn history(segments: &[Bytes]) -> Vec<Logged> {
    let (mut numbers, mut nonces) = (BTreeSet::new(), BTreeSet::new());
    let mut segments: Vec<Segment> = segments
        .iter()
        .map(|bytes| Segment::read(bytes).unwrap())
        .collect();
    for segment in &segments {
        let header = &segment.index.header;
        assert!(
            numbers.insert((header.epoch.clone(), header.sequence)),
            "number {} was used twice",
            header.sequence
        );
        let fresh = nonces.insert(header.nonce.clone());
        assert!(fresh, "one append wrote {} as well", header.sequence);
    }
    // Stable: numbers go on from epoch to epoch.
    segments.sort_by_key(Segment::sequence);
    let used: BTreeSet<u64> = segments.iter().map(|s| s.sequence().0).collect();
    let last = used.last().copied().unwrap_or(0);
    assert!(used.into_iter().eq(1..=last), "a number was left out");
    let mut events = Vec::new();
    for segment in &segments {
        for member in segment.members() {
            let lines = String::from_utf8(member.decompress().unwrap()).unwrap();
            assert_eq!(lines.lines().count(), member.entry.events as usize);
            for (line, digest) in lines.lines().zip(member.digests.iter()) {
                events.push(Logged {
                    organization: member.entry.organization.clone(),
                    hour: member.entry.hour,
                    sequence: segment.sequence(),
                    appended_ms: segment.index.header.appended_ms,
                    event_type: member.entry.types[digest.event_type as usize].clone(),
                    line: line.to_owned(),
                });
            }
        }
    }
    events
}

/// The lines of a segment.
pub(super) fn lines(segment: &Segment) -> Vec<String> {
    let members = segment.members();
    let texts = members.map(|member| String::from_utf8(member.decompress().unwrap()).unwrap());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// What a destination must and may have received.
pub(super) struct Expected<'a> {
    pub(super) destination: &'a Destination,
    /// Its tags, one for each epoch of the log.
    pub(super) tags: BTreeSet<Tag>,
    /// Selections that it had at one time or another.
    pub(super) selections: &'a [Selection],
    /// Segments that expired at one time or another.
    pub(super) expired: &'a BTreeSet<Sequence>,
}

impl Expected<'_> {
    /// Compares what lies below a prefix with the log: each event once, in log order, bytes as
    /// they came, in its own hour, nothing of another tenant. Returns the lines that were found
    /// and counts the objects.
    pub(super) fn check(
        &self,
        log: &[Logged],
        prefix: &KeyPrefix,
        objects: &BTreeMap<ObjectKey, Bytes>,
    ) -> (BTreeSet<String>, usize) {
        let Destination {
            id,
            organization,
            start_ms,
            ..
        } = self.destination;
        let mut own: BTreeMap<&str, Vec<(usize, &Logged)>> = BTreeMap::new();
        for (place, event) in log.iter().enumerate() {
            if event.organization == *organization {
                own.entry(&event.line).or_default().push((place, event));
            }
        }
        let mut found = BTreeSet::new();
        let mut last_place: BTreeMap<Hour, (Sequence, usize)> = BTreeMap::new();
        let mut count = 0;
        let folder = format!("{prefix}date=");
        for (key, bytes) in objects
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(&folder))
        {
            let name = DeliveredName::parse(key, prefix).unwrap();
            if !self.tags.contains(&name.tag) {
                continue;
            }
            count += 1;
            let lines = text(bytes);
            assert!(
                lines.ends_with('\n'),
                "{id}: {key} does not end with a line break"
            );
            for line in lines.lines() {
                let places = own.get(line).unwrap_or_else(|| {
                    panic!("{id}: {key} holds a line that is not its own: {line}")
                });
                // Not always where it stands first: that may have expired unread.
                let in_range =
                    |event: &Logged| name.first <= event.sequence && event.sequence <= name.last;
                let place = places.iter().find(|(_, event)| in_range(event));
                let (place, event) =
                    place.unwrap_or_else(|| panic!("{id}: {line} lies outside the range of {key}"));
                assert_eq!(event.hour, name.hour, "{id}: {line} lies in another hour");
                assert!(
                    start_ms.is_some_and(|start_ms| event.appended_ms >= start_ms),
                    "{id}: {line} is older than the start"
                );
                let wanted = self.selections.iter().any(|s| s.wants(&event.event_type));
                assert!(wanted, "{id}: {line} was never wanted");
                // What the look-back cannot read any more it does not know.
                let forgotten = places
                    .iter()
                    .any(|(_, e)| self.expired.contains(&e.sequence));
                assert!(
                    found.insert(line.to_owned()) || forgotten,
                    "{id}: {line} was delivered twice"
                );
                let before = last_place.insert(name.hour, (name.first, *place));
                let in_order = before.is_none_or(|before| before < (name.first, *place));
                assert!(in_order, "{id}: {line} is out of order in {key}");
            }
        }
        (found, count)
    }

    /// The ranges of the gaps that it was told of in its bucket, one for each record.
    pub(super) fn told(
        &self,
        objects: &BTreeMap<ObjectKey, Bytes>,
    ) -> Vec<(Sequence, Option<Sequence>)> {
        let records = objects.iter().filter(|(key, _)| {
            let key = key.as_str();
            let ours = |tag: &Tag| key.ends_with(&format!("-{tag}.json"));
            key.contains("_gaps/") && self.tags.iter().any(ours)
        });
        let ranges = records.map(|(key, bytes)| {
            let record: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let said = |field: &str| record[field].as_str().unwrap().to_owned();
            assert_eq!(said("destination"), self.destination.id.as_str(), "{key}");
            assert_eq!(
                said("organization"),
                self.destination.organization.as_str(),
                "{key}"
            );
            let number = |field: &str| record[field].as_u64().map(Sequence);
            (number("first_sequence").unwrap(), number("last_sequence"))
        });
        ranges.collect()
    }

    /// The lines that it must have, each where it stands first.
    pub(super) fn must_have<'l>(&self, log: &'l [Logged]) -> impl Iterator<Item = &'l Logged> {
        let mut seen = BTreeSet::new();
        log.iter().filter(move |event| {
            event.organization == self.destination.organization
                && seen.insert(event.line.as_str())
                && (self.destination.start_ms).is_some_and(|start| event.appended_ms >= start)
                && self.selections.iter().all(|s| s.wants(&event.event_type))
        })
    }
}

/// Whoever writes an object again, and however it is encoded, writes the same lines.
pub(super) fn check_overwrites(puts: &[Put]) {
    let mut before: BTreeMap<_, (&Bytes, String)> = BTreeMap::new();
    // Records of gaps are no gzip; their bytes are never others.
    let (records, objects): (Vec<&Put>, Vec<&Put>) = puts
        .iter()
        .partition(|put| put.key.as_str().contains("_gaps/"));
    let other = |put: &&&Put| put.replaced == Replaced::Different;
    assert_eq!(records.iter().find(other), None, "was told otherwise");
    for put in objects {
        let Some((bytes, lines)) = before.get(&(&put.bucket, &put.key)) else {
            before.insert((&put.bucket, &put.key), (&put.bytes, text(&put.bytes)));
            continue;
        };
        let same = **bytes == put.bytes || *lines == text(&put.bytes);
        assert!(same, "{} was overwritten with other lines", put.key);
    }
}

/// What any reader of gzip makes of an object.
fn text(bytes: &Bytes) -> String {
    let mut text = String::new();
    let mut reader = MultiGzDecoder::new(bytes.as_ref());
    reader.read_to_string(&mut text).unwrap();
    text
}

/// The epochs of the log.
pub(super) fn epochs(segments: &[Bytes]) -> BTreeSet<String> {
    let segments = segments.iter().map(|bytes| Segment::read(bytes).unwrap());
    segments
        .map(|segment| segment.index.header.epoch.clone())
        .collect()
}

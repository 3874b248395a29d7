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

/// An event where it stands first in the log.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) organization: OrgId,
    pub(super) hour: Hour,
    pub(super) sequence: Sequence,
    pub(super) appended_ms: i64,
    pub(super) event_type: String,
    pub(super) line: String,
}

/// All events that the log has ever held, each where it stands first, in log order.
pub(super) fn history(segments: &[Bytes]) -> Vec<Logged> {
    let mut numbers = BTreeSet::new();
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
    }
    // Stable: numbers go on from epoch to epoch, and are dense within what is kept.
    segments.sort_by_key(Segment::sequence);
    let mut seen = BTreeSet::new();
    let mut events = Vec::new();
    for segment in &segments {
        for member in segment.members() {
            let lines = String::from_utf8(member.decompress().unwrap()).unwrap();
            assert_eq!(lines.lines().count(), member.entry.events as usize);
            for (line, digest) in lines.lines().zip(member.digests.iter()) {
                let organization = member.entry.organization.clone();
                if !seen.insert((organization.clone(), line.to_owned())) {
                    continue;
                }
                events.push(Logged {
                    organization,
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

/// What a destination must and may have received.
pub(super) struct Expected<'a> {
    pub(super) destination: &'a Destination,
    /// Its tags, one for each epoch of the log.
    pub(super) tags: BTreeSet<Tag>,
    /// Selections that it had at one time or another.
    pub(super) selections: &'a [Selection],
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
        let own = log
            .iter()
            .enumerate()
            .filter(|(_, event)| event.organization == *organization);
        let own: BTreeMap<&str, (usize, &Logged)> = own
            .map(|(place, event)| (event.line.as_str(), (place, event)))
            .collect();
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
            let mut lines = String::new();
            MultiGzDecoder::new(bytes.as_ref())
                .read_to_string(&mut lines)
                .unwrap();
            assert!(
                lines.ends_with('\n'),
                "{id}: {key} does not end with a line break"
            );
            for line in lines.lines() {
                let (place, event) = own.get(line).unwrap_or_else(|| {
                    panic!("{id}: {key} holds a line that is not its own: {line}")
                });
                let in_range = name.first <= event.sequence && event.sequence <= name.last;
                assert!(in_range, "{id}: {line} lies outside the range of {key}");
                assert_eq!(event.hour, name.hour, "{id}: {line} lies in another hour");
                assert!(
                    event.appended_ms >= *start_ms,
                    "{id}: {line} is older than the start"
                );
                let wanted = self.selections.iter().any(|s| s.wants(&event.event_type));
                assert!(wanted, "{id}: {line} was never wanted");
                assert!(
                    found.insert(line.to_owned()),
                    "{id}: {line} was delivered twice"
                );
                let before = last_place.insert(name.hour, (name.first, *place));
                let in_order = before.is_none_or(|before| before < (name.first, *place));
                assert!(in_order, "{id}: {line} is out of order in {key}");
            }
        }
        (found, count)
    }

    /// The lines that it must have.
    pub(super) fn must_have<'l>(&self, log: &'l [Logged]) -> impl Iterator<Item = &'l Logged> {
        log.iter().filter(move |event| {
            event.organization == self.destination.organization
                && event.appended_ms >= self.destination.start_ms
                && self.selections.iter().all(|s| s.wants(&event.event_type))
        })
    }
}

/// The epochs of the log.
pub(super) fn epochs(segments: &[Bytes]) -> BTreeSet<String> {
    let segments = segments.iter().map(|bytes| Segment::read(bytes).unwrap());
    segments
        .map(|segment| segment.index.header.epoch.clone())
        .collect()
}

//! What a plan's objects consist of: members of the log, joined as they lie wherever that is
//! right, and compressed anew where it is not.
//!
//! A member is taken as it lies if all of its events are wanted and none is a duplicate. Others
//! are decompressed and filtered. Small members that lie side by side are compressed anew together,
//! since small members compress badly.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Counts, DestinationPlan, PlannedObject, Range};
use crate::gzip::{Compressor, Level, member_name};
use crate::id::{DestinationId, InvalidId, OrgId};
use crate::lookback::Marks;
use crate::partition::{DeliveredName, Hour, Tag, hex};
use crate::segment::{Member, Segment, SegmentError};

/// How objects are encoded. Another encoding of the same plan gives other bytes with the same
/// lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// How hard to compress what is compressed anew.
    pub level: Level,
    /// Members with fewer bytes of lines than this are compressed anew together with their
    /// small neighbours.
    pub small_bytes: u64,
}

/// `docs/performance.md` shows how these were found.
impl Default for Encoding {
    fn default() -> Self {
        Self {
            level: Level::DEFAULT,
            small_bytes: 64 * 1024,
        }
    }
}

/// A segment with what the look-back found in it.
#[derive(Debug, Clone)]
pub struct Marked {
    /// The segment.
    pub segment: Segment,
    /// Its duplicates.
    pub marks: Marks,
}

/// An object that is ready to be written.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// What the plan says of it.
    pub planned: PlannedObject,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// How many of its lines were appended at which times, in milliseconds since 1970.
    pub appended: Vec<(i64, u64)>,
}

/// Why a plan's objects could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A segment is damaged.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The key is longer than S3 allows.
    #[error(transparent)]
    Key(#[from] InvalidId),
}

/// Where the members of each organization lie in a run of segments.
#[derive(Debug)]
pub struct Catalog<'a> {
    members: BTreeMap<(&'a OrgId, Hour), Vec<Located<'a>>>,
}

#[derive(Debug, Clone, Copy)]
struct Located<'a> {
    member: Member<'a>,
    marks: &'a Marks,
    number: usize,
    appended_ms: i64,
}

impl<'a> Catalog<'a> {
    /// The catalog of segments in the order of the log.
    pub fn of(segments: &'a [Marked]) -> Self {
        let mut members: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for Marked { segment, marks } in segments {
            let appended_ms = segment.index.header.appended_ms;
            for (number, member) in segment.members().enumerate() {
                let key = (&member.entry.organization, member.entry.hour);
                members.entry(key).or_default().push(Located {
                    member,
                    marks,
                    number,
                    appended_ms,
                });
            }
        }
        Self { members }
    }

    /// The hours that an organization has events of.
    fn hours(&self, organization: &'a OrgId) -> impl Iterator<Item = (Hour, &[Located<'a>])> {
        // The tuple orders by organization first, so its hours lie together.
        self.members
            .range((organization, Hour::MIN)..)
            .take_while(move |((org, _), _)| *org == organization)
            .map(|((_, hour), members)| (*hour, members.as_slice()))
    }
}

/// What is to be done with a member.
enum Part<'a> {
    /// It goes as it lies.
    Whole(Member<'a>),
    /// These of its lines go.
    Lines(Member<'a>, Vec<bool>),
}

impl Part<'_> {
    fn raw_bytes(&self) -> u64 {
        match self {
            Self::Whole(member) | Self::Lines(member, _) => member.entry.raw_bytes,
        }
    }

    /// Whether it had better be compressed together with its neighbours.
    fn is_loose(&self, encoding: &Encoding) -> bool {
        matches!(self, Self::Lines(..)) || self.raw_bytes() < encoding.small_bytes
    }
}

/// Makes a destination's objects of a range. The same catalog and plan give the same bytes.
///
/// `plan` tells organization, location, selection and start; its objects and counts are not
/// looked at. Returns the objects and the plan with objects and counts filled in.
pub fn encode(
    catalog: &Catalog<'_>,
    range: &Range,
    destination: &DestinationId,
    plan: &DestinationPlan,
    encoding: &Encoding,
) -> Result<(Vec<Encoded>, DestinationPlan), EncodeError> {
    let (organization, epoch) = (&plan.organization, &range.epoch);
    let tag = Tag::of_life(organization, destination, plan.created_ms, epoch);
    let mut objects = Vec::new();
    let mut counts = Counts::default();
    for (hour, members) in catalog.hours(&plan.organization) {
        if plan.hours.is_some_and(|hours| !hours.contain(hour)) {
            continue;
        }
        let own = members.iter().filter(|m| m.appended_ms >= plan.since_ms);
        let mut lines = 0;
        let mut parts = Vec::new();
        let mut appended = Vec::new();
        for located in own {
            let (part, taken) = select(located, plan, &mut counts);
            lines += taken;
            appended.push((located.appended_ms, taken));
            parts.extend(part);
        }
        if parts.is_empty() {
            continue;
        }
        let (bytes, raw_bytes) = assemble(&parts, &plan.organization, hour, encoding)?;
        let name = DeliveredName {
            hour,
            first: range.first,
            last: range.last,
            tag: tag.clone(),
        };
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        counts.delivered += lines;
        counts.raw_bytes += raw_bytes;
        counts.objects += 1;
        counts.object_bytes += bytes.len() as u64;
        objects.push(Encoded {
            planned: PlannedObject {
                key: name.key(&plan.location.prefix)?,
                hour,
                size: bytes.len() as u64,
                lines,
                sha256: hex(&sha256),
            },
            bytes,
            sha256,
            appended,
        });
    }
    let filled = DestinationPlan {
        objects: objects
            .iter()
            .map(|object| object.planned.clone())
            .collect(),
        counts,
        ..plan.clone()
    };
    Ok((objects, filled))
}

/// Decides which lines of a member go, and counts the others.
fn select<'a>(
    located: &Located<'a>,
    plan: &DestinationPlan,
    counts: &mut Counts,
) -> (Option<Part<'a>>, u64) {
    let Located {
        member,
        marks,
        number,
        ..
    } = *located;
    let types: Vec<bool> = member
        .entry
        .types
        .iter()
        .map(|t| plan.include.wants(t))
        .collect();
    let altered = member.digests.iter().len();
    let altered = (0..altered)
        .filter(|line| marks.is_altered(number, *line))
        .count() as u64;
    if !types.contains(&false) && !marks.has_duplicates(number) {
        counts.altered += altered;
        return (Some(Part::Whole(member)), u64::from(member.entry.events));
    }
    let mut goes = Vec::with_capacity(member.entry.events as usize);
    for (line, digest) in member.digests.iter().enumerate() {
        let wanted = types
            .get(digest.event_type as usize)
            .copied()
            .unwrap_or(false);
        let duplicate = marks.is_duplicate(number, line);
        match (wanted, duplicate) {
            (false, _) => counts.left_out += 1,
            (true, true) => counts.duplicates += 1,
            (true, false) => counts.altered += u64::from(marks.is_altered(number, line)),
        }
        goes.push(wanted && !duplicate);
    }
    let taken = goes.iter().filter(|goes| **goes).count() as u64;
    ((taken > 0).then_some(Part::Lines(member, goes)), taken)
}

/// Joins parts to one object. Returns it and the bytes of its lines.
fn assemble(
    parts: &[Part<'_>],
    organization: &OrgId,
    hour: Hour,
    encoding: &Encoding,
) -> Result<(Bytes, u64), SegmentError> {
    if let [Part::Whole(member)] = parts {
        return Ok((member.bytes.clone(), member.entry.raw_bytes));
    }
    let mut out = Vec::with_capacity(
        parts
            .iter()
            .map(|part| match part {
                Part::Whole(member) | Part::Lines(member, _) => member.bytes.len(),
            })
            .sum(),
    );
    let mut raw_bytes = 0;
    let mut compressor = None;
    for run in parts.chunk_by(|a, b| a.is_loose(encoding) == b.is_loose(encoding)) {
        match run {
            [Part::Whole(member)] => {
                out.extend_from_slice(member.bytes);
                raw_bytes += member.entry.raw_bytes;
            }
            [first, ..] if first.is_loose(encoding) => {
                let compressor = compressor.get_or_insert_with(|| Compressor::new(encoding.level));
                // One member after the other, so that only one lies open in memory.
                let mut failed = None;
                let lines = run
                    .iter()
                    .map_while(|part| lines_of(part).map_err(|e| failed = Some(e)).ok());
                let name = member_name(organization, hour);
                raw_bytes += compressor.member(&name, lines, &mut out)?;
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            _ => {
                for part in run {
                    if let Part::Whole(member) = part {
                        out.extend_from_slice(member.bytes);
                        raw_bytes += member.entry.raw_bytes;
                    }
                }
            }
        }
    }
    Ok((out.into(), raw_bytes))
}

/// The lines of a part that go.
fn lines_of(part: &Part<'_>) -> Result<Vec<u8>, SegmentError> {
    match part {
        Part::Whole(member) => member.decompress(),
        Part::Lines(member, goes) => {
            let raw = member.decompress()?;
            let lines = raw.split_inclusive(|byte| *byte == b'\n');
            let kept = lines
                .zip(goes)
                .filter_map(|(line, goes)| goes.then_some(line));
            Ok(kept.collect::<Vec<_>>().concat())
        }
    }
}

#[cfg(test)]
mod tests;

//! Segments: the immutable objects that the audit log is made of.
//!
//! ```text
//! "SEALIFT1"  header's length (u32 LE)  CRC-32 of header and digests (u32 LE)
//! header (JSON)  digests  members (gzip)
//! ```
//!
//! There is one gzip member of JSON lines for each organization and event hour, sorted by both.
//! The header lists them in the order in which they lie. The digests have 20 bytes for each
//! event: a hash of its organization and id, a hash of its line, and the number of its type in
//! its member's list. They let delivery find duplicates and select types without
//! decompressing anything. `docs/formats.md` has every field.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::gzip::{self, Compressor, Corrupt, Level};
use crate::id::{OrgId, Sequence};
use crate::partition::Hour;

const MAGIC: &[u8; 8] = b"SEALIFT1";
const PRELUDE_BYTES: usize = 16;
const DIGEST_BYTES: usize = 20;

/// A segment that cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The bytes end before the part that was to be read; more of the object has to be fetched.
    #[error("only {have} of {need} bytes are there")]
    Short {
        /// Bytes that are there.
        have: u64,
        /// Bytes that are needed.
        need: u64,
    },
    /// It is no segment, or a damaged one.
    #[error("damaged segment: {0}")]
    Damaged(String),
    /// One of its members is damaged, or not whose the index says.
    #[error("damaged segment: {0}")]
    Member(#[from] Corrupt),
}

/// What is known of one event without decompressing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventDigest {
    /// The first 8 bytes of the SHA-256 of `<organization>` NUL `<id>`.
    pub id: u64,
    /// The first 8 bytes of the SHA-256 of the line.
    pub line: u64,
    /// The number of its type in [`MemberEntry::types`].
    pub event_type: u32,
}

impl EventDigest {
    /// The hash of an event's id.
    pub fn id_of(organization: &OrgId, id: &str) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(organization.as_str());
        hasher.update([0]);
        hasher.update(id);
        first_8_bytes(hasher)
    }

    /// The hash of an event's line.
    pub fn line_of(line: &str) -> u64 {
        let mut hasher = Sha256::new();
        hasher.update(line);
        first_8_bytes(hasher)
    }
}

fn first_8_bytes(hasher: Sha256) -> u64 {
    let hash = hasher.finalize();
    hash.first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The header's line on one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Whose events they are.
    pub organization: OrgId,
    /// The hour that all of them happened in.
    pub hour: Hour,
    /// Bytes of the gzip member.
    pub length: u64,
    /// CRC-32 of the gzip member as it lies.
    pub crc32: u32,
    /// Bytes of the lines, each with its line break.
    pub raw_bytes: u64,
    /// Number of lines.
    pub events: u32,
    /// Time of the earliest event, in milliseconds since 1970.
    pub first_ms: i64,
    /// Time of the latest event, in milliseconds since 1970.
    pub last_ms: i64,
    /// The types of the events; a digest holds an index of this list.
    pub types: Vec<String>,
}

/// A segment's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The epoch of the log that it was appended to.
    pub epoch: String,
    /// Its number.
    pub sequence: Sequence,
    /// What no other append has, so that a writer knows its own segment again.
    pub nonce: String,
    /// When it was appended, by the writer's clock, in milliseconds since 1970.
    pub appended_ms: i64,
    /// Its members in the order in which they lie.
    pub members: Vec<MemberEntry>,
}

/// Where and when a segment is appended: what only the append knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The log's epoch.
    pub epoch: String,
    /// The number.
    pub sequence: Sequence,
    /// The append's nonce.
    pub nonce: String,
    /// The time, in milliseconds since 1970.
    pub appended_ms: i64,
}

/// Collects events, by organization and hour.
#[derive(Debug, Default)]
pub struct Builder {
    groups: BTreeMap<OrgId, BTreeMap<Hour, Group>>,
    events: u64,
}

#[derive(Debug, Default)]
struct Group {
    lines: Vec<u8>,
    digests: Vec<EventDigest>,
    types: Vec<String>,
    type_numbers: HashMap<String, u32>,
    first_ms: i64,
    last_ms: i64,
}

impl Builder {
    /// Adds an event after those that it has.
    pub fn add(&mut self, event: &Event<'_>) {
        let id = EventDigest::id_of(&event.organization, &event.id);
        // Most events have a group already, and an entry would take a copy of the id each time.
        let hours = if let Some(hours) = self.groups.get_mut(&event.organization) {
            hours
        } else {
            let organization = event.organization.clone();
            self.groups.entry(organization).or_default()
        };
        let group = hours.entry(event.hour).or_default();
        let time = event.time.as_millisecond();
        if group.digests.is_empty() {
            (group.first_ms, group.last_ms) = (time, time);
        }
        group.first_ms = group.first_ms.min(time);
        group.last_ms = group.last_ms.max(time);
        let event_type = group.type_number(&event.event_type);
        group.digests.push(EventDigest {
            id,
            line: EventDigest::line_of(&event.line),
            event_type,
        });
        group.lines.extend_from_slice(event.line.as_bytes());
        group.lines.push(b'\n');
        self.events += 1;
    }

    /// Number of events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Compresses what was collected.
    pub fn finish(self, level: Level) -> Result<Draft, SegmentError> {
        let mut compressor = Compressor::new(level);
        let mut draft = Draft::default();
        let groups = self.groups.into_iter().flat_map(|(organization, hours)| {
            let of = move |(hour, group)| (organization.clone(), hour, group);
            hours.into_iter().map(of)
        });
        for (organization, hour, group) in groups {
            let before = draft.members.len();
            let name = gzip::member_name(&organization, hour);
            let raw_bytes =
                compressor.member(&name, [group.lines.as_slice()], &mut draft.members)?;
            let member = draft.members.get(before..).unwrap_or_default();
            draft.entries.push(MemberEntry {
                organization,
                hour,
                length: member.len() as u64,
                crc32: crc32fast::hash(member),
                raw_bytes,
                events: u32::try_from(group.digests.len()).unwrap_or(u32::MAX),
                first_ms: group.first_ms,
                last_ms: group.last_ms,
                types: group.types,
            });
            for digest in group.digests {
                draft.digests.extend_from_slice(&digest.id.to_le_bytes());
                draft.digests.extend_from_slice(&digest.line.to_le_bytes());
                draft
                    .digests
                    .extend_from_slice(&digest.event_type.to_le_bytes());
            }
        }
        Ok(draft)
    }
}

impl Group {
    fn type_number(&mut self, event_type: &str) -> u32 {
        if let Some(number) = self.type_numbers.get(event_type) {
            return *number;
        }
        let number = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        self.types.push(event_type.to_owned());
        self.type_numbers.insert(event_type.to_owned(), number);
        number
    }
}

/// A segment that only lacks its stamp.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    entries: Vec<MemberEntry>,
    digests: Vec<u8>,
    members: Vec<u8>,
}

impl Draft {
    /// Its members.
    pub fn entries(&self) -> &[MemberEntry] {
        &self.entries
    }

    /// The segment's bytes under the stamp.
    pub fn stamped(&self, stamp: &Stamp) -> Result<Bytes, SegmentError> {
        let header = Header {
            epoch: stamp.epoch.clone(),
            sequence: stamp.sequence,
            nonce: stamp.nonce.clone(),
            appended_ms: stamp.appended_ms,
            members: self.entries.clone(),
        };
        let damaged = |error: &dyn std::fmt::Display| SegmentError::Damaged(error.to_string());
        let header = serde_json::to_vec(&header).map_err(|e| damaged(&e))?;
        let length = u32::try_from(header.len()).map_err(|e| damaged(&e))?;
        let mut bytes = Vec::with_capacity(
            PRELUDE_BYTES + header.len() + self.digests.len() + self.members.len(),
        );
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header);
        crc.update(&self.digests);
        bytes.extend_from_slice(&crc.finalize().to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.digests);
        bytes.extend_from_slice(&self.members);
        Ok(bytes.into())
    }
}

/// The part of a segment before its members: all that can be known without decompressing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The header.
    pub header: Header,
    digests: Bytes,
    /// Where the members begin in the object.
    members_at: u64,
}

impl Index {
    /// Reads the index from the first bytes of a segment; [`SegmentError::Short`] tells how
    /// many are needed.
    pub fn read(bytes: &Bytes) -> Result<Self, SegmentError> {
        let have = bytes.len() as u64;
        let need = |need: usize| SegmentError::Short {
            have,
            need: need as u64,
        };
        let damaged = |what: &str| SegmentError::Damaged(what.to_owned());
        let prelude = bytes
            .first_chunk::<PRELUDE_BYTES>()
            .ok_or(need(PRELUDE_BYTES))?;
        let (length, crc) = prelude
            .strip_prefix(MAGIC)
            .and_then(|rest| Some((rest.first_chunk::<4>()?, rest.last_chunk::<4>()?)))
            .ok_or_else(|| damaged("it does not begin with SEALIFT1"))?;
        let header_end = PRELUDE_BYTES + u32::from_le_bytes(*length) as usize;
        let header = bytes
            .get(PRELUDE_BYTES..header_end)
            .ok_or(need(header_end))?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|e| SegmentError::Damaged(format!("its header cannot be read: {e}")))?;
        let events: usize = header.members.iter().map(|m| m.events as usize).sum();
        let digests_end = header_end + events * DIGEST_BYTES;
        let checked = bytes
            .get(PRELUDE_BYTES..digests_end)
            .ok_or(need(digests_end))?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
            return Err(damaged("its header does not match its CRC"));
        }
        Ok(Self {
            header,
            digests: bytes.slice(header_end..digests_end),
            members_at: digests_end as u64,
        })
    }

    /// The digests of each member, in the order of the header.
    pub fn digests(&self) -> impl Iterator<Item = (&MemberEntry, Digests<'_>)> {
        let mut rest = self.digests.as_ref();
        self.header.members.iter().map(move |member| {
            let bytes = member.events as usize * DIGEST_BYTES;
            let (own, after) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            rest = after;
            (member, Digests(own))
        })
    }

    /// Bytes of the lines of all members.
    pub fn raw_bytes(&self) -> u64 {
        self.header.members.iter().map(|m| m.raw_bytes).sum()
    }

    /// Number of events of all members.
    pub fn events(&self) -> u64 {
        self.header
            .members
            .iter()
            .map(|m| u64::from(m.events))
            .sum()
    }
}

/// The digests of one member's events, in the order of its lines.
#[derive(Debug, Clone, Copy)]
pub struct Digests<'a>(&'a [u8]);

impl<'a> Digests<'a> {
    /// Each event's digest.
    pub fn iter(self) -> impl ExactSizeIterator<Item = EventDigest> + 'a {
        let (chunks, _) = self.0.as_chunks::<DIGEST_BYTES>();
        chunks.iter().map(|chunk| {
            let number = |at: usize| -> u64 {
                chunk
                    .get(at..)
                    .and_then(<[u8]>::first_chunk::<8>)
                    .map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            let event_type = chunk
                .last_chunk::<4>()
                .map_or(0, |b| u32::from_le_bytes(*b));
            EventDigest {
                id: number(0),
                line: number(8),
                event_type,
            }
        })
    }
}

/// A whole segment, whose members lie where its header says and are whose it says.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What is known without decompressing.
    pub index: Index,
    members: Vec<Bytes>,
}

impl Segment {
    /// Reads a segment. Checks that the members fill the object exactly, and of each the CRC,
    /// the organization and hour in its own header, and its size: an index is not trusted
    /// alone with a tenant's data.
    pub fn read(bytes: &Bytes) -> Result<Self, SegmentError> {
        let index = Index::read(bytes)?;
        let mut at = index.members_at;
        let mut members = Vec::with_capacity(index.header.members.len());
        let range = |at: u64, length: u64| {
            let start = usize::try_from(at).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        };
        for entry in &index.header.members {
            let short = SegmentError::Short {
                have: bytes.len() as u64,
                need: at.saturating_add(entry.length),
            };
            let member = range(at, entry.length).ok_or(short)?;
            at += entry.length;
            if crc32fast::hash(&member) != entry.crc32 {
                return Err(Corrupt("does not match the CRC in its index").into());
            }
            gzip::check_member(&member, &entry.organization, entry.hour, entry.raw_bytes)?;
            members.push(member);
        }
        if at != bytes.len() as u64 {
            let surplus = bytes.len() as u64 - at;
            return Err(SegmentError::Damaged(format!(
                "{surplus} bytes follow its members"
            )));
        }
        Ok(Self { index, members })
    }

    /// Its number.
    pub fn sequence(&self) -> Sequence {
        self.index.header.sequence
    }

    /// The members, each with its entry, its gzip bytes and its digests.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let digests = self.index.digests();
        digests
            .zip(&self.members)
            .map(|((entry, digests), bytes)| Member {
                entry,
                digests,
                bytes,
            })
    }
}

/// One member of a segment that was read.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The header's line on it.
    pub entry: &'a MemberEntry,
    /// Its events' digests, in the order of its lines.
    pub digests: Digests<'a>,
    /// The gzip member as it lies.
    pub bytes: &'a Bytes,
}

impl Member<'_> {
    /// The lines, decompressed, each with its line break.
    pub fn decompress(&self) -> Result<Vec<u8>, SegmentError> {
        let MemberEntry {
            organization,
            hour,
            raw_bytes,
            ..
        } = self.entry;
        Ok(gzip::decompress_member(
            self.bytes,
            organization,
            *hour,
            *raw_bytes,
        )?)
    }
}

#[cfg(test)]
mod tests;

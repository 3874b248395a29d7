//! Gzip members (RFC 1952) that say whose they are.
//!
//! A member's file name is `<organization>.<hour>.jsonl`, so that every piece of compressed
//! data names its tenant and hour itself. Members may be concatenated to one stream. The name
//! field was chosen over the comment because DuckDB refuses members with a comment.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::id::OrgId;
use crate::partition::Hour;

/// Compression levels that make sense here: 1 (quickest) to 9 (smallest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u32);

impl Level {
    /// Level 6: `docs/performance.md` has what each level costs and saves.
    pub const DEFAULT: Self = Self(6);

    /// A level from 1 to 9.
    pub fn new(level: u32) -> Option<Self> {
        (1..=9).contains(&level).then_some(Self(level))
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A member that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gzip member {0}")]
pub struct Corrupt(pub &'static str);

/// Bytes of the header before the name: magic, deflate, the name flag, no time, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0b1000, 0, 0, 0, 0, 0, 0xff];
const TRAILER_BYTES: usize = 8;

/// The name that a member of the organization and hour carries.
pub fn member_name(organization: &OrgId, hour: Hour) -> String {
    format!("{organization}.{hour}.jsonl")
}

/// Compresses members one after the other, with one set of tables for all of them: making the
/// tables costs more than compressing a small member.
pub struct Compressor {
    deflate: Compress,
}

impl Compressor {
    /// A compressor of the level.
    pub fn new(level: Level) -> Self {
        Self {
            deflate: Compress::new(Compression::new(level.0), false),
        }
    }

    /// Appends a member with the content of `chunks`, in their order, to `out`. Returns the
    /// content's bytes.
    pub fn member<C: AsRef<[u8]>>(
        &mut self,
        name: &str,
        chunks: impl IntoIterator<Item = C>,
        out: &mut Vec<u8>,
    ) -> Result<u64, Corrupt> {
        out.extend_from_slice(&HEADER);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        self.deflate.reset();
        let mut crc = crc32fast::Hasher::new();
        let mut total = 0u64;
        for chunk in chunks {
            let chunk = chunk.as_ref();
            crc.update(chunk);
            total += chunk.len() as u64;
            self.deflate(chunk, FlushCompress::None, out)?;
        }
        self.deflate(&[], FlushCompress::Finish, out)?;
        out.extend_from_slice(&crc.finalize().to_le_bytes());
        out.extend_from_slice(&low_32_bits(total).to_le_bytes());
        Ok(total)
    }

    fn deflate(
        &mut self,
        mut input: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> Result<(), Corrupt> {
        loop {
            // The compressor writes into spare capacity only.
            if out.capacity() - out.len() < 4096 {
                out.reserve(input.len() / 8 + 16 * 1024);
            }
            let before = self.deflate.total_in();
            let status = self
                .deflate
                .compress_vec(input, out, flush)
                .map_err(|_| Corrupt("could not be compressed"))?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(taken..).unwrap_or_default();
            let finishing = matches!(flush, FlushCompress::Finish);
            if status == Status::StreamEnd || (!finishing && input.is_empty()) {
                return Ok(());
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the format keeps the size modulo 2^32"
)]
fn low_32_bits(size: u64) -> u32 {
    size as u32
}

/// Checks that `member` begins with the header of the organization and hour and ends with the
/// trailer of content of `raw_bytes`. Without this nothing of a member may be handed to a tenant.
pub fn check_member(
    member: &[u8],
    organization: &OrgId,
    hour: Hour,
    raw_bytes: u64,
) -> Result<(), Corrupt> {
    let name = member_name(organization, hour);
    let rest = member
        .strip_prefix(&HEADER)
        .ok_or(Corrupt("does not begin with Sealift's header"))?;
    let body = rest
        .strip_prefix(name.as_bytes())
        .and_then(|rest| rest.strip_prefix(&[0]))
        .ok_or(Corrupt("names another organization or hour"))?;
    let size = body
        .last_chunk::<TRAILER_BYTES>()
        .and_then(|trailer| trailer.last_chunk::<4>())
        .ok_or(Corrupt("has no trailer"))?;
    if u32::from_le_bytes(*size) == low_32_bits(raw_bytes) {
        Ok(())
    } else {
        Err(Corrupt("holds another number of bytes than its index says"))
    }
}

/// Decompresses a checked member; verifies size and CRC.
pub fn decompress_member(
    member: &[u8],
    organization: &OrgId,
    hour: Hour,
    raw_bytes: u64,
) -> Result<Vec<u8>, Corrupt> {
    check_member(member, organization, hour, raw_bytes)?;
    let header = HEADER.len() + member_name(organization, hour).len() + 1;
    let end = member.len().saturating_sub(TRAILER_BYTES);
    let body = member.get(header..end).ok_or(Corrupt("has no content"))?;
    let size = usize::try_from(raw_bytes).map_err(|_| Corrupt("is too large"))?;
    let mut raw = Vec::with_capacity(size);
    let mut inflate = Decompress::new(false);
    let status = inflate
        .decompress_vec(body, &mut raw, FlushDecompress::Finish)
        .map_err(|_| Corrupt("could not be decompressed"))?;
    if status != Status::StreamEnd || raw.len() != size || inflate.total_in() != body.len() as u64 {
        return Err(Corrupt("holds another number of bytes than its index says"));
    }
    let crc = member.get(end..).and_then(<[u8]>::first_chunk::<4>);
    if crc.map(|crc| u32::from_le_bytes(*crc)) == Some(crc32fast::hash(&raw)) {
        Ok(raw)
    } else {
        Err(Corrupt("does not match its CRC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn org(name: &str) -> OrgId {
        OrgId::parse(name).unwrap()
    }

    fn hour() -> Hour {
        Hour::parse("2023-07-10T11").unwrap()
    }

    #[test]
    fn a_member_of_another_tenant_or_hour_is_refused() {
        let mut out = Vec::new();
        Compressor::new(Level::DEFAULT)
            .member(
                &member_name(&org("acme"), hour()),
                [b"line\n".as_slice()],
                &mut out,
            )
            .unwrap();
        assert_eq!(check_member(&out, &org("acme"), hour(), 5), Ok(()));
        for (name, at, size) in [
            ("acm", hour(), 5),
            ("acme.", hour(), 5),
            ("other", hour(), 5),
            ("acme", hour(), 6),
            ("acme", Hour::parse("2023-07-10T12").unwrap(), 5),
        ] {
            assert!(check_member(&out, &org(name), at, size).is_err(), "{name}");
        }
        let shifted = out.get(1..).unwrap();
        assert!(check_member(shifted, &org("acme"), hour(), 5).is_err());
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut out = Vec::new();
        let raw = b"{\"a\":1}\n".repeat(100);
        Compressor::new(Level::DEFAULT)
            .member(
                &member_name(&org("acme"), hour()),
                [raw.as_slice()],
                &mut out,
            )
            .unwrap();
        for position in 32..out.len() {
            let mut broken = out.clone();
            broken[position] ^= 0x10;
            assert!(
                decompress_member(&broken, &org("acme"), hour(), raw.len() as u64).is_err(),
                "{position}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_gzip_reader_gives_back_the_joined_content(
            contents in proptest::collection::vec(proptest::collection::vec(any::<Vec<u8>>(), 0..3), 1..4),
            level in 1u32..=9,
        ) {
            let mut compressor = Compressor::new(Level::new(level).unwrap());
            let name = member_name(&org("acme"), hour());
            let mut stream = Vec::new();
            for chunks in &contents {
                let mut member = Vec::new();
                let size = compressor.member(&name, chunks, &mut member).unwrap();
                prop_assert_eq!(&decompress_member(&member, &org("acme"), hour(), size).unwrap(), &chunks.concat());
                stream.extend(member);
            }
            let mut read = Vec::new();
            flate2::read::MultiGzDecoder::new(stream.as_slice()).read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, contents.concat().concat());
        }
    }
}

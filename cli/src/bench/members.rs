//! How badly small members compress, and what it costs to compress them anew together.

use std::io::{Read, Write};

use flate2::bufread::GzDecoder;
use sealift_core::gzip::{Compressor, Level};

use super::meter::{Contender, Samples, by_turns, real};

/// Sizes of members that are tried, in KiB of lines.
const SIZES: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// How many members side by side are compressed anew as one.
const TOGETHER: [usize; 2] = [4, 16];

/// Cuts `lines` into members of each size. Prints how they compress apart and together, and what
/// compressing them anew costs.
pub(super) fn run(
    lines: &[u8],
    level: Level,
    rounds: u32,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let [few, many] = TOGETHER;
    writeln!(
        out,
        "  lines a member   ratio: apart   {few} as one   {many} as one   bytes saved by {few}   CPU ms/MB   kB saved a ms"
    )?;
    let raw = real(lines.len() as u64);
    for kib in SIZES {
        let apart = cut(lines, kib * 1024);
        let members = compress(&apart, level)?;
        let size = |members: &[Vec<u8>]| real(members.iter().map(|m| m.len() as u64).sum());
        let together = |count: usize| {
            let groups: Vec<Vec<u8>> = apart.chunks(count).map(<[&[u8]]>::concat).collect();
            let groups: Vec<&[u8]> = groups.iter().map(Vec::as_slice).collect();
            anyhow::Ok(size(&compress(&groups, level)?))
        };
        let contenders: Vec<Contender<'_>> = vec![Box::new(|| {
            let mut compressor = Compressor::new(level);
            let mut anew = Vec::new();
            for group in members.chunks(few) {
                let raw = group
                    .iter()
                    .map(|member| decompress(member))
                    .collect::<Result<Vec<_>, _>>()?;
                compressor.member("name", raw, &mut anew)?;
            }
            std::hint::black_box(anew);
            Ok(())
        })];
        let samples = by_turns(rounds, contenders)?;
        let seconds = samples.first().map_or(f64::NAN, Samples::median);
        let (apart, few, many) = (size(&members), together(few)?, together(many)?);
        let saved = apart - few;
        writeln!(
            out,
            "  {kib:>10} KiB{:>15.2}{:>11.2}{:>12.2}{:>17.1} %{:>12.2}{:>16.1}",
            raw / apart,
            raw / few,
            raw / many,
            100.0 * saved / apart,
            seconds * 1e9 / raw,
            saved / 1e6 / seconds,
        )?;
    }
    Ok(())
}

/// Whole lines, as many as fit into `limit` bytes, one at the least.
fn cut(lines: &[u8], limit: usize) -> Vec<&[u8]> {
    let mut members = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let fits = rest.get(..limit).unwrap_or(rest);
        let end = fits
            .iter()
            .rposition(|byte| *byte == b'\n')
            .or_else(|| rest.iter().position(|byte| *byte == b'\n'))
            .map_or(rest.len(), |at| at + 1);
        let (member, after) = rest.split_at(end);
        members.push(member);
        rest = after;
    }
    members
}

fn compress(contents: &[&[u8]], level: Level) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut compressor = Compressor::new(level);
    let members = contents.iter().map(|content| {
        let mut member = Vec::new();
        compressor.member("organization.2023-07-10T11.jsonl", [content], &mut member)?;
        Ok(member)
    });
    members.collect()
}

fn decompress(member: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    GzDecoder::new(member).read_to_end(&mut raw)?;
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_cut_between_lines_and_lose_nothing() {
        let lines = b"aa\nbbb\nc\ndddddddd\n";
        let members = cut(lines, 6);
        assert_eq!(members, [&b"aa\n"[..], b"bbb\nc\n", b"dddddddd\n"]);
        for (member, compressed) in members
            .iter()
            .zip(compress(&members, Level::DEFAULT).unwrap())
        {
            assert_eq!(decompress(&compressed).unwrap(), *member);
        }
    }
}

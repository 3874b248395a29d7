//! `sealift segment`: shows what is in a segment of the audit log.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use sealift_core::Timestamp;
use sealift_core::id::OrgId;
use sealift_core::segment::Segment;

use crate::text::{bytes, count, ratio};

/// Show what is in a segment of the audit log, after checking it whole.
#[derive(Debug, Args)]
pub struct SegmentArgs {
    /// The segment: a file such as log/00000000000000000001.seg
    file: PathBuf,

    /// Print the events, as JSON Lines, in place of the index
    #[arg(long)]
    lines: bool,

    /// Only this organization's
    #[arg(long, value_name = "ORG")]
    org: Option<OrgId>,
}

/// Runs the command.
pub fn run(args: &SegmentArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let file = args.file.display();
    let content = std::fs::read(&args.file).with_context(|| format!("cannot read {file}"))?;
    let size = content.len() as u64;
    let segment = Segment::read(&Bytes::from(content))
        .with_context(|| format!("{file} is no sound segment"))?;
    let header = &segment.index.header;
    let wanted = |organization: &OrgId| args.org.as_ref().is_none_or(|org| org == organization);
    if let Some(org) = &args.org
        && !header
            .members
            .iter()
            .any(|member| member.organization == *org)
    {
        bail!("{file} holds no events of {org}");
    }
    if args.lines {
        for member in segment.members().filter(|m| wanted(&m.entry.organization)) {
            out.write_all(&member.decompress()?)?;
        }
        return Ok(());
    }
    let appended = Timestamp::from_millisecond(header.appended_ms)?;
    let raw = segment.index.raw_bytes();
    writeln!(out, "number    {}", header.sequence.0)?;
    writeln!(out, "epoch     {}", header.epoch)?;
    writeln!(out, "appended  {appended}")?;
    let (events, members) = (
        count(segment.index.events(), "event"),
        count(header.members.len() as u64, "member"),
    );
    writeln!(
        out,
        "holds     {events} in {members}, {} of lines in {} ({})",
        bytes(raw),
        bytes(size),
        ratio(raw, size)
    )?;
    let width = header
        .members
        .iter()
        .map(|m| m.organization.as_str().len())
        .max()
        .unwrap_or_default();
    let width = width.max("organization".len());
    writeln!(
        out,
        "\n{:<width$}  {:<13}  {:>7}  {:>9}  {:>9}  types",
        "organization", "hour", "events", "lines", "gzip"
    )?;
    for member in segment.members().filter(|m| wanted(&m.entry.organization)) {
        // Reading it whole checks its CRC and its size.
        member.decompress()?;
        let entry = member.entry;
        let (organization, hour) = (entry.organization.as_str(), entry.hour.to_string());
        let (raw, gzip) = (bytes(entry.raw_bytes), bytes(entry.length));
        let types = entry.types.join(" ");
        writeln!(
            out,
            "{organization:<width$}  {hour:<13}  {:>7}  {raw:>9}  {gzip:>9}  {types}",
            entry.events
        )?;
    }
    Ok(())
}

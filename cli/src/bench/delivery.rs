//! How fast delivery makes a destination's objects out of the log's segments.

use std::io::Write;

use bytes::Bytes;
use sealift_core::delivery::encode::{Catalog, Encoding, Marked, encode};
use sealift_core::delivery::{Counts, DestinationPlan, Range};
use sealift_core::destination::{Location, Region};
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, OrgId, Sequence};
use sealift_core::lookback::Marks;
use sealift_core::segment::Segment;
use sealift_core::selection::Selection;
use sha2::{Digest as _, Sha256};

use super::Setup;
use super::corpus::Case;
use super::meter::{Contender, by_turns, real};
use super::writer::Bench;

/// The goal, in bytes a second on one core.
const GOAL: f64 = 1e9;

/// Makes segments with the writer, then measures and prints.
pub(super) fn run(setup: &Setup, case: Case, out: &mut dyn Write) -> anyhow::Result<()> {
    let Setup {
        ref corpus,
        segments: count,
        ..
    } = *setup;
    let bench = Bench::new(case, setup.level)?;
    let objects = (0..count)
        .map(|number| bench.handle(&corpus.payload(case, number, setup.payload_bytes)?))
        .collect::<anyhow::Result<Vec<Bytes>>>()?;
    let read = || {
        objects
            .iter()
            .map(|bytes| {
                let segment = Segment::read(bytes)?;
                let marks = Marks::default();
                anyhow::Ok(Marked { segment, marks })
            })
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let segments = read()?;
    let catalog = Catalog::of(&segments);
    let range = Range {
        epoch: "bench".to_owned(),
        first: Sequence(0),
        last: Sequence(count.saturating_sub(1)),
        lookback_ms: 0,
    };
    let encoding = Encoding::default();
    let members = || segments.iter().flat_map(|marked| marked.segment.members());
    let compressed = real(members().map(|member| member.bytes.len() as u64).sum());
    let raw_bytes = || members().map(|member| member.entry.raw_bytes);
    let raw = real(raw_bytes().sum());
    let small = real(
        raw_bytes()
            .filter(|bytes| *bytes < encoding.small_bytes)
            .sum(),
    );
    let organizations: std::collections::BTreeSet<&OrgId> =
        members().map(|member| &member.entry.organization).collect();
    let plans = organizations
        .iter()
        .map(|organization| plan(organization))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let joined: Vec<u8> = members().flat_map(|member| member.bytes.to_vec()).collect();

    let contenders: Vec<Contender<'_>> = vec![
        Box::new(|| {
            for (destination, plan) in &plans {
                let (objects, _) = encode(&catalog, &range, destination, plan, &encoding)?;
                std::hint::black_box(objects);
            }
            Ok(())
        }),
        Box::new(|| {
            std::hint::black_box(Sha256::digest(&joined));
            Ok(())
        }),
        Box::new(|| {
            std::hint::black_box(read()?);
            Ok(())
        }),
    ];
    let samples = by_turns(setup.rounds, contenders)?;
    let [encoded, hashed, checked] = samples.as_slice() else {
        anyhow::bail!("there are more contenders than that");
    };
    writeln!(
        out,
        "  {count} segments, destinations: {}, members: {}; {:.1} MB compressed, {:.1} MB of lines, {:.0} % of them in members below {} KiB",
        plans.len(),
        members().count(),
        compressed / 1e6,
        raw / 1e6,
        100.0 * small / raw,
        encoding.small_bytes / 1024,
    )?;
    let mut line = |name: &str, seconds: f64| {
        writeln!(
            out,
            "  {name:<42}{:>8.2} GB/s compressed{:>8.1} GB/s of lines",
            compressed / 1e9 / seconds,
            raw / 1e9 / seconds,
        )
    };
    line("members to objects, with their SHA-256", encoded.median())?;
    line("  bare SHA-256 of the same bytes", hashed.median())?;
    line("reading and checking the segments", checked.median())?;
    // The goal is that of the quick way: members as they lie.
    if raw_bytes().all(|bytes| bytes >= encoding.small_bytes) {
        let speed = compressed / encoded.median();
        let verdict = if speed >= GOAL { "reached" } else { "missed" };
        writeln!(
            out,
            "  goal: at least {:.0} GB/s of compressed bytes a core: {:.2}, {verdict}",
            GOAL / 1e9,
            speed / 1e9,
        )?;
    }
    Ok(())
}

/// A plan that wants everything of an organization.
fn plan(organization: &OrgId) -> anyhow::Result<(DestinationId, DestinationPlan)> {
    let plan = DestinationPlan {
        organization: organization.clone(),
        location: Location {
            endpoint: None,
            region: Region::parse("us-east-1")?,
            bucket: BucketName::parse("bench")?,
            prefix: KeyPrefix::parse("audit-events/")?,
            path_style: false,
        },
        include: Selection::default(),
        since_ms: 0,
        created_ms: None,
        hours: None,
        objects: Vec::new(),
        counts: Counts::default(),
    };
    Ok((DestinationId::parse(organization.as_str())?, plan))
}

//! What the writer costs beside compressing: its handler against bare gzip of the same bytes.

use std::io::Write;

use anyhow::{Context as _, ensure};
use audit_writer::Writer;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt as _;
use sealift_core::event::{Event, Reading, Shapes, read};
use sealift_core::gzip::{Compressor, Level};
use sealift_core::segment::{EventDigest, Segment};
use sealift_core::sqs::Batch;

use super::Setup;
use super::corpus::Case;
use super::meter::{Contender, Samples, by_turns, real};
use super::sink::{Counting, Forgetful, Standing};

/// The goal: CPU time of the handler in terms of bare gzip's.
const GOAL: f64 = 1.3;

/// A writer that writes nowhere.
pub(super) struct Bench {
    store: Forgetful,
    shapes: Shapes,
    level: Level,
}

impl Bench {
    pub(super) fn new(case: Case, level: u32) -> anyhow::Result<Self> {
        Ok(Self {
            store: Forgetful::default(),
            shapes: case.shapes()?,
            level: Level::new(level).context("levels go from 1 to 9")?,
        })
    }

    /// Does what the function does from the payload to the segment; gives the segment.
    pub(super) fn handle(&self, payload: &[u8]) -> anyhow::Result<Bytes> {
        let batch = deserialize(payload)?;
        let writer = Writer::new(
            &self.store,
            Standing,
            Counting::default(),
            self.shapes.clone(),
            self.level,
        );
        let outcome = writer.handle(&batch).now_or_never();
        let outcome = outcome.context("the store never lets the writer wait")?;
        ensure!(
            outcome.appended.is_some() && outcome.parked == 0,
            "not every event could be used: {outcome:?}"
        );
        Ok(self.store.last())
    }
}

/// Reads the payload as the Lambda runtime does.
fn deserialize(payload: &[u8]) -> anyhow::Result<Batch> {
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    Ok(serde_path_to_error::deserialize(&mut deserializer)?)
}

fn events<'a>(batch: &'a Batch, shapes: &Shapes) -> anyhow::Result<Vec<Event<'a>>> {
    let mut all = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        if let Reading::Events(events) = read(&record.body, shapes) {
            for event in events {
                all.push(event.map_err(|rejected| rejected.reason)?);
            }
        }
    }
    Ok(all)
}

/// Measures and prints.
pub(super) fn run(setup: &Setup, case: Case, out: &mut dyn Write) -> anyhow::Result<()> {
    let Setup { level, rounds, .. } = *setup;
    let payload = setup.corpus.payload(case, 0, setup.payload_bytes)?;
    let bench = Bench::new(case, level)?;
    let batch = deserialize(&payload)?;
    let events = events(&batch, &bench.shapes)?;
    let mut delivered = Vec::new();
    for event in &events {
        delivered.extend_from_slice(event.line.as_bytes());
        delivered.push(b'\n');
    }
    let segment = Segment::read(&bench.handle(&payload)?)?;
    let mut members = Vec::new();
    for member in segment.members() {
        members.push(member.decompress()?);
    }
    ensure!(
        members.iter().map(Vec::len).sum::<usize>() == delivered.len(),
        "the segment holds other bytes than the batch"
    );

    let gzip = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
        gzip.write_all(bytes)?;
        std::hint::black_box(gzip.finish()?);
        Ok(())
    };
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(|| gzip(&delivered)),
        Box::new(|| bench.handle(&payload).map(|_| ())),
        Box::new(|| gzip(&payload)),
        Box::new(|| {
            std::hint::black_box(deserialize(&payload)?);
            Ok(())
        }),
        Box::new(|| {
            for record in &batch.records {
                std::hint::black_box(read(&record.body, &bench.shapes));
            }
            Ok(())
        }),
        Box::new(|| {
            for event in &events {
                std::hint::black_box(EventDigest::id_of(&event.organization, &event.id));
                std::hint::black_box(EventDigest::line_of(&event.line));
            }
            Ok(())
        }),
        Box::new(|| {
            let mut compressor = Compressor::new(bench.level);
            let mut joined = Vec::new();
            for lines in &members {
                compressor.member("name", [lines], &mut joined)?;
            }
            std::hint::black_box(joined);
            Ok(())
        }),
    ];
    let samples = by_turns(rounds, contenders)?;
    let megabytes = real(delivered.len() as u64) / 1e6;
    writeln!(
        out,
        "  members: {}; payload {:.2} MB, {} events, {megabytes:.2} MB of lines",
        members.len(),
        real(payload.len() as u64) / 1e6,
        events.len(),
    )?;
    print(&samples, megabytes, out)
}

fn print(samples: &[Samples], megabytes: f64, out: &mut dyn Write) -> anyhow::Result<()> {
    let [bare, handler, whole, parts @ ..] = samples else {
        anyhow::bail!("there are more contenders than that");
    };
    writeln!(out, "  {:<44}ms/MB of lines   MB/s of lines   ratio", "CPU")?;
    let mut line = |name: &str, seconds: f64, ratio: f64| {
        let ms = seconds * 1e3 / megabytes;
        writeln!(out, "  {name:<44}{ms:>14.2}{:>16.0}{ratio:>8.2}", 1e3 / ms)
    };
    line("bare gzip (flate2) of the lines", bare.median(), 1.0)?;
    let ratio = handler.ratio_to(bare);
    line("the writer's handler", handler.median(), ratio)?;
    let names = [
        "  payload to messages: unescape",
        "  message to event: check, find four fields",
        "  two hashes of each event",
        "  gzip of the members",
    ];
    for (name, part) in names.iter().zip(parts) {
        line(name, part.median(), part.ratio_to(bare))?;
    }
    let rest = handler.median() - parts.iter().map(Samples::median).sum::<f64>();
    line(
        "  the rest: grouping, assembly, memory",
        rest,
        rest / bare.median(),
    )?;
    line(
        "bare gzip of the payload as it comes",
        whole.median(),
        whole.ratio_to(bare),
    )?;
    let verdict = if ratio <= GOAL { "reached" } else { "missed" };
    writeln!(
        out,
        "  goal: at most {GOAL} times bare gzip of the lines: {ratio:.2}, {verdict}"
    )?;
    Ok(())
}

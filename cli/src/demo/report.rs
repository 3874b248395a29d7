//! What the demo tells: a page that a person reads.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::PoisonError;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use sealift_core::segment::Index;

use super::tenants::Tenant;
use super::verify::{Delivered, Expected, files};
use super::{Fed, Written};
use crate::stack::Stack;
use crate::text::{bytes, count, ratio};

/// How many tenants' folders are shown.
const TENANTS_SHOWN: usize = 3;
/// How many lines are shown, and how much of each.
const LINES_SHOWN: usize = 3;
const LINE_CHARACTERS: usize = 150;

/// Prints the page.
#[expect(
    clippy::too_many_arguments,
    reason = "one caller; it prints what they are"
)]
pub(super) fn print(
    out: &mut impl Write,
    stack: &Stack,
    data: &Path,
    tenants: &[Tenant],
    expected: &Expected,
    fed: &Fed,
    delivered: &Delivered,
    written: &Written,
) -> anyhow::Result<()> {
    let log = log_figures(data, stack.log_bucket.as_str())?;
    let unusable: u64 = expected.unusable.values().sum();
    let statistics = stack.bus.statistics();
    let calls = |function: &str| statistics.functions.get(function).map_or(0, |f| f.calls);
    writeln!(out)?;
    let mut row = |name: &str, text: String| writeln!(out, "  {name:<10} {text}");
    row(
        "tenants",
        format!(
            "{}, each with an account, a bucket and a role of its own",
            tenants.len()
        ),
    )?;
    row(
        "bus",
        format!(
            "{} in {}, {} refused",
            count(fed.lines, "event"),
            count(fed.requests, "request"),
            fed.refused
        ),
    )?;
    row(
        "log",
        format!(
            "{} from {}: {} of lines in {} ({}), {} parked",
            count(log.segments, "segment"),
            count(calls("AuditWriter"), "batch"),
            bytes(log.raw_bytes),
            bytes(log.bytes),
            ratio(log.raw_bytes, log.bytes),
            unusable.saturating_sub(fed.refused),
        ),
    )?;
    row(
        "delivery",
        format!(
            "{} in {}: {} of lines in {} ({}), {} dropped",
            count(delivered.objects.len() as u64, "object"),
            count(tenants.len() as u64, "bucket"),
            bytes(delivered.raw_bytes),
            bytes(delivered.bytes),
            ratio(delivered.raw_bytes, delivered.bytes),
            count(expected.repeated, "duplicate"),
        ),
    )?;
    let (p50, p95) = freshness(fed, delivered, written);
    row(
        "freshness",
        format!(
            "p50 {p50:.1} s, p95 {p95:.1} s from bus to bucket, on a clock that jumps over waits"
        ),
    )?;
    row("requests", requests(stack))?;
    for (why, times) in &expected.unusable {
        row("unusable", format!("{}: {why}", count(*times, "line")))?;
    }
    tree(out, data, tenants)?;
    sample(out, delivered)?;
    Ok(())
}

struct LogFigures {
    segments: u64,
    bytes: u64,
    raw_bytes: u64,
}

fn log_figures(data: &Path, bucket: &str) -> anyhow::Result<LogFigures> {
    let mut figures = LogFigures {
        segments: 0,
        bytes: 0,
        raw_bytes: 0,
    };
    for file in files(&data.join("s3").join(bucket).join("log"))? {
        let content = Bytes::from(std::fs::read(&file)?);
        figures.segments += 1;
        figures.bytes += content.len() as u64;
        figures.raw_bytes += Index::read(&content)?.raw_bytes();
    }
    Ok(figures)
}

/// How long events took from the bus into their tenant's bucket: median and 95th percentile, in
/// seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "times of minutes, in milliseconds"
)]
fn freshness(fed: &Fed, delivered: &Delivered, written: &Written) -> (f64, f64) {
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ages: Vec<i64> = Vec::new();
    for object in &delivered.objects {
        let place = (object.bucket.clone(), object.key.clone());
        let Some(at) = written.get(&place) else {
            continue;
        };
        let put = object.lines.iter().filter_map(|line| fed.put_ms.get(line));
        ages.extend(put.map(|put| at - put));
    }
    ages.sort_unstable();
    let at = |percent: usize| {
        let index = (ages.len().saturating_sub(1)) * percent / 100;
        ages.get(index).copied().unwrap_or_default() as f64 / 1000.0
    };
    (at(50), at(95))
}

fn requests(stack: &Stack) -> String {
    let counts = stack.aws.requests().counts();
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for (operation, counted) in counts {
        *by_name.entry(operation).or_default() += counted.requests;
    }
    let mut counts: Vec<(String, u64)> = by_name.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, times)| format!("{times} {name}"))
        .collect();
    parts.join(", ")
}

/// The object tree of a few tenants.
fn tree(out: &mut impl Write, data: &Path, tenants: &[Tenant]) -> anyhow::Result<()> {
    let root = data.join("s3");
    writeln!(out, "\n  {}", root.display())?;
    let mut sized: Vec<(u64, &Tenant)> = Vec::new();
    for tenant in tenants {
        let objects = files(&root.join(tenant.bucket.as_str()))?;
        let total = objects
            .iter()
            .filter_map(|file| file.metadata().ok())
            .map(|m| m.len())
            .sum();
        sized.push((total, tenant));
    }
    sized.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.bucket.cmp(&b.1.bucket)));
    for (_, tenant) in sized.iter().take(TENANTS_SHOWN) {
        let bucket = root.join(tenant.bucket.as_str());
        writeln!(out, "  ├── {}", tenant.bucket)?;
        let objects = files(&bucket)?;
        for (number, file) in objects.iter().enumerate() {
            let branch = if number + 1 == objects.len() {
                "└──"
            } else {
                "├──"
            };
            let size = bytes(file.metadata()?.len());
            writeln!(
                out,
                "  │   {branch} {}  {size}",
                file.strip_prefix(&bucket)?.display()
            )?;
        }
    }
    let more = tenants.len().saturating_sub(TENANTS_SHOWN);
    if more > 0 {
        writeln!(out, "  └── … {more} more, and the log and state buckets")?;
    }
    Ok(())
}

/// A few decoded lines of the largest object.
fn sample(out: &mut impl Write, delivered: &Delivered) -> anyhow::Result<()> {
    let Some(object) = delivered
        .objects
        .iter()
        .max_by_key(|object| object.lines.len())
    else {
        return Ok(());
    };
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(&object.file)?).read_to_string(&mut text)?;
    writeln!(
        out,
        "\n  zcat {} | head -{LINES_SHOWN}",
        object.file.display()
    )?;
    for line in text.lines().take(LINES_SHOWN) {
        let start: String = line.chars().take(LINE_CHARACTERS).collect();
        let cut = if start.len() < line.len() { " …" } else { "" };
        writeln!(out, "  {start}{cut}")?;
    }
    Ok(())
}

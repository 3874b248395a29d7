//! `sealift demo`: puts real events on the bus and shows what arrives in the tenants' buckets.
//!
//! It runs the embedded [`stack`](crate::stack), does for each tenant what its administrator
//! would do, feeds the events at a steady rate, and then reads the buckets' plain files as a
//! tenant would, and compares them with the input. A difference is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sealift_core::id::OrgId;
use sealift_core::ports::Clock;
use sealift_embedded::bus::{Ended, Entry, MAX_REQUEST_BYTES, MAX_REQUEST_ENTRIES, Timeline};

use self::input::{Input, SOURCE, ShapeName};
use self::tenants::{Tenant, name_buckets, set_up};
use self::verify::{Digest, Expected, digest};
use crate::stack::Stack;

mod exports;
pub(crate) mod input;
mod report;
mod tenants;
mod verify;

/// A folder that holds this file was made by the demo, and may be made anew.
pub(crate) const MARKER: &str = "made-by-sealift-demo";

/// The file that a stack on the folder holds locked.
const LOCK: &str = "lock";

/// Deliver real audit events and log rows into buckets on this machine, and check every one.
///
/// Everything runs in this process: bus, queues, functions, S3, STS and the part of Braintrust
/// that exports read from. Objects are plain files below DIR/s3. Without --audit and --spans it
/// takes excerpts of real data that are part of the program; with one of them, that one alone.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A file of events, JSON Lines, plain or gzip
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,

    #[command(flatten)]
    shape: ShapeArgs,

    /// A file of rows of Braintrust's logs, JSON Lines, plain or gzip
    #[arg(long, value_name = "FILE")]
    spans: Option<PathBuf>,

    /// What the project of the rows is called
    #[arg(long, value_name = "NAME", requires = "spans")]
    project: Option<String>,

    /// The folder that all is kept in. What an earlier demo left there is removed
    #[arg(long, value_name = "DIR", default_value = "out")]
    data: PathBuf,

    /// Events a second that are put on the bus. Waits are jumped over, so this changes what
    /// the demo shows and hardly how long it takes
    #[arg(long, value_name = "EVENTS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

/// Where events keep what Sealift needs of them.
#[derive(Debug, Args)]
pub struct ShapeArgs {
    /// Where an event keeps its id, organization, time and type: `sealift`, `cloudtrail`, or
    /// pointers: id=/uuid,organization=/tenant,time=/ts[,time_unit=seconds|milliseconds],type=/kind
    #[arg(long, value_name = "SHAPE", default_value = "sealift")]
    shape: ShapeName,

    /// Where the organization is, in place of where the shape has it
    #[arg(long, value_name = "POINTER")]
    org: Option<String>,
}

impl ShapeArgs {
    /// The shape as the stack's parameter EventShapes has it.
    pub fn shapes(&self) -> anyhow::Result<String> {
        Ok(Input::new(None, &self.shape, self.org.as_deref())?.shapes)
    }
}

/// What the demo without arguments is.
impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            audit: None,
            shape: ShapeArgs {
                shape: ShapeName::Sealift,
                org: None,
            },
            spans: None,
            project: None,
            data: PathBuf::from("out"),
            rate: 20,
        }
    }
}

/// What went onto the bus.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    lines: u64,
    requests: u64,
    refused: u64,
    /// When each event was put, in milliseconds since 1970, by the hash of its line.
    put_ms: HashMap<Digest, i64>,
}

/// When each object was written, by bucket and key, in milliseconds since 1970.
pub(crate) type Written = Arc<Mutex<BTreeMap<(String, String), i64>>>;

/// Runs the demo.
pub async fn run(args: DemoArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let audit = match (&args.audit, &args.spans) {
        (Some(file), _) => Some(Input::new(
            Some(file.clone()),
            &args.shape.shape,
            args.shape.org.as_deref(),
        )?),
        (None, None) => Some(Input::excerpt()?),
        (None, Some(_)) => None,
    };
    let audit = match audit {
        Some(input) => {
            let expected = survey(&input)?;
            Some((input, expected))
        }
        None => None,
    };
    let rows = match (&args.audit, &args.spans) {
        (Some(_), None) => None,
        (_, spans) => Some(exports::Rows::survey(
            spans.clone(),
            args.project.as_deref(),
        )?),
    };
    // Only now: an input that cannot be used leaves the last demo as it is.
    make_anew(&args.data)?;
    if let Some(rows) = &rows {
        rows.put_into(&args.data)?;
    }
    let shapes = audit.as_ref().map(|(input, _)| input.shapes.clone());
    let shapes = shapes.map(|shapes| ("EventShapes".to_owned(), shapes));
    let stack = Stack::start(&args.data, shapes.into_iter().collect()).await?;
    if let Some((input, expected)) = &audit {
        deliver(&stack, &args, input, expected, out).await?;
    }
    if let Some(rows) = &rows {
        exports::run(&stack, &args.data, rows, out).await?;
    }
    stack.aws.shutdown().await;
    stack.api.shutdown().await;
    Ok(())
}

/// Delivers audit events, checks them, and tells.
async fn deliver(
    stack: &Stack,
    args: &DemoArgs,
    input: &Input,
    expected: &Expected,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let organizations: BTreeSet<OrgId> = expected.by_organization.keys().cloned().collect();
    let tenants = name_buckets(&organizations)?;
    let written = Written::default();
    for (number, tenant) in tenants.iter().enumerate() {
        set_up(stack, tenant, number).await?;
        watch(stack, tenant, &written);
    }
    writeln!(out, "Sealift demo: {}", input.name())?;
    let progress = progress(expected.lines);
    let fed = feed(stack, input, args.rate, &progress).await?;
    let limit = stack.now().checked_add(Duration::from_hours(1))?;
    if stack.bus.run_until_idle(limit).await? == Ended::TimeUp {
        bail!("delivery did not come to an end within an hour of the stack's time");
    }
    progress.finish_and_clear();
    let delivered = verify::read_back(&args.data, &tenants, expected)?;
    report::print(
        out, stack, &args.data, &tenants, expected, &fed, &delivered, &written,
    )?;
    verify::compare(expected, &fed, &delivered)?;
    let (events, tenants) = (delivered.events, tenants.len());
    writeln!(
        out,
        "\nAll {events} events arrived at their {tenants} tenants, each once, byte for byte, in its own hour."
    )?;
    Ok(())
}

/// Reads the input once, to know the tenants and what they must receive. An input without any
/// event that can be used is an error.
fn survey(input: &Input) -> anyhow::Result<Expected> {
    let mut expected = Expected::default();
    for line in input.lines()? {
        let line = line?;
        expected.lines += 1;
        match input.look(&line) {
            Ok(seen) => {
                let organization = OrgId::parse(seen.organization)?;
                let lines = expected.by_organization.entry(organization).or_default();
                let new = lines.insert(digest(&seen.line), seen.hour).is_none();
                expected.repeated += u64::from(!new);
                expected.bytes += seen.line.len() as u64 + 1;
            }
            Err(why) => *expected.unusable.entry(why).or_default() += 1,
        }
    }
    if expected.by_organization.is_empty() {
        let why = expected.unusable.keys().next().cloned();
        let why = why.unwrap_or_else(|| "it is empty".to_owned());
        bail!("{} holds no event that can be used: {why}", input.name());
    }
    Ok(expected)
}

/// Empties a folder that an earlier demo made. Any other folder that holds something is left
/// alone, and so is one that another process works on.
fn make_anew(data: &Path) -> anyhow::Result<()> {
    let what = || format!("the folder {}", data.display());
    if data.exists() {
        let empty = std::fs::read_dir(data).with_context(what)?.next().is_none();
        if !empty && !data.join(MARKER).exists() {
            bail!(
                "{} holds something that no demo has made; name another with --data",
                data.display()
            );
        }
    }
    std::fs::create_dir_all(data).with_context(what)?;
    // The stack's own lock, which stays where it is: whoever holds it keeps others out.
    let lock = std::fs::File::create(data.join(LOCK)).with_context(what)?;
    if lock.try_lock().is_err() {
        bail!(
            "{} is in use by another process; end it, or name another folder with --data",
            data.display()
        );
    }
    // First, so that a demo that is killed here leaves a folder that the next one may empty.
    std::fs::write(
        data.join(MARKER),
        "The next `sealift demo` on this folder empties it.\n",
    )
    .with_context(what)?;
    for entry in std::fs::read_dir(data).with_context(what)? {
        let entry = entry.with_context(what)?;
        if entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path()).with_context(what)?;
        } else if entry.file_name() != LOCK && entry.file_name() != MARKER {
            std::fs::remove_file(entry.path()).with_context(what)?;
        }
    }
    Ok(())
}

/// Notes when objects are written to a tenant's bucket.
fn watch(stack: &Stack, tenant: &Tenant, written: &Written) {
    let written = written.clone();
    stack.aws.on_object_created(&tenant.bucket, move |object| {
        let place = (object.bucket.clone(), object.key.clone());
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(place, object.time.as_millisecond());
    });
}

fn progress(lines: u64) -> ProgressBar {
    // A short run is over before a bar says anything.
    if !std::io::stderr().is_terminal() || lines < 5_000 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} events, {eta} left");
    let bar = ProgressBar::new(lines);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

/// Puts the input's lines on the bus at a rate, and lets everything run that is due meanwhile.
async fn feed(
    stack: &Stack,
    input: &Input,
    rate: u32,
    progress: &ProgressBar,
) -> anyhow::Result<Fed> {
    let mut fed = Fed::default();
    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    let start = stack.now();
    for line in input.lines()? {
        let entry = Entry {
            source: SOURCE.to_owned(),
            detail_type: input.detail_type().to_owned(),
            detail: line?,
            time: None,
            resources: Vec::new(),
        };
        let size = entry.size();
        if entries.len() == MAX_REQUEST_ENTRIES || bytes + size >= MAX_REQUEST_BYTES {
            put(stack, input, &mut entries, &mut fed)?;
            bytes = 0;
        }
        bytes += size;
        entries.push(entry);
        fed.lines += 1;
        progress.inc(1);
        if entries.len() == 1 {
            let due =
                start.checked_add(Duration::from_millis(fed.lines * 1000 / u64::from(rate)))?;
            stack.bus.run_until(due).await?;
            stack.clock.reach(due).await;
        }
    }
    put(stack, input, &mut entries, &mut fed)?;
    Ok(fed)
}

fn put(
    stack: &Stack,
    input: &Input,
    entries: &mut Vec<Entry>,
    fed: &mut Fed,
) -> anyhow::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let now_ms = stack.clock.now().as_millisecond();
    let results = match stack.bus.put_events(&stack.bus_name, entries) {
        Ok(results) => results,
        Err(error) => bail!("{error}; the line at fault is about number {}", fed.lines),
    };
    fed.requests += 1;
    for (entry, result) in entries.drain(..).zip(results) {
        match (result, input.look(&entry.detail)) {
            (Ok(_), Ok(seen)) => {
                fed.put_ms.entry(digest(&seen.line)).or_insert(now_ms);
            }
            (Ok(_), Err(_)) => {}
            (Err(_), _) => fed.refused += 1,
        }
    }
    Ok(())
}

//! `sealift events put`: a producer, on the bus of a running `sealift serve` or of a deployed stack.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sealift_aws::SystemClock;
use sealift_aws::bus::{EventBridgeBus, REQUEST_BYTES, REQUEST_ENTRIES};
use sealift_core::ports::{BusEntry, EventBus};

use self::input::entries;
use crate::demo::input::ShapeName;
use crate::serve::{NewEvents, PutEvents};
use crate::target::{Api, DATA, StackArgs, served};

mod input;

/// Put events on a bus, as a platform does
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a file's events on the bus
    ///
    /// The file has one event a line (JSON Lines), or is a JSON array of events; it may be gzip. Each event is looked at
    /// first, so that a file with an event that Sealift could not use is refused before anything is sent.
    Put(PutArgs),
}

#[derive(Debug, Args)]
struct PutArgs {
    /// The file; `-` is standard input
    file: PathBuf,

    /// The folder of a running `sealift serve`; out if no bus is named
    #[arg(long, value_name = "DIR", conflicts_with_all = ["bus", "stack"])]
    data: Option<PathBuf>,

    /// A bus of EventBridge
    #[arg(long, value_name = "NAME", conflicts_with = "stack")]
    bus: Option<String>,

    /// How the events are written: `sealift`, `cloudtrail`, or pointers such as
    /// `id=/uuid,organization=/tenant`. What pointers say must stand in the stack's EventShapes, too
    #[arg(long, value_name = "SHAPE", default_value = "sealift")]
    shape: ShapeName,

    /// The source that they come from
    #[arg(long, value_name = "NAME", default_value = "platform")]
    source: String,

    /// Their detail-type, which is the type of an event that has none; `audit.event`, or CloudTrail's
    #[arg(long, value_name = "NAME")]
    detail_type: Option<String>,

    /// The file has whole entries of PutEvents: {"Source", "DetailType", "Detail"}
    #[arg(long, conflicts_with_all = ["shape", "source", "detail_type"])]
    raw: bool,

    #[command(flatten)]
    stack: StackArgs,
}

/// Puts events.
pub async fn run(args: EventsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let Command::Put(args) = args.command;
    let entries = entries(&args)?;
    let way = if let Some((name, sdk)) = bus(&args).await? {
        Way::EventBridge(EventBridgeBus::on(&sdk, name, SystemClock))
    } else {
        let data = args.data.as_deref().unwrap_or(Path::new(DATA));
        Way::Served(Box::new(served(data).await?))
    };
    let (mut taken, mut refused) = (0, Vec::new());
    for request in requests(&entries) {
        let put = way.put(request).await.with_context(|| {
            let rest = entries.len() - taken - refused.len();
            format!(
                "{taken} of {} events are on the bus; of {rest} it is not known",
                entries.len()
            )
        })?;
        let failures: Vec<String> = put.into_iter().flatten().collect();
        taken += request.len().saturating_sub(failures.len());
        refused.extend(failures);
    }
    told(out, taken, &refused)
}

/// The way to a bus.
enum Way {
    /// To one of EventBridge's. Entries that are refused for the moment are sent again.
    EventBridge(EventBridgeBus<SystemClock>),
    /// To that of a `sealift serve`.
    Served(Box<Api>),
}

impl Way {
    /// Puts one request's entries, and tells of each why the bus did not take it.
    async fn put(&self, entries: &[BusEntry]) -> anyhow::Result<Vec<Option<String>>> {
        match self {
            Self::EventBridge(bus) => {
                let put = bus.put(entries).await.into_iter();
                Ok(put
                    .map(|one| one.err().map(|why| why.to_string()))
                    .collect())
            }
            Self::Served(api) => {
                let entries = entries.iter().map(Into::into).collect();
                let body = serde_json::to_value(NewEvents { entries })?;
                let answer = api.post(&["embedded", "events"], &body).await?;
                Ok(answer.read::<PutEvents>()?.refused)
            }
        }
    }
}

/// The bus of EventBridge that is named, if one is.
async fn bus(args: &PutArgs) -> anyhow::Result<Option<(String, aws_config::SdkConfig)>> {
    let name = match (&args.bus, args.stack.describe().await?) {
        (Some(name), _) => name.clone(),
        (None, Some(stack)) => stack.output("BusName")?.to_owned(),
        (None, None) => return Ok(None),
    };
    Ok(Some((name, args.stack.sdk().await)))
}

fn told(out: &mut impl Write, taken: usize, refused: &[String]) -> anyhow::Result<()> {
    let events = if taken == 1 { "event is" } else { "events are" };
    writeln!(out, "{taken} {events} on the bus")?;
    match refused.first() {
        None => Ok(()),
        Some(why) => bail!(
            "the bus did not take {} of {}; of the first it says: {why}",
            refused.len(),
            taken + refused.len()
        ),
    }
}

/// The entries, as many together as a request takes.
fn requests(entries: &[BusEntry]) -> Vec<&[BusEntry]> {
    let mut requests = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |entry: &&BusEntry| {
            bytes += entry.detail.len() + entry.detail_type.len() + entry.source.len();
            bytes < REQUEST_BYTES
        };
        let count = rest
            .iter()
            .take(REQUEST_ENTRIES)
            .take_while(fits)
            .count()
            .max(1);
        let (request, after) = rest.split_at(count);
        requests.push(request);
        rest = after;
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_full_as_it_may_be_and_no_event_is_left_out() {
        let entry = |bytes: usize| BusEntry {
            source: "platform".to_owned(),
            detail_type: "x".to_owned(),
            detail: "x".repeat(bytes),
        };
        let sizes = [
            100_000, 100_000, 100_000, 300_000, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
        ];
        let entries: Vec<BusEntry> = sizes.into_iter().map(entry).collect();
        let counts: Vec<usize> = requests(&entries).iter().map(|one| one.len()).collect();
        assert_eq!(counts, [2, 1, 1, 10, 1]);
        assert_eq!(requests(&entries).concat(), entries);
        assert!(requests(&[]).is_empty());
    }
}

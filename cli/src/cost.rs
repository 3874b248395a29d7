//! `sealift cost`: what the stack costs on AWS, from a run of it on this machine.
//!
//! It runs the embedded [`stack`](crate::stack) in a folder of its own, counts what AWS would
//! bill, and multiplies by a table of prices. `docs/cost.md` shows a run, and says what of it is
//! measured and what is assumed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sealift_aws::OsEntropy;
use sealift_core::ports::Entropy;
use serde::Serialize;

use self::exports::Exported;
use self::idle::Idle;
use self::load::{Events, Load, feed, mean_bytes};
use self::meter::{FunctionUse, Meter};
use self::tenants::set_up;
use self::usage::{Prices, Usage, real};
use crate::stack::{RELAY, Stack};

mod exports;
mod firehose;
mod goals;
mod idle;
mod load;
mod meter;
mod report;
mod standing;
mod tenants;
mod usage;

/// What is given as a million.
const MILLION: f64 = 1_000_000.0;

/// Count what the stack would cost on AWS, from a run of it in this process.
///
/// Requests, messages, calls, lines of logs and durations are measured for each number of
/// tenants: while nothing happens, then under load with single events and with bundles. Waits are
/// jumped over, work is not; a run takes minutes. Free tiers are not counted. Parameters of the
/// template are as they are by default, so Braintrust's audit log is not relayed.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Numbers of tenants
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [1, 100, 1000], value_parser = clap::value_parser!(u32).range(1..=20_000))]
    tenants: Vec<u32>,

    /// Events a second, all tenants together
    #[arg(long, value_name = "EVENTS", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// Events that a producer bundles in an entry, in the second measurement
    #[arg(long, value_name = "EVENTS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=500))]
    bundle: u32,

    /// Seconds of the stack's time that are measured under load
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,

    /// Milliseconds that each request to S3 and STS waits, as it would on AWS
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 25, value_parser = clap::value_parser!(u32).range(..=10_000))]
    request_ms: u32,

    /// Megabytes of rows that are exported
    #[arg(long, value_name = "MEGABYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=2000))]
    export_megabytes: u32,

    /// Rows of Braintrust's logs, JSON Lines, plain or gzip; without it, those that are built in
    #[arg(long, value_name = "FILE")]
    spans: Option<PathBuf>,

    /// A parameter of the template, such as FlushIntervalSeconds=60
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    parameter: Vec<(String, String)>,

    /// A table of prices, in the form of the one that is built in (cli/src/cost/prices.json)
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// JSON in place of tables
    #[arg(long)]
    json: bool,
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=');
    let (name, value) = split.ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    rate: u32,
    bundle: u32,
    request_ms: u32,
    parameters: BTreeMap<String, String>,
    /// Compiled without optimization, which makes work take longer than it does on AWS.
    debug_build: bool,
    runs: Vec<Run>,
    exported: Exported,
}

/// What was measured with a number of tenants.
#[derive(Debug, Serialize)]
struct Run {
    tenants: u32,
    single: Stretch,
    bundled: Stretch,
    idle: Idle,
}

/// A stretch of time under load, as what a million events use.
#[derive(Debug, Serialize)]
struct Stretch {
    events: u64,
    event_bytes: f64,
    seconds: f64,
    /// On the bill of the account that runs Sealift.
    platform: Usage,
    /// On the bills of those who own the buckets.
    customers: Usage,
    /// Of the stretch itself.
    functions: BTreeMap<String, FunctionUse>,
}

/// Runs the command.
pub async fn run(args: CostArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let prices = match &args.prices {
        None => Prices::built_in()?,
        Some(file) => {
            let what = || format!("the prices in {}", file.display());
            Prices::parse(&std::fs::read_to_string(file).with_context(what)?).with_context(what)?
        }
    };
    let mut runs = Vec::new();
    for tenants in &args.tenants {
        runs.push(measure(&args, *tenants).await?);
    }
    let measured = Measured {
        rate: args.rate,
        bundle: args.bundle,
        request_ms: args.request_ms,
        parameters: args.parameter.iter().cloned().collect(),
        debug_build: cfg!(debug_assertions),
        runs,
        exported: measure_export(&args).await?,
    };
    if args.json {
        report::json(&measured, &prices, out)
    } else {
        report::print(&measured, &prices, out)
    }
}

/// Some quiet time, and two stretches under load.
async fn measure(args: &CostArgs, tenants: u32) -> anyhow::Result<Run> {
    let folder = Folder::make()?;
    let stack = Stack::start(&folder.0, parameters(args)).await?;
    let tenants_there = set_up(&stack, tenants).await?;
    let mut meter = Meter::on(&stack, Duration::from_millis(args.request_ms.into()))?;
    let mut events = Events::of(tenants_there.organizations.clone())?;
    let load = |bundle| Load {
        rate: args.rate,
        bundle,
    };
    // A stack that has nothing to do now has had something to do before: it has a log.
    let before = Duration::from_secs(2);
    feed(&stack, &meter, &mut events, load(args.bundle), before).await?;
    let delivered = stack.now().checked_add(2 * interval(&stack)?)?;
    stack.bus.run_until(delivered).await?;
    let idle = idle::measure(&stack, &mut meter, &tenants_there).await?;
    let mut stretches = Vec::new();
    for bundle in [1, args.bundle] {
        stretches.push(stretch(args, &stack, &mut meter, &mut events, load(bundle)).await?);
    }
    stack.aws.shutdown().await;
    stack.api.shutdown().await;
    let mut stretches = stretches.into_iter();
    Ok(Run {
        tenants,
        single: stretches.next().context("nothing was measured")?,
        bundled: stretches.next().context("nothing was measured")?,
        idle,
    })
}

/// The template's parameters: as they are by default, or as they are given. Braintrust's audit log is
/// relayed only where that is asked for.
fn parameters(args: &CostArgs) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::from([(RELAY.to_owned(), String::new())]);
    parameters.extend(args.parameter.iter().cloned());
    parameters
}

/// How often is delivered.
fn interval(stack: &Stack) -> anyhow::Result<Duration> {
    let seconds = stack.bus.wiring().parameters.get("FlushIntervalSeconds");
    let seconds = seconds.context("FlushIntervalSeconds has no value")?;
    Ok(Duration::from_secs(seconds.parse()?))
}

/// Load for a while, so that everything is under way, and then what is measured.
async fn stretch(
    args: &CostArgs,
    stack: &Stack,
    meter: &mut Meter,
    events: &mut Events,
    load: Load,
) -> anyhow::Result<Stretch> {
    feed(stack, meter, events, load, 2 * interval(stack)?).await?;
    meter.take(stack);
    let measured = Duration::from_secs(args.seconds.into());
    let fed = feed(stack, meter, events, load, measured).await?;
    let window = meter.take(stack);
    let share = MILLION / real(fed.events.max(1));
    Ok(Stretch {
        events: fed.events,
        event_bytes: mean_bytes(fed),
        seconds: window.seconds,
        platform: window.platform.times(share),
        customers: window.customers.times(share),
        functions: window.functions,
    })
}

async fn measure_export(args: &CostArgs) -> anyhow::Result<Exported> {
    let folder = Folder::make()?;
    let mut parameters = parameters(args);
    // The one export that is measured, and no other.
    parameters.insert("ProvisionExclude".to_owned(), "*".to_owned());
    let stack = Stack::start(&folder.0, parameters).await?;
    let mut meter = Meter::on(&stack, Duration::from_millis(args.request_ms.into()))?;
    let bytes = usize::try_from(args.export_megabytes)? * 1_000_000;
    let exported = exports::run(&stack, &mut meter, args.spans.as_deref(), bytes).await?;
    stack.aws.shutdown().await;
    stack.api.shutdown().await;
    Ok(exported)
}

/// A new folder, which goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let name = format!("sealift-cost-{}", OsEntropy.nonce());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies where temporary files lie.
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

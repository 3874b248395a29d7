//! `sealift projects`: which projects have the automations that the templates describe, and what
//! is to be done so that all have.
//!
//! The plan is made by the function's own code, so what is printed is what the next sweep does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use project_fanout::{Config, Fanout};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::{OsEntropy, S3Store, SystemClock, system};
use sealift_braintrust::{ApiKey, Client, FixedKey, Settings as ApiSettings};
use sealift_core::export::registry::Registry;
use sealift_core::export::source::LogSource;
use sealift_core::id::BucketName;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::settings::Settings;

use crate::demo::MARKER;
use crate::stack::Stack;

mod history;
mod plan;
mod status;

/// See which projects have their automations, and give them to those that have none.
///
/// Give --data for the folder of a demo, or --state-bucket for a deployed stack, with the values
/// of its parameters Provision… (AWS credentials and region come from the environment, the
/// Braintrust API key from BRAINTRUST_API_KEY).
#[derive(Debug, Args)]
pub struct ProjectsArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    settings: SettingsArgs,

    #[command(subcommand)]
    command: ProjectsCommand,
}

/// Which stack.
#[derive(Debug, Args)]
struct Target {
    /// The folder of a demo
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["state_bucket", "bus", "shards", "api_url", "api_organization"])]
    data: Option<PathBuf>,

    /// The bucket of a deployed stack's state
    #[arg(long, global = true, value_name = "BUCKET")]
    state_bucket: Option<BucketName>,

    /// The bus of a deployed stack; needed by `apply`
    #[arg(long, global = true, value_name = "NAME")]
    bus: Option<String>,

    /// A deployed stack's parameter ExportShards; 1 if not given
    #[arg(long, global = true, value_name = "NUMBER")]
    shards: Option<u16>,

    /// A deployed stack's parameter ApiUrl; https://api.braintrust.dev if not given
    #[arg(long, global = true, value_name = "URL")]
    api_url: Option<String>,

    /// A deployed stack's parameter ApiOrganizationName
    #[arg(long, global = true, value_name = "NAME")]
    api_organization: Option<String>,
}

/// What projects get. The stack's settings document adds to it.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// Where exports go, with <project-slug> as a folder; ProvisionPath of a deployed stack. A demo
    /// has one
    #[arg(long, global = true, value_name = "S3 PATH")]
    path: Option<String>,

    /// The one role for all exports; ProvisionRoleArn of a deployed stack
    #[arg(long, global = true, value_name = "ARN")]
    role_arn: Option<String>,

    /// `log_traces` or `log_spans`; log_traces if not given
    #[arg(long, global = true, value_name = "KIND")]
    definition: Option<String>,

    /// `parquet` or `jsonl`; parquet if not given
    #[arg(long, global = true, value_name = "FORMAT")]
    format: Option<String>,

    /// Seconds between the starts of two exports; 3600 if not given
    #[arg(long, global = true, value_name = "SECONDS")]
    interval: Option<String>,

    /// Projects that are left alone: patterns of names, with * and ?, separated by commas
    #[arg(long, global = true, value_name = "PATTERNS")]
    exclude: Option<String>,

    /// Where exports start: `now`, `0` for all history, or a date; now if not given
    #[arg(long, global = true)]
    start: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ProjectsCommand {
    /// Print what the next sweep would do; changes nothing
    Plan(PlanArgs),
    /// Do it now; running it again goes on where it was cut off
    Apply,
    /// Show all projects that have automations: last success, rows, lag
    Status(StatusArgs),
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Compare all automations with their templates as well: one read for each
    #[arg(long)]
    drift: bool,

    /// Ask the API how many rows the exports to be created would begin with: one request for
    /// every 50 projects
    #[arg(long)]
    history: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Print JSON, one line for each automation
    #[arg(long)]
    json: bool,
}

/// How long `apply` may take.
const APPLY_LIMIT: Duration = Duration::from_hours(6);

/// Runs the command.
pub async fn run(args: ProjectsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match (&args.target.data, &args.target.state_bucket) {
        (Some(data), None) => on_folder(data, &args, out).await,
        (None, Some(bucket)) => on_deployment(bucket, &args, out).await,
        _ => bail!("give --data for the folder of a demo, or --state-bucket for a deployed stack"),
    }
}

async fn on_folder(data: &Path, args: &ProjectsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if !data.join(MARKER).exists() {
        let data = data.display();
        bail!("{data} was not made by a demo; run `sealift demo --data {data}` first");
    }
    let stack = Stack::start(data, std::collections::BTreeMap::new()).await?;
    let own = stack.fanout_variables()?;
    let done = async {
        let settings = settings(&args.settings, |name| own.get(name).cloned())?;
        let client = stack.api_client()?;
        let fanout = stack.fanout(settings)?;
        let registry = stack.automations();
        command(&fanout, &client, &registry, &stack.clock, args, out).await
    }
    .await;
    stack.aws.shutdown().await;
    done
}

async fn on_deployment(
    bucket: &BucketName,
    args: &ProjectsArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let ProjectsArgs {
        target,
        command: asked,
        ..
    } = args;
    let needs_settings = !matches!(asked, ProjectsCommand::Status(_));
    if needs_settings && args.settings.path.is_none() {
        bail!(
            "--path is missing: the stack's parameter ProvisionPath, or --path '' where it is empty"
        );
    }
    let bus = match (asked, &target.bus) {
        (ProjectsCommand::Apply, None) => bail!("--bus is missing: the stack's output BusName"),
        (_, bus) => bus.clone().unwrap_or_default(),
    };
    let settings = settings(&args.settings, |_| None)?;
    let key = system::environment("BRAINTRUST_API_KEY").unwrap_or_default();
    if key.is_empty() && needs_settings {
        bail!("BRAINTRUST_API_KEY is not set: the key by which the projects are listed");
    }
    let client = || -> anyhow::Result<_> {
        // Of what needs no key, none is used.
        let key = if key.is_empty() { "unused" } else { &key };
        let url = target
            .api_url
            .as_deref()
            .unwrap_or("https://api.braintrust.dev");
        let key = FixedKey(ApiKey::parse(key).context("BRAINTRUST_API_KEY")?);
        let client = Client::new(
            url.parse().context("--api-url")?,
            key,
            SystemClock,
            OsEntropy,
            ApiSettings::default(),
        )?;
        Ok(client.for_organization(target.api_organization.as_deref())?)
    };
    let sdk = sealift_aws::config::load().await;
    let registry = Registry {
        store: S3Store::on(&sdk, bucket.clone()),
        entropy: OsEntropy,
        shards: target.shards.unwrap_or(1),
    };
    let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
    let fanout = Fanout::new(registry.clone(), client()?, bus, SystemClock, settings);
    command(&fanout, &client()?, &registry, &SystemClock, args, out).await
}

/// The settings, read by the function's own reader: an option in place of each variable.
fn settings(
    args: &SettingsArgs,
    otherwise: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Settings> {
    let lookup = |name: &str| {
        let given = match name {
            "SEALIFT_PROVISION_PATH" => &args.path,
            "SEALIFT_PROVISION_ROLE_ARN" => &args.role_arn,
            "SEALIFT_PROVISION_DEFINITION" => &args.definition,
            "SEALIFT_PROVISION_FORMAT" => &args.format,
            "SEALIFT_PROVISION_INTERVAL_SECONDS" => &args.interval,
            "SEALIFT_PROVISION_EXCLUDE" => &args.exclude,
            "SEALIFT_PROVISION_START" => &args.start,
            _ => &None,
        };
        given.clone().or_else(|| otherwise(name)).or_else(|| {
            // What is not about provisioning is given otherwise.
            let unused = match name {
                "SEALIFT_STATE_BUCKET"
                | "SEALIFT_BUS"
                | "SEALIFT_API_URL"
                | "SEALIFT_API_KEY_PARAMETER" => "unused",
                _ => return None,
            };
            Some(unused.to_owned())
        })
    };
    let config = Config::from_lookup(lookup);
    Ok(config
        .context("see --path, --role-arn, --definition, --format, --interval and --start")?
        .settings)
}

async fn command<S, P, B, C, E, L>(
    fanout: &Fanout<S, P, B, C, E>,
    source: &L,
    registry: &Registry<S, E>,
    clock: &impl Clock,
    args: &ProjectsArgs,
    out: &mut impl Write,
) -> anyhow::Result<()>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    E: Entropy,
    L: LogSource,
{
    match &args.command {
        ProjectsCommand::Status(args) => status::print(registry, args.json, clock.now(), out).await,
        ProjectsCommand::Plan(args) => {
            let situation = fanout.look().await?;
            let drift = if args.drift {
                Some(fanout.drift(&situation).await?)
            } else {
                None
            };
            let history = if args.history {
                Some(history::ask(source, &situation, clock).await?)
            } else {
                None
            };
            let requests = fanout.requests();
            let plan = plan::Printed {
                situation: &situation,
                drift,
                history,
                requests,
            };
            if args.json {
                plan.json(out)
            } else {
                plan.table(out)
            }
        }
        ProjectsCommand::Apply => {
            let situation = fanout.look().await?;
            let steps = situation.plan.steps.len();
            let deadline = clock.now().checked_add(APPLY_LIMIT)?;
            let bar = indicatif::ProgressBar::new(u64::try_from(steps)?);
            let progress = |behind| bar.set_position(u64::try_from(behind).unwrap_or(0));
            let applied = fanout.apply(&situation, deadline, progress).await;
            bar.finish_and_clear();
            plan::print_applied(&applied?, &situation, out)
        }
    }
}

//! `sealift projects`: which projects have the automations that the templates describe, and what
//! is to be done so that all have.
//!
//! The plan is made by the function's own code, so what is printed is what the next sweep does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use project_fanout::{Config, Fanout};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::{OsEntropy, S3Store, SystemClock, system};
use sealift_braintrust::provisioning::Provisioning;
use sealift_braintrust::{ApiKey, Client, FixedKey, Settings as ApiSettings};
use sealift_core::export::registry::Registry;
use sealift_core::export::source::LogSource;
use sealift_core::id::BucketName;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::provision::Projects;
use sealift_core::provision::remote::Remote;

use crate::demo::MARKER;
use crate::stack::Stack;
use crate::target::StackArgs;

mod deployed;
mod history;
mod plan;
mod status;

/// See which projects have their automations, and give them to those that have none.
///
/// Give --data for the folder of a demo, or --stack for a deployed stack; in place of that,
/// --state-bucket with the values of its parameters Provision…. AWS credentials and region come from
/// the environment, the Braintrust API key from BRAINTRUST_API_KEY.
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
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["stack", "state_bucket", "bus", "shards", "api_url", "api_organization"])]
    data: Option<PathBuf>,

    #[command(flatten)]
    deployed: StackArgs,

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

    /// `self-run`, or `managed` where Braintrust exports; ProvisionMode of a deployed stack,
    /// self-run if not given
    #[arg(long, global = true)]
    mode: Option<String>,

    /// In managed mode, the version of the data plane if it is 2.0 or older. It runs exports with the
    /// service token in BRAINTRUST_SERVICE_TOKEN
    #[arg(long, global = true, value_name = "VERSION")]
    data_plane_version: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ProjectsCommand {
    /// Print what the next sweep would do; changes nothing
    Plan(PlanArgs),
    /// Do it now; running it again goes on where it was cut off
    Apply(ApplyArgs),
    /// Show all projects that have automations: last success, rows, lag
    Status(StatusArgs),
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Compare all automations with their templates as well: one read for each, or in managed
    /// mode two requests for each project
    #[arg(long)]
    drift: bool,

    /// Ask the API how many rows the exports to be created would begin with: one request for
    /// every 50 projects
    #[arg(long)]
    history: bool,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// In managed mode, the most requests that are made of the API; as many as it takes if not given
    #[arg(long, value_name = "NUMBER")]
    requests: Option<u64>,

    /// In managed mode, register also automations of which it is not known whether they are
    /// registered: look at their status in Braintrust first
    #[arg(long)]
    register_again: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Print JSON, one line for each automation
    #[arg(long)]
    json: bool,
}

impl ProjectsArgs {
    fn registers_again(&self) -> bool {
        matches!(&self.command, ProjectsCommand::Apply(apply) if apply.register_again)
    }
}

/// How long `apply` may take.
const APPLY_LIMIT: Duration = Duration::from_hours(6);

/// Runs the command.
pub async fn run(mut args: ProjectsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    args.fill().await?;
    match (&args.target.data, &args.target.state_bucket) {
        (Some(data), None) => on_folder(data, &args, out).await,
        (None, Some(bucket)) => on_deployment(bucket, &args, out).await,
        _ => bail!(
            "give --data for the folder of a demo, or --stack (or --state-bucket) for a deployed stack"
        ),
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
        let config = config(args, |name| own.get(name).cloned())?;
        let client = stack.api_client()?;
        let by_cron = config.service_token_parameter.is_some();
        let fanout = stack.fanout(config.settings, by_cron)?;
        let fanout = fanout.registering_again(args.registers_again());
        let stack = Asked {
            source: &client,
            registry: &stack.automations(),
            clock: &stack.clock,
            remote: fanout.remote(),
        };
        command(&fanout, &stack, args, out).await
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
            "--stack is missing, or --path: the stack's parameter ProvisionPath, or --path '' where it is empty"
        );
    }
    let bus = match (asked, &target.bus) {
        (ProjectsCommand::Apply(_), None) => {
            bail!("--stack is missing, or --bus: the stack's output BusName")
        }
        (_, bus) => bus.clone().unwrap_or_default(),
    };
    let config = config(args, |_| None)?;
    let key = system::environment("BRAINTRUST_API_KEY").unwrap_or_default();
    if key.is_empty() && needs_settings {
        bail!("BRAINTRUST_API_KEY is not set: the key by which the projects are listed");
    }
    let client = {
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
        );
        Arc::new(client.for_organization(target.api_organization.as_deref())?)
    };
    let token = match (&config.service_token_parameter, asked) {
        (None, _) => None,
        (Some(_), ProjectsCommand::Apply(_)) => {
            let token = system::environment("BRAINTRUST_SERVICE_TOKEN").unwrap_or_default();
            let said = "BRAINTRUST_SERVICE_TOKEN: the token that a data plane up to v2.0 runs exports with";
            Some(FixedKey(ApiKey::parse(&token).context(said)?))
        }
        (Some(_), _) => Some(FixedKey(ApiKey::parse("unused")?)),
    };
    let sdk = target.deployed.sdk().await;
    let registry = Registry {
        store: S3Store::on(&sdk, bucket.clone()),
        entropy: OsEntropy,
        shards: target.shards.unwrap_or(1),
    };
    let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
    let (store, settings) = (registry.clone(), config.settings);
    let fanout = Fanout::new(store, client.clone(), bus, SystemClock, settings);
    let fanout = fanout.managing(Provisioning::new(client.clone(), token));
    let fanout = fanout.registering_again(args.registers_again());
    let stack = Asked {
        source: client.as_ref(),
        registry: &registry,
        clock: &SystemClock,
        remote: fanout.remote().filter(|_| !key.is_empty()),
    };
    command(&fanout, &stack, args, out).await
}

/// The function's configuration, read by its own reader: an option in place of each variable.
fn config(
    args: &ProjectsArgs,
    otherwise: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let given = &args.settings;
    let requests = match &args.command {
        // Whoever does it by hand waits for it.
        ProjectsCommand::Apply(apply) => Some(apply.requests.unwrap_or(1_000_000).to_string()),
        _ => None,
    };
    // Where the token is, is no parameter here.
    let token = given.data_plane_version.as_ref();
    let token = token.map(|_| "BRAINTRUST_SERVICE_TOKEN".to_owned());
    let lookup = |name: &str| {
        let given = match name {
            "SEALIFT_PROVISION_PATH" => &given.path,
            "SEALIFT_PROVISION_ROLE_ARN" => &given.role_arn,
            "SEALIFT_PROVISION_DEFINITION" => &given.definition,
            "SEALIFT_PROVISION_FORMAT" => &given.format,
            "SEALIFT_PROVISION_INTERVAL_SECONDS" => &given.interval,
            "SEALIFT_PROVISION_EXCLUDE" => &given.exclude,
            "SEALIFT_PROVISION_START" => &given.start,
            "SEALIFT_PROVISION_MODE" => &given.mode,
            "SEALIFT_PROVISION_REQUESTS" => &requests,
            "SEALIFT_PROVISION_SERVICE_TOKEN_PARAMETER" => &token,
            "SEALIFT_DATA_PLANE_VERSION" => &given.data_plane_version,
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
    let said = "see --path, --role-arn, --definition, --format, --interval, --start, --mode, --requests and \
                --data-plane-version";
    Config::from_lookup(lookup).context(said)
}

/// What a command asks, beside the function's logic.
struct Asked<'a, S, E, C, L, R> {
    source: &'a L,
    registry: &'a Registry<S, E>,
    clock: &'a C,
    /// How automations in Braintrust stand; none where there is no key to ask with.
    remote: Option<&'a R>,
}

async fn command<S, P, B, C, D, E, L, R>(
    fanout: &Fanout<S, P, B, C, E, R>,
    stack: &Asked<'_, S, E, D, L, R>,
    args: &ProjectsArgs,
    out: &mut impl Write,
) -> anyhow::Result<()>
where
    S: ObjectStore,
    P: Projects,
    B: EventBus,
    C: Clock,
    D: Clock,
    E: Entropy,
    L: LogSource,
    R: Remote,
{
    match &args.command {
        ProjectsCommand::Status(args) => {
            status::print(stack.registry, stack.remote, args.json, stack.clock, out).await
        }
        ProjectsCommand::Plan(args) => {
            let situation = fanout.look().await?;
            let drift = if args.drift {
                Some(fanout.drift(&situation).await?)
            } else {
                None
            };
            let beginnings = history::beginnings(&situation, stack.clock.now())?;
            let history = if args.history {
                Some(history::ask(stack.source, &beginnings, stack.clock).await?)
            } else {
                None
            };
            let requests = fanout.requests();
            let plan = plan::Printed {
                situation: &situation,
                drift,
                beginnings,
                history,
                requests,
            };
            if args.json {
                plan.json(out)
            } else {
                plan.table(out)
            }
        }
        ProjectsCommand::Apply(_) => {
            let situation = fanout.look().await?;
            let steps = situation.plan.steps.len();
            let deadline = stack.clock.now().checked_add(APPLY_LIMIT)?;
            let bar = indicatif::ProgressBar::new(u64::try_from(steps)?);
            let progress = |behind| bar.set_position(u64::try_from(behind).unwrap_or(0));
            let applied = fanout.apply(&situation, deadline, progress).await;
            bar.finish_and_clear();
            plan::print_applied(&applied?, &situation, out)
        }
    }
}

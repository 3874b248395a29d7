//! `sealift export`: the automations of a stack: create, look at, run and control them.
//!
//! What changes something is sent as a control event over the bus, so that a stack on this
//! machine and a deployed one do the same; what only looks reads the documents.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::{OsEntropy, S3Store, SystemClock};
use sealift_core::Timestamp;
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::message::{Control, Due, Message, Reset, Start};
use sealift_core::export::registry::Registry;
use sealift_core::id::{AccountId, AutomationId, BucketName, OrgId, ProjectId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};

use serde::Deserialize;

use self::status::Format;
use crate::stack::Stack;

mod status;

/// Create, look at, run and control interval exports.
///
/// Give --data for the folder of a demo, or --state-bucket and --bus for a deployed stack (its
/// outputs StateBucketName and BusName; AWS credentials and region come from the environment).
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    target: Target,

    #[command(subcommand)]
    command: ExportCommand,
}

/// Which stack.
#[derive(Debug, Args)]
struct Target {
    /// The folder of a demo
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        conflicts_with = "state_bucket"
    )]
    data: Option<PathBuf>,

    /// The bucket of a deployed stack's state
    #[arg(long, global = true, value_name = "BUCKET")]
    state_bucket: Option<BucketName>,

    /// The bus of a deployed stack
    #[arg(long, global = true, value_name = "NAME", requires = "state_bucket")]
    bus: Option<String>,

    /// The number of documents of a deployed stack's timetable: its parameter ExportShards
    #[arg(
        long,
        global = true,
        value_name = "NUMBER",
        default_value_t = 1,
        requires = "state_bucket"
    )]
    shards: u16,
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    Create(CreateArgs),
    /// Show automations: what they do, where they stand, their last runs and what went wrong
    Status(StatusArgs),
    /// Run an automation now, once
    Run(OneArgs),
    /// Set an automation's cursor; what was exported stays, and is exported again beside it
    Reset(ResetArgs),
    /// Stop an automation; its cursor stands
    Pause(OneArgs),
    /// Let a paused automation go on, at once
    Resume(OneArgs),
    /// Test the way into an automation's bucket: write a small object, and delete it
    Test(OneArgs),
}

/// Create an automation from Braintrust's own JSON (the body of POST /v1/project_automation).
///
/// Creating it again with the same content changes nothing.
#[derive(Debug, Args)]
struct CreateArgs {
    /// The file with the JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The Braintrust organization that the project belongs to; it stands in the ExternalId
    #[arg(long)]
    org: OrgId,

    /// The automation's id; a new one if not given
    #[arg(long)]
    id: Option<AutomationId>,

    /// Where it starts: `0` (the first row), `now`, a date or time (UTC), or a transaction id
    #[arg(long, default_value = "0")]
    start: Start,

    /// The AWS account that the bucket must belong to, if not the role's
    #[arg(long, value_name = "ACCOUNT")]
    bucket_owner: Option<AccountId>,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// The automations; all, if none is given
    #[arg(value_name = "ID")]
    ids: Vec<AutomationId>,

    /// For programs: the documents as they are
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The automation
    #[arg(value_name = "ID")]
    id: AutomationId,
}

#[derive(Debug, Args)]
struct ResetArgs {
    /// The automation
    #[arg(value_name = "ID")]
    id: AutomationId,

    /// Where it starts: `0` (the first row), `now`, a date or time (UTC), or a transaction id
    #[arg(long)]
    start: Start,
}

/// Braintrust's `CreateProjectAutomation`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateProjectAutomation {
    project_id: ProjectId,
    name: String,
    #[serde(default)]
    description: Option<String>,
    config: ExportConfig,
}

/// Runs the command.
pub async fn run(args: ExportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ExportArgs { target, command } = args;
    match (&target.data, &target.state_bucket) {
        (Some(data), None) => on_folder(data, command, out).await,
        (None, Some(bucket)) => on_deployment(bucket, &target, command, out).await,
        _ => bail!("give --data for the folder of a demo, or --state-bucket for a deployed stack"),
    }
}

async fn on_folder(
    data: &Path,
    command: ExportCommand,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if !data.exists() {
        bail!(
            "{} does not exist; run `sealift demo` first",
            data.display()
        );
    }
    let stack = Stack::start(data, std::collections::BTreeMap::new()).await?;
    let registry = stack.automations();
    let done = match command_or_message(command) {
        Asked::Create(args) => create(&registry, &args, stack.now(), out).await,
        Asked::Status(args) => {
            status::print(
                &registry,
                &args.ids,
                Format::of(args.json),
                stack.now(),
                out,
            )
            .await
        }
        Asked::Send(message) => send_and_run(&stack, &registry, &message, out).await,
    };
    stack.aws.shutdown().await;
    done
}

async fn on_deployment(
    bucket: &BucketName,
    target: &Target,
    command: ExportCommand,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let sdk = sealift_aws::config::load().await;
    let registry = Registry {
        store: S3Store::on(&sdk, bucket.clone()),
        entropy: OsEntropy,
        shards: target.shards,
    };
    let now = SystemClock.now();
    match command_or_message(command) {
        Asked::Create(args) => create(&registry, &args, now, out).await,
        Asked::Status(args) => {
            status::print(&registry, &args.ids, Format::of(args.json), now, out).await
        }
        Asked::Send(message) => {
            let bus = target.bus.as_deref();
            let bus = bus.context("--bus is missing: the stack's output BusName")?;
            registry.automation(message.automation()).await?;
            let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
            for told in bus.put(&[message.entry()]).await {
                told.context("the event did not get onto the bus")?;
            }
            let entry = message.entry().detail_type;
            writeln!(
                out,
                "{entry} is on the bus; see what comes of it with `sealift export status {}`",
                message.automation()
            )?;
            Ok(())
        }
    }
}

/// What a command asks for.
enum Asked {
    Create(CreateArgs),
    Status(StatusArgs),
    Send(Message),
}

fn command_or_message(command: ExportCommand) -> Asked {
    let control = |id| Control { automation_id: id };
    Asked::Send(match command {
        ExportCommand::Create(args) => return Asked::Create(args),
        ExportCommand::Status(args) => return Asked::Status(args),
        ExportCommand::Run(OneArgs { id }) => Message::Due(Due {
            automation_id: id,
            requests: None,
        }),
        ExportCommand::Reset(ResetArgs { id, start }) => Message::Reset(Reset {
            automation_id: id,
            start,
        }),
        ExportCommand::Pause(OneArgs { id }) => Message::Pause(control(id)),
        ExportCommand::Resume(OneArgs { id }) => Message::Resume(control(id)),
        ExportCommand::Test(OneArgs { id }) => Message::Test(control(id)),
    })
}

async fn create<S: ObjectStore, E: Entropy>(
    registry: &Registry<S, E>,
    args: &CreateArgs,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let file = args.file.display();
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {file}"))?;
    let asked: CreateProjectAutomation = serde_json::from_str(&text)
        .with_context(|| format!("{file} is no btql_export automation of Braintrust's"))?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => AutomationId::parse(OsEntropy.nonce())?,
    };
    let automation = Automation {
        id: id.clone(),
        organization: args.org.clone(),
        project_id: asked.project_id,
        name: asked.name,
        description: asked.description,
        created_ms: now.as_millisecond(),
        config: asked.config,
        bucket_owner: args.bucket_owner.clone(),
    };
    let start = args.start.position(now);
    let new = registry
        .register(&automation, start, now.as_millisecond())
        .await?;
    let what = if new { "created" } else { "exists already" };
    writeln!(out, "automation {id} {what}; it is due at once")?;
    Ok(())
}

/// How long a message may take on the stack's clock, which jumps over waits.
const LIMIT: Duration = Duration::from_hours(2);

/// Sends a message on the folder's bus, lets everything run that follows, and shows the
/// automation.
async fn send_and_run(
    stack: &Stack,
    registry: &Registry<S3Store, OsEntropy>,
    message: &Message,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let id = message.automation().clone();
    registry.automation(&id).await?;
    stack.tell(message)?;
    let limit = stack.now().checked_add(LIMIT)?;
    stack.bus.run_until_idle(limit).await?;
    // What a reset or a resume made due is started by the next minute.
    stack.run_exports(limit).await?;
    status::print(registry, &[id], Format::People, stack.now(), out).await
}

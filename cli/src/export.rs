//! `sealift export`: the automations of a stack: create, look at, run and control them.
//!
//! What controls a run is sent as a control event over the bus, so that a stack on this machine
//! and a deployed one do the same; the others read and write the documents, and tell the audit log
//! of what they change.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use sealift_aws::bus::EventBridgeBus;
use sealift_aws::{OsEntropy, S3Store, SystemClock};
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::message::{Control, Due, Message, Reset, Start};
use sealift_core::export::registry::Registry;
use sealift_core::id::{AccountId, AutomationId, BucketName, OrgId, ProjectId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use serde::Deserialize;

use self::change::{Changing, NoBus, made};
use self::status::Format;
use crate::demo::MARKER;
use crate::stack::Stack;
use crate::target::StackArgs;

pub(crate) use self::status::time;

mod change;
mod status;

/// Create, look at, run and control interval exports.
///
/// Give --data for the folder of a demo, or --stack for a deployed stack; in place of that,
/// --state-bucket and --bus (its outputs StateBucketName and BusName). AWS credentials and region
/// come from the environment.
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
        conflicts_with_all = ["state_bucket", "stack"]
    )]
    data: Option<PathBuf>,

    #[command(flatten)]
    deployed: StackArgs,

    /// The bucket of a deployed stack's state
    #[arg(long, global = true, value_name = "BUCKET")]
    state_bucket: Option<BucketName>,

    /// The bus of a deployed stack
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "data")]
    bus: Option<String>,

    /// The number of documents of a deployed stack's timetable, as its parameter ExportShards
    /// has it; 1 if not given
    #[arg(long, global = true, value_name = "NUMBER", conflicts_with = "data")]
    shards: Option<u16>,
}

impl Target {
    /// Takes what was not given from the stack that was named.
    async fn fill(&mut self) -> anyhow::Result<()> {
        let Some(stack) = self.deployed.describe().await? else {
            return Ok(());
        };
        if self.state_bucket.is_none() {
            let bucket = stack.output("StateBucketName")?;
            self.state_bucket = Some(bucket.parse()?);
        }
        if self.bus.is_none() {
            self.bus = Some(stack.output("BusName")?.to_owned());
        }
        if let (None, Some(shards)) = (self.shards, stack.parameter("ExportShards")) {
            let shards = shards.parse();
            self.shards = Some(shards.context("the stack's parameter ExportShards")?);
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    Create(CreateArgs),
    Update(UpdateArgs),
    /// Show automations: what they do, where they stand, their last runs and what went wrong
    Status(StatusArgs),
    /// Run an automation now, whatever its timetable says; fails if the run fails
    Run(OneArgs),
    /// Set an automation's cursor; what was exported stays, and is exported again beside it
    Reset(ResetArgs),
    /// Stop an automation; its cursor stands
    Pause(OneArgs),
    /// Let a paused automation go on, at once
    Resume(OneArgs),
    /// Test the way into an automation's bucket: write a small object, and delete it; fails if
    /// it cannot be written
    Test(OneArgs),
    /// Delete an automation and its cursor; what was exported stays
    Delete(OneArgs),
}

/// Create an automation from Braintrust's own JSON (the body of POST /v1/project_automation).
///
/// Creating it again with the same content changes nothing.
#[derive(Debug, Args)]
struct CreateArgs {
    /// The file with the JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The Braintrust organization that the project belongs to; it stands in the ExternalId.
    /// Needed for a deployed stack
    #[arg(long)]
    org: Option<OrgId>,

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

/// Change an automation: what the file says counts from the next run on.
///
/// Its cursor stays where it is. The project, the path and the kind of what is exported cannot be
/// changed.
#[derive(Debug, Args)]
struct UpdateArgs {
    /// The automation
    #[arg(value_name = "ID")]
    id: AutomationId,

    /// The file with the JSON, as for `create`
    #[arg(value_name = "FILE")]
    file: PathBuf,

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
    let ExportArgs {
        mut target,
        command,
    } = args;
    target.fill().await?;
    match (&target.data, &target.state_bucket) {
        (Some(data), None) => Box::pin(on_folder(data, command, out)).await,
        (None, Some(bucket)) => Box::pin(on_deployment(bucket, &target, command, out)).await,
        _ => bail!(
            "give --data for the folder of a demo, or --stack (or --state-bucket) for a deployed stack"
        ),
    }
}

async fn on_folder(
    data: &Path,
    command: ExportCommand,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if !data.join(MARKER).exists() {
        let data = data.display();
        bail!("{data} was not made by a demo; run `sealift demo --data {data}` first");
    }
    let stack = Stack::start(data, std::collections::BTreeMap::new()).await?;
    let registry = stack.automations();
    let organization = stack.api.organization().id.clone();
    let done = match asked(command) {
        Asked::Document(command) => {
            let changing = Changing::new(&registry, stack.own_bus(), stack.now());
            let done = Box::pin(documents(&changing, command, Some(organization), out)).await;
            // What was told is on its way through this process alone.
            let limit = stack.now().checked_add(LIMIT)?;
            match done {
                Ok(()) => stack
                    .bus
                    .run_until_idle(limit)
                    .await
                    .map(drop)
                    .map_err(Into::into),
                failed => failed,
            }
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
    let sdk = target.deployed.sdk().await;
    let registry = Registry {
        store: S3Store::on(&sdk, bucket.clone()),
        entropy: OsEntropy,
        shards: target.shards.unwrap_or(1),
    };
    let message = match asked(command) {
        Asked::Document(command) => {
            let now = SystemClock.now();
            return match &target.bus {
                Some(bus) => {
                    let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
                    Box::pin(documents(
                        &Changing::new(&registry, bus, now),
                        command,
                        None,
                        out,
                    ))
                    .await
                }
                None => {
                    Box::pin(documents(
                        &Changing::new(&registry, NoBus, now),
                        command,
                        None,
                        out,
                    ))
                    .await
                }
            };
        }
        Asked::Send(message) => message,
    };
    let bus = target.bus.as_deref();
    let bus = bus.context("--stack is missing, or --bus: the stack's output BusName")?;
    registry.automation(message.automation()).await?;
    let bus = EventBridgeBus::on(&sdk, bus, SystemClock);
    let entry = message.entry();
    for told in bus.put(std::slice::from_ref(&entry)).await {
        told.context("the event did not get onto the bus")?;
    }
    let (what, id) = (entry.detail_type, message.automation());
    writeln!(
        out,
        "{what} is on the bus; `sealift export status {id}` shows what comes of it"
    )?;
    Ok(())
}

/// What a command asks for.
enum Asked {
    /// To read or write documents.
    Document(Documents),
    /// To send a control event.
    Send(Message),
}

/// What is done with documents.
enum Documents {
    Create(CreateArgs),
    Update(UpdateArgs),
    Status(StatusArgs),
    Delete(AutomationId),
}

fn asked(command: ExportCommand) -> Asked {
    let control = |id| Control { automation_id: id };
    let message = match command {
        ExportCommand::Create(args) => return Asked::Document(Documents::Create(args)),
        ExportCommand::Update(args) => return Asked::Document(Documents::Update(args)),
        ExportCommand::Status(args) => return Asked::Document(Documents::Status(args)),
        ExportCommand::Delete(args) => return Asked::Document(Documents::Delete(args.id)),
        ExportCommand::Run(OneArgs { id }) => Message::Due(Due {
            automation_id: id,
            requests: None,
            grant: None,
        }),
        ExportCommand::Reset(ResetArgs { id, start }) => Message::Reset(Reset {
            automation_id: id,
            start,
            event_id: None,
        }),
        ExportCommand::Pause(OneArgs { id }) => Message::Pause(control(id)),
        ExportCommand::Resume(OneArgs { id }) => Message::Resume(control(id)),
        ExportCommand::Test(OneArgs { id }) => Message::Test(control(id)),
    };
    Asked::Send(message)
}

async fn documents<S: ObjectStore, B: EventBus, E: Entropy>(
    changing: &Changing<'_, S, B, E>,
    command: Documents,
    organization: Option<OrgId>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let registry = changing.registry;
    match command {
        Documents::Create(args) => create(changing, &args, organization, out).await,
        Documents::Update(args) => {
            let mut asked = read(&args.file)?;
            let there = registry.automation(&args.id).await?;
            // A paused one stays so, unless the file says otherwise.
            asked.config.status = asked.config.status.or(there.config.status);
            let automation = Automation {
                project_id: asked.project_id,
                name: asked.name,
                description: asked.description,
                config: asked.config,
                bucket_owner: args.bucket_owner,
                ..there.clone()
            };
            made(changing.by_us().change(&there, &automation).await?, out)?;
            writeln!(out, "automation {} is changed, and due at once", args.id)?;
            Ok(())
        }
        Documents::Status(args) => {
            let format = Format::of(args.json);
            status::print(registry, &args.ids, format, changing.now, out).await
        }
        Documents::Delete(id) => {
            let there = registry.automation(&id).await?;
            made(changing.by_us().remove(&there).await?, out)?;
            writeln!(out, "automation {id} is deleted; what it exported stays")?;
            Ok(())
        }
    }
}

/// Reads Braintrust's JSON; the error names the field.
fn read(file: &Path) -> anyhow::Result<CreateProjectAutomation> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        anyhow!(
            "{name} is no btql_export automation of Braintrust's: {}: {}",
            error.path(),
            error.inner()
        )
    })?;
    json.end()
        .with_context(|| format!("{name} holds more than one automation"))?;
    Ok(read)
}

async fn create<S: ObjectStore, B: EventBus, E: Entropy>(
    changing: &Changing<'_, S, B, E>,
    args: &CreateArgs,
    organization: Option<OrgId>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (asked, now) = (read(&args.file)?, changing.now);
    let organization = match (organization, &args.org) {
        (Some(own), Some(asked)) if own != *asked => {
            bail!("the folder's organization is {own}, not {asked}: a stack serves one")
        }
        (own, asked) => own
            .or_else(|| asked.clone())
            .context("--org is missing: the Braintrust organization that the project belongs to")?,
    };
    let id = match &args.id {
        Some(id) => id.clone(),
        None => AutomationId::parse(OsEntropy.nonce())?,
    };
    let automation = Automation {
        id: id.clone(),
        organization,
        project_id: asked.project_id,
        name: asked.name,
        description: asked.description,
        created_ms: now.as_millisecond(),
        config: asked.config,
        bucket_owner: args.bucket_owner.clone(),
    };
    let start = args.start.position(now)?;
    let registered = changing.by_us().register(&automation, start).await?;
    let new = made(registered, out)?;
    let state = match (new, automation.is_active()) {
        (false, _) => "exists already, just so",
        (true, true) => "is created, and due at once",
        (true, false) => "is created, and paused",
    };
    writeln!(out, "automation {id} {state}")?;
    Ok(())
}

/// How long what follows a message may take on the stack's clock, which jumps over waits.
const LIMIT: Duration = Duration::from_hours(1);

/// Sends a message on the folder's bus, lets run what follows from it, and shows the automation.
async fn send_and_run(
    stack: &Stack,
    registry: &Registry<S3Store, OsEntropy>,
    message: &Message,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let id = message.automation().clone();
    let automation = registry.automation(&id).await?;
    let before = registry.cursor(&id).await?.body;
    if matches!(message, Message::Due(_)) {
        if !automation.is_active() {
            bail!("automation {id} is paused; `sealift export resume {id}` lets it go on");
        }
        if let Some(claim) = before
            .claim
            .filter(|c| c.until_ms > stack.now().as_millisecond())
        {
            let until = status::time(claim.until_ms);
            bail!(
                "a run of {id} that was cut off holds it until {until}; the next run goes on then"
            );
        }
    }
    if let Message::Reset(reset) = message {
        reset.start.position(stack.now())?;
    }
    stack.tell(message)?;
    let limit = stack.now().checked_add(LIMIT)?;
    stack.bus.run_until_idle(limit).await?;
    if matches!(message, Message::Reset(_) | Message::Resume(_)) {
        // What became due is started by the next minute.
        stack.run_export(&id, limit).await?;
    }
    status::print(
        registry,
        std::slice::from_ref(&id),
        Format::People,
        stack.now(),
        out,
    )
    .await?;
    let after = registry.cursor(&id).await?.body;
    match message {
        Message::Due(_) if after.failure.is_some() => bail!("the run failed"),
        Message::Test(_) if after.tested.is_some_and(|test| !test.written) => {
            bail!("no object could be written")
        }
        _ => Ok(()),
    }
}

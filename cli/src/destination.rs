//! `sealift destination`: what the control API does, from the command line.
//!
//! Nothing is known here that the API does not tell: it refuses, decides and checks. `wire.rs` holds its
//! answers, `page.rs`, `check.rs` and `status.rs` print them, `create.rs` says what an owner has to set
//! up, `control.rs` starts, stops and changes, and `import.rs` brings many at once. Where the API is, [`crate::target`] finds out.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sealift_core::id::{DestinationId, OrgId};
use serde_json::{Value, json};

use self::control::{CancelArgs, RemoveArgs, ReplayArgs, StartArgs, SwitchArgs};
use self::create::CreateArgs;
use self::import::ImportArgs;
use self::wire::{Check, Destination, Page, Status};
use crate::target::{Api, ApiError, TargetArgs};

mod check;
mod control;
mod create;
mod import;
mod keys;
mod page;
mod status;
mod wire;

/// Create, check, start, watch and control destinations of audit events.
///
/// They go to the control API: of a `sealift serve` on this machine (--data), of any address (--api), or of
/// a deployed stack (--stack).
#[derive(Debug, Args)]
pub struct DestinationArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<CreateArgs>),
    /// List an organization's destinations
    List(At),
    /// Show a destination: where it goes, how it gets in, and what its role has to ask for
    Show(One),
    Check(CheckArgs),
    Start(StartArgs),
    /// Pause a destination; events wait for it, for 30 days
    Pause(One),
    Replay(ReplayArgs),
    /// Call a replay off; what it has delivered stays
    CancelReplay(CancelArgs),
    Switch(SwitchArgs),
    Remove(RemoveArgs),
    /// Show how a destination stands: what it has delivered, what waits, what is wrong and whose it is to
    /// mend
    Status(One),
    Import(ImportArgs),
}

impl Command {
    /// Whether what is printed is for programs.
    fn is_json(&self) -> bool {
        match self {
            Self::Create(args) => args.at.json,
            Self::List(at) => at.json,
            Self::Show(one) | Self::Pause(one) | Self::Status(one) => one.at.json,
            Self::Check(args) => args.one.at.json,
            Self::Start(args) => args.one.at.json,
            Self::Replay(args) => args.one.at.json,
            Self::CancelReplay(args) => args.one.at.json,
            Self::Switch(args) => args.one.at.json,
            Self::Remove(args) => args.one.at.json,
            Self::Import(args) => args.json,
        }
    }
}

/// Whose destinations, and where.
#[derive(Debug, Args)]
struct At {
    /// The organization
    #[arg(long)]
    org: OrgId,

    /// Print the API's answer, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: TargetArgs,
}

impl At {
    /// The API's path of the organization's destinations, and what comes below it.
    fn path<'a>(&'a self, below: &[&'a str]) -> Vec<&'a str> {
        path(self.org.as_str(), below)
    }
}

fn path<'a>(organization: &'a str, below: &[&'a str]) -> Vec<&'a str> {
    [
        &["v1", "organizations", organization, "destinations"],
        below,
    ]
    .concat()
}

#[derive(Debug, Args)]
struct One {
    /// The destination
    #[arg(value_name = "ID")]
    id: DestinationId,

    #[command(flatten)]
    at: At,
}

impl One {
    fn path<'a>(&'a self, below: &[&'a str]) -> Vec<&'a str> {
        self.at.path(&[&[self.id.as_str()], below].concat())
    }

    fn name(&self) -> String {
        format!("{} of {}", self.id, self.at.org)
    }

    fn again(&self) -> String {
        let At { org, target, .. } = &self.at;
        format!("{} --org {org}{}", self.id, target.again())
    }
}

/// Check a destination, by the code that delivers.
///
/// Writes a small object below the prefix and tries the role with wrong ExternalIds; prints what was allowed
/// and what was not, why, and the policy statement that mends it. Takes up to half a minute if something is
/// refused. Fails unless the destination is healthy.
#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    one: One,

    /// Write the policy that mends it to a file
    #[arg(long, value_name = "FILE")]
    mend: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: DestinationArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let for_programs = args.command.is_json();
    let done = match args.command {
        Command::Create(args) => create::run(&args, out).await,
        Command::List(at) => list(&at, out).await,
        Command::Show(one) => show(&one, out).await,
        Command::Check(args) => check(&args, out).await,
        Command::Start(args) => control::start(&args, out).await,
        Command::Pause(one) => control::pause(&one, out).await,
        Command::Replay(args) => control::replay(&args, out).await,
        Command::CancelReplay(args) => control::cancel_replay(&args, out).await,
        Command::Switch(args) => control::switch(&args, out).await,
        Command::Remove(args) => control::remove(&args, out).await,
        Command::Status(one) => status(&one, out).await,
        Command::Import(args) => import::run(&args, out).await,
    };
    if !for_programs
        && let Err(error) = &done
        && let Some(refused) = error.downcast_ref::<ApiError>()
        && let Some(found) = &refused.check
        && let Ok(found) = serde_json::from_value::<Check>(found.clone())
    {
        // What stands in the way is worth as much as that something does.
        check::print(&found, out)?;
    }
    done
}

fn print_json(answer: &Value, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{answer:#}")?;
    Ok(())
}

/// All of an organization's destinations, page by page, as the API has them.
async fn all(api: &Api, at: &At) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let last = all.last().and_then(|there| there.get("id"));
        let last = last.and_then(Value::as_str).map(str::to_owned);
        let mut query = vec![("limit", "100")];
        if let Some(last) = &last {
            query.push(("starting_after", last));
        }
        let page: Page = api.get(&at.path(&[]), &query).await?.read()?;
        let is_empty = page.objects.is_empty();
        all.extend(page.objects);
        if !page.has_more || is_empty {
            return Ok(all);
        }
    }
}

async fn list(at: &At, out: &mut impl Write) -> anyhow::Result<()> {
    let all = all(&at.target.api().await?, at).await?;
    if at.json {
        return print_json(&json!({"objects": all, "has_more": false}), out);
    }
    if all.is_empty() {
        let org = &at.org;
        writeln!(
            out,
            "{org} has no destination; `sealift destination create --help` tells how to make one"
        )?;
        return Ok(());
    }
    let all: Result<Vec<Destination>, _> = all.into_iter().map(serde_json::from_value).collect();
    let all = all.context("the API's list cannot be read")?;
    Ok(page::table(&all, out)?)
}

async fn show(one: &One, out: &mut impl Write) -> anyhow::Result<()> {
    let api = one.at.target.api().await?;
    let answer = api.get(&one.path(&[]), &[]).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    Ok(page::show(&answer.read()?, out)?)
}

async fn check(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let one = &args.one;
    let api = one.at.target.api().await?;
    let answer = api.post(&one.path(&["check"]), &json!({})).await?;
    let found: Check = answer.read()?;
    if one.at.json {
        print_json(&answer.read()?, out)?;
    } else {
        writeln!(out, "{}, checked {}\n", one.name(), found.checked)?;
        check::print(&found, out)?;
    }
    if let Some(file) = &args.mend {
        // Standard output is the API's answer alone where programs read it.
        match one.at.json {
            true => check::write_mend(&found, file, &mut std::io::sink())?,
            false => check::write_mend(&found, file, out)?,
        }
    }
    if !found.is_healthy() {
        bail!(
            "the destination {} is not healthy: {}",
            one.name(),
            page::word(&found.verdict)
        );
    }
    Ok(())
}

async fn status(one: &One, out: &mut impl Write) -> anyhow::Result<()> {
    let api = one.at.target.api().await?;
    let answer = api.get(&one.path(&["status"]), &[]).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let status: Status = answer.read()?;
    Ok(status::print(&status, out)?)
}

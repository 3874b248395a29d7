//! Starting, stopping and changing a destination that is there.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::create::{self, Way};
use super::wire::{Destination, Replay};
use super::{One, page, print_json, status};

/// Start a destination, or resume it.
///
/// It needs a healthy check of the last day. At the first start events are delivered from now on; after a
/// pause, from where it was paused.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    pub(super) one: One,

    /// At the first start, from when on events are delivered: a time of the last 30 days, such as
    /// 2026-01-02T03:04:05Z
    #[arg(long = "at", value_name = "TIME")]
    start_at: Option<String>,

    /// As the operator, start it without a healthy check; needs --reason
    #[arg(long = "override", requires = "reason")]
    override_check: bool,

    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Deliver a past range once more, into a folder of its own beside the live stream.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) one: One,

    /// The first moment, such as 2026-01-02T03:00:00Z; whole hours are delivered
    #[arg(long, value_name = "TIME")]
    from: String,

    /// The moment after the last
    #[arg(long, value_name = "TIME")]
    to: String,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub(super) one: One,

    /// The replay; `sealift destination status` lists them
    #[arg(value_name = "REPLAY")]
    replay: String,
}

/// Change how Sealift gets in: by a role, or by access keys.
///
/// Other access keys take the place of those that are stored; a role has them deleted. One that streams is
/// checked first, and left as it is unless that finds it healthy.
#[derive(Debug, Args)]
pub(super) struct SwitchArgs {
    #[command(flatten)]
    pub(super) one: One,

    #[command(flatten)]
    way: Way,
}

/// Remove a destination, its access keys and its cursor; objects in the bucket stay.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    pub(super) one: One,

    /// Do it: what waits for it is not delivered any more, and its ExternalId is gone
    #[arg(long)]
    yes: bool,
}

pub(super) async fn start(args: &StartArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let one = &args.one;
    let mut body = Map::new();
    if let Some(time) = &args.start_at {
        body.insert("start_at".to_owned(), json!(time));
    }
    if args.override_check {
        body.insert("override_check".to_owned(), json!(true));
    }
    if let Some(reason) = &args.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    let api = one.at.target.api().await?;
    let answer = api
        .post(&one.path(&["start"]), &Value::Object(body))
        .await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let there: Destination = answer.read()?;
    let since = there.started.as_deref().unwrap_or("now");
    writeln!(
        out,
        "{} is {}, with events since {since}",
        one.name(),
        page::word(&there.status)
    )?;
    writeln!(out, "\n  sealift destination status {}", one.again())?;
    Ok(())
}

pub(super) async fn pause(one: &One, out: &mut impl Write) -> anyhow::Result<()> {
    let api = one.at.target.api().await?;
    let answer = api.post(&one.path(&["pause"]), &json!({})).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let there: Destination = answer.read()?;
    let status = page::word(&there.status);
    writeln!(
        out,
        "{} is {status}; events wait for it, for 30 days",
        one.name()
    )?;
    writeln!(out, "\n  sealift destination start {}", one.again())?;
    Ok(())
}

pub(super) async fn replay(args: &ReplayArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ReplayArgs { one, from, to } = args;
    let api = one.at.target.api().await?;
    let body = json!({"from": from, "to": to});
    let answer = api.post(&one.path(&["replay"]), &body).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let replay: Replay = answer.read()?;
    status::print_replay(&replay, out)?;
    writeln!(out, "\n  sealift destination status {}", one.again())?;
    Ok(())
}

pub(super) async fn cancel_replay(args: &CancelArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CancelArgs { one, replay } = args;
    let api = one.at.target.api().await?;
    let path = one.path(&["replays", replay, "cancel"]);
    let answer = api.post(&path, &json!({})).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let replay: Replay = answer.read()?;
    Ok(status::print_replay(&replay, out)?)
}

pub(super) async fn switch(args: &SwitchArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let SwitchArgs { one, way } = args;
    let api = one.at.target.api().await?;
    let body = json!({"authentication": way.authentication()?});
    let answer = api.patch(&one.path(&[]), &body).await?;
    if one.at.json {
        return print_json(&answer.read()?, out);
    }
    let there: Destination = answer.read()?;
    page::show(&there, out)?;
    writeln!(out)?;
    create::guide(&there, &one.at, out)
}

pub(super) async fn remove(args: &RemoveArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let one = &args.one;
    if !args.yes {
        bail!(
            "{} is not removed yet: what waits for it would never be delivered, and another one of its \
             name would have another ExternalId. Give --yes to do it",
            one.name()
        );
    }
    let api = one.at.target.api().await?;
    api.delete(&one.path(&[])).await?;
    // The API's answer is empty.
    if !one.at.json {
        let name = one.name();
        writeln!(
            out,
            "{name} is removed, with its access keys and its cursor; objects in its bucket stay"
        )?;
    }
    Ok(())
}

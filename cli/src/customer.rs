//! `sealift customer`: a customer's administrator, on the AWS of a running `sealift serve`.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::serve::{NewBucket, NewKeys, NewPair, NewRole};
use crate::target::{DATA, served};

/// The account that customers have unless another is named.
const ACCOUNT: &str = "222222222222";

/// Play a customer's administrator: make buckets, roles and access keys where `sealift serve` runs.
///
/// With AWS itself the same is done in the console, or by what `sealift onboard` prints.
#[derive(Debug, Args)]
pub struct CustomerArgs {
    /// The folder of a running `sealift serve`
    #[arg(long, global = true, value_name = "DIR", default_value = DATA)]
    data: PathBuf,

    /// The customer's AWS account
    #[arg(long, global = true, value_name = "ID", default_value = ACCOUNT)]
    account: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a bucket
    Bucket {
        /// Its name
        name: String,
    },
    /// Make a role, or give one that is there other policies
    Role {
        /// Its name
        name: String,
        /// A file with the trust policy: who may assume it. `-` is standard input
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// A file with the permission policy: what it may do; nothing if not given. `-` is standard input
        #[arg(long, value_name = "FILE")]
        permissions: Option<PathBuf>,
    },
    /// Make a user with a pair of access keys, which are printed once
    Keys {
        /// The user's name
        name: String,
        /// A file with the permission policy: what the user may do. `-` is standard input
        #[arg(long, value_name = "FILE")]
        permissions: PathBuf,
    },
}

/// Does one thing, and prints what came of it.
pub async fn run(args: CustomerArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let api = served(&args.data).await?;
    let account = args.account;
    match args.command {
        Command::Bucket { name } => {
            let new = serde_json::to_value(NewBucket {
                bucket: name.clone(),
                account,
            })?;
            api.post(&["embedded", "buckets"], &new).await?;
            let place = args.data.join("s3").join(&name);
            writeln!(
                out,
                "{name} is there; its objects will be files below {}",
                place.display()
            )?;
        }
        Command::Role {
            name,
            trust,
            permissions,
        } => {
            let new = serde_json::to_value(NewRole {
                role: name,
                account,
                trust_policy: policy(&trust)?,
                permission_policy: permissions.as_deref().map(policy).transpose()?,
            })?;
            let answer = api.put(&["embedded", "roles"], &new).await?;
            let answer: Value = answer.read()?;
            let arn = answer.get("role_arn").and_then(Value::as_str);
            writeln!(out, "{}", arn.unwrap_or_default())?;
        }
        Command::Keys { name, permissions } => {
            let new = serde_json::to_value(NewKeys {
                user: name,
                account,
                permission_policy: policy(&permissions)?,
            })?;
            let pair: NewPair = api.post(&["embedded", "keys"], &new).await?.read()?;
            writeln!(
                out,
                "export SEALIFT_ACCESS_KEY_ID={}\nexport SEALIFT_SECRET_ACCESS_KEY={}",
                pair.access_key_id, pair.secret_access_key
            )?;
        }
    }
    Ok(())
}

fn policy(file: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no policy: it is not JSON", file.display()))
}

//! `sealift onboard`: what a customer sets up in their AWS account, ready to be pasted, and
//! whether it is right once it is there.
//!
//! The policies come from [`sealift_core::policy`], the check from [`sealift_core::role_check`].
//! `onboard/role.rs` holds what is asked for, `onboard/formats.rs` how it is printed,
//! `onboard/check.rs` the check, and `onboard/managed.rs` what Braintrust's API tells of the
//! automations that use a role.

use std::io::Write;

use anyhow::Context as _;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand, ValueEnum};
use sealift_core::destination::KmsKeyArn;
use sealift_core::id::{BucketName, InvalidId, KeyPrefix};
use sealift_core::policy::Partition;

mod check;
mod formats;
mod managed;
mod role;

use role::{Role, RoleName, Who};

/// What the command line asks for: the policies, or one of the commands below.
///
/// Written by hand, since the options of the one must not be asked of the other.
#[derive(Debug)]
pub struct OnboardArgs(Asked);

#[derive(Debug)]
enum Asked {
    Print(Box<PrintArgs>),
    Command(Box<OnboardCommand>),
}

impl FromArgMatches for OnboardArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.subcommand_name().is_some() {
            let command = OnboardCommand::from_arg_matches(matches)?;
            Ok(Self(Asked::Command(Box::new(command))))
        } else {
            let print = PrintArgs::from_arg_matches(matches)?;
            Ok(Self(Asked::Print(Box::new(print))))
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for OnboardArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        OnboardCommand::augment_subcommands(PrintArgs::augment_args(command))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, Subcommand)]
enum OnboardCommand {
    Check(check::CheckArgs),
}

/// Print what a customer sets up in their AWS account, or check it.
///
/// Prints the trust policy and the permission policy of the one role that Sealift enters the
/// account by: for the console, as commands of the AWS CLI, or as Terraform. When the role is
/// there, `sealift onboard check` tries it.
#[derive(Debug, Args)]
struct PrintArgs {
    #[command(flatten)]
    who: Who,

    /// The customer's bucket
    #[arg(long)]
    bucket: BucketName,

    /// The folder in the bucket; "" for the whole bucket
    #[arg(long, value_parser = KeyPrefix::normalize)]
    prefix: KeyPrefix,

    /// The KMS key that objects are encrypted with, if it is the customer's own
    #[arg(long, value_name = "ARN", value_parser = kms_key)]
    kms_key: Option<KmsKeyArn>,

    /// The role's name; sealift-exports or sealift-audit if not given
    #[arg(long, value_name = "NAME")]
    role_name: Option<RoleName>,

    /// Where the bucket is: aws, aws-cn or aws-us-gov; aws if not given
    #[arg(long)]
    partition: Option<Partition>,

    /// Allow no more than Sealift needs, in place of what the public guides give
    #[arg(long, conflicts_with = "managed")]
    least: bool,

    /// What to print; all if not given
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Print JSON, with everything in it
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Steps in the AWS console, with the JSON to paste
    Console,
    /// Commands of the AWS CLI
    Cli,
    /// A Terraform file
    Terraform,
    /// All three
    All,
}

fn kms_key(text: &str) -> Result<KmsKeyArn, InvalidId> {
    KmsKeyArn::parse(text)
}

/// Runs the command.
pub async fn run(args: OnboardArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.0 {
        Asked::Print(args) => print(&args, out),
        Asked::Command(command) => match *command {
            OnboardCommand::Check(args) => check::run(args, out).await,
        },
    }
}

fn print(args: &PrintArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let role = Role::of(args)?;
    let text = if args.json {
        let mut json = serde_json::to_string_pretty(&role.json()?)?;
        json.push('\n');
        json
    } else {
        match args.format {
            Some(Format::Console) => formats::console(&role),
            Some(Format::Cli) => formats::cli(&role)?,
            Some(Format::Terraform) => formats::terraform(&role)?,
            None | Some(Format::All) => formats::all(&role)?,
        }
    };
    out.write_all(text.as_bytes())
        .context("the policies could not be written out")
}

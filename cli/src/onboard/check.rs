//! `sealift onboard check`: whether a role lets the right ExternalId in, and nothing else.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aws_config::Region;
use clap::Args;
use sealift_aws::sinks::Options;
use sealift_aws::{RoleAttempts, SystemClock};
use sealift_core::destination;
use sealift_core::external_id::{ExternalId, ExternalIdSuffix};
use sealift_core::id::{InvalidId, ProjectId, RoleArn};
use sealift_core::policy::trust::{Admitted, Terms};
use sealift_core::policy::{Document, Partition, Statement};
use sealift_core::role_check::{self, Attempt, Matrix, Verdict};
use serde::Serialize;

use super::formats::wrapped;
use super::managed::{self, Api};
use super::role::Who;
use crate::text::printable;

/// Check a customer's role: it must let the right ExternalId in, and nothing else.
///
/// Assumes the role with no ExternalId, with a wrong one, with another organization's and with the
/// right one, from --principal, or without it from the AWS credentials of the environment. Only no,
/// no, no and yes will do. A change in IAM takes seconds to arrive, so a role that fails is tried
/// again for 20 seconds. Fails unless the role is healthy.
///
/// With --managed the role is Braintrust's to assume, and Sealift cannot try it: the trust policy in
/// --trust-policy is evaluated in its place. BRAINTRUST_API_KEY, if it is set, shows how the
/// automations that use the role fare.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The customer's role
    #[arg(long, value_name = "ARN")]
    role_arn: RoleArn,

    #[command(flatten)]
    who: Who,

    /// A file with the role's trust policy, to be evaluated as well: it shows whether other
    /// accounts get in, which cannot be tried. `aws iam get-role --role-name NAME --query
    /// Role.AssumeRolePolicyDocument` prints it
    #[arg(long, value_name = "FILE", required_if_eq("managed", "true"))]
    trust_policy: Option<PathBuf>,

    /// The region whose STS is asked, in place of the environment's
    #[arg(long, value_parser = region)]
    region: Option<destination::Region>,

    #[command(flatten)]
    api: Api,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn region(text: &str) -> Result<destination::Region, InvalidId> {
    destination::Region::parse(text)
}

/// What is found out, by trying and by reading.
#[derive(Serialize)]
struct Report<'a> {
    role: &'a RoleArn,
    /// None if Sealift does not assume the role.
    tried: Option<&'a Matrix>,
    trust_policy: Option<&'a Matrix>,
    /// The statement that the trust policy must have.
    mend: Option<Statement>,
    automations: Option<Vec<managed::Automation>>,
}

/// Checks, and fails unless all that was checked is healthy.
pub(super) async fn run(args: CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let CheckArgs { role_arn, who, .. } = &args;
    let partition = Partition::of(role_arn);
    let terms = who.terms(partition)?.context(
        "--external-id is missing: the one that Sealift generated for the destination \
         (credentials.external_id)",
    )?;
    let right = right(&terms)?;
    let read = match &args.trust_policy {
        Some(file) => {
            let caller = who.caller(partition)?;
            let policy = read(file)?;
            let matrix = role_check::of_document(&policy, &caller, &right);
            let file = file.display();
            Some(matrix.with_context(|| format!("--trust-policy {file} could not be evaluated"))?)
        }
        None => None,
    };
    let tried = if who.managed {
        None
    } else {
        Some(attempt(&args, &right).await)
    };
    let automations = if who.managed {
        managed::automations(&args.api, role_arn).await?
    } else {
        None
    };
    let all: Vec<&Matrix> = tried.iter().chain(&read).collect();
    let report = Report {
        role: role_arn,
        tried: tried.as_ref(),
        trust_policy: read.as_ref(),
        mend: all.iter().find_map(|matrix| matrix.mend(&terms)),
        automations,
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        report.print(&args, out)?;
    }
    let worst = all.iter().map(|matrix| matrix.verdict());
    match worst.into_iter().find(|found| *found != Verdict::Healthy) {
        None => Ok(()),
        Some(Verdict::Unknown) => bail!("it is not known whether {role_arn} is safe to use"),
        Some(Verdict::Unsafe { .. }) => bail!("{role_arn} must not be used as it is: it is unsafe"),
        Some(_) => bail!("{role_arn} does not let the right ExternalId in"),
    }
}

/// The ExternalId that must be let in. Where any project's is, it is that of none.
fn right(terms: &Terms) -> Result<ExternalId, InvalidId> {
    match &terms.admitted {
        Admitted::Exactly(id) => Ok(id.clone()),
        Admitted::Organization(org) => Ok(ExternalId::for_export(
            org,
            &ProjectId::parse("sealift-check")?,
            &ExternalIdSuffix::parse("any")?,
        )),
    }
}

fn read(file: &Path) -> anyhow::Result<Document> {
    let shown = file.display();
    let json = std::fs::read_to_string(file)
        .with_context(|| format!("--trust-policy {shown} could not be read"))?;
    json.parse()
        .with_context(|| format!("--trust-policy {shown} does not hold an IAM policy"))
}

async fn attempt(args: &CheckArgs, right: &ExternalId) -> Matrix {
    let mut sdk = sealift_aws::config::load().await.into_builder();
    if let Some(region) = &args.region {
        sdk = sdk.region(Region::new(region.as_str().to_owned()));
    }
    let options = Options {
        principal: args.who.principal.clone(),
        ..Options::default()
    };
    let attempts = RoleAttempts::new(sdk.build(), options, SystemClock);
    let pauses = &role_check::PAUSES;
    role_check::check(&attempts, &SystemClock, &args.role_arn, right, pauses).await
}

impl Report<'_> {
    fn print(&self, args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
        writeln!(out, "{}\n", self.role)?;
        if let Some(tried) = self.tried {
            match &args.who.principal {
                Some(principal) => writeln!(out, "Tried from {principal}:")?,
                None => writeln!(
                    out,
                    "Tried with the credentials at hand; deliveries come from Sealift's principal:"
                )?,
            }
            table(tried, out)?;
        } else {
            let why = "Sealift does not assume this role: Braintrust's data plane does. So it \
                       cannot be tried from here; its trust policy is evaluated.";
            writeln!(out, "{}", wrapped(why))?;
        }
        if let Some(read) = self.trust_policy {
            writeln!(out, "By the trust policy that was given:")?;
            table(read, out)?;
        }
        if let Some(statement) = &self.mend {
            writeln!(
                out,
                "The trust policy must have this statement, and no other that allows \
                 sts:AssumeRole:\n\n{:#}\n",
                Document::new([statement.clone()])
            )?;
        }
        if let Some(automations) = &self.automations {
            managed::print(automations, out)?;
        } else if args.who.managed {
            writeln!(
                out,
                "Set BRAINTRUST_API_KEY to see how the automations that use the role fare."
            )?;
        }
        Ok(())
    }
}

fn table(matrix: &Matrix, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out)?;
    for (probe, attempt) in matrix.attempts() {
        row(probe.in_words(), attempt, probe.must_be_allowed(), out)?;
    }
    if let Some(attempt) = matrix.stranger() {
        row("any other account", attempt, false, out)?;
    }
    let verdict = matrix.verdict();
    let cause = printable(&matrix.cause());
    let found = format!("{}: {cause}.", verdict.as_str());
    writeln!(out, "\n{}", wrapped(&found))
}

fn row(
    with: &str,
    attempt: &Attempt,
    must_be_allowed: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let (answer, fits) = match attempt {
        Attempt::Allowed => ("allowed", must_be_allowed),
        Attempt::Denied(_) => ("denied", !must_be_allowed),
        Attempt::Unknown(_) => ("no answer", false),
        Attempt::Invalid(_) => ("not tried", false),
    };
    let comment = match (attempt, fits) {
        (_, true) => "ok",
        (Attempt::Unknown(_) | Attempt::Invalid(_), _) => "unknown",
        _ => "NOT AS IT SHOULD BE",
    };
    writeln!(out, "  {with:<24}{answer:<11}{comment}")
}

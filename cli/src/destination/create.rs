//! Creating a destination, and what its owner has to set up for it.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use sealift_core::destination::KmsKeyArn;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{BucketName, DestinationId, KeyPrefix, RoleArn};
use sealift_core::policy::permissions::audit_under_prefix;
use sealift_core::policy::trust::{Admitted, Terms};
use sealift_core::policy::{AwsPrincipal, Partition};
use serde_json::{Map, Value, json};

use super::wire::Destination;
use super::{At, keys, page};
use crate::target::quoted;

/// Create a destination. It is saved without being started.
///
/// Prints the principal and the ExternalId that the role's trust policy has to name, and both policies
/// that the destination's owner sets up. Then check it, and start it.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Its name; one is drawn if none is given
    #[arg(value_name = "ID")]
    id: Option<DestinationId>,

    #[command(flatten)]
    pub(super) at: At,

    #[command(flatten)]
    way: Way,

    /// The bucket
    #[arg(long)]
    bucket: String,

    /// The bucket's region
    #[arg(long)]
    region: String,

    /// The folder that objects go to; audit-events/ if not given, "" for the whole bucket
    #[arg(long)]
    prefix: Option<String>,

    /// The URL of an S3-compatible service that is not AWS; with --access-keys
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Address it as https://host/bucket/key in place of https://bucket.host/key
    #[arg(long)]
    path_style: bool,

    /// The events that it wants: types, `resource.*` or categories; all if not given
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    include: Vec<String>,

    /// The KMS key that objects are encrypted with, if it is the customer's own
    #[arg(long, value_name = "ARN")]
    kms_key: Option<String>,

    /// A storage class of S3's
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
}

/// How Sealift gets in.
#[derive(Debug, Args)]
#[group(id = "way", required = true, multiple = false)]
pub(super) struct Enter {
    /// A role of the customer's, on AWS
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,

    /// A pair of access keys: from SEALIFT_ACCESS_KEY_ID and SEALIFT_SECRET_ACCESS_KEY, or as two
    /// lines of standard input
    #[arg(long)]
    access_keys: bool,
}

/// How Sealift gets in, and into whose bucket.
#[derive(Debug, Args)]
pub(super) struct Way {
    #[command(flatten)]
    enter: Enter,

    /// The account that the bucket must belong to, if not the role's
    #[arg(long, value_name = "ACCOUNT", requires = "role_arn")]
    bucket_owner: Option<String>,
}

impl Way {
    /// As a request has it.
    pub(super) fn authentication(&self) -> anyhow::Result<Value> {
        match &self.enter.role_arn {
            Some(role) => {
                let mut way = json!({"type": "iam_role", "role_arn": role});
                if let (Some(owner), Some(way)) = (&self.bucket_owner, way.as_object_mut()) {
                    way.insert("bucket_owner".to_owned(), json!(owner));
                }
                Ok(way)
            }
            None => keys::authentication(),
        }
    }
}

/// The request, with what was given alone.
fn body(args: &CreateArgs) -> anyhow::Result<Value> {
    let mut body = Map::new();
    let texts = [
        ("id", args.id.as_ref().map(ToString::to_string)),
        ("bucket", Some(args.bucket.clone())),
        ("region", Some(args.region.clone())),
        ("prefix", args.prefix.clone()),
        ("endpoint", args.endpoint.clone()),
        ("kms_key_arn", args.kms_key.clone()),
        ("storage_class", args.storage_class.clone()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            body.insert(field.to_owned(), json!(text));
        }
    }
    if args.path_style {
        body.insert("path_style".to_owned(), json!(true));
    }
    if !args.include.is_empty() {
        body.insert("included_events".to_owned(), json!(args.include));
    }
    let way = args.way.authentication()?;
    body.insert("authentication".to_owned(), way);
    Ok(Value::Object(body))
}

/// Creates it.
pub(super) async fn run(args: &CreateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let api = args.at.target.api().await?;
    let body = body(args)?;
    let answer = api.post(&args.at.path(&[]), &body).await?;
    if args.at.json {
        return super::print_json(&answer.read()?, out);
    }
    let there: Destination = answer.read()?;
    page::show(&there, out)?;
    writeln!(out)?;
    guide(&there, &args.at, out)
}

/// What the owner sets up, and what comes next.
pub(super) fn guide(there: &Destination, at: &At, out: &mut impl Write) -> anyhow::Result<()> {
    let Destination {
        id, organization, ..
    } = there;
    match &there.authentication.role_arn {
        Some(role) => of_role(there, role, out)?,
        None => of_keys(there, out)?,
    }
    let again = at.target.again();
    writeln!(
        out,
        "\nThen check it, and start it once it is healthy:\n\
         \n  sealift destination check {id} --org {organization}{again}\
         \n  sealift destination start {id} --org {organization}{again}"
    )?;
    Ok(())
}

fn of_role(there: &Destination, role: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let known = "what the API says of the destination";
    let principal = RoleArn::parse(&there.principal_arn).context(known)?;
    let external_id = ExternalId::parse(&there.external_id).context(known)?;
    let role = RoleArn::parse(role).context(known)?;
    let bucket = BucketName::parse(&there.bucket).context(known)?;
    let prefix = KeyPrefix::parse(&there.prefix).context(known)?;
    let key = there.kms_key_arn.as_ref().map(KmsKeyArn::parse);
    let key = key.transpose().context(known)?;
    let terms = Terms {
        principal: AwsPrincipal::role(&principal),
        admitted: Admitted::Exactly(external_id),
    };
    let permissions = audit_under_prefix(Partition::of(&role), &bucket, &prefix, key.as_ref());
    let options = format!(
        "--principal {principal} --external-id {}",
        quoted(&there.external_id)
    );
    let mut place = format!("--bucket {bucket} --prefix {}", quoted(prefix.as_str()));
    if let Some(key) = &key {
        place = format!("{place} --kms-key {}", key.as_str());
    }
    writeln!(
        out,
        "The role {role} has to have this trust policy, which lets in Sealift's principal with this \
         ExternalId and nobody else:\n\n{:#}\n\nand this permission policy:\n\n{permissions:#}\n\
         \nFor whoever sets it up, as steps in the console, as commands and as Terraform:\n\
         \n  sealift onboard --for audit --org {} {place} {options} --role-name {}\n\
         \nAs files:\n\
         \n  sealift policy trust {options} > trust.json\
         \n  sealift policy permissions {place} > permissions.json",
        terms.document(),
        there.organization,
        quoted(role.name()),
    )?;
    Ok(())
}

fn of_keys(there: &Destination, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = there.folder();
    if there.endpoint.is_some() {
        writeln!(
            out,
            "The access keys have to be allowed to put objects below {folder}."
        )?;
        return Ok(());
    }
    let mut place = format!(
        "--bucket {} --prefix {}",
        there.bucket,
        quoted(&there.prefix)
    );
    if let Some(key) = &there.kms_key_arn {
        place = format!("{place} --kms-key {key}");
    }
    writeln!(
        out,
        "The access keys' user has to be allowed to put objects below {folder}, by this policy:\n\
         \n  sealift policy permissions {place}"
    )?;
    Ok(())
}

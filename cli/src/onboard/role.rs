//! The role that a customer is asked for: who may assume it, and what it may do.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use clap::{ArgGroup, Args, ValueEnum};
use sealift_core::external_id::{ExternalId, ExternalIdPattern, ExternalIdSuffix};
use sealift_core::id::{AccountId, BucketName, KeyPrefix, OrgId, ProjectId, RoleArn};
use sealift_core::policy::trust::{Admitted, Terms};
use sealift_core::policy::{AwsPrincipal, Caller, Document, Partition, permissions};
use serde::Serialize;

use super::{PrintArgs, formats};

/// What a role is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// Interval exports of an organization's projects
    #[default]
    Exports,
    /// A destination of audit events
    Audit,
}

/// Who may assume the role, and with which ExternalId.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("assumes").required(true).args(["account", "principal"])))]
pub(super) struct Who {
    /// What the role is for; exports if not given
    #[arg(long = "for", value_name = "PURPOSE")]
    purpose: Option<Purpose>,

    /// The organization whose rows or events are written
    #[arg(long)]
    pub(super) org: OrgId,

    /// The AWS account that assumes the role of exports (12 digits): Sealift's; with --managed
    /// the one that Braintrust's export dialog shows
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,

    /// The role that Sealift comes from: the stack's output PrincipalRoleArn. Needed for audit;
    /// for exports in place of --account, to let nobody else of that account in
    #[arg(long, value_name = "ARN", conflicts_with = "managed")]
    pub(super) principal: Option<RoleArn>,

    /// A single project, with --suffix, in place of all that the organization has
    #[arg(long, requires = "suffix")]
    project: Option<ProjectId>,

    /// What the automation's configuration calls external_id
    #[arg(long, requires = "project")]
    suffix: Option<ExternalIdSuffix>,

    /// The whole ExternalId: of an audit destination, which Sealift generates, or of one export
    #[arg(long, value_name = "ID", conflicts_with = "project")]
    external_id: Option<ExternalId>,

    /// The exports are run by Braintrust, not by Sealift
    #[arg(long)]
    pub(super) managed: bool,
}

impl Who {
    pub(super) fn purpose(&self) -> Purpose {
        self.purpose.unwrap_or_default()
    }

    /// What the trust policy must say; `None` for an audit destination whose ExternalId is not
    /// given.
    pub(super) fn terms(&self, partition: Partition) -> anyhow::Result<Option<Terms>> {
        let principal = match (&self.principal, &self.account) {
            (Some(principal), _) => AwsPrincipal::role(principal),
            (None, Some(account)) => AwsPrincipal::account(partition, account),
            (None, None) => bail!("give --account, or --principal"),
        };
        let admitted = match self.purpose() {
            Purpose::Exports => Some(self.admitted_to_exports()?),
            Purpose::Audit => self.admitted_to_audit()?.map(Admitted::Exactly),
        };
        Ok(admitted.map(|admitted| Terms {
            principal,
            admitted,
        }))
    }

    fn admitted_to_exports(&self) -> anyhow::Result<Admitted> {
        let org = &self.org;
        Ok(match (&self.project, &self.suffix, &self.external_id) {
            (Some(project), Some(suffix), None) => {
                Admitted::Exactly(ExternalId::for_export(org, project, suffix))
            }
            (_, _, Some(id)) => {
                let parts: Vec<&str> = id.as_str().split(':').collect();
                let whole = parts.len() == 4 && parts.iter().all(|part| !part.is_empty());
                if !whole || !ExternalIdPattern::for_organization(org).matches(id) {
                    bail!(
                        "--external-id is not one of the exports of --org {org}: it must have the \
                         form bt:{org}:<project>:<suffix>. Leave it out for one role for all \
                         projects, or say --for audit for an audit destination"
                    );
                }
                Admitted::Exactly(id.clone())
            }
            _ => Admitted::Organization(org.clone()),
        })
    }

    fn admitted_to_audit(&self) -> anyhow::Result<Option<ExternalId>> {
        if self.managed {
            bail!(
                "--managed is about exports, and audit events are always delivered by Sealift: \
                 leave --managed out"
            );
        }
        if self.project.is_some() {
            bail!(
                "--project and --suffix are about exports: an audit destination has one \
                 ExternalId, which Sealift generates; give it with --external-id"
            );
        }
        if self.principal.is_none() {
            bail!(
                "--account is about exports: audit events come from one role, so give its ARN \
                 with --principal (the stack's output PrincipalRoleArn)"
            );
        }
        if let Some(id) = &self.external_id
            && id.as_str().starts_with("bt:")
        {
            bail!(
                "--external-id begins with `bt:`, as those of exports do: take the one that the \
                 audit destination has (credentials.external_id), or say --for exports"
            );
        }
        Ok(self.external_id.clone())
    }

    /// Who comes to the role, as its trust policy sees it.
    pub(super) fn caller(&self, partition: Partition) -> anyhow::Result<Caller> {
        Ok(match (&self.principal, &self.account) {
            (Some(principal), _) => Caller::role(principal),
            // Any role of the account: which one comes is not promised.
            (None, Some(account)) => {
                Caller::parse_arn(&format!("arn:{partition}:iam::{account}:role/any-of-them"))?
            }
            (None, None) => bail!("give --account, or --principal"),
        })
    }
}

/// The name of a role: 1 to 64 ASCII letters, digits or `_+=,.@-`, beginning with none of those
/// that a command line reads as an option.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct RoleName(String);

impl FromStr for RoleName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        if text.is_empty() || text.len() > 64 {
            Err("a role's name has 1 to 64 characters")
        } else if !text.bytes().all(allowed) {
            Err("a role's name holds only ASCII letters, digits and `_+=,.@-`, and no path")
        } else if text.starts_with('-') {
            Err("it begins with `-`, which commands read as an option: begin with a letter")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The role, with all that is said about it.
pub(super) struct Role {
    pub(super) purpose: Purpose,
    pub(super) managed: bool,
    pub(super) org: OrgId,
    pub(super) bucket: BucketName,
    pub(super) prefix: KeyPrefix,
    pub(super) name: RoleName,
    /// `None` until the ExternalId of the audit destination is known.
    pub(super) terms: Option<Terms>,
    pub(super) permissions: Document,
    /// What Sealift needs of them.
    pub(super) least: Document,
    pub(super) is_least: bool,
    pub(super) has_key: bool,
    /// The options that `sealift onboard check` is to be given, but for the role's ARN.
    pub(super) check: String,
}

impl Role {
    pub(super) fn of(args: &PrintArgs) -> anyhow::Result<Self> {
        let PrintArgs {
            who,
            bucket,
            prefix,
            kms_key,
            ..
        } = args;
        let partition = partition(args)?;
        let purpose = who.purpose();
        let terms = who.terms(partition)?;
        let key = kms_key.as_ref();
        let (documented, least, name) = match purpose {
            Purpose::Exports => {
                let documented = permissions::export_as_documented(partition, bucket, prefix);
                let least = permissions::export_least(partition, bucket, prefix, key);
                let documented = permissions::export_with_key(documented, key);
                (documented, least, "sealift-exports")
            }
            Purpose::Audit => (
                permissions::audit_under_prefix(partition, bucket, prefix, key),
                permissions::least(partition, bucket, prefix, key),
                "sealift-audit",
            ),
        };
        let name = match &args.role_name {
            Some(name) => name.clone(),
            None => RoleName(name.to_owned()),
        };
        Ok(Self {
            purpose,
            managed: who.managed,
            org: who.org.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            name,
            terms,
            permissions: if args.least {
                least.clone()
            } else {
                documented
            },
            least,
            is_least: args.least,
            has_key: key.is_some(),
            check: check_options(who),
        })
    }

    /// All of it, for programs.
    pub(super) fn json(&self) -> anyhow::Result<Json<'_>> {
        let known = self.terms.is_some();
        Ok(Json {
            purpose: self.purpose,
            managed: self.managed,
            organization: &self.org,
            bucket: &self.bucket,
            prefix: &self.prefix,
            role_name: &self.name,
            trust_policy: self.terms.as_ref().map(Terms::document),
            permission_policy: &self.permissions,
            least_permission_policy: &self.least,
            notes: formats::notes(self),
            check: formats::check_command(self),
            aws_cli: known.then(|| formats::cli(self)).transpose()?,
            terraform: known.then(|| formats::terraform(self)).transpose()?,
        })
    }
}

/// What `--json` prints. Fields may be added; none changes its meaning.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    #[serde(rename = "for")]
    purpose: Purpose,
    managed: bool,
    organization: &'a OrgId,
    bucket: &'a BucketName,
    prefix: &'a KeyPrefix,
    role_name: &'a RoleName,
    /// None without the ExternalId of an audit destination.
    trust_policy: Option<Document>,
    permission_policy: &'a Document,
    least_permission_policy: &'a Document,
    notes: Vec<String>,
    check: Option<String>,
    aws_cli: Option<String>,
    terraform: Option<String>,
}

/// The customer's partition: roles are assumed within one.
fn partition(args: &PrintArgs) -> anyhow::Result<Partition> {
    let of_principal = args.who.principal.as_ref().map(Partition::of);
    match (args.partition, of_principal) {
        (Some(given), Some(of_principal)) if given != of_principal => bail!(
            "--partition {given} is not where --principal is ({of_principal}): a role can be \
             assumed only from its own partition"
        ),
        (given, of_principal) => Ok(given.or(of_principal).unwrap_or_default()),
    }
}

fn check_options(who: &Who) -> String {
    let mut options = vec![format!("--org {}", who.org)];
    if who.purpose() == Purpose::Audit {
        options.push("--for audit".to_owned());
    }
    if let (Some(project), Some(suffix)) = (&who.project, &who.suffix) {
        options.push(format!("--project {project} --suffix {suffix}"));
    }
    if let Some(id) = &who.external_id {
        options.push(format!("--external-id {id}"));
    }
    if let Some(principal) = &who.principal {
        options.push(format!("--principal {principal}"));
    } else if let Some(account) = &who.account {
        options.push(format!("--account {account}"));
    }
    if who.managed {
        options.push("--managed --trust-policy FILE".to_owned());
    }
    options.join(" ")
}

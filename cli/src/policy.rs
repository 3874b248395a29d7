//! `sealift policy`: prints the IAM documents that a role needs, and checks one that is there.
//!
//! The documents come from [`sealift_core::policy`]. They stand alone on standard output, so
//! that they can be piped into the AWS CLI.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use sealift_core::destination::KmsKeyArn;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, InvalidId, KeyPrefix, OrgId, RoleArn};
use sealift_core::policy::trust::Probe;
use sealift_core::policy::{Caller, Document, Partition, permissions, trust};

/// Print the IAM policies that Sealift needs, or check one.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Trust(TrustArgs),
    Permissions(PermissionsArgs),
    Check(CheckArgs),
}

/// Print the trust policy of a role: who may assume it.
///
/// For the role of an organization's exports give --org and --account: any project of the
/// organization may use it. For the role of an audit destination give --principal and
/// --external-id: nobody else may use it.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("role").required(true).args(["org", "principal"])))]
struct TrustArgs {
    /// The organization whose exports use the role
    #[arg(long, requires = "account")]
    org: Option<OrgId>,

    /// The AWS account that assumes the role of exports (12 digits)
    #[arg(long, requires = "org")]
    account: Option<AccountId>,

    /// Where that account is: aws, aws-cn or aws-us-gov
    #[arg(long, requires = "org", default_value_t)]
    partition: Partition,

    /// The ARN of the role that Sealift comes from, to deliver audit events
    #[arg(long, value_name = "ARN", requires = "external_id")]
    principal: Option<RoleArn>,

    /// The ExternalId of the audit destination; several if destinations share the role
    #[arg(long, value_name = "ID", requires = "principal", num_args = 1..)]
    external_id: Vec<ExternalId>,
}

/// Print the permission policy of a role: what it may do with the bucket.
///
/// It is the least that the delivery of audit events needs, or with --export the least that
/// interval exports need; with --as-documented what a public guide gives.
#[derive(Debug, Args)]
struct PermissionsArgs {
    /// The bucket that is written to
    #[arg(long)]
    bucket: BucketName,

    /// The folder in the bucket; "" for the whole bucket
    #[arg(
        long,
        value_parser = KeyPrefix::normalize,
        required_unless_present = "as_documented",
        required_if_eq("as_documented", "export")
    )]
    prefix: Option<KeyPrefix>,

    /// The KMS key that objects are encrypted with, if it is the customer's own
    #[arg(long, value_name = "ARN", value_parser = kms_key)]
    kms_key: Option<KmsKeyArn>,

    /// Where the bucket is: aws, aws-cn or aws-us-gov
    #[arg(long, default_value_t)]
    partition: Partition,

    /// For interval exports in place of audit events
    #[arg(long, conflicts_with = "as_documented")]
    export: bool,

    /// The policy of a public guide, which grants more than Sealift needs
    #[arg(long, value_name = "GUIDE", conflicts_with = "kms_key")]
    as_documented: Option<Guide>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Guide {
    /// Braintrust's guide to exports with a wildcard ExternalId
    Export,
    /// Barndoor's guide to audit log export; always for the whole bucket
    Audit,
}

/// Check a trust policy: it must let Sealift in with the right ExternalId, and only then.
///
/// Tries the policy with no ExternalId, with a wrong one, with another organization's and with
/// the right one. Fails unless the answers are no, no, no and yes.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The file with the trust policy
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,

    /// The ARN of the role, or of its session, that assumes the role
    #[arg(long, value_name = "ARN", value_parser = Caller::parse_arn)]
    principal: Caller,

    /// The right ExternalId, in full
    #[arg(long, value_name = "ID")]
    external_id: ExternalId,
}

fn kms_key(text: &str) -> Result<KmsKeyArn, InvalidId> {
    KmsKeyArn::parse(text)
}

/// Does what the command line says, and writes the answer to `out`.
pub fn run(args: PolicyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.command {
        PolicyCommand::Trust(args) => print(&trust_policy(&args)?, out),
        PolicyCommand::Permissions(args) => print(&permission_policy(&args)?, out),
        PolicyCommand::Check(args) => check(&args, out),
    }
}

fn print(document: &Document, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{document:#}").context("the policy could not be written out")
}

fn trust_policy(args: &TrustArgs) -> anyhow::Result<Document> {
    match (&args.org, &args.account, &args.principal) {
        (Some(org), Some(account), None) => Ok(trust::for_exports(args.partition, org, account)),
        (None, None, Some(principal)) => {
            Ok(trust::for_audit_destination(principal, &args.external_id)?)
        }
        _ => bail!("give either --org and --account, or --principal and --external-id"),
    }
}

fn permission_policy(args: &PermissionsArgs) -> anyhow::Result<Document> {
    let (partition, bucket) = (args.partition, &args.bucket);
    match (args.as_documented, &args.prefix) {
        (None, Some(prefix)) if args.export => Ok(permissions::export_least(
            partition,
            bucket,
            prefix,
            args.kms_key.as_ref(),
        )),
        (None, Some(prefix)) => Ok(permissions::least(
            partition,
            bucket,
            prefix,
            args.kms_key.as_ref(),
        )),
        (Some(Guide::Export), Some(prefix)) => {
            Ok(permissions::export_as_documented(partition, bucket, prefix))
        }
        (Some(Guide::Audit), None) => Ok(permissions::audit_as_documented(partition, bucket)),
        (Some(Guide::Audit), Some(_)) => bail!(
            "the documented audit policy is for the whole bucket: leave --prefix out, or leave \
             --as-documented out for a policy that keeps to the prefix"
        ),
        (None | Some(Guide::Export), None) => bail!("--prefix is missing"),
    }
}

fn check(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let file = args.trust.display();
    let json = std::fs::read_to_string(&args.trust)
        .with_context(|| format!("the trust policy {file} could not be read"))?;
    let document: Document = json
        .parse()
        .with_context(|| format!("{file} does not hold an IAM policy"))?;
    let answers = trust::probe(&document, &args.principal, &args.external_id)
        .with_context(|| format!("the trust policy {file} could not be evaluated"))?;

    let mut healthy = true;
    for (probe, decision) in answers {
        let tried_with = match probe {
            Probe::None => "no ExternalId",
            Probe::Wrong => "a wrong ExternalId",
            Probe::OtherOrganization => "another organization's",
            Probe::Right => "the right ExternalId",
        };
        let answer = if decision.is_allowed() {
            "allowed"
        } else {
            "denied"
        };
        let as_it_should = decision.is_allowed() == probe.must_be_allowed();
        let verdict = if as_it_should {
            "ok"
        } else {
            "NOT AS IT SHOULD BE"
        };
        healthy &= as_it_should;
        writeln!(out, "{tried_with:<24}{answer:<9}{verdict}")?;
    }
    if !healthy {
        bail!("the trust policy {file} must allow the right ExternalId and nothing else");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    fn parse(line: &[&str]) -> Result<PolicyArgs, String> {
        let words = ["policy"].iter().chain(line);
        Cli::try_parse_from(words)
            .map(|cli| cli.policy)
            .map_err(|error| error.to_string())
    }

    fn printed(line: &[&str]) -> String {
        let mut out = Vec::new();
        run(parse(line).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const PRINCIPAL: &str = "arn:aws:iam::123456789012:role/sealift-principal";

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn an_export_roles_trust_policy_is_printed_alone() {
        insta::assert_snapshot!(
            printed(&["trust", "--org", "acme", "--account", "123456789012"]),
            @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Principal": {
                "AWS": "arn:aws:iam::123456789012:root"
              },
              "Action": "sts:AssumeRole",
              "Condition": {
                "StringLike": {
                  "sts:ExternalId": "bt:acme:*"
                }
              }
            }
          ]
        }
        "#
        );
    }

    #[test]
    fn an_audit_destinations_trust_policy_takes_one_id_or_several() {
        insta::assert_snapshot!(
            printed(&["trust", "--principal", PRINCIPAL, "--external-id", "id-1"]),
            @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Principal": {
                "AWS": "arn:aws:iam::123456789012:role/sealift-principal"
              },
              "Action": "sts:AssumeRole",
              "Condition": {
                "StringEquals": {
                  "sts:ExternalId": "id-1"
                }
              }
            }
          ]
        }
        "#
        );
        let side_by_side = printed(&[
            "trust",
            "--principal",
            PRINCIPAL,
            "--external-id",
            "id-1",
            "id-2",
        ]);
        let repeated = printed(&[
            "trust",
            "--external-id",
            "id-1",
            "--external-id",
            "id-2",
            "--principal",
            PRINCIPAL,
        ]);
        assert_eq!(side_by_side, repeated);
        let document: serde_json::Value = serde_json::from_str(&repeated).unwrap();
        assert_eq!(
            document["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
            serde_json::json!(["id-1", "id-2"])
        );
    }

    #[test]
    fn the_least_permissions_are_printed_with_and_without_a_key() {
        let plain = [
            "permissions",
            "--bucket",
            "logs",
            "--prefix",
            "audit-events",
        ];
        insta::assert_snapshot!(printed(&plain), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "SealiftWrite",
              "Effect": "Allow",
              "Action": "s3:PutObject",
              "Resource": "arn:aws:s3:::logs/audit-events/*"
            }
          ]
        }
        "#);
        let key = "arn:aws:kms:eu-west-1:123456789012:key/0a-1b";
        let with_key = printed(&[&plain[..], &["--kms-key", key]].concat());
        assert!(
            with_key.contains("kms:GenerateDataKey") && with_key.contains(key),
            "{with_key}"
        );
        let elsewhere = printed(&[&plain[..], &["--partition", "aws-cn"]].concat());
        assert!(
            elsewhere.contains("arn:aws-cn:s3:::logs/audit-events/*"),
            "{elsewhere}"
        );
    }

    #[test]
    fn the_documented_permissions_are_printed() {
        insta::assert_snapshot!(
            printed(&["permissions", "--bucket", "logs", "--as-documented", "audit"]),
            @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Action": "s3:PutObject",
              "Resource": "arn:aws:s3:::logs/*"
            },
            {
              "Effect": "Allow",
              "Action": [
                "s3:ListBucket",
                "s3:GetBucketLocation"
              ],
              "Resource": "arn:aws:s3:::logs"
            }
          ]
        }
        "#
        );
        insta::assert_snapshot!(
            printed(&[
                "permissions", "--bucket", "logs", "--prefix", "braintrust",
                "--as-documented", "export",
            ]),
            @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "BraintrustS3Export",
              "Effect": "Allow",
              "Action": [
                "s3:List*",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:PutObject",
                "s3:PutObjectAcl",
                "s3:AbortMultipartUpload"
              ],
              "Resource": [
                "arn:aws:s3:::logs",
                "arn:aws:s3:::logs/braintrust/*"
              ]
            }
          ]
        }
        "#
        );
    }

    #[test]
    fn the_least_of_exports_writes_in_parts_and_reads_nothing() {
        let policy = printed(&[
            "permissions",
            "--bucket",
            "logs",
            "--prefix",
            "b",
            "--export",
        ]);
        for action in [
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "logs/b/_sealift-test.txt",
        ] {
            assert!(policy.contains(action), "{policy}");
        }
        assert!(
            !policy.contains("s3:Get") && !policy.contains("s3:List"),
            "{policy}"
        );
    }

    #[test]
    fn a_wrong_mix_says_what_is_wrong() {
        for (line, names) in [
            (&["trust"][..], "--org <ORG>|--principal <ARN>"),
            (&["trust", "--org", "acme"], "--account <ACCOUNT>"),
            (&["trust", "--account", "123456789012"], "--org <ORG>"),
            (&["trust", "--principal", PRINCIPAL], "--external-id <ID>"),
            (&["trust", "--external-id", "id-1"], "--principal <ARN>"),
            (
                &[
                    "trust",
                    "--org",
                    "a",
                    "--account",
                    "123456789012",
                    "--principal",
                    PRINCIPAL,
                    "--external-id",
                    "i1",
                ],
                "cannot be used with",
            ),
            (
                &[
                    "trust",
                    "--principal",
                    PRINCIPAL,
                    "--external-id",
                    "i1",
                    "--partition",
                    "aws-cn",
                ],
                "--org <ORG>",
            ),
            (
                &["trust", "--org", "acme:*", "--account", "123456789012"],
                "no `:`, `*`",
            ),
            (&["permissions", "--bucket", "logs"], "--prefix <PREFIX>"),
            (
                &[
                    "permissions",
                    "--bucket",
                    "logs",
                    "--as-documented",
                    "export",
                ],
                "--prefix <PREFIX>",
            ),
            (
                &[
                    "permissions",
                    "--bucket",
                    "logs",
                    "--as-documented",
                    "audit",
                    "--kms-key",
                    "arn:aws:kms:eu-west-1:123456789012:key/0a-1b",
                ],
                "cannot be used with",
            ),
            (
                &["permissions", "--bucket", "logs", "--prefix", "../up"],
                "`.` or `..`",
            ),
        ] {
            let error = parse(line).map(|_| ()).unwrap_err();
            assert!(error.contains(names), "{line:?}: {error}");
        }
        let args = [
            "permissions",
            "--bucket",
            "logs",
            "--as-documented",
            "audit",
            "--prefix",
            "p",
        ];
        let error = run(parse(&args).unwrap(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("leave --prefix out"), "{error}");
    }

    fn checked(trust: &str, external_id: &str) -> (String, anyhow::Result<()>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trust.json");
        std::fs::write(&file, trust).unwrap();
        let file = file.to_str().unwrap();
        let line = [
            "check",
            "--trust",
            file,
            "--principal",
            PRINCIPAL,
            "--external-id",
            external_id,
        ];
        let mut out = Vec::new();
        let result = run(parse(&line).unwrap(), &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn a_policy_that_is_printed_passes_the_check() {
        let trust = printed(&["trust", "--principal", PRINCIPAL, "--external-id", "id-1"]);
        let (out, result) = checked(&trust, "id-1");
        assert!(result.is_ok(), "{result:?}");
        insta::assert_snapshot!(out, @r"
        no ExternalId           denied   ok
        a wrong ExternalId      denied   ok
        another organization's  denied   ok
        the right ExternalId    allowed  ok
        ");
    }

    #[test]
    fn a_policy_that_lets_every_organization_in_fails_the_check() {
        let trust = printed(&["trust", "--org", "acme", "--account", "123456789012"]);
        let (out, result) = checked(&trust.replace("bt:acme:*", "bt:*"), "bt:acme:p:s");
        assert!(result.is_err());
        insta::assert_snapshot!(out, @r"
        no ExternalId           denied   ok
        a wrong ExternalId      denied   ok
        another organization's  allowed  NOT AS IT SHOULD BE
        the right ExternalId    allowed  ok
        ");
    }

    #[test]
    fn what_cannot_be_checked_is_an_error_that_names_the_reason() {
        let (_, result) = checked("{}", "id-1");
        assert!(format!("{:#}", result.unwrap_err()).contains("missing field `Statement`"));

        let trust = printed(&["trust", "--principal", PRINCIPAL, "--external-id", "id-1"]);
        let (_, result) = checked(&trust.replace("StringEquals", "IpAddress"), "id-1");
        assert!(format!("{:#}", result.unwrap_err()).contains("`IpAddress` is not supported"));
    }
}

//! `sealift onboard`: what is printed is what is meant, in each format, and the check tells a
//! healthy role from the others.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use clap::Parser;
use sealift_aws::{OsEntropy, SystemClock};
use sealift_braintrust::automations::NewAutomation;
use sealift_braintrust::{ApiKey, Client, FixedKey, Settings};
use sealift_cli::Cli;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, OrgId, ProjectId, RoleArn};
use sealift_core::policy::{Caller, Context, Document, Request, evaluate};
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::{Platform, Secret};
use sealift_embedded::{Embedded, Options};
use serde_json::Value;

const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
const ROLE: &str = "arn:aws:iam::222222222222:role/sealift-exports";
const AUDIT_ID: &str = "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6";
const EXPORTS: [&str; 8] = [
    "--org",
    "5abfae3a-7aa7-4653-a9c8-b3efcb18f584",
    "--bucket",
    "your-bucket",
    "--prefix",
    "braintrust",
    "--account",
    "111111111111",
];
const AUDIT: [&str; 10] = [
    "--for",
    "audit",
    "--org",
    "acme",
    "--bucket",
    "your-bucket",
    "--prefix",
    "audit-events",
    "--principal",
    PRINCIPAL,
];

async fn onboard(arguments: &[&[&str]]) -> anyhow::Result<String> {
    let (text, result) = onboard_whole(arguments).await;
    result.map(|()| text)
}

/// What was printed, whatever came of it.
async fn onboard_whole(arguments: &[&[&str]]) -> (String, anyhow::Result<()>) {
    let mut out = Vec::new();
    let words = [&["sealift", "onboard"], &arguments.concat()[..]].concat();
    let result = match Cli::try_parse_from(words) {
        Ok(cli) => cli.run(&mut out).await,
        Err(error) => Err(error.into()),
    };
    (String::from_utf8(out).unwrap(), result)
}

async fn json(arguments: &[&[&str]]) -> Value {
    let text = onboard(&[&arguments.concat(), &["--json"]]).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn policy(json: &Value) -> Document {
    serde_json::from_value(json.clone()).unwrap()
}

#[tokio::test]
async fn each_format_is_as_it_was_looked_at() {
    for (name, arguments) in [
        ("exports-console", [&EXPORTS[..], &["--format", "console"]]),
        ("exports-cli", [&EXPORTS, &["--format", "cli"]]),
        ("exports-terraform", [&EXPORTS, &["--format", "terraform"]]),
        ("exports-json", [&EXPORTS, &["--json"]]),
        (
            "exports-least-console",
            [&EXPORTS, &["--least", "--format", "console"]],
        ),
        (
            "exports-managed-console",
            [&EXPORTS, &["--managed", "--format", "console"]],
        ),
        (
            "export-of-one-project-cli",
            [
                &EXPORTS,
                &["--project", "p1", "--suffix", "0b41f9c2", "--format", "cli"],
            ],
        ),
        (
            "audit-cli",
            [
                &AUDIT,
                &[
                    "--external-id",
                    AUDIT_ID,
                    "--format",
                    "cli",
                    "--role-name",
                    "acme-audit",
                    "--kms-key",
                    "arn:aws:kms:eu-west-1:222222222222:key/0a1b2c3d",
                ],
            ],
        ),
        ("audit-without-external-id", [&AUDIT, &[]]),
    ] {
        insta::assert_snapshot!(name, onboard(&arguments).await.unwrap());
    }
}

#[tokio::test]
async fn all_is_every_format_and_each_stands_alone() {
    let all = onboard(&[&EXPORTS]).await.unwrap();
    for format in ["console", "cli", "terraform"] {
        let one = onboard(&[&EXPORTS, &["--format", format]]).await.unwrap();
        assert!(all.contains(&one), "{format}");
        let wide = |line: &str| line.len() > 100 && !line.contains("sealift onboard check");
        assert!(!one.lines().any(wide), "{one}");
    }
}

/// Runs commands as a customer does who pastes them, with an `aws` that writes down what it is
/// asked.
fn paste(commands: &str, folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let aws = folder.join("aws");
    std::fs::write(&aws, "#!/bin/sh\nprintf '%s\\n' \"$*\" >> asked\n").unwrap();
    std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let done = Command::new("/bin/sh")
        .args(["-e", "-u", "-c", commands])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    std::fs::read_to_string(folder.join("asked")).unwrap()
}

#[tokio::test]
async fn commands_that_are_pasted_hand_over_the_very_policies() {
    // What a shell, a heredoc and Terraform might take for theirs.
    let hostile = "o'b \"$(touch x)`touch y`${HOME}%{if}#&;ü🚢";
    let arguments = [
        "--org",
        "acme",
        "--bucket",
        "your-bucket",
        "--prefix",
        hostile,
        "--account",
        "111111111111",
    ];
    let folder = tempfile::tempdir().unwrap();
    let commands = onboard(&[&arguments, &["--format", "cli"]]).await.unwrap();
    let asked = paste(&commands, folder.path());
    insta::assert_snapshot!(asked, @r"
    iam create-role --role-name sealift-exports --assume-role-policy-document file://sealift-exports-trust.json
    iam put-role-policy --role-name sealift-exports --policy-name sealift-exports --policy-document file://sealift-exports-permissions.json
    iam get-role --role-name sealift-exports --query Role.Arn --output text
    ");
    let json = json(&[&arguments]).await;
    for (file, policy_of) in [
        ("trust", "trust_policy"),
        ("permissions", "permission_policy"),
    ] {
        let name = format!("sealift-exports-{file}.json");
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text.parse::<Document>().unwrap(), policy(&json[policy_of]));
        assert!(text.is_ascii(), "IAM takes no other letters: {text}");
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 4, "the commands ran what stands in a name");
}

#[tokio::test]
async fn terraform_reads_no_template_in_a_policy() {
    let arguments = [
        "--org",
        "acme",
        "--bucket",
        "your-bucket",
        "--prefix",
        "a$*%{b}",
        "--account",
        "111111111111",
        "--format",
        "terraform",
    ];
    let text = onboard(&[&arguments]).await.unwrap();
    // `$` and `*` are escaped for IAM as `${$}` and `${*}`, and these for Terraform.
    assert!(
        text.contains(r#""arn:aws:s3:::your-bucket/a$${$}$${*}%%{b}/*""#),
        "{text}"
    );
    let code = text.lines().filter(|line| !line.starts_with('#'));
    for line in code {
        assert!(!line.replace("$${", "").contains("${"), "{line}");
        assert!(!line.replace("%%{", "").contains("%{"), "{line}");
    }
}

#[tokio::test]
async fn what_does_not_fit_names_the_option_and_the_way_out() {
    let least: &[&str] = &["--org", "acme", "--bucket", "logs", "--prefix", "p"];
    let account: &[&str] = &["--account", "111111111111"];
    let principal: &[&str] = &["--principal", PRINCIPAL];
    for (arguments, named) in [
        (vec![], "--org <ORG>"),
        (vec![least], "--account <ID>|--principal <ARN>"),
        (vec![least, account, principal], "cannot be used with"),
        (vec![least, &["--account", "1234"]], "12 digits"),
        (vec![&["--org", "a:*"], &least[2..], account], "no `:`, `*`"),
        (
            vec![&least[..2], &["--bucket", "Logs"], &least[4..], account],
            "lower-case",
        ),
        (
            vec![&least[..4], &["--prefix", "../x"], account],
            "`.` or `..`",
        ),
        (
            vec![least, account, &["--project", "p1"]],
            "--suffix <SUFFIX>",
        ),
        (
            vec![least, account, &["--suffix", "s1"]],
            "--project <PROJECT>",
        ),
        (vec![least, account, &["--role-name", "a/b"]], "no path"),
        (
            vec![least, account, &["--role-name=-a"]],
            "begin with a letter",
        ),
        (
            vec![least, account, &["--external-id", "bt:other:p:s"]],
            "bt:acme:<project>",
        ),
        (
            vec![least, account, &["--external-id", "bt:acme:p"]],
            "bt:acme:<project>",
        ),
        (
            vec![least, account, &["--external-id", AUDIT_ID]],
            "--for audit",
        ),
        (
            vec![least, account, &["--external-id", "bt:acme:*"]],
            "`_+=,.@:/-`",
        ),
        (
            vec![least, principal, &["--managed"]],
            "cannot be used with",
        ),
        (
            vec![least, account, &["--managed", "--least"]],
            "cannot be used with",
        ),
        (
            vec![least, principal, &["--partition", "aws-cn"]],
            "--partition aws-cn is not where",
        ),
        (
            vec![least, account, &["--for", "audit"]],
            "PrincipalRoleArn",
        ),
        (
            vec![least, account, &["--for", "audit", "--managed"]],
            "leave --managed out",
        ),
        (
            vec![
                least,
                principal,
                &["--for", "audit", "--project", "p", "--suffix", "s"],
            ],
            "give it with --external-id",
        ),
        (
            vec![
                least,
                principal,
                &["--for", "audit", "--external-id", "bt:acme:p:s"],
            ],
            "say --for exports",
        ),
        (
            vec![least, principal, &["--for", "audit", "--format", "cli"]],
            "--external-id is missing",
        ),
        (
            vec![
                least,
                account,
                &["--kms-key", "arn:aws:kms:eu-west-1:1:alias/x"],
            ],
            "--kms-key",
        ),
    ] {
        let error = onboard(&arguments).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(named), "{arguments:?}: {told}");
        assert!(!told.contains(AUDIT_ID), "{told}");
    }
}

#[tokio::test]
async fn a_check_that_does_not_fit_names_the_option_and_the_way_out() {
    let account: &[&str] = &["--account", "111111111111"];
    let principal: &[&str] = &["--principal", PRINCIPAL];
    for (arguments, named) in [
        (
            vec![&["check", "--role-arn", ROLE, "--org", "acme"][..]],
            "--account <ID>|--principal",
        ),
        (
            vec![&["check", "--role-arn", "x", "--org", "acme"], account],
            "role ARN",
        ),
        (
            vec![
                &["check", "--role-arn", ROLE, "--org", "acme", "--managed"],
                account,
            ],
            "--trust-policy <FILE>",
        ),
        (
            vec![
                &[
                    "check",
                    "--role-arn",
                    ROLE,
                    "--org",
                    "acme",
                    "--for",
                    "audit",
                ],
                principal,
            ],
            "--external-id is missing",
        ),
        (
            vec![
                &[
                    "check",
                    "--role-arn",
                    ROLE,
                    "--org",
                    "acme",
                    "--trust-policy",
                    "/nowhere",
                ],
                account,
            ],
            "--trust-policy /nowhere could not be read",
        ),
    ] {
        let error = onboard(&arguments).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains(named), "{arguments:?}: {told}");
        assert!(!told.contains(AUDIT_ID), "{told}");
    }
}

/// The cases that `tests/simulator` asks an independent simulator.
#[tokio::test]
async fn our_own_evaluator_answers_the_simulators_cases_as_expected() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/simulator/cases.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let none = vec![];
    let list = |case: &Value, name: &str| case[name].as_array().unwrap_or(&none).clone();
    let mut asked = 0;
    for case in cases.as_array().unwrap() {
        let printed = match case["onboard"].as_array() {
            Some(arguments) => {
                let words: Vec<&str> = arguments
                    .iter()
                    .map(|word| word.as_str().unwrap())
                    .collect();
                json(&[&words]).await
            }
            None => case.clone(),
        };
        for request in list(case, "trust") {
            let caller = Caller::parse_arn(request["caller"].as_str().unwrap()).unwrap();
            let id = request["external_id"].as_str();
            let id = id.map(|id| ExternalId::parse(id).unwrap());
            let context = Context::assuming(id.as_ref());
            let policy = policy(&printed["trust_policy"]);
            let asking = Request::assume_role(&caller, &context);
            let decision = evaluate([&policy], &asking).unwrap();
            assert_eq!(
                decision.is_allowed(),
                request["allowed"],
                "{case}: {request}"
            );
            asked += 1;
        }
        for request in list(case, "permissions") {
            let [action, resource] = ["action", "resource"].map(|of| request[of].as_str().unwrap());
            let context = Context::default();
            let policy = policy(&printed["permission_policy"]);
            let asking = Request::permission(action, resource, &context);
            let decision = evaluate([&policy], &asking).unwrap();
            assert_eq!(
                decision.is_allowed(),
                request["allowed"],
                "{case}: {request}"
            );
            asked += 1;
        }
    }
    assert!(asked > 150, "{asked}");
}

/// Runs the program itself, with credentials of the platform, and no others.
async fn program(url: String, secret: &'static str, arguments: Vec<String>) -> Output {
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_sealift"))
            .arg("onboard")
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "PLATFORMKEY")
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_made_of_the_printed_policies_passes_the_printed_check() {
    let data = tempfile::tempdir().unwrap();
    let platform = Platform {
        account: AccountId::parse("111111111111").unwrap(),
        access_key_id: "PLATFORMKEY".to_owned(),
        secret_access_key: Secret::new("platform-secret"),
    };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let options = Options::new(data.path(), platform, clock, entropy);
    let aws = Embedded::start(options).await.unwrap();
    let role = RoleArn::parse(ROLE).unwrap();

    let printed = json(&[&EXPORTS]).await;
    let trust = printed["trust_policy"].to_string();
    let permissions = printed["permission_policy"].to_string();
    aws.iam()
        .create_role(&role, &trust, &[("sealift-exports", &permissions)])
        .unwrap();
    let command = printed["check"].as_str().unwrap();
    let command = command.strip_prefix("sealift onboard ").unwrap();
    let command = words(&command.replace("ROLE_ARN", ROLE));
    let done = program(aws.endpoint_url(), "platform-secret", command.clone()).await;
    assert!(done.status.success(), "{done:?}");
    insta::assert_snapshot!("check-healthy", shown(&done));

    // A trust policy that lets every account in looks well from one of them.
    let wide = trust.replace("arn:aws:iam::111111111111:root", "*");
    aws.iam().update_trust_policy(&role, &wide).unwrap();
    let file = data.path().join("trust.json");
    std::fs::write(&file, wide).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let with_file = [command.clone(), vec!["--trust-policy".to_owned(), file]].concat();
    let done = program(aws.endpoint_url(), "platform-secret", with_file.clone()).await;
    assert!(!done.status.success());
    insta::assert_snapshot!("check-unsafe-by-its-document", shown(&done));
    let as_json = [with_file, words("--json")].concat();
    let done = program(aws.endpoint_url(), "platform-secret", as_json).await;
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["tried"]["verdict"], "healthy");
    assert_eq!(report["trust_policy"]["verdict"], "unsafe");
    assert_eq!(
        report["mend"]["Principal"]["AWS"],
        "arn:aws:iam::111111111111:root"
    );

    // Wrong credentials are no refusal by the role, and are not shown.
    let done = program(aws.endpoint_url(), "mistyped-secret", command).await;
    let told = shown(&done);
    assert!(
        !done.status.success() && told.contains("it is not known whether"),
        "{told}"
    );
    assert!(
        told.contains("are no good") && !told.contains("mistyped"),
        "{told}"
    );
    aws.shutdown().await;
}

const ORGANIZATION: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";
const API_KEY: &str = "sk-of-the-data-plane";

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_role_is_judged_by_its_document_and_by_what_braintrust_tells() {
    let organization = Organization {
        id: OrgId::parse(ORGANIZATION).unwrap(),
        name: "acme".to_owned(),
    };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let options = DataPlaneOptions::new(organization, Secret::new(API_KEY), clock, entropy);
    let api = DataPlane::start(options).await.unwrap();
    let project = ProjectId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    api.add_project(&project, "One").unwrap();
    let client = Client::new(
        api.url().parse().unwrap(),
        FixedKey(ApiKey::parse(API_KEY).unwrap()),
        SystemClock,
        OsEntropy,
        Settings::default(),
    );
    for (name, role) in [
        ("Logs export", ROLE),
        ("Other", "arn:aws:iam::222222222222:role/other"),
    ] {
        let config = serde_json::json!({
            "event_type": "btql_export",
            "export_definition": {"type": "log_traces"},
            "export_path": "s3://your-bucket/braintrust/one",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {"type": "aws_iam", "role_arn": role, "external_id": "0b41f9c2"},
        });
        let automation = NewAutomation {
            project_id: project.clone(),
            name: name.to_owned(),
            description: None,
            config: serde_json::value::to_raw_value(&config).unwrap(),
        };
        client.create_automation(&automation).await.unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("trust.json");
    let printed = json(&[&EXPORTS, &["--managed"]]).await;
    std::fs::write(&file, printed["trust_policy"].to_string()).unwrap();
    let command = printed["check"].as_str().unwrap();
    let command = command.strip_prefix("sealift onboard ").unwrap();
    let command = words(
        &command
            .replace("ROLE_ARN", ROLE)
            .replace("FILE", file.to_str().unwrap()),
    );

    let run = |key: &'static str, url: String| {
        let mut arguments = command.clone();
        if !key.is_empty() {
            arguments.extend(["--api-url".to_owned(), url]);
        }
        let run = move || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_sealift"));
            let program = program.arg("onboard").args(arguments).env_clear();
            program.env("BRAINTRUST_API_KEY", key).output().unwrap()
        };
        tokio::task::spawn_blocking(run)
    };
    let done = run("", api.url()).await.unwrap();
    assert!(done.status.success(), "{done:?}");
    insta::assert_snapshot!("check-managed", shown(&done));
    let done = run(API_KEY, api.url()).await.unwrap();
    let told = shown(&done);
    assert!(done.status.success(), "{told}");
    assert!(
        told.contains("Braintrust has 1 automation that uses this role"),
        "{told}"
    );
    assert!(
        told.contains("Logs export") && !told.contains("Other"),
        "{told}"
    );
    assert!(!told.contains(API_KEY), "{told}");

    std::fs::write(&file, r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:ExternalId":"bt:*"}}}}"#).unwrap();
    let done = run("", api.url()).await.unwrap();
    assert!(!done.status.success());
    insta::assert_snapshot!("check-managed-unsafe", shown(&done));
    drop(api);
}

//! How a role is printed: steps in the console, commands, Terraform.
//!
//! Commands and Terraform stand alone, so that they can be pasted, or piped into a shell or a file.

use std::fmt::Write;

use anyhow::bail;
use sealift_core::policy::Document;
use sealift_core::policy::permissions::test_object;
use sealift_core::policy::trust::{Admitted, Terms};

use super::role::{Purpose, Role};

/// The width that comments and notes are wrapped to.
const WIDTH: usize = 96;

/// The line that ends a policy in a command. No line of JSON is like it.
const END: &str = "POLICY";

/// What the policies mean, and what is to be copied where.
pub(super) fn notes(role: &Role) -> Vec<String> {
    let mut notes = vec![who_gets_in(role), what_it_may_do(role)];
    if role.has_key {
        notes.push(
            "An IAM policy alone opens no KMS key: the key's own policy must let this account's \
             roles use it through IAM (as the default one does), or name this role."
                .to_owned(),
        );
    }
    notes.push(goes_back(role));
    notes
}

fn who_gets_in(role: &Role) -> String {
    let Some(terms) = &role.terms else {
        return "The trust policy is missing here, because it names the ExternalId of the \
                destination. Sealift generates that when the destination is created (64 \
                characters; nobody can choose it), and shows it as credentials.external_id. Run \
                this command again with --external-id and that text: the role must not be made \
                without it."
            .to_owned();
    };
    let principal = terms.principal.as_str();
    match (&terms.admitted, role.managed) {
        (Admitted::Organization(org), managed) => {
            let whose = if managed {
                "Braintrust's data plane, which runs the exports. It shows its account in the \
                 export dialog, and promises no role of it, so pin none"
            } else if principal.ends_with(":root") {
                "whatever the account that Sealift runs in allows"
            } else {
                "the role that Sealift comes from"
            };
            format!(
                "Trust: {principal} ({whose}), and only with an ExternalId bt:{org}:… of this \
                 organization. So one role serves the exports of all its projects, also of \
                 those that are created later; no other organization gets in."
            )
        }
        (Admitted::Exactly(_), _) => format!(
            "Trust: {principal}, and only with this one ExternalId. It proves that Sealift comes \
             on behalf of this {}: take it over letter for letter, without a pattern.",
            match role.purpose {
                Purpose::Exports => "export",
                Purpose::Audit => "destination",
            }
        ),
    }
}

fn what_it_may_do(role: &Role) -> String {
    let folder = format!("s3://{}/{}", role.bucket, role.prefix);
    let tested = test_object(&role.prefix);
    match (role.purpose, role.is_least, role.managed) {
        (Purpose::Exports, _, true) => format!(
            "Permissions: those of Braintrust's guide, below {folder}. Its data plane writes the \
             files, so take none away."
        ),
        (Purpose::Exports, false, false) => format!(
            "Permissions: those of Braintrust's guide, below {folder}. Sealift needs fewer: \
             s3:PutObject and s3:AbortMultipartUpload below the folder, and s3:DeleteObject on its \
             test object {tested} alone; it lists, reads and deletes nothing else, and every \
             session is narrowed to the path of its own export. --least prints those."
        ),
        (Purpose::Exports, true, false) => format!(
            "Permissions: the least that Sealift needs below {folder}: to write objects whole and \
             in parts, to give parts up, and to delete its test object {tested} alone. It can \
             list and read nothing."
        ),
        (Purpose::Audit, false, _) => format!(
            "Permissions: to write objects below {folder}, and to look at the bucket (its region, \
             and whether it is there). A delivery needs s3:PutObject alone; --least prints that. \
             Sealift can read and delete nothing."
        ),
        (Purpose::Audit, true, _) => format!(
            "Permissions: the least that a delivery needs: to write objects below {folder}. It \
             can list, read and delete nothing."
        ),
    }
}

fn goes_back(role: &Role) -> String {
    let name = &role.name;
    let export = matches!(role.purpose, Purpose::Exports);
    match &role.terms {
        Some(Terms {
            admitted: Admitted::Organization(_),
            ..
        }) => format!(
            "Copy back: the ARN of {name}, into the stack's parameter ProvisionRoleArn (with \
             ProvisionPath s3://{}/{}<project-slug>), or into credentials.role_arn of an \
             automation that is made by hand.",
            role.bucket, role.prefix
        ),
        Some(_) if export => format!(
            "Copy back: the ARN of {name}, into credentials.role_arn of the automation. Its \
             credentials.external_id is the last part of the ExternalId alone."
        ),
        _ => format!("Copy back: the ARN of {name}, into credentials.role_arn of the destination."),
    }
}

/// How the role is checked, once it is there.
pub(super) fn check_command(role: &Role) -> Option<String> {
    role.terms
        .as_ref()
        .map(|_| format!("sealift onboard check --role-arn ROLE_ARN {}", role.check))
}

fn title(role: &Role) -> String {
    let what = match role.purpose {
        Purpose::Exports => "exports",
        Purpose::Audit => "audit events",
    };
    format!(
        "The role {} for the {what} of organization {} into s3://{}/{}",
        role.name, role.org, role.bucket, role.prefix
    )
}

/// Everything, one after the other.
pub(super) fn all(role: &Role) -> anyhow::Result<String> {
    if role.terms.is_none() {
        return Ok(console(role));
    }
    Ok(format!(
        "{}\n== With the AWS CLI, in place of the console ==\n\n{}\n== With Terraform, in place of \
         both ==\n\n{}",
        console(role),
        cli(role)?,
        terraform(role)?
    ))
}

/// The steps in the console.
pub(super) fn console(role: &Role) -> String {
    let mut text = String::new();
    paragraph(&mut text, "", &title(role));
    for note in notes(role) {
        paragraph(&mut text, "", &note);
    }
    let name = &role.name;
    let permissions = &role.permissions;
    text.push_str("== In the AWS console, in the account that the bucket is in ==\n\n");
    let Some(terms) = &role.terms else {
        paragraph(
            &mut text,
            "",
            "The permission policy is known already. With the role, it becomes an inline policy:",
        );
        let _ = writeln!(text, "{permissions:#}");
        return text;
    };
    paragraph(
        &mut text,
        "",
        "1. IAM > Roles > Create role > Custom trust policy. Paste this, and press Next:",
    );
    let _ = writeln!(text, "{:#}\n", terms.document());
    let step = format!("2. Choose no permissions there. Name the role {name}, and create it.");
    paragraph(&mut text, "", &step);
    let step = format!(
        "3. On the page of the role, Add permissions > Create inline policy > JSON. Paste this, \
         and name it {name}:"
    );
    paragraph(&mut text, "", &step);
    let _ = writeln!(text, "{permissions:#}\n");
    paragraph(
        &mut text,
        "",
        "4. Copy the role's ARN from its page, and check the role:",
    );
    let _ = writeln!(text, "{}", check_command(role).unwrap_or_default());
    text
}

/// Commands of the AWS CLI. What is said beside them stands in a document that nothing reads:
/// where people paste, a shell may take a comment for a command (zsh does).
pub(super) fn cli(role: &Role) -> anyhow::Result<String> {
    let (name, trust) = (&role.name, trust_of(role)?);
    let permissions = &role.permissions;
    let mut text = ": <<'NOTES'\n".to_owned();
    paragraph(&mut text, "", &title(role));
    for note in notes(role) {
        paragraph(&mut text, "", &note);
    }
    let steps = format!(
        "The commands create the role, give it its permissions, and print its ARN. Where the role \
         is there already, take `aws iam update-assume-role-policy --role-name {name} \
         --policy-document …` in place of the first. Then check it:"
    );
    paragraph(&mut text, "", &steps);
    let _ = write!(
        text,
        "{}\nNOTES\n\n\
         cat > {name}-trust.json <<'{END}'\n{trust:#}\n{END}\n\
         aws iam create-role --role-name {name} \\\n  \
         --assume-role-policy-document file://{name}-trust.json\n\n\
         cat > {name}-permissions.json <<'{END}'\n{permissions:#}\n{END}\n\
         aws iam put-role-policy --role-name {name} --policy-name {name} \\\n  \
         --policy-document file://{name}-permissions.json\n\n\
         aws iam get-role --role-name {name} --query Role.Arn --output text\n",
        check_command(role).unwrap_or_default()
    );
    Ok(text)
}

/// A Terraform file.
pub(super) fn terraform(role: &Role) -> anyhow::Result<String> {
    let (name, trust) = (&role.name, trust_of(role)?);
    let label = match role.purpose {
        Purpose::Exports => "sealift_exports",
        Purpose::Audit => "sealift_audit",
    };
    let mut text = commented(role);
    let _ = write!(
        text,
        "\nresource \"aws_iam_role\" \"{label}\" {{\n  \
         name = \"{name}\"\n  assume_role_policy = jsonencode({})\n}}\n\n\
         resource \"aws_iam_role_policy\" \"{label}\" {{\n  \
         name   = \"{name}\"\n  role   = aws_iam_role.{label}.id\n  policy = jsonencode({})\n}}\n\n\
         # To be copied back. Then check the role:\n# {}\n\
         output \"{label}_role_arn\" {{\n  value = aws_iam_role.{label}.arn\n}}\n",
        expression(&trust)?,
        expression(&role.permissions)?,
        check_command(role).unwrap_or_default()
    );
    Ok(text)
}

fn trust_of(role: &Role) -> anyhow::Result<Document> {
    match &role.terms {
        Some(terms) => Ok(terms.document()),
        None => bail!(
            "--external-id is missing: the trust policy names the one that Sealift generated for \
             the destination (credentials.external_id). Without it there is only \
             --format console"
        ),
    }
}

/// Title and notes as comments.
fn commented(role: &Role) -> String {
    let mut text = String::new();
    lines(&mut text, "# ", &title(role));
    for note in notes(role) {
        text.push_str("#\n");
        lines(&mut text, "# ", &note);
    }
    text
}

/// A policy as an expression of Terraform's language. JSON is one, but for `${` and `%{`, which
/// begin a template and can stand only inside of strings; so each is doubled, which means itself.
/// Letters beyond ASCII stay as they are: Terraform has no pairs of escapes for them.
///
/// Source: <https://developer.hashicorp.com/terraform/language/expressions/strings>
fn expression(document: &Document) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(document)?;
    let escaped = json.replace("${", "$${").replace("%{", "%%{");
    Ok(escaped.replace('\n', "\n  "))
}

/// A paragraph, with the empty line after it.
pub(super) fn wrapped(words: &str) -> String {
    let mut text = String::new();
    lines(&mut text, "", words);
    text
}

fn paragraph(text: &mut String, before: &str, words: &str) {
    lines(text, before, words);
    text.push('\n');
}

/// Words in lines of [`WIDTH`] that begin alike.
fn lines(text: &mut String, before: &str, words: &str) {
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && before.len() + line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{before}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{before}{line}");
}

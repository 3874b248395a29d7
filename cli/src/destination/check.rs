//! What a check found, as a table, in words, and as the policy that mends it.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use sealift_core::policy::Document;

use super::page::{paragraph, plain, word};
use super::wire::{Check, Mend, Row};

/// The table of what was tried, and why it is so.
pub(super) fn print(check: &Check, out: &mut impl Write) -> io::Result<()> {
    for row in &check.report.matrix {
        table_row(row, out)?;
    }
    writeln!(out)?;
    let cause = sentence(&check.report.cause);
    paragraph("", &format!("{}: {cause}", plain(&check.verdict)), out)?;
    if !check.current {
        let outdated = "The connection has changed since; check it again.";
        paragraph("", outdated, out)?;
    }
    if let Some(advice) = &check.report.advice {
        writeln!(out)?;
        let what = sentence(&advice.what);
        paragraph("", &format!("{}: {what}", whose(&advice.who)), out)?;
    }
    for warning in &check.report.warnings {
        writeln!(out)?;
        paragraph("", &format!("Warning: {}", sentence(warning)), out)?;
    }
    for mend in &check.report.mend {
        writeln!(
            out,
            "\n{}\n\n{:#}",
            belongs(mend),
            Document::new([mend.statement.clone()])
        )?;
    }
    Ok(())
}

fn table_row(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let what = match &row.permission {
        Some(permission) => format!("{} ({permission})", step(&row.step)),
        None => step(&row.step),
    };
    let comment = match (row.outcome.as_str(), row.step.as_str()) {
        (outcome, _) if outcome == row.wanted => "ok",
        ("skipped", _) => "not tried",
        ("unknown", _) => "not known",
        (_, "head_bucket") => "deliveries do without it",
        _ => "NOT AS IT SHOULD BE",
    };
    let outcome = plain(&row.outcome);
    let line = format!("  {:<58}{outcome:<9}{comment}", plain(&what));
    writeln!(out, "{}", line.trim_end())?;
    let said: Vec<&str> = [row.code.as_str(), row.message.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    if comment == "ok" || said.is_empty() {
        return Ok(());
    }
    paragraph("      ", &said.join(": "), out)
}

/// What was tried, in words.
fn step(of_api: &str) -> String {
    match of_api {
        "assume_without_external_id" => "enter the role with no ExternalId",
        "assume_with_wrong_external_id" => "enter it with a wrong one",
        "assume_with_other_organizations" => "enter it with another organization's",
        "assume_role" => "enter it with this destination's",
        "head_bucket" => "look at the bucket",
        "bucket_region" => "find the bucket in its region",
        "bucket_owner" => "find the bucket in its account",
        "put_object" => "write below the prefix",
        "generate_data_key" => "encrypt with the KMS key",
        other => return word(other),
    }
    .to_owned()
}

/// Who has to do something.
pub(super) fn whose(who: &str) -> String {
    match who {
        "customer" => "For the customer to do",
        "operator" => "For whoever runs Sealift to do",
        "nobody" | "passing" => "It passes by itself",
        other => return word(other),
    }
    .to_owned()
}

fn sentence(text: &str) -> String {
    let text = plain(text);
    match text.ends_with(['.', '!', '?']) {
        true => text,
        false => format!("{text}."),
    }
}

fn belongs(mend: &Mend) -> String {
    let of = plain(&mend.of);
    match mend.policy.as_str() {
        "trust" => format!(
            "The trust policy of {of} has to have this statement, and no other that allows \
             sts:AssumeRole:"
        ),
        "permissions" => {
            format!("The permission policy of {of} has to have this statement, beside its others:")
        }
        "bucket" => {
            format!("The bucket policy of {of} has to have this statement, beside its others:")
        }
        "key" => format!("The key policy of {of} has to have this statement, beside its others:"),
        other => format!(
            "The policy ({}) of {of} has to have this statement:",
            word(other)
        ),
    }
}

/// Writes the policy that mends it to a file, and says what it is.
pub(super) fn write_mend(check: &Check, file: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mends = &check.report.mend;
    let shown = file.display();
    let Some(first) = mends.first() else {
        writeln!(
            out,
            "\nNo policy is to be mended, so {shown} is not written."
        )?;
        return Ok(());
    };
    if mends
        .iter()
        .any(|other| (&other.policy, &other.of) != (&first.policy, &first.of))
    {
        bail!("--mend writes one policy, and several are to be mended: take each from above");
    }
    let statements = mends.iter().map(|mend| mend.statement.clone());
    std::fs::write(file, format!("{:#}\n", Document::new(statements)))
        .with_context(|| format!("--mend {shown} cannot be written"))?;
    writeln!(out, "\n{shown} has it as a policy.")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn row(step: &str, permission: Option<&str>, wanted: &str, outcome: &str) -> Value {
        json!({"step": step, "permission": permission, "wanted": wanted, "outcome": outcome})
    }

    fn statement(sid: &str) -> Value {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::acme-audit/audit-events/*",
        })
    }

    fn mend(policy: &str, of: &str, sid: &str) -> Value {
        json!({"policy": policy, "of": of, "statement": statement(sid)})
    }

    fn failing(mends: &[Value]) -> Check {
        let mut write = row("put_object", Some("s3:PutObject"), "allowed", "denied");
        write["code"] = json!("AccessDenied");
        write["message"] = json!(
            "User: arn:aws:sts::222222222222:assumed-role/acme-audit/x is not \
            authorized to perform: s3:PutObject because no identity-based policy allows it\u{1b}[2J"
        );
        let assume = Some("sts:AssumeRole");
        serde_json::from_value(json!({
            "checked": "2026-01-02T03:04:05.000Z",
            "verdict": "failing",
            "current": false,
            "report": {
                "at_ms": 1,
                "problem": "write_denied",
                "matrix": [
                    row("assume_without_external_id", assume, "denied", "denied"),
                    row("assume_role", assume, "allowed", "allowed"),
                    row("head_bucket", Some("s3:ListBucket"), "allowed", "denied"),
                    row("bucket_region", None, "allowed", "unknown"),
                    write,
                    row("generate_data_key", Some("kms:GenerateDataKey"), "allowed", "skipped"),
                    row("of_a_newer_stack", None, "allowed", "allowed"),
                ],
                "cause": "the role may not write below the prefix",
                "advice": {"who": "customer", "what": "add the statement to the role's policy"},
                "mend": mends,
                "warnings": ["HeadBucket is refused"],
            },
        }))
        .unwrap()
    }

    fn printed(check: &Check) -> String {
        let mut out = Vec::new();
        print(check, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_check_is_a_table_the_cause_and_the_statement_that_mends_it() {
        let role = "arn:aws:iam::222222222222:role/acme-audit";
        let check = failing(&[mend("permissions", role, "SealiftWrite")]);
        insta::assert_snapshot!("failing", printed(&check));
    }

    #[test]
    fn one_policy_is_written_to_the_file_and_of_several_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mend.json");
        let mut out = Vec::new();
        let two = [mend("permissions", "r", "A"), mend("bucket", "b", "B")];
        let error = write_mend(&failing(&two), &file, &mut out).unwrap_err();
        assert!(error.to_string().contains("several"), "{error}");
        write_mend(&failing(&[]), &file, &mut out).unwrap();
        assert!(!file.exists());
        let one = [mend("permissions", "r", "A"), mend("permissions", "r", "B")];
        write_mend(&failing(&one), &file, &mut out).unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        let policy: Document = written.parse().unwrap();
        let sids = policy.statements.iter().map(|s| s.sid.as_deref());
        assert_eq!(sids.collect::<Vec<_>>(), [Some("A"), Some("B")]);
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("is not written") && out.ends_with("has it as a policy.\n"),
            "{out}"
        );
    }
}

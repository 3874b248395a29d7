//! Destinations as people read them.

use std::io::{self, Write};

use super::wire::{Authentication, Destination, Summary};
use crate::text::count;

/// The width that sentences are wrapped to.
const WIDTH: usize = 96;

/// A text without what would move a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// Sentences in lines that begin alike.
pub(super) fn paragraph(before: &str, words: &str, out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for word in plain(words).split_whitespace() {
        if !line.is_empty() && before.len() + line.len() + word.len() >= WIDTH {
            writeln!(out, "{before}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{before}{line}")
}

/// A line of a name and what it stands for.
pub(super) fn field(name: &str, value: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  {name:<15}{}", plain(value))
}

/// A word of the API, as a word.
pub(super) fn word(of_api: &str) -> String {
    plain(of_api).replace('_', " ")
}

/// A destination, with all that is set.
pub(super) fn show(there: &Destination, out: &mut impl Write) -> io::Result<()> {
    let Destination {
        id, organization, ..
    } = there;
    writeln!(out, "{id} of {organization}: {}\n", word(&there.status))?;
    field("folder", &there.folder(), out)?;
    field("region", &there.region, out)?;
    if let Some(endpoint) = &there.endpoint {
        let style = match there.path_style {
            true => "path",
            false => "host",
        };
        field("endpoint", &format!("{endpoint} ({style} style)"), out)?;
    }
    field("enters by", &way(&there.authentication), out)?;
    if let Some(owner) = &there.authentication.bucket_owner {
        field("bucket of", owner, out)?;
    }
    field("principal", &there.principal_arn, out)?;
    field("ExternalId", &there.external_id, out)?;
    let events = match there.included_events.is_empty() {
        true => "all".to_owned(),
        false => there.included_events.join(", "),
    };
    field("events", &events, out)?;
    if let Some(key) = &there.kms_key_arn {
        field("KMS key", key, out)?;
    }
    if let Some(class) = &there.storage_class {
        field("storage class", class, out)?;
    }
    match there.checksum {
        Some(true) => field("checksum", "SHA-256 is verified", out)?,
        Some(false) => field("checksum", "SHA-256 is not verified", out)?,
        None => {}
    }
    if let Some(created) = &there.created {
        field("created", created, out)?;
    }
    if let Some(started) = &there.started {
        field("started", started, out)?;
    }
    field("last check", &checked(there.last_check.as_ref()), out)?;
    if let Some(held) = &there.held {
        writeln!(out)?;
        let text = format!("Sealift paused it at {}: {}.", held.since, held.message);
        paragraph("", &text, out)?;
    }
    Ok(())
}

pub(super) fn way(authentication: &Authentication) -> String {
    match &authentication.role_arn {
        Some(role) => role.clone(),
        None => word(&authentication.kind),
    }
}

fn checked(check: Option<&Summary>) -> String {
    match check {
        None => "none yet".to_owned(),
        Some(check) if check.current => format!("{}, {}", check.verdict, check.checked),
        Some(check) => format!(
            "{}, {}, of a connection that has changed since",
            check.verdict, check.checked
        ),
    }
}

/// Destinations, a line for each.
pub(super) fn table(all: &[Destination], out: &mut impl Write) -> io::Result<()> {
    let rows = all.iter().map(|there| {
        let role = there.authentication.role_arn.as_deref();
        let by = match role.and_then(|arn| arn.split_once(":iam::")) {
            Some((_, role)) => role.to_owned(),
            None => way(&there.authentication),
        };
        let check = match &there.last_check {
            None => "none".to_owned(),
            Some(check) if check.current => check.verdict.clone(),
            Some(check) => format!("{} (outdated)", check.verdict),
        };
        [
            there.id.clone(),
            word(&there.status),
            check,
            plain(&there.folder()),
            plain(&by),
        ]
    });
    let head = ["ID", "STATUS", "CHECK", "FOLDER", "BY"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    writeln!(
        out,
        "\n{}",
        count(all.len().try_into().unwrap_or(u64::MAX), "destination")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn destination(changes: &Value) -> Destination {
        let mut there = json!({
            "id": "main",
            "organization": "acme",
            "status": "never_started",
            "created": "2026-01-02T03:04:05.000Z",
            "bucket": "acme-audit",
            "region": "eu-west-1",
            "prefix": "audit-events/",
            "path_style": false,
            "authentication": {
                "type": "iam_role",
                "role_arn": "arn:aws:iam::222222222222:role/acme-audit",
            },
            "principal_arn": "arn:aws:iam::111111111111:role/sealift-principal",
            "external_id": "e".repeat(64),
            "included_events": [],
            "something_new": {"of": "a newer stack"},
        });
        for (field, value) in changes.as_object().unwrap() {
            there[field] = value.clone();
        }
        serde_json::from_value(there).unwrap()
    }

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_destination_is_shown_with_all_that_is_set() {
        let bare = destination(&json!({}));
        insta::assert_snapshot!("bare", printed(|out| show(&bare, out)));
        let whole = destination(&json!({
            "status": "unsafe",
            "endpoint": "https://s3.example.com",
            "path_style": true,
            "authentication": {"type": "access_keys"},
            "included_events": ["identity", "project.*"],
            "kms_key_arn": "arn:aws:kms:eu-west-1:222222222222:key/0a-1b",
            "storage_class": "GLACIER_IR",
            "checksum": false,
            "started": "2026-01-03T03:04:05.000Z",
            "held": {"reason": "unsafe", "since": "2026-01-04T03:04:05.000Z", "message": "the role lets in others"},
            "last_check": {"checked": "2026-01-03T00:00:00.000Z", "verdict": "healthy", "current": false},
        }));
        insta::assert_snapshot!("whole", printed(|out| show(&whole, out)));
    }

    #[test]
    fn a_list_has_a_line_for_each_in_columns() {
        let all = [
            destination(&json!({})),
            destination(&json!({
                "id": "a-longer-name",
                "status": "streaming",
                "authentication": {"type": "access_keys"},
                "last_check": {"checked": "2026-01-03T00:00:00.000Z", "verdict": "healthy", "current": true},
            })),
        ];
        insta::assert_snapshot!("list", printed(|out| table(&all, out)));
    }

    #[test]
    fn what_others_have_named_moves_no_cursor() {
        let there = destination(&json!({"prefix": "a\u{1b}[2Jb/", "storage_class": "x\ny"}));
        let text = printed(|out| show(&there, out));
        assert!(!text.contains('\u{1b}') && text.contains("x y"), "{text}");
    }
}

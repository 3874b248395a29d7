//! How a destination stands.

use std::io::{self, Write};

use super::check;
use super::page::{field, paragraph, plain, word};
use super::wire::{Counts, Gap, Issue, Replay, Status};
use crate::text::{bytes, count};

/// The state in a line and a sentence, what stands in the way, the figures, and the last check.
pub(super) fn print(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let Status {
        id, organization, ..
    } = status;
    let (state, activity) = (word(&status.state), word(&status.activity));
    let state = match status.activity.as_str() {
        "none" => state,
        _ => format!("{state}, {activity}"),
    };
    writeln!(out, "{id} of {organization}: {state}")?;
    paragraph("", &status.summary, out)?;
    if let Some(issue) = &status.issue {
        writeln!(out)?;
        print_issue(issue, out)?;
    }
    if let Some(held) = &status.held {
        writeln!(out)?;
        paragraph("", &format!("Paused by Sealift at {}.", held.since), out)?;
    }
    writeln!(out)?;
    figures(status, out)?;
    for gap in &status.gaps {
        print_gap(gap, out)?;
    }
    for replay in &status.replays {
        print_replay(replay, out)?;
    }
    match &status.last_check {
        None => field("last check", "none yet", out),
        Some(check) => {
            field("last check", &format!("at {}", check.checked), out)?;
            writeln!(out)?;
            check::print(check, out)
        }
    }
}

fn print_issue(issue: &Issue, out: &mut impl Write) -> io::Result<()> {
    let Issue {
        operation,
        target,
        code,
        message,
        request_id,
        ..
    } = issue;
    let request = match request_id.is_empty() {
        true => String::new(),
        false => format!(" (request {request_id})"),
    };
    let text = format!("Last issue: {operation} on {target}: {code}: {message}{request}");
    paragraph("", &text, out)?;
    let next = match &issue.next_try {
        Some(next) => format!("; tried again at {next}"),
        None => String::new(),
    };
    if issue.attempts > 0 {
        let tries = count(issue.attempts.into(), "try");
        paragraph("", &format!("{tries} in a row failed{next}."), out)?;
    }
    let whose = check::whose(&issue.fault);
    paragraph("", &format!("{whose}: {}", issue.advice), out)
}

fn figures(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let Counts {
        delivered,
        left_out,
        duplicates,
        altered,
        ..
    } = status.counts;
    field("seen", &count(status.events_seen, "event"), out)?;
    field("delivered", &in_objects(&status.counts), out)?;
    if let Some(last) = &status.delivered {
        field("last at", last, out)?;
    }
    let others = [
        (left_out, "left out by the selection"),
        (duplicates, "dropped as duplicates"),
        (altered, "delivered again with another line"),
    ];
    for (number, what) in others {
        if number > 0 {
            field("", &format!("{} {what}", count(number, "event")), out)?;
        }
    }
    field("lag", &lag(status), out)?;
    if let Some(oldest) = &status.oldest_waiting {
        let age = status.oldest_age_seconds.map(duration);
        let age = age.map_or_else(String::new, |age| format!("{age}, "));
        field("oldest waits", &format!("{age}since {oldest}"), out)?;
    }
    if let (Some(half), Some(most)) = (status.freshness.p50_ms, status.freshness.p95_ms) {
        let text = format!(
            "half of the events within {}, 95 of 100 within {} (of the last {delivered})",
            seconds(half),
            seconds(most),
            delivered = count(status.freshness.events, "event"),
        );
        field("freshness", &text, out)?;
    } else if delivered == 0 {
        field("freshness", "nothing was delivered yet", out)?;
    }
    if let Some(expiry) = &status.expiry {
        let days = expiry.days_left;
        let warning = match expiry.warns {
            true => ": DO SOMETHING BEFORE",
            false => "",
        };
        let until = &expiry.promised_until;
        let text = format!("what waits is kept until {until}, {days} days from now{warning}");
        field("expiry", &text, out)?;
    }
    Ok(())
}

fn lag(status: &Status) -> String {
    let segments = count(status.lag_segments, "segment");
    match status.catching_up.as_deref() {
        None => format!("{segments} of the log"),
        Some(reason) => {
            let why = match reason {
                "failed" => "writing to it had failed".to_owned(),
                "slow" => "writing to it took too long".to_owned(),
                "starts_in_past" => "it starts in the past".to_owned(),
                "paused" => "it was paused".to_owned(),
                "overtaken" => "the others have moved on".to_owned(),
                "gap" => "a part of the log was gone".to_owned(),
                other => word(other),
            };
            format!("{segments} of the log; it catches up by itself, since {why}")
        }
    }
}

fn in_objects(counts: &Counts) -> String {
    let Counts {
        delivered,
        objects,
        raw_bytes,
        object_bytes,
        ..
    } = *counts;
    let events = count(delivered, "event");
    if objects == 0 {
        return events;
    }
    let objects = count(objects, "object");
    format!(
        "{events} in {objects} ({} of {} of lines)",
        bytes(object_bytes),
        bytes(raw_bytes)
    )
}

fn print_gap(gap: &Gap, out: &mut impl Write) -> io::Result<()> {
    let last = gap.last.map_or_else(String::new, |last| format!("-{last}"));
    let when = match (&gap.from, &gap.to) {
        (Some(from), Some(to)) => format!(", of {from} to {to}"),
        _ => String::new(),
    };
    let why = match gap.reason.as_str() {
        "expired" => "their time was over".to_owned(),
        "log_replaced" => "the log was made anew".to_owned(),
        other => word(other),
    };
    let Gap { first, noticed, .. } = gap;
    let text = format!("segments {first}{last} were lost{when}: {why} (noticed {noticed})");
    field("GAP", &text, out)
}

/// A replay, in lines below its name.
pub(super) fn print_replay(replay: &Replay, out: &mut impl Write) -> io::Result<()> {
    let Replay {
        id,
        from,
        to,
        prefix,
        ..
    } = replay;
    let progress = match &replay.progress {
        Some(progress) if replay.state == "running" => format!(
            ", {} of {}",
            progress.passed_segments,
            count(progress.segments, "segment")
        ),
        _ => String::new(),
    };
    let state = word(&replay.state);
    field("replay", &format!("{id}: {state}{progress}"), out)?;
    field("", &format!("{from} to {to}, below {prefix}"), out)?;
    if replay.counts.delivered > 0 {
        field("", &in_objects(&replay.counts), out)?;
    }
    if let Some(failure) = &replay.failure {
        let text = format!("{}: {}", failure.code, plain(&failure.message));
        field("", &text, out)?;
    }
    Ok(())
}

fn seconds(ms: i64) -> String {
    match ms {
        ..1000 => format!("{ms} ms"),
        _ => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn printed(changes: &Value) -> String {
        let mut status = json!({
            "id": "main",
            "organization": "acme",
            "state": "streaming",
            "activity": "nothing_yet",
            "summary": "It works, and no event of the organization has come since its start.",
            "events_seen": 0,
            "counts": {"delivered": 0},
            "lag_segments": 0,
            "freshness": {"events": 0},
            "gaps": [],
            "replays": [],
            "of_a_newer_stack": 1,
        });
        for (field, value) in changes.as_object().unwrap() {
            status[field] = value.clone();
        }
        let status = serde_json::from_value(status).unwrap();
        let mut out = Vec::new();
        print(&status, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_empty_stream_reads_otherwise_than_a_broken_one() {
        insta::assert_snapshot!("empty", printed(&json!({})));
        let broken = printed(&json!({
            "state": "failing",
            "activity": "stuck",
            "summary": "Events are not delivered. Give the role s3:PutObject again.",
            "issue": {
                "operation": "PutObject",
                "target": "s3://acme-audit/audit-events/",
                "code": "AccessDenied",
                "message": "no identity-based policy allows it",
                "request_id": "R1",
                "fault": "customer",
                "advice": "Give the role s3:PutObject again.",
                "attempts": 4,
                "next_try": "2026-01-02T03:14:05.000Z",
            },
            "events_seen": 1210,
            "counts": {
                "delivered": 1200, "left_out": 3, "duplicates": 7, "altered": 1,
                "raw_bytes": 2_100_000, "objects": 12, "object_bytes": 210_000,
            },
            "delivered": "2026-01-02T02:04:05.000Z",
            "lag_segments": 40,
            "catching_up": "failed",
            "oldest_waiting": "2026-01-02T02:05:00.000Z",
            "oldest_age_seconds": 3600,
            "freshness": {"p50_ms": 640, "p95_ms": 21_350, "events": 300},
            "expiry": {"promised_until": "2026-02-01T02:05:00.000Z", "kept_until": "x", "days_left": 6, "warns": true},
            "gaps": [{"first": 4, "last": 9, "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z", "noticed": "2026-01-02T00:00:00Z", "reason": "expired"}],
            "replays": [{
                "id": "r1", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T05:00:00Z",
                "requested": "x", "state": "running", "prefix": "audit-events/replays/r1/",
                "progress": {"passed_segments": 2, "segments": 7}, "counts": {"delivered": 5, "objects": 1, "raw_bytes": 10, "object_bytes": 9},
            }],
            "last_check": {
                "checked": "2026-01-02T00:00:00.000Z", "verdict": "healthy", "current": true,
                "report": {
                    "matrix": [{"step": "put_object", "permission": "s3:PutObject", "wanted": "allowed", "outcome": "allowed"}],
                    "cause": "the bucket takes what is delivered",
                },
            },
        }));
        insta::assert_snapshot!("broken", broken);
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let times = [0, 119, 120, 7199, 7200, 172_800].map(duration);
        assert_eq!(times, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
        assert_eq!([seconds(999), seconds(21_350)], ["999 ms", "21.3 s"]);
    }
}

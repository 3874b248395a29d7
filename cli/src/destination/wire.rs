//! The API's answers, as far as they are shown. What is not known is left alone, so that an older
//! command line goes on with a newer stack.

use sealift_core::policy::Statement;
use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) objects: Vec<serde_json::Value>,
    pub(super) has_more: bool,
}

/// A destination.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Destination {
    pub(super) id: String,
    pub(super) organization: String,
    pub(super) status: String,
    pub(super) created: Option<String>,
    pub(super) started: Option<String>,
    pub(super) held: Option<Held>,
    pub(super) endpoint: Option<String>,
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) path_style: bool,
    pub(super) authentication: Authentication,
    pub(super) principal_arn: String,
    pub(super) external_id: String,
    #[serde(default)]
    pub(super) included_events: Vec<String>,
    pub(super) kms_key_arn: Option<String>,
    pub(super) storage_class: Option<String>,
    pub(super) checksum: Option<bool>,
    pub(super) last_check: Option<Summary>,
}

impl Destination {
    /// Where its objects go.
    pub(super) fn folder(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// How Sealift gets in.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Authentication {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) role_arn: Option<String>,
    pub(super) bucket_owner: Option<String>,
}

/// Why Sealift paused it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Held {
    pub(super) since: String,
    pub(super) message: String,
}

/// A check in short.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Summary {
    pub(super) checked: String,
    pub(super) verdict: String,
    pub(super) current: bool,
}

/// A check.
#[derive(Debug, Deserialize)]
pub(super) struct Check {
    pub(super) checked: String,
    pub(super) verdict: String,
    pub(super) current: bool,
    pub(super) report: Report,
}

impl Check {
    pub(super) fn is_healthy(&self) -> bool {
        self.verdict == "healthy"
    }
}

/// What a check found.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) matrix: Vec<Row>,
    pub(super) cause: String,
    pub(super) advice: Option<Advice>,
    #[serde(default)]
    pub(super) mend: Vec<Mend>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

/// One thing that was tried.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) step: String,
    pub(super) permission: Option<String>,
    pub(super) wanted: String,
    pub(super) outcome: String,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// What is to be done.
#[derive(Debug, Deserialize)]
pub(super) struct Advice {
    pub(super) who: String,
    pub(super) what: String,
}

/// A statement that would mend what is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Mend {
    pub(super) policy: String,
    pub(super) of: String,
    pub(super) statement: Statement,
}

/// How a destination stands.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) id: String,
    pub(super) organization: String,
    pub(super) state: String,
    pub(super) activity: String,
    pub(super) summary: String,
    pub(super) issue: Option<Issue>,
    pub(super) held: Option<Held>,
    pub(super) events_seen: u64,
    pub(super) counts: Counts,
    pub(super) delivered: Option<String>,
    pub(super) lag_segments: u64,
    pub(super) catching_up: Option<String>,
    pub(super) oldest_waiting: Option<String>,
    pub(super) oldest_age_seconds: Option<i64>,
    pub(super) freshness: Freshness,
    pub(super) expiry: Option<Expiry>,
    #[serde(default)]
    pub(super) gaps: Vec<Gap>,
    #[serde(default)]
    pub(super) replays: Vec<Replay>,
    pub(super) last_check: Option<Check>,
}

/// What stands in the way.
#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) operation: String,
    pub(super) target: String,
    pub(super) code: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) request_id: String,
    pub(super) fault: String,
    pub(super) advice: String,
    pub(super) attempts: u32,
    pub(super) next_try: Option<String>,
}

/// Counts of events and bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) left_out: u64,
    pub(super) duplicates: u64,
    pub(super) altered: u64,
    pub(super) raw_bytes: u64,
    pub(super) objects: u64,
    pub(super) object_bytes: u64,
}

/// How long events took.
#[derive(Debug, Deserialize)]
pub(super) struct Freshness {
    pub(super) p50_ms: Option<i64>,
    pub(super) p95_ms: Option<i64>,
    pub(super) events: u64,
}

/// When events that wait will be gone.
#[derive(Debug, Deserialize)]
pub(super) struct Expiry {
    pub(super) promised_until: String,
    pub(super) days_left: i64,
    pub(super) warns: bool,
}

/// A part of the log that was gone before it could be delivered.
#[derive(Debug, Deserialize)]
pub(super) struct Gap {
    pub(super) first: u64,
    pub(super) last: Option<u64>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) noticed: String,
    pub(super) reason: String,
}

/// A replay.
#[derive(Debug, Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) state: String,
    pub(super) prefix: String,
    pub(super) progress: Option<Progress>,
    pub(super) counts: Counts,
    pub(super) failure: Option<Failure>,
}

/// How far a replay has come.
#[derive(Debug, Deserialize)]
pub(super) struct Progress {
    pub(super) passed_segments: u64,
    pub(super) segments: u64,
}

/// What went wrong last.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
}

//! What goes over the wire, for the OpenAPI document: the types of [`sealift_core::control`] once
//! more, field by field, because the core does not know of OpenAPI.
//!
//! No request or answer is made of them. Tests hold them and the core's own against each other, and
//! every answer against the document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// What creates a destination. It is saved without being started.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDestination {
    /// Its name, by which it cannot be told apart from others of any organization; one is drawn if
    /// none is given.
    #[serde(default)]
    pub id: Option<String>,
    /// The URL of an S3-compatible service that is not AWS; with `access_keys` only.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The bucket.
    #[schema(examples("acme-audit"))]
    pub bucket: String,
    /// The bucket's region.
    #[schema(examples("eu-central-1"))]
    pub region: String,
    /// The folder that objects go to; `audit-events/` if none is given.
    #[serde(default)]
    pub prefix: Option<String>,
    /// `https://host/bucket/key` in place of `https://bucket.host/key`.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// How Sealift gets in.
    pub authentication: Authentication,
    /// The events that it wants: types, `resource.*`, or categories. All, if the list is empty.
    #[serde(default)]
    pub included_events: Option<Vec<String>>,
    /// The customer's KMS key that objects are encrypted with.
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// A storage class of S3's.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Whether the endpoint verifies a SHA-256 that is sent along; the check finds it out.
    #[serde(default)]
    pub checksum: Option<bool>,
}

/// How Sealift gets in. The ExternalId cannot be chosen.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Authentication {
    /// By a role of the customer's, on AWS.
    IamRole {
        /// The role. Its trust policy names `principal_arn` and asks for `external_id`.
        role_arn: String,
        /// The account that the bucket must belong to; the role's own if not given.
        #[serde(default)]
        bucket_owner: Option<String>,
    },
    /// By access keys. They are stored apart, and never come out again.
    AccessKeys {
        /// The name of the key.
        #[schema(write_only)]
        access_key_id: String,
        /// The secret.
        #[schema(write_only)]
        secret_access_key: String,
    },
}

/// What changes a destination. What is left out stays; `null` takes away what may be missing;
/// `authentication` and `included_events` are replaced whole.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationUpdate {
    /// Another service, or AWS with `null`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Another bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Another region.
    #[serde(default)]
    pub region: Option<String>,
    /// Another folder.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Another way of addressing.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// Another way in, or other access keys.
    #[serde(default)]
    pub authentication: Option<Authentication>,
    /// Other events.
    #[serde(default)]
    pub included_events: Option<Vec<String>>,
    /// Another key, or none with `null`.
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// Another class, or the bucket's own with `null`.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// What the endpoint verifies, or what the check finds out with `null`.
    #[serde(default)]
    pub checksum: Option<bool>,
}

/// What starts a destination. All of it may be left out, and the body itself too.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// From when on events are delivered, at the first start only: a time within the last 30 days.
    /// Now, if not given.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub start_at: Option<String>,
    /// Start without a healthy check. For operators only, and told in the audit entry.
    #[serde(default)]
    pub override_check: bool,
    /// Why, for the audit entry.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The range of a replay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The first moment.
    #[schema(format = DateTime)]
    pub from: String,
    /// The moment after the last.
    #[schema(format = DateTime)]
    pub to: String,
}

/// Which part of a list is asked for.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// At most so many; 25 if not given.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// Those after this id: the last one of the page before.
    pub starting_after: Option<String>,
}

/// Destinations of an organization, in the order of their ids.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The destinations.
    pub objects: Vec<Destination>,
    /// Whether there are more after the last of them.
    pub has_more: bool,
}

/// Where a destination stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DestinationState {
    /// It waits for its first start. Nothing is kept for it.
    NeverStarted,
    /// Events flow.
    Streaming,
    /// It was paused. Events wait.
    Paused,
    /// Sealift paused it, because its role lets others in. Events wait.
    Unsafe,
}

/// A destination.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub organization: String,
    /// Where it stands. Whether what streams arrives, its status tells.
    pub status: DestinationState,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created: Option<String>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub updated: Option<String>,
    /// From when on events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started: Option<String>,
    /// Why Sealift paused it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The URL of an S3-compatible service that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// The folder.
    pub prefix: String,
    /// `https://host/bucket/key` in place of `https://bucket.host/key`.
    pub path_style: bool,
    /// How Sealift gets in.
    pub authentication: DestinationAuthentication,
    /// The principal that a role's trust policy has to name.
    pub principal_arn: String,
    /// The ExternalId that a role's trust policy has to ask for. It stays for the destination's
    /// life, whatever it is entered by.
    pub external_id: String,
    /// The events that it wants; all, if there are none.
    pub included_events: Vec<String>,
    /// The customer's KMS key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// A storage class of S3's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether the endpoint verifies a SHA-256 that is sent along; unknown if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
    /// The last check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CheckSummary>,
}

/// How Sealift gets in. Access keys are not shown, neither half of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum DestinationAuthentication {
    /// By a role.
    IamRole {
        /// The role.
        role_arn: String,
        /// The account that the bucket must belong to, if it is not the role's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bucket_owner: Option<String>,
    },
    /// By access keys.
    AccessKeys {},
}

/// Why Sealift paused a destination by itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// `unsafe`: the role lets others in.
    pub reason: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
    /// What it means, and the way out.
    pub message: String,
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Deliveries work, and the role refuses what it must refuse.
    Healthy,
    /// The role lets others in. Nothing is delivered through it.
    Unsafe,
    /// Deliveries do not work until somebody changes something.
    Failing,
    /// It cannot be told now.
    Unknown,
}

/// A check in short.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSummary {
    /// When.
    #[schema(format = DateTime)]
    pub checked: String,
    /// What was found.
    pub verdict: Verdict,
    /// Whether the connection is still the one that was checked.
    pub current: bool,
}

/// A check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// When.
    #[schema(format = DateTime)]
    pub checked: String,
    /// What was found.
    pub verdict: Verdict,
    /// Whether the connection is still the one that was checked.
    pub current: bool,
    /// All that was found.
    pub report: CheckReport,
}

/// All that a check found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckReport {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
    /// A hash of the connection that it is about.
    pub fingerprint: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is wrong, for programs, such as `role_unsafe` or `write_denied`; more may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What was tried, in order.
    pub matrix: Vec<CheckRow>,
    /// Why it is so, in words.
    pub cause: String,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// The policy statements that would mend it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<Mend>,
    /// What is not as it should be, but does no harm to deliveries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What `checksum` was found to have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
    /// What `path_style` was found to have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It worked.
    Allowed,
    /// It was refused.
    Denied,
    /// It cannot be told.
    Unknown,
    /// It was not tried, because of what was found before.
    Skipped,
}

/// One thing that was tried.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    /// What, such as `assume_without_external_id` or `put_object`; more may come.
    pub step: String,
    /// The permission that it needs, such as `s3:PutObject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// How it ends at a healthy destination.
    pub wanted: Outcome,
    /// How it ended.
    pub outcome: Outcome,
    /// The service's code, if it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The service's message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The service's name of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
}

/// Who can put something right.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The destination's owner.
    Customer,
    /// Whoever runs Sealift.
    Operator,
    /// Nobody needs to: it passes.
    Nobody,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// By whom.
    pub who: Who,
    /// What.
    pub what: String,
}

/// The kinds of policies.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyKind {
    /// Who may assume a role.
    Trust,
    /// What a role or user may do.
    Permissions,
    /// Who may do what to a bucket.
    Bucket,
    /// Who may use a KMS key.
    Key,
}

/// A policy statement that would mend what is wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mend {
    /// The policy that it belongs into.
    pub policy: PolicyKind,
    /// Whose policy that is.
    pub of: String,
    /// The statement, as IAM takes it.
    #[schema(value_type = Object)]
    pub statement: Value,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It has not begun.
    Waiting,
    /// It is under way.
    Running,
    /// All of it was delivered.
    Done,
    /// It was called off. What it had delivered stays.
    Cancelled,
    /// It was given up.
    Failed,
}

/// A replay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Its name.
    pub id: String,
    /// The first moment of the range that was asked for. Whole hours are delivered.
    #[schema(format = DateTime)]
    pub from: String,
    /// The moment after the last.
    #[schema(format = DateTime)]
    pub to: String,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub requested: String,
    /// Where it stands.
    pub state: ReplayState,
    /// Where its objects lie.
    pub prefix: String,
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ReplayProgress>,
    /// What it has delivered.
    pub counts: Counts,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended: Option<String>,
}

/// How far a replay has come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayProgress {
    /// Segments of the log that it has read.
    pub passed_segments: u64,
    /// Segments of the log that it reads.
    pub segments: u64,
}

/// What became of events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Events delivered.
    pub delivered: u64,
    /// Events that the selection left out.
    pub left_out: u64,
    /// Duplicates that were dropped.
    pub duplicates: u64,
    /// Delivered events whose id had stood with another line before.
    pub altered: u64,
    /// Bytes of the delivered lines.
    pub raw_bytes: u64,
    /// Objects written.
    pub objects: u64,
    /// Bytes of them.
    pub object_bytes: u64,
}

/// A failure in the other side's own words.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The operation that failed.
    pub operation: String,
    /// What it was aimed at.
    pub target: String,
    /// The service's code; empty if there was no answer.
    pub code: String,
    /// The service's message.
    pub message: String,
    /// The service's name of the request.
    pub request_id: String,
}

/// How a destination stands, in one word.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its first start.
    NeverStarted,
    /// Events flow.
    Streaming,
    /// It was paused; events wait.
    Paused,
    /// Events should flow and do not.
    Failing,
    /// Sealift paused it, because its role lets others in.
    Unsafe,
}

/// What there is to deliver.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing is kept for it.
    None,
    /// No event has come since its start.
    NothingYet,
    /// All that has come is delivered.
    UpToDate,
    /// Events are on their way.
    Delivering,
    /// Events wait, since it is paused.
    Waiting,
    /// Events wait, since they cannot be delivered.
    Stuck,
}

/// Whose fault an issue is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody's: it passes by itself.
    Passing,
    /// Who owns the bucket and the role.
    Customer,
    /// Who runs Sealift.
    Operator,
}

/// What stands in the way of deliveries.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// The operation that failed.
    pub operation: String,
    /// What it was aimed at.
    pub target: String,
    /// The service's code.
    pub code: String,
    /// The service's message.
    pub message: String,
    /// The service's name of the request.
    pub request_id: String,
    /// Whose fault it is.
    pub fault: Fault,
    /// What to do.
    pub advice: String,
    /// Tries that failed in a row.
    pub attempts: u32,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_try: Option<String>,
}

/// How long events took from the log into the bucket, lately.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// Half of them took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<i64>,
    /// All but one in twenty took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<i64>,
    /// So many events were counted.
    pub events: u64,
}

/// When events that wait will be gone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expiry {
    /// Until then the oldest is promised to be kept.
    #[schema(format = DateTime)]
    pub promised_until: String,
    /// Then it is deleted.
    #[schema(format = DateTime)]
    pub kept_until: String,
    /// Days until the promise ends.
    pub days_left: i64,
    /// Whether it is time to do something.
    pub warns: bool,
}

/// A part of the log that was gone before it could be delivered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The first missing segment.
    pub first: u64,
    /// The last missing one; unknown where the log was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// When the first of them was appended, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// When the last of them was, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub to: Option<String>,
    /// When it was noticed.
    #[schema(format = DateTime)]
    pub noticed: String,
    /// Why they are missing; more reasons may come.
    pub reason: String,
}

/// A place in the log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The log's epoch.
    pub epoch: String,
    /// The first segment that has not been passed.
    pub next: u64,
}

/// How a destination stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Which.
    pub id: String,
    /// Whose it is.
    pub organization: String,
    /// In one word.
    pub state: State,
    /// What there is to deliver.
    pub activity: Activity,
    /// In one sentence.
    pub summary: String,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// Why Sealift paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Events that the log held for it and that it has passed: delivered, left out and duplicates.
    pub events_seen: u64,
    /// What became of them.
    pub counts: Counts,
    /// When something was last delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub delivered: Option<String>,
    /// Where its cursor stands in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Where the log ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_end: Option<Position>,
    /// Segments between the two, of all organizations.
    pub lag_segments: u64,
    /// Why it catches up by itself; more reasons may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<String>,
    /// When the oldest event came that is not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub oldest_waiting: Option<String>,
    /// How long ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_seconds: Option<i64>,
    /// How long events took.
    pub freshness: Freshness,
    /// When events that wait will be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// What was gone before it could be delivered, the latest last.
    pub gaps: Vec<Gap>,
    /// Its replays, the latest first.
    pub replays: Vec<Replay>,
    /// The last check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<Check>,
}

/// What is told when something is not done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// It.
    pub error: Error,
}

/// Why something is not done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// For programs; more may come.
    pub code: ErrorCode,
    /// For people: what is in the way, and what to do.
    pub message: String,
    /// The field of the request that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The check that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

/// Why something is not done, for programs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read, or a field cannot be used.
    Invalid,
    /// Nobody who is known calls.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// It is not there, or not the caller's to see.
    NotFound,
    /// The path does not take the method.
    MethodNotAllowed,
    /// The id is in use.
    Taken,
    /// It does not go with what is there.
    Conflict,
    /// A check is in the way.
    NotHealthy,
    /// Another change is under way.
    Busy,
    /// The body is too large.
    TooLarge,
    /// The body is not said to be JSON.
    UnsupportedMediaType,
    /// It cannot be done at the moment.
    Unavailable,
    /// Something is wrong on Sealift's side.
    Internal,
}

/// The refusals that any route may answer with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it is read by the derive alone")]
pub(crate) enum Refusals {
    /// Nobody who is known calls.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// The caller may not do this.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// It is not there, or not the caller's to see: the two are not told apart.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// Something is wrong on Sealift's side.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// It cannot be done at the moment; `retry-after` says when to try again.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The refusals of routes that read something of the request beyond its path.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it is read by the derive alone")]
pub(crate) enum BadRequests {
    /// The request cannot be read, or a field cannot be used.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not said to be JSON.
    #[response(status = 415)]
    UnsupportedMediaType(ErrorBody),
}

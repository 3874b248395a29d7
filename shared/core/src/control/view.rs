//! What goes out: destinations, checks and replays as callers see them. No secret stands in any
//! of it, and times are RFC 3339 texts.

use serde::Serialize;

use super::record::{Checked, Life, ReplayNote};
use crate::Timestamp;
use crate::check::Verdict;
use crate::delivery::Counts;
use crate::delivery::replay::{self, Replay, ReplayState};
use crate::destination::{Credentials, Destination, HeldReason, Status};
use crate::id::{AccountId, DestinationId, OrgId, ReplayId, RoleArn};
use crate::selection::Selection;

/// A time as text, with milliseconds.
pub(super) fn text(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// Destinations of an organization, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The destinations.
    pub objects: Vec<DestinationView>,
    /// Whether there are more after the last of them.
    pub has_more: bool,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationView {
    /// Its name.
    pub id: DestinationId,
    /// Whose it is.
    pub organization: OrgId,
    /// `never_started`, `streaming`, `paused` or `unsafe`. Whether what streams arrives, its
    /// [status](super::StatusView) tells.
    pub status: &'static str,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// From when on events are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Why Sealift paused it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldView>,
    /// An S3-compatible service that is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    pub authentication: AuthenticationView,
    /// The principal that a role's trust policy has to name.
    pub principal_arn: RoleArn,
    /// The ExternalId that a role's trust policy has to ask for. It stays for the destination's
    /// life, whatever it is entered by.
    pub external_id: String,
    /// The events that it wants; all, if there are none.
    pub included_events: Selection,
    /// The customer's KMS key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// A storage class of S3's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Whether the endpoint verifies a SHA-256 that is sent along; unknown if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
    /// The last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CheckSummary>,
}

/// How Sealift gets in. Access keys are not shown, neither half of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AuthenticationView {
    /// By a role.
    IamRole {
        /// The role.
        role_arn: RoleArn,
        /// The account that the bucket must belong to, if it is not the role's.
        #[serde(skip_serializing_if = "Option::is_none")]
        bucket_owner: Option<AccountId>,
    },
    /// By access keys.
    AccessKeys,
}

/// Why Sealift paused a destination by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldView {
    /// `unsafe`
    pub reason: HeldReason,
    /// Since when.
    pub since: String,
    /// What it means, and the way out.
    pub message: &'static str,
}

/// What a held destination's owner is told.
pub(super) const HELD_MESSAGE: &str = "the role lets in others than this destination, so nothing may be \
    delivered by it; correct its trust policy as the check says, check again, and start";

/// A check in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    /// When.
    pub checked: String,
    /// What was found.
    pub verdict: Verdict,
    /// Whether the connection is still the one that was checked.
    pub current: bool,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckView {
    /// When.
    pub checked: String,
    /// What was found.
    pub verdict: Verdict,
    /// Whether the connection is still the one that was checked.
    pub current: bool,
    /// All that was found: the matrix, the cause, and what would mend it.
    pub report: serde_json::Value,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayView {
    /// Its name.
    pub id: ReplayId,
    /// The first moment of the range that was asked for. Whole hours are delivered.
    pub from: String,
    /// The moment after the last.
    pub to: String,
    /// When it was asked for.
    pub requested: String,
    /// `waiting`, `running`, `done`, `cancelled` or `failed`.
    pub state: &'static str,
    /// Where its objects lie.
    pub prefix: String,
    /// How far it has come; nothing before it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ReplayProgress>,
    /// What it has delivered.
    pub counts: Counts,
    /// What went wrong last, in the other side's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<crate::ports::Failure>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplayProgress {
    /// Segments of the log that it has read.
    pub passed_segments: u64,
    /// Segments of the log that it reads.
    pub segments: u64,
}

/// `never_started`, `streaming`, `paused` or `unsafe`.
pub(super) fn status_word(destination: &Destination) -> &'static str {
    match (destination.held.as_ref(), destination.status) {
        (Some(held), _) => match held.reason {
            HeldReason::Unsafe => "unsafe",
        },
        (None, _) if destination.start_ms.is_none() => "never_started",
        (None, Status::Streaming) => "streaming",
        (None, Status::Paused) => "paused",
    }
}

pub(super) fn held_view(destination: &Destination) -> Option<HeldView> {
    destination.held.as_ref().map(|held| HeldView {
        reason: held.reason,
        since: text(held.since_ms),
        message: HELD_MESSAGE,
    })
}

impl DestinationView {
    pub(super) fn of(destination: &Destination, life: &Life, principal: &RoleArn) -> Self {
        let location = &destination.location;
        let authentication = match &destination.credentials {
            Credentials::IamRole {
                role_arn,
                bucket_owner,
                ..
            } => AuthenticationView::IamRole {
                role_arn: role_arn.clone(),
                bucket_owner: bucket_owner.clone(),
            },
            Credentials::AccessKeys => AuthenticationView::AccessKeys,
        };
        let storage = &destination.storage;
        Self {
            id: destination.id.clone(),
            organization: destination.organization.clone(),
            status: status_word(destination),
            created: Some(text(life.created_ms)),
            updated: Some(text(life.updated_ms)),
            started: destination.start_ms.map(text),
            held: held_view(destination),
            endpoint: location.endpoint.as_ref().map(|e| e.as_str().to_owned()),
            bucket: location.bucket.to_string(),
            region: location.region.as_str().to_owned(),
            prefix: location.prefix.to_string(),
            path_style: location.path_style,
            authentication,
            principal_arn: principal.clone(),
            external_id: life.external_id.as_str().to_owned(),
            included_events: destination.include.clone(),
            kms_key_arn: storage.kms_key_arn.as_ref().map(|k| k.as_str().to_owned()),
            storage_class: storage
                .storage_class
                .as_ref()
                .map(|c| c.as_str().to_owned()),
            checksum: storage.checksum,
            last_check: life.check.as_ref().map(|checked| CheckSummary {
                checked: text(checked.report.at_ms),
                verdict: checked.report.verdict,
                current: checked.fits(destination, life.keys),
            }),
        }
    }
}

impl CheckView {
    pub(super) fn of(checked: &Checked, current: bool) -> Self {
        Self {
            checked: text(checked.report.at_ms),
            verdict: checked.report.verdict,
            current,
            report: serde_json::to_value(&checked.report).unwrap_or_default(),
        }
    }
}

impl ReplayView {
    /// From what was asked for and, once there is one, its document.
    pub(super) fn of(
        destination: &Destination,
        note: &ReplayNote,
        replay: Option<&Replay>,
    ) -> Self {
        let state = match replay.map(|replay| replay.state) {
            None => "waiting",
            Some(ReplayState::Running) if replay.is_some_and(|r| r.begun.is_none()) => "waiting",
            Some(ReplayState::Running) => "running",
            Some(ReplayState::Done) => "done",
            Some(ReplayState::Cancelled) => "cancelled",
            Some(ReplayState::Failed) => "failed",
        };
        let segments = replay.and_then(Replay::segments);
        let prefix = &destination.location.prefix;
        Self {
            id: note.id.clone(),
            from: text(note.from_ms),
            to: text(note.to_ms),
            requested: text(note.requested_ms),
            state,
            prefix: format!("{prefix}{}{}/", replay::FOLDER, note.id),
            progress: segments.map(|(passed_segments, segments)| ReplayProgress {
                passed_segments,
                segments,
            }),
            counts: replay.map(|replay| replay.counts).unwrap_or_default(),
            failure: replay.and_then(|replay| replay.failure.clone()),
            ended: replay.and_then(|replay| replay.ended_ms).map(text),
        }
    }
}

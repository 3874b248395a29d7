//! How a destination stands: one answer that tells an empty stream from a broken one.

use serde::Serialize;

use super::running::last_check;
use super::view::{CheckView, HELD_MESSAGE, HeldView, ReplayView, held_view, text};
use super::{Caller, Control, ControlError, advice, not_found};
use crate::check::{Checks, Verdict};
use crate::delivery::standing::{self, CursorState, Expiry, Standing};
use crate::delivery::{Counts, Gap, GapReason, LeftReason, Position};
use crate::destination::{Destination, Status};
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, Failure, ObjectStore};
use crate::vault::Vault;

/// How long events may wait without any failure before it is the platform that does not deliver:
/// many flushes.
const OVERDUE_MS: i64 = 10 * 60 * 1000;

/// The state, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing is kept for it.
    None,
    /// No event has come for it since its start, and none waits.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
}

/// How long events took from the log into the bucket, lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FreshnessView {
    /// Half of them took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<i64>,
    /// All but one in twenty took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<i64>,
    /// So many events were counted.
    pub events: u64,
}

/// When events that wait will be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpiryView {
    /// Until then the oldest is promised to be kept.
    pub promised_until: String,
    /// Then it is deleted.
    pub kept_until: String,
    /// Days until the promise ends.
    pub days_left: i64,
    /// Whether it is time to do something.
    pub warns: bool,
}

/// A part of the log that was gone before it could be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapView {
    /// The first missing segment.
    pub first: u64,
    /// The last missing one; unknown where the log was made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// When the first of them was appended, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When the last of them was, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was noticed.
    pub noticed: String,
    /// Why they are missing.
    pub reason: GapReason,
}

/// How a destination stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusView {
    /// Which.
    pub id: DestinationId,
    /// Whose it is.
    pub organization: OrgId,
    /// In one word.
    pub state: State,
    /// What there is to deliver.
    pub activity: Activity,
    /// In one sentence.
    pub summary: String,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// Why Sealift paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldView>,
    /// Events that the log held for it and that it has passed: delivered, left out and duplicates.
    pub events_seen: u64,
    /// What became of them.
    pub counts: Counts,
    /// When something was last delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<String>,
    /// Where its cursor stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Where the log ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_end: Option<Position>,
    /// Segments between the two, of all organizations.
    pub lag_segments: u64,
    /// Whether it catches up by itself, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catching_up: Option<LeftReason>,
    /// When the oldest event came that is not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<String>,
    /// How long ago that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_seconds: Option<i64>,
    /// How long events took.
    pub freshness: FreshnessView,
    /// When events that wait will be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryView>,
    /// What was gone before it could be delivered, the latest last.
    pub gaps: Vec<GapView>,
    /// Its replays, the latest first.
    pub replays: Vec<ReplayView>,
    /// The last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CheckView>,
}

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// How the destination stands now.
    pub async fn status(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<StatusView, ControlError> {
        caller.may_see(organization)?;
        let (_, life, there) = self.look(organization, id).await?;
        let destination = there.ok_or_else(|| not_found(organization, id))?;
        let shard = self.shard(organization);
        let now_ms = self.now_ms();
        let standing = standing::load(&self.log, &self.state, shard, &destination, now_ms).await?;
        let replays = self.replay_views(&destination, &life).await?;
        let check = last_check(&destination, &life);
        Ok(view(&destination, &standing, check, replays))
    }
}

fn view(
    destination: &Destination,
    standing: &Standing,
    last_check: Option<CheckView>,
    replays: Vec<ReplayView>,
) -> StatusView {
    let issue = issue(destination, standing);
    let state = state(destination, issue.as_ref());
    let activity = activity(state, standing);
    let catching_up = match standing.state {
        CursorState::Left { reason, .. } => Some(reason),
        _ => None,
    };
    StatusView {
        id: destination.id.clone(),
        organization: destination.organization.clone(),
        state,
        activity,
        summary: summary(state, activity, issue.as_ref(), last_check.as_ref()),
        issue,
        held: held_view(destination),
        events_seen: standing.counts.seen(),
        counts: standing.counts,
        delivered: standing.delivered_ms.map(text),
        position: standing.position.clone(),
        log_end: standing.end.clone(),
        lag_segments: standing.lag_segments,
        catching_up,
        oldest_waiting: standing.oldest_waiting_ms.map(text),
        oldest_age_seconds: standing.oldest_age_ms.map(|age_ms| age_ms / 1000),
        freshness: FreshnessView {
            p50_ms: standing.freshness.p50_ms,
            p95_ms: standing.freshness.p95_ms,
            events: standing.freshness.events,
        },
        expiry: standing.expiry.as_ref().map(expiry),
        gaps: standing.gaps.iter().map(gap).collect(),
        replays,
        last_check,
    }
}

fn expiry(expiry: &Expiry) -> ExpiryView {
    ExpiryView {
        promised_until: text(expiry.promised_until_ms),
        kept_until: text(expiry.kept_until_ms),
        days_left: expiry.days_left,
        warns: expiry.warns,
    }
}

fn gap(gap: &Gap) -> GapView {
    GapView {
        first: gap.first.0,
        last: gap.last.map(|last| last.0),
        from: gap.from_ms.map(text),
        to: gap.to_ms.map(text),
        noticed: text(gap.noticed_ms),
        reason: gap.reason,
    }
}

/// What stands in the way: what failed last, or that nobody delivers.
fn issue(destination: &Destination, standing: &Standing) -> Option<Issue> {
    let Standing {
        attempts,
        not_before_ms,
        ..
    } = *standing;
    if let Some(failure) = &standing.failure {
        let (fault, advice) = advice::of(failure, destination);
        let Failure {
            operation,
            target,
            code,
            message,
            request_id,
        } = failure.clone();
        return Some(Issue {
            operation,
            target,
            code,
            message,
            request_id,
            fault,
            advice,
            attempts,
            next_try: not_before_ms.map(text),
        });
    }
    let overdue = standing
        .oldest_age_ms
        .is_some_and(|age_ms| age_ms > OVERDUE_MS);
    // One that catches up has old events before it by its nature.
    let rides = matches!(standing.state, CursorState::Expected | CursorState::Rides);
    (destination.flows() && overdue && rides).then(|| Issue {
        operation: "Deliver".to_owned(),
        target: format!("the log of organization {}", destination.organization),
        code: "Overdue".to_owned(),
        message: "events wait, and nothing has failed".to_owned(),
        request_id: String::new(),
        fault: Fault::Operator,
        advice: "Deliveries do not run, or cannot keep up: look at the function audit-delivery and its queue."
            .to_owned(),
        attempts,
        next_try: None,
    })
}

fn state(destination: &Destination, issue: Option<&Issue>) -> State {
    if destination.held.is_some() {
        State::Unsafe
    } else if destination.start_ms.is_none() {
        State::NeverStarted
    } else if destination.status == Status::Paused {
        State::Paused
    } else if issue.is_some() {
        State::Failing
    } else {
        State::Streaming
    }
}

fn activity(state: State, standing: &Standing) -> Activity {
    let waits = standing.oldest_waiting_ms.is_some();
    match state {
        State::NeverStarted => Activity::None,
        State::Failing => Activity::Stuck,
        State::Paused | State::Unsafe if waits => Activity::Waiting,
        State::Streaming if waits => Activity::Delivering,
        _ if standing.counts.seen() == 0 => Activity::NothingYet,
        _ => Activity::UpToDate,
    }
}

fn summary(
    state: State,
    activity: Activity,
    issue: Option<&Issue>,
    check: Option<&CheckView>,
) -> String {
    let words = match (state, activity) {
        (State::NeverStarted, _) => {
            "It was never started; nothing is kept for it before its first start."
        }
        (State::Unsafe, _) => return format!("Sealift has paused it: {HELD_MESSAGE}."),
        (State::Paused, Activity::Waiting) => "It is paused; events wait in the log.",
        (State::Paused, _) => "It is paused; no event waits.",
        (State::Failing, _) => {
            let advice = issue.map_or("", |issue| issue.advice.as_str());
            return format!("Events are not delivered. {advice}");
        }
        (State::Streaming, Activity::NothingYet) => match check {
            Some(check) if check.current && check.verdict == Verdict::Healthy => {
                "It works, and no event of the organization has come since its start."
            }
            _ => "No event of the organization has come since its start.",
        },
        (State::Streaming, Activity::Delivering) => "It works; events are on their way.",
        (State::Streaming, _) => "It works; all that has come is delivered.",
    };
    words.to_owned()
}

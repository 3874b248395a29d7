//! Checking, starting, pausing and holding destinations.

use serde_json::{Map, Value, json};

use super::entries::{Teller, of_check};
use super::known::{Known, Proposal};
use super::record::{Checked, Life};
use super::update::overridden;
use super::view::{HELD_MESSAGE, status_word, text};
use super::{
    Caller, CheckView, Control, ControlError, DestinationView, StartRequest, TRIES, not_found,
    request,
};
use crate::audit::catalogue::{
    DESTINATION_CHECK_FAILED, DESTINATION_CHECK_OVERRIDDEN, DESTINATION_PAUSED,
    DESTINATION_STARTED, DESTINATION_TURNED_UNSAFE, DESTINATION_UPDATED,
};
use crate::check::{CheckReport, Checks, Verdict};
use crate::delivery::standing::PROMISED_MS;
use crate::destination::{Destination, Held, HeldReason, Status};
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::Vault;

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Checks a destination, and remembers what was found. One that streams and is found unsafe is
    /// held at once: nothing may be delivered through a role that lets others in.
    pub async fn check(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<CheckView, ControlError> {
        caller.may_change(organization)?;
        let known = self.settled(organization, id).await?;
        let keys = known.life.keys;
        let report = self.checks.check(&known.destination).await;
        let mut checked = Checked { report, keys };
        let current = self.note_check(caller, organization, id, &checked).await?;
        if current {
            checked.report.apply(&mut known.destination.clone());
        }
        Ok(CheckView::of(&checked, current))
    }

    /// Remembers a check, unless the connection has changed meanwhile, and does what it asks for.
    /// Tells whether it was remembered.
    pub(super) async fn note_check(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        checked: &Checked,
    ) -> Result<bool, ControlError> {
        for _ in 0..TRIES {
            let mut report = checked.report.clone();
            let known = self.settled(organization, id).await?;
            if !Self::still_fits(&known, checked) {
                return Ok(false);
            }
            let before = known.destination.clone();
            let mut after = before.clone();
            let unsafe_now = report.verdict == Verdict::Unsafe && before.flows();
            if unsafe_now {
                after.held = Some(Held {
                    reason: HeldReason::Unsafe,
                    since_ms: self.now_ms(),
                });
            }
            report.apply(&mut after);
            let last = known.life.check.as_ref().map(|last| last.report.verdict);
            let proposal = Proposal {
                check: Some(report.clone()),
                ..Proposal::of(Some(after.clone()))
            };
            let changed = self.change(caller, known, proposal, None, |teller| {
                tell_check(teller, &report, last, unsafe_now)?;
                let (was, is) = found_out(&before, &after);
                if was != is {
                    let details = json!({"reason": "found out by the check"});
                    teller.updated(&DESTINATION_UPDATED, was, is, details)?;
                }
                Ok(())
            });
            if changed.await?.is_some() {
                return Ok(true);
            }
        }
        Err(ControlError::Busy)
    }

    /// Starts a destination, or has it go on.
    ///
    /// The first start is where its events begin: at this moment, or at a time within the last 30
    /// days that was asked for. A later one goes on where it was paused. It needs a check of the
    /// connection as it is, healthy and not older than a day; an operator may do without it, but not
    /// where a role is known to be unsafe. One that was held asks for a check that is younger than
    /// that. Starting what streams already changes nothing.
    pub async fn start(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        asked: StartRequest,
    ) -> Result<DestinationView, ControlError> {
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let now_ms = self.now_ms();
            let before = &known.destination;
            let start_ms = first_start(before, &asked, now_ms)?;
            if before.flows() {
                return Ok(self.view(before, &known.life));
            }
            let overrides = may_start(caller, &known, &asked, now_ms)?;
            let after = Destination {
                status: Status::Streaming,
                held: None,
                start_ms: Some(start_ms),
                ..before.clone()
            };
            let (was, life) = (before.clone(), known.life.clone());
            let proposal = Proposal::of(Some(after.clone()));
            let changed = self.change(caller, known, proposal, None, |teller| {
                if overrides {
                    let details = overridden(&life, asked.reason.as_deref());
                    teller.happened(&DESTINATION_CHECK_OVERRIDDEN, details)?;
                }
                let details = json!({"reason": asked.reason});
                teller.updated(
                    &DESTINATION_STARTED,
                    running(&was),
                    running(&after),
                    details,
                )
            });
            if let Some(Some(view)) = changed.await? {
                return Ok(view);
            }
        }
        Err(ControlError::Busy)
    }

    /// Pauses a destination: its cursor stands, and events wait in the log, for 30 days. Pausing what
    /// is paused changes nothing.
    pub async fn pause(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError> {
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let before = known.destination.clone();
            if before.status == Status::Paused {
                return Ok(self.view(&before, &known.life));
            }
            let after = Destination {
                status: Status::Paused,
                ..before.clone()
            };
            let proposal = Proposal::of(Some(after.clone()));
            let changed = self.change(caller, known, proposal, None, |teller| {
                let (was, is) = (running(&before), running(&after));
                teller.updated(&DESTINATION_PAUSED, was, is, Value::Null)
            });
            if let Some(Some(view)) = changed.await? {
                return Ok(view);
            }
        }
        Err(ControlError::Busy)
    }

    /// The last check.
    pub async fn last_check(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<Option<CheckView>, ControlError> {
        caller.may_see(organization)?;
        let (_, life, there) = self.look(organization, id).await?;
        let destination = there.ok_or_else(|| not_found(organization, id))?;
        Ok(last_check(&destination, &life))
    }
}

pub(super) fn last_check(destination: &Destination, life: &Life) -> Option<CheckView> {
    let checked = life.check.as_ref()?;
    Some(CheckView::of(checked, checked.fits(destination, life.keys)))
}

/// What starting and pausing change.
fn running(destination: &Destination) -> Value {
    json!({
        "status": status_word(destination),
        "started": destination.start_ms.map(text),
    })
}

/// What a check has found out of an endpoint: what was before, and what is now.
fn found_out(before: &Destination, after: &Destination) -> (Value, Value) {
    let checksum = |destination: &Destination| json!(destination.storage.checksum);
    let path_style = |destination: &Destination| json!(destination.location.path_style);
    let (mut was, mut is) = (Map::new(), Map::new());
    for (field, before, after) in [
        ("checksum", checksum(before), checksum(after)),
        ("path_style", path_style(before), path_style(after)),
    ] {
        if before != after {
            was.insert(field.to_owned(), before);
            is.insert(field.to_owned(), after);
        }
    }
    (was.into(), is.into())
}

fn tell_check(
    teller: &mut Teller<'_>,
    report: &CheckReport,
    last: Option<Verdict>,
    unsafe_now: bool,
) -> Result<(), ControlError> {
    let details = of_check(report);
    if unsafe_now {
        let verdict = |verdict: Option<Verdict>| json!({"verdict": verdict});
        let own = &DESTINATION_TURNED_UNSAFE;
        return teller.updated(own, verdict(last), verdict(Some(report.verdict)), details);
    }
    let fails = matches!(report.verdict, Verdict::Failing | Verdict::Unsafe);
    // Told once, and not again by each check that finds the same.
    if fails && last != Some(report.verdict) {
        teller.happened(&DESTINATION_CHECK_FAILED, details)?;
    }
    Ok(())
}

/// Where its events begin, if it is started now.
fn first_start(
    destination: &Destination,
    asked: &StartRequest,
    now_ms: i64,
) -> Result<i64, ControlError> {
    let at = match &asked.start_at {
        None => None,
        Some(at) => Some(request::time("start_at", at)?.as_millisecond()),
    };
    let refuse = |reason| Err(ControlError::invalid("start_at", reason));
    match (destination.start_ms, at) {
        (Some(start_ms), None) => Ok(start_ms),
        (None, None) => Ok(now_ms),
        (Some(start_ms), Some(at)) if start_ms == at => Ok(at),
        (Some(_), Some(_)) => refuse(
            "can be set at the first start alone, and this destination was started before: it goes on where \
             it was paused. For what lies further back ask for a replay; to begin anew remove it and create it again",
        ),
        (None, Some(at)) if at > now_ms => {
            refuse("must not lie in the future; leave it out to start now")
        }
        (None, Some(at)) if now_ms - at > PROMISED_MS => {
            refuse("must lie within the last 30 days; what is older is not kept")
        }
        (None, Some(at)) => Ok(at),
    }
}

/// Whether it may be started, and then whether that overrides what the check says.
fn may_start(
    caller: &Caller,
    known: &Known,
    asked: &StartRequest,
    now_ms: i64,
) -> Result<bool, ControlError> {
    let Known {
        life, destination, ..
    } = known;
    let held_ms = destination.held.as_ref().map(|held| held.since_ms);
    let fits = |checked: &&Checked| checked.fits(destination, life.keys);
    let conclusive = life.conclusive.as_ref().filter(fits);
    let healthy = conclusive.is_some_and(|checked| {
        checked.report.allows_start(destination, now_ms)
            && held_ms.is_none_or(|held_ms| checked.report.at_ms > held_ms)
    });
    if healthy {
        return Ok(false);
    }
    let refuse = |reason: String| {
        Err(ControlError::NotHealthy {
            reason,
            check: last_check(destination, life).map(Box::new),
        })
    };
    let known_unsafe = conclusive.is_some_and(|checked| checked.report.verdict == Verdict::Unsafe);
    if held_ms.is_some() || known_unsafe {
        return refuse(format!("it cannot be started, by nobody: {HELD_MESSAGE}"));
    }
    if asked.override_check {
        return match caller.is_operator() {
            true => Ok(true),
            false => Err(ControlError::Forbidden {
                reason:
                    "only the operator may start a destination without a healthy check; leave out \
                         `override_check` and check it"
                        .to_owned(),
            }),
        };
    }
    let reason = match (life.check.as_ref(), life.check.as_ref().filter(fits)) {
        (None, _) => "it was never checked; check it, and start it then".to_owned(),
        (Some(_), None) => {
            "the connection has changed since the last check; check it again, and start it then"
                .to_owned()
        }
        (Some(_), Some(checked)) if checked.report.verdict == Verdict::Healthy => {
            "the last healthy check is older than a day; check it again, and start it then"
                .to_owned()
        }
        (Some(_), Some(checked)) => format!(
            "the last check did not find it healthy; mend it, check it again, and start it then: {}",
            checked.report.cause
        ),
    };
    refuse(reason)
}

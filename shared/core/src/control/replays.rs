//! Replays: asking for them, calling them off, and what has come of them.

use serde_json::{Value, json};

use super::known::Proposal;
use super::record::{Life, ReplayNote, ReplayStep};
use super::view::{ReplayView, text};
use super::{Caller, Control, ControlError, ReplayRequest, TRIES, not_found, request};
use crate::audit::catalogue::{DESTINATION_REPLAY_BEGUN, DESTINATION_REPLAY_CANCELLED};
use crate::check::Checks;
use crate::delivery::replay::Replay;
use crate::destination::Destination;
use crate::id::{DestinationId, OrgId, ReplayId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::Vault;

/// How many replays of a destination may be under way at once.
const MOST: usize = 4;

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Has events of a past range delivered once more, into `<prefix>_replays/<id>/`. It begins when
    /// the destination streams.
    pub async fn replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        asked: ReplayRequest,
    ) -> Result<ReplayView, ControlError> {
        caller.may_change(organization)?;
        let from = request::time("from", &asked.from)?;
        let to = request::time("to", &asked.to)?;
        let replay_id = ReplayId::generate(&self.entropy);
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let now = self.now();
            let mut after = known.destination.clone();
            // Refused now, or never.
            let replay =
                Replay::new(&after, from, to, now).map_err(|invalid| match invalid.field {
                    "destination" => {
                        ControlError::conflict(format!("the destination {}", invalid.reason))
                    }
                    field => ControlError::invalid(field, &invalid.reason),
                })?;
            let ended = self.over(&after).await?;
            after.replays.retain(|running| !ended.contains(running));
            if after.replays.len() >= MOST {
                return Err(ControlError::conflict(
                    "4 replays of the destination are under way, and that is the most; wait for one to end, or cancel one",
                ));
            }
            after.replays.push(replay_id.clone());
            let note = ReplayNote {
                id: replay_id.clone(),
                from_ms: replay.from_ms,
                to_ms: replay.to_ms,
                requested_ms: replay.requested_ms,
                ended: false,
            };
            let view = ReplayView::of(&after, &note, Some(&replay));
            let told = described(&note);
            let proposal = Proposal {
                replay: Some(ReplayStep::Place { note }),
                ended,
                ..Proposal::of(Some(after))
            };
            let changed = self.change(caller, known, proposal, None, |teller| {
                let (was, is) = (json!({"replay": null}), json!({"replay": told}));
                teller.updated(&DESTINATION_REPLAY_BEGUN, was, is, Value::Null)
            });
            if changed.await?.is_some() {
                return Ok(view);
            }
        }
        Err(ControlError::Busy)
    }

    /// Calls a replay off. What it has delivered stays. One that is over stays as it is.
    pub async fn cancel_replay(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
        replay: &str,
    ) -> Result<ReplayView, ControlError> {
        for _ in 0..TRIES {
            let known = self.known(caller, organization, id).await?;
            let noted = |note: &&ReplayNote| note.id.as_str() == replay;
            let note = known.life.replays.iter().find(noted).cloned();
            let note = note.ok_or_else(|| ControlError::NotFound {
                what: format!(
                    "replay of that id at destination {id} of organization {organization}"
                ),
            })?;
            let before = known.destination.clone();
            let there = self.replay_document(&before, &note.id).await?;
            if there.as_ref().is_none_or(Replay::is_over) {
                return Ok(ReplayView::of(&before, &note, there.as_ref()));
            }
            let mut after = before.clone();
            after.replays.retain(|running| *running != note.id);
            let told = described(&note);
            let proposal = Proposal {
                replay: Some(ReplayStep::Cancel {
                    id: note.id.clone(),
                }),
                ..Proposal::of(Some(after.clone()))
            };
            let changed = self.change(caller, known, proposal, None, |teller| {
                let (was, is) = (json!({"replay": told}), json!({"replay": null}));
                teller.updated(&DESTINATION_REPLAY_CANCELLED, was, is, Value::Null)
            });
            if changed.await?.is_some() {
                let there = self.replay_document(&after, &note.id).await?;
                return Ok(ReplayView::of(&after, &note, there.as_ref()));
            }
        }
        Err(ControlError::Busy)
    }

    /// The destination's replays, the latest first.
    pub async fn replays(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<Vec<ReplayView>, ControlError> {
        caller.may_see(organization)?;
        let (_, life, there) = self.look(organization, id).await?;
        let destination = there.ok_or_else(|| not_found(organization, id))?;
        self.replay_views(&destination, &life).await
    }

    pub(super) async fn replay_views(
        &self,
        destination: &Destination,
        life: &Life,
    ) -> Result<Vec<ReplayView>, ControlError> {
        let mut views = Vec::new();
        for note in life.replays.iter().rev() {
            let there = self.replay_document(destination, &note.id).await?;
            views.push(ReplayView::of(destination, note, there.as_ref()));
        }
        Ok(views)
    }

    async fn replay_document(
        &self,
        destination: &Destination,
        replay: &ReplayId,
    ) -> Result<Option<Replay>, ControlError> {
        let shard = self.shard(&destination.organization);
        let place = Replay::place(shard, &destination.id, replay);
        Ok(place.load(&self.state).await?.map(|there| there.body))
    }

    /// Those of the destination's replays that are over.
    pub(super) async fn over(
        &self,
        destination: &Destination,
    ) -> Result<Vec<ReplayId>, ControlError> {
        let mut over = Vec::new();
        for replay in &destination.replays {
            let there = self.replay_document(destination, replay).await?;
            // One without a document can never go on.
            if there.is_none_or(|there| there.is_over()) {
                over.push(replay.clone());
            }
        }
        Ok(over)
    }
}

fn described(note: &ReplayNote) -> Value {
    json!({"replay_id": note.id, "from": text(note.from_ms), "to": text(note.to_ms)})
}

//! What is kept of a destination beside its configuration: its record.
//!
//! `destinations/records/<destination>.json` in the state bucket. Creating it is what claims the
//! id, in the whole stack and against everybody. It stays when its destination is removed, empty,
//! because a store deletes without a condition: a deletion that came late would take the record of
//! the destination that was made anew.

use serde::{Deserialize, Serialize};

use crate::check::{CheckReport, Verdict};
use crate::destination::{Credentials, Destination};
use crate::document::{Document, Place};
use crate::external_id::ExternalId;
use crate::id::{DestinationId, ObjectKey, OrgId, ReplayId};

pub use crate::audit::outbox::Pending;

/// How long an open change that touches the vault belongs to whoever began it: longer than any
/// request lives. Only then may another put it right.
pub const LEASE_MS: i64 = 120_000;

/// How many ended replays a record remembers.
const ENDED_REPLAYS_KEPT: usize = 16;

/// How many finished changes a record remembers by name.
const FINISHED_KEPT: usize = 8;

/// The record of an id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The destination of this id; none if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// When the last destination of this id was created, in milliseconds since 1970: cursors
    /// belong to one creation, so the next one must have another time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// Audit entries that the bus has not taken yet, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<Pending>,
    /// The names of the last finished changes, the latest last: by them one who was overtaken
    /// learns that another finished what he had begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<String>,
}

impl Document for Record {
    const FORMAT: &'static str = "sealift.destination-record/1";
}

/// The folder of the records.
pub const FOLDER: &str = "destinations/records/";

impl Record {
    /// Where the record of an id lies.
    pub fn place(id: &DestinationId) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!("{FOLDER}{id}.json")))
    }

    /// The id whose record lies at a key.
    pub fn id_at(key: &ObjectKey) -> Option<DestinationId> {
        let name = key.as_str().strip_prefix(FOLDER)?.strip_suffix(".json")?;
        DestinationId::parse(name).ok()
    }

    /// The open change of the name.
    pub(super) fn open(&self, name: &str) -> Option<&Change> {
        let change = self.life.as_ref()?.change.as_ref()?;
        (change.name == name).then_some(change)
    }

    /// Notes that a change is over, with what is to be told of it.
    pub(super) fn close(&mut self, name: &str, entries: Vec<Pending>) {
        self.outbox.extend(entries);
        self.finished.push(name.to_owned());
        let surplus = self.finished.len().saturating_sub(FINISHED_KEPT);
        self.finished.drain(..surplus);
    }
}

/// What is known of a destination as long as it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Whose it is, for ever.
    pub organization: OrgId,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Its ExternalId, which it keeps even while it is entered by access keys.
    pub external_id: ExternalId,
    /// How often access keys were stored for it.
    #[serde(default)]
    pub keys: u64,
    /// The change that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The last check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Checked>,
    /// The last check that could tell. One that could not takes nothing back: neither that a
    /// connection is healthy, nor that it is unsafe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusive: Option<Checked>,
    /// Its replays, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<ReplayNote>,
}

impl Life {
    /// Notes a check.
    fn note_check(&mut self, checked: Checked) {
        if checked.report.verdict != Verdict::Unknown {
            self.conclusive = Some(checked.clone());
        }
        self.check = Some(checked);
    }

    /// Notes what came of a change that was done.
    pub(super) fn note(&mut self, change: &Change) {
        self.updated_ms = self.updated_ms.max(change.began_ms);
        if let Some(report) = change.check.clone() {
            let keys = self.keys;
            self.note_check(Checked { report, keys });
        }
        for note in &mut self.replays {
            let cancelled =
                matches!(&change.replay, Some(ReplayStep::Cancel { id }) if *id == note.id);
            note.ended |= cancelled || change.ended.contains(&note.id);
        }
        if let Some(ReplayStep::Place { note }) = &change.replay {
            self.note_replay(note.clone());
        }
    }

    /// Notes a replay, and forgets the oldest ended ones.
    fn note_replay(&mut self, note: ReplayNote) {
        self.replays.push(note);
        let ended = self.replays.iter().filter(|note| note.ended).count();
        let mut surplus = ended.saturating_sub(ENDED_REPLAYS_KEPT);
        self.replays.retain(|note| {
            let goes = note.ended && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// A change that is under way. It says all that there is to do, so that anybody can finish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name, unlike any other.
    pub name: String,
    /// When it began, in milliseconds since 1970.
    pub began_ms: i64,
    /// The destination before; none if it is being created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Destination>,
    /// The destination after; none if it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Destination>,
    /// What becomes of its access keys.
    #[serde(default)]
    pub keys: KeysStep,
    /// What becomes of a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayStep>,
    /// Replays that were found to be over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<ReplayId>,
    /// The check that it was made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckReport>,
    /// What is told of it when it is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Pending>,
}

/// What a change does to the access keys in the vault. Keys themselves never stand in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysStep {
    /// Nothing.
    #[default]
    Untouched,
    /// They are stored for the first time. Only who has them can do it; anybody else takes the
    /// change back.
    Give,
    /// They are stored in place of others. Only who has them can do it.
    Replace,
    /// They were stored, for the first time or in place of others.
    Stored,
    /// They are deleted.
    Delete,
}

impl Change {
    /// Whether it is still its beginner's alone.
    pub(super) fn is_anothers(&self, now_ms: i64) -> bool {
        self.touches_vault() && now_ms < self.began_ms.saturating_add(LEASE_MS)
    }

    fn touches_vault(&self) -> bool {
        let removes_keys = self.after.is_none()
            && matches!(
                self.before.as_ref().map(|before| &before.credentials),
                Some(Credentials::AccessKeys)
            );
        removes_keys || self.keys != KeysStep::Untouched
    }

    /// Whether nothing but the record has to be written.
    pub(super) fn is_only_noted(&self) -> bool {
        self.before == self.after && self.keys == KeysStep::Untouched && self.replay.is_none()
    }
}

/// What a change does to a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ReplayStep {
    /// Its document is written.
    Place {
        /// The replay.
        note: ReplayNote,
    },
    /// It is cancelled.
    Cancel {
        /// Which.
        id: ReplayId,
    },
}

/// A replay, as it was asked for. How far it has come stands in its own document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayNote {
    /// Its name.
    pub id: ReplayId,
    /// The beginning of the range that was asked for, in milliseconds since 1970.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
    /// When it was asked for.
    pub requested_ms: i64,
    /// Whether it is known to be over.
    #[serde(default)]
    pub ended: bool,
}

/// A check as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What was found.
    pub report: CheckReport,
    /// Which pair of access keys it was found with, by [`Life::keys`].
    #[serde(default)]
    pub keys: u64,
}

impl Checked {
    /// Whether the configuration is still the one that was checked, with the same access keys.
    pub fn fits(&self, destination: &Destination, keys: u64) -> bool {
        let entered_by_keys = matches!(destination.credentials, Credentials::AccessKeys);
        self.report.fits(destination) && (!entered_by_keys || self.keys == keys)
    }
}

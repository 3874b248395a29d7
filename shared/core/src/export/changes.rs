//! Changes of automations by people, each with its audit entry.
//!
//! The [registry](super::registry) makes them; that none goes untold is the
//! [outbox](crate::audit::outbox)'s. What functions do by themselves is not here: they have names for
//! their entries that follow from what they do.

use std::future::Future;

use serde_json::{Value, json};

use super::automation::Automation;
use super::registry::{Registry, RegistryError};
use crate::Timestamp;
use crate::audit::catalogue::{
    AUTOMATION_CREATED, AUTOMATION_DELETED, AUTOMATION_RUN_REQUESTED, AUTOMATION_UPDATED,
    CURSOR_RESET,
};
use crate::audit::outbox::{Outbox, OutboxError, Told};
use crate::audit::{Actor, BadEntry, Entry, Resource};
use crate::id::XactId;
use crate::ports::{Entropy, EventBus, ObjectStore};

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The registry refused, or failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its audit entry could not be written down, so it was not begun.
    #[error("nothing was changed, since it could not be noted down before: {0}")]
    Unannounced(#[from] OutboxError),
}

impl From<BadEntry> for ChangeError {
    fn from(error: BadEntry) -> Self {
        OutboxError::from(error).into()
    }
}

/// A change that was made, or that there was no need of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an entry that was left is worth a word in the log"]
pub struct Changed<T> {
    /// What came of it.
    pub value: T,
    /// What became of its audit entry.
    pub told: Told,
}

/// Makes changes in somebody's name, and tells of them.
#[derive(Debug)]
pub struct Changes<'a, S, B, E> {
    /// The automations.
    pub registry: &'a Registry<S, E>,
    /// The bus that is told.
    pub bus: &'a B,
    /// Who makes them.
    pub actor: &'a Actor,
    /// The time.
    pub now: Timestamp,
}

impl<S: ObjectStore, B: EventBus, E: Entropy> Changes<'_, S, B, E> {
    /// [Registers](Registry::register) an automation. Tells whether it was new; one that was there is
    /// no news.
    pub async fn register(
        &self,
        automation: &Automation,
        start: XactId,
    ) -> Result<Changed<bool>, ChangeError> {
        let after = described(automation)?;
        let entry = Entry::created(&AUTOMATION_CREATED, resource(automation), after)?;
        let registered = self.registry.register(automation, start, self.now_ms());
        self.make(entry, registered, |new| *new).await
    }

    /// [Changes](Registry::change) what an automation does. If nothing differs from `before`, it is
    /// due at once all the same, and that is no news.
    pub async fn change(
        &self,
        before: &Automation,
        after: &Automation,
    ) -> Result<Changed<()>, ChangeError> {
        let fields = (described(before)?, described(after)?);
        let entry = Entry::updated(&AUTOMATION_UPDATED, resource(after), fields.0, fields.1)?;
        let changed = self.registry.change(after, self.now_ms());
        if entry.changes_nothing() {
            changed.await?;
            let (value, told) = ((), Told::Nothing);
            return Ok(Changed { value, told });
        }
        self.make(entry, changed, |()| true).await
    }

    /// [Deletes](Registry::remove) an automation.
    pub async fn remove(&self, automation: &Automation) -> Result<Changed<()>, ChangeError> {
        let before = described(automation)?;
        let entry = Entry::deleted(&AUTOMATION_DELETED, resource(automation), before)?;
        let removed = self.registry.remove(&automation.id);
        self.make(entry, removed, |()| true).await
    }

    /// [Sets](Registry::reset) its cursor. Setting it to where it stands is told, too: what was
    /// exported is exported once more.
    pub async fn reset(
        &self,
        automation: &Automation,
        position: XactId,
    ) -> Result<Changed<()>, ChangeError> {
        let before = self.registry.cursor(&automation.id).await?.body.position;
        let at = |position: XactId| json!({"start_xact_id": position});
        let fields = (at(before), at(position));
        let entry = Entry::updated(&CURSOR_RESET, resource(automation), fields.0, fields.1)?;
        let (id, now_ms) = (&automation.id, self.now_ms());
        let reset = self.registry.reset(id, position, None, now_ms);
        self.make(entry, reset, |()| true).await
    }

    /// Makes it due.
    pub async fn wake(&self, automation: &Automation) -> Result<Changed<()>, ChangeError> {
        let entry = Entry::happened(&AUTOMATION_RUN_REQUESTED, resource(automation))?;
        let (id, now_ms) = (&automation.id, self.now_ms());
        let woken = self.registry.update_entry(id, |entry| entry.wake(now_ms));
        self.make(entry, woken, |()| true).await
    }

    fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Makes a change between its announcement and what is told of it. `is_news` says whether one
    /// that went well has changed anything.
    async fn make<T>(
        &self,
        entry: Entry,
        change: impl Future<Output = Result<T, RegistryError>> + Send,
        is_news: fn(&T) -> bool,
    ) -> Result<Changed<T>, ChangeError> {
        let outbox = Outbox {
            store: &self.registry.store,
            bus: self.bus,
            entropy: &self.registry.entropy,
        };
        let entry = entry.by(self.actor.clone());
        let announced = outbox.announce(&entry, self.now).await?;
        match change.await {
            Ok(value) if is_news(&value) => {
                let told = outbox.tell(announced).await;
                Ok(Changed { value, told })
            }
            Ok(value) => {
                let _ = outbox.withdraw(announced).await;
                let told = Told::Nothing;
                Ok(Changed { value, told })
            }
            Err(error) => {
                if did_nothing(&error) {
                    let _ = outbox.withdraw(announced).await;
                }
                Err(error.into())
            }
        }
    }
}

/// Whether the registry refused before it had changed anything. What failed otherwise may have been
/// done in part.
fn did_nothing(error: &RegistryError) -> bool {
    match error {
        RegistryError::Invalid(_)
        | RegistryError::Unknown(_)
        | RegistryError::Fixed { .. }
        | RegistryError::Taken(_) => true,
        RegistryError::Document(_) | RegistryError::Store(_) | RegistryError::Shards { .. } => {
            false
        }
    }
}

fn resource(automation: &Automation) -> Resource {
    Resource {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        organization: automation.organization.clone(),
        project: Some(automation.project_id.clone()),
    }
}

fn described(automation: &Automation) -> Result<Value, BadEntry> {
    serde_json::to_value(automation).map_err(|error| BadEntry::Unwritable {
        event_type: "automation",
        reason: error.to_string(),
    })
}

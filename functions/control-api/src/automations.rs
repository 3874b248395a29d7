//! Exports that this stack runs itself, behind the routes that Braintrust has for its own.
//!
//! What they do is Braintrust's (<https://github.com/braintrustdata/braintrust-openapi>): one who
//! manages its automations manages these by another address. `routes` has the wire, this the
//! operations, on the stack's [registry](sealift_core::export::registry).
//!
//! A name is one automation's within its project. The id is made of project and name, so that of two
//! who create the same one at once, one finds the other's; after a renaming the next id is taken.
//!
//! Whatever changes something is told to the audit log, by way of the
//! [outbox](sealift_core::audit::outbox).

use async_trait::async_trait;
use futures_util::future::join_all;
use sealift_core::audit::outbox::Told;
use sealift_core::control::Caller;
use sealift_core::export::automation::{Automation, ExportConfig};
use sealift_core::export::changes::{ChangeError, Changed, Changes};
use sealift_core::export::cursor::ExportCursor;
use sealift_core::export::message::Start;
use sealift_core::export::registry::{Registry, RegistryError};
use sealift_core::export::timetable::Entry;
use sealift_core::id::{AutomationId, OrgId, ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::error::AutomationError;
use self::error::invalid;

mod error;
pub(crate) mod routes;

/// How many documents are read at once.
const AT_ONCE: usize = 16;

/// How many automations of one name there may have been before, renamed since.
const MOST_RENAMED: u32 = 64;

/// An automation that is to be created, or to replace the one of its name.
#[derive(Debug, Clone)]
pub struct NewAutomation {
    /// The project that it exports.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: Option<String>,
    /// What it does.
    pub config: ExportConfig,
}

/// What changes of an automation. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AutomationChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Fields of the configuration, to be merged into it.
    pub config: Option<Value>,
}

/// How far an automation has come, and when it is due.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its cursor.
    pub cursor: ExportCursor,
    /// Its entry of the timetable.
    pub entry: Option<Entry>,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// The operations, without the types of their parts. Those that change something tell the audit log
/// who called.
#[async_trait]
pub trait Exports: Send + Sync {
    /// Creates it, or finds the one of its name, which stays as it is. Tells whether it was found.
    async fn create(
        &self,
        caller: &Caller,
        new: NewAutomation,
    ) -> Result<(Automation, bool), AutomationError>;
    /// Creates it, or replaces what the one of its name does.
    async fn replace(
        &self,
        caller: &Caller,
        new: NewAutomation,
    ) -> Result<Automation, AutomationError>;
    /// All, or those of a project, the newest first.
    async fn list(&self, project: Option<&ProjectId>) -> Result<Vec<Automation>, AutomationError>;
    /// One.
    async fn get(&self, id: &AutomationId) -> Result<Automation, AutomationError>;
    /// Merges changes into it.
    async fn change(
        &self,
        caller: &Caller,
        id: &AutomationId,
        change: AutomationChange,
    ) -> Result<Automation, AutomationError>;
    /// Deletes it, and tells what it was.
    async fn remove(
        &self,
        caller: &Caller,
        id: &AutomationId,
    ) -> Result<Automation, AutomationError>;
    /// Sets its cursor, and makes it due.
    async fn reset(
        &self,
        caller: &Caller,
        id: &AutomationId,
        project: &ProjectId,
        start: XactId,
    ) -> Result<(), AutomationError>;
    /// Makes it due.
    async fn schedule(
        &self,
        caller: &Caller,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<(), AutomationError>;
    /// How far it has come.
    async fn progress(
        &self,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<Progress, AutomationError>;
}

/// The automations of one organization, on ports.
#[derive(Debug)]
pub struct Automations<S, B, C, E> {
    registry: Registry<S, E>,
    bus: B,
    clock: C,
    organization: OrgId,
}

impl<S: ObjectStore, B: EventBus, C: Clock, E: Entropy> Automations<S, B, C, E> {
    /// Those of the registry, which are the organization's. The bus is told of what is changed.
    pub fn new(registry: Registry<S, E>, bus: B, clock: C, organization: OrgId) -> Self {
        Self {
            registry,
            bus,
            clock,
            organization,
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Changes in the caller's name.
    fn changes<'a>(&'a self, caller: &'a Caller) -> Changes<'a, S, B, E> {
        Changes {
            registry: &self.registry,
            bus: &self.bus,
            actor: &caller.actor,
            now: self.clock.now(),
        }
    }

    /// The n-th id that an automation of that name may have: a UUID of the kind that is free in form
    /// (<https://www.rfc-editor.org/rfc/rfc9562#section-5.8>).
    fn id_of(
        &self,
        project: &ProjectId,
        name: &str,
        nth: u32,
    ) -> Result<AutomationId, AutomationError> {
        let text = format!("{}\n{project}\n{nth}\n{name}", self.organization);
        let digest = Sha256::digest(text);
        let digits: u128 = digest
            .iter()
            .take(16)
            .fold(0, |all, byte| all << 8 | u128::from(*byte));
        let digits = digits & !(0xf << 76) | 0x8 << 76;
        let digits = digits & !(0x3 << 62) | 0x2 << 62;
        let text = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            digits >> 96,
            digits >> 80 & 0xffff,
            digits >> 64 & 0xffff,
            digits >> 48 & 0xffff,
            digits & 0xffff_ffff_ffff,
        );
        AutomationId::parse(text).map_err(|error| invalid("name", error.to_string()))
    }

    async fn load(&self, ids: &[AutomationId]) -> Result<Vec<Automation>, AutomationError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let mut reads = Vec::with_capacity(ids.len());
            for id in ids {
                reads.push(self.registry.automation(id));
            }
            for read in join_all(reads).await {
                match read {
                    Ok(automation) => all.push(automation),
                    // Deleted since it was listed.
                    Err(RegistryError::Unknown(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(all)
    }

    async fn named(
        &self,
        project: &ProjectId,
        name: &str,
    ) -> Result<Option<Automation>, AutomationError> {
        let ids = self.registry.by_project().await?.remove(project);
        let all = self.load(&ids.unwrap_or_default()).await?;
        Ok(all.into_iter().find(|there| there.name == name))
    }

    /// The automation, if it is the project's.
    async fn of_project(
        &self,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<Automation, AutomationError> {
        let there = self.registry.automation(id).await?;
        match there.project_id == *project {
            true => Ok(there),
            false => Err(RegistryError::Unknown(id.clone()).into()),
        }
    }
}

#[async_trait]
impl<S: ObjectStore, B: EventBus, C: Clock, E: Entropy> Exports for Automations<S, B, C, E> {
    async fn create(
        &self,
        caller: &Caller,
        new: NewAutomation,
    ) -> Result<(Automation, bool), AutomationError> {
        if new.name.is_empty() {
            return Err(invalid("name", "must not be empty"));
        }
        if let Some(there) = self.named(&new.project, &new.name).await? {
            return Ok((there, true));
        }
        let now_ms = self.now_ms();
        let mut automation = Automation {
            id: self.id_of(&new.project, &new.name, 0)?,
            organization: self.organization.clone(),
            project_id: new.project.clone(),
            name: new.name.clone(),
            description: new.description,
            created_ms: now_ms,
            config: new.config,
            bucket_owner: None,
        };
        for nth in 0..MOST_RENAMED {
            automation.id = self.id_of(&new.project, &new.name, nth)?;
            // As Braintrust's: from the beginning, until its cursor is set.
            let changes = self.changes(caller);
            match changes.register(&automation, XactId::ZERO).await {
                Ok(changed) => {
                    if note(&automation.id, changed) {
                        return Ok((automation, false));
                    }
                }
                Err(ChangeError::Registry(RegistryError::Taken(_))) => {}
                Err(error) => return Err(error.into()),
            }
            // Somebody else's of the moment, or one that was cut off, or one that was renamed.
            let there = self.registry.automation(&automation.id).await?;
            if there.name == new.name {
                self.registry.register(&there, XactId::ZERO, now_ms).await?;
                return Ok((there, true));
            }
        }
        Err(invalid("name", "was given away too often; choose another"))
    }

    async fn replace(
        &self,
        caller: &Caller,
        new: NewAutomation,
    ) -> Result<Automation, AutomationError> {
        let (there, found) = self.create(caller, new.clone()).await?;
        if !found {
            return Ok(there);
        }
        let automation = Automation {
            description: new.description,
            config: new.config,
            ..there.clone()
        };
        let changed = self.changes(caller).change(&there, &automation).await?;
        note(&automation.id, changed);
        Ok(automation)
    }

    async fn list(&self, project: Option<&ProjectId>) -> Result<Vec<Automation>, AutomationError> {
        let ids = self.registry.list().await?;
        let mut all = self.load(&ids).await?;
        all.retain(|there| project.is_none_or(|project| there.project_id == *project));
        all.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        Ok(all)
    }

    async fn get(&self, id: &AutomationId) -> Result<Automation, AutomationError> {
        Ok(self.registry.automation(id).await?)
    }

    async fn change(
        &self,
        caller: &Caller,
        id: &AutomationId,
        change: AutomationChange,
    ) -> Result<Automation, AutomationError> {
        let there = self.registry.automation(id).await?;
        let mut automation = there.clone();
        if let Some(name) = change.name.filter(|name| *name != automation.name) {
            if name.is_empty() {
                return Err(invalid("name", "must not be empty"));
            }
            if self.named(&automation.project_id, &name).await?.is_some() {
                return Err(invalid("name", "is another automation's of the project"));
            }
            automation.name = name;
        }
        if let Some(description) = change.description {
            automation.description = Some(description);
        }
        if let Some(change) = change.config {
            let mut config = serde_json::to_value(&automation.config).unwrap_or_default();
            merge(&mut config, change);
            // What was wrong is not told, because serde would quote values.
            automation.config = serde_json::from_value(config).map_err(|_| {
                invalid(
                    "config",
                    "is no configuration of the kind `btql_export` with these changes",
                )
            })?;
        }
        note(id, self.changes(caller).change(&there, &automation).await?);
        Ok(automation)
    }

    async fn remove(
        &self,
        caller: &Caller,
        id: &AutomationId,
    ) -> Result<Automation, AutomationError> {
        let there = self.registry.automation(id).await?;
        note(id, self.changes(caller).remove(&there).await?);
        Ok(there)
    }

    async fn reset(
        &self,
        caller: &Caller,
        id: &AutomationId,
        project: &ProjectId,
        start: XactId,
    ) -> Result<(), AutomationError> {
        let there = self.of_project(id, project).await?;
        let start = Start::Behind(start).position(self.clock.now());
        let start = start.map_err(|error| invalid("start_xact_id", error.reason))?;
        note(id, self.changes(caller).reset(&there, start).await?);
        Ok(())
    }

    async fn schedule(
        &self,
        caller: &Caller,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<(), AutomationError> {
        let there = self.of_project(id, project).await?;
        note(id, self.changes(caller).wake(&there).await?);
        Ok(())
    }

    async fn progress(
        &self,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<Progress, AutomationError> {
        self.of_project(id, project).await?;
        Ok(Progress {
            cursor: self.registry.cursor(id).await?.body,
            entry: self.registry.entry(id).await?,
            now_ms: self.now_ms(),
        })
    }
}

/// What came of a change. That its entry waits is for the log: the change is made, and the entry is
/// not lost.
fn note<T>(automation: &AutomationId, changed: Changed<T>) -> T {
    if let Told::Left(error) = &changed.told {
        tracing::warn!(
            %automation, %error,
            "a change of automation {automation} was made, and its audit entry waits in the outbox: {error}"
        );
    }
    changed.value
}

/// Merges objects field by field, and replaces all else. Nothing is set to null.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(change)) => {
            for (name, change) in change {
                if !change.is_null() {
                    merge(into.entry(name).or_insert(Value::Null), change);
                }
            }
        }
        (into, change) => *into = change,
    }
}

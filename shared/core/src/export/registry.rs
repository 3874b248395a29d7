//! The three documents of an automation, kept in line with each other: what it is, how far it
//! has come, and when it is due.
//!
//! They are written in that order, each only if it is missing, so that a registration which was
//! cut off is completed by doing it again, and never sets back a cursor that has moved.

use std::collections::BTreeMap;

use crate::document::{DocumentError, Saved, Stored};
use crate::export::automation::{
    AUTOMATIONS, Automation, AutomationStatus, Definition, ExportPlan, InvalidAutomation,
};
use crate::export::cursor::ExportCursor;
use crate::export::timetable::{Entry, Timetable, shard_of};
use crate::id::{AutomationId, ObjectKey, ProjectId, XactId};
use crate::ports::{Entropy, ObjectStore, StoreError};

/// Why an automation could not be looked up or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A document could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be run as it is.
    #[error(transparent)]
    Invalid(#[from] InvalidAutomation),
    /// There is none of that id.
    #[error("there is no automation {0}; `sealift export status` lists those there are")]
    Unknown(AutomationId),
    /// What it is about cannot be changed: what was exported would lie elsewhere, or be another's.
    #[error(
        "the {field} of automation {id} cannot be changed; create another, and delete this one"
    )]
    Fixed {
        /// Which.
        id: AutomationId,
        /// What cannot be changed.
        field: &'static str,
    },
    /// There is one of that id, and it is another.
    #[error(
        "there is an automation {0} already, with another configuration; take another id, or change that one with `sealift export update`"
    )]
    Taken(AutomationId),
    /// The timetable was made with another number of shards.
    #[error(
        "the timetable was made with {is} shards, but SEALIFT_EXPORT_SHARDS says {wanted}; set it back: \
         the number cannot be changed once there are automations"
    )]
    Shards {
        /// The number in the timetable.
        is: u16,
        /// The number in the settings.
        wanted: u16,
    },
}

/// An automation whose document and cursor stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Which.
    id: AutomationId,
    /// Its entry, if it has none yet.
    entry: Entry,
    /// Whether its document is new.
    pub new: bool,
}

/// The automations of a stack.
#[derive(Debug, Clone)]
pub struct Registry<S, E> {
    /// The state bucket.
    pub store: S,
    /// Chance, for the documents' nonces.
    pub entropy: E,
    /// The number of shards of the timetable.
    pub shards: u16,
}

impl<S: ObjectStore, E: Entropy> Registry<S, E> {
    /// Registers an automation that starts behind a position, and is due at once. Doing it again
    /// changes nothing. Tells whether it was new.
    pub async fn register(
        &self,
        automation: &Automation,
        start: XactId,
        now_ms: i64,
    ) -> Result<bool, RegistryError> {
        let prepared = self.prepare(automation, start, now_ms).await?;
        let new = prepared.new;
        self.schedule(&[prepared]).await?;
        Ok(new)
    }

    /// The first part of a registration: the automation's document and its cursor. It runs once
    /// it is [scheduled](Self::schedule).
    pub async fn prepare(
        &self,
        automation: &Automation,
        start: XactId,
        now_ms: i64,
    ) -> Result<Prepared, RegistryError> {
        let plan = automation.plan()?;
        let place = Automation::place(&automation.id);
        let saved = place
            .create(&self.store, automation.clone(), &self.entropy)
            .await?;
        let new = matches!(saved, Saved::Done(_));
        if !new {
            let there = self.automation(&automation.id).await?;
            // When it was first written does not make it another.
            let created_ms = there.created_ms;
            if there
                != (Automation {
                    created_ms,
                    ..automation.clone()
                })
            {
                return Err(RegistryError::Taken(automation.id.clone()));
            }
        }
        let cursor = ExportCursor::starting(
            automation.organization.clone(),
            automation.project_id.clone(),
            start,
        );
        let cursor = ExportCursor::place(&automation.id)
            .update(&self.store, &self.entropy, |there| match there {
                None => Some(cursor.clone()),
                // What is left of a deleted one of the same id.
                Some(left) if left.deleted => {
                    let mut cursor = cursor.clone();
                    cursor.generation = left.generation + 1;
                    cursor.unlisted.clone_from(&left.unlisted);
                    Some(cursor)
                }
                Some(_) => None,
            })
            .await?;
        let generation = cursor.map_or(0, |cursor| cursor.body.generation);
        Ok(Prepared {
            id: automation.id.clone(),
            entry: Entry {
                generation,
                ..entry_of(automation, &plan, start, now_ms)
            },
            new,
        })
    }

    /// The second part of registrations: their entries of the timetable, one write for each
    /// shard. Those that have one keep it.
    pub async fn schedule(&self, prepared: &[Prepared]) -> Result<(), RegistryError> {
        let mut by_shard: BTreeMap<u16, Vec<&Prepared>> = BTreeMap::new();
        for one in prepared {
            let shard = shard_of(&one.id, self.shards);
            by_shard.entry(shard).or_default().push(one);
        }
        for (shard, prepared) in by_shard {
            let add = |table: &Timetable| {
                let mut lacking = prepared.iter();
                lacking
                    .any(|one| !table.entries.contains_key(&one.id))
                    .then(|| {
                        let mut table = table.clone();
                        for one in &prepared {
                            let entry = table.entries.entry(one.id.clone());
                            entry.or_insert_with(|| one.entry.clone());
                        }
                        table
                    })
            };
            self.update_shard(shard, add).await?;
        }
        Ok(())
    }

    /// The ids of all automations that are in the timetable, by project.
    pub async fn by_project(
        &self,
    ) -> Result<BTreeMap<ProjectId, Vec<AutomationId>>, RegistryError> {
        let mut ids: BTreeMap<ProjectId, Vec<AutomationId>> = BTreeMap::new();
        for shard in 0..self.shards {
            let read = Timetable::place(shard).load(&self.store).await?;
            for (id, entry) in read.into_iter().flat_map(|read| read.body.entries) {
                ids.entry(entry.project_id).or_default().push(id);
            }
        }
        Ok(ids)
    }

    /// The automation.
    pub async fn automation(&self, id: &AutomationId) -> Result<Automation, RegistryError> {
        let read = Automation::place(id).load(&self.store).await?;
        read.map(|read| read.body)
            .ok_or_else(|| RegistryError::Unknown(id.clone()))
    }

    /// Its cursor, to be replaced.
    pub async fn cursor(&self, id: &AutomationId) -> Result<Stored<ExportCursor>, RegistryError> {
        let read = ExportCursor::place(id).load(&self.store).await?;
        read.ok_or_else(|| RegistryError::Unknown(id.clone()))
    }

    /// Its entry of the timetable.
    pub async fn entry(&self, id: &AutomationId) -> Result<Option<Entry>, RegistryError> {
        let read = Timetable::place(shard_of(id, self.shards))
            .load(&self.store)
            .await?;
        Ok(read.and_then(|read| read.body.entries.get(id).cloned()))
    }

    /// The ids of all automations, in order.
    pub async fn list(&self) -> Result<Vec<AutomationId>, RegistryError> {
        let mut ids = Vec::new();
        let mut after: Option<ObjectKey> = None;
        loop {
            let page = self.store.list(AUTOMATIONS, after.as_ref(), 1000).await?;
            let Some(last) = page.last() else {
                return Ok(ids);
            };
            after = Some(last.key.clone());
            let names = page.iter().filter_map(|line| {
                let name = line.key.as_str().strip_prefix(AUTOMATIONS)?;
                AutomationId::parse(name.strip_suffix(".json")?).ok()
            });
            ids.extend(names);
        }
    }

    /// Changes what an automation does; its cursor stays. The change counts from the next run on.
    pub async fn change(&self, automation: &Automation, now_ms: i64) -> Result<(), RegistryError> {
        let plan = automation.plan()?;
        let id = &automation.id;
        let there = self.automation(id).await?;
        let fixed = [
            ("project_id", there.project_id != automation.project_id),
            (
                "organization",
                there.organization != automation.organization,
            ),
            (
                "config.export_path",
                there.config.export_path != automation.config.export_path,
            ),
            (
                "config.export_definition.type",
                std::mem::discriminant(&there.config.export_definition)
                    != std::mem::discriminant(&automation.config.export_definition),
            ),
        ];
        if let Some((field, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            let id = id.clone();
            return Err(RegistryError::Fixed { id, field });
        }
        Automation::place(id)
            .update(&self.store, &self.entropy, |there| {
                let created_ms = there?.created_ms;
                Some(Automation {
                    created_ms,
                    ..automation.clone()
                })
            })
            .await?;
        self.update_entry(id, |entry| {
            entry.interval_seconds = plan.interval_seconds;
            if entry.paused && automation.is_active() {
                entry.fresh_ms = Some(now_ms);
            }
            entry.paused = !automation.is_active();
            entry.next_ms = entry.next_ms.min(now_ms);
            entry.quiet = false;
        })
        .await
    }

    /// Deletes an automation: nothing starts it any more. What was exported stays, and so does
    /// the generation of its cursor, so that one which is created under the same id later
    /// overwrites nothing.
    pub async fn remove(&self, id: &AutomationId) -> Result<(), RegistryError> {
        self.automation(id).await?;
        self.update_shard(shard_of(id, self.shards), |table| {
            let mut table = table.clone();
            table.entries.remove(id).map(|_| table)
        })
        .await?;
        ExportCursor::place(id)
            .update(&self.store, &self.entropy, |there| {
                let mut cursor = there?.clone();
                cursor.shelve();
                cursor.claim = None;
                cursor.deleted = true;
                Some(cursor)
            })
            .await?;
        Ok(self.store.delete(Automation::place(id).key()).await?)
    }

    /// Pauses or resumes it. A resumed one is due at once.
    pub async fn set_active(
        &self,
        id: &AutomationId,
        active: bool,
        now_ms: i64,
    ) -> Result<(), RegistryError> {
        let status = if active {
            AutomationStatus::Active
        } else {
            AutomationStatus::Paused
        };
        self.automation(id).await?;
        Automation::place(id)
            .update(&self.store, &self.entropy, |there| {
                let mut changed = there?.clone();
                changed.config.status = Some(status);
                (Some(&changed) != there).then_some(changed)
            })
            .await?;
        self.update_entry(id, |entry| {
            if active && entry.paused {
                entry.fresh_ms = Some(now_ms);
                entry.next_ms = now_ms;
                entry.quiet = false;
            }
            entry.paused = !active;
        })
        .await
    }

    /// Sets its cursor to another position, and makes it due at once. An event that has done
    /// so before, and is delivered again, changes nothing.
    pub async fn reset(
        &self,
        id: &AutomationId,
        position: XactId,
        event: Option<&str>,
        now_ms: i64,
    ) -> Result<(), RegistryError> {
        self.automation(id).await?;
        let cursor = ExportCursor::place(id)
            .update(&self.store, &self.entropy, |there| {
                let mut cursor = there?.clone();
                if event.is_some() && cursor.reset_by.as_deref() == event {
                    return None;
                }
                cursor.reset(position);
                cursor.reset_by = event.map(str::to_owned);
                Some(cursor)
            })
            .await?;
        let generation = cursor.map_or(0, |cursor| cursor.body.generation);
        self.update_entry(id, |entry| {
            // A repetition completes what was cut off, and nothing else.
            if entry.generation < generation {
                entry.wake(now_ms);
                entry.quiet = false;
                entry.attempts = 0;
                entry.position = position;
                entry.generation = generation;
            }
        })
        .await
    }

    /// Changes its entry of the timetable, if it has one.
    pub async fn update_entry(
        &self,
        id: &AutomationId,
        mut change: impl FnMut(&mut Entry) + Send,
    ) -> Result<(), RegistryError> {
        self.update_shard(shard_of(id, self.shards), |table| {
            let mut table = table.clone();
            let before = table.entries.get(id)?.clone();
            let entry = table.entries.get_mut(id)?;
            change(entry);
            (*entry != before).then_some(table)
        })
        .await
    }

    async fn update_shard(
        &self,
        shard: u16,
        mut change: impl FnMut(&Timetable) -> Option<Timetable> + Send,
    ) -> Result<(), RegistryError> {
        let mut other = None;
        Timetable::place(shard)
            .update(&self.store, &self.entropy, |there| {
                let shards = self.shards;
                let new = Timetable {
                    shards,
                    ..Timetable::default()
                };
                let there = there.unwrap_or(&new);
                other = (there.shards != shards).then_some(there.shards);
                other.is_none().then(|| change(there)).flatten()
            })
            .await?;
        other.map_or(Ok(()), |is| {
            let wanted = self.shards;
            Err(RegistryError::Shards { is, wanted })
        })
    }
}

fn entry_of(automation: &Automation, plan: &ExportPlan, start: XactId, now_ms: i64) -> Entry {
    Entry {
        project_id: automation.project_id.clone(),
        interval_seconds: plan.interval_seconds,
        next_ms: now_ms,
        paused: !automation.is_active(),
        quiet: false,
        surveyed: !matches!(plan.definition, Definition::Query(_)),
        position: start,
        generation: 0,
        attempts: 0,
        fresh_ms: Some(now_ms),
    }
}

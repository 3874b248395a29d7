//! Braintrust's data plane on one machine, in the process: an HTTP server over rows in memory,
//! which the demo and tests talk to as they would to `api.braintrust.dev`.
//!
//! [`DataPlane`] answers the endpoints that Sealift uses: queries (`/btql`), projects,
//! automations and their cursors. Rows come back as the bytes that were loaded. What becomes of
//! projects is recorded in the organization's audit log ([`AuditEvent`]), which is queried as
//! well. Faults strike where a test asks for them ([`faults`]), and everything that was asked
//! can be looked up ([`request_log`]).
//!
//! What is known of Braintrust is known from its OpenAPI file, its documentation, its own tools
//! and recorded answers. Comments say of each rule whether it is *confirmed* or *documented*
//! there, *recorded*, *inferred* from recorded data, or *our choice* where nothing is known.
//! Where a choice had to be made, it is the stricter one, or an option
//! ([`DataPlaneOptions`]): a client that works here relies on nothing that is unknown.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sealift_core::id::{AutomationId, InvalidId, ProjectId, XactId};

use self::audit_log::Action;
use self::handler::Handler;
use self::listener::{Bound, Listener};
use self::row::{Position, Row};
use self::shared::Shared;
use self::state::{Project, State};

mod audit_log;
mod automation_config;
mod automations;
mod btql;
mod cursor;
mod handler;
mod listener;
mod listing;
mod options;
mod projects;
mod query;
mod refusal;
mod registration;
mod reply;
mod row;
mod run;
mod shared;
mod state;
mod store;
mod summary;
mod validate;

pub mod faults;
pub mod openapi;
pub mod request_log;

pub use audit_log::{AuditAccess, AuditChange, AuditEvent};
pub use options::{DataPlaneOptions, Organization};
pub use state::Freshness;

use faults::Faults;
use request_log::RequestLog;

/// Why a data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The organization's id cannot be one of Braintrust's.
    #[error("organization id {0} is not a UUID, as Braintrust's are")]
    NotAUuid(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Why projects or rows were not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// An id is none.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The project's id cannot be one of Braintrust's.
    #[error("project id {0} is not a UUID, as Braintrust's are")]
    NotAUuid(ProjectId),
    /// Another project has the id or the name.
    #[error("a project {0} exists already")]
    ProjectExists(String),
    /// There is no such project, or it is deleted.
    #[error("there is no project {0}")]
    NoSuchProject(ProjectId),
    /// A row is not one.
    #[error("row {line}: {reason}")]
    BadRow {
        /// Its number among those that were handed in, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An update must be later than what it replaces.
    #[error("row {id} has transaction {is} already, which is not before {wanted}")]
    NotLater {
        /// The row's id.
        id: String,
        /// The transaction that it has.
        is: XactId,
        /// The transaction that was handed in.
        wanted: XactId,
    },
    /// There is no such automation.
    #[error("there is no automation {0}")]
    NoSuchAutomation(AutomationId),
}

/// What an automation is registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `project_logs:<project id>`; empty if only the cron endpoint was called.
    pub object_id: String,
    /// Rows after this transaction are to be exported.
    pub start: XactId,
    /// How often its cursors were reset.
    pub resets: u64,
    /// How often it was scheduled by `upsert-object-cursor`.
    pub schedulings: u64,
    /// Whether it was registered by `/automation/cron`.
    pub cron: bool,
}

/// A running data plane. It stops when it is dropped; [`shutdown`](Self::shutdown) lets the
/// requests under way finish first.
pub struct DataPlane {
    shared: Arc<Shared>,
    listener: Listener,
}

impl DataPlane {
    /// Starts without projects.
    pub async fn start(options: DataPlaneOptions) -> Result<Self, StartError> {
        let organization = &options.settings.organization.id;
        if !validate::is_uuid(organization.as_str()) {
            return Err(StartError::NotAUuid(organization.to_string()));
        }
        let address = options.listen;
        let failed = |source| StartError::Listen { address, source };
        let bound = Bound::bind(address).await.map_err(failed)?;
        let shared = Arc::new(Shared {
            url: format!("http://{}", bound.address().map_err(failed)?),
            settings: options.settings,
            time: options.time,
            entropy: options.entropy,
            faults: Faults::default(),
            log: RequestLog::new(options.log_limit),
            state: Mutex::new(State::default()),
            overflows: Mutex::new(VecDeque::new()),
        });
        let handler = Handler {
            shared: Arc::clone(&shared),
        };
        let listener = bound.listen(Arc::new(handler));
        Ok(Self { shared, listener })
    }

    /// Where it listens: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// The organization that the API key belongs to.
    pub fn organization(&self) -> &Organization {
        &self.shared.settings.organization
    }

    /// Creates a project of an id that nobody has chosen.
    pub fn create_project(&self, name: &str) -> Result<ProjectId, DataError> {
        let id = ProjectId::parse(self.shared.uuid())?;
        self.add_project(&id, name)?;
        Ok(id)
    }

    /// Creates a project of this id, a UUID.
    pub fn add_project(&self, id: &ProjectId, name: &str) -> Result<(), DataError> {
        let mut state = self.shared.state();
        let project = self.new_project(&mut state, id, name)?;
        let event = AuditEvent::of_project(&project, Action::Create);
        state.projects.push(project);
        state.audit.record_own(&self.shared, &event);
        Ok(())
    }

    /// Takes in a project that was created long ago: the audit log does not tell of it.
    pub fn restore_project(&self, id: &ProjectId, name: &str) -> Result<(), DataError> {
        let mut state = self.shared.state();
        let project = self.new_project(&mut state, id, name)?;
        state.projects.push(project);
        Ok(())
    }

    fn new_project(
        &self,
        state: &mut State,
        id: &ProjectId,
        name: &str,
    ) -> Result<Project, DataError> {
        if !validate::is_uuid(id.as_str()) {
            return Err(DataError::NotAUuid(id.clone()));
        }
        let mut projects = state.projects.iter();
        if projects.any(|project| project.id == id.as_str()) {
            return Err(DataError::ProjectExists(id.to_string()));
        }
        free_name(state, name)?;
        Ok(Project::new(id.to_string(), name, self.shared.now()))
    }

    /// Gives a project another name.
    pub fn rename_project(&self, id: &ProjectId, name: &str) -> Result<(), DataError> {
        let mut state = self.shared.state();
        free_name(&state, name)?;
        let project = project_of(&mut state, id)?;
        let from = std::mem::replace(&mut project.name, name.to_owned());
        let event = AuditEvent::of_project(project, Action::Rename { from: &from });
        state.audit.record_own(&self.shared, &event);
        Ok(())
    }

    /// Deletes a project. It stays in lists, with its time of deletion; queries refuse it.
    pub fn delete_project(&self, id: &ProjectId) -> Result<(), DataError> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let project = project_of(&mut state, id)?;
        project.deleted = Some(now);
        let event = AuditEvent::of_project(project, Action::Delete);
        state.audit.record_own(&self.shared, &event);
        Ok(())
    }

    /// Takes in rows, one JSON object each, and says how many. `_xact_id`, `_pagination_key`,
    /// `id` and `root_span_id` are read from them. After an error those before it are in.
    pub fn load<I>(&self, project: &ProjectId, rows: I) -> Result<usize, DataError>
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
    {
        let mut count = 0;
        let mut state = self.shared.state();
        let project = project_of(&mut state, project)?;
        for row in rows {
            let line = count + 1;
            let bad = |reason| DataError::BadRow { line, reason };
            let row = Row::parse(row.into()).map_err(bad)?;
            project.rows.insert(row).map_err(bad)?;
            count = line;
        }
        Ok(count)
    }

    /// Writes a row in a transaction: a new one, or an update, whose old version leaves. The
    /// row's `_xact_id` and `_pagination_key` are written into it; an update keeps its key.
    pub fn upsert(&self, project: &ProjectId, row: &[u8], xact: XactId) -> Result<(), DataError> {
        let bad = |reason| DataError::BadRow { line: 1, reason };
        let id = Row::id_of(row).map_err(bad)?;
        let mut state = self.shared.state();
        let rows = &mut project_of(&mut state, project)?.rows;
        let old = rows.get(&id).map(|old| old.position);
        if let Some(old) = old.filter(|old| old.xact >= xact.get()) {
            return Err(DataError::NotLater {
                id,
                is: XactId::new(old.xact),
                wanted: xact,
            });
        }
        let key = old.map_or_else(|| rows.next_key(xact.get()), |old| old.key);
        let position = Position {
            xact: xact.get(),
            key,
        };
        let row = Row::at(row, position).map_err(bad)?;
        rows.remove(&id);
        rows.insert(row).map_err(bad)
    }

    /// A row's bytes, as queries answer them.
    pub fn row(&self, project: &ProjectId, id: &str) -> Option<Bytes> {
        let state = self.shared.state();
        let row = state.project(project.as_str())?.rows.get(id)?;
        Some(row.bytes.clone())
    }

    /// How many rows a project has.
    pub fn row_count(&self, project: &ProjectId) -> usize {
        let state = self.shared.state();
        let project = state.project(project.as_str());
        project.map_or(0, |project| project.rows.len())
    }

    /// Sets what is told of a project's freshness, or of that of all which have none set; with
    /// `None` it follows the newest row again, as it does from the start.
    pub fn set_freshness(
        &self,
        project: Option<&ProjectId>,
        freshness: Option<Freshness>,
    ) -> Result<(), DataError> {
        let mut state = self.shared.state();
        match project {
            Some(id) => project_of(&mut state, id)?.freshness = freshness,
            None => state.freshness = freshness,
        }
        Ok(())
    }

    /// Whether rows after `last_processed_xact_id` are kept from queries. They are seen from the
    /// start, which is the harder case: a client must not rely on not seeing them.
    pub fn hold_back(&self, held: bool) {
        self.shared.state().hold_back = held;
    }

    /// What an automation is registered with; `None` if it is not.
    pub fn registration(&self, automation: &AutomationId) -> Option<Registration> {
        let state = self.shared.state();
        let registered = state.registrations.get(automation.as_str())?;
        Some(Registration {
            object_id: registered.object_id.clone(),
            start: XactId::new(registered.start),
            resets: registered.resets,
            schedulings: registered.schedulings,
            cron: registered.cron,
        })
    }

    /// Has the status of an automation tell of an error from now on, until it is reset.
    pub fn fail_automation(&self, automation: &AutomationId, error: &str) -> Result<(), DataError> {
        let now = self.shared.now();
        let mut state = self.shared.state();
        if !state
            .automations
            .iter()
            .any(|known| known.id == automation.as_str())
        {
            return Err(DataError::NoSuchAutomation(automation.clone()));
        }
        let registered = state
            .registrations
            .entry(automation.to_string())
            .or_default();
        registered.last_error = Some((error.to_owned(), now));
        Ok(())
    }

    /// Faults to be injected.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was asked and answered.
    pub fn requests(&self) -> &RequestLog {
        &self.shared.log
    }

    /// Takes no more requests, and lets those under way finish, for 2 seconds at the most.
    pub async fn shutdown(mut self) {
        self.listener.stop().await;
    }
}

fn project_of<'a>(state: &'a mut State, id: &ProjectId) -> Result<&'a mut Project, DataError> {
    let missing = || DataError::NoSuchProject(id.clone());
    state.project_mut(id.as_str()).ok_or_else(missing)
}

fn free_name(state: &State, name: &str) -> Result<(), DataError> {
    let mut living = state.projects.iter().filter(|p| p.deleted.is_none());
    match living.any(|project| project.name == name) {
        true => Err(DataError::ProjectExists(name.to_owned())),
        false => Ok(()),
    }
}

//! What the data plane was asked and what it answered: for assertions, and for counting
//! requests against Braintrust's rate limits.
//!
//! Counts for each endpoint are always kept. Whole [`RequestRecord`]s are kept up to a limit, the
//! oldest leaving first. Neither the API key nor a service token stands in them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::Method;

/// What can be asked of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `POST /btql`
    Btql,
    /// `GET /overflow/{id}`: where large answers are fetched.
    Overflow,
    /// `GET /v1/project`
    ListProjects,
    /// `POST /v1/project`
    CreateProject,
    /// `GET /v1/project/{id}`
    GetProject,
    /// `GET /v1/project_automation`
    ListAutomations,
    /// `POST /v1/project_automation`
    CreateAutomation,
    /// `PUT /v1/project_automation`
    ReplaceAutomation,
    /// `GET /v1/project_automation/{id}`
    GetAutomation,
    /// `PATCH /v1/project_automation/{id}`
    PatchAutomation,
    /// `DELETE /v1/project_automation/{id}`
    DeleteAutomation,
    /// `POST /brainstore/automation/reset-cursors`
    ResetCursors,
    /// `POST /brainstore/automation/upsert-object-cursor`
    UpsertObjectCursor,
    /// `POST /brainstore/automation/get-cursors`
    GetCursors,
    /// `POST /brainstore/automation/get-object-cursors`
    GetObjectCursors,
    /// `POST /automation/cron`
    Cron,
    /// `POST /api/apikey/login`
    Login,
    /// Anything else, which is refused.
    Unknown,
}

impl Endpoint {
    /// The endpoint of a request, and the id in its path, if the endpoint has one there.
    pub(crate) fn of<'a>(method: &Method, path: &'a str) -> (Self, Option<&'a str>) {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["btql"]) => (Self::Btql, None),
            ("GET", ["overflow", id]) => (Self::Overflow, Some(id)),
            ("GET", ["v1", "project"]) => (Self::ListProjects, None),
            ("POST", ["v1", "project"]) => (Self::CreateProject, None),
            ("GET", ["v1", "project", id]) => (Self::GetProject, Some(id)),
            ("GET", ["v1", "project_automation"]) => (Self::ListAutomations, None),
            ("POST", ["v1", "project_automation"]) => (Self::CreateAutomation, None),
            ("PUT", ["v1", "project_automation"]) => (Self::ReplaceAutomation, None),
            ("GET", ["v1", "project_automation", id]) => (Self::GetAutomation, Some(id)),
            ("PATCH", ["v1", "project_automation", id]) => (Self::PatchAutomation, Some(id)),
            ("DELETE", ["v1", "project_automation", id]) => (Self::DeleteAutomation, Some(id)),
            ("POST", ["brainstore", "automation", action]) => match *action {
                "reset-cursors" => (Self::ResetCursors, None),
                "upsert-object-cursor" => (Self::UpsertObjectCursor, None),
                "get-cursors" => (Self::GetCursors, None),
                "get-object-cursors" => (Self::GetObjectCursors, None),
                _ => (Self::Unknown, None),
            },
            ("POST", ["automation", "cron"]) => (Self::Cron, None),
            ("POST", ["api", "apikey", "login"]) => (Self::Login, None),
            _ => (Self::Unknown, None),
        }
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query as it came; empty if none, and for [`Endpoint::Overflow`], whose is a signature.
    pub query: String,
    /// The body as text.
    pub body: String,
    /// Whether it had the right API key.
    pub authorized: bool,
    /// The answer's status; `None` if there was none.
    pub status: Option<u16>,
}

/// The log of requests.
pub struct RequestLog {
    state: Mutex<State>,
}

struct State {
    counts: BTreeMap<Endpoint, u64>,
    records: VecDeque<RequestRecord>,
    limit: usize,
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog")
            .field("counts", &self.state().counts)
            .finish_non_exhaustive()
    }
}

impl RequestLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                counts: BTreeMap::new(),
                records: VecDeque::new(),
                limit,
            }),
        }
    }

    /// The counts by endpoint, since the start or the last [`clear`](Self::clear).
    pub fn counts(&self) -> BTreeMap<Endpoint, u64> {
        self.state().counts.clone()
    }

    /// How often an endpoint was asked, refused requests included.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        let state = self.state();
        state.counts.get(&endpoint).copied().unwrap_or_default()
    }

    /// The kept records, in the order in which the requests were answered or given up.
    pub fn records(&self) -> Vec<RequestRecord> {
        self.state().records.iter().cloned().collect()
    }

    /// The kept records of one endpoint.
    pub fn records_of(&self, endpoint: Endpoint) -> Vec<RequestRecord> {
        let state = self.state();
        let of = state.records.iter().filter(|r| r.endpoint == endpoint);
        of.cloned().collect()
    }

    /// Forgets records and counts.
    pub fn clear(&self) {
        let mut state = self.state();
        state.counts.clear();
        state.records.clear();
    }

    pub(crate) fn record(&self, record: RequestRecord) {
        let mut state = self.state();
        *state.counts.entry(record.endpoint).or_default() += 1;
        state.records.push_back(record);
        while state.records.len() > state.limit {
            state.records.pop_front();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

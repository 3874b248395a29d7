//! An audit log in memory, in which entries appear when they like.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::export::source::SourceError;
use sealift_core::ports::Failure;
use sealift_core::relay::{AuditEntry, AuditLog, AuditPage, AuditQuery, Unusable};
use sealift_testkit::VirtualClock;

/// How one question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Throttled,
    Torn,
    TooSlow,
}

impl Fault {
    fn error(self) -> SourceError {
        match self {
            Self::Throttled => SourceError::Throttled {
                failure: failure("HTTP 429", "slow down"),
                retry_after: None,
            },
            Self::Torn => SourceError::Transient(failure("", "connection reset")),
            Self::TooSlow => SourceError::Transient(failure("HTTP 504", "took too long")),
        }
    }
}

#[derive(Debug, Clone)]
struct Row {
    id: String,
    created: Timestamp,
    appears: Timestamp,
    kind: String,
    text: String,
    usable: bool,
}

#[derive(Debug)]
struct State {
    rows: Vec<Row>,
    faults: VecDeque<Option<Fault>>,
    refusal: Option<Failure>,
    queries: Vec<AuditQuery>,
    longest_answer: usize,
    slow_from: u32,
    takes: Duration,
    filters: bool,
    microseconds: bool,
}

/// An [`AuditLog`] in memory. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Log {
    state: Arc<Mutex<State>>,
    clock: VirtualClock,
}

impl Log {
    pub(super) fn new(clock: VirtualClock) -> Self {
        let state = State {
            rows: Vec::new(),
            faults: VecDeque::new(),
            refusal: None,
            queries: Vec::new(),
            longest_answer: usize::MAX,
            slow_from: u32::MAX,
            takes: Duration::ZERO,
            filters: true,
            microseconds: true,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            clock,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    fn push(&self, id: &str, created: Timestamp, kind: &str, text: String, usable: bool) {
        let row = Row {
            id: id.to_owned(),
            created,
            appears: self.clock.now(),
            kind: kind.to_owned(),
            text,
            usable,
        };
        self.change(|state| state.rows.push(row));
    }

    /// An entry that appears now.
    pub(super) fn add(&self, id: &str, created: Timestamp) -> String {
        self.add_of(id, created, "project.created", "")
    }

    /// An entry of a type with more in it, that appears now.
    pub(super) fn add_of(&self, id: &str, created: Timestamp, kind: &str, rest: &str) -> String {
        let text = format!(
            r#"{{"id":"{id}","created":"{created}","org_id":"org-1","event_type":"{kind}"{rest}}}"#
        );
        self.push(id, created, kind, text.clone(), true);
        text
    }

    /// An entry that appears later.
    pub(super) fn add_for(&self, id: &str, created: Timestamp, appears: Timestamp) {
        self.add(id, created);
        self.change(|state| state.rows.last_mut().unwrap().appears = appears);
    }

    /// A row with a time, whose text is no entry.
    pub(super) fn add_unusable(&self, created: Timestamp, text: &str) {
        self.push("", created, "", text.to_owned(), false);
    }

    /// A row that is read as an entry and has this text.
    pub(super) fn add_text(&self, id: &str, created: Timestamp, kind: &str, text: &str) {
        self.push(id, created, kind, text.to_owned(), true);
    }

    pub(super) fn ids_since(&self, start: Timestamp) -> Vec<String> {
        self.change(|state| {
            let rows = state.rows.iter().filter(|row| row.created >= start);
            rows.map(|row| row.id.clone()).collect()
        })
    }

    /// How the next questions go, one after the other; `None` is well.
    pub(super) fn faults(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.change(|state| state.faults = faults.into_iter().collect());
    }

    pub(super) fn refuse(&self, code: &str, message: &str) {
        self.change(|state| state.refusal = Some(failure(code, message)));
    }

    /// All goes well from now on.
    pub(super) fn heal(&self) {
        self.change(|state| {
            state.refusal = None;
            state.faults.clear();
            state.slow_from = u32::MAX;
        });
    }

    /// No answer may have more bytes.
    pub(super) fn holds(&self, longest_answer: usize) {
        self.change(|state| state.longest_answer = longest_answer);
    }

    /// Who asks for so many waits too long.
    pub(super) fn is_slow_from(&self, limit: u32) {
        self.change(|state| state.slow_from = limit);
    }

    /// How long each answer takes.
    pub(super) fn takes(&self, each: Duration) {
        self.change(|state| state.takes = each);
    }

    /// Answers with types that were not wanted.
    pub(super) fn ignore_types(&self) {
        self.change(|state| state.filters = false);
    }

    /// Finds nothing between two times that are less than a millisecond apart.
    pub(super) fn tells_no_microseconds(&self) {
        self.change(|state| state.microseconds = false);
    }

    /// The questions since this was asked last.
    pub(super) fn queries(&self) -> Vec<AuditQuery> {
        self.change(|state| std::mem::take(&mut state.queries))
    }
}

pub(super) fn failure(code: &str, message: &str) -> Failure {
    Failure {
        operation: "read the audit log".to_owned(),
        target: "organization org-1".to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

impl AuditLog for Log {
    async fn entries(&self, query: &AuditQuery) -> Result<AuditPage, SourceError> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        self.clock.advance(state.takes);
        state.queries.push(query.clone());
        assert!(query.from < query.until && query.limit > 0, "{query:?}");
        if let Some(refusal) = &state.refusal {
            return Err(match refusal.code.as_str() {
                "HTTP 403" => SourceError::Denied(refusal.clone()),
                _ => SourceError::Invalid(refusal.clone()),
            });
        }
        if query.limit >= state.slow_from {
            return Err(Fault::TooSlow.error());
        }
        if let Some(fault) = state.faults.pop_front().flatten() {
            return Err(fault.error());
        }
        let filters = state.filters;
        let spans = query.until.duration_since(query.from);
        let too_fine = !state.microseconds && spans.as_micros() < 1000;
        let wanted = |row: &&Row| {
            let in_time = (query.from..query.until).contains(&row.created);
            let in_types = !filters || !query.without.contains(&row.kind);
            row.appears <= now && in_time && in_types && !too_fine
        };
        let mut rows: Vec<Row> = state.rows.iter().filter(wanted).cloned().collect();
        rows.sort_by_key(|row| row.created);
        rows.truncate(query.limit.try_into().unwrap());
        let longest = state.longest_answer;
        if rows.iter().map(|row| row.text.len()).sum::<usize>() > longest {
            let said = format!("the answer is longer than {longest} bytes");
            return Err(SourceError::Invalid(failure("", &said)));
        }
        let mut page = AuditPage::default();
        for Row {
            id,
            created,
            kind,
            text,
            usable,
            ..
        } in rows
        {
            if usable {
                page.entries.push(AuditEntry {
                    id,
                    created,
                    event_type: kind,
                    text,
                });
            } else {
                let reason = "no entry".to_owned();
                page.unusable.push(Unusable { text, reason });
            }
        }
        Ok(page)
    }
}

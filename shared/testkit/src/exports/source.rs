//! Projects in memory, whose rows change while they are read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sealift_core::export::source::{
    Ask, Freshness, LogSource, Query, RowPage, SourceError, Surveyed, XactRange,
};
use sealift_core::id::{ProjectId, XactId};
use sealift_core::ports::Clock;

pub use self::row::Row;
use super::failure;
use crate::{VirtualClock, lock};

mod row;

/// What is asked of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`LogSource::freshness`].
    Freshness,
    /// A page of spans.
    Spans,
    /// A page of touched spans.
    Touched,
    /// A page of summaries.
    Summaries,
    /// A page of a user's query.
    Custom,
    /// [`LogSource::survey`].
    Survey,
}

impl Kind {
    fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Spans(_) => Self::Spans,
            Ask::Touched(_) => Self::Touched,
            Ask::Summaries(_) => Self::Summaries,
            Ask::Custom(..) => Self::Custom,
        }
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too many requests, and perhaps how long to wait.
    Throttled(Option<Duration>),
    /// It may work later.
    Transient,
    /// It is not allowed.
    Denied,
    /// It will not work as asked.
    Invalid,
    /// So much time passes on the clock before the answer begins.
    Stall(Duration),
    /// So much time passes on the clock after so many rows of the page.
    StallAfter(usize, Duration),
    /// The answer breaks off after so many rows of the page, or before its end.
    BreakAfter(usize),
    /// The page carries the cursor that it was asked with, as if it had got nowhere.
    SameCursor,
}

/// Up to where the source says that every transaction can be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Settled {
    /// Up to the latest row that can be seen.
    #[default]
    Latest,
    /// Up to a transaction, whatever can be seen.
    At(XactId),
    /// It does not say.
    Unknown,
}

type Hook = dyn FnMut(&MemorySource, &Query) + Send;

/// A [`LogSource`] over rows in memory. Clones share the rows.
///
/// A user's query gives the range's spans whole, whatever it says. A summary has the fields
/// `id`, `root_span_id`, `_xact_id` (the greatest of its spans) and `spans` (their number).
#[derive(Clone)]
pub struct MemorySource {
    clock: VirtualClock,
    state: Arc<Mutex<State>>,
    hook: Arc<Mutex<Option<Box<Hook>>>>,
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    projects: HashMap<ProjectId, Project>,
    page_limit: Option<usize>,
    ends_with_empty_page: bool,
    held_back: Option<XactId>,
    settled: Settled,
    /// With the number of the request of its kind that each strikes.
    faults: Vec<(Kind, u64, Fault)>,
    requests: HashMap<Kind, u64>,
    queries: Vec<Query>,
}

/// Rows by their place in the log; of one transaction, by their ids.
#[derive(Default)]
struct Project {
    rows: BTreeMap<Place, Row>,
    places: HashMap<String, XactId>,
}

type Place = (XactId, String);

impl MemorySource {
    /// No rows yet, and everything well. What stalls sleeps on the clock.
    pub fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
            hook: Arc::default(),
        }
    }

    /// Puts rows into a project. One whose id is there already leaves its old place.
    pub fn upsert(&self, project: &ProjectId, rows: impl IntoIterator<Item = Row>) {
        let mut state = lock(&self.state);
        let project = state.projects.entry(project.clone()).or_default();
        for row in rows {
            let id = row.id().to_owned();
            if let Some(old) = project.places.insert(id.clone(), row.xact()) {
                project.rows.remove(&(old, id.clone()));
            }
            project.rows.insert((row.xact(), id), row);
        }
    }

    /// Takes a row out of a project.
    pub fn remove(&self, project: &ProjectId, id: &str) {
        let mut state = lock(&self.state);
        if let Some(project) = state.projects.get_mut(project)
            && let Some(xact) = project.places.remove(id)
        {
            project.rows.remove(&(xact, id.to_owned()));
        }
    }

    /// All rows of a project in their order, those that are held back, too.
    pub fn rows(&self, project: &ProjectId) -> Vec<Row> {
        let state = lock(&self.state);
        let rows = state.projects.get(project).map(|project| &project.rows);
        rows.into_iter()
            .flatten()
            .map(|(_, row)| row.clone())
            .collect()
    }

    /// Keeps rows from a transaction on from being seen, until told otherwise.
    pub fn hold_back(&self, from: Option<XactId>) {
        lock(&self.state).held_back = from;
    }

    /// Sets what the source says of how far it has come.
    pub fn settle(&self, settled: Settled) {
        lock(&self.state).settled = settled;
    }

    /// Gives so many rows a page at the most, though more are asked for: such a page is short
    /// and carries a cursor.
    pub fn set_page_limit(&self, rows: usize) {
        lock(&self.state).page_limit = Some(rows.max(1));
    }

    /// Has every page with rows carry a cursor, so that the last page is an empty one.
    pub fn end_with_empty_page(&self, empty: bool) {
        lock(&self.state).ends_with_empty_page = empty;
    }

    /// Has a fault strike a request of the kind: the next, if none is spared.
    pub fn fail(&self, kind: Kind, spared: u64, fault: Fault) {
        let mut state = lock(&self.state);
        let number = state.requests.get(&kind).copied().unwrap_or(0) + spared;
        state.faults.push((kind, number, fault));
    }

    /// Runs the closure before each page is read: it may change rows.
    pub fn before_each_page(&self, hook: impl FnMut(&Self, &Query) + Send + 'static) {
        *lock(&self.hook) = Some(Box::new(hook));
    }

    /// How many requests of the kind were made, each repetition counted.
    pub fn count(&self, kind: Kind) -> u64 {
        lock(&self.state).requests.get(&kind).copied().unwrap_or(0)
    }

    /// Every page that was asked for, in order.
    pub fn queries(&self) -> Vec<Query> {
        lock(&self.state).queries.clone()
    }

    /// Counts a request, and lets the faults that strike it have their say. What is left to do
    /// of them concerns the rows.
    async fn request(&self, kind: Kind, target: &str) -> Result<Vec<Fault>, SourceError> {
        let faults: Vec<Fault> = {
            let mut state = lock(&self.state);
            let counted = state.requests.entry(kind).or_insert(0);
            let number = *counted;
            *counted += 1;
            let strikes = |(of, at, _): &mut (Kind, u64, Fault)| *of == kind && *at == number;
            let struck = state.faults.extract_if(.., strikes);
            struck.map(|(_, _, fault)| fault).collect()
        };
        for fault in &faults {
            let failure = |code| failure(&format!("{kind:?}"), target, code);
            match *fault {
                Fault::Throttled(retry_after) => {
                    return Err(SourceError::Throttled {
                        failure: failure("429"),
                        retry_after,
                    });
                }
                Fault::Transient => return Err(SourceError::Transient(failure("503"))),
                Fault::Denied => return Err(SourceError::Denied(failure("403"))),
                Fault::Invalid => return Err(SourceError::Invalid(failure("400"))),
                Fault::Stall(duration) => self.clock.sleep(duration).await,
                Fault::StallAfter(..) | Fault::BreakAfter(_) | Fault::SameCursor => {}
            }
        }
        Ok(faults)
    }

    fn run_hook(&self, query: &Query) {
        // Taken out while it runs, so that it may do what it likes with the source.
        let hook = lock(&self.hook).take();
        if let Some(mut hook) = hook {
            hook(self, query);
            lock(&self.hook).get_or_insert(hook);
        }
    }
}

impl State {
    fn visible(&self, project: &ProjectId) -> impl Iterator<Item = &Row> {
        let held_back = self.held_back;
        let rows = self.projects.get(project).map(|project| &project.rows);
        let rows = rows.into_iter().flatten().map(|(_, row)| row);
        rows.filter(move |row| held_back.is_none_or(|from| row.xact() < from))
    }

    fn within(&self, project: &ProjectId, range: XactRange) -> impl Iterator<Item = &Row> {
        let inside = move |row: &&Row| range.after < row.xact() && row.xact() <= range.through;
        self.visible(project).filter(inside)
    }

    /// What the query asks for, whole, in order.
    fn answer(&self, Query { project, ask, .. }: &Query) -> BTreeMap<Place, Bytes> {
        let placed = |row: &Row, line| ((row.xact(), row.id().to_owned()), line);
        match ask {
            Ask::Spans(range) | Ask::Custom(_, range) => self
                .within(project, *range)
                .map(|row| placed(row, row.line()))
                .collect(),
            Ask::Touched(range) => self
                .within(project, *range)
                .map(|row| placed(row, row.touched()))
                .collect(),
            Ask::Summaries(roots) => {
                let mut traces: BTreeMap<&str, (XactId, u64)> = BTreeMap::new();
                let asked = |row: &&Row| roots.iter().any(|root| root == row.root_span_id());
                for row in self.visible(project).filter(asked) {
                    let trace = traces
                        .entry(row.root_span_id())
                        .or_insert((XactId::ZERO, 0));
                    *trace = (trace.0.max(row.xact()), trace.1 + 1);
                }
                let summary = |(root, (xact, spans)): (&str, _)| {
                    ((xact, root.to_owned()), row::summary(root, xact, spans))
                };
                traces.into_iter().map(summary).collect()
            }
        }
    }

    fn read(&self, query: &Query, faults: &[Fault]) -> (VecDeque<Bytes>, Option<String>) {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let limit = self.page_limit.map_or(limit, |own| own.min(limit)).max(1);
        let answer = self.answer(query);
        let start = query.cursor.as_deref().map(place_of);
        let mut left = answer
            .into_iter()
            .skip_while(|(place, _)| start.as_ref().is_some_and(|start| place <= start));
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let goes_on = self.ends_with_empty_page || left.next().is_some();
        let last = page.last().map(|(place, _)| cursor_of(place));
        let cursor = match faults.contains(&Fault::SameCursor) {
            true => query.cursor.clone().or(last),
            false => last.filter(|_| goes_on),
        };
        (page.into_iter().map(|(_, line)| line).collect(), cursor)
    }
}

fn cursor_of((xact, id): &Place) -> String {
    format!("{xact}~{id}")
}

/// A text that is no cursor begins at the first row.
fn place_of(cursor: &str) -> Place {
    let (xact, id) = cursor.split_once('~').unwrap_or_default();
    let xact = XactId::parse(xact).unwrap_or(XactId::ZERO);
    (xact, id.to_owned())
}

impl LogSource for MemorySource {
    type Page = MemoryPage;

    async fn freshness(
        &self,
        project: &ProjectId,
        range: XactRange,
    ) -> Result<Freshness, SourceError> {
        self.request(Kind::Freshness, project.as_str()).await?;
        let state = lock(&self.state);
        let any = state.within(project, range).next().is_some();
        let settled = match state.settled {
            Settled::Latest => state.visible(project).map(Row::xact).max(),
            Settled::At(xact) => Some(xact),
            Settled::Unknown => None,
        };
        Ok(Freshness { any, settled })
    }

    async fn page(&self, query: &Query) -> Result<MemoryPage, SourceError> {
        self.run_hook(query);
        lock(&self.state).queries.push(query.clone());
        let target = query.project.as_str();
        let faults = self.request(Kind::of(&query.ask), target).await?;
        let (rows, cursor) = lock(&self.state).read(query, &faults);
        Ok(MemoryPage {
            clock: self.clock.clone(),
            project: query.project.clone(),
            rows,
            read: 0,
            cursor,
            faults,
            ended: false,
        })
    }

    async fn survey(
        &self,
        projects: &[ProjectId],
        after: XactId,
    ) -> Result<Vec<Surveyed>, SourceError> {
        self.request(Kind::Survey, "projects").await?;
        let state = lock(&self.state);
        let surveyed = projects.iter().filter_map(|project| {
            let later = || state.visible(project).filter(|row| row.xact() > after);
            Some(Surveyed {
                project: project.clone(),
                latest: later().map(Row::xact).max()?,
                rows: later().count() as u64,
            })
        });
        Ok(surveyed.collect())
    }

    fn requests(&self) -> u64 {
        lock(&self.state).requests.values().sum()
    }
}

/// A page of rows in memory. Its cursor is told when it has been read to its end, and not before.
#[derive(Debug)]
pub struct MemoryPage {
    clock: VirtualClock,
    project: ProjectId,
    rows: VecDeque<Bytes>,
    read: usize,
    cursor: Option<String>,
    faults: Vec<Fault>,
    ended: bool,
}

impl RowPage for MemoryPage {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let read = self.read;
        let due = |fault: &mut Fault| matches!(fault, Fault::StallAfter(rows, _) if *rows <= read);
        let stalls: Vec<Fault> = self.faults.extract_if(.., due).collect();
        for stall in stalls {
            if let Fault::StallAfter(_, duration) = stall {
                self.clock.sleep(duration).await;
            }
        }
        let at_end = self.rows.is_empty();
        let breaks =
            |fault: &Fault| matches!(fault, Fault::BreakAfter(rows) if *rows <= read || at_end);
        if self.faults.iter().any(breaks) {
            let broken = failure("ReadPage", self.project.as_str(), "");
            return Err(SourceError::Transient(broken));
        }
        let row = self.rows.pop_front();
        self.ended = row.is_none();
        self.read += 1;
        Ok(row)
    }

    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|_| self.ended)
    }
}

#[cfg(test)]
mod tests;

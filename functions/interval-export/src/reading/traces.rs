//! Traces: which were touched is found from their spans, and then their summaries are read.

use std::collections::HashSet;

use sealift_core::export::source::{Ask, LogSource, RowPage, XactRange};
use sealift_core::id::XactId;
use sealift_core::ports::{Clock, Entropy, EventBus, ExportSinks, ObjectStore};

use super::pages::{Pages, parsed, root_of, transaction_of};
use super::{Files, Pending};
use crate::Export;
use crate::run::{Ended, Stop, Work};

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Summaries of the traces that the range's transactions touched; each once in a file.
    pub(super) async fn read_traces(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        range: XactRange,
    ) -> Result<Ended, Stop> {
        let mut traces = Traces::queued_through(range.after);
        let ended = self.touch(work, files, range, &mut traces).await;
        // Whatever ended it, what was touched by whole transactions is read while there is time.
        let keeps = matches!(ended, Ok(_) | Err(Stop::Source(_) | Stop::Failed(_)));
        // Unless a file was given up: then what was in it has to be read again.
        if keeps && traces.written == files.whole && traces.through > files.whole {
            let written = self
                .write_summaries(work, files, &mut traces, Hurry::Last)
                .await;
            return match (ended, written) {
                (Ok(_), Ok(Ended::More)) => Ok(Ended::More),
                (Ok(ended), Ok(Ended::Done)) => Ok(ended),
                (Err(stop), Ok(_) | Err(Stop::Source(_))) | (_, Err(stop)) => Err(stop),
            };
        }
        ended
    }

    /// Reads which traces were touched, and writes their summaries group by group.
    async fn touch(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        range: XactRange,
        traces: &mut Traces,
    ) -> Result<Ended, Stop> {
        let mut pages = Pages::new(work, Ask::Touched(range));
        let mut current: Option<XactId> = None;
        while let Some(query) = pages.next() {
            let Some(mut page) = self.begin(&query, work.deadline).await? else {
                return Ok(Ended::More);
            };
            loop {
                let next = self.in_time(page.next(), work.deadline).await?;
                let Some(next) = next else {
                    return Ok(Ended::More);
                };
                let Some(row) = next else { break };
                pages.rows += 1;
                let row = parsed(&row)?;
                let transaction = transaction_of(&row, range, current)?;
                if let Some(before) = current.filter(|before| *before != transaction) {
                    traces.queue(before);
                    let full = traces.seen.len() >= self.settings.traces_in_file;
                    let rolls = full || self.would_roll(files, before, transaction);
                    if rolls || traces.queued.len() >= self.settings.traces_at_once {
                        let written = self.write_summaries(work, files, traces, Hurry::None);
                        if written.await? == Ended::More {
                            return Ok(Ended::More);
                        }
                        if rolls {
                            self.close(work, files).await?;
                            traces.seen.clear();
                        }
                        if self.has_used_its_requests(work) && Self::can_stop(work, files) {
                            return Ok(Ended::More);
                        }
                    }
                    if self.is_late(work) || work.has_many_files() {
                        return Ok(Ended::More);
                    }
                }
                current = Some(transaction);
                traces.touch(root_of(&row)?);
            }
            pages.turn(page.cursor())?;
            // The last transaction may go on in the next page, so what it touched waits.
            let moves = work.has_moved() || traces.through > work.position();
            if !pages.is_over() && self.has_used_its_requests(work) && moves {
                return Ok(Ended::More);
            }
        }
        if let Some(last) = current {
            traces.queue(last);
        }
        Ok(Ended::Done)
    }

    /// Reads the summaries of the queued traces into the file; then all that was touched up to
    /// where they are queued is in it. `More` if the time is over before. A failure in the
    /// middle leaves summaries there that are too new for where the file ends; they come again
    /// in the next, as a trace does that was touched again.
    async fn write_summaries(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        traces: &mut Traces,
        hurry: Hurry,
    ) -> Result<Ended, Stop> {
        let through = traces.through;
        let reserve = match hurry {
            Hurry::None => self.settings.reserve,
            Hurry::Last => self.settings.reserve / 3,
        };
        for roots in traces.queued.chunks(self.settings.traces_at_once.max(1)) {
            let mut pages = Pages::new(work, Ask::Summaries(roots.to_vec()));
            while let Some(query) = pages.next() {
                let begun = self.source.page(&query);
                let begun = self.in_time_for(begun, work.deadline, reserve).await?;
                let Some(mut page) = begun else {
                    return Ok(Ended::More);
                };
                loop {
                    let next = self
                        .in_time_for(page.next(), work.deadline, reserve)
                        .await?;
                    let Some(next) = next else {
                        return Ok(Ended::More);
                    };
                    let Some(row) = next else { break };
                    pages.rows += 1;
                    let mut row = Pending {
                        bytes: row.len(),
                        rows: vec![row],
                    };
                    self.write(work, files, through, &mut row).await?;
                }
                pages.turn(page.cursor())?;
            }
        }
        traces.queued.clear();
        traces.written = through;
        files.whole = through;
        Ok(Ended::Done)
    }
}

/// How much of the time before the deadline summaries may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hurry {
    /// What the reserve leaves.
    None,
    /// A part of the reserve, too: what is not read now is read again by the next run.
    Last,
}

/// The traces that were touched.
struct Traces {
    /// Those that are in the file already, or queued, or waiting.
    seen: HashSet<String>,
    /// Those whose summaries are to be read: the transactions that touched them are whole.
    queued: Vec<String>,
    /// The last transaction whose traces are all queued or written.
    through: XactId,
    /// The last transaction whose traces are all written.
    written: XactId,
    /// Those of the transaction that is being read.
    waiting: Vec<String>,
}

impl Traces {
    fn queued_through(through: XactId) -> Self {
        Self {
            seen: HashSet::new(),
            queued: Vec::new(),
            through,
            written: through,
            waiting: Vec::new(),
        }
    }

    fn touch(&mut self, root: String) {
        if !self.seen.contains(&root) {
            self.seen.insert(root.clone());
            self.waiting.push(root);
        }
    }

    /// The transaction is whole.
    fn queue(&mut self, transaction: XactId) {
        self.queued.append(&mut self.waiting);
        self.through = transaction;
    }
}

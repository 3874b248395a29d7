//! Reading a range of rows into files.
//!
//! A file may end only between two transactions, because the cursor can say no less than "all
//! of this transaction". So the rows of a transaction are held back until it is known to be
//! whole; then a file can be ended behind it at any time, and what was read is kept even if the
//! source fails in the middle of the next. A transaction too large to hold back goes into the
//! file as it comes; until its end the file can't be ended, only given up.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::pin_mut;
use sealift_core::Timestamp;
use sealift_core::export::advice::Fault;
use sealift_core::export::automation::Definition;
use sealift_core::export::cursor::RunFailure;
use sealift_core::export::name::hour_of;
use sealift_core::export::source::{Ask, LogSource, Query, RowPage, SourceError, XactRange};
use sealift_core::id::XactId;
use sealift_core::partition::Hour;
use sealift_core::ports::{
    Clock, Entropy, EventBus, ExportSink, ExportSinks, Failure, ObjectStore,
};
use sealift_rows::Row;

use crate::Export;
use crate::file::{OpenFile, format};
use crate::run::{Ended, Stop, Work};

/// How much of a transaction is held back, in bytes.
const HELD_BACK: usize = 8 * 1024 * 1024;

/// What goes into files, and up to where it is whole.
struct Files<'s, K: ExportSink> {
    sink: &'s K,
    open: Option<OpenFile<K::Upload>>,
    /// The last transaction whose rows are all in committed files or in the open one.
    whole: XactId,
    /// Whether the open file holds a part of a transaction after that.
    torn: bool,
}

/// The rows of the transaction that is being read.
#[derive(Default)]
struct Pending {
    rows: Vec<Bytes>,
    bytes: usize,
}

impl<S, L, K, B, C, E> Export<S, L, K, B, C, E>
where
    S: ObjectStore,
    L: LogSource,
    K: ExportSinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Reads the range into files, and commits each. What was read before a failure of the
    /// source is committed, too.
    pub(crate) async fn read(
        &self,
        work: &mut Work<'_>,
        sink: &K::Sink,
        range: XactRange,
    ) -> Result<Ended, Stop> {
        let mut files = Files {
            sink,
            open: None,
            whole: range.after,
            torn: false,
        };
        let result = match &work.plan.definition {
            Definition::Traces => self.read_traces(work, &mut files, range).await,
            Definition::Spans => {
                let ask = Ask::Spans(range);
                self.read_rows(work, &mut files, range, ask).await
            }
            Definition::Query(query) => {
                let ask = Ask::Custom(query.clone(), range);
                self.read_rows(work, &mut files, range, ask).await
            }
        };
        match result {
            Ok(ended) => {
                self.close(work, &mut files).await?;
                // All of the range was read, whether or not the query wants any of it.
                if ended == Ended::Done && matches!(work.plan.definition, Definition::Query(_)) {
                    self.advance(work, range.through).await?;
                }
                Ok(ended)
            }
            Err(stop @ (Stop::Source(_) | Stop::Failed(_))) => {
                self.close(work, &mut files).await?;
                Err(stop)
            }
            Err(stop) => {
                if let Some(file) = files.open.take() {
                    file.abort().await;
                }
                Err(stop)
            }
        }
    }

    /// Rows as they come: each page behind the one before.
    async fn read_rows(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        range: XactRange,
        ask: Ask,
    ) -> Result<Ended, Stop> {
        let mut pages = Pages::new(work, ask);
        let mut current: Option<XactId> = None;
        let mut pending = Pending::default();
        while let Some(query) = pages.next() {
            let Some(mut page) = self.begin(&query, work.deadline).await? else {
                return Ok(Ended::More);
            };
            loop {
                let next = self.in_time(page.next(), work.deadline).await?;
                // Out of time, in the middle of a page.
                let Some(next) = next else {
                    return Ok(Ended::More);
                };
                let Some(row) = next else { break };
                pages.rows += 1;
                let transaction = transaction_of(&parsed(&row)?, range, current)?;
                if current != Some(transaction) {
                    if let Some(before) = current {
                        self.end_transaction(work, files, before, &mut pending)
                            .await?;
                        if self.is_late(work) || work.has_many_files() {
                            return Ok(Ended::More);
                        }
                    }
                    self.roll(work, files, transaction).await?;
                    current = Some(transaction);
                }
                pending.bytes += row.len();
                pending.rows.push(row);
                if pending.bytes > HELD_BACK {
                    // What is whole is committed first: the torn part may have to be given up.
                    if !files.torn {
                        self.close(work, files).await?;
                    }
                    files.torn = true;
                    self.write(work, files, transaction, &mut pending).await?;
                }
            }
            pages.turn(page.cursor())?;
            if !pages.is_over() && self.has_used_its_requests(work) && Self::can_stop(work, files) {
                return Ok(Ended::More);
            }
        }
        if let Some(last) = current {
            self.end_transaction(work, files, last, &mut pending)
                .await?;
        }
        Ok(Ended::Done)
    }

    /// Summaries of the traces that the range's transactions touched; each once in a file.
    async fn read_traces(
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

    /// A transaction is whole: its rows go into the file.
    async fn end_transaction(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        transaction: XactId,
        pending: &mut Pending,
    ) -> Result<(), Stop> {
        // A failure in the middle leaves the file torn.
        files.torn = true;
        self.write(work, files, transaction, pending).await?;
        files.torn = false;
        files.whole = transaction;
        Ok(())
    }

    /// Writes rows of a transaction into the open file, or into a new one of its hour.
    async fn write(
        &self,
        work: &Work<'_>,
        files: &mut Files<'_, K::Sink>,
        transaction: XactId,
        pending: &mut Pending,
    ) -> Result<(), Stop> {
        for row in &pending.rows {
            let file = match &mut files.open {
                Some(file) => file,
                closed => closed.insert(self.open(work, files.sink, transaction)?),
            };
            file.push(row).await?;
        }
        *pending = Pending::default();
        Ok(())
    }

    fn open(
        &self,
        work: &Work<'_>,
        sink: &K::Sink,
        transaction: XactId,
    ) -> Result<OpenFile<<K::Sink as ExportSink>::Upload>, Stop> {
        let plan = work.plan;
        let hour = hour(transaction)?;
        let named = work.names.file(hour, work.position(), plan.format);
        let key = named.map_err(|error| Stop::Failed(bad_row(&error.to_string())))?;
        let format = format(&plan.definition, plan.format);
        let upload = sink.begin(&key, format.content_type());
        Ok(OpenFile::new(
            key,
            hour,
            work.position(),
            format,
            &self.settings,
            upload,
        ))
    }

    /// Ends the open file if the next transaction does not belong in it.
    async fn roll(
        &self,
        work: &mut Work<'_>,
        files: &mut Files<'_, K::Sink>,
        next: XactId,
    ) -> Result<(), Stop> {
        if self.would_roll(files, files.whole, next) {
            self.close(work, files).await?;
        }
        Ok(())
    }

    fn would_roll(&self, files: &Files<'_, K::Sink>, last: XactId, next: XactId) -> bool {
        let full = files
            .open
            .as_ref()
            .is_some_and(|file| file.size() >= self.settings.file_bytes);
        full || hour_of(last) != hour_of(next)
    }

    /// Ends the open file behind the last whole transaction and commits it. One that is torn, or
    /// holds no whole transaction, is given up, and so is what it held.
    async fn close(&self, work: &mut Work<'_>, files: &mut Files<'_, K::Sink>) -> Result<(), Stop> {
        let through = files.whole;
        let Some(file) = files.open.take() else {
            return self.advance(work, through).await;
        };
        // Until it is committed.
        files.whole = work.position();
        if std::mem::take(&mut files.torn) || through <= work.position() {
            file.abort().await;
            return Ok(());
        }
        // Whoever takes the cursor over when the claim has passed writes under the same name, and
        // must not be overwritten.
        if self.until(work.deadline, Duration::ZERO).is_zero() {
            file.abort().await;
            return Err(late());
        }
        let file = file.finish(through).await?;
        let run = work.run.clone();
        self.save(work, |cursor| {
            cursor.commit(&run, file.clone());
        })
        .await?;
        files.whole = through;
        Ok(())
    }

    /// Moves the cursor where there was nothing to write.
    async fn advance(&self, work: &mut Work<'_>, through: XactId) -> Result<(), Stop> {
        if through > work.position() {
            self.save(work, |cursor| cursor.position = through).await?;
        }
        Ok(())
    }

    /// Whether a run that stops now has moved its cursor: otherwise the next would do the same
    /// again, for ever.
    fn can_stop(work: &Work<'_>, files: &Files<'_, K::Sink>) -> bool {
        work.has_moved() || (!files.torn && files.whole > work.position())
    }

    async fn begin(&self, query: &Query, deadline: Timestamp) -> Result<Option<L::Page>, Stop> {
        self.in_time(self.source.page(query), deadline).await
    }

    /// Waits for the source; `None` if it has not answered when it is time to come to an end.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, SourceError>> + Send,
        deadline: Timestamp,
    ) -> Result<Option<T>, Stop> {
        self.in_time_for(answer, deadline, self.settings.reserve)
            .await
    }

    /// Waits for the source, with this much time left over.
    async fn in_time_for<T>(
        &self,
        answer: impl Future<Output = Result<T, SourceError>> + Send,
        deadline: Timestamp,
        reserve: Duration,
    ) -> Result<Option<T>, Stop> {
        let limit = self.clock.sleep(self.until(deadline, reserve));
        pin_mut!(answer, limit);
        match select(answer, limit).await {
            Either::Left((answer, _)) => Ok(Some(answer?)),
            Either::Right(_) => Ok(None),
        }
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

/// The pages of one question, one behind the other.
struct Pages {
    query: Option<Query>,
    /// Rows of the page that is being read.
    rows: u64,
    /// The cursors that were followed.
    followed: HashSet<String>,
}

impl Pages {
    fn new(work: &Work<'_>, ask: Ask) -> Self {
        let limit = match &ask {
            Ask::Summaries(roots) => u32::try_from(roots.len()).unwrap_or(u32::MAX),
            _ => work.plan.batch_size,
        };
        let query = Query {
            project: work.plan.place.project.clone(),
            ask,
            limit,
            cursor: None,
        };
        Self {
            query: Some(query),
            rows: 0,
            followed: HashSet::new(),
        }
    }

    fn next(&mut self) -> Option<Query> {
        self.rows = 0;
        self.query.clone()
    }

    fn is_over(&self) -> bool {
        self.query.is_none()
    }

    /// Goes to the next page, or to the end: a page without a cursor, or without rows.
    fn turn(&mut self, cursor: Option<&str>) -> Result<(), Stop> {
        let Some(query) = &mut self.query else {
            return Ok(());
        };
        match cursor {
            Some(cursor) if self.rows > 0 => {
                if !self.followed.insert(cursor.to_owned()) {
                    return Err(SourceError::Transient(failure(
                        "RepeatedCursor",
                        "the API gave the same cursor for two pages, which would never end",
                    ))
                    .into());
                }
                query.cursor = Some(cursor.to_owned());
            }
            _ => self.query = None,
        }
        Ok(())
    }
}

/// Reads a row to its end, so that one that can't be used is found out before the transaction
/// that it belongs to goes into a file.
fn parsed(row: &[u8]) -> Result<Row<'_>, Stop> {
    Row::parse(row).map_err(|error| Stop::Failed(bad_row(&error.to_string())))
}

/// The row's transaction, which must lie in the range and not before the last.
fn transaction_of(row: &Row<'_>, range: XactRange, last: Option<XactId>) -> Result<XactId, Stop> {
    let transaction = row.xact_id();
    if transaction <= range.after || transaction > range.through {
        return Err(Stop::Failed(bad_row(&format!(
            "a row of transaction {transaction} came, which is not in the range that was asked for, \
             {} to {}",
            range.after, range.through
        ))));
    }
    if last.is_some_and(|last| transaction < last) {
        return Err(Stop::Failed(bad_row(&format!(
            "a row of transaction {transaction} came behind a later one: they were asked for in order"
        ))));
    }
    Ok(transaction)
}

fn root_of(row: &Row<'_>) -> Result<String, Stop> {
    let root = row.root_span_id().map(str::to_owned);
    root.ok_or_else(|| Stop::Failed(bad_row("a row has no root_span_id that is text")))
}

fn hour(transaction: XactId) -> Result<Hour, Stop> {
    hour_of(transaction).ok_or_else(|| {
        Stop::Failed(bad_row(&format!(
            "no time stands in the transaction id {transaction}"
        )))
    })
}

fn failure(code: &str, message: &str) -> Failure {
    Failure {
        operation: "ReadRows".to_owned(),
        target: "/btql".to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

/// The API gave something that is no row, or not one of those that were asked for.
pub(crate) fn bad_row(message: &str) -> RunFailure {
    RunFailure {
        failure: failure("UnexpectedRow", message),
        fault: Fault::Automation,
        advice: "Nothing behind the last committed file was exported. If the automation has a query of its \
                 own, see that it yields _xact_id as it is; otherwise tell Braintrust's support."
            .to_owned(),
    }
}

/// There is no time left to do it in order.
fn late() -> Stop {
    SourceError::Transient(failure("OutOfTime", "the time of the run was over")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(row: &str, last: Option<u64>) -> Result<XactId, String> {
        let range = XactRange {
            after: XactId::new(10),
            through: XactId::new(20),
        };
        let row = parsed(row.as_bytes());
        let last = last.map(XactId::new);
        row.and_then(|row| transaction_of(&row, range, last))
            .map_err(|stop| match stop {
                Stop::Failed(failure) => failure.failure.message,
                other => format!("{other:?}"),
            })
    }

    #[test]
    fn a_row_that_was_not_asked_for_is_refused() {
        assert_eq!(taken(r#"{"_xact_id":"11"}"#, None), Ok(XactId::new(11)));
        assert_eq!(taken(r#"{"_xact_id":"20"}"#, Some(20)), Ok(XactId::new(20)));
        for (row, last, expected) in [
            (r#"{"_xact_id":"10"}"#, None, "not in the range"),
            (r#"{"_xact_id":"21"}"#, None, "not in the range"),
            (r#"{"_xact_id":"12"}"#, Some(13), "behind a later one"),
            (r#"{"id":"a"}"#, None, "has no _xact_id"),
            (r#"{"_xact_id":"12""#, None, "is not JSON"),
            ("[]", None, "not a JSON object"),
        ] {
            let error = taken(row, last).unwrap_err();
            assert!(error.contains(expected), "{row}: {error}");
        }
    }
}

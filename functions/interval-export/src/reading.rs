//! Reading a range of rows into files.
//!
//! A file may end only between two transactions, because the cursor can say no less than "all
//! of this transaction". So the rows of a transaction are held back until it is known to be
//! whole; then a file can be ended behind it at any time, and what was read is kept even if the
//! source fails in the middle of the next. A transaction too large to hold back goes into the
//! file as it comes; until its end the file can't be ended, only given up.
//!
//! `pages` asks for page after page and checks the rows; `traces` reads the summaries of traces
//! in place of rows.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::pin_mut;
use sealift_core::Timestamp;
use sealift_core::export::automation::Definition;
use sealift_core::export::name::hour_of;
use sealift_core::export::source::{Ask, LogSource, Query, RowPage, SourceError, XactRange};
use sealift_core::id::XactId;
use sealift_core::ports::{Clock, Entropy, EventBus, ExportSink, ExportSinks, ObjectStore};

use self::pages::{Pages, hour, parsed, transaction_of};
use crate::Export;
use crate::file::{OpenFile, format};
use crate::run::{Ended, Stop, Work};

mod pages;
mod traces;

pub(crate) use self::pages::bad_row;

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

/// There is no time left to do it in order.
fn late() -> Stop {
    SourceError::Transient(pages::failure("OutOfTime", "the time of the run was over")).into()
}

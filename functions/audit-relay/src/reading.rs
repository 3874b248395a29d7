//! Reads a stretch of time, page by page.

use jiff::SignedDuration;
use sealift_core::Timestamp;
use sealift_core::export::source::SourceError;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore};
use sealift_core::relay::cursor::Gap;
use sealift_core::relay::{AuditLog, AuditPage, AuditQuery};

use crate::limits::Limits;
use crate::run::{Run, Task};
use crate::{Relay, RelayError, selection};

/// How much time is asked for first where many entries share one instant, so that the answer holds
/// little else.
const INSTANT: SignedDuration = SignedDuration::from_millis(1);

/// The finest step of time that queries and entries have.
const FINEST: SignedDuration = SignedDuration::from_micros(1);

impl<S, L, A, B, C, E> Relay<S, L, A, B, C, E>
where
    S: ObjectStore,
    L: ObjectStore,
    A: AuditLog,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Reads a stretch of time and passes on what is new in it. False if there was no time left
    /// for all of it.
    pub(crate) async fn read(
        &self,
        run: &mut Run<'_>,
        task: Task,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<bool, RelayError> {
        let mut place = Place::new(from, Limits::new(self.settings.limit, self.settings.most));
        while let Some((from, end)) = run.cursor.readable(place.at, until) {
            if self.is_late(run.deadline) {
                return Ok(false);
            }
            place.at = from;
            let end = place.span.map_or(end, |span| after(from, span).min(end));
            let answer = self.ask(run, from, end, place.limits.limit()).await;
            let next = match answer {
                Ok(page) => {
                    let next = place.after_page(&page, end);
                    self.pass_on(run, task, page).await?;
                    next
                }
                Err(error) if is_too_large(&error) => place.after_too_large(error),
                Err(error) if took_too_long(&error) => place.after_too_long(error)?,
                Err(error) => return Err(error.into()),
            };
            match next {
                Next::Again => {}
                Next::From(reached) => {
                    run.passed(task, reached);
                    if run.fresh {
                        self.keep(run).await?;
                    }
                    place.move_to(reached);
                }
                Next::Corner(error) => {
                    let Some(gap) = self.corner(run, from, end).await? else {
                        return Ok(false);
                    };
                    self.give_up(run, gap, &error.to_string()).await?;
                    place.move_to(from);
                }
                Next::GiveUp { span, why } => {
                    // What was only slow may be quicker next time.
                    if let Some(error) = place.slow.take() {
                        return Err(error.into());
                    }
                    let until = after(from, span);
                    self.give_up(run, Gap { from, until }, why).await?;
                    place.move_to(until);
                }
            }
        }
        run.passed(task, until);
        Ok(true)
    }

    async fn ask(
        &self,
        run: &mut Run<'_>,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<AuditPage, SourceError> {
        run.report.queries += 1;
        let query = AuditQuery {
            from,
            until,
            limit,
            without: selection::without(self.settings.row_level),
        };
        self.source.entries(&query).await
    }

    /// Finds the one entry that cannot be read, the first from `from` on: by halving the time.
    /// `None` if there was no time left for it.
    async fn corner(
        &self,
        run: &mut Run<'_>,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Gap>, RelayError> {
        let (mut good, mut bad) = (from, until);
        loop {
            let half = bad.duration_since(good) / 2;
            if half < FINEST {
                let until = bad.max(after(good, FINEST));
                return Ok(Some(Gap { from: good, until }));
            }
            if self.is_late(run.deadline) {
                return Ok(None);
            }
            let middle = whole(after(good, half));
            match self.ask(run, from, middle, 1).await {
                // What it has found meanwhile is read when reading goes on.
                Ok(_) => good = middle,
                Err(error) if is_too_large(&error) => bad = middle,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where reading stands, and how it goes on from there.
struct Place {
    at: Timestamp,
    limits: Limits,
    /// How much time the next page may span; `None` for all.
    span: Option<SignedDuration>,
    /// What took too long, since reading was last moved on.
    slow: Option<SourceError>,
}

/// What to do next.
enum Next {
    /// Ask again, for more or less.
    Again,
    /// Go on from there.
    From(Timestamp),
    /// Find the one entry that is too large.
    Corner(SourceError),
    /// Leave this span of time.
    GiveUp {
        span: SignedDuration,
        why: &'static str,
    },
}

impl Place {
    fn new(at: Timestamp, limits: Limits) -> Self {
        Self {
            at,
            limits,
            span: None,
            slow: None,
        }
    }

    /// What was learned of one place holds at another no more than elsewhere.
    fn move_to(&mut self, at: Timestamp) {
        self.at = at;
        self.limits.advanced();
        (self.span, self.slow) = (None, None);
    }

    /// Asks for a shorter time, where this instant cannot be read with what follows it. False if
    /// there is none.
    fn narrow(&mut self) -> bool {
        let narrower = match self.span {
            Some(span) if span <= FINEST => return false,
            Some(span) if span <= INSTANT => FINEST,
            _ => INSTANT,
        };
        self.span = Some(narrower);
        self.limits.narrowed();
        true
    }

    /// After a page of what is before `end`.
    fn after_page(&mut self, page: &AuditPage, end: Timestamp) -> Next {
        let limit = usize::try_from(self.limits.limit()).unwrap_or(usize::MAX);
        let is_finest = self.span.is_some_and(|span| span <= FINEST);
        if page.rows() == 0 && is_finest && self.limits.is_crowded() {
            return Next::GiveUp {
                span: INSTANT,
                why: "more entries than the API answers at once happened at this instant, and \
                      it does not tell times apart that finely",
            };
        }
        if page.rows() < limit {
            return Next::From(end);
        }
        // Up to its last entry's time a page is complete, unless all that fits into it is of one
        // instant.
        let last = page.entries.iter().map(|entry| entry.created).max();
        if let Some(last) = last
            .map(|last| last.min(end))
            .filter(|last| *last > self.at)
        {
            return Next::From(last);
        }
        let spans = end.duration_since(self.at);
        if page.entries.is_empty() && spans > FINEST {
            // Where in the time they stand is not known: half of it has fewer.
            self.span = Some((spans / 2).max(FINEST));
            return Next::Again;
        }
        if self.limits.crowded() || self.narrow() {
            return Next::Again;
        }
        Next::GiveUp {
            span: FINEST,
            why: "more entries happened at this instant than the API answers at once",
        }
    }

    fn after_too_large(&mut self, error: SourceError) -> Next {
        if self.limits.heavy() {
            Next::Again
        } else if self.limits.is_one_too_many() {
            Next::Corner(error)
        } else if self.narrow() {
            Next::Again
        } else {
            Next::GiveUp {
                span: FINEST,
                why: "the entries of this instant are together too large to be read",
            }
        }
    }

    fn after_too_long(&mut self, error: SourceError) -> Result<Next, SourceError> {
        let goes_on = self.limits.heavy() || (self.limits.is_crowded() && self.narrow());
        if !goes_on {
            return Err(error);
        }
        self.slow = Some(error);
        Ok(Next::Again)
    }
}

fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Without what is finer than a gap's bounds.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Whether there was more in the answer than is held in memory, or than the API gives at once.
fn is_too_large(error: &SourceError) -> bool {
    let SourceError::Invalid(failure) = error else {
        return false;
    };
    failure.message.contains("longer than") || failure.code == "HTTP 413"
}

fn took_too_long(error: &SourceError) -> bool {
    let SourceError::Transient(failure) = error else {
        return false;
    };
    let said = ["no answer began", "stalled", "timed out", "timeout"];
    matches!(failure.code.as_str(), "HTTP 408" | "HTTP 504")
        || said.iter().any(|words| failure.message.contains(words))
}

#[cfg(all(test, feature = "lambda"))]
mod tests {
    #[test]
    fn no_more_is_asked_for_than_the_client_takes() {
        let organization = sealift_core::id::OrgId::parse("org-1").unwrap();
        let settings = crate::Settings::of(organization);
        assert_eq!(settings.most, sealift_braintrust::audit_log::MOST_ROWS);
        assert!(settings.limit <= settings.most);
    }
}

//! Reading the log for a plan: which segments, where gaps are, what is a duplicate.

use futures_util::{StreamExt, TryStreamExt, stream};
use sealift_core::delivery::encode::Marked;
use sealift_core::delivery::{Gap, GapReason, Position, Range};
use sealift_core::id::{OrgId, Sequence};
use sealift_core::log::{Entry, Head};
use sealift_core::lookback::Lookback;
use sealift_core::partition::Hour;
use sealift_core::ports::{Clock, Entropy, EventBus, ObjectStore, Sinks};
use sealift_core::segment::{Index, Segment};

use crate::{Delivery, DeliveryError};

/// How many segments are fetched at once.
const FETCHES: usize = 8;

/// What lies in front of a cursor.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// The segments that a plan may cover, without a hole, from the position on.
    pub entries: Vec<Entry>,
    /// Where the cursor stands now: moved over gaps, and into the log's epoch.
    pub position: Position,
    /// What was missing on the way there.
    pub gap: Option<Gap>,
    /// Where the log ended, if that was seen.
    end: Option<Sequence>,
}

impl Ahead {
    /// Nothing lies after the position.
    pub(crate) fn nothing(position: Position) -> Self {
        Self {
            entries: Vec::new(),
            position,
            gap: None,
            end: None,
        }
    }
}

impl<L, S, K, B, C, E> Delivery<L, S, K, B, C, E>
where
    L: ObjectStore,
    S: ObjectStore,
    K: Sinks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Looks what lies after a position and before `end`, if there is one, within the bounds of
    /// a plan. There must be no open plan at the position. `passed_ms` is when the segment before
    /// it was appended, where that is known.
    pub(crate) async fn ahead(
        &self,
        position: &Position,
        passed_ms: Option<i64>,
        end: Option<Sequence>,
    ) -> Result<Ahead, DeliveryError> {
        loop {
            let head = self.epoch_now(&position.epoch).await?;
            let asked_ms = self.now_ms();
            let ahead = self.ahead_in(&head, position, passed_ms, end).await?;
            // If a new epoch began while the log was listed, what was listed may be of either.
            if self.epoch_now(&head.epoch).await?.epoch == head.epoch {
                if let Some(next) = ahead.end {
                    let epoch = head.epoch;
                    self.keep_end(Position { epoch, next }, asked_ms);
                }
                return Ok(ahead);
            }
        }
    }

    /// The head; one that fits the epoch, where the log has none (any more).
    async fn epoch_now(&self, epoch: &str) -> Result<Head, DeliveryError> {
        let head = self.log.head().await?.map(|head| head.body);
        Ok(head.unwrap_or_else(|| Head {
            epoch: epoch.to_owned(),
            start: Sequence::FIRST,
            floor: Sequence::FIRST,
            updated_ms: 0,
        }))
    }

    async fn ahead_in(
        &self,
        head: &Head,
        position: &Position,
        passed_ms: Option<i64>,
        end: Option<Sequence>,
    ) -> Result<Ahead, DeliveryError> {
        let mut position = position.clone();
        let mut gap = None;
        let oldest = |entries: &[Entry]| {
            let oldest = entries.first().map_or(head.floor, |entry| entry.sequence);
            end.map_or(oldest, |end| oldest.min(end))
        };
        let missing = |position: &Position, last, to_ms, reason| Gap {
            epoch: position.epoch.clone(),
            first: position.next,
            last,
            from_ms: passed_ms,
            to_ms,
            noticed_ms: self.now_ms(),
            reason,
        };
        if position.epoch != head.epoch {
            if head.start < position.next {
                gap = Some(missing(&position, None, None, GapReason::LogReplaced));
                position.next = head.start;
            }
            position.epoch.clone_from(&head.epoch);
        }
        let mut entries = self.list(position.next).await?;
        if oldest(&entries) > position.next {
            // A listing that ran beside an append may lack a number that a later look shows.
            entries = self.list(position.next).await?;
            let oldest = oldest(&entries);
            if oldest > position.next {
                let first = entries.first().filter(|entry| entry.sequence == oldest);
                let to_ms = first.map(|entry| entry.last_modified.as_millisecond());
                gap = Some(missing(
                    &position,
                    Some(oldest.previous()),
                    to_ms,
                    GapReason::Expired,
                ));
                position.next = oldest;
            }
        }
        let mut bytes = 0;
        let mut next = position.next;
        let listed = entries.len();
        entries.retain(|entry| {
            let in_order = entry.sequence == next && end.is_none_or(|end| entry.sequence < end);
            let fits = bytes == 0 || bytes + entry.size <= self.settings.plan_bytes;
            if in_order && fits {
                bytes += entry.size;
                next = next.next();
            }
            in_order && fits
        });
        // A page that is not full shows the end, if nothing of it is left out here.
        let whole = listed < self.page() && entries.len() == listed;
        Ok(Ahead {
            entries,
            position,
            gap,
            end: whole.then_some(next),
        })
    }

    async fn list(&self, from: Sequence) -> Result<Vec<Entry>, DeliveryError> {
        Ok(self.log.list_after(from.previous(), self.page()).await?)
    }

    /// How many segments are listed at once.
    fn page(&self) -> usize {
        self.settings.plan_segments.clamp(1, 1000)
    }

    /// Reads the segments of a range, in order; stops before the first that is missing.
    pub(crate) async fn segments(
        &self,
        first: Sequence,
        last: Sequence,
    ) -> Result<Vec<Segment>, DeliveryError> {
        let numbers = (first.0..=last.0).map(Sequence);
        let mut reads = stream::iter(numbers)
            .map(|number| self.log.read(number))
            .buffered(FETCHES);
        let mut segments = Vec::new();
        while let Some(Some(segment)) = reads.try_next().await? {
            segments.push(segment);
        }
        Ok(segments)
    }

    /// Marks the duplicates of segments that lie side by side.
    pub(crate) async fn mark(
        &self,
        segments: Vec<Segment>,
        lookback: &mut Lookback,
    ) -> Result<Vec<Marked>, DeliveryError> {
        let Some(first) = segments.first().map(Segment::sequence) else {
            return Ok(Vec::new());
        };
        lookback.prepare(&self.log, first).await?;
        let marked = segments.into_iter().map(|segment| {
            lookback.feed(&segment.index);
            let marks = lookback.marks(segment.sequence()).unwrap_or_default();
            Marked { segment, marks }
        });
        Ok(marked.collect())
    }

    /// The gap that a recorded range leaves whose segments are not there any more.
    pub(crate) fn gap_of(&self, range: &Range, from_ms: Option<i64>, to_ms: Option<i64>) -> Gap {
        Gap {
            epoch: range.epoch.clone(),
            first: range.first,
            last: Some(range.last),
            from_ms,
            to_ms,
            noticed_ms: self.now_ms(),
            reason: GapReason::Expired,
        }
    }

    /// Reads of a range those segments that hold something wanted, and marks their duplicates:
    /// of the others only the index is read. `None` if they are not all there, or are of another
    /// epoch than the range.
    pub(crate) async fn marked_of(
        &self,
        range: &Range,
        wanted: impl Fn(&OrgId, Hour) -> bool + Send,
        lookback: &mut Lookback,
    ) -> Result<Option<Vec<Marked>>, DeliveryError> {
        let numbers = (range.first.0..=range.last.0).map(Sequence);
        let mut reads = stream::iter(numbers)
            .map(|number| self.log.read_index(number))
            .buffered(FETCHES);
        let mut indexes = Vec::new();
        while let Some(Some(index)) = reads.try_next().await? {
            indexes.push(index);
        }
        let complete = indexes.last().map(|index| index.header.sequence) == Some(range.last);
        if !complete || !self.is_of_epoch(range, indexes.iter()).await? {
            return Ok(None);
        }
        let mut recorded = Lookback::new(range.lookback_ms, None);
        let lookback = match lookback.window_ms() == range.lookback_ms {
            true => lookback,
            false => &mut recorded,
        };
        lookback.prepare(&self.log, range.first).await?;
        let mut marked = Vec::new();
        for index in indexes {
            lookback.feed(&index);
            let mut members = index.header.members.iter();
            if !members.any(|member| wanted(&member.organization, member.hour)) {
                continue;
            }
            let Some(segment) = self.log.read(index.header.sequence).await? else {
                return Ok(None);
            };
            let marks = lookback.marks(segment.sequence()).unwrap_or_default();
            marked.push(Marked { segment, marks });
        }
        Ok(Some(marked))
    }

    /// Whether these are the indexes that a range meant when it was recorded.
    async fn is_of_epoch<'a>(
        &self,
        range: &Range,
        mut indexes: impl Iterator<Item = &'a Index> + Send,
    ) -> Result<bool, DeliveryError> {
        let now = self.epoch_now("").await?;
        Ok(now.epoch == range.epoch || indexes.all(|index| index.header.epoch == range.epoch))
    }

    /// Reads the segments of a recorded range again. `None` if they are not all there, or
    /// are of another epoch than the one the range was planned in.
    pub(crate) async fn again(
        &self,
        range: &Range,
        lookback: &mut Lookback,
    ) -> Result<Option<Vec<Marked>>, DeliveryError> {
        let segments = self.segments(range.first, range.last).await?;
        let complete = segments.last().map(Segment::sequence) == Some(range.last);
        let indexes = segments.iter().map(|segment| &segment.index);
        if !complete || !self.is_of_epoch(range, indexes).await? {
            return Ok(None);
        }
        if lookback.window_ms() == range.lookback_ms {
            return Ok(Some(self.mark(segments, lookback).await?));
        }
        let mut recorded = Lookback::new(range.lookback_ms, None);
        Ok(Some(self.mark(segments, &mut recorded).await?))
    }
}

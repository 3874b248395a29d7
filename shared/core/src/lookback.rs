//! The look-back: which events of a segment the log already had shortly before.
//!
//! The bus and the queue deliver at least once, so an event can stand in the log twice. It is
//! delivered where it stands first: an event is a *duplicate* if the same organization, id and
//! line stand before it in the log, in a segment appended at most one window earlier. The
//! same id with another line is no duplicate but *altered*: it is delivered, and counted.
//!
//! Both are functions of the log alone, not of who reads it or when, so that a plan that is
//! carried out again gives the same bytes. What is kept in memory, about 40 bytes for each
//! event of the window, only saves reading it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;

use crate::id::{OrgId, Sequence};
use crate::log::{Log, LogError};
use crate::ports::ObjectStore;
use crate::segment::Index;

/// How many segments' indexes are read at once when a look-back is built anew.
const READ_AHEAD: u64 = 32;

/// Clocks of writers may differ by this much; reading back goes on for as long.
const CLOCK_SLACK_MS: i64 = 10 * 60 * 1000;

/// What is remembered of an id: the line that it stood with last, and when.
#[derive(Debug, Clone, Copy)]
struct Last {
    line: u64,
    appended_ms: i64,
}

/// What the look-back found in one segment, by the number of the member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    duplicates: BTreeMap<usize, BTreeSet<usize>>,
    altered: BTreeMap<usize, BTreeSet<usize>>,
}

impl Marks {
    /// Whether the line (by its number) of the member is a duplicate.
    pub fn is_duplicate(&self, member: usize, line: usize) -> bool {
        self.duplicates
            .get(&member)
            .is_some_and(|lines| lines.contains(&line))
    }

    /// Whether the line of the member has an id that stood with another line before.
    pub fn is_altered(&self, member: usize, line: usize) -> bool {
        self.altered
            .get(&member)
            .is_some_and(|lines| lines.contains(&line))
    }

    /// Whether the member has any duplicate.
    pub fn has_duplicates(&self, member: usize) -> bool {
        self.duplicates.contains_key(&member)
    }
}

/// A window that moves over the log.
#[derive(Debug)]
pub struct Lookback {
    window_ms: i64,
    only: Option<OrgId>,
    /// The segments whose marks are known: from the first to before the second.
    known: (Sequence, Sequence),
    marks: BTreeMap<Sequence, Marks>,
    last: HashMap<u64, Last>,
    /// Lines that an id stood with before its last one. Hardly ever any.
    earlier: HashMap<(u64, u64), i64>,
    swept_at: usize,
}

impl Lookback {
    /// An empty look-back over a window in milliseconds; of one organization only, if one is
    /// named.
    pub fn new(window_ms: i64, only: Option<OrgId>) -> Self {
        Self {
            window_ms,
            only,
            known: (Sequence(0), Sequence(0)),
            marks: BTreeMap::new(),
            last: HashMap::new(),
            earlier: HashMap::new(),
            swept_at: 1024,
        }
    }

    /// The window, in milliseconds.
    pub fn window_ms(&self) -> i64 {
        self.window_ms
    }

    /// The marks of a segment; `None` if it was not fed with all that lies in its window.
    pub fn marks(&self, sequence: Sequence) -> Option<Marks> {
        let (from, next) = self.known;
        let known = from <= sequence && sequence < next;
        known.then(|| self.marks.get(&sequence).cloned().unwrap_or_default())
    }

    /// Makes sure that the marks of all segments before `next` within reach are known and
    /// `next` can be fed: reads the indexes of the window before it, unless they were fed already.
    pub async fn prepare<S: ObjectStore>(
        &mut self,
        log: &Log<S>,
        next: Sequence,
    ) -> Result<(), LogError> {
        let (from, fed) = self.known;
        if from < fed && from <= next && next <= fed {
            return Ok(());
        }
        let mut indexes = Vec::new();
        let mut reach = next;
        let mut newest_ms = None;
        while reach > Sequence(0) {
            let start = Sequence(reach.0.saturating_sub(READ_AHEAD));
            let numbers = start.0..reach.0;
            let read = try_join_all(numbers.map(|n| log.read_index(Sequence(n)))).await?;
            let read: Vec<Index> = read.into_iter().flatten().collect();
            let newest_here = read.iter().map(|index| index.header.appended_ms).max();
            newest_ms = newest_ms.max(newest_here);
            let in_reach = newest_here
                .zip(newest_ms)
                .is_some_and(|(here, newest)| here >= newest - self.window_ms - CLOCK_SLACK_MS);
            indexes.extend(read.into_iter().rev());
            reach = start;
            if !in_reach {
                break;
            }
        }
        *self = Self::new(self.window_ms, self.only.clone());
        for index in indexes.into_iter().rev() {
            self.feed(&index);
        }
        self.marks.clear();
        self.known = (next, next);
        Ok(())
    }

    /// Takes the next segment in. A segment that was taken in before changes nothing.
    pub fn feed(&mut self, index: &Index) {
        let sequence = index.header.sequence;
        if sequence < self.known.1 {
            return;
        }
        let now_ms = index.header.appended_ms;
        let mut marks = Marks::default();
        for (number, (entry, digests)) in index.digests().enumerate() {
            if self
                .only
                .as_ref()
                .is_some_and(|only| *only != entry.organization)
            {
                continue;
            }
            for (line_number, digest) in digests.iter().enumerate() {
                let found = self.note(digest.id, digest.line, now_ms);
                let lines = match found {
                    Found::New => continue,
                    Found::Duplicate => &mut marks.duplicates,
                    Found::Altered => &mut marks.altered,
                };
                lines.entry(number).or_default().insert(line_number);
            }
        }
        if marks != Marks::default() {
            self.marks.insert(sequence, marks);
        }
        self.known.1 = sequence.next();
        self.sweep(now_ms);
    }

    fn note(&mut self, id: u64, line: u64, now_ms: i64) -> Found {
        let now = Last {
            line,
            appended_ms: now_ms,
        };
        let oldest_ms = now_ms - self.window_ms;
        let Some(before) = self.last.insert(id, now) else {
            return Found::New;
        };
        if before.line == line {
            let recent = before.appended_ms >= oldest_ms;
            return if recent { Found::Duplicate } else { Found::New };
        }
        self.earlier.insert((id, before.line), before.appended_ms);
        match self.earlier.get(&(id, line)) {
            Some(at) if *at >= oldest_ms => Found::Duplicate,
            _ if before.appended_ms >= oldest_ms => Found::Altered,
            _ => Found::New,
        }
    }

    /// Forgets what no window reaches any more, whenever the memory has doubled.
    fn sweep(&mut self, now_ms: i64) {
        let size = self.last.len() + self.earlier.len();
        if size < self.swept_at {
            return;
        }
        let oldest_ms = now_ms - self.window_ms - CLOCK_SLACK_MS;
        self.last.retain(|_, last| last.appended_ms >= oldest_ms);
        self.earlier.retain(|_, at| *at >= oldest_ms);
        let kept = self.last.len() + self.earlier.len();
        self.swept_at = (kept * 2).max(1024);
    }

    /// Forgets the marks of segments before `sequence`, which nobody will ask for again.
    pub fn forget_before(&mut self, sequence: Sequence) {
        self.marks = self.marks.split_off(&sequence);
        self.known.0 = self.known.0.max(sequence.min(self.known.1));
    }
}

enum Found {
    New,
    Duplicate,
    Altered,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Reading, Shapes, read};
    use crate::gzip::Level;
    use crate::segment::{Builder, Stamp};

    /// A segment of events of one organization and hour, each an id and a line's content.
    fn index(sequence: u64, appended_ms: i64, events: &[(&str, &str)]) -> Index {
        let mut builder = Builder::default();
        for (id, content) in events {
            let body = format!(
                r#"{{"source":"s","detail-type":"a.b","detail":{{"id":"{id}","org_id":"o","created":"2026-01-01T00:00:00Z","x":"{content}"}}}}"#
            );
            let Reading::Events(events) = read(&body, &Shapes::default()) else {
                panic!()
            };
            builder.add(events[0].as_ref().unwrap());
        }
        let stamp = Stamp {
            epoch: "e".to_owned(),
            sequence: Sequence(sequence),
            nonce: "n".to_owned(),
            appended_ms,
        };
        Index::read(
            &builder
                .finish(Level::DEFAULT)
                .unwrap()
                .stamped(&stamp)
                .unwrap(),
        )
        .unwrap()
    }

    fn found(segments: &[(i64, &[(&str, &str)])], window_ms: i64) -> String {
        let mut lookback = Lookback::new(window_ms, None);
        lookback.known = (Sequence(1), Sequence(1));
        let mut result = String::new();
        for (number, (appended_ms, events)) in segments.iter().enumerate() {
            let sequence = Sequence(number as u64 + 1);
            lookback.feed(&index(sequence.0, *appended_ms, events));
            let marks = lookback.marks(sequence).unwrap();
            for line in 0..events.len() {
                result.push(
                    match (marks.is_duplicate(0, line), marks.is_altered(0, line)) {
                        (true, _) => 'd',
                        (_, true) => 'a',
                        _ => '.',
                    },
                );
            }
        }
        result
    }

    #[test]
    fn the_same_event_within_the_window_is_a_duplicate() {
        assert_eq!(
            found(
                &[
                    (0, &[("1", "x"), ("1", "x"), ("2", "x")]),
                    (10, &[("2", "x"), ("3", "x")])
                ],
                10
            ),
            ".d.d."
        );
    }

    #[test]
    fn beyond_the_window_it_is_new_and_each_sighting_begins_the_window_anew() {
        assert_eq!(found(&[(0, &[("1", "x")]), (11, &[("1", "x")])], 10), "..");
        assert_eq!(
            found(
                &[(0, &[("1", "x")]), (6, &[("1", "x")]), (12, &[("1", "x")])],
                10
            ),
            ".dd"
        );
    }

    #[test]
    fn the_same_id_with_another_line_is_delivered_and_counted() {
        assert_eq!(
            found(
                &[(
                    0,
                    &[("1", "x"), ("1", "y"), ("1", "x"), ("1", "y"), ("1", "z")]
                )],
                10
            ),
            ".adda"
        );
    }

    #[test]
    fn what_was_not_fed_is_not_known() {
        let lookback = Lookback::new(10, None);
        assert_eq!(lookback.marks(Sequence(1)), None);
    }
}

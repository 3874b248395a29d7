//! A page of rows, read line by line while it arrives.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sealift_core::export::source::{RowPage, SourceError};
use serde::de::IgnoredAny;

use crate::call::Opened;
use crate::client::stalled;
use crate::error::{About, in_words};
use crate::settings::Settings;
use crate::wire::text_header;

/// Rows that are being received.
///
/// A row is a slice of what the connection handed over, so it costs no copy unless it came in
/// more than one piece.
#[derive(Debug)]
pub struct Page {
    /// `None` when all of it has come.
    body: Option<Incoming>,
    lines: Lines,
    cursor: Option<String>,
    about: About,
    settings: Settings,
    /// A page that failed stays so: its end must not look like a good one.
    failed: Option<SourceError>,
}

impl Page {
    pub(crate) fn new(opened: Opened, settings: &Settings) -> Self {
        let header = |name| {
            let heads = [Some(&opened.head), opened.followed.as_ref()];
            let mut heads = heads.into_iter().flatten();
            heads.find_map(|head| text_header(&head.headers, name))
        };
        // The second is how the store of large results keeps the first.
        let cursor = header("x-bt-cursor").or_else(|| header("x-amz-meta-bt_cursor"));
        Self {
            cursor: cursor.map(str::to_owned),
            body: Some(opened.body),
            lines: Lines::new(settings.longest_row),
            about: opened.about,
            settings: settings.clone(),
            failed: None,
        }
    }

    /// A page without rows, of a question that need not be asked.
    pub(crate) fn empty(settings: &Settings) -> Self {
        Self {
            body: None,
            lines: Lines::new(settings.longest_row),
            cursor: None,
            about: About::default(),
            settings: settings.clone(),
            failed: None,
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if let Some(row) = self.lines.next().map_err(|e| self.unreadable(e))? {
                return Ok(Some(row));
            }
            let Some(body) = &mut self.body else {
                return self.lines.last().map_err(|e| self.unreadable(e));
            };
            match tokio::time::timeout(self.settings.stall_timeout, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.add(data);
                    }
                }
                Ok(Some(Err(error))) => {
                    let said = format!("the answer broke off: {}", in_words(&error));
                    return Err(self.about.transient(said));
                }
                Ok(None) => self.body = None,
                Err(_) => return Err(self.about.transient(stalled(&self.settings))),
            }
        }
    }

    fn unreadable(&self, error: Unreadable) -> SourceError {
        match error {
            Unreadable::TooLong => self.about.invalid(format!(
                "a row is longer than {} bytes: export it by a query that selects fewer fields",
                self.settings.longest_row
            )),
            Unreadable::Torn => self
                .about
                .transient("the answer broke off in the middle of a row"),
        }
    }
}

impl RowPage for Page {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let row = self.advance().await;
        if let Err(error) = &row {
            self.failed = Some(error.clone());
            self.body = None;
        }
        row
    }

    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

/// Why there is no next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    TooLong,
    Torn,
}

/// Cuts what comes in pieces into lines.
#[derive(Debug)]
struct Lines {
    /// What has come and is not cut yet.
    piece: Bytes,
    /// The beginning of a line whose end has not come.
    begun: BytesMut,
    longest: usize,
}

impl Lines {
    fn new(longest: usize) -> Self {
        Self {
            piece: Bytes::new(),
            begun: BytesMut::new(),
            longest,
        }
    }

    /// Adds a piece; those before it must have been read out.
    fn add(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty());
        self.piece = piece;
    }

    /// The next line that is not blank, `None` if its end has not come yet.
    fn next(&mut self) -> Result<Option<Bytes>, Unreadable> {
        while !self.piece.is_empty() {
            let end = memchr::memchr(b'\n', &self.piece);
            let part = self.piece.split_to(end.unwrap_or(self.piece.len()));
            if self.begun.len() + part.len() > self.longest {
                return Err(Unreadable::TooLong);
            }
            if end.is_none() {
                self.begun.extend_from_slice(&part);
                return Ok(None);
            }
            // The line feed.
            self.piece.split_to(1).clear();
            let line = if self.begun.is_empty() {
                part
            } else {
                self.begun.extend_from_slice(&part);
                self.begun.split().freeze()
            };
            if let Some(line) = trimmed(&line) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// What stands after the last line feed, when all has come: a line whose line feed was left
    /// out, or one that broke off.
    fn last(&mut self) -> Result<Option<Bytes>, Unreadable> {
        let Some(line) = trimmed(&self.begun.split().freeze()) else {
            return Ok(None);
        };
        match serde_json::from_slice::<IgnoredAny>(&line) {
            Ok(_) => Ok(Some(line)),
            Err(_) => Err(Unreadable::Torn),
        }
    }
}

/// The rows of an answer that has come whole; `None` if it ends in the middle of one.
pub(crate) fn rows_of(body: Bytes) -> Option<Vec<Bytes>> {
    let mut lines = Lines::new(usize::MAX);
    lines.add(body);
    let mut rows = Vec::new();
    while let Some(row) = lines.next().ok()? {
        rows.push(row);
    }
    rows.extend(lines.last().ok()?);
    Some(rows)
}

/// The line without blanks around it, `None` if nothing is left.
fn trimmed(line: &Bytes) -> Option<Bytes> {
    let inner = line.trim_ascii();
    (!inner.is_empty()).then(|| line.slice_ref(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads pieces as a page does.
    fn read(pieces: &[&'static str], longest: usize) -> (Vec<Bytes>, Result<(), Unreadable>) {
        let (mut lines, mut rows) = (Lines::new(longest), Vec::new());
        for piece in pieces {
            lines.add(Bytes::from_static(piece.as_bytes()));
            loop {
                match lines.next() {
                    Ok(Some(row)) => rows.push(row),
                    Ok(None) => break,
                    Err(error) => return (rows, Err(error)),
                }
            }
        }
        match lines.last() {
            Ok(row) => {
                rows.extend(row);
                (rows, Ok(()))
            }
            Err(error) => (rows, Err(error)),
        }
    }

    #[test]
    fn a_line_may_come_in_any_number_of_pieces() {
        let (rows, end) = read(&["{\"a\":1}\n{\"b\"", ":", "2}\n{\"c\":3}", "\n"], 100);
        assert_eq!(rows, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn where_a_text_is_cut_makes_no_difference() {
        let text: &'static str = "{\"a\":1}\r\n\n{\"b\":2}\n \n{\"c\":3}";
        let (whole, _) = read(&[text], 100);
        assert_eq!(whole.len(), 3);
        for first in 0..=text.len() {
            let (start, rest) = text.split_at(first);
            for second in 0..=rest.len() {
                let (middle, end) = rest.split_at(second);
                let (rows, ended) = read(&[start, middle, end], 100);
                assert_eq!(
                    (&rows, ended),
                    (&whole, Ok(())),
                    "{start:?} {middle:?} {end:?}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_came_whole_is_not_copied() {
        let piece: &'static str = "{\"a\":1}\n{\"b\":2}\r\n";
        let (rows, _) = read(&[piece], 100);
        assert_eq!(rows[1], "{\"b\":2}");
        let range = piece.as_bytes().as_ptr_range();
        assert!(rows.iter().all(|row| range.contains(&row.as_ptr())));
    }

    #[test]
    fn blank_lines_are_no_rows() {
        let (rows, end) = read(&["\n\r\n  \n{\"a\":1}\r", "\n\n", " "], 100);
        assert_eq!(
            (rows, end),
            (vec![Bytes::from_static(b"{\"a\":1}")], Ok(()))
        );
        assert_eq!(read(&[], 100), (vec![], Ok(())));
    }

    #[test]
    fn an_end_without_line_feed_is_a_row_only_if_it_is_whole() {
        let (rows, end) = read(&["{\"a\":1}\n{\"b\":2}"], 100);
        assert_eq!((rows.len(), end), (2, Ok(())));
        let (rows, end) = read(&["{\"a\":1}\n{\"b\":"], 100);
        assert_eq!((rows.len(), end), (1, Err(Unreadable::Torn)));
    }

    #[test]
    fn a_row_has_a_longest_length_however_it_comes() {
        assert_eq!(read(&["{\"a\":1}\n"], 7).1, Ok(()));
        assert_eq!(read(&["{\"a\":1}\n"], 6).1, Err(Unreadable::TooLong));
        let (rows, end) = read(&["{\"a\":1}\n{\"b", "\":22}\n"], 7);
        assert_eq!((rows.len(), end), (1, Err(Unreadable::TooLong)));
        assert_eq!(read(&["{\"b", "\":2222"], 7).1, Err(Unreadable::TooLong));
    }
}

//! Answers, and how their bodies travel: whole, in pieces, or only so far.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// How long a torn body waits, so that what was sent before has left the machine.
const TEAR_DELAY: Duration = Duration::from_millis(20);

/// The connection is closed without an answer, or within one.
#[derive(Debug, thiserror::Error)]
#[error("closed by an injected fault")]
pub(crate) struct Closed;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) content: Bytes,
    streamed: bool,
}

impl Reply {
    pub(crate) fn new(content_type: &'static str, content: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            status: StatusCode::OK,
            headers,
            content: content.into(),
            streamed: false,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new("application/json", value.to_string())
    }

    /// With a status in place of 200.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a header. What cannot stand in one is left out.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Sent in several pieces and without a length.
    pub(crate) fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    pub(crate) fn into_response(self, ending: Ending) -> Response<ReplyBody> {
        let length = u64::try_from(self.content.len()).unwrap_or(u64::MAX);
        let content = match ending {
            Ending::Whole => self.content,
            Ending::Torn { after } | Ending::Stalled { after } => {
                self.content.slice(..after.min(self.content.len()))
            }
        };
        let body = ReplyBody {
            pieces: match self.streamed {
                true => pieces(content),
                false => VecDeque::from([content]),
            },
            announced: (!self.streamed).then_some(length),
            ending,
            tearing: None,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Cuts a body into about six pieces, none of which ends with a line: whoever reads them must
/// put lines together by himself.
fn pieces(mut content: Bytes) -> VecDeque<Bytes> {
    let size = (content.len() / 5).clamp(1, 16_381);
    let mut pieces = VecDeque::new();
    while content.len() > size {
        let at_line_end = content.get(size - 1) == Some(&b'\n');
        pieces.push_back(content.split_to(size + usize::from(at_line_end)));
    }
    pieces.push_back(content);
    pieces
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// The connection is closed after so many bytes.
    Torn {
        after: usize,
    },
    /// Nothing more comes after so many bytes.
    Stalled {
        after: usize,
    },
}

pub(crate) struct ReplyBody {
    pieces: VecDeque<Bytes>,
    /// The length that the header tells.
    announced: Option<u64>,
    ending: Ending,
    tearing: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl hyper::body::Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.ending {
            Ending::Whole => Poll::Ready(None),
            // Nobody wakes it: the connection ends with the client or with the server.
            Ending::Stalled { .. } => Poll::Pending,
            Ending::Torn { .. } => {
                let delay = || Box::pin(tokio::time::sleep(TEAR_DELAY));
                ready!(self.tearing.get_or_insert_with(delay).as_mut().poll(cx));
                Poll::Ready(Some(Err(io::Error::other(Closed))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending == Ending::Whole && self.pieces.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.announced
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_piece_but_the_last_ends_with_a_line_and_nothing_is_lost() {
        let lines = "{\"n\":1}\n".repeat(500);
        for content in ["", "\n", "a\n", "a\nb\n", "\n\n\n\n\n\n", lines.as_str()] {
            let pieces = pieces(Bytes::copy_from_slice(content.as_bytes()));
            let joined: Vec<u8> = pieces.iter().flatten().copied().collect();
            assert_eq!(joined, content.as_bytes());
            let (_, before) = pieces.as_slices().0.split_last().unwrap();
            if content.len() > 20 {
                assert!(before.len() >= 4);
                assert!(before.iter().all(|piece| !piece.ends_with(b"\n")));
            }
        }
    }
}

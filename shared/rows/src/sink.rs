//! Where encoded bytes wait until they are taken.

use std::io::Write;

use bytes::Bytes;

/// Bytes of a piece that is handed out. Large enough that a multipart upload is made of few
/// pieces, small enough that an unfinished one weighs little.
const PIECE: usize = 256 << 10;

/// Collects what is written to it into pieces.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    ready: Vec<Bytes>,
    open: Vec<u8>,
    /// All bytes ever written.
    written: u64,
    waiting: usize,
}

impl Sink {
    /// The full pieces, in order.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        let ready = std::mem::take(&mut self.ready);
        self.waiting = 0;
        ready
    }

    /// All pieces, the last of any size.
    pub(crate) fn take_all(&mut self) -> Vec<Bytes> {
        self.close_piece();
        self.take()
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes of memory in use.
    pub(crate) fn held(&self) -> usize {
        self.waiting + self.open.capacity()
    }

    fn close_piece(&mut self) {
        if !self.open.is_empty() {
            self.waiting += self.open.len();
            self.ready.push(Bytes::from(std::mem::take(&mut self.open)));
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PIECE);
        }
        let room = self.open.capacity() - self.open.len();
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        self.open.extend_from_slice(now);
        self.written += now.len() as u64;
        if self.open.len() == self.open.capacity() {
            self.close_piece();
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_written_in_its_order() {
        let mut sink = Sink::default();
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 7).collect();
        let (first, rest) = bytes.split_at(11);
        sink.write_all(first).unwrap();
        assert!(sink.take().is_empty(), "a piece is not full yet");
        sink.write_all(rest).unwrap();
        let mut taken = sink.take();
        assert_eq!(taken.len(), 3);
        assert!(sink.held() <= PIECE);
        taken.extend(sink.take_all());
        assert_eq!(taken.concat(), bytes);
        assert_eq!((sink.written(), sink.held()), (bytes.len() as u64, 0));
    }
}

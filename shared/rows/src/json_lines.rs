//! JSON Lines in one gzip member: each row's own bytes and a line break.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::settings::Settings;
use crate::sink::Sink;

/// What the compressor itself holds: zlib's window, hash chains and pending output.
const COMPRESSOR: usize = 384 << 10;

/// An open file of JSON Lines.
#[derive(Debug)]
pub(crate) struct JsonLines {
    /// Its header has no time and no name, so that the same rows are the same bytes.
    gzip: GzEncoder<Sink>,
}

impl JsonLines {
    pub(crate) fn new(settings: &Settings) -> Self {
        let level = Compression::new(settings.gzip_level.clamp(1, 9));
        Self {
            gzip: GzEncoder::new(Sink::default(), level),
        }
    }

    pub(crate) fn push(&mut self, line: &str) -> std::io::Result<()> {
        self.gzip.write_all(one_line(line).as_bytes())?;
        self.gzip.write_all(b"\n")
    }

    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.gzip.get_mut().take()
    }

    /// What the compressor has not given out yet is left out: 64 kB at most.
    pub(crate) fn size(&self) -> u64 {
        self.gzip.get_ref().written()
    }

    pub(crate) fn held(&self) -> usize {
        self.gzip.get_ref().held() + COMPRESSOR
    }

    pub(crate) fn finish(self) -> std::io::Result<Vec<Bytes>> {
        Ok(self.gzip.finish()?.take_all())
    }
}

/// The row as one line: raw line breaks, which JSON allows between tokens only, become spaces.
fn one_line(line: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\n', b'\r', line.as_bytes()).is_some() {
        Cow::Owned(line.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(line)
    }
}

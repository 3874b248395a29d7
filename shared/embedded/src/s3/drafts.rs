//! Files that are not in their place yet, and the times that they get there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// Modification times that are never given twice, however coarse the clock.
#[derive(Debug, Default)]
pub(super) struct Stamps(AtomicU64);

impl Stamps {
    pub(super) fn next(&self, now: Timestamp) -> u64 {
        let now = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let after = |last: u64| Some(now.max(last + 1));
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        last.map_or(now, |last| now.max(last + 1))
    }
}

/// Files that are not in their place yet.
#[derive(Debug)]
pub(super) struct Drafts {
    folder: PathBuf,
    next: AtomicU64,
}

impl Drafts {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(number.to_string())
    }

    pub(super) fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path();
        fs::write(&draft, bytes)?;
        fs::rename(&draft, path)
    }
}

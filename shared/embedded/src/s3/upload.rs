//! An object's bytes on their way in: a temporary file on the store's file system, hashed as it
//! is written, and gone again unless it is kept.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::Checksum;

/// Bytes that have arrived and belong to no object yet.
pub(crate) struct Upload {
    path: PathBuf,
    file: File,
    size: u64,
    md5: Md5,
    checksums: ChecksumHasher,
    kept: bool,
}

/// What the bytes of an upload turned out to be.
pub(crate) struct Digests {
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Checksum,
}

impl Upload {
    pub(crate) fn create(path: PathBuf, checksums: ChecksumHasher) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            path,
            file,
            size: 0,
            md5: Md5::new(),
            checksums,
            kept: false,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.md5.update(bytes);
        self.checksums.update(bytes);
        self.size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Appends another file's bytes without hashing them.
    pub(crate) fn append(&mut self, source: &Path) -> io::Result<()> {
        self.size += io::copy(&mut File::open(source)?, &mut self.file)?;
        Ok(())
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The digests of what was [written](Self::write) so far; the next ones begin anew.
    pub(crate) fn digests(&mut self) -> Digests {
        Digests {
            md5: std::mem::take(&mut self.md5).finalize(),
            checksums: std::mem::take(&mut self.checksums).finalize(),
        }
    }

    /// Moves the bytes to their place, whole and at once, with the modification time `stamp`
    /// (nanoseconds since 1970).
    pub(crate) fn keep(mut self, place: &Path, stamp: u64) -> io::Result<()> {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(stamp);
        self.file.set_modified(modified)?;
        std::fs::rename(&self.path, place)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            // What is left is swept away at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

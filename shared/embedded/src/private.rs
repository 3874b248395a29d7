//! Files that are their owner's alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file whole or not at all, readable by its owner alone from the first byte on. The draft
/// beside it has a fixed name: who writes the same file at the same time holds a lock.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = file.with_extension("json.new");
    // What an earlier crash left might have other permissions, which opening would keep.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(&draft)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&draft, file)
}

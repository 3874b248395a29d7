//! Which keys can be files, and which file is a key's.

use std::path::{Path, PathBuf};

/// The longest name that common file systems take is 255 bytes; the record file adds `.json`.
const LONGEST_SEGMENT: usize = 250;

/// Why a key cannot be a file, in words for its sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this store keeps an object as a file, and {0}")]
pub(crate) struct NoFile(pub(crate) String);

/// Refuses a key that is no path of a file below its bucket's folder.
pub(crate) fn check(key: &str) -> Result<(), NoFile> {
    let refuse = |reason: &str| Err(NoFile(format!("{reason} (key {key:?})")));
    if key.contains('\0') {
        return refuse("a file's name holds no NUL");
    }
    for segment in key.split('/') {
        match segment {
            "" => return refuse("no part of a key between slashes may be empty"),
            "." | ".." => return refuse("no part of a key between slashes may be `.` or `..`"),
            long if long.len() > LONGEST_SEGMENT => {
                return refuse("a part of a key between slashes may have 250 bytes");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The data file of a checked key.
pub(crate) fn data_path(folder: &Path, key: &str) -> PathBuf {
    folder.join(key)
}

/// The record file of a checked key: `<key>.json`. A folder whose name ends like a record
/// file's gets `.d` added, so that `a` and `a.json/b` do not want the same name.
pub(crate) fn record_path(folder: &Path, key: &str) -> PathBuf {
    let mut path = folder.to_owned();
    let mut segments = key.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            path.push(format!("{segment}.json"));
        } else if looks_like_a_record(segment) {
            path.push(format!("{segment}.d"));
        } else {
            path.push(segment);
        }
    }
    path
}

fn looks_like_a_record(folder: &str) -> bool {
    folder.trim_end_matches(".d").as_bytes().ends_with(b".json")
}

/// The folders that a key lies in, as keys: `a/b/c` lies in `a` and `a/b`.
pub(crate) fn folders(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').filter_map(|(at, _)| key.get(..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_leave_its_folder_is_refused() {
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\0b"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"x".repeat(251)).is_err());
        for good in [
            "a",
            "a/b.c",
            "...",
            "date=2026-01-01/hour=03/x.gz",
            "ü/ñ",
            "a b\\c",
        ] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn no_two_keys_share_a_record_file_or_need_one_as_a_folder() {
        let keys = [
            "a",
            "a.json",
            "a.json/b",
            "a.json.d/b",
            "a.json.d.d/b",
            "a.d/b",
            "a/b",
            "a.json/b.json",
        ];
        let paths: Vec<_> = keys
            .iter()
            .map(|k| record_path(Path::new("m"), k))
            .collect();
        for (i, one) in paths.iter().enumerate() {
            for (j, other) in paths.iter().enumerate() {
                assert!(i == j || !other.starts_with(one), "{} {}", keys[i], keys[j]);
            }
        }
    }

    #[test]
    fn a_key_lies_in_every_folder_above_it() {
        assert_eq!(folders("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(folders("a").count(), 0);
    }
}

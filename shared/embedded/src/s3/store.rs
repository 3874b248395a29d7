//! Buckets as folders, objects as files. Everything here blocks, briefly.
//!
//! ```text
//! <data>/s3/<bucket>/<key>            the object's bytes, as a plain file
//! <data>/s3-meta/<bucket>/<key>.json  the record of it (see `record`)
//! <data>/s3-buckets/<bucket>.json     the bucket's owner
//! <data>/s3-uploads/<id>/             an upload in parts that is not complete
//! <data>/s3-tmp/                      bytes on their way in; swept at start
//! ```
//!
//! One lock for each bucket makes conditional writes atomic: the condition is looked at, the two
//! files are renamed and the index is changed while it is held. The bytes were written before. A
//! reader holds it until its file is open; what it then reads is one version, whole, whatever
//! happens to the key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use s3s::checksum::ChecksumHasher;
use sealift_core::id::{AccountId, BucketName};
use serde::{Deserialize, Serialize};

use super::drafts::{Drafts, Stamps};
use super::keys::{self, NoFile};
use super::record::{self, Facts, Found, Record, RecordFile};
use super::upload::Upload;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is no such key")]
    Missing,
    #[error("the condition does not hold")]
    Precondition,
    #[error(transparent)]
    NoFile(#[from] NoFile),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What must hold of the key for a write or delete to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// `If-None-Match: *`: there is no object.
    Absent,
    /// `If-Match: *`: there is one.
    Present,
    /// `If-Match: <etag>`: there is one, of this ETag.
    Match(String),
}

impl Condition {
    fn check(&self, existing: Option<&Record>) -> Result<(), StoreError> {
        match (self, existing) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present, Some(_)) => Ok(()),
            (Self::Present | Self::Match(_), None) => Err(StoreError::Missing),
            (Self::Match(etag), Some(record)) if *etag == record.etag => Ok(()),
            (Self::Absent | Self::Match(_), Some(_)) => Err(StoreError::Precondition),
        }
    }
}

/// All buckets.
pub(crate) struct Store {
    data: PathBuf,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    stamps: Arc<Stamps>,
    drafts: Arc<Drafts>,
}

/// One bucket and the index of its keys. A key's record is read when it is first asked for.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) owner: AccountId,
    data: PathBuf,
    records: PathBuf,
    stamps: Arc<Stamps>,
    drafts: Arc<Drafts>,
    index: RwLock<Index>,
}

pub(super) type Index = BTreeMap<String, Option<Arc<Record>>>;

/// An object about to be written.
pub(crate) struct Draft {
    pub(crate) etag: String,
    pub(crate) parts: Vec<u64>,
    pub(crate) facts: Facts,
    pub(crate) now: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct BucketFile {
    version: u32,
    owner: AccountId,
}

impl Store {
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let temp = data.join("s3-tmp");
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&temp)?,
        }
        let store = Self {
            data: data.to_owned(),
            buckets: RwLock::default(),
            stamps: Arc::default(),
            drafts: Arc::new(Drafts::new(temp)),
        };
        let infos = data.join("s3-buckets");
        fs::create_dir_all(&infos)?;
        fs::create_dir_all(store.uploads())?;
        let mut buckets = BTreeMap::new();
        for entry in fs::read_dir(&infos)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let (Some(name), Some("json")) = (name, path.extension().and_then(|e| e.to_str()))
            else {
                continue;
            };
            let file: BucketFile = serde_json::from_slice(&fs::read(&path)?)?;
            buckets.insert(
                name.to_owned(),
                Arc::new(store.bucket_at(name, file.owner)?),
            );
        }
        *store
            .buckets
            .write()
            .unwrap_or_else(PoisonError::into_inner) = buckets;
        Ok(store)
    }

    fn bucket_at(&self, name: &str, owner: AccountId) -> io::Result<Bucket> {
        let data = self.data.join("s3").join(name);
        fs::create_dir_all(&data)?;
        let mut index = Index::new();
        walk(&data, "", &mut index)?;
        Ok(Bucket {
            name: name.to_owned(),
            owner,
            data,
            records: self.data.join("s3-meta").join(name),
            stamps: Arc::clone(&self.stamps),
            drafts: Arc::clone(&self.drafts),
            index: RwLock::new(index),
        })
    }

    /// Creates a bucket; answers with the owner of one that is there already.
    pub(crate) fn create_bucket(
        &self,
        name: &BucketName,
        owner: &AccountId,
    ) -> io::Result<Option<AccountId>> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name.as_str()) {
            return Ok(Some(bucket.owner.clone()));
        }
        let file = BucketFile {
            version: 1,
            owner: owner.clone(),
        };
        let bucket = self.bucket_at(name.as_str(), owner.clone())?;
        let path = self.data.join("s3-buckets").join(format!("{name}.json"));
        self.write_file(&path, &serde_json::to_vec(&file)?)?;
        buckets.insert(name.to_string(), Arc::new(bucket));
        Ok(None)
    }

    pub(crate) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).map(Arc::clone)
    }

    /// A temporary file for bytes to come.
    pub(crate) fn upload(&self, checksums: ChecksumHasher) -> io::Result<Upload> {
        Upload::create(self.drafts.path(), checksums)
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.data.join("s3-uploads")
    }

    /// Writes a small file whole or not at all.
    pub(crate) fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.drafts.write_file(path, bytes)
    }

    /// Writes an object, if the condition holds of its key at that moment.
    pub(crate) fn put(
        &self,
        bucket: &Bucket,
        key: &str,
        upload: Upload,
        draft: Draft,
        condition: &Condition,
    ) -> Result<Arc<Record>, StoreError> {
        keys::check(key)?;
        let mut index = bucket.index_mut();
        let existing = bucket.load(&mut index, key)?;
        condition.check(existing.as_deref())?;
        let data = keys::data_path(&bucket.data, key);
        let record_file = keys::record_path(&bucket.records, key);
        if existing.is_none() {
            check_room(&index, key)?;
            for file in [&data, &record_file] {
                file.parent().map_or(Ok(()), fs::create_dir_all)?;
            }
        }
        let record = Record {
            size: upload.size(),
            stamp: bucket.stamps.next(draft.now),
            etag: draft.etag,
            modified_ms: draft.now.as_millisecond(),
            parts: draft.parts,
            facts: draft.facts,
        };
        let previous = existing.as_deref().cloned();
        let records = RecordFile::new(record.clone(), previous).to_json()?;
        self.write_file(&record_file, &records)?;
        upload.keep(&data, record.stamp)?;
        let record = Arc::new(record);
        index.insert(key.to_owned(), Some(Arc::clone(&record)));
        Ok(record)
    }
}

impl Bucket {
    /// An object's record and its bytes, as one version; `None` if there is none.
    pub(crate) fn open(&self, key: &str) -> io::Result<Option<(Arc<Record>, File)>> {
        match self.index().get(key) {
            None => return Ok(None),
            Some(None) => {}
            Some(Some(record)) => match self.open_version(key, record) {
                Ok(Some(file)) => return Ok(Some((Arc::clone(record), file))),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
        }
        // The file is not the one that was written here: look at it.
        let mut index = self.index_mut();
        if let Some(slot) = index.get_mut(key) {
            *slot = None;
        }
        let Some(record) = self.load(&mut index, key)? else {
            return Ok(None);
        };
        let file = File::open(keys::data_path(&self.data, key))?;
        Ok(Some((record, file)))
    }

    /// The data file, if it is the version that the record is of.
    fn open_version(&self, key: &str, record: &Record) -> io::Result<Option<File>> {
        let file = File::open(keys::data_path(&self.data, key))?;
        let fitting = record::fingerprint(&file.metadata()?)? == (record.size, record.stamp);
        Ok(fitting.then_some(file))
    }

    /// An object's record; `None` if there is none.
    pub(crate) fn record(&self, key: &str) -> io::Result<Option<Arc<Record>>> {
        match self.index().get(key) {
            None => return Ok(None),
            Some(Some(record)) => return Ok(Some(Arc::clone(record))),
            Some(None) => {}
        }
        self.load(&mut self.index_mut(), key)
    }

    /// Deletes an object, if the condition holds of its key at that moment.
    pub(crate) fn delete(&self, key: &str, condition: &Condition) -> Result<(), StoreError> {
        let mut index = self.index_mut();
        let existing = self.load(&mut index, key)?;
        condition.check(existing.as_deref())?;
        if existing.is_none() {
            return Ok(());
        }
        let data = keys::data_path(&self.data, key);
        let record = keys::record_path(&self.records, key);
        for (file, folder) in [(data, &self.data), (record, &self.records)] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => remove_empty_folders(&file, folder),
            }
        }
        index.remove(key);
        Ok(())
    }

    /// The record of a key of the index, read from its file if it was not yet.
    fn load(&self, index: &mut Index, key: &str) -> io::Result<Option<Arc<Record>>> {
        match index.get(key) {
            None => return Ok(None),
            Some(Some(record)) => return Ok(Some(Arc::clone(record))),
            Some(None) => {}
        }
        let record_file = keys::record_path(&self.records, key);
        let record = match record::find(&keys::data_path(&self.data, key), &record_file) {
            Ok(Found::Named(record)) => record,
            Ok(Found::Examined(record)) => {
                self.remember(&record_file, &record)?;
                record
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                index.remove(key);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let record = Arc::new(record);
        index.insert(key.to_owned(), Some(Arc::clone(&record)));
        Ok(Some(record))
    }

    /// Keeps what was found out by looking at the data, so that it is not looked at again.
    fn remember(&self, record_file: &Path, record: &Record) -> io::Result<()> {
        record_file.parent().map_or(Ok(()), fs::create_dir_all)?;
        let bytes = RecordFile::new(record.clone(), None).to_json()?;
        self.drafts.write_file(record_file, &bytes)
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a new key where a file and a folder would have to bear the same name.
fn check_room(index: &Index, key: &str) -> Result<(), NoFile> {
    if let Some(other) = keys::folders(key).find(|folder| index.contains_key(*folder)) {
        return Err(NoFile(format!(
            "{other:?} is an object, so {key:?} cannot lie in it"
        )));
    }
    let inside = format!("{key}/");
    match index.range(inside.clone()..).next() {
        Some((other, _)) if other.starts_with(&inside) => Err(NoFile(format!(
            "{key:?} is the folder that {other:?} lies in, so it cannot be an object"
        ))),
        _ => Ok(()),
    }
}

/// Removes the folders above a deleted file that it leaves empty, up to its bucket's.
fn remove_empty_folders(file: &Path, top: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != top) {
        if fs::remove_dir(folder).is_err() {
            // Not empty: another object lies there.
            return;
        }
    }
}

/// Collects the keys of all files in a folder. What is no plain file, or has no UTF-8 name, is
/// no object.
fn walk(folder: &Path, prefix: &str, index: &mut Index) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), index)?;
        } else if kind.is_file() {
            index.insert(format!("{prefix}{name}"), None);
        }
    }
    Ok(())
}

//! The vault of customers' access keys in files.
//!
//! ```text
//! <folder>/<64 digits>.json   the keys of one destination
//! ```
//!
//! The folder can be entered by its owner alone (0700), each file read by its owner alone (0600), and
//! is replaced whole. The name is the SHA-256 of organization and id, since neither need be fit for
//! a file's name; both stand in the file as well and are compared. A file that others may read is
//! not used: its keys have to be taken for known.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealift_core::destination::Destination;
use sealift_core::id::{DestinationId, OrgId};
use sealift_core::ports::{Failure, StoreError};
use sealift_core::vault::{AccessKeys, Vault};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::private;

/// A [`Vault`] in a folder. Clones are one vault; two processes must not share a folder.
#[derive(Debug, Clone)]
pub struct FileVault {
    folder: PathBuf,
    writing: Arc<Mutex<()>>,
}

/// What stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    organization: OrgId,
    destination: DestinationId,
    keys: AccessKeys,
}

impl FileVault {
    /// The vault in the folder, which is made if it is missing, and closed to others if it is not.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        #[cfg(unix)]
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(Self {
            folder,
            writing: Arc::default(),
        })
    }

    /// Where the keys of a destination lie.
    pub fn file(&self, destination: &Destination) -> PathBuf {
        // No `/` stands in an id, so two pairs never give the same text.
        let name = format!("{}/{}", destination.organization, destination.id);
        let digest = Sha256::digest(name);
        let digits = digest.iter().fold(String::new(), |mut digits, byte| {
            // Writing to a String cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        self.folder.join(format!("{digits}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure of the file system: its own words hold a path at the most.
fn failure(operation: &str, file: &Path, code: &str, message: &str) -> Failure {
    Failure {
        operation: operation.to_owned(),
        target: file.display().to_string(),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
    }
}

fn broken(operation: &str, file: &Path, error: &io::Error) -> StoreError {
    let failure = failure(operation, file, "", &error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied(failure),
        _ => StoreError::Transient(failure),
    }
}

/// The permissions of everybody but the owner.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Whether nobody but its owner may read it.
fn is_private(meta: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & OTHERS == 0;
    #[cfg(not(unix))]
    return meta.is_file();
}

impl Vault for FileVault {
    async fn get(&self, destination: &Destination) -> Result<AccessKeys, StoreError> {
        let file = self.file(destination);
        let operation = "ReadKeys";
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = "no access keys are stored for the destination";
                return Err(StoreError::Denied(failure(
                    operation,
                    &file,
                    "ParameterNotFound",
                    message,
                )));
            }
            Err(error) => return Err(broken(operation, &file, &error)),
        };
        let refuse = |message| Err(StoreError::Invalid(failure(operation, &file, "", message)));
        let meta = fs::metadata(&file).map_err(|error| broken(operation, &file, &error))?;
        if !is_private(&meta) {
            return refuse(
                "others may read the file: give the destination new access keys, and take away the old ones",
            );
        }
        // The parser's own words are left out: they may quote what stands there.
        match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept)
                if kept.organization == destination.organization
                    && kept.destination == destination.id =>
            {
                Ok(kept.keys)
            }
            Ok(_) => refuse("the file holds another destination's access keys"),
            Err(_) => refuse("the file holds no access keys"),
        }
    }

    async fn put(&self, destination: &Destination, keys: &AccessKeys) -> Result<(), StoreError> {
        let file = self.file(destination);
        let kept = Kept {
            organization: destination.organization.clone(),
            destination: destination.id.clone(),
            keys: keys.clone(),
        };
        let bytes = serde_json::to_vec(&kept).map_err(|_| {
            let message = "the access keys cannot be written as JSON";
            StoreError::Invalid(failure("WriteKeys", &file, "", message))
        })?;
        let _writing = self.lock();
        private::write(&file, &bytes).map_err(|error| broken("WriteKeys", &file, &error))
    }

    async fn delete(&self, destination: &Destination) -> Result<(), StoreError> {
        let file = self.file(destination);
        let _writing = self.lock();
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(broken("DeleteKeys", &file, &error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_testkit::vault::conformance::{self, destination};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn keys() -> AccessKeys {
        AccessKeys::parse("AKIDEXAMPLE", "secret-3f").unwrap()
    }

    #[tokio::test]
    async fn it_conforms() {
        let (data, count) = (tempfile::tempdir().unwrap(), AtomicU32::new(0));
        conformance::run(async || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            FileVault::open(data.path().join(number.to_string())).unwrap()
        })
        .await;
    }

    #[tokio::test]
    async fn nobody_but_the_owner_may_read_what_is_written_or_look_into_the_folder() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("vault");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let vault = FileVault::open(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        let main = destination("acme", "main");
        // What a crash left with other permissions must not lend them to the keys.
        let draft = vault.file(&main).with_extension("json.new");
        fs::write(&draft, "").unwrap();
        fs::set_permissions(&draft, PermissionsExt::from_mode(0o644)).unwrap();
        vault.put(&main, &keys()).await.unwrap();
        assert_eq!(mode(&vault.file(&main)), 0o600);
        let files: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(files.len(), 1, "no draft is left");
        assert!(!format!("{files:?}").contains("acme"));
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_or_that_is_anothers_is_not_used_and_not_shown() {
        let data = tempfile::tempdir().unwrap();
        let vault = FileVault::open(data.path().join("vault")).unwrap();
        let (main, other) = (destination("acme", "main"), destination("other", "main"));
        vault.put(&main, &keys()).await.unwrap();
        let file = vault.file(&main);
        fs::copy(&file, vault.file(&other)).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        for (destination, words) in [
            (&main, "others may read"),
            (&other, "another destination's"),
        ] {
            let error = vault.get(destination).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Invalid(f) if f.message.contains(words)),
                "{error:?}"
            );
            assert!(!format!("{error:?} {error}").contains("secret-3f"));
        }
        fs::write(&file, b"{\"keys\": \"secret-3f\"}").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let error = vault.get(&main).await.unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret-3f"));
    }

    #[tokio::test]
    async fn another_process_on_the_folder_finds_what_was_stored() {
        let data = tempfile::tempdir().unwrap();
        let main = destination("acme", "main");
        let first = FileVault::open(data.path()).unwrap();
        first.put(&main, &keys()).await.unwrap();
        drop(first);
        let second = FileVault::open(data.path()).unwrap();
        assert_eq!(second.get(&main).await, Ok(keys()));
    }
}

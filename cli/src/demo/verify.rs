//! Reads the tenants' buckets as a tenant would, file by file, and compares with the input.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use sealift_core::id::{KeyPrefix, ObjectKey, OrgId};
use sealift_core::partition::DeliveredName;
use sha2::{Digest as _, Sha256};

use super::Fed;
use super::tenants::{PREFIX, Tenant};

/// The first 16 bytes of a line's SHA-256.
pub(crate) type Digest = [u8; 16];

/// The digest of a line.
pub(crate) fn digest(line: &str) -> Digest {
    let hash = Sha256::digest(line);
    hash.first_chunk().copied().unwrap_or_default()
}

/// What the input holds.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Lines, without empty ones.
    pub(crate) lines: u64,
    /// Bytes of the usable lines, each with its line break.
    pub(crate) bytes: u64,
    /// Lines that stand in the input before, to the letter.
    pub(crate) repeated: u64,
    /// How many lines cannot be used, by the reason.
    pub(crate) unusable: BTreeMap<String, u64>,
    /// The hour of each distinct line, by organization.
    pub(crate) by_organization: BTreeMap<OrgId, HashMap<Digest, String>>,
}

/// What was found in the buckets.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// Lines.
    pub(crate) events: u64,
    /// Bytes of the objects.
    pub(crate) bytes: u64,
    /// Bytes of the lines, each with its line break.
    pub(crate) raw_bytes: u64,
    /// The objects, each with its lines' digests.
    pub(crate) objects: Vec<Found>,
    /// The tenants' lines that nobody has sent, or that lie where they do not belong.
    pub(crate) wrong: Vec<String>,
}

/// An object of a tenant's bucket.
#[derive(Debug)]
pub(crate) struct Found {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key.
    pub(crate) key: String,
    /// The file that it is.
    pub(crate) file: PathBuf,
    /// Its lines.
    pub(crate) lines: Vec<Digest>,
}

/// Reads all objects of all tenants.
pub(crate) fn read_back(
    data: &Path,
    tenants: &[Tenant],
    expected: &Expected,
) -> anyhow::Result<Delivered> {
    let mut delivered = Delivered::default();
    let prefix = KeyPrefix::parse(PREFIX)?;
    for tenant in tenants {
        let root = data.join("s3").join(tenant.bucket.as_str());
        let own = expected.by_organization.get(&tenant.organization);
        let mut seen = std::collections::HashSet::new();
        for file in files(&root)? {
            let key = file.strip_prefix(&root)?.to_string_lossy().into_owned();
            let name = DeliveredName::parse(&ObjectKey::parse(key.as_str())?, &prefix)?;
            let mut text = String::new();
            let read = MultiGzDecoder::new(File::open(&file)?).read_to_string(&mut text);
            read.with_context(|| format!("{} cannot be read", file.display()))?;
            let mut lines = Vec::new();
            for line in text.lines() {
                let digest = digest(line);
                let hour = own.and_then(|own| own.get(&digest));
                let wrong = match hour {
                    None => Some("was never sent by this tenant"),
                    Some(hour) if *hour != name.hour.to_string() => {
                        Some("lies in another hour's folder")
                    }
                    Some(_) if !seen.insert(digest) => Some("was delivered before"),
                    Some(_) => None,
                };
                if let Some(wrong) = wrong {
                    delivered
                        .wrong
                        .push(format!("a line of s3://{}/{key} {wrong}", tenant.bucket));
                }
                lines.push(digest);
            }
            delivered.events += lines.len() as u64;
            delivered.bytes += file.metadata()?.len();
            delivered.raw_bytes += text.len() as u64;
            delivered.objects.push(Found {
                bucket: tenant.bucket.to_string(),
                key,
                file,
                lines,
            });
        }
    }
    Ok(delivered)
}

/// Fails, with what is wrong, if the tenants do not have just what was sent.
pub(crate) fn compare(expected: &Expected, fed: &Fed, delivered: &Delivered) -> anyhow::Result<()> {
    if let Some(first) = delivered.wrong.first() {
        bail!(
            "{} lines are wrong; the first: {first}",
            delivered.wrong.len()
        );
    }
    let distinct: usize = expected.by_organization.values().map(HashMap::len).sum();
    if delivered.events != distinct as u64 {
        bail!(
            "{distinct} distinct events were sent, {} arrived, and the bus refused {}",
            delivered.events,
            fed.refused
        );
    }
    Ok(())
}

/// All files below a folder, sorted.
pub(crate) fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

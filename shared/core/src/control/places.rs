//! Who writes where: no two destinations may have overlapping prefixes of one bucket.
//!
//! `destinations/places/<32 digits>.json` in the state bucket, one for each bucket, holds the
//! prefixes that destinations of all organizations hold there. A prefix is claimed before a
//! destination gets it and released after it has let go of it, so a move holds both for a
//! moment. A refusal does not tell whose the other one is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::destination::Location;
use crate::document::{Document, DocumentError, Place};
use crate::id::{DestinationId, KeyPrefix, ObjectKey};
use crate::ports::{Entropy, ObjectStore};

/// The prefixes that are held in one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The bucket, as its name and its service's host.
    pub bucket: String,
    /// By destination.
    pub held: BTreeMap<DestinationId, BTreeSet<KeyPrefix>>,
}

impl Document for Places {
    const FORMAT: &'static str = "sealift.destination-places/1";
}

/// The bucket of a location, however its endpoint is written. An address of AWS's own is AWS.
pub(super) fn bucket_of(location: &Location) -> String {
    let host = location.endpoint.as_ref().map(|endpoint| {
        let host = endpoint.as_str().trim_start_matches("https://");
        let host = host.trim_end_matches('/').to_ascii_lowercase();
        let host = host.strip_suffix(":443").unwrap_or(&host);
        host.trim_end_matches('.').to_owned()
    });
    let of_aws =
        |host: &String| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
    match host.filter(|host| !of_aws(host)) {
        Some(host) => format!("{host}/{}", location.bucket),
        None => location.bucket.to_string(),
    }
}

/// Whether one of the two is a folder within the other, or the same. What Sealift writes beside the
/// hours (`_replays/`, `_gaps/`) lies below the prefix too.
pub(super) fn overlap(one: &KeyPrefix, other: &KeyPrefix) -> bool {
    one.as_str().starts_with(other.as_str()) || other.as_str().starts_with(one.as_str())
}

fn place(bucket: &str) -> Place<Places> {
    let digest = Sha256::digest(bucket);
    let name = digest
        .first_chunk::<16>()
        .map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let key = format!("destinations/places/{name:032x}.json");
    Place::new(ObjectKey::of_known_form(key))
}

/// Claims the location for the destination; `false` if another holds what overlaps with it.
pub(super) async fn claim(
    store: &impl ObjectStore,
    entropy: &impl Entropy,
    id: &DestinationId,
    location: &Location,
) -> Result<bool, DocumentError> {
    let bucket = bucket_of(location);
    let mut free = true;
    place(&bucket)
        .update(store, entropy, |there| {
            let mut places = there.cloned().unwrap_or_default();
            let mut others = places.held.iter().filter(|(other, _)| *other != id);
            free = !others.any(|(_, held)| held.iter().any(|p| overlap(p, &location.prefix)));
            if !free {
                return None;
            }
            places.bucket.clone_from(&bucket);
            let own = places.held.entry(id.clone()).or_default();
            own.insert(location.prefix.clone()).then_some(places)
        })
        .await?;
    Ok(free)
}

/// Lets go of the location, unless it is the one that is kept.
pub(super) async fn release(
    store: &impl ObjectStore,
    entropy: &impl Entropy,
    id: &DestinationId,
    location: &Location,
    kept: Option<&Location>,
) -> Result<(), DocumentError> {
    let bucket = bucket_of(location);
    if kept.is_some_and(|kept| kept.prefix == location.prefix && bucket_of(kept) == bucket) {
        return Ok(());
    }
    place(&bucket)
        .update(store, entropy, |there| {
            let mut places = there?.clone();
            let own = places.held.get_mut(id)?;
            if !own.remove(&location.prefix) {
                return None;
            }
            places.held.retain(|_, held| !held.is_empty());
            Some(places)
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(endpoint: Option<&str>, bucket: &str) -> Location {
        let location = serde_json::json!({
            "endpoint": endpoint, "region": "eu-west-1", "bucket": bucket, "prefix": "a/",
        });
        serde_json::from_value(location).unwrap()
    }

    #[test]
    fn a_bucket_is_the_same_however_its_endpoint_is_written() {
        let minio = bucket_of(&location(Some("https://minio.example.com"), "audit"));
        for same in [
            "https://minio.example.com/",
            "https://MinIO.example.com:443",
            "https://minio.example.com.",
        ] {
            assert_eq!(bucket_of(&location(Some(same), "audit")), minio, "{same}");
        }
        let other = bucket_of(&location(Some("https://minio.example.com:9000"), "audit"));
        assert_ne!(other, minio);
        assert_ne!(bucket_of(&location(None, "audit")), minio);
        let aws = location(Some("https://s3.eu-west-1.amazonaws.com"), "audit");
        assert_eq!(bucket_of(&aws), bucket_of(&location(None, "audit")));
    }

    #[test]
    fn prefixes_overlap_by_folders_and_not_by_letters() {
        let prefix = |text: &str| KeyPrefix::parse(text).unwrap();
        for (one, other, overlaps) in [
            ("audit/", "audit/", true),
            ("audit/", "audit/acme/", true),
            ("", "audit/", true),
            ("audit/", "audit/_replays/", true),
            ("audit/", "audit-2/", false),
            ("a/audit/", "audit/", false),
        ] {
            assert_eq!(
                overlap(&prefix(one), &prefix(other)),
                overlaps,
                "{one} {other}"
            );
            assert_eq!(
                overlap(&prefix(other), &prefix(one)),
                overlaps,
                "{other} {one}"
            );
        }
    }
}

//! The object that a check writes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::id::{KeyPrefix, ObjectKey};

/// The name of the object below the prefix. It begins with `_`, so that Athena and Spark pass it
/// over, and lies in no `date=…` folder.
pub const CANARY: &str = "_sealift-check.gz";

const TEXT: &[u8] =
    b"Sealift can write here. This object is overwritten by every check; it may be deleted.\n";

/// The key of the object that a check writes: always the same one of a destination.
///
/// ```
/// use sealift_core::check::canary_key;
/// use sealift_core::id::KeyPrefix;
/// let prefix = KeyPrefix::parse("audit-events/").unwrap();
/// assert_eq!(canary_key(&prefix).as_str(), "audit-events/_sealift-check.gz");
/// ```
pub fn canary_key(prefix: &KeyPrefix) -> ObjectKey {
    ObjectKey::of_known_form(format!("{prefix}{CANARY}"))
}

/// The object: one line of text, since a delivery's `Content-Type` says gzip. It is not
/// compressed, so that no compressor can ever change its bytes.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc1951#section-3.2.4>
pub(super) fn canary() -> (Bytes, [u8; 32]) {
    let length = u16::try_from(TEXT.len()).unwrap_or_default();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    // The last block, stored.
    bytes.push(1);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(!length).to_le_bytes());
    bytes.extend_from_slice(TEXT);
    bytes.extend_from_slice(&crc32fast::hash(TEXT).to_le_bytes());
    bytes.extend_from_slice(&u32::from(length).to_le_bytes());
    let digest = Sha256::digest(&bytes).into();
    (Bytes::from(bytes), digest)
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::hex;
    use super::*;
    use std::io::Read;

    #[test]
    fn it_is_gzip_and_always_the_same() {
        let (bytes, digest) = canary();
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
        decoder.read_to_end(&mut text).unwrap();
        assert_eq!(text, TEXT);
        assert_eq!(Sha256::digest(&bytes).as_slice(), digest);
        insta::assert_snapshot!(hex(&digest), @"f5091903c093882577ebf98b02752568bc5e562aea2fd5ce3fdcbe82ff0572a9");
    }

    #[test]
    fn its_key_fits_below_the_longest_prefix_and_is_no_delivery() {
        let prefix = KeyPrefix::normalize(&"p".repeat(511)).unwrap();
        let key = canary_key(&prefix);
        assert_eq!(ObjectKey::parse(key.as_str()), Ok(key));
        assert!(!CANARY.ends_with(".jsonl.gz") && CANARY.starts_with('_'));
        let root = KeyPrefix::parse("").unwrap();
        assert_eq!(canary_key(&root).as_str(), CANARY);
    }
}

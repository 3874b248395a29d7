//! Whether a check is still about the connection that a destination has.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::destination::{
    Credentials, Destination, Endpoint, KmsKeyArn, Location, Storage, StorageClass,
};
use crate::id::AccountId;

/// A hash over what a check depends on: the location, the kind of the credentials, role,
/// ExternalId and bucket's owner, KMS key and storage class. 64 hexadecimal digits.
///
/// Access keys are not in it, since they are not in the destination; nor is
/// [`checksum`](Storage::checksum), which the check itself finds out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a destination's connection.
    pub fn of(destination: &Destination) -> Self {
        let Location {
            endpoint,
            region,
            bucket,
            prefix,
            path_style,
        } = &destination.location;
        let Storage {
            kms_key_arn,
            storage_class,
            checksum: _,
        } = &destination.storage;
        let (kind, role, external_id, owner) = match &destination.credentials {
            Credentials::IamRole {
                role_arn,
                external_id,
                bucket_owner,
            } => {
                let external_id = hex(&Sha256::digest(external_id.as_str()));
                let owner = bucket_owner.as_ref().map(AccountId::as_str);
                (
                    "iam_role",
                    Some(role_arn.as_str()),
                    Some(external_id),
                    owner,
                )
            }
            Credentials::AccessKeys => ("access_keys", None, None, None),
        };
        let mut hash = Sha256::new();
        for field in [
            endpoint.as_ref().map(Endpoint::as_str),
            Some(region.as_str()),
            Some(bucket.as_str()),
            Some(prefix.as_str()),
            path_style.then_some("path_style"),
            Some(kind),
            role,
            external_id.as_deref(),
            owner,
            kms_key_arn.as_ref().map(KmsKeyArn::as_str),
            storage_class.as_ref().map(StorageClass::as_str),
        ] {
            // With its length before it, no field can be taken for a part of another.
            hash.update([u8::from(field.is_some())]);
            let text = field.unwrap_or_default();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Self(hex(&hash.finalize()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "id": "main", "organization": "acme", "status": "paused",
            "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "acme-audit", "prefix": "audit/"},
            "credentials": {
                "type": "iam_role",
                "role_arn": "arn:aws:iam::222222222222:role/acme-audit",
                "external_id": "0123456789abcdef",
            },
            "storage": {},
        })
    }

    fn of(document: &Value) -> Fingerprint {
        let destination: Destination = serde_json::from_value(document.clone()).unwrap();
        Fingerprint::of(&destination)
    }

    #[test]
    fn every_field_of_the_connection_changes_it() {
        let before = of(&document());
        let key = "arn:aws:kms:eu-central-1:222222222222:key/1";
        let mut seen = vec![before.clone()];
        for (pointer, value) in [
            ("/location/region", json!("eu-west-1")),
            ("/location/bucket", json!("acme-audit-2")),
            ("/location/prefix", json!("")),
            ("/location/path_style", json!(true)),
            (
                "/credentials/role_arn",
                json!("arn:aws:iam::222222222222:role/other"),
            ),
            ("/credentials/external_id", json!("0123456789abcdee")),
            ("/credentials/bucket_owner", json!("333333333333")),
            ("/credentials", json!({"type": "access_keys"})),
            ("/storage/kms_key_arn", json!(key)),
            ("/storage/storage_class", json!("STANDARD_IA")),
        ] {
            let mut changed = document();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[field] = value;
            let fingerprint = of(&changed);
            assert!(!seen.contains(&fingerprint), "{pointer}");
            seen.push(fingerprint);
        }
        let mut elsewhere = document();
        elsewhere["credentials"] = json!({"type": "access_keys"});
        let at_aws = of(&elsewhere);
        elsewhere["location"]["endpoint"] = json!("https://minio.example.com");
        assert_ne!(of(&elsewhere), at_aws);
        assert!(before.as_str().len() == 64 && !before.as_str().contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_no_matter_of_the_connection_does_not() {
        let before = of(&document());
        for (pointer, value) in [
            ("/status", json!("streaming")),
            ("/start_ms", json!(7)),
            ("/include", json!(["project.created"])),
            ("/storage/checksum", json!(false)),
        ] {
            let mut changed = document();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[field] = value;
            assert_eq!(of(&changed), before, "{pointer}");
        }
    }
}

//! Destinations: where a tenant wants its audit events, and how to get in there.
//!
//! A destination is configuration only. Where its delivery stands is the business of the
//! cursors in [`delivery`](crate::delivery). The documents that hold destinations are
//! described in `docs/formats.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::{Document, Place};
use crate::external_id::ExternalId;
use crate::id::{
    AccountId, BucketName, DestinationId, InvalidId, KeyPrefix, ObjectKey, OrgId, ReplayId, RoleArn,
};
use crate::selection::Selection;

/// One tenant's destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name within the stack.
    pub id: DestinationId,
    /// The organization whose events it receives, and no other's.
    pub organization: OrgId,
    /// Whether events flow.
    pub status: Status,
    /// Set while Sealift itself has it paused, whatever the status says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// When it was created, in milliseconds since 1970. It never changes: cursors belong to
    /// one creation, so that a destination that is removed and created again starts anew.
    /// Some have none, and keep none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// The moment of its first start, in milliseconds since 1970: segments that were appended
    /// from then on are delivered, or from the oldest that is kept, if that is later. Nothing
    /// is kept for one that was never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<i64>,
    /// The place that objects are written to.
    pub location: Location,
    /// How to get in.
    pub credentials: Credentials,
    /// The events that it wants; all, unless it names some.
    #[serde(default)]
    pub include: Selection,
    /// Facts about how objects are stored.
    #[serde(default)]
    pub storage: Storage,
    /// Its replays that are not over, as far as is known. Delivery looks here for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<ReplayId>,
}

/// Whether events flow to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// They flow.
    Streaming,
    /// The cursor stands; events wait in the log for as long as the log keeps them.
    Paused,
}

/// A pause that Sealift itself decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Why.
    pub reason: HeldReason,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// Why Sealift itself paused a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// Others than Sealift, or others than this organization, could get into its bucket.
    Unsafe,
}

/// The place that a destination's objects are written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// An S3-compatible service that is not AWS; AWS itself if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The bucket's region: `eu-central-1`.
    pub region: Region,
    /// The bucket.
    pub bucket: BucketName,
    /// The folder that all keys begin with.
    pub prefix: KeyPrefix,
    /// `https://host/bucket/key` in place of `https://bucket.host/key`.
    #[serde(default)]
    pub path_style: bool,
}

/// How Sealift gets into a destination's bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// A role of the tenant's, which the principal role assumes. Only towards AWS.
    IamRole {
        /// The tenant's role.
        role_arn: RoleArn,
        /// The ExternalId that its trust policy asks for.
        external_id: ExternalId,
        /// The account that the bucket must belong to; the role's own if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bucket_owner: Option<AccountId>,
    },
    /// A pair of access keys, kept in the vault under the destination's name.
    AccessKeys,
}

/// How objects are stored at a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The customer's KMS key, as an ARN, for objects to be encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<KmsKeyArn>,
    /// An S3 storage class: `STANDARD_IA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
    /// Whether the endpoint verifies a SHA-256 that is sent along
    /// (`x-amz-checksum-sha256`). AWS does; of others it is not assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
}

impl Destination {
    /// Whether events flow to it: it was started, and is not paused by anybody.
    pub fn flows(&self) -> bool {
        self.status == Status::Streaming && self.start_ms.is_some() && self.held.is_none()
    }

    /// Whether it is the one that something was noted of: of the same organization, and not
    /// created again since.
    pub fn is_of(&self, organization: &OrgId, created_ms: Option<i64>) -> bool {
        self.organization == *organization && self.created_ms == created_ms
    }

    /// Whether a SHA-256 goes along with each object, for the endpoint to verify.
    pub fn sends_checksum(&self) -> bool {
        self.storage
            .checksum
            .unwrap_or(self.location.endpoint.is_none())
    }

    /// Refuses combinations that cannot work, naming the field.
    pub fn validate(&self) -> Result<(), InvalidId> {
        let refuse = |value: &str, reason| Err(InvalidId::new("destination", value, reason));
        if let (Credentials::IamRole { .. }, Some(endpoint)) =
            (&self.credentials, &self.location.endpoint)
        {
            return refuse(
                endpoint.as_str(),
                "`location.endpoint` must be left out with `iam_role`: roles work on AWS only; use `access_keys`",
            );
        }
        Ok(())
    }
}

/// The destinations of a shard: one document, so that delivery reads all of them with one
/// request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<DestinationId, Destination>")]
pub struct DestinationSet(pub BTreeMap<DestinationId, Destination>);

impl TryFrom<BTreeMap<DestinationId, Destination>> for DestinationSet {
    type Error = InvalidId;

    fn try_from(destinations: BTreeMap<DestinationId, Destination>) -> Result<Self, InvalidId> {
        for (id, destination) in &destinations {
            if *id != destination.id {
                let reason = "its `id` must be the name that it stands under";
                return Err(InvalidId::new("destination", id.as_str(), reason));
            }
            destination.validate()?;
        }
        Ok(Self(destinations))
    }
}

impl Document for DestinationSet {
    const FORMAT: &'static str = "sealift.destinations/1";
}

impl DestinationSet {
    /// Where the set of a shard lies in the state bucket: `destinations/<4 digits>.json`.
    pub fn place(shard: u16) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!(
            "destinations/{shard:04}.json"
        )))
    }
}

/// The shard that an organization's destinations belong to: the first 8 bytes of the SHA-256 of
/// its id, little-endian, modulo the number of shards.
pub fn shard_of(organization: &OrgId, shards: u16) -> u16 {
    let hash = Sha256::digest(organization.as_str());
    let number = hash
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    u16::try_from(number % u64::from(shards.max(1))).unwrap_or(0)
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text; [`InvalidId`] names the broken rule.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(&text).map_err(|reason| InvalidId::new($kind, &text, reason))?;
                Ok(Self(text))
            }

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

text_type! {
    /// An AWS region, or what an S3-compatible service calls one: 1 to 64 lower-case letters,
    /// digits and `-`.
    Region, "region", |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err("it must be 1 to 64 lower-case letters, digits and `-`, such as `us-east-1`")
        }
    }
}

text_type! {
    /// The address of an S3-compatible service: `https://host[:port]`, without user, path,
    /// query or fragment. What the host resolves to is checked where the connection is made.
    Endpoint, "endpoint", |text| {
        let Some(authority) = text.strip_prefix("https://") else {
            return Err("it must begin with `https://`");
        };
        if authority.contains('@') {
            return Err("no user name or password may stand in it");
        }
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".:-[]".contains(&b);
        if authority.is_empty() || authority.len() > 255 || !authority.bytes().all(allowed) {
            return Err("it must be `https://` and a host with an optional port, and nothing after it");
        }
        Ok(())
    }
}

text_type! {
    /// The ARN of a KMS key: `arn:aws:kms:<region>:<account>:key/<id>`.
    KmsKeyArn, "KMS key ARN", |text| {
        let mut parts = text.splitn(6, ':');
        let form = matches!(
            (parts.next(), parts.next(), parts.next()),
            (Some("arn"), Some("aws" | "aws-cn" | "aws-us-gov"), Some("kms"))
        );
        let resource_ok = text.rsplit(':').next().and_then(|r| r.strip_prefix("key/")).is_some_and(|id| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
        if form && resource_ok && text.split(':').count() == 6 {
            Ok(())
        } else {
            Err("it must have the form arn:aws:kms:<region>:<account>:key/<id> (an alias is not enough)")
        }
    }
}

text_type! {
    /// A storage class that S3 takes for a new object.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    StorageClass, "storage class", |text| match text {
        "STANDARD" | "STANDARD_IA" | "ONEZONE_IA" | "INTELLIGENT_TIERING" | "GLACIER_IR"
        | "GLACIER" | "DEEP_ARCHIVE" => Ok(()),
        _ => Err("it must be STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_and_a_host_and_nothing_else() {
        for bad in [
            "http://minio.example.com",
            "https://",
            "https://u:p@minio.example.com",
            "https://minio.example.com/path",
            "https://minio.example.com?x",
            "ftp://x",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("https://storage.googleapis.com").is_ok());
        assert!(Endpoint::parse("https://minio.example.com:9000/").is_ok());
    }

    #[test]
    fn a_destination_of_before_reads_and_flows_and_one_that_was_never_started_does_not() {
        let before = serde_json::json!({
            "id": "main", "organization": "acme", "status": "streaming", "start_ms": 0,
            "location": {"region": "eu-central-1", "bucket": "bucket", "prefix": ""},
            "credentials": {"type": "access_keys"},
        });
        let mut destination: Destination = serde_json::from_value(before).unwrap();
        assert!(destination.flows());
        let text = serde_json::to_string(&destination).unwrap();
        for field in ["held", "created_ms", "replays"] {
            assert!(!text.contains(field), "{text}");
        }
        destination.held = Some(Held {
            reason: HeldReason::Unsafe,
            since_ms: 7,
        });
        assert!(!destination.flows());
        let text = serde_json::to_string(&destination).unwrap();
        assert!(text.contains(r#""held":{"reason":"unsafe","since_ms":7}"#));
        (destination.held, destination.start_ms) = (None, None);
        assert!(!destination.flows());
    }

    #[test]
    fn a_key_arn_is_no_alias() {
        assert!(KmsKeyArn::parse("arn:aws:kms:eu-west-1:123456789012:key/0a-1b").is_ok());
        assert!(KmsKeyArn::parse("arn:aws:kms:eu-west-1:123456789012:alias/mine").is_err());
    }
}

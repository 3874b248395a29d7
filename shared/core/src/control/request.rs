//! What comes in: the bodies of requests, and the one place where they become a destination.
//!
//! Fields are plain texts here, and are parsed one by one, so that a refusal names the field and
//! says what to write instead. No field that Sealift decides can be set: `external_id` is known only
//! to be refused with its reason.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::ControlError;
use crate::Timestamp;
use crate::destination::{
    Credentials, Destination, Endpoint, KmsKeyArn, Location, Region, Storage, StorageClass,
};
use crate::external_id::ExternalId;
use crate::id::{AccountId, BucketName, InvalidId, KeyPrefix, RoleArn};
use crate::selection::Selection;
use crate::vault::AccessKeys;

/// The folder that objects go to unless another is asked for.
pub const DEFAULT_PREFIX: &str = "audit-events/";

/// The longest prefix, in bytes: what Sealift writes below it has to fit as well.
const LONGEST_PREFIX: usize = 400;

/// The most terms that a selection may have: it stands in a document that each flush reads.
const MOST_TERMS: usize = 100;

/// A field that is known only to be refused.
type Refused = Option<serde_json::Value>;

/// The body that creates a destination.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDestination {
    /// Its name; one is drawn if none is given.
    #[serde(default)]
    pub id: Option<String>,
    /// An S3-compatible service that is not AWS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// The folder; [`DEFAULT_PREFIX`] if none is given.
    #[serde(default)]
    pub prefix: Option<String>,
    /// `https://host/bucket/key` in place of `https://bucket.host/key`.
    #[serde(default)]
    pub path_style: Option<bool>,
    /// How to get in.
    pub authentication: Authentication,
    /// The events that it wants; all, if none are given.
    #[serde(default)]
    pub included_events: Option<Vec<String>>,
    /// The customer's KMS key.
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// A storage class of S3's.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Whether the endpoint verifies a SHA-256 that is sent along.
    #[serde(default)]
    pub checksum: Option<bool>,
    /// Refused: Sealift draws it.
    #[serde(default)]
    pub external_id: Refused,
}

/// How to get in, as it is asked for.
#[derive(Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Authentication {
    /// A role of the customer's; towards AWS only.
    IamRole {
        /// Its ARN.
        role_arn: String,
        /// The account that the bucket must belong to; the role's own if not given.
        #[serde(default)]
        bucket_owner: Option<String>,
        /// Refused: Sealift draws it.
        #[serde(default)]
        external_id: Refused,
    },
    /// A pair of access keys. They go to the vault and never come out here.
    AccessKeys {
        /// The name of the key.
        #[serde(default, deserialize_with = "secret")]
        access_key_id: Option<String>,
        /// The secret.
        #[serde(default, deserialize_with = "secret")]
        secret_access_key: Option<String>,
    },
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IamRole { role_arn, .. } => write!(f, "IamRole({role_arn:?})"),
            Self::AccessKeys { .. } => f.write_str("AccessKeys(REDACTED)"),
        }
    }
}

/// The body that changes a destination. What is absent stays as it is; `null` takes away what may
/// be missing; `authentication` and `included_events` are replaced whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DestinationUpdate {
    /// Another service, or AWS with `null`.
    #[serde(deserialize_with = "given")]
    pub endpoint: Option<Option<String>>,
    /// Another bucket.
    pub bucket: Option<String>,
    /// Another region.
    pub region: Option<String>,
    /// Another folder.
    pub prefix: Option<String>,
    /// Another way of addressing.
    pub path_style: Option<bool>,
    /// Another way in, or other access keys.
    pub authentication: Option<Authentication>,
    /// Other events.
    pub included_events: Option<Vec<String>>,
    /// Another key, or none with `null`.
    #[serde(deserialize_with = "given")]
    pub kms_key_arn: Option<Option<String>>,
    /// Another class, or the bucket's own with `null`.
    #[serde(deserialize_with = "given")]
    pub storage_class: Option<Option<String>>,
    /// What the endpoint verifies, or what the check finds out with `null`.
    #[serde(deserialize_with = "given")]
    pub checksum: Option<Option<bool>>,
    /// Refused: it is kept for the destination's life.
    pub external_id: Refused,
}

/// Tells a field that is `null` from one that is absent.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// A text that no error quotes, as serde's own of a wrong type do.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        _ => Err(D::Error::custom("access keys must be texts")),
    }
}

/// The body that starts a destination.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartRequest {
    /// From when on events are delivered, at the first start alone: a time within the last 30
    /// days, or now.
    pub start_at: Option<String>,
    /// Whether an operator starts it without a healthy check.
    pub override_check: bool,
    /// Why, for the audit entry.
    pub reason: Option<String>,
}

/// The body that asks for a replay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The first moment.
    pub from: String,
    /// The moment after the last.
    pub to: String,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageRequest {
    /// At most so many: 1 to 100, and 25 if not given.
    pub limit: Option<u32>,
    /// Those after this id, in the ids' order.
    pub starting_after: Option<String>,
}

/// How to get in, as it was parsed.
pub(super) enum WayIn {
    Role {
        role_arn: RoleArn,
        bucket_owner: Option<AccountId>,
    },
    Keys(AccessKeys),
}

/// What a request asks of a destination's connection, as it was parsed.
pub(super) struct Asked {
    pub(super) location: Location,
    pub(super) way_in: WayIn,
    pub(super) include: Selection,
    pub(super) storage: Storage,
}

impl NewDestination {
    pub(super) fn parse(self) -> Result<Asked, ControlError> {
        refuse_external_id(self.external_id.as_ref())?;
        let prefix = self.prefix.as_deref().unwrap_or(DEFAULT_PREFIX);
        let dotted = self.endpoint.is_some() && self.bucket.contains('.');
        Ok(Asked {
            location: Location {
                endpoint: maybe("endpoint", self.endpoint, Endpoint::parse)?,
                region: field("region", Region::parse(self.region))?,
                bucket: field("bucket", BucketName::parse(self.bucket))?,
                prefix: prefix_of(prefix)?,
                // A bucket with a dot has no choice at an endpoint: see [`check_whole`].
                path_style: self.path_style.unwrap_or(dotted),
            },
            way_in: self.authentication.parse()?,
            include: selection(&self.included_events.unwrap_or_default())?,
            storage: Storage {
                kms_key_arn: maybe("kms_key_arn", self.kms_key_arn, KmsKeyArn::parse)?,
                storage_class: maybe("storage_class", self.storage_class, StorageClass::parse)?,
                checksum: self.checksum,
            },
        })
    }
}

impl DestinationUpdate {
    /// The destination as it is asked to be, and the keys that were given. The ExternalId is the
    /// destination's own, whatever it is entered by.
    pub(super) fn apply(
        &self,
        destination: &Destination,
        external_id: &ExternalId,
    ) -> Result<(Destination, Option<AccessKeys>), ControlError> {
        refuse_external_id(self.external_id.as_ref())?;
        let mut after = destination.clone();
        let location = &mut after.location;
        if let Some(endpoint) = &self.endpoint {
            location.endpoint = maybe("endpoint", endpoint.clone(), Endpoint::parse)?;
        }
        if let Some(bucket) = &self.bucket {
            location.bucket = field("bucket", BucketName::parse(bucket.clone()))?;
        }
        if let Some(region) = &self.region {
            location.region = field("region", Region::parse(region.clone()))?;
        }
        if let Some(prefix) = &self.prefix {
            location.prefix = prefix_of(prefix)?;
        }
        if let Some(path_style) = self.path_style {
            location.path_style = path_style;
        }
        if let Some(terms) = &self.included_events {
            after.include = selection(terms)?;
        }
        let storage = &mut after.storage;
        if let Some(key) = &self.kms_key_arn {
            storage.kms_key_arn = maybe("kms_key_arn", key.clone(), KmsKeyArn::parse)?;
        }
        if let Some(class) = &self.storage_class {
            storage.storage_class = maybe("storage_class", class.clone(), StorageClass::parse)?;
        }
        if let Some(checksum) = self.checksum {
            storage.checksum = checksum;
        }
        let mut keys = None;
        if let Some(authentication) = &self.authentication {
            let (credentials, given) = authentication.clone().parse()?.credentials(external_id);
            after.credentials = credentials;
            keys = given;
        }
        check_whole(&after)?;
        Ok((after, keys))
    }
}

impl Authentication {
    fn parse(self) -> Result<WayIn, ControlError> {
        match self {
            Self::IamRole {
                role_arn,
                bucket_owner,
                external_id,
            } => {
                refuse_external_id(external_id.as_ref())?;
                Ok(WayIn::Role {
                    role_arn: field("authentication.role_arn", RoleArn::parse(role_arn))?,
                    bucket_owner: maybe(
                        "authentication.bucket_owner",
                        bucket_owner,
                        AccountId::parse,
                    )?,
                })
            }
            Self::AccessKeys {
                access_key_id,
                secret_access_key,
            } => {
                let (Some(id), Some(secret)) = (access_key_id, secret_access_key) else {
                    return Err(ControlError::invalid(
                        "authentication",
                        "of the type `access_keys` needs `access_key_id` and `secret_access_key`, both; \
                         leave `authentication` out to keep the access keys that are stored",
                    ));
                };
                AccessKeys::parse(id, secret)
                    .map(WayIn::Keys)
                    .map_err(|error| ControlError::invalid(error.field, error.reason))
            }
        }
    }
}

impl WayIn {
    /// The role that a destination is entered by; none if it is by keys.
    pub(super) fn role_of(destination: &Destination) -> Option<Self> {
        match &destination.credentials {
            Credentials::IamRole {
                role_arn,
                bucket_owner,
                ..
            } => Some(Self::Role {
                role_arn: role_arn.clone(),
                bucket_owner: bucket_owner.clone(),
            }),
            Credentials::AccessKeys => None,
        }
    }

    /// What stands in the configuration, and what goes to the vault.
    pub(super) fn credentials(self, external_id: &ExternalId) -> (Credentials, Option<AccessKeys>) {
        match self {
            Self::Role {
                role_arn,
                bucket_owner,
            } => {
                let credentials = Credentials::IamRole {
                    role_arn,
                    external_id: external_id.clone(),
                    bucket_owner,
                };
                (credentials, None)
            }
            Self::Keys(keys) => (Credentials::AccessKeys, Some(keys)),
        }
    }
}

/// Refuses what cannot work together.
pub(super) fn check_whole(destination: &Destination) -> Result<(), ControlError> {
    let role = matches!(destination.credentials, Credentials::IamRole { .. });
    if role && destination.location.endpoint.is_some() {
        return Err(ControlError::invalid(
            "endpoint",
            "must be left out (or `null`) with `iam_role`: roles work on AWS only; use `access_keys`",
        ));
    }
    let Location {
        endpoint,
        bucket,
        path_style,
        ..
    } = &destination.location;
    if endpoint.is_some() && bucket.as_str().contains('.') && !path_style {
        return Err(ControlError::invalid(
            "path_style",
            "must be `true` for a bucket with a dot in its name: as a part of the endpoint's host the dot would \
             make another host of it, which no certificate of the endpoint's is for",
        ));
    }
    // Whatever else the destination's own rules find.
    field("authentication", destination.validate())
}

fn refuse_external_id(given: Option<&serde_json::Value>) -> Result<(), ControlError> {
    match given {
        None => Ok(()),
        Some(_) => Err(ControlError::invalid(
            "external_id",
            "cannot be chosen: Sealift draws it, because one who could choose it could name another \
             customer's and have events written into that customer's bucket. Leave it out, and put the \
             one of the response into the role's trust policy; it stays the same for the destination's life",
        )),
    }
}

fn prefix_of(text: &str) -> Result<KeyPrefix, ControlError> {
    let prefix = field("prefix", KeyPrefix::normalize(text))?;
    if prefix.as_str().len() > LONGEST_PREFIX {
        let reason = "may have at most 400 bytes, so that there is room for what comes below it";
        return Err(ControlError::invalid("prefix", reason));
    }
    Ok(prefix)
}

fn selection(terms: &[String]) -> Result<Selection, ControlError> {
    if terms.len() > MOST_TERMS {
        let reason = "may have at most 100 terms; a category or `resource.*` stands for many types";
        return Err(ControlError::invalid("included_events", reason));
    }
    let parsed = Selection::parse(terms.iter().map(String::as_str));
    parsed.map_err(|error| {
        // The error has the beginning of it.
        let is_it = |term: &String| term.chars().take(80).eq(error.value.chars());
        let place = terms.iter().position(is_it).unwrap_or_default() + 1;
        let reason = format!("term {place} cannot be used: {}", error.reason);
        ControlError::invalid("included_events", &reason)
    })
}

/// What was sent is not quoted: it may be a secret that was pasted into the wrong field.
pub(super) fn field<T>(
    name: &'static str,
    parsed: Result<T, InvalidId>,
) -> Result<T, ControlError> {
    parsed.map_err(|error| {
        let reason = format!("cannot be used: {}", error.reason);
        ControlError::invalid(name, &reason)
    })
}

fn maybe<T>(
    name: &'static str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, InvalidId>,
) -> Result<Option<T>, ControlError> {
    text.map(|text| field(name, parse(text))).transpose()
}

pub(super) fn time(name: &'static str, text: &str) -> Result<Timestamp, ControlError> {
    text.parse().map_err(|_| {
        let reason = "must be a time with a zone, such as 2025-11-21T08:00:00Z";
        ControlError::invalid(name, reason)
    })
}

//! The way into customers' buckets.

use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, SharedHttpClient};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use sealift_core::check::{Obstacle, Trouble};
use sealift_core::destination::{Credentials, Destination, Endpoint, KmsKeyArn, Location, Storage};
use sealift_core::id::{DestinationId, ObjectKey, OrgId, RoleArn};
use sealift_core::policy::permissions::SessionPolicyTooLong;
use sealift_core::policy::{Document, Partition, permissions};
use sealift_core::ports::{Clock, ObjectSink, Sinks, StoreError, content_type};
use sealift_core::reach::{Allowed, Reach, judge};

use crate::client;
use crate::config::http_client_with;
use crate::error::{Request, obstacle, spoils, store_error};
use crate::network::PermittedResolver;
use crate::roles::{Roles, SHORT_SESSION, Session, Wanted, session_name, session_policy};
use crate::vault::{AccessKeys, Vault};
use crate::ways::{self, Ways};

/// Where AWS is, when it is not where the SDK finds it: the operator's choice, and apart from
/// an endpoint that a customer gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsEndpoints {
    /// The URL of S3 for locations without an endpoint of their own.
    pub s3: Option<String>,
    /// The URL of STS.
    pub sts: Option<String>,
    /// `https://host/bucket/key` for all locations without an endpoint of their own.
    pub force_path_style: bool,
}

/// How the operator has set up the way into customers' accounts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The role that customers' trust policies name; the function's own credentials are the
    /// principal if there is none.
    pub principal: Option<RoleArn>,
    /// Where AWS is.
    pub endpoints: AwsEndpoints,
    /// Customer-given endpoints that may lie anywhere, this machine included: for tests.
    pub trusted_endpoints: Vec<Endpoint>,
    /// What the operator opens beside the public internet. Customer-given endpoints are connected to nowhere
    /// else.
    pub allowed: Allowed,
}

impl Options {
    /// Into customers' accounts through the principal role, and all else as AWS has it.
    pub fn through(principal: RoleArn) -> Self {
        Self {
            principal: Some(principal),
            ..Self::default()
        }
    }

    /// What the operator opens beside the public internet.
    #[must_use]
    pub fn opening(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }
}

/// A [`Sinks`] that goes into customers' buckets by their roles or with their access keys.
///
/// A way in is kept, with its credentials, until shortly before these end and for 15 minutes
/// at most. It is dropped when the destination's credentials or key change, on any 403 from
/// STS or from the bucket, and by [`forget`](Self::forget). Who asks for a way that is being
/// opened waits for it.
#[derive(Debug)]
pub struct CustomerSinks<V, C> {
    base: SdkConfig,
    options: Options,
    public_only: SharedHttpClient,
    /// For hosts that the operator has listed.
    listed: SharedHttpClient,
    roles: Roles<C>,
    vault: V,
    ways: Arc<Ways<Place, Way>>,
}

/// One destination at one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    organization: OrgId,
    destination: DestinationId,
    location: Location,
}

/// An open way, and what it was opened with.
#[derive(Debug)]
struct Way {
    client: Client,
    credentials: Credentials,
    kms_key: Option<KmsKeyArn>,
    kept_until: Timestamp,
}

impl Way {
    fn serves(&self, destination: &Destination, now: Timestamp) -> bool {
        now < self.kept_until
            && self.credentials == destination.credentials
            && self.kms_key == destination.storage.kms_key_arn
    }
}

impl ways::Way for Way {
    fn kept_until(&self) -> Timestamp {
        self.kept_until
    }
}

impl Ways<Place, Way> {
    fn forget_destination(&self, organization: &OrgId, destination: &DestinationId) {
        self.forget(|place| {
            place.organization == *organization && place.destination == *destination
        });
    }
}

impl<V: Vault, C: Clock> CustomerSinks<V, C> {
    /// Ways in with the function's own credentials and connections, those of `base`.
    pub fn new(base: SdkConfig, options: Options, vault: V, clock: C) -> Self {
        let roles = Roles::new(
            base.clone(),
            options.endpoints.sts.clone(),
            options.principal.clone(),
            clock,
        );
        let allowed = options.allowed.clone();
        let resolver = |reach| PermittedResolver {
            reach,
            allowed: allowed.clone(),
        };
        Self {
            base,
            options,
            public_only: http_client_with(resolver(Reach::Public)),
            listed: http_client_with(resolver(Reach::Listed)),
            roles,
            vault,
            ways: Arc::default(),
        }
    }

    /// Drops what is kept of a destination, so that the next way in is opened anew.
    pub fn forget(&self, destination: &Destination) {
        self.ways
            .forget_destination(&destination.organization, &destination.id);
    }

    async fn way(&self, destination: &Destination, location: &Location) -> Result<Way, StoreError> {
        let kms_key = destination.storage.kms_key_arn.as_ref();
        let Location { bucket, prefix, .. } = location;
        let narrow = |partition| permissions::session(partition, bucket, prefix, kms_key);
        let (session, kept_until) = self.session(destination, narrow).await?;
        Ok(Way {
            client: self.client(destination, location, session),
            credentials: destination.credentials.clone(),
            kms_key: kms_key.cloned(),
            kept_until,
        })
    }

    /// Credentials for the destination, fetched now, and until when they may be kept. Those of a
    /// role are narrowed by a policy; access keys are what they are.
    pub(crate) async fn session(
        &self,
        destination: &Destination,
        narrow: impl FnOnce(Partition) -> Result<Document, SessionPolicyTooLong> + Send,
    ) -> Result<(aws_credential_types::Credentials, Timestamp), StoreError> {
        match &destination.credentials {
            Credentials::IamRole {
                role_arn,
                external_id,
                ..
            } => {
                let policy = narrow(Partition::of(role_arn));
                let organization = destination.organization.as_str();
                let wanted = Wanted {
                    role: role_arn,
                    session_name: &session_name(organization, destination.id.as_str()),
                    external_id: Some(external_id),
                    policy: Some(session_policy(role_arn, policy)?),
                    seconds: SHORT_SESSION,
                };
                let Session {
                    credentials,
                    usable_until,
                } = self.roles.assume(&wanted).await?;
                Ok((credentials, usable_until))
            }
            Credentials::AccessKeys => {
                let AccessKeys {
                    access_key_id,
                    secret_access_key,
                } = self.vault.get(destination).await?;
                let credentials = aws_credential_types::Credentials::new(
                    access_key_id,
                    secret_access_key,
                    None,
                    None,
                    "sealift-vault",
                );
                Ok((credentials, self.roles.kept_until()))
            }
        }
    }

    pub(crate) fn client(
        &self,
        destination: &Destination,
        location: &Location,
        credentials: aws_credential_types::Credentials,
    ) -> Client {
        let endpoints = &self.options.endpoints;
        let partition = format!("{}/{}", destination.organization, destination.id);
        let mut config = client::with(&self.base, credentials, partition)
            .region(Region::new(location.region.as_str().to_owned()))
            // The digest is at hand, so the SDK has nothing to compute; and services other
            // than AWS refuse the checksums that it sends by default.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &location.endpoint {
            config = config
                .endpoint_url(endpoint.as_str())
                .force_path_style(location.path_style);
            if !self.options.trusted_endpoints.contains(endpoint) {
                // One that is refused has been refused before; the stricter of both, whatever happens.
                let client = match judge(endpoint, &self.options.allowed) {
                    Ok(Reach::Listed) => &self.listed,
                    Ok(Reach::Public) | Err(_) => &self.public_only,
                };
                config = config.http_client(client.clone());
            }
        } else {
            config = config.force_path_style(location.path_style || endpoints.force_path_style);
            if let Some(url) = &endpoints.s3 {
                config = config.endpoint_url(url);
            }
        }
        Client::from_conf(config.build())
    }

    /// Refuses what must not be tried.
    pub(crate) fn check(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> Result<(), Trouble> {
        let Some(endpoint) = &location.endpoint else {
            return Ok(());
        };
        let refuse = |why: String, obstacle| {
            let asked = Request {
                operation: "Connect",
                target: endpoint.as_str(),
            };
            let error = StoreError::Invalid(asked.failure("", why));
            Err(Trouble { error, obstacle })
        };
        if matches!(destination.credentials, Credentials::IamRole { .. }) {
            return refuse("a role's credentials go to AWS only".to_owned(), None);
        }
        if self.options.trusted_endpoints.contains(endpoint) {
            return Ok(());
        }
        match judge(endpoint, &self.options.allowed) {
            Ok(_) => Ok(()),
            Err(error) => refuse(error.to_string(), Some(Obstacle::NotPublic)),
        }
    }
}

impl<V: Vault, C: Clock> Sinks for CustomerSinks<V, C> {
    type Sink = CustomerSink;

    async fn open(
        &self,
        destination: &Destination,
        location: &Location,
    ) -> Result<CustomerSink, StoreError> {
        self.check(destination, location)
            .map_err(|trouble| trouble.error)?;
        let place = Place {
            organization: destination.organization.clone(),
            destination: destination.id.clone(),
            location: location.clone(),
        };
        let now = self.roles.now();
        let slot = self.ways.slot(&place, now);
        let mut kept = slot.lock().await;
        let fresh = kept.as_ref().filter(|way| way.serves(destination, now));
        let client = if let Some(way) = fresh {
            way.client.clone()
        } else {
            *kept = None;
            let way = self.way(destination, location).await;
            let way = way.inspect_err(|error| {
                if matches!(error, StoreError::Denied(_)) {
                    self.forget(destination);
                }
            })?;
            let client = way.client.clone();
            *kept = Some(way);
            client
        };
        Ok(CustomerSink {
            client,
            owner: expected_owner(&destination.credentials),
            storage: destination.storage.clone(),
            place,
            ways: Arc::clone(&self.ways),
        })
    }
}

/// The account that the bucket must belong to: without it, a bucket that was deleted and made
/// anew by somebody else would receive the events.
pub(crate) fn expected_owner(credentials: &Credentials) -> Option<String> {
    match credentials {
        Credentials::IamRole {
            role_arn,
            bucket_owner,
            ..
        } => Some(match bucket_owner {
            Some(account) => account.to_string(),
            None => role_arn.account().to_owned(),
        }),
        Credentials::AccessKeys => None,
    }
}

/// An open way into one customer's bucket.
#[derive(Debug)]
pub struct CustomerSink {
    client: Client,
    owner: Option<String>,
    storage: Storage,
    place: Place,
    ways: Arc<Ways<Place, Way>>,
}

impl CustomerSink {
    /// Asked of the place that is written to, which may be one that the destination has left.
    fn sends_checksum(&self) -> bool {
        let at_aws = self.place.location.endpoint.is_none();
        self.storage.checksum.unwrap_or(at_aws)
    }

    /// Writes an object, and tells what stood in the way if there was no answer.
    pub(crate) async fn send(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), Trouble> {
        let bucket = &self.place.location.bucket;
        let storage = &self.storage;
        let kms_key = storage
            .kms_key_arn
            .as_ref()
            .map(|key| key.as_str().to_owned());
        let digest = self
            .sends_checksum()
            .then(|| BASE64_STANDARD.encode(sha256));
        let answer = self
            .client
            .put_object()
            .bucket(bucket.as_str())
            .key(key.as_str())
            .content_type(content_type(key))
            .set_checksum_sha256(digest)
            .set_expected_bucket_owner(self.owner.clone())
            .set_server_side_encryption(kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms_key)
            .set_storage_class(
                storage
                    .storage_class
                    .as_ref()
                    .map(|class| StorageClass::from(class.as_str())),
            )
            .body(ByteStream::from(bytes))
            .send()
            .await;
        let target = format!("s3://{bucket}/{key}");
        let asked = Request {
            operation: "PutObject",
            target: &target,
        };
        answer.map(|_| ()).map_err(|failed| {
            let error = store_error(asked, &failed);
            if spoils(&failed, &error) {
                let Place {
                    organization,
                    destination,
                    ..
                } = &self.place;
                self.ways.forget_destination(organization, destination);
            }
            let obstacle = obstacle(&failed);
            Trouble { error, obstacle }
        })
    }
}

impl ObjectSink for CustomerSink {
    async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), StoreError> {
        let sent = self.send(key, bytes, sha256).await;
        sent.map_err(|trouble| trouble.error)
    }
}

//! The way into the buckets that exports are written to.
//!
//! [`CustomerExports`] assumes the customer's role, finds the bucket's region and keeps the way
//! for a while; what goes through it is the business of `exports/bucket.rs` (the requests) and
//! [`upload`] (an object in pieces).

mod bucket;
pub mod upload;

use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use jiff::Timestamp;
use sealift_core::id::ObjectKey;
use sealift_core::policy::{Partition, permissions};
use sealift_core::ports::{Clock, ExportPlace, ExportSink, ExportSinks, StoreError};

use self::bucket::Bucket;
pub use self::upload::CustomerUpload;
use crate::client;
use crate::error::{Request, status, store_error};
use crate::roles::{Roles, Session, Wanted, session_name, session_policy};
use crate::sinks::Options;
use crate::ways::{self, Ways};

/// How long an export's session is asked for, in seconds. An upload may be under way for as long
/// as a function runs (15 minutes), with a way that was opened as long before; an hour is the
/// most that a role gives to a session that assumes it, and every role gives it:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining>.
const SESSION_SECONDS: i32 = 3600;

/// An [`ExportSinks`] that goes into customers' buckets at AWS by their roles.
///
/// A way in is kept, with its credentials and the bucket's region, for 15 minutes at most. It is
/// dropped on any refusal by STS or by the bucket, when the bucket turns out to be in another
/// region, and by [`forget`](Self::forget). Who asks for a way that is being opened waits for it.
#[derive(Debug)]
pub struct CustomerExports<C> {
    base: SdkConfig,
    options: Options,
    roles: Roles<C>,
    ways: Arc<Ways<ExportPlace, Way>>,
}

/// An open way.
#[derive(Debug)]
struct Way {
    client: Client,
    kept_until: Timestamp,
}

impl ways::Way for Way {
    fn kept_until(&self) -> Timestamp {
        self.kept_until
    }
}

impl<C: Clock> CustomerExports<C> {
    /// Ways in with the function's own credentials and connections, those of `base`. Of the
    /// options, those about endpoints that customers give mean nothing here.
    pub fn new(base: SdkConfig, options: Options, clock: C) -> Self {
        let roles = Roles::new(
            base.clone(),
            options.endpoints.sts.clone(),
            options.principal.clone(),
            clock,
        );
        Self {
            base,
            options,
            roles,
            ways: Arc::default(),
        }
    }

    /// Drops what is kept of a place, so that the next way in is opened anew.
    pub fn forget(&self, place: &ExportPlace) {
        self.ways.forget(|kept| kept == place);
    }

    async fn way(&self, place: &ExportPlace) -> Result<Way, StoreError> {
        let ExportPlace {
            role,
            bucket,
            prefix,
            ..
        } = place;
        let policy = permissions::export_session(Partition::of(role), bucket, prefix);
        let wanted = Wanted {
            role,
            session_name: &session_name(place.organization.as_str(), place.project.as_str()),
            external_id: Some(&place.external_id),
            policy: Some(session_policy(role, policy)?),
            seconds: SESSION_SECONDS,
        };
        let Session {
            credentials,
            usable_until,
        } = self.roles.assume(&wanted).await?;
        let configured = self.base.region().cloned();
        let client = self.client(place, credentials.clone(), configured);
        let client = match region(&client, place).await? {
            Some(region) => self.client(place, credentials, Some(region)),
            None => client,
        };
        Ok(Way {
            client,
            kept_until: usable_until,
        })
    }

    fn client(
        &self,
        place: &ExportPlace,
        credentials: Credentials,
        region: Option<Region>,
    ) -> Client {
        let endpoints = &self.options.endpoints;
        let partition = format!("export/{}/{}", place.organization, place.bucket);
        let mut config = client::with(&self.base, credentials, partition)
            // It goes to AWS only, which verifies checksums, and where the bucket locks its
            // objects asks for them. Told otherwise, the SDK computes none, even if it is
            // named one.
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .force_path_style(endpoints.force_path_style);
        config.set_region(region);
        if let Some(url) = &endpoints.s3 {
            config = config.endpoint_url(url);
        }
        Client::from_conf(config.build())
    }
}

/// Where the bucket is; `None` if S3 does not tell.
///
/// It is a refusal as a rule, since the session may not list the bucket. What a refusal means
/// shows when something is written.
async fn region(client: &Client, place: &ExportPlace) -> Result<Option<Region>, StoreError> {
    let target = format!("s3://{}", place.bucket);
    let asked = Request {
        operation: "HeadBucket",
        target: &target,
    };
    let answer = client
        .head_bucket()
        .bucket(place.bucket.as_str())
        .expected_bucket_owner(place.bucket_owner.as_str())
        .send()
        .await;
    if let Err(error) = &answer {
        match status(error) {
            // The answer to a HEAD has no body that could name the code.
            Some(404) => return Err(StoreError::Invalid(client::no_such_bucket(asked))),
            Some(300..=428) => {}
            _ => return Err(store_error(asked, error)),
        }
    }
    let told = client::bucket_region(&answer);
    Ok(told.map(|region| Region::new(String::from(region))))
}

impl<C: Clock> ExportSinks for CustomerExports<C> {
    type Sink = CustomerExport;

    async fn open(&self, place: &ExportPlace) -> Result<CustomerExport, StoreError> {
        let now = self.roles.now();
        let slot = self.ways.slot(place, now);
        let mut kept = slot.lock().await;
        let client = if let Some(way) = kept.as_ref().filter(|way| now < way.kept_until) {
            way.client.clone()
        } else {
            *kept = None;
            let way = self.way(place).await;
            let way = way.inspect_err(|error| {
                if matches!(error, StoreError::Denied(_)) {
                    self.forget(place);
                }
            })?;
            let client = way.client.clone();
            *kept = Some(way);
            client
        };
        Ok(CustomerExport(Arc::new(Bucket {
            client,
            place: place.clone(),
            ways: Arc::clone(&self.ways),
        })))
    }
}

/// An open way into the bucket of one export.
#[derive(Debug, Clone)]
pub struct CustomerExport(Arc<Bucket>);

impl ExportSink for CustomerExport {
    type Upload = CustomerUpload;

    fn begin(&self, key: &ObjectKey, content_type: &'static str) -> CustomerUpload {
        CustomerUpload::new(Arc::clone(&self.0), key.clone(), content_type)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.0.delete(key).await
    }
}

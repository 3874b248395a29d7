//! Assuming roles: the principal role, and from there the customers'.

use std::fmt::Write;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::IdentityCache;
use jiff::Timestamp;
use sealift_core::external_id::ExternalId;
use sealift_core::id::RoleArn;
use sealift_core::policy::Document;
use sealift_core::policy::permissions::SessionPolicyTooLong;
use sealift_core::ports::{Clock, Failure, StoreError};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::error::{Request, store_error};

/// How long a session is asked for, in seconds, where nothing takes long: the least that STS
/// gives.
pub(crate) const SHORT_SESSION: i32 = 900;
/// A session is used again for this long at most.
const KEPT: Duration = Duration::from_mins(15);
/// A session is not handed out any more when it ends so soon: a request may take
/// [`OPERATION_TIMEOUT`](crate::config::OPERATION_TIMEOUT), and clocks differ.
const MARGIN: Duration = Duration::from_mins(2);

/// Temporary credentials, and how long they may be handed out.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) credentials: Credentials,
    pub(crate) usable_until: Timestamp,
}

/// What a session is asked for with.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) role: &'a RoleArn,
    pub(crate) session_name: &'a str,
    /// The ExternalId, whole.
    pub(crate) external_id: Option<&'a ExternalId>,
    /// The session policy, in JSON.
    pub(crate) policy: Option<String>,
    /// How long it lasts, in seconds.
    pub(crate) seconds: i32,
}

/// `sealift-` and 32 hexadecimal digits for an organization and one thing of it: STS takes 2 to
/// 64 of `[\w+=,.@-]`, and ids may be longer. It shows in the customer's CloudTrail.
pub(crate) fn session_name(organization: &str, of: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(organization);
    hash.update([0]);
    hash.update(of);
    let mut name = "sealift-".to_owned();
    for byte in hash.finalize().iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// A session policy for the role, in JSON.
pub(crate) fn session_policy(
    role: &RoleArn,
    policy: Result<Document, SessionPolicyTooLong>,
) -> Result<String, StoreError> {
    let policy = policy.map_err(|too_long| {
        let asked = Request {
            operation: "AssumeRole",
            target: role.as_str(),
        };
        StoreError::Invalid(asked.failure("", too_long.to_string()))
    })?;
    Ok(policy.to_string())
}

/// Assumes customers' roles as the principal.
#[derive(Debug)]
pub(crate) struct Roles<C> {
    base: SdkConfig,
    endpoint: Option<String>,
    principal: Option<RoleArn>,
    session: Mutex<Option<Session>>,
    clock: C,
}

impl<C: Clock> Roles<C> {
    /// `base` has the function's own credentials; without a principal they are the principal.
    pub(crate) fn new(
        base: SdkConfig,
        endpoint: Option<String>,
        principal: Option<RoleArn>,
        clock: C,
    ) -> Self {
        Self {
            base,
            endpoint,
            principal,
            session: Mutex::new(None),
            clock,
        }
    }

    /// Until when a new session may be handed out, if it ends at the time.
    fn usable_until(&self, ends: Option<Timestamp>) -> Timestamp {
        let kept = self.clock.now().checked_add(KEPT).unwrap_or(Timestamp::MAX);
        let ends = ends.and_then(|ends| ends.checked_sub(MARGIN).ok());
        ends.map_or(kept, |ends| ends.min(kept))
    }

    /// Assumes a customer's role from the principal. Nothing of it is kept here.
    pub(crate) async fn assume(&self, wanted: &Wanted<'_>) -> Result<Session, StoreError> {
        let client = self.principal().await?;
        let result = self.ask(&client, wanted).await;
        if let Err(StoreError::Denied(failure) | StoreError::Transient(failure)) = &result {
            let principal_spoilt = [
                "ExpiredToken",
                "ExpiredTokenException",
                "InvalidClientTokenId",
            ]
            .contains(&failure.code.as_str());
            if principal_spoilt {
                *self.session.lock().await = None;
            }
        }
        result
    }

    /// A client that speaks as the principal. Who comes while its role is being assumed waits
    /// for that one answer.
    async fn principal(&self) -> Result<Client, StoreError> {
        let Some(role) = &self.principal else {
            return Ok(self.client(None));
        };
        let mut kept = self.session.lock().await;
        let fresh = kept
            .as_ref()
            .filter(|session| self.clock.now() < session.usable_until);
        let session = if let Some(session) = fresh {
            session.clone()
        } else {
            let wanted = Wanted {
                role,
                session_name: "sealift-principal",
                external_id: None,
                policy: None,
                seconds: SHORT_SESSION,
            };
            self.ask(&self.client(None), &wanted).await?
        };
        let client = self.client(Some(&session.credentials));
        *kept = Some(session);
        Ok(client)
    }

    fn client(&self, credentials: Option<&Credentials>) -> Client {
        let mut config = aws_sdk_sts::config::Builder::from(&self.base);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        if let Some(credentials) = credentials {
            config = config
                .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
                // The SDK's cache would keep an entry for every session there ever was.
                .identity_cache(IdentityCache::no_cache());
        }
        Client::from_conf(config.build())
    }

    async fn ask(&self, client: &Client, wanted: &Wanted<'_>) -> Result<Session, StoreError> {
        let asked = Request {
            operation: "AssumeRole",
            target: wanted.role.as_str(),
        };
        let answer = client
            .assume_role()
            .role_arn(wanted.role.as_str())
            .role_session_name(wanted.session_name)
            .duration_seconds(wanted.seconds)
            .set_external_id(wanted.external_id.map(|id| id.as_str().to_owned()))
            .set_policy(wanted.policy.clone())
            .send()
            .await
            .map_err(|error| match store_error(asked, &error) {
                StoreError::Denied(failure) => StoreError::Denied(explain(failure)),
                other => other,
            })?;
        let given = answer.credentials.ok_or_else(|| {
            StoreError::Invalid(asked.failure("", "the answer holds no credentials"))
        })?;
        let ends = Timestamp::from_second(given.expiration.secs()).ok();
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            None,
            "sealift",
        );
        Ok(Session {
            credentials,
            usable_until: self.usable_until(ends),
        })
    }

    /// How long credentials that do not end by themselves may be handed out.
    pub(crate) fn kept_until(&self) -> Timestamp {
        self.usable_until(None)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// STS answers alike to a role that is missing, a trust policy that names another principal
/// and one that asks for another ExternalId.
fn explain(mut failure: Failure) -> Failure {
    if failure.code == "AccessDenied" {
        failure.message.push_str(
            " (STS does not tell whether the role is missing, does not trust this principal, or \
             asks for another ExternalId)",
        );
    }
    failure
}

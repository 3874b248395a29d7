//! Checking destinations, by the very code that delivers to them.

use std::net::IpAddr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use bytes::Bytes;
use sealift_core::check::{BucketAttempts, Checker, Look, Owner, Trouble, look_session};
use sealift_core::destination::{Destination, Location};
use sealift_core::id::ObjectKey;
use sealift_core::policy::AwsPrincipal;
use sealift_core::ports::{Clock, Sinks, StoreError};

use crate::client;
use crate::config::CONNECT_TIMEOUT;
use crate::error::{Request, obstacle, status, store_error};
use crate::role_check::RoleAttempts;
use crate::sinks::{CustomerSinks, Options, expected_owner};
use crate::vault::Vault;

/// How long one attempt at a request of a check may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a request of a check may take with all its attempts. Somebody waits for the answer,
/// and a gateway gives up on it after 29 seconds.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// Checks over the ways that deliveries take.
pub type CustomerChecks<V, C> = Checker<RoleAttempts<C>, CustomerSinks<V, C>, C>;

/// Checks with the same connections, principal and vault as deliveries have. The principal of the
/// options is whom a role has to trust.
pub fn customer_checks<V: Vault, C: Clock + Clone>(
    base: &SdkConfig,
    options: Options,
    vault: V,
    clock: C,
) -> CustomerChecks<V, C> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let hurried = base.clone().into_builder().timeout_config(timeouts).build();
    let principal = options.principal.as_ref().map(AwsPrincipal::role);
    let roles = RoleAttempts::new(hurried.clone(), options.clone(), clock.clone());
    let buckets = CustomerSinks::new(hurried, options, vault, clock.clone());
    Checker::new(roles, buckets, clock, principal)
}

impl<V: Vault, C: Clock> BucketAttempts for CustomerSinks<V, C> {
    async fn look(&self, destination: &Destination, owner: Owner) -> Look {
        let look = try_look(self, destination, owner).await;
        look.unwrap_or_else(|trouble| Look {
            answer: Err(trouble),
            region: None,
        })
    }

    async fn write(
        &self,
        destination: &Destination,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> Result<(), Trouble> {
        self.check(destination, &destination.location)?;
        self.forget(destination);
        let sink = self.open(destination, &destination.location).await?;
        let sent = sink.send(key, bytes, sha256).await;
        // A delivery of this process must not go on with what was fetched for the check.
        self.forget(destination);
        sent
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        // Somebody waits for the answer, and it is not what keeps connections out.
        let asked = crate::network::addresses(host);
        match tokio::time::timeout(CONNECT_TIMEOUT, asked).await {
            Ok(Ok(addresses)) => addresses,
            _ => Vec::new(),
        }
    }
}

async fn try_look<V: Vault, C: Clock>(
    sinks: &CustomerSinks<V, C>,
    destination: &Destination,
    owner: Owner,
) -> Result<Look, Trouble> {
    let Location { bucket, prefix, .. } = &destination.location;
    sinks.check(destination, &destination.location)?;
    let narrow = |partition| Ok(look_session(partition, bucket, prefix));
    let (credentials, _) = sinks.session(destination, narrow).await?;
    let client = sinks.client(destination, &destination.location, credentials);
    let expected = match owner {
        Owner::Expected => expected_owner(&destination.credentials),
        Owner::Whoever => None,
    };
    let answer = client
        .head_bucket()
        .bucket(bucket.as_str())
        .set_expected_bucket_owner(expected)
        .send()
        .await;
    let region = client::bucket_region(&answer);
    let target = format!("s3://{bucket}");
    let asked = Request {
        operation: "HeadBucket",
        target: &target,
    };
    let answer = answer.map(|_| ()).map_err(|failed| Trouble {
        obstacle: obstacle(&failed),
        // The answer to a HEAD has no body that could name the code.
        error: match status(&failed) {
            Some(404) => StoreError::Invalid(client::no_such_bucket(asked)),
            _ => store_error(asked, &failed),
        },
    });
    Ok(Look { answer, region })
}

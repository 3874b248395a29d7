//! The port through which a bucket is tried.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;

use bytes::Bytes;

use crate::destination::{Destination, Region};
use crate::id::ObjectKey;
use crate::ports::{Failure, StoreError};

/// Tries a destination's bucket, by the very code that delivers to it.
///
/// Contract: every try is with credentials that were fetched for it, so that a change that was
/// made a moment ago is seen. No secret stands in a failure.
pub trait BucketAttempts: Send + Sync {
    /// Asks about the bucket (`HeadBucket`), with credentials that may do so as far as the
    /// destination's own allow it: a delivery's session may only write.
    fn look(&self, destination: &Destination, owner: Owner) -> impl Future<Output = Look> + Send;

    /// Writes an object as a delivery would: with the same session, headers, owner, key and
    /// storage class, over the same guarded connection.
    fn write(
        &self,
        destination: &Destination,
        key: &ObjectKey,
        bytes: Bytes,
        sha256: &[u8; 32],
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// The addresses that a host's name has at this moment; nothing if it has none, or cannot be asked.
    fn addresses(&self, host: &str) -> impl Future<Output = Vec<IpAddr>> + Send;
}

/// Whether a look names the account that the bucket must belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It does, if the destination has one: whoever else has the bucket, it is refused.
    Expected,
    /// It does not. Nothing is written on its word.
    Whoever,
}

/// What came of a look at the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether it was allowed.
    pub answer: Result<(), Trouble>,
    /// The bucket's region, which S3 tells even to those whom it refuses.
    pub region: Option<Region>,
}

impl Look {
    /// Whether it was refused for lack of permission, or because the bucket is not the expected
    /// owner's.
    pub fn is_denied(&self) -> bool {
        let error = self.answer.as_ref().map_err(|trouble| &trouble.error);
        matches!(error, Err(StoreError::Denied(_)))
    }
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The failure, as a delivery would meet it.
    pub error: StoreError,
    /// What stood in the way, if there was no answer at all.
    pub obstacle: Option<Obstacle>,
}

impl Trouble {
    /// What happened.
    pub fn failure(&self) -> &Failure {
        self.error.failure()
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            obstacle: None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// What stands between Sealift and an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The name has no address.
    NoAddress,
    /// It has none that Sealift may connect to.
    NotPublic,
    /// Nobody takes connections there.
    Unreachable,
    /// A connection stands, but no TLS session came about.
    Tls,
    /// There was no answer in time.
    TimedOut,
}

//! The ways into customers' buckets that are kept open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use jiff::Timestamp;
use sealift_core::destination::{Credentials, Destination, KmsKeyArn, Location};
use sealift_core::id::{DestinationId, OrgId};

/// One destination at one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) organization: OrgId,
    pub(crate) destination: DestinationId,
    pub(crate) location: Location,
}

/// An open way, and what it was opened with.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) client: Client,
    pub(crate) credentials: Credentials,
    pub(crate) kms_key: Option<KmsKeyArn>,
    pub(crate) kept_until: Timestamp,
}

impl Way {
    pub(crate) fn serves(&self, destination: &Destination, now: Timestamp) -> bool {
        now < self.kept_until
            && self.credentials == destination.credentials
            && self.kms_key == destination.storage.kms_key_arn
    }
}

/// A way, once it is open; who opens it holds the lock.
pub(crate) type Slot = Arc<tokio::sync::Mutex<Option<Way>>>;

/// The ways that are kept.
#[derive(Debug, Default)]
pub(crate) struct Ways(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<Place, Slot>,
    swept: Option<Timestamp>,
}

/// How often ways that are past their time are let go.
const SWEEP: Duration = Duration::from_mins(10);

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn slot(&self, place: &Place, now: Timestamp) -> Slot {
        let mut kept = self.lock();
        let due = kept.swept.and_then(|swept| swept.checked_add(SWEEP).ok());
        if due.is_none_or(|due| due <= now) {
            kept.swept = Some(now);
            // A slot that is locked is being opened or about to be.
            kept.slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |way| {
                    way.as_ref().is_some_and(|way| now < way.kept_until)
                })
            });
        }
        Arc::clone(kept.slots.entry(place.clone()).or_default())
    }

    pub(crate) fn forget(&self, organization: &OrgId, destination: &DestinationId) {
        self.lock().slots.retain(|place, _| {
            place.organization != *organization || place.destination != *destination
        });
    }
}

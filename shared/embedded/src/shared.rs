//! What the services have in common.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sealift_core::ports::Entropy;

use crate::context::RequestContext;
use crate::faults::{Effect, Faults, Target};
use crate::iam::Iam;
use crate::notification::{Hooks, ObjectCreated};
use crate::request_log::RequestLog;
use crate::s3::record::Record;
use crate::s3::store::Store;
use crate::time::Time;

pub(crate) struct Shared {
    pub(crate) time: Time,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) region: String,
    pub(crate) iam: Iam,
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Faults,
    pub(crate) log: RequestLog,
    pub(crate) hooks: Hooks,
    /// Held while the parts of an upload are replaced, joined or removed.
    pub(crate) parts: Mutex<()>,
}

impl Shared {
    /// Lets the faults have their say, and waits if they say so. An effect that comes back means
    /// that nothing is to be performed; one that strikes later stays in the context.
    pub(crate) async fn strike(
        &self,
        context: &RequestContext,
        target: &Target<'_>,
    ) -> Option<Effect> {
        let verdict = self.faults.decide(target);
        if verdict.delay > Duration::ZERO {
            self.time.sleep(verdict.delay).await;
        }
        let effect = verdict.effect?;
        context.set_effect(effect);
        match effect {
            Effect::LoseReply | Effect::TearBody { .. } => None,
            _ => Some(effect),
        }
    }

    /// Tells of a new object.
    pub(crate) fn notify(&self, bucket: &str, key: &str, record: &Record) {
        self.hooks.tell(bucket, || ObjectCreated {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size: record.size,
            etag: record.etag.clone(),
            sequencer: format!("{:016X}", record.stamp),
            time: Timestamp::from_millisecond(record.modified_ms).unwrap_or_default(),
        });
    }

    /// A request id in AWS's form.
    pub(crate) fn request_id(&self) -> String {
        let id = self.entropy.nonce().to_ascii_uppercase();
        id.chars().take(16).collect()
    }
}

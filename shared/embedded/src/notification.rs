//! Telling of new objects, as S3 does with its "Object Created" events.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

/// A new object, or a new version of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The ETag, without its quotes, as it stands in S3's events.
    pub etag: String,
    /// Orders the events of one key: hexadecimal digits, always as many, a later event's
    /// sorting after an earlier one's.
    pub sequencer: String,
    /// When it was written.
    pub time: Timestamp,
}

type Hook = Arc<dyn Fn(&ObjectCreated) + Send + Sync>;

/// Who is to be told of which bucket's new objects.
#[derive(Default)]
pub(crate) struct Hooks(RwLock<HashMap<String, Vec<Hook>>>);

impl Hooks {
    pub(crate) fn add(&self, bucket: &str, hook: impl Fn(&ObjectCreated) + Send + Sync + 'static) {
        let mut hooks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        hooks
            .entry(bucket.to_owned())
            .or_default()
            .push(Arc::new(hook));
    }

    /// Tells of what `created` makes, if anybody listens.
    pub(crate) fn tell(&self, bucket: &str, created: impl FnOnce() -> ObjectCreated) {
        let hooks = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(bucket)
            .cloned();
        if let Some(hooks) = hooks {
            let created = created();
            for hook in hooks {
                hook(&created);
            }
        }
    }
}

//! What becomes known of one request on its way through the services: its part of the request
//! log, its caller, and the fault that struck it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::HeaderMap;
use hyper::http::request::Parts;

use crate::faults::Effect;
use crate::iam::Caller;
use crate::request_log::{LOGGED_HEADERS, RequestRecord};

/// One request's context. It travels in the request's extensions.
#[derive(Debug, Default)]
pub(crate) struct RequestContext(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    record: RequestRecord,
    caller: Option<Arc<Caller>>,
    effect: Option<Effect>,
}

impl RequestContext {
    /// Begins the context of a request that has just arrived.
    pub(crate) fn begin(parts: &Parts) -> Self {
        let record = RequestRecord {
            headers: logged(&parts.headers),
            query: query(parts.uri.query().unwrap_or_default()),
            request_bytes: number(&parts.headers, "x-amz-decoded-content-length")
                .or_else(|| number(&parts.headers, "content-length"))
                .unwrap_or(0),
            ..RequestRecord::default()
        };
        Self(Mutex::new(Known {
            record,
            ..Known::default()
        }))
    }

    pub(crate) fn name(&self, operation: &str, bucket: &str, key: &str) {
        let record = &mut self.known().record;
        operation.clone_into(&mut record.operation);
        bucket.clone_into(&mut record.bucket);
        key.clone_into(&mut record.key);
    }

    pub(crate) fn set_access_key(&self, access_key_id: &str) {
        access_key_id.clone_into(&mut self.known().record.access_key_id);
    }

    pub(crate) fn set_caller(&self, caller: &Arc<Caller>) {
        let mut known = self.known();
        caller.arn().clone_into(&mut known.record.principal);
        known.caller = Some(Arc::clone(caller));
    }

    pub(crate) fn caller(&self) -> Option<Arc<Caller>> {
        self.known().caller.clone()
    }

    pub(crate) fn set_form(&self, form: BTreeMap<String, String>) {
        self.known().record.form = form;
    }

    pub(crate) fn set_effect(&self, effect: Effect) {
        self.known().effect = Some(effect);
    }

    pub(crate) fn effect(&self) -> Option<Effect> {
        self.known().effect
    }

    /// The record of the request, as far as it is known now.
    pub(crate) fn record(&self) -> RequestRecord {
        self.known().record.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A header's value, if it is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.parse().ok()
}

fn logged(headers: &HeaderMap) -> BTreeMap<String, String> {
    let wanted = |name: &str| LOGGED_HEADERS.contains(&name) || name.starts_with("x-amz-meta-");
    headers
        .iter()
        .filter(|(name, _)| wanted(name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// The query's parameters without those of a presigned URL, which hold a signature.
pub(crate) fn query(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .filter(|(name, _)| !name.to_ascii_lowercase().starts_with("x-amz-"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

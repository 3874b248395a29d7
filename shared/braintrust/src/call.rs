//! One request, and its answer.

use bytes::Bytes;
use http::Method;
use http::response::Parts;
use hyper::body::Incoming;
use sealift_core::export::source::SourceError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{About, Setback};
use crate::key::ApiKey;
use crate::wire::text_header;

/// One request, to be made once or several times.
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    target: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) repeatable: bool,
    /// Whether a 303 is followed.
    pub(crate) followed: bool,
    /// A key in the body, which an answer must not bring into an error.
    pub(crate) hidden: Option<ApiKey>,
}

impl Call {
    pub(crate) fn new(
        operation: &'static str,
        target: impl Into<String>,
        method: Method,
        path: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            target: target.into(),
            method,
            path: path.into(),
            body: Bytes::new(),
            repeatable: true,
            followed: false,
            hidden: None,
        }
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, SourceError> {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = bytes.into(),
            Err(error) => {
                return Err(self
                    .about("")
                    .invalid(format!("the request cannot be written: {error}")));
            }
        }
        Ok(self)
    }

    /// It must not be made again if it may have been done.
    pub(crate) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    pub(crate) fn followed(mut self) -> Self {
        self.followed = true;
        self
    }

    pub(crate) fn hiding(mut self, key: &ApiKey) -> Self {
        self.hidden = Some(key.clone());
        self
    }

    /// What a failure is about, at the API's address.
    pub(crate) fn about(&self, place: &str) -> About {
        About {
            operation: self.operation,
            target: match self.target.is_empty() {
                true => place.to_owned(),
                false => format!("{} at {place}", self.target),
            },
            request_id: String::new(),
        }
    }
}

/// An answer whose body is still to be read.
pub(crate) struct Opened {
    pub(crate) about: About,
    /// The head of the API's own answer.
    pub(crate) head: Parts,
    /// The head of the answer that it pointed to.
    pub(crate) followed: Option<Parts>,
    pub(crate) body: Incoming,
}

/// An answer, whole.
pub(crate) struct Whole {
    pub(crate) about: About,
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

impl Whole {
    /// The body as what it is expected to be.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, SourceError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let said = "the answer is not what this API answers (is the API URL right?)";
            self.about.invalid(format!("{said}: {error}"))
        })
    }
}

/// No compression is asked for, so one that comes all the same could not be read.
pub(crate) fn plain(head: &Parts, about: &About) -> Result<(), Setback> {
    match text_header(&head.headers, "content-encoding") {
        None | Some("identity") => Ok(()),
        Some(encoding) => {
            let said = format!("the answer is encoded ({encoding}), which was not asked for");
            Err(Setback::new(about.invalid(said), true))
        }
    }
}

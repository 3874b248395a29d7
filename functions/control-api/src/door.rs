//! Who calls: what is made of a request before any route sees it.
//!
//! Nothing that a client writes into a request is believed about who it is. [`gateway`](crate::gateway)
//! takes it from what API Gateway adds to a request, [`TokenDoor`] from a token that is known here.

use std::fmt;

use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use sealift_core::audit::Actor;
use sealift_core::control::{Access, Caller};
use sealift_core::ports::Entropy;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Tells who calls.
pub trait Door: Send + Sync {
    /// The request's name: in the answer, the log, and audit entries.
    fn request_id(&self, request: &Parts) -> String;

    /// Who calls, or why nobody is let in.
    fn admit(&self, request: &Parts, request_id: &str) -> Result<Caller, NotAdmitted>;
}

/// Why somebody is not let in. The text is for them to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It is not known who it is.
    Unknown(String),
    /// It is known who it is, and not what they may do.
    Refused(String),
}

/// What a request tells of itself, for the audit entries.
#[derive(Debug, Default)]
pub(crate) struct Told<'a> {
    pub(crate) ip_address: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) token: Value,
}

impl Told<'_> {
    pub(crate) fn actor(self, id: &str) -> Actor {
        let fields = [
            ("ip_address", self.ip_address.map(Value::from)),
            ("user_agent", self.user_agent.map(Value::from)),
            ("request_id", Some(self.request_id.into())),
            ("token", Some(self.token).filter(|token| !token.is_null())),
        ];
        let known = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Actor::new(id, known.collect::<Map<_, _>>())
    }
}

/// The door of the embedded mode, which listens on 127.0.0.1: one bearer token, which is the
/// operator's.
pub struct TokenDoor<E> {
    /// Compared in place of the token, so that the time it takes tells nothing of it.
    digest: [u8; 32],
    entropy: E,
}

impl<E> fmt::Debug for TokenDoor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDoor(REDACTED)")
    }
}

impl<E: Entropy> TokenDoor<E> {
    /// Lets in who has the token.
    pub fn new(token: &str, entropy: E) -> Self {
        let digest = Sha256::digest(token).into();
        Self { digest, entropy }
    }
}

impl<E: Entropy> Door for TokenDoor<E> {
    fn request_id(&self, _: &Parts) -> String {
        self.entropy.nonce()
    }

    fn admit(&self, request: &Parts, request_id: &str) -> Result<Caller, NotAdmitted> {
        let given = request.headers.get(AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let known = given.is_some_and(|token| {
            let digest: [u8; 32] = Sha256::digest(token.trim()).into();
            digest == self.digest
        });
        if !known {
            return Err(NotAdmitted::Unknown(
                "send the token that was printed at the start: `authorization: Bearer …`"
                    .to_owned(),
            ));
        }
        let agent = request.headers.get(USER_AGENT);
        let told = Told {
            // The embedded mode listens nowhere else.
            ip_address: Some("127.0.0.1"),
            user_agent: agent.and_then(|value| value.to_str().ok()),
            request_id,
            token: json!({"type": "embedded"}),
        };
        Ok(Caller {
            access: Access::Operator,
            actor: told.actor("operator"),
        })
    }
}

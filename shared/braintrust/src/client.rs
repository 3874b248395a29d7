//! The client: how a request is made, repeated and followed.

use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client as HttpClient};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use sealift_core::export::source::SourceError;
use sealift_core::ports::{Clock, Entropy};

use crate::call::{Call, Opened, Whole, plain};
use crate::error::{About, Setback, in_words, refusal, request_id};
use crate::key::{ApiKey, ApiKeys};
use crate::retry::{Patience, retry_after};
use crate::settings::Settings;
use crate::url::ApiUrl;
use crate::wire::text_header;

/// How much of an answer that is an error is read: its message is cut far below.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Braintrust's API for one organization.
///
/// Requests that change nothing when they are made again are, after a 429, a 408, a 5xx or a
/// torn connection, as [`Settings`] say. Connections are kept and shared; no redirect is
/// followed but the one that `POST /btql` answers large results with.
pub struct Client<C, E, K> {
    http: OnceLock<Https>,
    url: ApiUrl,
    organization: Option<Organization>,
    keys: K,
    clock: C,
    entropy: E,
    settings: Settings,
    requests: AtomicU64,
}

type Https = HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>;

struct Organization {
    name: String,
    header: HeaderValue,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClient {
    /// The organization's name cannot be sent.
    #[error("the organization name {0:?} cannot stand in a header")]
    Organization(String),
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// A client of the API at an address.
    pub fn new(url: ApiUrl, keys: K, clock: C, entropy: E, settings: Settings) -> Self {
        Self {
            http: OnceLock::new(),
            url,
            organization: None,
            keys,
            clock,
            entropy,
            settings,
            requests: AtomicU64::new(0),
        }
    }

    /// Names the organization, which a key of several needs (`x-bt-org-name`).
    pub fn for_organization<'a>(
        mut self,
        name: impl Into<Option<&'a str>>,
    ) -> Result<Self, InvalidClient> {
        if let Some(name) = name.into() {
            let header = HeaderValue::from_str(name)
                .map_err(|_| InvalidClient::Organization(name.to_owned()))?;
            let name = name.to_owned();
            self.organization = Some(Organization { name, header });
        }
        Ok(self)
    }

    /// Requests made so far: each attempt, and each answer that was followed elsewhere.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What the client keeps to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn organization(&self) -> Option<&str> {
        self.organization.as_ref().map(|org| org.name.as_str())
    }

    /// The error of a request that is not made.
    pub(crate) fn refuse(&self, call: &Call, why: impl AsRef<str>) -> SourceError {
        call.about(self.url.as_str()).invalid(why)
    }

    /// Makes a request and begins to read its answer.
    pub(crate) async fn open(&self, call: &Call) -> Result<Opened, Setback> {
        self.persist(call, || self.attempt(call)).await
    }

    /// Makes a request and reads its answer to the end.
    pub(crate) async fn whole(&self, call: &Call) -> Result<Whole, Setback> {
        let attempt = || async {
            let opened = self.attempt(call).await?;
            let Opened {
                about, head, body, ..
            } = opened;
            let read = self.read(body, self.settings.longest_answer).await;
            match read {
                Ok(body) => Ok(Whole { about, head, body }),
                Err(Unread::TooLong) => {
                    let longest = self.settings.longest_answer;
                    let said = format!("the answer is longer than {longest} bytes");
                    Err(Setback::new(about.invalid(said), true))
                }
                Err(Unread::Torn(said)) => Err(Setback::new(about.transient(said), true)),
            }
        };
        self.persist(call, attempt).await
    }

    /// Makes attempts until one succeeds, or there is no use in another.
    async fn persist<T, F>(
        &self,
        call: &Call,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T, Setback>
    where
        F: Future<Output = Result<T, Setback>> + Send,
    {
        let mut patience = Patience::default();
        let mut renewed = false;
        loop {
            let setback = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(setback) => setback,
            };
            if let Some(refused) = &setback.refused_key {
                self.keys.forget();
                // A key that was replaced meanwhile is a new one now: one more attempt is
                // worth it, since a 401 has done nothing.
                if !std::mem::replace(&mut renewed, true)
                    && self.keys.key().await.is_ok_and(|key| key != *refused)
                {
                    continue;
                }
            }
            if !setback.may_pass() || (setback.perhaps_done && !call.repeatable) {
                return Err(setback);
            }
            let wait = patience.next(setback.retry_after, &self.settings, &self.entropy);
            let Some(wait) = wait else {
                return Err(setback);
            };
            tracing::info!(
                operation = call.operation,
                attempts = patience.attempts(),
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                error = %setback.error,
                "{} is asked again", call.operation
            );
            self.clock.sleep(wait).await;
        }
    }

    /// Makes the request once.
    async fn attempt(&self, call: &Call) -> Result<Opened, Setback> {
        let mut about = call.about(self.url.as_str());
        let key = self.keys.key().await?;
        let request = self.request(call, &key).ok_or_else(|| {
            Setback::from(about.invalid("the request's address or a header cannot be written"))
        })?;
        let answer = self.send(request, &about).await?;
        let (head, body) = answer.into_parts();
        about.request_id = request_id(&head);
        if head.status == StatusCode::SEE_OTHER && call.followed {
            let (followed, body) = self.follow(&head, &about).await?;
            return Ok(Opened {
                about,
                head,
                followed: Some(followed),
                body,
            });
        }
        if !head.status.is_success() {
            let said = self.read(body, LONGEST_REFUSAL).await.unwrap_or_default();
            let wait = retry_after(&head.headers, self.clock.now());
            let keys = [Some(&key), call.hidden.as_ref()];
            return Err(refusal(&about, &head, &said, keys, wait));
        }
        plain(&head, &about)?;
        Ok(Opened {
            about,
            head,
            followed: None,
            body,
        })
    }

    fn request(&self, call: &Call, key: &ApiKey) -> Option<Request<Full<Bytes>>> {
        let uri: Uri = format!("{}{}", self.url, call.path).parse().ok()?;
        let mut request = Request::builder()
            .method(&call.method)
            .uri(uri)
            .header(header::AUTHORIZATION, key.header()?)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(organization) = &self.organization {
            request = request.header("x-bt-org-name", &organization.header);
        }
        if !call.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(call.body.clone())).ok()
    }

    /// Reads what the API points to, where it has put a large result. The address is signed, so
    /// the key is not sent along, and neither it nor the other side's words go into an error.
    async fn follow(&self, head: &Parts, about: &About) -> Result<(Parts, Incoming), Setback> {
        let location = text_header(&head.headers, "location").unwrap_or_default();
        let request = self.url.follow(location).and_then(|uri| {
            Request::get(uri)
                .header(header::USER_AGENT, USER_AGENT)
                .body(Full::default())
                .map_err(|_| "the address it points to cannot be asked")
        });
        let request = request
            .map_err(|why| about.invalid(format!("the result lies elsewhere, but {why}")))?;
        let answer = self.send(request, about).await?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            let status = head.status.as_u16();
            let said =
                format!("the result lies elsewhere, and was answered with HTTP {status} there");
            return Err(Setback::new(about.transient(said), true));
        }
        plain(&head, about)?;
        Ok((head, body))
    }

    /// Made when it is first needed: reading the system's certificates takes half as long as all else of a
    /// function's start, and many of its calls ask the API for nothing.
    fn https(&self) -> std::io::Result<&Https> {
        if let Some(https) = self.http.get() {
            return Ok(https);
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(self.settings.connect_timeout));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())?
            // The address is checked already, and so is each that is followed.
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let https = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Below the 60 s after which a load balancer closes: what is sent on a connection
            // that is just being closed is lost, and not everything may be sent again.
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(self.http.get_or_init(|| https))
    }

    /// Sends a request and waits for the head of the answer.
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        about: &About,
    ) -> Result<Response<Incoming>, Setback> {
        let https = self.https().map_err(|why| {
            about.invalid(format!(
                "no root certificates were found on this system: install its CA certificates: {why}"
            ))
        })?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let limit = self.settings.answer_timeout;
        match tokio::time::timeout(limit, https.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let perhaps_done = !never_sent(&error);
                Err(Setback::new(
                    about.transient(in_words(&error)),
                    perhaps_done,
                ))
            }
            Err(_) => {
                let said = format!("no answer began within {} ms", limit.as_millis());
                Err(Setback::new(about.transient(said), true))
            }
        }
    }

    /// Reads a body to its end.
    async fn read(&self, mut body: Incoming, longest: usize) -> Result<Bytes, Unread> {
        let mut whole = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(self.settings.stall_timeout, body.frame()).await;
            let frame = frame.map_err(|_| Unread::Torn(stalled(&self.settings)))?;
            let Some(frame) = frame else {
                return Ok(whole.freeze());
            };
            let frame = frame.map_err(|error| Unread::Torn(in_words(&error)))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > longest {
                    return Err(Unread::TooLong);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
}

const USER_AGENT: &str = concat!("sealift/", env!("CARGO_PKG_VERSION"));

/// Why a body was not read to its end.
enum Unread {
    Torn(String),
    TooLong,
}

pub(crate) fn stalled(settings: &Settings) -> String {
    let limit = settings.stall_timeout.as_millis();
    format!("the answer stalled: nothing came for {limit} ms")
}

/// Whether the request surely did not go out.
fn never_sent(error: &legacy::Error) -> bool {
    error.is_connect()
}

/// Nothing of the key is in it.
impl<C, E, K> fmt::Debug for Client<C, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

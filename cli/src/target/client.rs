//! One request, one answer: the HTTP client of the commands.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take to its end. A check takes half a minute if something is refused.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest answer: the longest page of destinations is far below.
const LONGEST_ANSWER: usize = 16 << 20;

const USER_AGENT: &str = concat!("sealift/", env!("CARGO_PKG_VERSION"));

/// A client for HTTP and HTTPS. It follows no redirect and repeats nothing.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    /// A client; it fails where the system has no root certificates.
    pub fn new() -> anyhow::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
            .context("no root certificates were found on this system: install its CA certificates")?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client })
    }

    /// Sends a request and reads its answer to the end, whatever its status says.
    pub async fn send(&self, mut request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
        let agent = header::HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let host = request.uri().authority().map(ToString::to_string);
        let host = host.unwrap_or_default();
        let whole = async {
            let answer = self.client.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!(error))?;
            anyhow::Ok(Response::from_parts(head, body.to_bytes()))
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, whole).await {
            Ok(answer) => answer.with_context(|| format!("{host} did not answer")),
            Err(_) => Err(anyhow!(
                "{host} did not answer within {} seconds",
                ANSWER_TIMEOUT.as_secs()
            )),
        }
    }
}

//! The listener: one address for S3 and STS, HTTP/1.1 as the SDKs speak it.
//!
//! Around the services it does what only the connection's owner can: it writes the request log, gives
//! every answer a request id, and carries out the faults that strike the connection itself.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::context::RequestContext;
use crate::faults::Effect;
use crate::s3::Service;
use crate::shared::Shared;
use crate::sts::{self, Route, SpeaksSts};

/// How long requests under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// How long a torn body waits, so that what was sent before has left the machine.
const TEAR_DELAY: Duration = Duration::from_millis(20);

/// A running listener.
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(listen: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let handler = Arc::new(Handler::new(shared));
        let accepting = tokio::spawn(accept(listener, handler, stopped));
        Ok(Self {
            address,
            stop,
            accepting,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, and waits for the requests that are under way.
    pub(crate) async fn stop(&mut self) {
        // Nobody listens if it has stopped by itself.
        let _ = self.stop.send(true);
        if let Err(error) = (&mut self.accepting).await {
            tracing::warn!(%error, "the embedded server did not stop in order");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its connections are dropped with the task that holds them.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&handler), stopped.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, as a rule: others must close theirs first.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is still there is dropped with the set.
    let _ = tokio::time::timeout(GRACE, drained).await;
}

async fn serve(stream: TcpStream, handler: Arc<Handler>, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection will be slow");
    }
    let service = service_fn(move |request| Arc::clone(&handler).answer(request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients leave without a word, and injected faults end here as well.
        tracing::debug!(%error, "a connection broke");
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed by an injected fault")]
struct Closed;

struct Handler {
    services: S3Service,
    shared: Arc<Shared>,
}

impl Handler {
    fn new(shared: Arc<Shared>) -> Self {
        let service = Service {
            shared: Arc::clone(&shared),
        };
        let mut builder = S3ServiceBuilder::new(service.clone());
        builder.set_auth(service.clone());
        builder.set_access(service);
        builder.set_route(Route {
            shared: Arc::clone(&shared),
        });
        Self {
            services: builder.build(),
            shared,
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Closed> {
        let (mut parts, body) = request.into_parts();
        let context = Arc::new(RequestContext::begin(&parts));
        parts.extensions.insert(Arc::clone(&context));
        let for_sts = sts::is_sts(&parts.method, &parts.uri);
        let response = self.perform(parts, body, for_sts).await;

        let mut record = context.record();
        let status = response.status();
        let effect = context.effect();
        if matches!(effect, Some(Effect::LoseReply | Effect::TearBefore)) {
            self.shared.log.record(record);
            return Err(Closed);
        }
        if !status.is_success() {
            record.error_code = error_code(response.body());
        }
        record.status = Some(status.as_u16());
        record.response_bytes = announced_length(&response);
        self.shared.log.record(record);
        let left = match effect {
            Some(Effect::TearBody { after }) => Some(after),
            _ => None,
        };
        Ok(response.map(|inner| ReplyBody {
            inner,
            left,
            tearing: None,
        }))
    }

    async fn perform(&self, parts: Parts, body: Incoming, for_sts: bool) -> Response<Body> {
        let request = Request::from_parts(parts, Body::from(body));
        let mut response = match self.services.call(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(?error, "the embedded services failed");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        let request_id = self.shared.request_id();
        if for_sts && response.extensions().get::<SpeaksSts>().is_none() {
            let said = response.body().bytes().unwrap_or_default();
            let (status, body) = sts::translate(response.status(), &said, &request_id);
            *response.status_mut() = status;
            *response.body_mut() = Body::from(Bytes::from(body));
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("text/xml"));
        }
        let name = if for_sts {
            "x-amzn-requestid"
        } else {
            "x-amz-request-id"
        };
        if let Ok(id) = HeaderValue::try_from(request_id) {
            response.headers_mut().entry(name).or_insert(id);
        }
        response
    }
}

/// The code in an error's body; empty if it has none.
fn error_code(body: &Body) -> String {
    let bytes = body.bytes().unwrap_or_default();
    sts::find(&String::from_utf8_lossy(&bytes), "Code").unwrap_or_default()
}

fn announced_length(response: &Response<Body>) -> u64 {
    let header = response.headers().get("content-length");
    let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    header
        .or_else(|| response.body().size_hint().exact())
        .unwrap_or(0)
}

/// An answer's body, which may break off on demand.
struct ReplyBody {
    inner: Body,
    /// Bytes until it is torn; `None` if it is not to be.
    left: Option<u64>,
    tearing: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl ReplyBody {
    fn tear(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let delay = || Box::pin(tokio::time::sleep(TEAR_DELAY));
        ready!(self.tearing.get_or_insert_with(delay).as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::other(Closed))))
    }
}

impl hyper::body::Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == Some(0) {
            return self.tear(cx);
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(io::Error::other)?;
        let Some(left) = self.left else {
            return Poll::Ready(Some(Ok(frame)));
        };
        let mut data = frame.into_data().unwrap_or_default();
        data.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.left = Some(left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX)));
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

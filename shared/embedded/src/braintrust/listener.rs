//! The data plane's listener: HTTP/1.1 on one address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::handler::Handler;

/// How long requests under way may take once the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// A running listener. It stops when it is dropped.
pub(crate) struct Listener {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// A port that is taken, before anything is answered on it.
pub(crate) struct Bound(TcpListener);

impl Bound {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub(crate) fn listen(self, handler: Arc<Handler>) -> Listener {
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(self.0, handler, stopped));
        Listener { stop, accepting }
    }
}

impl Listener {
    /// Stops accepting, and waits for the requests that are under way.
    pub(crate) async fn stop(&mut self) {
        // Nobody listens if it has stopped by itself.
        let _ = self.stop.send(true);
        if let Err(error) = (&mut self.accepting).await {
            tracing::warn!(%error, "the embedded data plane did not stop in order");
        }
    }
}

impl Drop for Listener {
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

//! A server that answers what a test tells it to, and keeps every request as it came.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, as tests do"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use sealift_braintrust::{ApiKey, ApiUrl, Client, FixedKey, Settings};
use sealift_testkit::{SeededEntropy, VirtualClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The key of all tests, which no error may show.
pub(crate) const KEY: &str = "sk-very-secret";

/// The client of most tests.
pub(crate) type TestClient = Client<VirtualClock, SeededEntropy, FixedKey>;

/// A clock on which every wait is over at once, and which can tell how long they were.
pub(crate) fn clock() -> VirtualClock {
    VirtualClock::auto("2026-03-01T12:00:00Z".parse().unwrap())
}

/// A client with the settings.
pub(crate) fn client_with(url: &str, clock: VirtualClock, settings: Settings) -> TestClient {
    let keys = FixedKey(ApiKey::parse(KEY).unwrap());
    let url = ApiUrl::parse(url).unwrap();
    Client::new(url, keys, clock, SeededEntropy::new(1), settings)
}

/// A client as it comes.
pub(crate) fn client(server: &Server) -> TestClient {
    client_with(server.url(), clock(), Settings::default())
}

/// A request as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) path: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// A header's value, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The query of a `POST /btql`.
    pub(crate) fn query(&self) -> String {
        self.json()["query"].as_str().unwrap().to_owned()
    }
}

/// How an answer's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// With its length.
    Announced,
    /// In chunks, one for each piece.
    Chunked,
    /// Until the connection is closed.
    Unannounced,
    /// With a greater length, and then the connection is closed.
    Torn,
    /// With a greater length, and then nothing comes.
    Stalled,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Closes the connection without a word.
    HangUp,
    /// Reads the request and never answers.
    Silence,
    /// Answers.
    Answer(Answer),
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<String>,
    way: Way,
}

impl Reply {
    /// A plain answer.
    pub(crate) fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer(Answer {
            status,
            headers: vec![("x-bt-internal-trace-id", "trace-1".to_owned())],
            pieces: vec![body.into()],
            way: Way::Announced,
        })
    }

    /// A good answer.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::answer(200, body.to_string())
    }

    /// A good answer whose body goes its own way.
    pub(crate) fn sent(way: Way, pieces: &[&str]) -> Self {
        let mut reply = Self::answer(200, "");
        if let Self::Answer(answer) = &mut reply {
            answer.way = way;
            answer.pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        }
        reply
    }

    /// The same answer with one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers.push((name, value.into()));
        }
        self
    }
}

/// The server. It ends with its value.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts on a free port. The function sees each request and the number of those before it.
    pub(crate) async fn start(
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let log = Arc::clone(&received);
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    // A client that goes away is none of the test's business.
                    let _ = serve(stream, &log, &*answer).await;
                });
            }
        });
        Self {
            url,
            received,
            task,
        }
    }

    /// Answers each request with the next of the replies, and with the last one ever after.
    pub(crate) async fn with(replies: Vec<Reply>) -> Self {
        Self::start(move |_, before| {
            let reply = replies.get(before).or(replies.last());
            reply.cloned().unwrap_or(Reply::HangUp)
        })
        .await
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Serves one request, and closes.
async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Received>>,
    answer: &(impl Fn(&Received, usize) -> Reply + Sync),
) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else {
        return Ok(());
    };
    let reply = {
        let mut log = log.lock().unwrap();
        let reply = answer(&request, log.len());
        log.push(request);
        reply
    };
    let answer = match reply {
        Reply::HangUp => return Ok(()),
        Reply::Silence => return std::future::pending().await,
        Reply::Answer(answer) => answer,
    };
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let length: usize = answer.pieces.iter().map(String::len).sum();
    let framing = match answer.way {
        Way::Announced => format!("content-length: {length}\r\n"),
        Way::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
        Way::Unannounced => String::new(),
        Way::Torn | Way::Stalled => format!("content-length: {}\r\n", length + 100),
    };
    stream
        .write_all(format!("{head}{framing}\r\n").as_bytes())
        .await?;
    for piece in &answer.pieces {
        let piece = match answer.way {
            Way::Chunked => format!("{:x}\r\n{piece}\r\n", piece.len()),
            _ => piece.clone(),
        };
        stream.write_all(piece.as_bytes()).await?;
    }
    match answer.way {
        Way::Chunked => stream.write_all(b"0\r\n\r\n").await?,
        Way::Stalled => std::future::pending().await,
        _ => {}
    }
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Received>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut first = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Received {
        method: first.next().unwrap_or_default(),
        path: first.next().unwrap_or_default(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}

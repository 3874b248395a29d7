//! An HTTP server that answers what a test tells it to, and keeps every request as it came
//! over the wire.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// `PUT`
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Received {
    /// A header's value, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The fields of a form, such as the body of a call to STS.
    pub fn form(&self) -> BTreeMap<String, String> {
        let body = String::from_utf8_lossy(&self.body);
        body.split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), percent_decoded(value)))
            .collect()
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Answer {
        /// The status.
        status: u16,
        /// Headers besides the length.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Closes the connection without a word.
    HangUp,
    /// Answers 200, announces more than it sends, and closes the connection.
    BreakOff,
}

impl Reply {
    /// A plain answer.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("x-amz-request-id", "REQ-1".to_owned())];
        let body = body.into();
        Self::Answer {
            status,
            headers,
            body,
        }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    /// S3's form of an error.
    pub fn s3_error(status: u16, code: &str) -> Self {
        Self::answer(
            status,
            format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>about {code}</Message></Error>"
            ),
        )
    }

    /// STS's form of an error.
    pub fn sts_error(status: u16, code: &str) -> Self {
        Self::answer(
            status,
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>about {code}</Message></Error><RequestId>STS-1</RequestId></ErrorResponse>"
            ),
        )
    }
}

/// The server. It ends with its value.
#[derive(Debug)]
pub struct Responder {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Responder {
    /// Starts on a free port. The function sees each request and the number of those before it.
    pub async fn start(
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
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
        Ok(Self {
            url,
            received,
            task,
        })
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received
            .lock()
            .map(|log| log.clone())
            .unwrap_or_default()
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
        let Ok(mut log) = log.lock() else {
            return Ok(());
        };
        let reply = answer(&request, log.len());
        log.push(request);
        reply
    };
    let text = match reply {
        Reply::HangUp => return Ok(()),
        Reply::BreakOff => concat!(
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\nlast-modified: Mon, 10 Jul 2023 11:00:00 GMT\r\n",
            "content-length: 100\r\nconnection: close\r\n\r\nonly this"
        )
        .to_owned(),
        Reply::Answer {
            status,
            headers,
            body,
        } => {
            let mut text = format!("HTTP/1.1 {status} X\r\n");
            for (name, value) in headers {
                let _ = write!(text, "{name}: {value}\r\n");
            }
            let _ = write!(
                text,
                "content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            text
        }
    };
    stream.write_all(text.as_bytes()).await?;
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
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    if headers.contains_key("expect") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Received {
        method: first.next().unwrap_or_default(),
        path: first.next().unwrap_or_default(),
        headers,
        body,
    }))
}

//! A `sealift serve` of its own, the program beside it, and plain HTTP.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program, with nothing of this environment that it would read.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealift"));
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") || name.starts_with("SEALIFT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program to its end: whether it succeeded, and all that it printed.
pub(crate) fn run(words: &[&str], input: &str) -> (bool, String) {
    let mut command = program();
    command.args(words).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may be over before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let all = [stdout, stderr].concat();
    (status.success(), String::from_utf8(all).unwrap())
}

/// A stack that is served on a folder.
pub(crate) struct Served {
    child: Child,
    data: PathBuf,
}

impl Served {
    /// Serves a folder, with events on their way as soon as the template allows.
    pub(crate) fn start(data: &Path) -> Self {
        let quick = ["BatchWindowSeconds=1", "FlushIntervalSeconds=1"];
        let child = program()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(quick.iter().flat_map(|value| ["--parameter", value]))
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(File::create(data.join("printed")).unwrap())
            .spawn()
            .unwrap();
        let mut served = Self {
            child,
            data: data.to_owned(),
        };
        wait_for("the end of what is printed at the start", || {
            assert_eq!(served.child.try_wait().unwrap(), None, "it has ended");
            served.printed().contains("Ctrl-C").then_some(())
        });
        served
    }

    /// What it has printed.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(self.data.join("printed")).unwrap()
    }

    /// The file by which others find it.
    pub(crate) fn sign(&self) -> PathBuf {
        self.data.join("serving.json")
    }

    /// A field of that file.
    fn told(&self, field: &str) -> String {
        let text = std::fs::read(self.sign()).unwrap();
        let told: Value = serde_json::from_slice(&text).unwrap();
        told[field].as_str().unwrap().to_owned()
    }

    /// Runs a command on its folder.
    pub(crate) fn run(&self, words: &[&str], input: &str) -> (bool, String) {
        let data = self.data.to_str().unwrap();
        run(&[words, &["--data", data]].concat(), input)
    }

    /// What a command prints that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, words: &[&str], input: &str) -> String {
        let (ok, printed) = self.run(words, input);
        assert!(ok, "{words:?}: {printed}");
        printed
    }

    /// What a command complains of that must fail.
    #[track_caller]
    pub(crate) fn failed(&self, words: &[&str], input: &str) -> String {
        let (ok, printed) = self.run(words, input);
        assert!(!ok, "{words:?}: {printed}");
        printed
    }

    /// A request with the operator's token: the status and the answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let token = self.told("token");
        self.call_as(Some(&token), method, path, body)
    }

    /// A request with a token, or without one.
    pub(crate) fn call_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let url = self.told("url");
        let host = url.strip_prefix("http://").unwrap();
        let body = body.to_string();
        let token = token.map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// The lines in a bucket, in the order of its objects' names.
    pub(crate) fn lines(&self, bucket: &str) -> Vec<Value> {
        let mut files = Vec::new();
        walk(&self.data.join("s3").join(bucket), &mut files);
        files.retain(|file| file.to_str().unwrap().ends_with(".jsonl.gz"));
        files.sort();
        let mut lines = Vec::new();
        for file in files {
            let mut text = String::new();
            let mut reader = MultiGzDecoder::new(File::open(file).unwrap());
            reader.read_to_string(&mut text).unwrap();
            lines.extend(text.lines().map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                line
            }));
        }
        lines
    }

    /// Ends it by a signal, and waits until it has ended.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        let kill = format!("kill -{signal} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
        wait_for("the end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below a folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(path),
        }
    }
}

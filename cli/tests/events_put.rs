//! `sealift events put` onto a bus of EventBridge's.
//!
//! CloudFormation and EventBridge are played by one server on this machine, which keeps what it was asked.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail where they stand, and take time and environment as they are"
)]

#[path = "destination/scene.rs"]
#[allow(dead_code, reason = "only the program is of use here, and no stack")]
mod scene;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use scene::{Ran, run};

const STACK: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>sealift</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>BusName</OutputKey><OutputValue>sealift-bus</OutputValue></member></Outputs>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;

/// How the bus answers an entry: nothing, or an error's code. It is told the number of the request and the entry.
type Says = fn(usize, &Value) -> Option<&'static str>;

struct Aws {
    url: String,
    /// The entries of each request.
    asked: Arc<Mutex<Vec<Vec<Value>>>>,
}

impl Aws {
    fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Vec<Value>>>>::default();
        let kept = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let body = read(&stream);
                let answer = if body.contains("DescribeStacks") {
                    STACK.to_owned()
                } else {
                    let request: Value = serde_json::from_str(&body).unwrap();
                    let entries = request["Entries"].as_array().unwrap().clone();
                    let mut asked = kept.lock().unwrap();
                    let results = entries.iter().map(|entry| match says(asked.len(), entry) {
                        None => json!({"EventId": "e-1"}),
                        Some(code) => json!({"ErrorCode": code, "ErrorMessage": "it is said"}),
                    });
                    let results: Vec<Value> = results.collect();
                    let failed = results.iter().filter(|one| one["EventId"].is_null());
                    let failed = failed.count();
                    asked.push(entries);
                    json!({"FailedEntryCount": failed, "Entries": results}).to_string()
                };
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{answer}").as_bytes());
            }
        });
        Self { url, asked }
    }

    fn put(&self, words: &[&str], input: &str) -> Ran {
        let variables = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "sEcReT"),
        ];
        let words = [&["events", "put"], words, &["--region", "eu-west-1"]].concat();
        run(&words, &variables, input)
    }
}

/// A request's body.
fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn event(number: u32) -> Value {
    json!({
        "id": number.to_string(),
        "created": "2026-05-12T23:48:21Z",
        "org_id": "acme",
        "event_type": "project.created",
    })
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    let line = |number| format!("{}\n", event(number));
    numbers.map(line).collect()
}

/// The events of a request, by their ids.
fn ids(entries: &[Value]) -> Vec<String> {
    let id = |entry: &Value| {
        let event: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    entries.iter().map(id).collect()
}

#[test]
fn a_gzip_file_goes_onto_the_stacks_bus_ten_at_a_time_and_what_is_throttled_is_sent_again_alone() {
    let aws = Aws::start(|request, entry| {
        let third = entry["Detail"].as_str().unwrap().contains(r#""id":"2""#);
        (request == 0 && third).then_some("ThrottlingException")
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&file).unwrap(), Compression::fast());
    gzip.write_all(lines(0..12).as_bytes()).unwrap();
    gzip.finish().unwrap();
    let told = aws.put(&[file.to_str().unwrap(), "--stack", "sealift"], "");
    assert!(told.done().contains("12 events are on the bus"));
    let asked = aws.asked.lock().unwrap();
    let sent: Vec<Vec<String>> = asked.iter().map(|request| ids(request)).collect();
    let numbers = |range: std::ops::Range<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(sent, [numbers(0..10), numbers(2..3), numbers(10..12)]);
    let first = &asked[0][0];
    assert_eq!(first["EventBusName"], "sealift-bus");
    assert_eq!(first["Source"], "platform");
    assert_eq!(first["Detail"], event(0).to_string());
}

#[test]
fn what_the_bus_refuses_is_counted_and_the_command_fails() {
    let aws = Aws::start(|_, entry| {
        let first = entry["Detail"].as_str().unwrap().contains(r#""id":"0""#);
        first.then_some("MalformedDetail")
    });
    let told = aws.put(&["-", "--bus", "mine"], &lines(0..3));
    assert!(told.out.contains("2 events are on the bus"), "{}", told.out);
    let error = told.failed();
    assert!(
        error.contains("did not take 1 of 3") && error.contains("MalformedDetail"),
        "{error}"
    );
    assert_eq!(aws.asked.lock().unwrap().len(), 1);
}

#[test]
fn raw_entries_keep_their_source_and_nothing_is_sent_if_one_cannot_be_used() {
    let aws = Aws::start(|_, _| None);
    let entry = |source: &str| {
        let detail = event(1).to_string();
        json!({"Source": source, "DetailType": "TOOL_CALL", "Detail": detail})
    };
    let put = ["-", "--raw", "--bus", "mine"];
    let ours = json!([entry("billing"), entry("sealift.control")]).to_string();
    let error = aws.put(&put, &ours).failed();
    assert!(
        error.contains("event 2") && error.contains("nothing was sent"),
        "{error}"
    );
    assert!(aws.asked.lock().unwrap().is_empty());
    let told = aws.put(&put, &json!([entry("billing")]).to_string());
    assert!(told.done().contains("1 event is on the bus"));
    let asked = aws.asked.lock().unwrap();
    assert_eq!(asked[0][0]["Source"], "billing");
    assert_eq!(asked[0][0]["DetailType"], "TOOL_CALL");
}

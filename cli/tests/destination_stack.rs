//! `--stack`: a deployed stack is found by its name, and asked by signed requests.
//!
//! CloudFormation and the stack's API are played by one server on this machine, which keeps what it was
//! asked.

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

use scene::{Ran, run};

/// What was asked: the head and the body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

struct Aws {
    url: String,
    asked: Asked,
}

impl Aws {
    /// CloudFormation answers with `cloudformation`, where `URL` stands for the API's address.
    fn start(status: &'static str, cloudformation: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let (kept, own) = (Arc::clone(&asked), url.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some((head, body)) = read(stream.as_ref().unwrap()) else {
                    continue;
                };
                let (status, answer) = if body.contains("DescribeStacks") {
                    (status, cloudformation.replace("URL", &own))
                } else {
                    ("200 OK", r#"{"objects":[],"has_more":false}"#.to_owned())
                };
                kept.lock().unwrap().push((head, body));
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream
                    .unwrap()
                    .write_all(format!("{head}{answer}").as_bytes());
            }
        });
        Self { url, asked }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let variables = [
            ("AWS_ENDPOINT_URL_CLOUDFORMATION", self.url.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "sEcReT"),
            ("AWS_SESSION_TOKEN", "session"),
        ];
        run(words, &variables, "")
    }
}

fn read(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

const STACK: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>sealift</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>OperatorApiUrl</OutputKey><OutputValue>URL</OutputValue></member></Outputs>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;

const DENIED: &str = r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::111111111111:user/me is not authorized</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"#;

#[test]
fn a_stack_is_looked_up_by_its_name_and_its_api_gets_signed_requests() {
    let aws = Aws::start("200 OK", STACK);
    let words = ["destination", "list", "--org", "acme", "--stack", "sealift"];
    let listed = aws
        .run(&[&words[..], &["--stack-region", "eu-west-1"]].concat())
        .done();
    assert!(listed.contains("acme has no destination"), "{listed}");
    let asked = aws.asked.lock().unwrap();
    let [(describe, form), (list, _)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert!(describe.starts_with("POST / HTTP/1.1\r\n"), "{describe}");
    assert_eq!(
        form,
        "Action=DescribeStacks&Version=2010-05-15&StackName=sealift"
    );
    let path = "GET /v1/organizations/acme/destinations?limit=100 HTTP/1.1\r\n";
    assert!(list.starts_with(path), "{list}");
    for (head, service, headers) in [
        (
            describe,
            "cloudformation",
            "content-type;host;x-amz-date;x-amz-security-token",
        ),
        (list, "execute-api", "host;x-amz-date;x-amz-security-token"),
    ] {
        let signed = head
            .lines()
            .find(|line| line.starts_with("authorization: "))
            .unwrap();
        let scope =
            format!("/eu-west-1/{service}/aws4_request, SignedHeaders={headers}, Signature=");
        assert!(
            signed.starts_with("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
                && signed.contains(&scope),
            "{signed}"
        );
        assert!(head.contains("x-amz-security-token: session"), "{head}");
        assert!(!head.contains("sEcReT"));
    }
}

#[test]
fn what_keeps_a_stack_from_being_found_is_said_by_every_command_that_takes_its_name() {
    let aws = Aws::start("403 Forbidden", DENIED);
    for words in [
        &["destination", "list", "--org", "acme"][..],
        &["export", "status"],
        &["projects", "status"],
        &["redrive"],
    ] {
        let error = aws.run(&[words, &["--stack", "sealift"]].concat()).failed();
        assert!(
            error.contains("cloudformation:DescribeStacks") && error.contains("request r-1"),
            "{words:?}: {error}"
        );
    }
    let aws = Aws::start("200 OK", STACK);
    for (words, output) in [
        (&["export", "status"][..], "StateBucketName"),
        (&["projects", "status"], "StateBucketName"),
        (&["redrive"], "LogBucketName"),
    ] {
        let error = aws.run(&[words, &["--stack", "sealift"]].concat()).failed();
        let named = format!("the stack sealift (CREATE_COMPLETE) has no output {output}");
        assert!(error.contains(&named), "{words:?}: {error}");
    }
}

#[test]
fn two_targets_at_once_are_refused() {
    for words in [
        &["export", "status", "--data", "x"][..],
        &["projects", "status", "--data", "x"],
        &["redrive", "--data", "x"],
        &["destination", "list", "--org", "acme", "--data", "x"],
        &[
            "destination",
            "list",
            "--org",
            "acme",
            "--api",
            "https://a.example",
        ],
    ] {
        let error = run(&[words, &["--stack", "sealift"]].concat(), &[], "").failed();
        assert!(error.contains("cannot be used with"), "{words:?}: {error}");
    }
}

//! A running data plane and a small client for it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use sealift_core::id::{OrgId, ProjectId, XactId};
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::Secret;
use sealift_testkit::{SeededEntropy, VirtualClock};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::contract;

pub(crate) const KEY: &str = "sk-test-key";
pub(crate) const ORG: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

pub(crate) struct World {
    pub(crate) plane: DataPlane,
    pub(crate) clock: VirtualClock,
    pub(crate) project: ProjectId,
}

/// An answer, or as much of it as came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) pieces: Vec<Bytes>,
    /// Whether the body broke off.
    pub(crate) broken: bool,
}

impl Answer {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn cursor(&self) -> Option<String> {
        self.header("x-bt-cursor").map(str::to_owned)
    }

    /// The message of an error in Braintrust's form.
    pub(crate) fn message(&self) -> String {
        let body = self.json();
        let message = body["Message"]
            .as_str()
            .unwrap_or_else(|| panic!("{self:?}"));
        let (said, remarks) = message.rsplit_once(" [user_email=").unwrap();
        assert!(remarks.contains("] [timestamp=17"), "{message}");
        said.to_owned()
    }

    /// The one field of each row of a `fmt=json` answer.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        assert_eq!(self.status, 200, "{self:?}");
        let body = self.json();
        let rows = body["data"].as_array().unwrap().iter();
        rows.map(|row| row[name].as_str().unwrap().to_owned())
            .collect()
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|options| options).await
    }

    pub(crate) async fn with(set: impl FnOnce(DataPlaneOptions) -> DataPlaneOptions) -> Self {
        let clock = VirtualClock::new("2026-05-13T00:00:00.5Z".parse().unwrap());
        let organization = Organization {
            id: OrgId::parse(ORG).unwrap(),
            name: "Acme".to_owned(),
        };
        let entropy = Arc::new(SeededEntropy::new(7));
        let options = DataPlaneOptions::new(
            organization,
            Secret::new(KEY),
            Arc::new(clock.clone()),
            entropy,
        );
        let plane = DataPlane::start(set(options)).await.unwrap();
        let project = plane.create_project("first").unwrap();
        Self {
            plane,
            clock,
            project,
        }
    }

    /// Loads rows of the given (id, transaction), each the only span of a trace.
    pub(crate) fn fill(&self, rows: &[(&str, u64)]) {
        for (id, xact) in rows {
            self.put(&json!({"id": id, "root_span_id": format!("t-{id}")}), *xact);
        }
    }

    pub(crate) fn put(&self, row: &Value, xact: u64) {
        let row = row.to_string();
        self.plane
            .upsert(&self.project, row.as_bytes(), XactId::new(xact))
            .unwrap();
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let kind = body
            .is_some()
            .then_some(("content-type", "application/json"));
        let bearer = format!("Bearer {KEY}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(kind);
        let text = body.as_deref().unwrap_or_default();
        let answer = self.send(method, path, &headers, text).await.unwrap();
        if answer.status == 200 {
            contract::check(method, path, text, &answer);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// Asks in SQL, for an answer of `fmt=json`.
    pub(crate) async fn sql(&self, query: &str) -> Answer {
        self.post("/btql", &json!({"query": query})).await
    }

    /// Asks in SQL, for an answer of `fmt=jsonl`.
    pub(crate) async fn lines(&self, query: &str) -> Answer {
        self.post("/btql", &json!({"query": query, "fmt": "jsonl"}))
            .await
    }

    /// `FROM project_logs('<the project>', shape => 'spans')`
    pub(crate) fn from(&self) -> String {
        format!("FROM project_logs('{}', shape => 'spans')", self.project)
    }

    /// A request as it is; an error if there is no answer at all.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, hyper::Error> {
        let address = self.plane.url().replace("http://", "");
        let stream = TcpStream::connect(&address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let response = sender.send_request(request.body(body).unwrap()).await?;
        let (parts, mut body) = response.into_parts();
        let mut answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            pieces: Vec::new(),
            broken: false,
        };
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => answer.pieces.extend(frame.into_data().ok()),
                Err(_) => answer.broken = true,
            }
        }
        Ok(answer)
    }

    /// Creates an automation that exports the project, and answers its id.
    pub(crate) async fn automation(&self, name: &str) -> String {
        let answer = self
            .post("/v1/project_automation", &self.export(name))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The body that creates an export of the project.
    pub(crate) fn export(&self, name: &str) -> Value {
        json!({
            "project_id": self.project.as_str(),
            "name": name,
            "config": {
                "event_type": "btql_export",
                "export_definition": {"type": "log_traces"},
                "export_path": "s3://bucket/braintrust/first",
                "format": "parquet",
                "interval_seconds": 3600,
                "credentials": {
                    "type": "aws_iam",
                    "role_arn": "arn:aws:iam::123456789012:role/exports",
                    "external_id": "suffix",
                },
            },
        })
    }

    /// All pages of a query that is to be continued by `OFFSET`, each as a list of ids.
    pub(crate) async fn pages(&self, query: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let offset = cursor.map(|cursor| format!(" OFFSET '{cursor}'"));
            let page = self
                .sql(&format!("{query}{}", offset.unwrap_or_default()))
                .await;
            pages.push(page.column("id"));
            cursor = page.cursor();
            assert_eq!(page.json()["cursor"].as_str(), cursor.as_deref());
            if cursor.is_none() {
                return pages;
            }
        }
    }
}

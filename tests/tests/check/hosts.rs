//! Which host is asked for a customer's bucket at an endpoint of its own, and that nobody is sent on to another.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use sealift_aws::CustomerSinks;
use sealift_aws::check::customer_checks;
use sealift_core::check::{CheckReport, Checks, Problem, Verdict};
use sealift_core::destination::Destination;
use sealift_core::id::{BucketName, ObjectKey};
use sealift_core::ports::{ObjectSink, Sinks};
use sealift_tests::responder::{Received, Reply, Responder};

use crate::endpoints::trusting;
use crate::scene::*;

const ENDPOINT: &str = "https://minio.example.com";

/// All names that are known lead to one server of this machine; the names that are asked for are kept.
#[derive(Debug, Clone)]
struct Names {
    server: String,
    known: fn(&str) -> bool,
    asked: Arc<Mutex<Vec<String>>>,
    inner: SharedHttpClient,
}

#[derive(Debug)]
struct Connector {
    names: Names,
    inner: SharedHttpConnector,
}

impl HttpClient for Names {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            names: self.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let authority = request.uri().split('/').nth(2).unwrap().to_owned();
        self.names.asked.lock().unwrap().push(authority.clone());
        if !(self.names.known)(&authority) {
            let error = ResolveDnsError::new(format!("{authority} has no address"));
            return HttpConnectorFuture::ready(Err(ConnectorError::io(error.into())));
        }
        let asked = format!("https://{authority}");
        let here = request.uri().replacen(&asked, &self.names.server, 1);
        request.set_uri(here).unwrap();
        self.inner.call(request)
    }
}

/// An endpoint at which some names are known.
struct World {
    server: Responder,
    names: Names,
}

impl World {
    async fn new(
        known: fn(&str) -> bool,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Responder::start(move |request, _| answer(request))
            .await
            .unwrap();
        let names = Names {
            server: server.url().to_owned(),
            known,
            asked: Arc::default(),
            inner: base().http_client().unwrap(),
        };
        Self { server, names }
    }

    fn sdk(&self) -> SdkConfig {
        let client = SharedHttpClient::new(self.names.clone());
        base().into_builder().http_client(client).build()
    }

    async fn check(&self, destination: &Destination) -> CheckReport {
        let options = trusting(destination);
        let checks = customer_checks(&self.sdk(), options, vault().await, clock());
        let report = checks.check(destination).await;
        assert_clean(&report);
        report
    }

    /// The last request that wrote: to which host, and to which path.
    fn last_write(&self) -> (String, String) {
        let asked = self.names.asked.lock().unwrap();
        let received = self.server.received();
        let put = received.iter().rfind(|request| request.method == "PUT");
        let path = put.unwrap().path.split('?').next().unwrap().to_owned();
        (asked.last().unwrap().clone(), path)
    }
}

fn named(bucket: &str, path_style: bool) -> Destination {
    let mut destination = at(ENDPOINT);
    destination.location.bucket = BucketName::parse(bucket).unwrap();
    destination.location.path_style = path_style;
    destination
}

#[tokio::test]
async fn a_bucket_is_a_label_of_the_endpoints_host_or_stands_in_the_path() {
    for bucket in [
        "acme-audit",
        "xn--acme",
        "1ab",
        "a--b",
        "com",
        "localhost",
        "169-254-169-254",
        "2130706433",
        "0x7f000001",
    ] {
        let world = World::new(|_| true, |_| Reply::answer(200, "")).await;
        let report = world.check(&named(bucket, false)).await;
        assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
        let (host, path) = world.last_write();
        assert_eq!(host, format!("{bucket}.minio.example.com"));
        assert_eq!(path, "/audit/_sealift-check.gz");
        world.check(&named(bucket, true)).await;
        let (host, path) = world.last_write();
        assert_eq!(host, "minio.example.com");
        assert_eq!(path, format!("/{bucket}/audit/_sealift-check.gz"));
    }
}

#[tokio::test]
async fn a_bucket_with_a_dot_stands_in_the_path_whatever_is_configured() {
    for bucket in ["acme.audit", "127.0.0.1.nip.io", "evil.example", "1.2"] {
        for path_style in [false, true] {
            let world = World::new(|_| true, |_| Reply::answer(200, "")).await;
            let report = world.check(&named(bucket, path_style)).await;
            assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
            let asked = world.names.asked.lock().unwrap().clone();
            assert!(
                asked.iter().all(|host| host == "minio.example.com"),
                "{asked:?}"
            );
            assert!(world.last_write().1.starts_with(&format!("/{bucket}/")));
        }
    }
}

#[tokio::test]
async fn deliveries_go_where_the_check_found_the_bucket() {
    let only_the_endpoint = |host: &str| host == "minio.example.com";
    let world = World::new(only_the_endpoint, |request| {
        match request.header("x-amz-checksum-sha256") {
            "" => Reply::answer(200, ""),
            _ => Reply::s3_error(501, "NotImplemented"),
        }
    })
    .await;
    let mut destination = named("acme-audit", false);
    let mut report = world.check(&destination).await;
    assert_eq!(
        (report.verdict, report.path_style, report.checksum),
        (Verdict::Healthy, Some(true), Some(false)),
        "{report:#?}"
    );
    report.apply(&mut destination);
    let sinks = CustomerSinks::new(world.sdk(), trusting(&destination), vault().await, clock());
    let sink = sinks
        .open(&destination, &destination.location)
        .await
        .unwrap();
    let key = ObjectKey::parse("audit/date=2023-07-10/1.jsonl.gz").unwrap();
    sink.put(&key, "events".into(), &[7; 32]).await.unwrap();
    let (host, path) = world.last_write();
    assert_eq!(host, "minio.example.com");
    assert!(path.starts_with("/acme-audit/audit/date"), "{path}");
    let put = world.server.received().pop().unwrap();
    assert_eq!(put.header("x-amz-checksum-sha256"), "");
    // What a customer's endpoint may not know is not asked of it.
    assert_eq!(put.header("if-none-match"), "");
    assert_eq!(put.header("if-match"), "");
}

#[tokio::test]
async fn no_redirect_of_an_endpoint_is_followed_and_the_check_says_so() {
    for status in [301, 302, 303, 307, 308] {
        for code in [None, Some("PermanentRedirect"), Some("TemporaryRedirect")] {
            let elsewhere = Responder::start(|_, _| Reply::answer(200, ""))
                .await
                .unwrap();
            let url = format!("{}/acme-audit/", elsewhere.url());
            let world = World::new(
                |_| true,
                move |_| {
                    let reply = match code {
                        None => Reply::answer(status, ""),
                        Some(code) => Reply::s3_error(status, code),
                    };
                    reply
                        .with("location", url.clone())
                        .with("x-amz-bucket-region", "eu-west-1")
                },
            )
            .await;
            let report = world.check(&named("acme-audit", true)).await;
            let told = format!("{status} {code:?} {report:#?}");
            assert!(elsewhere.received().is_empty(), "{told}");
            assert!(!world.server.received().is_empty());
            assert_eq!(report.problem, Some(Problem::Redirected), "{told}");
            assert!(report.cause.contains("follows nobody"), "{told}");
            assert!(report.advice.unwrap().what.contains("answers by itself"));
            let asked = world.names.asked.lock().unwrap();
            let own = |host: &String| host.ends_with("minio.example.com");
            assert!(asked.iter().all(own), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_bucket_of_aws_in_another_region_is_not_followed_there() {
    for status in [301, 307] {
        let elsewhere = Responder::start(|_, _| Reply::answer(200, ""))
            .await
            .unwrap();
        let url = elsewhere.url().to_owned();
        let aws = Responder::start(move |_, _| {
            Reply::s3_error(status, "PermanentRedirect")
                .with("location", url.clone())
                .with("x-amz-bucket-region", "ap-southeast-2")
        })
        .await
        .unwrap();
        let report = checks(options(aws.url())).await.check(&with_keys()).await;
        assert!(elsewhere.received().is_empty(), "{report:#?}");
        assert_eq!(report.problem, Some(Problem::WrongRegion), "{report:#?}");
        assert!(report.cause.contains("is in ap-southeast-2"));
    }
}

//! Endpoints that customers name: what they take, and what stands in the way to them.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use sealift_aws::check::customer_checks;
use sealift_aws::sinks::Options;
use sealift_core::check::{CheckReport, Checks, Problem, Verdict, Who};
use sealift_core::destination::Destination;
use sealift_tests::responder::{Received, Reply, Responder};
use tokio::net::TcpListener;

use crate::scene::*;

/// An operator who allows this endpoint, wherever it lies.
pub(crate) fn trusting(destination: &Destination) -> Options {
    Options {
        trusted_endpoints: destination.location.endpoint.iter().cloned().collect(),
        ..options("http://127.0.0.1:9")
    }
}

async fn checked(destination: &Destination, options: Options) -> CheckReport {
    let report = checks(options).await.check(destination).await;
    assert_clean(&report);
    report
}

#[tokio::test]
async fn an_endpoint_inside_our_network_is_refused_unless_the_operator_allows_it() {
    let inside = Responder::start(|_, _| Reply::answer(200, ""))
        .await
        .unwrap();
    let port = inside.url().rsplit(':').next().unwrap().to_owned();
    for host in [
        "127.0.0.1",
        "[::1]",
        "localhost",
        "127.1",
        "169.254.169.254",
    ] {
        let destination = at(&format!("https://{host}:{port}"));
        let report = checked(&destination, options(inside.url())).await;
        assert_eq!(
            report.problem,
            Some(Problem::NotPublic),
            "{host}: {report:#?}"
        );
        assert_eq!(report.verdict, Verdict::Failing);
        assert!(report.cause.contains("public internet"), "{}", report.cause);
    }
    assert!(inside.received().is_empty());
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let destination = at(&format!("https://127.0.0.1:{port}"));
    let report = checked(&destination, trusting(&destination)).await;
    assert_eq!(report.problem, Some(Problem::Unreachable), "{report:#?}");
    assert_eq!(report.verdict, Verdict::Failing);
    assert!(
        report.cause.contains("does not take connections"),
        "{}",
        report.cause
    );
    assert_eq!(report.advice.unwrap().who, Who::Customer);
}

#[tokio::test]
async fn an_endpoint_that_takes_connections_and_says_nothing_is_unknown() {
    // The beginning of a handshake is no request, and the server waits for the rest of one.
    let silent = Responder::start(|_, _| Reply::answer(200, ""))
        .await
        .unwrap();
    let destination = at(&silent.url().replace("http://", "https://"));
    let report = checked(&destination, trusting(&destination)).await;
    assert_eq!(report.problem, Some(Problem::NoAnswer), "{report:#?}");
    assert_eq!(report.verdict, Verdict::Unknown);
    assert!(report.cause.contains("timeout"), "{}", report.cause);
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_is_told_from_one_that_is_not_there() {
    let answers_at_once = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = answers_at_once.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = answers_at_once.accept().await {
            let mut hello = [0; 512];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let destination = at(&format!("https://127.0.0.1:{port}"));
    let report = checked(&destination, trusting(&destination)).await;
    serving.abort();
    assert_eq!(report.problem, Some(Problem::TlsFailed), "{report:#?}");
    assert_eq!(report.verdict, Verdict::Failing);
    assert!(
        report.cause.contains("no TLS session comes about"),
        "{}",
        report.cause
    );
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_in_the_handshake_fails_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let destination = at(&format!("https://127.0.0.1:{port}"));
    let report = checked(&destination, trusting(&destination)).await;
    serving.abort();
    assert_eq!(report.problem, Some(Problem::TlsFailed), "{report:#?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    // Nobody may ever have a name that ends so: RFC 2606.
    let destination = at("https://storage.nowhere.example");
    let report = checked(&destination, options("http://127.0.0.1:9")).await;
    assert_eq!(report.problem, Some(Problem::NoAddress), "{report:#?}");
}

/// Goes to `https://…` without TLS, for endpoints of this machine.
#[derive(Debug)]
struct Plain(SharedHttpClient);

#[derive(Debug)]
struct PlainConnector(SharedHttpConnector);

impl HttpClient for Plain {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(PlainConnector(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for PlainConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let plain = request.uri().replacen("https://", "http://", 1);
        request.set_uri(plain).unwrap();
        self.0.call(request)
    }
}

/// The report on an endpoint that answers so, as if it spoke TLS.
async fn at_endpoint(
    answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (CheckReport, Vec<Received>) {
    let endpoint = Responder::start(move |request, _| answer(request))
        .await
        .unwrap();
    let destination = at(&endpoint.url().replace("http://", "https://"));
    let base = base();
    let plain = SharedHttpClient::new(Plain(base.http_client().unwrap()));
    let base = base.into_builder().http_client(plain).build();
    let checks = customer_checks(&base, trusting(&destination), vault().await, clock());
    let report = checks.check(&destination).await;
    assert_clean(&report);
    (report, endpoint.received())
}

fn sends_checksum(request: &Received) -> bool {
    !request.header("x-amz-checksum-sha256").is_empty()
}

#[tokio::test]
async fn an_endpoint_that_takes_a_checksum_is_given_one_from_then_on() {
    let (report, received) = at_endpoint(|_| Reply::answer(200, "")).await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(report.checksum, Some(true));
    let puts: Vec<&Received> = received.iter().filter(|r| r.method == "PUT").collect();
    assert!(puts.len() == 1 && sends_checksum(puts[0]));
    assert_eq!(puts[0].header("x-amz-expected-bucket-owner"), "");
}

#[tokio::test]
async fn an_endpoint_that_refuses_a_checksum_gets_the_canary_without() {
    let (report, received) = at_endpoint(|request| match request.method.as_str() {
        "PUT" if sends_checksum(request) => Reply::s3_error(501, "NotImplemented"),
        _ => Reply::answer(200, ""),
    })
    .await;
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(report.checksum, Some(false));
    let puts: Vec<&Received> = received.iter().filter(|r| r.method == "PUT").collect();
    let [first, second] = puts[..] else {
        unreachable!("{puts:#?}")
    };
    assert!(sends_checksum(first) && !sends_checksum(second));
    assert_eq!(first.body, second.body);
}

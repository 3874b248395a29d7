//! Signatures that AWS asks for of requests that no SDK makes.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>; the computation
//! is the SDK's own.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use sealift_core::Timestamp;

/// What a signature is good for.
pub(super) struct Scope<'a> {
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
}

/// Signs a request with credentials: its method, path, query, headers and body.
pub(super) fn signed(
    mut request: Request<Bytes>,
    credentials: &Credentials,
    scope: &Scope<'_>,
) -> anyhow::Result<Request<Bytes>> {
    let identity = credentials.clone().into();
    let since = u64::try_from(scope.now.as_millisecond()).unwrap_or_default();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(since))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(request.body()),
    )?;
    let (instructions, _) = sign(signable, &params)
        .context("the request could not be signed")?
        .into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// The AWS credentials of the environment.
pub(super) async fn credentials(sdk: &SdkConfig) -> anyhow::Result<Credentials> {
    let hint = "no AWS credentials were found: sign in (`aws sso login`), or set AWS_PROFILE, or \
                AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let provider = sdk.credentials_provider().context(hint)?;
    provider.provide_credentials().await.context(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    fn example(token: Option<&str>) -> Credentials {
        let token = token.map(str::to_owned);
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIDEXAMPLE", secret, token, None, "test")
    }

    fn authorization(request: &Request<Bytes>) -> &str {
        request.headers()[header::AUTHORIZATION].to_str().unwrap()
    }

    /// Of AWS's own signing test suite, `get-vanilla`.
    #[test]
    fn the_signature_is_the_one_that_aws_documents() {
        let request = Request::get("https://example.amazonaws.com/")
            .body(Bytes::new())
            .unwrap();
        let scope = Scope {
            service: "service",
            region: "us-east-1",
            now: "2015-08-30T12:36:00Z".parse().unwrap(),
        };
        let signed = signed(request, &example(None), &scope).unwrap();
        assert_eq!(
            authorization(&signed),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn the_signature_covers_the_body_its_type_and_the_sessions_token_and_is_for_one_api() {
        let of = |body: &'static str| {
            let request = Request::post("https://a1.execute-api.eu-west-1.amazonaws.com/v1/a%40b")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Bytes::from_static(body.as_bytes()))
                .unwrap();
            let scope = Scope {
                service: "execute-api",
                region: "eu-west-1",
                now: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            };
            signed(request, &example(Some("session")), &scope).unwrap()
        };
        let request = of("{}");
        assert_eq!(request.headers()["x-amz-security-token"], "session");
        assert_eq!(request.headers()["x-amz-date"], "20260102T030405Z");
        let authorization = authorization(&request);
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/execute-api/\
                     aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
                     Signature=";
        assert!(authorization.starts_with(start), "{authorization}");
        assert_ne!(authorization, self::authorization(&of("[]")));
    }
}

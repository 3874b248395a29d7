//! Who may do what: every request passes here before anything is performed.
//!
//! In this order: the signature's key becomes a caller, a fault may strike, the caller's
//! policies must allow the operation's actions, the bucket must exist, and it must belong to the
//! caller's account. There are no bucket policies, so nobody gets into another account's
//! bucket except by a role there.
//!
//! Which actions an operation needs:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use std::sync::Arc;

use hyper::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

use super::Service;
use super::errors;
use super::store::Bucket;
use crate::context::{RequestContext, header, query};
use crate::faults::Target;
use crate::iam::{Answer, Caller, Context};

/// One permission that an operation needs.
#[derive(Debug, PartialEq, Eq)]
struct Need {
    action: &'static str,
    resource: String,
}

#[async_trait::async_trait]
impl S3Access for Service {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let context = context_of(cx.extensions_mut())?;
        let operation = cx.s3_op().name().to_owned();
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => ("", ""),
            S3Path::Bucket { bucket } => (bucket.as_ref(), ""),
            S3Path::Object { bucket, key } => (bucket.as_ref(), key.as_ref()),
        };
        context.name(&operation, bucket, key);

        let parameters = cx.uri().query().unwrap_or_default();
        check_scope(cx.headers(), parameters)?;
        let Some(credentials) = cx.credentials() else {
            return Err(errors::access_denied());
        };
        let access_key = &credentials.access_key;
        context.set_access_key(access_key);
        let token = session_token(cx.headers(), parameters);
        let now = self.shared.time.now();
        let caller = self.shared.iam.caller(access_key, token.as_deref(), now);
        let caller = Arc::new(caller.map_err(errors::refused)?);
        context.set_caller(&caller);

        let target = Target {
            operation: &operation,
            bucket,
            key,
        };
        if let Some(effect) = self.shared.strike(&context, &target).await {
            return Err(errors::injected(effect).unwrap_or_else(errors::access_denied));
        }
        let needs = needs(&operation, bucket, key, cx.headers())
            .ok_or_else(|| errors::not_implemented(&operation))?;
        let facts = facts(&caller, cx.headers(), parameters);
        for need in &needs {
            authorize(&caller, need.action, &need.resource, &facts)?;
        }
        if operation == "CreateBucket" {
            return Ok(());
        }
        let found = self
            .shared
            .store
            .bucket(bucket)
            .ok_or_else(errors::no_such_bucket)?;
        check_owner(
            &found,
            &caller,
            header(cx.headers(), "x-amz-expected-bucket-owner"),
        )
    }
}

/// The context that the server put into every request.
pub(super) fn context_of(extensions: &hyper::http::Extensions) -> S3Result<Arc<RequestContext>> {
    let context = extensions.get::<Arc<RequestContext>>();
    context.map(Arc::clone).ok_or_else(errors::access_denied)
}

pub(super) fn authorize(
    caller: &Caller,
    action: &str,
    resource: &str,
    facts: &Context,
) -> S3Result<()> {
    match caller.may(action, resource, facts) {
        Answer::Allowed => Ok(()),
        answer => Err(errors::not_authorized(
            caller.arn(),
            action,
            resource,
            &answer,
        )),
    }
}

/// Refuses a request that was signed for another service, or not by Signature Version 4.
fn check_scope(headers: &HeaderMap, parameters: &str) -> S3Result<()> {
    let scope = match header(headers, "authorization") {
        Some(authorization) => authorization.to_owned(),
        None => match parameter(parameters, "X-Amz-Credential") {
            Some(credential) => credential,
            None => return Ok(()),
        },
    };
    if scope.contains("/s3/aws4_request") {
        Ok(())
    } else {
        Err(s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header is malformed; the service must be s3 and the version 4"
        ))
    }
}

/// The session token that goes with temporary credentials.
pub(crate) fn session_token(headers: &HeaderMap, parameters: &str) -> Option<String> {
    header(headers, "x-amz-security-token")
        .map(str::to_owned)
        .or_else(|| parameter(parameters, "X-Amz-Security-Token"))
}

fn parameter(parameters: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(parameters.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

fn check_owner(bucket: &Bucket, caller: &Caller, expected: Option<&str>) -> S3Result<()> {
    if let Some(expected) = expected {
        if expected.len() != 12 || !expected.bytes().all(|b| b.is_ascii_digit()) {
            return Err(s3_error!(
                InvalidBucketOwnerAWSAccountID,
                "The value of the expected bucket owner parameter must be an AWS Account ID"
            ));
        }
        if expected != bucket.owner.as_str() {
            return Err(errors::access_denied());
        }
    }
    if caller.account() == bucket.owner.as_str() {
        Ok(())
    } else {
        Err(errors::access_denied())
    }
}

/// What an operation needs; `None` for one that is not implemented.
fn needs(operation: &str, bucket: &str, key: &str, headers: &HeaderMap) -> Option<Vec<Need>> {
    let on_bucket = |action| vec![Need::bucket(action, bucket)];
    let on_object = |action| vec![Need::object(action, bucket, key)];
    Some(match operation {
        "CreateBucket" => on_bucket("s3:CreateBucket"),
        "HeadBucket" | "ListObjectsV2" => on_bucket("s3:ListBucket"),
        "GetBucketLocation" => on_bucket("s3:GetBucketLocation"),
        "GetObject" | "HeadObject" => on_object("s3:GetObject"),
        "AbortMultipartUpload" => on_object("s3:AbortMultipartUpload"),
        "DeleteObject" => with_read(on_object("s3:DeleteObject"), bucket, key, headers),
        "UploadPart" => on_object("s3:PutObject"),
        "PutObject" | "CreateMultipartUpload" | "CompleteMultipartUpload" => {
            let mut needs = with_read(on_object("s3:PutObject"), bucket, key, headers);
            if headers.contains_key("x-amz-acl") {
                needs.push(Need::object("s3:PutObjectAcl", bucket, key));
            }
            if headers.contains_key("x-amz-tagging") {
                needs.push(Need::object("s3:PutObjectTagging", bucket, key));
            }
            if let Some(resource) = kms_key(headers) {
                needs.push(Need {
                    action: "kms:GenerateDataKey",
                    resource,
                });
            }
            needs
        }
        _ => return None,
    })
}

/// A condition on an ETag tells what the object is, so it needs the permission to read it.
///
/// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>
fn with_read(mut needs: Vec<Need>, bucket: &str, key: &str, headers: &HeaderMap) -> Vec<Need> {
    if headers.contains_key("if-match") {
        needs.push(Need::object("s3:GetObject", bucket, key));
    }
    needs
}

/// The customer's own KMS key that an object is to be encrypted with, if it is named in full.
fn kms_key(headers: &HeaderMap) -> Option<String> {
    let key = header(headers, "x-amz-server-side-encryption-aws-kms-key-id")?;
    key.starts_with("arn:").then(|| key.to_owned())
}

impl Need {
    fn bucket(action: &'static str, bucket: &str) -> Self {
        let resource = format!("arn:aws:s3:::{bucket}");
        Self { action, resource }
    }

    fn object(action: &'static str, bucket: &str, key: &str) -> Self {
        let resource = format!("arn:aws:s3:::{bucket}/{key}");
        Self { action, resource }
    }
}

/// What conditions may test of an S3 request.
///
/// Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>
fn facts(caller: &Caller, headers: &HeaderMap, parameters: &str) -> Context {
    const HEADERS: [(&str, &str); 7] = [
        ("x-amz-acl", "s3:x-amz-acl"),
        (
            "x-amz-server-side-encryption",
            "s3:x-amz-server-side-encryption",
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
        ),
        ("x-amz-storage-class", "s3:x-amz-storage-class"),
        ("x-amz-content-sha256", "s3:x-amz-content-sha256"),
        ("if-match", "s3:if-match"),
        ("if-none-match", "s3:if-none-match"),
    ];
    const PARAMETERS: [(&str, &str); 3] = [
        ("prefix", "s3:prefix"),
        ("delimiter", "s3:delimiter"),
        ("max-keys", "s3:max-keys"),
    ];
    let mut facts = caller.context();
    for (name, key) in HEADERS {
        if let Some(value) = header(headers, name) {
            facts = facts.with(key, value);
        }
    }
    let given = query(parameters);
    for (name, key) in PARAMETERS {
        if let Some(value) = given.get(name) {
            facts = facts.with(key, value.as_str());
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conditional_write_needs_the_permission_to_read() {
        let mut headers = HeaderMap::new();
        let actions = |headers: &HeaderMap| {
            let needs = needs("PutObject", "b", "k", headers).unwrap();
            needs.iter().map(|need| need.action).collect::<Vec<_>>()
        };
        headers.insert("if-none-match", "*".parse().unwrap());
        assert_eq!(actions(&headers), ["s3:PutObject"]);
        headers.insert("if-match", "\"e\"".parse().unwrap());
        assert_eq!(actions(&headers), ["s3:PutObject", "s3:GetObject"]);
    }

    #[test]
    fn an_object_under_a_customers_key_needs_that_key() {
        let key = "arn:aws:kms:eu-west-1:123456789012:key/1";
        let mut headers = HeaderMap::new();
        let name = "x-amz-server-side-encryption-aws-kms-key-id";
        headers.insert(name, key.parse().unwrap());
        let needs = needs("PutObject", "b", "k", &headers).unwrap();
        assert_eq!(needs.last().unwrap().resource, key);
        assert_eq!(needs.last().unwrap().action, "kms:GenerateDataKey");
    }
}

//! S3 and STS in one, that answer as a test tells them to, and the way into them.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use bytes::Bytes;
use jiff::Timestamp;
use sealift_aws::exports::{CustomerExport, CustomerUpload};
use sealift_aws::sinks::{AwsEndpoints, Options};
use sealift_aws::{CustomerExports, config};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, KeyPrefix, ObjectKey, OrgId, ProjectId, RoleArn};
use sealift_core::ports::{ExportPlace, ExportSink, ExportSinks, StoreError, Upload};
use sealift_core::reach::Allowed;
use sealift_testkit::VirtualClock;
use sealift_tests::responder::{Received, Reply, Responder};

pub(crate) const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
pub(crate) const CUSTOMER: &str = "arn:aws:iam::222222222222:role/bt/acme-export";
pub(crate) const EXTERNAL_ID: &str = "bt:acme:p1:0123456789abcdef";
pub(crate) const FUNCTION_SECRET: &str = "function-secret-9d2c";
pub(crate) const SESSION_SECRET: &str = "session-secret-77ab";
pub(crate) const KEY: &str = "bt/spans/2023-07-10/part-0001.parquet";

pub(crate) struct Scene {
    pub(crate) aws: Responder,
    pub(crate) clock: VirtualClock,
    pub(crate) exports: CustomerExports<VirtualClock>,
}

/// The function's own configuration. Tests of errors would wait for the SDK's pauses between its
/// tries, so it tries once.
pub(crate) fn base(url: Option<&str>) -> SdkConfig {
    let keys = Keys::new("FUNCTIONKEY", FUNCTION_SECRET, None, None, "test");
    let config = config::fixed("us-east-1", keys, url);
    config
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .build()
}

pub(crate) fn start() -> Timestamp {
    "2023-07-10T11:00:00Z".parse().unwrap()
}

pub(crate) fn place() -> ExportPlace {
    ExportPlace {
        organization: OrgId::parse("acme").unwrap(),
        project: ProjectId::parse("p1").unwrap(),
        role: RoleArn::parse(CUSTOMER).unwrap(),
        external_id: ExternalId::parse(EXTERNAL_ID).unwrap(),
        bucket: BucketName::parse("acme-export").unwrap(),
        prefix: KeyPrefix::parse("bt/").unwrap(),
        bucket_owner: AccountId::parse("333333333333").unwrap(),
    }
}

pub(crate) fn key() -> ObjectKey {
    ObjectKey::parse(KEY).unwrap()
}

impl Scene {
    pub(crate) async fn new(
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let aws = Responder::start(answer).await.unwrap();
        let clock = VirtualClock::auto(start());
        let options = Options {
            principal: Some(RoleArn::parse(PRINCIPAL).unwrap()),
            endpoints: AwsEndpoints {
                s3: Some(aws.url().to_owned()),
                sts: Some(aws.url().to_owned()),
                force_path_style: true,
            },
            trusted_endpoints: vec![],
            allowed: Allowed::default(),
        };
        let exports = CustomerExports::new(base(None), options, clock.clone());
        Self {
            aws,
            clock,
            exports,
        }
    }

    pub(crate) async fn open(&self) -> Result<CustomerExport, StoreError> {
        self.exports.open(&place()).await
    }

    pub(crate) async fn begin(&self) -> CustomerUpload {
        let sink = self.open().await.unwrap();
        sink.begin(&key(), "application/vnd.apache.parquet")
    }

    /// Writes an object, from the way in to its end.
    pub(crate) async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        let sink = self.open().await?;
        let mut upload = sink.begin(&key(), "application/vnd.apache.parquet");
        upload.write(bytes.into()).await?;
        upload.complete().await
    }

    /// The requests so far, each by its step.
    pub(crate) fn story(&self) -> Vec<String> {
        self.aws.received().iter().map(step).collect()
    }

    /// The requests so far of one step.
    pub(crate) fn all(&self, of: &str) -> Vec<Received> {
        let mut received = self.aws.received();
        received.retain(|request| step(request) == of);
        received
    }
}

/// A request's step: `principal`, `customer`, `head`, `put`, `create`, `part 1`, `join`, `abort`
/// or `delete`.
pub(crate) fn step(request: &Received) -> String {
    match request.form().get("RoleArn").map(String::as_str) {
        Some(PRINCIPAL) => return "principal".to_owned(),
        Some(_) => return "customer".to_owned(),
        None => {}
    }
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        let pairs = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(found, _)| *found == name)
    };
    let upload = parameter("uploadId").is_some();
    match (request.method.as_str(), parameter("partNumber")) {
        ("HEAD", _) => "head".to_owned(),
        ("PUT", Some((_, number))) => format!("part {number}"),
        ("PUT", None) => "put".to_owned(),
        ("POST", _) if upload => "join".to_owned(),
        ("POST", _) => "create".to_owned(),
        ("DELETE", _) if upload => "abort".to_owned(),
        (method, _) => method.to_lowercase(),
    }
}

/// STS gives sessions of an hour; S3 takes everything, in eu-central-1.
pub(crate) fn well(request: &Received, number: usize) -> Reply {
    let step = step(request);
    match step.as_str() {
        "principal" | "customer" => session(&step, number),
        "head" => Reply::answer(200, "").with("x-amz-bucket-region", "eu-central-1"),
        "create" => Reply::answer(
            200,
            "<InitiateMultipartUploadResult><UploadId>UPLOAD-1</UploadId></InitiateMultipartUploadResult>",
        ),
        "join" => Reply::answer(
            200,
            "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>",
        ),
        "abort" | "delete" => Reply::answer(204, ""),
        part => Reply::answer(200, "")
            .with("etag", format!("\"of {part}\""))
            .with(
                "x-amz-checksum-crc64nvme",
                request.header("x-amz-checksum-crc64nvme"),
            ),
    }
}

fn session(of: &str, number: usize) -> Reply {
    Reply::answer(
        200,
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <Credentials><AccessKeyId>KEY-{of}</AccessKeyId><SecretAccessKey>{SESSION_SECRET}</SecretAccessKey>\
             <SessionToken>TOKEN-{of}-{number}</SessionToken><Expiration>2023-07-10T12:00:00Z</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

/// [`well`], but for one step.
pub(crate) fn but(
    at: &'static str,
    reply: Reply,
) -> impl Fn(&Received, usize) -> Reply + Send + Sync + 'static {
    move |request, number| match step(request) == at {
        true => reply.clone(),
        false => well(request, number),
    }
}

/// Like [`but`], for the first request of the step alone.
pub(crate) fn but_once(
    at: &'static str,
    reply: Reply,
) -> impl Fn(&Received, usize) -> Reply + Send + Sync + 'static {
    let struck = std::sync::atomic::AtomicBool::new(false);
    move |request, number| {
        let strikes =
            step(request) == at && !struck.swap(true, std::sync::atomic::Ordering::Relaxed);
        match strikes {
            true => reply.clone(),
            false => well(request, number),
        }
    }
}

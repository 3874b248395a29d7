//! What the tests have in common.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials as Keys;
use jiff::Timestamp;
use sealift_aws::check::{CustomerChecks, customer_checks};
use sealift_aws::config;
use sealift_aws::sinks::{AwsEndpoints, Options};
use sealift_core::check::{CheckReport, Outcome, PolicyKind, Step};
use sealift_core::destination::{Credentials, Destination, Endpoint};
use sealift_core::id::RoleArn;
use sealift_core::reach::Allowed;
use sealift_core::vault::{AccessKeys, Vault};
use sealift_testkit::{MemoryVault, VirtualClock};

pub(crate) const PLATFORM: &str = "111111111111";
pub(crate) const TENANT: &str = "222222222222";
pub(crate) const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift-principal";
pub(crate) const ROLE: &str = "arn:aws:iam::222222222222:role/acme-audit";
pub(crate) const EXTERNAL_ID: &str =
    "f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6f3a1b2c4d5e6f7a8b9c0d1e2f3a4b5c6";
pub(crate) const USER_KEY: &str = "TENANTKEY";
pub(crate) const USER_SECRET: &str = "tenant-secret-3e1f";
pub(crate) const PLATFORM_SECRET: &str = "platform-secret-9d2c";

pub(crate) type TestChecks = CustomerChecks<MemoryVault, VirtualClock>;

pub(crate) fn with_role() -> Destination {
    let document = serde_json::json!({
        "id": "main", "organization": "acme", "status": "paused",
        "location": {"region": "us-east-1", "bucket": "acme-audit", "prefix": "audit/"},
        "credentials": {"type": "iam_role", "role_arn": ROLE, "external_id": EXTERNAL_ID},
    });
    serde_json::from_value(document).unwrap()
}

pub(crate) fn with_keys() -> Destination {
    Destination {
        credentials: Credentials::AccessKeys,
        ..with_role()
    }
}

pub(crate) fn at(endpoint: &str) -> Destination {
    let mut destination = with_keys();
    destination.location.endpoint = Some(Endpoint::parse(endpoint).unwrap());
    destination.location.path_style = true;
    destination
}

pub(crate) fn base() -> SdkConfig {
    let keys = Keys::new("PLATFORMKEY", PLATFORM_SECRET, None, None, "test");
    let config = config::fixed("us-east-1", keys, None);
    // Tests of errors would wait for the SDK's pauses between its tries.
    let config = config.into_builder().retry_config(RetryConfig::disabled());
    config.build()
}

/// AWS is at the URL.
pub(crate) fn options(url: &str) -> Options {
    Options {
        principal: Some(RoleArn::parse(PRINCIPAL).unwrap()),
        endpoints: AwsEndpoints {
            s3: Some(url.to_owned()),
            sts: Some(url.to_owned()),
            force_path_style: true,
        },
        trusted_endpoints: vec![],
        allowed: Allowed::default(),
    }
}

/// The vault, with the tenant's keys.
pub(crate) async fn vault() -> MemoryVault {
    let vault = MemoryVault::default();
    let keys = AccessKeys::parse(USER_KEY, USER_SECRET).unwrap();
    vault.put(&with_keys(), &keys).await.unwrap();
    vault
}

/// A clock on which no pause takes time.
pub(crate) fn clock() -> VirtualClock {
    VirtualClock::auto(Timestamp::UNIX_EPOCH)
}

pub(crate) async fn checks(options: Options) -> TestChecks {
    customer_checks(&base(), options, vault().await, clock())
}

pub(crate) fn outcome(report: &CheckReport, step: Step) -> Outcome {
    let row = report.matrix.iter().find(|row| row.step == step);
    row.unwrap().outcome
}

/// The one statement that mends, of the kind, in a policy of its own.
pub(crate) fn mended(report: &CheckReport, kind: PolicyKind) -> String {
    let [mend] = &report.mend[..] else {
        unreachable!("{report:#?}")
    };
    assert_eq!(mend.policy, kind);
    sealift_core::policy::Document::new([mend.statement.clone()]).to_string()
}

/// No secret is in a report; the ExternalId is in the statement that mends alone.
pub(crate) fn assert_clean(report: &CheckReport) {
    let mut told = report.clone();
    told.mend.clear();
    let texts = [
        serde_json::to_string(&told).unwrap(),
        format!("{report:?} {report:#?}"),
    ];
    for text in texts {
        for secret in [EXTERNAL_ID, USER_SECRET, PLATFORM_SECRET, "SESSIONSECRET"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

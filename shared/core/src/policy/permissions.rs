//! Permission policies: what a customer's role may do once it is assumed.
//!
//! [`least`] and [`export_least`] are what Sealift asks for. The `…_as_documented` forms are
//! those of the two public guides that customers may have followed already; they grant more than
//! is needed. [`session`] and [`export_session`] narrow each session, whatever its role may do.

mod exports;
mod onboarding;

pub use self::exports::{TEST_OBJECT, export_least, export_session, test_object};
pub use self::onboarding::{audit_under_prefix, export_with_key, nothing};

use super::{
    ActionElement, ActionPattern, Conditions, Document, Effect, List, Partition, ResourceElement,
    ResourcePattern, Statement,
};
use crate::destination::KmsKeyArn;
use crate::id::{BucketName, KeyPrefix};

/// The most characters that STS takes for a session policy.
///
/// Source: the parameter `Policy` in
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
pub const SESSION_POLICY_MAX: usize = 2048;

/// A session policy would be longer than STS takes, because its prefix is long and full of
/// characters that must be escaped. Somebody has to choose a simpler prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session policy for this prefix would have {length} characters, and STS takes \
     {SESSION_POLICY_MAX}: choose a shorter prefix, without `*`, `?`, `$` and letters beyond ASCII"
)]
pub struct SessionPolicyTooLong {
    /// The policy's characters.
    pub length: usize,
}

/// The least that the delivery of audit events needs: to put objects under the prefix, and,
/// where they are encrypted with a customer's own key, to have data keys made from it.
///
/// A single `PutObject` needs `kms:GenerateDataKey` and not `kms:Decrypt`, which only
/// multipart uploads and readers need:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>. So the
/// role can write what it cannot read.
pub fn least(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
    kms_key: Option<&KmsKeyArn>,
) -> Document {
    let write = allow(
        Some("SealiftWrite"),
        &["s3:PutObject"],
        [ResourcePattern::objects(partition, bucket, prefix)],
    );
    let encrypt = kms_key.and_then(|key| {
        let key = ResourcePattern::known(key.as_str());
        allow(Some("SealiftEncrypt"), &["kms:GenerateDataKey"], [key])
    });
    Document::new(write.into_iter().chain(encrypt))
}

/// The session policy that narrows an assumed session to one destination, whatever else its
/// role may do: the same as [`least`], and short enough for STS.
///
/// STS also packs it, together with session tags, into a binary form with a limit of its own,
/// which it does not publish; it answers `PackedPolicyTooLarge` then.
pub fn session(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
    kms_key: Option<&KmsKeyArn>,
) -> Result<Document, SessionPolicyTooLong> {
    within_limit(least(partition, bucket, prefix, kms_key))
}

/// A document that STS takes for a session policy.
fn within_limit(document: Document) -> Result<Document, SessionPolicyTooLong> {
    match document.to_string().len() {
        length if length > SESSION_POLICY_MAX => Err(SessionPolicyTooLong { length }),
        _ => Ok(document),
    }
}

/// What Braintrust's guide to wildcard ExternalIds gives an export role, under the prefix.
pub fn export_as_documented(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
) -> Document {
    let statement = allow(
        Some("BraintrustS3Export"),
        &[
            "s3:List*",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:PutObject",
            "s3:PutObjectAcl",
            "s3:AbortMultipartUpload",
        ],
        [
            ResourcePattern::bucket(partition, bucket),
            ResourcePattern::objects(partition, bucket, prefix),
        ],
    );
    Document::new(statement)
}

/// What Barndoor's guide to audit log export gives its role: `s3:PutObject` on every object,
/// `s3:ListBucket` and `s3:GetBucketLocation` on the bucket.
///
/// The guide's prose says so; its exact JSON is not public, so only the meaning is the same.
pub fn audit_as_documented(partition: Partition, bucket: &BucketName) -> Document {
    let anywhere = ResourcePattern::everything_in(partition, bucket);
    let write = allow(None, &["s3:PutObject"], [anywhere]);
    let look = allow(
        None,
        &["s3:ListBucket", "s3:GetBucketLocation"],
        [ResourcePattern::bucket(partition, bucket)],
    );
    Document::new(write.into_iter().chain(look))
}

/// `None` only if there are no actions or no resources.
fn allow(
    sid: Option<&str>,
    actions: &[&str],
    resources: impl IntoIterator<Item = ResourcePattern>,
) -> Option<Statement> {
    let actions = List::from_values(actions.iter().map(|action| ActionPattern::known(action)))?;
    let resources = List::from_values(resources)?;
    Some(Statement {
        sid: sid.map(str::to_owned),
        effect: Effect::Allow,
        principal: None,
        action: ActionElement::Action(actions),
        resource: Some(ResourceElement::Resource(resources)),
        condition: Conditions::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Context, Decision, Request, evaluate, evaluate_session};
    use proptest::prelude::*;

    fn bucket() -> BucketName {
        BucketName::parse("your-bucket").unwrap()
    }

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::normalize(text).unwrap()
    }

    fn key() -> KmsKeyArn {
        KmsKeyArn::parse(
            "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000",
        )
        .unwrap()
    }

    fn may(document: &Document, action: &str, resource: &str) -> bool {
        let context = Context::default();
        let request = Request::permission(action, resource, &context);
        evaluate([document], &request).unwrap().is_allowed()
    }

    #[test]
    fn an_export_roles_permissions_are_the_documented_ones() {
        let document = export_as_documented(Partition::Aws, &bucket(), &prefix("braintrust"));
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "BraintrustS3Export",
              "Effect": "Allow",
              "Action": [
                "s3:List*",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:PutObject",
                "s3:PutObjectAcl",
                "s3:AbortMultipartUpload"
              ],
              "Resource": [
                "arn:aws:s3:::your-bucket",
                "arn:aws:s3:::your-bucket/braintrust/*"
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn an_audit_roles_permissions_mean_what_the_guide_says() {
        let document = audit_as_documented(Partition::Aws, &bucket());
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Action": "s3:PutObject",
              "Resource": "arn:aws:s3:::your-bucket/*"
            },
            {
              "Effect": "Allow",
              "Action": [
                "s3:ListBucket",
                "s3:GetBucketLocation"
              ],
              "Resource": "arn:aws:s3:::your-bucket"
            }
          ]
        }
        "#);
        assert!(may(
            &document,
            "s3:PutObject",
            "arn:aws:s3:::your-bucket/a/b"
        ));
        assert!(may(&document, "s3:ListBucket", "arn:aws:s3:::your-bucket"));
        assert!(!may(
            &document,
            "s3:GetObject",
            "arn:aws:s3:::your-bucket/a/b"
        ));
    }

    #[test]
    fn the_least_is_to_put_and_with_a_key_to_encrypt() {
        let document = least(
            Partition::Aws,
            &bucket(),
            &prefix("audit-events"),
            Some(&key()),
        );
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "SealiftWrite",
              "Effect": "Allow",
              "Action": "s3:PutObject",
              "Resource": "arn:aws:s3:::your-bucket/audit-events/*"
            },
            {
              "Sid": "SealiftEncrypt",
              "Effect": "Allow",
              "Action": "kms:GenerateDataKey",
              "Resource": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000"
            }
          ]
        }
        "#);
        assert!(may(
            &document,
            "s3:PutObject",
            "arn:aws:s3:::your-bucket/audit-events/x"
        ));
        assert!(may(&document, "kms:GenerateDataKey", key().as_str()));
        for (action, resource) in [
            ("s3:PutObject", "arn:aws:s3:::your-bucket/audit-event"),
            ("s3:PutObject", "arn:aws:s3:::your-bucket-2/audit-events/x"),
            ("s3:GetObject", "arn:aws:s3:::your-bucket/audit-events/x"),
            ("s3:ListBucket", "arn:aws:s3:::your-bucket"),
            ("kms:Decrypt", key().as_str()),
        ] {
            assert!(!may(&document, action, resource), "{action} {resource}");
        }
    }

    #[test]
    fn special_characters_in_a_prefix_are_escaped() {
        let document = least(Partition::UsGov, &bucket(), &prefix("a*b?c$d"), None).to_string();
        let resource = "arn:aws-us-gov:s3:::your-bucket/a${*}b${?}c${$}d/*";
        assert!(document.contains(resource), "{document}");
    }

    #[test]
    fn a_session_is_narrowed_to_its_own_prefix_whatever_its_role_may() {
        let role = audit_as_documented(Partition::Aws, &bucket());
        let session = session(Partition::Aws, &bucket(), &prefix("t1"), None).unwrap();
        let context = Context::default();
        for (resource, expected) in [
            ("arn:aws:s3:::your-bucket/t1/x", Decision::Allowed),
            ("arn:aws:s3:::your-bucket/t2/x", Decision::DeniedImplicitly),
        ] {
            let request = Request::permission("s3:PutObject", resource, &context);
            assert_eq!(
                evaluate_session([&role], Some(&session), &request),
                Ok(expected)
            );
        }
    }

    #[test]
    fn a_session_policy_that_sts_would_not_take_is_an_error() {
        let long = prefix(&"*".repeat(511));
        let error = session(Partition::Aws, &bucket(), &long, None).unwrap_err();
        assert!(error.length > SESSION_POLICY_MAX, "{error}");
    }

    proptest! {
        #[test]
        fn a_session_policy_is_ascii_and_short_enough_or_refused(
            text in "[a-zA-Z0-9 ü*?$日🚢\"]{1,100}", with_key: bool,
        ) {
            let key = key();
            let key = with_key.then_some(&key);
            match session(Partition::UsGov, &bucket(), &prefix(&text), key) {
                Ok(document) => {
                    let json = document.to_string();
                    prop_assert!(json.is_ascii() && json.len() <= SESSION_POLICY_MAX);
                    let resource = format!("arn:aws-us-gov:s3:::your-bucket/{text}/key");
                    prop_assert!(may(&json.parse().unwrap(), "s3:PutObject", &resource));
                }
                Err(error) => prop_assert!(error.length > SESSION_POLICY_MAX),
            }
        }

        #[test]
        fn a_plain_prefix_of_any_length_fits(text in "[a-z0-9-]{1,511}") {
            let key = key();
            prop_assert!(session(Partition::UsGov, &bucket(), &prefix(&text), Some(&key)).is_ok());
        }
    }
}

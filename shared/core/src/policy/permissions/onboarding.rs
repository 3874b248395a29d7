//! What a customer is asked to allow when their account is set up.

use super::exports::use_of_key;
use super::{allow, least};
use crate::destination::KmsKeyArn;
use crate::id::{BucketName, KeyPrefix};
use crate::policy::{
    ActionElement, ActionPattern, Conditions, Document, Effect, List, Partition, ResourceElement,
    ResourcePattern, Statement,
};

/// What Barndoor's guide gives the role of an audit destination, kept to the prefix: to put
/// objects under it, and to look at the bucket; and, where they are encrypted with a customer's
/// own key, to have data keys made from it.
///
/// The guide grants the whole bucket ([`audit_as_documented`](super::audit_as_documented)), and
/// [`least`] does without a look at the bucket.
pub fn audit_under_prefix(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
    kms_key: Option<&KmsKeyArn>,
) -> Document {
    let mut document = least(partition, bucket, prefix, kms_key);
    let look = allow(
        Some("SealiftLook"),
        &["s3:ListBucket", "s3:GetBucketLocation"],
        [ResourcePattern::bucket(partition, bucket)],
    );
    document.statements.extend(look);
    document
}

/// A policy of exports, and the use of the customer's own key as well: what an upload in parts
/// needs of it.
#[must_use]
pub fn export_with_key(mut document: Document, kms_key: Option<&KmsKeyArn>) -> Document {
    document.statements.extend(use_of_key(kms_key));
    document
}

/// The session policy of a session that nobody is to use: whatever its role may do, it may do
/// nothing. For trying whether a role can be assumed.
pub fn nothing() -> Document {
    Document::new([Statement {
        sid: None,
        effect: Effect::Deny,
        principal: None,
        action: ActionElement::Action(List::one(ActionPattern::known("*"))),
        resource: Some(ResourceElement::Resource(List::one(
            ResourcePattern::known("*"),
        ))),
        condition: Conditions::default(),
    }])
}

#[cfg(test)]
mod tests {
    use super::super::export_as_documented;
    use super::*;
    use crate::policy::{Context, Decision, Request, evaluate, evaluate_session};

    fn bucket() -> BucketName {
        BucketName::parse("your-bucket").unwrap()
    }

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::normalize(text).unwrap()
    }

    fn key() -> KmsKeyArn {
        KmsKeyArn::parse("arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d").unwrap()
    }

    #[test]
    fn an_audit_role_looks_at_the_bucket_and_writes_below_the_prefix_alone() {
        let document =
            audit_under_prefix(Partition::Aws, &bucket(), &prefix("audit"), Some(&key()));
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "SealiftWrite",
              "Effect": "Allow",
              "Action": "s3:PutObject",
              "Resource": "arn:aws:s3:::your-bucket/audit/*"
            },
            {
              "Sid": "SealiftEncrypt",
              "Effect": "Allow",
              "Action": "kms:GenerateDataKey",
              "Resource": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d"
            },
            {
              "Sid": "SealiftLook",
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
    }

    #[test]
    fn a_key_is_added_to_the_documented_policy_and_nothing_without_one() {
        let documented = export_as_documented(Partition::Aws, &bucket(), &prefix("b"));
        assert_eq!(export_with_key(documented.clone(), None), documented);
        let with_key = export_with_key(documented.clone(), Some(&key()));
        assert_eq!(with_key.statements.len(), documented.statements.len() + 1);
        let (context, key) = (Context::default(), key());
        for (action, expected) in [
            ("kms:GenerateDataKey", true),
            ("kms:Decrypt", true),
            ("kms:Encrypt", false),
        ] {
            let request = Request::permission(action, key.as_str(), &context);
            let decision = evaluate([&with_key], &request).unwrap();
            assert_eq!(decision.is_allowed(), expected, "{action}");
        }
    }

    #[test]
    fn a_session_of_nothing_may_do_nothing_whatever_its_role_may() {
        let everything: Document =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#
                .parse()
                .unwrap();
        let context = Context::default();
        let request = Request::permission("s3:GetObject", "arn:aws:s3:::b/k", &context);
        assert_eq!(
            evaluate_session([&everything], Some(&nothing()), &request),
            Ok(Decision::DeniedExplicitly)
        );
    }
}

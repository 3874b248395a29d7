//! What the writing of exports needs: objects in parts, and one object for a test of the way in.

use super::{SessionPolicyTooLong, allow, within_limit};
use crate::destination::KmsKeyArn;
use crate::id::{BucketName, KeyPrefix, ObjectKey};
use crate::policy::{
    Comparison, Condition, Conditions, Document, List, Operator, Partition, ResourcePattern,
    Statement,
};

/// The name, below an export's prefix, of the object that a test of the way in writes and
/// deletes. It begins with `_`, so that Athena and Spark pass it over.
pub const TEST_OBJECT: &str = "_sealift-test.txt";

/// The key of the object that a test of the way in writes and deletes: the only one that an
/// export's session may delete.
///
/// ```
/// use sealift_core::id::KeyPrefix;
/// use sealift_core::policy::permissions::test_object;
/// let prefix = KeyPrefix::parse("braintrust/").unwrap();
/// assert_eq!(test_object(&prefix).as_str(), "braintrust/_sealift-test.txt");
/// ```
pub fn test_object(prefix: &KeyPrefix) -> ObjectKey {
    ObjectKey::of_known_form(format!("{prefix}{TEST_OBJECT}"))
}

/// The least that an export needs of its role: to put objects under the prefix, whole and in
/// parts, to give parts up, to delete the object of a test, and, where the bucket encrypts with
/// a customer's own key, to use that key.
///
/// Putting parts and joining them needs no more than `s3:PutObject`, and joining parts that are
/// encrypted needs `kms:Decrypt`, since S3 reads them to do it:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions>.
/// The bucket's region is found out without a permission:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>.
pub fn export_least(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
    kms_key: Option<&KmsKeyArn>,
) -> Document {
    let names = [Some("SealiftExport"), Some("SealiftTest")];
    Document::new(objects(names, partition, bucket, prefix).chain(use_of_key(kms_key)))
}

/// The statement about the customer's own key.
pub(super) fn use_of_key(kms_key: Option<&KmsKeyArn>) -> Option<Statement> {
    let key = ResourcePattern::known(kms_key?.as_str());
    allow(Some("SealiftEncrypt"), &USE_OF_KEYS, [key])
}

/// The session policy that narrows an assumed session to one export's prefix, whatever else its
/// role may do.
///
/// A bucket may encrypt by default with a key that nobody has told Sealift, so the session may
/// use every key that its role may use, but only through S3 (`kms:ViaService`): for the objects
/// that it may write, and for none that it may read, since it may read none. Some documents of
/// AWS give China's services a name that ends with `.cn`, and some do not, so both are let in
/// there.
///
/// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service>
pub fn export_session(
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
) -> Result<Document, SessionPolicyTooLong> {
    let mut services = vec!["s3.*.amazonaws.com".to_owned()];
    if partition == Partition::China {
        services.push("s3.*.amazonaws.com.cn".to_owned());
    }
    let through_s3 = List::from_values(services).map(|values| {
        Conditions::one(Condition {
            operator: Operator::plain(Comparison::StringLike),
            key: "kms:ViaService".to_owned(),
            values,
        })
    });
    let keys = ResourcePattern::known(&format!("arn:{partition}:kms:*:*:key/*"));
    let encrypt =
        allow(None, &USE_OF_KEYS, [keys])
            .zip(through_s3)
            .map(|(statement, condition)| Statement {
                condition,
                ..statement
            });
    let statements = objects([None, None], partition, bucket, prefix);
    within_limit(Document::new(statements.chain(encrypt)))
}

/// What an upload in parts needs of the key that encrypts it.
const USE_OF_KEYS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];

/// The statements about objects, with their names.
fn objects(
    [export, test]: [Option<&str>; 2],
    partition: Partition,
    bucket: &BucketName,
    prefix: &KeyPrefix,
) -> impl Iterator<Item = Statement> {
    let under = ResourcePattern::objects(partition, bucket, prefix);
    // The pattern ends with the `*` that stands for the rest of a key.
    let folder = under.as_str().strip_suffix('*').unwrap_or(under.as_str());
    let tested = ResourcePattern::known(&format!("{folder}{TEST_OBJECT}"));
    let write = allow(
        export,
        &["s3:PutObject", "s3:AbortMultipartUpload"],
        [under],
    );
    let delete = allow(test, &["s3:DeleteObject"], [tested]);
    write.into_iter().chain(delete)
}

#[cfg(test)]
mod tests {
    use super::super::{SESSION_POLICY_MAX, export_as_documented};
    use super::*;
    use crate::policy::{Context, Request, evaluate, evaluate_session};
    use proptest::prelude::*;

    const PARTITIONS: [Partition; 3] = [Partition::Aws, Partition::China, Partition::UsGov];

    fn bucket() -> BucketName {
        BucketName::parse("your-bucket").unwrap()
    }

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::normalize(text).unwrap()
    }

    fn key() -> KmsKeyArn {
        KmsKeyArn::parse("arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d").unwrap()
    }

    fn may(document: &Document, action: &str, resource: &str, via: Option<&str>) -> bool {
        let context = via.map(|service| Context::default().with("kms:ViaService", service));
        let context = context.unwrap_or_default();
        let request = Request::permission(action, resource, &context);
        evaluate([document], &request).unwrap().is_allowed()
    }

    #[test]
    fn the_least_of_an_export_is_to_put_to_give_up_and_to_delete_its_test() {
        let document = export_least(
            Partition::Aws,
            &bucket(),
            &prefix("braintrust"),
            Some(&key()),
        );
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Sid": "SealiftExport",
              "Effect": "Allow",
              "Action": [
                "s3:PutObject",
                "s3:AbortMultipartUpload"
              ],
              "Resource": "arn:aws:s3:::your-bucket/braintrust/*"
            },
            {
              "Sid": "SealiftTest",
              "Effect": "Allow",
              "Action": "s3:DeleteObject",
              "Resource": "arn:aws:s3:::your-bucket/braintrust/_sealift-test.txt"
            },
            {
              "Sid": "SealiftEncrypt",
              "Effect": "Allow",
              "Action": [
                "kms:GenerateDataKey",
                "kms:Decrypt"
              ],
              "Resource": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d"
            }
          ]
        }
        "#);
        let without_key = export_least(Partition::Aws, &bucket(), &prefix("braintrust"), None);
        assert_eq!(without_key.statements, document.statements[..2]);
    }

    #[test]
    fn a_session_writes_under_its_prefix_and_reads_and_deletes_no_data() {
        let session = export_session(Partition::Aws, &bucket(), &prefix("braintrust")).unwrap();
        let file = "arn:aws:s3:::your-bucket/braintrust/a/part.parquet";
        let tested = "arn:aws:s3:::your-bucket/braintrust/_sealift-test.txt";
        for (action, resource) in [
            ("s3:PutObject", file),
            ("s3:AbortMultipartUpload", file),
            ("s3:PutObject", tested),
            ("s3:DeleteObject", tested),
        ] {
            assert!(may(&session, action, resource, None), "{action} {resource}");
        }
        for (action, resource) in [
            ("s3:GetObject", file),
            ("s3:GetObject", tested),
            ("s3:DeleteObject", file),
            ("s3:DeleteObjectVersion", tested),
            ("s3:PutObjectAcl", file),
            ("s3:ListMultipartUploadParts", file),
            ("s3:ListBucket", "arn:aws:s3:::your-bucket"),
            ("s3:PutObject", "arn:aws:s3:::your-bucket/braintrus"),
            ("s3:PutObject", "arn:aws:s3:::your-bucket/other/x"),
            ("s3:PutObject", "arn:aws:s3:::your-bucket-2/braintrust/x"),
            (
                "s3:DeleteObject",
                "arn:aws:s3:::your-bucket/_sealift-test.txt",
            ),
        ] {
            assert!(
                !may(&session, action, resource, None),
                "{action} {resource}"
            );
        }
    }

    #[test]
    fn a_session_uses_any_key_but_through_s3_alone() {
        for (partition, service, expected) in [
            (Partition::Aws, Some("s3.eu-west-1.amazonaws.com"), true),
            (
                Partition::UsGov,
                Some("s3.us-gov-west-1.amazonaws.com"),
                true,
            ),
            (
                Partition::China,
                Some("s3.cn-north-1.amazonaws.com.cn"),
                true,
            ),
            (Partition::China, Some("s3.cn-north-1.amazonaws.com"), true),
            (Partition::Aws, Some("ec2.eu-west-1.amazonaws.com"), false),
            (
                Partition::Aws,
                Some("secretsmanager.eu-west-1.amazonaws.com"),
                false,
            ),
            (Partition::Aws, None, false),
        ] {
            let session = export_session(partition, &bucket(), &prefix("a")).unwrap();
            let key = format!("arn:{partition}:kms:eu-west-1:123456789012:key/0a1b2c3d");
            for action in USE_OF_KEYS {
                assert_eq!(
                    may(&session, action, &key, service),
                    expected,
                    "{service:?}"
                );
            }
            assert!(!may(&session, "kms:Encrypt", &key, service));
            let alias = key.replace(":key/", ":alias/");
            assert!(!may(&session, "kms:Decrypt", &alias, service));
        }
    }

    #[test]
    fn a_documented_role_lets_the_session_do_all_it_needs_and_it_does_no_more() {
        let role = export_as_documented(Partition::Aws, &bucket(), &prefix(""));
        let session = export_session(Partition::Aws, &bucket(), &prefix("t1")).unwrap();
        let context = Context::default();
        for (action, at, expected) in [
            ("s3:PutObject", "t1/x", true),
            ("s3:AbortMultipartUpload", "t1/x", true),
            ("s3:DeleteObject", "t1/_sealift-test.txt", true),
            ("s3:DeleteObject", "t1/x", false),
            ("s3:PutObject", "t2/x", false),
        ] {
            let resource = format!("arn:aws:s3:::your-bucket/{at}");
            let request = Request::permission(action, &resource, &context);
            let decision = evaluate_session([&role], Some(&session), &request).unwrap();
            assert_eq!(decision.is_allowed(), expected, "{action} {at}");
        }
    }

    #[test]
    fn a_test_object_fits_below_the_longest_prefix() {
        let prefix = prefix(&"p".repeat(511));
        let key = test_object(&prefix);
        assert_eq!(ObjectKey::parse(key.as_str()), Ok(key));
        assert_eq!(
            test_object(&KeyPrefix::parse("").unwrap()).as_str(),
            TEST_OBJECT
        );
    }

    proptest! {
        #[test]
        fn a_session_policy_is_short_enough_or_refused_and_lets_its_own_prefix_in(
            text in "[a-zA-Z0-9 ü*?$日🚢\"]{1,60}",
        ) {
            let prefix = prefix(&text);
            match export_session(Partition::Aws, &bucket(), &prefix) {
                Ok(document) => {
                    let json = document.to_string();
                    prop_assert!(json.is_ascii() && json.len() <= SESSION_POLICY_MAX);
                    let read: Document = json.parse().unwrap();
                    let resource = format!("arn:aws:s3:::your-bucket/{text}/key");
                    prop_assert!(may(&read, "s3:PutObject", &resource, None));
                    prop_assert!(!may(&read, "s3:DeleteObject", &resource, None));
                    let tested = format!("arn:aws:s3:::your-bucket/{}", test_object(&prefix));
                    prop_assert!(may(&read, "s3:DeleteObject", &tested, None));
                }
                Err(error) => prop_assert!(error.length > SESSION_POLICY_MAX),
            }
        }

        #[test]
        fn a_plain_prefix_of_any_length_fits_in_any_bucket(text in "[a-z0-9-]{1,511}", at in 0..3_usize) {
            let bucket = BucketName::parse("b".repeat(63)).unwrap();
            prop_assert!(export_session(PARTITIONS[at], &bucket, &prefix(&text)).is_ok());
        }
    }
}

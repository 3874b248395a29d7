//! AWS's own documented examples of bucket policies, and the answers that its text gives.

use super::documented::{on_bucket, read};
use super::{Caller, CannotEvaluate, Context, Decision, Document, Request, evaluate};
use Decision::{Allowed, DeniedExplicitly, DeniedImplicitly};

const SOMEONE: &str = "arn:aws:iam::111122223333:user/someone";
const OBJECT: &str = "arn:aws:s3:::DOC-EXAMPLE-BUCKET/key";

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html>: several
/// accounts with a condition, anonymous reading, a referer, full control for the owner.
#[test]
fn bucket_policies_name_accounts_and_conditions() {
    let accounts = read(
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"AddCannedAcl","Effect":"Allow",
            "Principal": {"AWS": ["arn:aws:iam::111122223333:root","arn:aws:iam::444455556666:root"]},
            "Action":["s3:PutObject","s3:PutObjectAcl"],
            "Resource":"arn:aws:s3:::DOC-EXAMPLE-BUCKET/*",
            "Condition":{"StringEquals":{"s3:x-amz-acl":["public-read"]}}}]}"#,
    );
    let public = Context::default().with("s3:x-amz-acl", "public-read");
    let private = Context::default().with("s3:x-amz-acl", "private");
    let stranger = "arn:aws:iam::123456789012:user/stranger";
    let ask = |caller, context| on_bucket(&accounts, caller, "s3:PutObject", OBJECT, context);
    assert_eq!(ask(SOMEONE, &public), Ok(Allowed));
    assert_eq!(ask(SOMEONE, &private), Ok(DeniedImplicitly));
    assert_eq!(ask(stranger, &public), Ok(DeniedImplicitly));

    let referer = read(
        r#"{"Version":"2012-10-17","Id":"http referer policy example","Statement":[
            {"Sid":"Allow get requests originating from www.example.com and example.com.",
             "Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],
             "Resource":"arn:aws:s3:::DOC-EXAMPLE-BUCKET/*",
             "Condition":{"StringLike":{"aws:Referer":["http://www.example.com/*","http://example.com/*"]}}}]}"#,
    );
    for (from, expected) in [
        ("http://www.example.com/page", Allowed),
        ("http://example.com.evil.test/page", DeniedImplicitly),
    ] {
        let context = Context::default().with("aws:Referer", from);
        let decision = on_bucket(&referer, stranger, "s3:GetObject", OBJECT, &context);
        assert_eq!(decision, Ok(expected), "{from}");
    }
}

/// "Adding a bucket policy to require MFA" on the same page, with its unquoted Boolean.
#[test]
fn a_null_condition_denies_without_mfa() {
    let document = read(
        r#"{"Version": "2012-10-17", "Id": "123", "Statement": [
            {"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
             "Resource": "arn:aws:s3:::DOC-EXAMPLE-BUCKET/taxdocuments/*",
             "Condition": { "Null": { "aws:MultiFactorAuthAge": true } }},
            {"Sid": "", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"],
             "Resource": "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*"}]}"#,
    );
    let without = Context::default();
    let with = Context::default().with("aws:MultiFactorAuthAge", "300");
    let tax = "arn:aws:s3:::DOC-EXAMPLE-BUCKET/taxdocuments/2023";
    let ask = |resource, context| on_bucket(&document, SOMEONE, "s3:GetObject", resource, context);
    assert_eq!(ask(tax, &without), Ok(DeniedExplicitly));
    assert_eq!(ask(tax, &with), Ok(Allowed));
    assert_eq!(ask(OBJECT, &without), Ok(Allowed));
}

/// "Granting permissions for Amazon S3 Inventory" on the same page: a service as principal,
/// two operators, two keys under one of them.
#[test]
fn every_condition_must_hold() {
    let document = read(
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"InventoryAndAnalyticsExamplePolicy",
            "Effect":"Allow","Principal": {"Service": "s3.amazonaws.com"},"Action":"s3:PutObject",
            "Resource":["arn:aws:s3:::destinationbucket/*"],
            "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::sourcebucket"},
                "StringEquals": {"aws:SourceAccount": "123456789012",
                                 "s3:x-amz-acl": "bucket-owner-full-control"}}}]}"#,
    );
    let service = Caller::service("s3.amazonaws.com");
    let full = [
        ("aws:SourceArn", "arn:aws:s3:::sourcebucket"),
        ("aws:SourceAccount", "123456789012"),
        ("s3:x-amz-acl", "bucket-owner-full-control"),
    ];
    for missing in [None, Some(0), Some(1), Some(2)] {
        let mut context = Context::default();
        for (index, (key, value)) in full.into_iter().enumerate() {
            if missing != Some(index) {
                context = context.with(key, value);
            }
        }
        let request = Request {
            caller: Some(&service),
            action: "s3:PutObject",
            resource: Some("arn:aws:s3:::destinationbucket/report"),
            context: &context,
        };
        let expected = if missing.is_none() {
            Allowed
        } else {
            DeniedImplicitly
        };
        assert_eq!(evaluate([&document], &request), Ok(expected), "{missing:?}");
    }
}

/// "Requiring server-side encryption" in
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>: a negated
/// operator also denies who leaves the header out.
#[test]
fn uploads_without_kms_are_denied() {
    let document = read(
        r#"{"Version":"2012-10-17","Id":"PutObjectPolicy","Statement":[{
            "Sid":"DenyUnEncryptedObjectUploads","Effect":"Deny","Principal":"*",
            "Action":"s3:PutObject","Resource":"arn:aws:s3:::DOC-EXAMPLE-BUCKET/*",
            "Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}]}"#,
    );
    let header = |value| Context::default().with("s3:x-amz-server-side-encryption", value);
    for (context, expected) in [
        (header("aws:kms"), DeniedImplicitly),
        (header("AES256"), DeniedExplicitly),
        (Context::default(), DeniedExplicitly),
    ] {
        let decision = on_bucket(&document, SOMEONE, "s3:PutObject", OBJECT, &context);
        assert_eq!(decision, Ok(expected));
    }
}

/// "Limiting access to specific IP addresses" among the bucket policies: not understood here,
/// so not answered either.
#[test]
fn an_address_condition_is_not_guessed_at() {
    let document = read(
        r#"{"Version": "2012-10-17", "Id": "S3PolicyId1", "Statement": [
            {"Sid": "IPAllow", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
             "Resource": ["arn:aws:s3:::DOC-EXAMPLE-BUCKET", "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*"],
             "Condition": {"NotIpAddress": {"aws:SourceIp": "54.240.143.0/24"}}}]}"#,
    );
    let context = Context::default().with("aws:SourceIp", "54.240.143.1");
    assert_eq!(
        on_bucket(&document, SOMEONE, "s3:GetObject", OBJECT, &context),
        Err(CannotEvaluate::Operator("NotIpAddress".to_owned()))
    );
}

/// The Storage Lens example among the bucket policies repeats a key, which the grammar forbids.
/// A reader that keeps the last one would lose two conditions.
#[test]
fn an_example_that_repeats_a_key_is_refused() {
    let json = r#"{"Version": "2012-10-17", "Statement": [{
        "Sid": "S3StorageLensExamplePolicy", "Effect": "Allow",
        "Principal": {"Service": ["storage-lens.s3.amazonaws.com"]}, "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::destination-bucket/destination-prefix/StorageLens/111122223333/*",
        "Condition": {
            "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"},
            "StringEquals": {"aws:SourceAccount": "111122223333"}}}]}"#;
    let error = json.parse::<Document>().unwrap_err();
    assert!(
        error.to_string().contains("`StringEquals` stands twice"),
        "{error}"
    );
}

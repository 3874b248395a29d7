//! AWS's own documented examples, and the answers that its text gives to them.

use super::{Caller, CannotEvaluate, Context, Decision, Document, Request, evaluate};
use Decision::{Allowed, DeniedExplicitly, DeniedImplicitly};

pub(super) fn read(json: &str) -> Document {
    json.parse().unwrap()
}

fn permission(document: &Document, action: &str, resource: &str, context: &Context) -> Decision {
    evaluate([document], &Request::permission(action, resource, context)).unwrap()
}

pub(super) fn on_bucket(
    document: &Document,
    caller: &str,
    action: &str,
    resource: &str,
    context: &Context,
) -> Result<Decision, CannotEvaluate> {
    let caller = Caller::parse_arn(caller).unwrap();
    let request = Request {
        caller: Some(&caller),
        action,
        resource: Some(resource),
        context,
    };
    evaluate([document], &request)
}

/// "Example identity-based and resource-based policy evaluation" in
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
#[test]
fn carlos_may_use_his_bucket_and_no_logs() {
    let identity = read(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Sid": "AllowS3ListRead", "Effect": "Allow",
             "Action": ["s3:GetBucketLocation", "s3:GetAccountPublicAccessBlock",
                        "s3:ListAccessPoints", "s3:ListAllMyBuckets"],
             "Resource": "arn:aws:s3:::*"},
            {"Sid": "AllowS3Self", "Effect": "Allow", "Action": "s3:*",
             "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"]},
            {"Sid": "DenyS3Logs", "Effect": "Deny", "Action": "s3:*",
             "Resource": "arn:aws:s3:::*log*"}]}"#,
    );
    let nothing = Context::default();
    for (action, resource, expected) in [
        (
            "s3:PutObject",
            "arn:aws:s3:::carlossalazar-logs/file",
            DeniedExplicitly,
        ),
        ("s3:PutObject", "arn:aws:s3:::carlossalazar/file", Allowed),
        ("s3:GetBucketLocation", "arn:aws:s3:::another", Allowed),
        (
            "s3:PutObject",
            "arn:aws:s3:::another/file",
            DeniedImplicitly,
        ),
    ] {
        assert_eq!(
            permission(&identity, action, resource, &nothing),
            expected,
            "{resource}"
        );
    }

    let bucket = read(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:user/carlossalazar"},
             "Action": "s3:*",
             "Resource": ["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"]}]}"#,
    );
    for (user, expected) in [("carlossalazar", Allowed), ("carlos", DeniedImplicitly)] {
        let caller = format!("arn:aws:iam::123456789012:user/{user}");
        let file = "arn:aws:s3:::carlossalazar/file";
        assert_eq!(
            on_bucket(&bucket, &caller, "s3:PutObject", file, &nothing),
            Ok(expected)
        );
    }
}

/// "The difference between explicit and implicit denies" on the same page.
#[test]
fn reports_are_denied_explicitly_and_creation_implicitly() {
    let document = read(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Sid": "AllowGetList", "Effect": "Allow", "Action": ["iam:Get*", "iam:List*"], "Resource": "*"},
            {"Sid": "DenyReports", "Effect": "Deny", "Action": "iam:*Report", "Resource": "*"}]}"#,
    );
    let nothing = Context::default();
    let role = "arn:aws:iam::123456789012:role/r";
    for (action, expected) in [
        ("iam:GetRole", Allowed),
        ("iam:CreatePolicy", DeniedImplicitly),
        ("iam:GetOrganizationsAccessReport", DeniedExplicitly),
        ("iam:GenerateCredentialReport", DeniedExplicitly),
    ] {
        assert_eq!(
            permission(&document, action, role, &nothing),
            expected,
            "{action}"
        );
    }
}

/// The example of the confused deputy in
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-user_externalid.html>,
/// with 123456789012 for Example Corp's account.
#[test]
fn the_deputy_is_not_confused() {
    let trust = read(
        r#"{"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "123456789012"},
            "Condition": {"StringEquals": {"sts:ExternalId": "12345"}}}}"#,
    );
    for (account, id, expected) in [
        ("123456789012", Some("12345"), Allowed),
        ("123456789012", Some("67890"), DeniedImplicitly),
        ("123456789012", None, DeniedImplicitly),
        ("999999999999", Some("12345"), DeniedImplicitly),
    ] {
        let caller = Caller::parse_arn(&format!("arn:aws:iam::{account}:role/monitor")).unwrap();
        let id = id.map(|id| crate::external_id::ExternalId::parse(id).unwrap());
        let context = Context::assuming(id.as_ref());
        let decision = evaluate([&trust], &Request::assume_role(&caller, &context));
        assert_eq!(decision, Ok(expected), "{account} {id:?}");
    }
}

/// The wildcards of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html>
/// and <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
#[test]
fn wildcards_in_actions_and_resources() {
    let nothing = Context::default();
    let user = "arn:aws:iam::123456789012:user/accounting/bob";
    let with_action = |action: &str| {
        read(&format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*"}}}}"#
        ))
    };
    let keys = with_action("iam:*AccessKey*");
    for action in [
        "CreateAccessKey",
        "DeleteAccessKey",
        "ListAccessKeys",
        "UpdateAccessKey",
    ] {
        assert_eq!(
            permission(&keys, &format!("iam:{action}"), user, &nothing),
            Allowed
        );
    }
    assert_eq!(
        permission(&keys, "iam:CreateUser", user, &nothing),
        DeniedImplicitly
    );
    let lower = with_action("iam:listaccesskeys");
    assert_eq!(
        permission(&lower, "IAM:ListAccessKeys", user, &nothing),
        Allowed
    );

    let with_resource = |resource: &str| {
        read(&format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"{resource}"}}}}"#
        ))
    };
    let accounting = with_resource("arn:aws:iam::123456789012:user/accounting/*");
    assert_eq!(
        permission(&accounting, "iam:GetUser", user, &nothing),
        Allowed
    );
    let other = "arn:aws:iam::123456789012:user/bob";
    assert_eq!(
        permission(&accounting, "iam:GetUser", other, &nothing),
        DeniedImplicitly
    );

    // The page lists what `/*/test/*` covers, slashes and all.
    let objects = with_resource("arn:aws:s3:::amzn-s3-demo-bucket/*/test/*");
    for (key, expected) in [
        ("1/test/object.jpg", Allowed),
        ("1/2/test/3/object.jpg", Allowed),
        ("1///test///object.jpg", Allowed),
        ("1/test/.jpg", Allowed),
        ("/test/object.jpg", Allowed),
        ("1/test/", Allowed),
        ("1-test/object.jpg", DeniedImplicitly),
        ("test/object.jpg", DeniedImplicitly),
    ] {
        let resource = format!("arn:aws:s3:::amzn-s3-demo-bucket/{key}");
        assert_eq!(
            permission(&objects, "s3:GetObject", &resource, &nothing),
            expected,
            "{key}"
        );
    }
}

/// The home directories of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
#[test]
fn a_user_lists_and_uses_the_own_home_alone() {
    let document = read(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets", "s3:GetBucketLocation"],
             "Resource": "arn:aws:s3:::*"},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::BUCKET-NAME",
             "Condition": {"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/"]}}},
            {"Effect": "Allow", "Action": "s3:*",
             "Resource": ["arn:aws:s3:::BUCKET-NAME/home/${aws:username}",
                          "arn:aws:s3:::BUCKET-NAME/home/${aws:username}/*"]}]}"#,
    );
    let adele = Context::default().with("aws:username", "adele");
    for (prefix, expected) in [
        ("", Allowed),
        ("home/", Allowed),
        ("home/adele/", Allowed),
        ("home/david/", DeniedImplicitly),
    ] {
        let context = adele.clone().with("s3:prefix", prefix);
        let bucket = "arn:aws:s3:::BUCKET-NAME";
        assert_eq!(
            permission(&document, "s3:ListBucket", bucket, &context),
            expected,
            "{prefix}"
        );
    }
    for (home, expected) in [("adele", Allowed), ("david", DeniedImplicitly)] {
        let resource = format!("arn:aws:s3:::BUCKET-NAME/home/{home}/file");
        assert_eq!(
            permission(&document, "s3:PutObject", &resource, &adele),
            expected,
            "{home}"
        );
    }
}

/// "Using IfExists" on the same page: the first policy does not work, the second does.
#[test]
fn if_exists_lets_what_lacks_the_key_pass() {
    let with_operator = |operator: &str| {
        read(&format!(
            r#"{{"Version": "2012-10-17", "Statement": {{
                "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*",
                "Condition": {{"{operator}": {{"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}}}}}}}}"#
        ))
    };
    let image = Context::default();
    let small = Context::default().with("ec2:InstanceType", "t2.micro");
    let large = Context::default().with("ec2:InstanceType", "p5.48xlarge");
    let ask = |operator, context| {
        let resource = "arn:aws:ec2:us-east-1:123456789012:instance/*";
        permission(
            &with_operator(operator),
            "ec2:RunInstances",
            resource,
            context,
        )
    };
    assert_eq!(ask("StringLike", &image), DeniedImplicitly);
    assert_eq!(ask("StringLikeIfExists", &image), Allowed);
    assert_eq!(ask("StringLikeIfExists", &small), Allowed);
    assert_eq!(ask("StringLikeIfExists", &large), DeniedImplicitly);
}

/// The set operators of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>,
/// with the service's name before the action, which the page left out.
#[test]
fn requested_attributes_are_sets() {
    let table = "arn:aws:dynamodb:us-east-1:123456789012:table/Thread";
    let requested = |attributes: &[&str]| {
        Context::default().with_values("dynamodb:requestedAttributes", attributes.iter().copied())
    };
    let allow = read(
        r#"{"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "dynamodb:GetItem",
            "Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/Thread",
            "Condition": {"ForAllValues:StringLike": {"dynamodb:requestedAttributes":
                ["PostDateTime", "Message", "Tags"]}}}]}"#,
    );
    for (attributes, expected) in [
        (&["PostDateTime", "Message"][..], Allowed),
        (&["PostDateTime", "UserName"], DeniedImplicitly),
        (&[], Allowed),
    ] {
        let context = requested(attributes);
        assert_eq!(
            permission(&allow, "dynamodb:GetItem", table, &context),
            expected
        );
    }
    let deny = read(
        r#"{"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Action": "dynamodb:PutItem",
            "Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/Thread",
            "Condition": {"ForAnyValue:StringLike": {"dynamodb:requestedAttributes":
                ["ID", "PostDateTime"]}}}]}"#,
    );
    for (attributes, expected) in [
        (
            &["UserName", "Message", "PostDateTime"][..],
            DeniedExplicitly,
        ),
        (&["UserName"], DeniedImplicitly),
        (&[], DeniedImplicitly),
    ] {
        let context = requested(attributes);
        assert_eq!(
            permission(&deny, "dynamodb:PutItem", table, &context),
            expected
        );
    }
}

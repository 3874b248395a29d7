use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use jiff::SignedDuration;
use sealift_embedded::Embedded;
use sealift_embedded::iam::{IamError, Secret, User};

use crate::support::{
    CUSTOMER, World, account, credentials, failed, failure, get, is, put, role, s3, sts,
};

const PRINCIPAL: &str = "arn:aws:iam::111111111111:role/sealift";
const TENANT: &str = "arn:aws:iam::222222222222:role/sealift-export";

const WRITE_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Action":["s3:PutObject","s3:GetObject","s3:ListBucket"],
    "Resource":["arn:aws:s3:::customer","arn:aws:s3:::customer/*"]}]}"#;

fn trust(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},
            "Action":"sts:AssumeRole","Condition":{{{condition}}}}}]}}"#
    )
}

fn external_id(pattern: &str) -> String {
    format!(r#""StringLike":{{"sts:ExternalId":"{pattern}"}}"#)
}

/// The platform's principal role, and a tenant's role that trusts the platform's account.
async fn world() -> World {
    let world = World::start().await;
    let iam = world.aws.iam();
    let assume = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/sealift-*"}]}"#;
    let own = trust("arn:aws:iam::111111111111:root", "");
    iam.create_role(&role(PRINCIPAL), &own, &[("assume", assume)])
        .unwrap();
    let tenants = trust("arn:aws:iam::111111111111:root", &external_id("bt:org-1:*"));
    iam.create_role(&role(TENANT), &tenants, &[("write", WRITE_ALL)])
        .unwrap();
    world
}

fn session(aws: &Embedded, assumed: &AssumeRoleOutput) -> aws_sdk_s3::Client {
    s3(aws, session_credentials(assumed))
}

fn session_credentials(assumed: &AssumeRoleOutput) -> aws_credential_types::Credentials {
    let given = assumed.credentials().unwrap();
    credentials(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token()),
    )
}

async fn assume(client: &aws_sdk_sts::Client, arn: &str, external_id: &str) -> AssumeRoleOutput {
    let assume = client.assume_role().role_arn(arn).role_session_name("t-1");
    assume.external_id(external_id).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_opens_to_the_right_external_id_and_to_no_other() {
    let world = world().await;
    let client = world.sts();
    let ask = || {
        client
            .assume_role()
            .role_arn(TENANT)
            .role_session_name("t-1")
    };
    for wrong in ["bt:org-2:p:s", "bt:ORG-1:p:s", "bt:org-1"] {
        let refused = failure(ask().external_id(wrong).send().await);
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (403, "AccessDenied"),
            "{wrong}"
        );
    }
    let refused = failure(ask().send().await);
    assert_eq!(
        refused.message,
        "User: arn:aws:iam::111111111111:root is not authorized to perform: sts:AssumeRole on \
         resource: arn:aws:iam::222222222222:role/sealift-export"
    );
    let assumed = ask().external_id("bt:org-1:p:s").send().await.unwrap();
    let given = assumed.credentials().unwrap();
    assert!(given.access_key_id().starts_with("ASIA") && given.access_key_id().len() == 20);
    assert_eq!(given.secret_access_key().len(), 40);
    assert_eq!(given.expiration().to_string(), "2026-03-01T13:00:00Z");
    let arn = "arn:aws:sts::222222222222:assumed-role/sealift-export/t-1";
    assert_eq!(assumed.assumed_role_user().unwrap().arn(), arn);

    let tenant = sts(&world.aws, session_credentials(&assumed));
    let identity = tenant.get_caller_identity().send().await.unwrap();
    assert_eq!(
        (identity.arn(), identity.account()),
        (Some(arn), Some(CUSTOMER))
    );
    put(&session(&world.aws, &assumed), "customer", "k", b"x").await;
    assert_eq!(
        world.aws.requests().records_of("PutObject")[0].principal,
        arn
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_entered_through_the_principal_role() {
    let world = world().await;
    let own = trust(PRINCIPAL, &external_id("secret-1"));
    world
        .aws
        .iam()
        .update_trust_policy(&role(TENANT), &own)
        .unwrap();
    // The account's root is not the role that is named.
    let direct = world
        .sts()
        .assume_role()
        .role_arn(TENANT)
        .role_session_name("t-1");
    assert_eq!(
        failed(direct.external_id("secret-1").send().await),
        is(403, "AccessDenied")
    );

    let principal = assume(&world.sts(), PRINCIPAL, "any").await;
    let chained = sts(&world.aws, session_credentials(&principal));
    let tenant = assume(&chained, TENANT, "secret-1").await;
    put(&session(&world.aws, &tenant), "customer", "k", b"x").await;
    let form = &world.aws.requests().records_of("AssumeRole")[2].form;
    assert_eq!(form["ExternalId"], "secret-1");

    let long = chained
        .assume_role()
        .role_arn(TENANT)
        .role_session_name("t-1");
    let long = failure(
        long.external_id("secret-1")
            .duration_seconds(3601)
            .send()
            .await,
    );
    assert_eq!(
        long.message,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_own_policy_must_allow_it_too() {
    let world = world().await;
    let other = role("arn:aws:iam::222222222222:role/unnamed");
    let open = trust("111111111111", "");
    world.aws.iam().create_role(&other, &open, &[]).unwrap();
    let principal = assume(&world.sts(), PRINCIPAL, "any").await;
    let chained = sts(&world.aws, session_credentials(&principal));
    let refused = chained
        .assume_role()
        .role_arn(other.as_str())
        .role_session_name("t-1");
    assert_eq!(failed(refused.send().await), is(403, "AccessDenied"));
    assume(&world.sts(), other.as_str(), "any").await;
    let none = world
        .sts()
        .assume_role()
        .role_arn("arn:aws:iam::222222222222:role/none");
    let none = none.role_session_name("t-1").send().await;
    assert_eq!(failed(none), is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_do_what_role_and_session_policy_both_allow() {
    let world = world().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::customer/audit/*"}]}"#;
    let narrow = world
        .sts()
        .assume_role()
        .role_arn(TENANT)
        .role_session_name("t-1");
    let narrow = narrow
        .external_id("bt:org-1:p:s")
        .policy(policy)
        .send()
        .await
        .unwrap();
    let client = session(&world.aws, &narrow);
    put(&client, "customer", "audit/1", b"x").await;
    let outside = failure(
        client
            .put_object()
            .bucket("customer")
            .key("other/1")
            .send()
            .await,
    );
    assert_eq!(
        (outside.status, outside.code.as_str()),
        (403, "AccessDenied")
    );
    assert!(
        outside
            .message
            .ends_with("because no session policy allows the s3:PutObject action")
    );
    // The session policy allows it, the role does not.
    let delete = client
        .delete_object()
        .bucket("customer")
        .key("audit/1")
        .send()
        .await;
    assert!(failure(delete).message.contains("no identity-based policy"));

    let wide = assume(&world.sts(), TENANT, "bt:org-1:p:s").await;
    put(&session(&world.aws, &wide), "customer", "other/1", b"x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_role_holds_for_sessions_that_are_out() {
    let world = world().await;
    let client = session(
        &world.aws,
        &assume(&world.sts(), TENANT, "bt:org-1:p:s").await,
    );
    put(&client, "customer", "k", b"x").await;
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
    world
        .aws
        .iam()
        .put_role_policy(&role(TENANT), "deny", deny)
        .unwrap();
    let refused = failure(client.get_object().bucket("customer").key("k").send().await);
    assert!(
        refused.message.contains("with an explicit deny"),
        "{}",
        refused.message
    );
    world
        .aws
        .iam()
        .delete_role_policy(&role(TENANT), "deny")
        .unwrap();
    assert_eq!(get(&client, "customer", "k").await, b"x");
    world.aws.iam().delete_role(&role(TENANT)).unwrap();
    let gone = client.get_object().bucket("customer").key("k").send().await;
    assert_eq!(failed(gone), is(403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_time_is_over() {
    let world = world().await;
    let assumed = world
        .sts()
        .assume_role()
        .role_arn(TENANT)
        .role_session_name("t-1");
    let assumed = assumed
        .external_id("bt:org-1:p:s")
        .duration_seconds(900)
        .send()
        .await
        .unwrap();
    let client = session(&world.aws, &assumed);
    put(&client, "customer", "k", b"x").await;
    world.clock.advance(SignedDuration::from_mins(15));
    let late = client.get_object().bucket("customer").key("k").send().await;
    assert_eq!(failed(late), is(400, "ExpiredToken"));
    let late = sts(&world.aws, session_credentials(&assumed))
        .get_caller_identity()
        .send()
        .await;
    assert_eq!(failed(late), is(403, "ExpiredToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_nothing_without_its_token() {
    let world = world().await;
    let assumed = assume(&world.sts(), TENANT, "bt:org-1:p:s").await;
    let given = assumed.credentials().unwrap();
    for token in [None, Some("another")] {
        let half = credentials(given.access_key_id(), given.secret_access_key(), token);
        let put = s3(&world.aws, half.clone())
            .put_object()
            .bucket("customer")
            .key("k")
            .send();
        assert_eq!(failed(put.await), is(400, "InvalidToken"));
        let identity = sts(&world.aws, half).get_caller_identity().send().await;
        assert_eq!(failed(identity), is(403, "InvalidClientTokenId"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_in_the_words_of_sts() {
    let world = world().await;
    let ask = || {
        world
            .sts()
            .assume_role()
            .role_arn(TENANT)
            .external_id("bt:org-1:p:s")
    };
    let name = failure(ask().role_session_name("a:b").send().await);
    assert_eq!((name.status, name.code.as_str()), (400, "ValidationError"));
    assert_eq!(
        name.message,
        r"1 validation error detected: Value 'a:b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*"
    );
    let policy = ask().role_session_name("t-1").policy("{").send().await;
    assert_eq!(failed(policy), is(400, "MalformedPolicyDocument"));
    let forger = sts(&world.aws, credentials("AKIAPLATFORM", "guess", None));
    let refused = forger.get_caller_identity().send().await;
    assert_eq!(failed(refused), is(403, "SignatureDoesNotMatch"));
    let stranger = sts(&world.aws, credentials("AKIANOBODY", "x", None));
    let strange = stranger.get_caller_identity().send().await;
    assert_eq!(failed(strange), is(403, "InvalidClientTokenId"));
    let tagged = ask()
        .role_session_name("t-1")
        .transitive_tag_keys("k")
        .send()
        .await;
    assert_eq!(failed(tagged), is(400, "ValidationError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_created_once_and_changed_only_if_it_is_there() {
    let world = world().await;
    let iam = world.aws.iam();
    let own = trust("111111111111", "");
    let again = iam.create_role(&role(TENANT), &own, &[]).unwrap_err();
    assert!(matches!(again, IamError::Exists(_)));
    let none = role("arn:aws:iam::222222222222:role/none");
    assert!(matches!(
        iam.update_trust_policy(&none, &own),
        Err(IamError::NoSuchRole(_))
    ));
    let user = User {
        name: "u".into(),
        account: account(CUSTOMER),
        access_key_id: "AKIAPLATFORM".into(),
        secret_access_key: Secret::new("x"),
        policy: WRITE_ALL.into(),
    };
    assert!(matches!(iam.create_user(user), Err(IamError::Exists(_))));
}

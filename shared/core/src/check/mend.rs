//! The statements that would mend what a check finds.

use super::checker::Scene;
use super::denial::{Denial, Place, named_key};
use super::{Mend, PolicyKind, Problem};
use crate::destination::{Credentials, Destination, KmsKeyArn, Location};
use crate::id::{BucketName, KeyPrefix, RoleArn};
use crate::policy::permissions::audit_under_prefix;
use crate::policy::trust::{Admitted, Terms};
use crate::policy::{
    AwsPrincipal, Document, List, Partition, Principal, PrincipalElement, ResourceElement,
    ResourcePattern, Statement,
};

/// Where a delivery's session, or a user, may write; the names are [`audit_under_prefix`]'s.
const WRITE: &str = "SealiftWrite";
const ENCRYPT: &str = "SealiftEncrypt";
const LOOK: &str = "SealiftLook";

/// The statements for a problem; none where no policy is at fault, and none for services other
/// than AWS, whose policies may be of another language.
pub(super) fn of(problem: Problem, scene: &Scene<'_>) -> Vec<Mend> {
    let destination = scene.destination;
    if destination.location.endpoint.is_some() {
        return Vec::new();
    }
    let message = scene.failure().map_or("", |failure| &failure.message);
    match (problem, Denial::read(message)) {
        (Problem::RoleUnsafe | Problem::RoleRefused, _) => trust(scene).into_iter().collect(),
        (Problem::WriteDenied, Denial::Missing(Place::Resource)) => {
            in_bucket(destination).into_iter().collect()
        }
        (Problem::WriteDenied, Denial::Missing(Place::Identity)) => {
            permission(destination, WRITE, None).into_iter().collect()
        }
        (Problem::WriteDenied, Denial::Untold) => {
            let elsewhere = is_in_another_account(destination);
            let in_bucket = elsewhere.then(|| in_bucket(destination)).flatten();
            let permission = permission(destination, WRITE, None);
            permission.into_iter().chain(in_bucket).collect()
        }
        (Problem::KmsDenied, denial) => {
            let Some(key) = key_in_use(destination, message) else {
                return Vec::new();
            };
            let role = matches!(denial, Denial::Missing(Place::Identity) | Denial::Untold)
                .then(|| permission(destination, ENCRYPT, Some(&key)));
            let of_key = matches!(denial, Denial::Missing(Place::Resource) | Denial::Untold)
                .then(|| on_key(destination, &key));
            role.flatten().into_iter().chain(of_key.flatten()).collect()
        }
        _ => Vec::new(),
    }
}

/// The policy of a session that is to look at a bucket, and may do nothing else: a delivery's
/// own may only write.
pub fn look_session(partition: Partition, bucket: &BucketName, prefix: &KeyPrefix) -> Document {
    let mut document = audit_under_prefix(partition, bucket, prefix, None);
    document
        .statements
        .retain(|statement| has_name(statement, LOOK));
    document
}

/// The statement that lets the bucket be looked at.
pub(super) fn look(destination: &Destination) -> Option<Mend> {
    let at_aws = destination.location.endpoint.is_none();
    at_aws
        .then(|| permission(destination, LOOK, None))
        .flatten()
}

/// The key that objects are encrypted with: the configured one, or the one that KMS names.
pub(super) fn key_in_use(destination: &Destination, message: &str) -> Option<KmsKeyArn> {
    let configured = destination.storage.kms_key_arn.clone();
    configured.or_else(|| named_key(message))
}

fn trust(scene: &Scene<'_>) -> Option<Mend> {
    let Credentials::IamRole {
        role_arn,
        external_id,
        ..
    } = &scene.destination.credentials
    else {
        return None;
    };
    let terms = Terms {
        principal: scene.principal?.clone(),
        admitted: Admitted::Exactly(external_id.clone()),
    };
    Some(Mend {
        policy: PolicyKind::Trust,
        of: role_arn.to_string(),
        statement: terms.statement()?,
    })
}

/// One of the statements that a destination's role or user has to have.
fn permission(destination: &Destination, sid: &str, key: Option<&KmsKeyArn>) -> Option<Mend> {
    Some(Mend {
        policy: PolicyKind::Permissions,
        of: match role(destination) {
            Some(role) => role.to_string(),
            None => "the access keys' user".to_owned(),
        },
        statement: statement(destination, sid, key)?,
    })
}

fn statement(destination: &Destination, sid: &str, key: Option<&KmsKeyArn>) -> Option<Statement> {
    let Location { bucket, prefix, .. } = &destination.location;
    let all = audit_under_prefix(partition(destination), bucket, prefix, key);
    let mut all = all.statements.into_iter();
    all.find(|statement| has_name(statement, sid))
}

fn has_name(statement: &Statement, sid: &str) -> bool {
    statement.sid.as_deref() == Some(sid)
}

/// What the bucket's own policy has to say: only that of a bucket in another account than the
/// role's has to say anything.
fn in_bucket(destination: &Destination) -> Option<Mend> {
    let Location { bucket, .. } = &destination.location;
    let mut statement = statement(destination, WRITE, None)?;
    statement.principal = Some(to(role(destination)?));
    Some(Mend {
        policy: PolicyKind::Bucket,
        of: String::from(ResourcePattern::bucket(partition(destination), bucket)),
        statement,
    })
}

/// What a key's policy has to say. There `*` is the key itself.
///
/// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html>
fn on_key(destination: &Destination, key: &KmsKeyArn) -> Option<Mend> {
    let mut statement = statement(destination, ENCRYPT, Some(key))?;
    statement.principal = Some(to(role(destination)?));
    let itself = List::one(ResourcePattern::parse("*").ok()?);
    statement.resource = Some(ResourceElement::Resource(itself));
    Some(Mend {
        policy: PolicyKind::Key,
        of: key.as_str().to_owned(),
        statement,
    })
}

fn to(role: &RoleArn) -> PrincipalElement {
    PrincipalElement::Principal(Principal::aws(AwsPrincipal::role(role)))
}

fn role(destination: &Destination) -> Option<&RoleArn> {
    match &destination.credentials {
        Credentials::IamRole { role_arn, .. } => Some(role_arn),
        Credentials::AccessKeys => None,
    }
}

fn is_in_another_account(destination: &Destination) -> bool {
    matches!(
        &destination.credentials,
        Credentials::IamRole { role_arn, bucket_owner: Some(owner), .. }
            if owner.as_str() != role_arn.account()
    )
}

/// A user's ARN is not known, but its bucket's region is.
///
/// Source: <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
fn partition(destination: &Destination) -> Partition {
    if let Some(role) = role(destination) {
        return Partition::of(role);
    }
    match destination.location.region.as_str() {
        region if region.starts_with("cn-") => Partition::China,
        region if region.starts_with("us-gov-") => Partition::UsGov,
        _ => Partition::Aws,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Context, Request, evaluate};

    #[test]
    fn a_session_that_looks_may_do_nothing_else() {
        let bucket = BucketName::parse("acme-audit").unwrap();
        let prefix = KeyPrefix::parse("audit/").unwrap();
        let policy = look_session(Partition::Aws, &bucket, &prefix);
        let context = Context::default();
        for (action, resource, expected) in [
            ("s3:ListBucket", "arn:aws:s3:::acme-audit", true),
            ("s3:ListBucket", "arn:aws:s3:::acme-other", false),
            ("s3:PutObject", "arn:aws:s3:::acme-audit/audit/x", false),
            ("s3:GetObject", "arn:aws:s3:::acme-audit/audit/x", false),
        ] {
            let request = Request::permission(action, resource, &context);
            let decision = evaluate([&policy], &request).unwrap();
            assert_eq!(decision.is_allowed(), expected, "{action} {resource}");
        }
    }
}

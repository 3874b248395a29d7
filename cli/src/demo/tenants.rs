//! The demo's tenants: each with an account, a bucket and a role of its own.

use std::collections::{BTreeMap, BTreeSet};

use sealift_aws::OsEntropy;
use sealift_core::destination::{Credentials, Destination, Location, Region, Status, Storage};
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, DestinationId, KeyPrefix, OrgId, RoleArn};
use sealift_core::partition::hex;
use sealift_core::policy::{Partition, permissions, trust};
use sealift_core::selection::Selection;
use sha2::{Digest, Sha256};

use crate::stack::Stack;

/// The prefix that delivered objects have.
pub(crate) const PREFIX: &str = "audit-events/";

/// A tenant.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    /// Whose events it receives.
    pub(crate) organization: OrgId,
    /// Where it receives them.
    pub(crate) bucket: BucketName,
}

/// Names a bucket for each organization: `tenant-<name>`, where the name is the organization's
/// id without `.amazonaws.com`, in the characters of a bucket's name.
pub(crate) fn name_buckets(organizations: &BTreeSet<OrgId>) -> anyhow::Result<Vec<Tenant>> {
    let mut taken: BTreeMap<String, OrgId> = BTreeMap::new();
    let mut tenants = Vec::new();
    for organization in organizations {
        let id = organization.as_str();
        let id = id
            .strip_suffix(".amazonaws.com")
            .unwrap_or(id)
            .to_ascii_lowercase();
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        };
        let name: String = id.chars().map(plain).take(40).collect();
        let name = name.trim_matches('-');
        let name = if name.is_empty() || taken.contains_key(name) {
            let hash = hex(&Sha256::digest(organization.as_str()));
            let hash: String = hash.chars().take(8).collect();
            [name, &hash].join("-").trim_start_matches('-').to_owned()
        } else {
            name.to_owned()
        };
        taken.insert(name.clone(), organization.clone());
        tenants.push(Tenant {
            organization: organization.clone(),
            bucket: BucketName::parse(format!("tenant-{name}"))?,
        });
    }
    Ok(tenants)
}

/// Does what a tenant's administrator does once: a bucket, and a role with the two policies that
/// `sealift policy` prints. Then the destination is saved, streaming from now on.
pub(crate) async fn set_up(stack: &Stack, tenant: &Tenant, number: usize) -> anyhow::Result<()> {
    let account = AccountId::parse(format!("{:012}", 200_000_000_000 + number as u64))?;
    let role = RoleArn::parse(format!("arn:aws:iam::{account}:role/sealift-audit-export"))?;
    let external_id = ExternalId::generate(&OsEntropy);
    let prefix = KeyPrefix::parse(PREFIX)?;
    stack.aws.create_bucket(&tenant.bucket, &account)?;
    let trust = trust::for_audit_destination(&stack.principal, std::slice::from_ref(&external_id))?;
    let permissions = permissions::least(Partition::default(), &tenant.bucket, &prefix, None);
    let policies = [("write-audit-events", permissions.to_string())];
    let policies: Vec<(&str, &str)> = policies
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    stack
        .aws
        .iam()
        .create_role(&role, &trust.to_string(), &policies)?;
    let destination = Destination {
        id: DestinationId::parse(tenant.bucket.as_str())?,
        organization: tenant.organization.clone(),
        status: Status::Streaming,
        held: None,
        created_ms: None,
        start_ms: Some(stack.now().as_millisecond()),
        location: Location {
            endpoint: None,
            region: Region::parse(stack.aws.region())?,
            bucket: tenant.bucket.clone(),
            prefix,
            path_style: false,
        },
        credentials: Credentials::IamRole {
            role_arn: role,
            external_id,
            bucket_owner: None,
        },
        include: Selection::default(),
        storage: Storage::default(),
        replays: Vec::new(),
    };
    stack.save_destination(destination).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_named_after_their_tenants_and_never_shared() {
        let ids = ["ec2.amazonaws.com", "ec2", "A.b", "a-b", "...", "@"]
            .map(|id| OrgId::parse(id).unwrap());
        let tenants = name_buckets(&ids.into()).unwrap();
        let buckets: BTreeSet<&str> = tenants.iter().map(|t| t.bucket.as_str()).collect();
        assert_eq!(buckets.len(), 6, "{buckets:?}");
        assert!(buckets.contains("tenant-ec2"));
        assert!(buckets.contains("tenant-a-b"));
    }
}

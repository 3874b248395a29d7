//! The tenants: an account, a bucket, a role and a destination each, as they are when all has run for
//! a while.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{TryStreamExt, stream};
use sealift_aws::OsEntropy;
use sealift_core::audit::Actor;
use sealift_core::check::{Fingerprint, Verdict};
use sealift_core::control::record::{Checked, Life, Record};
use sealift_core::control::{Access, Caller};
use sealift_core::destination::{
    Credentials, Destination, DestinationSet, Location, Region, Status, Storage, shard_of,
};
use sealift_core::document::Saved;
use sealift_core::external_id::ExternalId;
use sealift_core::id::{AccountId, BucketName, DestinationId, KeyPrefix, OrgId, RoleArn};
use sealift_core::policy::{Partition, permissions, trust};
use sealift_core::selection::Selection;

use crate::stack::Stack;

/// How many tenants' daily checks are run, at the most: one costs what another costs, and takes a
/// dozen requests that wait.
const CHECKED: usize = 50;

/// How old the last check is of those whose next one is due, and of the others.
const DUE: Duration = Duration::from_hours(23);
const NOT_DUE: Duration = Duration::from_hours(6);

/// How many records are written at once.
const AT_ONCE: usize = 16;

/// Tenants that are set up.
pub(super) struct Tenants {
    pub(super) organizations: Vec<OrgId>,
    /// How many of their destinations are due to be checked.
    pub(super) due: usize,
}

/// Sets up so many tenants, and saves their destinations at once.
pub(super) async fn set_up(stack: &Stack, tenants: u32) -> anyhow::Result<Tenants> {
    let shards = stack.bus.wiring().parameters.get("DeliveryShards");
    let shards: u16 = shards.context("DeliveryShards has no value")?.parse()?;
    let destinations: Vec<Destination> = (0..tenants)
        .map(|number| tenant(stack, number))
        .collect::<anyhow::Result<_>>()?;
    let mut sets: BTreeMap<u16, DestinationSet> = BTreeMap::new();
    for destination in &destinations {
        let set = sets.entry(shard_of(&destination.organization, shards));
        let set = &mut set.or_default().0;
        set.insert(destination.id.clone(), destination.clone());
    }
    for (shard, set) in sets {
        let place = DestinationSet::place(shard);
        if let Saved::Stale = place.create(&stack.state_store(), set, &OsEntropy).await? {
            bail!("the stack has destinations already");
        }
    }
    note_checks(stack, &destinations).await?;
    Ok(Tenants {
        due: destinations.len().min(CHECKED),
        organizations: destinations.into_iter().map(|d| d.organization).collect(),
    })
}

/// Writes the destinations' records: each has been checked before, like the first, which is.
async fn note_checks(stack: &Stack, destinations: &[Destination]) -> anyhow::Result<()> {
    let first = destinations.first().context("there are no tenants")?;
    let operator = Caller {
        access: Access::Operator,
        actor: Actor::default(),
    };
    // Boxed: a future that holds all that a check may do is a large one.
    let check = stack.control();
    Box::pin(check.check(&operator, &first.organization, &first.id)).await?;
    let store = stack.state_store();
    let record = Record::place(&first.id).load(&store).await?;
    let life = record.and_then(|record| record.body.life);
    let life = life.context("the first destination has no record")?;
    let checked = life.check.clone().context("it was not checked")?;
    let report = &checked.report;
    let healthy = report.verdict == Verdict::Healthy && report.checksum.is_none();
    ensure!(
        healthy,
        "the first destination is not as it should be: {}",
        report.cause
    );
    let now = stack.now();
    let records = destinations
        .iter()
        .enumerate()
        .map(|(number, destination)| {
            let age = if number < CHECKED { DUE } else { NOT_DUE };
            let mut checked = checked.clone();
            checked.report.at_ms = (now - age).as_millisecond();
            checked.report.fingerprint = Fingerprint::of(destination);
            (destination, record_of(destination, &life, checked))
        });
    stream::iter(records.map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(destination, record)| {
            let store = &store;
            async move {
                let place = Record::place(&destination.id);
                let write = place.update(store, &OsEntropy, |_| Some(record.clone()));
                write.await.map(|_| ())
            }
        })
        .await?;
    Ok(())
}

fn record_of(destination: &Destination, like: &Life, checked: Checked) -> Record {
    let Destination {
        organization,
        credentials,
        created_ms,
        ..
    } = destination;
    let external_id = match credentials {
        Credentials::IamRole { external_id, .. } => external_id.clone(),
        Credentials::AccessKeys => like.external_id.clone(),
    };
    let life = Life {
        organization: organization.clone(),
        external_id,
        check: Some(checked.clone()),
        conclusive: Some(checked),
        ..like.clone()
    };
    Record {
        life: Some(life),
        created_ms: *created_ms,
        ..Record::default()
    }
}

fn tenant(stack: &Stack, number: u32) -> anyhow::Result<Destination> {
    let account = AccountId::parse(format!("{:012}", 200_000_000_000 + u64::from(number)))?;
    let role = RoleArn::parse(format!("arn:aws:iam::{account}:role/sealift-audit-export"))?;
    let bucket = BucketName::parse(format!("tenant-{number:05}"))?;
    let prefix = KeyPrefix::parse("audit-events/")?;
    let external_id = ExternalId::generate(&OsEntropy);
    stack.aws.create_bucket(&bucket, &account)?;
    let trusts =
        trust::for_audit_destination(&stack.principal, std::slice::from_ref(&external_id))?;
    let permits = permissions::least(Partition::default(), &bucket, &prefix, None).to_string();
    let policies = [("write-audit-events", permits.as_str())];
    let iam = stack.aws.iam();
    iam.create_role(&role, &trusts.to_string(), &policies)?;
    let destination = Destination {
        id: DestinationId::parse(bucket.as_str())?,
        organization: OrgId::parse(format!("tenant-{number:05}"))?,
        status: Status::Streaming,
        held: None,
        created_ms: None,
        start_ms: Some(stack.now().as_millisecond()),
        location: Location {
            endpoint: None,
            region: Region::parse(stack.aws.region())?,
            bucket,
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
    destination.validate()?;
    Ok(destination)
}

//! How a project comes to its export, in the demo: it is created in Braintrust, whose audit log
//! tells of it; the relay puts that entry on the bus; so the project gets its automation, and the
//! organization finds both entries in its own bucket.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use flate2::read::MultiGzDecoder;
use sealift_core::audit::catalogue::AUTOMATION_PROVISIONED;
use sealift_core::id::BucketName;
use sealift_embedded::bus::Timeline;
use serde::Deserialize;

use super::{LIMIT, Rows};
use crate::demo::tenants::{Tenant, set_up};
use crate::demo::verify::files;
use crate::stack::Stack;
use crate::stack::platform::{Platform, load_rows};

/// The bucket that the organization's audit trail is delivered to.
const BUCKET: &str = "tenant-braintrust-audit";

/// A number for the organization's account that no other tenant of the demo has.
const ACCOUNT: usize = 900;

/// How long it takes at the most until the relay has run.
const RELAYED_WITHIN: Duration = Duration::from_secs(90);

/// What is shown of an entry.
#[derive(Debug, Deserialize)]
struct Entry {
    created: String,
    actor_id: String,
    event_type: String,
    resource_name: String,
    project_id: Option<String>,
}

/// An entry that was found, and the file that it lies in.
#[derive(Debug)]
pub(super) struct Found {
    entry: Entry,
    file: String,
}

/// Gives the organization a destination for its audit trail, creates the projects, and waits
/// until what follows of that is done.
pub(super) async fn create_projects(stack: &Stack, data: &Path, rows: &Rows) -> anyhow::Result<()> {
    let tenant = Tenant {
        organization: rows.organization.clone(),
        bucket: BucketName::parse(BUCKET)?,
    };
    set_up(stack, &tenant, ACCOUNT).await?;
    for (project, (name, _)) in &rows.projects {
        stack.api.add_project(project, name)?;
        load_rows(&stack.api, data, project)?;
    }
    // For the commands that are called on the folder later.
    let names = rows.projects.iter();
    let platform = Platform {
        organization: rows.organization.clone(),
        projects: names
            .map(|(id, (name, _))| (id.clone(), name.clone()))
            .collect(),
    };
    platform.save(data)?;
    let relayed = stack.now().checked_add(RELAYED_WITHIN)?;
    stack.bus.run_until(relayed).await?;
    stack.clock.reach(relayed).await;
    let limit = stack.now().checked_add(LIMIT)?;
    stack.bus.run_until_idle(limit).await?;
    Ok(())
}

/// The entries in the organization's bucket. It is an error if one is missing.
pub(super) fn evidence(data: &Path, rows: &Rows) -> anyhow::Result<Vec<Found>> {
    let root = data.join("s3").join(BUCKET);
    let mut found = Vec::new();
    for file in files(&root)? {
        let lines = BufReader::new(MultiGzDecoder::new(File::open(&file)?)).lines();
        for line in lines {
            found.push(Found {
                entry: serde_json::from_str(&line?)?,
                file: file.strip_prefix(&root)?.display().to_string(),
            });
        }
    }
    for wanted in ["project.created", AUTOMATION_PROVISIONED.as_str()] {
        let told: BTreeSet<&str> = found
            .iter()
            .filter(|found| found.entry.event_type == wanted)
            .filter_map(|found| found.entry.project_id.as_deref())
            .collect();
        for (project, (name, _)) in &rows.projects {
            if !told.contains(project.as_str()) {
                bail!("no {wanted} of {name} lies in {}", root.display());
            }
        }
    }
    found.sort_by(|a, b| a.entry.created.cmp(&b.entry.created));
    Ok(found)
}

/// Shows the entries.
pub(super) fn print(out: &mut impl Write, data: &Path, found: &[Found]) -> anyhow::Result<()> {
    let root = data.join("s3").join(BUCKET);
    writeln!(
        out,
        "\n  {}: the organization's own audit trail",
        root.display()
    )?;
    let width = found.iter().map(|found| found.entry.event_type.len()).max();
    let width = width.unwrap_or_default();
    for Found { entry, file } in found {
        let Entry {
            created,
            actor_id,
            event_type,
            resource_name,
            ..
        } = entry;
        writeln!(
            out,
            "  {created}  {event_type:<width$}  {resource_name}, by {actor_id}"
        )?;
        writeln!(out, "  {:<24}  in {file}", "")?;
    }
    Ok(())
}

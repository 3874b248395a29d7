//! Serves the embedded Braintrust on a free port of this machine, for tests that start it.
//!
//! It writes one line of JSON, `{"url": …, "key": …, "organization": …}`, and then reads commands,
//! one line of JSON each, until its input ends: `{"load": <file of rows>, "project": <id>}` puts
//! a file's rows (JSON Lines) into a project, each under a transaction of its own of now, and
//! answers with their number or the error. Everything else is done by its API.

#![allow(
    clippy::indexing_slicing,
    reason = "a field of JSON that is not there is null"
)]

use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::sync::Arc;

use sealift_aws::{OsEntropy, SystemClock};
use sealift_core::id::{OrgId, ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy};
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::Secret;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let organization = arguments
        .next()
        .ok_or("usage: braintrust <id of the organization>")?;
    let organization = Organization {
        id: OrgId::parse(organization)?,
        name: "test".to_owned(),
    };
    let key = format!("sk-{}", OsEntropy.nonce());
    let options = DataPlaneOptions::new(
        organization.clone(),
        Secret::new(&key),
        Arc::new(SystemClock),
        Arc::new(OsEntropy),
    );
    let api = DataPlane::start(options).await?;
    say(&json!({"url": api.url(), "key": key, "organization": organization.id}))?;
    // Reading blocks its thread; the server has others.
    let mut lines = tokio::task::block_in_place(|| stdin().lines());
    while let Some(line) = tokio::task::block_in_place(|| lines.next()) {
        let done = tokio::task::block_in_place(|| obey(&api, &line?));
        say(&match done {
            Ok(rows) => json!({"rows": rows}),
            Err(error) => json!({"error": error.to_string()}),
        })?;
    }
    api.shutdown().await;
    Ok(())
}

fn say(line: &Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn obey(api: &DataPlane, line: &str) -> Result<u64, Failure> {
    let command: Value = serde_json::from_str(line)?;
    let text = |field: &str| {
        let value = command[field].as_str();
        value.ok_or_else(|| format!("the command has no {field:?}"))
    };
    let project = ProjectId::parse(text("project")?)?;
    let file = BufReader::new(std::fs::File::open(text("load")?)?);
    // Transactions of the second before, so that all are in the past.
    let mut xact = XactId::before(SystemClock.now()).get() - 0x1_0000;
    let mut rows = 0;
    for row in file.lines() {
        xact += 1;
        let mut row: Value = serde_json::from_str(&row?)?;
        row["project_id"] = json!(project);
        api.upsert(&project, row.to_string().as_bytes(), XactId::new(xact))?;
        rows += 1;
    }
    Ok(rows)
}

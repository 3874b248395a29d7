//! How the automations fare that write through a role, by Braintrust's own API.

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use sealift_aws::{OsEntropy, SystemClock, system};
use sealift_braintrust::automations::ProjectAutomation;
use sealift_braintrust::{ApiKey, Client, FixedKey, Settings};
use sealift_core::id::RoleArn;
use serde::{Deserialize, Serialize};

use crate::text::{count, printable};

/// Where Braintrust's API is; its key comes from the environment.
#[derive(Debug, Args)]
pub(super) struct Api {
    /// Braintrust's API; https://api.braintrust.dev if not given
    #[arg(long, value_name = "URL", requires = "managed")]
    api_url: Option<String>,

    /// The organization's name, for a key of several
    #[arg(long, value_name = "NAME", requires = "managed")]
    api_organization: Option<String>,
}

/// An automation that writes through the role.
#[derive(Debug, Serialize)]
pub(super) struct Automation {
    id: String,
    project_id: String,
    name: String,
    /// What failed last, and when, as the API writes it.
    last_error: Option<String>,
    last_error_at: Option<String>,
    last_run_at: Option<String>,
    next_run_at: Option<String>,
    /// Why its state could not be asked.
    unknown: Option<String>,
}

/// The automations that use the role; `None` without a key to ask by. One request for each project
/// and two for each of these automations.
pub(super) async fn automations(
    api: &Api,
    role: &RoleArn,
) -> anyhow::Result<Option<Vec<Automation>>> {
    let key = system::environment("BRAINTRUST_API_KEY").unwrap_or_default();
    if key.is_empty() {
        return Ok(None);
    }
    let url = api.api_url.as_deref();
    let url = url.unwrap_or("https://api.braintrust.dev").parse();
    let key = ApiKey::parse(&key).context("BRAINTRUST_API_KEY")?;
    let client = Client::new(
        url.context("--api-url")?,
        FixedKey(key),
        SystemClock,
        OsEntropy,
        Settings::default(),
    )
    .for_organization(api.api_organization.as_deref())?;
    let mut found = Vec::new();
    for project in client.projects().await? {
        for automation in client.automations(&project.id).await? {
            if uses(&automation, role) {
                found.push(ask(&client, &automation).await);
            }
        }
    }
    Ok(Some(found))
}

fn uses(automation: &ProjectAutomation, role: &RoleArn) -> bool {
    #[derive(Deserialize)]
    struct Config {
        credentials: Credentials,
    }
    #[derive(Deserialize)]
    struct Credentials {
        role_arn: String,
    }
    let config = serde_json::from_str::<Config>(automation.config.get());
    config.is_ok_and(|config| config.credentials.role_arn == role.as_str())
}

async fn ask(
    client: &Client<SystemClock, OsEntropy, FixedKey>,
    automation: &ProjectAutomation,
) -> Automation {
    let ProjectAutomation {
        id,
        project_id,
        name,
        ..
    } = automation;
    let objects = client.object_cursors(id, project_id).await;
    let segments = client.segment_cursors(id, project_id).await;
    let unknown = [objects.as_ref().err(), segments.as_ref().err()];
    let unknown = unknown.into_iter().flatten().next();
    let unknown = unknown.map(ToString::to_string);
    let (objects, segments) = (objects.ok(), segments.ok());
    // Both tell of errors: one when it begins a run, the other inside of one.
    let of_objects = objects
        .as_ref()
        .map(|cursors| (cursors.last_error.clone(), cursors.last_error_at.clone()));
    let of_segments = segments.map(|cursors| (cursors.last_error, cursors.last_error_at));
    let told = of_segments
        .filter(|(error, _)| error.is_some())
        .or(of_objects);
    let (last_error, last_error_at) = told.unwrap_or_default();
    Automation {
        id: id.to_string(),
        project_id: project_id.to_string(),
        name: name.clone(),
        last_error,
        last_error_at,
        last_run_at: objects.as_ref().and_then(|c| c.last_run_at.clone()),
        next_run_at: objects.and_then(|c| c.next_run_at),
        unknown,
    }
}

pub(super) fn print(automations: &[Automation], out: &mut impl Write) -> std::io::Result<()> {
    let number = u64::try_from(automations.len()).unwrap_or(u64::MAX);
    let use_it = if number == 1 { "uses" } else { "use" };
    let all = count(number, "automation");
    writeln!(
        out,
        "Braintrust has {all} that {use_it} this role:
"
    )?;
    for automation in automations {
        let Automation { id, name, .. } = automation;
        let name = printable(name);
        let state = match (&automation.unknown, &automation.last_error) {
            (Some(error), _) => format!("could not be asked: {}", printable(error)),
            (None, Some(error)) => {
                let at = automation.last_error_at.as_deref().unwrap_or("unknown");
                format!("last error at {}: {}", printable(at), printable(error))
            }
            (None, None) => match &automation.last_run_at {
                Some(at) => format!("no error; last run at {}", printable(at)),
                None => "no error, and no run yet".to_owned(),
            },
        };
        writeln!(
            out,
            "  {name} ({id}, project {}): {state}",
            automation.project_id
        )?;
    }
    Ok(())
}

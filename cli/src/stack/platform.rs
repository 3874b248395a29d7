//! The embedded Braintrust of a stack: what its folder keeps of projects and their rows.
//!
//! ```text
//! <data>/braintrust/platform.json         the organization and its projects
//! <data>/braintrust/rows/<project>.jsonl  the rows of a project
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use sealift_aws::OsEntropy;
use sealift_core::id::{OrgId, ProjectId};
use sealift_core::ports::Entropy;
use sealift_embedded::braintrust::{DataPlane, DataPlaneOptions, Organization};
use sealift_embedded::iam::Secret;
use serde::{Deserialize, Serialize};

use super::Time;

/// The organization of a folder that has none: the one of the rows that are part of the program.
const ORGANIZATION: &str = "5abfae3a-7aa7-4653-a9c8-b3efcb18f584";

/// What a folder keeps of the platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Platform {
    /// The organization's id, a UUID.
    pub organization: OrgId,
    /// The projects' names, by their ids, which are UUIDs.
    pub projects: BTreeMap<ProjectId, String>,
}

fn folder(data: &Path) -> PathBuf {
    data.join("braintrust")
}

fn rows_of(data: &Path, project: &ProjectId) -> PathBuf {
    folder(data).join("rows").join(format!("{project}.jsonl"))
}

impl Platform {
    /// What the folder has, or an organization without projects.
    pub fn load(data: &Path) -> anyhow::Result<Self> {
        let file = folder(data).join("platform.json");
        if !file.exists() {
            let organization = OrgId::parse(ORGANIZATION)?;
            let projects = BTreeMap::new();
            return Ok(Self {
                organization,
                projects,
            });
        }
        let text = std::fs::read_to_string(&file);
        let what = || file.display().to_string();
        serde_json::from_str(&text.with_context(what)?).with_context(what)
    }

    /// Writes it into the folder.
    pub fn save(&self, data: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder(data).join("rows"))?;
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        Ok(std::fs::write(folder(data).join("platform.json"), text)?)
    }
}

/// Writes rows into the folder, each to its project.
pub struct RowFiles<'a> {
    data: &'a Path,
    open: BTreeMap<ProjectId, BufWriter<File>>,
}

impl<'a> RowFiles<'a> {
    /// No rows yet.
    pub fn new(data: &'a Path) -> Self {
        let open = BTreeMap::new();
        Self { data, open }
    }

    /// Adds a row to a project's.
    pub fn add(&mut self, project: &ProjectId, row: &str) -> anyhow::Result<()> {
        if !self.open.contains_key(project) {
            let path = rows_of(self.data, project);
            std::fs::create_dir_all(folder(self.data).join("rows"))?;
            let file = File::create(&path).with_context(|| path.display().to_string())?;
            self.open.insert(project.clone(), BufWriter::new(file));
        }
        if let Some(file) = self.open.get_mut(project) {
            writeln!(file, "{row}")?;
        }
        Ok(())
    }

    /// Ends the files.
    pub fn finish(self) -> anyhow::Result<()> {
        for mut file in self.open.into_values() {
            file.flush()?;
        }
        Ok(())
    }
}

/// A new key for the embedded API.
pub(super) fn api_key() -> String {
    format!("sk-{}", OsEntropy.nonce())
}

/// Starts the embedded Braintrust on what the folder has.
pub(super) async fn start(data: &Path, clock: Arc<Time>, key: &str) -> anyhow::Result<DataPlane> {
    let platform = Platform::load(data)?;
    let organization = Organization {
        id: platform.organization.clone(),
        name: "demo".to_owned(),
    };
    let options = DataPlaneOptions::new(organization, Secret::new(key), clock, Arc::new(OsEntropy));
    let api = DataPlane::start(options).await?;
    for (id, name) in &platform.projects {
        api.restore_project(id, name)?;
        load_rows(&api, data, id)?;
    }
    Ok(api)
}

/// Gives the embedded Braintrust the rows that the folder has of a project.
pub fn load_rows(api: &DataPlane, data: &Path, project: &ProjectId) -> anyhow::Result<()> {
    let path = rows_of(data, project);
    if path.exists() {
        let file = BufReader::new(File::open(&path)?);
        let rows = file.lines().collect::<Result<Vec<_>, _>>()?;
        api.load(project, rows.into_iter().map(Bytes::from))
            .with_context(|| format!("{} cannot be used", path.display()))?;
    }
    Ok(())
}

//! Projects: `/v1/project`.

use http::Method;
use sealift_core::export::source::SourceError;
use sealift_core::id::{OrgId, ProjectId};
use sealift_core::ports::{Clock, Entropy};
use sealift_core::provision;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;
use crate::wire::{Created, Listed, found_existing};

/// A project, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// What people call it.
    pub name: String,
    /// When it was created, as the API writes it.
    #[serde(default)]
    pub created: Option<String>,
    /// When it was deleted, as the API writes it; deleted projects are listed for a while.
    #[serde(default)]
    pub deleted_at: Option<String>,
}

impl Listed for Project {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

#[derive(Serialize)]
struct NewProject<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_name: Option<&'a str>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// All projects that the key can see, newest first, without deleted ones.
    pub async fn projects(&self) -> Result<Vec<Project>, SourceError> {
        let mut projects: Vec<Project> = self.list("list projects", "/v1/project", &[]).await?;
        projects.retain(|project| project.deleted_at.is_none());
        Ok(projects)
    }

    /// A project; `None` if there is none (404).
    pub async fn project(&self, id: &ProjectId) -> Result<Option<Project>, SourceError> {
        let (target, path) = (format!("project {id}"), format!("/v1/project/{id}"));
        let call = Call::new("get a project", target, Method::GET, path);
        self.get(&call).await
    }

    /// Creates a project, unless there is one of that name.
    pub async fn create_project(&self, name: &str) -> Result<Created<Project>, SourceError> {
        let target = format!("project {name:?}");
        let call = Call::new("create a project", target, Method::POST, "/v1/project");
        let org_name = self.organization();
        let call = call.json(&NewProject { name, org_name })?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        Ok(Created {
            object: answer.read()?,
            existed: found_existing(&answer.head.headers),
        })
    }
}

impl<C: Clock, E: Entropy, K: ApiKeys> provision::Projects for Client<C, E, K> {
    async fn list(&self) -> Result<Vec<provision::Project>, SourceError> {
        let projects = self.projects().await?;
        Ok(projects.into_iter().map(Into::into).collect())
    }

    async fn get(&self, id: &ProjectId) -> Result<Option<provision::Project>, SourceError> {
        let project = self.project(id).await?;
        Ok(project
            .filter(|project| project.deleted_at.is_none())
            .map(Into::into))
    }

    fn requests(&self) -> u64 {
        Client::requests(self)
    }
}

impl From<Project> for provision::Project {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            organization: project.org_id,
            name: project.name,
            created: project.created.and_then(|time| time.parse().ok()),
        }
    }
}

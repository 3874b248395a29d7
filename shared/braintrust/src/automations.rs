//! Automations of projects: `/v1/project_automation`.
//!
//! Their `config` is passed on as it came, byte by byte: it holds seven kinds of automation, and
//! more to come, of which Sealift knows one.

use http::Method;
use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, ProjectId};
use sealift_core::ports::{Clock, Entropy};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::Call;
use crate::client::Client;
use crate::error::Setback;
use crate::key::ApiKeys;
use crate::wire::{Created, Listed, found_existing};

const PATH: &str = "/v1/project_automation";

/// An automation, as far as it is used.
#[derive(Debug, Clone, Deserialize)]
pub struct ProjectAutomation {
    /// Its id.
    pub id: AutomationId,
    /// The project that it belongs to.
    pub project_id: ProjectId,
    /// What people call it; one of its project has the name.
    pub name: String,
    /// What people say of it.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was created, as the API writes it.
    #[serde(default)]
    pub created: Option<String>,
    /// What it does.
    pub config: Box<RawValue>,
}

impl ProjectAutomation {
    /// The kind of automation (`btql_export`, `retention`), if its configuration names one.
    pub fn event_type(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Kind {
            event_type: String,
        }
        let kind = serde_json::from_str::<Kind>(self.config.get()).ok()?;
        Some(kind.event_type)
    }
}

impl Listed for ProjectAutomation {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// An automation to be created or replaced.
#[derive(Debug, Clone, Serialize)]
pub struct NewAutomation {
    /// The project.
    pub project_id: ProjectId,
    /// Its name within the project.
    pub name: String,
    /// What people say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it does.
    pub config: Box<RawValue>,
}

/// What is to change of an automation. The API merges objects deeply, and neither removes a
/// field nor sets it to null.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AutomationPatch {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is merged into the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<RawValue>>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Client<C, E, K> {
    /// The automations of a project, of all kinds, newest first.
    ///
    /// Braintrust's own tool asks by `project_id`, which its specification does not name, so
    /// what a server that ignores it answers is filtered here.
    pub async fn automations(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<ProjectAutomation>, SourceError> {
        let of_project = [("project_id", project.as_str())];
        let mut automations: Vec<ProjectAutomation> =
            self.list("list automations", PATH, &of_project).await?;
        automations.retain(|automation| automation.project_id == *project);
        Ok(automations)
    }

    /// An automation; `None` if there is none (404).
    pub async fn automation(
        &self,
        id: &AutomationId,
    ) -> Result<Option<ProjectAutomation>, SourceError> {
        self.get(&of_one("get an automation", Method::GET, id))
            .await
    }

    /// Creates an automation, unless the project has one of that name, which is then returned
    /// as it is.
    pub async fn create_automation(
        &self,
        automation: &NewAutomation,
    ) -> Result<Created<ProjectAutomation>, SourceError> {
        let call = of_new("create an automation", Method::POST, automation)?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        Ok(Created {
            object: answer.read()?,
            existed: found_existing(&answer.head.headers),
        })
    }

    /// Creates an automation, or replaces the one of that name.
    pub async fn put_automation(
        &self,
        automation: &NewAutomation,
    ) -> Result<ProjectAutomation, SourceError> {
        let call = of_new("replace an automation", Method::PUT, automation)?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        answer.read()
    }

    /// Changes an automation.
    pub async fn patch_automation(
        &self,
        id: &AutomationId,
        patch: &AutomationPatch,
    ) -> Result<ProjectAutomation, SourceError> {
        let call = of_one("change an automation", Method::PATCH, id).json(patch)?;
        let answer = self.whole(&call).await.map_err(Setback::into_error)?;
        answer.read()
    }

    /// Deletes an automation, and says whether there was one. After a lost reply, the second
    /// attempt finds none.
    pub async fn delete_automation(&self, id: &AutomationId) -> Result<bool, SourceError> {
        let call = of_one("delete an automation", Method::DELETE, id);
        match self.whole(&call).await {
            Ok(_) => Ok(true),
            Err(setback) if setback.is_absence() => Ok(false),
            Err(setback) => Err(setback.into_error()),
        }
    }
}

fn of_one(operation: &'static str, method: Method, id: &AutomationId) -> Call {
    let (target, path) = (format!("automation {id}"), format!("{PATH}/{id}"));
    Call::new(operation, target, method, path)
}

fn of_new(
    operation: &'static str,
    method: Method,
    automation: &NewAutomation,
) -> Result<Call, SourceError> {
    let NewAutomation {
        project_id, name, ..
    } = automation;
    let target = format!("automation {name:?} of project {project_id}");
    Call::new(operation, target, method, PATH).json(automation)
}

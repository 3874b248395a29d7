//! Automations of projects, provisioned in Braintrust: the port
//! [`Remote`].
//!
//! A current data plane registers an export by the cursor that is set for it, and tells how its
//! cursors stand. One up to v2.0 is given the export and a key that it runs it with, and tells
//! nothing that is documented.

use std::fmt;
use std::sync::Arc;

use sealift_core::export::source::SourceError;
use sealift_core::id::{AutomationId, ProjectId, XactId};
use sealift_core::ports::{Clock, Entropy, Failure};
use sealift_core::provision::Seen;
use sealift_core::provision::remote::{Made, RegistrationError, Remote, Standing};
use sealift_core::provision::template::Request;
use serde_json::value::to_raw_value;

use crate::automations::{NewAutomation, ProjectAutomation};
use crate::client::Client;
use crate::error::ChangeError;
use crate::key::ApiKeys;

/// Braintrust's automations, through a client.
pub struct Provisioning<C, E, K> {
    client: Arc<Client<C, E, K>>,
    /// What a data plane up to v2.0 runs exports with.
    service_token: Option<K>,
}

impl<C: Clock, E: Entropy, K: ApiKeys> Provisioning<C, E, K> {
    /// On a current data plane; on one up to v2.0 if there is a service token, by which it runs
    /// the exports.
    pub fn new(client: Arc<Client<C, E, K>>, service_token: Option<K>) -> Self {
        Self {
            client,
            service_token,
        }
    }
}

impl<C: Clock, E: Entropy, K: ApiKeys> Remote for Provisioning<C, E, K> {
    async fn automations(&self, project: &ProjectId) -> Result<Vec<Seen>, SourceError> {
        let automations = self.client.automations(project).await?;
        automations.into_iter().map(seen).collect()
    }

    async fn create(&self, request: &Request<'_>) -> Result<Made, SourceError> {
        let config = to_raw_value(&request.config).map_err(|error| {
            let said = format!("the template cannot be written: {error}");
            SourceError::Invalid(about(request.name, request.project_id, said))
        })?;
        let new = NewAutomation {
            project_id: request.project_id.clone(),
            name: request.name.to_owned(),
            description: request.description.map(str::to_owned),
            config,
        };
        let created = self.client.create_automation(&new).await?;
        if created.object.project_id != *request.project_id {
            let said = format!(
                "the answer is an automation of project {}",
                created.object.project_id
            );
            let failure = about(request.name, request.project_id, said);
            return Err(SourceError::Invalid(failure));
        }
        Ok(Made {
            automation: seen(created.object)?,
            existed: created.existed,
        })
    }

    fn has_cursors(&self) -> bool {
        self.service_token.is_none()
    }

    async fn standing(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
    ) -> Result<Standing, SourceError> {
        let objects = self.client.object_cursors(automation, project).await;
        let objects = objects.map_err(hinting)?;
        let segments = self.client.segment_cursors(automation, project).await;
        let segments = segments.map_err(hinting)?;
        let count = |number: Option<u64>| number.unwrap_or(0);
        Ok(Standing {
            objects: objects.total_objects,
            segments: segments.total_segments,
            due: count(objects.due_objects),
            errors: count(objects.error_objects).saturating_add(count(segments.error_segments)),
            last_run: objects.last_run_at,
            next_run: objects.next_run_at,
            last_error: objects.last_error.or(segments.last_error),
            pending: count(segments.pending_segments),
            pending_from: segments.pending_min_compacted_xact_id,
        })
    }

    async fn register(
        &self,
        automation: &AutomationId,
        project: &ProjectId,
        start: XactId,
    ) -> Result<(), RegistrationError> {
        let registered = match &self.service_token {
            None => self.client.reset_cursors(automation, project, start).await,
            Some(keys) => {
                let token = keys.key().await.map_err(RegistrationError::NotDone)?;
                self.client.register_cron(automation, &token).await
            }
        };
        registered.map_err(|error| match error {
            ChangeError::NotDone(error) if self.service_token.is_none() => {
                RegistrationError::NotDone(hinting(error))
            }
            ChangeError::NotDone(error) => RegistrationError::NotDone(error),
            ChangeError::Unknown(failure) => RegistrationError::Unknown(failure),
        })
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }
}

fn seen(automation: ProjectAutomation) -> Result<Seen, SourceError> {
    let config = serde_json::from_str(automation.config.get()).map_err(|error| {
        let said = format!("its configuration cannot be read: {error}");
        SourceError::Invalid(about(&automation.name, &automation.project_id, said))
    })?;
    Ok(Seen {
        id: automation.id,
        name: automation.name,
        config,
    })
}

fn about(name: &str, project: &ProjectId, message: String) -> Failure {
    Failure {
        operation: "provision an automation".to_owned(),
        target: format!("automation {name:?} of project {project}"),
        code: String::new(),
        message,
        request_id: String::new(),
    }
}

/// A path that is not there is what an older data plane has in common with an automation that
/// is not there.
fn hinting(error: SourceError) -> SourceError {
    match error {
        SourceError::Invalid(mut failure) if failure.code == "HTTP 404" => {
            failure.message.push_str(
                " (was the automation deleted in Braintrust? or is the data plane v2.0 or older? then set its \
                 version)",
            );
            SourceError::Invalid(failure)
        }
        other => other,
    }
}

/// Nothing of the keys is in it.
impl<C, E, K> fmt::Debug for Provisioning<C, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioning")
            .field("client", &self.client)
            .field("by_cron", &self.service_token.is_some())
            .finish_non_exhaustive()
    }
}

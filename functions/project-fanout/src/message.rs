//! What the function is told.

use sealift_core::id::ProjectId;
use serde::Deserialize;

/// What the function is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Look at all projects: `provision.sweep`.
    Sweep,
    /// A project was created: `project.created`.
    Created(ProjectId),
}

/// An event that says nothing that can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// It is no envelope, or its detail is not what its type says.
    #[error("the event cannot be used: {0}")]
    Malformed(String),
    /// It is of another type.
    #[error("the detail-type {0:?} is neither project.created nor provision.sweep")]
    Unknown(String),
}

impl Message {
    /// Reads an event as the bus hands it over. Of `project.created`, whose form is that of
    /// Braintrust's audit log, the project's id is used, and nothing else: what the project is
    /// called is asked of the API, so that an old event does no harm.
    pub fn parse(envelope: &[u8]) -> Result<Self, BadMessage> {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(rename = "detail-type")]
            detail_type: String,
            #[serde(default)]
            detail: Detail,
        }
        #[derive(Default, Deserialize)]
        struct Detail {
            #[serde(default)]
            event_type: Option<String>,
            #[serde(default)]
            project_id: Option<String>,
            #[serde(default)]
            resource_type: Option<String>,
            #[serde(default)]
            resource_id: Option<String>,
        }
        let malformed = |reason: String| BadMessage::Malformed(reason);
        let Envelope {
            detail_type,
            detail,
        } = serde_json::from_slice(envelope).map_err(|e| malformed(e.to_string()))?;
        match detail_type.as_str() {
            "provision.sweep" => return Ok(Self::Sweep),
            "project.created" => {}
            _ => return Err(BadMessage::Unknown(detail_type)),
        }
        if let Some(other) = detail.event_type.filter(|kind| *kind != detail_type) {
            return Err(malformed(format!(
                "its detail-type is {detail_type}, and its detail's event_type {other:?}"
            )));
        }
        if let Some(other) = detail.resource_type.filter(|kind| kind != "project") {
            return Err(malformed(format!(
                "the resource_type of {detail_type} is {other:?} and not \"project\""
            )));
        }
        let id = match (detail.project_id, detail.resource_id) {
            (Some(project), Some(resource)) if project != resource => {
                return Err(malformed(format!(
                    "project_id {project:?} and resource_id {resource:?} of {detail_type} are not the same"
                )));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                return Err(malformed(
                    "it has neither project_id nor resource_id: send the project's id".to_owned(),
                ));
            }
        };
        let id = ProjectId::parse(id).map_err(|e| malformed(format!("project_id: {e}")))?;
        Ok(Self::Created(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Message, String> {
        Message::parse(text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_projects_id_may_stand_in_either_field() {
        let created = Message::Created(ProjectId::parse("p-1").unwrap());
        for detail in [
            r#"{"project_id":"p-1"}"#,
            r#"{"resource_id":"p-1","resource_type":"project"}"#,
            r#"{"project_id":"p-1","resource_id":"p-1","event_type":"project.created"}"#,
        ] {
            let text = format!(r#"{{"detail-type":"project.created","detail":{detail}}}"#);
            assert_eq!(parse(&text).unwrap(), created);
        }
        let tick = r#"{"source":"sealift.control","detail-type":"provision.sweep","detail":{}}"#;
        assert_eq!(parse(tick).unwrap(), Message::Sweep);
    }

    #[test]
    fn what_cannot_be_used_names_the_field() {
        for (detail, named) in [
            ("{}", "project_id"),
            (r#"{"project_id":"../.."}"#, "project_id"),
            (r#"{"project_id":7}"#, "invalid type"),
            (r#"{"project_id":"a","resource_id":"b"}"#, "resource_id"),
            (
                r#"{"project_id":"a","resource_type":"dataset"}"#,
                "resource_type",
            ),
            (
                r#"{"project_id":"a","event_type":"project.deleted"}"#,
                "event_type",
            ),
        ] {
            let text = format!(r#"{{"detail-type":"project.created","detail":{detail}}}"#);
            let error = parse(&text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        assert!(parse("{").is_err());
        let other = parse(r#"{"detail-type":"project.deleted","detail":{}}"#).unwrap_err();
        assert!(other.contains("project.deleted"), "{other}");
    }
}

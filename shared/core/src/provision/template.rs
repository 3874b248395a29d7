//! Templates: what a project gets.
//!
//! A template is the request that creates an automation, without its project: the minimal JSON
//! of Braintrust's article on one role for all exports, with the placeholders that stand
//! there, `<project-slug>` and `<unique-external-id-suffix>`.

use serde::{Deserialize, Serialize};

use crate::export::automation::{
    Automation, Definition, ExportConfig, ExportCredentials, InvalidAutomation,
};
use crate::external_id::ExternalIdSuffix;
use crate::id::{AutomationId, OrgId, ProjectId};

/// Stands for the project's own folder in `export_path`.
pub const SLUG: &str = "<project-slug>";
/// Stands for the automation's own part of the ExternalId.
pub const SUFFIX: &str = "<unique-external-id-suffix>";

/// What a project gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The automation's name; one of the project has it.
    pub name: String,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it does.
    pub config: ExportConfig,
}

/// The request that creates an automation at Braintrust (`POST /v1/project_automation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request<'a> {
    /// The project.
    pub project_id: &'a ProjectId,
    /// The automation's name.
    pub name: &'a str,
    /// What people say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// What it does.
    pub config: ExportConfig,
}

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template {name:?}: {reason}")]
pub struct InvalidTemplate {
    /// Which.
    pub name: String,
    /// What is wrong, naming the field and the way out.
    pub reason: String,
}

impl Template {
    /// Checks it, by filling it in for a project.
    pub fn check(&self) -> Result<(), InvalidTemplate> {
        let refuse = |reason: String| {
            let name = self.name.clone();
            Err(InvalidTemplate { name, reason })
        };
        if self.name.trim().is_empty() || self.name.len() > 200 {
            return refuse("its name must be of 1 to 200 bytes".to_owned());
        }
        let path = &self.config.export_path;
        let folders = path
            .strip_prefix("s3://")
            .unwrap_or(path)
            .split('/')
            .skip(1);
        if folders.filter(|folder| *folder == SLUG).count() != 1 || path.matches(SLUG).count() != 1
        {
            return refuse(format!(
                "config.export_path {path:?} must have {SLUG} once, as a folder of its own, so that \
                 no two projects share one: s3://bucket/braintrust/{SLUG}"
            ));
        }
        match &self.config.credentials {
            ExportCredentials::AwsIam { external_id, .. } if external_id != SUFFIX => {
                return refuse(format!(
                    "config.credentials.external_id must be {SUFFIX}: each automation gets one of \
                     its own"
                ));
            }
            _ => {}
        }
        let sample = |text: &str| ProjectId::parse(text).map_err(|e| e.to_string());
        let filled = (|| {
            let suffix = ExternalIdSuffix::parse("0").map_err(|e| e.to_string())?;
            let plan = Automation {
                id: AutomationId::parse("a").map_err(|e| e.to_string())?,
                organization: OrgId::parse("o").map_err(|e| e.to_string())?,
                project_id: sample("p")?,
                name: self.name.clone(),
                description: None,
                created_ms: 0,
                config: self.fill("p", &suffix),
                bucket_owner: None,
            }
            .plan()
            .map_err(|e: InvalidAutomation| e.to_string())?;
            match plan.definition {
                Definition::Query(_) => {
                    Err("config.export_definition cannot be btql_query: a query \
                                             names one project, and a template is for all"
                        .to_owned())
                }
                Definition::Traces | Definition::Spans => Ok(()),
            }
        })();
        filled.or_else(refuse)
    }

    /// The configuration for one project.
    pub fn fill(&self, slug: &str, suffix: &ExternalIdSuffix) -> ExportConfig {
        let mut config = self.config.clone();
        config.export_path = config.export_path.replace(SLUG, slug);
        if let ExportCredentials::AwsIam { external_id, .. } = &mut config.credentials {
            suffix.as_str().clone_into(external_id);
        }
        config
    }

    /// The request that creates it for one project.
    pub fn request<'a>(
        &'a self,
        project_id: &'a ProjectId,
        slug: &str,
        suffix: &ExternalIdSuffix,
    ) -> Request<'a> {
        Request {
            project_id,
            name: &self.name,
            description: self.description.as_deref(),
            config: self.fill(slug, suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The article's JSON, step 4, as it stands there.
    pub(crate) const SEED: &str = r#"{
  "project_id": "<project-id>",
  "name": "Logs export",
  "config": {
    "event_type": "btql_export",
    "export_definition": { "type": "log_traces" },
    "export_path": "s3://your-bucket/braintrust/<project-slug>",
    "format": "parquet",
    "interval_seconds": 3600,
    "credentials": {
      "type": "aws_iam",
      "role_arn": "arn:aws:iam::123456789012:role/your-role-name",
      "external_id": "<unique-external-id-suffix>"
    }
  }
}"#;

    fn template(change: impl FnOnce(&mut Value)) -> Template {
        let mut seed: Value = serde_json::from_str(SEED).unwrap();
        seed.as_object_mut().unwrap().remove("project_id");
        change(&mut seed);
        serde_json::from_value(seed).unwrap()
    }

    #[test]
    fn a_filled_template_is_the_articles_request_to_the_letter() {
        let template = template(|_| ());
        template.check().unwrap();
        let project = ProjectId::parse("p-1").unwrap();
        let suffix = ExternalIdSuffix::parse("0b41f9").unwrap();
        let request = template.request(&project, "my-project", &suffix);
        let expected = SEED
            .replace("<project-id>", "p-1")
            .replace("<project-slug>", "my-project")
            .replace("<unique-external-id-suffix>", "0b41f9");
        let compact: Box<serde_json::value::RawValue> = serde_json::from_str(&expected).unwrap();
        let compact: String = {
            // Byte by byte, the order of the fields included: only blanks between tokens go.
            let mut quoted = false;
            let text = compact.get();
            text.chars()
                .filter(|c| {
                    quoted ^= *c == '"';
                    quoted || !c.is_whitespace()
                })
                .collect()
        };
        assert_eq!(serde_json::to_string(&request).unwrap(), compact);
    }

    #[test]
    fn a_template_that_cannot_serve_every_project_says_why() {
        let reason = |change: fn(&mut Value)| template(change).check().unwrap_err().to_string();
        let path = |seed: &mut Value, path: &str| seed["config"]["export_path"] = json!(path);
        for bad in [
            "s3://your-bucket/braintrust",
            "s3://your-bucket/braintrust/x<project-slug>",
            "s3://<project-slug>/braintrust",
            "s3://your-bucket/<project-slug>/<project-slug>",
        ] {
            let error = template(|seed| path(seed, bad)).check().unwrap_err();
            assert!(error.to_string().contains("export_path"), "{error}");
        }
        let own = reason(|s| s["config"]["credentials"]["external_id"] = json!("mine"));
        assert!(own.contains("external_id must be <unique"), "{own}");
        let role = reason(|s| s["config"]["credentials"]["role_arn"] = json!("r"));
        assert!(role.contains("role_arn"), "{role}");
        let interval = reason(|s| s["config"]["interval_seconds"] = json!(0));
        assert!(interval.contains("interval_seconds"), "{interval}");
        let query = reason(|s| {
            s["config"]["export_definition"] = json!({"type": "btql_query",
                "btql_query": "select: * | from: project_logs('p') | filter: error is not null"});
        });
        assert!(query.contains("btql_query"), "{query}");
        let name = reason(|s| s["name"] = json!(" "));
        assert!(name.contains("name"), "{name}");
    }
}

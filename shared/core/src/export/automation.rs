//! Automations: what is exported of one project, and where to.
//!
//! The configuration is Braintrust's `btql_export` to the letter
//! (<https://github.com/braintrustdata/braintrust-openapi>, schema `ProjectAutomation`), so that
//! what was written for the one works with the other. [`Automation::plan`] turns it into what
//! an export needs, or says which field is in the way.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::document::{Document, Place};
use crate::export::user_query::UserQuery;
use crate::external_id::{ExternalId, ExternalIdSuffix};
use crate::id::{
    AccountId, AutomationId, BucketName, InvalidId, KeyPrefix, ObjectKey, OrgId, ProjectId, RoleArn,
};
use crate::ports::ExportPlace;

/// The shortest and the longest interval, in seconds.
pub const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 1..=2_592_000;
/// Rows of a page where the automation does not say.
pub const DEFAULT_BATCH_SIZE: u32 = 1000;
/// The most rows of a page that may be asked for.
const LARGEST_BATCH_SIZE: u32 = 100_000;

/// One automation of one project, as Sealift keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Automation {
    /// Its name within the stack.
    pub id: AutomationId,
    /// The organization that the project belongs to.
    pub organization: OrgId,
    /// The project.
    pub project_id: ProjectId,
    /// What people call it.
    pub name: String,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// What it does.
    pub config: ExportConfig,
    /// The account that the bucket must belong to; the role's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<AccountId>,
}

impl Document for Automation {
    const FORMAT: &'static str = "sealift.automation/1";
}

/// The folder of the automations' documents in the state bucket.
pub const AUTOMATIONS: &str = "exports/automations/";

impl Automation {
    /// Where an automation lies in the state bucket: `exports/automations/<id>.json`.
    pub fn place(id: &AutomationId) -> Place<Self> {
        Place::new(ObjectKey::of_known_form(format!("{AUTOMATIONS}{id}.json")))
    }

    /// Whether it is to run at all.
    pub fn is_active(&self) -> bool {
        self.config.status != Some(AutomationStatus::Paused)
    }

    /// What an export needs of the automation, checked.
    pub fn plan(&self) -> Result<ExportPlan, InvalidAutomation> {
        let config = &self.config;
        if let Some(scope) = config.scope.as_ref().filter(|scope| scope.kind != "span") {
            // Of what was sent only what is known is quoted: it may be a pasted secret.
            let known = ["trace", "group"].iter().find(|kind| **kind == scope.kind);
            let which =
                known.map_or_else(|| "this scope".to_owned(), |kind| format!("scope {kind:?}"));
            return refuse(
                "config.scope",
                format!("{which} is not supported: only \"span\" is, so leave `scope` out"),
            );
        }
        if config
            .scope
            .as_ref()
            .is_some_and(|scope| !scope.rest.is_empty())
        {
            return refuse("config.scope", "scope \"span\" has no fields beside `type`");
        }
        let ExportPath { bucket, prefix } = ExportPath::parse(&config.export_path)?;
        let (role, suffix) = match &config.credentials {
            ExportCredentials::AwsIam {
                role_arn,
                external_id,
            } => (role_arn, external_id),
            ExportCredentials::GcpServiceAccount { .. } => {
                return refuse(
                    "config.credentials.type",
                    "gcp_service_account is not supported: Sealift writes to S3 with aws_iam \
                     (role_arn and external_id)",
                );
            }
        };
        let role = RoleArn::parse(role.as_str())
            .map_err(|e| invalid("config.credentials.role_arn", &e.reason))?;
        let suffix = ExternalIdSuffix::parse(suffix.as_str()).map_err(|error| {
            let hint = "give the last part alone of bt:<org>:<project>:<external_id>";
            let reason = format!("{}; {hint}", error.reason);
            InvalidAutomation {
                field: "config.credentials.external_id",
                reason,
            }
        })?;
        let definition = match &config.export_definition {
            ExportDefinition::LogTraces {} => Definition::Traces,
            ExportDefinition::LogSpans {} => Definition::Spans,
            ExportDefinition::BtqlQuery { btql_query } => {
                Definition::Query(self.query(btql_query)?)
            }
        };
        let account = || {
            AccountId::parse(role.account())
                .map_err(|e| invalid("config.credentials.role_arn", &e.reason))
        };
        let bucket_owner = self.bucket_owner.clone().map_or_else(account, Ok)?;
        Ok(ExportPlan {
            definition,
            format: config.format,
            interval_seconds: whole(
                "config.interval_seconds",
                &config.interval_seconds,
                INTERVAL_SECONDS,
            )?,
            batch_size: match &config.batch_size {
                None => DEFAULT_BATCH_SIZE,
                Some(size) => whole("config.batch_size", size, 1..=LARGEST_BATCH_SIZE)?,
            },
            place: ExportPlace {
                organization: self.organization.clone(),
                project: self.project_id.clone(),
                external_id: ExternalId::for_export(&self.organization, &self.project_id, &suffix),
                role,
                bucket,
                prefix,
                bucket_owner,
            },
        })
    }
}

impl Automation {
    /// A user's query may read the automation's own project alone.
    fn query(&self, text: &str) -> Result<UserQuery, InvalidAutomation> {
        const FIELD: &str = "config.export_definition.btql_query";
        let query = UserQuery::parse(text).map_err(|e| invalid(FIELD, &e))?;
        if *query.project() != self.project_id {
            return refuse(
                FIELD,
                format!(
                    "it reads project {}, and the automation is of project {}: let it read that one",
                    query.project(),
                    self.project_id
                ),
            );
        }
        Ok(query)
    }
}

/// A `btql_export` configuration. It is written as it was read, `3600` and `3600.0` included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportConfig {
    /// Always `btql_export`.
    pub event_type: EventType,
    /// Whether it runs; it does, unless it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AutomationStatus>,
    /// What is exported.
    pub export_definition: ExportDefinition,
    /// How Braintrust executes it; Sealift knows the default, `span`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// `s3://bucket/path`.
    pub export_path: String,
    /// The files' format.
    pub format: Format,
    /// Seconds between the starts of two runs.
    pub interval_seconds: Number,
    /// The way into the bucket.
    pub credentials: ExportCredentials,
    /// Rows of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<Number>,
}

/// The kind of automation that exports rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// Exports rows at intervals.
    #[default]
    BtqlExport,
}

/// Whether an automation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutomationStatus {
    /// It runs.
    Active,
    /// Its cursor stands.
    Paused,
}

/// What is exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportDefinition {
    // With braces, so that fields which do not belong there are refused.
    /// One row for each trace: its summary.
    LogTraces {},
    /// One row for each span.
    LogSpans {},
    /// What a query says.
    BtqlQuery {
        /// The query, in SQL or BTQL.
        btql_query: String,
    },
}

/// How Braintrust executes an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `span`, `trace` or `group`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What belongs to the kind.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// The files' format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON Lines, compressed by gzip.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// What a file's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl.gz",
            Self::Parquet => "parquet",
        }
    }
}

/// The way into an export's bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportCredentials {
    /// A role in AWS.
    AwsIam {
        /// The role.
        role_arn: String,
        /// The automation's own part of the ExternalId.
        external_id: String,
    },
    /// A service account in Google Cloud.
    GcpServiceAccount {
        /// The account.
        service_account_email: String,
    },
}

/// What an export needs of its automation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPlan {
    /// What is exported.
    pub definition: Definition,
    /// The files' format.
    pub format: Format,
    /// Seconds between the starts of two runs.
    pub interval_seconds: u32,
    /// Rows of a page.
    pub batch_size: u32,
    /// Where the files go, and how to get in there.
    pub place: ExportPlace,
}

/// What is exported, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// The summaries of the traces that were touched.
    Traces,
    /// The spans.
    Spans,
    /// The rows of a user's query.
    Query(UserQuery),
}

/// An automation that cannot be run as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the automation's {field} cannot be used: {reason}")]
pub struct InvalidAutomation {
    /// The field, as a path.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub reason: String,
}

fn refuse<T>(field: &'static str, reason: impl Into<String>) -> Result<T, InvalidAutomation> {
    let reason = reason.into();
    Err(InvalidAutomation { field, reason })
}

fn invalid(field: &'static str, error: &dyn fmt::Display) -> InvalidAutomation {
    InvalidAutomation {
        field,
        reason: error.to_string(),
    }
}

fn whole(
    field: &'static str,
    written: &Number,
    bounds: std::ops::RangeInclusive<u32>,
) -> Result<u32, InvalidAutomation> {
    let (low, high) = (*bounds.start(), *bounds.end());
    let number = written.as_f64().unwrap_or(f64::NAN);
    if number.fract() == 0.0 && (f64::from(low)..=f64::from(high)).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within bounds"
        )]
        return Ok(number as u32);
    }
    refuse(
        field,
        format!("{written} is no whole number from {low} to {high}"),
    )
}

/// `s3://bucket/path`, taken apart. The path may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPath {
    /// The bucket.
    pub bucket: BucketName,
    /// The folder in it.
    pub prefix: KeyPrefix,
}

impl ExportPath {
    /// Takes a path apart.
    ///
    /// ```
    /// use sealift_core::export::automation::ExportPath;
    /// let path = ExportPath::parse("s3://your-bucket/braintrust/my-project").unwrap();
    /// assert_eq!(path.prefix.as_str(), "braintrust/my-project/");
    /// assert!(ExportPath::parse("gs://your-bucket/braintrust").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidAutomation> {
        const FIELD: &str = "config.export_path";
        let Some(rest) = text.strip_prefix("s3://") else {
            return refuse(
                FIELD,
                "it does not begin with s3://; other storage is not supported",
            );
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let parsed = |bucket: &str, prefix: &str| -> Result<Self, InvalidId> {
            Ok(Self {
                bucket: BucketName::parse(bucket)?,
                prefix: KeyPrefix::normalize(prefix)?,
            })
        };
        parsed(bucket, prefix).map_err(|e| invalid(FIELD, &e.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The minimal configuration of Braintrust's guide to wildcard ExternalIds.
    fn minimal() -> Value {
        json!({
            "event_type": "btql_export",
            "export_definition": {"type": "log_traces"},
            "export_path": "s3://your-bucket/braintrust/my-project",
            "format": "parquet",
            "interval_seconds": 3600,
            "credentials": {
                "type": "aws_iam",
                "role_arn": "arn:aws:iam::123456789012:role/your-role",
                "external_id": "suffix"
            }
        })
    }

    fn automation(config: Value) -> Automation {
        Automation {
            id: AutomationId::parse("a1").unwrap(),
            organization: OrgId::parse("org").unwrap(),
            project_id: ProjectId::parse("project").unwrap(),
            name: "Logs export".to_owned(),
            description: None,
            created_ms: 0,
            config: serde_json::from_value(config).unwrap(),
            bucket_owner: None,
        }
    }

    #[test]
    fn the_guides_minimal_configuration_is_all_that_is_needed() {
        let plan = automation(minimal()).plan().unwrap();
        assert_eq!(plan.definition, Definition::Traces);
        assert_eq!((plan.interval_seconds, plan.batch_size), (3600, 1000));
        assert_eq!(plan.place.external_id.as_str(), "bt:org:project:suffix");
        assert_eq!(plan.place.bucket_owner.as_str(), "123456789012");
    }

    #[test]
    fn a_configuration_is_written_as_it_was_read() {
        let mut config = minimal();
        config["batch_size"] = json!(500.0);
        config["status"] = json!("paused");
        config["interval_seconds"] = json!(3600.0);
        let read: ExportConfig = serde_json::from_value(config.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), config);
        assert_eq!(automation(config.clone()).plan().unwrap().batch_size, 500);
        assert!(!automation(config).is_active());
    }

    #[test]
    fn a_field_that_does_not_belong_there_is_refused_and_not_passed_over() {
        for (path, value) in [
            (
                "/export_definition",
                json!({"type": "log_spans", "btql_query": "filter: false"}),
            ),
            (
                "/export_definition",
                json!({"type": "log_traces", "foo": 1}),
            ),
            (
                "/credentials",
                json!({"type": "aws_iam", "role_arn": "r", "external_id": "e", "x": 1}),
            ),
        ] {
            let mut config = minimal();
            *config.pointer_mut(path).unwrap() = value;
            let read = serde_json::from_value::<ExportConfig>(config);
            assert!(read.is_err(), "{path}");
        }
        let mut config = minimal();
        config["foo"] = json!(1);
        assert!(serde_json::from_value::<ExportConfig>(config.clone()).is_err());
        config = minimal();
        config["scope"] = json!({"type": "span", "foo": 1});
        let error = automation(config).plan().unwrap_err().to_string();
        assert!(error.contains("has no fields beside `type`"), "{error}");
    }

    #[test]
    fn what_is_not_supported_is_named_with_what_is() {
        let with = |path: &str, value: Value| {
            let mut config = minimal();
            *config.pointer_mut(path).unwrap() = value;
            automation(config).plan().unwrap_err().to_string()
        };
        for (error, expected) in [
            (
                with(
                    "/credentials",
                    json!({"type": "gcp_service_account", "service_account_email": "a@b"}),
                ),
                "config.credentials.type cannot be used: gcp_service_account is not supported: Sealift writes to S3 with aws_iam",
            ),
            (
                with("/export_path", json!("gs://b/c")),
                "config.export_path cannot be used: it does not begin with s3://",
            ),
            (
                with("/export_path", json!("s3://your-bucket/../x")),
                "no segment may be `.` or `..`",
            ),
            (
                with(
                    "/export_definition",
                    json!({"type": "btql_query", "btql_query": "SELECT * FROM project_logs('other')"}),
                ),
                "it reads project other, and the automation is of project project",
            ),
            (
                with("/interval_seconds", json!(0.5)),
                "config.interval_seconds cannot be used: 0.5 is no whole number from 1 to 2592000",
            ),
            (
                with("/credentials/role_arn", json!("arn:aws:iam::1:role/x")),
                "config.credentials.role_arn cannot be used",
            ),
            (
                with("/credentials/external_id", json!("a:b")),
                "config.credentials.external_id cannot be used",
            ),
        ] {
            assert!(error.contains(expected), "{error}");
        }
        let mut config = minimal();
        config["scope"] = json!({"type": "trace", "idle_seconds": 30});
        let error = automation(config.clone()).plan().unwrap_err().to_string();
        assert!(error.contains("config.scope cannot be used"), "{error}");
        config["scope"] = json!({"type": "span"});
        assert!(automation(config).plan().is_ok());
    }
}

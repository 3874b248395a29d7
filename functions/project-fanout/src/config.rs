//! The function's variables. `README.md` has them as a table.

use sealift_core::export::message::Start;
use sealift_core::id::BucketName;
use sealift_core::provision::mode::{DataPlaneVersion, Mode};
use sealift_core::provision::settings::{DEFAULT_REQUESTS, Settings};
use sealift_core::provision::template::{SUFFIX, Template};
use sealift_core::variables::{BadVariables, Variables};
use serde_json::json;

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 18] = [
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_API_URL",
    "SEALIFT_API_KEY_PARAMETER",
    "SEALIFT_API_ORGANIZATION",
    "SEALIFT_EXPORT_SHARDS",
    "SEALIFT_PROVISION_PATH",
    "SEALIFT_PROVISION_ROLE_ARN",
    "SEALIFT_PROVISION_DEFINITION",
    "SEALIFT_PROVISION_FORMAT",
    "SEALIFT_PROVISION_INTERVAL_SECONDS",
    "SEALIFT_PROVISION_EXCLUDE",
    "SEALIFT_PROVISION_START",
    "SEALIFT_PROVISION_MODE",
    "SEALIFT_PROVISION_REQUESTS",
    "SEALIFT_PROVISION_SERVICE_TOKEN_PARAMETER",
    "SEALIFT_DATA_PLANE_VERSION",
    "SEALIFT_LOG_LEVEL",
];

/// The default template's name, as Braintrust's article has it.
const TEMPLATE_NAME: &str = "Logs export";

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the ledger and the automations.
    pub state_bucket: BucketName,
    /// The bus that outcomes are put on.
    pub bus: String,
    /// The URL of Braintrust's API or of a data plane.
    pub api_url: String,
    /// The parameter that holds the API key.
    pub api_key_parameter: String,
    /// The organization's name, where the key belongs to several.
    pub api_organization: Option<String>,
    /// The number of shards of the timetable.
    pub shards: u16,
    /// What is provisioned.
    pub settings: Settings,
    /// The parameter that holds the token which a data plane up to v2.0 runs exports with; none
    /// on a later one.
    pub service_token_parameter: Option<String>,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let api_url = variables.required("SEALIFT_API_URL");
        let api_key_parameter = variables.required("SEALIFT_API_KEY_PARAMETER");
        let api_organization = variables.optional("SEALIFT_API_ORGANIZATION");
        let shards = variables.number("SEALIFT_EXPORT_SHARDS", 1..=1000, 1);
        let template = template(&mut variables);
        let exclude: Option<String> = variables.optional("SEALIFT_PROVISION_EXCLUDE");
        let start: Option<Start> = variables.optional("SEALIFT_PROVISION_START");
        let mode: Option<Mode> = variables.optional("SEALIFT_PROVISION_MODE");
        let mode = mode.unwrap_or_default();
        let requests = variables.number(
            "SEALIFT_PROVISION_REQUESTS",
            10..=1_000_000,
            DEFAULT_REQUESTS,
        );
        let service_token_parameter = service_token(&mut variables, mode);
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                state_bucket: state_bucket?,
                bus: bus?,
                api_url: api_url?,
                api_key_parameter: api_key_parameter?,
                api_organization,
                shards: u16::try_from(shards).ok()?,
                settings: Settings {
                    templates: template.into_iter().collect(),
                    exclude: patterns(exclude.as_deref().unwrap_or_default()),
                    start: start.unwrap_or(Start::Now),
                    mode,
                    requests,
                },
                service_token_parameter,
                log_level: log_level.unwrap_or_else(|| "info".to_owned()),
            })
        })
    }
}

/// Where the token is that a data plane up to v2.0 needs.
fn service_token<F: Fn(&str) -> Option<String>>(
    variables: &mut Variables<F>,
    mode: Mode,
) -> Option<String> {
    const TOKEN: &str = "SEALIFT_PROVISION_SERVICE_TOKEN_PARAMETER";
    let version: Option<DataPlaneVersion> = variables.optional("SEALIFT_DATA_PLANE_VERSION");
    let parameter: Option<String> = variables.optional(TOKEN);
    let by_cron = mode == Mode::Managed && version.is_some_and(DataPlaneVersion::registers_by_cron);
    if by_cron && parameter.is_none() {
        let reason = "is not set: a data plane up to v2.0 runs exports with a service token, so name the \
                      parameter that holds it (SEALIFT_DATA_PLANE_VERSION is empty for later ones)";
        variables.refuse(TOKEN, &reason);
    }
    parameter.filter(|_| by_cron)
}

fn patterns(text: &str) -> Vec<String> {
    let patterns = text.split(',').map(str::trim);
    patterns
        .filter(|pattern| !pattern.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The default template; none without a path.
fn template<F: Fn(&str) -> Option<String>>(variables: &mut Variables<F>) -> Option<Template> {
    let path: Option<String> = variables.optional("SEALIFT_PROVISION_PATH");
    let role: Option<String> = variables.optional("SEALIFT_PROVISION_ROLE_ARN");
    let definition: Option<String> = variables.optional("SEALIFT_PROVISION_DEFINITION");
    let format: Option<String> = variables.optional("SEALIFT_PROVISION_FORMAT");
    let interval = variables.number("SEALIFT_PROVISION_INTERVAL_SECONDS", 1..=2_592_000, 3600);
    let path = path?;
    let template = serde_json::from_value::<Template>(json!({
        "name": TEMPLATE_NAME,
        "config": {
            "event_type": "btql_export",
            "export_definition": {"type": definition.as_deref().unwrap_or("log_traces")},
            "export_path": path,
            "format": format.as_deref().unwrap_or("parquet"),
            "interval_seconds": interval,
            "credentials": {
                "type": "aws_iam",
                "role_arn": role.as_deref().unwrap_or_default(),
                "external_id": SUFFIX,
            },
        },
    }));
    let checked = template
        .map_err(|e| e.to_string())
        .and_then(|template| match template.check() {
            Ok(()) => Ok(template),
            Err(error) => Err(error.reason),
        });
    match checked {
        Ok(template) => Some(template),
        Err(reason) => {
            variables.refuse(
                "SEALIFT_PROVISION_PATH, _ROLE_ARN, _DEFINITION and _FORMAT",
                &format!("{reason}; leave SEALIFT_PROVISION_PATH empty for no default template"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            let given = set.iter().find(|(key, _)| *key == name);
            let value = given.map(|(_, value)| *value).or(match name {
                "SEALIFT_STATE_BUCKET" => Some("sealift-state"),
                "SEALIFT_BUS" => Some("sealift"),
                "SEALIFT_API_URL" => Some("https://api.braintrust.dev"),
                "SEALIFT_API_KEY_PARAMETER" => Some("/sealift/braintrust-api-key"),
                _ => None,
            });
            value.map(str::to_owned)
        };
        Config::from_lookup(lookup).map_err(|e| e.to_string())
    }

    const PATH: (&str, &str) = (
        "SEALIFT_PROVISION_PATH",
        "s3://your-bucket/braintrust/<project-slug>",
    );
    const ROLE: (&str, &str) = (
        "SEALIFT_PROVISION_ROLE_ARN",
        "arn:aws:iam::123456789012:role/your-role-name",
    );

    #[test]
    fn without_a_path_there_is_no_default_template_and_exports_start_now() {
        let settings = read(&[]).unwrap().settings;
        assert!(settings.templates.is_empty() && settings.exclude.is_empty());
        assert_eq!(settings.start, Start::Now);
    }

    #[test]
    fn the_default_template_is_the_articles() {
        let settings = read(&[
            PATH,
            ROLE,
            ("SEALIFT_PROVISION_EXCLUDE", "scratch-*, test ,"),
        ]);
        let settings = settings.unwrap().settings;
        assert_eq!(settings.exclude, ["scratch-*", "test"]);
        let template = serde_json::to_value(&settings.templates[0]).unwrap();
        let article = json!({
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
                    "external_id": "<unique-external-id-suffix>",
                },
            },
        });
        assert_eq!(template, article);
    }

    #[test]
    fn an_older_data_plane_needs_a_service_token_in_managed_mode_alone() {
        let version = ("SEALIFT_DATA_PLANE_VERSION", "v2.0");
        let managed = ("SEALIFT_PROVISION_MODE", "managed");
        let token = (
            "SEALIFT_PROVISION_SERVICE_TOKEN_PARAMETER",
            "/sealift/token",
        );
        let own = read(&[version]).unwrap();
        assert_eq!(own.settings.mode, Mode::SelfRun);
        assert_eq!(
            (own.service_token_parameter, own.settings.requests),
            (None, 200)
        );
        let error = read(&[version, managed]).unwrap_err();
        assert!(error.contains("SERVICE_TOKEN_PARAMETER"), "{error}");
        let old = read(&[version, managed, token]).unwrap();
        assert_eq!(old.settings.mode, Mode::Managed);
        assert_eq!(
            old.service_token_parameter.as_deref(),
            Some("/sealift/token")
        );
        let current = read(&[managed, token, ("SEALIFT_DATA_PLANE_VERSION", "2.1")]).unwrap();
        assert_eq!(current.service_token_parameter, None, "it sets cursors");
        for (name, bad) in [
            ("SEALIFT_PROVISION_MODE", "both"),
            ("SEALIFT_PROVISION_REQUESTS", "9"),
            ("SEALIFT_DATA_PLANE_VERSION", "latest"),
        ] {
            let error = read(&[(name, bad)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_used_is_refused_at_the_start() {
        let without_role = read(&[PATH]).unwrap_err();
        assert!(without_role.contains("role_arn"), "{without_role}");
        let format = read(&[PATH, ROLE, ("SEALIFT_PROVISION_FORMAT", "csv")]).unwrap_err();
        assert!(format.contains("csv"), "{format}");
        let start = read(&[("SEALIFT_PROVISION_START", "soon")]).unwrap_err();
        assert!(start.contains("SEALIFT_PROVISION_START"), "{start}");
    }
}

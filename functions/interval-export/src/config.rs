//! The function's variables. `README.md` has them as a table.

use std::time::Duration;

use sealift_core::id::{BucketName, RoleArn};
use sealift_core::variables::{BadVariables, Variables};

use crate::Settings;

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 11] = [
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_PRINCIPAL_ROLE_ARN",
    "SEALIFT_API_URL",
    "SEALIFT_API_KEY_PARAMETER",
    "SEALIFT_API_ORGANIZATION",
    "SEALIFT_EXPORT_SHARDS",
    "SEALIFT_EXPORT_LAG_SECONDS",
    "SEALIFT_EXPORT_FILE_MEGABYTES",
    "SEALIFT_EXPORT_BUFFER_MEGABYTES",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of automations and cursors.
    pub state_bucket: BucketName,
    /// The bus that the end of a run is told on.
    pub bus: String,
    /// The role that assumes the customers' roles.
    pub principal_role: RoleArn,
    /// The URL of Braintrust's API or of a data plane.
    pub api_url: String,
    /// The parameter that holds the API key.
    pub api_key_parameter: String,
    /// The organization's name, where the key belongs to several.
    pub api_organization: Option<String>,
    /// How exports go about it.
    pub settings: Settings,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

const MEGABYTE: u64 = 1_000_000;

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let principal_role = variables.required("SEALIFT_PRINCIPAL_ROLE_ARN");
        let api_url = variables.required("SEALIFT_API_URL");
        let api_key_parameter = variables.required("SEALIFT_API_KEY_PARAMETER");
        let api_organization = variables.optional("SEALIFT_API_ORGANIZATION");
        let shards = variables.number("SEALIFT_EXPORT_SHARDS", 1..=1000, 1);
        let lag = variables.number("SEALIFT_EXPORT_LAG_SECONDS", 0..=86_400, 60);
        let file = variables.number("SEALIFT_EXPORT_FILE_MEGABYTES", 1..=5_000, 128);
        let buffer = variables.number("SEALIFT_EXPORT_BUFFER_MEGABYTES", 32..=4_096, 96);
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                state_bucket: state_bucket?,
                bus: bus?,
                principal_role: principal_role?,
                api_url: api_url?,
                api_key_parameter: api_key_parameter?,
                api_organization,
                settings: Settings {
                    shards: u16::try_from(shards).ok()?,
                    lag: Duration::from_secs(lag),
                    file_bytes: file * MEGABYTE,
                    buffer_bytes: usize::try_from(buffer * MEGABYTE).ok()?,
                    ..Settings::default()
                },
                log_level: log_level.unwrap_or_else(|| "info".to_owned()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "SEALIFT_STATE_BUCKET" => "sealift-state",
            "SEALIFT_BUS" => "sealift",
            "SEALIFT_PRINCIPAL_ROLE_ARN" => "arn:aws:iam::123456789012:role/sealift-principal",
            "SEALIFT_API_URL" => "https://api.braintrust.dev",
            "SEALIFT_API_KEY_PARAMETER" => "/sealift/braintrust-api-key",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn what_may_be_left_out_has_the_documented_defaults() {
        let settings = Config::from_lookup(lookup).unwrap().settings;
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_bad_variable_is_named() {
        let error =
            Config::from_lookup(|name| (name == "SEALIFT_EXPORT_SHARDS").then(|| "0".to_owned()))
                .unwrap_err();
        for name in [
            "SEALIFT_STATE_BUCKET",
            "SEALIFT_BUS",
            "SEALIFT_PRINCIPAL_ROLE_ARN",
            "SEALIFT_API_URL",
            "SEALIFT_API_KEY_PARAMETER",
            "SEALIFT_EXPORT_SHARDS",
        ] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

//! The function's variables. `README.md` has them as a table.

use std::time::Duration;

use sealift_core::id::{BucketName, RoleArn};
use sealift_core::reach::Allowed;
use sealift_core::variables::{BadVariables, Variables};

use crate::Settings;

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 10] = [
    "SEALIFT_LOG_BUCKET",
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_PRINCIPAL_ROLE_ARN",
    "SEALIFT_FLUSH_INTERVAL_SECONDS",
    "SEALIFT_SHARDS",
    "SEALIFT_LOOKBACK_SECONDS",
    "SEALIFT_PARAMETER_PATH",
    "SEALIFT_ALLOWED_ENDPOINTS",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the audit log.
    pub log_bucket: BucketName,
    /// The bucket of the destinations and cursors.
    pub state_bucket: BucketName,
    /// The bus that owners are warned by way of.
    pub bus: String,
    /// The role that assumes the customers' roles.
    pub principal_role: RoleArn,
    /// Where customers' access keys lie in the Parameter Store.
    pub parameter_path: String,
    /// What is open to customers' endpoints beside the public internet.
    pub allowed: Allowed,
    /// How delivery goes about it.
    pub settings: Settings,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let log_bucket = variables.required("SEALIFT_LOG_BUCKET");
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let principal_role = variables.required("SEALIFT_PRINCIPAL_ROLE_ARN");
        let flush = variables.number("SEALIFT_FLUSH_INTERVAL_SECONDS", 1..=900, 20);
        let shards = variables.number("SEALIFT_SHARDS", 1..=1000, 1);
        let lookback = variables.number("SEALIFT_LOOKBACK_SECONDS", 0..=1_209_600, 21_600);
        let parameter_path = variables.required("SEALIFT_PARAMETER_PATH");
        let allowed: Option<Allowed> = variables.optional("SEALIFT_ALLOWED_ENDPOINTS");
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                log_bucket: log_bucket?,
                state_bucket: state_bucket?,
                bus: bus?,
                principal_role: principal_role?,
                parameter_path: parameter_path?,
                allowed: allowed.unwrap_or_default(),
                settings: Settings {
                    flush_interval: Duration::from_secs(flush),
                    shards: u16::try_from(shards).ok()?,
                    lookback_ms: i64::try_from(lookback).ok()?.checked_mul(1000)?,
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
            "SEALIFT_LOG_BUCKET" => "sealift-log",
            "SEALIFT_STATE_BUCKET" => "sealift-state",
            "SEALIFT_BUS" => "sealift",
            "SEALIFT_PRINCIPAL_ROLE_ARN" => "arn:aws:iam::123456789012:role/sealift-principal",
            "SEALIFT_PARAMETER_PATH" => "/sealift/access-keys",
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
    fn what_is_open_to_endpoints_is_read_and_a_bad_term_is_named() {
        let opening = |list: &str| {
            let list = list.to_owned();
            Config::from_lookup(move |name| match name {
                "SEALIFT_ALLOWED_ENDPOINTS" => Some(list.clone()),
                _ => lookup(name),
            })
        };
        let list = "minio.corp.example:9000, 10.20.0.0/16";
        assert_eq!(opening(list).unwrap().allowed, list.parse().unwrap());
        assert_eq!(opening("").unwrap().allowed, Allowed::default());
        let error = opening("10.0.0.0/8,127.0.0.1:9001").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("SEALIFT_ALLOWED_ENDPOINTS"), "{error}");
        assert!(error.contains("127.0.0.1:9001"), "{error}");
    }

    #[test]
    fn every_bad_variable_is_named() {
        let error = Config::from_lookup(|name| (name == "SEALIFT_SHARDS").then(|| "0".to_owned()))
            .unwrap_err();
        for name in [
            "SEALIFT_LOG_BUCKET",
            "SEALIFT_STATE_BUCKET",
            "SEALIFT_BUS",
            "SEALIFT_PRINCIPAL_ROLE_ARN",
            "SEALIFT_SHARDS",
            "SEALIFT_PARAMETER_PATH",
        ] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

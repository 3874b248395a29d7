//! The function's variables. `README.md` has them as a table.

use std::time::Duration;

use sealift_core::control::{Round, Settings};
use sealift_core::id::{BucketName, RoleArn};
use sealift_core::reach::Allowed;
use sealift_core::variables::{BadVariables, Variables};

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 9] = [
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_PRINCIPAL_ROLE_ARN",
    "SEALIFT_PARAMETER_PATH",
    "SEALIFT_SHARDS",
    "SEALIFT_ALLOWED_ENDPOINTS",
    "SEALIFT_CHECK_HOURS",
    "SEALIFT_CHECKS_AT_ONCE",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the destinations and their records.
    pub state_bucket: BucketName,
    /// The bus that audit entries are put on.
    pub bus: String,
    /// Where customers' access keys lie in the Parameter Store.
    pub parameter_path: String,
    /// The principal, which assumes the customers' roles, the number of shards, and what is open to customers' endpoints
    /// beside the public internet.
    pub settings: Settings,
    /// How a round goes about it.
    pub round: Round,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let principal: Option<RoleArn> = variables.required("SEALIFT_PRINCIPAL_ROLE_ARN");
        let parameter_path = variables.required("SEALIFT_PARAMETER_PATH");
        let shards = variables.number("SEALIFT_SHARDS", 1..=1000, 1);
        let hours = variables.number("SEALIFT_CHECK_HOURS", 1..=24, 23);
        let at_once = variables.number("SEALIFT_CHECKS_AT_ONCE", 1..=64, 8);
        let allowed: Option<Allowed> = variables.optional("SEALIFT_ALLOWED_ENDPOINTS");
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                state_bucket: state_bucket?,
                bus: bus?,
                parameter_path: parameter_path?,
                settings: Settings {
                    shards: u16::try_from(shards).ok()?,
                    principal: principal?,
                    allowed: allowed.unwrap_or_default(),
                },
                round: Round {
                    due_after: Duration::from_hours(hours),
                    at_once: usize::try_from(at_once).ok()?,
                    ..Round::default()
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
            "SEALIFT_PARAMETER_PATH" => "/sealift/access-keys",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn what_may_be_left_out_has_the_documented_defaults() {
        let config = Config::from_lookup(lookup).unwrap();
        assert_eq!(config.round, Round::default());
        assert_eq!(config.settings.shards, 1);
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
        assert_eq!(
            opening(list).unwrap().settings.allowed,
            list.parse().unwrap()
        );
        assert_eq!(opening("").unwrap().settings.allowed, Allowed::default());
        let error = opening("10.0.0.0/8,127.0.0.1:9001").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("SEALIFT_ALLOWED_ENDPOINTS"), "{error}");
        assert!(error.contains("127.0.0.1:9001"), "{error}");
    }

    #[test]
    fn every_bad_variable_is_named() {
        let error =
            Config::from_lookup(|name| (name == "SEALIFT_CHECK_HOURS").then(|| "25".to_owned()));
        let error = error.unwrap_err().to_string();
        for name in [
            "SEALIFT_STATE_BUCKET",
            "SEALIFT_BUS",
            "SEALIFT_PRINCIPAL_ROLE_ARN",
            "SEALIFT_PARAMETER_PATH",
            "SEALIFT_CHECK_HOURS",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}

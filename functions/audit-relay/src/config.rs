//! The function's variables. `README.md` has them as a table.

use std::str::FromStr;

use sealift_core::Timestamp;
use sealift_core::id::{BucketName, OrgId};
use sealift_core::variables::{BadVariables, Variables};

use crate::Settings;

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 11] = [
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_LOG_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_API_URL",
    "SEALIFT_API_KEY_PARAMETER",
    "SEALIFT_API_ORGANIZATION",
    "SEALIFT_ORGANIZATION_ID",
    "SEALIFT_RELAY_ROW_LEVEL",
    "SEALIFT_RELAY_OWN_ACTOR",
    "SEALIFT_RELAY_START",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the cursor.
    pub state_bucket: BucketName,
    /// The bucket of the audit log, where entries are parked.
    pub log_bucket: BucketName,
    /// The bus that entries are put on.
    pub bus: String,
    /// The URL of Braintrust's API or of a data plane.
    pub api_url: String,
    /// The parameter that holds the API key.
    pub api_key_parameter: String,
    /// The organization's name, where the key belongs to several.
    pub api_organization: Option<String>,
    /// What is relayed.
    pub settings: Settings,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

/// Where a relay begins that has no cursor yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    #[default]
    Now,
    /// With what has happened since.
    At(Timestamp),
}

/// A start that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be `now`, or a date or time such as 2026-05-01 or 2026-05-01T06:00:00Z")]
pub struct InvalidStart(String);

impl FromStr for Start {
    type Err = InvalidStart;

    fn from_str(text: &str) -> Result<Self, InvalidStart> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let midnight = || format!("{text}T00:00:00Z").parse().ok();
        let time = text.parse::<Timestamp>().ok().or_else(midnight);
        time.map(Self::At)
            .ok_or_else(|| InvalidStart(text.to_owned()))
    }
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let log_bucket = variables.required("SEALIFT_LOG_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let api_url = variables.required("SEALIFT_API_URL");
        let api_key_parameter = variables.required("SEALIFT_API_KEY_PARAMETER");
        let api_organization = variables.optional("SEALIFT_API_ORGANIZATION");
        let organization = variables.required::<OrgId>("SEALIFT_ORGANIZATION_ID");
        let row_level = variables.optional("SEALIFT_RELAY_ROW_LEVEL");
        let own_actor = variables.optional("SEALIFT_RELAY_OWN_ACTOR");
        let start = variables.optional("SEALIFT_RELAY_START");
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                state_bucket: state_bucket?,
                log_bucket: log_bucket?,
                bus: bus?,
                api_url: api_url?,
                api_key_parameter: api_key_parameter?,
                api_organization,
                settings: Settings {
                    row_level: row_level.unwrap_or(false),
                    own_actor,
                    start: start.unwrap_or_default(),
                    ..Settings::of(organization?)
                },
                log_level: log_level.unwrap_or_else(|| "info".to_owned()),
            })
        })
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
                "SEALIFT_LOG_BUCKET" => Some("sealift-log"),
                "SEALIFT_BUS" => Some("sealift"),
                "SEALIFT_API_URL" => Some("https://api.braintrust.dev"),
                "SEALIFT_API_KEY_PARAMETER" => Some("/sealift/braintrust-api-key"),
                "SEALIFT_ORGANIZATION_ID" => Some("5abfae3a-7aa7-4653-a9c8-b3efcb18f584"),
                _ => None,
            });
            value.map(str::to_owned)
        };
        Config::from_lookup(lookup).map_err(|e| e.to_string())
    }

    #[test]
    fn what_may_be_left_out_has_the_documented_defaults() {
        let config = read(&[]).unwrap();
        let organization = OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap();
        assert_eq!(config.settings, Settings::of(organization));
        assert!(!config.settings.row_level);
        assert_eq!(config.settings.start, Start::Now);
    }

    #[test]
    fn a_start_is_a_date_a_time_or_now() {
        let start = |text| read(&[("SEALIFT_RELAY_START", text)]).map(|c| c.settings.start);
        let at = |text: &str| Start::At(text.parse().unwrap());
        assert_eq!(start("2026-05-01").unwrap(), at("2026-05-01T00:00:00Z"));
        assert_eq!(
            start("2026-05-01T06:00:00+02:00").unwrap(),
            at("2026-05-01T04:00:00Z")
        );
        assert_eq!(start("now").unwrap(), Start::Now);
        let error = start("yesterday").unwrap_err();
        assert!(error.contains("SEALIFT_RELAY_START"), "{error}");
    }

    #[test]
    fn every_bad_variable_is_named() {
        let error = Config::from_lookup(|name| match name {
            "SEALIFT_RELAY_ROW_LEVEL" => Some("yes".to_owned()),
            "SEALIFT_ORGANIZATION_ID" => Some("a:*".to_owned()),
            _ => None,
        })
        .unwrap_err();
        for name in [
            "SEALIFT_STATE_BUCKET",
            "SEALIFT_LOG_BUCKET",
            "SEALIFT_BUS",
            "SEALIFT_API_URL",
            "SEALIFT_API_KEY_PARAMETER",
            "SEALIFT_ORGANIZATION_ID",
            "SEALIFT_RELAY_ROW_LEVEL",
        ] {
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

//! The function's variables. `README.md` has them as a table.

use sealift_core::control::Settings;
use sealift_core::id::{BucketName, OrgId, RoleArn};
use sealift_core::reach::Allowed;
use sealift_core::variables::{BadVariables, Variables};

use crate::claims::Claims;

/// The variables that [`Config`] reads.
pub const VARIABLES: [&str; 14] = [
    "SEALIFT_STATE_BUCKET",
    "SEALIFT_LOG_BUCKET",
    "SEALIFT_BUS",
    "SEALIFT_PRINCIPAL_ROLE_ARN",
    "SEALIFT_PARAMETER_PATH",
    "SEALIFT_SHARDS",
    "SEALIFT_ORGANIZATION_ID",
    "SEALIFT_EXPORT_SHARDS",
    "SEALIFT_ALLOWED_ENDPOINTS",
    "SEALIFT_CLAIM_ORGANIZATION",
    "SEALIFT_CLAIM_ROLE",
    "SEALIFT_ROLE_ADMIN",
    "SEALIFT_ROLE_READER",
    "SEALIFT_LOG_LEVEL",
];

/// What the function is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of the destinations and their records.
    pub state_bucket: BucketName,
    /// The bucket of the audit log, which a status tells of.
    pub log_bucket: BucketName,
    /// The bus that audit entries are put on.
    pub bus: String,
    /// Where customers' access keys lie in the Parameter Store.
    pub parameter_path: String,
    /// The principal, which assumes the customers' roles, the number of shards, and what is open to customers' endpoints
    /// beside the public internet.
    pub settings: Settings,
    /// The organization whose automations are managed here; without it, none are.
    pub organization: Option<OrgId>,
    /// The number of shards of the automations' timetable.
    pub export_shards: u16,
    /// What tokens have to hold; without it, none is let in.
    pub claims: Option<Claims>,
    /// What is logged: a `tracing` filter.
    pub log_level: String,
}

impl Config {
    /// Reads the variables through a lookup. Every bad one is reported.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariables> {
        let mut variables = Variables::new(lookup);
        let state_bucket = variables.required("SEALIFT_STATE_BUCKET");
        let log_bucket = variables.required("SEALIFT_LOG_BUCKET");
        let bus = variables.required("SEALIFT_BUS");
        let principal: Option<RoleArn> = variables.required("SEALIFT_PRINCIPAL_ROLE_ARN");
        let parameter_path = variables.required("SEALIFT_PARAMETER_PATH");
        let shards = variables.number("SEALIFT_SHARDS", 1..=1000, 1);
        let own_organization = variables.optional("SEALIFT_ORGANIZATION_ID");
        let export_shards = variables.number("SEALIFT_EXPORT_SHARDS", 1..=1000, 1);
        let organization: Option<String> = variables.optional("SEALIFT_CLAIM_ORGANIZATION");
        let role: Option<String> = variables.optional("SEALIFT_CLAIM_ROLE");
        let admin: Option<String> = variables.optional("SEALIFT_ROLE_ADMIN");
        let reader: Option<String> = variables.optional("SEALIFT_ROLE_READER");
        let admin = admin.unwrap_or_else(|| "admin".to_owned());
        let reader = reader.unwrap_or_else(|| "audit_reader".to_owned());
        if admin == reader {
            variables.refuse(
                "SEALIFT_ROLE_READER",
                &"must be another role than SEALIFT_ROLE_ADMIN: a reader may change nothing",
            );
        }
        let claims = match (organization, role) {
            (Some(organization), Some(role)) => Some(Claims {
                organization,
                role,
                admin,
                reader,
            }),
            (None, None) => None,
            (Some(_), None) => {
                let reason = "is needed with SEALIFT_CLAIM_ORGANIZATION";
                variables.refuse("SEALIFT_CLAIM_ROLE", &reason);
                None
            }
            (None, Some(_)) => {
                let reason = "is needed with SEALIFT_CLAIM_ROLE";
                variables.refuse("SEALIFT_CLAIM_ORGANIZATION", &reason);
                None
            }
        };
        let allowed: Option<Allowed> = variables.optional("SEALIFT_ALLOWED_ENDPOINTS");
        let log_level = variables.optional("SEALIFT_LOG_LEVEL");
        variables.finish(|| {
            Some(Self {
                state_bucket: state_bucket?,
                log_bucket: log_bucket?,
                bus: bus?,
                parameter_path: parameter_path?,
                settings: Settings {
                    shards: u16::try_from(shards).ok()?,
                    principal: principal?,
                    allowed: allowed.unwrap_or_default(),
                },
                organization: own_organization,
                export_shards: u16::try_from(export_shards).ok()?,
                claims,
                log_level: log_level.unwrap_or_else(|| "info".to_owned()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(more: &[(&str, &str)]) -> Result<Config, BadVariables> {
        let own = [
            ("SEALIFT_STATE_BUCKET", "sealift-state"),
            ("SEALIFT_LOG_BUCKET", "sealift-log"),
            ("SEALIFT_BUS", "sealift"),
            (
                "SEALIFT_PRINCIPAL_ROLE_ARN",
                "arn:aws:iam::123456789012:role/sealift-principal",
            ),
            ("SEALIFT_PARAMETER_PATH", "/sealift/access-keys"),
        ];
        Config::from_lookup(|name| {
            let mut all = more.iter().chain(&own);
            all.find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_may_be_left_out_has_the_documented_defaults() {
        let config = with(&[]).unwrap();
        assert_eq!(config.claims, None);
        assert_eq!((config.settings.shards, config.export_shards), (1, 1));
        assert_eq!(config.organization, None);
        assert_eq!(config.log_level, "info");
        let config = with(&[
            ("SEALIFT_CLAIM_ORGANIZATION", "org"),
            ("SEALIFT_CLAIM_ROLE", "groups"),
        ]);
        let claims = config.unwrap().claims.unwrap();
        assert_eq!((&*claims.admin, &*claims.reader), ("admin", "audit_reader"));
    }

    #[test]
    fn one_claim_without_the_other_is_refused_and_so_is_one_role_for_both() {
        for (given, named) in [
            (
                ("SEALIFT_CLAIM_ROLE", "groups"),
                "SEALIFT_CLAIM_ORGANIZATION",
            ),
            (("SEALIFT_CLAIM_ORGANIZATION", "org"), "SEALIFT_CLAIM_ROLE"),
            (("SEALIFT_ROLE_READER", "admin"), "SEALIFT_ROLE_READER"),
        ] {
            let error = with(&[given]).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_is_open_to_endpoints_is_read_and_a_bad_term_is_named() {
        let opening = |list: &str| with(&[("SEALIFT_ALLOWED_ENDPOINTS", list)]);
        let list = "minio.corp.example:9000, 10.20.0.0/16";
        let allowed = opening(list).unwrap().settings.allowed;
        assert_eq!(allowed, list.parse().unwrap());
        assert_eq!(opening("").unwrap().settings.allowed, Allowed::default());
        let error = opening("10.0.0.0/8,127.0.0.1:9001").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("SEALIFT_ALLOWED_ENDPOINTS"), "{error}");
        assert!(error.contains("127.0.0.1:9001"), "{error}");
    }

    #[test]
    fn every_bad_variable_is_named() {
        let error = Config::from_lookup(|name| (name == "SEALIFT_SHARDS").then(|| "0".to_owned()));
        let error = error.unwrap_err().to_string();
        for name in VARIABLES.iter().take(6) {
            assert!(error.contains(name), "{error}");
        }
    }
}

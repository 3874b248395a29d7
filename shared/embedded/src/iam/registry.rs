//! The file that roles and users are kept in.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_core::id::{AccountId, RoleArn};
use sealift_core::policy::Document;
use serde::{Deserialize, Serialize};

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    /// There is one already.
    #[error("{0} exists already")]
    Exists(String),
    /// There is no such role.
    #[error("there is no role {0}")]
    NoSuchRole(String),
    /// A policy document cannot be read.
    #[error("the {what} cannot be read: {reason}")]
    MalformedPolicy {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry's file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The registry's file holds what this version cannot read.
    #[error("{}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A secret that is shown by nobody's `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// A user with one pair of access keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// The user's name, for the ARN.
    pub name: String,
    /// The account that the user belongs to.
    pub account: AccountId,
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The user's permission policy: a JSON document.
    pub policy: String,
}

impl User {
    pub(super) fn policy(&self) -> Result<Policy, IamError> {
        Policy::parse("user policy", &self.policy)
    }
}

/// A policy document and the text that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    text: String,
    pub(super) document: Document,
}

impl Policy {
    pub(super) fn parse(what: &str, text: &str) -> Result<Self, IamError> {
        match text.parse::<Document>() {
            Ok(document) => Ok(Self {
                text: text.to_owned(),
                document,
            }),
            Err(error) => Err(IamError::MalformedPolicy {
                what: what.to_owned(),
                reason: error.to_string(),
            }),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) unique_id: String,
    pub(super) trust: Policy,
    pub(super) policies: BTreeMap<String, Arc<Policy>>,
}

/// All roles by ARN, and all users by access key id.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    pub(super) roles: BTreeMap<RoleArn, Role>,
    pub(super) users: BTreeMap<String, (User, Arc<Policy>)>,
}

const VERSION: u32 = 1;

/// The registry as it stands in its file: policies as the text that was given.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    roles: BTreeMap<RoleArn, StoredRole>,
    users: Vec<User>,
}

#[derive(Serialize, Deserialize)]
struct StoredRole {
    unique_id: String,
    trust: String,
    policies: BTreeMap<String, String>,
}

impl Registry {
    pub(super) fn add_user(&mut self, user: User) -> Result<(), IamError> {
        let policy = Arc::new(user.policy()?);
        self.users
            .insert(user.access_key_id.clone(), (user, policy));
        Ok(())
    }

    pub(super) fn load(file: &Path) -> Result<Self, IamError> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(io_error(file, source)),
        };
        let corrupt = |reason: String| IamError::Corrupt {
            path: file.to_owned(),
            reason,
        };
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if stored.version != VERSION {
            return Err(corrupt(format!(
                "its version is {}, this program reads {VERSION}",
                stored.version
            )));
        }
        let mut registry = Self::default();
        for (arn, role) in stored.roles {
            registry.roles.insert(arn, role.read()?);
        }
        for user in stored.users {
            registry.add_user(user)?;
        }
        Ok(registry)
    }

    pub(super) fn save(&self, file: &Path) -> Result<(), IamError> {
        let stored = Stored {
            version: VERSION,
            roles: self
                .roles
                .iter()
                .map(|(arn, role)| (arn.clone(), StoredRole::write(role)))
                .collect(),
            users: self.users.values().map(|(user, _)| user.clone()).collect(),
        };
        let failed = |source| io_error(file, source);
        let text = serde_json::to_vec_pretty(&stored).map_err(|e| failed(e.into()))?;
        crate::private::write(file, &text).map_err(failed)
    }
}

impl StoredRole {
    fn write(role: &Role) -> Self {
        let text = |(name, policy): (&String, &Arc<Policy>)| (name.clone(), policy.text.clone());
        Self {
            unique_id: role.unique_id.clone(),
            trust: role.trust.text.clone(),
            policies: role.policies.iter().map(text).collect(),
        }
    }

    fn read(self) -> Result<Role, IamError> {
        let policy = |(name, text): (String, String)| {
            let policy = Policy::parse(&name, &text)?;
            Ok((name, Arc::new(policy)))
        };
        Ok(Role {
            unique_id: self.unique_id,
            trust: Policy::parse("trust policy", &self.trust)?,
            policies: self
                .policies
                .into_iter()
                .map(policy)
                .collect::<Result<_, IamError>>()?,
        })
    }
}

fn io_error(path: &Path, source: io::Error) -> IamError {
    IamError::Io {
        path: path.to_owned(),
        source,
    }
}

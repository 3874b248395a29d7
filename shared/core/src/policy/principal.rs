//! Who may, and who asks: the `Principal` element and the caller that it is held against.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{List, Partition};
use crate::id::{AccountId, InvalidId, RoleArn};

/// Whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// `"*"`: anyone at all.
    Anyone,
    /// Those in the lists.
    Named(NamedPrincipals),
}

/// Principals by kind. At least one list is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPrincipals {
    /// Accounts, users, roles and sessions.
    #[serde(rename = "AWS", default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<List<AwsPrincipal>>,
    /// AWS services: `lambda.amazonaws.com`.
    #[serde(rename = "Service", default, skip_serializing_if = "Option::is_none")]
    pub service: Option<List<String>>,
    /// Identity providers.
    #[serde(rename = "Federated", default, skip_serializing_if = "Option::is_none")]
    pub federated: Option<List<String>>,
    /// Canonical user ids of S3.
    #[serde(
        rename = "CanonicalUser",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub canonical_user: Option<List<String>>,
}

/// A principal of the kind `AWS`: `*`, 12 digits of an account, an ARN, or the unique id that
/// IAM shows in place of a principal that was deleted. No wildcard stands for a part of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AwsPrincipal(String);

impl AwsPrincipal {
    /// Parses a principal; [`InvalidId`] names the broken rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let reason = if text.is_empty() {
            "it must not be empty"
        } else if text != "*" && text.contains(['*', '?']) {
            "a wildcard may not stand for a part of a principal"
        } else {
            return Ok(Self(text));
        };
        Err(InvalidId::new("principal", &text, reason))
    }

    /// Everyone whom the account allows: `arn:aws:iam::<account>:root`.
    pub fn account(partition: Partition, account: &AccountId) -> Self {
        Self(format!("arn:{partition}:iam::{account}:root"))
    }

    /// One role.
    pub fn role(role: &RoleArn) -> Self {
        Self(role.as_str().to_owned())
    }

    /// The text as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AwsPrincipal {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl From<AwsPrincipal> for String {
    fn from(principal: AwsPrincipal) -> String {
        principal.0
    }
}

impl Principal {
    /// A single principal of the kind `AWS`.
    pub fn aws(principal: AwsPrincipal) -> Self {
        Self::Named(NamedPrincipals {
            aws: Some(List::one(principal)),
            ..NamedPrincipals::default()
        })
    }

    /// Whether the caller is among those named. Callers are never federated users or canonical
    /// user ids here, so those lists name none of them.
    pub fn names(&self, caller: &Caller) -> bool {
        let Self::Named(named) = self else {
            return true;
        };
        match &caller.0 {
            Kind::Service(name) => {
                let mut services = named.service.iter().flat_map(List::iter);
                services.any(|service| service == name)
            }
            Kind::Identity(identity) => {
                let mut principals = named.aws.iter().flat_map(List::iter);
                principals.any(|principal| identity.is(principal))
            }
        }
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Anyone => serializer.serialize_str("*"),
            Self::Named(named) => named.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrincipalVisitor)
    }
}

struct PrincipalVisitor;

impl<'de> Visitor<'de> for PrincipalVisitor {
    type Value = Principal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`*`, or an object that names principals by kind")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Principal, E> {
        match text {
            "*" => Ok(Principal::Anyone),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Principal, A::Error> {
        let named = NamedPrincipals::deserialize(MapAccessDeserializer::new(map))?;
        if named == NamedPrincipals::default() {
            return Err(A::Error::invalid_length(0, &self));
        }
        Ok(Principal::Named(named))
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Service(String),
    Identity(Identity),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    arn: String,
    partition: String,
    account: String,
    /// The name of the role, without its path, that a session belongs to.
    session_of: Option<String>,
}

impl Caller {
    /// A role.
    pub fn role(role: &RoleArn) -> Self {
        Self(Kind::Identity(Identity {
            arn: role.as_str().to_owned(),
            partition: role.partition().to_owned(),
            account: role.account().to_owned(),
            session_of: None,
        }))
    }

    /// An AWS service: `lambda.amazonaws.com`.
    pub fn service(name: impl Into<String>) -> Self {
        Self(Kind::Service(name.into()))
    }

    /// Parses the ARN that AWS knows a caller by: a role, user or root of an account
    /// (`arn:aws:iam::…`), or a session (`arn:aws:sts::…:assumed-role/<role>/<session>`).
    pub fn parse_arn(text: &str) -> Result<Self, InvalidId> {
        Self::identity(text).ok_or_else(|| {
            let reason = "it must be the ARN of a role, a user, an account's root or a session";
            InvalidId::new("caller", text, reason)
        })
    }

    fn identity(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if arn != "arn" || !region.is_empty() || !digits || text.contains(['*', '?']) {
            return None;
        }
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        let session_of = match (service, kind) {
            ("iam", "root") if resource == "root" => None,
            ("iam", "user" | "role") | ("sts", "federated-user") if !name.is_empty() => None,
            ("sts", "assumed-role") => match name.split_once('/') {
                Some((role, session)) if !role.is_empty() && !session.is_empty() => {
                    Some(role.to_owned())
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Self(Kind::Identity(Identity {
            arn: text.to_owned(),
            partition: partition.to_owned(),
            account: account.to_owned(),
            session_of,
        })))
    }
}

impl Identity {
    fn is(&self, principal: &AwsPrincipal) -> bool {
        let named = principal.as_str();
        let (partition, account) = (&self.partition, &self.account);
        if named == "*"
            || named == self.arn
            || named == account
            || named == format!("arn:{partition}:iam::{account}:root")
        {
            return true;
        }
        // A session's ARN does not tell its role's path; names are unique in an account.
        let (Some(role), Ok(named)) = (&self.session_of, RoleArn::parse(named)) else {
            return false;
        };
        named.name() == role && named.account() == account && named.partition() == partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(principal: &str, caller: &str) -> bool {
        let principal: Principal = serde_json::from_str(principal).unwrap();
        principal.names(&Caller::parse_arn(caller).unwrap())
    }

    const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/deliver/t-1";

    #[test]
    fn an_account_names_everyone_in_it_and_nobody_else() {
        for account in ["arn:aws:iam::123456789012:root", "123456789012"] {
            let principal = format!(r#"{{"AWS":"{account}"}}"#);
            assert!(names(&principal, SESSION));
            assert!(names(
                &principal,
                "arn:aws:iam::123456789012:user/team/adele"
            ));
            assert!(!names(&principal, "arn:aws:iam::999999999999:role/deliver"));
        }
        assert!(!names(
            r#"{"AWS":"arn:aws-cn:iam::123456789012:root"}"#,
            SESSION
        ));
    }

    #[test]
    fn a_role_names_itself_and_its_sessions() {
        let role = r#"{"AWS":"arn:aws:iam::123456789012:role/team/deliver"}"#;
        assert!(names(role, "arn:aws:iam::123456789012:role/team/deliver"));
        assert!(names(role, SESSION));
        for other in [
            "arn:aws:iam::123456789012:role/deliver",
            "arn:aws:iam::123456789012:role/team/Deliver",
            "arn:aws:sts::123456789012:assumed-role/deliver2/t-1",
            "arn:aws:sts::999999999999:assumed-role/deliver/t-1",
            "arn:aws:iam::123456789012:root",
        ] {
            assert!(!names(role, other), "{other}");
        }
    }

    #[test]
    fn a_session_that_is_named_is_that_session_alone() {
        let session = format!(r#"{{"AWS":"{SESSION}"}}"#);
        assert!(names(&session, SESSION));
        assert!(!names(
            &session,
            "arn:aws:sts::123456789012:assumed-role/deliver/t-2"
        ));
        assert!(!names(&session, "arn:aws:iam::123456789012:role/deliver"));
    }

    #[test]
    fn a_star_names_everyone_and_a_deleted_principal_nobody() {
        assert!(names(r#""*""#, SESSION));
        assert!(names(r#"{"AWS":"*"}"#, SESSION));
        assert!(!names(r#"{"AWS":"AROAEXAMPLEID0000000"}"#, SESSION));
    }

    #[test]
    fn services_are_named_as_services() {
        let lambda = Caller::service("lambda.amazonaws.com");
        let principal: Principal =
            serde_json::from_str(r#"{"Service":["s3.amazonaws.com","lambda.amazonaws.com"]}"#)
                .unwrap();
        assert!(principal.names(&lambda));
        assert!(!principal.names(&Caller::parse_arn(SESSION).unwrap()));
        assert!(!Principal::aws(AwsPrincipal::parse("*").unwrap()).names(&lambda));
    }

    #[test]
    fn what_is_no_principal_is_refused() {
        for bad in [
            r#""arn:aws:iam::123456789012:root""#,
            "{}",
            r#"{"AWS":[]}"#,
            r#"{"Aws":"*"}"#,
            r#"{"AWS":"*","AWS":"123456789012"}"#,
            r#"{"AWS":"arn:aws:iam::123456789012:role/*"}"#,
        ] {
            assert!(serde_json::from_str::<Principal>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_caller_is_refused() {
        for bad in [
            "*",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:iam::12345:role/r",
            "arn:aws:sts::123456789012:assumed-role/r",
            "arn:aws:iam::123456789012:root/x",
            "arn:aws:s3:::bucket",
        ] {
            assert!(Caller::parse_arn(bad).is_err(), "{bad}");
        }
    }
}

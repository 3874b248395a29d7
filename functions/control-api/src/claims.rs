//! What the claims of a token let its bearer do. What they are called, and what their values mean,
//! is the identity provider's to say, and so comes from variables.

use std::collections::HashMap;

use sealift_core::control::Access;
use sealift_core::id::OrgId;

use crate::door::NotAdmitted;

/// The claim that says who it is, by <https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2>.
pub(crate) const SUBJECT: &str = "sub";

/// Which claims count, and which values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The claim that holds the organization.
    pub organization: String,
    /// The claim that holds a role, or a list of them.
    pub role: String,
    /// The role that may change destinations.
    pub admin: String,
    /// The role that may look at them.
    pub reader: String,
}

impl Claims {
    /// What the bearer may do. API Gateway has checked the token; here it is only read.
    pub fn access(&self, claims: &HashMap<String, String>) -> Result<Access, NotAdmitted> {
        let claim = |name: &str| claims.get(name).filter(|value| !value.is_empty());
        let names = [SUBJECT, &self.organization, &self.role];
        let missing: Vec<_> = names
            .iter()
            .filter(|name| claim(name).is_none())
            .map(|name| format!("`{name}`"))
            .collect();
        if !missing.is_empty() {
            return Err(NotAdmitted::Refused(format!(
                "the token has no claim {}; the identity provider has to add it",
                missing.join(", ")
            )));
        }
        let organization = claim(&self.organization).map(|text| OrgId::parse(text.as_str()));
        let Some(Ok(organization)) = organization else {
            return Err(NotAdmitted::Refused(format!(
                "the claim `{}` of the token must be one organization's id",
                self.organization
            )));
        };
        let roles = claim(&self.role)
            .map(|text| values(text))
            .unwrap_or_default();
        if roles.contains(&self.admin.as_str()) {
            Ok(Access::Admin(organization))
        } else if roles.contains(&self.reader.as_str()) {
            Ok(Access::Reader(organization))
        } else {
            Err(NotAdmitted::Refused(format!(
                "the claim `{}` of the token holds neither `{}` nor `{}`",
                self.role, self.admin, self.reader
            )))
        }
    }
}

/// The values of a claim. API Gateway hands over a list as `[one two]`.
fn values(text: &str) -> Vec<&str> {
    let list = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match list {
        Some(list) => list
            .split([' ', ','])
            .filter(|value| !value.is_empty())
            .collect(),
        None => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(claims: &[(&str, &str)]) -> Result<Access, NotAdmitted> {
        let known = Claims {
            organization: "org".to_owned(),
            role: "groups".to_owned(),
            admin: "admin".to_owned(),
            reader: "audit_reader".to_owned(),
        };
        let claims = claims
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        known.access(&claims.collect())
    }

    fn refusal(claims: &[(&str, &str)]) -> String {
        match access(claims) {
            Err(NotAdmitted::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_stronger_of_several_roles_counts() {
        let acme = OrgId::parse("acme").unwrap();
        for (groups, expected) in [
            ("admin", Access::Admin(acme.clone())),
            ("audit_reader", Access::Reader(acme.clone())),
            ("[audit_reader admin]", Access::Admin(acme.clone())),
            ("[x, audit_reader]", Access::Reader(acme)),
        ] {
            let claims = [("sub", "u-1"), ("org", "acme"), ("groups", groups)];
            assert_eq!(access(&claims), Ok(expected), "{groups}");
        }
    }

    #[test]
    fn missing_claims_are_all_named() {
        let reason = refusal(&[("sub", "u-1"), ("org", "")]);
        assert!(reason.contains("`org`, `groups`"), "{reason}");
        assert!(refusal(&[("org", "acme"), ("groups", "admin")]).contains("`sub`"));
    }

    #[test]
    fn a_role_counts_only_whole_and_no_organization_is_guessed() {
        for groups in ["admins", "Admin", "not admin", "admin,audit_reader", "[]"] {
            let reason = refusal(&[("sub", "u"), ("org", "acme"), ("groups", groups)]);
            assert!(
                reason.contains("neither `admin` nor `audit_reader`"),
                "{reason}"
            );
        }
        for org in ["[acme]", "acme globex", "[acme globex]", "../acme"] {
            let reason = refusal(&[("sub", "u"), ("org", org), ("groups", "admin")]);
            assert!(reason.contains("one organization"), "{org}: {reason}");
        }
    }
}

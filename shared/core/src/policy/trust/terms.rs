//! What a role's trust policy must say.

use super::{AwsPrincipal, Comparison, Document, List, Statement, document, for_organization};
use crate::external_id::ExternalId;
use crate::id::OrgId;

/// Whom a role lets in, and with which ExternalIds. Any other caller, and any other ExternalId or
/// none, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who may assume the role.
    pub principal: AwsPrincipal,
    /// With what.
    pub admitted: Admitted,
}

/// The ExternalIds that a role lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// `bt:<org>:*`: those of all exports of an organization.
    Organization(OrgId),
    /// This one: of an audit destination, or of a single export.
    Exactly(ExternalId),
}

impl Terms {
    /// The trust policy that says so.
    ///
    /// ```
    /// use sealift_core::external_id::ExternalId;
    /// use sealift_core::id::RoleArn;
    /// use sealift_core::policy::AwsPrincipal;
    /// use sealift_core::policy::trust::{Admitted, Terms, for_audit_destination};
    ///
    /// let principal = RoleArn::parse("arn:aws:iam::123456789012:role/sealift-principal").unwrap();
    /// let id = ExternalId::parse("0123456789abcdef").unwrap();
    /// let terms = Terms {
    ///     principal: AwsPrincipal::role(&principal),
    ///     admitted: Admitted::Exactly(id.clone()),
    /// };
    /// assert_eq!(Ok(terms.document()), for_audit_destination(&principal, &[id]));
    /// ```
    pub fn document(&self) -> Document {
        let principal = self.principal.clone();
        match &self.admitted {
            Admitted::Organization(org) => for_organization(principal, org),
            Admitted::Exactly(id) => document(
                principal,
                Comparison::StringEquals,
                List::one(id.as_str().to_owned()),
            ),
        }
    }

    /// The one statement of that policy.
    pub fn statement(&self) -> Option<Statement> {
        self.document().statements.into_iter().next()
    }
}

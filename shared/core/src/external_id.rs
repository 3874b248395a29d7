//! ExternalIds: composed here and nowhere else.
//!
//! A role's trust policy asks for an ExternalId so that a platform which assumes many
//! customers' roles cannot be talked into assuming one customer's role for another:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html>. There are two kinds:
//!
//! - for exports, `bt:<org>:<project>:<suffix>`, which one pattern per organization admits
//!   ([`ExternalIdPattern`]);
//! - for audit destinations, 64 random characters that Sealift draws and the customer can
//!   never choose ([`ExternalId::generate`]).
//!
//! The policies that ask for them are built in [`policy::trust`](crate::policy::trust).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, OrgId, ProjectId};
use crate::policy::pattern::Pattern;
use crate::ports::Entropy;

/// What every export's ExternalId begins with.
const NAMESPACE: &str = "bt";

/// The most characters that STS takes.
const LONGEST: usize = 1224;

/// An ExternalId in full, as `AssumeRole` sends it: 2 to 1,224 ASCII letters, digits or
/// `_+=,.@:/-`.
///
/// For an audit destination it is shared with the customer alone, so `Debug` does not show it,
/// and neither does the error of a text that is none.
///
/// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(String);

impl ExternalId {
    /// Parses an ExternalId; [`InvalidId`] names the broken rule, not the text.
    ///
    /// ```
    /// use sealift_core::external_id::ExternalId;
    /// assert!(ExternalId::parse("bt:org:project:suffix").is_ok());
    /// assert!(ExternalId::parse("bt:org:*").is_err());
    /// ```
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        let reason = if !(2..=LONGEST).contains(&text.len()) {
            "it must have 2 to 1,224 characters"
        } else if !text.bytes().all(allowed) {
            "only ASCII letters, digits and `_+=,.@:/-` may stand in it"
        } else {
            return Ok(Self(text));
        };
        Err(InvalidId::new("ExternalId", "REDACTED", reason))
    }

    /// The ExternalId of a project's exports: `bt:<org>:<project>:<suffix>`.
    ///
    /// None of the parts can hold a `:`, so two different triples never give the same text.
    pub fn for_export(org: &OrgId, project: &ProjectId, suffix: &ExternalIdSuffix) -> Self {
        Self(format!(
            "{}{project}:{suffix}",
            organization_part(org.as_str())
        ))
    }

    /// A new ExternalId for an audit destination: 64 hexadecimal digits from 256 random bits.
    pub fn generate(entropy: &impl Entropy) -> Self {
        Self(format!("{:032x}{:032x}", entropy.bits(), entropy.bits()))
    }

    /// The text, as STS and trust policies know it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An ExternalId that a healthy trust policy for this one refuses.
    ///
    /// An audit destination's policy must refuse all but the one text, so this is the same text
    /// with its last character changed: a pattern that is too wide admits it. An organization's
    /// pattern rightly admits every suffix, so for an export it is a text without organization.
    #[must_use]
    pub fn wrong(&self) -> Self {
        if self.organization_and_rest().is_some() {
            return Self("sealift-probe-wrong".to_owned());
        }
        let mut text = self.0.clone();
        let last = text.pop();
        text.push(if last == Some('0') { '1' } else { '0' });
        Self(text)
    }

    /// An ExternalId of the export form that belongs to another organization.
    ///
    /// For an export that organization's name begins with the right one's, so that a pattern
    /// which forgets the `:` after the name (`bt:<org>*`) is found out, as `bt:*` is.
    #[must_use]
    pub fn of_another_organization(&self) -> Self {
        let mut text = match self.organization_and_rest() {
            Some((org, rest)) => organization_part(&format!("{org}-other")) + rest,
            None => organization_part("sealift-other") + "probe:probe",
        };
        text.truncate(LONGEST);
        Self(text)
    }

    fn organization_and_rest(&self) -> Option<(&str, &str)> {
        let (namespace, rest) = self.0.split_once(':')?;
        let (org, rest) = rest.split_once(':')?;
        (namespace == NAMESPACE && !org.is_empty() && !rest.is_empty()).then_some((org, rest))
    }
}

/// `bt:<org>:`
fn organization_part(org: &str) -> String {
    format!("{NAMESPACE}:{org}:")
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(REDACTED)")
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ExternalId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ExternalId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl From<ExternalId> for String {
    fn from(id: ExternalId) -> String {
        id.0
    }
}

/// The part of an export's ExternalId that belongs to one automation: what its configuration
/// calls `external_id`. The same characters as other identifiers ([`ProjectId`]).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalIdSuffix(String);

impl ExternalIdSuffix {
    /// Parses a suffix; [`InvalidId`] names the broken rule, not the text.
    ///
    /// ```
    /// use sealift_core::external_id::ExternalIdSuffix;
    /// assert!(ExternalIdSuffix::parse("0b41f9").is_ok());
    /// assert!(ExternalIdSuffix::parse("a:b").is_err());
    /// ```
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
        match ProjectId::parse(text) {
            Ok(plain) => Ok(Self(plain.into())),
            Err(error) => Err(InvalidId::new(
                "ExternalId suffix",
                "REDACTED",
                error.reason,
            )),
        }
    }

    /// The text as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalIdSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalIdSuffix(REDACTED)")
    }
}

impl fmt::Display for ExternalIdSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ExternalIdSuffix {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ExternalIdSuffix {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl From<ExternalIdSuffix> for String {
    fn from(suffix: ExternalIdSuffix) -> String {
        suffix.0
    }
}

/// `bt:<org>:*`: every ExternalId that an organization's exports can have, and no other's.
/// It is what an export role's trust policy asks for with `StringLike`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIdPattern(String);

impl ExternalIdPattern {
    /// The pattern of an organization.
    pub fn for_organization(org: &OrgId) -> Self {
        Self(organization_part(org.as_str()) + "*")
    }

    /// The pattern as a condition's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the ExternalId fits, as `StringLike` would say.
    pub fn matches(&self, id: &ExternalId) -> bool {
        Pattern::with_wildcards(&self.0).matches(id.as_str())
    }
}

impl fmt::Display for ExternalIdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "[A-Za-z0-9_+=,.@-]{1,128}";

    fn plain() -> impl Strategy<Value = String> {
        PLAIN.prop_filter("`.` and `..` are no names", |text| {
            text != "." && text != ".."
        })
    }

    struct Counting(std::sync::atomic::AtomicU64);

    impl Entropy for Counting {
        fn bits(&self) -> u128 {
            self.0
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                .into()
        }
    }

    #[test]
    fn the_rule_is_that_of_sts() {
        for bad in ["", "a", "a b", "a*", "a?", "ä-", "a\n", &"a".repeat(1225)] {
            assert!(ExternalId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["ab", "_+=,.@:/-", &"a".repeat(1224)] {
            assert!(ExternalId::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_it() {
        let secret = "0123456789abcdef";
        let id = ExternalId::parse(secret).unwrap();
        assert_eq!(format!("{id:?}"), "ExternalId(REDACTED)");
        assert_eq!(id.to_string(), secret);
        let refused = ExternalId::parse(format!("{secret}*")).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(secret));
        let refused = ExternalIdSuffix::parse(format!("{secret}*")).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(secret));
    }

    #[test]
    fn an_audit_destinations_is_64_characters_and_uses_both_draws() {
        let id = ExternalId::generate(&Counting(7.into()));
        assert_eq!(id.as_str().len(), 64);
        assert!(id.as_str().ends_with('8'));
        assert!(id.as_str().starts_with(&format!("{:032x}", 7)));
        assert_eq!(ExternalId::parse(id.as_str()).unwrap(), id);
    }

    #[test]
    fn a_probe_of_the_longest_id_is_not_too_long() {
        let right = ExternalId::parse(format!("bt:org:{}", "p".repeat(LONGEST - 7))).unwrap();
        let probe = right.of_another_organization();
        assert!(ExternalId::parse(probe.as_str()).is_ok_and(|probe| probe != right));
    }

    #[test]
    fn json_is_parsed_and_not_trusted() {
        assert!(serde_json::from_str::<ExternalId>("\"bt:a:b:c\"").is_ok());
        assert!(serde_json::from_str::<ExternalId>("\"bt:a:*\"").is_err());
        assert!(serde_json::from_str::<ExternalIdSuffix>("\"a:b\"").is_err());
    }

    proptest! {
        #[test]
        fn an_organizations_pattern_admits_all_its_own_and_none_of_anothers(
            org in plain(), other in plain(), project in plain(), suffix in plain(),
        ) {
            let [org, other] = [org, other].map(|text| OrgId::parse(text).unwrap());
            let project = ProjectId::parse(project).unwrap();
            let suffix = ExternalIdSuffix::parse(suffix).unwrap();
            let pattern = ExternalIdPattern::for_organization(&org);
            let own = ExternalId::for_export(&org, &project, &suffix);
            let others = ExternalId::for_export(&other, &project, &suffix);

            prop_assert!(pattern.matches(&own));
            prop_assert_eq!(pattern.matches(&others), org == other);
            // What is composed is what STS takes.
            prop_assert_eq!(ExternalId::parse(own.as_str()).unwrap(), own);
        }

        #[test]
        fn an_organization_whose_name_begins_alike_is_another(
            org in "[A-Za-z0-9_+=,.@-]{1,60}", more in "[A-Za-z0-9_+=,.@-]{1,60}",
        ) {
            prop_assume!(org != "." && org != "..");
            let pattern = ExternalIdPattern::for_organization(&OrgId::parse(&*org).unwrap());
            let longer = OrgId::parse(org + &more);
            prop_assume!(longer.is_ok());
            let id = ExternalId::for_export(
                &longer.unwrap(),
                &ProjectId::parse("p").unwrap(),
                &ExternalIdSuffix::parse("s").unwrap(),
            );
            prop_assert!(!pattern.matches(&id));
        }

        #[test]
        fn probes_are_valid_and_differ_from_the_right_one(text in "[A-Za-z0-9_+=,.@:/-]{2,80}") {
            let right = ExternalId::parse(text).unwrap();
            for probe in [right.wrong(), right.of_another_organization()] {
                prop_assert!(ExternalId::parse(probe.as_str()).is_ok());
                prop_assert_ne!(&probe, &right);
            }
        }
    }
}

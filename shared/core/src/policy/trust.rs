//! Trust policies: who may assume a customer's role, and the proof that nobody else may.
//!
//! [`Terms`] say what a policy must let in; [`probe`] says what a policy lets in.

mod terms;

pub use self::terms::{Admitted, Terms};

use super::{
    ActionElement, ActionPattern, AwsPrincipal, Caller, CannotEvaluate, Comparison, Condition,
    Conditions, Context, Decision, Document, Effect, List, Operator, Partition, Principal,
    PrincipalElement, Request, Statement, evaluate, request,
};
use crate::external_id::{ExternalId, ExternalIdPattern};
use crate::id::{AccountId, OrgId, RoleArn};

/// A trust policy was asked for without an ExternalId to ask for in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trust policy needs at least one ExternalId: without one any tenant could name the role")]
pub struct NoExternalId;

/// For a role that an organization's exports are written with: every identity that the
/// assuming account allows, with any ExternalId of the organization (`bt:<org>:*`). One role
/// serves all of its projects.
///
/// The form is that of Braintrust's guide to wildcard ExternalIds.
pub fn for_exports(partition: Partition, org: &OrgId, assuming_account: &AccountId) -> Document {
    let principal = AwsPrincipal::account(partition, assuming_account);
    for_organization(principal, org)
}

fn for_organization(principal: AwsPrincipal, org: &OrgId) -> Document {
    let pattern = ExternalIdPattern::for_organization(org);
    let ids = List::one(pattern.as_str().to_owned());
    document(principal, Comparison::StringLike, ids)
}

/// For a role that audit events are delivered with: one principal alone, and exactly the
/// ExternalIds given, each belonging to one destination. Repeated ones are written once.
///
/// With many ids, mind IAM's quota on the length of a trust policy (2,048 characters unless
/// raised: about 25 ids of 64 characters):
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
pub fn for_audit_destination(
    principal: &RoleArn,
    external_ids: &[ExternalId],
) -> Result<Document, NoExternalId> {
    let mut texts: Vec<String> = Vec::with_capacity(external_ids.len());
    for id in external_ids {
        if !texts.iter().any(|text| text == id.as_str()) {
            texts.push(id.as_str().to_owned());
        }
    }
    Ok(document(
        AwsPrincipal::role(principal),
        Comparison::StringEquals,
        List::from_values(texts).ok_or(NoExternalId)?,
    ))
}

fn document(principal: AwsPrincipal, comparison: Comparison, ids: List<String>) -> Document {
    Document::new([Statement {
        sid: None,
        effect: Effect::Allow,
        principal: Some(PrincipalElement::Principal(Principal::aws(principal))),
        action: ActionElement::Action(List::one(ActionPattern::known("sts:AssumeRole"))),
        resource: None,
        condition: Conditions::one(Condition {
            operator: Operator::plain(comparison),
            key: request::EXTERNAL_ID_KEY.to_owned(),
            values: ids,
        }),
    }])
}

/// One of the four ways in which a role is tried before it is trusted with a tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Without ExternalId.
    None,
    /// With one that nobody has.
    Wrong,
    /// With one of another organization.
    OtherOrganization,
    /// With the right one.
    Right,
}

impl Probe {
    /// All of them, the right one last.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::Wrong,
        Self::OtherOrganization,
        Self::Right,
    ];

    /// The ExternalId to try with, given the right one.
    pub fn external_id(self, right: &ExternalId) -> Option<ExternalId> {
        match self {
            Self::None => None,
            Self::Wrong => Some(right.wrong()),
            Self::OtherOrganization => Some(right.of_another_organization()),
            Self::Right => Some(right.clone()),
        }
    }

    /// What the role is tried with, for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "no ExternalId",
            Self::Wrong => "a wrong ExternalId",
            Self::OtherOrganization => "another organization's",
            Self::Right => "the right ExternalId",
        }
    }

    /// Whether a healthy role lets it in.
    pub fn must_be_allowed(self) -> bool {
        self == Self::Right
    }
}

/// What a trust policy answers to each probe, in the order of [`Probe::ALL`].
///
/// It is healthy only if exactly the right one is allowed. The caller's own policies must
/// allow the call too, if it lives in another account; they are not looked at here.
pub fn probe(
    trust: &Document,
    caller: &Caller,
    right: &ExternalId,
) -> Result<[(Probe, Decision); 4], CannotEvaluate> {
    let decide = |probe: Probe| {
        let context = Context::assuming(probe.external_id(right).as_ref());
        let decision = evaluate([trust], &Request::assume_role(caller, &context))?;
        Ok((probe, decision))
    };
    let [none, wrong, other, right] = Probe::ALL.map(decide);
    Ok([none?, wrong?, other?, right?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external_id::ExternalIdSuffix;
    use crate::id::ProjectId;
    use proptest::prelude::*;

    const ALLOWED: Decision = Decision::Allowed;
    const DENIED: Decision = Decision::DeniedImplicitly;

    fn principal() -> RoleArn {
        RoleArn::parse("arn:aws:iam::123456789012:role/sealift-principal").unwrap()
    }

    fn id(text: &str) -> ExternalId {
        ExternalId::parse(text).unwrap()
    }

    fn answers(trust: &Document, caller: &Caller, right: &ExternalId) -> [Decision; 4] {
        probe(trust, caller, right)
            .unwrap()
            .map(|(_, decision)| decision)
    }

    #[test]
    fn an_export_roles_policy_is_the_documented_one() {
        let org = OrgId::parse("5abfae3a-7aa7-4653-a9c8-b3efcb18f584").unwrap();
        let account = AccountId::parse("123456789012").unwrap();
        insta::assert_snapshot!(
            format!("{:#}", for_exports(Partition::Aws, &org, &account)),
            @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Principal": {
                "AWS": "arn:aws:iam::123456789012:root"
              },
              "Action": "sts:AssumeRole",
              "Condition": {
                "StringLike": {
                  "sts:ExternalId": "bt:5abfae3a-7aa7-4653-a9c8-b3efcb18f584:*"
                }
              }
            }
          ]
        }
        "#
        );
    }

    #[test]
    fn an_audit_destinations_policy_names_one_principal_and_one_id() {
        let document = for_audit_destination(&principal(), &[id("0123456789abcdef")]).unwrap();
        insta::assert_snapshot!(format!("{document:#}"), @r#"
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow",
              "Principal": {
                "AWS": "arn:aws:iam::123456789012:role/sealift-principal"
              },
              "Action": "sts:AssumeRole",
              "Condition": {
                "StringEquals": {
                  "sts:ExternalId": "0123456789abcdef"
                }
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn several_tenants_on_one_role_are_a_list_of_ids() {
        let ids = [id("aa"), id("bb"), id("aa")];
        let document = for_audit_destination(&principal(), &ids).unwrap();
        assert!(
            document
                .to_string()
                .contains(r#""sts:ExternalId":["aa","bb"]"#),
            "{document}"
        );
        let caller = Caller::role(&principal());
        for right in [id("aa"), id("bb")] {
            assert_eq!(
                answers(&document, &caller, &right),
                [DENIED, DENIED, DENIED, ALLOWED]
            );
        }
    }

    #[test]
    fn no_id_at_all_is_an_error() {
        assert_eq!(for_audit_destination(&principal(), &[]), Err(NoExternalId));
    }

    #[test]
    fn another_partition_is_in_the_principal() {
        let org = OrgId::parse("o").unwrap();
        let account = AccountId::parse("123456789012").unwrap();
        let document = for_exports(Partition::China, &org, &account).to_string();
        assert!(
            document.contains("arn:aws-cn:iam::123456789012:root"),
            "{document}"
        );
    }

    #[test]
    fn the_probes_find_every_policy_that_is_too_wide() {
        let caller = Caller::role(&principal());
        let trust = |condition: &str| -> Document {
            let json = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole""#;
            format!("{json}{condition}}}}}").parse().unwrap()
        };
        let export = id("bt:org:project:suffix");
        let like = |pattern: &str| {
            trust(&format!(
                r#","Condition":{{"StringLike":{{"sts:ExternalId":"{pattern}"}}}}"#
            ))
        };
        let healthy = [DENIED, DENIED, DENIED, ALLOWED];
        assert_eq!(answers(&like("bt:org:*"), &caller, &export), healthy);
        assert_eq!(
            answers(&like("bt:org:project:suffix"), &caller, &export),
            healthy
        );
        for (pattern, expected) in [
            ("bt:*", [DENIED, DENIED, ALLOWED, ALLOWED]),
            ("bt:org*", [DENIED, DENIED, ALLOWED, ALLOWED]),
            ("*", [DENIED, ALLOWED, ALLOWED, ALLOWED]),
            ("bt:other:*", [DENIED, DENIED, DENIED, DENIED]),
        ] {
            assert_eq!(
                answers(&like(pattern), &caller, &export),
                expected,
                "{pattern}"
            );
        }
        assert_eq!(answers(&trust(""), &caller, &export), [ALLOWED; 4]);

        let audit = id("0123456789abcdef");
        assert_eq!(answers(&like("0123456789abcdef"), &caller, &audit), healthy);
        let too_wide = [DENIED, ALLOWED, DENIED, ALLOWED];
        assert_eq!(answers(&like("0123456789abcd*"), &caller, &audit), too_wide);
        assert_eq!(
            answers(&like("0123456789abcde?"), &caller, &audit),
            too_wide
        );
        let none_needed =
            r#","Condition":{"StringEqualsIfExists":{"sts:ExternalId":"0123456789abcdef"}}"#;
        assert_eq!(
            answers(&trust(none_needed), &caller, &audit),
            [ALLOWED, DENIED, DENIED, ALLOWED]
        );
    }

    #[test]
    fn another_caller_is_denied_with_the_right_id_too() {
        let right = id("0123456789abcdef");
        let trust = for_audit_destination(&principal(), std::slice::from_ref(&right)).unwrap();
        for (caller, last) in [
            (
                "arn:aws:sts::123456789012:assumed-role/sealift-principal/t-1",
                ALLOWED,
            ),
            ("arn:aws:sts::123456789012:assumed-role/other/t-1", DENIED),
            ("arn:aws:iam::123456789012:root", DENIED),
            ("arn:aws:iam::999999999999:role/sealift-principal", DENIED),
        ] {
            let caller = Caller::parse_arn(caller).unwrap();
            assert_eq!(
                answers(&trust, &caller, &right),
                [DENIED, DENIED, DENIED, last]
            );
        }
    }

    proptest! {
        #[test]
        fn an_export_role_admits_its_organization_and_no_other(
            org in "[A-Za-z0-9_+=,@-]{1,40}", other in "[A-Za-z0-9_+=,@-]{1,40}",
            project in "[A-Za-z0-9_+=,@-]{1,40}", suffix in "[A-Za-z0-9_+=,@-]{1,40}",
        ) {
            let account = AccountId::parse("123456789012").unwrap();
            let [own, others] = [&org, &other].map(|org| ExternalId::for_export(
                &OrgId::parse(org.as_str()).unwrap(),
                &ProjectId::parse(project.as_str()).unwrap(),
                &ExternalIdSuffix::parse(suffix.as_str()).unwrap(),
            ));
            let trust = for_exports(Partition::Aws, &OrgId::parse(&*org).unwrap(), &account);
            let caller = Caller::role(&principal());
            prop_assert_eq!(
                answers(&trust, &caller, &own),
                [DENIED, DENIED, DENIED, ALLOWED]
            );
            let context = Context::assuming(Some(&others));
            let decision = evaluate([&trust], &Request::assume_role(&caller, &context)).unwrap();
            prop_assert_eq!(decision.is_allowed(), org == other);
        }
    }
}

//! A statement as its JSON has it, and the way between that and the typed one.

use serde::de::Error;
use serde::{Deserialize, Serialize};

use super::{
    ActionElement, ActionPattern, Conditions, Effect, List, Principal, PrincipalElement,
    ResourceElement, ResourcePattern,
};

/// A statement as JSON has it, in the order in which AWS's examples write it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Statement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_principal: Option<Principal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<List<ActionPattern>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_action: Option<List<ActionPattern>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<List<ResourcePattern>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_resource: Option<List<ResourcePattern>>,
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    condition: Conditions,
}

impl TryFrom<Statement> for super::Statement {
    type Error = serde_json::Error;

    fn try_from(written: Statement) -> Result<Self, serde_json::Error> {
        let refuse = serde_json::Error::custom::<&str>;
        Ok(Self {
            sid: written.sid,
            effect: written.effect,
            principal: match (written.principal, written.not_principal) {
                (Some(_), Some(_)) => {
                    return Err(refuse(
                        "a statement has `Principal` or `NotPrincipal`, not both",
                    ));
                }
                (Some(principal), None) => Some(PrincipalElement::Principal(principal)),
                (None, not) => not.map(PrincipalElement::NotPrincipal),
            },
            action: match (written.action, written.not_action) {
                (Some(actions), None) => ActionElement::Action(actions),
                (None, Some(actions)) => ActionElement::NotAction(actions),
                _ => return Err(refuse("a statement has either `Action` or `NotAction`")),
            },
            resource: match (written.resource, written.not_resource) {
                (Some(_), Some(_)) => {
                    return Err(refuse(
                        "a statement has `Resource` or `NotResource`, not both",
                    ));
                }
                (Some(resources), None) => Some(ResourceElement::Resource(resources)),
                (None, not) => not.map(ResourceElement::NotResource),
            },
            condition: written.condition,
        })
    }
}

impl From<super::Statement> for Statement {
    fn from(statement: super::Statement) -> Self {
        let (principal, not_principal) = match statement.principal {
            Some(PrincipalElement::Principal(principal)) => (Some(principal), None),
            Some(PrincipalElement::NotPrincipal(principal)) => (None, Some(principal)),
            None => (None, None),
        };
        let (action, not_action) = match statement.action {
            ActionElement::Action(actions) => (Some(actions), None),
            ActionElement::NotAction(actions) => (None, Some(actions)),
        };
        let (resource, not_resource) = match statement.resource {
            Some(ResourceElement::Resource(resources)) => (Some(resources), None),
            Some(ResourceElement::NotResource(resources)) => (None, Some(resources)),
            None => (None, None),
        };
        Self {
            sid: statement.sid,
            effect: statement.effect,
            principal,
            not_principal,
            action,
            not_action,
            resource,
            not_resource,
            condition: statement.condition,
        }
    }
}

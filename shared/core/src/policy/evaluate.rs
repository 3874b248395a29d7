//! What the policies say to a request.
//!
//! The rules: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>.
//! A statement that denies outweighs all that allow, and what nobody allows is denied.

use super::pattern::Pattern;
use super::{
    ActionElement, CannotEvaluate, Document, Effect, PrincipalElement, Request, ResourceElement,
    Statement, Version,
};

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allowed,
    /// A statement denies it.
    DeniedExplicitly,
    /// No statement is about it.
    DeniedImplicitly,
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// Holds a request against documents of one kind, taken together.
///
/// Nothing is passed over: if the answer turns on something that is not understood here, the
/// answer is [`CannotEvaluate`]. It does not turn on it if another part of the statement does
/// not fit anyway, or if a statement that is understood denies.
pub fn evaluate<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    request: &Request<'_>,
) -> Result<Decision, CannotEvaluate> {
    let (mut allowed, mut unclear) = (false, None);
    for document in documents {
        for statement in &document.statements {
            match (
                statement.applies(document.version, request),
                statement.effect,
            ) {
                (Ok(true), Effect::Deny) => return Ok(Decision::DeniedExplicitly),
                (Ok(true), Effect::Allow) => allowed = true,
                (Ok(false), _) => {}
                (Err(error), _) => unclear = unclear.or(Some(error)),
            }
        }
    }
    match unclear {
        Some(error) => Err(error),
        None if allowed => Ok(Decision::Allowed),
        None => Ok(Decision::DeniedImplicitly),
    }
}

/// Holds a session's request against its role's policies and the session policy: both must
/// allow it. Without a session policy the role's decide.
pub fn evaluate_session<'a>(
    role_policies: impl IntoIterator<Item = &'a Document>,
    session_policy: Option<&Document>,
    request: &Request<'_>,
) -> Result<Decision, CannotEvaluate> {
    let role = evaluate(role_policies, request);
    let Some(session_policy) = session_policy else {
        return role;
    };
    let session = evaluate([session_policy], request);
    if [&role, &session].contains(&&Ok(Decision::DeniedExplicitly)) {
        return Ok(Decision::DeniedExplicitly);
    }
    Ok(match (role?, session?) {
        (Decision::Allowed, Decision::Allowed) => Decision::Allowed,
        _ => Decision::DeniedImplicitly,
    })
}

impl Statement {
    fn applies(&self, version: Version, request: &Request<'_>) -> Result<bool, CannotEvaluate> {
        let context = request.context;
        let elements = [
            names_principal(self.principal.as_ref(), request),
            Ok(names_action(&self.action, request.action)),
            names_resource(self.resource.as_ref(), request, version),
        ];
        let conditions = self
            .condition
            .iter()
            .map(|condition| condition.holds(version, context));
        all(elements.into_iter().chain(conditions))
    }
}

/// False if any is false; otherwise unclear if any is unclear.
fn all(
    parts: impl IntoIterator<Item = Result<bool, CannotEvaluate>>,
) -> Result<bool, CannotEvaluate> {
    let mut unclear = None;
    for part in parts {
        match part {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => unclear = unclear.or(Some(error)),
        }
    }
    unclear.map_or(Ok(true), Err)
}

fn names_principal(
    element: Option<&PrincipalElement>,
    request: &Request<'_>,
) -> Result<bool, CannotEvaluate> {
    match (element, request.caller) {
        (None, None) => Ok(true),
        (Some(PrincipalElement::Principal(principal)), Some(caller)) => Ok(principal.names(caller)),
        (Some(PrincipalElement::NotPrincipal(_)), _) => Err(CannotEvaluate::NotPrincipal),
        (Some(_), None) => Err(CannotEvaluate::Unasked("Principal")),
        (None, Some(_)) => Err(CannotEvaluate::Missing("Principal")),
    }
}

fn names_action(element: &ActionElement, action: &str) -> bool {
    let (patterns, inside) = match element {
        ActionElement::Action(patterns) => (patterns, true),
        ActionElement::NotAction(patterns) => (patterns, false),
    };
    let fits = patterns.iter().any(|p| {
        Pattern::with_wildcards(p.as_str())
            .ignoring_case()
            .matches(action)
    });
    fits == inside
}

fn names_resource(
    element: Option<&ResourceElement>,
    request: &Request<'_>,
    version: Version,
) -> Result<bool, CannotEvaluate> {
    let (patterns, inside) = match element {
        None if request.resource.is_none() => return Ok(true),
        None => return Err(CannotEvaluate::Missing("Resource")),
        Some(ResourceElement::Resource(patterns)) => (patterns, true),
        Some(ResourceElement::NotResource(patterns)) => (patterns, false),
    };
    let Some(resource) = request.resource else {
        return Err(CannotEvaluate::Unasked("Resource"));
    };
    // One that fits outweighs one that is unclear, as one false part does in `all`.
    let none_fits = all(patterns.iter().map(|pattern| {
        let text = pattern.as_str();
        Ok(!Pattern::with_variables(text, true, version, request.context)?.matches(resource))
    }))?;
    Ok(none_fits != inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Caller, Context};

    fn document(statements: &str) -> Document {
        let json = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        json.parse().unwrap()
    }

    fn decide(statements: &str, action: &str, resource: &str) -> Result<Decision, CannotEvaluate> {
        let context = Context::default();
        let request = Request::permission(action, resource, &context);
        evaluate([&document(statements)], &request)
    }

    const KEY: &str = "arn:aws:s3:::bucket/key";

    #[test]
    fn actions_ignore_case_and_resources_do_not() {
        let put =
            r#"{"Effect":"Allow","Action":"s3:putOBJECT","Resource":"arn:aws:s3:::bucket/k*"}"#;
        assert_eq!(decide(put, "S3:PutObject", KEY), Ok(Decision::Allowed));
        let upper = "arn:aws:s3:::bucket/Key";
        assert_eq!(
            decide(put, "S3:PutObject", upper),
            Ok(Decision::DeniedImplicitly)
        );
    }

    #[test]
    fn an_explicit_deny_outweighs_whatever_its_place() {
        let allow = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        let deny = r#"{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}"#;
        for statements in [format!("{allow},{deny}"), format!("{deny},{allow}")] {
            assert_eq!(
                decide(&statements, "s3:PutObject", KEY),
                Ok(Decision::DeniedExplicitly)
            );
            assert_eq!(
                decide(&statements, "s3:GetObject", KEY),
                Ok(Decision::Allowed)
            );
        }
    }

    #[test]
    fn what_is_listed_after_not_is_left_out() {
        let but = r#"{"Effect":"Allow","NotAction":["iam:*","s3:Delete*"],"NotResource":"arn:aws:s3:::other/*"}"#;
        assert_eq!(decide(but, "s3:PutObject", KEY), Ok(Decision::Allowed));
        assert_eq!(
            decide(but, "s3:DeleteObject", KEY),
            Ok(Decision::DeniedImplicitly)
        );
        let other = "arn:aws:s3:::other/key";
        assert_eq!(
            decide(but, "s3:PutObject", other),
            Ok(Decision::DeniedImplicitly)
        );
    }

    #[test]
    fn what_is_not_understood_makes_the_answer_unclear_only_if_it_matters() {
        let ip = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}"#;
        let unclear = Err(CannotEvaluate::Operator("IpAddress".to_owned()));
        assert_eq!(decide(ip, "s3:PutObject", KEY), unclear);
        assert_eq!(
            decide(ip, "iam:GetRole", KEY),
            Ok(Decision::DeniedImplicitly)
        );

        let allow = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        let maybe_denied = format!("{allow},{}", ip.replace("Allow", "Deny"));
        assert_eq!(decide(&maybe_denied, "s3:PutObject", KEY), unclear);

        let deny = r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#;
        let denied = format!("{ip},{deny}");
        assert_eq!(
            decide(&denied, "s3:PutObject", KEY),
            Ok(Decision::DeniedExplicitly)
        );
    }

    #[test]
    fn a_resource_that_fits_outweighs_one_that_is_unclear() {
        let either = r#"{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::bucket/${aws:username}","arn:aws:s3:::bucket/key"]}"#;
        assert_eq!(decide(either, "s3:PutObject", KEY), Ok(Decision::Allowed));
        assert_eq!(
            decide(either, "s3:PutObject", "arn:aws:s3:::bucket/adele"),
            Err(CannotEvaluate::Variable("aws:username".to_owned()))
        );
    }

    #[test]
    fn a_document_of_the_wrong_kind_is_not_evaluated() {
        let context = Context::default();
        let caller = Caller::parse_arn("arn:aws:iam::123456789012:role/r").unwrap();
        let anyone = r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#;
        assert_eq!(
            evaluate(
                [&document(anyone)],
                &Request::assume_role(&caller, &context)
            ),
            Err(CannotEvaluate::Missing("Principal"))
        );
        let with_resource =
            r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}"#;
        assert_eq!(
            evaluate(
                [&document(with_resource)],
                &Request::assume_role(&caller, &context)
            ),
            Err(CannotEvaluate::Unasked("Resource"))
        );
        let trust = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}"#;
        assert_eq!(
            decide(trust, "s3:PutObject", KEY),
            Err(CannotEvaluate::Unasked("Principal"))
        );
        let but =
            r#"{"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}"#;
        assert_eq!(
            evaluate([&document(but)], &Request::assume_role(&caller, &context)),
            Err(CannotEvaluate::NotPrincipal)
        );
    }

    #[test]
    fn a_session_may_do_what_both_its_role_and_its_session_policy_allow() {
        let all = document(r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#);
        let one = document(
            r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/k*"}"#,
        );
        let deny = document(r#"{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}"#);
        let unclear = document(
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"k":"2"}}}"#,
        );
        let context = Context::default();
        let put = Request::permission("s3:PutObject", KEY, &context);
        let get = Request::permission("s3:GetObject", KEY, &context);
        let ask = |role, session, request| evaluate_session([role], session, request);

        assert_eq!(ask(&all, None, &get), Ok(Decision::Allowed));
        assert_eq!(ask(&all, Some(&one), &put), Ok(Decision::Allowed));
        assert_eq!(ask(&all, Some(&one), &get), Ok(Decision::DeniedImplicitly));
        assert_eq!(ask(&one, Some(&all), &get), Ok(Decision::DeniedImplicitly));
        assert_eq!(ask(&deny, Some(&all), &put), Ok(Decision::DeniedExplicitly));
        assert_eq!(ask(&all, Some(&deny), &put), Ok(Decision::DeniedExplicitly));
        assert_eq!(
            ask(&unclear, Some(&deny), &put),
            Ok(Decision::DeniedExplicitly)
        );
        assert!(ask(&unclear, Some(&all), &put).is_err());
        assert!(ask(&all, Some(&unclear), &put).is_err());
    }
}

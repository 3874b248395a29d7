//! `AssumeRole`: the form's fields are checked, the caller's policies and the role's trust
//! policy are asked, and a session is opened.

use std::collections::BTreeMap;

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use sealift_core::external_id::ExternalId;
use sealift_core::id::RoleArn;

use super::StsError;
use super::xml::Element;
use crate::iam::{Answer, Caller, IamError, Issued};
use crate::shared::Shared;

/// The fields that are understood. Others change what a session may do, so they are refused.
const FIELDS: [&str; 7] = [
    "Action",
    "Version",
    "RoleArn",
    "RoleSessionName",
    "ExternalId",
    "DurationSeconds",
    "Policy",
];

/// Seconds of a session, if none are asked for.
const DEFAULT_DURATION: i64 = 3600;

/// The longest session of a caller that is a session itself, in seconds.
const LONGEST_CHAINED: i64 = 3600;

/// A checked request.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    role: RoleArn,
    session_name: String,
    external_id: Option<ExternalId>,
    seconds: i64,
    policy: Option<String>,
}

pub(super) fn answer(
    shared: &Shared,
    caller: &Caller,
    form: &BTreeMap<String, String>,
    request_id: &str,
) -> Result<String, StsError> {
    let asked = Asked::parse(form)?;
    if caller.is_session() && asked.seconds > LONGEST_CHAINED {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    authorize(shared, caller, &asked)?;
    let now = shared.time.now();
    let lifetime = SignedDuration::from_secs(asked.seconds);
    let policy = asked.policy.as_deref();
    let issued = shared
        .iam
        .issue(&asked.role, &asked.session_name, policy, now, lifetime);
    match issued {
        Ok(issued) => Ok(response(&issued, policy, request_id)),
        Err(IamError::MalformedPolicy { reason, .. }) => Err(StsError::new(
            StatusCode::BAD_REQUEST,
            "MalformedPolicyDocument",
            format!("This policy contains invalid Json: {reason}"),
        )),
        Err(_) => Err(StsError::not_authorized(caller, asked.role.as_str())),
    }
}

/// The caller's own policies must allow it, and the role must trust the caller. Nobody is told
/// which of the two was missing, or whether there is such a role.
fn authorize(shared: &Shared, caller: &Caller, asked: &Asked) -> Result<(), StsError> {
    let role = asked.role.as_str();
    let mut context = caller
        .context()
        .with("sts:RoleSessionName", asked.session_name.as_str());
    if let Some(id) = &asked.external_id {
        context = context.with("sts:ExternalId", id.as_str());
    }
    let own = caller.may("sts:AssumeRole", role, &context);
    let trust = shared.iam.trusts(&asked.role, caller, &context);
    match (own, trust) {
        (Answer::Allowed, Answer::Allowed) => Ok(()),
        (Answer::Unclear(error), _) | (_, Answer::Unclear(error)) => Err(StsError::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            format!("the embedded STS cannot evaluate a policy: {error}"),
        )),
        _ => Err(StsError::not_authorized(caller, role)),
    }
}

impl Asked {
    fn parse(form: &BTreeMap<String, String>) -> Result<Self, StsError> {
        if let Some(unknown) = form.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(StsError::validation(format!(
                "the embedded STS does not implement the parameter {unknown}"
            )));
        }
        let field = |name: &str| form.get(name).map(String::as_str);
        let mut wrong = Vec::new();
        let role = required(&mut wrong, "roleArn", field("RoleArn"));
        length(&mut wrong, "roleArn", role, 20, 2048);
        let name = required(&mut wrong, "roleSessionName", field("RoleSessionName"));
        length(&mut wrong, "roleSessionName", name, 2, 64);
        characters(
            &mut wrong,
            "roleSessionName",
            name,
            "+=,.@-",
            r"[\w+=,.@-]*",
        );
        if let Some(id) = field("ExternalId") {
            length(&mut wrong, "externalId", id, 2, 1224);
            characters(&mut wrong, "externalId", id, "+=,.@:/-", r"[\w+=,.@:\/-]*");
        }
        if let Some(policy) = field("Policy") {
            length(&mut wrong, "policy", policy, 1, 2048);
        }
        let seconds = duration(&mut wrong, field("DurationSeconds"));
        if !wrong.is_empty() {
            let (count, s) = (wrong.len(), if wrong.len() == 1 { "" } else { "s" });
            let all = wrong.join("; ");
            return Err(StsError::validation(format!(
                "{count} validation error{s} detected: {all}"
            )));
        }
        let external_id = field("ExternalId").map(|id| {
            ExternalId::parse(id).map_err(|error| StsError::validation(error.to_string()))
        });
        Ok(Self {
            role: RoleArn::parse(role)
                .map_err(|_| StsError::validation(format!("{role} is invalid")))?,
            session_name: name.to_owned(),
            external_id: external_id.transpose()?,
            seconds,
            policy: field("Policy").map(str::to_owned),
        })
    }
}

fn required<'a>(wrong: &mut Vec<String>, name: &str, value: Option<&'a str>) -> &'a str {
    value.unwrap_or_else(|| {
        wrong.push(format!(
            "Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ));
        ""
    })
}

fn failed(wrong: &mut Vec<String>, name: &str, value: &str, rule: &str) {
    wrong.push(format!(
        "Value '{value}' at '{name}' failed to satisfy constraint: Member must {rule}"
    ));
}

fn length(wrong: &mut Vec<String>, name: &str, value: &str, least: usize, most: usize) {
    let length = value.chars().count();
    // What is missing altogether was said before.
    let missing = wrong
        .iter()
        .any(|w| w.contains(&format!("null at '{name}'")));
    if length < least && !missing {
        let rule = format!("have length greater than or equal to {least}");
        failed(wrong, name, value, &rule);
    } else if length > most {
        let rule = format!("have length less than or equal to {most}");
        failed(wrong, name, value, &rule);
    }
}

fn characters(wrong: &mut Vec<String>, name: &str, value: &str, more: &str, pattern: &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    if !value.chars().all(allowed) {
        let rule = format!("satisfy regular expression pattern: {pattern}");
        failed(wrong, name, value, &rule);
    }
}

fn duration(wrong: &mut Vec<String>, value: Option<&str>) -> i64 {
    let Some(text) = value else {
        return DEFAULT_DURATION;
    };
    let seconds: i64 = text.parse().unwrap_or(-1);
    if seconds < 900 {
        let rule = "have value greater than or equal to 900";
        failed(wrong, "durationSeconds", text, rule);
    } else if seconds > 43200 {
        failed(
            wrong,
            "durationSeconds",
            text,
            "have value less than or equal to 43200",
        );
    }
    seconds
}

fn response(issued: &Issued, policy: Option<&str>, request_id: &str) -> String {
    // STS tells times to the second; a session ends no later than it says.
    let expiration = Timestamp::from_second(issued.expires.as_second()).unwrap_or_default();
    let mut result = Element::new("AssumeRoleResult")
        .child(
            Element::new("AssumedRoleUser")
                .text("AssumedRoleId", &issued.assumed_role_id)
                .text("Arn", &issued.assumed_role_arn),
        )
        .child(
            Element::new("Credentials")
                .text("AccessKeyId", &issued.access_key_id)
                .text("SecretAccessKey", issued.secret_access_key.expose())
                .text("SessionToken", issued.session_token.expose())
                .text("Expiration", &expiration.to_string()),
        );
    if let Some(policy) = policy {
        // In percent of what fits; AWS packs policies in a way that it does not tell.
        let percent = policy.len() * 100 / 2048;
        result = result.text("PackedPolicySize", &percent.max(1).to_string());
    }
    Element::root("AssumeRoleResponse")
        .child(result)
        .child(Element::new("ResponseMetadata").text("RequestId", request_id))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[(&str, &str)]) -> Result<Asked, StsError> {
        let mut form = BTreeMap::from([
            ("Action".to_owned(), "AssumeRole".to_owned()),
            (
                "RoleArn".to_owned(),
                "arn:aws:iam::123456789012:role/r".to_owned(),
            ),
            ("RoleSessionName".to_owned(), "session".to_owned()),
        ]);
        form.extend(
            fields
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        Asked::parse(&form)
    }

    fn refusal(fields: &[(&str, &str)]) -> String {
        let error = parse(fields).unwrap_err();
        assert_eq!(
            (error.status, error.code.as_str()),
            (StatusCode::BAD_REQUEST, "ValidationError")
        );
        error.message
    }

    #[test]
    fn fields_keep_to_their_published_forms() {
        assert_eq!(parse(&[]).unwrap().seconds, 3600);
        assert_eq!(parse(&[("DurationSeconds", "900")]).unwrap().seconds, 900);
        for (name, value, rule) in [
            ("RoleSessionName", "a:b", r"pattern: [\w+=,.@-]*"),
            ("RoleSessionName", "x", "greater than or equal to 2"),
            (
                "RoleSessionName",
                &"x".repeat(65),
                "less than or equal to 64",
            ),
            ("DurationSeconds", "899", "greater than or equal to 900"),
            ("DurationSeconds", "43201", "less than or equal to 43200"),
            ("DurationSeconds", "soon", "greater than or equal to 900"),
            ("ExternalId", "x", "greater than or equal to 2"),
            ("ExternalId", "a b", r"pattern: [\w+=,.@:\/-]*"),
            ("Policy", &"x".repeat(2049), "less than or equal to 2048"),
            ("RoleArn", "short", "greater than or equal to 20"),
            ("RoleArn", "arn:aws:iam::123456789012:user/u", "is invalid"),
            (
                "PolicyArns.member.1.arn",
                "x",
                "does not implement the parameter",
            ),
        ] {
            let message = refusal(&[(name, value)]);
            assert!(message.contains(rule), "{message}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let message = refusal(&[("RoleSessionName", "x"), ("DurationSeconds", "1")]);
        assert!(
            message.starts_with("2 validation errors detected: Value 'x' at"),
            "{message}"
        );
    }
}

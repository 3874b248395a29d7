//! The door of the Lambda function: who calls is what API Gateway has found out.
//!
//! With IAM authorization it is the operator: an identity of the stack's own account, which API
//! Gateway has checked the signature and the permissions of. With a JWT authorizer it is whoever the
//! [claims](crate::claims) say. Both stand in the request's context, which no client can write; so do the address and the id. A
//! request without either is refused, should a route ever be without an authorizer.

use axum::http::request::Parts;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use sealift_core::control::{Access, Caller};
use sealift_core::id::RoleArn;
use serde_json::json;

use crate::claims::{Claims, SUBJECT};
use crate::door::{Door, NotAdmitted, Told};

/// The door behind API Gateway's HTTP APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayDoor {
    /// The account whose identities are operators.
    account: String,
    /// Without them, no token is let in.
    claims: Option<Claims>,
}

impl GatewayDoor {
    /// Operators are those of the principal's account, which is the stack's own.
    pub fn new(principal: &RoleArn, claims: Option<Claims>) -> Self {
        let account = principal.account().to_owned();
        Self { account, claims }
    }
}

fn context(request: &Parts) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => Some(context),
        _ => None,
    }
}

impl Door for GatewayDoor {
    fn request_id(&self, request: &Parts) -> String {
        let id = context(request).and_then(|context| context.request_id.clone());
        id.unwrap_or_default()
    }

    fn admit(&self, request: &Parts, request_id: &str) -> Result<Caller, NotAdmitted> {
        let context = context(request);
        let http = context.map(|context| &context.http);
        let authorizer = context.and_then(|context| context.authorizer.as_ref());
        let told = |token| Told {
            ip_address: http.and_then(|http| http.source_ip.as_deref()),
            user_agent: http.and_then(|http| http.user_agent.as_deref()),
            request_id,
            token,
        };
        let iam = authorizer.and_then(|authorizer| authorizer.iam.as_ref());
        if let Some(iam) = iam {
            let own = iam.account_id.as_ref() == Some(&self.account);
            let arn = iam.user_arn.as_deref().filter(|arn| !arn.is_empty());
            let (true, Some(arn)) = (own, arn) else {
                return Err(NotAdmitted::Refused(
                    "only identities of the account that Sealift runs in are let in by IAM"
                        .to_owned(),
                ));
            };
            let token = json!({
                "type": "iam",
                "name": arn,
                "preview": iam.access_key.as_deref().map(preview),
            });
            return Ok(Caller {
                access: Access::Operator,
                actor: told(token).actor(arn),
            });
        }
        let Some(jwt) = authorizer.and_then(|authorizer| authorizer.jwt.as_ref()) else {
            return Err(NotAdmitted::Unknown(
                "the request came without an identity; sign it, or send a token".to_owned(),
            ));
        };
        let Some(claims) = &self.claims else {
            return Err(NotAdmitted::Refused(
                "this API is not set up for tokens: its operator has to name the claims".to_owned(),
            ));
        };
        let access = claims.access(&jwt.claims)?;
        let claim = |name: &str| jwt.claims.get(name).map(String::as_str);
        let subject = claim(SUBJECT).unwrap_or_default();
        let token = json!({
            "type": "jwt",
            "name": claim("client_id").or_else(|| claim("azp")),
            "id": claim("jti"),
            "issuer_name": claim("iss"),
        });
        Ok(Caller {
            access,
            actor: told(token).actor(subject),
        })
    }
}

/// The last four characters, which tell two keys apart.
fn preview(key: &str) -> String {
    let end = key.chars().count().saturating_sub(4);
    format!("…{}", key.chars().skip(end).collect::<String>())
}

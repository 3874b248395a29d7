//! One request from its head to its answer: key, faults, endpoint, log.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::Value;

use super::audit_log::Actor;
use super::faults::Effect;
use super::refusal::Refusal;
use super::reply::{Closed, Ending, Reply, ReplyBody};
use super::request_log::{Endpoint, RequestRecord};
use super::shared::Shared;
use super::{automations, btql, projects, registration};

/// The largest body that is read.
const MAX_BODY: usize = 8 << 20;

pub(crate) struct Handler {
    pub(crate) shared: Arc<Shared>,
}

/// A request whose body has arrived.
struct Call<'a> {
    endpoint: Endpoint,
    /// The id in the path; empty where the endpoint has none.
    id: &'a str,
    parts: &'a Parts,
    body: Bytes,
}

impl Handler {
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Closed> {
        let shared = &self.shared;
        let (parts, body) = request.into_parts();
        let (endpoint, id) = Endpoint::of(&parts.method, parts.uri.path());
        let read = Limited::new(body, MAX_BODY).collect().await;
        let body = read.map(http_body_util::Collected::to_bytes).ok();
        let call = Call {
            endpoint,
            id: id.unwrap_or_default(),
            parts: &parts,
            body: body.clone().unwrap_or_default(),
        };
        let mut record = self.record(&call);
        let effect = match record.authorized {
            true => shared.faults.decide(endpoint, &record.body),
            false => None,
        };
        if matches!(effect, Some(Effect::Stall | Effect::HangUp)) {
            shared.log.record(record);
            if effect == Some(Effect::Stall) {
                std::future::pending::<()>().await;
            }
            return Err(Closed);
        }
        // Recorded on every answer; it is what their support asks for.
        let trace = shared.entropy.nonce();
        let actor = Actor::of(&parts, &trace, shared);
        let reply = match (struck(effect.as_ref()), body) {
            (Some(reply), _) => reply,
            (None, Some(_)) => self.perform(&call, record.authorized, &actor, effect.as_ref()),
            (None, None) => Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too large, or broke off",
            )),
        };
        let reply = reply.unwrap_or_else(|refusal| refusal.reply(shared.now()));
        let reply = reply.header("x-bt-internal-trace-id", &trace);
        if effect == Some(Effect::LoseReply) {
            shared.log.record(record);
            return Err(Closed);
        }
        record.status = Some(reply.status.as_u16());
        shared.log.record(record);
        Ok(reply.into_response(match effect {
            Some(Effect::TearBody { after }) => Ending::Torn { after },
            Some(Effect::StallBody { after }) => Ending::Stalled { after },
            _ => Ending::Whole,
        }))
    }

    fn record(&self, call: &Call<'_>) -> RequestRecord {
        let key = self.shared.settings.api_key.expose();
        let query = match call.endpoint {
            Endpoint::Overflow => "",
            _ => call.parts.uri.query().unwrap_or_default(),
        };
        RequestRecord {
            endpoint: call.endpoint,
            method: call.parts.method.to_string(),
            path: call.parts.uri.path().to_owned(),
            query: query.to_owned(),
            body: without_secrets(&call.body, key),
            authorized: call.endpoint == Endpoint::Overflow
                || bearer(&call.parts.headers).is_some_and(|given| given == key),
            status: None,
        }
    }

    fn perform(
        &self,
        call: &Call<'_>,
        authorized: bool,
        actor: &Actor,
        effect: Option<&Effect>,
    ) -> Result<Reply, Refusal> {
        let shared = self.shared.as_ref();
        if call.endpoint == Endpoint::Overflow {
            return Ok(overflow(shared, call));
        }
        if !authorized {
            let said = "Invalid authorization token or API key";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, said));
        }
        let named = call.parts.headers.get("x-bt-org-name");
        let organization = shared.settings.organization.name.as_bytes();
        if let Some(name) = named.filter(|name| name.as_bytes() != organization) {
            let name = String::from_utf8_lossy(name.as_bytes());
            return Err(Refusal::missing("organization", &name));
        }
        let query = call.parts.uri.query().unwrap_or_default();
        let lists = matches!(
            call.endpoint,
            Endpoint::ListProjects | Endpoint::ListAutomations | Endpoint::Unknown
        );
        if !lists && !query.is_empty() {
            return Err(Refusal::bad_request("no query parameters are known here"));
        }
        match call.endpoint {
            Endpoint::Btql => btql::answer(shared, &call.json()?, actor, effect),
            Endpoint::ListProjects => projects::list(shared, query),
            Endpoint::CreateProject => projects::create(shared, &call.json()?, actor),
            Endpoint::GetProject => projects::get(shared, call.id),
            Endpoint::ListAutomations => automations::list(shared, query),
            Endpoint::CreateAutomation => automations::create(shared, &call.json()?),
            Endpoint::ReplaceAutomation => automations::replace(shared, &call.json()?),
            Endpoint::GetAutomation => automations::get(shared, call.id),
            Endpoint::PatchAutomation => automations::patch(shared, call.id, &call.json()?),
            Endpoint::DeleteAutomation => automations::delete(shared, call.id),
            Endpoint::ResetCursors => registration::reset_cursors(shared, &call.json()?),
            Endpoint::UpsertObjectCursor => {
                registration::upsert_object_cursor(shared, &call.json()?)
            }
            Endpoint::GetCursors => registration::get_cursors(shared, &call.json()?),
            Endpoint::GetObjectCursors => registration::get_object_cursors(shared, &call.json()?),
            Endpoint::Cron => registration::cron(shared, &call.json()?),
            Endpoint::Login => Ok(registration::login(shared)),
            Endpoint::Overflow | Endpoint::Unknown => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "this server has no such endpoint",
            )),
        }
    }
}

impl Call<'_> {
    fn json(&self) -> Result<Value, Refusal> {
        let kind = self
            .parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .and_then(|kind| kind.split(';').next())
            .unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/json") {
            let said = "Content-Type: must be application/json";
            return Err(Refusal::bad_request(said));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))
    }
}

/// The answer in place of performing, where the effect is one.
fn struck(effect: Option<&Effect>) -> Option<Result<Reply, Refusal>> {
    let refuse = |status, said| Some(Err(Refusal::new(status, said)));
    match effect? {
        Effect::TooManyRequests { retry_after } => {
            let reply =
                Reply::new("text/plain", "Too many requests").status(StatusCode::TOO_MANY_REQUESTS);
            Some(Ok(match retry_after {
                Some(seconds) => reply.header(RETRY_AFTER.as_str(), &seconds.to_string()),
                None => reply,
            }))
        }
        Effect::Status(status) => {
            let status = StatusCode::from_u16(*status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refuse(status, "injected by a test")
        }
        Effect::PlainBadRequest(text) => Some(Ok(
            Reply::new("text/plain", text.clone()).status(StatusCode::BAD_REQUEST)
        )),
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The stored answer behind a signed URL. As S3 does, it refuses a second way to authenticate:
/// a client that carries its API key along to where it is redirected gives it away.
fn overflow(shared: &Shared, call: &Call<'_>) -> Reply {
    let refuse = |status, code: &str, said: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>{said}</Message></Error>");
        Reply::new("application/xml", body).status(status)
    };
    if call.parts.headers.contains_key(AUTHORIZATION) {
        let said = "Only one auth mechanism allowed";
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument", said);
    }
    let signature = call
        .parts
        .uri
        .query()
        .and_then(|query| query.strip_prefix("signature="));
    let overflows = shared.overflows();
    let found = overflows.iter().find(|kept| kept.id == call.id);
    match found {
        Some(kept) if signature == Some(&kept.signature) => kept.reply(),
        _ => refuse(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
    }
}

/// The body as text, without the API key and service tokens.
fn without_secrets(body: &[u8], key: &str) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let token = serde_json::from_slice::<Value>(body).ok();
    let token = token
        .as_ref()
        .and_then(|body| body.get("service_token")?.as_str());
    for secret in [Some(key), token].into_iter().flatten() {
        if !secret.is_empty() {
            text = text.replace(secret, "REDACTED");
        }
    }
    text
}

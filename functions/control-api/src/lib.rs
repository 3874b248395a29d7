//! `control-api`: the HTTP API of destinations.
//!
//! The routes are [axum](https://docs.rs/axum)'s, and the same whether they stand behind API Gateway
//! or on 127.0.0.1 in the embedded mode. [`Door`] tells who calls, the
//! [service](sealift_core::control) decides what they may do, and does it. The OpenAPI document is made
//! of the routes and served at `/openapi.json`. Beside them are Braintrust's own routes for
//! [automations], which its own document describes.
//!
//! Every answer has an `x-request-id`; it stands in the log and in the audit entries of what was
//! done. What goes wrong inside is logged and not shown.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use self::automations::{Automations, Exports};
pub use self::claims::Claims;
pub use self::config::{Config, VARIABLES};
pub use self::door::{Door, NotAdmitted, TokenDoor};
#[cfg(feature = "lambda")]
pub use self::gateway::GatewayDoor;
use self::refusal::{Internal, Refusal};
pub use self::service::Service;

pub mod automations;
mod claims;
mod config;
mod door;
#[cfg(feature = "lambda")]
mod gateway;
mod incoming;
mod refusal;
mod routes;
pub mod schema;
mod service;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where the OpenAPI document is.
pub const DOCUMENT: &str = "/openapi.json";

/// What the document says beside the routes.
#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Sealift",
    description = "Delivers an organization's audit events into buckets of its own.\n\n\
        A destination is created, its bucket and role are set up with what the answer says, it is \
        checked, and started. Whoever calls sees one organization's destinations; an admin may change \
        them, an audit reader only look. Every answer has an `x-request-id`.",
))]
struct Document;

fn described() -> (Router<Arc<dyn Service>>, OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(routes::destinations())
        .split_for_parts()
}

/// The OpenAPI document.
pub fn document() -> OpenApi {
    described().1
}

/// All routes, on a service and behind a door.
///
/// Without `exports`, Braintrust's routes of automations answer that they are not set up.
pub fn router(
    service: Arc<dyn Service>,
    exports: Option<Arc<dyn Exports>>,
    door: Arc<dyn Door>,
) -> Router {
    let (routes, document) = described();
    let document = async move || Json(document.clone());
    routes
        .with_state(service)
        .merge(automations::routes::routes(exports))
        .route(DOCUMENT, axum::routing::get(document))
        .fallback(async || Refusal::not_found("the path leads nowhere; /openapi.json has them all"))
        .method_not_allowed_fallback(async || {
            let message =
                "the path does not take the method; /openapi.json has those that it takes";
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
            )
        })
        .layer(DefaultBodyLimit::max(incoming::MOST_BYTES))
        .layer(from_fn_with_state(door, around))
}

/// What is done around every request: who calls is found out before anything of it is looked at,
/// and what came of it is logged.
async fn around(State(door): State<Arc<dyn Door>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let request_id = door.request_id(&parts);
    let method = parts.method.clone();
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str).to_owned();
    let mut actor = String::new();
    let mut response = match door.admit(&parts, &request_id) {
        Ok(caller) => {
            caller.actor.id().clone_into(&mut actor);
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        // It tells nothing that is not in the open.
        Err(_) if route == DOCUMENT => next.run(Request::from_parts(parts, body)).await,
        Err(NotAdmitted::Unknown(reason)) => Refusal::unauthenticated(reason).into_response(),
        Err(NotAdmitted::Refused(reason)) => Refusal::forbidden(reason).into_response(),
    };
    let status = response.status().as_u16();
    if let Some(Internal(error)) = response.extensions_mut().remove::<Internal>() {
        tracing::error!(
            request_id, %method, route, actor, status, error,
            "request {request_id} failed: {error}"
        );
    } else {
        tracing::info!(
            request_id, %method, route, actor, status,
            "{method} {route} was answered with {status}"
        );
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests;

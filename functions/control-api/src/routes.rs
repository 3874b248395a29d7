//! The routes, each with its part of the OpenAPI document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use sealift_core::control::{
    Caller, CheckView, DestinationUpdate, DestinationView, NewDestination, Page, ReplayRequest,
    ReplayView, StartRequest, StatusView,
};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::incoming::{Body, MaybeBody, Organization, Paging, Replay, Target};
use crate::refusal::Refusal;
use crate::schema;
use crate::schema::{BadRequests, Refusals};
use crate::service::Service;

type Shared = State<Arc<dyn Service>>;
type Answer<T> = Result<Json<T>, Refusal>;
type Created<T> = Result<(StatusCode, Json<T>), Refusal>;

/// The body of what takes none: nothing, or an empty object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// All routes of destinations.
pub(crate) fn destinations() -> OpenApiRouter<Arc<dyn Service>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, remove))
        .routes(routes!(check))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(replay))
        .routes(routes!(cancel_replay))
        .routes(routes!(status))
}

/// Creates a destination
///
/// It is saved without being started. The answer has what the role's trust policy needs:
/// `principal_arn` and `external_id`. The very same request again is answered with the destination
/// that is there.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations",
    tag = "destinations",
    operation_id = "createDestination",
    params(("organization", description = "Whose destinations")),
    request_body = schema::NewDestination,
    responses(
        (status = 201, description = "It is saved", body = schema::Destination),
        (status = 409, description = "The id is taken, the prefix overlaps another's, or another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn create(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Organization(organization): Organization,
    Body(new): Body<NewDestination>,
) -> Created<DestinationView> {
    let created = service.create(&caller, &organization, new).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Lists an organization's destinations
///
/// In the order of their ids. The next page begins after the last id of this one.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization}/destinations",
    tag = "destinations",
    operation_id = "listDestinations",
    params(("organization", description = "Whose destinations"), schema::PageRequest),
    responses(
        (status = 200, description = "A page of them", body = schema::Page),
        (status = 400, description = "The query cannot be read", body = schema::ErrorBody),
        Refusals,
    ),
)]
async fn list(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Organization(organization): Organization,
    Paging(page): Paging,
) -> Answer<Page> {
    Ok(Json(service.list(&caller, &organization, &page).await?))
}

/// Reads a destination
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization}/destinations/{destination}",
    tag = "destinations",
    operation_id = "getDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    responses(
        (status = 200, description = "The destination", body = schema::Destination),
        Refusals,
    ),
)]
async fn get(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
) -> Answer<DestinationView> {
    Ok(Json(service.get(&caller, &organization, &id).await?))
}

/// Changes a destination
///
/// What is left out stays. Changes of the connection of one that streams are checked before they
/// are saved. Replacing access keys keeps everything else; switching to a role deletes them.
#[utoipa::path(
    patch,
    path = "/v1/organizations/{organization}/destinations/{destination}",
    tag = "destinations",
    operation_id = "updateDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    request_body = schema::DestinationUpdate,
    responses(
        (status = 200, description = "The destination as it is now", body = schema::Destination),
        (status = 409, description = "A check is in the way, the prefix overlaps another's, or another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn update(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    Body(update): Body<DestinationUpdate>,
) -> Answer<DestinationView> {
    let updated = service.update(&caller, &organization, &id, update).await?;
    Ok(Json(updated))
}

/// Removes a destination
///
/// Its access keys, cursor and status are deleted. The objects in the bucket stay. One that is
/// created anew begins at the end of the log.
#[utoipa::path(
    delete,
    path = "/v1/organizations/{organization}/destinations/{destination}",
    tag = "destinations",
    operation_id = "removeDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "Another change is under way", body = schema::ErrorBody),
        Refusals,
    ),
)]
async fn remove(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
) -> Result<StatusCode, Refusal> {
    service.remove(&caller, &organization, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks a destination
///
/// By the very code that delivers. It takes up to half a minute if something is refused, since
/// changes in IAM arrive late. Where the answer comes too late for the connection, the status has the check a moment later.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations/{destination}/check",
    tag = "destinations",
    operation_id = "checkDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    responses(
        (status = 200, description = "What was found, good or bad", body = schema::Check),
        (status = 409, description = "Another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn check(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Answer<CheckView> {
    Ok(Json(service.check(&caller, &organization, &id).await?))
}

/// Starts a destination, or resumes it
///
/// It needs a healthy check that is not older than a day. At the first start events are delivered
/// from now on, or from `start_at`; after a pause, from where it was paused.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations/{destination}/start",
    tag = "destinations",
    operation_id = "startDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    request_body = Option<schema::StartRequest>,
    responses(
        (status = 200, description = "The destination as it is now", body = schema::Destination),
        (status = 409, description = "A check is in the way, or another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn start(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    MaybeBody(start): MaybeBody<StartRequest>,
) -> Answer<DestinationView> {
    let started = service.start(&caller, &organization, &id, start).await?;
    Ok(Json(started))
}

/// Pauses a destination
///
/// Events wait for it, for 30 days.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations/{destination}/pause",
    tag = "destinations",
    operation_id = "pauseDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    responses(
        (status = 200, description = "The destination as it is now", body = schema::Destination),
        (status = 409, description = "It was never started, or another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn pause(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Answer<DestinationView> {
    Ok(Json(service.pause(&caller, &organization, &id).await?))
}

/// Delivers a past range once more
///
/// Into a folder of its own beside the live stream, while the destination streams.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations/{destination}/replay",
    tag = "destinations",
    operation_id = "replayDestination",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    request_body = schema::ReplayRequest,
    responses(
        (status = 201, description = "It will begin shortly", body = schema::Replay),
        (status = 409, description = "Too many are under way, or another change is", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn replay(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    Body(range): Body<ReplayRequest>,
) -> Created<ReplayView> {
    let replay = service.replay(&caller, &organization, &id, range).await?;
    Ok((StatusCode::CREATED, Json(replay)))
}

/// Calls a replay off
///
/// What it has delivered stays. One that is over stays as it is.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization}/destinations/{destination}/replays/{replay}/cancel",
    tag = "destinations",
    operation_id = "cancelReplay",
    params(
        ("organization", description = "Whose"),
        ("destination", description = "Its id"),
        ("replay", description = "The replay's id"),
    ),
    responses(
        (status = 200, description = "The replay as it is now", body = schema::Replay),
        (status = 409, description = "Another change is under way", body = schema::ErrorBody),
        Refusals, BadRequests,
    ),
)]
async fn cancel_replay(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
    Replay(replay): Replay,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Answer<ReplayView> {
    let cancelled = service.cancel_replay(&caller, &organization, &id, &replay);
    Ok(Json(cancelled.await?))
}

/// How a destination stands
///
/// State, last issue, counts, lag, freshness, what waits and until when it is kept, replays, and the
/// last check with its matrix.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization}/destinations/{destination}/status",
    tag = "destinations",
    operation_id = "getDestinationStatus",
    params(("organization", description = "Whose"), ("destination", description = "Its id")),
    responses(
        (status = 200, description = "Its status", body = schema::Status),
        Refusals,
    ),
)]
async fn status(
    State(service): Shared,
    Extension(caller): Extension<Caller>,
    Target { organization, id }: Target,
) -> Answer<StatusView> {
    Ok(Json(service.status(&caller, &organization, &id).await?))
}

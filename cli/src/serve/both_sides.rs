//! Routes to play both sides by: the customer, who makes buckets, roles and keys, and the platform, which puts events on
//! its bus. In AWS that is done with AWS's own APIs, so there are no such routes there.
//!
//! They stand below `/embedded`, behind the operator's token, as all else here.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use control_api::Door;
use sealift_aws::OsEntropy;
use sealift_core::id::{AccountId, BucketName, RoleArn};
use sealift_core::ports::{BusEntry, Entropy};
use sealift_embedded::bus::{Entry, MAX_REQUEST_BYTES};
use sealift_embedded::iam::{Secret, User};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::stack::Stack;

/// The name of the one permission policy that a role is given here.
const POLICY: &str = "permission policy";

/// A bucket that is to be made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBucket {
    /// Its name.
    pub(crate) bucket: String,
    /// Whose it is.
    pub(crate) account: String,
}

/// A role that is to be made, or to be replaced.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    /// Its name.
    pub(crate) role: String,
    /// The account that it is in.
    pub(crate) account: String,
    /// Who may assume it.
    pub(crate) trust_policy: Value,
    /// What it may do; nothing, if there is none.
    #[serde(default)]
    pub(crate) permission_policy: Option<Value>,
}

/// A user with access keys that is to be made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeys {
    /// The user's name.
    pub(crate) user: String,
    /// The account that it is in.
    pub(crate) account: String,
    /// What it may do.
    pub(crate) permission_policy: Value,
}

/// A pair of access keys, told once.
#[derive(Serialize, Deserialize)]
pub(crate) struct NewPair {
    /// Its name.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: String,
}

/// Events for the bus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvents {
    /// One entry of `PutEvents` each.
    pub(crate) entries: Vec<NewEvent>,
}

/// An entry of `PutEvents`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// Who sends it.
    pub(crate) source: String,
    /// What kind of event it is.
    pub(crate) detail_type: String,
    /// The event: a JSON object, as a text.
    pub(crate) detail: String,
}

impl From<&BusEntry> for NewEvent {
    fn from(entry: &BusEntry) -> Self {
        Self {
            source: entry.source.clone(),
            detail_type: entry.detail_type.clone(),
            detail: entry.detail.clone(),
        }
    }
}

/// What became of each event, in order: nothing if the bus took it, or why it did not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PutEvents {
    /// One for each entry.
    pub(crate) refused: Vec<Option<String>>,
}

/// The routes, behind a door.
pub(super) fn routes(stack: Arc<Stack>, door: Arc<dyn Door>) -> Router {
    Router::new()
        .route("/embedded/buckets", post(bucket))
        .route("/embedded/roles", put(role))
        .route("/embedded/keys", post(keys))
        .route("/embedded/events", post(events))
        .layer(DefaultBodyLimit::max(2 * MAX_REQUEST_BYTES))
        .layer(from_fn_with_state(door, admitted))
        .with_state(stack)
}

async fn admitted(State(door): State<Arc<dyn Door>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let request_id = door.request_id(&parts);
    match door.admit(&parts, &request_id) {
        Ok(_) => next.run(Request::from_parts(parts, body)).await,
        Err(_) => refused(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "the operator's token is missing",
        ),
    }
}

/// In the form that the API's own refusals have.
fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    (status, Json(body)).into_response()
}

type Answer = Result<Response, Response>;

fn invalid(field: &str, why: impl std::fmt::Display) -> Response {
    let message = format!("`{field}` cannot be used: {why}");
    let body = json!({"error": {"code": "invalid", "message": message, "field": field}});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// A body, whose errors are told in the form of the others.
struct Body<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let read = Json::<T>::from_request(request, state).await;
        let why = |error: JsonRejection| refused(error.status(), "invalid", &error.body_text());
        read.map(|Json(body)| Self(body)).map_err(why)
    }
}

fn account(text: &str) -> Result<AccountId, Response> {
    AccountId::parse(text).map_err(|error| invalid("account", error.reason))
}

async fn bucket(State(stack): State<Arc<Stack>>, Body(new): Body<NewBucket>) -> Answer {
    let name = BucketName::parse(&new.bucket).map_err(|error| invalid("bucket", error.reason))?;
    let account = account(&new.account)?;
    let created = stack.aws.create_bucket(&name, &account);
    created.map_err(|error| refused(StatusCode::CONFLICT, "conflict", &error.to_string()))?;
    Ok((StatusCode::CREATED, Json(json!({"bucket": name}))).into_response())
}

async fn role(State(stack): State<Arc<Stack>>, Body(new): Body<NewRole>) -> Answer {
    let account = account(&new.account)?;
    let arn = RoleArn::parse(format!("arn:aws:iam::{account}:role/{}", new.role));
    let arn = arn.map_err(|error| invalid("role", error.reason))?;
    if arn == stack.principal || arn == stack.export_role {
        return Err(invalid("role", "it is one of Sealift's own"));
    }
    let trust = new.trust_policy.to_string();
    let may = new.permission_policy.map(|policy| policy.to_string());
    let iam = stack.aws.iam();
    let done = if iam.has_role(&arn) {
        let replaced = iam.update_trust_policy(&arn, &trust);
        replaced.and_then(|()| match &may {
            Some(may) => iam.put_role_policy(&arn, POLICY, may),
            None => iam.delete_role_policy(&arn, POLICY),
        })
    } else {
        let policies: Vec<(&str, &str)> = may.iter().map(|may| (POLICY, may.as_str())).collect();
        iam.create_role(&arn, &trust, &policies)
    };
    done.map_err(|error| refused(StatusCode::BAD_REQUEST, "invalid", &error.to_string()))?;
    Ok(Json(json!({"role_arn": arn})).into_response())
}

/// A user's name, as IAM has it.
fn user(name: &str) -> Result<(), Response> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    match (1..=64).contains(&name.len()) && name.chars().all(fits) {
        true => Ok(()),
        false => Err(invalid(
            "user",
            "it must have 1 to 64 letters, digits and characters of +=,.@_-",
        )),
    }
}

async fn keys(State(stack): State<Arc<Stack>>, Body(new): Body<NewKeys>) -> Answer {
    let account = account(&new.account)?;
    user(&new.user)?;
    let draw = || OsEntropy.nonce().to_uppercase();
    let pair = NewPair {
        access_key_id: format!("AKIA{}", draw().get(..16).unwrap_or_default()),
        secret_access_key: OsEntropy.nonce(),
    };
    let user = User {
        name: new.user,
        account,
        access_key_id: pair.access_key_id.clone(),
        secret_access_key: Secret::new(pair.secret_access_key.as_str()),
        policy: new.permission_policy.to_string(),
    };
    let created = stack.aws.iam().create_user(user);
    created.map_err(|error| refused(StatusCode::BAD_REQUEST, "invalid", &error.to_string()))?;
    Ok((StatusCode::CREATED, Json(pair)).into_response())
}

async fn events(State(stack): State<Arc<Stack>>, Body(new): Body<NewEvents>) -> Answer {
    let entries: Vec<Entry> = new.entries.into_iter().map(entry).collect();
    let put = stack.bus.put_events(&stack.bus_name, &entries);
    let put = put.map_err(|error| invalid("entries", error))?;
    let refused = put
        .into_iter()
        .map(|one| one.err().map(|why| why.to_string()));
    let refused = refused.collect();
    Ok(Json(PutEvents { refused }).into_response())
}

fn entry(new: NewEvent) -> Entry {
    Entry {
        source: new.source,
        detail_type: new.detail_type,
        detail: new.detail,
        time: None,
        resources: Vec::new(),
    }
}

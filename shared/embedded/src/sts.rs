//! STS: `AssumeRole` and `GetCallerIdentity`, as AWS's query API speaks.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

mod assume_role;
mod xml;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::http::Extensions;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use crate::context::RequestContext;
use crate::faults::{Effect, Target};
use crate::iam::{Caller, Refusal};
use crate::s3::session_token;
use crate::shared::Shared;
use xml::Element;
pub(crate) use xml::find;

/// Bytes of a form, at the most; `s3s` reads no more either.
const LARGEST_FORM: usize = 8192;

/// STS, on the root path of the same listener as S3.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) shared: Arc<Shared>,
}

/// Whether a request is for STS.
pub(crate) fn is_sts(method: &Method, uri: &Uri) -> bool {
    method == Method::POST && uri.path() == "/"
}

/// An error of STS, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StsError {
    status: StatusCode,
    code: String,
    message: String,
}

impl StsError {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    fn not_authorized(caller: &Caller, resource: &str) -> Self {
        let arn = caller.arn();
        let message = format!(
            "User: {arn} is not authorized to perform: sts:AssumeRole on resource: {resource}"
        );
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    fn refused(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::UnknownKey | Refusal::WrongToken => (
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            Refusal::Expired => (
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
        };
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// What `s3s` refused before this module was asked, in STS's words.
    fn translated(status: StatusCode, code: &str, message: &str) -> Self {
        match code {
            "InvalidAccessKeyId" => Self::refused(Refusal::UnknownKey),
            "SignatureDoesNotMatch" => Self::new(
                StatusCode::FORBIDDEN,
                code,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
            ),
            "RequestTimeTooSkewed" => Self::new(
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                "Signature not yet current, or expired: the request's time is too far from this machine's",
            ),
            _ => Self::new(status, code, message),
        }
    }

    fn injected(effect: Effect) -> Self {
        let (status, code, message) = match effect {
            Effect::SlowDown => (StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded"),
            Effect::InternalError => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
            Effect::Conflict => (StatusCode::CONFLICT, "Conflict", "An injected fault"),
            Effect::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailed",
                "An injected fault",
            ),
            Effect::AccessDenied
            | Effect::TearBefore
            | Effect::LoseReply
            | Effect::TearBody { .. }
            | Effect::Latency(_) => (StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
        };
        Self::new(status, code, message)
    }

    /// The error as an answer.
    pub(crate) fn body(&self, request_id: &str) -> String {
        let fault = if self.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        Element::root("ErrorResponse")
            .child(
                Element::new("Error")
                    .text("Type", fault)
                    .text("Code", &self.code)
                    .text("Message", &self.message),
            )
            .text("RequestId", request_id)
            .finish()
    }
}

/// Turns an error answer of `s3s`, which speaks as S3, into one of STS.
pub(crate) fn translate(
    status: StatusCode,
    s3_error: &[u8],
    request_id: &str,
) -> (StatusCode, String) {
    let text = String::from_utf8_lossy(s3_error);
    let code = xml::find(&text, "Code").unwrap_or_default();
    let message = xml::find(&text, "Message").unwrap_or_default();
    let error = StsError::translated(status, &code, &message);
    (error.status, error.body(request_id))
}

/// Marks the answers that speak as STS already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpeaksSts;

#[async_trait::async_trait]
impl S3Route for Route {
    fn is_match(&self, method: &Method, uri: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        is_sts(method, uri)
    }

    /// Everything is checked in [`call`](Self::call), where the form is known.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, mut req: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let request_id = self.shared.request_id();
        let (status, body) = match self.answer(&mut req, &request_id).await {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => (error.status, error.body(&request_id)),
        };
        let mut response = S3Response::with_status(Body::from(Bytes::from(body)), status);
        let headers = &mut response.headers;
        headers.insert(
            "content-type",
            hyper::header::HeaderValue::from_static("text/xml"),
        );
        if let Ok(id) = hyper::header::HeaderValue::try_from(request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        response.extensions.insert(SpeaksSts);
        Ok(response)
    }
}

impl Route {
    async fn answer(
        &self,
        req: &mut S3Request<Body>,
        request_id: &str,
    ) -> Result<String, StsError> {
        let malformed = |_| StsError::validation("The request's body could not be read");
        let bytes = req
            .input
            .store_all_limited(LARGEST_FORM)
            .await
            .map_err(malformed)?;
        let form: BTreeMap<String, String> = form_urlencoded::parse(&bytes).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let (action, role) = (field("Action").to_owned(), field("RoleArn").to_owned());
        let context = req.extensions.get::<Arc<RequestContext>>().map(Arc::clone);
        let context = context.unwrap_or_default();
        context.name(&action, "", &role);
        context.set_form(form.clone());

        let caller = self.caller(req, &context)?;
        let target = Target {
            operation: &action,
            bucket: "",
            key: &role,
        };
        if let Some(effect) = self.shared.strike(&context, &target).await {
            return Err(StsError::injected(effect));
        }
        match action.as_str() {
            "AssumeRole" => assume_role::answer(&self.shared, &caller, &form, request_id),
            "GetCallerIdentity" => Ok(caller_identity(&caller, request_id)),
            _ => Err(StsError::new(
                StatusCode::BAD_REQUEST,
                "InvalidAction",
                format!("the embedded STS does not implement {action}"),
            )),
        }
    }

    fn caller(
        &self,
        req: &S3Request<Body>,
        context: &RequestContext,
    ) -> Result<Arc<Caller>, StsError> {
        let Some(credentials) = &req.credentials else {
            return Err(StsError::new(
                StatusCode::FORBIDDEN,
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            ));
        };
        context.set_access_key(&credentials.access_key);
        if req.service.as_deref() != Some("sts") {
            return Err(StsError::new(
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                "Credential should be scoped to correct service: 'sts'.",
            ));
        }
        let token = session_token(&req.headers, req.uri.query().unwrap_or_default());
        let now = self.shared.time.now();
        let caller = self
            .shared
            .iam
            .caller(&credentials.access_key, token.as_deref(), now);
        let caller = Arc::new(caller.map_err(StsError::refused)?);
        context.set_caller(&caller);
        Ok(caller)
    }
}

fn caller_identity(caller: &Caller, request_id: &str) -> String {
    Element::root("GetCallerIdentityResponse")
        .child(
            Element::new("GetCallerIdentityResult")
                .text("Arn", caller.arn())
                .text("UserId", caller.unique_id())
                .text("Account", caller.account()),
        )
        .child(Element::new("ResponseMetadata").text("RequestId", request_id))
        .finish()
}

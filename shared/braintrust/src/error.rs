//! What an answer, or its absence, means to Sealift: one mapping for all of the API.
//!
//! The API's own words are kept, without the key should it repeat it, and cut to one line.
//! Nothing of the request goes into an error.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use http::response::Parts;
use sealift_core::export::source::SourceError;
use sealift_core::ports::Failure;
use serde::Deserialize;

use crate::key::ApiKey;
use crate::wire::text_header;

/// The longest message that is kept, in characters: a proxy may answer with a page.
const LONGEST_MESSAGE: usize = 600;

/// Why a change was not made, or is not known to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It was not made.
    #[error("{0}")]
    NotDone(SourceError),
    /// The request went out and its outcome did not come back. Making it again is not the same
    /// as having made it once: look first at how things stand.
    #[error("{0}; whether it was done is not known")]
    Unknown(Failure),
}

/// What a failure is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// What was asked: `query for spans`.
    pub(crate) operation: &'static str,
    /// Of what: `project p1 at https://api.braintrust.dev`.
    pub(crate) target: String,
    /// The answer's id, if there was one.
    pub(crate) request_id: String,
}

impl About {
    /// A failure in our own words.
    pub(crate) fn failure(&self, code: &str, message: impl AsRef<str>) -> Failure {
        Failure {
            operation: self.operation.to_owned(),
            target: self.target.clone(),
            code: code.to_owned(),
            message: tidy(message.as_ref()),
            request_id: self.request_id.clone(),
        }
    }

    pub(crate) fn transient(&self, message: impl AsRef<str>) -> SourceError {
        SourceError::Transient(self.failure("", message))
    }

    pub(crate) fn invalid(&self, message: impl AsRef<str>) -> SourceError {
        SourceError::Invalid(self.failure("", message))
    }
}

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Setback {
    pub(crate) error: SourceError,
    /// Whether the API may have done what it was asked.
    pub(crate) perhaps_done: bool,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The answer's status, if there was one.
    status: Option<StatusCode>,
    /// The key, if it is what was refused.
    pub(crate) refused_key: Option<ApiKey>,
}

impl Setback {
    pub(crate) fn new(error: SourceError, perhaps_done: bool) -> Self {
        Self {
            error,
            perhaps_done,
            retry_after: None,
            status: None,
            refused_key: None,
        }
    }

    /// Whether what was asked for is not there.
    pub(crate) fn is_absence(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self.error,
            SourceError::Transient(_) | SourceError::Throttled { .. }
        )
    }

    /// The error of a request that changes nothing when it is made again.
    pub(crate) fn into_error(self) -> SourceError {
        self.error
    }

    /// The error of a change that is not to be made twice.
    pub(crate) fn into_change_error(self) -> ChangeError {
        if self.perhaps_done {
            ChangeError::Unknown(self.error.failure().clone())
        } else {
            ChangeError::NotDone(self.error)
        }
    }
}

impl From<SourceError> for Setback {
    /// Of what never went out.
    fn from(error: SourceError) -> Self {
        Self::new(error, false)
    }
}

/// What an answer that is not a success means. The first of the keys is the one that the request
/// was made with.
pub(crate) fn refusal(
    about: &About,
    head: &Parts,
    body: &[u8],
    keys: [Option<&ApiKey>; 2],
    retry_after: Option<Duration>,
) -> Setback {
    let status = head.status;
    let hidden = keys.into_iter().flatten();
    let said = hidden.fold(words(body), |said, key| key.removed_from(&said));
    let message = match own_words(status, body) {
        // What a 421 says is an address, and may hold more than is to be shown.
        Some(own) if said.is_empty() || status == StatusCode::MISDIRECTED_REQUEST => own,
        Some(own) => format!("{own}. The API says: {said}"),
        None => said,
    };
    let code = format!("HTTP {}", status.as_u16());
    let failure = about.failure(&code, message);
    let error = match status.as_u16() {
        401 | 403 => SourceError::Denied(failure),
        429 => SourceError::Throttled {
            failure,
            retry_after,
        },
        408 | 500.. => SourceError::Transient(failure),
        _ => SourceError::Invalid(failure),
    };
    Setback {
        // An answer from within the API may come after the deed, or instead of it.
        perhaps_done: matches!(error, SourceError::Transient(_)),
        error,
        retry_after,
        status: Some(status),
        refused_key: keys[0]
            .filter(|_| status == StatusCode::UNAUTHORIZED)
            .cloned(),
    }
}

/// What an answer means where the API's own words do not say it.
fn own_words(status: StatusCode, body: &[u8]) -> Option<String> {
    Some(match status.as_u16() {
        300..400 => {
            "the API sends elsewhere, which is not followed: set the API URL to where it is"
                .to_owned()
        }
        413 => "the request or its answer is too large: lower `batch_size`, or select fewer fields"
            .to_owned(),
        421 => match serde_json::from_slice(body) {
            Ok(Misdirected { redirect_url }) => format!(
                "the organization lives on another data plane, {}: set the API URL to it",
                without_query(&redirect_url)
            ),
            Err(_) => {
                "the organization lives on another data plane: set the API URL to it".to_owned()
            }
        },
        504 => "the query took longer than the API allows (30 s): if it happens often, lower \
                `batch_size` or narrow the query"
            .to_owned(),
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Misdirected {
    #[serde(rename = "RedirectUrl")]
    redirect_url: String,
}

/// What is before `?`: the rest may be signed.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// The API's words: a field of a JSON object, or the text.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "Message")]
        spoken: Option<String>,
        message: Option<String>,
        error: Option<String>,
    }
    let said = serde_json::from_slice::<Said>(body).ok();
    let said = said.and_then(|said| said.spoken.or(said.message).or(said.error));
    said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// The answer's id, for the API's support.
pub(crate) fn request_id(head: &Parts) -> String {
    tidy(text_header(&head.headers, "x-bt-internal-trace-id").unwrap_or_default())
}

/// The error and its causes, each in its own words, without their `Debug` forms, which could
/// show the request.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// Cuts a text that came from outside, and keeps it on one line.
pub(crate) fn tidy(text: &str) -> String {
    text.trim()
        .chars()
        .take(LONGEST_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Setback {
        let about = About {
            operation: "query for spans",
            target: "project p1 at https://api.example".to_owned(),
            request_id: "trace-1".to_owned(),
        };
        let answer = http::Response::builder().status(status).body(()).unwrap();
        let key = ApiKey::parse("sk-secret").unwrap();
        let (head, ()) = answer.into_parts();
        refusal(&about, &head, body.as_bytes(), [Some(&key), None], None)
    }

    fn kind(error: &SourceError) -> &'static str {
        match error {
            SourceError::Throttled { .. } => "throttled",
            SourceError::Transient(_) => "transient",
            SourceError::Denied(_) => "denied",
            SourceError::Invalid(_) => "invalid",
        }
    }

    #[test]
    fn an_answer_is_sorted_by_its_status() {
        for (status, expected, perhaps_done) in [
            (301, "invalid", false),
            (400, "invalid", false),
            (401, "denied", false),
            (403, "denied", false),
            (404, "invalid", false),
            (408, "transient", true),
            (409, "invalid", false),
            (413, "invalid", false),
            (421, "invalid", false),
            (422, "invalid", false),
            (429, "throttled", false),
            (500, "transient", true),
            (502, "transient", true),
            (503, "transient", true),
            (504, "transient", true),
        ] {
            let setback = refused(status, "x");
            assert_eq!(kind(&setback.error), expected, "{status}");
            assert_eq!(setback.perhaps_done, perhaps_done, "{status}");
            assert_eq!(setback.refused_key.is_some(), status == 401, "{status}");
        }
    }

    #[test]
    fn the_apis_own_words_are_kept_whatever_their_form() {
        for (body, words) in [
            (
                r#"{"Message":"bad query [user_email=a@b.c]","x":1}"#,
                "bad query [user_email=a@b.c]",
            ),
            (r#"{"message":"m","error":"e"}"#, "m"),
            (r#"{"error":"e"}"#, "e"),
            (r#"{"error":{"a":1}}"#, r#"{"error":{"a":1}}"#),
            ("plain\r\nwords", "plain  words"),
            ("", ""),
        ] {
            let error = refused(400, body).error;
            assert_eq!(error.failure().message, words, "{body}");
        }
        assert_eq!(
            refused(400, "no").error.to_string(),
            "query for spans on project p1 at https://api.example failed: HTTP 400: no (request trace-1)"
        );
        let page = "<html>\n".repeat(1000);
        let message = refused(500, &page).error.failure().message.clone();
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
        assert!(!message.contains('\n'));
    }

    #[test]
    fn a_key_in_the_apis_words_is_not_repeated_even_where_the_cut_goes_through_it() {
        let error = refused(401, r#"{"error":"Invalid key sk-secret"}"#);
        assert_eq!(error.error.failure().message, "Invalid key REDACTED");
        assert!(!format!("{error:?}").contains("sk-secret"));
        let long = format!("{}sk-secret", "x".repeat(595));
        assert!(
            refused(400, &long)
                .error
                .failure()
                .message
                .ends_with("REDAC")
        );
    }

    #[test]
    fn some_answers_get_words_of_their_own() {
        let message = |status, body| refused(status, body).error.failure().message.clone();
        let moved = message(421, r#"{"RedirectUrl":"https://dp.example/api?sig=1"}"#);
        assert!(
            moved.contains("data plane, https://dp.example/api: set the API URL"),
            "{moved}"
        );
        assert!(!moved.contains("sig"), "{moved}");
        assert!(message(421, "?").contains("another data plane: set"));
        assert!(message(413, "").contains("lower `batch_size`"));
        assert!(message(504, "").contains("30 s"));
        assert!(message(504, "upstream").ends_with("The API says: upstream"));
        assert!(message(302, "").contains("set the API URL"));
    }

    #[test]
    fn a_change_with_a_lost_outcome_says_so() {
        let error = refused(502, "x").into_change_error();
        assert!(matches!(error, ChangeError::Unknown(_)));
        assert!(
            error
                .to_string()
                .ends_with("; whether it was done is not known")
        );
        assert!(matches!(
            refused(400, "x").into_change_error(),
            ChangeError::NotDone(_)
        ));
    }
}

//! Events: what comes off the bus, and what of it Sealift needs to know.
//!
//! A message is an EventBridge envelope. The *event* is its detail, and a delivered line is
//! that detail byte for byte; the only change is that a raw line break between two tokens
//! becomes a space, since a line may not hold one. Of the event four things are looked up,
//! its id, organization, time and type, at places that its [`Shape`] tells.
//!
//! An envelope with detail-type `sealift.bundle` carries many events (`detail.events`), each
//! with its own organization. Events from the source `sealift.control` are Sealift's own
//! signals and no audit events.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::envelope::Content;
pub use self::shape::{Shape, ShapeError, Shapes};
use crate::id::OrgId;
use crate::partition::Hour;

mod envelope;
mod pluck;
mod shape;

/// The detail-type of an envelope that carries many events.
pub const BUNDLE: &str = "sealift.bundle";

/// The source of Sealift's own control events (`export.due` and the like), which never enter
/// the audit log.
pub const CONTROL_SOURCE: &str = "sealift.control";

/// The longest id that is taken, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The longest type that is taken, in bytes.
pub const MAX_TYPE_BYTES: usize = 256;

/// An event that can be used: it says what it is, whose and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its id, unique within the organization.
    pub id: Cow<'a, str>,
    /// Whose it is.
    pub organization: OrgId,
    /// When it happened.
    pub time: Timestamp,
    /// The hour of that time.
    pub hour: Hour,
    /// What kind it is: `project.created`, `TOOL_CALL`.
    pub event_type: Cow<'a, str>,
    /// The line that will be delivered, without a line break at the end.
    pub line: Cow<'a, str>,
}

/// Why an event cannot be used. The message names the field and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The message is no JSON.
    #[error("not JSON: {0}; send an EventBridge envelope")]
    NotJson(String),
    /// The message is JSON, but no EventBridge envelope.
    #[error("not an EventBridge envelope: {0}")]
    NotAnEnvelope(String),
    /// The event is no JSON object.
    #[error("the event is {0}; it must be a JSON object")]
    NotAnObject(&'static str),
    /// A field that must be there is missing or null.
    #[error(
        "no {field}: nothing stands at {pointer}; add it, or configure where this source keeps it"
    )]
    Missing {
        /// What was looked for: `id`, `organization`, `time`, `type`.
        field: &'static str,
        /// Where.
        pointer: String,
    },
    /// A field holds what it may not.
    #[error("the {field} at {pointer} cannot be used: {reason}")]
    Invalid {
        /// What was looked for.
        field: &'static str,
        /// Where.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field stands there twice, so that readers would disagree on what it says.
    #[error("the {field} at {pointer} stands there more than once; send it once")]
    Repeated {
        /// What was looked for.
        field: &'static str,
        /// Where.
        pointer: String,
    },
}

impl Unusable {
    /// A stable word for counting and for names: `no_id`, `bad_time`.
    pub fn code(&self) -> String {
        match self {
            Self::NotJson(_) => "not_json".to_owned(),
            Self::NotAnEnvelope(_) => "not_an_envelope".to_owned(),
            Self::NotAnObject(_) => "not_an_object".to_owned(),
            Self::Missing { field, .. } => format!("no_{field}"),
            Self::Invalid { field, .. } => format!("bad_{field}"),
            Self::Repeated { field, .. } => format!("repeated_{field}"),
        }
    }
}

/// The fields of an EventBridge envelope that Sealift reads.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/ref/overview-event-structure.html>
#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "detail-type")]
    detail_type: Cow<'a, str>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// What was found in one message.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// One of Sealift's own signals: nothing for the audit log.
    Control,
    /// The events of the message, the usable and the unusable, in their order.
    Events(Vec<Result<Event<'a>, Rejected>>),
}

/// An event that cannot be used, with what is needed to send it again alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Unusable,
    /// A message that holds this event and no other.
    pub body: String,
}

/// Reads one message: an EventBridge envelope as text.
///
/// An unusable event of a bundle leaves the others as they are.
pub fn read<'a>(body: &'a str, shapes: &Shapes) -> Reading<'a> {
    let Some(opened) = envelope::open(body, shapes) else {
        return read_stepwise(body, shapes);
    };
    let shape = opened.shape;
    match opened.content {
        Content::One(text, found) => {
            let event = shape.build(text, found, Some(&opened.detail_type));
            Reading::Events(vec![event.map_err(|reason| whole(body, reason))])
        }
        Content::Many(events) => read_bundle(&opened.source, events, shape),
    }
}

/// Reads any message: the envelope first, then what is in it. [`envelope`] is quicker, where it
/// will do.
fn read_stepwise<'a>(body: &'a str, shapes: &Shapes) -> Reading<'a> {
    let whole = |reason| Reading::Events(vec![Err(whole(body, reason))]);
    let envelope: Envelope<'a> = match serde_json::from_str(body) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => return whole(Unusable::NotAnEnvelope(error.to_string())),
        Err(error) => return whole(Unusable::NotJson(error.to_string())),
    };
    if envelope.source == CONTROL_SOURCE {
        return Reading::Control;
    }
    let shape = shapes.of(&envelope.source, &envelope.detail_type);
    if envelope.detail_type != BUNDLE {
        return match shape.read(envelope.detail.get(), Some(&envelope.detail_type)) {
            Ok(event) => Reading::Events(vec![Ok(event)]),
            Err(reason) => whole(reason),
        };
    }
    match serde_json::from_str::<Bundle<'a>>(envelope.detail.get()) {
        Ok(bundle) => read_bundle(&envelope.source, bundle.events, shape),
        Err(error) => whole(Unusable::Invalid {
            field: "bundle",
            pointer: "/detail/events".to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn read_bundle<'a>(source: &str, events: Vec<&'a RawValue>, shape: &Shape) -> Reading<'a> {
    let read_one = |event: &'a RawValue| {
        shape.read(event.get(), None).map_err(|reason| Rejected {
            reason,
            body: bundle_of_one(source, event),
        })
    };
    Reading::Events(events.into_iter().map(read_one).collect())
}

/// A message that is rejected as it is.
fn whole(body: &str, reason: Unusable) -> Rejected {
    let body = body.to_owned();
    Rejected { reason, body }
}

/// Takes a message apart into messages of one event each. What is no bundle stays as it is.
pub fn split(body: &str) -> Vec<String> {
    let whole = || vec![body.to_owned()];
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(body) else {
        return whole();
    };
    match serde_json::from_str::<Bundle<'_>>(envelope.detail.get()) {
        Ok(bundle) if envelope.detail_type == BUNDLE => {
            let alone = |event| bundle_of_one(&envelope.source, event);
            bundle.events.into_iter().map(alone).collect()
        }
        _ => whole(),
    }
}

/// A message that carries one event of a bundle, so that it can be sent again alone.
fn bundle_of_one(source: &str, event: &RawValue) -> String {
    #[derive(Serialize)]
    struct One<'a> {
        source: &'a str,
        #[serde(rename = "detail-type")]
        detail_type: &'a str,
        detail: Detail<'a>,
    }
    #[derive(Serialize)]
    struct Detail<'a> {
        events: [&'a RawValue; 1],
    }
    let one = One {
        source,
        detail_type: BUNDLE,
        detail: Detail { events: [event] },
    };
    // Strings and a raw value: there is nothing in it that could fail.
    serde_json::to_string(&one).unwrap_or_default()
}

/// The event as one line: raw line breaks, which JSON allows between tokens only, become spaces.
fn line_of(raw: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'\n', b'\r', raw.as_bytes()).is_some() {
        Cow::Owned(raw.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(detail: &str) -> String {
        format!(
            r#"{{"version":"0","id":"e","source":"com.acme","detail-type":"project.created","detail":{detail}}}"#
        )
    }

    fn only(body: &str) -> Result<Event<'_>, Rejected> {
        match read(body, &Shapes::default()) {
            Reading::Events(mut events) if events.len() == 1 => events.remove(0),
            other => panic!("{other:?}"),
        }
    }

    const GOOD: &str = r#"{"id":"1","org_id":"acme","created":"2026-05-12T23:48:21.627Z","event_type":"project.updated","n":1.000000000000000000001,"u":"\ud83d\ude00 ü"}"#;

    #[test]
    fn a_line_is_the_detail_byte_for_byte() {
        let body = own(GOOD);
        let event = only(&body).unwrap();
        assert_eq!(event.line, GOOD);
        assert_eq!(
            (event.id.as_ref(), event.organization.as_str()),
            ("1", "acme")
        );
        assert_eq!(event.hour.to_string(), "2026-05-12T23");
        assert_eq!(event.event_type, "project.updated");
        assert!(matches!(event.line, Cow::Borrowed(_)), "a copy was made");
    }

    #[test]
    fn a_raw_line_break_between_tokens_becomes_a_space_and_an_escaped_one_stays() {
        let body = own(
            "{\"id\":\"1\",\r\n\"org_id\":\"acme\",\"created\":\"2026-05-12T23:48:21Z\",\n\"x\":\"a\\nb\"}",
        );
        let event = only(&body).unwrap();
        assert_eq!(
            event.line,
            "{\"id\":\"1\",  \"org_id\":\"acme\",\"created\":\"2026-05-12T23:48:21Z\", \"x\":\"a\\nb\"}"
        );
    }

    #[test]
    fn the_type_falls_back_to_the_detail_type() {
        let body = own(r#"{"id":"1","org_id":"a","created":"2026-05-12T23:48:21Z"}"#);
        assert_eq!(only(&body).unwrap().event_type, "project.created");
        let body = r#"{"source":"x","detail-type":"TOOL_CALL","detail":{"id":"1","org_id":"a","created":"2026-05-12T23:48:21Z"}}"#;
        assert_eq!(only(body).unwrap().event_type, "TOOL_CALL");
    }

    #[test]
    fn what_cannot_be_used_says_which_field_and_why() {
        let cases = [
            ("{", "not_json"),
            ("[]", "not_an_envelope"),
            (r#"{"source":"x","detail":{}}"#, "not_an_envelope"),
            (&own("[1]"), "not_an_object"),
            (&own("null"), "not_an_object"),
            (
                &own(r#"{"org_id":"a","created":"2026-05-12T23:48:21Z"}"#),
                "no_id",
            ),
            (
                &own(r#"{"id":"","org_id":"a","created":"2026-05-12T23:48:21Z"}"#),
                "bad_id",
            ),
            (
                &own(r#"{"id":7.5,"org_id":"a","created":"2026-05-12T23:48:21Z"}"#),
                "bad_id",
            ),
            (
                &own(r#"{"id":"\ud800","org_id":"a","created":"2026-05-12T23:48:21Z"}"#),
                "bad_id",
            ),
            (
                &own(r#"{"id":"1","created":"2026-05-12T23:48:21Z"}"#),
                "no_organization",
            ),
            (
                &own(r#"{"id":"1","org_id":null,"created":"2026-05-12T23:48:21Z"}"#),
                "no_organization",
            ),
            (
                &own(r#"{"id":"1","org_id":"a:*","created":"2026-05-12T23:48:21Z"}"#),
                "bad_organization",
            ),
            (
                &own(r#"{"id":"1","org_id":{"x":1},"created":"2026-05-12T23:48:21Z"}"#),
                "bad_organization",
            ),
            (
                &own(r#"{"id":"1","org_id":"a","org_id":"b","created":"2026-05-12T23:48:21Z"}"#),
                "repeated_organization",
            ),
            (&own(r#"{"id":"1","org_id":"a"}"#), "no_time"),
            (
                &own(r#"{"id":"1","org_id":"a","created":"yesterday"}"#),
                "bad_time",
            ),
            (
                &own(r#"{"id":"1","org_id":"a","created":"2026-05-12"}"#),
                "bad_time",
            ),
            (
                &own(r#"{"id":"1","org_id":"a","created":"2026-05-12T23:48:21"}"#),
                "bad_time",
            ),
            (
                &own(r#"{"id":"1","org_id":"a","created":1778629701}"#),
                "bad_time",
            ),
        ];
        for (body, code) in cases {
            let rejected = only(body).unwrap_err();
            assert_eq!(rejected.reason.code(), code, "{body}: {}", rejected.reason);
            assert_eq!(rejected.body, body);
        }
        let body = own(r#"{"id":"1","created":"2026-05-12T23:48:21Z"}"#);
        assert_eq!(
            only(&body).unwrap_err().reason.to_string(),
            "no organization: nothing stands at /org_id; add it, or configure where this source keeps it"
        );
    }

    #[test]
    fn in_a_bundle_the_others_go_on_and_a_bad_one_can_be_sent_again_alone() {
        let body = r#"{"source":"com.acme","detail-type":"sealift.bundle","detail":{"events":[
            {"id":"1","org_id":"a","created":"2026-05-12T23:48:21Z","event_type":"x.y"},
            {"id":"2","created":"2026-05-12T23:48:21Z","event_type":"x.y"},
            {"id":"3","org_id":"b","created":"2026-05-12T23:48:21Z","event_type":"x.y"}]}}"#;
        let Reading::Events(events) = read(body, &Shapes::default()) else {
            panic!()
        };
        let organizations: Vec<_> = events
            .iter()
            .map(|e| e.as_ref().ok().map(|e| e.organization.to_string()))
            .collect();
        assert_eq!(
            organizations,
            [Some("a".to_owned()), None, Some("b".to_owned())]
        );
        assert_eq!(split(body).len(), 3);
        let alone = events.into_iter().nth(1).unwrap().unwrap_err();
        assert_eq!(split(body)[1], alone.body);
        assert_eq!(split(&alone.body), std::slice::from_ref(&alone.body));
        let again = only(&alone.body).unwrap_err();
        assert_eq!((&again.reason, &again.body), (&alone.reason, &alone.body));
    }

    #[test]
    fn an_event_of_a_bundle_must_say_its_type() {
        let body = r#"{"source":"x","detail-type":"sealift.bundle","detail":{"events":[{"id":"1","org_id":"a","created":"2026-05-12T23:48:21Z"}]}}"#;
        assert_eq!(only(body).unwrap_err().reason.code(), "no_type");
        let body = r#"{"source":"x","detail-type":"sealift.bundle","detail":{"event":[]}}"#;
        assert_eq!(only(body).unwrap_err().reason.code(), "bad_bundle");
    }

    #[test]
    fn control_events_never_enter_the_log() {
        let body = r#"{"source":"sealift.control","detail-type":"export.due","detail":{}}"#;
        assert_eq!(read(body, &Shapes::default()), Reading::Control);
    }
}

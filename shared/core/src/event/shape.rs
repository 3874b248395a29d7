//! Shapes: where an event keeps its id, organization, time and type.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::pluck::{Found, Pointer, pluck};
use super::{Event, MAX_ID_BYTES, MAX_TYPE_BYTES, Unusable, line_of};
use crate::id::OrgId;
use crate::partition::Hour;

/// Where an event keeps what Sealift needs of it.
///
/// | | [`own`](Shape::own) | [`cloudtrail`](Shape::cloudtrail) |
/// |---|---|---|
/// | id | `/id` | `/eventID` |
/// | organization | `/org_id` | `/recipientAccountId` |
/// | time | `/created` | `/eventTime` |
/// | type | `/event_type`, else the detail-type | `/eventSource` (without `.amazonaws.com`) `.` `/eventName` |
///
/// The own form has the field names of Braintrust's audit log entries; that page names no id,
/// so `id` is Sealift's. The sixteen upper-case event types come in the own form, too, with
/// the type as detail-type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    id: Pointer,
    organization: Pointer,
    time: Pointer,
    time_unit: TimeUnit,
    event_type: TypeRule,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimeUnit {
    /// RFC 3339 text, with an offset.
    #[default]
    Rfc3339,
    /// A number of seconds since 1970.
    Seconds,
    /// A number of milliseconds since 1970.
    Milliseconds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TypeRule {
    /// What stands at the pointer; else the envelope's detail-type.
    At(Pointer),
    /// `<service>.<name>`, from the two pointers.
    ServiceAndName(Pointer, Pointer),
}

/// A configured shape that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event shape {position}: {reason}")]
pub struct ShapeError {
    /// Which of the shapes, counted from 1.
    pub position: usize,
    /// What is wrong, naming the field.
    pub reason: String,
}

impl Shape {
    /// Sealift's own form.
    pub fn own() -> Self {
        Self {
            id: fixed("/id"),
            organization: fixed("/org_id"),
            time: fixed("/created"),
            time_unit: TimeUnit::Rfc3339,
            event_type: TypeRule::At(fixed("/event_type")),
        }
    }

    /// CloudTrail records, as EventBridge carries them.
    ///
    /// Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
    pub fn cloudtrail() -> Self {
        Self {
            id: fixed("/eventID"),
            organization: fixed("/recipientAccountId"),
            time: fixed("/eventTime"),
            time_unit: TimeUnit::Rfc3339,
            event_type: TypeRule::ServiceAndName(fixed("/eventSource"), fixed("/eventName")),
        }
    }

    /// Reads the event in the text of a detail. `detail_type` is the type to fall back to.
    pub(super) fn read<'a>(
        &self,
        raw: &'a str,
        detail_type: Option<&str>,
    ) -> Result<Event<'a>, Unusable> {
        match raw.as_bytes().first() {
            Some(b'{') => {}
            Some(b'[') => return Err(Unusable::NotAnObject("an array")),
            Some(b'n') => return Err(Unusable::NotAnObject("null")),
            Some(b'"') => return Err(Unusable::NotAnObject("a string")),
            _ => return Err(Unusable::NotAnObject("a number or boolean")),
        }
        match pluck(raw, self.pointers()) {
            Ok(found) => self.build(raw, found, detail_type),
            // The envelope was valid JSON, so what remains is text that is not Unicode
            // (a lone surrogate) where one of the four stands, or nesting beyond reading.
            Err(error) => Err(self.unreadable(raw, &error)),
        }
    }

    /// Where the id, organization, time and type stand; the type may have two places.
    pub(super) fn pointers(&self) -> [Option<&Pointer>; 5] {
        let (first, second) = match &self.event_type {
            TypeRule::At(pointer) => (pointer, None),
            TypeRule::ServiceAndName(service, name) => (service, Some(name)),
        };
        [
            Some(&self.id),
            Some(&self.organization),
            Some(&self.time),
            Some(first),
            second,
        ]
    }

    /// Makes the event of what was found at [`pointers`](Self::pointers) in `raw`, which is an
    /// object's text.
    pub(super) fn build<'a>(
        &self,
        raw: &'a str,
        found: [Found<'a>; 5],
        detail_type: Option<&str>,
    ) -> Result<Event<'a>, Unusable> {
        let [id, organization, time, kind, name] = found;
        let id = text("id", &self.id, id, MAX_ID_BYTES)?;
        let organization = text("organization", &self.organization, organization, usize::MAX)?;
        let organization = OrgId::parse(organization)
            .map_err(|error| invalid("organization", &self.organization, error.reason))?;
        let (time, hour) = self.time_of(time)?;
        let event_type = match (&self.event_type, kind, detail_type) {
            (TypeRule::At(_), Found::Nothing, Some(fallback)) => Cow::Owned(fallback.to_owned()),
            (TypeRule::At(pointer), kind, _) => text("type", pointer, kind, MAX_TYPE_BYTES)?,
            (TypeRule::ServiceAndName(at, name_at), kind, _) => {
                let service = text("type", at, kind, MAX_TYPE_BYTES)?;
                let name = text("type", name_at, name, MAX_TYPE_BYTES)?;
                let service = service.strip_suffix(".amazonaws.com").unwrap_or(&service);
                Cow::Owned([service, ".", &name].concat())
            }
        };
        Ok(Event {
            id,
            organization,
            time,
            hour,
            event_type,
            line: line_of(raw),
        })
    }

    /// Finds out which of the fields it was that could not be read.
    fn unreadable(&self, raw: &str, error: &serde_json::Error) -> Unusable {
        let fields = [
            ("id", &self.id),
            ("organization", &self.organization),
            ("time", &self.time),
        ];
        let (field, pointer) = fields
            .into_iter()
            .find(|(_, pointer)| pluck(raw, [Some(*pointer)]).is_err())
            .unwrap_or(("event", &self.id));
        invalid(field, pointer, error.to_string())
    }

    fn time_of(&self, found: Found<'_>) -> Result<(Timestamp, Hour), Unusable> {
        let refuse = |reason: &str| Err(invalid("time", &self.time, reason));
        let scale = match self.time_unit {
            TimeUnit::Rfc3339 => {
                let text = text("time", &self.time, found, 64)?;
                return match rfc3339(&text) {
                    Some(time) => Ok(time),
                    None => refuse(
                        "it must be RFC 3339 with an offset, such as 2026-05-12T23:48:21.627Z",
                    ),
                };
            }
            TimeUnit::Seconds => 1e3,
            TimeUnit::Milliseconds => 1.0,
        };
        let number = match found {
            Found::Nothing => return Err(missing("time", &self.time)),
            Found::Repeated => return Err(repeated("time", &self.time)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "times that matter are far below 2^53 ms"
            )]
            Found::Integer(number) => number as f64,
            Found::Float(number) => number,
            Found::Text(_) | Found::Other => {
                return refuse("it must be a number, as its shape says");
            }
        };
        let milliseconds = (number * scale).floor();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range is checked before"
        )]
        let time = (milliseconds.abs() < 1e15)
            .then(|| Timestamp::from_millisecond(milliseconds as i64).ok())
            .flatten();
        match time.and_then(|time| Some((time, Hour::of(time)?))) {
            Some(time) => Ok(time),
            None => refuse("it lies outside the years 1 to 9999"),
        }
    }
}

/// RFC 3339 asks for date, time and offset; the parser alone would take less and more.
fn rfc3339(text: &str) -> Option<(Timestamp, Hour)> {
    let bytes = text.as_bytes();
    let separated = matches!(bytes.get(10), Some(b'T' | b't' | b' '));
    let colons = bytes.get(13) == Some(&b':') && bytes.get(16) == Some(&b':');
    if !separated || !colons || text.contains('[') {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    Some((time, Hour::of(time)?))
}

fn fixed(pointer: &str) -> Pointer {
    // The pointers of the built-in shapes are literals, tested below.
    Pointer::parse(pointer).unwrap_or_else(|| unreachable!("{pointer}"))
}

fn missing(field: &'static str, pointer: &Pointer) -> Unusable {
    let pointer = pointer.to_string();
    Unusable::Missing { field, pointer }
}

fn repeated(field: &'static str, pointer: &Pointer) -> Unusable {
    let pointer = pointer.to_string();
    Unusable::Repeated { field, pointer }
}

fn invalid(field: &'static str, pointer: &Pointer, reason: impl Into<String>) -> Unusable {
    Unusable::Invalid {
        field,
        pointer: pointer.to_string(),
        reason: reason.into(),
    }
}

/// A field as text. Whole numbers are taken in their decimal form; other numbers are not, since
/// two different ones could become the same text.
fn text<'a>(
    field: &'static str,
    pointer: &Pointer,
    found: Found<'a>,
    longest: usize,
) -> Result<Cow<'a, str>, Unusable> {
    let text = match found {
        Found::Nothing => return Err(missing(field, pointer)),
        Found::Repeated => return Err(repeated(field, pointer)),
        Found::Text(text) => text,
        Found::Integer(number) => Cow::Owned(number.to_string()),
        Found::Float(_) | Found::Other => {
            return Err(invalid(
                field,
                pointer,
                "it must be a string or a whole number",
            ));
        }
    };
    if text.is_empty() {
        return Err(invalid(field, pointer, "it is empty"));
    }
    if text.len() > longest {
        return Err(invalid(
            field,
            pointer,
            format!("it is longer than {longest} bytes"),
        ));
    }
    Ok(text)
}

/// The shapes that a stack knows: the built-in ones, and those that its operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    configured: Vec<Configured>,
    own: Shape,
    cloudtrail: Shape,
}

/// The built-in shapes alone.
impl Default for Shapes {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<Configured>> for Shapes {
    fn from(configured: Vec<Configured>) -> Self {
        Self {
            configured,
            own: Shape::own(),
            cloudtrail: Shape::cloudtrail(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Configured {
    source: Option<String>,
    detail_type: Option<String>,
    shape: Shape,
}

/// A shape as it is written in the configuration. What it leaves out is as in its base.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    source: Option<String>,
    detail_type: Option<String>,
    #[serde(default)]
    base: Base,
    id: Option<String>,
    organization: Option<String>,
    time: Option<String>,
    time_unit: Option<TimeUnit>,
    #[serde(rename = "type")]
    event_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Base {
    #[default]
    Sealift,
    Cloudtrail,
}

impl Shapes {
    /// Reads a JSON array of shapes, as `docs/producers.md` describes them. Empty text is none.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let all = |error: serde_json::Error| ShapeError {
            position: 1,
            reason: format!("the shapes must be a JSON array of objects: {error}"),
        };
        let values: Vec<serde_json::Value> = serde_json::from_str(text).map_err(all)?;
        let shapes = values.into_iter().enumerate().map(|(index, value)| {
            let refuse = |reason| ShapeError {
                position: index + 1,
                reason,
            };
            let written = Written::deserialize(value).map_err(|e| refuse(e.to_string()))?;
            written.build().map_err(refuse)
        });
        shapes.collect::<Result<Vec<_>, _>>().map(Self::from)
    }

    /// The shape of events from a source: the first configured one that fits, or a built-in one.
    pub(super) fn of(&self, source: &str, detail_type: &str) -> &Shape {
        let fits = |configured: &&Configured| {
            let same =
                |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
            same(&configured.source, source) && same(&configured.detail_type, detail_type)
        };
        if let Some(configured) = self.configured.iter().find(fits) {
            return &configured.shape;
        }
        // "AWS API Call via CloudTrail", "AWS Console Sign In via CloudTrail" and the like.
        if detail_type.ends_with(" via CloudTrail") {
            &self.cloudtrail
        } else {
            &self.own
        }
    }
}

impl Written {
    fn build(self) -> Result<Configured, String> {
        let mut shape = match self.base {
            Base::Sealift => Shape::own(),
            Base::Cloudtrail => Shape::cloudtrail(),
        };
        let pointer = |field: &str, text: &str| {
            Pointer::parse(text).ok_or_else(|| {
                format!("`{field}` must be a JSON pointer such as /user/id, not {text:?}")
            })
        };
        if let Some(text) = &self.id {
            shape.id = pointer("id", text)?;
        }
        if let Some(text) = &self.organization {
            shape.organization = pointer("organization", text)?;
        }
        if let Some(text) = &self.time {
            shape.time = pointer("time", text)?;
        }
        if let Some(unit) = self.time_unit {
            shape.time_unit = unit;
        }
        if let Some(text) = &self.event_type {
            shape.event_type = TypeRule::At(pointer("type", text)?);
        }
        Ok(Configured {
            source: self.source,
            detail_type: self.detail_type,
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_shapes_can_be_built() {
        assert_ne!(Shape::own(), Shape::cloudtrail());
    }

    #[test]
    fn a_cloudtrail_record_is_found_by_its_detail_type() {
        let shapes = Shapes::default();
        let shape = shapes.of("aws.s3", "AWS API Call via CloudTrail");
        let event = shape
            .read(r#"{"eventID":"i","recipientAccountId":"123456789012","eventTime":"2023-07-10T11:42:24Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"}"#, None)
            .unwrap();
        assert_eq!(
            (event.event_type.as_ref(), event.organization.as_str()),
            ("s3.GetObject", "123456789012")
        );
    }

    #[test]
    fn a_configured_shape_says_where_the_fields_are() {
        let shapes = Shapes::parse(
            r#"[{"source":"okta","id":"/uuid","organization":"/tenant/name","time":"/ts","time_unit":"milliseconds","type":"/kind"},
                {"detail_type":"AWS API Call via CloudTrail","base":"cloudtrail","organization":"/eventSource"}]"#,
        )
        .unwrap();
        let okta = shapes.of("okta", "x");
        let event = okta
            .read(
                r#"{"uuid":12,"tenant":{"name":"a"},"ts":1778629701627,"kind":"login"}"#,
                None,
            )
            .unwrap();
        assert_eq!(
            (event.id.as_ref(), event.time.as_millisecond()),
            ("12", 1_778_629_701_627)
        );
        assert_eq!(*shapes.of("other", "y"), Shape::own());
        assert_eq!(
            shapes
                .of("aws.ec2", "AWS API Call via CloudTrail")
                .organization
                .to_string(),
            "/eventSource"
        );
    }

    #[test]
    fn a_shape_that_cannot_be_used_says_which_and_why() {
        for (text, part) in [
            ("{}", "JSON array"),
            (r#"[{"id":"uuid"}]"#, "`id` must be a JSON pointer"),
            (
                r#"[{},{"organisation":"/x"}]"#,
                "event shape 2: unknown field `organisation`",
            ),
            (r#"[{"time_unit":"hours"}]"#, "unknown variant `hours`"),
        ] {
            let error = Shapes::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_leap_second_and_an_offset_are_times() {
        for (text, hour) in [
            ("2016-12-31T23:59:60Z", "2016-12-31T23"),
            ("2026-05-12T23:48:21+05:30", "2026-05-12T18"),
            ("2026-05-12t23:48:21.627z", "2026-05-12T23"),
        ] {
            assert_eq!(
                rfc3339(text).map(|(_, hour)| hour.to_string()).as_deref(),
                Some(hour),
                "{text}"
            );
        }
        for bad in [
            "2026-05-12T23:48Z",
            "2026-05-12T23:48:21Z[UTC]",
            "20260512T234821Z",
            "",
            "2026-05-12T24:00:00Z",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }
}

//! The quick way through a message: what is in an envelope, in the pass that reads the envelope.
//!
//! EventBridge writes the detail last, so that its shape is known when it comes, and the four
//! fields can be looked up while the envelope is read. Whatever is not as usual (another order,
//! a control event, any error) is left to the stepwise way, which also finds the words for what
//! is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::pluck::{Found, Key, Lookup};
use super::shape::{Shape, Shapes};
use super::{BUNDLE, Bundle, CONTROL_SOURCE};

/// What an envelope says.
pub(super) struct Opened<'a, 's> {
    pub(super) source: Cow<'a, str>,
    pub(super) detail_type: Cow<'a, str>,
    pub(super) shape: &'s Shape,
    pub(super) content: Content<'a>,
}

/// What an envelope holds.
pub(super) enum Content<'a> {
    /// One event: its text, and what stands where its shape looks.
    One(&'a str, [Found<'a>; 5]),
    /// A bundle.
    Many(Vec<&'a RawValue>),
}

/// Opens a message; `None` if it takes the stepwise way to read it.
pub(super) fn open<'a, 's>(body: &'a str, shapes: &'s Shapes) -> Option<Opened<'a, 's>> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let envelope = Envelope { body, shapes };
    let opened = envelope.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(opened)
}

struct Envelope<'a, 's> {
    body: &'a str,
    shapes: &'s Shapes,
}

impl<'a, 's> DeserializeSeed<'a> for Envelope<'a, 's> {
    type Value = Opened<'a, 's>;

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, 's> Visitor<'a> for Envelope<'a, 's> {
    type Value = Opened<'a, 's>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let unusual = || A::Error::custom("not the usual form");
        let mut source: Option<Cow<'a, str>> = None;
        let mut detail_type: Option<Cow<'a, str>> = None;
        while let Some(Key(key)) = entries.next_key()? {
            match (key.as_ref(), &source, &detail_type) {
                ("source", None, _) => source = Some(entries.next_value::<Key<'_>>()?.0),
                ("detail-type", _, None) => detail_type = Some(entries.next_value::<Key<'_>>()?.0),
                ("detail", Some(source), Some(detail_type)) if source != CONTROL_SOURCE => {
                    let shape = self.shapes.of(source, detail_type);
                    let content = if detail_type == BUNDLE {
                        Content::Many(entries.next_value::<Bundle<'_>>()?.events)
                    } else {
                        let text = detail_after(self.body, &key).ok_or_else(unusual)?;
                        Content::One(text, entries.next_value_seed(Lookup(shape.pointers()))?)
                    };
                    // The text was sought from the end of the envelope.
                    if entries.next_key::<IgnoredAny>()?.is_some() {
                        return Err(unusual());
                    }
                    return Ok(Opened {
                        source: source.clone(),
                        detail_type: detail_type.clone(),
                        shape,
                        content,
                    });
                }
                ("source" | "detail-type" | "detail", ..) => return Err(unusual()),
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(unusual())
    }
}

/// The text of the object that is the last value of `body`, a JSON object, if `key` lies in it
/// as the key of that value. The text's end is sought from the end of the body. What is no object
/// is told from others by the stepwise way.
fn detail_after<'a>(body: &'a str, key: &Cow<'a, str>) -> Option<&'a str> {
    // A key with escapes is a copy, and lies elsewhere.
    let Cow::Borrowed(key) = key else { return None };
    let at = key.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    let after = body.get(at + key.len()..)?;
    let value = after.strip_prefix('"')?.trim_start_matches(SPACE);
    let value = value.strip_prefix(':')?.trim_start_matches(SPACE);
    let value = value.trim_end_matches(SPACE).strip_suffix('}')?;
    Some(value.trim_end_matches(SPACE)).filter(|value| value.starts_with('{'))
}

/// What JSON takes for white space (RFC 8259, section 2).
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{read, read_stepwise};
    use proptest::prelude::*;

    const DETAIL: &str =
        r#"{"id":"1","org_id":"a","created":"2026-05-12T23:48:21Z","event_type":"x.y"}"#;

    /// Both ways agree; tells whether the quick one could be taken.
    fn is_quick(body: &str) -> bool {
        let shapes = Shapes::default();
        assert_eq!(read(body, &shapes), read_stepwise(body, &shapes), "{body}");
        open(body, &shapes).is_some()
    }

    #[test]
    fn the_usual_form_takes_one_pass_and_spaces_do_not_matter() {
        let own = |before: &str, after: &str| {
            format!(
                "{{\"id\":\"e\",\"detail-type\":\"t\",\"source\":\"s\",\"resources\":[],\"detail\"{before}{DETAIL}{after}"
            )
        };
        assert!(is_quick(&own(":", "}")));
        assert!(is_quick(&own(" :\r\n\t ", " \r\n\t} \n")));
        assert!(is_quick(
            &own(":", "}").replace("detail-type", "detail\\u002dtype")
        ));
    }

    #[test]
    fn a_bundle_is_quick_whatever_its_events_are() {
        for events in ["", "7", DETAIL, &format!("{DETAIL}, {{}}, [], \n{DETAIL}")] {
            assert!(is_quick(&format!(
                r#"{{"source":"s","detail-type":"sealift.bundle","detail":{{"n":1,"events":[{events}]}}}}"#
            )));
        }
    }

    #[test]
    fn an_event_that_cannot_be_used_is_told_the_same_either_way() {
        for detail in [
            "{}",
            r#"{"id":"1","id":"1"}"#,
            r#"{"id":"1","org_id":"a:*","created":"x"}"#,
        ] {
            assert!(is_quick(&format!(
                r#"{{"source":"s","detail-type":"t","detail":{detail}}}"#
            )));
        }
    }

    #[test]
    fn what_is_unusual_goes_stepwise() {
        for body in [
            format!(r#"{{"source":"s","detail":{DETAIL},"detail-type":"t"}}"#),
            format!(r#"{{"source":"s","detail-type":"t","detail":{DETAIL},"x":1}}"#),
            format!(r#"{{"source":"s","detail-type":"t","detail":{DETAIL},"detail":{DETAIL}}}"#),
            format!(r#"{{"source":"s","source":"s","detail-type":"t","detail":{DETAIL}}}"#),
            format!(r#"{{"source":"s","detail-type":"t","d\u0065tail":{DETAIL}}}"#),
            format!(r#"{{"source":"s","detail-type":"t","detail":{DETAIL}}} x"#),
            format!(r#"{{"source":"s","detail-type":"t","detail":{DETAIL}"#),
            format!(r#"{{"source":"s","detail-type":"t","detail":[{DETAIL}]}}"#),
            format!(r#"{{"source":"s","detail-type":"sealift.bundle","detail":[{DETAIL}]}}"#),
            format!(r#"{{"source":"sealift.control","detail-type":"t","detail":{DETAIL}}}"#),
            format!(r#"{{"source":7,"detail-type":"t","detail":{DETAIL}}}"#),
            r#"{"source":"s","detail-type":"t","detail":{"id":"\ud800","org_id":"a","created":"2026-05-12T23:48:21Z"}}"#.to_owned(),
            r#"{"source":"s","detail-type":"t","detail":null}"#.to_owned(),
            r#"{"source":"s","detail-type":"t"}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(!is_quick(&body), "{body}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just(r#""source":"s","#.to_owned()),
                    Just(r#""detail-type":"t","#.to_owned()),
                    Just(r#""detail-type":"sealift.bundle","#.to_owned()),
                    Just(format!(r#""detail":{{"events":[{DETAIL},{{}}]}}"#)),
                    Just(format!(r#""detail":{DETAIL},"#)),
                    Just(format!(r#""detail" : {DETAIL} "#)),
                    Just(r#""detail":{"id":"2","org_id":"b","created":"2026-05-12T23:48:21Z"}"#.to_owned()),
                    Just(r#""detail":{"id":"2","id":"2"}"#.to_owned()),
                    Just(r#""x":{"detail":1,"source":[]},"#.to_owned()),
                    Just("}".to_owned()), Just(" ".to_owned()), Just("\n".to_owned()), Just(",".to_owned()),
                ],
                0..7,
            ),
        ) {
            is_quick(&format!("{{{}}}", pieces.concat()));
        }

        #[test]
        fn both_ways_read_the_same_after_any_damage(position: proptest::sample::Index, with in "[\\PC\"\\\\{}\\[\\]:, \n]{0,2}") {
            let mut body = format!(r#"{{"detail-type":"t","source":"s","detail":{DETAIL}}}"#);
            let at = position.index(body.len());
            body.replace_range(at..=at, &with);
            is_quick(&body);
        }
    }
}

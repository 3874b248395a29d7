//! From an entry of the audit log to an event on the bus, or to a parked one.
//!
//! The event is the entry's own text. Whether the audit log's writer will find the id, the
//! organization and the time in it is tried here, with the writer's own code.

use std::borrow::Cow;

use sealift_core::event::{BUNDLE, Event, Reading, Rejected, Shapes, Unusable, read};
use sealift_core::id::OrgId;
use sealift_core::parked::Parked;
use sealift_core::ports::BusEntry;
use sealift_core::relay::cursor::Gap;
use sealift_core::relay::{AuditEntry, Unusable as Unread};
use serde::Serialize;
use serde_json::value::RawValue;

/// The source of relayed events.
pub const SOURCE: &str = "sealift.relay";

/// Who has parked an event, where an audit writer names the message.
const PARKED_BY: &str = "audit-relay";

/// The longest detail-type that the bus takes, in characters.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
const TYPE_CHARACTERS: usize = 128;

/// What the bus and the queue behind it take of one event, in bytes: 1 MiB for all of the message, whose
/// envelope is written around the event on the way.
///
/// Sources: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub(crate) const ENTRY_BYTES: usize = 1024 * 1024 - ENVELOPE_BYTES;

/// Ample room for what stands around an event: ids, times, names.
const ENVELOPE_BYTES: usize = 4096;

/// A message as the bus writes it, as far as Sealift reads it.
#[derive(Serialize)]
struct Message<'a, T> {
    source: &'a str,
    #[serde(rename = "detail-type")]
    detail_type: &'a str,
    detail: T,
}

impl<'a, T: Serialize> Message<'a, T> {
    fn write(detail_type: &'a str, detail: T) -> String {
        let message = Message {
            source: SOURCE,
            detail_type,
            detail,
        };
        // Strings and values that were read: there is nothing in it that could fail.
        serde_json::to_string(&message).unwrap_or_default()
    }
}

/// Parks entries of one organization, or makes events of them.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) organization: &'a OrgId,
    pub(crate) now_ms: i64,
}

impl Desk<'_> {
    /// The event of an entry; or the entry parked, which is no error.
    pub(crate) fn event(&self, entry: &AuditEntry) -> Result<BusEntry, Box<Parked>> {
        let kind = entry.event_type.as_str();
        if kind == BUNDLE || kind.chars().count() > TYPE_CHARACTERS {
            let body = Message::write(BUNDLE, bundle(&entry.text));
            let message = format!(
                "the type {kind:.40?} cannot be an event's detail-type; it may have {TYPE_CHARACTERS} characters"
            );
            return Err(self.park("bad_type", message, &body));
        }
        let detail = findable(entry);
        let Some(raw) = raw(&detail) else {
            return Err(self.unread(&Unread {
                text: entry.text.clone(),
                reason: "it is not JSON".to_owned(),
            }));
        };
        let message = Message::write(kind, raw);
        match only(&message) {
            Err(rejected) => return Err(self.rejected(&rejected)),
            Ok(event) if !self.is_ours(&event) => {
                let said = format!(
                    "it names the organization {} and stands in the audit log of {}; a redrive \
                     would bring it into the former's log",
                    event.organization, self.organization
                );
                return Err(self.park("other_organization", said, &message));
            }
            Ok(_) => {}
        }
        let size = SOURCE.len() + kind.len() + detail.len();
        if size > ENTRY_BYTES {
            let said = format!(
                "it has {size} bytes, and the bus takes {ENTRY_BYTES}; `sealift redrive` brings it \
                 into the log"
            );
            return Err(self.park("too_large", said, &message));
        }
        Ok(BusEntry {
            source: SOURCE.to_owned(),
            detail_type: kind.to_owned(),
            detail: detail.into_owned(),
        })
    }

    /// An event that the bus will not take.
    pub(crate) fn refused(&self, event: &BusEntry, said: String) -> Box<Parked> {
        let body = match raw(&event.detail) {
            Some(raw) => Message::write(&event.detail_type, raw),
            None => event.detail.clone(),
        };
        self.park("refused_by_bus", said, &body)
    }

    /// What could not be read as an entry, parked so that it can be told why.
    pub(crate) fn unread(&self, unread: &Unread) -> Box<Parked> {
        let Some(row) = raw(&unread.text) else {
            return self.park("not_json", unread.reason.as_str(), &unread.text);
        };
        // In a bundle an event must say its type itself: the message names none.
        let body = Message::write(BUNDLE, bundle(row.get()));
        match only(&body) {
            Err(rejected) => self.rejected(&rejected),
            Ok(_) => self.park("unusable", unread.reason.as_str(), &body),
        }
    }

    /// A note in the place of entries that cannot be read. The writer can do nothing with it, so
    /// it stays where it is.
    pub(crate) fn gap(&self, gap: Gap, why: &str) -> Box<Parked> {
        #[derive(Serialize)]
        struct Stretch<'a> {
            org_id: &'a str,
            created_from: String,
            created_until: String,
        }
        let stretch = Stretch {
            org_id: self.organization.as_str(),
            created_from: gap.from.to_string(),
            created_until: gap.until.to_string(),
        };
        let said = format!(
            "entries from {} until {} could not be read: {why}; ask the API for them by hand",
            gap.from, gap.until
        );
        self.park("unreadable", said, &Message::write("relay.gap", stretch))
    }

    fn is_ours(&self, event: &Event<'_>) -> bool {
        let (is, ours) = (event.organization.as_str(), self.organization.as_str());
        is.eq_ignore_ascii_case(ours)
    }

    fn rejected(&self, rejected: &Rejected) -> Box<Parked> {
        Box::new(Parked::of(rejected, PARKED_BY, self.now_ms))
    }

    fn park(&self, reason: &str, message: impl Into<String>, body: &str) -> Box<Parked> {
        Box::new(Parked::because(
            reason,
            message,
            body,
            PARKED_BY,
            self.now_ms,
        ))
    }
}

fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

fn bundle(text: &str) -> impl Serialize + '_ {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum One<'a> {
        Json(&'a RawValue),
        Text(&'a str),
    }
    #[derive(Serialize)]
    struct Events<'a> {
        events: [One<'a>; 1],
    }
    Events {
        events: [raw(text).map_or(One::Text(text), One::Json)],
    }
}

/// What the writer will read in a message of one event.
fn only(message: &str) -> Result<Event<'_>, Rejected> {
    let shapes = Shapes::default();
    let reading = read(message, &shapes);
    let first = match reading {
        Reading::Events(events) => events.into_iter().next(),
        Reading::Control => None,
    };
    first.unwrap_or_else(|| {
        Err(Rejected {
            reason: Unusable::NotAnEnvelope("it holds no event".to_owned()),
            body: message.to_owned(),
        })
    })
}

/// The entry's text, in which its id can be found. Where the platform names none, the one that it
/// was given is written behind the entry's own fields.
fn findable(entry: &AuditEntry) -> Cow<'_, str> {
    let text = entry.text.as_str();
    let asked = raw(text).map(|raw| Message::write(&entry.event_type, raw));
    let lacks_id = asked.is_some_and(|message| {
        let lack = only(&message).map_err(|rejected| rejected.reason);
        matches!(lack, Err(Unusable::Missing { field: "id", .. }))
    });
    if !lacks_id {
        return Cow::Borrowed(text);
    }
    let Some(open) = text.trim_end().strip_suffix('}') else {
        return Cow::Borrowed(text);
    };
    let comma = if open.trim_end().ends_with('{') {
        ""
    } else {
        ","
    };
    // A string cannot fail to be written.
    let id = serde_json::to_string(&entry.id).unwrap_or_default();
    Cow::Owned([open, comma, r#""id":"#, &id, "}"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"created":"2026-05-12T23:48:21.627Z","org_id":"org-1","n":1.000000000000000000001,"event_type":"project.created","id":"e-1","u":"\ud83d\ude00 ü"}"#;

    fn entry(text: &str) -> AuditEntry {
        AuditEntry {
            id: "e-1".to_owned(),
            created: "2026-05-12T23:48:21.627Z".parse().unwrap(),
            event_type: "project.created".to_owned(),
            text: text.to_owned(),
        }
    }

    fn on<T>(ask: impl FnOnce(Desk<'_>) -> T) -> T {
        let organization = OrgId::parse("org-1").unwrap();
        ask(Desk {
            organization: &organization,
            now_ms: 7,
        })
    }

    fn event(entry: &AuditEntry) -> Result<BusEntry, Box<Parked>> {
        on(|desk| desk.event(entry))
    }

    #[test]
    fn an_event_is_the_entry_byte_for_byte() {
        let event = event(&entry(TEXT)).unwrap();
        assert_eq!(event.detail, TEXT);
        assert_eq!(
            (event.source.as_str(), event.detail_type.as_str()),
            (SOURCE, "project.created")
        );
    }

    #[test]
    fn an_id_that_the_platform_does_not_name_is_written_behind_the_rest() {
        for lack in [
            TEXT.replace(r#","id":"e-1""#, ""),
            TEXT.replace(r#""e-1""#, "null"),
        ] {
            let event = event(&entry(&lack)).unwrap();
            let own = lack.strip_suffix('}').unwrap();
            assert_eq!(event.detail, format!(r#"{own},"id":"e-1"}}"#));
            let message = Message::write("project.created", raw(&event.detail).unwrap());
            let read = only(&message).unwrap();
            assert_eq!(
                (read.id.as_ref(), read.line.as_ref()),
                ("e-1", event.detail.as_str())
            );
        }
    }

    #[test]
    fn what_the_writer_could_not_use_is_parked_as_the_writer_would() {
        for (text, reason) in [
            (TEXT.replace(r#""org_id":"org-1","#, ""), "no_organization"),
            (
                TEXT.replace("2026-05-12T23:48:21.627Z", "yesterday"),
                "bad_time",
            ),
            (
                TEXT.replace(r#""org_id""#, r#""id":"e-2","org_id""#),
                "repeated_id",
            ),
            (TEXT.replace("org-1", "org-2"), "other_organization"),
            ("{}".to_owned(), "no_organization"),
            ("{".to_owned(), "not_json"),
            (r#"["e-1"]"#.to_owned(), "not_an_object"),
        ] {
            let parked = event(&entry(&text)).unwrap_err();
            assert_eq!(parked.reason, reason, "{text}");
            assert_eq!(
                (parked.parked_ms, parked.message_id.as_str()),
                (7, PARKED_BY)
            );
            assert!(!parked.message.is_empty());
        }
    }

    #[test]
    fn what_is_too_large_for_the_queue_is_parked_so_that_a_redrive_can_use_it() {
        let fits = ENTRY_BYTES - SOURCE.len() - "project.created".len() - TEXT.len();
        let padded = |by: usize| TEXT.replace("\"u\":\"", &format!("\"u\":\"{}", "x".repeat(by)));
        assert!(event(&entry(&padded(fits))).is_ok());
        let parked = event(&entry(&padded(fits + 1))).unwrap_err();
        assert_eq!(parked.reason, "too_large");
        let read = only(&parked.body).unwrap();
        assert_eq!(read.line, padded(fits + 1));
        assert_eq!(
            (read.id.as_ref(), read.event_type.as_ref()),
            ("e-1", "project.created")
        );
    }

    #[test]
    fn a_type_that_cannot_travel_is_parked() {
        for kind in [BUNDLE.to_owned(), "x".repeat(129)] {
            let odd = AuditEntry {
                event_type: kind,
                ..entry(TEXT)
            };
            let parked = event(&odd).unwrap_err();
            assert_eq!(parked.reason, "bad_type");
            assert_eq!(only(&parked.body).unwrap().line, TEXT);
        }
    }

    #[test]
    fn what_is_no_entry_keeps_what_it_says_and_is_given_no_type() {
        let unread = |text: &str| {
            let text = text.to_owned();
            let reason = "`event_type` is missing".to_owned();
            on(|desk| desk.unread(&Unread { text, reason }))
        };
        let no_type = TEXT.replace(r#""event_type":"project.created","#, "");
        for (text, reason) in [
            (no_type.as_str(), "no_type"),
            ("[1]", "not_an_object"),
            ("{\"id\"", "not_json"),
            (TEXT, "unusable"),
        ] {
            let parked = unread(text);
            assert_eq!(parked.reason, reason);
            assert!(parked.body.contains(text), "{}", parked.body);
        }
    }

    #[test]
    fn a_gap_leaves_a_note_that_no_redrive_takes_for_an_event() {
        let parked = on(|desk| {
            let gap = Gap {
                from: "2026-05-12T23:48:21.627Z".parse().unwrap(),
                until: "2026-05-12T23:48:21.627001Z".parse().unwrap(),
            };
            desk.gap(gap, "too large")
        });
        assert!(parked.message.contains("2026-05-12T23:48:21.627001Z"));
        assert!(only(&parked.body).is_err());
    }

    #[cfg(feature = "lambda")]
    #[test]
    fn what_fits_the_queue_fits_the_bus() {
        const { assert!(ENTRY_BYTES + ENVELOPE_BYTES <= sealift_aws::bus::ENTRY_BYTES) };
    }
}

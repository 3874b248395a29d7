//! What the functions of the exports tell each other over the bus, and what an operator tells
//! them: control events, whose source is [`CONTROL_SOURCE`].

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::event::CONTROL_SOURCE;
use crate::id::{AutomationId, InvalidId, XactId};
use crate::ports::BusEntry;

/// An automation is to run now. Sent by `export-dispatch`, or by hand (`sealift export run`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Which.
    pub automation_id: AutomationId,
    /// The requests that it may make of the API; without, as many as it has time for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// The name that they are granted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
}

/// A run is over. Sent by `interval-export` for `export-dispatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Which automation ran.
    pub automation_id: AutomationId,
    /// The run's own name.
    pub run: String,
    /// How it ended.
    pub outcome: FinishedAs,
    /// The name that its requests were granted under; none where it was started by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The generation of the cursor.
    #[serde(default)]
    pub generation: u32,
    /// Requests that it made of the API.
    pub requests: u64,
    /// Rows that it exported.
    pub rows: u64,
    /// Where the cursor stands.
    pub position: XactId,
    /// How long the API asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<i64>,
}

/// How a run ended, as far as the timetable is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishedAs {
    /// There is nothing more for the moment.
    Done,
    /// It has more to do, and moved its cursor.
    More,
    /// It failed on something that may pass by itself.
    Failed,
    /// It failed on something that somebody has to change.
    Refused,
    /// It did not run: the automation is paused or gone, or another run is at work.
    Skipped,
}

/// A control of one automation, by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Which.
    pub automation_id: AutomationId,
}

/// An automation's cursor is to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Which.
    pub automation_id: AutomationId,
    /// Where it starts: see [`Start`]. `now` is the time of the event, whenever it is handled.
    pub start: Start,
    /// The id of the event, by which a repetition is known.
    #[serde(skip)]
    pub event_id: Option<String>,
}

/// What a control event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `export.due`
    Due(Due),
    /// `export.finished`
    Finished(Finished),
    /// `export.reset`
    Reset(Reset),
    /// `export.pause`
    Pause(Control),
    /// `export.resume`
    Resume(Control),
    /// `export.test`
    Test(Control),
}

/// A control event that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// It is no envelope of the bus, or its detail is not what its type says.
    #[error("the event cannot be used: {0}")]
    Malformed(String),
    /// No function handles its type.
    #[error(
        "the detail-type {0:?} is none of export.due, export.finished, export.reset, export.pause, \
         export.resume and export.test"
    )]
    Unknown(String),
}

impl Message {
    /// Reads an event as the bus hands it over: `{"source": …, "detail-type": …, "detail": …}`.
    pub fn parse(envelope: &[u8]) -> Result<Self, BadMessage> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(default)]
            id: Option<String>,
            #[serde(default)]
            time: Option<String>,
            #[serde(rename = "detail-type")]
            detail_type: String,
            #[serde(borrow)]
            detail: &'a serde_json::value::RawValue,
        }
        let malformed = |error: serde_json::Error| BadMessage::Malformed(error.to_string());
        let envelope: Envelope<'_> = serde_json::from_slice(envelope).map_err(malformed)?;
        let detail = envelope.detail.get();
        match envelope.detail_type.as_str() {
            "export.due" => serde_json::from_str(detail).map(Self::Due),
            "export.finished" => serde_json::from_str(detail).map(Self::Finished),
            "export.reset" => serde_json::from_str(detail).map(|mut reset: Reset| {
                let time = envelope.time.and_then(|time| time.parse().ok());
                if let (Start::Now, Some(time)) = (reset.start, time) {
                    reset.start = Start::Behind(XactId::before(time));
                }
                reset.event_id = envelope.id;
                Self::Reset(reset)
            }),
            "export.pause" => serde_json::from_str(detail).map(Self::Pause),
            "export.resume" => serde_json::from_str(detail).map(Self::Resume),
            "export.test" => serde_json::from_str(detail).map(Self::Test),
            other => return Err(BadMessage::Unknown(other.to_owned())),
        }
        .map_err(malformed)
    }

    /// The event for the bus.
    pub fn entry(&self) -> BusEntry {
        let (detail_type, detail) = match self {
            Self::Due(detail) => ("export.due", json!(detail)),
            Self::Finished(detail) => ("export.finished", json!(detail)),
            Self::Reset(detail) => ("export.reset", json!(detail)),
            Self::Pause(detail) => ("export.pause", json!(detail)),
            Self::Resume(detail) => ("export.resume", json!(detail)),
            Self::Test(detail) => ("export.test", json!(detail)),
        };
        BusEntry {
            source: CONTROL_SOURCE.to_owned(),
            detail_type: detail_type.to_owned(),
            detail: detail.to_string(),
        }
    }

    /// The automation that it is about.
    pub fn automation(&self) -> &AutomationId {
        match self {
            Self::Due(Due { automation_id, .. })
            | Self::Finished(Finished { automation_id, .. })
            | Self::Reset(Reset { automation_id, .. })
            | Self::Pause(Control { automation_id })
            | Self::Resume(Control { automation_id })
            | Self::Test(Control { automation_id }) => automation_id,
        }
    }
}

/// Where an export starts, as people write it.
///
/// | text | starts |
/// |---|---|
/// | `0` | with the first row |
/// | `now` | with what comes from now on |
/// | `2025-11-21`, `2025-11-21T06:00:00Z` | with the transactions of that time, in UTC |
/// | `1000196176995155968` | behind that transaction |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    /// From now on.
    Now,
    /// Behind a transaction.
    Behind(XactId),
}

impl Start {
    /// The position, where it is `now` now. One that lies in the future is refused: nothing
    /// would be exported until then.
    pub fn position(self, now: jiff::Timestamp) -> Result<XactId, InvalidId> {
        // The clocks of this side and of the API may differ.
        let latest = now
            .saturating_add(jiff::SignedDuration::from_mins(10))
            .unwrap_or(now);
        match self {
            Self::Now => Ok(XactId::before(now)),
            Self::Behind(position) if position > XactId::before(latest) => Err(InvalidId::new(
                "start",
                &position.to_string(),
                "it lies in the future; `now` starts with what comes from now on",
            )),
            Self::Behind(position) => Ok(position),
        }
    }
}

impl std::str::FromStr for Start {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Ok(position) = XactId::parse(text) {
            // Everything after a smaller number is everything there is, which is not what
            // somebody means who writes a year, or seconds since 1970.
            if position > XactId::ZERO && position < XactId::before(jiff::Timestamp::UNIX_EPOCH) {
                let rule = "so small a number is no transaction id; write a date such as \
                            2025-11-21, or `0` for the first row";
                return Err(InvalidId::new("start", text, rule));
            }
            return Ok(Self::Behind(position));
        }
        let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let date: jiff::civil::Date = text.parse().ok()?;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        });
        time.map(|time| Self::Behind(XactId::before(time)))
            .ok_or_else(|| {
                let rule = "it must be `0`, `now`, a date or time such as 2025-11-21 or \
                            2025-11-21T06:00:00Z, or a transaction id";
                InvalidId::new("start", text, rule)
            })
    }
}

impl TryFrom<String> for Start {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Start> for String {
    fn from(start: Start) -> String {
        match start {
            Start::Now => "now".to_owned(),
            Start::Behind(position) => position.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_on_the_bus_is_read_from_it() {
        let automation_id = AutomationId::parse("a1").unwrap();
        let messages = [
            Message::Due(Due {
                automation_id: automation_id.clone(),
                requests: Some(4),
                grant: Some("g".to_owned()),
            }),
            Message::Finished(Finished {
                automation_id: automation_id.clone(),
                run: "r".to_owned(),
                outcome: FinishedAs::More,
                grant: Some("g".to_owned()),
                generation: 1,
                requests: 3,
                rows: 12,
                position: XactId::parse("1000196176995155968").unwrap(),
                retry_after_ms: None,
            }),
            Message::Reset(Reset {
                automation_id: automation_id.clone(),
                start: Start::Now,
                event_id: None,
            }),
            Message::Pause(Control {
                automation_id: automation_id.clone(),
            }),
        ];
        for message in messages {
            let entry = message.entry();
            let envelope = format!(
                r#"{{"source":"{}","detail-type":"{}","detail":{}}}"#,
                entry.source, entry.detail_type, entry.detail
            );
            assert_eq!(Message::parse(envelope.as_bytes()).unwrap(), message);
            assert_eq!(message.automation(), &automation_id);
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let error = |text: &str| Message::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error("no json").contains("expected"));
        assert!(error(r#"{"detail-type":"export.undo","detail":{}}"#).contains("export.undo"),);
        assert!(error(r#"{"detail-type":"export.due","detail":{}}"#).contains("automation_id"),);
        assert!(
            error(
                r#"{"detail-type":"export.reset","detail":{"automation_id":"a","start":"soon"}}"#
            )
            .contains("a date or time such as"),
        );
    }

    #[test]
    fn a_start_is_a_position() {
        let at = |text: &str| {
            let start: Start = text.parse().unwrap();
            start
                .position("2025-11-21T00:00:00Z".parse().unwrap())
                .unwrap()
        };
        assert_eq!(at("0"), XactId::ZERO);
        assert_eq!(at("now"), at("2025-11-21"));
        assert_eq!(at("2025-11-21T06:00:00+06:00"), at("2025-11-21"));
        assert_eq!(at("1000196176995155968").to_string(), "1000196176995155968");
        assert!(at("2025-11-21") < at("1000196176995155968"));
        for bad in ["", "-1", "yesterday", "2025-13-01", "2025", "1763683200"] {
            assert!(bad.parse::<Start>().is_err(), "{bad}");
        }
        let future: Start = "2999-01-01".parse().unwrap();
        let error = future
            .position("2025-11-21T00:00:00Z".parse().unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("in the future"), "{error}");
    }
}

//! What `sealift events put` reads: each event is looked at as the writer will, before any is sent.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use sealift_core::event::{CONTROL_SOURCE, Reading, Shapes, read};
use sealift_core::ports::BusEntry;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PutArgs;
use crate::demo::input::{Input, SOURCE, ShapeName};

/// The detail-type of events of which nothing is said.
const DETAIL_TYPE: &str = "audit.event";

/// An entry as `aws events put-events --entries` has it, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    source: String,
    detail_type: String,
    detail: String,
}

/// The file's events, all of which can be used.
pub(super) fn entries(args: &PutArgs) -> anyhow::Result<Vec<BusEntry>> {
    let name = match args.file == Path::new("-") {
        true => "standard input".to_owned(),
        false => args.file.display().to_string(),
    };
    let text = text(&args.file).with_context(|| format!("{name} cannot be read"))?;
    let entries = parse(&text, &Reader::new(args)?).with_context(|| format!("in {name}"))?;
    if entries.is_empty() {
        bail!("there is no event in {name}");
    }
    Ok(entries)
}

/// A file's text, plain or out of gzip.
fn text(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    match file == Path::new("-") {
        true => std::io::stdin().lock().read_to_end(&mut bytes)?,
        false => std::fs::File::open(file)?.read_to_end(&mut bytes)?,
    };
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
        return Ok(text);
    }
    String::from_utf8(bytes).context("it is not UTF-8")
}

fn parse(text: &str, reader: &Reader) -> anyhow::Result<Vec<BusEntry>> {
    let unusable = |place: String| move || format!("{place} cannot be used; nothing was sent");
    // A list begins with a bracket, a line of JSON Lines with a brace.
    if text.trim_start().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(text).context("it is no JSON array")?;
        let events = list.into_iter().zip(1..);
        return events
            .map(|(event, number)| {
                let entry = reader.entry(event.get());
                entry.with_context(unusable(format!("event {number}")))
            })
            .collect();
    }
    let lines = text.lines().zip(1..);
    lines
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            let entry = reader.entry(line.trim());
            entry.with_context(unusable(format!("line {number}")))
        })
        .collect()
}

/// Makes entries of events.
struct Reader {
    /// What stands on each; an entry that is read has its own.
    envelope: Option<(String, String)>,
    shapes: Shapes,
    /// The source by which the shapes are found.
    shaped: Option<&'static str>,
}

impl Reader {
    fn new(args: &PutArgs) -> anyhow::Result<Self> {
        if args.raw {
            return Ok(Self {
                envelope: None,
                shapes: Shapes::default(),
                shaped: None,
            });
        }
        let input = Input::new(None, &args.shape, None)?;
        let usual = match args.shape {
            ShapeName::Cloudtrail => input.detail_type(),
            ShapeName::Sealift | ShapeName::Pointers(_) => DETAIL_TYPE,
        };
        let detail_type = args.detail_type.as_deref().unwrap_or(usual);
        Ok(Self {
            envelope: Some((args.source.clone(), detail_type.to_owned())),
            shapes: Shapes::parse(&input.shapes)?,
            shaped: Some(SOURCE),
        })
    }

    fn entry(&self, text: &str) -> anyhow::Result<BusEntry> {
        let entry = if let Some((source, detail_type)) = &self.envelope {
            BusEntry {
                source: source.clone(),
                detail_type: detail_type.clone(),
                detail: text.to_owned(),
            }
        } else {
            let mut json = serde_json::Deserializer::from_str(text);
            let entry: Entry = serde_path_to_error::deserialize(&mut json)?;
            json.end()?;
            BusEntry {
                source: entry.source,
                detail_type: entry.detail_type,
                detail: entry.detail,
            }
        };
        self.look(&entry)?;
        Ok(entry)
    }

    /// Whether the writer will know what it is.
    fn look(&self, entry: &BusEntry) -> anyhow::Result<()> {
        if entry.source == CONTROL_SOURCE {
            bail!("{CONTROL_SOURCE} is the source of Sealift's own control events alone");
        }
        let envelope = Envelope {
            source: self.shaped.unwrap_or(&entry.source),
            detail_type: &entry.detail_type,
            detail: serde_json::from_str(&entry.detail).context("it is not JSON")?,
        };
        let envelope = serde_json::to_string(&envelope)?;
        let Reading::Events(events) = read(&envelope, &self.shapes) else {
            bail!("it is a control event");
        };
        if events.is_empty() {
            bail!("it holds no event");
        }
        for event in events {
            event.map_err(|rejected| rejected.reason)?;
        }
        Ok(())
    }
}

/// An entry as the writer gets it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    source: &'a str,
    detail_type: &'a str,
    detail: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_core::event::BUNDLE;
    use serde_json::json;

    const EVENT: &str =
        r#"{"id": "1", "created": "2026-05-12T23:48:21Z", "org_id": "acme", "event_type": "a.b"}"#;

    fn own() -> Reader {
        Reader {
            envelope: Some(("platform".to_owned(), DETAIL_TYPE.to_owned())),
            shapes: Shapes::default(),
            shaped: None,
        }
    }

    fn raw() -> Reader {
        Reader {
            envelope: None,
            ..own()
        }
    }

    fn refused(text: &str, reader: &Reader) -> String {
        format!("{:#}", parse(text, reader).unwrap_err())
    }

    #[test]
    fn lines_and_arrays_keep_each_events_text_as_it_is() {
        let lines = format!("\n{EVENT}\n\n  {EVENT}\r\n");
        let array = format!(" [{EVENT},\n{EVENT}]\n");
        for text in [lines, array] {
            let entries = parse(&text, &own()).unwrap();
            let details: Vec<&str> = entries.iter().map(|one| one.detail.as_str()).collect();
            assert_eq!(details, [EVENT, EVENT]);
            assert_eq!(entries[0].source, "platform");
            assert_eq!(entries[0].detail_type, "audit.event");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line_and_its_field() {
        let nameless = EVENT.replace("org_id", "org");
        for (line, wanted) in [
            (
                nameless.as_str(),
                "no organization: nothing stands at /org_id",
            ),
            (&EVENT.replace("23:48", "noon"), "time at /created"),
            (
                &EVENT.replace("\"1\"", "\"1\", \"id\": \"2\""),
                "more than once",
            ),
            ("7", "must be a JSON object"),
            (r#"{"id": "#, "not JSON"),
            // What would say something of the envelope says nothing.
            (r#"{}, "source": "sealift.control""#, "not JSON"),
        ] {
            let error = refused(&format!("{EVENT}\n\n{line}\n"), &own());
            assert!(
                error.starts_with("line 3 cannot be used; nothing was sent")
                    && error.contains(wanted),
                "{error}"
            );
        }
        let error = refused(&format!("[{EVENT}, {nameless}]"), &own());
        assert!(error.starts_with("event 2 cannot be used"), "{error}");
        assert!(refused("[{", &own()).contains("it is no JSON array"));
    }

    #[test]
    fn raw_entries_have_their_own_envelope_and_are_no_control_events() {
        let entry = |source: &str| {
            json!({"Source": source, "DetailType": "TOOL_CALL", "Detail": EVENT}).to_string()
        };
        let entries = parse(&entry("billing"), &raw()).unwrap();
        assert_eq!(entries[0].source, "billing");
        assert_eq!(entries[0].detail_type, "TOOL_CALL");
        assert_eq!(entries[0].detail, EVENT);
        for (line, wanted) in [
            (entry("sealift.control"), "control events"),
            (EVENT.to_owned(), "unknown field `id`"),
            (
                json!({"Source": "billing", "Detail": EVENT}).to_string(),
                "DetailType",
            ),
            (entry("billing").replace("org_id", "org"), "/org_id"),
        ] {
            let error = refused(&line, &raw());
            assert!(
                error.starts_with("line 1") && error.contains(wanted),
                "{error}"
            );
        }
    }

    #[test]
    fn a_bundle_is_taken_only_if_all_of_it_can_be_used() {
        let bundle = |second: &str| format!(r#"{{"events": [{EVENT}, {second}]}}"#);
        let reader = Reader {
            envelope: Some(("platform".to_owned(), BUNDLE.to_owned())),
            ..own()
        };
        assert_eq!(parse(&bundle(EVENT), &reader).unwrap().len(), 1);
        let error = refused(&bundle(&EVENT.replace("org_id", "org")), &reader);
        assert!(error.contains("/org_id"), "{error}");
    }
}

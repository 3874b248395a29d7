//! The demo's input: JSON Lines, plain or gzip, and where its events keep what is needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use sealift_core::event::{Reading, Shapes, read};
use serde_json::{Map, Value, json};

/// The committed excerpt of real audit records.
const EXCERPT: &[u8] = include_bytes!("../../../events/corpus/cloudtrail.jsonl.gz");

/// The source that the demo's events come from.
pub(crate) const SOURCE: &str = "sealift.demo";

/// A shape as it is given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShapeName {
    /// Sealift's own form.
    Sealift,
    /// CloudTrail records.
    Cloudtrail,
    /// Pointers, by the name of what they point to.
    Pointers(Vec<(String, String)>),
}

impl std::str::FromStr for ShapeName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, anyhow::Error> {
        match text {
            "sealift" => return Ok(Self::Sealift),
            "cloudtrail" => return Ok(Self::Cloudtrail),
            _ => {}
        }
        let pair = |part: &str| -> anyhow::Result<(String, String)> {
            let known = ["id", "organization", "time", "time_unit", "type"];
            match part.split_once('=') {
                Some((name, value)) if known.contains(&name) => {
                    Ok((name.to_owned(), value.to_owned()))
                }
                _ => bail!(
                    "{part:?} is no part of a shape; write `sealift`, `cloudtrail`, or pointers such as \
                     `id=/uuid,organization=/tenant/id,time=/ts,time_unit=milliseconds,type=/kind`"
                ),
            }
        };
        Ok(Self::Pointers(
            text.split(',').map(pair).collect::<Result<_, _>>()?,
        ))
    }
}

/// What the demo reads.
#[derive(Debug)]
pub(crate) struct Input {
    /// The file; the excerpt if there is none.
    pub(crate) file: Option<PathBuf>,
    /// The shapes, as the writer's variable has them.
    pub(crate) shapes: String,
    detail_type: &'static str,
    parsed: Shapes,
}

impl Input {
    /// The input of a file in a shape, with a pointer to the organization in place of the shape's.
    pub(crate) fn new(
        file: Option<PathBuf>,
        shape: &ShapeName,
        org: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut written = Map::new();
        written.insert("source".to_owned(), json!(SOURCE));
        let mut detail_type = "demo.event";
        match shape {
            ShapeName::Sealift => {}
            ShapeName::Cloudtrail => {
                detail_type = "AWS API Call via CloudTrail";
                written.insert("base".to_owned(), json!("cloudtrail"));
            }
            ShapeName::Pointers(pointers) => {
                written.extend(
                    pointers
                        .iter()
                        .map(|(name, value)| (name.clone(), json!(value))),
                );
            }
        }
        if let Some(pointer) = org {
            written.insert("organization".to_owned(), json!(pointer));
        }
        let shapes = Value::from(vec![Value::Object(written)]).to_string();
        let parsed = Shapes::parse(&shapes)?;
        Ok(Self {
            file,
            shapes,
            detail_type,
            parsed,
        })
    }

    /// The excerpt, with its event sources as tenants.
    pub(crate) fn excerpt() -> anyhow::Result<Self> {
        Self::new(None, &ShapeName::Cloudtrail, Some("/eventSource"))
    }

    /// What it is, for people.
    pub(crate) fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "318 real CloudTrail records, part of the program".to_owned(),
        }
    }

    /// The detail-type of its events on the bus.
    pub(crate) fn detail_type(&self) -> &'static str {
        self.detail_type
    }

    /// Its lines, without empty ones.
    pub(crate) fn lines(&self) -> anyhow::Result<Lines> {
        match &self.file {
            Some(file) => open_lines(file),
            None => lines_of(Box::new(EXCERPT), self.name()),
        }
    }

    /// What Sealift will see in a line: the organization, id and type, or why it cannot be used.
    pub(crate) fn look(&self, line: &str) -> Result<Seen, String> {
        let detail_type = self.detail_type;
        let envelope =
            format!(r#"{{"source":"{SOURCE}","detail-type":"{detail_type}","detail":{line}}}"#);
        match read(&envelope, &self.parsed) {
            Reading::Control => Err("it is a control event".to_owned()),
            Reading::Events(events) => match events.into_iter().next() {
                Some(Ok(event)) => Ok(Seen {
                    organization: event.organization.to_string(),
                    hour: event.hour.to_string(),
                    line: event.line.into_owned(),
                }),
                Some(Err(rejected)) => Err(rejected.reason.to_string()),
                None => Err("it holds no event".to_owned()),
            },
        }
    }
}

/// What Sealift sees in a line.
pub(crate) struct Seen {
    /// Whose event it is.
    pub(crate) organization: String,
    /// The hour of the event.
    pub(crate) hour: String,
    /// The line that must be delivered.
    pub(crate) line: String,
}

/// The lines of a file, without empty ones.
pub(crate) type Lines = Box<dyn Iterator<Item = anyhow::Result<String>>>;

/// The lines of a file, plain or gzip, without empty ones.
pub(crate) fn open_lines(file: &Path) -> anyhow::Result<Lines> {
    let name = file.display().to_string();
    let reader = File::open(file).with_context(|| format!("cannot open {name}"))?;
    lines_of(Box::new(reader), name)
}

/// The lines of what is read, plain or gzip, without empty ones.
pub(crate) fn lines_of(reader: Box<dyn Read>, name: String) -> anyhow::Result<Lines> {
    let mut reader = BufReader::new(reader);
    let gzip = reader
        .fill_buf()
        .with_context(|| name.clone())?
        .starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn BufRead> = if gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    };
    let lines = reader.lines().enumerate().map(move |(number, line)| {
        line.with_context(|| format!("line {} of {name} cannot be read", number + 1))
    });
    Ok(Box::new(lines.filter(|line| {
        line.as_ref().map_or(true, |line| !line.trim().is_empty())
    })))
}

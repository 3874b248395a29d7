//! Many destinations at once, from a file.
//!
//! Each is asked for first and created if it is not there, so that an import that was cut off, or whose bad
//! lines were mended, can be run again.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use sealift_core::control::DEFAULT_PREFIX;
use sealift_core::id::{DestinationId, KeyPrefix, OrgId};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::path;
use super::wire::Destination;
use crate::target::{Answer, Api, ApiError, TargetArgs};

/// Create destinations from a file.
///
/// FILE has one JSON object a line, or an array of them: the body of `POST …/destinations` each, and with it
/// the `organization`. Every one needs an `id`, so that the import can be run again: what is there already
/// and is as it is asked for is left as it is, and what is there and differs is reported and not changed. A
/// line that cannot be used does not stop the others. Fails if any failed.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The organization of those that name none
    #[arg(long)]
    org: Option<OrgId>,

    /// Print a JSON object a line: the API's answer, or its error, for each
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    target: TargetArgs,
}

/// One of the file's.
struct Entry<'a> {
    /// `line 3`, or `item 3` of an array.
    place: String,
    text: &'a str,
}

/// What is asked for.
struct Asked {
    organization: OrgId,
    id: DestinationId,
    body: Map<String, Value>,
}

/// Why one was not imported.
enum Failed {
    /// It cannot be asked for.
    Unusable(Unusable),
    /// It is there and differs.
    Differs(Vec<&'static str>),
    /// The API did not take it.
    Refused(ApiError),
}

#[derive(Clone)]
struct Unusable {
    field: Option<&'static str>,
    why: String,
}

/// What became of one.
enum Outcome {
    Created,
    Unchanged,
}

/// How many of each.
#[derive(Default)]
struct Tally {
    created: usize,
    unchanged: usize,
    failed: usize,
}

/// Imports all, one after the other.
pub(super) async fn run(args: &ImportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let text = read(&args.file)?;
    let entries = entries(&text)?;
    let api = args.target.api().await?;
    let mut tally = Tally::default();
    for entry in &entries {
        let asked = parse(entry.text, args.org.as_ref());
        let done = match &asked {
            Err(unusable) => Err(Failed::Unusable(unusable.clone())),
            Ok(asked) => match import(&api, asked).await {
                Ok(done) => done,
                Err(error) => {
                    let place = &entry.place;
                    return Err(error.context(format!(
                        "stopped at {place}, with {tally} before it; run it again to go on"
                    )));
                }
            },
        };
        match &done {
            Ok((Outcome::Created, _)) => tally.created += 1,
            Ok((Outcome::Unchanged, _)) => tally.unchanged += 1,
            Err(_) => tally.failed += 1,
        }
        match args.json {
            true => tell_json(entry, asked.as_ref().ok(), &done, out)?,
            false => tell(entry, asked.as_ref().ok(), &done, out)?,
        }
        // Each takes a moment, and whoever waits wants to see it.
        out.flush()?;
    }
    if !args.json {
        writeln!(out, "\n{tally}")?;
    }
    match tally.failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} could not be imported", entries.len()),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn entries(text: &str) -> anyhow::Result<Vec<Entry<'_>>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> =
            serde_json::from_str(text).context("the array of destinations is no JSON")?;
        let numbered = items.into_iter().enumerate();
        return Ok(numbered
            .map(|(number, item)| Entry {
                place: format!("item {}", number + 1),
                text: item.get(),
            })
            .collect());
    }
    let lines = text.lines().enumerate();
    Ok(lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, text)| Entry {
            place: format!("line {}", number + 1),
            text,
        })
        .collect())
}

fn unusable<T>(
    field: impl Into<Option<&'static str>>,
    why: impl Into<String>,
) -> Result<T, Unusable> {
    Err(Unusable {
        field: field.into(),
        why: why.into(),
    })
}

/// What is asked for, without the values of a line in any error: they may be access keys.
fn parse(text: &str, otherwise: Option<&OrgId>) -> Result<Asked, Unusable> {
    let mut body: Map<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return unusable(None, "it must be a JSON object"),
        Err(error) => return unusable(None, format!("it is no JSON: {error}")),
    };
    let organization = match (body.remove("organization"), otherwise) {
        (Some(Value::String(text)), _) => {
            OrgId::parse(text).or_else(|error| unusable("organization", error.to_string()))?
        }
        (Some(_), _) => return unusable("organization", "it must be a text"),
        (None, Some(org)) => org.clone(),
        (None, None) => {
            return unusable(
                "organization",
                "it is missing; give it here, or --org for all",
            );
        }
    };
    let id = match body.get("id") {
        Some(Value::String(text)) => {
            DestinationId::parse(text).or_else(|error| unusable("id", error.to_string()))?
        }
        Some(_) => return unusable("id", "it must be a text"),
        None => return unusable("id", "it is missing; with one, the import can be run again"),
    };
    Ok(Asked {
        organization,
        id,
        body,
    })
}

/// Asks for it, and creates it if it is not there. Fails outright where there is no use in asking for
/// the others.
async fn import(api: &Api, asked: &Asked) -> anyhow::Result<Result<(Outcome, Answer), Failed>> {
    let organization = asked.organization.as_str();
    let there = path(organization, &[asked.id.as_str()]);
    match api.get(&there, &[]).await {
        Ok(answer) => {
            let differing = differing(&asked.body, &answer.read()?);
            return Ok(match differing.is_empty() {
                true => Ok((Outcome::Unchanged, answer)),
                false => Err(Failed::Differs(differing)),
            });
        }
        Err(error) => match refused(error)? {
            error if error.status == 404 => {}
            error => return Ok(Err(Failed::Refused(error))),
        },
    }
    let body = Value::Object(asked.body.clone());
    match api.post(&path(organization, &[]), &body).await {
        Ok(answer) => Ok(Ok((Outcome::Created, answer))),
        Err(error) => Ok(Err(Failed::Refused(refused(error)?))),
    }
}

/// What the API refused of one; whatever would befall the others as well is an error of the whole.
fn refused(error: anyhow::Error) -> anyhow::Result<ApiError> {
    let error = error.downcast::<ApiError>()?;
    match error.status {
        401 => Err(error.into()),
        _ => Ok(error),
    }
}

/// The fields in which what is there is not as it is asked for. Whether access keys are the same cannot be
/// seen.
fn differing(asked: &Map<String, Value>, there: &Destination) -> Vec<&'static str> {
    let text = |field: &str| asked.get(field).and_then(Value::as_str);
    let prefix = text("prefix").unwrap_or(DEFAULT_PREFIX);
    let prefix = KeyPrefix::normalize(prefix).map(|prefix| prefix.as_str().to_owned());
    let way = |field: &str| {
        let way = asked.get("authentication")?;
        way.get(field)?.as_str()
    };
    let events: Vec<&str> = match asked.get("included_events") {
        Some(Value::Array(terms)) => terms.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let checksum = asked.get("checksum").and_then(Value::as_bool);
    let path_style = asked.get("path_style").and_then(Value::as_bool);
    let is = &there.authentication;
    [
        ("endpoint", text("endpoint") == there.endpoint.as_deref()),
        ("bucket", text("bucket") == Some(&there.bucket)),
        ("region", text("region") == Some(&there.region)),
        ("prefix", prefix.is_ok_and(|prefix| prefix == there.prefix)),
        // The check finds both out where they are not given.
        (
            "path_style",
            path_style.is_none_or(|path_style| path_style == there.path_style),
        ),
        ("authentication.type", way("type") == Some(&is.kind)),
        (
            "authentication.role_arn",
            way("role_arn") == is.role_arn.as_deref(),
        ),
        (
            "authentication.bucket_owner",
            way("bucket_owner") == is.bucket_owner.as_deref(),
        ),
        ("included_events", events == there.included_events),
        (
            "kms_key_arn",
            text("kms_key_arn") == there.kms_key_arn.as_deref(),
        ),
        (
            "storage_class",
            text("storage_class") == there.storage_class.as_deref(),
        ),
        ("checksum", checksum.is_none() || checksum == there.checksum),
    ]
    .into_iter()
    .filter_map(|(field, same)| (!same).then_some(field))
    .collect()
}

type Done = Result<(Outcome, Answer), Failed>;

fn tell(
    entry: &Entry<'_>,
    asked: Option<&Asked>,
    done: &Done,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let name = match asked {
        Some(Asked {
            organization, id, ..
        }) => format!("{id} of {organization} "),
        None => String::new(),
    };
    let place = &entry.place;
    match done {
        Ok((outcome, answer)) => {
            let there: Destination = answer.read()?;
            let word = outcome.word();
            let external_id = &there.external_id;
            writeln!(out, "{place}: {name}{word}, ExternalId {external_id}")?;
        }
        Err(failed) => writeln!(out, "{place}: {name}FAILED: {failed}")?,
    }
    Ok(())
}

fn tell_json(
    entry: &Entry<'_>,
    asked: Option<&Asked>,
    done: &Done,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut line = json!({
        "place": entry.place,
        "organization": asked.map(|asked| asked.organization.as_str()),
        "id": asked.map(|asked| asked.id.as_str()),
    });
    let (result, field, value) = match done {
        Ok((outcome, answer)) => (outcome.word(), "destination", answer.read()?),
        Err(failed) => ("failed", "error", failed.json()),
    };
    if let Some(line) = line.as_object_mut() {
        line.insert("result".to_owned(), json!(result));
        line.insert(field.to_owned(), value);
    }
    writeln!(out, "{line}")?;
    Ok(())
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Failed {
    fn json(&self) -> Value {
        match self {
            Self::Unusable(Unusable { field, why }) => {
                json!({"code": "unusable", "field": field, "message": why})
            }
            Self::Differs(fields) => {
                json!({"code": "differs", "fields": fields, "message": self.to_string()})
            }
            Self::Refused(error) => json!({
                "code": error.code,
                "field": error.field,
                "message": error.message,
                "request_id": error.request_id,
            }),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(Unusable { field: None, why }) => f.write_str(why),
            Self::Unusable(Unusable {
                field: Some(field),
                why,
            }) => write!(f, "field {field}: {why}"),
            Self::Differs(fields) => write!(
                f,
                "it is there already, with another {}; nothing was changed",
                fields.join(", another ")
            ),
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            unchanged,
            failed,
        } = self;
        write!(
            f,
            "{created} created, {unchanged} unchanged, {failed} failed"
        )
    }
}

#[cfg(test)]
mod tests;

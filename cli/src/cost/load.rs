//! The load: events of about 1 KB at a steady rate, which go round among the tenants.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use sealift_aws::OsEntropy;
use sealift_core::id::OrgId;
use sealift_core::ports::Entropy;
use sealift_embedded::bus::{Entry, MAX_REQUEST_BYTES, MAX_REQUEST_ENTRIES, Timeline};
use serde::Serialize;
use serde_json::value::RawValue;

use super::meter::Meter;
use super::usage::real;
use crate::stack::Stack;

/// Real CloudTrail records, what events are filled with.
const RECORDS: &[u8] = include_bytes!("../../../events/corpus/cloudtrail.jsonl.gz");

/// The longest record that is used, in bytes. Those up to here have 916 on average, which makes
/// events of about 1 KB.
const RECORD_BYTES: usize = 1000;

/// The detail-type of an entry that carries many events.
const BUNDLE: &str = "sealift.bundle";

/// How far apart entries are put.
const STEP: Duration = Duration::from_millis(250);

/// What comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Events a second.
    pub(super) rate: u32,
    /// Events in an entry.
    pub(super) bundle: u32,
}

/// What came in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fed {
    pub(super) events: u64,
    /// Of the events alone.
    pub(super) bytes: u64,
}

/// Makes the events, each once.
pub(super) struct Events {
    records: Vec<Box<RawValue>>,
    organizations: Vec<OrgId>,
    made: usize,
    /// Keeps ids of one run apart from those of another.
    run: String,
}

/// An event in Sealift's own form.
#[derive(Serialize)]
struct Detail<'a> {
    id: String,
    created: String,
    org_id: &'a OrgId,
    event_type: &'a str,
    event_details: &'a RawValue,
}

impl Events {
    /// Events that go round among the organizations.
    pub(super) fn of(organizations: Vec<OrgId>) -> anyhow::Result<Self> {
        let mut records = Vec::new();
        for line in lines(RECORDS)? {
            let line = line?;
            if line.len() <= RECORD_BYTES {
                records.push(serde_json::from_str(&line)?);
            }
        }
        Ok(Self {
            records,
            organizations,
            made: 0,
            run: OsEntropy.nonce(),
        })
    }

    fn next(&mut self, created: &str) -> anyhow::Result<String> {
        let number = self.made;
        self.made += 1;
        let turn = |length: usize| number % length.max(1);
        let record = self.records.get(turn(self.records.len()));
        let organization = self.organizations.get(turn(self.organizations.len()));
        let event = Detail {
            id: format!("{}-{number:08}", self.run),
            created: created.to_owned(),
            org_id: organization.context("there are no tenants")?,
            event_type: "project.updated",
            event_details: record.context("there are no records")?,
        };
        Ok(serde_json::to_string(&event)?)
    }
}

/// Lines of a file, plain or gzip.
pub(super) fn lines<'a>(
    file: impl Read + 'a,
) -> anyhow::Result<Box<dyn Iterator<Item = std::io::Result<String>> + 'a>> {
    let mut file = BufReader::new(file);
    let gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(file)).lines())
    } else {
        Box::new(file.lines())
    })
}

/// Puts events on the bus for so long, on the stack's clock.
pub(super) async fn feed(
    stack: &Stack,
    meter: &Meter,
    events: &mut Events,
    load: Load,
    stretch: Duration,
) -> anyhow::Result<Fed> {
    let mut fed = Fed::default();
    let mut waiting: Vec<String> = Vec::new();
    let start = stack.now();
    let steps = stretch.as_millis().div_ceil(STEP.as_millis());
    for step in 1..=u32::try_from(steps)? {
        let due = start.checked_add(STEP * step)?.max(stack.now());
        stack.bus.run_until(due).await?;
        stack.clock.reach(due).await;
        let wanted = u64::from(load.rate) * u64::from(step) * 250 / 1000;
        let created = format!("{:.3}", stack.now());
        while fed.events < wanted {
            let event = events.next(&created)?;
            fed.events += 1;
            fed.bytes += event.len() as u64;
            waiting.push(event);
        }
        put(stack, meter, load.bundle, &mut waiting)?;
        meter.read_requests(stack);
    }
    Ok(fed)
}

/// Puts on the bus what makes whole entries, in requests as large as they may be.
fn put(stack: &Stack, meter: &Meter, bundle: u32, waiting: &mut Vec<String>) -> anyhow::Result<()> {
    let bundle = usize::try_from(bundle)?.max(1);
    let whole = waiting.len() - waiting.len() % bundle;
    let ready: Vec<String> = waiting.drain(..whole).collect();
    let mut request: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for some in ready.chunks(bundle) {
        let (kind, detail) = match some {
            [event] => ("project.updated", event.clone()),
            many => (BUNDLE, format!(r#"{{"events":[{}]}}"#, many.join(","))),
        };
        let entry = Entry {
            source: "platform.audit".to_owned(),
            detail_type: kind.to_owned(),
            detail,
            time: None,
            resources: Vec::new(),
        };
        meter.put_entry(entry.size());
        if request.len() == MAX_REQUEST_ENTRIES || bytes + entry.size() >= MAX_REQUEST_BYTES {
            send(stack, &mut request)?;
            bytes = 0;
        }
        bytes += entry.size();
        request.push(entry);
    }
    send(stack, &mut request)
}

fn send(stack: &Stack, request: &mut Vec<Entry>) -> anyhow::Result<()> {
    if request.is_empty() {
        return Ok(());
    }
    for result in stack.bus.put_events(&stack.bus_name, request)? {
        result?;
    }
    request.clear();
    Ok(())
}

/// Bytes of an event, on average.
pub(super) fn mean_bytes(fed: Fed) -> f64 {
    real(fed.bytes) / real(fed.events.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_about_a_kilobyte_and_go_round_among_tenants() {
        let organizations = ["a", "b"].map(|id| OrgId::parse(id).unwrap());
        let mut events = Events::of(organizations.into()).unwrap();
        let made: Vec<String> = (0..88)
            .map(|_| events.next("2026-05-12T23:48:21.627Z").unwrap())
            .collect();
        let mean = made.iter().map(String::len).sum::<usize>() / made.len();
        assert!((950..1150).contains(&mean), "{mean}");
        let ids: std::collections::BTreeSet<String> = made
            .iter()
            .map(|event| {
                let event: serde_json::Value = serde_json::from_str(event).unwrap();
                event["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 88);
        assert_eq!(
            made.iter()
                .filter(|e| e.contains(r#""org_id":"a""#))
                .count(),
            44
        );
    }
}

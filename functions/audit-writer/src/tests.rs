//! The logic, on a bucket in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use sealift_core::Timestamp;
use sealift_core::event::{BUNDLE, Shapes};
use sealift_core::gzip::Level;
use sealift_core::id::Sequence;
use sealift_core::log::{Log, sequence_of};
use sealift_testkit::scripted::{Call, Scripted, Turn, Verb};
use sealift_testkit::{MemoryStore, Script, SeededEntropy, VirtualClock};

use super::{Outcome, Writer};
use sealift_core::parked::{FORMAT, Parked};
use sealift_core::sqs::{Batch, Failure, Record, Response};

const OWN_FORM: &str = include_str!("../../../events/audit-writer.sealift.json");
const TOOL_CALL: &str = include_str!("../../../events/audit-writer.tool-call.json");
const BUNDLED: &str = include_str!("../../../events/audit-writer.bundle.json");
const UNUSABLE: &str = include_str!("../../../events/audit-writer.unusable.json");

struct World {
    clock: VirtualClock,
    script: Script,
    bucket: MemoryStore,
    writer: Writer<Scripted<MemoryStore>, VirtualClock, SeededEntropy>,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new("2026-05-13T00:00:05Z".parse::<Timestamp>().unwrap());
        let bucket = MemoryStore::new(clock.clone());
        let script = Script::default();
        Self {
            writer: Writer::new(
                script.on(bucket.clone()),
                clock.clone(),
                SeededEntropy::new(1),
                Shapes::default(),
                Level::DEFAULT,
            ),
            clock,
            script,
            bucket,
        }
    }

    fn handle(&self, batch: &Batch) -> Outcome {
        let outcome = self.script.run(&self.clock, self.writer.handle(batch));
        outcome.expect("nobody is killed here")
    }

    /// The lines of a segment, by `<organization> <hour>`.
    fn lines(&self, number: u64) -> BTreeMap<String, Vec<String>> {
        let log = Log::new(self.bucket.clone());
        let read = self.script.run(&self.clock, log.read(Sequence(number)));
        let segment = read.unwrap().unwrap().unwrap();
        let members = segment.members().map(|member| {
            let of = format!("{} {}", member.entry.organization, member.entry.hour);
            let text = String::from_utf8(member.decompress().unwrap()).unwrap();
            (of, text.lines().map(str::to_owned).collect())
        });
        members.collect()
    }

    fn segments(&self) -> usize {
        let keys = self.bucket.keys();
        keys.iter().filter_map(sequence_of).count()
    }

    /// The parked events, by the key that they lie at.
    fn parked(&self) -> BTreeMap<String, Vec<Parked>> {
        let keys = self.bucket.keys().into_iter();
        let parked = keys.filter(|key| key.as_str().starts_with("parked/"));
        let lines = parked.map(|key| {
            let bytes = self.bucket.get_now(&key).unwrap().bytes;
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            (key.to_string(), lines.collect())
        });
        lines.collect()
    }
}

fn batch(json: &str) -> Batch {
    serde_json::from_str(json).unwrap()
}

fn batch_of<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Batch {
    let record = |(number, body): (usize, &str)| Record {
        message_id: format!("m{number}"),
        body: body.to_owned(),
    };
    Batch {
        records: bodies.into_iter().enumerate().map(record).collect(),
    }
}

/// The messages that must come again.
fn again(outcome: &Outcome) -> Vec<&str> {
    let failures = outcome.response.failures.iter();
    failures
        .map(|failure| failure.message_id.as_str())
        .collect()
}

/// The text of a message's detail, found without reading it: it is the envelope's last field.
fn detail(record: &Record) -> &str {
    let (_, detail) = record.body.split_once("\"detail\":").unwrap();
    detail.trim().strip_suffix('}').unwrap().trim()
}

const GOOD: &str = r#"{"source":"s","detail-type":"a.b","detail":{"id":"1","org_id":"acme","created":"2026-05-12T23:48:21Z"}}"#;
const BAD: &str =
    r#"{"source":"s","detail-type":"a.b","detail":{"id":"2","created":"2026-05-12T23:48:21Z"}}"#;
const MIXED: &str = r#"{"source":"s","detail-type":"sealift.bundle","detail":{"events":[{"id":"3","org_id":"acme","created":"2026-05-12T23:48:21Z","event_type":"a.b"},{"id":"4"}]}}"#;
const CONTROL: &str = r#"{"source":"sealift.control","detail-type":"export.due","detail":{}}"#;

fn fails(verb: Verb, start: &'static str) -> impl FnMut(&Call) -> Turn {
    move |call| match call.is(verb, start) {
        true => Turn::Denied,
        false => Turn::Well,
    }
}

// ---- Into the log -----------------------------------------------------------------------

#[test]
fn a_batch_becomes_one_segment_with_every_line_as_it_came() {
    let world = World::new();
    let batch = batch(OWN_FORM);
    let outcome = world.handle(&batch);
    assert_eq!(outcome.response, Response::default());
    assert_eq!((outcome.events, outcome.parked, outcome.control), (3, 0, 0));
    assert_eq!(outcome.appended.unwrap().sequence, Sequence(1));
    assert_eq!((world.segments(), world.parked().len()), (1, 0));
    let came: Vec<&str> = batch.records.iter().map(detail).collect();
    let broken = came.iter().filter(|detail| detail.contains('\n')).count();
    assert!(broken > 0, "no event holds a line break");
    let mut expected: Vec<String> = came
        .iter()
        .map(|detail| detail.replace('\n', " "))
        .collect();
    let members = world.lines(1);
    assert_eq!(members.len(), 2);
    let mut lines: Vec<String> = members.into_values().flatten().collect();
    expected.sort();
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn numbers_that_no_double_can_hold_survive() {
    let world = World::new();
    world.handle(&batch(TOOL_CALL));
    let members = world.lines(1);
    let lines = &members["acme 2026-05-12T23"];
    assert!(lines[0].contains(r#""cost":1.10,"trace":12345678901234567890"#));
    assert_eq!(lines.len(), 2);
}

#[test]
fn the_events_of_a_bundle_go_each_to_its_own_organization() {
    let world = World::new();
    let batch = batch(BUNDLED);
    let outcome = world.handle(&batch);
    assert_eq!((outcome.events, outcome.parked), (4, 0));
    let members = world.lines(1);
    assert_eq!(members.len(), 3);
    for (of, lines) in &members {
        let (organization, _) = of.split_once(' ').unwrap();
        for line in lines {
            assert!(
                line.contains(&format!(r#""org_id":"{organization}""#)),
                "{of}: {line}"
            );
            assert!(
                batch.records[0].body.contains(line.as_str()),
                "{of}: {line}"
            );
        }
    }
    let lines = members.values().flatten();
    let events = detail(&batch.records[0]);
    let (_, events) = events.split_once('[').unwrap();
    let between = lines.clone().count() - 1;
    let bytes = lines.map(String::len).sum::<usize>() + between;
    assert_eq!(bytes, events.rsplit_once(']').unwrap().0.len());
}

#[test]
fn an_empty_batch_and_control_events_leave_nothing_behind() {
    let world = World::new();
    let outcome = world.handle(&batch(r#"{"Records":[]}"#));
    assert_eq!(outcome, Outcome::default());
    let outcome = world.handle(&batch_of([CONTROL, CONTROL]));
    assert_eq!((outcome.control, outcome.events), (2, 0));
    assert_eq!(
        (again(&outcome).len(), outcome.appended.is_none()),
        (0, true)
    );
    assert!(world.bucket.keys().is_empty());
    assert!(world.script.calls().is_empty());
}

#[test]
fn a_batch_whose_reply_was_lost_on_the_way_stands_once() {
    let world = World::new();
    world.script.first(Verb::Create, "log/", [Turn::LosesReply]);
    let outcome = world.handle(&batch_of([GOOD]));
    assert_eq!(again(&outcome), Vec::<&str>::new());
    assert_eq!(outcome.appended.unwrap().retries, 1);
    assert_eq!(world.segments(), 1);
}

// ---- Parking ----------------------------------------------------------------------------

#[test]
fn what_cannot_be_used_is_parked_alone_with_its_reason_and_the_others_go_on() {
    let world = World::new();
    let batch = batch(UNUSABLE);
    let outcome = world.handle(&batch);
    assert_eq!(outcome.response, Response::default());
    assert_eq!((outcome.events, outcome.parked), (9, 7));
    assert_eq!(world.lines(1).values().flatten().count(), 2);
    let parked = world.parked();
    assert_eq!(parked.len(), 1);
    let (key, parked) = parked.first_key_value().unwrap();
    assert!(key.starts_with("parked/date=2026-05-13/"), "{key}");
    let reasons: Vec<&str> = parked.iter().map(|p| p.reason.as_str()).collect();
    let expected = [
        "not_json",
        "no_id",
        "no_organization",
        "bad_time",
        "bad_organization",
        "no_id",
        "not_an_object",
    ];
    assert_eq!(reasons, expected);
    for parked in parked {
        assert_eq!(parked.format, FORMAT);
        assert_eq!(parked.parked_ms, world.clock.now().as_millisecond());
        let mut records = batch.records.iter();
        let record = records.find(|r| r.message_id == parked.message_id).unwrap();
        let whole = record.body == parked.body;
        assert_eq!(whole, !record.body.contains(BUNDLE), "{}", parked.body);
    }
}

#[test]
fn a_parked_event_that_is_sent_again_alone_is_the_same_event() {
    let world = World::new();
    world.handle(&batch_of([MIXED]));
    let parked = world.parked().into_values().flatten().next().unwrap();
    let elsewhere = World::new();
    elsewhere.handle(&batch_of([parked.body.as_str()]));
    let again = elsewhere.parked().into_values().flatten().next().unwrap();
    assert_eq!((&again.id, &again.body), (&parked.id, &parked.body));
    assert_eq!(elsewhere.segments(), 0);
}

#[test]
fn a_batch_that_comes_again_is_parked_once() {
    let world = World::new();
    world.handle(&batch_of([GOOD, BAD, MIXED]));
    let first = world.parked();
    world.clock.advance(Duration::from_mins(10));
    let outcome = world.handle(&batch_of([GOOD, BAD, MIXED]));
    assert_eq!((again(&outcome), outcome.parked), (vec![], 2));
    assert_eq!(world.parked(), first);
    // Delivery finds the doubled events by their ids.
    assert_eq!(world.segments(), 2);
}

#[test]
fn parking_whose_reply_was_lost_is_done_when_the_message_comes_again() {
    let world = World::new();
    world
        .script
        .first(Verb::Create, "parked/", [Turn::LosesReply]);
    assert_eq!(again(&world.handle(&batch_of([BAD]))), ["m0"]);
    let outcome = world.handle(&batch_of([BAD]));
    assert_eq!((again(&outcome), outcome.parked), (vec![], 1));
    assert_eq!(world.parked().len(), 1);
}

// ---- What comes again -------------------------------------------------------------------

#[test]
fn if_parking_fails_only_messages_with_unusable_events_come_again() {
    let world = World::new();
    world.script.set(fails(Verb::Create, "parked/"));
    let outcome = world.handle(&batch_of([GOOD, BAD, CONTROL, MIXED]));
    assert_eq!(again(&outcome), ["m1", "m3"]);
    assert_eq!((outcome.events, outcome.parked), (4, 0));
    assert_eq!(world.lines(1).values().flatten().count(), 2);
}

#[test]
fn if_the_append_fails_only_messages_with_usable_events_come_again() {
    let world = World::new();
    world.script.set(fails(Verb::Create, "log/"));
    let outcome = world.handle(&batch_of([GOOD, BAD, CONTROL, MIXED]));
    assert_eq!(again(&outcome), ["m0", "m3"]);
    assert_eq!((outcome.parked, outcome.appended), (2, None));
    assert_eq!((world.segments(), world.parked().len()), (0, 1));
}

#[test]
fn if_nothing_can_be_written_each_message_with_events_comes_again_once() {
    let world = World::new();
    world.script.set(fails(Verb::Create, ""));
    let outcome = world.handle(&batch_of([GOOD, BAD, CONTROL, MIXED]));
    assert_eq!(again(&outcome), ["m0", "m1", "m3"]);
    assert!(world.bucket.keys().is_empty());
}

#[test]
fn a_log_that_cannot_be_read_keeps_the_batch_in_the_queue() {
    let world = World::new();
    world.script.set(fails(Verb::Get, "head.json"));
    assert_eq!(again(&world.handle(&batch_of([GOOD]))), ["m0"]);
    world.script.calm();
    assert_eq!(again(&world.handle(&batch_of([GOOD]))), Vec::<&str>::new());
    assert_eq!(world.segments(), 1);
}

// ---- The wire ---------------------------------------------------------------------------

#[test]
fn the_response_is_what_lambda_documents() {
    let written = |response: &Response| serde_json::to_string(response).unwrap();
    assert_eq!(written(&Response::default()), r#"{"batchItemFailures":[]}"#);
    let failures = vec![Failure {
        message_id: "979cc75a-dfed-4360-b671-d1e9188b533e".to_owned(),
    }];
    assert_eq!(
        written(&Response { failures }),
        r#"{"batchItemFailures":[{"itemIdentifier":"979cc75a-dfed-4360-b671-d1e9188b533e"}]}"#
    );
}

#[test]
fn of_a_message_from_sqs_only_id_and_body_are_read() {
    // The other fields are there, and may be of any form.
    assert!(OWN_FORM.contains("\"eventSourceARN\"") && OWN_FORM.contains("\"attributes\""));
    let batch = batch(OWN_FORM);
    assert_eq!(batch.records.len(), 3);
    assert_eq!(
        batch.records[0].message_id,
        "979cc75a-dfed-4360-b671-d1e9188b533e"
    );
    assert!(batch.records[0].body.starts_with(r#"{"version":"0","#));
    let json = r#"{"Records":[{"messageId":"m","body":"b","attributes":7,"new":null}],"more":[]}"#;
    let record = serde_json::from_str::<Batch>(json)
        .unwrap()
        .records
        .remove(0);
    assert_eq!(
        (record.message_id.as_str(), record.body.as_str()),
        ("m", "b")
    );
    assert!(serde_json::from_str::<Batch>(r#"{"Records":[{"messageId":"m"}]}"#).is_err());
}

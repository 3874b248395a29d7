//! The bus as a whole, wired by the deployed template.

use std::collections::BTreeMap;
use std::time::Duration;

use sealift_core::ports::Clock;
use serde_json::json;

use super::*;
use crate::ObjectCreated;
use crate::template::{Deployment, Template};

/// Stands still: a run takes no time but the template's delays and windows.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        start()
    }

    async fn sleep(&self, _: Duration) {}
}

type TestBus = Bus<JumpingClock<Still>>;

/// What a recorder answers, call for call; the last one for all later calls.
type Answers = Vec<fn(&Value) -> Result<Value, String>>;

/// Keeps what it is called with, and when.
struct Recorder {
    clock: Arc<JumpingClock<Still>>,
    calls: Mutex<Vec<(i64, Value)>>,
    answers: Answers,
}

impl Recorder {
    /// Seconds after the start, and how many records came.
    fn batches(&self) -> Vec<(i64, usize)> {
        let size = |payload: &Value| payload["Records"].as_array().map_or(0, Vec::len);
        lock(&self.calls)
            .iter()
            .map(|(when, payload)| (*when, size(payload)))
            .collect()
    }

    fn payload(&self, call: usize) -> Value {
        lock(&self.calls)[call].1.clone()
    }
}

impl Handler for Recorder {
    fn invoke(&self, payload: Bytes) -> BoxFuture<'_, Result<Value, String>> {
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let mut calls = lock(&self.calls);
        let answer = self.answers[calls.len().min(self.answers.len() - 1)](&payload);
        calls.push(((self.clock.now() - start()).get_seconds(), payload));
        Box::pin(async move { answer })
    }
}

fn start() -> Timestamp {
    "2026-05-12T23:48:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + jiff::SignedDuration::from_secs(seconds)
}

fn deployed(answers: Answers) -> (TestBus, Arc<Recorder>, Arc<Recorder>) {
    let deployment = Deployment {
        stack: "sealift".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        parameters: BTreeMap::new(),
        names: BTreeMap::from([("LogBucket".to_owned(), "sealift-log".to_owned())]),
    };
    let template = Template::parse(include_str!("../../../../template.yaml")).unwrap();
    let clock = Arc::new(JumpingClock::starting_at(start(), Still));
    let bus = Bus::new(template.wiring(&deployment).unwrap(), Arc::clone(&clock));
    let recorder = |answers| {
        let clock = Arc::clone(&clock);
        let calls = Mutex::default();
        Arc::new(Recorder {
            clock,
            calls,
            answers,
        })
    };
    let (writer, delivery) = (recorder(answers), recorder(vec![succeed]));
    bus.register("AuditWriter", Arc::clone(&writer) as Arc<dyn Handler>);
    bus.register("AuditDelivery", Arc::clone(&delivery) as Arc<dyn Handler>);
    for other in [
        "DestinationCheck",
        "ExportDispatch",
        "IntervalExport",
        "ProjectFanout",
    ] {
        bus.register(other, recorder(vec![|_| Ok(Value::Null)]));
    }
    (bus, writer, delivery)
}

#[expect(clippy::unnecessary_wraps, reason = "one of several answers")]
fn succeed(_: &Value) -> Result<Value, String> {
    Ok(json!({"batchItemFailures": []}))
}

fn fail(_: &Value) -> Result<Value, String> {
    Err("out of memory".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "one of several answers")]
fn fail_on_the_second(payload: &Value) -> Result<Value, String> {
    let id = &payload["Records"][1]["messageId"];
    Ok(json!({"batchItemFailures": [{"itemIdentifier": id}]}))
}

#[expect(clippy::unnecessary_wraps, reason = "one of several answers")]
fn fail_on_a_stranger(_: &Value) -> Result<Value, String> {
    Ok(json!({"batchItemFailures": [{"itemIdentifier": "nobody"}]}))
}

fn entry(number: u64) -> Entry {
    Entry {
        source: "platform.audit".to_owned(),
        detail_type: "dataset.created".to_owned(),
        detail: format!("{{\"id\": \"{number}\", \"cost\":1.10}}"),
        time: None,
        resources: Vec::new(),
    }
}

fn put(bus: &TestBus, entries: &[Entry]) {
    for result in bus.put_events("sealift", entries).unwrap() {
        result.unwrap();
    }
}

#[tokio::test]
async fn events_reach_the_writer_as_one_batch_after_the_window() {
    let (bus, writer, _) = deployed(vec![succeed]);
    put(&bus, &[entry(1), entry(2)]);
    assert_eq!(bus.next_event_time(), Some(after(5)));
    assert_eq!(bus.run_until_idle(after(600)).await, Ok(Ended::Idle));
    assert_eq!(writer.batches(), [(5, 2)]);
    let statistics = bus.statistics();
    assert_eq!(statistics.events_put, 2);
    assert_eq!(statistics.matched["AuditRule"], 2);
    assert_eq!(statistics.functions["AuditWriter"].batches, [2]);
    assert_eq!(statistics.queues["AuditQueue"].deleted, 2);
}

#[tokio::test]
async fn the_writer_is_given_what_lambda_would_give_it() {
    let (bus, writer, _) = deployed(vec![succeed]);
    put(&bus, &[entry(1)]);
    bus.run_until_idle(after(600)).await.unwrap();
    let payload = writer.payload(0);
    let record = &payload["Records"][0];
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(
        record["eventSourceARN"],
        "arn:aws:sqs:us-east-1:123456789012:sealift-auditqueue"
    );
    assert_eq!(record["awsRegion"], "us-east-1");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(record["attributes"]["SentTimestamp"], "1778629680000");
    assert_eq!(
        record["attributes"]["ApproximateFirstReceiveTimestamp"],
        "1778629685000"
    );
    let body = record["body"].as_str().unwrap();
    assert!(
        body.ends_with(",\"detail\":{\"id\": \"1\", \"cost\":1.10}}"),
        "{body}"
    );
    let envelope: Value = serde_json::from_str(body).unwrap();
    assert_eq!(envelope["time"], "2026-05-12T23:48:00Z");
    assert_eq!(record["md5OfBody"].as_str().unwrap().len(), 32);
    // The very fields of the committed envelopes, in any order.
    let committed: Value =
        serde_json::from_str(include_str!("../../../../events/audit-writer.sealift.json")).unwrap();
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(record), names(&committed["Records"][0]));
    assert_eq!(
        names(&record["attributes"]),
        names(&committed["Records"][0]["attributes"])
    );
}

#[tokio::test]
async fn control_events_stay_out_of_the_audit_queue() {
    let (bus, writer, _) = deployed(vec![succeed]);
    let mut control = entry(1);
    control.source = "sealift.control".to_owned();
    put(&bus, &[control]);
    assert_eq!(bus.run_until_idle(after(600)).await, Ok(Ended::Idle));
    assert!(writer.batches().is_empty());
    assert_eq!(bus.statistics().events_put, 1);
}

#[tokio::test]
async fn a_segment_reaches_delivery_one_flush_interval_later() {
    let (bus, _, delivery) = deployed(vec![succeed]);
    for key in ["log/00000000000000000001", "parked/1"] {
        let object = ObjectCreated {
            bucket: "sealift-log".to_owned(),
            key: key.to_owned(),
            size: 100,
            etag: "b1946ac92492d2347c6235b4d2611184".to_owned(),
            sequencer: "617f08299329d189".to_owned(),
            time: start(),
        };
        bus.service_event(&object_created(&object)).unwrap();
    }
    assert_eq!(bus.run_until_idle(after(600)).await, Ok(Ended::Idle));
    assert_eq!(delivery.batches(), [(21, 1)]);
}

#[tokio::test]
async fn the_schedule_calls_delivery_every_minute() {
    let (bus, _, delivery) = deployed(vec![succeed]);
    bus.run_until(after(180)).await.unwrap();
    assert_eq!(delivery.batches(), [(60, 0), (120, 0), (180, 0)]);
    let committed: Value =
        serde_json::from_str(include_str!("../../../../events/audit-delivery.tick.json")).unwrap();
    assert_eq!(delivery.payload(0), committed);
    assert_eq!(bus.run_until_idle(after(200)).await, Ok(Ended::Idle));
}

#[tokio::test]
async fn a_reported_item_comes_again_alone() {
    let (bus, writer, _) = deployed(vec![fail_on_the_second, succeed]);
    put(&bus, &[entry(1), entry(2), entry(3)]);
    assert_eq!(bus.run_until_idle(after(3600)).await, Ok(Ended::Idle));
    // Received after 5 s, visible 360 s later, gathered for 5 s.
    assert_eq!(writer.batches(), [(5, 3), (370, 1)]);
    let (first, second) = (writer.payload(0), writer.payload(1));
    let (failed, again) = (&first["Records"][1], &second["Records"][0]);
    assert_eq!(failed["messageId"], again["messageId"]);
    assert_eq!(failed["body"], again["body"]);
    assert_ne!(failed["receiptHandle"], again["receiptHandle"]);
    assert_eq!(again["attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(bus.statistics().functions["AuditWriter"].item_failures, 1);
}

#[tokio::test]
async fn an_answer_that_names_a_stranger_fails_the_batch() {
    let (bus, writer, _) = deployed(vec![fail_on_a_stranger, succeed]);
    put(&bus, &[entry(1), entry(2)]);
    bus.run_until_idle(after(3600)).await.unwrap();
    assert_eq!(writer.batches(), [(5, 2), (370, 2)]);
}

#[tokio::test]
async fn what_fails_ten_times_lies_in_the_dead_letter_queue() {
    let (bus, writer, _) = deployed(vec![fail]);
    put(&bus, &[entry(1)]);
    assert_eq!(bus.run_until_idle(after(3000)).await, Ok(Ended::TimeUp));
    assert_eq!(bus.run_until_idle(after(5000)).await, Ok(Ended::Idle));
    assert_eq!(writer.batches().len(), 10);
    let dead = bus.messages("AuditDeadLetterQueue");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].receive_count, 10);
    assert!(dead[0].body.contains("\"cost\":1.10"));
    let statistics = bus.statistics();
    assert_eq!(statistics.queues["AuditQueue"].dead_lettered, 1);
    assert_eq!(statistics.functions["AuditWriter"].failures, 10);
    // Brought back, it is handled again from the beginning.
    for message in bus.take_messages("AuditDeadLetterQueue") {
        assert!(bus.send("AuditQueue", &message.body));
    }
    assert!(bus.messages("AuditDeadLetterQueue").is_empty());
    assert_eq!(bus.messages("AuditQueue")[0].receive_count, 0);
}

#[tokio::test]
async fn a_call_that_fails_to_the_last_lies_in_the_queue_that_its_function_names() {
    let (bus, writer, _) = deployed(vec![fail]);
    // It fails whatever it is called for.
    bus.register("AuditDelivery", writer as Arc<dyn Handler>);
    bus.run_until(after(60)).await.unwrap();
    let lost = bus.messages("DeliveryDeadLetterQueue");
    assert_eq!(lost.len(), 1);
    let record: Value = serde_json::from_str(&lost[0].body).unwrap();
    assert_eq!(record["requestPayload"]["detail-type"], "delivery.tick");
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(
        record["requestContext"]["functionArn"],
        "arn:aws:lambda:us-east-1:123456789012:function:sealift-audit-delivery"
    );
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_its_window() {
    let (bus, writer, _) = deployed(vec![succeed]);
    for _ in 0..1000 {
        put(&bus, &vec![entry(1); 10]);
    }
    bus.run_until_idle(after(600)).await.unwrap();
    let batches = writer.batches();
    assert_eq!(batches.len(), 2);
    assert_eq!((batches[0].0, batches[1].0), (0, 5));
    assert_eq!(batches[0].1 + batches[1].1, 10_000);
    let bytes = writer.payload(0).to_string().len();
    assert!(bytes <= MAX_PAYLOAD_BYTES, "{bytes}");
    assert!(bytes > MAX_PAYLOAD_BYTES * 8 / 10, "{bytes}");
}

#[tokio::test]
async fn entries_are_taken_and_refused_one_by_one() {
    let (bus, ..) = deployed(vec![succeed]);
    let mut bad = entry(2);
    bad.detail = "no JSON".to_owned();
    let mut posing = entry(3);
    posing.source = "aws.s3".to_owned();
    let results = bus
        .put_events("sealift", &[entry(1), bad, posing, entry(4)])
        .unwrap();
    assert!(results[0].is_ok() && results[3].is_ok());
    assert!(matches!(results[1], Err(EntryError::MalformedDetail(_))));
    assert_eq!(results[2], Err(EntryError::NotAuthorizedForSource));
    assert_eq!(bus.messages("AuditQueue").len(), 2);
    let elsewhere = bus.put_events("elsewhere", &[entry(1)]).unwrap();
    assert!(matches!(elsewhere[0], Err(EntryError::NoSuchBus(_))));
    assert_eq!(bus.statistics().events_refused, 3);
}

#[tokio::test]
async fn a_function_without_a_handler_is_named_before_anything_runs() {
    let (bus, ..) = deployed(vec![succeed]);
    let wiring = bus.wiring().clone();
    let clock = Arc::new(JumpingClock::starting_at(start(), Still));
    let bare = Bus::new(wiring, clock);
    let missing = Err(RunError::NoHandler("AuditDelivery".to_owned()));
    assert_eq!(bare.run_until_idle(after(10)).await, missing);
}

#[tokio::test]
async fn the_same_input_gives_the_same_run() {
    let run = || async {
        let (bus, writer, _) = deployed(vec![fail_on_the_second, succeed]);
        put(&bus, &[entry(1), entry(2), entry(3)]);
        bus.run_until_idle(after(3600)).await.unwrap();
        (writer.payload(0), writer.payload(1), bus.statistics())
    };
    assert_eq!(run().await, run().await);
}

/// A template in which a rule leads to a function and not to a queue.
#[tokio::test]
async fn a_function_target_is_tried_again_as_lambda_does() {
    let template = Template::parse(
        "Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: target }
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: { detail: { id: [\"1\"] } }
      Targets: [{ Id: target, Arn: !GetAtt Function.Arn }]
",
    )
    .unwrap();
    let deployment = Deployment {
        stack: "sealift".to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        parameters: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    let clock = Arc::new(JumpingClock::starting_at(start(), Still));
    let bus = Bus::new(template.wiring(&deployment).unwrap(), Arc::clone(&clock));
    let calls = Mutex::default();
    let recorder = Arc::new(Recorder {
        clock,
        calls,
        answers: vec![fail],
    });
    bus.register("Function", Arc::clone(&recorder) as Arc<dyn Handler>);
    bus.put_events(DEFAULT_BUS, &[entry(1), entry(2)]).unwrap();
    assert_eq!(bus.run_until_idle(after(3600)).await, Ok(Ended::Idle));
    // Once, after a minute, and after two more.
    let seconds: Vec<i64> = recorder
        .batches()
        .iter()
        .map(|(second, _)| *second)
        .collect();
    assert_eq!(seconds, [0, 60, 180]);
    assert_eq!(recorder.payload(0)["detail"]["id"], "1");
    assert_eq!(bus.statistics().functions["Function"].given_up, 1);
}
